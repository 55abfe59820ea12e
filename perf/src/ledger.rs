//! Counts what arrived: a bit per message, so that loss and duplicates are exact.

use crate::arrivals::Arrivals;
use crate::clock;
use crate::latencies::Run;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Words in a connection's first segment; each next segment is twice as long.
const SEGMENT_WORDS: u64 = 64;
/// Segments that cover every sequence number below `message::SEQUENCE_MAX`.
const SEGMENT_COUNT: usize = 21;
/// A send time that no message has.
const NEVER: u64 = u64::MAX;
const CONNECTION_COUNT: usize = 1 << 16;

/// What one batch of records showed; added to the ledger once per batch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Records, the bad ones included.
    pub received: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// Records whose sequence number had arrived before.
    pub duplicated: u64,
    /// Records behind a later one of the same connection in the same partition.
    pub reordered: u64,
    /// Records without a good stamp.
    pub corrupt: u64,
    /// Records in another topic than their stamp says.
    pub misrouted: u64,
    /// Records that were looked at whole, and are not what the rules make.
    pub misshapen: u64,
}

/// All that a sink counts. Written by its threads, read by anyone; counters never go back.
pub struct Ledger {
    started: Instant,
    connections: Box<[OnceLock<Box<Seen>>]>,
    received: AtomicU64,
    payload_bytes: AtomicU64,
    duplicated: AtomicU64,
    reordered: AtomicU64,
    corrupt: AtomicU64,
    misrouted: AtomicU64,
    misshapen: AtomicU64,
    /// Messages that were to be sent then or later are timed. Written by the one who measures, read
    /// by the sink's threads, once a batch.
    timed_from: AtomicU64,
    /// Nanoseconds since `started`, 0 before the first record.
    last_record: AtomicU64,
    /// Batches, those not taken included.
    pub batches: BatchCounts,
    /// When messages came, of those connections for which somebody asks.
    pub arrivals: Arrivals,
}

/// Batches by what became of them.
#[derive(Debug, Default)]
pub struct BatchCounts {
    /// Taken: their records are counted.
    pub taken: AtomicU64,
    /// Repeats of a batch that had been acknowledged: dropped, as Kafka does.
    pub repeated: AtomicU64,
    /// Sequence numbers or epochs that do not follow: refused.
    pub out_of_sequence: AtomicU64,
    /// Compressed: taken, once they are decompressed.
    pub compressed: AtomicU64,
    /// Malformed, for a wrong partition, or of an old format: refused.
    pub refused: AtomicU64,
    /// Answered with an error on purpose, taken or not.
    pub failed: AtomicU64,
}

/// What has arrived so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Records of every kind.
    pub received: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// Different messages.
    pub unique: u64,
    /// Records beyond the first of a message.
    pub duplicated: u64,
    /// Records behind a later one of their connection and partition; late duplicates are counted
    /// here too.
    pub reordered: u64,
    /// Records without a good stamp.
    pub corrupt: u64,
    /// Records in another topic than their stamp says.
    pub misrouted: u64,
    /// Records that were looked at whole, and are not what the rules make.
    pub misshapen: u64,
}

/// The messages of one connection: a bit each, in segments that are made when first touched.
#[derive(Default)]
struct Seen {
    segments: [OnceLock<Box<[AtomicU64]>>; SEGMENT_COUNT],
    unique: AtomicU64,
    /// One more than the greatest sequence number.
    next: AtomicU64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            connections: (0..CONNECTION_COUNT).map(|_| OnceLock::new()).collect(),
            received: AtomicU64::new(0),
            payload_bytes: AtomicU64::new(0),
            duplicated: AtomicU64::new(0),
            reordered: AtomicU64::new(0),
            corrupt: AtomicU64::new(0),
            misrouted: AtomicU64::new(0),
            misshapen: AtomicU64::new(0),
            timed_from: AtomicU64::new(NEVER),
            last_record: AtomicU64::new(0),
            batches: BatchCounts::default(),
            arrivals: Arrivals::default(),
        }
    }
}

impl Ledger {
    /// Marks the messages `64 * word + bit` of a connection; returns how many had been marked.
    pub fn mark(&self, connection: u16, word: u64, mask: u64) -> u64 {
        let seen = self.connections[usize::from(connection)].get_or_init(Box::default);
        let before = seen.word(word).fetch_or(mask, Relaxed);
        let repeats = u64::from((before & mask).count_ones());
        seen.unique.fetch_add(u64::from(mask.count_ones()) - repeats, Relaxed);
        seen.next.fetch_max(word * 64 + u64::from(mask.ilog2()) + 1, Relaxed);
        repeats
    }

    /// Times the messages that were to be sent at this time of the `clock` or later. Until that is
    /// said, none.
    pub fn time_from(&self, nanos: u64) {
        self.timed_from.store(nanos, Relaxed);
    }

    /// The spans of a batch that is walked now.
    #[inline]
    pub fn spans(&self) -> Run {
        let from = self.timed_from.load(Relaxed);
        Run::new(from, if from == NEVER { 0 } else { clock::now() })
    }

    /// Adds what a batch showed.
    pub fn add(&self, tally: Tally) {
        self.received.fetch_add(tally.received, Relaxed);
        self.payload_bytes.fetch_add(tally.payload_bytes, Relaxed);
        self.duplicated.fetch_add(tally.duplicated, Relaxed);
        self.reordered.fetch_add(tally.reordered, Relaxed);
        self.corrupt.fetch_add(tally.corrupt, Relaxed);
        self.misrouted.fetch_add(tally.misrouted, Relaxed);
        self.misshapen.fetch_add(tally.misshapen, Relaxed);
        self.last_record.fetch_max(self.started.elapsed().as_nanos() as u64, Relaxed);
    }

    /// Records so far: cheap, for those who wait.
    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// When the last record came in, if one did.
    pub fn last_record(&self) -> Option<Instant> {
        let nanos = self.last_record.load(Relaxed);
        (nanos > 0).then(|| self.started + std::time::Duration::from_nanos(nanos))
    }

    /// All counts. Exact once the senders are quiet.
    pub fn counts(&self) -> Counts {
        let seen = self.connections.iter().filter_map(OnceLock::get);
        Counts {
            received: self.received.load(Relaxed),
            payload_bytes: self.payload_bytes.load(Relaxed),
            unique: seen.map(|seen| seen.unique.load(Relaxed)).sum(),
            duplicated: self.duplicated.load(Relaxed),
            reordered: self.reordered.load(Relaxed),
            corrupt: self.corrupt.load(Relaxed),
            misrouted: self.misrouted.load(Relaxed),
            misshapen: self.misshapen.load(Relaxed),
        }
    }

    /// Gaps below the greatest sequence number of each connection: what is lost if the last
    /// message of each has arrived.
    pub fn gaps(&self) -> u64 {
        let seen = self.connections.iter().filter_map(OnceLock::get);
        seen.map(|seen| seen.next.load(Relaxed).saturating_sub(seen.unique.load(Relaxed))).sum()
    }

    /// Messages missing of those sent: pairs of a connection and how many it sent.
    pub fn lost(&self, sent: impl IntoIterator<Item = (u16, u64)>) -> u64 {
        let unique = |connection: u16| {
            let seen = self.connections[usize::from(connection)].get();
            seen.map_or(0, |seen| seen.unique.load(Relaxed))
        };
        sent.into_iter().map(|(connection, count)| count.saturating_sub(unique(connection))).sum()
    }
}

impl Seen {
    /// Segment k holds words `[64 * (2^k - 1), 64 * (2^(k+1) - 1))`.
    fn word(&self, word: u64) -> &AtomicU64 {
        let position = word + SEGMENT_WORDS;
        let segment = position.ilog2() - SEGMENT_WORDS.ilog2();
        let words = SEGMENT_WORDS << segment;
        let slots = self.segments[segment as usize]
            .get_or_init(|| (0..words).map(|_| AtomicU64::new(0)).collect());
        &slots[(position - words) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::SEQUENCE_MAX;

    #[test]
    fn each_word_has_a_slot_of_its_own() {
        let seen = Seen::default();
        for word in 0..10_000 {
            assert_eq!(seen.word(word).swap(1, Relaxed), 0, "word {word}");
        }
        let last = SEQUENCE_MAX / 64 - 1 + SEGMENT_WORDS;
        assert!(((last.ilog2() - SEGMENT_WORDS.ilog2()) as usize) < SEGMENT_COUNT);
    }

    #[test]
    fn repeats_are_counted_by_mark() {
        let ledger = Ledger::default();
        assert_eq!(ledger.mark(7, 3, 0b0111), 0);
        assert_eq!(ledger.mark(7, 3, 0b1110), 2);
        assert_eq!(ledger.mark(8, 3, 0b1110), 0);
        assert_eq!(ledger.counts().unique, 4 + 3);
    }

    #[test]
    fn lost_is_against_what_was_sent_and_gaps_against_what_came() {
        let ledger = Ledger::default();
        ledger.mark(0, 0, 0b1011);
        ledger.mark(1, 0, 0b1111);
        assert_eq!(ledger.gaps(), 1);
        assert_eq!(ledger.lost([(0, 4), (1, 6), (2, 5)]), 1 + 2 + 5);
    }
}
