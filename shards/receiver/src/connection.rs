//! One connection: its buffer, its frames, and how it ends.
//!
//! ```text
//! buffer:  [consumed | frame | unread | room]    0 <= consumed <= filled <= buffer.len()
//! ```

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use corndog_pipeline::control::Phase;
use corndog_pipeline::counters::{Closed, Dropped};
use corndog_pipeline::framing::{Deframer, Frame};
use futures_lite::AsyncReadExt;
use futures_lite::future::{or, yield_now};
use glommio::net::TcpStream;
use glommio::timer::Timer;
use jiff::Timestamp;

use crate::gate::Ticket;
use crate::shard::{Origin, Shard, Taken};
use crate::signal::Signal;

/// A connection's first buffer. It grows while reads fill it.
const BUFFER_BYTES_MIN: usize = 16 * 1024;
/// Frames of one connection in one turn; then the others have theirs.
const TURN_FRAMES_MAX: usize = 1024;
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
    if frame > BUFFER_BYTES_MIN { frame } else { BUFFER_BYTES_MIN }
}

/// What the shard sees of a connection, and tells it.
#[derive(Debug)]
pub(crate) struct Watch {
    /// When the last bytes came. Written by the connection, read by the shard's sweep.
    pub(crate) read_at: Cell<Instant>,
    /// When the frame that is not complete yet began. Written and read as above.
    pub(crate) frame_since: Cell<Option<Instant>>,
    /// It waits for an empty batch: its sender is held by us, so no time counts.
    pub(crate) is_held: Cell<bool>,
    order: Cell<Option<Order>>,
    signal: Signal,
}

/// What a connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Read what the kernel holds, then end.
    Drain,
    /// End now.
    Close(Closed),
}

impl Watch {
    fn new(now: Instant) -> Self {
        Watch {
            read_at: Cell::new(now),
            frame_since: Cell::new(None),
            is_held: Cell::new(false),
            order: Cell::new(None),
            signal: Signal::default(),
        }
    }

    /// Tells the connection what to do next.
    pub(crate) fn tell(&self, order: Order) {
        self.order.set(Some(order));
        self.signal.set();
    }

    async fn told(&self) -> End {
        self.signal.wait().await;
        End::Told(self.order.get().unwrap_or(Order::Drain))
    }
}

/// How a connection ended.
#[derive(Debug)]
enum End {
    /// The sender closed it; its last frame needs no end.
    Eof,
    /// The sender or the network broke it.
    Broken(io::Error),
    Told(Order),
}

/// How far a turn came.
enum Turn {
    NeedsBytes,
    NeedsBatch,
    /// There is more, and others come first.
    Yields,
}

/// One connection, from accept to close.
pub(crate) struct Connection {
    shard: Rc<Shard>,
    stream: TcpStream,
    origin: Origin,
    watch: Rc<Watch>,
    deframer: Deframer,
    buffer: Vec<u8>,
    consumed: usize,
    filled: usize,
    /// A frame has ended since `Watch::frame_since` was set.
    has_ended_frame: bool,
    /// A frame that waits for a batch: its place in the buffer, and whether it was cut.
    pending: Option<(usize, usize, bool)>,
    now: Instant,
    time: Timestamp,
    _ticket: Ticket,
}

impl Connection {
    pub(crate) fn new(shard: Rc<Shard>, stream: TcpStream, origin: Origin, ticket: Ticket) -> Self {
        let now = Instant::now();
        let frame_bytes_max = shard.limits().frame_bytes_max;
        Connection {
            stream,
            origin,
            watch: Rc::new(Watch::new(now)),
            deframer: Deframer::new(frame_bytes_max),
            buffer: vec![0; BUFFER_BYTES_MIN],
            consumed: 0,
            filled: 0,
            has_ended_frame: false,
            pending: None,
            now,
            time: Timestamp::now(),
            _ticket: ticket,
            shard,
        }
    }

    pub(crate) fn watch(&self) -> Rc<Watch> {
        self.watch.clone()
    }

    /// Serves the connection to its end. What it still holds then is a frame without an end.
    pub(crate) async fn serve(mut self) {
        let watch = self.watch.clone();
        let mut end = or(watch.told(), self.read_on()).await;
        if matches!(end, End::Told(Order::Drain)) {
            end = self.read_rest().await;
        }
        if matches!(end, End::Eof) {
            self.take_last().await;
        }
        self.count_end(&end);
    }

    fn count_end(&self, end: &End) {
        let counters = self.shard.counters();
        if self.consumed < self.filled {
            counters.received.add(1);
            counters.dropped[Dropped::Framing as usize].add(1);
        }
        match end {
            End::Told(Order::Close(reason)) => {
                counters.closed[*reason as usize].add(1);
                self.shard.warn(reason.name(), || {
                    format!("{}: closed: {} was reached", self.origin, reason.name())
                });
            }
            End::Broken(why) if self.consumed < self.filled => {
                self.shard.warn("framing", || {
                    format!("{}: {why}: its last frame has no end and is dropped", self.origin)
                });
            }
            End::Broken(_) | End::Eof | End::Told(Order::Drain) => {}
        }
        counters.ended.add(1);
    }

    /// Reads and takes frames until the connection ends.
    async fn read_on(&mut self) -> End {
        loop {
            self.take_frames().await;
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
        let room = self.buffer.len() - self.filled;
        let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
        self.now = Instant::now();
        self.time = Timestamp::now();
        self.watch.read_at.set(self.now);
        self.filled += read;
        self.shard.counters().bytes_in.add(read as u64);
        if read == room {
            // There is more to read at once: a larger buffer, and the others first.
            self.grow();
            yield_now().await;
        }
        Ok(read)
    }

    /// Moves what is unread to the front. There is room then: a frame is cut before it fills all.
    fn make_room(&mut self) {
        self.buffer.copy_within(self.consumed..self.filled, 0);
        self.filled -= self.consumed;
        self.consumed = 0;
        if self.filled == self.buffer.len() {
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

    /// Takes all frames in the buffer, waiting for batches where none is empty.
    async fn take_frames(&mut self) {
        loop {
            match self.turn() {
                Turn::NeedsBytes => return,
                Turn::Yields => yield_now().await,
                Turn::NeedsBatch => self.wait_for_batch().await,
            }
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
        let is_new = std::mem::take(&mut self.has_ended_frame);
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
