//! Records that wait in their batches for more of their topic, so that these share its requests.
//!
//! A request costs librdkafka, the kernel and Kafka as much as a hundred records or more. Where batches
//! fill before their age, a topic with a small part of each would have one for each. So its records
//! wait until they are many, or for as long as `batches.age`, as if librdkafka lingered, but only under
//! load. None waits while most batches of its receiver are out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use corndog_pipeline::batch::{Batch, Delivery};
use corndog_pipeline::topics::{Lane, TopicIndex};

use crate::shard::Shard;

/// Of so many bytes a request is worth its cost.
const BYTES_ENOUGH: usize = 256 * 1024;
/// The longest wait, however long the age is.
const WAIT_MAX: Duration = Duration::from_millis(5);

/// Which topics' records wait.
#[derive(Debug)]
pub(crate) struct Holding {
    /// By the topic's number.
    held: Vec<Option<Held>>,
    /// Waits that began, in the order of their ends. What is no longer in `held` is over.
    ends: VecDeque<(Instant, TopicIndex)>,
    wait: Duration,
    /// Batches out, by their home.
    out: Vec<usize>,
    out_max: usize,
}

/// The records of one topic that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    until: Instant,
    bytes: usize,
}

impl Holding {
    /// For `homes` receivers that have `batches_max` batches together.
    pub(crate) fn new(
        batch_age_max: Duration,
        topics_max: usize,
        homes: usize,
        batches_max: usize,
    ) -> Holding {
        Holding {
            held: vec![None; topics_max],
            ends: VecDeque::with_capacity(topics_max),
            wait: batch_age_max.min(WAIT_MAX),
            out: vec![0; homes],
            out_max: batches_max / homes.max(1) * 3 / 4,
        }
    }

    /// A batch has boarded.
    pub(crate) fn board(&mut self, home: usize) {
        self.out[home] += 1;
    }

    /// A batch goes home.
    pub(crate) fn leave(&mut self, home: usize) {
        self.out[home] -= 1;
    }

    /// Its receiver would soon have no batch to fill.
    fn is_scarce(&self, home: usize) -> bool {
        self.out[home] > self.out_max
    }

    /// Whether so many more bytes of a topic wait; if not, nothing of it has to.
    fn waits(&mut self, topic: TopicIndex, bytes: usize, now: Instant) -> bool {
        let held = &mut self.held[topic.index()];
        let Held { until, bytes } = match *held {
            Some(held) => Held { bytes: held.bytes + bytes, ..held },
            None => Held { until: now + self.wait, bytes },
        };
        if bytes >= BYTES_ENOUGH || until <= now {
            return false;
        }
        if held.replace(Held { until, bytes }).is_none() {
            self.ends.push_back((until, topic));
        }
        true
    }

    /// Nothing of the topic waits any more; true if something did.
    pub(crate) fn end(&mut self, topic: TopicIndex) -> bool {
        self.held[topic.index()].take().is_some()
    }

    /// The first wait, and its end.
    fn first(&mut self) -> Option<(Instant, TopicIndex)> {
        while let Some(&(until, topic)) = self.ends.front() {
            if self.held[topic.index()].is_some_and(|held| held.until == until) {
                return Some((until, topic));
            }
            self.ends.pop_front();
        }
        None
    }

    /// How long nothing has to be done; `None`: nothing waits.
    pub(crate) fn rest(&mut self, now: Instant) -> Option<Duration> {
        self.first().map(|(until, _)| until.saturating_duration_since(now))
    }
}

impl Shard {
    /// Hands the records of a batch that has just boarded to librdkafka, or lets them wait.
    pub(crate) fn hand_over(&mut self, slot: usize, now: Instant) {
        let Some(batch) = self.flight.batch(slot) else { return };
        let is_scarce = self.holding.is_scarce(batch.home());
        let may_wait = !is_scarce
            && !self.conf.lingers
            && has_filled_early(batch, self.settings.batch_age_max)
            && batch.lane() == Lane::Flowing;
        let record_bytes = batch.filled_bytes() / batch.record_count().max(1);
        let chain_count = batch.chain_count();
        while is_scarce && let Some((_, topic)) = self.holding.first() {
            self.release(topic, now);
        }
        for chain in 0..chain_count {
            let Some(batch) = self.flight.batch(slot) else { return };
            let topic = batch.chain_topic(chain);
            let bytes = record_bytes * batch.chain_record_count(chain);
            self.desk.meet(topic);
            if may_wait && self.holding.waits(topic, bytes, now) {
                continue;
            }
            if self.holding.end(topic) {
                self.produce_held(topic, now);
            } else {
                self.produce(slot, chain, now);
            }
        }
    }

    /// Hands over what has waited long enough.
    pub(crate) fn release_due(&mut self, now: Instant) {
        while let Some((until, topic)) = self.holding.first()
            && until <= now
        {
            self.release(topic, now);
        }
    }

    fn release(&mut self, topic: TopicIndex, now: Instant) {
        self.holding.end(topic);
        self.produce_held(topic, now);
    }

    /// Hands over the records of a topic that wait in batches, oldest batch first.
    fn produce_held(&mut self, topic: TopicIndex, now: Instant) {
        for at in 0..self.order.len() {
            let slot = self.order[at];
            let Some(batch) = self.flight.batch(slot) else { continue };
            let Some(chain) = batch.find_chain(topic) else { continue };
            // All of a chain waits here, or nothing of it.
            let first = batch.chain(chain).next();
            if first.is_some_and(|first| batch.delivery(first) == Delivery::Waiting) {
                self.produce(slot, chain, now);
            }
        }
    }
}

/// It did not leave for its age.
fn has_filled_early(batch: &Batch, age_max: Duration) -> bool {
    let age = batch.times().map(|times| times.sealed_at.duration_since(times.opened_at));
    batch.is_half_full() && age.is_some_and(|age| age < age_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_millis(4);

    fn holding(age: Duration) -> Holding {
        Holding::new(age, 8, 2, 16)
    }

    #[test]
    fn few_wait_until_they_are_many() {
        let (mut holding, now) = (holding(AGE), Instant::now());
        let [few, other] = [2, 5].map(TopicIndex::new);
        assert!(!holding.waits(few, BYTES_ENOUGH, now));
        assert!(!holding.end(few));
        assert!(holding.waits(few, BYTES_ENOUGH / 2, now));
        assert!(holding.waits(other, BYTES_ENOUGH - 1, now));
        assert!(holding.waits(few, BYTES_ENOUGH / 2 - 1, now + AGE / 2));
        assert!(!holding.waits(few, 1, now + AGE / 2));
        assert!(holding.end(few));
        assert_eq!(holding.first(), Some((now + AGE, other)));
        assert!(holding.end(other));
        assert_eq!((holding.first(), holding.rest(now)), (None, None));
    }

    #[test]
    fn a_wait_ends_by_its_first_records() {
        let (mut holding, now) = (holding(AGE), Instant::now());
        let [first, second] = [0, 1].map(TopicIndex::new);
        assert!(holding.waits(first, 1, now));
        assert!(holding.waits(second, 1, now + AGE / 4));
        assert!(holding.waits(first, 1, now + AGE / 2));
        assert_eq!(holding.rest(now + AGE / 2), Some(AGE / 2));
        assert!(!holding.waits(first, 1, now + AGE));
        assert!(holding.end(first));
        // It begins anew, and has its place behind the other.
        assert!(holding.waits(first, 1, now + AGE));
        assert_eq!(holding.first(), Some((now + AGE / 4 + AGE, second)));
        assert!(holding.end(second));
        assert_eq!(holding.first(), Some((now + AGE * 2, first)));
        assert_eq!(holding.rest(now + AGE * 3), Some(Duration::ZERO));
    }

    #[test]
    fn the_age_bounds_it_and_there_is_a_bound_to_that() {
        let now = Instant::now();
        assert!(!holding(Duration::ZERO).waits(TopicIndex::new(0), 1, now));
        let mut holding = holding(Duration::from_secs(60));
        assert!(holding.waits(TopicIndex::new(0), 1, now));
        assert_eq!(holding.rest(now), Some(WAIT_MAX));
    }

    #[test]
    fn batches_are_scarce_by_their_receiver() {
        let mut holding = holding(AGE);
        (0..6).for_each(|_| holding.board(1));
        assert!(!holding.is_scarce(1));
        holding.board(1);
        assert!(holding.is_scarce(1) && !holding.is_scarce(0));
        holding.leave(1);
        assert!(!holding.is_scarce(1));
    }
}
