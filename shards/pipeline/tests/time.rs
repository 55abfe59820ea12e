//! A message's own time: RFC 3339 as jiff reads it, and RFC 3164 around New Year.

use corndog_pipeline::message::Message;
use corndog_pipeline::time::{TimeText, of_message};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

fn time(text: &str) -> Timestamp {
    text.parse().expect(text)
}

/// The time of a message that says `text`, received at `now`.
fn of(text: &str, now: &str) -> Option<Timestamp> {
    let frame = match text.starts_with(|first: char| first.is_ascii_digit()) {
        true => format!("<13>1 {text} - - - - - x"),
        false => format!("<13>{text} host app: x"),
    };
    let message = Message::parse(frame.as_bytes(), b"peer");
    assert_eq!(message.timestamp, Some(text.as_bytes()), "{text}");
    of_message(&message, time(now), &TimeZone::UTC)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn rfc3339_is_read_as_jiff_reads_it(
        year in 1960..2100_i16, month in 0..14_i8, day in 0..33_i8,
        hour in 0..25_i8, minute in 0..61_i8, second in 0..62_i8,
        fraction in "(\\.[0-9]{1,9})?", offset in "Z|[+-](0[0-9]|1[0-9]|2[0-3]):[0-6][0-9]",
    ) {
        let text = format!(
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{offset}"
        );
        let expected = text.parse::<Timestamp>().ok();
        let expected = expected.filter(|time| *time >= Timestamp::UNIX_EPOCH);
        prop_assert_eq!(of(&text, "2200-01-01T00:00:00Z"), expected, "{}", text);
    }

    #[test]
    fn rfc3164_is_never_further_than_half_a_year(
        now in 0..4_000_000_000_i64, before in -3300..15_700_000_i64, is_short in any::<bool>(),
    ) {
        let now = Timestamp::from_second(now).expect("in range");
        let sent = Timestamp::from_second(now.as_second() - before).expect("in range");
        let day = if is_short { "%-d" } else { "%e" };
        let text = sent.strftime(&format!("%b {day} %H:%M:%S")).to_string();
        let expected = (sent >= Timestamp::UNIX_EPOCH).then_some(sent);
        prop_assert_eq!(of(&text, &now.to_string()), expected, "{}", text);
    }
}

#[test]
fn a_year_is_the_nearest_both_ways_at_new_year() {
    for (text, now, expected) in [
        ("Dec 31 23:59:59", "2026-01-01T00:00:01Z", "2025-12-31T23:59:59Z"),
        ("Jan  1 00:00:01", "2025-12-31T23:59:59Z", "2026-01-01T00:00:01Z"),
        ("Jan 01 00:00:01", "2026-12-31T23:59:59Z", "2027-01-01T00:00:01Z"),
        ("Feb 29 12:00:00", "2024-03-01T00:00:00Z", "2024-02-29T12:00:00Z"),
        ("Feb 29 12:00:00", "2025-01-01T00:00:00Z", "2024-02-29T12:00:00Z"),
        ("Mar 1 12:00:00", "2025-03-01T12:00:00Z", "2025-03-01T12:00:00Z"),
    ] {
        assert_eq!(of(text, now), Some(time(expected)), "{text} at {now}");
    }
}

#[test]
fn what_is_no_date_or_absurd_has_no_time() {
    for text in [
        "2025-02-30T00:00:00Z",
        "2025-13-01T00:00:00Z",
        "2025-00-01T00:00:00Z",
        "2025-01-01T24:00:00Z",
        "2025-01-01T00:00:61Z",
        "2025-01-01T00:00:00+24:00",
        "2025-01-01T00:00:00-00:60",
        "1969-12-31T23:59:59.999999999Z",
        "1970-01-01T00:00:00+00:01",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2026-06-01T00:55:01Z",
        "Feb 30 00:00:00",
        "Feb 29 00:00:00",
        "Jun 31 00:00:00",
        "Jan 00 00:00:00",
        "Jan  1 24:00:00",
        "Nov 30 00:00:00",
    ] {
        assert_eq!(of(text, "2026-06-01T00:00:00Z"), None, "{text}");
    }
    let without = Message::parse(b"<13>1 - - - - - - x", b"peer");
    assert_eq!(of_message(&without, Timestamp::UNIX_EPOCH, &TimeZone::UTC), None);
}

#[test]
fn what_is_finer_than_a_nanosecond_is_cut_and_second_60_is_59() {
    let now = "2025-06-01T00:00:00Z";
    for (text, expected) in [
        ("2025-01-01T00:00:00.1234567899999Z", "2025-01-01T00:00:00.123456789Z"),
        ("2025-01-01T00:00:00.000000000Z", "2025-01-01T00:00:00Z"),
        ("2024-12-31T23:59:60Z", "2024-12-31T23:59:59Z"),
        ("2024-12-31T23:59:60.5Z", "2024-12-31T23:59:59.5Z"),
        ("Dec 31 23:59:60", "2024-12-31T23:59:59Z"),
        ("2025-06-01T00:55:00Z", "2025-06-01T00:55:00Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
    ] {
        assert_eq!(of(text, now), Some(time(expected)), "{text}");
    }
}

#[test]
fn the_time_is_rendered_when_it_changes() {
    let mut text = TimeText::default();
    assert_eq!(text.text(), b"");
    let now = time("2025-06-01T00:00:00.1234567Z");
    text.refresh(now);
    assert_eq!(text.text(), b"2025-06-01T00:00:00.123456Z");
    let counted = allocation_counter::measure(|| {
        text.refresh(now);
        text.refresh(Timestamp::UNIX_EPOCH);
    });
    assert_eq!(text.text(), b"1970-01-01T00:00:00.000000Z");
    assert_eq!(counted.count_total, 0);
}
