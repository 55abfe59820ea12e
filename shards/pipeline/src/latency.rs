//! Latencies of records: from the read of a message's last byte to its delivery report, and the parts
//! of that way. Filled by the producer, taken from it and summed by the main thread.
//!
//! ```text
//! read -> sealed -> produced -> acknowledged
//!      batch     inbox       librdkafka and Kafka
//! ```
//!
//! Units: microseconds, 1 to [`LATENCY_US_MAX`]; what is longer counts as that. Each record counts,
//! by its own time of reading. Error: a thousandth of the value in `total`, a hundredth elsewhere.

use hdrhistogram::Histogram;

use crate::topics::TopicIndex;

/// The longest time that is told apart: ten minutes.
pub const LATENCY_US_MAX: u64 = 600_000_000;
/// Topics that have a histogram of their own: the first that have a record. The others share one.
pub const LATENCY_TOPICS_MAX: usize = 100;

/// The parts of a record's way, in their order.
pub const STAGES: [&str; 3] = ["read_to_sealed", "sealed_to_produced", "produced_to_acknowledged"];

/// Latencies of all records of some time.
#[derive(Debug, Clone)]
pub struct Latencies {
    /// From read to acknowledged.
    pub total: Histogram<u64>,
    /// The parts of it, as [`STAGES`].
    pub stages: [Histogram<u64>; STAGES.len()],
    /// From read to acknowledged, by the listener's number.
    pub listeners: Vec<Histogram<u64>>,
    /// The same by topic, of those that have their own.
    pub topics: Vec<(TopicIndex, Histogram<u64>)>,
    /// Of all other topics.
    pub other_topics: Histogram<u64>,
}

impl Latencies {
    /// Empty, for so many listeners.
    pub fn new(listener_count: usize) -> Latencies {
        Latencies {
            total: histogram(3),
            stages: std::array::from_fn(|_| coarse()),
            listeners: (0..listener_count).map(|_| coarse()).collect(),
            topics: Vec::new(),
            other_topics: coarse(),
        }
    }

    /// The histogram of the `at`th topic that has its own; `topics` are given their places in order.
    pub fn of_topic(&mut self, at: usize, known: &[TopicIndex]) -> &mut Histogram<u64> {
        while self.topics.len() <= at
            && let Some(topic) = known.get(self.topics.len())
        {
            self.topics.push((*topic, coarse()));
        }
        match self.topics.get_mut(at) {
            Some((_, histogram)) => histogram,
            None => &mut self.other_topics,
        }
    }

    /// Adds what another has, whose topics are the same in the same order, or some first of them.
    pub fn add(&mut self, more: &Latencies) {
        let known: Vec<TopicIndex> = more.topics.iter().map(|(topic, _)| *topic).collect();
        for (at, (_, histogram)) in more.topics.iter().enumerate() {
            add(self.of_topic(at, &known), histogram);
        }
        add(&mut self.total, &more.total);
        add(&mut self.other_topics, &more.other_topics);
        let ours = self.stages.iter_mut().chain(&mut self.listeners);
        ours.zip(more.stages.iter().chain(&more.listeners)).for_each(|(to, from)| add(to, from));
    }

    /// Empties all of them; their memory stays.
    pub fn clear(&mut self) {
        self.total.reset();
        self.other_topics.reset();
        self.stages.iter_mut().for_each(Histogram::reset);
        self.listeners.iter_mut().for_each(Histogram::reset);
        self.topics.iter_mut().for_each(|(_, histogram)| histogram.reset());
    }
}

fn add(to: &mut Histogram<u64>, from: &Histogram<u64>) {
    if !from.is_empty() {
        to.add(from).expect("all histograms of a kind have one range");
    }
}

fn coarse() -> Histogram<u64> {
    histogram(2)
}

fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, digits)
        .expect("a range within hdrhistogram's own")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_sum_up_topic_by_topic() {
        let known = [TopicIndex::new(7), TopicIndex::new(3)];
        let (mut sum, mut one) = (Latencies::new(1), Latencies::new(1));
        one.of_topic(0, &known[..1]).record_n(10, 3).expect("it is there");
        one.total.record_n(10, 3).expect("it is there");
        sum.add(&one);
        one.clear();
        one.of_topic(1, &known).record_n(20, 2).expect("it is there");
        one.of_topic(9, &known).record_n(30, 1).expect("it is there");
        one.listeners[0].record(5).expect("it is there");
        sum.add(&one);
        let topics: Vec<(usize, u64)> =
            sum.topics.iter().map(|(topic, of)| (topic.index(), of.len())).collect();
        assert_eq!(topics, [(7, 3), (3, 2)]);
        assert_eq!((sum.total.len(), sum.other_topics.len()), (3, 1));
        assert_eq!(sum.listeners[0].len(), 1);
    }
}
