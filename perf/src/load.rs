//! Sends stamped messages flat out or at a rate, and counts what it sent.
//!
//! At a rate it is an open loop: each message has an intended time, which its stamp says, and is sent
//! then or as soon as it can be; no delay moves the time of those behind it. So what a message waits
//! is measured from when it was to be sent (no coordinated omission). By how much the load itself was
//! late is kept beside it; what the receiver held back is not the load's doing and counts as latency.

use crate::failure::Failure;
use crate::latencies::Latencies;
use crate::message::{Framing, SEQUENCE_MAX};
use crate::pace::Pace;
use crate::sender::{Sender, WRITE_TICK};
use crate::source::Source;
use crate::wire::{Dial, Wire};

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

/// At the end of a load that was not held back: the last write, and who else was on the machine.
const MOMENT: Duration = Duration::from_millis(10);

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
    /// The rate, and how it is kept; flat out if `None`.
    pub pace: Option<Pace>,
    /// What the messages are.
    pub source: Source,
    /// How frames are delimited.
    pub framing: Framing,
    /// What the bodies are drawn from.
    pub seed: u64,
}

/// What one connection sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// Its number in the stamps.
    pub connection: u16,
    /// Messages handed to the kernel whole.
    pub messages: u64,
    /// Bytes of a further message that could not be completed.
    pub fragment_bytes: usize,
    /// Why it ended early, if it did.
    pub error: Option<String>,
    /// CPU time of its thread while it sent.
    pub cpu: Duration,
    /// At a rate: by how much each message was late for other reasons than the receiver's.
    pub late: Latencies,
    /// At a rate: how long the receiver held it back.
    pub held_back: Duration,
    /// At a rate: from the start until the last message that was sent was to be sent.
    pub intended: Duration,
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
    /// Errors: `Failure::Setup` where it cannot be sent.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.source.check()?;
        let refuse = |sentence: String| Err(Failure::Setup(sentence));
        if self.connections == 0 || self.first_connection.checked_add(self.connections).is_none() {
            return refuse("connections: at least 1, and numbers of at most 65535".into());
        }
        if self.messages / u64::from(self.connections) >= SEQUENCE_MAX - 1 {
            return refuse(format!("messages: below {SEQUENCE_MAX} on each connection"));
        }
        if self.pace.is_some_and(|pace| pace.rate == 0) {
            return refuse("a rate of 0 sends nothing: leave it out to send flat out".into());
        }
        Ok(())
    }

    /// How many messages the connection of that index sends.
    pub(crate) fn share(&self, index: u16) -> u64 {
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

    /// By how much messages were late for other reasons than the receiver's, of all connections.
    pub fn late(&self) -> Latencies {
        let mut all = Latencies::default();
        self.connections.iter().for_each(|sent| all.add(&sent.late));
        all
    }

    /// How long the receiver held a connection back, on average.
    pub fn held_back(&self) -> Duration {
        let all: Duration = self.connections.iter().map(|sent| sent.held_back).sum();
        all / self.connections.len().max(1) as u32
    }

    /// From the start until the last message that was sent was to be sent.
    pub fn intended(&self) -> Duration {
        self.connections.iter().map(|sent| sent.intended).max().unwrap_or_default()
    }

    /// By how much the end was later than the pace says, whoever's doing it was.
    pub fn behind(&self) -> Duration {
        self.elapsed.saturating_sub(self.intended())
    }

    /// Whether all was sent, and the last message when it was to be, or nearly. Flat out, all is.
    pub fn is_taken(&self, plan: &Plan) -> bool {
        plan.pace.is_none()
            || self.sent() == plan.messages && self.behind() <= MOMENT + self.intended() / 100
    }

    /// Fails if the load itself did not keep the pace: by much for many messages, or more and more.
    ///
    /// `late_most` is what 99 of 100 messages may be late, beyond the step in which they are to wait for
    /// each other.
    pub fn check_pace(&self, pace: &Pace, late_most: Duration) -> Result<(), Failure> {
        let late = Duration::from_secs_f64(self.late().micros(0.99) / 1e6);
        let (intended, behind) = (self.intended(), self.behind());
        let late_most = late_most + pace.step;
        let held_back =
            self.connections.iter().map(|sent| sent.held_back).max().unwrap_or_default();
        let is_slow = behind > late_most && behind > intended / 99 && behind > 2 * held_back;
        if late <= late_most && !is_slow {
            return Ok(());
        }
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        Err(Failure::Run(format!(
            "the load itself did not keep {} messages a second: one in a hundred was {:.3} ms late or \
             more ({:.3} ms are allowed), the last {:.3} ms: choose a lower rate, or keep the machine free",
            pace.rate,
            millis(late),
            millis(late_most),
            millis(behind)
        )))
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
            "late_us": self.late().json(),
            "held_back_seconds": self.held_back().as_secs_f64(),
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
    let streams = streams.map_err(|error| {
        Failure::Setup(format!("connecting to {}: {error}", plan.dial.place(plan.address)))
    })?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{HEADER, check};
    use crate::pace::Spread;
    use crate::workload::Workload;
    use std::io::Read;
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::sync::atomic::Ordering::Relaxed;

    fn plan(address: SocketAddr, framing: Framing) -> Plan {
        Plan {
            address,
            dial: Dial::Plain,
            connections: 2,
            first_connection: 5,
            messages: 5001,
            pace: None,
            source: Workload::W1 { frame_bytes: 248 }.into(),
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
    fn unix_sockets_take_streams_and_datagrams() {
        let folder = std::env::temp_dir().join(format!("load-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let paths = ["stream", "datagram"].map(|name| folder.join(name));
        let listener = UnixListener::bind(&paths[0]).unwrap();
        let socket = UnixDatagram::bind(&paths[1]).unwrap();
        let mut plan = plan("127.0.0.1:9".parse().unwrap(), Framing::Lf);
        (plan.dial, plan.messages, plan.connections) = (Dial::UnixStream(paths[0].clone()), 50, 1);
        plan.source = Source::of_sizes("106..400").unwrap();
        let send = |plan: &Plan| run(plan, &AtomicBool::new(false), &AtomicU64::new(0)).unwrap();
        let bytes = thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let mut bytes = Vec::new();
                listener.accept().unwrap().0.read_to_end(&mut bytes).unwrap();
                bytes
            });
            let report = send(&plan);
            assert_eq!((report.sent(), report.error()), (50, None));
            reading.join().unwrap()
        });
        let frames = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(frames(&bytes), 50);
        // Nobody reads yet: what the kernel does not take is waited for, which is the receiver's doing.
        plan.dial = Dial::UnixDatagram(paths[1].clone());
        plan.pace = Some(Pace::new(100_000, Spread::Poisson, 1));
        let report = thread::scope(|scope| {
            let sending = scope.spawn(|| send(&plan));
            thread::sleep(Duration::from_millis(500));
            let mut frame = [0; 512];
            for sequence in 0..50 {
                let length = socket.recv(&mut frame).unwrap();
                assert_eq!(frames(&frame[..length]), 1);
                assert_eq!(check(&frame[HEADER.len()..]).unwrap().sequence, sequence);
            }
            sending.join().unwrap()
        });
        assert!(report.held_back() > Duration::from_millis(100), "{report:?}");
        assert!(report.late().longest_micros() < 300_000.0, "{report:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_load_that_does_not_keep_its_pace_says_so() {
        let pace = Pace::new(1000, Spread::Constant, 1);
        let report = |late_millis: u64, elapsed_millis, held_millis| {
            let mut late = Latencies::default();
            late.record(late_millis * 1_000_000, 100);
            Report {
                started: Instant::now(),
                elapsed: Duration::from_millis(elapsed_millis),
                connections: vec![Sent {
                    connection: 0,
                    messages: 100,
                    fragment_bytes: 0,
                    error: None,
                    cpu: Duration::ZERO,
                    late,
                    held_back: Duration::from_millis(held_millis),
                    intended: Duration::from_secs(1),
                }],
            }
        };
        let judge = |report: Report| report.check_pace(&pace, Duration::from_millis(5));
        assert_eq!(judge(report(1, 1001, 0)), Ok(()));
        assert_eq!(judge(report(1, 1500, 490)), Ok(()));
        assert!(judge(report(1, 1500, 0)).unwrap_err().to_string().contains("1000 messages"));
        assert!(judge(report(9, 1001, 0)).unwrap_err().to_string().contains("9.0"));
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
        let pace = Pace::new(1000, Spread::Constant, plan.connections);
        (plan.messages, plan.pace) = (400, Some(pace));
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
        wrong.source = Workload::W1 { frame_bytes: 20 }.into();
        let failure = run(&wrong, &AtomicBool::new(false), &AtomicU64::new(0)).unwrap_err();
        assert!(failure.to_string().contains("20 bytes"), "{failure}");
    }
}
