//! Records latencies: each record by its own time of reading, at the cost of its read.
//!
//! Records that were read together mostly come back together: a run of reports of one batch, topic,
//! listener and time of reading is recorded as one value with a count.

use std::time::{Duration, Instant};

use corndog_pipeline::batch::{Batch, BatchTimes};
use corndog_pipeline::latency::{LATENCY_TOPICS_MAX, LATENCY_US_MAX, Latencies};
use corndog_pipeline::topics::TopicIndex;
use hdrhistogram::Histogram;

/// A topic without a histogram of its own.
const NO_PLACE: u8 = u8::MAX;

/// What a record's latency is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The seat of its batch.
    pub(crate) slot: usize,
    /// Where it was sent.
    pub(crate) topic: TopicIndex,
    /// As the batch has it.
    pub(crate) read_us: i32,
    pub(crate) listener: u8,
    /// When its report was taken.
    pub(crate) at: Instant,
}

/// When the batch in a seat was where.
#[derive(Debug, Clone, Copy)]
struct Times {
    of: BatchTimes,
    produced_at: Instant,
}

/// The producer's latencies until the main thread asks for them.
#[derive(Debug)]
pub(crate) struct Recorder {
    latencies: Box<Latencies>,
    times: Vec<Option<Times>>,
    /// Records in a row with one mark.
    run: Option<(Mark, u64)>,
    /// By the topic's number, its place in `known`.
    places: Vec<u8>,
    known: Vec<TopicIndex>,
}

impl Recorder {
    pub(crate) fn new(seat_count: usize, topics_max: usize, listener_count: usize) -> Recorder {
        Recorder {
            latencies: Box::new(Latencies::new(listener_count)),
            times: vec![None; seat_count],
            run: None,
            places: vec![NO_PLACE; topics_max],
            known: Vec::with_capacity(LATENCY_TOPICS_MAX),
        }
    }

    /// A batch has boarded.
    pub(crate) fn board(&mut self, slot: usize, batch: &Batch, now: Instant) {
        // Another batch's marks would be taken for this one's.
        self.record_run();
        self.times[slot] = batch.times().map(|of| Times { of, produced_at: now });
    }

    /// A record was acknowledged.
    #[inline]
    pub(crate) fn take(&mut self, mark: Mark) {
        match &mut self.run {
            Some((run, count)) if *run == mark => *count += 1,
            _ => {
                self.record_run();
                self.run = Some((mark, 1));
            }
        }
    }

    /// What was recorded until now; goes on with `empty`.
    pub(crate) fn swap(&mut self, empty: Box<Latencies>) -> Box<Latencies> {
        self.record_run();
        std::mem::replace(&mut self.latencies, empty)
    }

    fn record_run(&mut self) {
        let Some((mark, count)) = self.run.take() else { return };
        let Some(Times { of: BatchTimes { opened_at, sealed_at }, produced_at }) =
            self.times[mark.slot]
        else {
            return;
        };
        let after = Duration::from_micros(mark.read_us.unsigned_abs().into());
        let read_at = match mark.read_us {
            0.. => opened_at + after,
            _ => opened_at.checked_sub(after).unwrap_or(opened_at),
        };
        let total = mark.at.saturating_duration_since(read_at);
        let stages = [
            sealed_at.saturating_duration_since(read_at),
            produced_at.saturating_duration_since(sealed_at),
            mark.at.saturating_duration_since(produced_at),
        ];
        let place = self.place_of(mark.topic);
        let latencies = &mut *self.latencies;
        record(&mut latencies.total, total, count);
        for (histogram, time) in latencies.stages.iter_mut().zip(stages) {
            record(histogram, time, count);
        }
        if let Some(histogram) = latencies.listeners.get_mut(usize::from(mark.listener)) {
            record(histogram, total, count);
        }
        record(latencies.of_topic(place, &self.known), total, count);
    }

    /// The topic's place; the first topics get one.
    fn place_of(&mut self, topic: TopicIndex) -> usize {
        let place = &mut self.places[topic.index()];
        if *place == NO_PLACE && self.known.len() < LATENCY_TOPICS_MAX {
            *place = self.known.len() as u8;
            self.known.push(topic);
        }
        usize::from(*place)
    }
}

fn record(histogram: &mut Histogram<u64>, time: Duration, count: u64) {
    let time_us = (time.as_micros() as u64).clamp(1, LATENCY_US_MAX);
    histogram.saturating_record_n(time_us, count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use corndog_pipeline::batch::Receipt;
    use corndog_pipeline::record::Record;
    use jiff::Timestamp;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A batch with a record for each topic, read that long after `start`, sealed 10 ms after it.
    fn batch(start: Instant, records: &[(usize, u64)]) -> Batch {
        let mut batch = Batch::new(0, 4096, 300);
        for &(topic, read_ms) in records {
            let topic = TopicIndex::new(topic);
            let receipt =
                Receipt { read_at: start + ms(read_ms), time: Timestamp::UNIX_EPOCH, listener: 1 };
            let (key, headers, payload) = (None, &[][..], &b"x"[..]);
            let record = Record { topic, key, headers, payload, time: None, origin: None };
            assert!(batch.try_push(&record, &receipt));
        }
        batch.seal(start + ms(10));
        batch
    }

    #[test]
    fn each_record_counts_by_its_own_time() {
        let start = Instant::now();
        let mut recorder = Recorder::new(2, 300, 2);
        // The second was read before the first, by a connection that had its turn later.
        let batch = batch(start, &[(0, 4), (0, 1), (0, 1)]);
        recorder.board(1, &batch, start + ms(12));
        for index in 0..batch.record_count() {
            let (read_us, listener) = (batch.read_us(index), batch.listener(index));
            let (topic, at) = (batch.topic(index), start + ms(21));
            recorder.take(Mark { slot: 1, topic, read_us, listener, at });
        }
        let taken = recorder.swap(Box::new(Latencies::new(2)));
        let near = |value: u64, ms: u64| value.abs_diff(ms * 1000) <= ms * 10;
        assert_eq!(taken.total.len(), 3);
        assert!(near(taken.total.max(), 20) && near(taken.total.min(), 17), "{:?}", taken.total);
        assert_eq!(taken.total.count_between(19_900, 20_100), 2);
        assert!(near(taken.stages[0].max(), 9) && near(taken.stages[0].min(), 6));
        assert!(near(taken.stages[1].max(), 2) && near(taken.stages[1].min(), 2));
        assert!(near(taken.stages[2].max(), 9) && near(taken.stages[2].min(), 9));
        assert_eq!((taken.listeners[0].len(), taken.listeners[1].len()), (0, 3));
        assert_eq!(recorder.swap(taken).total.len(), 0);
    }

    #[test]
    fn topics_beyond_the_first_share_a_histogram() {
        let start = Instant::now();
        let mut recorder = Recorder::new(1, 300, 2);
        let records: Vec<(usize, u64)> =
            (0..LATENCY_TOPICS_MAX + 5).map(|at| (299 - at, 1)).collect();
        let batch = batch(start, &records[..30]);
        recorder.board(0, &batch, start + ms(12));
        for (topic, _) in records {
            let (topic, at) = (TopicIndex::new(topic), start + ms(20));
            recorder.take(Mark { slot: 0, topic, read_us: 0, listener: 1, at });
        }
        let taken = recorder.swap(Box::new(Latencies::new(2)));
        assert_eq!(taken.topics.len(), LATENCY_TOPICS_MAX);
        assert_eq!(taken.topics[1].0, TopicIndex::new(298));
        assert_eq!(taken.other_topics.len(), 5);
    }
}
