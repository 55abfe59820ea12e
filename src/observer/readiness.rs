//! Whether the process is ready: every shard is up, and Kafka takes records. If not, why.

use std::time::{Duration, Instant};

use corndog_pipeline::control::Phase;
use corndog_pipeline::counters::Reach;

use crate::engine::Engine;
use crate::ledger::Ledger;
use crate::observer::brokers::Brokers;

/// Records in flight and none acknowledged for this long: Kafka does not take them.
const QUIET: Duration = Duration::from_secs(10);

/// Statistics in a row, of five seconds each, in which no broker is connected: it is no reconnect.
const MISSING_MIN: u64 = 2;

/// How long nothing was acknowledged, while something could have been.
#[derive(Debug)]
pub struct Quiet {
    settled: u64,
    since: Instant,
    /// Something was settled in the last interval.
    is_flowing: bool,
}

impl Quiet {
    /// From `now` on.
    pub fn new(now: Instant) -> Quiet {
        Quiet { settled: 0, since: now, is_flowing: false }
    }

    /// Looks at the ledger.
    pub fn look(&mut self, ledger: &Ledger, now: Instant) {
        let settled = ledger.delivered + ledger.failed.iter().sum::<u64>();
        self.is_flowing = settled != self.settled;
        if self.is_flowing || ledger.in_flight() == 0 {
            self.settled = settled;
            self.since = now;
        }
    }
}

/// That no broker is connected.
#[derive(Debug, Clone, Copy)]
pub struct Missing {
    /// Statistics in a row that say so.
    pub count: u64,
    /// librdkafka has tried to connect since one was: it does not rest.
    pub is_trying: bool,
}

/// Why the process is not ready, a sentence each; none: it is.
pub fn reasons(
    engine: &Engine,
    brokers: Option<&Brokers>,
    missing: Missing,
    quiet: &Quiet,
    now: Instant,
) -> Vec<String> {
    let mut reasons = Vec::new();
    match engine.phase() {
        Phase::Starting => reasons.push("not all shards are up yet".to_owned()),
        Phase::Running => {}
        Phase::Draining | Phase::Aborting => {
            reasons.push("draining: it is about to end".to_owned())
        }
    }
    if engine.has_died() {
        reasons.push("a shard has ended by itself; see the log".to_owned());
    }
    let is_up = brokers.is_some_and(|brokers| brokers.is_up);
    // A client that has records for a topic asks for its partitions every ten seconds, so some broker
    // is connected; one that never had any may rest, when Kafka has closed its idle connection. What was
    // delivered is newer than statistics.
    let is_gone = missing.count >= MISSING_MIN
        && !quiet.is_flowing
        && (missing.is_trying || engine.books().producer.taken.value() > 0);
    match Reach::of(&engine.books().producer.reach) {
        Reach::Unknown if !is_up => {
            reasons.push("Kafka: no broker has answered yet; see the log".to_owned());
        }
        Reach::Down if !is_up => reasons.push("Kafka: all brokers are down".to_owned()),
        _ if is_gone => reasons.push("Kafka: no broker is connected; see the log".to_owned()),
        _ => {}
    }
    let quiet_time = now.saturating_duration_since(quiet.since);
    if quiet_time >= QUIET {
        reasons.push(format!(
            "Kafka: records are in flight, and none was acknowledged for {} s",
            quiet_time.as_secs()
        ));
    }
    reasons
}
