//! RFC 3164: fields lie in the frame in their order; a time is the same before a colon.
//!
//! Input: `[zone | frame]`.

#![no_main]

use corndog_pipeline::message::{Dialect, Format, Message};
use corndog_pipeline::time::of_message;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use libfuzzer_sys::fuzz_target;

const PEER: &[u8] = b"192.0.2.7";

const ZONES: [&str; 4] = [
    "UTC0",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "EST5EDT,M3.2.0,M11.1.0",
    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
];

thread_local! {
    static ZONE: [TimeZone; 4] = ZONES.map(|zone| TimeZone::posix(zone).expect("as POSIX has it"));
}

fuzz_target!(|input: &[u8]| {
    let [zone, frame @ ..] = input else { return };
    let message = Message::parse_as(Dialect::Rfc3164, frame, PEER);
    assert!(frame.ends_with(message.msg));
    assert!(message.msgid.is_none() && message.structured_data.is_none());
    if message.format == Format::Raw {
        assert_eq!((message.msg, message.pri), (frame, 13));
    }
    let hostname = message.hostname.filter(|host| host.as_ptr() != PEER.as_ptr());
    let bounds = frame.as_ptr_range();
    for field in [message.timestamp, hostname, message.app_name, message.procid] {
        let Some(field) = field else { continue };
        let range = field.as_ptr_range();
        assert!(bounds.start <= range.start && range.end <= bounds.end && !field.is_empty());
    }
    assert!(message.app_name.is_none_or(|name| name.len() <= 48));

    let Some(written) = message.timestamp else { return };
    let again = [b"<13>", written, b": text"].concat();
    let again = Message::parse_as(Dialect::Rfc3164, &again, PEER);
    assert_eq!((again.timestamp, again.msg), (Some(written), &b"text"[..]));

    let now = Timestamp::from_second(1_772_452_800).expect("2026-03-02");
    let zone = usize::from(*zone) % ZONES.len();
    let time = ZONE.with(|zones| of_message(&message, now, &zones[zone]));
    if let Some(time) = time {
        assert!(time >= Timestamp::UNIX_EPOCH);
        assert!(time.duration_since(now) <= SignedDuration::from_mins(56));
    }
});
