//! A batch: an arena of bytes with the offsets of the records in it.
//!
//! ```text
//! arena:   [key0 payload0 key1 payload1 ... | free]      records: offsets into it
//! ```
//!
//! It goes out full and comes home empty. While it is out, the producer gives librdkafka the bytes
//! where they lie; nobody writes to the arena then. Which batch is where: `pool.rs`.

use std::time::Instant;

use crate::topics::{Lane, TopicIndex};

/// Arena bytes for which a batch has room for one record: the bound on records in a batch, and with
/// it on what librdkafka allocates per record in flight.
pub const BATCH_BYTES_PER_RECORD: usize = 128;

/// Records that a batch of `bytes` has room for.
pub const fn batch_records_max(bytes: usize) -> usize {
    if bytes < BATCH_BYTES_PER_RECORD { 1 } else { bytes / BATCH_BYTES_PER_RECORD }
}

const NO_KEY: u32 = u32::MAX;
const NO_RECORD: u32 = u32::MAX;

/// Where a record stands, as the producer knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Not with librdkafka: never sent, or to be sent again.
    Waiting,
    /// With librdkafka: its delivery report is to come.
    Sent,
    /// Acknowledged by Kafka.
    Delivered,
    /// Given up, with a reason that was counted.
    Failed,
}

/// One record's place in the arena: `[key | payload]` from `start`.
#[derive(Debug, Clone)]
struct Record {
    start: u32,
    key_bytes: u32,
    payload_bytes: u32,
    /// The next record of the same topic in this batch.
    next: u32,
    chain: u16,
    delivery: Delivery,
}

/// The records of one topic in one batch, linked in the order of their arrival.
#[derive(Debug, Clone)]
struct Chain {
    topic: TopicIndex,
    head: u32,
    tail: u32,
    record_count: u32,
}

/// An arena of bytes with its records. Filled by a receiver, read by the producer.
#[derive(Debug)]
pub struct Batch {
    home: usize,
    bytes: Vec<u8>,
    records: Vec<Record>,
    chains: Vec<Chain>,
    /// The chain written last: most batches hold one topic.
    chain_last: usize,
    pub(crate) lane: Lane,
    pub(crate) opened_at: Option<Instant>,
}

impl Batch {
    /// An empty batch that belongs to receiver `home`; all its memory is reserved here.
    pub fn new(home: usize, bytes: usize, topics_max: usize) -> Self {
        Batch {
            home,
            bytes: Vec::with_capacity(bytes),
            records: Vec::with_capacity(batch_records_max(bytes)),
            chains: Vec::with_capacity(topics_max),
            chain_last: 0,
            lane: Lane::Flowing,
            opened_at: None,
        }
    }

    /// Bytes of memory that one batch reserves, for the sum that is printed at start.
    pub fn memory_bytes(bytes: usize, topics_max: usize) -> usize {
        bytes
            + batch_records_max(bytes) * size_of::<Record>()
            + topics_max * size_of::<Chain>()
            + size_of::<Batch>()
    }

    /// The receiver shard that it belongs to.
    pub fn home(&self) -> usize {
        self.home
    }

    /// The lane it was filled in.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// Records in it.
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// True if it holds no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Writes one record behind the others, or says `false` and changes nothing where it has no
    /// room left.
    ///
    /// Cost:   one copy, no allocation.
    pub fn try_push(&mut self, topic: TopicIndex, key: Option<&[u8]>, payload: &[u8]) -> bool {
        let key_bytes = key.map_or(0, <[u8]>::len);
        let room = self.bytes.capacity() - self.bytes.len();
        if key_bytes + payload.len() > room || self.records.len() == self.records.capacity() {
            return false;
        }
        let Some(chain) = self.chain_of(topic) else { return false };
        let start = self.bytes.len() as u32;
        if let Some(key) = key {
            self.bytes.extend_from_slice(key);
        }
        self.bytes.extend_from_slice(payload);
        let index = self.records.len() as u32;
        self.records.push(Record {
            start,
            key_bytes: if key.is_some() { key_bytes as u32 } else { NO_KEY },
            payload_bytes: payload.len() as u32,
            next: NO_RECORD,
            chain: chain as u16,
            delivery: Delivery::Waiting,
        });
        self.link(chain, index);
        true
    }

    /// The chain of `topic`, opened if this is its first record; `None` if there are too many.
    fn chain_of(&mut self, topic: TopicIndex) -> Option<usize> {
        if let Some(chain) = self.chains.get(self.chain_last)
            && chain.topic == topic
        {
            return Some(self.chain_last);
        }
        let found = self.chains.iter().position(|chain| chain.topic == topic);
        self.chain_last = match found {
            Some(index) => index,
            None if self.chains.len() == self.chains.capacity() => return None,
            None => {
                self.chains.push(Chain {
                    topic,
                    head: NO_RECORD,
                    tail: NO_RECORD,
                    record_count: 0,
                });
                self.chains.len() - 1
            }
        };
        Some(self.chain_last)
    }

    fn link(&mut self, chain: usize, index: u32) {
        let chain = &mut self.chains[chain];
        match chain.tail {
            NO_RECORD => chain.head = index,
            tail => self.records[tail as usize].next = index,
        }
        chain.tail = index;
        chain.record_count += 1;
    }

    /// Topics in it, each with a number below this.
    pub fn chain_count(&self) -> usize {
        self.chains.len()
    }

    /// The topic of chain `chain`.
    pub fn chain_topic(&self, chain: usize) -> TopicIndex {
        self.chains[chain].topic
    }

    /// Records in chain `chain`.
    pub fn chain_record_count(&self, chain: usize) -> usize {
        self.chains[chain].record_count as usize
    }

    /// The records of one topic, in the order of their arrival.
    pub fn chain(&self, chain: usize) -> impl Iterator<Item = usize> + '_ {
        let mut next = self.chains[chain].head;
        std::iter::from_fn(move || {
            let index = (next != NO_RECORD).then_some(next as usize)?;
            next = self.records[index].next;
            Some(index)
        })
    }

    /// A record's topic.
    pub fn topic(&self, index: usize) -> TopicIndex {
        self.chains[usize::from(self.records[index].chain)].topic
    }

    /// A record's key; `None` is a record without one.
    pub fn key(&self, index: usize) -> Option<&[u8]> {
        let record = &self.records[index];
        let start = record.start as usize;
        (record.key_bytes != NO_KEY).then(|| &self.bytes[start..start + record.key_bytes as usize])
    }

    /// A record's payload.
    pub fn payload(&self, index: usize) -> &[u8] {
        let record = &self.records[index];
        let key_bytes = if record.key_bytes == NO_KEY { 0 } else { record.key_bytes as usize };
        let start = record.start as usize + key_bytes;
        &self.bytes[start..start + record.payload_bytes as usize]
    }

    /// Where a record stands.
    pub fn delivery(&self, index: usize) -> Delivery {
        self.records[index].delivery
    }

    /// Notes where a record stands.
    pub fn set_delivery(&mut self, index: usize, delivery: Delivery) {
        self.records[index].delivery = delivery;
    }

    /// Empties it. Its memory stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.chains.clear();
        self.chain_last = 0;
        self.opened_at = None;
    }
}
