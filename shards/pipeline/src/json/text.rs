//! JSON strings: from their escapes to bytes, and from any bytes into a string.

use wide::u8x16;

/// Bytes that are looked at together.
const CHUNK_BYTES: usize = 16;

/// Which bytes of a chunk are marked, see [`is_marked`]: the first byte is the lowest bit.
#[inline(always)]
fn marks(chunk: [u8; CHUNK_BYTES]) -> u32 {
    let bytes = u8x16::new(chunk);
    let is_control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    let is_quote = bytes.simd_eq(u8x16::splat(b'"'));
    let is_backslash = bytes.simd_eq(u8x16::splat(b'\\'));
    (is_control | is_quote | is_backslash).to_bitmask()
}

/// The first quote, backslash or control character at or behind `at`; else the end of the bytes.
#[inline(always)]
pub(super) fn plain_end(bytes: &[u8], at: usize) -> usize {
    let (chunks, _) = bytes.get(at..).unwrap_or_default().as_chunks();
    let mut at = at;
    for chunk in chunks {
        let marks = marks(*chunk);
        if marks != 0 {
            return at + marks.trailing_zeros() as usize;
        }
        at += CHUNK_BYTES;
    }
    plain_rest_end(bytes, at)
}

/// The same from `at`, where less than a chunk is left.
#[inline(never)]
fn plain_rest_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(last) = bytes.last_chunk() else {
        return at + rest.iter().take_while(|byte| !is_marked(**byte)).count();
    };
    let before = (CHUNK_BYTES - rest.len().min(CHUNK_BYTES)) as u32;
    let marks = marks(*last) >> before;
    at + if marks == 0 { rest.len() } else { marks.trailing_zeros() as usize }
}

#[inline]
fn is_marked(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// The end of the escape whose backslash is at `at`; `None` if it is none.
///
/// Source: RFC 8259 section 7; surrogates must come in pairs.
pub(super) fn escape_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
        b'u' => decode(bytes, at).map(|(_, end)| end),
        _ => None,
    }
}

/// The character of the `\u` escape at `at`, one or a pair of surrogates, and its end.
fn decode(bytes: &[u8], at: usize) -> Option<(char, usize)> {
    let first = hex(bytes, at)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, at + 6));
    }
    let second = hex(bytes, at + 6).filter(|low| (0xdc00..0xe000).contains(low))?;
    let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    Some((char::from_u32(code)?, at + 12))
}

/// The number in `\uXXXX`.
fn hex(bytes: &[u8], at: usize) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = bytes.get(at..at + 6)? else { return None };
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    digits.iter().try_fold(0, |number, byte| Some(number * 16 + digit(byte)?))
}

/// Appends what a string token says to `out`.
///
/// Shape:  `"..."`, with its quotes.
/// Errors: `false` if it is no string token; lone surrogates are none.
pub fn string(raw: &[u8], out: &mut Vec<u8>) -> bool {
    let [b'"', inside @ .., b'"'] = raw else { return false };
    unescape(inside, out)
}

/// Appends what the inside of a string token says to `out`. Errors: `false` if it is none.
pub(super) fn unescape(inside: &[u8], out: &mut Vec<u8>) -> bool {
    let mut at = 0;
    loop {
        let end = plain_end(inside, at);
        out.extend_from_slice(&inside[at..end]);
        if end == inside.len() {
            return true;
        }
        if inside[end] != b'\\' {
            return false;
        }
        let Some(next) = unescape_one(inside, end, out) else { return false };
        at = next;
    }
}

fn unescape_one(inside: &[u8], at: usize, out: &mut Vec<u8>) -> Option<usize> {
    let byte = match inside.get(at + 1)? {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        same @ (b'"' | b'\\' | b'/') => *same,
        b'u' => {
            let (char, end) = decode(inside, at)?;
            out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(end);
        }
        _ => return None,
    };
    out.push(byte);
    Some(at + 2)
}

/// Appends any bytes to `out` as the inside of a JSON string. What is not UTF-8 becomes U+FFFD.
///
/// Units: at most six bytes for one.
/// Cost:  runs without escapes are copied whole.
pub fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.is_ascii() || std::str::from_utf8(bytes).is_ok() {
        return escape_marked(bytes, out);
    }
    for chunk in bytes.utf8_chunks() {
        escape_marked(chunk.valid().as_bytes(), out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn escape_marked(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut at = 0;
    loop {
        let end = plain_end(bytes, at);
        out.extend_from_slice(&bytes[at..end]);
        let Some(&byte) = bytes.get(end) else { return };
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            _ => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
                at = end + 1;
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
        at = end + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_found_at_every_offset() {
        let places = (1..80).flat_map(|length| (0..length).map(move |offset| (length, offset)));
        for ((length, offset), byte) in places.flat_map(|at| (0..=u8::MAX).map(move |b| (at, b))) {
            let mut bytes = vec![b'x'; length];
            bytes[offset] = byte;
            let expected = if is_marked(byte) { offset } else { length };
            assert_eq!(plain_end(&bytes, 0), expected, "{byte} at {offset} of {length}");
            assert_eq!(plain_end(&bytes, offset + 1), length, "behind {offset} of {length}");
        }
    }

    proptest::proptest! {
        #[test]
        fn marks_are_those_of_each_byte(chunk: [u8; CHUNK_BYTES]) {
            let each = chunk.iter().rev().fold(0, |bits, byte| bits << 1 | u32::from(is_marked(*byte)));
            proptest::prop_assert_eq!(marks(chunk), each);
        }
    }
}
