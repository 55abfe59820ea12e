//! A syslog message that can be recognised, counted and checked wherever it arrives.
//!
//! ```text
//!  <165>1 2026-01-01T00:00:00.000000Z host app 1234 ID47 - cd1:CCCCSSSSSSSSSSSSLLLLXXXXXXXX:body
//!  [ RFC 5424 header                                      ][ stamp                        ]
//! ```
//!
//! The stamp holds, in hexadecimal, the connection (4 digits), the route (4), the sequence number on
//! that connection (8), the body's length (4) and a checksum (8) over the body and the numbers. The
//! route says which topic the message has to arrive in. The body is printable text without a colon,
//! so that the marker is nowhere else. A workload, and the forwarder's rules, may put bytes before
//! the stamp and after the body: neither changes the verdict.
//!
//! Messages are built once, as templates; before each sending only 24 digits are patched.

use memchr::memmem;

/// What stands before each stamp: RFC 5424, as a program on a host would write it.
pub const HEADER: &[u8] = b"<165>1 2026-01-01T00:00:00.000000Z host app 1234 ID47 - ";
/// The first bytes of a stamp. A body has no colon, so it never holds these.
pub const MARKER: &[u8] = b"cd1:";
/// Bytes of a stamp, marker and closing colon included.
pub const STAMP_BYTES: usize = 4 + 16 + 4 + 8 + 1;
/// The shortest frame: header, stamp, one byte of body.
pub const FRAME_BYTES_MIN: usize = HEADER.len() + STAMP_BYTES + 1;
/// The longest frame: a body's length has four digits.
pub const FRAME_BYTES_MAX: usize = HEADER.len() + STAMP_BYTES + 0xffff;
/// Sequence numbers are below this: they have eight digits, and a sink's memory is bounded.
pub const SEQUENCE_MAX: u64 = 1 << 32;
/// The route of a message that may arrive in any topic.
pub const ROUTE_ANY: u16 = 0;

const HEX: &[u8; 16] = b"0123456789abcdef";
const HEX_PAIRS: [[u8; 2]; 256] = hex_pairs();
const HEX_VALUES: [u8; 256] = hex_values();

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
        [b'c', b'd', b'1', b':', ..] => 0,
        [_, b'c', b'd', b'1', b':', ..] => 1,
        _ => memmem::find(payload, MARKER).ok_or(Corrupt::Unmarked)?,
    };
    let (stamp, rest) = payload[start..].split_at_checked(STAMP_BYTES).ok_or(Corrupt::Cut)?;
    let id = hex_number(&stamp[4..20]).ok_or(Corrupt::Checksum)?;
    let length = hex_number(&stamp[20..24]).ok_or(Corrupt::Checksum)?;
    let checksum = hex_number(&stamp[24..32]).ok_or(Corrupt::Checksum)?;
    let body = rest.get(..length as usize).ok_or(Corrupt::Cut)?;
    let stamp = Stamp {
        connection: (id >> 48) as u16,
        route: (id >> 32) as u16,
        sequence: id & (SEQUENCE_MAX - 1),
    };
    let good = u64::from(seal(id, length as u32, crc32c::crc32c(body))) == checksum;
    if good { Ok(stamp) } else { Err(Corrupt::Checksum) }
}

/// The number that stands for a topic in stamps; never `ROUTE_ANY`.
pub fn route_of(topic: &str) -> u16 {
    crc32c::crc32c(topic.as_bytes()) as u16 | 1
}

/// What a workload makes a MSG of: `before`, the stamp, `body`, `after`.
///
/// `body` is not empty, at most 65535 bytes, and has no colon; none has a line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
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
        HEADER.len() + self.before.len() + STAMP_BYTES + self.body.len() + self.after.len()
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
        self.bytes.extend_from_slice(HEADER);
        self.bytes.extend_from_slice(&text.before);
        self.bytes.extend_from_slice(MARKER);
        let digits = self.bytes.len();
        self.bytes.extend_from_slice(format!("{:016x}{body_bytes:04x}{:08x}:", 0, 0).as_bytes());
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

    /// Frames that lie whole within the first `bytes` of the block, and where the last of them ends.
    pub fn whole(&self, bytes: usize) -> (usize, usize) {
        let count = self.frames.partition_point(|frame| frame.end <= bytes);
        (count, count.checked_sub(1).map_or(0, |last| self.frames[last].end))
    }

    /// Where the frame ends that the first `bytes` of the block end in, or with; 0 if they are none.
    pub fn next_end(&self, bytes: usize) -> usize {
        if bytes == 0 {
            return 0;
        }
        let index = self.frames.partition_point(|frame| frame.end < bytes);
        self.frames.get(index).map_or(self.bytes.len(), |frame| frame.end)
    }

    /// Stamps the first `count` frames with consecutive sequence numbers; how many bytes they are.
    ///
    /// Panics: if `count` is above `frame_count`.
    pub fn stamp(&mut self, connection: u16, sequence: u64, count: usize) -> usize {
        for (index, frame) in self.frames[..count].iter().enumerate() {
            let number = sequence + index as u64;
            let id = u64::from(connection) << 48 | u64::from(frame.route) << 32 | number;
            let digits = &mut self.bytes[frame.digits..frame.digits + 28];
            write_hex(&mut digits[..16], id);
            write_hex(&mut digits[20..], u64::from(seal(id, frame.body_bytes, frame.body_crc)));
        }
        count.checked_sub(1).map_or(0, |last| self.frames[last].end)
    }

    /// All frames, as they were stamped last.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Ties the numbers to the body's checksum.
#[inline]
fn seal(id: u64, body_bytes: u32, body_crc: u32) -> u32 {
    let spread = (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32;
    body_crc ^ spread ^ body_bytes.rotate_left(16)
}

/// Reads digits of lower-case hexadecimal; `None` if one is none.
#[inline]
fn hex_number(digits: &[u8]) -> Option<u64> {
    let mut number = 0;
    let mut wrong = 0;
    for digit in digits {
        let value = HEX_VALUES[usize::from(*digit)];
        wrong |= value;
        number = number << 4 | u64::from(value & 0xf);
    }
    (wrong < 16).then_some(number)
}

/// Fills `digits` with the number's lowest digits; an even count of them.
#[inline]
fn write_hex(digits: &mut [u8], number: u64) {
    let mut rest = number;
    for pair in digits.rchunks_exact_mut(2) {
        pair.copy_from_slice(&HEX_PAIRS[(rest & 0xff) as usize]);
        rest >>= 8;
    }
}

const fn hex_pairs() -> [[u8; 2]; 256] {
    let mut pairs = [[0; 2]; 256];
    let mut index = 0;
    while index < 256 {
        pairs[index] = [HEX[index >> 4], HEX[index & 15]];
        index += 1;
    }
    pairs
}

const fn hex_values() -> [u8; 256] {
    let mut values = [0xff; 256];
    let mut index = 0;
    while index < 16 {
        values[HEX[index] as usize] = index as u8;
        index += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body_bytes: usize, route: u16) -> Text {
        let body = b"some words. ".iter().copied().cycle().take(body_bytes).collect();
        Text { before: Vec::new(), body, after: Vec::new(), route }
    }

    fn frame(stamp: Stamp, text: Text) -> Vec<u8> {
        let mut block = Block::new([text.clone(), text], 1000, Framing::Lf);
        block.stamp(stamp.connection, stamp.sequence - 1, 2);
        block.bytes()[block.next_end(1)..].to_vec()
    }

    fn msg(frame: &[u8]) -> &[u8] {
        &frame[HEADER.len()..frame.len() - 1]
    }

    const STAMP: Stamp = Stamp { connection: 0xfffe, route: 0x1235, sequence: 0xfedc_ba98 };

    #[test]
    fn block_holds_whole_frames_and_knows_their_ends() {
        let texts = [10, 20, 30].map(|bytes| text(bytes, 0));
        let block = Block::new(texts, 300, Framing::Lf);
        let first = HEADER.len() + STAMP_BYTES + 10 + 1;
        let end = 2 * first + 10;
        assert_eq!((block.frame_count(), block.bytes().len()), (2, end));
        assert_eq!(block.whole(first - 1), (0, 0));
        assert_eq!(block.whole(first), (1, first));
        assert_eq!(block.whole(end - 1), (1, first));
        assert_eq!(block.whole(end), (2, end));
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
        assert_eq!(block.bytes().len(), "99 ".len() + frame_bytes);
    }

    #[test]
    fn stamp_is_read_back_with_bytes_before_and_after() {
        let mut text = text(100, STAMP.route);
        text.before = b"{\"msg\":\"".to_vec();
        text.after = b"\"}".to_vec();
        let frame = frame(STAMP, text);
        let msg = msg(&frame);
        assert!(msg.starts_with(b"{\"msg\":\"cd1:fffe1235fedcba98"));
        for payload in [msg.to_vec(), [b" ", msg].concat(), msg[b"{'msg':'".len()..].to_vec()] {
            assert_eq!(check(&payload), Ok(STAMP));
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
