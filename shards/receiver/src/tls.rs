//! Certificate, key, CA and CRL files -> rustls's `ServerConfig`, checked before it is used.
//!
//! TLS 1.2 and 1.3 with AEAD alone, which is all that rustls has. No ALPN. No resumption: a client
//! is verified each time it connects, against the CRL of then; and a ticket that a sender never
//! reads makes the kernel reset the connection when it closes, and take its last records with it.

pub(crate) mod names;
pub(crate) mod wire;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use corndog_pipeline::client_name::ClientName;
use corndog_pipeline::listen::{ClientAuth, MinVersion, TlsFiles};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use names::Verifier;

/// Bytes of one file: a CRL of 100,000 certificates takes half of it.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// A certificate that ends sooner is warned of.
const EXPIRY_NOTICE: Duration = Duration::from_secs(14 * 24 * 3600);
const DAY_SECONDS: u64 = 24 * 3600;

/// What a connection keeps for TLS beside its buffer: keys, and what of a record is not whole yet.
pub const CONNECTION_BYTES_MAX: usize = 40 * 1024;

/// A configuration that can be used, and what is wrong with it all the same.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// For the next connections.
    pub config: Arc<TlsConfig>,
    /// A sentence each.
    pub warnings: Vec<String>,
}

/// How a listener's connections are made.
#[derive(Debug)]
pub struct TlsConfig {
    /// For rustls.
    pub(crate) server: Arc<ServerConfig>,
    /// Which clients may come in, as the server's verifier has it.
    pub(crate) client_names: Vec<ClientName>,
    /// When its certificate, or the first of those between it and the CA, expires; seconds since 1970.
    pub expires: i64,
}

/// What a listener's next connections use. Written by the main thread, read by its shards, under a
/// lock held for one clone of an `Arc`.
#[derive(Debug)]
pub struct TlsCell(Mutex<Arc<TlsConfig>>);

impl TlsCell {
    /// A cell that holds `config`.
    pub fn new(config: Arc<TlsConfig>) -> TlsCell {
        TlsCell(Mutex::new(config))
    }

    /// For the main thread: from now on. Connections that are there stay as they are.
    pub fn set(&self, config: Arc<TlsConfig>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// What is in force.
    pub fn config(&self) -> Arc<TlsConfig> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads and checks the files.
///
/// Errors: one sentence, with the key, the file and what to do.
pub fn load(files: &TlsFiles, now: SystemTime) -> Result<Loaded, String> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut warnings = Vec::new();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (certified, expires) = certified_key(files, &provider, now, &mut warnings)?;
    let versions: &[&SupportedProtocolVersion] = match files.min_version {
        MinVersion::Tls12 => &[&TLS13, &TLS12],
        MinVersion::Tls13 => &[&TLS13],
    };
    let verifier = match (files.client_auth, &files.client_ca) {
        (ClientAuth::None, _) | (_, None) => names::nobody(),
        (_, Some(ca)) => Arc::new(verifier(files, ca, &provider, now, &mut warnings)?),
    };
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|why| format!("tls: {why}"))?;
    let resolver = Arc::new(SingleCertAndKey::from(certified));
    let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver);
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    let client_names = files.client_names.clone();
    let config = TlsConfig { server: Arc::new(config), client_names, expires };
    Ok(Loaded { config: Arc::new(config), warnings })
}

fn certified_key(
    files: &TlsFiles,
    provider: &CryptoProvider,
    now: Duration,
    warnings: &mut Vec<String>,
) -> Result<(CertifiedKey, i64), String> {
    let chain = certificates("cert", &files.cert)?;
    let mut expires = i64::MAX;
    let wrong = |why: String| format!("tls.cert {:?}: {why}", files.cert);
    for (index, certificate) in chain.iter().enumerate() {
        let dates = Dates::of(certificate).map_err(wrong)?;
        expires = expires.min(dates.not_after);
        match dates.refusal(now) {
            Some(why) if index == 0 => return Err(wrong(why)),
            Some(why) => warnings.push(wrong(format!("certificate {}: {why}", index + 1))),
            None => warnings.extend(dates.notice(now).map(wrong)),
        }
    }
    let key = private_key(&files.key, warnings)?;
    let key = provider.key_provider.load_private_key(key).map_err(|why| {
        format!(
            "tls.key {:?}: not a key that can be used ({why}); give an RSA key of 2048 to 8192 \
             bits, or an EC key on P-256, P-384 or P-521, or Ed25519",
            files.key
        )
    })?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|_| {
        format!(
            "tls.key {:?}: not the key of tls.cert {:?}; give the pair that was made together",
            files.key, files.cert
        )
    })?;
    Ok((certified, expires))
}

fn private_key(path: &Path, warnings: &mut Vec<String>) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = read("key", path)?;
    let mode = std::fs::metadata(path).map_or(0, |file| file.permissions().mode());
    if mode & 0o007 != 0 {
        warnings.push(format!(
            "tls.key {path:?}: every user of this machine can read or write it (mode {:o}); chmod \
             640 it",
            mode & 0o777
        ));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|why| {
        let is_encrypted = bytes.windows(9).any(|window| window == b"ENCRYPTED");
        let why = match why {
            _ if is_encrypted => "is encrypted; decrypt it: openssl pkey -in FILE".to_owned(),
            PemError::NoItemsFound => "holds no private key; give one in PEM: PKCS #8 \
                                       (BEGIN PRIVATE KEY), PKCS #1 or SEC 1"
                .to_owned(),
            why => format!("is no PEM ({why:?})"),
        };
        format!("tls.key {path:?}: {why}")
    })
}

fn verifier(
    files: &TlsFiles,
    ca: &Path,
    provider: &Arc<CryptoProvider>,
    now: Duration,
    warnings: &mut Vec<String>,
) -> Result<Verifier, String> {
    let wrong = |why: String| format!("tls.client_ca {ca:?}: {why}");
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client_ca", ca)? {
        let dates = Dates::of(&certificate).map_err(wrong)?;
        warnings.extend(dates.refusal(now).or_else(|| dates.notice(now)).map(wrong));
        roots
            .add(certificate)
            .map_err(|why| wrong(format!("not a CA that can be used ({why})")))?;
    }
    let crls = match &files.crl {
        Some(crl) => revocation_lists(crl, now, warnings)?,
        None => Vec::new(),
    };
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = builder.with_crls(crls);
    let builder = match files.client_auth {
        ClientAuth::Required => builder,
        ClientAuth::Optional | ClientAuth::None => builder.allow_unauthenticated(),
    };
    let chain = builder.build().map_err(|why| match &files.crl {
        Some(crl) => format!("tls.crl {crl:?}: cannot be used ({why})"),
        None => wrong(format!("cannot be used ({why})")),
    })?;
    let needs_name = files.client_name_in.is_some();
    Ok(Verifier { chain, names: files.client_names.clone(), needs_name })
}

fn revocation_lists(
    path: &Path,
    now: Duration,
    warnings: &mut Vec<String>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let wrong = |why: String| format!("tls.crl {path:?}: {why}");
    let bytes = read("crl", path)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let lists = lists.map_err(|why| wrong(format!("is no PEM ({why:?})")))?;
    if lists.is_empty() {
        return Err(wrong("holds no CRL; give one in PEM (BEGIN X509 CRL) of each CA".to_owned()));
    }
    for list in &lists {
        let (_, list) = CertificateRevocationList::from_der(list)
            .map_err(|_| wrong("holds a CRL that cannot be read".to_owned()))?;
        let is_old = list.next_update().is_some_and(|next| next.timestamp() < seconds(now));
        if is_old {
            warnings.push(wrong(
                "its next update is due; whom it disowns is refused, whom a newer one would is not"
                    .to_owned(),
            ));
        }
    }
    Ok(lists)
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: String| format!("tls.{key} {path:?}: {why}");
    let bytes = read(key, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = certificates.map_err(|why| wrong(format!("is no PEM ({why:?})")))?;
    if certificates.is_empty() {
        return Err(wrong("holds no certificate; give PEM (BEGIN CERTIFICATE)".to_owned()));
    }
    Ok(certificates)
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, String> {
    let wrong = |why: String| format!("tls.{key} {path:?}: {why}");
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|why| wrong(format!("cannot be read ({why})")))?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|why| wrong(format!("cannot be read ({why})")))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(format!("is larger than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    Ok(bytes)
}

/// From when to when a certificate is valid; seconds since 1970.
struct Dates {
    not_before: i64,
    not_after: i64,
}

impl Dates {
    fn of(certificate: &[u8]) -> Result<Dates, String> {
        let (_, certificate) = X509Certificate::from_der(certificate)
            .map_err(|_| "holds a certificate that cannot be read".to_owned())?;
        let validity = certificate.validity();
        Ok(Dates {
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }

    /// Why it cannot be used now.
    fn refusal(&self, now: Duration) -> Option<String> {
        let now = seconds(now);
        if now > self.not_after {
            return Some(format!("expired on {}; get a new one", show(self.not_after)));
        }
        (now < self.not_before).then(|| {
            format!("is not valid before {}; is this machine's clock right?", show(self.not_before))
        })
    }

    /// That it cannot be used for long any more.
    fn notice(&self, now: Duration) -> Option<String> {
        let left = u64::try_from(self.not_after - seconds(now)).unwrap_or(0);
        (left < EXPIRY_NOTICE.as_secs())
            .then(|| format!("expires on {}, in {} days", show(self.not_after), left / DAY_SECONDS))
    }
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn show(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or("a time beyond all".to_owned(), |t| t.to_string())
}
