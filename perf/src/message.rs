//! A syslog message that can be recognised, counted and checked wherever it arrives.
//!
//! ```text
//!  <165>1 2026-01-01T00:00:00.000000Z host app 1234 ID47 - cd1:CCCCSSSSSSSSSSSSLLLLXXXXXXXX:body
//!  [ RFC 5424 header                                      ][ stamp                        ]
//! ```
//!
//! The stamp holds, in hexadecimal, the connection (4 digits), the sequence number on that
//! connection (12), the body's length (4) and a checksum (8) over the body and the three numbers.
//! The body is pseudo-random printable text without a colon, so that the marker is nowhere else. A
//! forwarder may put bytes before the stamp and after the body: neither changes the verdict.
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
/// Sequence numbers are below this, so that a sink's memory is bounded.
pub const SEQUENCE_MAX: u64 = 1 << 32;

const BODY_ALPHABET: &[u8; 64] =
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .";
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
    let stamp = Stamp { connection: (id >> 48) as u16, sequence: id & 0xffff_ffff_ffff };
    let good = u64::from(seal(id, length as u32, crc32c::crc32c(body))) == checksum;
    if good && stamp.sequence < SEQUENCE_MAX { Ok(stamp) } else { Err(Corrupt::Checksum) }
}

/// Ready-made frames side by side, all of one length: a buffer for one write.
///
/// Shape:  `frame_count` strides of `stride_bytes`; a stride is `[count SP] frame [LF]`.
pub struct Block {
    bytes: Vec<u8>,
    stride_bytes: usize,
    stamp_offset: usize,
    body_bytes: u32,
    body_crcs: Vec<u32>,
}

impl Block {
    /// Builds `frame_count` frames of `frame_bytes` each, with bodies drawn from `seed`.
    ///
    /// Errors: `None` unless `FRAME_BYTES_MIN <= frame_bytes <= FRAME_BYTES_MAX`.
    pub fn new(
        frame_count: usize,
        frame_bytes: usize,
        framing: Framing,
        seed: u64,
    ) -> Option<Self> {
        if !(FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&frame_bytes) {
            return None;
        }
        let prefix = match framing {
            Framing::Lf => String::new(),
            Framing::Octet => format!("{frame_bytes} "),
        };
        let body_bytes = frame_bytes - HEADER.len() - STAMP_BYTES;
        let mut random = Random(seed);
        let mut bytes = Vec::new();
        let mut body_crcs = Vec::with_capacity(frame_count);
        for _ in 0..frame_count {
            let body = random.body(body_bytes);
            bytes.extend_from_slice(prefix.as_bytes());
            bytes.extend_from_slice(HEADER);
            bytes.extend_from_slice(MARKER);
            bytes.extend_from_slice(format!("{:016x}{body_bytes:04x}{:08x}:", 0, 0).as_bytes());
            bytes.extend_from_slice(&body);
            body_crcs.push(crc32c::crc32c(&body));
            if framing == Framing::Lf {
                bytes.push(b'\n');
            }
        }
        let stride_bytes = bytes.len().checked_div(frame_count).unwrap_or(0);
        let stamp_offset = prefix.len() + HEADER.len() + MARKER.len();
        Some(Self { bytes, stride_bytes, stamp_offset, body_bytes: body_bytes as u32, body_crcs })
    }

    /// Frames in the block.
    pub fn frame_count(&self) -> usize {
        self.body_crcs.len()
    }

    /// Bytes from one frame's start to the next one's, delimiters included.
    pub fn stride_bytes(&self) -> usize {
        self.stride_bytes
    }

    /// Stamps the first `count` frames with consecutive sequence numbers and returns their bytes.
    ///
    /// Panics: if `count` is above `frame_count`.
    pub fn stamped(&mut self, connection: u16, sequence: u64, count: usize) -> &[u8] {
        let used = count * self.stride_bytes;
        let strides = self.bytes[..used].chunks_exact_mut(self.stride_bytes);
        for (index, (stride, crc)) in strides.zip(&self.body_crcs).enumerate() {
            let id = u64::from(connection) << 48 | (sequence + index as u64);
            let digits = &mut stride[self.stamp_offset..self.stamp_offset + 28];
            write_hex(&mut digits[..16], id);
            write_hex(&mut digits[20..], u64::from(seal(id, self.body_bytes, *crc)));
        }
        &self.bytes[..used]
    }
}

/// Ties the three numbers to the body's checksum.
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

/// SplitMix64: enough randomness for text, without a dependency.
struct Random(u64);

impl Random {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Text that starts and ends with a letter or so: forwarders may trim spaces.
    fn body(&mut self, length: usize) -> Vec<u8> {
        let mut body: Vec<u8> =
            (0..length).map(|_| BODY_ALPHABET[(self.number() >> 58) as usize]).collect();
        for end in [0, length - 1] {
            if body[end] == b' ' {
                body[end] = b'x';
            }
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(framing: Framing, connection: u16, sequence: u64) -> Vec<u8> {
        let mut block = Block::new(4, 248, framing, 7).unwrap();
        let stride = block.stride_bytes();
        block.stamped(connection, sequence - 1, 2)[stride..].to_vec()
    }

    #[test]
    fn frame_has_the_length_asked_for() {
        let lf = frame(Framing::Lf, 1, 1);
        assert_eq!((lf.len(), lf[248]), (249, b'\n'));
        assert!(lf.starts_with(HEADER));
        assert!(frame(Framing::Octet, 1, 1).starts_with(b"248 <165>1 "));
        for frame_bytes in [FRAME_BYTES_MIN, 4096, FRAME_BYTES_MAX] {
            let block = Block::new(2, frame_bytes, Framing::Lf, 1).unwrap();
            assert_eq!(block.stride_bytes(), frame_bytes + 1);
        }
        assert!(Block::new(1, FRAME_BYTES_MIN - 1, Framing::Lf, 1).is_none());
        assert!(Block::new(1, FRAME_BYTES_MAX + 1, Framing::Lf, 1).is_none());
    }

    #[test]
    fn stamp_is_read_back_with_bytes_before_and_after() {
        let stamp = Stamp { connection: 0xfffe, sequence: 0xfedc_ba98 };
        let frame = frame(Framing::Lf, stamp.connection, stamp.sequence);
        let msg = &frame[HEADER.len()..frame.len() - 1];
        for payload in [msg.to_vec(), [b" ", msg].concat(), [b"{\"msg\":\"", msg, b"\"}"].concat()]
        {
            assert_eq!(check(&payload), Ok(stamp));
        }
    }

    #[test]
    fn every_changed_byte_is_seen() {
        let frame = frame(Framing::Lf, 3, 12345);
        let msg = &frame[HEADER.len()..frame.len() - 1];
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
        let frame = frame(Framing::Lf, 3, 12345);
        let msg = &frame[HEADER.len()..frame.len() - 1];
        for length in 4..msg.len() {
            assert_eq!(check(&msg[..length]), Err(Corrupt::Cut));
        }
        for foreign in [&b""[..], b"c", b"cd1", b"hello there"] {
            assert_eq!(check(foreign), Err(Corrupt::Unmarked));
        }
    }

    #[test]
    fn bodies_hold_neither_delimiters_nor_markers_nor_quotes() {
        let body = Random(1).body(10_000);
        assert!(body.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' '));
        assert!(!body.iter().any(|byte| b":\"\\\n%".contains(byte)));
    }
}
