//! Sockets made elsewhere -> glommio's. One of two places of unsafe code in this crate (`slice.rs`).
//!
//! glommio makes sockets with few options (no dual stack, no keepalive, no receive buffer), and
//! takes one that is made already only by its number. So ours are made by `sockets.rs`, and come in
//! here as `OwnedFd`: the type says that nobody else owns or closes them. Of what it accepted itself,
//! it tells the number alone.

#![allow(unsafe_code, reason = "glommio takes and shows sockets by their numbers alone")]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use glommio::net::{TcpListener, TcpStream};

/// A listening socket, of TCP or of the unix domain: glommio's type accepts from either, and what it
/// accepts is read and written alike.
pub(crate) fn listener(socket: OwnedFd) -> TcpListener {
    // SAFETY: the descriptor is open and owned; ownership goes to the listener, which closes it.
    unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) }
}

/// A connection's descriptor, for what glommio does not ask the kernel.
pub(crate) fn borrow(stream: &TcpStream) -> BorrowedFd<'_> {
    // SAFETY: the stream owns the descriptor, which is open for as long as the stream is borrowed.
    unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) }
}

/// A socket of any kind, to wait on: glommio's type peeks alike.
pub(crate) fn stream(socket: OwnedFd) -> TcpStream {
    // SAFETY: as above.
    unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) }
}
