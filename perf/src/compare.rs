//! Rounds that run each forwarder in turn under one load into one kind of sink, and their summary.
//!
//! ```text
//!  a run:  sink up, forwarder up, settle | CPU | load ... all in the sink, settle | CPU | stop
//! ```
//!
//! The order within a round alternates, so that a drift of the machine meets both alike. Figures of
//! one round belong together: the ratio is taken per round, then its median.

use crate::failure::Failure;
use crate::forwarder::{self, Installed, Kind, Place, Running};
use crate::ledger::Ledger;
use crate::load;
use crate::message::Framing;
use crate::sink::{self, Sink};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Before the first CPU reading (connections to the brokers), and before the second (delivery
/// reports).
const SETTLE_TIME: Duration = Duration::from_millis(500);
/// A run without a new record for this long is over.
const STALL_TIME: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(20);

/// What to compare, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// In the order of the first round.
    pub forwarders: Vec<Installed>,
    /// Rounds, at least 1.
    pub rounds: usize,
    /// The forwarders' port on 127.0.0.1.
    pub port: u16,
    /// Messages per run.
    pub messages: u64,
    /// The sink of every run.
    pub sink: sink::Plan,
}

/// What one run of one forwarder showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// Which forwarder.
    pub kind: Kind,
    /// Messages that the load sent whole.
    pub sent: u64,
    /// Records at the sink.
    pub received: u64,
    /// Messages that did not arrive.
    pub lost: u64,
    /// Records beyond a message's first.
    pub duplicated: u64,
    /// Records behind a later one of their connection and partition.
    pub reordered: u64,
    /// Records without a good stamp.
    pub corrupt: u64,
    /// The forwarder's user and system CPU seconds per million messages sent.
    pub cpu_per_million: f64,
    /// From the first send to the last record at the sink.
    pub messages_per_second: f64,
    /// The forwarder's peak resident memory in MiB.
    pub memory_peak_mib: f64,
    /// Records per batch, on average: a forwarder that fills its batches needs fewer requests.
    pub records_per_batch: f64,
    /// The generator's CPU, nanoseconds per message.
    pub load_ns: f64,
    /// The sink's CPU, nanoseconds per record.
    pub sink_ns: f64,
}

/// Median, least and greatest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle value, or the mean of the two.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of at least one value; `None` of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = values.len() / 2;
        let lower = (values.len() - 1) / 2;
        Some(Self { median: (values[lower] + values[upper]) / 2.0, min, max })
    }

    fn json(self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = formatter.precision().unwrap_or(2);
        let Self { median, min, max } = self;
        // `pad` would cut the text to the precision.
        let width = formatter.width().unwrap_or(0);
        let text = format!("{median:.digits$} ({min:.digits$}..{max:.digits$})");
        write!(formatter, "{text:>width$}")
    }
}

/// Runs all rounds; `tell` hears of each run as it ends.
///
/// Errors: nothing is reported by halves: the first failure ends it all. `Failure::Run` with
/// "stopped" if `stop` was set.
pub fn run(
    plan: &Plan,
    stop: &AtomicBool,
    tell: &dyn Fn(usize, &Run),
) -> Result<Vec<Run>, Failure> {
    if plan.rounds == 0 || plan.messages == 0 {
        return Err(Failure::Setup("a comparison needs a round and a message at least".into()));
    }
    forwarder::check_port(plan.port)?;
    let scratch = Scratch::new()?;
    let mut runs = Vec::new();
    for round in 0..plan.rounds {
        let mut order: Vec<&Installed> = plan.forwarders.iter().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for installed in order {
            let run = run_one(plan, installed, &scratch, stop)?;
            tell(round, &run);
            runs.push(run);
        }
    }
    Ok(runs)
}

/// One forwarder, once: from an empty sink to a stopped process.
fn run_one(
    plan: &Plan,
    installed: &Installed,
    scratch: &Scratch,
    stop: &AtomicBool,
) -> Result<Run, Failure> {
    let sink = Sink::start(&plan.sink)?;
    let bootstrap = SocketAddr::from((Ipv4Addr::LOCALHOST, plan.sink.port));
    let folder = scratch.folder(installed.kind.name())?;
    let place = Place { folder: &folder, port: plan.port, bootstrap };
    let mut running = installed.start(&place)?;
    thread::sleep(SETTLE_TIME);
    let cpu_before = running.cpu()?;
    let load = load_until_delivered(plan, &mut running, sink.ledger(), stop)?;
    thread::sleep(SETTLE_TIME);
    let cpu = running.cpu()?.saturating_sub(cpu_before);
    let memory_peak = running.memory_peak()?;
    running.stop()?;
    // Read after the stop: whatever came late is in.
    let ledger = sink.ledger();
    let counts = ledger.counts();
    let batches = ledger.batches.taken.load(Relaxed);
    let seconds = ledger.last_record().map_or(0.0, |last| (last - load.started).as_secs_f64());
    let (sent, lost) = (load.sent(), ledger.lost(load.sent_by_connection()));
    let per_message = |time: Duration, count: u64| time.as_nanos() as f64 / count.max(1) as f64;
    Ok(Run {
        kind: installed.kind,
        sent,
        received: counts.received,
        lost,
        duplicated: counts.duplicated,
        reordered: counts.reordered,
        corrupt: counts.corrupt,
        cpu_per_million: per_message(cpu, sent) / 1e3,
        messages_per_second: counts.unique as f64 / seconds.max(1e-9),
        memory_peak_mib: memory_peak as f64 / f64::from(1 << 20),
        records_per_batch: counts.received as f64 / batches.max(1) as f64,
        load_ns: per_message(load.cpu(), sent),
        sink_ns: per_message(sink.stop(), counts.received),
    })
}

/// Sends everything and waits until it is in the sink, or nothing more comes.
fn load_until_delivered(
    plan: &Plan,
    running: &mut Running,
    ledger: &Ledger,
    stop: &AtomicBool,
) -> Result<load::Report, Failure> {
    let load_plan = load::Plan {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, plan.port)),
        connections: 4,
        first_connection: 0,
        messages: plan.messages,
        rate: None,
        frame_bytes: 248,
        framing: Framing::Lf,
        seed: 1,
    };
    let (load_stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let load = scope.spawn(|| load::run(&load_plan, &load_stop, &sent));
        let watched = watch(plan.messages, running, ledger, stop);
        // In the good case it has ended; else this lets it go.
        load_stop.store(true, Relaxed);
        let report = load.join().map_err(|_| Failure::Run("the load panicked".into()))??;
        watched?;
        match report.error() {
            Some(error) => Err(Failure::Run(format!("the forwarder's connection broke: {error}"))),
            None => Ok(report),
        }
    })
}

/// Returns when all is in the sink, or when nothing has come for a while.
fn watch(
    messages: u64,
    running: &mut Running,
    ledger: &Ledger,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let mut received = 0;
    let mut progress = Instant::now();
    loop {
        if stop.load(Relaxed) {
            return Err(Failure::Run("stopped".into()));
        }
        running.check()?;
        let now = ledger.received();
        if now >= messages && ledger.counts().unique >= messages {
            return Ok(());
        }
        if now > received {
            (received, progress) = (now, Instant::now());
        }
        if progress.elapsed() > STALL_TIME {
            return Ok(());
        }
        thread::sleep(TICK);
    }
}

/// corndog's share of rsyslog's CPU, round by round; `None` unless both ran.
pub fn ratio(runs: &[Run]) -> Option<Spread> {
    let of = |kind| runs.iter().filter(move |run| run.kind == kind).map(|run| run.cpu_per_million);
    Spread::of(of(Kind::Corndog).zip(of(Kind::Rsyslog)).map(|(own, peer)| own / peer))
}

/// The summary as a table for people.
pub fn table(runs: &[Run]) -> String {
    let mut table = format!(
        "{:<8} {:>22} {:>28} {:>22} {:>6} {:>6} {:>6} {:>6}\n",
        "", "CPU s/million", "messages/s", "peak MiB", "lost", "dup", "reord", "corr"
    );
    for kind in kinds(runs) {
        let own = || runs.iter().filter(move |run| run.kind == kind);
        let spread = |field: fn(&Run) -> f64| Spread::of(own().map(field));
        let sum = |field: fn(&Run) -> u64| own().map(field).sum::<u64>();
        let Some((cpu, (rate, memory))) = spread(|run| run.cpu_per_million)
            .zip(spread(|run| run.messages_per_second).zip(spread(|run| run.memory_peak_mib)))
        else {
            continue;
        };
        let _ = writeln!(
            table,
            "{:<8} {cpu:>22.3} {rate:>28.0} {memory:>22.1} {:>6} {:>6} {:>6} {:>6}",
            kind.name(),
            sum(|run| run.lost),
            sum(|run| run.duplicated),
            sum(|run| run.reordered),
            sum(|run| run.corrupt),
        );
    }
    if let Some(ratio) = ratio(runs) {
        let _ = writeln!(table, "corndog/rsyslog CPU, per round: {ratio:.3}");
    }
    if let (Some(load), Some(sink)) = (
        Spread::of(runs.iter().map(|run| run.load_ns)),
        Spread::of(runs.iter().map(|run| run.sink_ns)),
    ) {
        let _ = writeln!(
            table,
            "the tools' own CPU: load {load:.0} ns/message, sink {sink:.0} ns/record"
        );
    }
    table
}

/// The summary and every run as JSON.
pub fn json(runs: &[Run]) -> Value {
    let summary = kinds(runs).into_iter().map(|kind| {
        let own = || runs.iter().filter(move |run| run.kind == kind);
        let spread = |field: fn(&Run) -> f64| Spread::of(own().map(field)).map(Spread::json);
        let sum = |field: fn(&Run) -> u64| own().map(field).sum::<u64>();
        let summary = json!({
            "cpu_seconds_per_million": spread(|run| run.cpu_per_million),
            "messages_per_second": spread(|run| run.messages_per_second),
            "memory_peak_mib": spread(|run| run.memory_peak_mib),
            "records_per_batch": spread(|run| run.records_per_batch),
            "sent": sum(|run| run.sent),
            "lost": sum(|run| run.lost),
            "duplicated": sum(|run| run.duplicated),
            "reordered": sum(|run| run.reordered),
            "corrupt": sum(|run| run.corrupt),
        });
        (kind.name().to_string(), summary)
    });
    let summary: serde_json::Map<String, Value> = summary.collect();
    let runs_json: Vec<Value> = runs.iter().map(run_json).collect();
    json!({
        "forwarders": summary,
        "cpu_ratio_corndog_rsyslog": ratio(runs).map(Spread::json),
        "runs": runs_json,
    })
}

fn run_json(run: &Run) -> Value {
    json!({
        "forwarder": run.kind.name(),
        "sent": run.sent,
        "received": run.received,
        "lost": run.lost,
        "duplicated": run.duplicated,
        "reordered": run.reordered,
        "corrupt": run.corrupt,
        "cpu_seconds_per_million": run.cpu_per_million,
        "messages_per_second": run.messages_per_second,
        "memory_peak_mib": run.memory_peak_mib,
        "records_per_batch": run.records_per_batch,
        "load_cpu_ns_per_message": run.load_ns,
        "sink_cpu_ns_per_record": run.sink_ns,
    })
}

/// The forwarders that ran, each once.
fn kinds(runs: &[Run]) -> Vec<Kind> {
    [Kind::Rsyslog, Kind::Corndog]
        .into_iter()
        .filter(|kind| runs.iter().any(|run| run.kind == *kind))
        .collect()
}

/// A folder for configurations and logs, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("corndog-perf-{}", std::process::id()));
        fs::create_dir_all(&folder)
            .map_err(|error| Failure::Setup(format!("{}: {error}", folder.display())))?;
        Ok(Self(folder))
    }

    /// An empty folder of that name in it.
    fn folder(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = self.0.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| Failure::Run(error.to_string()))?;
        }
        fs::create_dir(&folder)
            .map_err(|error| Failure::Run(format!("{}: {error}", folder.display())))?;
        Ok(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is small and named after us.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(kind: Kind, cpu_per_million: f64) -> Run {
        Run {
            kind,
            sent: 10,
            received: 10,
            lost: 1,
            duplicated: 0,
            reordered: 0,
            corrupt: 0,
            cpu_per_million,
            messages_per_second: 1000.0,
            memory_peak_mib: 20.0,
            records_per_batch: 100.0,
            load_ns: 70.0,
            sink_ns: 100.0,
        }
    }

    #[test]
    fn spread_is_median_and_ends() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }

    #[test]
    fn ratio_is_paired_by_round_whatever_the_order_within() {
        let (own, peer) = (Kind::Corndog, Kind::Rsyslog);
        let runs =
            [(peer, 2.0), (own, 1.0), (own, 3.0), (peer, 4.0)].map(|(kind, cpu)| sample(kind, cpu));
        let spread = ratio(&runs).unwrap();
        assert_eq!((spread.min, spread.max), (0.5, 0.75));
        assert_eq!(ratio(&runs[..1]), None);
    }

    #[test]
    fn table_and_json_hold_every_forwarder() {
        let runs = [sample(Kind::Rsyslog, 2.0), sample(Kind::Corndog, 1.0)];
        let table = table(&runs);
        assert!(table.contains("rsyslog") && table.contains("0.500 (0.500..0.500)"), "{table}");
        let json = json(&runs);
        assert_eq!(json["forwarders"]["corndog"]["lost"], 1);
        assert_eq!(json["runs"].as_array().map(Vec::len), Some(2));
    }
}
