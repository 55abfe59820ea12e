//! A syslog message that can be recognised, counted and checked wherever it arrives.
//!
//! ```text
//!  <165>1 2026-01-01T00:00:00.000000Z host app 1234 ID47 - cd2:CCCCRRRRSSSSSSSSTTTTTTTTTTTTTTTTLLLLXXXXXXXX:body
//!  [ RFC 5424 header                                      ][ stamp                                        ]
//! ```
//!
//! The stamp holds, in hexadecimal, the connection (4 digits), the route (4), the sequence number on
//! that connection (8), the send time (16), the body's length (4) and a checksum (8) over the body and
//! the numbers. The route says which topic the message has to arrive in; the send time is nanoseconds
//! of CLOCK_MONOTONIC, and the time at which the message was to be sent, not when it was. The body is
//! printable text without a colon, so that the marker is nowhere else. A workload, and the forwarder's
//! rules, may put bytes before the stamp and after the body: neither changes the verdict.
//!
//! Messages are built once, as templates; before each sending only 40 digits are patched.

use crate::hex;
use memchr::memmem;
use std::borrow::Cow;
use std::ops::Range;

/// What stands before each stamp: RFC 5424, as a program on a host would write it.
pub const HEADER: &[u8] = b"<165>1 2026-01-01T00:00:00.000000Z host app 1234 ID47 - ";
/// The first bytes of a stamp. A body has no colon, so it never holds these.
pub const MARKER: &[u8] = b"cd2:";
/// Bytes of a stamp, marker and closing colon included.
pub const STAMP_BYTES: usize = 4 + DIGITS + 1;
/// The shortest frame: header, stamp, one byte of body.
pub const FRAME_BYTES_MIN: usize = HEADER.len() + STAMP_BYTES + 1;
/// The longest frame: a body's length has four digits.
pub const FRAME_BYTES_MAX: usize = HEADER.len() + STAMP_BYTES + 0xffff;
/// Sequence numbers are below this: they have eight digits, and a sink's memory is bounded.
pub const SEQUENCE_MAX: u64 = 1 << 32;
/// The route of a message that may arrive in any topic.
pub const ROUTE_ANY: u16 = 0;

/// Digits of a stamp: numbers, send time, length, checksum.
const DIGITS: usize = 16 + 16 + 4 + 8;

/// How frames are delimited on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A line feed after each frame (RFC 6587 §3.4.2).
    Lf,
    /// The frame's length in digits and a space before it (RFC 6587 §3.4.1).
    Octet,
}

/// What a stamp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The generator's number of the connection.
    pub connection: u16,
    /// `route_of` the topic that it has to arrive in, or `ROUTE_ANY`.
    pub route: u16,
    /// Counts from 0 on each connection.
    pub sequence: u64,
    /// When it was to be sent: nanoseconds of CLOCK_MONOTONIC.
    pub sent: u64,
}

/// Why a payload holds no good stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corrupt {
    /// No marker: not one of our messages.
    Unmarked,
    /// The payload ends before the stamp or the body does.
    Cut,
    /// A digit is none, or the checksum differs.
    Checksum,
}

/// Finds and verifies the stamp in a payload.
///
/// Cost:   one pass over the body, no allocation.
/// Errors: `Corrupt`, never a panic: payloads come from outside.
#[inline]
pub fn check(payload: &[u8]) -> Result<Stamp, Corrupt> {
    let start = match payload {
        [b'c', b'd', b'2', b':', ..] => 0,
        [_, b'c', b'd', b'2', b':', ..] => 1,
        _ => memmem::find(payload, MARKER).ok_or(Corrupt::Unmarked)?,
    };
    let (stamp, rest) = payload[start..].split_first_chunk::<STAMP_BYTES>().ok_or(Corrupt::Cut)?;
    let numbers = Numbers::read(stamp).ok_or(Corrupt::Checksum)?;
    let body = rest.get(..numbers.body_bytes as usize).ok_or(Corrupt::Cut)?;
    if numbers.seal(crc32c::crc32c(body)) != numbers.checksum {
        return Err(Corrupt::Checksum);
    }
    Ok(Stamp {
        connection: (numbers.id >> 48) as u16,
        route: (numbers.id >> 32) as u16,
        sequence: numbers.id & (SEQUENCE_MAX - 1),
        sent: numbers.sent,
    })
}

/// The number that stands for a topic in stamps; never `ROUTE_ANY`.
pub fn route_of(topic: &str) -> u16 {
    crc32c::crc32c(topic.as_bytes()) as u16 | 1
}

/// What a workload makes a frame of: `header`, `before`, the stamp, `body`, `after`.
///
/// `body` is not empty, at most 65535 bytes, and has no colon; none has a line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What syslog says before MSG: `HEADER`, mostly.
    pub header: Cow<'static, [u8]>,
    /// In front of the stamp.
    pub before: Vec<u8>,
    /// What the checksum covers.
    pub body: Vec<u8>,
    /// Behind the body.
    pub after: Vec<u8>,
    /// `route_of` the topic that the rules have to choose, or `ROUTE_ANY`.
    pub route: u16,
}

impl Text {
    fn frame_bytes(&self) -> usize {
        let around = self.header.len() + self.before.len() + self.after.len();
        around + STAMP_BYTES + self.body.len()
    }
}

/// Ready-made frames side by side: a buffer for one write.
///
/// Shape:  `bytes` is `[count SP] frame [LF]` for each of `frames`, in order.
pub struct Block {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
}

/// Where a frame ends in its block, and what its stamp needs.
struct Frame {
    /// One past its last byte, delimiters included.
    end: usize,
    /// Where the stamp's digits are.
    digits: usize,
    route: u16,
    body_bytes: u32,
    body_crc: u32,
}

impl Block {
    /// Builds frames of these texts until they fill `block_bytes`; one at least.
    pub fn new(
        texts: impl IntoIterator<Item = Text>,
        block_bytes: usize,
        framing: Framing,
    ) -> Self {
        let mut block = Self { bytes: Vec::new(), frames: Vec::new() };
        for text in texts {
            let frame_bytes = text.frame_bytes();
            if !block.frames.is_empty() && block.bytes.len() + frame_bytes > block_bytes {
                break;
            }
            block.push(&text, framing);
        }
        block
    }

    fn push(&mut self, text: &Text, framing: Framing) {
        let body_bytes = text.body.len() as u32;
        if framing == Framing::Octet {
            self.bytes.extend_from_slice(format!("{} ", text.frame_bytes()).as_bytes());
        }
        self.bytes.extend_from_slice(&text.header);
        self.bytes.extend_from_slice(&text.before);
        self.bytes.extend_from_slice(MARKER);
        let digits = self.bytes.len();
        self.bytes.extend_from_slice(format!("{:032x}{body_bytes:04x}{:08x}:", 0, 0).as_bytes());
        self.bytes.extend_from_slice(&text.body);
        self.bytes.extend_from_slice(&text.after);
        if framing == Framing::Lf {
            self.bytes.push(b'\n');
        }
        self.frames.push(Frame {
            end: self.bytes.len(),
            digits,
            route: text.route,
            body_bytes,
            body_crc: crc32c::crc32c(&text.body),
        });
    }

    /// Frames in the block.
    pub fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// Where that frame begins; where the last one ends, if there is none of that index.
    pub fn start(&self, index: usize) -> usize {
        index
            .checked_sub(1)
            .map_or(0, |last| self.frames.get(last).map_or(self.bytes.len(), |frame| frame.end))
    }

    /// Frames that end within the first `bytes` of the block.
    pub fn whole(&self, bytes: usize) -> usize {
        self.frames.partition_point(|frame| frame.end <= bytes)
    }

    /// Where the frame ends that the first `bytes` of the block end in, or with; 0 if they are none.
    pub fn next_end(&self, bytes: usize) -> usize {
        if bytes == 0 {
            return 0;
        }
        let index = self.frames.partition_point(|frame| frame.end < bytes);
        self.frames.get(index).map_or(self.bytes.len(), |frame| frame.end)
    }

    /// Stamps these frames with consecutive sequence numbers, the first with `sequence`, and with the
    /// send time of each, of which the first has index 0; the bytes that they are.
    ///
    /// Panics: if they are more than `frame_count`.
    #[inline]
    pub fn stamp(
        &mut self,
        frames: Range<usize>,
        connection: u16,
        sequence: u64,
        sent: impl Fn(usize) -> u64,
    ) -> Range<usize> {
        let bytes = self.start(frames.start)..self.start(frames.end);
        for (index, frame) in self.frames[frames].iter().enumerate() {
            let number = sequence + index as u64;
            let mut numbers = Numbers {
                id: u64::from(connection) << 48 | u64::from(frame.route) << 32 | number,
                sent: sent(index),
                body_bytes: frame.body_bytes,
                checksum: 0,
            };
            numbers.checksum = numbers.seal(frame.body_crc);
            numbers.write(&mut self.bytes[frame.digits..frame.digits + DIGITS]);
        }
        bytes
    }

    /// All frames, as they were stamped last.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A stamp's numbers as they are written: connection, route and sequence are one.
#[derive(Clone, Copy)]
struct Numbers {
    id: u64,
    sent: u64,
    body_bytes: u32,
    checksum: u32,
}

impl Numbers {
    /// Ties the numbers to the body's checksum.
    #[inline]
    fn seal(&self, body_crc: u32) -> u32 {
        let id = self.id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let sent = self.sent.wrapping_mul(0xd6e8_feb8_6659_fd93);
        body_crc ^ ((id ^ sent) >> 32) as u32 ^ self.body_bytes.rotate_left(16)
    }

    /// `None` if a digit is none.
    #[inline]
    fn read(stamp: &[u8; STAMP_BYTES]) -> Option<Self> {
        let digits = |start: usize| std::array::from_fn(|index| stamp[start + index]);
        let mut length = *b"00000000";
        length[4..].copy_from_slice(&stamp[36..40]);
        Some(Self {
            id: hex::u64_of_digits(stamp[4..].first_chunk()?)?,
            sent: hex::u64_of_digits(stamp[20..].first_chunk()?)?,
            body_bytes: hex::number(length)?,
            checksum: hex::number(digits(40))?,
        })
    }

    /// Patches a stamp's digits, but for the length, which stays.
    #[inline]
    fn write(&self, digits: &mut [u8]) {
        digits[..16].copy_from_slice(&hex::digits_of_u64(self.id));
        digits[16..32].copy_from_slice(&hex::digits_of_u64(self.sent));
        digits[36..].copy_from_slice(&hex::digits(self.checksum));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body_bytes: usize, route: u16) -> Text {
        let body = b"some words. ".iter().copied().cycle().take(body_bytes).collect();
        Text { header: HEADER.into(), before: Vec::new(), body, after: Vec::new(), route }
    }

    fn frame(stamp: Stamp, text: Text) -> Vec<u8> {
        let mut block = Block::new([text.clone(), text], 1000, Framing::Lf);
        let sent = |index| if index == 1 { stamp.sent } else { 7 };
        block.stamp(0..2, stamp.connection, stamp.sequence - 1, sent);
        block.bytes()[block.next_end(1)..].to_vec()
    }

    fn msg(frame: &[u8]) -> &[u8] {
        &frame[HEADER.len()..frame.len() - 1]
    }

    const STAMP: Stamp = Stamp {
        connection: 0xfffe,
        route: 0x1235,
        sequence: 0xfedc_ba98,
        sent: 0x0123_4567_89ab_cdef,
    };

    #[test]
    fn block_holds_whole_frames_and_knows_their_ends() {
        let texts = [10, 20, 30].map(|bytes| text(bytes, 0));
        let block = Block::new(texts, 300, Framing::Lf);
        let first = HEADER.len() + STAMP_BYTES + 10 + 1;
        let end = 2 * first + 10;
        assert_eq!((block.frame_count(), block.bytes().len()), (2, end));
        assert_eq!([first - 1, first, end - 1, end].map(|bytes| block.whole(bytes)), [0, 1, 1, 2]);
        assert_eq!([0, 1, 2, 3].map(|index| block.start(index)), [0, first, end, end]);
        assert_eq!(
            [0, 1, first, first + 1, end].map(|bytes| block.next_end(bytes)),
            [0, first, first, end, end]
        );
    }

    #[test]
    fn octet_counts_the_frame() {
        let block = Block::new([text(10, 0)], 0, Framing::Octet);
        let frame_bytes = HEADER.len() + STAMP_BYTES + 10;
        assert!(block.bytes().starts_with(format!("{frame_bytes} <165>1 ").as_bytes()));
        assert_eq!(block.bytes().len(), "115 ".len() + frame_bytes);
    }

    #[test]
    fn stamp_is_read_back_with_bytes_before_and_after() {
        let mut text = text(100, STAMP.route);
        text.before = b"{\"msg\":\"".to_vec();
        text.after = b"\"}".to_vec();
        let frame = frame(STAMP, text);
        let msg = msg(&frame);
        assert!(msg.starts_with(b"{\"msg\":\"cd2:fffe1235fedcba980123456789abcdef"));
        for payload in [msg.to_vec(), [b" ", msg].concat(), msg[b"{'msg':'".len()..].to_vec()] {
            assert_eq!(check(&payload), Ok(STAMP));
        }
    }

    #[test]
    fn frames_in_the_midst_of_a_block_are_stamped_alone() {
        let mut block = Block::new([10, 20, 30].map(|bytes| text(bytes, 0)), 1000, Framing::Lf);
        let before = block.bytes().to_vec();
        let bytes = block.stamp(1..3, 4, 100, |index| 50 + index as u64);
        assert_eq!(bytes, block.start(1)..before.len());
        assert_eq!(block.bytes()[..bytes.start], before[..bytes.start]);
        for (index, start) in [block.start(1), block.start(2)].into_iter().enumerate() {
            let number = index as u64;
            let stamp =
                Stamp { connection: 4, route: 0, sequence: 100 + number, sent: 50 + number };
            assert_eq!(check(&block.bytes()[start + HEADER.len()..]), Ok(stamp));
        }
    }

    #[test]
    fn every_changed_byte_is_seen() {
        let frame = frame(STAMP, text(100, STAMP.route));
        let msg = msg(&frame);
        for index in 0..msg.len() {
            for flip in [1, 0x10, 0x20, 0x80] {
                let mut payload = msg.to_vec();
                payload[index] ^= flip;
                // The closing colon of the stamp carries nothing.
                let expected = index == STAMP_BYTES - 1;
                assert_eq!(check(&payload).is_ok(), expected, "byte {index} flipped by {flip}");
            }
        }
    }

    #[test]
    fn cut_and_foreign_payloads_are_corrupt() {
        let frame = frame(STAMP, text(100, STAMP.route));
        let msg = msg(&frame);
        for length in 4..msg.len() {
            assert_eq!(check(&msg[..length]), Err(Corrupt::Cut));
        }
        for foreign in [&b""[..], b"c", b"cd1", b"hello there"] {
            assert_eq!(check(foreign), Err(Corrupt::Unmarked));
        }
    }

    #[test]
    fn topics_have_routes_of_their_own() {
        assert_ne!(route_of("test"), route_of("logs-unknown"));
        assert_ne!(route_of(""), ROUTE_ANY);
    }
}
