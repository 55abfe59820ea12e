//! A connection to the forwarder: TCP, TLS over it, UDP, or a socket in the file system.

use crate::failure::Failure;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionbio;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
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
    /// UDP: what ends with LF is a datagram.
    Udp,
    /// A stream to a socket in the file system.
    UnixStream(PathBuf),
    /// Datagrams to one, each of which ends with LF; one that is not taken is waited for.
    UnixDatagram(PathBuf),
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

    /// Where it leads: the address, or a path.
    pub fn place(&self, address: SocketAddr) -> String {
        match self {
            Dial::Plain | Dial::Tls(_) | Dial::Udp => address.to_string(),
            Dial::UnixStream(path) | Dial::UnixDatagram(path) => path.display().to_string(),
        }
    }

    /// Connects; reads and writes then take at most `tick`.
    pub fn connect(&self, address: SocketAddr, tick: Duration) -> io::Result<Wire> {
        let wire = match self {
            Dial::Plain => Wire::Plain(TcpStream::connect(address)?),
            Dial::Tls(config) => Wire::Tls(Box::new(handshake(config, address)?)),
            Dial::Udp => {
                let any = match address.is_ipv4() {
                    true => IpAddr::from(Ipv4Addr::UNSPECIFIED),
                    false => IpAddr::from(Ipv6Addr::UNSPECIFIED),
                };
                let socket = UdpSocket::bind((any, 0))?;
                socket.connect(address)?;
                Wire::Udp(socket)
            }
            Dial::UnixStream(path) => Wire::UnixStream(UnixStream::connect(path)?),
            Dial::UnixDatagram(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Wire::UnixDatagram(socket)
            }
        };
        set_socket_timeout(wire.as_fd(), Timeout::Send, Some(tick))?;
        set_socket_timeout(wire.as_fd(), Timeout::Recv, Some(tick))?;
        Ok(wire)
    }
}

fn handshake(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut stream = TcpStream::connect(address)?;
    let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
    let connection = ClientConnection::new(Arc::clone(config), name);
    let mut connection = connection.map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

/// One connection.
pub enum Wire {
    /// TCP.
    Plain(TcpStream),
    /// TLS over it.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// UDP, connected.
    Udp(UdpSocket),
    /// A stream in the file system.
    UnixStream(UnixStream),
    /// Datagrams there, connected.
    UnixDatagram(UnixDatagram),
}

impl Wire {
    /// What is written leaves at once, or is refused at once: `wait` says when more is taken.
    pub fn make_prompt(&self) -> io::Result<()> {
        match self {
            Wire::Plain(stream) => stream.set_nodelay(true)?,
            Wire::Tls(stream) => stream.sock.set_nodelay(true)?,
            Wire::Udp(_) | Wire::UnixStream(_) | Wire::UnixDatagram(_) => {}
        }
        Ok(ioctl_fionbio(self.as_fd(), true)?)
    }

    /// Writes and reads wait again, a tick at most.
    pub fn make_patient(&self) -> io::Result<()> {
        Ok(ioctl_fionbio(self.as_fd(), false)?)
    }

    /// Waits until more is taken; at most so long.
    pub fn wait(&self, tick: Duration) -> io::Result<()> {
        let nanos = i64::try_from(tick.as_nanos()).unwrap_or(i64::MAX);
        let limit = Timespec { tv_sec: nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 };
        match poll(&mut [PollFd::from_borrowed_fd(self.as_fd(), PollFlags::OUT)], Some(&limit)) {
            Err(error) if error != rustix::io::Errno::INTR => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Wire::Plain(stream) => stream.as_fd(),
            Wire::Tls(stream) => stream.sock.as_fd(),
            Wire::Udp(socket) => socket.as_fd(),
            Wire::UnixStream(stream) => stream.as_fd(),
            Wire::UnixDatagram(socket) => socket.as_fd(),
        }
    }

    /// Writes some bytes. With TLS they may still wait for `flush`; with datagrams they are the first
    /// of them, with its LF.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Tls(stream) => stream.write(bytes),
            Wire::Udp(socket) => socket.send(datagram(bytes)),
            Wire::UnixStream(stream) => stream.write(bytes),
            Wire::UnixDatagram(socket) => socket.send(datagram(bytes)),
        }
    }

    /// Writes what is still here. Call it again where it is held back.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Wire::Tls(stream) = self {
            while stream.conn.wants_write() {
                stream.conn.write_tls(&mut stream.sock)?;
            }
        }
        Ok(())
    }

    /// Says that no more comes. What it takes TLS to say so is flushed before.
    pub fn end(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(stream) => stream.shutdown(Shutdown::Write),
            Wire::Tls(stream) => stream.sock.shutdown(Shutdown::Write),
            Wire::UnixStream(stream) => stream.shutdown(Shutdown::Write),
            Wire::Udp(_) | Wire::UnixDatagram(_) => Ok(()),
        }
    }

    /// Puts the goodbye of TLS behind what was written; `flush` sends it.
    pub fn say_goodbye(&mut self) {
        if let Wire::Tls(stream) = self {
            stream.conn.send_close_notify();
        }
    }

    /// Reads what the other end sends, as it comes; nothing in it is looked at. With datagrams that is
    /// nothing.
    pub fn drain(&mut self, scrap: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(scrap),
            Wire::Tls(stream) => stream.sock.read(scrap),
            Wire::UnixStream(stream) => stream.read(scrap),
            Wire::Udp(_) | Wire::UnixDatagram(_) => Ok(0),
        }
    }
}

fn datagram(bytes: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
    &bytes[..end]
}
