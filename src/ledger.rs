//! The ledger: where every message that was received is, at any instant.
//!
//! ```text
//! received  = forwarded + dropped{reason} + in hand
//! forwarded = delivered + failed{reason} + in flight
//! ```

use std::sync::Arc;

use corndog_pipeline::counters::{Counter, Dropped, Failed, ProducerCounters, ReceiverCounters};
use serde_json::{Map, Value};

/// All counters of the process. Each shard writes its own; they are read here.
#[derive(Debug)]
pub struct Books {
    /// One per receiver shard.
    pub receivers: Vec<Arc<ReceiverCounters>>,
    /// The producer shard's.
    pub producer: Arc<ProducerCounters>,
}

/// The counters that balance, as of one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Messages taken from frames.
    pub received: u64,
    /// Records made of them.
    pub forwarded: u64,
    /// Records acknowledged.
    pub delivered: u64,
    /// Messages that became no record.
    pub dropped: [u64; Dropped::ALL.len()],
    /// Records given up.
    pub failed: [u64; Failed::ALL.len()],
}

impl Books {
    /// Counters for so many receivers, listeners and topics, all zero.
    pub fn new(receiver_count: usize, listener_count: usize, topics_max: usize) -> Books {
        let receiver = |_| Arc::new(ReceiverCounters::new(listener_count));
        Books {
            receivers: (0..receiver_count).map(receiver).collect(),
            producer: Arc::new(ProducerCounters::new(topics_max)),
        }
    }

    /// The ledger now. What happens last to a message is read first, so no deficit can show.
    pub fn ledger(&self) -> Ledger {
        let mut ledger = Ledger {
            delivered: self.producer.delivered.value(),
            failed: std::array::from_fn(|reason| self.producer.failed[reason].value()),
            ..Ledger::default()
        };
        // Abandoned records are forwarded and failed at once: read before `forwarded`.
        ledger.failed[Failed::Shutdown as usize] += self.sum(|shard| &shard.abandoned);
        ledger.forwarded = self.sum(|shard| &shard.forwarded);
        ledger.dropped = std::array::from_fn(|reason| self.sum(|shard| &shard.dropped[reason]));
        ledger.received = self.sum(|shard| &shard.received);
        ledger
    }

    /// Dead letters by reason: those that the rules made, and those that Kafka did.
    pub fn dead_lettered(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let by_rules = Dropped::ALL
            .map(|reason| (reason.name(), self.sum(|shard| &shard.dead_lettered[reason as usize])));
        let by_kafka = Failed::ALL
            .map(|reason| (reason.name(), self.producer.dead_lettered[reason as usize].value()));
        by_rules.into_iter().chain(by_kafka)
    }

    /// A receivers' counter, summed over the shards.
    pub fn sum(&self, counter: impl Fn(&ReceiverCounters) -> &Counter) -> u64 {
        self.receivers.iter().map(|shard| counter(shard).value()).sum()
    }
}

impl Ledger {
    /// Messages received whose verdict is open; negative if the books are wrong.
    pub fn in_hand(&self) -> i64 {
        self.received as i64 - self.forwarded as i64 - self.dropped.iter().sum::<u64>() as i64
    }

    /// Records whose outcome is open; negative if the books are wrong.
    pub fn in_flight(&self) -> i64 {
        self.forwarded as i64 - self.delivered as i64 - self.failed.iter().sum::<u64>() as i64
    }

    /// True if nothing is open: every message has its place.
    pub fn is_closed(&self) -> bool {
        self.in_hand() == 0 && self.in_flight() == 0
    }

    /// The fields of the log line. Reasons without a case are left out.
    pub fn fields(&self) -> Map<String, Value> {
        let dropped = Dropped::ALL.map(Dropped::name);
        let failed = Failed::ALL.map(Failed::name);
        Map::from_iter([
            ("received".to_owned(), self.received.into()),
            ("forwarded".to_owned(), self.forwarded.into()),
            ("delivered".to_owned(), self.delivered.into()),
            ("dropped".to_owned(), by_reason(&dropped, &self.dropped)),
            ("failed".to_owned(), by_reason(&failed, &self.failed)),
            ("in_hand".to_owned(), self.in_hand().into()),
            ("in_flight".to_owned(), self.in_flight().into()),
        ])
    }
}

/// `{"reason": count}`, without the zeros.
pub fn by_reason(names: &[&str], counts: &[u64]) -> Value {
    let cases = names.iter().zip(counts).filter(|(_, count)| **count > 0);
    Value::Object(cases.map(|(name, count)| ((*name).to_owned(), (*count).into())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_balances_and_leaves_out_zeros() {
        let books = Books::new(2, 1, 1);
        books.receivers[0].received.add(7);
        books.receivers[1].received.add(3);
        books.receivers[1].forwarded.add(9);
        books.receivers[0].dropped[Dropped::Unmatched as usize].add(1);
        books.producer.delivered.add(8);
        let ledger = books.ledger();
        assert_eq!((ledger.in_hand(), ledger.in_flight()), (0, 1));
        assert!(!ledger.is_closed());
        assert_eq!(
            Value::Object(ledger.fields()).to_string(),
            r#"{"received":10,"forwarded":9,"delivered":8,"dropped":{"unmatched":1},"failed":{},"in_hand":0,"in_flight":1}"#
        );
    }
}
