//! Sends stamped messages over TCP, TLS or UDP, flat out or at a rate, and counts what it sent.
//!
//! One thread per connection writes blocks of ready-made frames; per message it patches 24 digits
//! and the kernel copies the bytes. A stop is taken between blocks, or while a write is held back;
//! the message that is partly written is then completed, if the receiver takes it in time.

use crate::cpu;
use crate::failure::Failure;
use crate::message::{Block, Framing, SEQUENCE_MAX};
use crate::wire::{Dial, Wire};
use crate::workload::Workload;
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes per write, about: large enough to hide the call, small enough for the second-level cache.
const BLOCK_BYTES: usize = 128 << 10;
/// Between two looks at the clock when sending at a rate.
const RATE_TICK: Duration = Duration::from_millis(1);
/// A blocked write looks at the stop flag this often.
const WRITE_TICK: Duration = Duration::from_millis(100);
/// How long a stopped connection tries to complete its message, and waits for the other end's close.
const CLOSE_TIME: Duration = Duration::from_secs(10);

/// What to send where.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The forwarder's listener.
    pub address: SocketAddr,
    /// How to connect.
    pub dial: Dial,
    /// Connections, at least 1; each has a number from `first_connection` on.
    pub connections: u16,
    /// The first connection's number in the stamps: several generators can share a sink.
    pub first_connection: u16,
    /// Messages over all connections.
    pub messages: u64,
    /// Messages a second over all connections; flat out if `None`.
    pub rate: Option<u64>,
    /// What the messages are.
    pub workload: Workload,
    /// How frames are delimited.
    pub framing: Framing,
    /// What the bodies are drawn from.
    pub seed: u64,
}

/// What one connection sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its number in the stamps.
    pub connection: u16,
    /// Messages handed to the kernel whole.
    pub messages: u64,
    /// Bytes of a further message that could not be completed.
    pub fragment_bytes: usize,
    /// Why it ended early, if it did.
    pub error: Option<String>,
    /// CPU time of its thread.
    pub cpu: Duration,
}

/// What a run sent.
#[derive(Debug)]
pub struct Report {
    /// When the first message was sent.
    pub started: Instant,
    /// From the first to the last write.
    pub elapsed: Duration,
    /// One per connection.
    pub connections: Vec<Sent>,
}

impl Plan {
    fn check(&self) -> Result<(), Failure> {
        self.workload.check()?;
        let refuse = |sentence: String| Err(Failure::Setup(sentence));
        if self.connections == 0 || self.first_connection.checked_add(self.connections).is_none() {
            return refuse("connections: at least 1, and numbers of at most 65535".into());
        }
        if self.messages / u64::from(self.connections) >= SEQUENCE_MAX - 1 {
            return refuse(format!("messages: below {SEQUENCE_MAX} on each connection"));
        }
        if self.rate == Some(0) {
            return refuse("a rate of 0 sends nothing: leave it out to send flat out".into());
        }
        Ok(())
    }

    /// How many messages the connection of that index sends.
    fn share(&self, index: u16) -> u64 {
        let connections = u64::from(self.connections);
        self.messages / connections + u64::from(u64::from(index) < self.messages % connections)
    }
}

impl Report {
    /// Messages sent whole.
    pub fn sent(&self) -> u64 {
        self.connections.iter().map(|sent| sent.messages).sum()
    }

    /// Messages sent whole, by connection.
    pub fn sent_by_connection(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.connections.iter().map(|sent| (sent.connection, sent.messages))
    }

    /// CPU time of all connections.
    pub fn cpu(&self) -> Duration {
        self.connections.iter().map(|sent| sent.cpu).sum()
    }

    /// The first error, if any.
    pub fn error(&self) -> Option<&str> {
        self.connections.iter().find_map(|sent| sent.error.as_deref())
    }

    /// One line of JSON.
    pub fn json(&self) -> Value {
        let sent = self.sent();
        let seconds = self.elapsed.as_secs_f64();
        json!({
            "sent": sent,
            "seconds": seconds,
            "messages_per_second": sent as f64 / seconds.max(1e-9),
            "cpu_seconds_per_million": self.cpu().as_secs_f64() * 1e6 / sent.max(1) as f64,
            "sent_by_connection": self.sent_by_connection().collect::<Vec<_>>(),
            "fragments": self.connections.iter().filter(|sent| sent.fragment_bytes > 0).count(),
            "error": self.error(),
        })
    }
}

/// Sends everything, or until `stop`; then closes gracefully.
///
/// `sent` grows while it runs: messages, to within a block per connection.
/// Errors: `Failure::Setup` if the plan is wrong or a connection is refused: nothing is sent then.
pub fn run(plan: &Plan, stop: &AtomicBool, sent: &AtomicU64) -> Result<Report, Failure> {
    plan.check()?;
    let connect = |_| plan.dial.connect(plan.address, WRITE_TICK);
    let streams: std::io::Result<Vec<Wire>> = (0..plan.connections).map(connect).collect();
    let streams = streams
        .map_err(|error| Failure::Setup(format!("connecting to {}: {error}", plan.address)))?;
    let barrier = Barrier::new(streams.len() + 1);
    thread::scope(|scope| {
        let sender = |(index, stream)| {
            let barrier = &barrier;
            scope.spawn(move || {
                let mut sender = Sender::new(plan, index, stream);
                barrier.wait();
                sender.run(stop, sent);
                sender.finish()
            })
        };
        let senders: Vec<_> = (0..).zip(streams).map(sender).collect();
        barrier.wait();
        let started = Instant::now();
        let mut connections = Vec::new();
        let mut ended = started;
        for sender in senders {
            let joined = sender.join();
            let (connection, last_write) =
                joined.map_err(|_| Failure::Run("a sending thread panicked".into()))?;
            ended = ended.max(last_write);
            connections.push(connection);
        }
        Ok(Report { started, elapsed: ended - started, connections })
    })
}

/// One connection: `messages <= share`; a fragment follows them only after an error or a stop.
struct Sender {
    stream: Wire,
    block: Block,
    connection: u16,
    share: u64,
    /// Messages a second on this connection.
    rate: Option<f64>,
    messages: u64,
    fragment_bytes: usize,
    error: Option<String>,
}

impl Sender {
    fn new(plan: &Plan, index: u16, stream: Wire) -> Self {
        let connection = plan.first_connection + index;
        let seed = plan.seed ^ u64::from(connection) << 32;
        Self {
            stream,
            block: Block::new(plan.workload.texts(seed), BLOCK_BYTES, plan.framing),
            connection,
            share: plan.share(index),
            rate: plan.rate.map(|rate| rate as f64 / f64::from(plan.connections)),
            messages: 0,
            fragment_bytes: 0,
            error: None,
        }
    }

    fn run(&mut self, stop: &AtomicBool, sent: &AtomicU64) {
        let started = Instant::now();
        while self.messages < self.share && self.error.is_none() && !stop.load(Relaxed) {
            let due = self.due(started.elapsed());
            if due == 0 {
                thread::sleep(RATE_TICK);
                continue;
            }
            let before = self.messages;
            self.write(due, stop);
            sent.fetch_add(self.messages - before, Relaxed);
        }
    }

    /// Messages to send now: a block at most.
    fn due(&self, elapsed: Duration) -> usize {
        let left = self.share - self.messages;
        let due = match self.rate {
            None => left,
            Some(rate) => {
                ((elapsed.as_secs_f64() * rate) as u64 + 1).saturating_sub(self.messages).min(left)
            }
        };
        due.min(self.block.frame_count() as u64) as usize
    }

    /// Writes `count` messages; fewer if stopped, but whole ones if the receiver lets it.
    fn write(&mut self, count: usize, stop: &AtomicBool) {
        let mut end = self.block.stamp(self.connection, self.messages, count);
        let mut written = 0;
        let mut give_up = None;
        while written < end {
            match self.stream.write(&self.block.bytes()[written..end]) {
                Ok(0) => self.error = Some("the receiver takes no more bytes".into()),
                Ok(count) => written += count,
                Err(error) if held_back(error.kind()) => {}
                Err(error) => self.error = Some(error.to_string()),
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
        let (messages, whole_bytes) = self.block.whole(written);
        self.messages += messages as u64;
        self.fragment_bytes = written - whole_bytes;
    }

    /// Says that no more comes, waits for the other end to close, and closes.
    fn finish(mut self) -> (Sent, Instant) {
        let last_write = Instant::now();
        if self.error.is_none() {
            self.error = self.close().err().map(|error| format!("closing: {error}"));
        }
        let sent = Sent {
            connection: self.connection,
            messages: self.messages,
            fragment_bytes: self.fragment_bytes,
            error: self.error,
            cpu: cpu::of_thread(),
        };
        (sent, last_write)
    }

    fn close(&mut self) -> std::io::Result<()> {
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

fn held_back(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{HEADER, check};
    use std::io::Read;
    use std::net::{TcpListener, UdpSocket};

    fn plan(address: SocketAddr, framing: Framing) -> Plan {
        Plan {
            address,
            dial: Dial::Plain,
            connections: 2,
            first_connection: 5,
            messages: 5001,
            rate: None,
            workload: Workload::W1 { frame_bytes: 248 },
            framing,
            seed: 1,
        }
    }

    fn receive(listener: &TcpListener) -> Vec<u8> {
        let mut bytes = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn every_message_arrives_in_sequence() {
        for (framing, prefix_bytes) in [(Framing::Lf, 0), (Framing::Octet, 4)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let plan = plan(listener.local_addr().unwrap(), framing);
            let (report, streams) = thread::scope(|scope| {
                let listener = &listener;
                let readers = [(); 2].map(|()| scope.spawn(move || receive(listener)));
                let report = run(&plan, &AtomicBool::new(false), &AtomicU64::new(0)).unwrap();
                (report, readers.map(|reader| reader.join().unwrap()))
            });
            let sent: Vec<_> = report.sent_by_connection().collect();
            assert_eq!(sent, [(5, 2501), (6, 2500)]);
            assert_eq!(report.error(), None);
            for stream in &streams {
                let stride = if framing == Framing::Lf { 249 } else { 252 };
                assert_eq!(stream.len() % stride, 0);
                for (index, frame) in stream.chunks(stride).enumerate() {
                    let msg = &frame[prefix_bytes + HEADER.len()..prefix_bytes + 248];
                    assert_eq!(check(msg).unwrap().sequence, index as u64);
                }
            }
        }
    }

    #[test]
    fn each_frame_is_a_datagram() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut plan = plan(socket.local_addr().unwrap(), Framing::Lf);
        (plan.dial, plan.messages, plan.connections) = (Dial::Udp, 50, 1);
        let report = run(&plan, &AtomicBool::new(false), &AtomicU64::new(0)).unwrap();
        assert_eq!((report.sent(), report.error()), (50, None));
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut frame = [0; 512];
        for sequence in 0..50 {
            let bytes = socket.recv(&mut frame).unwrap();
            assert_eq!((bytes, frame[248]), (249, b'\n'));
            assert_eq!(check(&frame[HEADER.len()..248]).unwrap().sequence, sequence);
        }
    }

    #[test]
    fn a_stop_leaves_whole_messages_and_their_count() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut plan = plan(listener.local_addr().unwrap(), Framing::Lf);
        plan.messages = 10_000_000;
        plan.connections = 1;
        let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        let (report, bytes) = thread::scope(|scope| {
            let running = scope.spawn(|| run(&plan, &stop, &sent).unwrap());
            // Nothing is read until the stop: the generator is held back in a write.
            let mut stream = listener.accept().unwrap().0;
            thread::sleep(Duration::from_millis(300));
            stop.store(true, Relaxed);
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            drop(stream);
            (running.join().unwrap(), bytes)
        });
        assert_eq!(bytes.len() as u64, report.sent() * 249);
        assert_eq!(report.connections[0].fragment_bytes, 0);
        assert!(report.sent() > 0 && report.sent() < plan.messages);
    }

    #[test]
    fn a_rate_is_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut plan = plan(listener.local_addr().unwrap(), Framing::Lf);
        (plan.messages, plan.rate) = (400, Some(1000));
        let report = thread::scope(|scope| {
            let readers = [(); 2].map(|()| scope.spawn(|| receive(&listener)));
            let report = run(&plan, &AtomicBool::new(false), &AtomicU64::new(0)).unwrap();
            drop(readers.map(|reader| reader.join().unwrap()));
            report
        });
        assert_eq!(report.sent(), 400);
        assert!(report.elapsed > Duration::from_millis(350), "{:?}", report.elapsed);
    }

    #[test]
    fn a_wrong_plan_is_refused_before_it_connects() {
        let mut wrong = plan("127.0.0.1:9".parse().unwrap(), Framing::Lf);
        wrong.workload = Workload::W1 { frame_bytes: 20 };
        let failure = run(&wrong, &AtomicBool::new(false), &AtomicU64::new(0)).unwrap_err();
        assert!(failure.to_string().contains("20 bytes"), "{failure}");
    }
}
