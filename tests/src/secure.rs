//! TLS connections in the test's own process: thousands of them cost little, and what one waited for
//! is known to the millisecond. What OpenSSL makes of the program is seen by `pki::TlsSender`.

use crate::pki::Pki;
use crate::time::seconds;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A read or a write that takes longer fails.
const CALL_TIME_MAX: Duration = seconds(10);

/// Whom clients trust: the CA of a test's PKI.
#[derive(Debug, Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The CA of this PKI.
    pub fn in_ca(pki: &Pki) -> Trust {
        let ca = CertificateDer::from_pem_file(pki.path("ca.pem")).expect("the PKI wrote it");
        let mut roots = RootCertStore::empty();
        roots.add(ca).expect("it is a CA's");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows both versions");
        Trust(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
    }

    fn client(&self, name: &str) -> ClientConnection {
        let name = ServerName::try_from(name.to_owned()).expect("a name or an address");
        ClientConnection::new(self.0.clone(), name).expect("the configuration is right")
    }

    /// A client's whole first message, as it goes over TCP.
    pub fn hello(&self) -> Vec<u8> {
        let mut hello = Vec::new();
        self.client("127.0.0.1").write_tls(&mut hello).expect("memory takes all");
        hello
    }
}

/// A connection over TLS.
#[derive(Debug)]
pub struct SecureSender(StreamOwned<ClientConnection, TcpStream>);

impl SecureSender {
    /// Connects to a listener whose certificate has this name; the handshake is over then.
    ///
    /// Errors: refused, or the certificate is not for `name`.
    pub fn connect(address: SocketAddr, trust: &Trust, name: &str) -> io::Result<SecureSender> {
        let mut stream = TcpStream::connect_timeout(&address, CALL_TIME_MAX)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(CALL_TIME_MAX))?;
        stream.set_write_timeout(Some(CALL_TIME_MAX))?;
        let mut client = trust.client(name);
        while client.is_handshaking() {
            client.complete_io(&mut stream)?;
        }
        let mut sender = SecureSender(StreamOwned::new(client, stream));
        // Of TLS 1.3, the client's last message is still here.
        sender.0.flush()?;
        Ok(sender)
    }

    /// Sends these bytes, waiting as long as the receiver wants, within bounds.
    ///
    /// Errors: the receiver closed the connection.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.write_all(bytes.as_ref())?;
        self.0.flush()
    }

    /// Says goodbye and waits until the receiver has closed its side.
    ///
    /// Errors: it was reset.
    pub fn finish(mut self) -> io::Result<()> {
        self.0.conn.send_close_notify();
        self.0.flush()?;
        self.0.sock.shutdown(Shutdown::Write)?;
        while self.0.sock.read(&mut [0; 4096])? > 0 {}
        Ok(())
    }
}
