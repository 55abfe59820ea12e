//! The bytes below TLS: read in large pieces, within bounds.
//!
//! ```text
//! buffer:  [taken by rustls | not yet | room]    0 <= start <= end <= buffer.len()
//! ```
//!
//! rustls asks for 4 KiB at a time; the kernel is asked for 64, into a buffer that the shard lends
//! while there is something in it. After as many bytes the others have their turn, and that when it
//! is empty: however many have something to say at once, few buffers go round.

use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use corndog_pipeline::listen::Transport;
use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;

use crate::beat::Reads;
use crate::buffers::BUFFER_BYTES;
use crate::shard::Shard;

/// Bytes that a handshake may take, from either side of its certificates: rustls takes no message
/// longer than 64 KiB, but any number of them.
const HANDSHAKE_BYTES_MAX: usize = 128 * 1024;
/// Reads of one poll. A client can send without end what is no data (empty records, key updates),
/// and rustls would go on reading.
const POLL_READS_MAX: usize = 64;
/// Bytes of one turn, at least; more by what one read brings.
const TURN_BYTES_MIN: usize = BUFFER_BYTES;
/// First bytes, kept until the handshake is over: they tell what was spoken, where it was not TLS.
const FIRST_BYTES: usize = 16;

/// A connection below TLS.
pub(crate) struct Wire {
    shard: Rc<Shard>,
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    first: [u8; FIRST_BYTES],
    first_bytes: usize,
    /// Bytes that it may still take; `None`: any number.
    left: Option<usize>,
    reads: Reads,
    poll_reads: usize,
    /// Bytes from the kernel since others had their turn.
    turn_bytes: usize,
}

impl Wire {
    /// A connection at the start of its handshake, of which `unread` came already.
    pub(crate) fn new(shard: Rc<Shard>, stream: TcpStream, unread: &[u8]) -> Wire {
        let mut buffer = Vec::new();
        if !unread.is_empty() {
            buffer = shard.buffers.take();
            buffer[..unread.len()].copy_from_slice(unread);
        }
        Wire {
            shard,
            stream,
            buffer,
            start: 0,
            end: unread.len(),
            first: [0; FIRST_BYTES],
            first_bytes: 0,
            left: Some(HANDSHAKE_BYTES_MAX),
            reads: Reads::new(Instant::now(), Transport::Tls),
            poll_reads: 0,
            turn_bytes: 0,
        }
    }

    /// From now on, data.
    pub(crate) fn end_handshake(&mut self) {
        self.left = None;
    }

    /// The first bytes, as far as they were looked at.
    pub(crate) fn first(&self) -> &[u8] {
        &self.first[..self.first_bytes]
    }

    /// Reads from the kernel into an empty buffer.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_beat = ready!(self.shard.beat.poll_wait(&mut self.reads, context));
        if self.buffer.is_empty() {
            self.buffer = self.shard.buffers.take();
        }
        let socket = self.stream.as_raw_fd();
        let at_beat = is_beat.then(|| self.reads.read_now(socket, &mut self.buffer)).flatten();
        let polled = match at_beat {
            Some(read) => Poll::Ready(read),
            None => Pin::new(&mut self.stream).poll_read(context, &mut self.buffer),
        };
        match polled {
            Poll::Ready(Ok(read)) if read > 0 => {
                (self.start, self.end) = (0, read);
                self.turn_bytes += read;
                // A handshake waits for each step.
                if self.left.is_none() {
                    self.reads.note(&self.shard.beat, read, self.buffer.len(), Instant::now());
                }
            }
            _ => self.give_buffer(),
        }
        polled.map_ok(|_| ())
    }

    fn give_buffer(&mut self) {
        self.shard.buffers.give(std::mem::take(&mut self.buffer));
    }

    fn note_first(&mut self, bytes: &[u8]) {
        let room = &mut self.first[self.first_bytes..];
        let noted = room.len().min(bytes.len());
        room[..noted].copy_from_slice(&bytes[..noted]);
        self.first_bytes += noted;
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let is_empty = self.start == self.end;
        if self.poll_reads >= POLL_READS_MAX || (is_empty && self.turn_bytes >= TURN_BYTES_MIN) {
            (self.poll_reads, self.turn_bytes) = (0, 0);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if is_empty {
            let filled = self.poll_fill(context);
            if filled.is_pending() {
                (self.poll_reads, self.turn_bytes) = (0, 0);
            }
            ready!(filled)?;
        }
        self.poll_reads += 1;
        let bytes = out.len().min(self.end - self.start);
        out[..bytes].copy_from_slice(&self.buffer[self.start..self.start + bytes]);
        self.start += bytes;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.give_buffer();
        }
        if let Some(left) = self.left {
            self.note_first(&out[..bytes]);
            let Some(left) = left.checked_sub(bytes) else {
                let text = format!("a handshake of more than {} KiB", HANDSHAKE_BYTES_MAX / 1024);
                return Poll::Ready(Err(io::Error::other(text)));
            };
            self.left = Some(left);
        }
        Poll::Ready(Ok(bytes))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}
