//! A record before it is written into a batch, and the encoding of its headers.

use jiff::Timestamp;

use crate::topics::TopicIndex;

/// Bytes of a record's headers; a record with more is not forwarded (`oversize`).
pub const HEADERS_BYTES_MAX: usize = 64 * 1024;

/// Bytes kept of each name in an origin.
const NAME_BYTES_MAX: usize = 255;

/// A record, as the rules made it.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Where it goes.
    pub topic: TopicIndex,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its headers, as [`push_header`] encodes them; empty: none.
    pub headers: &'a [u8],
    /// Its payload; it may lie in `origin.frame`.
    pub payload: &'a [u8],
    /// Its time; `None`: when it was received, to within what a batch waits.
    pub time: Option<Timestamp>,
    /// What the dead letters need, should Kafka refuse it for good; `None` where there are none.
    pub origin: Option<Origin<'a>>,
}

/// What a record was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The frame.
    pub frame: &'a [u8],
    /// The rule's name or number; empty: none.
    pub rule: &'a [u8],
    /// The listener's name.
    pub listener: &'a [u8],
    /// The sender's address.
    pub peer: &'a [u8],
    /// The name in its certificate that was verified; empty: none.
    pub client_name: &'a [u8],
    /// When it was received.
    pub received: Timestamp,
}

impl Record<'_> {
    /// Bytes that it takes in an arena.
    pub(crate) fn arena_bytes(&self) -> usize {
        let payload_bytes = match self.payload_in_frame() {
            Some(_) => 0,
            None => self.payload.len(),
        };
        self.key.map_or(0, <[u8]>::len)
            + self.headers.len()
            + self.origin.as_ref().map_or(0, Origin::arena_bytes)
            + payload_bytes
    }

    /// Where in the origin's frame the payload lies, if it does.
    pub(crate) fn payload_in_frame(&self) -> Option<usize> {
        let frame = self.origin?.frame;
        let offset = (self.payload.as_ptr() as usize).checked_sub(frame.as_ptr() as usize)?;
        (offset + self.payload.len() <= frame.len()).then_some(offset)
    }
}

impl<'a> Origin<'a> {
    fn arena_bytes(&self) -> usize {
        self.names_bytes() + self.frame.len()
    }

    fn names_bytes(&self) -> usize {
        8 + self.names().iter().map(|name| 1 + name.len().min(NAME_BYTES_MAX)).sum::<usize>()
    }

    fn names(&self) -> [&'a [u8]; 4] {
        [self.rule, self.listener, self.peer, self.client_name]
    }

    /// Writes `[received: i64 microseconds][rule][listener][peer][client_name][frame]`, each name behind its
    /// length in one byte. Returns the bytes in front of the frame.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(&self.received.as_microsecond().to_le_bytes());
        for name in self.names() {
            let name = &name[..name.len().min(NAME_BYTES_MAX)];
            out.push(name.len() as u8);
            out.extend_from_slice(name);
        }
        out.extend_from_slice(self.frame);
        self.names_bytes()
    }

    /// Reads what [`Origin::write`] wrote in front of `frame`.
    pub(crate) fn read(names: &'a [u8], frame: &'a [u8]) -> Option<Origin<'a>> {
        let (received, mut rest) = names.split_first_chunk::<8>()?;
        let received = Timestamp::from_microsecond(i64::from_le_bytes(*received)).ok()?;
        let mut name = || {
            let (bytes, after) = rest.split_first()?;
            let (name, after) = after.split_at_checked(usize::from(*bytes))?;
            rest = after;
            Some(name)
        };
        let (rule, listener, peer, client_name) = (name()?, name()?, name()?, name()?);
        Some(Origin { frame, rule, listener, peer, client_name, received })
    }
}

/// Names of the headers of a dead letter.
pub mod dead_letter {
    /// Why it could not be forwarded, in snake case.
    pub const REASON: &str = "corndog.reason";
    /// The rule that decided, by name or number; empty: none.
    pub const RULE: &str = "corndog.rule";
    /// The listener that took it.
    pub const LISTENER: &str = "corndog.listener";
    /// The sender's address.
    pub const PEER: &str = "corndog.peer";
    /// The sender's verified name, where it has one; else there is no such header.
    pub const CLIENT_NAME: &str = "corndog.client_name";
    /// The topic that it should have gone to; empty where none was made. A name longer than any
    /// topic's may be is a part of it and [`CUT`].
    pub const TOPIC: &str = "corndog.topic";
    /// Ends what is cut: no topic's name has it.
    pub const CUT: &str = "\u{2026}";
    /// When it was received, RFC 3339.
    pub const TIME: &str = "corndog.time";
}

/// Writes one header behind those in `headers`.
///
/// Shape:  `[name bytes: u16][name][value bytes: u32][value]`, little endian.
/// Errors: `false` if all would be longer than [`HEADERS_BYTES_MAX`]; nothing is written then.
pub fn push_header(headers: &mut Vec<u8>, name: &str, value: &[u8]) -> bool {
    let Ok(name_bytes) = u16::try_from(name.len()) else { return false };
    if headers.len() + 6 + name.len() + value.len() > HEADERS_BYTES_MAX {
        return false;
    }
    headers.extend_from_slice(&name_bytes.to_le_bytes());
    headers.extend_from_slice(name.as_bytes());
    headers.extend_from_slice(&(value.len() as u32).to_le_bytes());
    headers.extend_from_slice(value);
    true
}

/// The headers that [`push_header`] wrote, as names and values.
pub fn headers(mut encoded: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (name_bytes, rest) = encoded.split_first_chunk::<2>()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*name_bytes)))?;
        let (value_bytes, rest) = rest.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value_bytes) as usize)?;
        encoded = rest;
        Some((name, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_as_they_were_written() {
        let mut encoded = Vec::new();
        assert!(push_header(&mut encoded, "app", b"nginx"));
        assert!(push_header(&mut encoded, "", b""));
        assert!(push_header(&mut encoded, "bytes", b"\xff\0"));
        let before = encoded.len();
        assert!(!push_header(&mut encoded, "large", &[0; HEADERS_BYTES_MAX]));
        assert_eq!(encoded.len(), before);
        let read: Vec<_> = headers(&encoded).collect();
        assert_eq!(read, [(&b"app"[..], &b"nginx"[..]), (b"", b""), (b"bytes", b"\xff\0")]);
    }

    #[test]
    fn what_is_cut_ends_the_list() {
        let mut encoded = Vec::new();
        push_header(&mut encoded, "name", b"value");
        for end in 0..encoded.len() {
            assert_eq!(headers(&encoded[..end]).count(), 0);
        }
    }
}
