//! The pool: the batches of one receiver shard, and which of them is where.
//!
//! Each batch is empty at home, open (being filled), or out (sealed, on its way or with the
//! producer): `empty + open + out == batch_count` at any time. No batch empty means: stop reading.
//! Who carries a batch from thread to thread is not decided here.
//!
//! When an open batch leaves that is not full: in quiet times at once, so that nobody waits; the more
//! records come, the later, so that few batches carry them; the fewer batches are empty, the later, so
//! that there always is one to fill; as late as may be after one of many topics; and never later than its
//! age.

use std::time::{Duration, Instant};

use crate::batch::{Batch, Receipt};
use crate::record::Record;
use crate::sample::Share;
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

/// Between two batches that leave unfilled, at least; each costs the producer, librdkafka and Kafka a
/// wake.
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// Records a second, of all receivers, up to which that is enough; the pause grows as they do.
const QUIET_RATE: u64 = 400_000;
/// So much older than in the flowing lane a batch grows while one of the waiting lane's is out, and so
/// much older again while two are.
const WAITING_AGES: u32 = 20;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

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
    /// Receivers, which all wake the one producer.
    receivers: u64,
    /// Of the flowing lane.
    pace: Pace,
}

/// How the batches of the flowing lane follow each other.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    /// When the last one left.
    left_at: Option<Instant>,
    /// How much later the next may.
    pause: Duration,
}

impl Pace {
    /// A batch leaves that was filled with so many records; in quiet times the next may after `pause_min`.
    fn note(&mut self, now: Instant, records: u64, pause_min: Duration, age_max: Duration) {
        let since = self.left_at.map_or(age_max, |at| now.saturating_duration_since(at));
        let quiet_records = (since.as_nanos() as u64).saturating_mul(QUIET_RATE) / NANOS_PER_SECOND;
        let pause_min = pause_min.as_nanos() as u64;
        let pause = pause_min.max(pause_min.saturating_mul(records) / quiet_records.max(1));
        self.left_at = Some(now);
        self.pause = Duration::from_nanos(pause).min(age_max);
    }

    /// When a batch that was opened then is due.
    fn due_at(&self, opened_at: Instant) -> Instant {
        self.left_at.map_or(opened_at, |at| opened_at.max(at + self.pause))
    }
}

impl Pool {
    /// A pool of `batch_count` empty batches for one receiver; all memory is reserved here.
    pub fn new(
        share: Share,
        batch_count: usize,
        batch_bytes: usize,
        batch_age_max: Duration,
        topics_max: usize,
    ) -> Self {
        Pool {
            empty: (0..batch_count)
                .map(|_| Batch::new(share.shard as usize, batch_bytes, topics_max))
                .collect(),
            open: [None, None],
            out: [0, 0],
            topic_lanes: vec![Lane::Waiting; topics_max],
            batch_count,
            batch_bytes,
            batch_age_max,
            waiting_max: (batch_count / 4).max(1),
            receivers: share.shard_count,
            pace: Pace::default(),
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
            if let Some(batch) = self.seal(topic_lane, receipt.read_at) {
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
        self.seal(lane, receipt.read_at).map_or(Append::NoEmptyBatch, Append::Sealed)
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

    fn seal(&mut self, lane: Lane, now: Instant) -> Option<Batch> {
        let batch = self.open[lane as usize].take()?;
        let records = batch.record_count() as u64 * self.receivers;
        if lane == Lane::Flowing {
            let pause_min = match batch.has_many_topics() {
                true => self.batch_age_max,
                false => PAUSE_MIN * self.batch_count as u32 / self.empty.len().max(1) as u32,
            };
            self.pace.note(now, records, pause_min, self.batch_age_max);
        }
        self.out[lane as usize] += 1;
        Some(batch)
    }

    /// An open batch that is due at `now`, or any open one where `is_drained`. Call it until it
    /// gives nothing.
    pub fn seal_due(&mut self, now: Instant, is_drained: bool) -> Option<Batch> {
        [Lane::Flowing, Lane::Waiting].into_iter().find_map(|lane| {
            let is_due = is_drained || self.due_at(lane)? <= now;
            is_due.then(|| self.seal(lane, now)).flatten()
        })
    }

    /// When the next open batch will be due; `None` while none is open.
    pub fn next_seal_at(&self) -> Option<Instant> {
        [Lane::Flowing, Lane::Waiting].into_iter().filter_map(|lane| self.due_at(lane)).min()
    }

    /// Of the waiting lane's batches the first leaves at once, to find out whether its topics flow; the
    /// others ever later, and the last one not unfilled: until one comes home, if it ever does, there
    /// must be room for what comes.
    fn due_at(&self, lane: Lane) -> Option<Instant> {
        let opened_at = self.open[lane as usize].as_ref()?.opened_at?;
        match lane {
            Lane::Flowing => Some(self.pace.due_at(opened_at)),
            Lane::Waiting => {
                let out = self.out[lane as usize];
                match out {
                    0 => Some(opened_at),
                    _ if out + 1 >= self.waiting_max => None,
                    1 => Some(opened_at + self.batch_age_max * WAITING_AGES),
                    _ => Some(opened_at + self.batch_age_max * WAITING_AGES * WAITING_AGES),
                }
            }
        }
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
