//! JSON strings: from their escapes to bytes, and from any bytes into a string.

/// The words below look at eight bytes at once.
const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH_BITS: u64 = ONES << 7;

/// Long runs are looked at in blocks that the compiler makes SIMD of.
const BLOCK_BYTES: usize = 32;

/// The high bit of each byte that is a quote, a backslash or a control character.
///
/// Shape: exact for the lowest such byte; higher bytes may be marked without reason.
#[inline]
fn marks(word: u64) -> u64 {
    let is_below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    // A quote takes the place of the space, behind the control characters, which change among themselves.
    let quote_or_control = is_below(word ^ (ONES * u64::from(b'"' ^ b' ')), b' ' + 1);
    let backslash = is_below(word ^ (ONES * u64::from(b'\\')), 1);
    (quote_or_control | backslash) & HIGH_BITS
}

/// The first quote, backslash or control character at or behind `at`; else the end of the bytes.
///
/// `seen` takes in the bits of bytes up to there, and perhaps of some behind.
#[inline(always)]
pub(super) fn plain_end(bytes: &[u8], mut at: usize, seen: &mut u64) -> usize {
    let first = at;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        *seen |= word;
        let marks = marks(word);
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
        if at - first == BLOCK_BYTES {
            let (end, bits) = plain_blocks_end(bytes, at);
            at = end;
            *seen |= bits;
        }
    }
    for &byte in bytes.get(at..).unwrap_or_default() {
        *seen |= u64::from(byte);
        if is_marked(byte) {
            break;
        }
        at += 1;
    }
    at
}

/// Skips whole blocks without a marked byte; where it stops, and the bits of what it skipped.
#[inline(never)]
fn plain_blocks_end(bytes: &[u8], mut at: usize) -> (usize, u64) {
    let mut seen = 0;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK_BYTES>) {
        let (marked, bits) = block
            .iter()
            .fold((false, 0), |(marked, bits), &byte| (marked | is_marked(byte), bits | byte));
        if marked {
            break;
        }
        seen |= u64::from(bits);
        at += BLOCK_BYTES;
    }
    (at, seen)
}

#[inline]
fn is_marked(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// True if a byte above ASCII is among those seen.
pub(super) fn has_high(seen: u64) -> bool {
    seen & HIGH_BITS != 0
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
        let end = plain_end(inside, at, &mut 0);
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
    let mut seen = 0;
    let start = out.len();
    escape_marked(bytes, &mut seen, out);
    if !has_high(seen) || std::str::from_utf8(bytes).is_ok() {
        return;
    }
    out.truncate(start);
    for chunk in bytes.utf8_chunks() {
        escape_marked(chunk.valid().as_bytes(), &mut 0, out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn escape_marked(bytes: &[u8], seen: &mut u64, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut at = 0;
    loop {
        let end = plain_end(bytes, at, seen);
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
    fn every_byte_is_marked_at_every_offset() {
        for byte in 0..=u8::MAX {
            for offset in 0..80 {
                let mut bytes = [b'x'; 80];
                bytes[offset] = byte;
                let expected = if is_marked(byte) { offset } else { 80 };
                let mut seen = 0;
                assert_eq!(plain_end(&bytes, 0, &mut seen), expected, "{byte} at {offset}");
                assert_eq!(has_high(seen), byte >= 0x80, "{byte} at {offset}");
            }
        }
    }
}
