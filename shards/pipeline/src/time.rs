//! The time at which a message is processed, as text; and the time that a message itself has.

use std::io::Write as _;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::message::Message;
use crate::rfc3164::MONTHS;

/// How far ahead of the receipt a message's own time may lie. Clocks go wrong, and local times are
/// sent as if they were UTC; Kafka refuses what is an hour ahead
/// (`log.message.timestamp.after.max.ms`), and each broker has a clock of its own.
const AHEAD_SECONDS_MAX: i64 = 55 * 60;

/// The variable `iso8601`: rendered when the time changes, not for each message.
///
/// It belongs to one shard, in its scratch.
#[derive(Debug, Clone, Default)]
pub struct TimeText {
    rendered: Option<Timestamp>,
    text: Vec<u8>,
}

impl TimeText {
    /// Renders `now`, unless it is what was rendered last: RFC 3339 in microseconds, in UTC.
    ///
    /// Cost:   a comparison, or some 100 ns; no allocation but for the first.
    pub fn refresh(&mut self, now: Timestamp) {
        if self.rendered == Some(now) {
            return;
        }
        self.text.clear();
        // Writing to a vector cannot fail.
        let _ = write!(self.text, "{now:.6}");
        self.rendered = Some(now);
    }

    /// What was rendered; empty before the first time.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

/// The time that a message says it was made at; `now` is when it was received.
///
/// RFC 3339 is taken to the nanosecond, what is finer is cut. Second 60, which RFC 5424 forbids, is
/// taken as 59. `Mmm dd hh:mm:ss` names neither zone nor year: it is taken as UTC, and in the year
/// that brings it nearest to `now`.
///
/// Cost:   some 20 ns; no allocation.
/// Errors: `None` if it has none, it is no date (30 February), it is before 1970, or it is more
///         than 55 minutes after `now`: then the time of receipt is nearer to the truth.
pub fn of_message(message: &Message<'_>, now: Timestamp) -> Option<Timestamp> {
    let text = message.timestamp?;
    let time = match text.first()? {
        b'0'..=b'9' => rfc3339(text)?,
        _ => month_time(text, now)?,
    };
    let ahead = time.as_second().saturating_sub(now.as_second());
    (time >= Timestamp::UNIX_EPOCH && ahead <= AHEAD_SECONDS_MAX).then_some(time)
}

/// `YYYY-MM-DDThh:mm:ss[.f](Z|+hh:mm|-hh:mm)`, whose shape the parser has checked.
fn rfc3339(text: &[u8]) -> Option<Timestamp> {
    let (date_time, mut rest) = text.split_first_chunk::<19>()?;
    let [y1, y2, y3, y4, _, m1, m2, _, d1, d2, _, time @ ..] = date_time;
    let year = i16::from(two(*y1, *y2)?) * 100 + i16::from(two(*y3, *y4)?);
    let mut nanosecond = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut worth = 100_000_000;
        for digit in &fraction[..digits.min(9)] {
            nanosecond += i32::from(digit - b'0') * worth;
            worth /= 10;
        }
        rest = &fraction[digits..];
    }
    let date_time = date_time_of(year, two(*m1, *m2)?, two(*d1, *d2)?, time, nanosecond)?;
    let offset_seconds = match rest {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (two(*h1, *h2)?, two(*m1, *m2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = (i32::from(hours) * 60 + i32::from(minutes)) * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    Offset::from_seconds(offset_seconds).ok()?.to_timestamp(date_time).ok()
}

/// `Mmm dd hh:mm:ss`, whose shape the parser has checked: in UTC, nearest to `now`.
fn month_time(text: &[u8], now: Timestamp) -> Option<Timestamp> {
    let (name, rest) = text.split_first_chunk::<3>()?;
    let month = MONTHS.iter().position(|month| *month == name)? as i8 + 1;
    let (day, time) = match rest {
        [b' ', tens @ (b' ' | b'0'..=b'9'), ones, b' ', time @ ..] => {
            (two(if *tens == b' ' { b'0' } else { *tens }, *ones)?, time)
        }
        [b' ', ones, b' ', time @ ..] => (two(b'0', *ones)?, time),
        _ => return None,
    };
    let time = time.first_chunk::<8>()?;
    let year = Offset::UTC.to_datetime(now).year();
    let candidates = (year.saturating_sub(1)..=year.saturating_add(1)).filter_map(|year| {
        let date_time = date_time_of(year, month, day, time, 0)?;
        Offset::UTC.to_timestamp(date_time).ok()
    });
    candidates.min_by_key(|time| time.as_second().abs_diff(now.as_second()))
}

/// A date, and `hh:mm:ss`; `None`: there is no such date or time.
fn date_time_of(
    year: i16,
    month: i8,
    day: i8,
    time: &[u8; 8],
    nanosecond: i32,
) -> Option<DateTime> {
    let [h1, h2, _, m1, m2, _, s1, s2] = time;
    let second = match two(*s1, *s2)? {
        60 => 59,
        second => second,
    };
    DateTime::new(year, month, day, two(*h1, *h2)?, two(*m1, *m2)?, second, nanosecond).ok()
}

/// Two digits.
fn two(tens: u8, ones: u8) -> Option<i8> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then_some((tens * 10 + ones) as i8)
}
