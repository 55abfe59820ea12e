//! One connection of a load: which messages are to go now, and how they get into the socket.
//!
//! It writes parts of a block of ready-made frames, in turn; per message 40 digits are patched, and
//! the kernel copies the bytes. A stop is taken between writes, or while a write is held back; the
//! message that is partly written is then completed, if the receiver takes it in time.

use crate::clock;
use crate::cpu;
use crate::latencies::Latencies;
use crate::load::{Plan, Sent};
use crate::message::Block;
use crate::pace::{Pace, Schedule};
use crate::wire::Wire;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Bytes per write, about: large enough to hide the call, small enough for the second-level cache.
const WRITE_BYTES: usize = 128 << 10;
/// A sleep, or a write that is held back, looks at the stop flag this often.
pub(crate) const WRITE_TICK: Duration = Duration::from_millis(100);
/// How long a stopped connection tries to complete its message, and waits for the other end's close.
const CLOSE_TIME: Duration = Duration::from_secs(10);

/// `messages <= share`; a fragment follows them only after an error or a stop.
pub(crate) struct Sender {
    stream: Wire,
    block: Block,
    /// The frame in `block` that is sent next.
    frame: usize,
    connection: u16,
    share: u64,
    pace: Option<Paced>,
    messages: u64,
    fragment_bytes: usize,
    error: Option<String>,
    /// When the last write ended, or it was made.
    last_write: Instant,
    /// CPU time of the thread before it began to send: it made the block.
    cpu_before: Duration,
}

/// What it takes to keep a rate.
struct Paced {
    pace: Pace,
    index: u16,
    connections: u16,
    seed: u64,
    late: Latencies,
    held_back: Duration,
    /// When a write that was held back last came to its end; what was late until then is not ours.
    freed: u64,
    intended: Duration,
}

impl Sender {
    pub(crate) fn new(plan: &Plan, index: u16, stream: Wire) -> Self {
        let connection = plan.first_connection + index;
        let seed = plan.seed ^ u64::from(connection) << 32;
        let pace = plan.pace.map(|pace| Paced {
            pace,
            index,
            connections: plan.connections,
            seed,
            late: Latencies::default(),
            held_back: Duration::ZERO,
            freed: 0,
            intended: Duration::ZERO,
        });
        Self {
            stream,
            block: Block::new(plan.source.texts(seed), plan.source.block_bytes(), plan.framing),
            frame: 0,
            connection,
            share: plan.share(index),
            pace,
            messages: 0,
            fragment_bytes: 0,
            error: None,
            last_write: Instant::now(),
            cpu_before: Duration::ZERO,
        }
    }

    pub(crate) fn run(&mut self, stop: &AtomicBool, sent: &AtomicU64) {
        self.cpu_before = cpu::of_thread();
        match self.pace.take() {
            None => self.run_flat_out(stop, sent),
            Some(mut paced) => {
                if let Err(error) = self.stream.make_prompt() {
                    self.error = Some(error.to_string());
                }
                self.run_paced(&mut paced, stop, sent);
                self.pace = Some(paced);
            }
        }
    }

    fn is_going(&self, stop: &AtomicBool) -> bool {
        self.messages < self.share && self.error.is_none() && !stop.load(Relaxed)
    }

    fn run_flat_out(&mut self, stop: &AtomicBool, sent: &AtomicU64) {
        while self.is_going(stop) {
            let frames = self.room();
            let now = clock::now();
            let bytes = self.block.stamp(frames.clone(), self.connection, self.messages, |_| now);
            self.write(frames, bytes, None, stop, sent);
        }
    }

    fn run_paced(&mut self, paced: &mut Paced, stop: &AtomicBool, sent: &AtomicU64) {
        clock::sleep_exactly();
        let start = clock::now();
        let Paced { pace, index, connections, seed, .. } = *paced;
        let mut schedule = Schedule::new(&pace, start, index, connections, seed);
        let step = pace.step.as_nanos() as u64;
        let mut times = Vec::with_capacity(self.block.frame_count());
        let mut wake = start;
        while self.is_going(stop) {
            let (now, room) = (clock::now(), self.room());
            times.clear();
            while times.len() < room.len() && schedule.next() <= now {
                times.push(schedule.next());
                schedule.advance();
            }
            if let Some(last) = times.last() {
                paced.intended = Duration::from_nanos(last - start);
                paced.note(&times, now);
                let frames = room.start..room.start + times.len();
                let sent_at = |index: usize| times[index];
                let bytes =
                    self.block.stamp(frames.clone(), self.connection, self.messages, sent_at);
                self.write(frames, bytes, Some(paced), stop, sent);
            }
            if times.len() < room.len() {
                // From when it was to wake up, not when it did: lateness does not add up.
                let rest = if times.is_empty() { 0 } else { step };
                wake = schedule.next().max(wake + rest).min(now + WRITE_TICK.as_nanos() as u64);
                clock::sleep_until(wake);
            }
        }
    }

    /// Frames of one write, at most: of those left to be sent.
    fn room(&mut self) -> Range<usize> {
        if self.frame == self.block.frame_count() {
            self.frame = 0;
        }
        let end = self.block.whole(self.block.start(self.frame) + WRITE_BYTES).max(self.frame + 1);
        let left = usize::try_from(self.share - self.messages).unwrap_or(usize::MAX);
        self.frame..end.min(self.frame.saturating_add(left))
    }

    /// Writes these frames; fewer if stopped, but whole ones if the receiver lets it.
    fn write(
        &mut self,
        frames: Range<usize>,
        bytes: Range<usize>,
        mut paced: Option<&mut Paced>,
        stop: &AtomicBool,
        sent: &AtomicU64,
    ) {
        let Range { start: mut written, mut end } = bytes;
        let mut give_up = None;
        // With TLS, what is written may still be here; flat out, the next write sees to it.
        let mut is_here = paced.is_some();
        while written < end || is_here {
            let outcome = match written < end {
                true => self.stream.write(&self.block.bytes()[written..end]),
                false => self.stream.flush().map(|()| 0),
            };
            match outcome {
                Ok(0) if written < end => self.error = Some("the receiver takes no more".into()),
                Ok(0) => is_here = false,
                Ok(count) => written += count,
                Err(error) if !held_back(error.kind()) => self.error = Some(error.to_string()),
                Err(_) => {
                    if let Some(paced) = paced.as_deref_mut() {
                        self.error = paced.wait(&self.stream).err();
                    }
                }
            }
            if self.error.is_some() {
                break;
            }
            if stop.load(Relaxed) {
                end = end.min(self.block.next_end(written));
                let deadline = *give_up.get_or_insert_with(|| Instant::now() + CLOSE_TIME);
                if Instant::now() > deadline {
                    break;
                }
            }
        }
        let whole = self.block.whole(written).clamp(frames.start, frames.end);
        let messages = (whole - frames.start) as u64;
        self.frame = whole;
        self.messages += messages;
        self.fragment_bytes = written.saturating_sub(self.block.start(whole));
        self.last_write = Instant::now();
        sent.fetch_add(messages, Relaxed);
    }

    /// Says that no more comes, waits for the other end to close, and closes.
    pub(crate) fn finish(mut self) -> (Sent, Instant) {
        let last_write = self.last_write;
        if self.error.is_none() {
            self.error = self.close().err().map(|error| format!("closing: {error}"));
        }
        let paced = self.pace;
        let of_pace = |field: fn(&Paced) -> Duration| paced.as_ref().map(field).unwrap_or_default();
        let sent = Sent {
            connection: self.connection,
            messages: self.messages,
            fragment_bytes: self.fragment_bytes,
            error: self.error,
            cpu: cpu::of_thread().saturating_sub(self.cpu_before),
            held_back: of_pace(|paced| paced.held_back),
            intended: of_pace(|paced| paced.intended),
            late: paced.map(|paced| paced.late).unwrap_or_default(),
        };
        (sent, last_write)
    }

    fn close(&mut self) -> std::io::Result<()> {
        self.stream.make_patient()?;
        let deadline = Instant::now() + CLOSE_TIME;
        self.stream.say_goodbye();
        while let Err(error) = self.stream.flush() {
            if !held_back(error.kind()) || Instant::now() > deadline {
                return Err(error);
            }
        }
        self.stream.end()?;
        let mut scrap = [0; 4096];
        while Instant::now() < deadline {
            match self.stream.drain(&mut scrap) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if held_back(error.kind()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Paced {
    /// Keeps by how much these are late, without what the receiver held back.
    fn note(&mut self, times: &[u64], now: u64) {
        for time in times {
            self.late.record(now.saturating_sub((*time).max(self.freed)), 1);
        }
    }

    /// Waits until the receiver takes more.
    fn wait(&mut self, stream: &Wire) -> Result<(), String> {
        let from = clock::now();
        let waited = stream.wait(WRITE_TICK).map_err(|error| error.to_string());
        self.freed = clock::now();
        self.held_back += Duration::from_nanos(self.freed - from);
        waited
    }
}

fn held_back(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
