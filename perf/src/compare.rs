//! Rounds that run each forwarder in turn under one load into one kind of sink.
//!
//! ```text
//!  a run:  sink up, forwarder up, settle | CPU | load ... all in the sink, settle | CPU | stop
//! ```
//!
//! The order within a round alternates, so that a drift of the machine meets all alike. Figures of
//! one round belong together: a ratio is taken per round, then its median.

use crate::destination::Destination;
use crate::failure::Failure;
use crate::fleet::{Fleet, Sent};
use crate::forwarder::{self, Installed, Place, Running};
use crate::kafka::Kafka;
use crate::load;
use crate::message::Framing;
use crate::pace::{Pace, Spread};
use crate::progress::Progress;
use crate::recording::{self, Recording};
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
pub(crate) const SETTLE_TIME: Duration = Duration::from_millis(500);
/// A run without a new record for this long is over.
const STALL_TIME: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(20);
/// Of a load that is no fleet.
const LOAD_CONNECTIONS: u16 = 4;
/// Between two writes of a connection at a rate: they are to cost what they cost flat out, about.
const RATE_STEP: Duration = Duration::from_millis(1);
/// What 99 of 100 messages of a rate may be late by the load's own doing: later ones would come in
/// lumps, which cost less.
const LATE_MOST: Duration = Duration::from_millis(20);

/// One line of a table: a forwarder, and what it has to forward.
#[derive(Debug, Clone)]
pub struct Entrant {
    /// The table: entrants of one group are compared with each other.
    pub group: String,
    /// Its name in that table.
    pub label: String,
    /// The forwarder.
    pub installed: Installed,
    /// What is sent, and by which rules it is forwarded.
    pub workload: Workload,
    /// Messages per run.
    pub messages: u64,
    /// Connections that a fleet spreads the load over; `None`: four, each with a thread of its own.
    pub connections: Option<u16>,
    /// Variables that the forwarder reads over its configuration.
    pub environment: Vec<(&'static str, String)>,
    /// Messages a second, but for those of a fleet; `None`: flat out.
    pub rate: Option<u64>,
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
    /// The sink of every run, but for whose messages come, which is the workload's.
    pub sink: sink::Plan,
}

/// What one run of one forwarder showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The entrant's.
    pub group: String,
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
    /// Whether the forwarder took the rate at which it was sent to; flat out, it did.
    pub is_taken: bool,
    /// The forwarder's peak resident memory in MiB.
    pub memory_peak_mib: f64,
    /// Records per batch, on average: a forwarder that fills its batches needs fewer requests.
    pub records_per_batch: f64,
    /// The generator's CPU, nanoseconds per message.
    pub load_ns: f64,
    /// The sink's CPU, or all of Kafka's, nanoseconds per record.
    pub sink_ns: f64,
}

impl Run {
    /// Every message came, to where it belongs and as it has to be: else its cost means nothing.
    pub fn is_whole(&self) -> bool {
        self.lost + self.corrupt + self.misrouted + self.misshapen == 0
    }
}

impl fmt::Display for Run {
    /// One line, told as the run ends.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:.3} CPU s/million, {:.0} messages/s, {:.0} records/batch, lost {}, wrong {}",
            self.cpu_per_million,
            self.messages_per_second,
            self.records_per_batch,
            self.lost,
            self.misrouted + self.misshapen,
        )
    }
}

impl Plan {
    /// Every run, in its order.
    fn order(&self) -> Vec<&Entrant> {
        let round = |round: usize| -> Vec<&Entrant> {
            match round % 2 {
                0 => self.entrants.iter().collect(),
                _ => self.entrants.iter().rev().collect(),
            }
        };
        (0..self.rounds).flat_map(round).collect()
    }

    /// Errors: `Failure::Setup` says what is wrong, missing or in use, before anything runs.
    pub fn check(&self) -> Result<(), Failure> {
        if self.rounds == 0 || self.entrants.iter().any(|entrant| entrant.messages == 0) {
            return Err(Failure::Setup("a round and a message are needed at least".into()));
        }
        for entrant in &self.entrants {
            entrant.workload.check()?;
            load_plan(entrant, self.port, Dial::Plain).check()?;
            entrant.installed.check(entrant.workload)?;
        }
        self.profile.as_deref().map_or(Ok(()), recording::check)?;
        forwarder::check_port(self.port, "--port")?;
        self.sink.check_ports("--sink-port")
    }
}

/// Runs all rounds, and tells how far it is.
///
/// Errors: nothing is reported by halves: the first failure ends it all. `Failure::Stopped` if
/// `stop` was set.
pub fn run(plan: &Plan, stop: &AtomicBool) -> Result<Vec<Run>, Failure> {
    plan.check()?;
    let scratch = Scratch::new()?;
    let order = plan.order();
    let name = |entrant: &&Entrant| format!("{}, {}", entrant.group, entrant.label);
    let mut progress = Progress::new(order.iter().map(name).collect());
    let mut runs = Vec::new();
    for entrant in order {
        progress.begin();
        let run = run_one(plan, entrant, &scratch, stop);
        // Whatever else failed then, failed for that reason.
        if stop.load(Relaxed) {
            return Err(Failure::Stopped);
        }
        let run = run?;
        progress.end(&run);
        runs.push(run);
    }
    Ok(runs)
}

/// One forwarder, once: from an empty sink to a stopped process.
///
/// Errors: as `run`, but for what `Plan::check` finds, and what failed because of `stop`.
pub fn run_one(
    plan: &Plan,
    entrant: &Entrant,
    scratch: &Scratch,
    stop: &AtomicBool,
) -> Result<Run, Failure> {
    let workload = entrant.workload;
    let mut destination = Destination::start(entrant.kafka.as_deref(), &plan.sink, workload)?;
    let bootstrap = destination.bootstrap();
    let folder = scratch.folder(entrant.installed.kind.name())?;
    let environment = &entrant.environment;
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
    let open = |count| Fleet::open(plan.port, count, &mut running);
    let mut fleet = entrant.connections.map(open).transpose()?;
    let recording = plan.profile.as_deref().map(|file| running.record(file)).transpose()?;
    let cpu_before = running.cpu()?;
    let scene = Scene { port: plan.port, dial: &dial, entrant, destination: &destination, stop };
    let load = scene.load_until_delivered(fleet.as_mut(), &mut running)?;
    thread::sleep(SETTLE_TIME);
    let cpu = running.cpu()?.saturating_sub(cpu_before);
    let memory_peak = running.memory_peak()?;
    recording.map(Recording::stop).transpose()?;
    fleet.map(Fleet::leave).transpose()?;
    running.stop()?;
    // Read after the stop: whatever came late is in.
    destination.read(workload)?;
    let ledger = destination.ledger();
    let counts = ledger.counts();
    let batches = ledger.batches.taken.load(Relaxed);
    let last_record = destination.last_record();
    let seconds = last_record.map_or(0.0, |last| (last - load.started).as_secs_f64());
    let sent = load.by_connection.iter().map(|(_, count)| count).sum();
    let lost = ledger.lost(load.by_connection.iter().copied());
    let per_message = |time: Duration, count: u64| time.as_nanos() as f64 / count.max(1) as f64;
    Ok(Run {
        group: entrant.group.clone(),
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
        is_taken: load.is_taken,
        memory_peak_mib: memory_peak as f64 / f64::from(1 << 20),
        records_per_batch: counts.received as f64 / batches.max(1) as f64,
        load_ns: per_message(load.cpu, sent),
        sink_ns: per_message(destination.stop()?, counts.received),
    })
}

/// What a load needs to know.
struct Scene<'a> {
    port: u16,
    dial: &'a Dial,
    entrant: &'a Entrant,
    destination: &'a Destination<'a>,
    stop: &'a AtomicBool,
}

impl Scene<'_> {
    /// Sends everything and waits until it is in the sink, or nothing more comes.
    fn load_until_delivered(
        &self,
        fleet: Option<&mut Fleet>,
        running: &mut Running,
    ) -> Result<Sent, Failure> {
        let load_stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let load = scope.spawn(|| self.send(fleet, &load_stop));
            let watched = watch(self.entrant.messages, running, self.destination, self.stop);
            // In the good case it has ended; else this lets it go.
            load_stop.store(true, Relaxed);
            let sent = load.join().map_err(|_| Failure::Run("the load panicked".into()))?;
            watched.and(sent)
        })
    }

    /// Sends everything, or until `load_stop`.
    fn send(&self, fleet: Option<&mut Fleet>, load_stop: &AtomicBool) -> Result<Sent, Failure> {
        let Entrant { workload, messages, .. } = *self.entrant;
        if let Some(fleet) = fleet {
            // Why it cannot be asked is told to the one who watches.
            let arrived = || self.destination.records().unwrap_or(0);
            return fleet.send(workload, messages, load_stop, &arrived);
        }
        let plan = load_plan(self.entrant, self.port, self.dial.clone());
        let report = load::run(&plan, load_stop, &AtomicU64::new(0))?;
        if let Some(error) = report.error() {
            return Err(Failure::Run(format!("the forwarder's connection broke: {error}")));
        }
        plan.pace.map_or(Ok(()), |pace| report.check_pace(&pace, LATE_MOST))?;
        Ok(Sent {
            started: report.started,
            cpu: report.cpu(),
            by_connection: report.sent_by_connection().collect(),
            is_taken: report.is_taken(&plan),
        })
    }
}

/// What is sent to an entrant, unless it is a fleet's.
fn load_plan(entrant: &Entrant, port: u16, dial: Dial) -> load::Plan {
    let pace = |rate| Pace { rate, spread: Spread::Constant, step: RATE_STEP };
    load::Plan {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        dial,
        connections: LOAD_CONNECTIONS,
        first_connection: 0,
        messages: entrant.messages,
        pace: entrant.rate.map(pace),
        source: entrant.workload.into(),
        framing: Framing::Lf,
        seed: 1,
    }
}

/// Returns when all is in the sink, or when nothing has come for a while.
pub(crate) fn watch(
    messages: u64,
    running: &mut Running,
    destination: &Destination<'_>,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let mut received = 0;
    let mut progress = Instant::now();
    loop {
        if stop.load(Relaxed) {
            return Err(Failure::Stopped);
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
