//! A connection to the forwarder: TCP, or TLS over it.

use crate::failure::Failure;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The forwarder's certificate in its folder, for 127.0.0.1 and signed by itself.
pub const CERT_FILE: &str = "cert.pem";
/// And its key.
pub const KEY_FILE: &str = "key.pem";

/// Makes both files.
pub fn make_certificate(folder: &Path) -> Result<(), Failure> {
    let broken =
        |what: String| Failure::Setup(format!("certificate in {}: {what}", folder.display()));
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
    let made = made.map_err(|error| broken(error.to_string()))?;
    for (name, text) in [(CERT_FILE, made.cert.pem()), (KEY_FILE, made.signing_key.serialize_pem())]
    {
        fs::write(folder.join(name), text).map_err(|error| broken(error.to_string()))?;
    }
    Ok(())
}

/// How connections are made.
#[derive(Debug, Clone)]
pub enum Dial {
    /// TCP.
    Plain,
    /// TLS 1.3; the certificate is known.
    Tls(Arc<ClientConfig>),
}

impl Dial {
    /// TLS with a forwarder that has this certificate, in PEM.
    pub fn tls(file: &Path) -> Result<Dial, Failure> {
        let broken = |what: String| Failure::Setup(format!("{}: {what}", file.display()));
        let certificate =
            CertificateDer::from_pem_file(file).map_err(|error| broken(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(|error| broken(error.to_string()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| broken(error.to_string()))?;
        Ok(Dial::Tls(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
    }

    /// Connects; reads and writes then take at most `tick`.
    pub fn connect(&self, address: SocketAddr, tick: Duration) -> io::Result<Wire> {
        let mut stream = TcpStream::connect(address)?;
        let wire = match self {
            Dial::Plain => Wire::Plain(stream),
            Dial::Tls(config) => {
                let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
                let connection = ClientConnection::new(config.clone(), name);
                let mut connection = connection.map_err(io::Error::other)?;
                while connection.is_handshaking() {
                    connection.complete_io(&mut stream)?;
                }
                Wire::Tls(Box::new(StreamOwned::new(connection, stream)))
            }
        };
        let socket = wire.socket();
        socket.set_write_timeout(Some(tick))?;
        socket.set_read_timeout(Some(tick))?;
        Ok(wire)
    }
}

/// One connection.
pub enum Wire {
    /// TCP.
    Plain(TcpStream),
    /// TLS over it.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    fn socket(&self) -> &TcpStream {
        match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &stream.sock,
        }
    }

    /// Writes some bytes. With TLS they may still wait for `flush`.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Tls(stream) => stream.write(bytes),
        }
    }

    /// Writes what is still here. Call it again where it is held back.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(_) => Ok(()),
            Wire::Tls(stream) => {
                while stream.conn.wants_write() {
                    stream.conn.write_tls(&mut stream.sock)?;
                }
                Ok(())
            }
        }
    }

    /// Says that no more comes. What it takes TLS to say so is flushed before.
    pub fn end(&mut self) -> io::Result<()> {
        self.socket().shutdown(Shutdown::Write)
    }

    /// Puts the goodbye of TLS behind what was written; `flush` sends it.
    pub fn say_goodbye(&mut self) {
        if let Wire::Tls(stream) = self {
            stream.conn.send_close_notify();
        }
    }

    /// Reads what the other end sends, as it comes; nothing in it is looked at.
    pub fn drain(&mut self, scrap: &mut [u8]) -> io::Result<usize> {
        let mut socket = self.socket();
        socket.read(scrap)
    }
}
