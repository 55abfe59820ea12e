//! How long messages take through each forwarder at given rates, in turn, in rounds.
//!
//! ```text
//!  a run:  sink up, forwarder up, settle | warm-up |  counted: CPU, latencies  | rest arrives | stop
//!          the load sends by the clock ...^........................................^ last is due
//! ```
//!
//! A message's latency is from when it was to be sent until the sink walks the batch it is in. Those
//! that were to be sent in the warm-up do not count, whenever they arrive.

use crate::clock;
use crate::compare::{self, SETTLE_TIME, Scratch};
use crate::configs;
use crate::destination::Destination;
use crate::failure::Failure;
use crate::forwarder::{self, Installed, Place, Running};
use crate::latencies::Latencies;
use crate::ledger::Ledger;
use crate::load;
use crate::message::Framing;
use crate::pace::{Pace, Spread};
use crate::progress::Progress;
use crate::sink;
use crate::source::Source;
use crate::wire::Dial;
use crate::workload::Workload;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// Variables of `corndog-low-latency`: no record waits for others.
pub const LOW_LATENCY: [(&str, &str); 1] = [("CORNDOG_BATCHES__AGE", "0 ms")];
/// After the last message was due: a load that is held back for longer is stopped.
const BEHIND_TIME_MAX: Duration = Duration::from_secs(2);
/// A run whose load did not keep its pace is repeated so often.
const REPEATS_MAX: usize = 2;
/// More than is sent flat out in any run.
const FLOOD_MESSAGES: u64 = 4_000_000_000;
const TICK: Duration = Duration::from_millis(20);

/// How much is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// So many messages a second.
    Rate(u64),
    /// All that is taken: what a message waits then is the length of the queues.
    Saturation,
}

/// A forwarder with its settings.
#[derive(Debug, Clone)]
pub struct Entrant {
    /// Its name.
    pub label: String,
    /// The program.
    pub installed: Installed,
    /// Variables that it reads over its configuration.
    pub environment: Vec<(&'static str, &'static str)>,
}

/// What to measure.
#[derive(Debug)]
pub struct Plan {
    /// In the order of the first round.
    pub entrants: Vec<Entrant>,
    /// In the order in which they are measured.
    pub demands: Vec<Demand>,
    /// How often each is measured, at least once.
    pub rounds: usize,
    /// How long messages count.
    pub length: Duration,
    /// How long they do not, before that.
    pub warm: Duration,
    /// Connections that share the rate.
    pub connections: u16,
    /// How its messages are spread.
    pub spread: Spread,
    /// Between two wake-ups of a connection; the load's own choice if `None`.
    pub step: Option<Duration>,
    /// What 99 of 100 messages may be late by the load's doing.
    pub late_most: Duration,
    /// The forwarders' port on 127.0.0.1.
    pub port: u16,
    /// The sink of every run.
    pub sink: sink::Plan,
}

/// What a run showed.
#[derive(Debug, Clone)]
pub struct Run {
    /// How much was sent.
    pub demand: Demand,
    /// The entrant's.
    pub label: String,
    /// Of the messages that count.
    pub latencies: Latencies,
    /// By how much the load itself was late; nothing at saturation.
    pub late: Latencies,
    /// Whether the forwarder took what was sent to it, or held it back for more than a moment.
    pub is_taken: bool,
    /// Records a second at the sink, while messages counted.
    pub per_second: f64,
    /// Cores that the forwarder used meanwhile.
    pub cores: f64,
    /// Cores that the load used.
    pub load_cores: f64,
    /// Cores that the sink used.
    pub sink_cores: f64,
    /// Messages sent.
    pub sent: u64,
    /// Of these, not arrived.
    pub lost: u64,
    /// Records beyond a message's first, without a good stamp, in another topic, or of another payload.
    pub wrong: u64,
}

impl fmt::Display for Demand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => write!(formatter, "{rate}/s"),
            Self::Saturation => formatter.write_str("saturation"),
        }
    }
}

impl fmt::Display for Run {
    /// One line, told as the run ends.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most] = [0.5, 0.99].map(|quantile| self.latencies.micros(quantile));
        write!(
            formatter,
            "p50 {half:.0} us, p99 {most:.0} us, {:.0} messages/s, {:.2} cores, load late p99 {:.0} us, \
             lost {}",
            self.per_second,
            self.cores,
            self.late.micros(0.99),
            self.lost
        )
    }
}

impl Plan {
    /// Every run, in its order: from one round to the next the forwarders' order is reversed.
    fn order(&self) -> Vec<(Demand, &Entrant)> {
        let mut order = Vec::new();
        for round in 0..self.rounds {
            for demand in &self.demands {
                let mut entrants: Vec<_> =
                    self.entrants.iter().map(|entrant| (*demand, entrant)).collect();
                if round % 2 == 1 {
                    entrants.reverse();
                }
                order.extend(entrants);
            }
        }
        order
    }

    fn workload() -> Result<Workload, Failure> {
        Workload::parse("w1").map_err(Failure::Setup)
    }

    /// Errors: `Failure::Setup` says what is wrong, missing or in use, before anything runs.
    fn check(&self) -> Result<(), Failure> {
        if self.order().is_empty() {
            return Err(Failure::Setup("a round, a rate and a forwarder are needed".into()));
        }
        for entrant in &self.entrants {
            entrant.installed.check(Self::workload()?)?;
        }
        self.demands.iter().try_for_each(|demand| self.load(*demand)?.check())?;
        forwarder::check_port(self.port, "--port")?;
        self.sink.check_ports("--sink-port")
    }

    fn load(&self, demand: Demand) -> Result<load::Plan, Failure> {
        let seconds = (self.warm + self.length).as_secs_f64();
        let (pace, messages) = match demand {
            Demand::Saturation => (None, FLOOD_MESSAGES),
            Demand::Rate(rate) => {
                let pace = Pace::new(rate, self.spread, self.connections);
                let step = self.step.unwrap_or(pace.step);
                (Some(Pace { step, ..pace }), (rate as f64 * seconds) as u64)
            }
        };
        Ok(load::Plan {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)),
            dial: Dial::Plain,
            connections: self.connections,
            first_connection: 0,
            messages,
            pace,
            source: Source::from(Self::workload()?),
            framing: Framing::Lf,
            seed: 1,
        })
    }
}

/// Runs all, and tells how far it is.
///
/// Errors: nothing is reported by halves: the first failure ends it all. A load that did not keep its
/// pace is one, if it did not when it was tried again either. `Failure::Stopped` if `stop` was set.
pub fn run(plan: &Plan, stop: &AtomicBool) -> Result<Vec<Run>, Failure> {
    plan.check()?;
    let scratch = Scratch::new()?;
    let order = plan.order();
    let names = order.iter().map(|(demand, entrant)| format!("{} at {demand}", entrant.label));
    let mut progress = Progress::new(names.collect());
    let mut runs = Vec::new();
    for (demand, entrant) in order {
        progress.begin();
        let mut outcome = run_one(plan, demand, entrant, &scratch, stop);
        for _ in 0..REPEATS_MAX {
            if matches!(&outcome, Ok((_, Err(_)))) && !stop.load(Relaxed) {
                outcome = run_one(plan, demand, entrant, &scratch, stop);
            }
        }
        // Whatever else failed then, failed for that reason.
        if stop.load(Relaxed) {
            return Err(Failure::Stopped);
        }
        let (run, pace) = outcome?;
        pace?;
        progress.end(&run);
        runs.push(run);
    }
    Ok(runs)
}

/// One forwarder, once, at one rate; and whether the load kept it.
fn run_one(
    plan: &Plan,
    demand: Demand,
    entrant: &Entrant,
    scratch: &Scratch,
    stop: &AtomicBool,
) -> Result<(Run, Result<(), Failure>), Failure> {
    let workload = Plan::workload()?;
    let destination = Destination::start(None, &plan.sink, workload)?;
    let (ledger, bootstrap) = (destination.ledger(), destination.bootstrap());
    let folder = scratch.folder(&entrant.label)?;
    let own = entrant.environment.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let environment: Vec<_> = own.chain(configs::connection_limits(plan.connections)).collect();
    let place = Place { folder: &folder, port: plan.port, bootstrap, environment: &environment };
    let mut running = entrant.installed.start(workload, &place)?;
    thread::sleep(SETTLE_TIME);
    let load = plan.load(demand)?;
    let (report, counted) = send(plan, &load, &mut running, ledger, stop)?;
    compare::watch(report.sent(), &mut running, &destination, stop)?;
    running.stop()?;
    // Read after the stop: whatever came late is in.
    let (counts, lost) = (ledger.counts(), ledger.lost(report.sent_by_connection()));
    let mut latencies = destination.latencies();
    latencies.record_lost(lost);
    let cores = |time: Duration, of: Duration| time.as_secs_f64() / of.as_secs_f64().max(1e-9);
    let run = Run {
        demand,
        label: entrant.label.clone(),
        latencies,
        late: report.late(),
        is_taken: report.is_taken(&load),
        per_second: counted.records as f64 / counted.time.as_secs_f64().max(1e-9),
        cores: cores(counted.cpu, counted.time),
        load_cores: cores(report.cpu(), report.elapsed),
        sink_cores: cores(destination.stop()?, report.elapsed),
        sent: report.sent(),
        lost,
        wrong: counts.duplicated + counts.corrupt + counts.misrouted + counts.misshapen,
    };
    let pace = load.pace.map_or(Ok(()), |pace| report.check_pace(&pace, plan.late_most));
    Ok((run, pace))
}

/// What went by while messages counted.
struct Counted {
    time: Duration,
    records: u64,
    cpu: Duration,
}

/// Sends all, or as long as it is to; the latencies are then still to be read.
fn send(
    plan: &Plan,
    load_plan: &load::Plan,
    running: &mut Running,
    ledger: &Ledger,
    stop: &AtomicBool,
) -> Result<(load::Report, Counted), Failure> {
    let nanos = |time: Duration| time.as_nanos() as u64;
    let (load_stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let from = clock::now() + nanos(plan.warm);
    ledger.time_from(from);
    let until = from + nanos(plan.length);
    thread::scope(|scope| {
        let load = scope.spawn(|| load::run(load_plan, &load_stop, &sent));
        let mut watched = || -> Result<Counted, Failure> {
            wait(from, running, stop, &|| load.is_finished())?;
            let (records, cpu, begun) = (ledger.received(), running.cpu()?, clock::now());
            wait(until, running, stop, &|| load.is_finished())?;
            let counted = Counted {
                time: Duration::from_nanos(clock::now() - begun),
                records: ledger.received() - records,
                cpu: running.cpu()?.saturating_sub(cpu),
            };
            if load_plan.pace.is_some() {
                let deadline = until + nanos(BEHIND_TIME_MAX);
                wait(deadline, running, stop, &|| load.is_finished())?;
            }
            Ok(counted)
        };
        let counted = watched();
        load_stop.store(true, Relaxed);
        let report = load.join().map_err(|_| Failure::Run("the load panicked".into()))??;
        match report.error() {
            Some(error) => Err(Failure::Run(format!("the forwarder's connection broke: {error}"))),
            None => Ok((report, counted?)),
        }
    })
}

/// Returns at that time of the `clock`, or when it is over before.
fn wait(
    until: u64,
    running: &mut Running,
    stop: &AtomicBool,
    is_over: &dyn Fn() -> bool,
) -> Result<(), Failure> {
    while clock::now() < until && !is_over() {
        if stop.load(Relaxed) {
            return Err(Failure::Stopped);
        }
        running.check()?;
        clock::sleep_until(until.min(clock::now() + TICK.as_nanos() as u64));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forwarder::Kind;
    use std::path::PathBuf;

    fn plan(demands: Vec<Demand>, rounds: usize) -> Plan {
        let entrant = |label: &str| Entrant {
            label: label.to_owned(),
            installed: Installed { kind: Kind::Corndog, program: PathBuf::from("corndog") },
            environment: Vec::new(),
        };
        Plan {
            entrants: vec![entrant("one"), entrant("other")],
            demands,
            rounds,
            length: Duration::from_secs(3),
            warm: Duration::from_secs(1),
            connections: 4,
            spread: Spread::Poisson,
            step: None,
            late_most: Duration::from_millis(5),
            port: 9,
            sink: sink::Plan::at(9),
        }
    }

    #[test]
    fn forwarders_alternate_within_each_rate() {
        let plan = plan(vec![Demand::Rate(5), Demand::Saturation], 2);
        let order: Vec<String> =
            plan.order().iter().map(|(demand, one)| format!("{} {demand}", one.label)).collect();
        assert_eq!(order[..3], ["one 5/s", "other 5/s", "one saturation"]);
        assert_eq!(order[4..7], ["other 5/s", "one 5/s", "other saturation"]);
    }

    #[test]
    fn a_load_lasts_as_long_as_warm_up_and_what_counts() {
        let plan = plan(Vec::new(), 1);
        let load = plan.load(Demand::Rate(1000)).unwrap();
        assert_eq!((load.messages, load.pace.map(|pace| pace.rate)), (4000, Some(1000)));
        assert!(plan.load(Demand::Saturation).unwrap().pace.is_none());
        assert!(plan.check().is_err_and(|failure| failure.to_string().contains("needed")));
    }
}
