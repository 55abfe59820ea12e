//! What a listener is, as the configuration means it and a receiver is given it. Nothing here opens
//! a socket or a file.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::client_name::ClientName;

/// Bytes of a path that a unix socket can have, its end not counted (unix(7)).
pub const PATH_BYTES_MAX: usize = 107;

/// How senders reach a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// UDP; a datagram is a message.
    Udp,
    /// Connections in the unix domain.
    UnixStream,
    /// Datagrams in the unix domain.
    UnixDatagram,
}

impl Transport {
    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Udp => "udp",
            Transport::UnixStream => "unix-stream",
            Transport::UnixDatagram => "unix-datagram",
        }
    }

    /// True where a datagram is a message, and nothing is connected.
    pub const fn is_datagram(self) -> bool {
        matches!(self, Transport::Udp | Transport::UnixDatagram)
    }

    /// True where the address is a path.
    pub const fn is_unix(self) -> bool {
        matches!(self, Transport::UnixStream | Transport::UnixDatagram)
    }
}

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An address and port.
    Inet(SocketAddr),
    /// A path.
    Path(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Inet(address) => address.fmt(f),
            Address::Path(path) => path.display().fmt(f),
        }
    }
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They may; a bad one is refused.
    Optional,
    /// They must.
    Required,
}

/// The oldest version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MinVersion {
    /// TLS 1.2 and 1.3.
    #[default]
    Tls12,
    /// TLS 1.3 alone.
    Tls13,
}

/// Where each record carries the client's verified name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientNameIn {
    /// In its topic.
    Topic,
    /// In a header.
    Header,
}

/// A listener's `tls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate, then those between it and the CA; PEM.
    pub cert: PathBuf,
    /// Its key; PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
    /// Who vouches for clients; PEM.
    pub client_ca: Option<PathBuf>,
    /// Whether they need that.
    pub client_auth: ClientAuth,
    /// Which of them may come in; empty: all that the CA vouches for.
    pub client_names: Vec<ClientName>,
    /// Where the rules have to put the client's name; `None`: wherever they like.
    pub client_name_in: Option<ClientNameIn>,
    /// Whom the CA has disowned; PEM.
    pub crl: Option<PathBuf>,
    /// The oldest version.
    pub min_version: MinVersion,
}

impl TlsFiles {
    /// All files that it is made of.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let needed = [&self.cert, &self.key].into_iter();
        needed.chain(&self.client_ca).chain(&self.crl).map(PathBuf::as_path)
    }
}
