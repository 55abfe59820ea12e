//! corndog between a sink and those who send, for spans of time that are compared with each other.
//!
//! A flood has four connections, flat out or at a rate; quiet senders have numbers of their own, and
//! when each of their messages arrived is kept.

use crate::compare::Scratch;
use crate::failure::Failure;
use crate::forwarder::{self, Installed, Place, Running};
use crate::ledger::Ledger;
use crate::load;
use crate::message::Framing;
use crate::pace::{Pace, Spread};
use crate::sink::{self, Sink};
use crate::trickle::{self, Sent, Waits};
use crate::wire::Dial;
use crate::workload::Workload;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Before what is sent counts.
const WARM_TIME: Duration = Duration::from_secs(1);
/// Until the last message of a span is in the sink.
const ARRIVE_TIME_MAX: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(20);
/// Connections of a flood.
const FLOOD_CONNECTIONS: u16 = 4;
/// Between two writes of a flood at a rate: it is to cost what it costs flat out, about.
const FLOOD_STEP: Duration = Duration::from_millis(1);
/// More than a flood sends in any span.
const FLOOD_MESSAGES: u64 = 4_000_000_000;
/// Numbers of quiet connections: below are the flood's. Each kind of each span has a thousand.
const QUIET_FIRST: u16 = 10_000;
/// Quiet connections of a kind in a span, at most.
pub const QUIET_EACH: u16 = 1000;

/// What is measured, and how long.
#[derive(Debug)]
pub struct Plan {
    /// corndog.
    pub installed: Installed,
    /// Its port.
    pub port: u16,
    /// The sink.
    pub sink: sink::Plan,
    /// How long each span counts.
    pub length: Duration,
}

/// A flood: none, at a rate, or flat out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Flood {
    /// None.
    Not,
    /// So many messages a second.
    At(u64),
    /// All that is taken.
    FlatOut,
}

/// What went by in a span that counted.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// Its ends.
    pub span: (Instant, Instant),
    /// Records at the sink.
    pub records: u64,
    /// CPU time of corndog.
    pub cpu: Duration,
    /// Of that, what its first thread took, where the status server is.
    pub first_thread: Duration,
}

impl Counted {
    /// Records at the sink, a second.
    pub fn per_second(&self) -> f64 {
        let (from, until) = self.span;
        self.records as f64 / (until - from).as_secs_f64()
    }

    /// The first thread's share of a core.
    pub fn first_thread_cores(&self) -> f64 {
        let (from, until) = self.span;
        self.first_thread.as_secs_f64() / (until - from).as_secs_f64()
    }

    /// CPU seconds of corndog per million records.
    pub fn cpu_per_million(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.records.max(1) as f64
    }
}

/// corndog on W1 with its sink. Ends with it when dropped.
pub struct Stage<'a> {
    plan: &'a Plan,
    // Dropped in this order: corndog first.
    running: Running,
    sink: Sink,
    _scratch: Scratch,
    stop: &'a AtomicBool,
    /// By connection: messages sent.
    pub sent: HashMap<u16, u64>,
}

impl<'a> Stage<'a> {
    /// Starts both; corndog with these variables.
    ///
    /// Errors: `Failure::Setup` says what is missing or in use.
    pub fn start(
        plan: &'a Plan,
        environment: &[(&'static str, String)],
        stop: &'a AtomicBool,
    ) -> Result<Stage<'a>, Failure> {
        forwarder::check_port(plan.port, "--port")?;
        let sink = Sink::start(&plan.sink)?;
        sink.ledger().arrivals.watch_from(QUIET_FIRST);
        let scratch = Scratch::new()?;
        let folder = scratch.folder("corndog")?;
        let bootstrap = SocketAddr::from((Ipv4Addr::LOCALHOST, plan.sink.port));
        let place = Place { folder: &folder, port: plan.port, bootstrap, environment };
        let workload = Workload::parse("w1").map_err(Failure::Setup)?;
        let running = plan.installed.start(workload, &place)?;
        Ok(Stage { plan, running, sink, _scratch: scratch, stop, sent: HashMap::new() })
    }

    /// Stops both; how many messages were lost.
    pub fn finish(self) -> Result<u64, Failure> {
        self.running.stop()?;
        let lost = self.sink.ledger().lost(self.sent);
        self.sink.stop();
        Ok(lost)
    }

    /// What has arrived.
    pub fn ledger(&self) -> &Ledger {
        self.sink.ledger()
    }

    /// Sleeps, unless something ends it all.
    pub fn pass(&mut self, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if self.stop.load(Relaxed) {
                return Err(Failure::Stopped);
            }
            self.running.check()?;
            thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }

    /// Passes the time that counts.
    pub fn count(&mut self) -> Result<Counted, Failure> {
        self.pass(WARM_TIME)?;
        let (from, records, cpu) = (Instant::now(), self.ledger().received(), self.running.cpu()?);
        let first_thread = self.running.cpu_of_first_thread()?;
        self.pass(self.plan.length)?;
        Ok(Counted {
            span: (from, Instant::now()),
            records: self.ledger().received() - records,
            cpu: self.running.cpu()?.saturating_sub(cpu),
            first_thread: self.running.cpu_of_first_thread()?.saturating_sub(first_thread),
        })
    }

    /// A flood's plan in the span of that number.
    pub fn flood(&self, flood: Flood, number: u16) -> Option<load::Plan> {
        flood.plan(self.address(), number)
    }

    /// Quiet senders of the kind 0 or 1 in the span of that number.
    pub fn quiet(
        &self,
        number: u16,
        kind: u16,
        connections: u16,
        pause: Duration,
    ) -> trickle::Plan {
        let first_connection = QUIET_FIRST + (2 * number + kind) * QUIET_EACH;
        trickle::Plan { address: self.address(), first_connection, connections, pause }
    }

    /// When each message of the quiet ones arrived, once all that was sent has.
    pub fn arrived(&mut self) -> Result<HashMap<(u16, u64), Instant>, Failure> {
        let deadline = Instant::now() + ARRIVE_TIME_MAX;
        while self.ledger().lost(self.sent.iter().map(|(key, count)| (*key, *count))) > 0 {
            if Instant::now() > deadline {
                let seconds = ARRIVE_TIME_MAX.as_secs();
                return Err(Failure::Run(format!("messages are missing after {seconds} s")));
            }
            self.pass(TICK)?;
        }
        Ok(trickle::by_message(self.ledger().arrivals.take()))
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.plan.port))
    }
}

impl Flood {
    fn plan(self, address: SocketAddr, number: u16) -> Option<load::Plan> {
        let pace = match self {
            Flood::Not => return None,
            Flood::At(rate) => Some(Pace { rate, spread: Spread::Constant, step: FLOOD_STEP }),
            Flood::FlatOut => None,
        };
        Some(load::Plan {
            address,
            dial: Dial::Plain,
            connections: FLOOD_CONNECTIONS,
            first_connection: number * FLOOD_CONNECTIONS,
            messages: FLOOD_MESSAGES,
            pace,
            source: Workload::parse("w1").ok()?.into(),
            framing: Framing::Lf,
            seed: 1,
        })
    }
}

/// Floods until `ended`; messages by connection.
pub fn flood_on(
    plan: Option<&load::Plan>,
    ended: &AtomicBool,
) -> Result<HashMap<u16, u64>, Failure> {
    let Some(plan) = plan else { return Ok(HashMap::new()) };
    let report = load::run(plan, ended, &AtomicU64::new(0))?;
    match report.error() {
        Some(error) => Err(Failure::Run(format!("the flood's connection broke: {error}"))),
        None => Ok(report.sent_by_connection().collect()),
    }
}

/// What these messages of a span waited.
///
/// Errors: one of them never arrived.
pub fn waits(
    sent: &Sent,
    arrived: &HashMap<(u16, u64), Instant>,
    span: (Instant, Instant),
) -> Result<Waits, Failure> {
    let waits: Option<Vec<Duration>> = sent.waits(arrived, span).into_iter().collect();
    waits.map(Waits::new).ok_or_else(|| Failure::Run("a message never arrived".into()))
}

/// What a thread that sends came to.
pub fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    thread.join().map_err(|_| Failure::Run("a sending thread panicked".into()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_all_spans_have_numbers_of_their_own() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let last = Flood::FlatOut.plan(address, 26).unwrap();
        assert!(last.first_connection + last.connections <= QUIET_FIRST);
        assert!(QUIET_FIRST.checked_add((2 * 26 + 2) * QUIET_EACH).is_some());
        assert!(Flood::Not.plan(address, 1).is_none());
    }
}
