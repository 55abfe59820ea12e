//! A PKI of the test's own: a CA, a listener's certificate, and clients of every kind.

use crate::places::Scratch;
use crate::process::{Process, run};
use crate::time::seconds;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::time::Duration;

/// A CA and what it has signed, as files in a folder that goes away.
pub struct Pki {
    scratch: Scratch,
    ca: CertifiedIssuer<'static, KeyPair>,
}

/// Files of a certificate and its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// PEM.
    pub cert: PathBuf,
    /// PEM, PKCS #8.
    pub key: PathBuf,
}

impl Pki {
    /// A CA (`ca.pem`) that has signed a certificate for 127.0.0.1 and localhost (`server.pem`,
    /// `server.key`), and a CRL without an entry (`ca.crl`).
    pub fn new() -> Pki {
        let scratch = Scratch::new("pki");
        let ca = authority("corndog tests");
        let pki = Pki { scratch, ca };
        fs::write(pki.path("ca.pem"), pki.ca.pem()).expect("scratch is writable");
        pki.sign("server", &["127.0.0.1", "localhost"], |_| {});
        pki.revoke(&[]);
        pki
    }

    /// A file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// `tls = { cert, key, ... }` for the listener, with `more` behind it.
    pub fn tls(&self, more: &str) -> String {
        let (cert, key) = (self.path("server.pem"), self.path("server.key"));
        format!("tls = {{ cert = {cert:?}, key = {key:?}{more} }}")
    }

    /// `client_ca = ...` for the listener, with `more` behind it.
    pub fn client_ca(&self, more: &str) -> String {
        format!(", client_ca = {:?}{more}", self.path("ca.pem"))
    }

    /// Signs a certificate for these names, changed by `change`: `NAME.pem`, `NAME.key`.
    pub fn sign(
        &self,
        name: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        self.signed_by(&self.ca, name, names, change)
    }

    /// The same, by a CA that nobody knows.
    pub fn sign_by_another(&self, name: &str, names: &[&str]) -> Identity {
        self.signed_by(&authority("somebody else"), name, names, |_| {})
    }

    /// The same, by its own key.
    pub fn sign_by_itself(&self, name: &str, names: &[&str]) -> Identity {
        let key = new_key();
        let certificate = params(name, names).self_signed(&key).expect("it can sign");
        self.write(name, &certificate.pem(), &key)
    }

    /// The same, by a CA between: the chain is in the file.
    pub fn sign_by_one_between(&self, name: &str, names: &[&str]) -> Identity {
        let mut between = authority_params("between");
        between.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = new_key();
        let certificate = between.signed_by(&key, &self.ca).expect("the CA signs");
        let issuer = Issuer::new(between, key);
        let identity = self.signed_by(&issuer, name, names, |_| {});
        let chain = fs::read_to_string(&identity.cert).expect("written") + &certificate.pem();
        fs::write(&identity.cert, chain).expect("scratch is writable");
        identity
    }

    /// Writes `ca.crl`, in which the certificates of these serial numbers are disowned.
    pub fn revoke(&self, serials: &[u64]) {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1 + serials.len() as u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.ca).expect("the CA signs");
        fs::write(self.path("ca.crl"), list.pem().expect("PEM")).expect("scratch is writable");
    }

    /// Changes a key's file from PKCS #8 to what it was called before: PKCS #1 or SEC 1.
    pub fn make_traditional(&self, key: &Path) {
        let out = self.path("traditional");
        run("openssl", seconds(10), |command| {
            command.args(["pkey", "-traditional", "-in"]).arg(key).arg("-out").arg(&out);
        });
        fs::rename(out, key).expect("scratch is writable");
    }

    fn signed_by(
        &self,
        issuer: &Issuer<'_, KeyPair>,
        name: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let mut params = params(name, names);
        change(&mut params);
        let key = new_key();
        let certificate = params.signed_by(&key, issuer).expect("the CA signs");
        self.write(name, &certificate.pem(), &key)
    }

    fn write(&self, name: &str, certificate: &str, key: &KeyPair) -> Identity {
        let identity = Identity {
            cert: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        };
        fs::write(&identity.cert, certificate).expect("scratch is writable");
        write_key(&identity.key, &key.serialize_pem());
        identity
    }
}

impl Default for Pki {
    fn default() -> Self {
        Pki::new()
    }
}

/// Writes a private key that nobody else may read.
pub fn write_key(path: &Path, pem: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, pem).expect("scratch is writable");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("P-256 can be had")
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    CertifiedIssuer::self_signed(authority_params(name), new_key()).expect("it can sign")
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

/// For both ends, for a long time.
fn params(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names in ASCII");
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

/// `openssl s_client`, connected; what is written to it goes out over TLS.
pub struct TlsSender {
    process: Process,
    stdin: Option<ChildStdin>,
}

/// How it ended.
#[derive(Debug)]
pub struct TlsEnded {
    /// True for exit code 0.
    pub success: bool,
    /// All that it printed.
    pub text: String,
}

impl TlsSender {
    /// Starts it; `options` as `-tls1_3` or `-cert FILE`.
    pub fn connect(address: SocketAddr, pki: &Pki, options: &[&str]) -> TlsSender {
        let mut process = Process::start("openssl", |command| {
            command.args(["s_client", "-quiet", "-no_ign_eof", "-verify_return_error", "-connect"]);
            command.arg(address.to_string()).arg("-CAfile").arg(pki.path("ca.pem")).args(options);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        });
        let stdin = process.child().stdin.take();
        TlsSender { process, stdin }
    }

    /// As [`TlsSender::connect`], with a client's certificate.
    pub fn connect_as(address: SocketAddr, pki: &Pki, client: &Identity) -> TlsSender {
        let (cert, key) = (client.cert.display().to_string(), client.key.display().to_string());
        TlsSender::connect(address, pki, &["-cert", &cert, "-cert_chain", &cert, "-key", &key])
    }

    /// Sends these bytes. Where the connection is gone, nothing happens.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("not finished");
        let _ = stdin.write_all(bytes.as_ref()).and_then(|()| stdin.flush());
    }

    /// Whether it still runs.
    pub fn is_connected(&mut self) -> bool {
        self.process.exit().is_none()
    }

    /// Closes, and waits for the end.
    ///
    /// Panics: it runs after `limit`.
    pub fn finish(mut self, limit: Duration) -> TlsEnded {
        drop(self.stdin.take());
        let success = self.process.wait(limit).success();
        let mut text = String::new();
        let child: &mut Child = self.process.child();
        let mut read = |pipe: Option<&mut dyn Read>| {
            let mut bytes = Vec::new();
            if pipe.is_some_and(|pipe| pipe.read_to_end(&mut bytes).is_ok()) {
                text.push_str(&String::from_utf8_lossy(&bytes));
            }
        };
        read(child.stdout.as_mut().map(|pipe| pipe as &mut dyn Read));
        read(child.stderr.as_mut().map(|pipe| pipe as &mut dyn Read));
        TlsEnded { success, text }
    }
}
