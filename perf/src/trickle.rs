//! Senders that send little, beside a load that sends all it can: connections with a message now and
//! then, and newcomers, whose first message is their only one. When each message was sent is kept.

use crate::arrivals::Arrival;
use crate::clock;
use crate::failure::Failure;
use crate::message::{Block, Framing};
use crate::workload::Workload;
use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// What is sent, and when.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Where to.
    pub address: SocketAddr,
    /// The first connection's number in the stamps; the others follow.
    pub first_connection: u16,
    /// Connections; the next newcomers for as long as there are numbers.
    pub connections: u16,
    /// Between two messages of a connection, or between two newcomers.
    pub pause: Duration,
}

/// When messages were sent.
#[derive(Debug, Default)]
pub struct Sent {
    /// By connection and number: just before the connect, or the write.
    pub at: HashMap<(u16, u64), Instant>,
    /// How much later than planned each was: this machine's own doing.
    pub late: Vec<Duration>,
}

/// How long messages waited, in order.
#[derive(Debug)]
pub struct Waits(Vec<Duration>);

/// Messages of a connection, which are all alike but for their stamps.
struct Messages(Block);

impl Messages {
    fn new() -> Result<Messages, Failure> {
        let workload = Workload::parse("w1").map_err(Failure::Setup)?;
        Ok(Messages(Block::new(workload.texts(1).take(1), 0, Framing::Lf)))
    }

    fn write(&mut self, to: &mut TcpStream, connection: u16, sequence: u64) -> Result<(), Failure> {
        let sent = clock::now();
        let bytes = self.0.stamp(0..1, connection, sequence, |_| sent);
        to.write_all(&self.0.bytes()[bytes])
            .map_err(|error| Failure::Run(format!("a quiet connection broke: {error}")))
    }
}

impl Sent {
    /// Sleeps until it is time, and notes by how much that was missed.
    fn wait(&mut self, due: Instant) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        self.late.push(due.elapsed());
    }

    /// What the messages that were sent in this span of time waited; `None` instead of one that has
    /// not arrived.
    pub fn waits(
        &self,
        arrived: &HashMap<(u16, u64), Instant>,
        (from, until): (Instant, Instant),
    ) -> Vec<Option<Duration>> {
        let sent = self.at.iter().filter(|(_, at)| (from..until).contains(*at));
        sent.map(|(id, at)| arrived.get(id).map(|arrival| arrival.duration_since(*at))).collect()
    }

    /// Messages sent, by connection.
    pub fn by_connection(&self) -> HashMap<u16, u64> {
        let mut counts = HashMap::new();
        for (connection, _) in self.at.keys() {
            *counts.entry(*connection).or_default() += 1;
        }
        counts
    }
}

impl Waits {
    /// Puts them in order.
    pub fn new(mut waits: Vec<Duration>) -> Waits {
        waits.sort();
        Waits(waits)
    }

    /// The wait that so many of a hundred do not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        self.per_mille(percent * 10)
    }

    /// The wait that so many of a thousand do not exceed.
    pub fn per_mille(&self, per_mille: usize) -> Duration {
        let index = (self.0.len() * per_mille).div_ceil(1000).saturating_sub(1);
        self.0.get(index).copied().unwrap_or_default()
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The longest.
    pub fn longest(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |wait: Duration| wait.as_secs_f64() * 1e3;
        let [half, most] = [50, 99].map(|percent| millis(self.percentile(percent)));
        write!(formatter, "{half:>8.2} {most:>8.2} {:>8.2}", millis(self.longest()))
    }
}

/// Arrivals by connection and number; the first of each.
pub fn by_message(arrivals: Vec<Arrival>) -> HashMap<(u16, u64), Instant> {
    let mut first = HashMap::new();
    for Arrival { connection, sequence, at } in arrivals {
        first.entry((connection, sequence)).or_insert(at);
    }
    first
}

/// Connects all, then sends on them in turn until `stop`.
pub fn trickle(plan: &Plan, stop: &AtomicBool) -> Result<Sent, Failure> {
    let streams: Result<Vec<TcpStream>, Failure> =
        (0..plan.connections).map(|_| connect(plan.address)).collect();
    let mut streams = streams?;
    let mut messages = Messages::new()?;
    let mut sent = Sent::default();
    let began = Instant::now();
    let between = plan.pause / u32::from(plan.connections.max(1));
    for number in 0.. {
        for (index, stream) in (0..).zip(&mut streams) {
            if stop.load(Relaxed) {
                return Ok(sent);
            }
            sent.wait(began + plan.pause * number + between * u32::from(index));
            let connection = plan.first_connection + index;
            let at = Instant::now();
            messages.write(stream, connection, u64::from(number))?;
            // After the write: a map that grows is no wait of the message's.
            sent.at.insert((connection, u64::from(number)), at);
        }
    }
    Ok(sent)
}

/// Connects anew for each message, until `stop`; at most `connections` times.
pub fn newcomers(plan: &Plan, stop: &AtomicBool) -> Result<Sent, Failure> {
    let mut messages = Messages::new()?;
    let mut sent = Sent::default();
    let began = Instant::now();
    for index in 0..plan.connections {
        sent.wait(began + plan.pause * u32::from(index));
        if stop.load(Relaxed) {
            break;
        }
        let connection = plan.first_connection + index;
        sent.at.insert((connection, 0), Instant::now());
        messages.write(&mut connect(plan.address)?, connection, 0)?;
    }
    Ok(sent)
}

fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address)
        .map_err(|error| Failure::Run(format!("connecting to {address}: {error}")))?;
    // A message is one write, and nothing comes behind it.
    stream.set_nodelay(true).map_err(|error| Failure::Run(error.to_string()))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    fn plan(listener: &TcpListener, connections: u16) -> Plan {
        let address = listener.local_addr().unwrap();
        Plan { address, first_connection: 7, connections, pause: Duration::from_millis(10) }
    }

    #[test]
    fn percentiles_are_waits_that_happened() {
        let waits = |count: u64| Waits::new((1..=count).rev().map(Duration::from_millis).collect());
        let of = |count, percent| waits(count).percentile(percent).as_millis();
        assert_eq!((of(100, 50), of(100, 99), of(1000, 99), of(3, 99)), (50, 99, 990, 3));
        assert_eq!((of(0, 99), waits(0).longest()), (0, Duration::ZERO));
    }

    #[test]
    fn each_connection_sends_in_its_turn_and_each_message_is_noted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stop = AtomicBool::new(false);
        let sent = thread::scope(|scope| {
            let sending = scope.spawn(|| trickle(&plan(&listener, 3), &stop).unwrap());
            let mut streams = [(); 3].map(|()| listener.accept().unwrap().0);
            for stream in &mut streams {
                stream.read_exact(&mut [0; 2 * 249]).unwrap();
            }
            stop.store(true, Relaxed);
            sending.join().unwrap()
        });
        assert!((7..10).all(|connection| sent.at.contains_key(&(connection, 1))));
        assert!(sent.by_connection().values().all(|count| *count >= 2));
        assert_eq!(sent.late.len(), sent.at.len());
    }

    #[test]
    fn newcomers_come_one_by_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sent = newcomers(&plan(&listener, 4), &AtomicBool::new(false)).unwrap();
        let mut numbers: Vec<u16> = sent.at.keys().map(|(connection, _)| *connection).collect();
        numbers.sort();
        assert_eq!(numbers, [7, 8, 9, 10]);
    }

    #[test]
    fn waits_are_of_the_span_and_know_what_is_missing() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let sent = [((1, 0), at(0)), ((1, 1), at(10)), ((2, 0), at(20)), ((2, 1), at(30))];
        let sent = Sent { at: HashMap::from(sent), late: Vec::new() };
        let arrived = HashMap::from([((1, 1), at(15)), ((1, 0), at(99))]);
        let mut waits = sent.waits(&arrived, (at(10), at(30)));
        waits.sort();
        assert_eq!(waits, [None, Some(Duration::from_millis(5))]);
    }
}
