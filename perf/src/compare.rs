//! Rounds that run each forwarder in turn under one load into one kind of sink.
//!
//! ```text
//!  a run:  sink up, forwarder up, settle | CPU | load ... all in the sink, settle | CPU | stop
//! ```
//!
//! The order within a round alternates, so that a drift of the machine meets all alike. Figures of
//! one round belong together: a ratio is taken per round, then its median.

use crate::crowd::Crowd;
use crate::destination::Destination;
use crate::failure::Failure;
use crate::forwarder::{self, Installed, Place, Profile, Running};
use crate::kafka::Kafka;
use crate::load;
use crate::message::Framing;
use crate::sink;
use crate::wire::{self, Dial};
use crate::workload::Workload;
use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Before the first CPU reading (connections to the brokers), and before the second (delivery
/// reports).
const SETTLE_TIME: Duration = Duration::from_millis(500);
/// A run without a new record for this long is over.
const STALL_TIME: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(20);

/// One line of the table: a forwarder, and what it has to forward.
#[derive(Debug, Clone)]
pub struct Entrant {
    /// Its name in the table.
    pub label: String,
    /// The forwarder.
    pub installed: Installed,
    /// What is sent, and by which rules it is forwarded.
    pub workload: Workload,
    /// Messages per run.
    pub messages: u64,
    /// Messages a second; `None`: flat out.
    pub rate: Option<u64>,
    /// Connections beside the load that send nothing.
    pub idle: usize,
    /// Where it forwards to; `None`: into a sink.
    pub kafka: Option<Arc<Kafka>>,
}

/// What to compare, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// In the order of the first round.
    pub entrants: Vec<Entrant>,
    /// Rounds, at least 1.
    pub rounds: usize,
    /// The forwarders' port on 127.0.0.1.
    pub port: u16,
    /// Where each run's samples go, over those of the run before; needs `perf`.
    pub profile: Option<PathBuf>,
    /// Variables that every forwarder reads over its configuration.
    pub environment: Vec<(&'static str, String)>,
    /// The sink of every run, but for its audit, which is the workload's.
    pub sink: sink::Plan,
}

/// What one run of one forwarder showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The entrant's.
    pub label: String,
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
    /// Records in a topic that the rules do not choose for them.
    pub misrouted: u64,
    /// Records that were looked at whole, and are not what the rules make.
    pub misshapen: u64,
    /// Records by topic.
    pub by_topic: Vec<(String, u64)>,
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
    /// The sink's CPU, or all of Kafka's, nanoseconds per record.
    pub sink_ns: f64,
}

impl fmt::Display for Run {
    /// One line, told as the run ends.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {:.3} CPU s/million, {:.0} messages/s, {:.0} records/batch, lost {}, wrong {}",
            self.label,
            self.cpu_per_million,
            self.messages_per_second,
            self.records_per_batch,
            self.lost,
            self.misrouted + self.misshapen,
        )
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
    if plan.rounds == 0 || plan.entrants.iter().any(|entrant| entrant.messages == 0) {
        return Err(Failure::Setup("a comparison needs a round and a message at least".into()));
    }
    plan.entrants.iter().try_for_each(|entrant| entrant.workload.check())?;
    forwarder::check_port(plan.port, "--port")?;
    let scratch = Scratch::new()?;
    let mut runs = Vec::new();
    for round in 0..plan.rounds {
        let mut order: Vec<&Entrant> = plan.entrants.iter().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for entrant in order {
            let run = run_one(plan, entrant, &scratch, stop)?;
            tell(round, &run);
            runs.push(run);
        }
    }
    Ok(runs)
}

/// One forwarder, once: from an empty sink to a stopped process.
fn run_one(
    plan: &Plan,
    entrant: &Entrant,
    scratch: &Scratch,
    stop: &AtomicBool,
) -> Result<Run, Failure> {
    let workload = entrant.workload;
    let mut destination = Destination::start(entrant.kafka.as_deref(), &plan.sink, workload)?;
    let bootstrap = destination.bootstrap();
    let folder = scratch.folder(entrant.installed.kind.name())?;
    let environment = &plan.environment;
    let place = Place { folder: &folder, port: plan.port, bootstrap, environment };
    let dial = match entrant.workload.is_tls() {
        true => {
            wire::make_certificate(&folder)?;
            Dial::tls(&folder.join(wire::CERT_FILE))?
        }
        false => Dial::Plain,
    };
    let mut running = entrant.installed.start(entrant.workload, &place)?;
    thread::sleep(SETTLE_TIME);
    let crowd = Crowd::open(plan.port, entrant.idle, &mut running)?;
    let profile = plan.profile.as_deref().map(|file| running.profile(file)).transpose()?;
    let cpu_before = running.cpu()?;
    let load = load_until_delivered(plan.port, &dial, entrant, &mut running, &destination, stop)?;
    thread::sleep(SETTLE_TIME);
    let cpu = running.cpu()?.saturating_sub(cpu_before);
    let memory_peak = running.memory_peak()?;
    profile.map(Profile::stop).transpose()?;
    crowd.leave()?;
    running.stop()?;
    // Read after the stop: whatever came late is in.
    destination.read(workload)?;
    let ledger = destination.ledger();
    let counts = ledger.counts();
    let batches = ledger.batches.taken.load(Relaxed);
    let last_record = destination.last_record();
    let seconds = last_record.map_or(0.0, |last| (last - load.started).as_secs_f64());
    let (sent, lost) = (load.sent(), ledger.lost(load.sent_by_connection()));
    let per_message = |time: Duration, count: u64| time.as_nanos() as f64 / count.max(1) as f64;
    Ok(Run {
        label: entrant.label.clone(),
        sent,
        received: counts.received,
        lost,
        duplicated: counts.duplicated,
        reordered: counts.reordered,
        corrupt: counts.corrupt,
        misrouted: counts.misrouted,
        misshapen: counts.misshapen,
        by_topic: destination.by_topic(),
        cpu_per_million: per_message(cpu, sent) / 1e3,
        messages_per_second: counts.unique as f64 / seconds.max(1e-9),
        memory_peak_mib: memory_peak as f64 / f64::from(1 << 20),
        records_per_batch: counts.received as f64 / batches.max(1) as f64,
        load_ns: per_message(load.cpu(), sent),
        sink_ns: per_message(destination.stop()?, counts.received),
    })
}

/// Sends everything and waits until it is in the sink, or nothing more comes.
fn load_until_delivered(
    port: u16,
    dial: &Dial,
    entrant: &Entrant,
    running: &mut Running,
    destination: &Destination<'_>,
    stop: &AtomicBool,
) -> Result<load::Report, Failure> {
    let load_plan = load::Plan {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        dial: dial.clone(),
        connections: 4,
        first_connection: 0,
        messages: entrant.messages,
        rate: entrant.rate,
        workload: entrant.workload,
        framing: Framing::Lf,
        seed: 1,
    };
    let (load_stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let load = scope.spawn(|| load::run(&load_plan, &load_stop, &sent));
        let watched = watch(entrant.messages, running, destination, stop);
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
    destination: &Destination<'_>,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let mut received = 0;
    let mut progress = Instant::now();
    loop {
        if stop.load(Relaxed) {
            return Err(Failure::Run("stopped".into()));
        }
        running.check()?;
        let now = destination.records()?;
        if now >= messages && destination.has(messages) {
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

/// A folder for configurations and logs, removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new one, empty.
    pub fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("corndog-perf-{}", std::process::id()));
        fs::create_dir_all(&folder)
            .map_err(|error| Failure::Setup(format!("{}: {error}", folder.display())))?;
        Ok(Self(folder))
    }

    /// An empty folder of that name in it.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Failure> {
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
