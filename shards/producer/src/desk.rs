//! The producer's bookkeeping: how many records of which batch and topic are where.

use std::time::{Duration, Instant};

use corndog_pipeline::counters::{Failed, ProducerCounters};
use corndog_pipeline::topics::{TopicIndex, TopicTable};

use crate::native::Event;
use crate::partitions::Partitions;
use crate::place::Place;
use crate::recorder::Recorder;
use crate::values::{Code, NO_ERROR};

/// How long a size that Kafka refused is taken as refused: a topic's limit may be raised.
const TOO_LARGE_FORGOTTEN: Duration = Duration::from_secs(60);

/// A record that was not acknowledged, or not even taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) place: Place,
    /// Where it was to go.
    pub(crate) topic: TopicIndex,
    pub(crate) code: Code,
    /// False: librdkafka refused it when it was handed over.
    pub(crate) was_sent: bool,
}

/// A topic whose records wait: none is handed over until all that were are reported, so that they
/// are sent again in their order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stall {
    /// Not before this.
    pub(crate) until: Instant,
    /// What is still queued in librdkafka has to come back first, or it would overtake.
    pub(crate) takes_back: bool,
}

/// One topic.
#[derive(Debug, Clone)]
pub(crate) struct TopicDesk {
    is_used: bool,
    /// Records with librdkafka.
    pub(crate) sent_count: usize,
    pub(crate) stall: Option<Stall>,
    /// When Kafka first said that it does not exist; `None` once a record was acknowledged.
    pub(crate) unknown_since: Option<Instant>,
    /// A record was acknowledged, and none has failed since.
    is_proven: bool,
    /// Failures in a row, for the back-off.
    pub(crate) failures: u32,
    pub(crate) is_flowing: bool,
    /// The smallest record that Kafka refused as too large, and when: others of that size are not
    /// even sent for a while, for each refusal costs librdkafka a pause of about a second.
    pub(crate) too_large: Option<(usize, Instant)>,
    pub(crate) partitions: Partitions,
    /// Of its records, what the shared counters do not have yet.
    counts: Counts,
}

/// Of one topic's records, since the last time that the shared counters were brought up to date.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    is_noted: bool,
    delivered: u64,
    bytes: u64,
}

impl TopicDesk {
    fn new(topic: usize) -> Self {
        TopicDesk {
            is_used: false,
            sent_count: 0,
            stall: None,
            unknown_since: None,
            is_proven: false,
            failures: 0,
            is_flowing: false,
            too_large: None,
            partitions: Partitions::new(topic),
            counts: Counts::default(),
        }
    }
}

/// All batches out and all topics, as numbers.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) topics: Vec<TopicDesk>,
    /// Topics that had a record: those alone are looked at each turn. Numbers have gaps, and room
    /// for topics that a reload may name.
    used: Vec<usize>,
    /// Records of each batch whose outcome is open.
    unsettled: Vec<usize>,
    /// Batches whose last outcome is known, to be sent home.
    pub(crate) settled: Vec<usize>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) recorder: Recorder,
    in_flight: u64,
    delivered: u64,
    /// Topics whose `counts` are not zero.
    counted: Vec<usize>,
    /// Those of them that are dead letters, by why.
    dead_lettered: [u64; Failed::ALL.len()],
}

impl Desk {
    pub(crate) fn new(seat_count: usize, topics_max: usize, listener_count: usize) -> Self {
        Desk {
            topics: (0..topics_max).map(TopicDesk::new).collect(),
            used: Vec::with_capacity(topics_max),
            unsettled: vec![0; seat_count],
            settled: Vec::with_capacity(seat_count),
            failures: Vec::new(),
            recorder: Recorder::new(seat_count, topics_max, listener_count),
            in_flight: 0,
            delivered: 0,
            counted: Vec::with_capacity(topics_max),
            dead_lettered: [0; Failed::ALL.len()],
        }
    }

    /// A batch of `record_count` records has boarded.
    pub(crate) fn board(&mut self, slot: usize, record_count: usize) {
        self.unsettled[slot] = record_count;
        self.in_flight += record_count as u64;
        if record_count == 0 {
            self.settled.push(slot);
        }
    }

    /// Takes one event; what is no report is given back.
    pub(crate) fn take(&mut self, event: Event) -> Option<Event> {
        let Event::Report { place, mark, partition, code, letter, bytes } = event else {
            return Some(event);
        };
        let topic = mark.topic;
        let desk = &mut self.topics[topic.index()];
        desk.sent_count -= 1;
        if code == NO_ERROR {
            desk.unknown_since = None;
            desk.is_proven = true;
            desk.partitions.open(partition);
            desk.failures = 0;
            self.delivered += 1;
            desk.counts.delivered += 1;
            desk.counts.bytes += bytes as u64;
            if !std::mem::replace(&mut desk.counts.is_noted, true) {
                self.counted.push(topic.index());
            }
            self.recorder.take(mark);
            if let Some(reason) = letter {
                self.dead_lettered[reason as usize] += 1;
            }
            self.settle(place.slot);
        } else {
            desk.is_proven = false;
            self.failures.push(Failure { place, topic, code, was_sent: true });
        }
        None
    }

    /// The outcome of one record of the batch is known.
    pub(crate) fn settle(&mut self, slot: usize) {
        self.in_flight -= 1;
        self.unsettled[slot] -= 1;
        if self.unsettled[slot] == 0 {
            self.settled.push(slot);
        }
    }

    /// The desk of a topic that a record is for.
    #[inline]
    pub(crate) fn meet(&mut self, topic: TopicIndex) -> &mut TopicDesk {
        let desk = &mut self.topics[topic.index()];
        if !desk.is_used {
            desk.is_used = true;
            self.used.push(topic.index());
        }
        desk
    }

    /// Topics that had a record: how many, and the number of each.
    pub(crate) fn used_count(&self) -> usize {
        self.used.len()
    }

    /// The `at`th of them.
    pub(crate) fn used(&self, at: usize) -> usize {
        self.used[at]
    }

    fn used_topics(&self) -> impl Iterator<Item = &TopicDesk> {
        self.used.iter().map(|&topic| &self.topics[topic])
    }

    /// Something waits that a short while may change.
    pub(crate) fn is_stalled(&self) -> bool {
        !self.failures.is_empty() || self.used_topics().any(|topic| topic.stall.is_some())
    }

    /// The smallest record that Kafka is known to refuse as too large for the topic.
    pub(crate) fn too_large(&mut self, topic: TopicIndex, now: Instant) -> Option<usize> {
        let known = &mut self.topics[topic.index()].too_large;
        known.take_if(|(_, at)| now.duration_since(*at) >= TOO_LARGE_FORGOTTEN);
        known.map(|(bytes, _)| bytes)
    }

    /// A topic waits for what is still queued in librdkafka.
    pub(crate) fn takes_back(&self) -> bool {
        self.used_topics()
            .any(|topic| topic.sent_count > 0 && topic.stall.is_some_and(|stall| stall.takes_back))
    }

    /// A new client: nothing is with it, and nothing known of it.
    pub(crate) fn start_over(&mut self) {
        for &topic in &self.used {
            let topic = &mut self.topics[topic];
            topic.sent_count = 0;
            topic.stall = None;
            topic.partitions.close_all();
        }
    }

    /// Records with librdkafka.
    pub(crate) fn sent_count(&self) -> usize {
        self.used_topics().map(|topic| topic.sent_count).sum()
    }

    /// Brings the shared counters up to date. Delivered first: a reader never sees a deficit.
    pub(crate) fn publish(&mut self, counters: &ProducerCounters) -> u64 {
        let delivered = std::mem::take(&mut self.delivered);
        if delivered > 0 {
            counters.delivered.add(delivered);
            for topic in self.counted.drain(..) {
                let Counts { delivered, bytes, .. } =
                    std::mem::take(&mut self.topics[topic].counts);
                if let Some(shared) = counters.topics.get(topic) {
                    shared.delivered.add(delivered);
                    shared.bytes.add(bytes);
                }
            }
            for (counter, more) in counters.dead_lettered.iter().zip(&mut self.dead_lettered) {
                if *more > 0 {
                    counter.add(std::mem::take(more));
                }
            }
        }
        counters.in_flight.set(self.in_flight);
        delivered
    }

    /// Tells the receivers which topics flow.
    pub(crate) fn publish_flow(&mut self, table: &TopicTable) {
        for &index in &self.used {
            let topic = &mut self.topics[index];
            let is_flowing = topic.is_proven && topic.stall.is_none();
            if topic.is_flowing != is_flowing {
                topic.is_flowing = is_flowing;
                table.set_flowing(TopicIndex::new(index), is_flowing);
            }
        }
    }
}
