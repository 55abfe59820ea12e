//! The pool against a model: batches go out full and come home empty, none is ever lost, none is
//! ever in two places, and every record comes out once, in the order of its topic.

#![allow(clippy::disallowed_methods, reason = "a first instant, from which time is an argument")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use corndog_pipeline::batch::{Batch, Receipt, batch_records_max};
use corndog_pipeline::pool::{Append, Pool};
use corndog_pipeline::record::Record;
use corndog_pipeline::sample::Share;
use corndog_pipeline::topics::{Lane, TopicIndex};
use jiff::Timestamp;
use proptest::prelude::*;

const BATCH_BYTES: usize = 1024;
const TOPICS: usize = 3;
const AGE: Duration = Duration::from_millis(5);

#[derive(Debug, Clone)]
enum Step {
    Append { topic: usize, flows: bool, payload_bytes: usize, key: bool },
    Wait(u64),
    ComeHome(usize),
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..TOPICS, any::<bool>(), 0..BATCH_BYTES + 100, any::<bool>()).prop_map(
            |(topic, flows, payload_bytes, key)| Step::Append { topic, flows, payload_bytes, key }
        ),
        2 => (0u64..10).prop_map(Step::Wait),
        3 => (0usize..8).prop_map(Step::ComeHome),
        1 => Just(Step::Drain),
    ]
}

/// What left the pool, read back as the producer would.
#[derive(Default)]
struct Producer {
    out: VecDeque<Batch>,
    seen: [Vec<Vec<u8>>; TOPICS],
}

impl Producer {
    fn take(&mut self, batch: Batch) {
        assert!(!batch.is_empty(), "an empty batch never goes out");
        assert!(batch.record_count() <= batch_records_max(BATCH_BYTES));
        let mut count = 0;
        for chain in 0..batch.chain_count() {
            for index in batch.chain(chain) {
                let mut record = batch.key(index).unwrap_or_default().to_vec();
                record.extend_from_slice(batch.payload(index));
                self.seen[batch.chain_topic(chain).index()].push(record);
                count += 1;
            }
        }
        assert_eq!(count, batch.record_count(), "every record is in one topic's chain");
        self.out.push_back(batch);
    }
}

fn append(
    pool: &mut Pool,
    now: Instant,
    lane: Lane,
    topic: TopicIndex,
    key: Option<&[u8]>,
    payload: &[u8],
) -> Append {
    let record = Record { topic, key, headers: &[], payload, time: None, origin: None };
    let receipt = Receipt { read_at: now, time: Timestamp::UNIX_EPOCH, listener: 0 };
    pool.append(&receipt, lane, &record)
}

proptest! {
    #[test]
    fn no_record_and_no_batch_is_lost_or_doubled(
        batch_count in 1usize..8,
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let mut pool = Pool::new(Share::ALL, batch_count, BATCH_BYTES, AGE, TOPICS);
        let mut producer = Producer::default();
        let mut sent: [Vec<Vec<u8>>; TOPICS] = Default::default();
        let mut now = Instant::now();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Append { topic, flows, payload_bytes, key } => {
                    let lane = if flows { Lane::Flowing } else { Lane::Waiting };
                    let payload = vec![number as u8; payload_bytes];
                    let key: Option<&[u8]> = key.then_some(b"key");
                    loop {
                        let topic_index = TopicIndex::new(topic);
                        match append(&mut pool, now, lane, topic_index, key, &payload) {
                            Append::Written => {
                                let mut record = key.unwrap_or_default().to_vec();
                                record.extend_from_slice(&payload);
                                sent[topic].push(record);
                                break;
                            }
                            Append::Sealed(batch) => producer.take(batch),
                            Append::NoEmptyBatch => {
                                prop_assert!(pool.out_count() > 0 || pool.open_count() > 0);
                                break;
                            }
                            Append::TooLarge => {
                                prop_assert!(payload_bytes + 3 > BATCH_BYTES);
                                break;
                            }
                        }
                    }
                }
                Step::Wait(milliseconds) => {
                    now += Duration::from_millis(milliseconds);
                    while let Some(batch) = pool.seal_due(now, false) {
                        producer.take(batch);
                    }
                    prop_assert!(pool.next_seal_at().is_none_or(|at| at > now));
                }
                Step::ComeHome(at) => {
                    if let Some(batch) = producer.out.remove(at) {
                        pool.come_home(batch);
                    }
                }
                Step::Drain => {
                    while let Some(batch) = pool.seal_due(now, true) {
                        producer.take(batch);
                    }
                    prop_assert_eq!(pool.open_count(), 0);
                }
            }
            prop_assert_eq!(pool.empty_count() + pool.open_count() + pool.out_count(), batch_count);
            prop_assert_eq!(pool.out_count(), producer.out.len());
        }
        while let Some(batch) = pool.seal_due(now, true) {
            producer.take(batch);
        }
        while let Some(batch) = producer.out.pop_front() {
            pool.come_home(batch);
        }
        prop_assert_eq!(pool.empty_count(), batch_count);
        prop_assert_eq!(sent, producer.seen);
    }
}

#[test]
fn a_topic_that_does_not_flow_takes_a_quarter_of_the_batches_at_most() {
    let mut pool = Pool::new(Share::ALL, 8, BATCH_BYTES, AGE, TOPICS);
    let now = Instant::now();
    let (stuck, flowing) = (TopicIndex::new(0), TopicIndex::new(1));
    let mut out = Vec::new();
    loop {
        match append(&mut pool, now, Lane::Waiting, stuck, None, &[0; 600]) {
            Append::Written => {}
            Append::Sealed(batch) => out.push(batch),
            Append::NoEmptyBatch => break,
            Append::TooLarge => panic!("600 bytes fit"),
        }
    }
    assert_eq!(out.len(), 2);
    assert!(matches!(append(&mut pool, now, Lane::Flowing, flowing, None, b"x"), Append::Written));
}

#[test]
fn a_topic_that_changes_lanes_leaves_its_old_batch_first() {
    let mut pool = Pool::new(Share::ALL, 4, BATCH_BYTES, AGE, TOPICS);
    let now = Instant::now();
    let topic = TopicIndex::new(2);
    assert!(matches!(append(&mut pool, now, Lane::Waiting, topic, None, b"1"), Append::Written));
    let Append::Sealed(batch) = append(&mut pool, now, Lane::Flowing, topic, None, b"2") else {
        panic!("the batch with the first record leaves before the second is written");
    };
    assert_eq!(batch.payload(0), b"1");
    assert!(matches!(append(&mut pool, now, Lane::Flowing, topic, None, b"2"), Append::Written));
}

/// Appends so many small records, which fit.
fn fill(pool: &mut Pool, now: Instant, records: usize) {
    for _ in 0..records {
        let topic = TopicIndex::new(0);
        assert!(matches!(append(pool, now, Lane::Flowing, topic, None, b"x"), Append::Written));
    }
}

#[test]
fn in_quiet_times_a_batch_leaves_at_once_and_the_next_after_a_pause() {
    let mut pool = Pool::new(Share::ALL, 4, BATCH_BYTES, AGE, TOPICS);
    let now = Instant::now();
    fill(&mut pool, now, 1);
    assert_eq!(pool.next_seal_at(), Some(now));
    assert!(pool.seal_due(now, false).is_some());
    fill(&mut pool, now, 1);
    // Three of four are empty.
    let next = now + Duration::from_nanos(2_000_000 * 4 / 3);
    assert_eq!(pool.next_seal_at(), Some(next));
    assert!(pool.seal_due(now, false).is_none());
    assert!(pool.seal_due(next, false).is_some());
    // One after the pause is over waits for nothing.
    let later = next + AGE;
    fill(&mut pool, later, 1);
    assert_eq!(pool.next_seal_at(), Some(later));
}

#[test]
fn the_more_comes_the_later_a_batch_leaves_and_never_later_than_its_age() {
    // All but one of a hundred are empty.
    let pause_after = |records: usize, since: Duration, age: Duration| {
        let mut pool = Pool::new(Share::ALL, 100, 256 << 10, age, TOPICS);
        let first = Instant::now();
        let now = first + since;
        for (at, records) in [(first, 1), (now, records)] {
            fill(&mut pool, at, records);
            let batch = pool.seal_due(at, true).unwrap();
            pool.come_home(batch);
        }
        fill(&mut pool, now, 1);
        (pool.next_seal_at().unwrap() - now).as_micros()
    };
    let since = Duration::from_millis(1);
    assert_eq!(pause_after(400, since, AGE), 2020);
    assert_eq!(pause_after(800, since, AGE), 4040);
    assert_eq!(pause_after(1400, since, AGE), 5000);
    assert_eq!(pause_after(400, since, Duration::ZERO), 0);
}
