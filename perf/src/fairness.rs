//! A flood beside senders that send little, all on one receiver: what those wait until their messages
//! are in the sink.
//!
//! ```text
//!  capacity: the flood alone, flat out --> what the node takes
//!  then, each with quiet senders beside it: no flood, 80 % of that, flat out (held back)
//! ```
//!
//! Quiet senders are 100 connections with ten messages a second each, and ten newcomers a second with
//! one message each, timed from their connect.

use crate::compare::Scratch;
use crate::failure::Failure;
use crate::forwarder::{self, Installed, Place, Running};
use crate::ledger::Ledger;
use crate::load;
use crate::message::Framing;
use crate::sink::{self, Sink};
use crate::trickle::{self, Sent};
use crate::wire::Dial;
use crate::workload::Workload;
use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// The share of its capacity at which a node is still to serve all at once.
const SHARE: f64 = 0.8;
/// Before what is sent counts.
const WARM_TIME: Duration = Duration::from_secs(1);
/// Until the last message of a phase is in the sink.
const ARRIVE_TIME_MAX: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(20);
/// Connections of the flood.
const FLOOD_CONNECTIONS: u16 = 4;
/// More than a flood sends in any phase.
const FLOOD_MESSAGES: u64 = 4_000_000_000;
/// Numbers of quiet connections: below are the flood's. Each phase has a thousand for each kind.
const QUIET_FIRST: u16 = 10_000;
const QUIET_EACH: u16 = 1000;
const TRICKLES: u16 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// What is measured, and how long.
#[derive(Debug)]
pub struct Plan {
    /// corndog.
    pub installed: Installed,
    /// Its port.
    pub port: u16,
    /// The sink.
    pub sink: sink::Plan,
    /// How long each phase counts.
    pub length: Duration,
}

/// How long messages waited, in order.
#[derive(Debug)]
pub struct Waits(Vec<Duration>);

/// What one phase showed.
#[derive(Debug)]
pub struct Phase {
    /// What the flood did.
    pub label: String,
    /// Records at the sink, a second.
    pub taken_per_second: f64,
    /// Of the quiet connections.
    pub trickles: Waits,
    /// Of the newcomers.
    pub newcomers: Waits,
    /// What this machine's own timers missed: it is not in the waits, but says how busy it was.
    pub late: Waits,
}

/// What all phases showed.
#[derive(Debug)]
pub struct Shown {
    /// Messages a second that the node takes from the flood alone.
    pub capacity: f64,
    /// Without a flood, at 80 %, and flat out.
    pub phases: Vec<Phase>,
    /// Messages that did not arrive, of all.
    pub lost: u64,
}

/// A flood: none, at a rate, or flat out.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flood {
    Not,
    At(u64),
    FlatOut,
}

impl Waits {
    fn new(mut waits: Vec<Duration>) -> Waits {
        waits.sort();
        Waits(waits)
    }

    /// The wait that so many of a hundred do not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let index = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(index).copied().unwrap_or_default()
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

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "the node takes {:.0} messages/s of the flood alone", self.capacity)?;
        let ms = "p50      p99  longest";
        writeln!(formatter, "{:<10} {:>11} | {ms:>26} | {ms:>26} | {ms:>26}", "ms", "messages/s")?;
        let [one, two, three] = ["100 trickles", "newcomers", "the timers' own lateness"];
        writeln!(formatter, "{:<10} {:>11} | {one:>26} | {two:>26} | {three:>26}", "", "")?;
        for Phase { label, taken_per_second, trickles, newcomers, late } in &self.phases {
            writeln!(
                formatter,
                "{label:<10} {taken_per_second:>11.0} | {trickles} | {newcomers} | {late}"
            )?;
        }
        write!(formatter, "lost {}", self.lost)
    }
}

/// Measures the capacity, then the three phases; `tell` hears of each.
///
/// Errors: the first failure ends it all; `Failure::Run` with "stopped" if `stop` was set.
pub fn run(plan: &Plan, stop: &AtomicBool, tell: &dyn Fn(&str)) -> Result<Shown, Failure> {
    forwarder::check_port(plan.port)?;
    let sink = Sink::start(&plan.sink)?;
    sink.ledger().arrivals.watch_from(QUIET_FIRST);
    let scratch = Scratch::new()?;
    let folder = scratch.folder("corndog")?;
    let bootstrap = SocketAddr::from((Ipv4Addr::LOCALHOST, plan.sink.port));
    let environment = [("CORNDOG_SHARDS__RECEIVERS", "1".to_owned())];
    let place = Place { folder: &folder, port: plan.port, bootstrap, environment: &environment };
    let running = plan.installed.start(Workload::parse("w1").map_err(Failure::Setup)?, &place)?;
    let mut stage = Stage { plan, running, ledger: sink.ledger(), stop, sent: HashMap::new() };
    tell("capacity: the flood alone");
    let capacity = stage.capacity()?;
    let mut phases = Vec::new();
    let floods = [Flood::Not, Flood::At((capacity * SHARE) as u64), Flood::FlatOut];
    for (number, flood) in (1..).zip(floods) {
        tell(&flood.label());
        phases.push(stage.phase(number, flood)?);
    }
    stage.running.stop()?;
    let lost = sink.ledger().lost(stage.sent);
    sink.stop();
    Ok(Shown { capacity, phases, lost })
}

impl Flood {
    fn label(self) -> String {
        match self {
            Flood::Not => "no flood".to_owned(),
            Flood::At(_) => format!("at {:.0} %", SHARE * 100.0),
            Flood::FlatOut => "flat out".to_owned(),
        }
    }

    fn plan(self, address: SocketAddr, number: u16) -> Option<load::Plan> {
        let rate = match self {
            Flood::Not => return None,
            Flood::At(rate) => Some(rate),
            Flood::FlatOut => None,
        };
        Some(load::Plan {
            address,
            dial: Dial::Plain,
            connections: FLOOD_CONNECTIONS,
            first_connection: number * FLOOD_CONNECTIONS,
            messages: FLOOD_MESSAGES,
            rate,
            workload: Workload::parse("w1").ok()?,
            framing: Framing::Lf,
            seed: 1,
        })
    }
}

/// What the phases share.
struct Stage<'a> {
    plan: &'a Plan,
    running: Running,
    ledger: &'a Ledger,
    stop: &'a AtomicBool,
    /// By connection: messages sent.
    sent: HashMap<u16, u64>,
}

impl Stage<'_> {
    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.plan.port))
    }

    /// Sleeps, unless something ends it all.
    fn pass(&mut self, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if self.stop.load(Relaxed) {
                return Err(Failure::Run("stopped".into()));
            }
            self.running.check()?;
            thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }

    /// Passes the time that counts; its ends, and records at the sink a second.
    fn count(&mut self) -> Result<((Instant, Instant), f64), Failure> {
        self.pass(WARM_TIME)?;
        let (from, before) = (Instant::now(), self.ledger.received());
        self.pass(self.plan.length)?;
        let (until, after) = (Instant::now(), self.ledger.received());
        Ok(((from, until), (after - before) as f64 / (until - from).as_secs_f64()))
    }

    fn capacity(&mut self) -> Result<f64, Failure> {
        let flood = Flood::FlatOut.plan(self.address(), 0);
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let load = scope.spawn(|| flood_on(flood.as_ref(), &ended));
            let counted = self.count();
            ended.store(true, Relaxed);
            self.sent.extend(join(load)?);
            Ok(counted?.1)
        })
    }

    fn phase(&mut self, number: u16, flood: Flood) -> Result<Phase, Failure> {
        let address = self.address();
        let quiet = |kind: u16, connections| trickle::Plan {
            address,
            first_connection: QUIET_FIRST + (2 * number + kind) * QUIET_EACH,
            connections,
            pause: PAUSE,
        };
        let (trickles, newcomers) = (quiet(0, TRICKLES), quiet(1, QUIET_EACH));
        let flood_plan = flood.plan(address, number);
        let ended = AtomicBool::new(false);
        let (counted, trickled, came) = thread::scope(|scope| {
            let load = scope.spawn(|| flood_on(flood_plan.as_ref(), &ended));
            let trickling = scope.spawn(|| trickle::trickle(&trickles, &ended));
            let coming = scope.spawn(|| trickle::newcomers(&newcomers, &ended));
            let counted = self.count();
            ended.store(true, Relaxed);
            let (trickled, came) = (join(trickling)?, join(coming)?);
            self.sent.extend(join(load)?);
            Ok::<_, Failure>((counted?, trickled, came))
        })?;
        self.sent.extend(trickled.by_connection());
        self.sent.extend(came.by_connection());
        self.wait_until_all_is_in()?;
        let arrived = trickle::by_message(self.ledger.arrivals.take());
        let (span, taken_per_second) = counted;
        let waits = |sent: &Sent| -> Result<Waits, Failure> {
            let waits: Option<Vec<Duration>> = sent.waits(&arrived, span).into_iter().collect();
            waits.map(Waits::new).ok_or_else(|| Failure::Run("a message never arrived".into()))
        };
        Ok(Phase {
            label: flood.label(),
            taken_per_second,
            trickles: waits(&trickled)?,
            newcomers: waits(&came)?,
            late: Waits::new([trickled.late, came.late].concat()),
        })
    }

    fn wait_until_all_is_in(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + ARRIVE_TIME_MAX;
        while self.ledger.lost(self.sent.iter().map(|(key, count)| (*key, *count))) > 0 {
            if Instant::now() > deadline {
                let seconds = ARRIVE_TIME_MAX.as_secs();
                return Err(Failure::Run(format!("messages are missing after {seconds} s")));
            }
            self.pass(TICK)?;
        }
        Ok(())
    }
}

/// Floods until `ended`; messages by connection.
fn flood_on(plan: Option<&load::Plan>, ended: &AtomicBool) -> Result<HashMap<u16, u64>, Failure> {
    let Some(plan) = plan else { return Ok(HashMap::new()) };
    let report = load::run(plan, ended, &AtomicU64::new(0))?;
    match report.error() {
        Some(error) => Err(Failure::Run(format!("the flood's connection broke: {error}"))),
        None => Ok(report.sent_by_connection().collect()),
    }
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    thread.join().map_err(|_| Failure::Run("a sending thread panicked".into()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_waits_that_happened() {
        let waits = |count: u64| Waits::new((1..=count).rev().map(Duration::from_millis).collect());
        let of = |count, percent| waits(count).percentile(percent).as_millis();
        assert_eq!((of(100, 50), of(100, 99), of(1000, 99), of(3, 99)), (50, 99, 990, 3));
        assert_eq!((of(0, 99), waits(0).longest()), (0, Duration::ZERO));
    }

    #[test]
    fn connections_of_all_phases_have_numbers_of_their_own() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let last = Flood::FlatOut.plan(address, 3).unwrap();
        assert!(last.first_connection + last.connections <= QUIET_FIRST);
        assert!(QUIET_FIRST.checked_add((2 * 3 + 2) * QUIET_EACH).is_some());
        assert!(TRICKLES <= QUIET_EACH && Flood::Not.plan(address, 1).is_none());
    }
}
