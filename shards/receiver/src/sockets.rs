//! `[[listen]]` -> bound sockets, made on the main thread before any shard starts: what cannot be
//! had is said with the listener's name, and a shard that runs has all its sockets.
//!
//! | transport | sockets |
//! | --- | --- |
//! | tcp, tls, udp | one for each shard, by SO_REUSEPORT: the kernel spreads connections and senders |
//! | unix-stream, unix-datagram | one, shard 0's: the unix domain knows no SO_REUSEPORT |

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use corndog_pipeline::listen::{Address, Transport};
use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, getsockname, listen,
    socket_with,
};

/// Connections that the kernel makes before we accept them, as far as net.core.somaxconn allows.
const BACKLOG: i32 = 4096;
/// A peer that has said nothing for this long is asked whether it lives.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// It is asked this often more, this far apart; then the connection is broken.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_COUNT: u32 = 6;
/// What is to be bound.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// How.
    pub transport: Transport,
    /// Where; it goes with `transport`.
    pub address: Address,
    /// Of a unix socket: who may send, as chmod(1) has it.
    pub mode: u32,
    /// Of datagrams: bytes that the kernel is to hold.
    pub receive_buffer_bytes: usize,
}

/// One listener's sockets.
#[derive(Debug)]
pub struct Bound {
    /// Where they listen; a port 0 became the one that they got.
    pub address: Address,
    /// By shard; where there are fewer than shards, the others have none.
    pub sockets: Vec<OwnedFd>,
    /// Of UDP: the numbers by which /proc/net/udp knows them.
    pub inodes: Vec<u64>,
    /// Less than was asked for, a sentence.
    pub warning: Option<String>,
    /// The path, removed at the end.
    pub path: Option<BoundPath>,
}

/// A unix socket's path. Dropping it removes the file, unless somebody else's lies there now.
#[derive(Debug)]
pub struct BoundPath {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|file| (file.dev(), file.ino()) == (self.device, self.inode));
        if is_ours {
            // It may be gone, or its folder closed to us: the next start looks at it again.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the sockets for so many shards.
///
/// Errors: why not and what to do, without the listener's name.
pub fn bind_all(wanted: &Wanted, shard_count: usize) -> Result<Bound, String> {
    match &wanted.address {
        Address::Inet(address) => bind_inet(wanted, *address, shard_count),
        Address::Path(path) => bind_unix(wanted, path),
    }
}

fn bind_inet(wanted: &Wanted, address: SocketAddr, shard_count: usize) -> Result<Bound, String> {
    let refuse = |why: Errno| refusal(wanted, why);
    // Alone for a moment: SO_REUSEPORT would as readily share the port with another program of the
    // same user. A port 0 becomes the one that it got.
    let probe = inet_socket(wanted.transport, address).map_err(refuse)?;
    if !wanted.transport.is_datagram() {
        sockopt::set_socket_reuseaddr(&probe, true).map_err(refuse)?;
    }
    bind(&probe, &address).map_err(refuse)?;
    let address = SocketAddr::try_from(getsockname(&probe).map_err(refuse)?).map_err(refuse)?;
    if !wanted.transport.is_datagram() {
        // Another that shares by SO_REUSEADDR shows only here.
        listen(&probe, 0).map_err(refuse)?;
    }
    drop(probe);
    let mut sockets = Vec::with_capacity(shard_count);
    let mut warning = None;
    for _ in 0..shard_count {
        let socket = inet_socket(wanted.transport, address).map_err(refuse)?;
        sockopt::set_socket_reuseport(&socket, true).map_err(refuse)?;
        if wanted.transport.is_datagram() {
            warning = set_receive_buffer(&socket, wanted.receive_buffer_bytes).map_err(refuse)?;
            bind(&socket, &address).map_err(refuse)?;
        } else {
            keep_alive(&socket).map_err(refuse)?;
            sockopt::set_socket_reuseaddr(&socket, true).map_err(refuse)?;
            bind(&socket, &address).map_err(refuse)?;
            listen(&socket, BACKLOG).map_err(refuse)?;
        }
        sockets.push(socket);
    }
    let inodes = sockets.iter().filter_map(|socket| Some(rustix::fs::fstat(socket).ok()?.st_ino));
    let inodes = if wanted.transport == Transport::Udp { inodes.collect() } else { Vec::new() };
    Ok(Bound { address: Address::Inet(address), sockets, inodes, warning, path: None })
}

/// Blocking: io_uring waits on such a socket, and what must not wait says so (MSG_DONTWAIT).
fn inet_socket(transport: Transport, address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = if transport.is_datagram() { SocketType::DGRAM } else { SocketType::STREAM };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    if address.is_ipv6() {
        // [::] is every address, whatever net.ipv6.bindv6only says.
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    Ok(socket)
}

/// For a listening socket: those that it accepts inherit this.
fn keep_alive(socket: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(socket, KEEPALIVE_COUNT)
}

/// Asks the kernel to hold so many bytes; a sentence where it gives less.
fn set_receive_buffer(socket: &OwnedFd, bytes: usize) -> Result<Option<String>, Errno> {
    // Beyond net.core.rmem_max only with CAP_NET_ADMIN.
    if sockopt::set_socket_recv_buffer_size_force(socket, bytes).is_err() {
        sockopt::set_socket_recv_buffer_size(socket, bytes)?;
    }
    // The kernel says twice what was asked for: its own share is in it (socket(7)).
    let given = sockopt::socket_recv_buffer_size(socket)? / 2;
    Ok((given < bytes).then(|| {
        format!(
            "receive_buffer: {} KiB were asked for and the kernel gives {} KiB; allow more \
             (sysctl net.core.rmem_max={bytes})",
            bytes / 1024,
            given / 1024
        )
    }))
}

fn bind_unix(wanted: &Wanted, path: &Path) -> Result<Bound, String> {
    let refuse = |why: Errno| refusal(wanted, why);
    let address = SocketAddrUnix::new(path).map_err(refuse)?;
    let kind = if wanted.transport.is_datagram() { SocketType::DGRAM } else { SocketType::STREAM };
    let socket = || socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
    remove_stale(path, || connect(&socket()?, &address))?;
    let socket = socket().map_err(refuse)?;
    let mut warning = None;
    if wanted.transport.is_datagram() {
        warning = set_receive_buffer(&socket, wanted.receive_buffer_bytes).map_err(refuse)?;
        // From the first datagram on, since a reload may bring a rule that asks: 10 ns each.
        sockopt::set_socket_passcred(&socket, true).map_err(refuse)?;
    }
    // Before it has a path, so that it never lets in more than it should; the umask may take away
    // from it, which the second call gives back.
    fchmod(&socket, Mode::from_raw_mode(wanted.mode)).map_err(refuse)?;
    bind(&socket, &address).map_err(refuse)?;
    let file = fs::symlink_metadata(path).map_err(|why| refusal(wanted, errno(&why)))?;
    let bound = BoundPath { path: path.to_owned(), device: file.dev(), inode: file.ino() };
    fs::set_permissions(path, fs::Permissions::from_mode(wanted.mode))
        .map_err(|why| refusal(wanted, errno(&why)))?;
    if !wanted.transport.is_datagram() {
        listen(&socket, BACKLOG).map_err(refuse)?;
    }
    Ok(Bound {
        address: wanted.address.clone(),
        sockets: vec![socket],
        inodes: Vec::new(),
        warning,
        path: Some(bound),
    })
}

/// Removes a socket that a process of ours has left behind.
///
/// Errors: what lies there is no socket, not ours, or in use.
fn remove_stale(path: &Path, try_it: impl FnOnce() -> Result<(), Errno>) -> Result<(), String> {
    let shown = path.display();
    let Ok(file) = fs::symlink_metadata(path) else { return Ok(()) };
    if !file.file_type().is_socket() {
        return Err(format!("{shown} is a file, and no socket; choose another path"));
    }
    if file.uid() != rustix::process::geteuid().as_raw() {
        return Err(format!(
            "{shown} is the socket of another user ({}); remove it or choose another path",
            file.uid()
        ));
    }
    match try_it() {
        Err(Errno::CONNREFUSED) => fs::remove_file(path)
            .map_err(|why| format!("{shown} is left over and cannot be removed: {why}")),
        // Connected, or of the other kind: somebody is there.
        _ => Err(format!("{shown}: another program listens there; stop it or choose another path")),
    }
}

fn errno(why: &io::Error) -> Errno {
    Errno::from_io_error(why).unwrap_or(Errno::IO)
}

fn refusal(wanted: &Wanted, why: Errno) -> String {
    let hint = match why {
        Errno::ADDRINUSE => "another program listens there; stop it or choose another port",
        Errno::ADDRNOTAVAIL => "choose an address of this machine",
        Errno::ACCESS | Errno::PERM if wanted.transport.is_unix() => {
            "its folder must be writable for this user"
        }
        Errno::ACCESS | Errno::PERM => {
            "a port below 1024 needs CAP_NET_BIND_SERVICE; grant it or choose a higher port"
        }
        Errno::NOENT => "make its folder, or choose another path",
        Errno::AFNOSUPPORT => "this machine has no IPv6; choose an IPv4 address",
        Errno::MFILE | Errno::NFILE => {
            "no file descriptor is free; allow more of them (ulimit -n, LimitNOFILE=)"
        }
        _ => "choose another address",
    };
    let why = io::Error::from(why);
    format!("cannot listen on {} ({}): {hint} ({why})", wanted.address, wanted.transport.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("corndog-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn unix(path: &Path, transport: Transport) -> Wanted {
        let (address, receive_buffer_bytes) = (Address::Path(path.to_owned()), 64 << 10);
        Wanted { transport, address, mode: 0o620, receive_buffer_bytes }
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = folder("stale");
        let path = folder.join("socket");
        let wanted = unix(&path, Transport::UnixStream);
        drop(UnixListener::bind(&path).unwrap());
        let bound = bind_all(&wanted, 4).unwrap();
        assert_eq!(bound.sockets.len(), 1);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o620);
        let why = bind_all(&wanted, 1).unwrap_err();
        assert!(why.contains("another program listens"), "{why}");
        let why = bind_all(&unix(&path, Transport::UnixDatagram), 1).unwrap_err();
        assert!(why.contains("another program listens"), "{why}");
        drop(bound);
        assert!(!path.exists());
        let _ = fs::remove_dir_all(folder);
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = folder("file");
        let path = folder.join("file");
        fs::write(&path, "precious").unwrap();
        let why = bind_all(&unix(&path, Transport::UnixDatagram), 1).unwrap_err();
        assert!(why.contains("no socket"), "{why}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let missing = folder.join("missing/socket");
        let why = bind_all(&unix(&missing, Transport::UnixStream), 1).unwrap_err();
        assert!(why.contains("make its folder"), "{why}");
        let _ = fs::remove_dir_all(folder);
    }

    #[test]
    fn a_path_that_somebody_else_took_over_is_not_removed() {
        let folder = folder("taken");
        let path = folder.join("socket");
        let bound = bind_all(&unix(&path, Transport::UnixDatagram), 1).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = UnixDatagram::bind(&path).unwrap();
        drop(bound);
        assert!(path.exists());
        let _ = fs::remove_dir_all(folder);
    }

    #[test]
    fn both_families_share_one_port_among_shards() {
        for (transport, address) in [
            (Transport::Tcp, "127.0.0.1:0"),
            (Transport::Udp, "127.0.0.1:0"),
            (Transport::Tcp, "[::]:0"),
            (Transport::Udp, "[::1]:0"),
        ] {
            let address = Address::Inet(address.parse().unwrap());
            let wanted = Wanted { transport, address, mode: 0, receive_buffer_bytes: 16 << 10 };
            let bound = match bind_all(&wanted, 3) {
                Ok(bound) => bound,
                Err(why) if why.contains("no IPv6") => continue,
                Err(why) => panic!("{why}"),
            };
            assert_eq!(bound.sockets.len(), 3);
            let Address::Inet(taken) = &bound.address else { panic!("{bound:?}") };
            assert_ne!(taken.port(), 0);
            let again = Wanted { address: bound.address.clone(), ..wanted };
            let why = bind_all(&again, 1).unwrap_err();
            assert!(why.contains("another program listens"), "{why}");
        }
    }

    #[test]
    fn a_receive_buffer_that_the_kernel_does_not_give_is_named() {
        let address = Address::Inet(SocketAddr::from(([127, 0, 0, 1], 0)));
        let wanted =
            Wanted { transport: Transport::Udp, address, mode: 0, receive_buffer_bytes: 1 << 30 };
        // No kernel gives so much, whoever asks: twice that is no number of its own.
        let warning = bind_all(&wanted, 1).unwrap().warning.unwrap();
        assert!(warning.starts_with("receive_buffer: 1048576 KiB were asked for"), "{warning}");
        assert!(warning.contains("net.core.rmem_max=1073741824"), "{warning}");
    }
}
