//! Any bytes are a message: no panic, fields that lie in the frame, a cost that grows as its bytes.

#![no_main]

use corndog_pipeline::message::{Format, Message};
use libfuzzer_sys::fuzz_target;
use std::time::{Duration, Instant};

const PEER: &[u8] = b"192.0.2.7";

/// The input's second half is repeated until the frame has so many bytes.
const LONG_BYTES: usize = 256 << 10;

/// Parsing 256 KiB takes some 50 us, 100 times that with sanitizers on a busy machine. A quadratic
/// parser takes minutes.
const LONG_TIME_MAX: Duration = Duration::from_secs(2);

fuzz_target!(|frame: &[u8]| {
    check(frame);

    // Only now and then, for it costs more than all else here.
    if frame.len() < 2 || frame.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) % 16 != 0 {
        return;
    }
    let (head, unit) = frame.split_at(frame.len() / 2);
    let long = [head, &unit.repeat(LONG_BYTES / unit.len())].concat();
    let start = Instant::now();
    check(&long);
    assert!(start.elapsed() < LONG_TIME_MAX, "cost is not linear");
});

fn check(frame: &[u8]) {
    let message = Message::parse(frame, PEER);
    assert!(message.pri <= 191);
    assert!(!message.facility().is_empty() && !message.severity().is_empty());
    assert!(frame.ends_with(message.msg));
    match message.format {
        Format::Raw => assert_eq!((message.msg, message.pri), (frame, 13)),
        Format::Rfc3164 => assert!(message.hostname.is_some() && message.msgid.is_none()),
        Format::Rfc5424 => assert_ne!(message.hostname, Some(&b"-"[..])),
    }
    let bounds = frame.as_ptr_range();
    let hostname = message.hostname.filter(|host| host.as_ptr() != PEER.as_ptr());
    // Cisco's devices name themselves before the time, all others behind it.
    let is_named_first = matches!(
        (hostname, message.timestamp),
        (Some(host), Some(time)) if host.as_ptr() < time.as_ptr()
    );
    let (first, second) =
        if is_named_first { (hostname, message.timestamp) } else { (message.timestamp, hostname) };
    // In the frame's order, and none reaches into the next.
    let fields = [
        first,
        second,
        message.app_name,
        message.procid,
        message.msgid,
        message.structured_data,
        Some(message.msg),
    ];
    let mut from = bounds.start;
    for field in fields.into_iter().flatten() {
        let range = field.as_ptr_range();
        assert!(from <= range.start && range.end <= bounds.end);
        from = range.end;
    }
}
