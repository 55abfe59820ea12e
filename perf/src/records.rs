//! Walks a record batch of Kafka's format v2 on its raw bytes, and copies nothing.
//!
//! ```text
//!  offset  0 base_offset i64 | 8 length i32 | 12 leader_epoch i32 | 16 magic i8 | 17 crc u32
//!         21 attributes i16 | 23 last_offset_delta i32 | 27 base_timestamp i64 | 35 max_timestamp i64
//!         43 producer_id i64 | 51 producer_epoch i16 | 53 base_sequence i32 | 57 record_count i32
//!         61 records: length varint, attributes i8, timestamp_delta varint, offset_delta varint,
//!            key_length varint, key, value_length varint, value, headers
//! ```
//!
//! Integers are big-endian, varints zigzag. Headers are skipped by the record's length.

use crate::codec::Codec;

const HEADER_BYTES: usize = 61;
const CRC_OFFSET: usize = 17;
const CRC_START: usize = 21;

/// What makes bytes no record batch that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end too early, or lengths contradict each other.
    Shape,
    /// Magic is not 2: an old client.
    Magic(i8),
    /// A codec that Kafka does not have; its number.
    Codec(u8),
    /// The compressed records are cut or foreign, or more than is taken.
    Compressed,
    /// The batch's CRC-32C differs.
    Crc,
}

/// A batch's header, and its records still as bytes.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Who produced it; -1 without idempotence.
    pub producer_id: i64,
    /// The producer's epoch.
    pub producer_epoch: i16,
    /// The first record's sequence number; -1 without idempotence.
    pub base_sequence: i32,
    /// Records that the header announces.
    pub record_count: u32,
    /// How the records are compressed.
    pub codec: Option<Codec>,
    records: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Reads one batch from the front of `bytes`; returns it and what follows.
    pub fn parse(bytes: &'a [u8], check_crc: bool) -> Result<(Self, &'a [u8]), Malformed> {
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(Malformed::Shape)?;
        if header[16] != 2 {
            return Err(Malformed::Magic(header[16] as i8));
        }
        let length = i32::from_be_bytes(array(header, 8));
        let end = usize::try_from(length).map_err(|_| Malformed::Shape)? + 12;
        if end < HEADER_BYTES || end > bytes.len() {
            return Err(Malformed::Shape);
        }
        let (batch, rest) = bytes.split_at(end);
        let crc = u32::from_be_bytes(array(header, CRC_OFFSET));
        if check_crc && crc32c::crc32c(&batch[CRC_START..]) != crc {
            return Err(Malformed::Crc);
        }
        let record_count = i32::from_be_bytes(array(header, 57));
        let parsed = Self {
            producer_id: i64::from_be_bytes(array(header, 43)),
            producer_epoch: i16::from_be_bytes(array(header, 51)),
            base_sequence: i32::from_be_bytes(array(header, 53)),
            record_count: u32::try_from(record_count).map_err(|_| Malformed::Shape)?,
            codec: Codec::of(header[22])?,
            records: &batch[HEADER_BYTES..],
        };
        Ok((parsed, rest))
    }

    /// The records as they were before compression, if they are compressed.
    pub fn decompress(&self) -> Result<Option<Vec<u8>>, Malformed> {
        self.codec.map(|codec| codec.decompress(self.records)).transpose()
    }

    /// The batch with its records decompressed.
    pub fn with_records<'b>(&self, records: &'b [u8]) -> Batch<'b> {
        Batch { codec: None, records, ..*self }
    }

    /// Calls `take` with each record's value, in order; a null value is empty.
    ///
    /// Cost:   a few varints per record, no allocation, no copy.
    /// Errors: `Malformed::Shape`, unless the records fill the batch exactly.
    #[inline]
    pub fn each_value(&self, mut take: impl FnMut(&'a [u8])) -> Result<(), Malformed> {
        let mut rest = self.records;
        for _ in 0..self.record_count {
            let (value, next) = split_record(rest).ok_or(Malformed::Shape)?;
            take(value);
            rest = next;
        }
        if rest.is_empty() { Ok(()) } else { Err(Malformed::Shape) }
    }
}

/// The first record's value and what follows the record.
#[inline]
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = varint(bytes)?;
    let (record, next) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let (_timestamp_delta, record) = varint(record.get(1..)?)?;
    let (_offset_delta, record) = varint(record)?;
    let (_key, record) = split_nullable(record)?;
    let (value, _headers) = split_nullable(record)?;
    Some((value, next))
}

/// Bytes with their length before them; a length of -1 means null.
#[inline]
fn split_nullable(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = varint(bytes)?;
    if length == -1 {
        return Some((&[], rest));
    }
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// A zigzag varint of at most 10 bytes, and what follows it.
#[inline]
fn varint(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut number = 0u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = (number >> 1) as i64 ^ -((number & 1) as i64);
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

fn array<const N: usize>(header: &[u8; HEADER_BYTES], offset: usize) -> [u8; N] {
    std::array::from_fn(|index| header[offset + index])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::codec;

    fn push_varint(out: &mut Vec<u8>, value: i64) {
        let mut rest = (value << 1 ^ value >> 63) as u64;
        while rest > 0x7f {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    /// An uncompressed batch of these values, without keys.
    pub(crate) fn batch(producer: (i64, i16, i32), values: &[&[u8]]) -> Vec<u8> {
        let mut records = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let mut record = vec![0];
            push_varint(&mut record, 0);
            push_varint(&mut record, index as i64);
            push_varint(&mut record, -1);
            push_varint(&mut record, value.len() as i64);
            record.extend_from_slice(value);
            push_varint(&mut record, 0);
            push_varint(&mut records, record.len() as i64);
            records.extend_from_slice(&record);
        }
        let mut tail = vec![0, 0];
        tail.extend_from_slice(&(values.len() as i32 - 1).to_be_bytes());
        tail.extend_from_slice(&[0; 16]);
        tail.extend_from_slice(&producer.0.to_be_bytes());
        tail.extend_from_slice(&producer.1.to_be_bytes());
        tail.extend_from_slice(&producer.2.to_be_bytes());
        tail.extend_from_slice(&(values.len() as i32).to_be_bytes());
        tail.extend_from_slice(&records);
        let mut bytes = vec![0; 8];
        bytes.extend_from_slice(&(tail.len() as i32 + 9).to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 0, 2]);
        bytes.extend_from_slice(&crc32c::crc32c(&tail).to_be_bytes());
        bytes.extend_from_slice(&tail);
        bytes
    }

    fn values(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Malformed> {
        let mut values = Vec::new();
        let (batch, rest) = Batch::parse(bytes, true)?;
        assert!(rest.is_empty());
        batch.each_value(|value| values.push(value.to_vec()))?;
        Ok(values)
    }

    #[test]
    fn varints_are_read_as_they_are_written() {
        for value in [0, -1, 1, 63, 64, -64, -65, 8191, 8192, 1 << 40, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, value);
            bytes.push(0x99);
            assert_eq!(varint(&bytes), Some((value, &[0x99u8][..])));
        }
        assert_eq!(varint(&[0x80; 11]), None);
        assert_eq!(varint(&[]), None);
    }

    #[test]
    fn values_of_a_batch_come_in_order() {
        let long = vec![b'x'; 100_000];
        let bytes = batch((9, 2, 40), &[b"one", b"", &long]);
        assert_eq!(values(&bytes), Ok(vec![b"one".to_vec(), Vec::new(), long]));
        let (batch, _) = Batch::parse(&bytes, true).unwrap();
        assert_eq!((batch.producer_id, batch.producer_epoch, batch.base_sequence), (9, 2, 40));
        assert_eq!(batch.record_count, 3);
    }

    #[test]
    fn a_cut_batch_is_malformed_and_never_panics() {
        let bytes = batch((1, 0, 0), &[b"one", b"two"]);
        for length in 0..bytes.len() {
            assert_eq!(values(&bytes[..length]), Err(Malformed::Shape));
        }
        for index in HEADER_BYTES..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 0xff;
            assert_eq!(values(&changed), Err(Malformed::Crc));
            if let Ok((batch, _)) = Batch::parse(&changed, false) {
                let _ = batch.each_value(|_| {});
            }
        }
    }

    /// A batch's records, compressed.
    pub(crate) fn compressed(bytes: &[u8], codec: Codec) -> Vec<u8> {
        let number = 1 + codec::tests::ALL.iter().position(|known| *known == codec).unwrap();
        let mut made = bytes[..HEADER_BYTES].to_vec();
        made.extend_from_slice(&codec::tests::compress(codec, &bytes[HEADER_BYTES..]));
        made[22] |= number as u8;
        let length = made.len() as i32 - 12;
        made[8..12].copy_from_slice(&length.to_be_bytes());
        let crc = crc32c::crc32c(&made[CRC_START..]);
        made[CRC_OFFSET..CRC_START].copy_from_slice(&crc.to_be_bytes());
        made
    }

    #[test]
    fn a_batch_of_every_codec_holds_its_values() {
        let long = vec![b'x'; 100_000];
        let plain = batch((9, 2, 40), &[b"one", b"", &long]);
        for codec in codec::tests::ALL {
            let bytes = compressed(&plain, codec);
            let (batch, rest) = Batch::parse(&bytes, true).unwrap();
            assert_eq!((batch.codec, rest.len()), (Some(codec), 0));
            let records = batch.decompress().unwrap().unwrap();
            let mut values: Vec<&[u8]> = Vec::new();
            batch.with_records(&records).each_value(|value| values.push(value)).unwrap();
            assert_eq!(values, [b"one", &b""[..], &long], "{codec:?}");
        }
    }

    #[test]
    fn unknown_codecs_and_old_formats_are_named() {
        let mut bytes = batch((1, 0, 0), &[b"one"]);
        bytes[22] = 5;
        let changed = crc32c::crc32c(&bytes[CRC_START..]);
        bytes[CRC_OFFSET..CRC_START].copy_from_slice(&changed.to_be_bytes());
        assert_eq!(values(&bytes), Err(Malformed::Codec(5)));
        bytes[16] = 1;
        assert_eq!(values(&bytes), Err(Malformed::Magic(1)));
    }
}
