//! One partition's memory: the sequence numbers of its producers, the order of its messages.

use crate::audit;
use crate::latencies::Latencies;
use crate::ledger::{Ledger, Tally};
use crate::message::{self, ROUTE_ANY, Stamp};
use crate::records::{Batch, Malformed};
use crate::workload::Workload;

/// Batches per producer that can be recognised as repeats; Kafka's own bound, and the greatest
/// `max.in.flight` of an idempotent producer.
const RECENT_COUNT: usize = 5;
/// One record in so many is audited whole: that costs more than all other checks.
const AUDIT_EVERY: u64 = 256;
/// Sequence numbers wrap to 0 after this.
const SEQUENCE_WRAP: i64 = 1 << 31;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Taken; its first record's offset.
    Taken(i64),
    /// A repeat of one taken before; that one's offset.
    Repeat(i64),
    /// Does not follow the last sequence number.
    OutOfOrder,
    /// Lies before the last sequence number, too far back to be recognised.
    Stale,
    /// From an epoch that has passed.
    Fenced,
}

/// What holds for every record of a topic.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The topic's name.
    pub topic: String,
    /// `message::route_of` it.
    route: u16,
    /// Whose messages these are, if that is known: some payloads are looked at whole.
    workload: Option<Workload>,
    /// The workload's rules send there; true if it is not known.
    is_known: bool,
}

impl Expected {
    /// In that topic, of that workload.
    pub fn new(topic: String, workload: Option<Workload>) -> Self {
        let is_known = workload.is_none_or(|workload| workload.topics().contains(&topic));
        Self { route: message::route_of(&topic), topic, workload, is_known }
    }
}

/// A partition: locked by the thread that handles a batch for it, for that batch.
#[derive(Default)]
pub struct Partition {
    next_offset: i64,
    producers: Vec<Producer>,
    tracks: Vec<Track>,
    /// How long messages took, if somebody asks.
    latencies: Option<Box<Latencies>>,
    /// Connections with marks that the ledger has not seen yet; empty between batches.
    touched: Vec<u16>,
}

struct Producer {
    id: i64,
    epoch: i16,
    next_sequence: i64,
    recent: [Option<Recent>; RECENT_COUNT],
    recent_next: usize,
}

#[derive(Clone, Copy)]
struct Recent {
    base_sequence: i32,
    record_count: u32,
    offset: i64,
}

/// One connection's messages in this partition.
///
/// `mask` gathers marks of `word`, so that the shared ledger is touched once for many messages.
#[derive(Default, Clone, Copy)]
struct Track {
    next: u64,
    word: u64,
    mask: u64,
}

impl Partition {
    /// Takes a batch: checks its sequence numbers, then each record, and counts them.
    ///
    /// Errors: `Malformed` if the records cannot be walked; those before the fault are counted.
    pub fn take(
        &mut self,
        batch: &Batch<'_>,
        expected: &Expected,
        ledger: &Ledger,
    ) -> Result<Verdict, Malformed> {
        if let Some(verdict) = self.refusal(batch) {
            return Ok(verdict);
        }
        let mut tally = Tally::default();
        let mut offset = self.next_offset as u64;
        let mut spans = ledger.spans();
        let walked = batch.each_value(|payload| {
            tally.received += 1;
            offset += 1;
            tally.payload_bytes += payload.len() as u64;
            match message::check(payload) {
                Ok(stamp) => {
                    self.note(stamp, ledger, &mut tally);
                    ledger.arrivals.note(stamp);
                    spans.note(stamp.sent, &mut self.latencies);
                    let is_here = match stamp.route {
                        ROUTE_ANY => expected.is_known,
                        route => route == expected.route,
                    };
                    tally.misrouted += u64::from(!is_here);
                    let looked_at = expected.workload.filter(|_| offset % AUDIT_EVERY == 1);
                    let is_good = looked_at
                        .is_none_or(|workload| audit::is_made(workload, &expected.topic, payload));
                    tally.misshapen += u64::from(!is_good);
                }
                Err(_) => tally.corrupt += 1,
            }
        });
        spans.end(&mut self.latencies);
        self.flush(ledger, &mut tally);
        ledger.add(tally);
        walked?;
        let offset = self.next_offset;
        self.next_offset += i64::from(batch.record_count);
        self.remember(batch, offset);
        Ok(Verdict::Taken(offset))
    }

    /// Records taken so far.
    pub fn record_count(&self) -> u64 {
        self.next_offset as u64
    }

    /// How long the messages took that were asked for.
    pub fn latencies(&self) -> Option<&Latencies> {
        self.latencies.as_deref()
    }

    /// Why a batch is not taken, by Kafka's rules for idempotent producers.
    fn refusal(&self, batch: &Batch<'_>) -> Option<Verdict> {
        if batch.producer_id < 0 {
            return None;
        }
        let producer = self.producers.iter().find(|producer| producer.id == batch.producer_id)?;
        if batch.producer_epoch != producer.epoch {
            return match batch.producer_epoch > producer.epoch {
                true if batch.base_sequence == 0 => None,
                true => Some(Verdict::OutOfOrder),
                false => Some(Verdict::Fenced),
            };
        }
        let sequence = i64::from(batch.base_sequence);
        if sequence == producer.next_sequence {
            return None;
        }
        let same = |recent: &&Recent| {
            (recent.base_sequence, recent.record_count) == (batch.base_sequence, batch.record_count)
        };
        if let Some(recent) = producer.recent.iter().flatten().find(same) {
            return Some(Verdict::Repeat(recent.offset));
        }
        let ahead = (sequence - producer.next_sequence).rem_euclid(SEQUENCE_WRAP);
        Some(if ahead < SEQUENCE_WRAP / 2 { Verdict::OutOfOrder } else { Verdict::Stale })
    }

    fn remember(&mut self, batch: &Batch<'_>, offset: i64) {
        if batch.producer_id < 0 {
            return;
        }
        let known = self.producers.iter().position(|producer| producer.id == batch.producer_id);
        let index = known.unwrap_or_else(|| {
            self.producers.push(Producer::new(batch));
            self.producers.len() - 1
        });
        let producer = &mut self.producers[index];
        if producer.epoch != batch.producer_epoch {
            *producer = Producer::new(batch);
        }
        let next = i64::from(batch.base_sequence) + i64::from(batch.record_count);
        producer.next_sequence = next % SEQUENCE_WRAP;
        producer.recent[producer.recent_next] = Some(Recent {
            base_sequence: batch.base_sequence,
            record_count: batch.record_count,
            offset,
        });
        producer.recent_next = (producer.recent_next + 1) % RECENT_COUNT;
    }

    #[inline]
    fn note(&mut self, stamp: Stamp, ledger: &Ledger, tally: &mut Tally) {
        let index = usize::from(stamp.connection);
        if index >= self.tracks.len() {
            self.tracks.resize(index + 1, Track::default());
        }
        let track = &mut self.tracks[index];
        if stamp.sequence >= track.next {
            track.next = stamp.sequence + 1;
        } else if stamp.sequence + 1 < track.next {
            tally.reordered += 1;
        }
        let (word, bit) = (stamp.sequence / 64, 1 << (stamp.sequence % 64));
        if track.mask == 0 {
            self.touched.push(stamp.connection);
        } else if track.word != word {
            tally.duplicated += ledger.mark(stamp.connection, track.word, track.mask);
            track.mask = 0;
        }
        tally.duplicated += u64::from(track.mask & bit != 0);
        track.word = word;
        track.mask |= bit;
    }

    fn flush(&mut self, ledger: &Ledger, tally: &mut Tally) {
        for connection in self.touched.drain(..) {
            let track = &mut self.tracks[usize::from(connection)];
            tally.duplicated += ledger.mark(connection, track.word, track.mask);
            track.mask = 0;
        }
    }
}

impl Producer {
    fn new(batch: &Batch<'_>) -> Self {
        Self {
            id: batch.producer_id,
            epoch: batch.producer_epoch,
            next_sequence: 0,
            recent: [None; RECENT_COUNT],
            recent_next: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Block, Framing, HEADER, Text, route_of};
    use crate::records::tests::batch;

    fn messages(connection: u16, sequences: &[u64]) -> Vec<Vec<u8>> {
        let body = b"some words".to_vec();
        let text = Text {
            header: HEADER.into(),
            before: Vec::new(),
            body,
            after: Vec::new(),
            route: route_of("test"),
        };
        let mut block = Block::new([text], 0, Framing::Lf);
        let mut msg = |sequence| {
            let end = block.stamp(0..1, connection, sequence, |_| sequence).end;
            block.bytes()[HEADER.len()..end - 1].to_vec()
        };
        sequences.iter().map(|sequence| msg(*sequence)).collect()
    }

    fn expected(topic: &str) -> Expected {
        Expected::new(topic.to_owned(), None)
    }

    fn take(
        partition: &mut Partition,
        ledger: &Ledger,
        producer: (i64, i16, i32),
        sequences: &[u64],
    ) -> Verdict {
        let messages = messages(2, sequences);
        let values: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let bytes = batch(producer, &values);
        let batch = Batch::parse(&bytes, true).unwrap().0;
        partition.take(&batch, &expected("test"), ledger).unwrap()
    }

    #[test]
    fn a_record_in_another_topic_is_misrouted_and_a_bad_payload_misshapen() {
        let (ledger, mut partition) = (Ledger::default(), Partition::default());
        let message = messages(2, &[0, 1]);
        let bytes = batch((-1, -1, -1), &[&message[0], &message[1]]);
        let batch = Batch::parse(&bytes, true).unwrap().0;
        let expected = Expected::new("other".to_owned(), Some(Workload::W3 { rules: 100 }));
        partition.take(&batch, &expected, &ledger).unwrap();
        let counts = ledger.counts();
        assert_eq!((counts.unique, counts.misrouted, counts.misshapen), (2, 2, 1));
        assert_eq!(partition.record_count(), 2);
    }

    #[test]
    fn latencies_are_kept_only_if_somebody_asks() {
        let (ledger, mut partition) = (Ledger::default(), Partition::default());
        take(&mut partition, &ledger, (-1, -1, -1), &[0, 1]);
        assert!(partition.latencies().is_none());
        // Here the send times are the sequence numbers.
        ledger.time_from(4);
        take(&mut partition, &ledger, (-1, -1, -1), &[3, 4, 5]);
        assert_eq!(partition.latencies().map(Latencies::count), Some(2));
    }

    #[test]
    fn duplicates_are_counted_within_and_across_batches() {
        let (ledger, mut partition) = (Ledger::default(), Partition::default());
        take(&mut partition, &ledger, (-1, -1, -1), &[0, 1, 1, 2]);
        take(&mut partition, &ledger, (-1, -1, -1), &[2, 3, 64, 200]);
        let counts = ledger.counts();
        assert_eq!((counts.received, counts.unique, counts.duplicated), (8, 6, 2));
        assert_eq!((counts.reordered, counts.corrupt), (0, 0));
        assert_eq!(ledger.lost([(2, 201)]), 195);
    }

    #[test]
    fn a_word_left_and_entered_again_is_no_duplicate() {
        let (ledger, mut partition) = (Ledger::default(), Partition::default());
        take(&mut partition, &ledger, (-1, -1, -1), &[0, 70, 1, 71, 2]);
        let counts = ledger.counts();
        assert_eq!((counts.unique, counts.duplicated, counts.reordered), (5, 0, 2));
    }

    #[test]
    fn foreign_records_are_corrupt() {
        let (ledger, mut partition) = (Ledger::default(), Partition::default());
        let bytes = batch((-1, -1, -1), &[b"hello", b""]);
        let batch = Batch::parse(&bytes, true).unwrap().0;
        partition.take(&batch, &expected("test"), &ledger).unwrap();
        assert_eq!((ledger.counts().received, ledger.counts().corrupt), (2, 2));
    }

    #[test]
    fn sequences_follow_repeats_are_dropped_and_gaps_refused() {
        let (ledger, mut partition) = (Ledger::default(), Partition::default());
        assert_eq!(take(&mut partition, &ledger, (5, 0, 0), &[0, 1]), Verdict::Taken(0));
        assert_eq!(take(&mut partition, &ledger, (5, 0, 2), &[2, 3]), Verdict::Taken(2));
        assert_eq!(take(&mut partition, &ledger, (5, 0, 0), &[0, 1]), Verdict::Repeat(0));
        assert_eq!(take(&mut partition, &ledger, (5, 0, 5), &[5]), Verdict::OutOfOrder);
        assert_eq!(take(&mut partition, &ledger, (5, 0, 1), &[1]), Verdict::Stale);
        assert_eq!(take(&mut partition, &ledger, (6, 0, 0), &[4]), Verdict::Taken(4));
        assert_eq!(ledger.counts().received, 5);
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
        let (ledger, mut partition) = (Ledger::default(), Partition::default());
        assert_eq!(take(&mut partition, &ledger, (5, 0, 0), &[0]), Verdict::Taken(0));
        assert_eq!(take(&mut partition, &ledger, (5, 1, 1), &[1]), Verdict::OutOfOrder);
        assert_eq!(take(&mut partition, &ledger, (5, 1, 0), &[1]), Verdict::Taken(1));
        assert_eq!(take(&mut partition, &ledger, (5, 0, 1), &[2]), Verdict::Fenced);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let (ledger, mut partition) = (Ledger::default(), Partition::default());
        assert_eq!(take(&mut partition, &ledger, (5, 0, i32::MAX), &[0]), Verdict::Taken(0));
        assert_eq!(take(&mut partition, &ledger, (5, 0, 0), &[1]), Verdict::Taken(1));
    }
}
