//! The main thread while the engine runs: looks after the shards, takes signals, writes the log, and
//! answers whoever asks how it is.

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corndog_pipeline::control::{Level, Notice};
use corndog_pipeline::counters::Dropped;
use futures_lite::future::or;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use crate::engine::{ABORT_TIME_MAX, Engine};
use crate::figures::{Figures, LastError, Status};
use crate::observer::{Observer, Shown};
use crate::reload::{Answer, Reloader};
use crate::report::Report;
use crate::signals::{Request, Signals};
use crate::statistics;
use crate::statsd::Statsd;
use crate::status::{Asked, Latencies, Server, answer};

/// A line of statistics comes this often.
const STATISTICS: Duration = Duration::from_secs(10);
/// A signal this soon after the first is the same one: timeout(1) and terminals send it to the
/// process and to its group.
const SIGNAL_ECHO: Duration = Duration::from_millis(100);
/// How often the threads are looked after: running, and at a drain.
const TICK: Duration = Duration::from_millis(50);
const TICK_DRAINING: Duration = Duration::from_millis(2);
/// Notices taken in one turn; then whoever else waits for this thread has a turn.
const TURN_NOTICES_MAX: usize = 1024;

/// How much the main thread gives way.
const NICENESS: i32 = 10;

const EXIT_NOT_DRAINED: u8 = 1;

/// What was started.
pub struct Started {
    /// The shards.
    pub engine: Engine,
    /// Reads the configuration again.
    pub reloader: Reloader,
    /// The configuration's file.
    pub file: String,
    /// The sum of all bounds on memory.
    pub memory_bytes_max: usize,
    /// The status server's socket.
    pub status: Option<std::net::TcpListener>,
}

/// The main thread while the engine runs.
pub struct Running {
    engine: Engine,
    report: Report,
    observer: Observer,
    reloader: Reloader,
    file: String,
    loaded_at: Timestamp,
    refused_reloads: u64,
    memory_bytes_max: usize,
    status: Option<std::net::TcpListener>,
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

impl Running {
    /// Of an engine that has started.
    pub fn new(started: Started, report: Report) -> Running {
        let Started { engine, reloader, file, memory_bytes_max, status } = started;
        let now = Instant::now();
        Running {
            observer: Observer::new(engine.settings().listen.len(), now),
            engine,
            report,
            reloader,
            file,
            loaded_at: Timestamp::now(),
            refused_reloads: 0,
            memory_bytes_max,
            status,
            reloading: None,
            drain_until: None,
            signalled_at: None,
            abort_until: None,
            statistics_at: now + STATISTICS,
            said_at: now,
            received_before: 0,
        }
    }

    /// Runs until all shards have ended; the exit code.
    pub fn serve(mut self, runtime: &Runtime, mut signals: Signals) -> ExitCode {
        // Whoever looks takes no core from a shard. It is this thread's alone: the shards are there.
        let _ = rustix::process::nice(NICENESS);
        let status = self.status.take();
        let statsd = self.engine.settings().statsd.clone().map(Statsd::new);
        let running = Rc::new(RefCell::new(self));
        let tasks = LocalSet::new();
        tasks.block_on(runtime, async {
            if let Some(listener) = status {
                serve_status(listener, &running);
            }
            match statsd {
                Some(mut statsd) => {
                    or(run_turns(&running, &mut signals), send_metrics(&running, &mut statsd))
                        .await;
                    // What moved since the last interval; what of it fails is over with the run.
                    let figures = Arc::new(running.borrow_mut().metrics());
                    let _ = statsd.send(&figures).await;
                }
                None => run_turns(&running, &mut signals).await,
            }
        });
        // Connections end where they are; they hold what is closed next.
        drop(tasks);
        running.borrow_mut().close()
    }

    /// One turn; how long until the next. `None`: all is over.
    fn turn(&mut self) -> Option<Duration> {
        if self.engine.has_ended() {
            return None;
        }
        self.take_notices(TURN_NOTICES_MAX);
        self.go_on_reloading();
        let now = Instant::now();
        for (level, text) in self.engine.look_around(now) {
            self.report.say(level, &text);
        }
        self.observer.look(&self.engine, now);
        if now >= self.statistics_at {
            self.statistics_at = now + STATISTICS;
            self.say_statistics();
        }
        if self.engine.has_died() && self.drain_until.is_none() {
            self.report.say(Level::Error, "a shard has ended by itself; draining the others");
            self.drain("a shard has ended");
        }
        if self.abort_until.is_none() && self.drain_until.is_some_and(|until| now >= until) {
            self.abort("limits.drain_time is over");
        }
        if self.abort_until.is_some_and(|until| now >= until) {
            return None;
        }
        Some(if self.drain_until.is_some() { TICK_DRAINING } else { TICK })
    }

    fn take_notices(&mut self, count_max: usize) {
        for notice in self.engine.early_notices() {
            self.take_notice(notice);
        }
        for _ in 0..count_max {
            let Ok(notice) = self.engine.notices().try_recv() else { return };
            self.take_notice(notice);
        }
    }

    fn take_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Said { level, kind, text } => self.report.say_once(level, kind, &text),
            Notice::Dropped { level, kind, reason, text } => {
                self.report.say_dropped(level, kind, &text, self.dropped(reason));
            }
            Notice::OfPeer { kind, peer, text } => self.report.say_once_of(kind, peer, &text),
            Notice::Refused(why) => self.report.say(Level::Error, &why),
            Notice::Statistics(json) => self.observer.take_statistics(&json, Instant::now()),
            Notice::Started => {}
        }
    }

    fn take(&mut self, request: Request) {
        let Request::Stop(name) = request else { return self.ask_reload() };
        let is_echo = self.signalled_at.is_some_and(|at| at.elapsed() < SIGNAL_ECHO);
        self.signalled_at.get_or_insert_with(Instant::now);
        if is_echo {
            return;
        }
        if self.drain_until.is_none() {
            self.drain(name);
        } else if self.abort_until.is_none() {
            self.abort(name);
        }
    }

    fn ask_reload(&mut self) {
        if self.drain_until.is_some() {
            return self.report.say(Level::Info, "not reloading: the process is about to end");
        }
        if let Err(why) = self.reloader.ask() {
            self.refused_reloads += 1;
            self.report.say(Level::Error, &why);
        }
    }

    /// Takes what a reload has prepared, and says when all shards have it.
    fn go_on_reloading(&mut self) {
        if self.reloading.is_some() {
            // Shards that drain take nothing any more.
            if self.engine.is_swapping() && self.drain_until.is_none() {
                return;
            }
            for kept in self.reloading.take().unwrap_or_default() {
                self.report.say(Level::Warn, &kept);
            }
            self.loaded_at = Timestamp::now();
            return self.report.say_with(Level::Info, "reloaded", self.generation());
        }
        let sentences = match self.reloader.answer() {
            Answer::None => return,
            Answer::Refused(sentences) => sentences,
            Answer::Prepared(prepared) => {
                let warnings = prepared.plan.warnings.clone();
                match self.engine.reload(*prepared) {
                    Ok(kept) => {
                        let report = &self.report;
                        warnings.iter().for_each(|warning| report.say(Level::Warn, warning));
                        self.reloading = Some(kept);
                        return;
                    }
                    Err(why) => vec![why],
                }
            }
        };
        self.refused_reloads += 1;
        sentences.iter().for_each(|sentence| self.report.say(Level::Error, sentence));
        let text = "not reloaded: nothing has changed";
        self.report.say_with(Level::Error, text, self.generation());
    }

    fn generation(&self) -> Map<String, Value> {
        Map::from_iter([("generation".to_owned(), self.engine.generation().into())])
    }

    fn drain(&mut self, why: &str) {
        let drain_time = self.engine.drain_time();
        self.drain_until = Some(Instant::now() + drain_time);
        let mut fields = Map::from_iter([("reason".to_owned(), why.into())]);
        fields.insert("drain_time_s".to_owned(), drain_time.as_secs_f64().into());
        self.report.say_with(Level::Info, "draining", fields);
        self.engine.drain();
    }

    fn abort(&mut self, why: &str) {
        self.abort_until = Some(Instant::now() + ABORT_TIME_MAX);
        self.report
            .say(Level::Warn, &format!("{why}: what is not delivered counts as failed.shutdown"));
        self.engine.abort();
    }

    /// The last lines, and the exit code.
    fn close(&mut self) -> ExitCode {
        self.take_notices(usize::MAX);
        self.engine.end_embedded();
        let of_kind = |kind: &str| {
            Dropped::ALL
                .into_iter()
                .find(|reason| is_kind(kind, *reason))
                .map(|of| self.dropped(of))
        };
        self.report.say_left_out(|kind| of_kind(kind).unwrap_or(0));
        // What a run shorter than its interval did, too.
        self.say_statistics();
        let ledger = self.engine.books().ledger();
        let is_drained = self.abort_until.is_none() && !self.engine.has_died();
        debug_assert!(!is_drained || ledger.is_closed(), "the ledger is open: {ledger:?}");
        debug_assert_eq!(self.engine.books().producer.in_flight.value(), 0);
        let mut fields = ledger.fields();
        statistics::add_allocations(&mut fields);
        self.report.say_with(Level::Info, "ledger", fields);
        if is_drained && ledger.is_closed() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(EXIT_NOT_DRAINED)
        }
    }

    fn say_statistics(&mut self) {
        let ledger = self.engine.books().ledger();
        debug_assert!(ledger.in_hand() >= 0 && ledger.in_flight() >= 0, "a deficit: {ledger:?}");
        let mut fields = ledger.fields();
        let since = std::mem::replace(&mut self.said_at, Instant::now()).elapsed();
        let rate =
            (ledger.received - self.received_before) * 1000 / (since.as_millis() as u64).max(1);
        self.received_before = ledger.received;
        fields.insert("received_per_second".to_owned(), rate.into());
        fields.extend(statistics::condition(self.engine.books()));
        fields.insert("dropped_by_kernel".to_owned(), self.engine.dropped_by_kernel().into());
        fields.extend(self.generation());
        statistics::add_allocations(&mut fields);
        self.report.say_with(Level::Info, "statistics", fields);
    }

    /// Messages dropped for a reason, by all receivers.
    fn dropped(&self, reason: Dropped) -> u64 {
        self.engine.books().sum(|shard| &shard.dropped[reason as usize])
    }

    /// The last error of each kind; of dropped messages there are more than were told of.
    fn last_errors(&self) -> Vec<LastError> {
        let mut errors = self.report.last_errors();
        for reason in Dropped::ALL {
            if let Some(error) = errors.iter_mut().find(|error| is_kind(&error.kind, reason)) {
                error.count = self.dropped(reason);
            }
        }
        errors
    }

    /// All of it at this instant.
    fn figures(&self, status: Status) -> Figures {
        let shown = Shown {
            engine: &self.engine,
            file: &self.file,
            loaded_at: self.loaded_at,
            refused: self.refused_reloads,
            memory_bytes_max: self.memory_bytes_max,
            errors: self.last_errors(),
            status,
        };
        self.observer.figures(shown, Instant::now())
    }

    /// The same for statsd: its last latencies are those since metrics were sent.
    fn metrics(&mut self) -> Figures {
        let mut figures = self.figures(Status::default());
        self.observer.put_interval(&mut figures.latency);
        figures
    }

    /// What buckets are made of.
    fn latencies(&self) -> Latencies {
        let stages = self.observer.stages().map(|(name, of)| (name, of.clone()));
        Latencies {
            listeners: self.observer.listener_latencies().to_vec(),
            stages: stages.collect(),
        }
    }
}

/// Whether a condition of the log is that messages are dropped for this reason.
fn is_kind(kind: &str, reason: Dropped) -> bool {
    kind.strip_prefix("dropped_") == Some(reason.name())
}

/// Turn after turn, until all is over.
async fn run_turns(running: &RefCell<Running>, signals: &mut Signals) {
    loop {
        // Nothing is borrowed while others have their turn.
        let turn = running.borrow_mut().turn();
        let Some(tick) = turn else { return };
        if let Ok(request) = tokio::time::timeout(tick, signals.next()).await {
            running.borrow_mut().take(request);
        }
    }
}

/// Sends metrics to statsd, without end.
async fn send_metrics(running: &RefCell<Running>, statsd: &mut Statsd) {
    let figures = || Arc::new(running.borrow_mut().metrics());
    let settle = || running.borrow_mut().observer.settle_interval();
    let say = |level, kind, text: String| running.borrow_mut().report.say_once(level, kind, &text);
    statsd.run(figures, settle, say).await;
}

/// Answers whoever connects, as long as the tasks run.
fn serve_status(listener: std::net::TcpListener, running: &Rc<RefCell<Running>>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(why) => {
            let text = format!("status.address: nobody can be answered: {why}");
            return running.borrow().report.say(Level::Error, &text);
        }
    };
    let (running, warning) = (running.clone(), running.clone());
    let server = Rc::new_cyclic(|server: &std::rc::Weak<Server>| {
        let server = server.clone();
        let answer = move |asked: Asked<'_>| {
            let running = running.borrow();
            let status = server.upgrade().map(|server| server.status()).unwrap_or_default();
            answer(asked, || running.figures(status), || running.latencies())
        };
        let warn =
            move |kind, text: &str| warning.borrow().report.say_once(Level::Warn, kind, text);
        Server::new(answer, warn)
    });
    tokio::task::spawn_local(server.serve(listener));
}
