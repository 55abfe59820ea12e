//! Reads an RFC 5424 message behind its PRI.
//!
//! ```text
//! VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP STRUCTURED-DATA [SP MSG]
//! ```
//!
//! It is RFC 5424 when a version, a timestamp (or NILVALUE) of the right shape and the four names
//! are there. The names may be longer than §6 allows, and of any bytes but the space. Where the
//! structured data that must follow is missing or malformed, the message keeps its header, and all
//! behind the header is its MSG: what a sender got wrong there costs no byte and no field.

use crate::message::{Format, Message};

/// Digits of VERSION (§6).
const VERSION_DIGITS_MAX: usize = 3;

/// `YYYY-MM-DDThh:mm:ss`.
const DATE_TIME_BYTES: usize = 19;

/// `+hh:mm`.
const OFFSET_BYTES: usize = 6;

/// Marks UTF-8 in MSG (§6.4).
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Reads the message; `None`: the header is not RFC 5424's.
///
/// `rest` is what follows the PRI in `frame`.
///
/// Cost:   one pass over header and structured data, 8 bytes at a time; no allocation.
/// Source: RFC 5424 §6.
pub(crate) fn parse<'a>(frame: &'a [u8], pri: u8, rest: &'a [u8]) -> Option<Message<'a>> {
    let rest = after_version(rest)?;
    let (timestamp, rest) = timestamp(rest)?;
    let (hostname, rest) = name(rest)?;
    let (app_name, rest) = name(rest)?;
    let (procid, rest) = name(rest)?;
    let (msgid, rest) = name(rest)?;
    let (structured_data, msg) = match rest {
        [b'-'] => (None, &rest[1..]),
        [b'-', b' ', msg @ ..] => (None, msg),
        [b'[', ..] => match sd_elements_bytes(rest) {
            Some(bytes) => {
                let (sd_elements, msg) = rest.split_at(bytes);
                (Some(sd_elements), msg.strip_prefix(b" ").unwrap_or(msg))
            }
            None => (None, rest),
        },
        _ => (None, rest),
    };
    Some(Message {
        frame,
        format: Format::Rfc5424,
        pri,
        timestamp,
        hostname,
        app_name,
        procid,
        msgid,
        structured_data,
        msg: msg.strip_prefix(BOM).unwrap_or(msg),
    })
}

/// What follows `VERSION SP`. There is only version 1 as yet; a later one shows in its header.
fn after_version(rest: &[u8]) -> Option<&[u8]> {
    if let [b'1', b' ', rest @ ..] = rest {
        return Some(rest);
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits > VERSION_DIGITS_MAX || rest.first() == Some(&b'0') {
        return None;
    }
    if digits > 0 { rest[digits..].strip_prefix(b" ") } else { None }
}

/// TIMESTAMP and what follows its SP.
#[inline]
fn timestamp(rest: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    if let [b'-', b' ', rest @ ..] = rest {
        return Some((None, rest));
    }
    let (timestamp, rest) = rest.split_at(rfc3339_bytes(rest)?);
    Some((Some(timestamp), rest.strip_prefix(b" ")?))
}

/// One of the four names, and what follows its SP; `None`: it is empty, or nothing follows.
#[inline]
fn name(rest: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let end = find_space(rest)?;
    let (name, rest) = (&rest[..end], &rest[end + 1..]);
    match name {
        [] => None,
        [b'-'] => Some((None, rest)),
        _ => Some((Some(name), rest)),
    }
}

/// How many bytes of `rest` have the shape of an RFC 3339 time; `None`: it does not start with one.
///
/// Shape:  `YYYY-MM-DDThh:mm:ss[.f](Z|+hh:mm|-hh:mm)`, any count of digits in the fraction. The
///         shape only: month 13 passes.
/// Source: RFC 5424 §6.2.3 (`T` and `Z` in upper case).
#[inline]
pub(crate) fn rfc3339_bytes(rest: &[u8]) -> Option<usize> {
    let date_time = rest.first_chunk::<DATE_TIME_BYTES>()?;
    // In three overlapping words, the last from byte 11 on.
    let has_shape = has_shape(word(date_time, 0), b"0000-00-")
        && has_shape(word(date_time, 8), b"00T00:00")
        && has_shape(word(date_time, 11), b"00:00:00");
    if !has_shape {
        return None;
    }
    let mut end = DATE_TIME_BYTES;
    if rest.get(end) == Some(&b'.') {
        let digits = digits(&rest[end + 1..]);
        if digits == 0 {
            return None;
        }
        end += 1 + digits;
    }
    match rest.get(end)? {
        b'Z' => Some(end + 1),
        b'+' | b'-' => {
            let [_, hour @ .., b':', minute_tens, minute_ones] =
                rest.get(end..end + OFFSET_BYTES)?
            else {
                return None;
            };
            let is_offset = hour.iter().chain([minute_tens, minute_ones]).all(u8::is_ascii_digit);
            is_offset.then_some(end + OFFSET_BYTES)
        }
        _ => None,
    }
}

/// True where `word` has a digit wherever `shape` has a `0`, and is `shape` elsewhere.
///
/// XOR with the shape leaves 0 to 9 for a digit and 0 for an equal byte. Adding 6 (or 15) then
/// carries into a byte's upper half if it was more; what carries on into the next byte had an upper
/// half already, and fails by that.
#[inline]
fn has_shape(word: u64, shape: &[u8; 8]) -> bool {
    let mut slack = [0x0F; 8];
    for (slack, shape) in slack.iter_mut().zip(shape) {
        if *shape == b'0' {
            *slack = 0x06;
        }
    }
    let difference = word ^ u64::from_le_bytes(*shape);
    let carried = difference.wrapping_add(u64::from_le_bytes(slack));
    (difference | carried) & repeated(0xF0) == 0
}

/// How many digits `bytes` start with.
#[inline]
fn digits(bytes: &[u8]) -> usize {
    // What is no digit is marked, and where 15 or 6 carried into the next byte it lies behind one.
    let marks = |word: u64| {
        let difference = word ^ repeated(b'0');
        (difference | difference.wrapping_add(repeated(0x06))) & repeated(0xF0)
    };
    find(bytes, marks, |byte| !byte.is_ascii_digit()).unwrap_or(bytes.len())
}

/// Eight bytes from `at` on, the first in the lowest place.
#[inline]
fn word(bytes: &[u8; DATE_TIME_BYTES], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// How many bytes the SD-ELEMENTs at the start of `rest` take; `None`: they are malformed.
///
/// Outside quotes an element ends at its `]`; inside, a backslash takes the next byte with it
/// (§6.3.3: it escapes `"`, `\` and `]`, and before any other byte it stands for itself, which is
/// no end either). An unescaped `]` in a value is wrong, and can only belong to the value.
#[inline]
fn sd_elements_bytes(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    while rest.get(at) == Some(&b'[') {
        // An SD-ID must come first (§6.3.5, the example with a space there is invalid).
        if matches!(rest.get(at + 1)?, b' ' | b'=' | b']' | b'"') {
            return None;
        }
        at += 2;
        loop {
            at += find_either(&rest[at..], b'"', b']')? + 1;
            if rest[at - 1] == b']' {
                break;
            }
            at = sd_value_end(rest, at)?;
        }
    }
    Some(at)
}

/// Where the value ends that starts at `at`: behind its closing quote.
#[inline]
fn sd_value_end(rest: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += find_either(rest.get(at..)?, b'"', b'\\')? + 1;
        if rest[at - 1] == b'"' {
            return Some(at);
        }
        at += 1;
    }
}

/// `byte` in each of a word's 8 places.
const fn repeated(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The high bit of each byte of `word` that is 0; the lowest such bit is exact, and is all we use.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(repeated(0x01)) & !word & repeated(0x80)
}

/// Where the first space stands.
///
/// By words, not by memchr: names are some 8 bytes long, and its call costs more than the search.
#[inline]
pub(crate) fn find_space(bytes: &[u8]) -> Option<usize> {
    find(bytes, |word| zeros(word ^ repeated(b' ')), |byte| byte == b' ')
}

/// Where the first of two bytes stands.
#[inline]
fn find_either(bytes: &[u8], one: u8, other: u8) -> Option<usize> {
    let marks = |word| zeros(word ^ repeated(one)) | zeros(word ^ repeated(other));
    find(bytes, marks, |byte| byte == one || byte == other)
}

/// Where the first byte stands that is sought: by words, the last few bytes one by one.
#[inline]
fn find(bytes: &[u8], marks: impl Fn(u64) -> u64, is_sought: impl Fn(u8) -> bool) -> Option<usize> {
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(bytes.len() - rest.len() + marks.trailing_zeros() as usize / 8);
        }
        rest = after;
    }
    let found = rest.iter().position(|byte| is_sought(*byte))?;
    Some(bytes.len() - rest.len() + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_2_3_the_examples_of_timestamps_are_recognised() {
        for valid in [
            "1985-04-12T23:20:50.52Z",
            "1985-04-12T19:20:50.52-04:00",
            "2003-10-11T22:14:15.003Z",
            "2003-08-24T05:14:15.000003-07:00",
            "2003-10-11T22:14:15Z",
            "2003-10-11T22:14:15.123456789+05:30",
        ] {
            assert_eq!(rfc3339_bytes(valid.as_bytes()), Some(valid.len()), "{valid}");
        }
        for invalid in [
            "2003-10-11T22:14:15",
            "2003-10-11T22:14:15.",
            "2003-10-11T22:14:15.Z",
            "2003-10-11T22:14:15+0200",
            "2003-10-11T22:14:15+02:0",
            "2003-10-11t22:14:15Z",
            "2003-10-11 22:14:15Z",
            "2003-10-11T22:14:15z",
            "",
        ] {
            assert_eq!(rfc3339_bytes(invalid.as_bytes()), None, "{invalid}");
        }
    }

    #[test]
    fn a_shape_is_a_shape_for_every_byte_in_every_place() {
        let plain = |byte: u8, shape: u8| match shape {
            b'0' => byte.is_ascii_digit(),
            _ => byte == shape,
        };
        for shape in [b"0000-00-", b"00T00:00", b"00:00:00"] {
            for place in 0..8 {
                for byte in 0..=255 {
                    for other in [0x00, b'7', 0x3A, 0xFF] {
                        let mut bytes = shape.map(|s| if s == b'0' { b'9' } else { s });
                        bytes[place] = byte;
                        bytes[(place + 1) % 8] = other;
                        let expected = bytes.iter().zip(shape).all(|(b, s)| plain(*b, *s));
                        assert_eq!(has_shape(u64::from_le_bytes(bytes), shape), expected);
                    }
                }
            }
        }
    }

    #[test]
    fn finding_by_words_agrees_with_finding_by_bytes() {
        for length in 0..40 {
            for place in 0..=length {
                for filler in [b'a', 0x21, 0xA0, 0x1F, 0x00, 0xFF] {
                    let mut bytes = vec![filler; length];
                    if place < length {
                        bytes[place] = b' ';
                    }
                    let plain = bytes.iter().position(|byte| *byte == b' ');
                    assert_eq!(find_space(&bytes), plain);
                    assert_eq!(find_either(&bytes, b'"', b' '), plain);
                    assert_eq!(find_either(&bytes, b' ', b']'), plain);
                }
            }
        }
    }
}
