//! The producer's bookkeeping: how many records of which batch and topic are where.

use std::time::Instant;

use corndog_pipeline::counters::ProducerCounters;
use corndog_pipeline::topics::{TopicIndex, TopicTable};

use crate::native::{Code, Event, NO_ERROR};
use crate::partitions::Partitions;

/// A record that was not acknowledged, or not even taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) slot: usize,
    pub(crate) index: usize,
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
}

impl TopicDesk {
    fn new(topic: usize) -> Self {
        TopicDesk {
            sent_count: 0,
            stall: None,
            unknown_since: None,
            is_proven: false,
            failures: 0,
            is_flowing: false,
            too_large: None,
            partitions: Partitions::new(topic),
        }
    }
}

/// All batches out and all topics, as numbers.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) topics: Vec<TopicDesk>,
    /// Records of each batch whose outcome is open.
    unsettled: Vec<usize>,
    /// Batches whose last outcome is known, to be sent home.
    pub(crate) settled: Vec<usize>,
    pub(crate) failures: Vec<Failure>,
    in_flight: u64,
    delivered: u64,
}

impl Desk {
    pub(crate) fn new(seat_count: usize, topics_max: usize) -> Self {
        Desk {
            topics: (0..topics_max).map(TopicDesk::new).collect(),
            unsettled: vec![0; seat_count],
            settled: Vec::with_capacity(seat_count),
            failures: Vec::new(),
            in_flight: 0,
            delivered: 0,
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
        let Event::Report { slot, index, topic, partition, code } = event else {
            return Some(event);
        };
        let desk = &mut self.topics[topic.index()];
        desk.sent_count -= 1;
        if code == NO_ERROR {
            desk.unknown_since = None;
            desk.is_proven = true;
            desk.partitions.open(partition);
            desk.failures = 0;
            self.delivered += 1;
            self.settle(slot);
        } else {
            desk.is_proven = false;
            self.failures.push(Failure { slot, index, topic, code, was_sent: true });
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

    /// Records with librdkafka.
    pub(crate) fn sent_count(&self) -> usize {
        self.topics.iter().map(|topic| topic.sent_count).sum()
    }

    /// Brings the shared counters up to date. Delivered first: a reader never sees a deficit.
    pub(crate) fn publish(&mut self, counters: &ProducerCounters) -> u64 {
        let delivered = std::mem::take(&mut self.delivered);
        if delivered > 0 {
            counters.delivered.add(delivered);
        }
        counters.in_flight.set(self.in_flight);
        delivered
    }

    /// Tells the receivers which topics flow.
    pub(crate) fn publish_flow(&mut self, table: &TopicTable) {
        for (index, topic) in self.topics.iter_mut().enumerate() {
            let is_flowing = topic.is_proven && topic.stall.is_none();
            if topic.is_flowing != is_flowing {
                topic.is_flowing = is_flowing;
                table.set_flowing(TopicIndex::new(index), is_flowing);
            }
        }
    }
}
