//! Records that wait in their batches for more of their topic, so that these share its requests.
//!
//! A request costs librdkafka, the kernel and Kafka as much as a hundred records or more. Where batches
//! leave full, a topic with a small part of each would have one for each. So its records wait until
//! they are many, or for as long as `batches.age`, as if librdkafka lingered, but only under load. None
//! waits while half of the batches of its receiver are out.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use corndog_pipeline::topics::{Lane, TopicIndex};

use crate::shard::Shard;

/// Of so many bytes, or half of a batch, a request is worth its cost.
const BYTES_ENOUGH: usize = 256 * 1024;
/// The longest wait, however long the age is.
const WAIT_MAX: Duration = Duration::from_millis(5);

/// Which topics' records wait.
#[derive(Debug)]
pub(crate) struct Holding {
    /// By the topic's number.
    held: Vec<Held>,
    /// Waits that began, in the order of their ends. What `held` does not have is over.
    ends: VecDeque<(Instant, TopicIndex)>,
    wait: Duration,
    /// Batches out, by their home.
    out: Vec<usize>,
    out_max: usize,
}

/// The records of one topic that wait.
#[derive(Debug, Clone, Default)]
struct Held {
    /// `None`: none.
    until: Option<Instant>,
    bytes: usize,
    /// The seats of their batches, oldest first. None of these records was ever handed over.
    slots: Vec<usize>,
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
            held: vec![Held::default(); topics_max],
            ends: VecDeque::with_capacity(topics_max),
            wait: batch_age_max.min(WAIT_MAX),
            out: vec![0; homes],
            out_max: (batches_max / homes.max(1)).saturating_sub(1) / 2,
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

    /// Its receiver has fewer batches to fill than are out.
    fn is_scarce(&self, home: usize) -> bool {
        self.out[home] > self.out_max
    }

    /// Whether a topic's records in one more batch, of so many bytes, wait; if not, those before them
    /// have waited long enough.
    fn waits(
        &mut self,
        topic: TopicIndex,
        slot: usize,
        bytes: usize,
        enough: usize,
        now: Instant,
    ) -> bool {
        let held = &mut self.held[topic.index()];
        let until = held.until.unwrap_or(now + self.wait);
        if held.bytes + bytes >= enough || until <= now {
            return false;
        }
        if held.until.replace(until).is_none() {
            self.ends.push_back((until, topic));
        }
        held.bytes += bytes;
        held.slots.push(slot);
        true
    }

    /// Nothing of the topic waits any more; where it did, `slots` says, which was empty.
    fn take(&mut self, topic: TopicIndex, slots: &mut Vec<usize>) {
        mem::swap(&mut self.held[topic.index()].slots, slots);
        self.forget(topic);
    }

    /// Nothing of the topic waits here any more: all of it is handed over in another way.
    pub(crate) fn forget(&mut self, topic: TopicIndex) {
        let held = &mut self.held[topic.index()];
        (held.until, held.bytes) = (None, 0);
        held.slots.clear();
    }

    /// The first wait, and its end.
    fn first(&mut self) -> Option<(Instant, TopicIndex)> {
        while let Some(&(until, topic)) = self.ends.front() {
            if self.held[topic.index()].until == Some(until) {
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
        let may_wait =
            batch.is_full() && batch.lane() == Lane::Flowing && !is_scarce && !self.conf.lingers;
        let enough = BYTES_ENOUGH.min(batch.capacity_bytes() / 2);
        let chain_count = batch.chain_count();
        while is_scarce && let Some((_, topic)) = self.holding.first() {
            self.release(topic, now);
        }
        for chain in 0..chain_count {
            let Some(batch) = self.flight.batch(slot) else { return };
            let (topic, bytes) = (batch.chain_topic(chain), batch.chain_bytes(chain));
            self.desk.meet(topic);
            if !may_wait || !self.holding.waits(topic, slot, bytes, enough, now) {
                self.release(topic, now);
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

    /// Hands over the records of a topic that wait, oldest batch first.
    fn release(&mut self, topic: TopicIndex, now: Instant) {
        let mut slots = mem::take(&mut self.released);
        self.holding.take(topic, &mut slots);
        for slot in slots.drain(..) {
            self.produce_topic_of(slot, topic, now);
        }
        // Its memory is used again.
        self.released = slots;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_millis(4);
    const ENOUGH: usize = 1000;

    fn holding(age: Duration) -> Holding {
        Holding::new(age, 8, 2, 16)
    }

    fn taken(holding: &mut Holding, topic: TopicIndex) -> Vec<usize> {
        let mut slots = Vec::new();
        holding.take(topic, &mut slots);
        slots
    }

    #[test]
    fn few_wait_until_they_are_many() {
        let (mut holding, now) = (holding(AGE), Instant::now());
        let [few, other] = [2, 5].map(TopicIndex::new);
        assert!(!holding.waits(few, 0, ENOUGH, ENOUGH, now));
        assert!(taken(&mut holding, few).is_empty());
        assert!(holding.waits(few, 1, ENOUGH / 2, ENOUGH, now));
        assert!(holding.waits(other, 1, ENOUGH - 1, ENOUGH, now));
        assert!(holding.waits(few, 0, ENOUGH / 2 - 1, ENOUGH, now + AGE / 2));
        assert!(!holding.waits(few, 3, 1, ENOUGH, now + AGE / 2));
        assert_eq!(taken(&mut holding, few), [1, 0]);
        assert_eq!(holding.first(), Some((now + AGE, other)));
        holding.forget(other);
        assert_eq!((holding.first(), holding.rest(now)), (None, None));
        assert!(taken(&mut holding, other).is_empty());
    }

    #[test]
    fn a_wait_ends_by_its_first_records() {
        let (mut holding, now) = (holding(AGE), Instant::now());
        let [first, second] = [0, 1].map(TopicIndex::new);
        assert!(holding.waits(first, 0, 1, ENOUGH, now));
        assert!(holding.waits(second, 0, 1, ENOUGH, now + AGE / 4));
        assert!(holding.waits(first, 1, 1, ENOUGH, now + AGE / 2));
        assert_eq!(holding.rest(now + AGE / 2), Some(AGE / 2));
        assert!(!holding.waits(first, 2, 1, ENOUGH, now + AGE));
        assert_eq!(taken(&mut holding, first), [0, 1]);
        // It begins anew, and has its place behind the other.
        assert!(holding.waits(first, 3, 1, ENOUGH, now + AGE));
        assert_eq!(holding.first(), Some((now + AGE / 4 + AGE, second)));
        assert_eq!(taken(&mut holding, second), [0]);
        assert_eq!(holding.first(), Some((now + AGE * 2, first)));
        assert_eq!(holding.rest(now + AGE * 3), Some(Duration::ZERO));
    }

    #[test]
    fn the_age_bounds_it_and_there_is_a_bound_to_that() {
        let (topic, now) = (TopicIndex::new(0), Instant::now());
        assert!(!holding(Duration::ZERO).waits(topic, 0, 1, ENOUGH, now));
        let mut holding = holding(Duration::from_secs(60));
        assert!(holding.waits(topic, 0, 1, ENOUGH, now));
        assert_eq!(holding.rest(now), Some(WAIT_MAX));
    }

    #[test]
    fn batches_are_scarce_by_their_receiver() {
        for (batches, out_max) in [(2, 0), (3, 1), (4, 1), (16, 7)] {
            let mut holding = Holding::new(AGE, 8, 2, 2 * batches);
            (0..out_max).for_each(|_| holding.board(1));
            assert!(!holding.is_scarce(1), "{batches}");
            holding.board(1);
            assert!(holding.is_scarce(1) && !holding.is_scarce(0), "{batches}");
            holding.leave(1);
            assert!(!holding.is_scarce(1), "{batches}");
        }
    }
}
