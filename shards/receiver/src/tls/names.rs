//! A client's certificate that the CA has vouched for -> the name by which it is let in, or why it
//! is not. What counts is its subjectAltName alone (RFC 9525 §6.3, RFC 5425 §5.2).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use corndog_pipeline::client_name::{ClientName, Presented};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError};
use rustls::{SignatureScheme, server::WebPkiClientVerifier};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// The names of a certificate that can be compared with; others are left out.
fn presented<'a>(certificate: &'a X509Certificate<'_>) -> Vec<Presented<'a>> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &'a GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Presented::dns(name),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let sixteen = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            four.or_else(|_| sixteen()).ok().map(Presented::Ip)
        }
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

/// Whether a certificate may come in: `wanted` covers one of its names, or all are welcome; it has
/// one where the rules tell clients by it.
///
/// Errors: why not.
fn check(certificate: &[u8], wanted: &[ClientName], needs_name: bool) -> Result<(), Refusal> {
    let (_, certificate) =
        X509Certificate::from_der(certificate).map_err(|_| Refusal::Unreadable)?;
    if let Ok(Some(usage)) = certificate.key_usage()
        && !usage.value.digital_signature()
    {
        return Err(Refusal::KeyUsage);
    }
    let names = presented(&certificate);
    let needs_name = needs_name || !wanted.is_empty();
    match verified(&names, wanted) {
        None if needs_name => Err(Refusal::Name(names.first().map(Presented::to_string))),
        _ => Ok(()),
    }
}

/// The first of these names that `wanted` covers, or the first one where all are welcome.
fn verified<'n, 'a>(
    names: &'n [Presented<'a>],
    wanted: &[ClientName],
) -> Option<&'n Presented<'a>> {
    let is_wanted = |name: &Presented<'_>| wanted.iter().any(|wanted| wanted.covers(name));
    names.iter().find(|name| wanted.is_empty() || is_wanted(name))
}

/// The name by which a certificate came in, or its subject where it has none that counts.
pub(crate) fn verified_name(certificate: &[u8], wanted: &[ClientName]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    // Names differ in more than case: there is one topic for each.
    let name = verified(&presented(&certificate), wanted)
        .map(|name| name.to_string().to_ascii_lowercase());
    name.or_else(|| Some(certificate.subject().to_string()))
}

/// Why a certificate that the CA vouches for is not let in.
#[derive(Debug)]
enum Refusal {
    Unreadable,
    KeyUsage,
    /// None of its names; the first one, if it has any.
    Name(Option<String>),
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Unreadable => f.write_str("its certificate cannot be read"),
            Refusal::KeyUsage => f.write_str("its key may not sign (keyUsage)"),
            Refusal::Name(None) => f.write_str("its certificate has no name that counts"),
            Refusal::Name(Some(name)) => {
                write!(f, "its certificate's name {name:?} is not in client_names")
            }
        }
    }
}

/// webpki's verifier (chain, dates, extended key usage, CRL), and behind it the names.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) chain: Arc<dyn ClientCertVerifier>,
    pub(super) names: Vec<ClientName>,
    /// Rules tell clients by their names, so each has to have one.
    pub(super) needs_name: bool,
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        self.chain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        check(end_entity, &self.names, self.needs_name)
            .map_err(|why| CertificateError::Other(OtherError(Arc::new(why))))?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// A verifier that asks for no certificate.
pub(super) fn nobody() -> Arc<dyn ClientCertVerifier> {
    WebPkiClientVerifier::no_client_auth()
}
