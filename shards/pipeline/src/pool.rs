//! The pool: the batches of one receiver shard, and which of them is where.
//!
//! Each batch is empty at home, open (being filled), or out (sealed, on its way or with the
//! producer): `empty + open + out == batch_count` at any time. No batch empty means: stop reading.
//! Who carries a batch from thread to thread is not decided here.

use std::time::{Duration, Instant};

use crate::batch::{Batch, Receipt};
use crate::record::Record;
use crate::topics::Lane;

/// What became of a record offered to the pool.
#[derive(Debug)]
pub enum Append {
    /// It is in the open batch.
    Written,
    /// It is not: the open batch has to leave first. Send this one, then offer the record again.
    Sealed(Batch),
    /// It is not: no batch is empty. Offer it again when one has come home.
    NoEmptyBatch,
    /// It is not, and never will be: it is larger than an empty batch.
    TooLarge,
}

/// A receiver shard's batches.
#[derive(Debug)]
pub struct Pool {
    empty: Vec<Batch>,
    open: [Option<Batch>; 2],
    /// Batches out, by the lane that they were filled in.
    out: [usize; 2],
    /// The lane that each topic's last record went to.
    topic_lanes: Vec<Lane>,
    batch_count: usize,
    batch_bytes: usize,
    batch_age_max: Duration,
    waiting_max: usize,
}

impl Pool {
    /// A pool of `batch_count` empty batches for receiver `home`; all memory is reserved here.
    pub fn new(
        home: usize,
        batch_count: usize,
        batch_bytes: usize,
        batch_age_max: Duration,
        topics_max: usize,
    ) -> Self {
        Pool {
            empty: (0..batch_count).map(|_| Batch::new(home, batch_bytes, topics_max)).collect(),
            open: [None, None],
            out: [0, 0],
            topic_lanes: vec![Lane::Waiting; topics_max],
            batch_count,
            batch_bytes,
            batch_age_max,
            waiting_max: (batch_count / 4).max(1),
        }
    }

    /// Offers one record. `lane` is its topic's at present; where that has changed since the
    /// topic's last record, the old lane's open batch is sealed first, so that order is kept.
    ///
    /// Cost:   one copy, no allocation.
    pub fn append(&mut self, receipt: &Receipt, lane: Lane, record: &Record<'_>) -> Append {
        if record.arena_bytes() > self.batch_bytes {
            return Append::TooLarge;
        }
        let topic_lane = self.topic_lanes[record.topic.index()];
        if topic_lane != lane {
            if let Some(batch) = self.seal(topic_lane) {
                return Append::Sealed(batch);
            }
            self.topic_lanes[record.topic.index()] = lane;
        }
        if self.open[lane as usize].is_none() && !self.open_batch(receipt.read_at, lane) {
            return Append::NoEmptyBatch;
        }
        let open = self.open[lane as usize].as_mut();
        if open.is_some_and(|batch| batch.try_push(record, receipt)) {
            return Append::Written;
        }
        self.seal(lane).map_or(Append::NoEmptyBatch, Append::Sealed)
    }

    fn open_batch(&mut self, now: Instant, lane: Lane) -> bool {
        if lane == Lane::Waiting && self.out[lane as usize] >= self.waiting_max {
            return false;
        }
        let Some(mut batch) = self.empty.pop() else { return false };
        batch.opened_at = Some(now);
        batch.lane = lane;
        self.open[lane as usize] = Some(batch);
        true
    }

    fn seal(&mut self, lane: Lane) -> Option<Batch> {
        let batch = self.open[lane as usize].take()?;
        self.out[lane as usize] += 1;
        Some(batch)
    }

    /// The open batch that is older than the pool's age, or any open one where `now` is `None`
    /// (at a drain). Call it until it gives nothing.
    pub fn seal_aged(&mut self, now: Option<Instant>) -> Option<Batch> {
        let age_max = self.batch_age_max;
        [Lane::Flowing, Lane::Waiting].into_iter().find_map(|lane| {
            let opened_at = self.open[lane as usize].as_ref()?.opened_at?;
            let is_due = now.is_none_or(|now| now.saturating_duration_since(opened_at) >= age_max);
            is_due.then(|| self.seal(lane)).flatten()
        })
    }

    /// When the oldest open batch will be due; `None` while none is open.
    pub fn next_seal_at(&self) -> Option<Instant> {
        let opened = self.open.iter().flatten().filter_map(|batch| batch.opened_at).min()?;
        Some(opened + self.batch_age_max)
    }

    /// Takes back a batch, emptied.
    pub fn come_home(&mut self, mut batch: Batch) {
        self.out[batch.lane as usize] -= 1;
        batch.clear();
        self.empty.push(batch);
        debug_assert_eq!(self.empty.len() + self.open_count() + self.out_count(), self.batch_count);
    }

    /// Records in the open batches.
    pub fn open_record_count(&self) -> usize {
        self.open.iter().flatten().map(Batch::record_count).sum()
    }

    /// Batches at home and empty.
    pub fn empty_count(&self) -> usize {
        self.empty.len()
    }

    /// Batches being filled.
    pub fn open_count(&self) -> usize {
        self.open.iter().flatten().count()
    }

    /// Batches sealed and not home yet.
    pub fn out_count(&self) -> usize {
        self.out[0] + self.out[1]
    }
}
