//! A datagram listener of one shard (UDP, unix-datagram): each datagram is a message.
//!
//! Nobody can tell a UDP sender to wait. Where no batch is empty, datagrams are left to the kernel,
//! which holds as many as its buffer takes and drops the others; the main thread reads how many
//! (`dropped_by_kernel`). In the unix domain the kernel makes the sender wait.
//!
//! Datagrams that come all the time, a few each time, are read at the shard's beat (`beat.rs`), where the
//! kernel's buffer is large enough for it.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use corndog_pipeline::control::Phase;
use corndog_pipeline::counters::Dropped;
use corndog_pipeline::framing::{self, Deframer, Frame};
use corndog_pipeline::listen::Transport;
use corndog_pipeline::network;
use futures_lite::future::{or, yield_now};
use glommio::net::TcpStream;
use glommio::timer::Timer;
use jiff::Timestamp;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recvfrom, sockopt};

use crate::adopt;
use crate::beat::Reads;
use crate::origin::{Origin, Reading};
use crate::process::Witness;
use crate::settings::Listen;
use crate::shard::{Shard, Taken};
use crate::watch::Watch;

/// Bytes of a UDP datagram, rounded up.
const UDP_BYTES_MAX: usize = 64 * 1024;
/// Datagrams in one turn; then the others have theirs.
const TURN_DATAGRAMS_MAX: usize = 64;
/// Bytes in one turn, as above; of common messages, 64 have a third of it.
const TURN_BYTES_MAX: usize = 64 * 1024;
/// The pause after a read failed, so that it does not spin.
const READ_PAUSE: Duration = Duration::from_millis(100);
/// At a drain: datagrams read from one socket. More than a kernel holds by default, and a bound
/// where senders never stop.
const DRAIN_DATAGRAMS_MAX: usize = 65_536;

/// Starts receiving; ends at a drain, with what the kernel held.
pub(crate) fn receive(shard: &Rc<Shard>, socket: OwnedFd, listen: Listen) {
    let waiter = match socket.try_clone() {
        Ok(again) => adopt::stream(again),
        Err(why) => {
            return shard.warn("datagrams", || {
                format!("listen {:?}: nothing can be received: {why}", listen.name)
            });
        }
    };
    let watch = Rc::new(Watch::new(Instant::now()));
    watch.is_held.set(true);
    // Numbers of connections begin at 1 and go up.
    let number = u64::MAX - shard.connection_count() as u64;
    shard.enter(number, watch.clone());
    let reads = match listen.transport {
        // The kernel gives twice what is asked for, and says so.
        Transport::Udp => sockopt::socket_recv_buffer_size(&socket)
            .ok()
            .and_then(|bytes| Reads::of_udp(Instant::now(), bytes / 2)),
        _ => None,
    };
    let mut inbox = Inbox {
        origin: Origin::of_machine(&shard.settings().machine, Reading::of(&listen)),
        shard: shard.clone(),
        socket,
        waiter,
        listen,
        buffer: Vec::new(),
        witness: Witness::new(),
        pending: None,
        reads,
        read_bytes: 0,
        is_at_beat: false,
        now: Instant::now(),
        time: Timestamp::now(),
    };
    glommio::spawn_local(async move {
        let told = async {
            watch.told().await;
        };
        or(told, inbox.receive_on()).await;
        inbox.receive_rest().await;
        inbox.shard.forget(number);
    })
    .detach();
}

struct Inbox {
    shard: Rc<Shard>,
    socket: OwnedFd,
    /// The same socket, to wait on: glommio's UdpSocket waits for nobody where it is not connected.
    waiter: TcpStream,
    listen: Listen,
    /// Of the last datagram's sender.
    origin: Origin,
    buffer: Vec<u8>,
    /// For the senders' credentials.
    witness: Witness,
    /// A datagram in the buffer that waits for a batch: its bytes, and whether it was cut.
    pending: Option<(usize, bool)>,
    /// `None`: none of them waits for a beat.
    reads: Option<Reads>,
    /// Since they were last noted there.
    read_bytes: usize,
    /// They were read at a beat.
    is_at_beat: bool,
    now: Instant,
    time: Timestamp,
}

impl Inbox {
    async fn receive_on(&mut self) {
        loop {
            match self.turn().await {
                Ok(_) => yield_now().await,
                Err(Errno::AGAIN) => {
                    if !self.wait_for_beat().await {
                        self.wait().await;
                    }
                }
                Err(why) => {
                    self.shard.warn("datagrams", || {
                        let why = io::Error::from(why);
                        format!("listen {:?}: cannot be read: {why}", self.listen.name)
                    });
                    Timer::new(READ_PAUSE).await;
                }
            }
        }
    }

    /// At a drain: reads what the kernel holds, within bounds.
    async fn receive_rest(&mut self) {
        let mut taken = 0;
        while taken < DRAIN_DATAGRAMS_MAX && self.shard.phase() != Phase::Aborting {
            match self.turn().await {
                Ok(turn_datagrams) => taken += turn_datagrams,
                Err(_) => return,
            }
            yield_now().await;
        }
    }

    /// Where the next datagrams are likely to come before a beat, waits for it; else `false`.
    async fn wait_for_beat(&mut self) -> bool {
        let (Some(reads), beat) = (&mut self.reads, &self.shard.beat) else { return false };
        let bytes = mem::take(&mut self.read_bytes);
        let was_at_beat = mem::take(&mut self.is_at_beat);
        if bytes == 0 {
            return false;
        }
        if was_at_beat {
            reads.note_beat();
        }
        reads.note(beat, bytes, usize::MAX, self.now);
        self.is_at_beat = reads.waits();
        if self.is_at_beat {
            poll_fn(|context| beat.poll_wait(reads, context)).await;
        }
        self.is_at_beat
    }

    /// Waits until there is a datagram; it stays where it is.
    async fn wait(&mut self) {
        let waited = match self.waiter.peek(&mut [0]).await {
            // An empty one, to glommio the end of a stream: that waiter waits no more.
            Ok(0) => self.socket.try_clone().map(|again| self.waiter = adopt::stream(again)),
            Ok(_) => Ok(()),
            Err(why) => Err(why.into()),
        };
        if let Err(why) = waited {
            self.shard.warn("datagrams", || {
                format!("listen {:?}: cannot be waited for: {why}", self.listen.name)
            });
            Timer::new(READ_PAUSE).await;
        }
    }

    /// Takes some datagrams; how many. `AGAIN`: there are no more.
    async fn turn(&mut self) -> Result<usize, Errno> {
        self.take_pending().await;
        self.make_room();
        self.now = Instant::now();
        self.time = Timestamp::now();
        let (mut turn_datagrams, mut turn_bytes) = (0, 0);
        while turn_datagrams < TURN_DATAGRAMS_MAX && turn_bytes < TURN_BYTES_MAX {
            let (kept, bytes, address) = match self.receive() {
                Ok(received) => received,
                Err(Errno::INTR) => break,
                Err(why) => return Err(why),
            };
            turn_datagrams += 1;
            turn_bytes += kept;
            self.read_bytes += bytes;
            self.shard.count_bytes(self.listen.index, bytes);
            if self.listen.transport == Transport::Udp {
                let Some(address) = address else { continue };
                self.origin.set_address(address);
                if !network::allows(&self.listen.allow, address.ip()) {
                    let frame = &self.buffer[..kept];
                    let (origin, now) = (&self.origin, self.now);
                    self.shard.drop_message(Dropped::NotAllowed, None, frame, origin, now);
                    continue;
                }
            }
            self.pending = self.frame(kept, bytes);
            self.take_pending().await;
        }
        Ok(turn_datagrams)
    }

    /// Receives one: bytes of it in the buffer, bytes that it had, who sent it.
    #[inline]
    fn receive(&mut self) -> Result<(usize, usize, Option<SocketAddr>), Errno> {
        if self.listen.transport == Transport::UnixDatagram && self.shard.names_credentials() {
            let seen = self.witness.receive(&self.socket, &mut self.buffer)?;
            self.origin.set_process(seen.process);
            return Ok((seen.kept, seen.bytes, None));
        }
        // Not the last one's, should a reload bring a rule that asks before this one is taken.
        self.origin.set_process(None);
        let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
        let (kept, bytes, address) = recvfrom(&self.socket, &mut self.buffer[..], flags)?;
        Ok((kept, bytes, address.and_then(|any| SocketAddr::try_from(any).ok())))
    }

    /// Where the message ends that lies in the first `kept` bytes of the buffer; `None`: it is
    /// empty.
    fn frame(&self, kept: usize, bytes: usize) -> Option<(usize, bool)> {
        let frame_bytes_max = self.shard.limits().frame_bytes_max;
        let frame = framing::datagram(&self.buffer[..kept], frame_bytes_max)?;
        // The buffer has room for more than a frame and its end: what the kernel cut off is neither.
        Some((frame.bytes.len(), frame.truncated || bytes > kept))
    }

    async fn take_pending(&mut self) {
        while let Some((end, truncated)) = self.pending {
            let frame = Frame { bytes: &self.buffer[..end], truncated };
            if self.shard.take(&frame, &self.origin, self.now, self.time) == Taken::Done {
                self.pending = None;
                return;
            }
            self.shard.counters().held.add(1);
            self.shard.batch_home().await;
        }
    }

    /// A reload may have changed how long a frame may be.
    fn make_room(&mut self) {
        let frame_bytes_max = self.shard.limits().frame_bytes_max;
        let bytes = match self.listen.transport {
            Transport::Udp => UDP_BYTES_MAX,
            _ => Deframer::buffer_bytes_max(frame_bytes_max),
        };
        if self.buffer.len() < bytes {
            self.buffer.resize(bytes, 0);
        }
    }
}
