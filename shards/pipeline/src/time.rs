//! The time at which a message is processed, as text; and the time that a message itself has.

use std::io::Write as _;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::message::Message;
use crate::rfc3164::stamp::{self, Stamp, Zone, two};

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

/// The time that a message says it was made at; `now` is when it was received, and `zone` where
/// the clocks hang that name no zone (`timezone` of the listener).
///
/// Fractions are taken to the nanosecond, what is finer is cut. Second 60, which RFC 5424 forbids,
/// is taken as 59. A time without a year is taken in the year that brings it nearest to `now`; so is
/// the hour that comes twice in autumn. A zone's name that nobody knows is the listener's zone.
///
/// Cost:   some 20 ns for RFC 3339 and in UTC, some 100 ns in other zones; no allocation.
/// Errors: `None` if it has none, there is no such time (30 February, or the hour that spring leaves
///         out), it is before 1970, or it is more than 55 minutes after `now`: then the time of
///         receipt is nearer to the truth.
pub fn of_message(message: &Message<'_>, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let text = message.timestamp?;
    let time = match rfc3339(text) {
        Some(time) => time,
        None => resolve(&Stamp::whole(text)?, now, zone)?,
    };
    let ahead = time.as_second().saturating_sub(now.as_second());
    (time >= Timestamp::UNIX_EPOCH && ahead <= AHEAD_SECONDS_MAX).then_some(time)
}

/// `YYYY-MM-DDThh:mm:ss[.f](Z|+hh:mm|-hh:mm)`; `None`: it is of another shape, or no time.
fn rfc3339(text: &[u8]) -> Option<Timestamp> {
    let (date_time, mut rest) = text.split_first_chunk::<19>()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', time @ ..] = date_time else {
        return None;
    };
    let year = i16::from(two(*y1, *y2)?) * 100 + i16::from(two(*y3, *y4)?);
    let mut nanosecond = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        nanosecond = stamp::nanosecond(&fraction[..digits]);
        rest = &fraction[digits..];
    }
    let [h1, h2, b':', m3, m4, b':', s1, s2] = time else { return None };
    let clock = [two(*h1, *h2)?, two(*m3, *m4)?, two(*s1, *s2)?];
    let date_time = date_time_of(year, two(*m1, *m2)?, two(*d1, *d2)?, clock, nanosecond)?;
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

/// What a time means, received at `now` by a listener whose zone is `zone`.
fn resolve(stamp: &Stamp<'_>, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let in_year = |year| {
        let date_time = date_time_of(year, stamp.month, stamp.day, stamp.clock, stamp.nanosecond)?;
        match stamp.zone {
            Zone::Unsaid => local(date_time, now, zone, b""),
            Zone::Offset(seconds) => at_offset(date_time, seconds?),
            Zone::Named { name, usual } => named(date_time, now, zone, name, usual),
        }
    };
    if let Some(year) = stamp.year {
        return in_year(year);
    }
    let year = zone.to_datetime(now).year();
    let candidates = (year.saturating_sub(1)..=year.saturating_add(1)).filter_map(in_year);
    candidates.min_by_key(|time| time.as_second().abs_diff(now.as_second()))
}

fn at_offset(date_time: DateTime, seconds: i32) -> Option<Timestamp> {
    Offset::from_seconds(seconds).ok()?.to_timestamp(date_time).ok()
}

/// The listener's zone, where it knows the name; else what the name usually means.
fn named(
    date_time: DateTime,
    now: Timestamp,
    zone: &TimeZone,
    name: &[u8],
    usual: Option<i32>,
) -> Option<Timestamp> {
    let local = local(date_time, now, zone, name);
    let is_local = local.is_some_and(|time| is_called(zone, time, name));
    match usual {
        Some(seconds) if !is_local => at_offset(date_time, seconds),
        _ => local,
    }
}

/// In the listener's zone; of an hour that comes twice the one that is called `name`, else the one
/// nearer to `now`. `None`: the hour was left out.
fn local(date_time: DateTime, now: Timestamp, zone: &TimeZone, name: &[u8]) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(date_time).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(date_time).ok(),
        AmbiguousOffset::Gap { .. } => None,
        AmbiguousOffset::Fold { before, after } => {
            let times = [before, after].map(|offset| offset.to_timestamp(date_time).ok());
            let times = times.into_iter().flatten();
            times.min_by_key(|time| {
                let is_other = !is_called(zone, *time, name);
                (is_other, time.as_second().abs_diff(now.as_second()))
            })
        }
    }
}

fn is_called(zone: &TimeZone, time: Timestamp, name: &[u8]) -> bool {
    zone.to_offset_info(time).abbreviation().as_bytes() == name
}

/// A date, and `hh:mm:ss`; `None`: there is no such date or time.
fn date_time_of(
    year: i16,
    month: i8,
    day: i8,
    clock: [i8; 3],
    nanosecond: i32,
) -> Option<DateTime> {
    let [hour, minute, second] = clock;
    let second = if second == 60 { 59 } else { second };
    DateTime::new(year, month, day, hour, minute, second, nanosecond).ok()
}
