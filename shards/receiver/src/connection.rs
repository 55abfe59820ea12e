//! One connection: its buffer, its frames, and how it ends.
//!
//! ```text
//! buffer:  [consumed | frame | unread | room]    0 <= consumed <= filled <= buffer.len()
//! ```
//!
//! The buffer is the shard's, and goes back to it where there is nothing to read. What is unread
//! then lies in `rest`: `buffer` is empty, `consumed == 0` and `filled == rest.len()`.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use corndog_pipeline::control::Phase;
use corndog_pipeline::counters::{Closed, Dropped};
use corndog_pipeline::framing::{Deframer, Frame};
use futures_lite::AsyncRead;
use futures_lite::future::{or, yield_now};
use glommio::timer::Timer;
use jiff::Timestamp;

use crate::beat::Reads;
use crate::buffers::BUFFER_BYTES;
use crate::foreign::{self, Foreign};
use crate::gate::Ticket;
use crate::origin::Origin;
use crate::shard::{Shard, Taken};
use crate::watch::{Order, Watch};

/// Frames of one connection in one turn; then the others have theirs.
const TURN_FRAMES_MAX: usize = 1024;
/// Bytes of one connection in one turn, as above. One read that fills a buffer ends its turn, too;
/// and with TLS that is below, `Wire` ends it sooner, when it has no buffer.
const TURN_BYTES_MAX: usize = 2 * BUFFER_BYTES;
/// Bytes of a frame that is not complete yet for which no buffer is kept.
const REST_BYTES_MAX: usize = 4096;
/// At a drain: how long the kernel may have nothing before the connection is taken to be empty.
const DRAIN_QUIET: Duration = Duration::from_millis(5);
/// At a drain: bytes read from one connection. More than a kernel holds by default (tcp_rmem), and
/// a bound where the sender never stops.
const DRAIN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// At a drain: how long one connection is read; the time in which it waits for a batch is not
/// counted, `limits.drain_time` is the limit of that.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// Bytes that a connection's buffer may grow to.
pub const fn buffer_bytes_max(frame_bytes_max: usize) -> usize {
    let frame = Deframer::buffer_bytes_max(frame_bytes_max);
    if frame > BUFFER_BYTES { frame } else { BUFFER_BYTES }
}

/// Who has connected.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) origin: Origin,
    pub(crate) ticket: Ticket,
    pub(crate) watch: Rc<Watch>,
}

/// How a connection ended.
#[derive(Debug)]
enum End {
    /// The sender closed it; its last frame needs no end.
    Eof,
    /// The sender or the network broke it.
    Broken(io::Error),
    Told(Order),
    /// It took the wrong port.
    Foreign(Foreign),
    /// Something else stood where a count had to be.
    NoCount,
}

/// How far a turn came.
enum Turn {
    NeedsBytes,
    NeedsBatch,
    /// There is more, and others come first.
    Yields,
}

/// One connection, from its first frame to its end.
pub(crate) struct Connection<S> {
    shard: Rc<Shard>,
    stream: S,
    origin: Origin,
    watch: Rc<Watch>,
    deframer: Deframer,
    /// Lent by the shard; empty: not now.
    buffer: Vec<u8>,
    /// What is unread while there is no buffer; at most `REST_BYTES_MAX`.
    rest: Vec<u8>,
    consumed: usize,
    filled: usize,
    /// Bytes taken since others had their turn.
    turn_bytes: usize,
    /// The stream itself; `None` where it lies above a socket, whose reads are noted there.
    socket: Option<RawFd>,
    reads: Reads,
    /// A frame has ended since `Watch::frame_since` was set.
    has_ended_frame: bool,
    /// A frame that waits for a batch: its place in the buffer, and whether it was cut.
    pending: Option<(usize, usize, bool)>,
    now: Instant,
    time: Timestamp,
    _ticket: Ticket,
}

impl<S: AsyncRead + AsRawFd + Unpin> Connection<S> {
    /// The same as `new`, of a socket itself.
    pub(crate) fn of_socket(
        shard: Rc<Shard>,
        stream: S,
        visitor: Visitor,
        unread: &[u8],
    ) -> Connection<S> {
        let socket = Some(stream.as_raw_fd());
        Connection { socket, ..Connection::new(shard, stream, visitor, unread) }
    }
}

impl<S: AsyncRead + Unpin> Connection<S> {
    /// One whose sender is known; `unread` came behind what made it known.
    pub(crate) fn new(
        shard: Rc<Shard>,
        stream: S,
        visitor: Visitor,
        unread: &[u8],
    ) -> Connection<S> {
        let Visitor { origin, ticket, watch } = visitor;
        let now = Instant::now();
        watch.read_at.set(now);
        watch.opening_since.set(None);
        let mut buffer = Vec::new();
        if !unread.is_empty() {
            buffer = shard.buffers.take();
            buffer[..unread.len()].copy_from_slice(unread);
        }
        let reads = Reads::new(now, origin.listener.transport);
        Connection {
            stream,
            watch,
            deframer: Deframer::with_framing(shard.limits().frame_bytes_max, origin.framing()),
            buffer,
            origin,
            rest: Vec::new(),
            consumed: 0,
            filled: unread.len(),
            turn_bytes: 0,
            socket: None,
            reads,
            has_ended_frame: false,
            pending: None,
            now,
            time: Timestamp::now(),
            _ticket: ticket,
            shard,
        }
    }

    /// Serves the connection to its end; the stream, to be closed. What it still holds then is a
    /// frame without an end.
    pub(crate) async fn serve(mut self) -> S {
        let watch = self.watch.clone();
        let told = async { End::Told(watch.told().await) };
        let mut end = or(told, self.read_on()).await;
        if matches!(end, End::Told(Order::Drain)) {
            end = self.read_rest().await;
        }
        if matches!(end, End::Eof) {
            self.take_last().await;
        }
        self.count_end(&end);
        self.shard.buffers.give(self.buffer);
        self.stream
    }

    fn count_end(&self, end: &End) {
        let counters = self.shard.counters();
        // What stood where a count had to be is no message, and consumed.
        let has_rest = (self.consumed < self.filled && !matches!(end, End::Foreign(_)))
            || matches!(end, End::NoCount);
        if has_rest {
            let rest = self.rest();
            self.shard.drop_message(Dropped::Framing, None, rest, &self.origin, self.now);
        }
        match end {
            End::Foreign(what) => self.shard.refuse_foreign(*what, &self.origin),
            End::Told(Order::Close(reason)) => {
                counters.closed[*reason as usize].add(1);
                self.shard.warn(reason.name(), || {
                    format!("{}: closed: {} was reached", self.origin, reason.name())
                });
            }
            End::NoCount => {
                counters.closed[Closed::Framing as usize].add(1);
                self.shard.warn("framing_octet", || {
                    format!(
                        "{}: closed: no count stands where framing = \"octet\" needs one",
                        self.origin
                    )
                });
            }
            End::Broken(why) if has_rest => {
                self.shard.warn("framing", || {
                    format!("{}: {why}: its last frame has no end and is dropped", self.origin)
                });
            }
            End::Broken(_) | End::Eof | End::Told(Order::Drain | Order::Refuse(_)) => {}
        }
    }

    /// The frame without an end.
    fn rest(&self) -> &[u8] {
        let bytes = if self.buffer.is_empty() { &self.rest } else { &self.buffer };
        bytes.get(self.consumed..self.filled).unwrap_or_default()
    }

    /// Reads and takes frames until the connection ends.
    async fn read_on(&mut self) -> End {
        let mut is_new = true;
        loop {
            if is_new && self.filled > 0 {
                is_new = false;
                if let Some(what) = foreign::in_plain(&self.buffer[..self.filled]) {
                    return End::Foreign(what);
                }
            }
            self.take_frames().await;
            if self.deframer.is_broken() {
                return End::NoCount;
            }
            match self.read().await {
                Ok(0) => return End::Eof,
                Ok(_) => {}
                Err(why) => return End::Broken(why),
            }
        }
    }

    /// At a drain: reads what the kernel holds, within bounds.
    async fn read_rest(&mut self) -> End {
        let mut reading = Duration::ZERO;
        let mut bytes = 0;
        loop {
            self.take_frames().await;
            let is_over = bytes >= DRAIN_BYTES_MAX || reading >= DRAIN_TIME_MAX;
            if self.deframer.is_broken() {
                return End::NoCount;
            }
            if is_over || self.shard.phase() == Phase::Aborting {
                return End::Told(Order::Drain);
            }
            let quiet = async {
                Timer::new(DRAIN_QUIET).await;
                None
            };
            let began = Instant::now();
            let read = or(async { Some(self.read().await) }, quiet).await;
            reading += began.elapsed();
            match read {
                None => return End::Told(Order::Drain),
                Some(Ok(0)) => return End::Eof,
                Some(Ok(read)) => bytes += read,
                Some(Err(why)) => return End::Broken(why),
            }
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        self.make_room();
        let read = match self.read_at_beat().await {
            Some(read) => read?,
            None => poll_fn(|context| self.poll_read(context)).await?,
        };
        self.now = Instant::now();
        if self.socket.is_some() {
            let room = self.buffer.len() - self.filled;
            self.reads.note(&self.shard.beat, read, room, self.now);
        }
        self.time = Timestamp::now();
        self.watch.read_at.set(self.now);
        self.filled += read;
        self.turn_bytes += read;
        self.shard.count_bytes(self.origin.listener.index, read);
        if self.filled == self.buffer.len() {
            // There is more to read at once, and the others come first.
            self.turn_bytes = TURN_BYTES_MAX;
        }
        Ok(read)
    }

    /// Where the next read is to wait: what has come by the shard's beat. `None`: nothing, or no wait.
    async fn read_at_beat(&mut self) -> Option<io::Result<usize>> {
        let socket = self.socket.filter(|_| self.reads.waits())?;
        self.set_aside();
        let Connection { shard, reads, .. } = self;
        poll_fn(|context| shard.beat.poll_wait(reads, context)).await;
        self.take_buffer();
        let read = self.reads.read_now(socket, &mut self.buffer[self.filled..]);
        self.turn_bytes = 0;
        if read.is_none() {
            self.set_aside();
        }
        read
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.take_buffer();
        let polled = Pin::new(&mut self.stream).poll_read(context, &mut self.buffer[self.filled..]);
        if polled.is_pending() {
            self.turn_bytes = 0;
            self.set_aside();
        }
        polled
    }

    /// Borrows a buffer, if there is none, and puts what is unread in front.
    fn take_buffer(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = self.shard.buffers.take();
            self.buffer[..self.filled].copy_from_slice(&self.rest);
            self.rest.clear();
        }
    }

    /// Gives the buffer back, if there is one, and keeps what is unread, unless that is much; nothing is
    /// consumed in it.
    fn set_aside(&mut self) {
        debug_assert_eq!(self.consumed, 0);
        if !self.buffer.is_empty() && self.filled <= REST_BYTES_MAX {
            self.rest.extend_from_slice(&self.buffer[..self.filled]);
            self.shard.buffers.give(mem::take(&mut self.buffer));
        }
    }

    /// Moves what is unread to the front. There is room then: a frame is cut before it fills all.
    fn make_room(&mut self) {
        if self.consumed > 0 {
            self.buffer.copy_within(self.consumed..self.filled, 0);
            self.filled -= self.consumed;
            self.consumed = 0;
        }
        if self.filled > 0 && self.filled == self.buffer.len() {
            self.grow();
        }
    }

    fn grow(&mut self) {
        // Not the shard's limit, which may have changed in the middle of a frame.
        let bytes_max = buffer_bytes_max(self.deframer.frame_bytes_max());
        if self.buffer.len() < bytes_max {
            let bytes = (self.buffer.len() * 4).min(bytes_max);
            self.buffer.resize(bytes, 0);
        }
    }

    /// Takes all frames in the buffer, waiting for batches where none is empty. Then, if it has had
    /// its turn, the others have theirs, and the buffer: however many have something to say at once,
    /// few buffers go round.
    async fn take_frames(&mut self) {
        self.take_buffer();
        loop {
            match self.turn() {
                Turn::NeedsBytes => break,
                Turn::Yields => yield_now().await,
                Turn::NeedsBatch => self.wait_for_batch().await,
            }
        }
        if self.turn_bytes >= TURN_BYTES_MAX {
            self.turn_bytes = 0;
            self.make_room();
            self.set_aside();
            yield_now().await;
        }
    }

    async fn wait_for_batch(&mut self) {
        self.shard.counters().held.add(1);
        self.watch.is_held.set(true);
        self.shard.batch_home().await;
        self.watch.is_held.set(false);
        // The time spent here is ours, not the sender's.
        self.now = Instant::now();
        self.watch.read_at.set(self.now);
        self.watch.frame_since.set(self.watch.frame_since.get().map(|_| self.now));
    }

    fn turn(&mut self) -> Turn {
        if let Some((start, end, truncated)) = self.pending {
            let frame = Frame { bytes: &self.buffer[start..end], truncated };
            if self.shard.take(&frame, &self.origin, self.now, self.time) == Taken::NeedsBatch {
                return Turn::NeedsBatch;
            }
            self.pending = None;
        }
        let frame_bytes_max = self.shard.limits().frame_bytes_max;
        for _ in 0..TURN_FRAMES_MAX {
            if self.deframer.frame_bytes_max() != frame_bytes_max {
                self.deframer.set_frame_bytes_max(frame_bytes_max);
            }
            let was_skipping = self.deframer.is_skipping();
            let step = self.deframer.next(&self.buffer[self.consumed..self.filled]);
            self.consumed += step.consumed;
            // The rest of a frame that was cut belongs to its time.
            self.has_ended_frame |= was_skipping && !self.deframer.is_skipping();
            self.has_ended_frame |= step.frame.is_some_and(|frame| !frame.truncated);
            let Some(frame) = step.frame else {
                if step.consumed == 0 {
                    self.note_frame();
                    return Turn::NeedsBytes;
                }
                continue;
            };
            if self.shard.take(&frame, &self.origin, self.now, self.time) == Taken::NeedsBatch {
                let start = frame.bytes.as_ptr() as usize - self.buffer.as_ptr() as usize;
                self.pending = Some((start, start + frame.bytes.len(), frame.truncated));
                return Turn::NeedsBatch;
            }
        }
        Turn::Yields
    }

    /// Notes when the frame that is not complete yet began.
    fn note_frame(&mut self) {
        let is_new = mem::take(&mut self.has_ended_frame);
        let is_mid_frame = self.deframer.is_mid_frame(self.consumed == self.filled);
        let since = match self.watch.frame_since.get() {
            Some(since) if !is_new => since,
            _ => self.now,
        };
        self.watch.frame_since.set(is_mid_frame.then_some(since));
    }

    /// At the end of the stream: a frame that has begun needs no end.
    async fn take_last(&mut self) {
        while let Some(frame) = self.deframer.finish(&self.buffer[self.consumed..self.filled]) {
            if self.shard.take(&frame, &self.origin, self.now, self.time) == Taken::Done {
                break;
            }
            self.wait_for_batch().await;
        }
        self.consumed = self.filled;
    }
}
