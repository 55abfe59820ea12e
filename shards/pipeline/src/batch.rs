//! A batch: an arena of bytes with the offsets of the records in it.
//!
//! ```text
//! arena:   [record0 record1 ... | free]                  entries: offsets into it
//! record:  [key | headers | payload]                     or, where there are dead letters:
//!          [key | headers | rule listener peer frame]    with the payload inside of the frame, or
//!          [key | headers | rule listener peer frame | payload]
//! ```
//!
//! It goes out full and comes home empty. While it is out, the producer gives librdkafka the bytes
//! where they lie; nobody writes to the arena then. Which batch is where: `pool.rs`.

use std::time::Instant;

use jiff::Timestamp;

use crate::record::{Origin, Record};
use crate::topics::{Lane, TopicIndex};

/// Arena bytes for which a batch has room for one record: the bound on records in a batch, and with
/// it on what librdkafka allocates per record in flight.
pub const BATCH_BYTES_PER_RECORD: usize = 128;

/// Records that a batch of `bytes` has room for.
pub const fn batch_records_max(bytes: usize) -> usize {
    if bytes < BATCH_BYTES_PER_RECORD { 1 } else { bytes / BATCH_BYTES_PER_RECORD }
}

/// Topics in a batch from which on their records rather share requests with those of the next one:
/// each topic is a request of its own.
const MANY_TOPICS: usize = 16;

const NO_KEY: u32 = u32::MAX;
const NO_RECORD: u32 = u32::MAX;

/// When and by which listener a message was received.
#[derive(Debug, Clone, Copy)]
pub struct Receipt {
    /// When its last byte was read, for what is measured.
    pub read_at: Instant,
    /// The same, as people have it.
    pub time: Timestamp,
    /// The listener's number.
    pub listener: u8,
}

/// When a batch was where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchTimes {
    /// The first record's `read_at`; what `Batch::read_us` counts from.
    pub opened_at: Instant,
    /// It left its receiver.
    pub sealed_at: Instant,
}

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

/// One record's place in the arena.
#[derive(Debug, Clone)]
struct Entry {
    /// Milliseconds since 1970.
    time_ms: i64,
    start: u32,
    key_bytes: u32,
    headers_bytes: u32,
    payload_start: u32,
    payload_bytes: u32,
    frame_bytes: u32,
    /// The next record of the same topic in this batch.
    next: u32,
    /// When it was read, in microseconds from the batch's opening; another connection may have been
    /// read before that.
    read_us: i32,
    /// What stands between headers and frame; 0: there is no origin.
    origin_bytes: u16,
    chain: u16,
    listener: u8,
    delivery: Delivery,
    /// It has a time that is not when it was received.
    has_own_time: bool,
}

impl Entry {
    fn headers_start(&self) -> usize {
        let key_bytes = if self.key_bytes == NO_KEY { 0 } else { self.key_bytes };
        (self.start + key_bytes) as usize
    }
}

/// The records of one topic in one batch, linked in the order of their arrival.
#[derive(Debug, Clone)]
struct Chain {
    topic: TopicIndex,
    head: u32,
    tail: u32,
    record_count: u32,
    bytes: u32,
}

/// An arena of bytes with its records. Filled by a receiver, read by the producer.
#[derive(Debug)]
pub struct Batch {
    home: usize,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    chains: Vec<Chain>,
    /// Where a topic's chain is, if it has one here.
    chain_by_topic: Box<[u16]>,
    pub(crate) lane: Lane,
    pub(crate) opened_at: Option<Instant>,
    /// A record had no room in it.
    is_full: bool,
    sealed_at: Option<Instant>,
    /// The last record's time of reading, and that as an entry has it: a read brings many.
    read: Option<(Instant, i32)>,
}

impl Batch {
    /// An empty batch that belongs to receiver `home`; all its memory is reserved here.
    pub fn new(home: usize, bytes: usize, topics_max: usize) -> Self {
        Batch {
            home,
            bytes: Vec::with_capacity(bytes),
            entries: Vec::with_capacity(batch_records_max(bytes)),
            chains: Vec::with_capacity(topics_max),
            chain_by_topic: vec![0; topics_max].into(),
            lane: Lane::Flowing,
            opened_at: None,
            is_full: false,
            sealed_at: None,
            read: None,
        }
    }

    /// Bytes of memory that one batch reserves, for the sum that is printed at start.
    pub fn memory_bytes(bytes: usize, topics_max: usize) -> usize {
        bytes
            + batch_records_max(bytes) * size_of::<Entry>()
            + topics_max * (size_of::<Chain>() + size_of::<u16>())
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
        self.entries.len()
    }

    /// True if it holds no record.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes that it has room for.
    pub fn capacity_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// True if a record was refused for want of room: it left for that.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// True if at least half of its bytes are taken: so much comes that a batch hardly waits for more.
    pub fn is_half_full(&self) -> bool {
        self.bytes.len() >= self.bytes.capacity() / 2
    }

    /// True if it is cut into so many requests that it is better to have more in each.
    pub fn has_many_topics(&self) -> bool {
        self.chains.len() >= MANY_TOPICS
    }

    /// Writes one record behind the others, or says `false` and changes nothing where it has no
    /// room left.
    ///
    /// Cost:   one copy, no allocation.
    pub fn try_push(&mut self, record: &Record<'_>, receipt: &Receipt) -> bool {
        let room = self.bytes.capacity() - self.bytes.len();
        if record.arena_bytes() > room || self.entries.len() == self.entries.capacity() {
            self.is_full = true;
            return false;
        }
        let Some(chain) = self.chain_of(record.topic) else { return false };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record.key.unwrap_or_default());
        self.bytes.extend_from_slice(record.headers);
        let origin_bytes = record.origin.as_ref().map_or(0, |origin| origin.write(&mut self.bytes));
        let payload_start = match record.payload_in_frame() {
            Some(offset) => {
                let frame_bytes = record.origin.map_or(0, |origin| origin.frame.len());
                self.bytes.len() - frame_bytes + offset
            }
            None => {
                self.bytes.extend_from_slice(record.payload);
                self.bytes.len() - record.payload.len()
            }
        };
        let index = self.entries.len() as u32;
        let read_us = self.read_us_of(receipt.read_at);
        self.entries.push(Entry {
            time_ms: record.time.unwrap_or(receipt.time).as_millisecond(),
            start: start as u32,
            key_bytes: record.key.map_or(NO_KEY, |key| key.len() as u32),
            headers_bytes: record.headers.len() as u32,
            payload_start: payload_start as u32,
            payload_bytes: record.payload.len() as u32,
            frame_bytes: record.origin.map_or(0, |origin| origin.frame.len()) as u32,
            next: NO_RECORD,
            read_us,
            // Names and a time: `Origin::write` bounds each.
            origin_bytes: origin_bytes as u16,
            chain: chain as u16,
            listener: receipt.listener,
            delivery: Delivery::Waiting,
            has_own_time: record.time.is_some(),
        });
        self.link(chain, index, record.payload.len());
        true
    }

    /// A time of reading as an entry has it.
    #[inline]
    fn read_us_of(&mut self, read_at: Instant) -> i32 {
        if let Some((last, read_us)) = self.read
            && last == read_at
        {
            return read_us;
        }
        let opened_at = *self.opened_at.get_or_insert(read_at);
        let read_us = match read_at.checked_duration_since(opened_at) {
            Some(after) => i32::try_from(after.as_micros()).unwrap_or(i32::MAX),
            None => {
                i32::try_from((opened_at - read_at).as_micros()).map_or(i32::MIN, |before| -before)
            }
        };
        self.read = Some((read_at, read_us));
        read_us
    }

    /// Notes when it left its receiver.
    pub fn seal(&mut self, now: Instant) {
        self.sealed_at = Some(now);
    }

    /// When it was where; `None`: it has no record, or was not sealed.
    pub fn times(&self) -> Option<BatchTimes> {
        Some(BatchTimes { opened_at: self.opened_at?, sealed_at: self.sealed_at? })
    }

    /// When a record was read, in microseconds from [`BatchTimes::opened_at`]; negative: before.
    pub fn read_us(&self, index: usize) -> i32 {
        self.entries[index].read_us
    }

    /// The number of the listener that took a record.
    pub fn listener(&self, index: usize) -> u8 {
        self.entries[index].listener
    }

    /// Bytes of a record's key and payload.
    pub fn record_bytes(&self, index: usize) -> usize {
        let entry = &self.entries[index];
        let key_bytes = if entry.key_bytes == NO_KEY { 0 } else { entry.key_bytes };
        (key_bytes + entry.payload_bytes) as usize
    }

    /// The chain of `topic`, if it has a record here.
    #[inline]
    pub fn find_chain(&self, topic: TopicIndex) -> Option<usize> {
        let known = usize::from(*self.chain_by_topic.get(topic.index())?);
        // What a batch held before it was emptied does not count: the chain has to say the same.
        self.chains.get(known).is_some_and(|chain| chain.topic == topic).then_some(known)
    }

    /// The chain of `topic`, opened if this is its first record; `None` if there are too many.
    fn chain_of(&mut self, topic: TopicIndex) -> Option<usize> {
        if topic.index() >= self.chain_by_topic.len() {
            return None;
        }
        if let Some(known) = self.find_chain(topic) {
            return Some(known);
        }
        let chain = self.chains.len();
        if chain == self.chains.capacity() {
            return None;
        }
        self.chains.push(Chain {
            topic,
            head: NO_RECORD,
            tail: NO_RECORD,
            record_count: 0,
            bytes: 0,
        });
        self.chain_by_topic[topic.index()] = chain as u16;
        Some(chain)
    }

    fn link(&mut self, chain: usize, index: u32, bytes: usize) {
        let chain = &mut self.chains[chain];
        match chain.tail {
            NO_RECORD => chain.head = index,
            tail => self.entries[tail as usize].next = index,
        }
        chain.tail = index;
        chain.record_count += 1;
        chain.bytes += bytes as u32;
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

    /// Bytes of the payloads in chain `chain`.
    pub fn chain_bytes(&self, chain: usize) -> usize {
        self.chains[chain].bytes as usize
    }

    /// The records of one topic, in the order of their arrival.
    pub fn chain(&self, chain: usize) -> impl Iterator<Item = usize> + '_ {
        let mut next = self.chains[chain].head;
        std::iter::from_fn(move || {
            let index = (next != NO_RECORD).then_some(next as usize)?;
            next = self.entries[index].next;
            Some(index)
        })
    }

    /// A record's topic.
    pub fn topic(&self, index: usize) -> TopicIndex {
        self.chains[usize::from(self.entries[index].chain)].topic
    }

    /// A record's key; `None` is a record without one.
    pub fn key(&self, index: usize) -> Option<&[u8]> {
        let entry = &self.entries[index];
        let start = entry.start as usize;
        (entry.key_bytes != NO_KEY).then(|| &self.bytes[start..start + entry.key_bytes as usize])
    }

    /// A record's headers, encoded; see `record::headers`.
    pub fn headers(&self, index: usize) -> &[u8] {
        let entry = &self.entries[index];
        let start = entry.headers_start();
        &self.bytes[start..start + entry.headers_bytes as usize]
    }

    /// A record's payload.
    pub fn payload(&self, index: usize) -> &[u8] {
        let entry = &self.entries[index];
        let start = entry.payload_start as usize;
        &self.bytes[start..start + entry.payload_bytes as usize]
    }

    /// A record's time, in milliseconds since 1970.
    pub fn time_ms(&self, index: usize) -> i64 {
        self.entries[index].time_ms
    }

    /// True if a record's time is not when it was received, so that Kafka has to be told.
    pub fn has_own_time(&self, index: usize) -> bool {
        self.entries[index].has_own_time
    }

    /// What a record was made of, where that was kept.
    pub fn origin(&self, index: usize) -> Option<Origin<'_>> {
        let entry = &self.entries[index];
        if entry.origin_bytes == 0 {
            return None;
        }
        let start = entry.headers_start() + entry.headers_bytes as usize;
        let frame_start = start + usize::from(entry.origin_bytes);
        let frame = &self.bytes[frame_start..frame_start + entry.frame_bytes as usize];
        Origin::read(&self.bytes[start..frame_start], frame)
    }

    /// Where a record stands.
    pub fn delivery(&self, index: usize) -> Delivery {
        self.entries[index].delivery
    }

    /// Notes where a record stands.
    pub fn set_delivery(&mut self, index: usize, delivery: Delivery) {
        self.entries[index].delivery = delivery;
    }

    /// Empties it. Its memory stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.chains.clear();
        (self.opened_at, self.sealed_at, self.read) = (None, None, None);
        self.is_full = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_takes_no_memory_of_its_own() {
        assert_eq!(size_of::<Entry>(), 48);
    }
}
