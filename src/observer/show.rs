//! The engine and what was observed of it -> [`Figures`] of this instant.

use std::collections::BTreeMap;
use std::time::Instant;

use corndog_pipeline::counters::{Closed, Counter, ReceiverCounters, Refused, State};
use corndog_pipeline::latency::{LATENCY_TOPICS_MAX, STAGES};
use corndog_pipeline::topics::Lane;
use hdrhistogram::Histogram;
use jiff::Timestamp;

use super::percentiles::LatencyView;
use super::{Observer, readiness};
use crate::engine::Engine;
use crate::figures::{
    Certificate, Configuration, Connections, Figures, LastError, Listener, Memory, Rule, Shard,
    Status, Thread, Topic,
};
use crate::hotdog_stats::hotdog_stats;
use crate::ledger::{Books, Ledger};

/// Topics that have a row; the others share one.
const TOPICS_SHOWN_MAX: usize = 1000;
/// What that one is called: no topic of a user's may begin so.
const OTHER_TOPICS: &str = "__other__";

/// What the run knows, and the observer does not.
pub struct Shown<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The configuration's file.
    pub file: &'a str,
    /// When it was put in force.
    pub loaded_at: Timestamp,
    /// Reloads that were refused.
    pub refused: u64,
    /// The sum of all bounds.
    pub memory_bytes_max: usize,
    /// The last of each kind.
    pub errors: Vec<LastError>,
    /// Of the status server.
    pub status: Status,
}

impl Observer {
    /// Everything at this instant; rates are of the last interval.
    pub fn figures(&self, shown: Shown<'_>, now: Instant) -> Figures {
        let engine = shown.engine;
        let books = engine.books();
        let ledger = books.ledger();
        let brokers = self.known_brokers(now);
        let reasons = readiness::reasons(engine, brokers, self.missing(), &self.quiet, now);
        let state = match () {
            () if engine.phase() > corndog_pipeline::control::Phase::Running => "draining",
            () if reasons.is_empty() => "ready",
            () => "not_ready",
        };
        let view = self.view.get_or_init(|| LatencyView::new(&self.total, &self.last));
        let topics = self.topics(engine, view);
        let connections = connections(books, engine.settings().limits.connections);
        Figures {
            message: message(state, &reasons),
            stats: hotdog_stats(books, &ledger, &connections, &topics, &self.last.total),
            ledger: ledger.fields(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: state.to_owned(),
            reasons,
            time: format!("{:.3}", Timestamp::now()),
            uptime_s: now.saturating_duration_since(self.started_at).as_secs_f64(),
            rates: self.rates.clone(),
            history: self.past.show(),
            latency: view.latency.clone(),
            listeners: self.listeners(engine, view),
            rules: self.rules(engine),
            topics,
            shards: self.shards(engine, &ledger),
            threads: self.other_threads(),
            brokers: brokers.map_or_else(Vec::new, |brokers| brokers.rows.clone()),
            connections,
            dropped_by_kernel: engine.dropped_by_kernel(),
            dead_lettered: books
                .dead_lettered()
                .filter(|(_, count)| *count > 0)
                .map(|(reason, count)| (reason.to_owned(), count))
                .collect(),
            truncated: books.sum(|shard| &shard.truncated),
            resent: books.producer.resent.value(),
            rebuilt: books.producer.rebuilt.value(),
            memory: Memory {
                resident_bytes: resident_bytes(),
                bytes_max: shown.memory_bytes_max as u64,
            },
            configuration: Configuration {
                file: shown.file.to_owned(),
                generation: engine.generation(),
                loaded: format!("{:.0}", shown.loaded_at),
                refused: shown.refused,
                certificates: engine.certificate_expiries().map(certificate).collect(),
            },
            errors: shown.errors,
            status: shown.status,
        }
    }

    /// Latencies since the start, by listener.
    pub fn listener_latencies(&self) -> &[Histogram<u64>] {
        &self.total.listeners
    }

    /// The stages' latencies since the start, with their names.
    pub fn stages(&self) -> impl Iterator<Item = (&'static str, &Histogram<u64>)> {
        STAGES.into_iter().zip(&self.total.stages)
    }

    fn listeners(&self, engine: &Engine, view: &LatencyView) -> Vec<Listener> {
        let books = engine.books();
        let listener = |(index, settings): (usize, &crate::config::ListenSettings)| {
            let sum = |counter: fn(&corndog_pipeline::counters::ListenerCounters) -> &Counter| {
                books.sum(|shard| counter(&shard.listeners[index]))
            };
            // Ended before accepted: no connection is counted as ended alone.
            let ended = sum(|of| &of.ended);
            let accepted = sum(|of| &of.accepted);
            Listener {
                name: settings.name.clone(),
                address: settings.address.to_string(),
                transport: settings.transport.name().to_owned(),
                dropped: sum(|of| &of.dropped),
                received: sum(|of| &of.received),
                bytes_in: sum(|of| &of.bytes_in),
                connections: accepted - ended,
                accepted,
                refused: sum(|of| &of.refused),
                rate: self.rows.listeners.get(index).copied().unwrap_or_default(),
                latency: view.listeners.get(index).cloned().unwrap_or_default(),
            }
        };
        engine.settings().listen.iter().enumerate().map(listener).collect()
    }

    fn rules(&self, engine: &Engine) -> Vec<Rule> {
        let rule = |(name, counts): (&str, crate::rule_books::RuleCounts)| Rule {
            name: name.to_owned(),
            matched: counts.matched,
            sampled: counts.sampled,
            errors: counts.errors,
            rate: self.rows.rules.get(name).copied().unwrap_or_default(),
        };
        engine.rule_books().rows().map(rule).collect()
    }

    /// Those that the rules name or that had a record.
    fn topics(&self, engine: &Engine, view: &LatencyView) -> Vec<Topic> {
        let table = engine.topics();
        let counters = &engine.books().producer.topics;
        let mut rows = Vec::new();
        let mut other =
            Topic { name: OTHER_TOPICS.to_owned(), is_flowing: true, ..Topic::default() };
        for (topic, name) in table.topics() {
            let Some(counts) = counters.get(topic.index()) else { continue };
            // What comes last is read first: no record is settled and not taken.
            let (delivered, failed) = (counts.delivered.value(), counts.failed.value());
            let taken = counts.taken.value();
            if taken == 0 && !engine.configured_topics().contains(name) {
                continue;
            }
            let row = Topic {
                name: name.to_owned(),
                taken,
                delivered,
                failed,
                bytes: counts.bytes.value(),
                // Before its first record nothing is known of it, and nothing waits.
                is_flowing: taken == 0 || table.lane(topic) == Lane::Flowing,
                rate: self.rows.topics.get(topic.index()).copied().unwrap_or_default(),
                latency: view.topics.get(&topic).cloned().unwrap_or_default(),
            };
            if rows.len() < TOPICS_SHOWN_MAX {
                rows.push(row);
            } else {
                other.add(&row);
            }
        }
        if other.taken > 0 || self.total.topics.len() >= LATENCY_TOPICS_MAX {
            other.latency = view.other_topics.clone();
            rows.push(other);
        }
        rows
    }

    fn shards(&self, engine: &Engine, ledger: &Ledger) -> Vec<Shard> {
        let settings = engine.settings();
        let receivers = engine.books().receivers.iter().zip(&settings.cores.receivers).enumerate();
        let receiver =
            |(index, (counters, core)): (usize, (&std::sync::Arc<ReceiverCounters>, &usize))| {
                let thread = self.threads.named(&format!("receiver {index}"));
                let ended = counters.ended.value();
                Shard {
                    kind: "receiver".to_owned(),
                    index,
                    core: *core,
                    count: counters.received.value(),
                    rate: self.rows.receivers.get(index).copied().unwrap_or_default(),
                    busy: thread.busy,
                    waiting: thread.waiting,
                    busy_s: thread.busy_s,
                    connections: counters.accepted.value() - ended,
                    batches: settings.batches.per_receiver,
                    batches_empty: counters.batches_empty.value(),
                    starved_s: counters.starved_us.value() as f64 / 1e6,
                    queued: 0,
                }
            };
        let thread = self.threads.named("producer");
        let producer = Shard {
            kind: "producer".to_owned(),
            core: settings.cores.producer,
            count: ledger.delivered,
            rate: self.rates.delivered,
            busy: thread.busy,
            waiting: thread.waiting,
            busy_s: thread.busy_s,
            queued: engine.queued(),
            ..Shard::default()
        };
        receivers.map(receiver).chain([producer]).collect()
    }

    fn other_threads(&self) -> Vec<Thread> {
        let is_other = |name: &str| name != "producer" && !name.starts_with("receiver ");
        let others = self.threads.of.iter().filter(|thread| is_other(&thread.name));
        others
            .map(|thread| Thread {
                name: thread.name.clone(),
                busy: thread.busy,
                busy_s: thread.busy_s,
            })
            .collect()
    }
}

impl Topic {
    fn add(&mut self, more: &Topic) {
        self.taken += more.taken;
        self.delivered += more.delivered;
        self.failed += more.failed;
        self.bytes += more.bytes;
        self.rate += more.rate;
        self.is_flowing &= more.is_flowing || more.taken == more.delivered + more.failed;
    }
}

fn message(state: &str, reasons: &[String]) -> String {
    match state {
        "ready" => "corndog is up and Kafka takes its records".to_owned(),
        _ => reasons.join("; "),
    }
}

fn certificate((listener, expires): (&str, i64)) -> Certificate {
    Certificate {
        listener: listener.to_owned(),
        expires: Timestamp::from_second(expires)
            .map_or_else(|_| "never".to_owned(), |t| t.to_string()),
        expires_in_s: expires.saturating_sub(Timestamp::now().as_second()),
    }
}

fn connections(books: &Books, limit: usize) -> Connections {
    let reasons = |names: &[&str], count: &dyn Fn(usize) -> u64| -> BTreeMap<String, u64> {
        let counted =
            names.iter().enumerate().map(|(reason, name)| ((*name).to_owned(), count(reason)));
        counted.filter(|(_, count)| *count > 0).collect()
    };
    // Ended is read first: a connection is never counted as ended and not as accepted.
    let ended = books.sum(|shard| &shard.ended);
    let accepted = books.sum(|shard| &shard.accepted);
    Connections {
        open: accepted - ended,
        limit,
        states: State::ALL
            .map(|state| {
                (state.name().to_owned(), books.sum(|shard| &shard.states[state as usize]))
            })
            .into(),
        accepted,
        held: books.sum(|shard| &shard.held),
        closed: reasons(&Closed::ALL.map(Closed::name), &|reason| {
            books.sum(|shard| &shard.closed[reason])
        }),
        refused: reasons(&Refused::ALL.map(Refused::name), &|reason| {
            books.sum(|shard| &shard.refused[reason])
        }),
        accept_failed: books.sum(|shard| &shard.accept_failed),
    }
}

/// Memory of the process that is resident. Source: proc(5), `/proc/pid/statm`, in pages.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
