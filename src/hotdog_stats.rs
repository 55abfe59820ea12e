//! hotdog's own names for what it counted, with what is counted here: for dashboards made for it.
//! Source: the table in README.md.

use std::collections::BTreeMap;

use corndog_pipeline::counters::{Dropped, Failed};
use hdrhistogram::Histogram;

use crate::figures::{Connections, Topic};
use crate::ledger::{Books, Ledger};

/// hotdog's names, without its prefix, and whole numbers.
pub fn hotdog_stats(
    books: &Books,
    ledger: &Ledger,
    connections: &Connections,
    topics: &[Topic],
    latency: &Histogram<u64>,
) -> BTreeMap<String, u64> {
    // Where there are dead letters, what could not be forwarded is among the records.
    let refused = |reason: Dropped| {
        let letters = books.sum(|shard| &shard.dead_lettered[reason as usize]);
        ledger.dropped[reason as usize] + letters
    };
    let failed: u64 = ledger.failed.iter().sum();
    let median = if latency.is_empty() { 0 } else { latency.value_at_quantile(0.5) };
    let mut stats = BTreeMap::from([
        ("connections".to_owned(), connections.open),
        ("lines".to_owned(), ledger.received),
        ("kafka.submitted".to_owned(), ledger.forwarded),
        ("kafka.producer.sent".to_owned(), median),
        ("kafka.producer.error".to_owned(), failed),
        // What cannot be parsed is a message all the same, and queues are never full.
        ("error.log_parse".to_owned(), 0),
        ("error.full_internal_queue".to_owned(), 0),
        ("error.internal_push_failed".to_owned(), 0),
        ("error.topic_parse_failed".to_owned(), refused(Dropped::TopicRefused)),
        ("error.merge_of_invalid_json".to_owned(), 0),
        ("error.merge_target_not_json".to_owned(), refused(Dropped::MergeNotJson)),
    ]);
    for (reason, count) in Failed::ALL.iter().zip(ledger.failed).filter(|(_, count)| *count > 0) {
        stats.insert(format!("kafka.producer.error.{}", reason.name()), count);
    }
    for topic in topics.iter().filter(|topic| topic.taken > 0) {
        stats.insert(format!("kafka.submitted.{}", topic.name), topic.taken);
    }
    stats
}
