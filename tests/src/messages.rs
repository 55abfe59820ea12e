//! Numbered messages, and whether all of them arrived, once, in order.
//!
//! ```text
//! <134>1 2026-01-02T03:04:05.678901Z host app 42 - - c=03 s=0000001234 xxxx...
//! ```
//!
//! What is forwarded is MSG, so a record's payload begins at `c=`.

use crate::reader::Record;
use std::collections::HashMap;

const HEADER: &str = "<134>1 2026-01-02T03:04:05.678901Z host app 42 - - ";

/// The message of a connection with this number, `bytes` long where that is enough, without a
/// delimiter.
pub fn message(connection: usize, sequence: u64, bytes: usize) -> String {
    let mut message = format!("{HEADER}c={connection:02} s={sequence:010} ");
    while message.len() < bytes {
        message.push('x');
    }
    message
}

/// Connection and sequence, from a record's payload.
pub fn number(payload: &[u8]) -> Option<(usize, u64)> {
    let text = std::str::from_utf8(payload.get(..17)?).ok()?;
    let connection = text.get(2..4)?.parse().ok()?;
    let sequence = text.get(7..17)?.parse().ok()?;
    (text.starts_with("c=") && &text[4..7] == " s=").then_some((connection, sequence))
}

/// What became of numbered messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sent and not read.
    pub lost: u64,
    /// Read more than once; each further time counts.
    pub duplicated: u64,
    /// In one partition, after a later one of its connection.
    pub reordered: u64,
    /// Read and never sent, or no numbered message at all.
    pub foreign: u64,
}

impl Tally {
    /// Nothing lost, nothing twice, everything in order.
    pub fn perfect() -> Tally {
        Tally::default()
    }
}

/// Compares records with what was sent: `sent[c]` messages by connection `c`, numbered from 0.
///
/// Order is judged by offset, per connection and partition, on each message's *last* copy: where
/// duplicates are allowed, what was sent again restores the order.
pub fn tally(records: &[Record], sent: &[u64]) -> Tally {
    let mut tally = Tally::default();
    let mut copies: Vec<Vec<u32>> =
        sent.iter().map(|count| vec![0; usize::try_from(*count).expect("fits memory")]).collect();
    let mut numbered = Vec::with_capacity(records.len());
    for record in records {
        let known = number(&record.payload).filter(|(connection, sequence)| {
            sent.get(*connection).is_some_and(|count| sequence < count)
        });
        let Some((connection, sequence)) = known else {
            tally.foreign += 1;
            continue;
        };
        copies[connection][usize::try_from(sequence).expect("fits memory")] += 1;
        numbered.push((record.partition, record.offset, connection, sequence));
    }
    for count in copies.iter().flatten() {
        tally.lost += u64::from(*count == 0);
        tally.duplicated += u64::from(count.saturating_sub(1));
    }
    numbered.sort_unstable();
    let mut earliest: HashMap<(i32, usize), u64> = HashMap::new();
    let mut seen: std::collections::HashSet<(usize, u64)> = std::collections::HashSet::new();
    for (partition, _, connection, sequence) in numbered.into_iter().rev() {
        if !seen.insert((connection, sequence)) {
            continue;
        }
        let after = earliest.entry((partition, connection)).or_insert(u64::MAX);
        tally.reordered += u64::from(sequence > *after);
        *after = (*after).min(sequence);
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(order: &[(i32, u64)]) -> Vec<Record> {
        let record = |(offset, (partition, sequence)): (usize, &(i32, u64))| {
            let payload = message(0, *sequence, 100).as_bytes()[HEADER.len()..].to_vec();
            Record { partition: *partition, offset: offset as i64, payload, ..Record::default() }
        };
        order.iter().enumerate().map(record).collect()
    }

    #[test]
    fn a_tally_finds_what_is_lost_twice_or_late() {
        assert_eq!(tally(&records(&[(0, 0), (1, 1), (0, 2)]), &[3]), Tally::perfect());
        assert_eq!(tally(&records(&[(0, 0), (0, 2)]), &[3]).lost, 1);
        assert_eq!(tally(&records(&[(0, 0), (0, 1), (0, 1)]), &[2]).duplicated, 1);
        assert_eq!(tally(&records(&[(0, 1), (0, 0)]), &[2]).reordered, 1);
        assert_eq!(tally(&records(&[(0, 1), (1, 0)]), &[2]), Tally::perfect());
        assert_eq!(tally(&records(&[(0, 1), (0, 0), (0, 1)]), &[2]).reordered, 0);
        assert_eq!(tally(&records(&[(0, 7)]), &[1]).foreign, 1);
    }
}
