//! The closing line of the program's log, and the invariant that holds in it.

use serde::Deserialize;
use std::collections::BTreeMap;

/// The fields of the messages `ledger` and `statistics`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Ledger {
    /// Messages taken from senders.
    pub received: u64,
    /// Records handed to the producer.
    pub forwarded: u64,
    /// Records that Kafka acknowledged.
    pub delivered: u64,
    /// Messages that became no record, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Records that did not reach Kafka, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Messages that are still in an open batch.
    pub in_hand: u64,
    /// Records whose delivery report is not in.
    pub in_flight: u64,
}

impl Ledger {
    /// Reads the fields of a line of the log.
    ///
    /// Panics: a field is missing.
    pub fn from_line(line: &serde_json::Value) -> Ledger {
        serde_json::from_value(line.clone())
            .unwrap_or_else(|error| panic!("no ledger ({error}): {line}"))
    }

    /// Messages dropped for this reason.
    pub fn dropped(&self, reason: &str) -> u64 {
        self.dropped.get(reason).copied().unwrap_or(0)
    }

    /// Records failed for this reason.
    pub fn failed(&self, reason: &str) -> u64 {
        self.failed.get(reason).copied().unwrap_or(0)
    }

    /// Asserts the two equations.
    pub fn assert_balanced(&self) {
        let dropped: u64 = self.dropped.values().sum();
        let failed: u64 = self.failed.values().sum();
        assert_eq!(self.received, self.forwarded + dropped + self.in_hand, "{self:?}");
        assert_eq!(self.forwarded, self.delivered + failed + self.in_flight, "{self:?}");
    }

    /// Asserts that everything ended, one way or the other.
    pub fn assert_closed(&self) {
        self.assert_balanced();
        assert_eq!((self.in_hand, self.in_flight), (0, 0), "{self:?}");
    }

    /// Asserts that `count` messages came in and all of them were delivered.
    pub fn assert_all_delivered(&self, count: u64) {
        let expected =
            Ledger { received: count, forwarded: count, delivered: count, ..Ledger::default() };
        let mut seen = self.clone();
        // A reason that never happened may be listed with its zero.
        seen.dropped.retain(|_, count| *count > 0);
        seen.failed.retain(|_, count| *count > 0);
        assert_eq!(seen, expected);
    }
}
