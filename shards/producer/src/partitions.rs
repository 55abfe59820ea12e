//! A topic's partitions, and which of them the next records go to.
//!
//! A partition is *opened* by one record before others follow. A broker that has seen nothing of a
//! producer id on a partition takes any first sequence number: if the first MessageSet were refused
//! (too large, say) with others already on the way, these would be taken, and its records, sent
//! again, would stand behind them. Behind an acknowledged record the broker refuses what does not
//! continue, and order is kept.
//!
//! A record that was on its way to a partition and is sent again is *bound*: it goes to the same
//! one. On another it would stand behind records that came after it and were taken there.
//!
//! Records without a key that have to wait for others anyway, or are many, stay on a partition for some
//! batches, so that those share its requests (as with KIP-480 and KIP-794), and open no other meanwhile;
//! where nobody waits, the next batch's go to the next partition, since librdkafka has one request on its
//! way to each.

use std::time::{Duration, Instant};

use crate::partition;

/// How often a record goes through the partitioner, which learns the partition count there.
const REFRESH: Duration = Duration::from_secs(1);
/// After so many records it is the next partition's turn, or after so long.
const STAY_RECORDS_MIN: usize = 8000;
const STAY_TIME_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// Nothing was sent there by this client.
    Fresh,
    /// One record is on its way there.
    Sent,
    /// A record was acknowledged there.
    Open,
}

/// What is known of a topic's partitions. Empty: not even their number.
#[derive(Debug, Clone)]
pub(crate) struct Partitions {
    openings: Vec<Opening>,
    fresh_count: usize,
    /// The open partition that the last batch's records without key went to.
    last: usize,
    /// How many records the batches have that stayed there, and since when they do.
    stayed: usize,
    stays_since: Option<Instant>,
    refresh_at: Option<Instant>,
}

/// What a batch has for a topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Where the batch sits.
    pub(crate) slot: usize,
    /// Its records of the topic.
    pub(crate) records: usize,
    /// They may wait for others: librdkafka lingers, there are too many topics for a request each, or
    /// so much comes that requests shall be few.
    pub(crate) may_wait: bool,
}

/// Chooses partitions for the records of one batch.
pub(crate) struct Choice<'p> {
    partitions: &'p mut Partitions,
    slot: usize,
    /// One record goes through the partitioner.
    asks: bool,
    /// Records without key go where the last batch's did, and open nothing.
    stays: bool,
    /// Where the other records without key go: an open partition, if there is one.
    open: Option<i32>,
    /// Records are with librdkafka.
    has_sent: bool,
    /// Records have to wait until a partition is open.
    pub(crate) holds: bool,
}

impl Partitions {
    pub(crate) fn new(topic: usize) -> Self {
        Partitions {
            openings: Vec::new(),
            fresh_count: 0,
            last: topic,
            stayed: 0,
            stays_since: None,
            refresh_at: None,
        }
    }

    /// Starts the choice for one batch. `sent_count`: the topic's records with librdkafka.
    pub(crate) fn choose(
        &mut self,
        now: Instant,
        partition_count: i32,
        sent_count: usize,
        load: Load,
    ) -> Choice<'_> {
        let count = usize::try_from(partition_count).unwrap_or(0);
        if count > self.openings.len() {
            self.fresh_count += count - self.openings.len();
            self.openings.resize(count, Opening::Fresh);
        }
        if sent_count == 0 {
            self.take_back();
        }
        let stays = load.may_wait
            && self.stayed < STAY_RECORDS_MIN
            && self.stays_since.is_some_and(|since| now.duration_since(since) < STAY_TIME_MAX);
        if stays {
            self.stayed += load.records;
        } else {
            self.stayed = load.records;
            self.stays_since = Some(now);
        }
        let asks = count == 0 || (!stays && self.refresh_at.is_none_or(|at| now >= at));
        if asks {
            self.refresh_at = Some(now + REFRESH);
        }
        let open = (1..=count)
            .map(|step| (self.last + step - usize::from(stays)) % count)
            .find(|&at| self.openings[at] == Opening::Open);
        self.last = open.unwrap_or(self.last);
        Choice {
            slot: load.slot,
            asks,
            stays: stays && open.is_some(),
            open: open.map(|at| at as i32),
            has_sent: sent_count > 0,
            holds: false,
            partitions: self,
        }
    }

    /// Nothing is on its way: what was sent and not acknowledged has opened nothing.
    fn take_back(&mut self) {
        for opening in self.openings.iter_mut().filter(|opening| **opening == Opening::Sent) {
            *opening = Opening::Fresh;
            self.fresh_count += 1;
        }
    }

    /// A record was acknowledged on `partition`.
    #[inline]
    pub(crate) fn open(&mut self, partition: i32) {
        let opening = usize::try_from(partition).ok().and_then(|at| self.openings.get_mut(at));
        if let Some(opening) = opening
            && *opening != Opening::Open
        {
            self.fresh_count -= usize::from(*opening == Opening::Fresh);
            *opening = Opening::Open;
        }
    }

    /// A new client: all partitions are fresh to its producer id.
    pub(crate) fn close_all(&mut self) {
        self.openings.fill(Opening::Fresh);
        self.fresh_count = self.openings.len();
    }

    /// Takes a fresh or open partition for one record; `None` if one is on its way there.
    fn enter(&mut self, at: i32) -> Option<i32> {
        let opening = self.openings.get_mut(at as usize)?;
        match opening {
            Opening::Open => {}
            Opening::Sent => return None,
            Opening::Fresh => {
                *opening = Opening::Sent;
                self.fresh_count -= 1;
            }
        }
        Some(at)
    }
}

impl Choice<'_> {
    /// The partition for the next record; -1: librdkafka shall ask our partitioner; `None`: the
    /// record has to wait. `bound`: where it was before.
    #[inline]
    pub(crate) fn next(&mut self, key: Option<&[u8]>, bound: Option<i32>) -> Option<i32> {
        let chosen = match (bound, self.asks, key, self.open) {
            (None, false, None, Some(open)) if self.stays || self.partitions.fresh_count == 0 => {
                return Some(open);
            }
            (Some(at), ..) if (at as usize) < self.partitions.openings.len() => {
                self.partitions.enter(at)
            }
            _ => self.next_of_some(key),
        };
        self.holds |= chosen.is_none();
        self.has_sent |= chosen.is_some();
        chosen
    }

    /// As above, where the partitioner is to be asked, there is a key, or not all are open.
    fn next_of_some(&mut self, key: Option<&[u8]>) -> Option<i32> {
        let count = self.partitions.openings.len() as i32;
        if count == 0 {
            // The first record finds out how many there are.
            return (!self.has_sent).then_some(-1);
        }
        if std::mem::take(&mut self.asks) {
            let at = match key {
                Some(key) => partition::of_key(key, count),
                None => partition::of_batch(self.slot, count),
            };
            // The partitioner computes the same, unless the count has just changed.
            if self.partitions.enter(at).is_some() {
                return Some(-1);
            }
        }
        match key {
            Some(key) => self.partitions.enter(partition::of_key(key, count)),
            None if self.partitions.fresh_count > 0 => {
                let fresh = |opening: &Opening| *opening == Opening::Fresh;
                let at = self.partitions.openings.iter().position(fresh)?;
                self.partitions.enter(at as i32)
            }
            None => self.open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What does not wait does not stay.
    fn load(slot: usize) -> Load {
        Load { slot, records: 1, may_wait: false }
    }

    #[test]
    fn small_batches_that_may_wait_stay_and_large_ones_go_on() {
        let mut partitions = Partitions::new(0);
        let now = Instant::now();
        partitions.choose(now, 4, 0, load(0));
        (0..4).for_each(|partition| partitions.open(partition));
        let mut at = |records: usize, now: Instant| {
            partitions
                .choose(now, 4, 1, Load { slot: 0, records, may_wait: true })
                .open
                .expect("it is open")
        };
        assert_eq!([at(10, now), at(10, now), at(7979, now)], [0; 3]);
        // That were 8000 with the first. Of 7999 the next stays, however large its batch.
        assert_eq!([at(7999, now), at(900, now)], [1; 2]);
        assert_eq!([at(8000, now), at(8000, now), at(1, now)], [2, 3, 0]);
        assert_eq!([at(1, now + STAY_TIME_MAX / 2), at(1, now + STAY_TIME_MAX)], [0, 1]);
    }

    #[test]
    fn what_stays_opens_no_partition_until_it_goes_on() {
        let mut partitions = Partitions::new(0);
        let now = Instant::now();
        let few = Load { slot: 0, records: 3, may_wait: true };
        let mut choice = partitions.choose(now, 0, 0, few);
        assert_eq!(chosen(&mut choice, 2), [Some(-1), None]);
        partitions.choose(now, 3, 0, few);
        partitions.open(2);
        assert_eq!(chosen(&mut partitions.choose(now, 3, 0, few), 3), [Some(2); 3]);
        let many = Load { records: STAY_RECORDS_MIN, ..few };
        assert_eq!(chosen(&mut partitions.choose(now, 3, 3, many), 1), [Some(2)]);
        // It goes on: one record asks for the count and finds a fresh one, another opens the other.
        let mut choice = partitions.choose(now + REFRESH, 3, 3, few);
        assert_eq!(chosen(&mut choice, 3), [Some(-1), Some(1), Some(2)]);
    }

    fn chosen(choice: &mut Choice<'_>, records: usize) -> Vec<Option<i32>> {
        (0..records).map(|_| choice.next(None, None)).collect()
    }

    #[test]
    fn one_record_finds_the_partitions_and_one_opens_each() {
        let now = Instant::now();
        let mut partitions = Partitions::new(0);
        let mut choice = partitions.choose(now, 0, 0, load(0));
        assert_eq!(chosen(&mut choice, 3), [Some(-1), None, None]);
        assert!(choice.holds);
        // It was acknowledged on partition 1 of 3.
        let mut choice = partitions.choose(now, 3, 0, load(0));
        assert_eq!(chosen(&mut choice, 4), [Some(0), Some(1), Some(2), None]);
        assert!(choice.holds);
        (0..3).for_each(|partition| partitions.open(partition));
        let mut choice = partitions.choose(now, 3, 0, load(0));
        assert_eq!(chosen(&mut choice, 3), [Some(1); 3]);
        assert!(!choice.holds);
        let mut choice = partitions.choose(now, 3, 5, load(1));
        assert_eq!(chosen(&mut choice, 2), [Some(2); 2]);
    }

    #[test]
    fn a_new_partition_is_opened_while_the_others_take_records() {
        let now = Instant::now();
        let mut partitions = Partitions::new(0);
        partitions.choose(now, 1, 0, load(0));
        partitions.open(0);
        let mut choice = partitions.choose(now, 2, 4, load(0));
        assert_eq!(chosen(&mut choice, 3), [Some(1), Some(0), Some(0)]);
        assert!(!choice.holds);
    }

    #[test]
    fn a_keyed_record_waits_for_its_partition_alone() {
        let now = Instant::now();
        let mut partitions = Partitions::new(0);
        let mut choice = partitions.choose(now, 1, 0, load(0));
        choice.asks = false;
        assert_eq!(choice.next(Some(b"a"), None), Some(0));
        assert_eq!(choice.next(Some(b"b"), None), None);
        assert!(choice.holds);
    }

    #[test]
    fn a_record_that_is_sent_again_goes_where_it_was() {
        let now = Instant::now();
        let mut partitions = Partitions::new(0);
        partitions.choose(now, 3, 0, load(0));
        (0..3).for_each(|partition| partitions.open(partition));
        let mut choice = partitions.choose(now, 3, 0, load(0));
        assert_eq!(choice.next(None, Some(2)), Some(2));
        assert_eq!(choice.next(Some(b"a"), Some(2)), Some(2));
        // None is beside it at present, and one record opens it.
        partitions.close_all();
        let mut choice = partitions.choose(now, 0, 0, load(0));
        assert_eq!(choice.next(None, Some(2)), Some(2));
        assert_eq!(choice.next(None, Some(2)), None);
        assert!(choice.holds);
        assert_eq!(choice.next(None, Some(1)), Some(1));
    }

    #[test]
    fn where_a_record_was_means_nothing_before_the_partitions_are_known() {
        let mut partitions = Partitions::new(0);
        let mut choice = partitions.choose(Instant::now(), 0, 0, load(0));
        assert_eq!(choice.next(None, Some(0)), Some(-1));
    }

    #[test]
    fn what_was_not_acknowledged_opens_nothing() {
        let now = Instant::now();
        let mut partitions = Partitions::new(0);
        let mut choice = partitions.choose(now, 2, 0, load(0));
        choice.asks = false;
        assert_eq!(chosen(&mut choice, 3), [Some(0), Some(1), None]);
        assert_eq!(chosen(&mut partitions.choose(now, 2, 2, load(0)), 1), [None]);
        assert_eq!(chosen(&mut partitions.choose(now, 2, 0, load(0)), 3), [Some(0), Some(1), None]);
        partitions.close_all();
        assert_eq!(partitions.fresh_count, 2);
    }
}
