//! A load that is spread over many connections, of which a few threads each have a part.
//!
//! ```text
//!  thread: connection 0, 4, 8, ... in turn: a write of 100 messages each, what does not fit waits
//! ```
//!
//! Writes are of one size however many connections there are, and no more messages are on their way
//! than `AHEAD_MAX`: else with thousands of sockets the kernel would hold all of them.

use crate::clock;
use crate::cpu;
use crate::failure::Failure;
use crate::forwarder::Running;
use crate::message::{Block, Framing};
use crate::workload::Workload;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Messages of a write.
const WRITE_MESSAGES: usize = 100;
/// Writes until a connection's messages are the first ones again: a thousand messages.
const BLOCK_COUNT: usize = 10;
/// Messages that are sent and have not arrived, at most: as many bytes as four sockets hold.
const AHEAD_MAX: u64 = 100_000;
const THREADS_MAX: usize = 4;
/// Until the forwarder has taken the last connection, and until it has closed it.
const WAIT_MAX: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(20);
/// When no connection takes anything, or too much is on its way.
const PAUSE: Duration = Duration::from_millis(1);
/// Descriptors of the measuring process, beside those of the fleet.
const DESCRIPTORS_BASE: u64 = 512;

/// Open connections.
pub struct Fleet(Vec<TcpStream>);

/// What was sent.
#[derive(Debug)]
pub struct Sent {
    /// When the first message was.
    pub started: Instant,
    /// CPU time of the sending threads.
    pub cpu: Duration,
    /// Messages of each connection.
    pub by_connection: Vec<(u16, u64)>,
    /// Whether it was taken at the rate that it was to have; flat out, it was.
    pub is_taken: bool,
}

impl Fleet {
    /// Connects `count` of them, and waits until the forwarder, which has settled, has taken them all.
    ///
    /// Errors: `Failure::Setup` where this process may not have as many, `Failure::Run` where the
    /// forwarder does not take them.
    pub fn open(port: u16, count: u16, running: &mut Running) -> Result<Fleet, Failure> {
        allow_descriptors(u64::from(count) + DESCRIPTORS_BASE)?;
        let before = running.descriptor_count()?;
        let mut streams = Vec::with_capacity(usize::from(count));
        for number in 1..=count {
            let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
            match connected.and_then(|stream| stream.set_nonblocking(true).map(|()| stream)) {
                Ok(stream) => streams.push(stream),
                Err(error) => {
                    thread::sleep(TICK);
                    // Why it has ended says more.
                    running.check()?;
                    return Err(Failure::Run(format!("connection {number}: {error}")));
                }
            }
        }
        let deadline = Instant::now() + WAIT_MAX;
        while running.descriptor_count()? < before + usize::from(count) {
            running.check()?;
            if Instant::now() > deadline {
                return Err(Failure::Run(format!(
                    "the forwarder did not take {count} connections"
                )));
            }
            thread::sleep(TICK);
        }
        Ok(Fleet(streams))
    }

    /// Sends `messages` over all connections, unless `stop` is set; `arrived` tells how many have.
    ///
    /// Errors: `Failure::Run` if a connection breaks.
    pub fn send(
        &mut self,
        workload: Workload,
        messages: u64,
        stop: &AtomicBool,
        arrived: &(dyn Fn() -> u64 + Sync),
    ) -> Result<Sent, Failure> {
        let (started, sent) = (Instant::now(), AtomicU64::new(0));
        let voyages = voyages(&mut self.0, messages);
        let (sent, stop) = (&sent, stop);
        let parts = thread::scope(|scope| {
            let threads: Vec<_> = voyages
                .into_iter()
                .zip(0..)
                .map(|(part, seed)| {
                    scope.spawn(move || run(part, blocks(workload, seed), stop, sent, arrived))
                })
                .collect();
            threads.into_iter().map(join).collect::<Result<Vec<_>, Failure>>()
        })?;
        let cpu = parts.iter().map(|(_, cpu)| *cpu).sum();
        let by_connection = parts.into_iter().flat_map(|(sent, _)| sent).collect();
        Ok(Sent { started, cpu, by_connection, is_taken: true })
    }

    /// Says that no more comes, and waits until the forwarder has closed each connection.
    pub fn leave(self) -> Result<(), Failure> {
        let broken = |error| Failure::Run(format!("closing a connection: {error}"));
        for stream in &self.0 {
            stream.shutdown(Shutdown::Write).map_err(broken)?;
        }
        let deadline = Instant::now() + WAIT_MAX;
        for mut stream in self.0 {
            stream.set_nonblocking(false).map_err(broken)?;
            let left = deadline.saturating_duration_since(Instant::now()).max(PAUSE);
            stream.set_read_timeout(Some(left)).map_err(broken)?;
            stream.read(&mut [0]).map_err(broken)?;
        }
        Ok(())
    }
}

/// One connection on its way through its share of the messages.
struct Voyage<'a> {
    stream: &'a mut TcpStream,
    connection: u16,
    share: u64,
    /// Written whole, in writes of `WRITE_MESSAGES`; `messages <= share`.
    messages: u64,
    /// Bytes written of the write that follows.
    written: usize,
    /// The send time that its messages say.
    began: u64,
}

/// Each connection with its share, dealt to as many threads as there may be.
fn voyages(streams: &mut [TcpStream], messages: u64) -> Vec<Vec<Voyage<'_>>> {
    let count = streams.len() as u64;
    let mut parts: Vec<Vec<Voyage<'_>>> = Vec::new();
    parts.resize_with(THREADS_MAX.min(streams.len()), Vec::new);
    let thread_count = parts.len();
    for (index, (stream, connection)) in streams.iter_mut().zip(0u16..).enumerate() {
        let share = messages / count + u64::from((index as u64) < messages % count);
        let voyage = Voyage { stream, connection, share, messages: 0, written: 0, began: 0 };
        parts[index % thread_count].push(voyage);
    }
    parts
}

fn blocks(workload: Workload, seed: u64) -> Vec<Block> {
    let mut texts = workload.texts(seed);
    let block = |_| Block::new(texts.by_ref().take(WRITE_MESSAGES), usize::MAX, Framing::Lf);
    (0..BLOCK_COUNT).map(block).collect()
}

impl Voyage<'_> {
    /// Writes what the socket takes of the next messages; how many it completed, `None` if the socket
    /// took nothing.
    fn go_on(&mut self, blocks: &mut [Block]) -> Result<Option<u64>, Failure> {
        let count = (self.share - self.messages).min(WRITE_MESSAGES as u64);
        let number = self.messages / WRITE_MESSAGES as u64 % blocks.len() as u64;
        let block = &mut blocks[number as usize];
        if self.written == 0 {
            self.began = clock::now();
        }
        // The same bytes as before, where a part of them has been written.
        let (frames, began) = (0..count as usize, self.began);
        let end = block.stamp(frames, self.connection, self.messages, |_| began).end;
        match self.stream.write(&block.bytes()[self.written..end]) {
            Ok(bytes) => self.written += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => {
                return Err(Failure::Run(format!("the forwarder's connection broke: {error}")));
            }
        }
        if self.written < end {
            return Ok(Some(0));
        }
        (self.written, self.messages) = (0, self.messages + count);
        Ok(Some(count))
    }
}

/// What each of these connections sent, and the thread's CPU time.
type Part = (Vec<(u16, u64)>, Duration);

fn run(
    mut voyages: Vec<Voyage<'_>>,
    mut blocks: Vec<Block>,
    stop: &AtomicBool,
    sent: &AtomicU64,
    arrived: &(dyn Fn() -> u64 + Sync),
) -> Result<Part, Failure> {
    let is_done = |voyage: &Voyage<'_>| voyage.messages == voyage.share;
    while !stop.load(Relaxed) && !voyages.iter().all(is_done) {
        let mut is_stuck = true;
        for voyage in voyages.iter_mut().filter(|voyage| !is_done(voyage)) {
            while sent.load(Relaxed) > arrived() + AHEAD_MAX && !stop.load(Relaxed) {
                thread::sleep(PAUSE);
            }
            if let Some(count) = voyage.go_on(&mut blocks)? {
                sent.fetch_add(count, Relaxed);
                is_stuck = false;
            }
        }
        if is_stuck {
            thread::sleep(PAUSE);
        }
    }
    let by_connection = voyages.iter().map(|voyage| (voyage.connection, voyage.messages));
    Ok((by_connection.collect(), cpu::of_thread()))
}

fn join(thread: thread::ScopedJoinHandle<'_, Result<Part, Failure>>) -> Result<Part, Failure> {
    thread.join().map_err(|_| Failure::Run("a sending thread panicked".into()))?
}

fn allow_descriptors(wanted: u64) -> Result<(), Failure> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).map_err(|_| {
        Failure::Setup(format!("{wanted} file descriptors are needed: allow them (ulimit -Hn)"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{HEADER, check};
    use std::net::TcpListener;

    #[test]
    fn every_connection_sends_its_share_in_sequence() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = |_| {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            stream.set_nonblocking(true).unwrap();
            (stream, listener.accept().unwrap().0)
        };
        let (own, others): (Vec<_>, Vec<_>) = (0..7).map(connect).unzip();
        let arrived = AtomicU64::new(0);
        let readers: Vec<_> = thread::scope(|scope| {
            let read = |mut stream: TcpStream| {
                let arrived = &arrived;
                scope.spawn(move || {
                    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
                    while let Ok(count @ 1..) = stream.read(&mut buffer) {
                        bytes.extend_from_slice(&buffer[..count]);
                        // As many as a full buffer holds, or more: nobody waits for ever.
                        arrived.fetch_add(17, Relaxed);
                    }
                    bytes
                })
            };
            let readers: Vec<_> = others.into_iter().map(read).collect();
            let mut fleet = Fleet(own);
            let (workload, stop) = (Workload::W1 { frame_bytes: 248 }, AtomicBool::new(false));
            let arrived = || arrived.load(Relaxed);
            let sent = fleet.send(workload, 200_003, &stop, &arrived).unwrap();
            assert_eq!(sent.by_connection.iter().map(|(_, count)| count).sum::<u64>(), 200_003);
            fleet.leave().unwrap();
            readers.into_iter().map(|reader| reader.join().unwrap()).collect()
        });
        for (bytes, connection) in readers.iter().zip(0..) {
            let frames = bytes.chunks(249);
            assert_eq!(frames.len(), if connection < 6 { 28_572 } else { 28_571 });
            for (frame, sequence) in frames.zip(0..) {
                let stamp = check(&frame[HEADER.len()..248]).unwrap();
                assert_eq!((stamp.connection, stamp.sequence), (connection, sequence));
            }
        }
    }
}
