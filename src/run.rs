//! `corndog run` and `corndog check`: from a file to an exit code.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use corndog_pipeline::control::{Level, Notice};
use corndog_pipeline::counters::{Closed, Dropped, Failed, Refused};
use crossbeam_channel::{Receiver, bounded, select};
use serde_json::{Map, Value};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::args::LogFormat;
use crate::engine::{ABORT_TIME_MAX, Engine};
use crate::ledger::{Books, by_reason};
use crate::listeners::Listeners;
use crate::memory::MemorySum;
use crate::plan::{Plan, plan};
use crate::probe;
use crate::reload::{Answer, Reloader};
use crate::report::Report;

/// A line of statistics comes this often.
const STATISTICS: Duration = Duration::from_secs(10);
/// A signal this soon after the first is the same one: timeout(1) and terminals send it to the
/// process and to its group.
const SIGNAL_ECHO: Duration = Duration::from_millis(100);
/// How often the threads are looked after: running, and at a drain.
const TICK: Duration = Duration::from_millis(50);
const TICK_DRAINING: Duration = Duration::from_millis(2);

const EXIT_NOT_DRAINED: u8 = 1;
const EXIT_REFUSED: u8 = 2;

/// `corndog check`: what the configuration means, or every mistake in it.
pub fn check(file: Option<&str>) -> ExitCode {
    let report = Report::new(LogFormat::Text);
    match plan(file, |_| {}) {
        Ok(plan) => {
            plan.warnings.iter().for_each(|warning| report.say(Level::Warn, warning));
            let memory = MemorySum::new(&plan.settings, &plan.rules).describe(&plan.settings);
            print_line(&format!("{}: {}; {memory}", plan.path, plan.settings.summary()));
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| report.say(Level::Error, mistake));
            ExitCode::from(EXIT_REFUSED)
        }
    }
}

fn print_line(line: &str) {
    use std::io::Write as _;
    // A closed stdout leaves nobody to tell.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// `corndog run`: until SIGTERM or SIGINT.
pub fn run(file: Option<&str>, format: LogFormat) -> ExitCode {
    let mut report = Report::new(format);
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.to_string().replace('\n', " ");
        Report::new(format).say(Level::Error, &format!("a bug in corndog: {text}"));
    }));
    match start(file, &report) {
        Ok((run, signals)) => run.serve(&mut report, &signals),
        Err(sentences) => {
            sentences.iter().for_each(|sentence| report.say(Level::Error, sentence));
            ExitCode::from(EXIT_REFUSED)
        }
    }
}

fn start(file: Option<&str>, report: &Report) -> Result<(Run, Receiver<i32>), Vec<String>> {
    let signals = signals().map_err(|why| vec![format!("signals cannot be taken: {why}")])?;
    let found = |path: &str| report.say(Level::Info, &format!("configuration: {path}"));
    let Plan { path, mut settings, rules, tls, warnings } = plan(file, found)?;
    warnings.iter().for_each(|warning| report.say(Level::Warn, warning));
    if let Some(warning) = probe::take_descriptors(&settings).map_err(|why| vec![why])? {
        report.say(Level::Warn, &warning);
    }
    let shard_count = settings.cores.receivers.len();
    let (listeners, warnings) = Listeners::open(&mut settings.listen, tls, shard_count)?;
    warnings.iter().for_each(|warning| report.say(Level::Warn, warning));
    let memory = MemorySum::new(&settings, &rules);
    report.say_with(
        Level::Info,
        &memory.describe(&settings),
        Map::from_iter([
            ("memory_bytes_max".to_owned(), memory.total().into()),
            ("record_bytes_max".to_owned(), memory.records.into()),
        ]),
    );
    if settings.kafka.embedded {
        report.say(
            Level::Warn,
            "kafka.embedded = true: records go to a Kafka inside this process, which is for trying \
             things: it keeps little and ends with the process; set kafka.embedded = false and \
             kafka.conf.\"bootstrap.servers\" for a real one",
        );
    }
    let engine = Engine::start(&settings, rules, listeners)?;
    engine.go();
    let addresses: Vec<Value> =
        settings.listen.iter().map(|listener| listener.address.to_string().into()).collect();
    report.say_with(
        Level::Info,
        "ready",
        Map::from_iter([
            ("listen".to_owned(), Value::Array(addresses)),
            ("receivers".to_owned(), Value::from(settings.cores.receivers.clone())),
            ("producer".to_owned(), settings.cores.producer.into()),
            ("generation".to_owned(), engine.generation().into()),
        ]),
    );
    let reloader = Reloader::new(path, settings.cores.receivers.len());
    Ok((Run::new(engine, reloader), signals))
}

/// SIGTERM, SIGINT and SIGHUP, as a channel.
fn signals() -> std::io::Result<Receiver<i32>> {
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let (out, taken) = bounded(8);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in &mut signals {
            // More signals than that say nothing new.
            let _ = out.try_send(signal);
        }
    })?;
    Ok(taken)
}

/// The main thread while the engine runs.
struct Run {
    engine: Engine,
    reloader: Reloader,
    /// What could not be put in force by the reload under way, to be said when it is done.
    reloading: Option<Vec<String>>,
    drain_until: Option<Instant>,
    signalled_at: Option<Instant>,
    abort_until: Option<Instant>,
    statistics_at: Instant,
    /// When the last line of statistics was written.
    said_at: Instant,
    received_before: u64,
}

impl Run {
    fn new(engine: Engine, reloader: Reloader) -> Run {
        Run {
            engine,
            reloader,
            reloading: None,
            drain_until: None,
            signalled_at: None,
            abort_until: None,
            statistics_at: Instant::now() + STATISTICS,
            said_at: Instant::now(),
            received_before: 0,
        }
    }

    fn serve(mut self, report: &mut Report, signals: &Receiver<i32>) -> ExitCode {
        while !self.engine.has_ended() {
            let tick = if self.drain_until.is_some() { TICK_DRAINING } else { TICK };
            select! {
                recv(signals) -> signal => self.take_signal(signal.unwrap_or(SIGTERM), report),
                recv(self.engine.notices()) -> notice => {
                    if let Ok(notice) = notice {
                        log(notice, report);
                    }
                }
                default(tick) => {}
            }
            self.go_on_reloading(report);
            let now = Instant::now();
            for (level, text) in self.engine.look_around(now) {
                report.say(level, &text);
            }
            if now >= self.statistics_at {
                self.statistics_at = now + STATISTICS;
                self.say_statistics(report);
            }
            if self.engine.has_died() && self.drain_until.is_none() {
                report.say(Level::Error, "a shard has ended by itself; draining the others");
                self.drain(report, "a shard has ended");
            }
            if self.abort_until.is_none() && self.drain_until.is_some_and(|until| now >= until) {
                self.abort(report, "limits.drain_time is over");
            }
            if self.abort_until.is_some_and(|until| now >= until) {
                break;
            }
        }
        self.close(report)
    }

    fn take_signal(&mut self, signal: i32, report: &mut Report) {
        if signal == SIGHUP {
            return self.ask_reload(report);
        }
        let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
        let is_echo = self.signalled_at.is_some_and(|at| at.elapsed() < SIGNAL_ECHO);
        self.signalled_at.get_or_insert_with(Instant::now);
        if is_echo {
            return;
        }
        if self.drain_until.is_none() {
            self.drain(report, name);
        } else if self.abort_until.is_none() {
            self.abort(report, name);
        }
    }

    fn ask_reload(&mut self, report: &Report) {
        if self.drain_until.is_some() {
            return report.say(Level::Info, "not reloading: the process is about to end");
        }
        if let Err(why) = self.reloader.ask() {
            report.say(Level::Error, &why);
        }
    }

    /// Takes what a reload has prepared, and says when all shards have it.
    fn go_on_reloading(&mut self, report: &Report) {
        if self.reloading.is_some() {
            // Shards that drain take nothing any more.
            if self.engine.is_swapping() && self.drain_until.is_none() {
                return;
            }
            for kept in self.reloading.take().unwrap_or_default() {
                report.say(Level::Warn, &kept);
            }
            return report.say_with(Level::Info, "reloaded", self.generation());
        }
        let sentences = match self.reloader.answer() {
            Answer::None => return,
            Answer::Refused(sentences) => sentences,
            Answer::Prepared(prepared) => {
                let warnings = prepared.plan.warnings.clone();
                match self.engine.reload(*prepared) {
                    Ok(kept) => {
                        warnings.iter().for_each(|warning| report.say(Level::Warn, warning));
                        self.reloading = Some(kept);
                        return;
                    }
                    Err(why) => vec![why],
                }
            }
        };
        sentences.iter().for_each(|sentence| report.say(Level::Error, sentence));
        let text = "not reloaded: nothing has changed";
        report.say_with(Level::Error, text, self.generation());
    }

    fn generation(&self) -> Map<String, Value> {
        Map::from_iter([("generation".to_owned(), self.engine.generation().into())])
    }

    fn drain(&mut self, report: &mut Report, why: &str) {
        let drain_time = self.engine.drain_time();
        self.drain_until = Some(Instant::now() + drain_time);
        let mut fields = Map::from_iter([("reason".to_owned(), why.into())]);
        fields.insert("drain_time_s".to_owned(), drain_time.as_secs_f64().into());
        report.say_with(Level::Info, "draining", fields);
        self.engine.drain();
    }

    fn abort(&mut self, report: &mut Report, why: &str) {
        self.abort_until = Some(Instant::now() + ABORT_TIME_MAX);
        report.say(Level::Warn, &format!("{why}: what is not delivered counts as failed.shutdown"));
        self.engine.abort();
    }

    /// The last lines, and the exit code.
    fn close(mut self, report: &mut Report) -> ExitCode {
        while let Ok(notice) = self.engine.notices().try_recv() {
            log(notice, report);
        }
        self.engine.end_embedded();
        report.say_left_out();
        // What a run shorter than its interval did, too.
        self.say_statistics(report);
        let ledger = self.engine.books().ledger();
        let is_drained = self.abort_until.is_none() && !self.engine.has_died();
        debug_assert!(!is_drained || ledger.is_closed(), "the ledger is open: {ledger:?}");
        debug_assert_eq!(self.engine.books().producer.in_flight.value(), 0);
        let mut fields = ledger.fields();
        add_allocations(&mut fields);
        report.say_with(Level::Info, "ledger", fields);
        if is_drained && ledger.is_closed() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(EXIT_NOT_DRAINED)
        }
    }

    fn say_statistics(&mut self, report: &Report) {
        let books = self.engine.books();
        let ledger = books.ledger();
        debug_assert!(ledger.in_hand() >= 0 && ledger.in_flight() >= 0, "a deficit: {ledger:?}");
        let mut fields = ledger.fields();
        let since = std::mem::replace(&mut self.said_at, Instant::now()).elapsed();
        let rate =
            (ledger.received - self.received_before) * 1000 / (since.as_millis() as u64).max(1);
        self.received_before = ledger.received;
        fields.insert("received_per_second".to_owned(), rate.into());
        fields.extend(condition(books));
        fields.insert("dropped_by_kernel".to_owned(), self.engine.dropped_by_kernel().into());
        fields.extend(self.generation());
        add_allocations(&mut fields);
        report.say_with(Level::Info, "statistics", fields);
    }
}

/// What else the statistics show.
fn condition(books: &Books) -> Map<String, Value> {
    let closed: [u64; Closed::ALL.len()] =
        std::array::from_fn(|reason| books.sum(|shard| &shard.closed[reason]));
    let refused: [u64; Refused::ALL.len()] =
        std::array::from_fn(|reason| books.sum(|shard| &shard.refused[reason]));
    // Ended is read first: a connection is never counted as ended and not as accepted.
    let ended = books.sum(|shard| &shard.ended);
    let accepted = books.sum(|shard| &shard.accepted);
    let empty: Vec<u64> = books.receivers.iter().map(|shard| shard.batches_empty.value()).collect();
    Map::from_iter([
        ("connections".to_owned(), (accepted - ended).into()),
        ("closed".to_owned(), by_reason(&Closed::ALL.map(Closed::name), &closed)),
        ("connections_refused".to_owned(), by_reason(&Refused::ALL.map(Refused::name), &refused)),
        ("accept_failed".to_owned(), books.sum(|shard| &shard.accept_failed).into()),
        ("dead_lettered".to_owned(), dead_lettered(books)),
        ("truncated".to_owned(), books.sum(|shard| &shard.truncated).into()),
        ("bytes_in".to_owned(), books.sum(|shard| &shard.bytes_in).into()),
        ("held".to_owned(), books.sum(|shard| &shard.held).into()),
        ("batches_empty".to_owned(), Value::from(empty)),
        ("resent".to_owned(), books.producer.resent.value().into()),
        ("rebuilt".to_owned(), books.producer.rebuilt.value().into()),
    ])
}

/// Dead letters by reason: those that the rules made, and those that Kafka did.
fn dead_lettered(books: &Books) -> Value {
    let by_rules = Dropped::ALL
        .map(|reason| (reason.name(), books.sum(|shard| &shard.dead_lettered[reason as usize])));
    let by_kafka = Failed::ALL
        .map(|reason| (reason.name(), books.producer.dead_lettered[reason as usize].value()));
    let (names, counts): (Vec<&str>, Vec<u64>) = by_rules.into_iter().chain(by_kafka).unzip();
    by_reason(&names, &counts)
}

/// In a build that counts them: allocations of the program so far.
#[cfg(feature = "count-allocations")]
fn add_allocations(fields: &mut Map<String, Value>) {
    fields.insert("allocations".to_owned(), crate::ALLOCATOR.stats().allocations.into());
}

#[cfg(not(feature = "count-allocations"))]
fn add_allocations(_fields: &mut Map<String, Value>) {}

fn log(notice: Notice, report: &mut Report) {
    match notice {
        Notice::Said { level, kind, text } => report.say_once(level, kind, &text),
        Notice::OfPeer { kind, peer, text } => report.say_once_of(kind, peer, &text),
        Notice::Refused(why) => report.say(Level::Error, &why),
        Notice::Started => {}
    }
}
