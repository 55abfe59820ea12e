//! Whether the process is ready: every shard is up, and Kafka takes records. If not, why.

use std::time::{Duration, Instant};

use corndog_pipeline::control::Phase;
use corndog_pipeline::counters::Reach;

use crate::engine::Engine;
use crate::figures::Broker;
use crate::ledger::Ledger;

/// Records in flight and none acknowledged for this long: Kafka does not take them.
const QUIET: Duration = Duration::from_secs(10);

/// How long nothing was acknowledged, while something could have been.
#[derive(Debug)]
pub struct Quiet {
    delivered: u64,
    since: Instant,
}

impl Quiet {
    /// From `now` on.
    pub fn new(now: Instant) -> Quiet {
        Quiet { delivered: 0, since: now }
    }

    /// Looks at the ledger.
    pub fn look(&mut self, ledger: &Ledger, now: Instant) {
        let settled = ledger.delivered + ledger.failed.iter().sum::<u64>();
        if settled != self.delivered || ledger.in_flight() == 0 {
            self.delivered = settled;
            self.since = now;
        }
    }
}

/// Why the process is not ready, a sentence each; none: it is.
pub fn reasons(engine: &Engine, brokers: &[Broker], quiet: &Quiet, now: Instant) -> Vec<String> {
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
    let is_up = brokers.iter().any(|broker| broker.state == "UP");
    match Reach::of(&engine.books().producer.reach) {
        Reach::Unknown if !is_up => {
            reasons.push("Kafka: no broker has answered yet; see the log".to_owned());
        }
        // The statistics may be of before: what the producer heard last counts, unless they say more.
        Reach::Down if !is_up => {
            let names: Vec<&str> = brokers.iter().map(|broker| broker.name.as_str()).collect();
            let names =
                if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
            reasons.push(format!("Kafka: all brokers are down{names}"));
        }
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
