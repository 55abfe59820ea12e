//! Watches the running engine from the main thread: what has changed since the last look, what the
//! last ten minutes were, whether all is well. The shards only count; everything else is done here.
//!
//! | part | what it holds |
//! | --- | --- |
//! | `show` | all of it at one instant, as [`Figures`](crate::figures::Figures) |
//! | `readiness` | whether Kafka takes records, and why not |
//! | `history` | the last ten minutes |
//! | `threads` | what threads cost |
//! | `brokers` | librdkafka's statistics |
//! | `percentiles` | histograms as people read them |
//! | `interval` | latencies since metrics were sent |

mod brokers;
mod history;
mod interval;
mod percentiles;
mod readiness;
mod show;
mod threads;

pub use show::Shown;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use corndog_pipeline::latency::Latencies;

use crate::engine::Engine;
use crate::figures::{Latency, Rates};
use crate::ledger::Ledger;
use brokers::Brokers;
use history::{Counts, Past};
use interval::Interval;
use percentiles::LatencyView;
use readiness::{Missing, Quiet};
use threads::Threads;

/// Between two looks; rates and the last latencies are of this interval.
const LOOK: Duration = Duration::from_secs(1);
/// librdkafka writes its statistics every 5 s; older ones are of a client that is stuck.
const BROKERS_OLD: Duration = Duration::from_secs(20);

/// What the looks have seen.
pub struct Observer {
    started_at: Instant,
    looked_at: Instant,
    /// What was counted at the last look.
    before: Seen,
    /// Per second, over the last interval.
    rates: Rates,
    rows: RowRates,
    /// Empty, to be given to the producer; `None`: it has it, and has not answered yet.
    spare: Option<Box<Latencies>>,
    /// Of the last interval that had a report.
    last: Box<Latencies>,
    /// Since the start.
    total: Latencies,
    /// Since metrics were sent.
    interval: Interval,
    /// Both as people read them, made when somebody asks.
    view: OnceCell<LatencyView>,
    past: Past,
    threads: Threads,
    brokers: Brokers,
    brokers_at: Option<Instant>,
    /// Statistics in a row in which no broker was connected, and how often connecting was tried until
    /// the last in which one was.
    missing_count: u64,
    tries_before: u64,
    quiet: Quiet,
}

/// Counts whose rates are shown.
#[derive(Debug, Default)]
struct Seen {
    ledger: Ledger,
    bytes_in: u64,
    bytes_out: u64,
    listeners: Vec<u64>,
    receivers: Vec<u64>,
    topics: Vec<u64>,
    rules: HashMap<String, u64>,
}

/// Per second over the last interval, row by row.
#[derive(Debug, Default)]
struct RowRates {
    listeners: Vec<f64>,
    receivers: Vec<f64>,
    topics: Vec<f64>,
    rules: HashMap<String, f64>,
}

impl Observer {
    /// Of an engine that has just started, with so many listeners.
    pub fn new(listener_count: usize, now: Instant) -> Observer {
        let total = Latencies::new(listener_count);
        Observer {
            started_at: now,
            looked_at: now,
            before: Seen::default(),
            rates: Rates::default(),
            rows: RowRates::default(),
            spare: Some(Box::new(Latencies::new(listener_count))),
            last: Box::new(Latencies::new(listener_count)),
            interval: Interval::new(&total.total),
            total,
            view: OnceCell::new(),
            past: Past::new(now),
            threads: Threads::new(now),
            brokers: Brokers::default(),
            brokers_at: None,
            missing_count: 0,
            tries_before: 0,
            quiet: Quiet::new(now),
        }
    }

    /// Looks, now and then.
    pub fn look(&mut self, engine: &Engine, now: Instant) {
        self.take_latencies(engine);
        let elapsed = now.saturating_duration_since(self.looked_at);
        if elapsed < LOOK {
            return;
        }
        self.looked_at = now;
        if let Some(empty) = self.spare.take() {
            self.spare = engine.ask_latencies(empty);
        }
        let seen = Seen::of(engine);
        let before = std::mem::take(&mut self.before);
        (self.rates, self.rows) = rates(&before, &seen, elapsed.as_secs_f64());
        let ledger = &seen.ledger;
        let counts = Counts {
            received: ledger.received,
            delivered: ledger.delivered,
            lost: ledger.dropped.iter().chain(&ledger.failed).sum(),
        };
        self.past.look(now, counts);
        self.quiet.look(ledger, now);
        self.threads.look(now);
        self.before = seen;
    }

    /// Takes what the producer has measured, if it has answered.
    pub fn take_latencies(&mut self, engine: &Engine) {
        let Some(mut taken) = engine.latencies() else { return };
        self.view.take();
        self.total.add(&taken);
        self.past.add(&taken.total);
        self.interval.add(&taken.total);
        if !taken.total.is_empty() {
            std::mem::swap(&mut self.last, &mut taken);
        }
        taken.clear();
        self.spare = Some(taken);
    }

    /// Takes librdkafka's statistics.
    pub fn take_statistics(&mut self, json: &str, now: Instant) {
        if let Some(brokers) = brokers::read(json) {
            if brokers.is_up {
                (self.missing_count, self.tries_before) = (0, brokers.tries);
            } else {
                self.missing_count += 1;
            }
            self.brokers = brokers;
            self.brokers_at = Some(now);
        }
    }

    /// Puts the latencies since metrics were sent in place of the last look's.
    pub fn put_interval(&mut self, latency: &mut Latency) {
        self.interval.put(latency);
    }

    /// They were sent.
    pub fn settle_interval(&mut self) {
        self.interval.settle();
    }

    /// How long no broker was connected.
    fn missing(&self) -> Missing {
        Missing { count: self.missing_count, is_trying: self.brokers.tries > self.tries_before }
    }

    /// The brokers, as far as something is known of them.
    fn known_brokers(&self, now: Instant) -> Option<&Brokers> {
        let is_old = |at: Instant| now.saturating_duration_since(at) >= BROKERS_OLD;
        (!self.brokers_at.is_none_or(is_old)).then_some(&self.brokers)
    }
}

impl Seen {
    fn of(engine: &Engine) -> Seen {
        let books = engine.books();
        let of_listener = |index: usize| books.sum(|shard| &shard.listeners[index].received);
        let topics = &books.producer.topics;
        Seen {
            ledger: books.ledger(),
            bytes_in: books.sum(|shard| &shard.bytes_in),
            bytes_out: topics.iter().map(|topic| topic.bytes.value()).sum(),
            listeners: (0..engine.settings().listen.len()).map(of_listener).collect(),
            receivers: books.receivers.iter().map(|shard| shard.received.value()).collect(),
            topics: topics.iter().map(|topic| topic.delivered.value()).collect(),
            rules: engine
                .rule_books()
                .rows()
                .map(|(name, counts)| (name.to_owned(), counts.matched))
                .collect(),
        }
    }
}

/// What has changed, per second.
fn rates(before: &Seen, now: &Seen, seconds: f64) -> (Rates, RowRates) {
    // A rule's count may start again at a reload.
    let per_second = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
    let each = |now: &[u64], before: &[u64]| -> Vec<f64> {
        let before = before.iter().copied().chain(std::iter::repeat(0));
        now.iter().zip(before).map(|(now, before)| per_second(*now, before)).collect()
    };
    let sum = |counts: &[u64]| counts.iter().sum();
    let rates = Rates {
        received: per_second(now.ledger.received, before.ledger.received),
        forwarded: per_second(now.ledger.forwarded, before.ledger.forwarded),
        delivered: per_second(now.ledger.delivered, before.ledger.delivered),
        dropped: per_second(sum(&now.ledger.dropped), sum(&before.ledger.dropped)),
        failed: per_second(sum(&now.ledger.failed), sum(&before.ledger.failed)),
        bytes_in: per_second(now.bytes_in, before.bytes_in),
        bytes_out: per_second(now.bytes_out, before.bytes_out),
    };
    let rule = |(name, count): (&String, &u64)| {
        let before = before.rules.get(name).copied().unwrap_or(*count);
        (name.clone(), per_second(*count, before))
    };
    let rows = RowRates {
        listeners: each(&now.listeners, &before.listeners),
        receivers: each(&now.receivers, &before.receivers),
        topics: each(&now.topics, &before.topics),
        rules: now.rules.iter().map(rule).collect(),
    };
    (rates, rows)
}
