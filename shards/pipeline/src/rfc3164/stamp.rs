//! The times that senders write: where one ends, and what it says.
//!
//! ```text
//! Mmm dd [yyyy] clock [yyyy] [zone]      RFC 3164 §4.1.2; Cisco, Juniper, H3C
//! yyyy Mmm dd clock [zone]               RFC 3164 §5.4 example 4; Cisco NX-OS
//! yyyy-mm-dd(T| )clock [zone]            ISO 8601, with `/` too; Huawei, log libraries
//! clock = hh:mm:ss[(.|,)digits]
//! zone  = Z | (+|-)hh[[:]mm] | name | name(+|-)h[h[[:]mm]]
//! ```
//!
//! The shape only: what is no date (30 February) is found out by who asks what time it is.

use super::MONTHS;

/// A time as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp<'a> {
    /// Often left out.
    pub(crate) year: Option<i16>,
    /// January is 1; `0..=99`, like all below.
    pub(crate) month: i8,
    /// Of the month.
    pub(crate) day: i8,
    /// `hh:mm:ss`.
    pub(crate) clock: [i8; 3],
    /// What is finer is cut.
    pub(crate) nanosecond: i32,
    /// Where the clock hangs.
    pub(crate) zone: Zone<'a>,
}

/// What is said of the time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone<'a> {
    /// Nothing.
    Unsaid,
    /// Seconds to the east; `None`: there is no such offset (`+24:00`).
    Offset(Option<i32>),
    /// A name, and what it means where nobody there means something else by it.
    Named { name: &'a [u8], usual: Option<i32> },
}

/// What four digits behind a time may be; others are rather a host.
const YEARS: std::ops::RangeInclusive<i16> = 1900..=2299;

/// Seconds of an hour.
const HOUR: i32 = 3600;

/// Bytes of a zone's name, which has two at least.
pub(super) const ZONE_NAME_BYTES_MAX: usize = 5;

/// Names that are always this zone's, whatever follows.
const UNIVERSAL: [&[u8]; 2] = [b"UTC", b"GMT"];

/// What names mean, in half hours to the east. Those of America are RFC 822's (§5.1). Left out are
/// those that mean two things (IST, AST): they are the listener's own zone.
const ZONES: [(&[u8], i32); 36] = [
    (b"UTC", 0),
    (b"GMT", 0),
    (b"UT", 0),
    (b"EST", -10),
    (b"EDT", -8),
    (b"CST", -12),
    (b"CDT", -10),
    (b"MST", -14),
    (b"MDT", -12),
    (b"PST", -16),
    (b"PDT", -14),
    (b"AKST", -18),
    (b"AKDT", -16),
    (b"HST", -20),
    (b"WET", 0),
    (b"WEST", 2),
    (b"BST", 2),
    (b"CET", 2),
    (b"MET", 2),
    (b"CEST", 4),
    (b"MEST", 4),
    (b"EET", 4),
    (b"SAST", 4),
    (b"EEST", 6),
    (b"MSK", 6),
    (b"HKT", 16),
    (b"SGT", 16),
    (b"AWST", 16),
    (b"JST", 18),
    (b"KST", 18),
    (b"ACST", 19),
    (b"AEST", 20),
    (b"ACDT", 21),
    (b"AEDT", 22),
    (b"NZST", 24),
    (b"NZDT", 26),
];

impl<'a> Stamp<'a> {
    /// The time that `rest` starts with, and what follows it.
    ///
    /// A zone's name belongs to it where it is UTC's, or where a colon or a year follows: any other
    /// word may be the host.
    pub(crate) fn read(rest: &'a [u8]) -> Option<(Stamp<'a>, &'a [u8])> {
        let (stamp, rest) = match rest.first()? {
            b'0'..=b'9' => year_first(rest)?,
            _ => month_first(rest)?,
        };
        Some(match zone(rest) {
            Some((zone, after)) => {
                // RFC 3164 §5.4 example 3: CST 1987.
                let late = if stamp.year.is_none() { spaced_year(after) } else { None };
                let (year, after) = late.map_or((stamp.year, after), |(y, after)| (Some(y), after));
                (Stamp { year, zone, ..stamp }, after)
            }
            None => (stamp, rest),
        })
    }

    /// The time that `text` is; a word at its end is its zone.
    pub(crate) fn whole(text: &'a [u8]) -> Option<Stamp<'a>> {
        match Stamp::read(text)? {
            (stamp, []) => Some(stamp),
            (stamp, [b' ', name @ ..]) if stamp.zone == Zone::Unsaid && is_zone_name(name) => {
                Some(Stamp { zone: named(name), ..stamp })
            }
            _ => None,
        }
    }
}

/// True for a name of the table.
pub(crate) fn is_known_zone(name: &[u8]) -> bool {
    ZONES.iter().any(|(known, _)| *known == name)
}

/// `Mmm dd [yyyy] clock [yyyy]`, without zone.
fn month_first(rest: &[u8]) -> Option<(Stamp<'_>, &[u8])> {
    let (month, day, rest) = month_day(rest)?;
    let (early, rest) = match year(rest) {
        Some((year, [b' ', rest @ ..])) => (Some(year), rest),
        _ => (None, rest),
    };
    let (clock, nanosecond, rest) = clock(rest)?;
    let late = if early.is_none() { spaced_year(rest) } else { None };
    let (year, rest) = late.map_or((early, rest), |(year, rest)| (Some(year), rest));
    let stamp = Stamp { year, month, day, clock, nanosecond, zone: Zone::Unsaid };
    Some((stamp, rest))
}

/// `yyyy Mmm dd clock` or `yyyy-mm-dd(T| )clock`, without zone.
fn year_first(rest: &[u8]) -> Option<(Stamp<'_>, &[u8])> {
    // Any: what follows says that it is one.
    let (year, rest) = four_digits(rest)?;
    let (month, day, rest) = match rest {
        [b' ', rest @ ..] => month_day(rest)?,
        [one @ (b'-' | b'/'), m1, m2, other, d1, d2, b'T' | b' ', rest @ ..] if one == other => {
            (two(*m1, *m2)?, two(*d1, *d2)?, rest)
        }
        _ => return None,
    };
    let (clock, nanosecond, rest) = clock(rest)?;
    let stamp = Stamp { year: Some(year), month, day, clock, nanosecond, zone: Zone::Unsaid };
    Some((stamp, rest))
}

/// `Mmm dd `: the day has two places, filled by a space (§4.1.2) or a zero, or one.
fn month_day(rest: &[u8]) -> Option<(i8, i8, &[u8])> {
    let (name, rest) = rest.split_first_chunk::<3>()?;
    let month = MONTHS.iter().position(|month| *month == name)? as i8 + 1;
    match rest {
        [b' ', b' ', ones, b' ', rest @ ..] | [b' ', ones, b' ', rest @ ..] => {
            Some((month, two(b'0', *ones)?, rest))
        }
        [b' ', tens, ones, b' ', rest @ ..] => Some((month, two(*tens, *ones)?, rest)),
        _ => None,
    }
}

/// ` yyyy`, where a space, a colon or the end follows.
fn spaced_year(rest: &[u8]) -> Option<(i16, &[u8])> {
    let (year, rest) = year(rest.strip_prefix(b" ")?)?;
    matches!(rest, [] | [b' ', ..] | [b':'] | [b':', b' ', ..]).then_some((year, rest))
}

/// Four digits that may be a year where nothing else says so.
fn year(rest: &[u8]) -> Option<(i16, &[u8])> {
    four_digits(rest).filter(|(year, _)| YEARS.contains(year))
}

fn four_digits(rest: &[u8]) -> Option<(i16, &[u8])> {
    let ([y1, y2, y3, y4], rest) = rest.split_first_chunk::<4>()?;
    Some((i16::from(two(*y1, *y2)?) * 100 + i16::from(two(*y3, *y4)?), rest))
}

/// `hh:mm:ss[(.|,)digits]` with its nanoseconds.
fn clock(rest: &[u8]) -> Option<([i8; 3], i32, &[u8])> {
    let ([h1, h2, b':', m1, m2, b':', s1, s2], rest) = rest.split_first_chunk::<8>()? else {
        return None;
    };
    let clock = [two(*h1, *h2)?, two(*m1, *m2)?, two(*s1, *s2)?];
    let [b'.' | b',', digits @ ..] = rest else { return Some((clock, 0, rest)) };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return Some((clock, 0, rest));
    }
    Some((clock, nanosecond(&digits[..count]), &digits[count..]))
}

/// What the digits behind a decimal point are worth; beyond the ninth they are cut.
pub(crate) fn nanosecond(digits: &[u8]) -> i32 {
    let mut worth = 100_000_000;
    let mut sum = 0;
    for digit in digits.iter().take(9) {
        sum += i32::from(digit.wrapping_sub(b'0')) * worth;
        worth /= 10;
    }
    sum
}

/// The zone behind a clock, with or without a space before it.
fn zone(rest: &[u8]) -> Option<(Zone<'_>, &[u8])> {
    let near = rest.strip_prefix(b" ").unwrap_or(rest);
    let is_spaced = near.len() < rest.len();
    match near {
        [b'Z', after @ ..] if !is_spaced && ends(after) => Some((Zone::Offset(Some(0)), after)),
        [b'+' | b'-', ..] => {
            let (seconds, after) = offset(near)?;
            Some((Zone::Offset(seconds), after))
        }
        _ if !is_spaced => None,
        _ => {
            let bytes = near.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
            let (name, after) = near.split_at(bytes);
            match after {
                // TZ-6, UTC+2, GMT+01:00: as people mean it, east is plus.
                [b'+' | b'-', ..] if name == b"TZ" || is_universal(name) => {
                    let (seconds, after) = offset(after)?;
                    Some((Zone::Offset(seconds), after))
                }
                [] | [b' ', ..] if is_universal(name) => Some((named(name), after)),
                [b':'] | [b':', b' ', ..] if is_zone_name(name) => Some((named(name), after)),
                [b' ', ..] if is_zone_name(name) && spaced_year(after).is_some() => {
                    Some((named(name), after))
                }
                _ => None,
            }
        }
    }
}

/// `(+|-)h[h[[:]mm]]` in seconds; within, `None`: there is no such offset.
fn offset(rest: &[u8]) -> Option<(Option<i32>, &[u8])> {
    let (sign, digits) = rest.split_first()?;
    let (hours, minutes, after) = match digits {
        [h1, h2, b':', m1, m2, after @ ..] if is_digits(&[*h1, *h2, *m1, *m2]) => {
            (two(*h1, *h2)?, two(*m1, *m2)?, after)
        }
        [h1, h2, m1, m2, after @ ..] if is_digits(&[*h1, *h2, *m1, *m2]) => {
            (two(*h1, *h2)?, two(*m1, *m2)?, after)
        }
        [h1, h2, after @ ..] if is_digits(&[*h1, *h2]) => (two(*h1, *h2)?, 0, after),
        [h1, after @ ..] if is_digits(&[*h1]) => (two(b'0', *h1)?, 0, after),
        _ => return None,
    };
    let seconds = i32::from(hours) * HOUR + i32::from(minutes) * 60;
    let seconds = if *sign == b'-' { -seconds } else { seconds };
    let is_offset = hours <= 23 && minutes <= 59;
    ends(after).then_some((is_offset.then_some(seconds), after))
}

/// True where a zone may end.
fn ends(after: &[u8]) -> bool {
    matches!(after, [] | [b' ', ..] | [b':'] | [b':', b' ', ..])
}

fn is_digits(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_digit)
}

fn is_universal(name: &[u8]) -> bool {
    UNIVERSAL.contains(&name)
}

fn is_zone_name(name: &[u8]) -> bool {
    (2..=ZONE_NAME_BYTES_MAX).contains(&name.len()) && name.iter().all(u8::is_ascii_uppercase)
}

fn named(name: &[u8]) -> Zone<'_> {
    let known = ZONES.iter().find(|(known, _)| *known == name);
    Zone::Named { name, usual: known.map(|(_, half_hours)| half_hours * HOUR / 2) }
}

/// Two digits.
pub(crate) fn two(tens: u8, ones: u8) -> Option<i8> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| (tens * 10 + ones) as i8)
}
