//! Which process is at the other end of the unix domain, asked of the kernel (unix(7)).
//!
//! rustix has these calls too, but its pid is never 0, and the kernel's is where the process has none
//! in our PID namespace: so with a socket that a container shares with its host.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::cmsg_space;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, getsockopt, recvmsg};
use rustix::io::Errno;

/// pid, uid and gid.
pub(crate) type Process = (u32, u32, u32);

/// Who connected (SO_PEERCRED), whoever has the connection now; `None`: the kernel does not say.
pub(crate) fn connected(stream: BorrowedFd<'_>) -> Option<Process> {
    getsockopt(&stream, PeerCredentials).ok().map(numbers)
}

/// Receives datagrams with their senders' credentials.
pub(crate) struct Witness {
    /// Room for credentials and nothing else: descriptors that somebody sends along find none, and
    /// the kernel closes them.
    control: Vec<u8>,
}

/// A datagram that was received.
pub(crate) struct Seen {
    /// Bytes of it that are in the buffer.
    pub(crate) kept: usize,
    /// Bytes that it had.
    pub(crate) bytes: usize,
    /// Who sent it; `None`: the kernel does not say.
    pub(crate) process: Option<Process>,
}

impl Witness {
    pub(crate) fn new() -> Witness {
        Witness { control: cmsg_space!(UnixCredentials) }
    }

    /// Receives one, if there is one; the socket has SO_PASSCRED.
    pub(crate) fn receive(&mut self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<Seen, Errno> {
        let room = buffer.len();
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC | MsgFlags::MSG_CMSG_CLOEXEC;
        let mut parts = [IoSliceMut::new(buffer)];
        let socket = socket.as_fd().as_raw_fd();
        let received = recvmsg::<()>(socket, &mut parts, Some(&mut self.control), flags)
            .map_err(|why| Errno::from_raw_os_error(why as i32))?;
        let process = received.cmsgs().find_map(|message| match message {
            ControlMessageOwned::ScmCredentials(process) => Some(numbers(process)),
            _ => None,
        });
        Ok(Seen { kept: received.bytes.min(room), bytes: received.bytes, process })
    }
}

fn numbers(process: UnixCredentials) -> Process {
    (u32::try_from(process.pid()).unwrap_or(0), process.uid(), process.gid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::IoSlice;
    use rustix::net::sockopt::set_socket_passcred;
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::io::Read as _;
    use std::mem::MaybeUninit;
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use std::time::Duration;

    fn ourselves() -> Process {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        (std::process::id(), uid.as_raw(), gid.as_raw())
    }

    #[test]
    fn the_other_end_of_a_connection_is_known() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(connected(one.as_fd()), Some(ourselves()));
    }

    #[test]
    fn each_datagram_has_its_sender_and_descriptors_are_left_behind() {
        let (sender, socket) = UnixDatagram::pair().unwrap();
        set_socket_passcred(&socket, true).unwrap();
        let socket = OwnedFd::from(socket);
        let (mut witness, mut buffer) = (Witness::new(), [0; 8]);
        for text in [&b"short"[..], b"longer than it"] {
            let (mut kept, given) = UnixStream::pair().unwrap();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut along = SendAncillaryBuffer::new(&mut space);
            let descriptors = [given.as_fd()];
            assert!(along.push(SendAncillaryMessage::ScmRights(&descriptors)));
            sendmsg(&sender, &[IoSlice::new(text)], &mut along, SendFlags::empty()).unwrap();
            drop(given);
            let seen = witness.receive(&socket, &mut buffer).unwrap();
            assert_eq!((seen.kept, seen.bytes), (text.len().min(8), text.len()));
            assert_eq!(&buffer[..seen.kept], &text[..seen.kept]);
            assert_eq!(seen.process, Some(ourselves()));
            // Nobody has the other end any more.
            kept.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            assert_eq!(kept.read(&mut [0]).unwrap(), 0);
        }
        assert_eq!(witness.receive(&socket, &mut buffer).err(), Some(Errno::AGAIN));
    }
}
