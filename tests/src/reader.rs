//! Reads back what arrived, with a client that is not the program.

use crate::time::wait_for;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One record, as it lies in Kafka.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Where it is.
    pub topic: String,
    /// Which part of the topic.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
    /// `None`: it has none.
    pub key: Option<Vec<u8>>,
    /// The value; empty where there is none.
    pub payload: Vec<u8>,
    /// In their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Milliseconds since 1970, where the record has a time.
    pub timestamp: Option<i64>,
}

impl Record {
    fn copy(message: &impl Message) -> Record {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let header = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.unwrap_or_default().to_owned())
        };
        Record {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_owned),
            payload: message.payload().unwrap_or_default().to_owned(),
            headers: headers.map(header).collect(),
            timestamp: message.timestamp().to_millis(),
        }
    }

    /// The payload as text, for a message of an assertion.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// A consumer on all partitions of a topic, from the beginning.
pub struct Watch {
    consumer: BaseConsumer,
    topic: String,
    partitions: Vec<i32>,
    /// By partition: the offset after the last that was read.
    next: BTreeMap<i32, i64>,
    records: Vec<Record>,
}

impl Watch {
    /// Waits until the topic is there.
    ///
    /// Panics: it is not, after `limit`.
    pub fn new(bootstrap: &str, topic: &str, limit: Duration) -> Watch {
        let consumer = consumer(bootstrap);
        let what = format!("topic {topic} at {bootstrap}");
        let partitions = wait_for(&what, limit, || partitions(&consumer, topic));
        let mut list = TopicPartitionList::new();
        for partition in &partitions {
            list.add_partition_offset(topic, *partition, Offset::Beginning).expect("an offset");
        }
        consumer.assign(&list).expect("partitions can be assigned");
        let next = BTreeMap::new();
        Watch { consumer, topic: topic.to_owned(), partitions, next, records: Vec::new() }
    }

    /// What was read until now.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Reads until there are `count` records in all.
    ///
    /// Panics: there are fewer after `limit`.
    pub fn until(&mut self, count: usize, limit: Duration) -> &[Record] {
        let start = Instant::now();
        while self.records.len() < count {
            self.poll();
            let seen = self.records.len();
            assert!(
                seen >= count || start.elapsed() < limit,
                "{seen} of {count} records in {} after {limit:?}",
                self.topic,
            );
        }
        &self.records
    }

    /// Reads up to the ends that the partitions have now.
    ///
    /// Panics: it has not reached them after `limit`.
    pub fn to_the_end(&mut self, limit: Duration) -> &[Record] {
        let start = Instant::now();
        let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
        for partition in &self.partitions {
            let what = format!("the end of {}[{partition}]", self.topic);
            let (low, high) = wait_for(&what, limit, || {
                let each = Duration::from_secs(2);
                self.consumer.fetch_watermarks(&self.topic, *partition, each).ok()
            });
            assert_eq!(low, 0, "{what}: the oldest records are gone, the test sends too much");
            ends.insert(*partition, high);
        }
        loop {
            let next = |partition| self.next.get(partition).copied().unwrap_or(0);
            let missing: Vec<i32> = ends
                .iter()
                .filter(|(partition, end)| next(partition) < **end)
                .map(|(partition, _)| *partition)
                .collect();
            if missing.is_empty() {
                return &self.records;
            }
            assert!(start.elapsed() < limit, "{} not read to {ends:?}: {missing:?}", self.topic);
            for _ in 0..10_000 {
                if !self.poll() {
                    break;
                }
            }
        }
    }

    /// Takes one record, waiting 100 ms at most.
    fn poll(&mut self) -> bool {
        match self.consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                self.next.insert(message.partition(), message.offset() + 1);
                self.records.push(Record::copy(&message));
                true
            }
            // Errors pass: a broker that is away comes back, and the limit says when not.
            Some(Err(_)) | None => false,
        }
    }
}

/// All records of a topic, in the order of each partition's offsets.
///
/// Panics: they are not read within a minute.
pub fn read_all(bootstrap: &str, topic: &str) -> Vec<Record> {
    let limit = Duration::from_secs(60);
    Watch::new(bootstrap, topic, limit).to_the_end(limit).to_vec()
}

/// The topics that the cluster has, without Kafka's own.
pub fn topics(bootstrap: &str) -> Vec<String> {
    let consumer = consumer(bootstrap);
    let metadata = wait_for("the list of topics", Duration::from_secs(20), || {
        consumer.fetch_metadata(None, Duration::from_secs(2)).ok()
    });
    let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
    names.filter(|name| !name.starts_with("__")).collect()
}

fn consumer(bootstrap: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        // librdkafka wants one; nothing is committed, and no group is joined.
        .set("group.id", "corndog-tests")
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "false")
        .set("fetch.wait.max.ms", "10")
        .set("reconnect.backoff.max.ms", "500")
        .set("queued.max.messages.kbytes", "65536")
        .create()
        .expect("the consumer's configuration is right")
}

/// The topic's partitions, once each has a leader.
fn partitions(consumer: &BaseConsumer, topic: &str) -> Option<Vec<i32>> {
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(2)).ok()?;
    let topic = metadata.topics().iter().find(|found| found.name() == topic)?;
    let partitions = topic.partitions();
    let led = partitions.iter().all(|partition| partition.leader() >= 0);
    (led && !partitions.is_empty() && topic.error().is_none())
        .then(|| partitions.iter().map(|partition| partition.id()).collect())
}
