//! The log's line of statistics, beside the ledger.

use corndog_pipeline::counters::{Closed, Refused};
use serde_json::{Map, Value};

use crate::ledger::{Books, by_reason};

/// What else the statistics show.
pub fn condition(books: &Books) -> Map<String, Value> {
    let closed: [u64; Closed::ALL.len()] =
        std::array::from_fn(|reason| books.sum(|shard| &shard.closed[reason]));
    let refused: [u64; Refused::ALL.len()] =
        std::array::from_fn(|reason| books.sum(|shard| &shard.refused[reason]));
    // Ended is read first: a connection is never counted as ended and not as accepted.
    let ended = books.sum(|shard| &shard.ended);
    let accepted = books.sum(|shard| &shard.accepted);
    let empty: Vec<u64> = books.receivers.iter().map(|shard| shard.batches_empty.value()).collect();
    let (letters, letter_counts): (Vec<&str>, Vec<u64>) = books.dead_lettered().unzip();
    Map::from_iter([
        ("connections".to_owned(), (accepted - ended).into()),
        ("closed".to_owned(), by_reason(&Closed::ALL.map(Closed::name), &closed)),
        ("connections_refused".to_owned(), by_reason(&Refused::ALL.map(Refused::name), &refused)),
        ("accept_failed".to_owned(), books.sum(|shard| &shard.accept_failed).into()),
        ("dead_lettered".to_owned(), by_reason(&letters, &letter_counts)),
        ("truncated".to_owned(), books.sum(|shard| &shard.truncated).into()),
        ("bytes_in".to_owned(), books.sum(|shard| &shard.bytes_in).into()),
        ("held".to_owned(), books.sum(|shard| &shard.held).into()),
        ("batches_empty".to_owned(), Value::from(empty)),
        ("resent".to_owned(), books.producer.resent.value().into()),
        ("rebuilt".to_owned(), books.producer.rebuilt.value().into()),
    ])
}

/// In a build that counts them: allocations of the program so far.
#[cfg(feature = "count-allocations")]
pub fn add_allocations(fields: &mut Map<String, Value>) {
    fields.insert("allocations".to_owned(), crate::ALLOCATOR.stats().allocations.into());
}

#[cfg(not(feature = "count-allocations"))]
pub fn add_allocations(_fields: &mut Map<String, Value>) {}
