//! What framing and parsing cost per message, on one core.
//!
//!     cargo run --release -p corndog-pipeline --example cost
//!
//! The best of several rounds, so that a busy machine disturbs least.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::print_stdout,
    reason = "measures time and says so: it is no part of the pipeline"
)]

use corndog_pipeline::framing::Deframer;
use corndog_pipeline::message::Message;
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: u32 = 15;
const MESSAGES: u32 = 200_000;

fn main() {
    let text = "x".repeat(150);
    let plain = format!(
        "<165>1 2026-02-11T22:14:15.003123Z host17.example.net app-name 12345 ID47 - {text}"
    );
    let with_data = format!(
        "<165>1 2026-02-11T22:14:15.003123Z host17.example.net app-name 12345 ID47 \
         [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"] {text}"
    );
    let logger = format!(
        "<13>1 2026-02-11T22:14:15.003123+00:00 host17 user - - \
         [timeQuality tzKnown=\"1\" isSynced=\"1\" syncAccuracy=\"437500\"] {text}"
    );
    let old = format!("<34>Oct 11 22:14:15 host17.example.net sshd[12345]: {text}");
    let cisco = format!("<189>45: *Mar  1 18:46:11.123 UTC: %SYS-5-CONFIG_I: {text}");
    let old_without_time = format!("<34>sshd[12345]: {text}");
    let raw = format!("no pri at all {text}");

    for (name, message) in [
        ("parse RFC 5424, no structured data", &plain),
        ("parse RFC 5424, RFC's structured data", &with_data),
        ("parse RFC 5424, util-linux logger's", &logger),
        ("parse RFC 3164, time, host, tag[pid]", &old),
        ("parse RFC 3164, tag[pid]", &old_without_time),
        ("parse RFC 3164, Cisco IOS", &cisco),
        ("parse raw", &raw),
    ] {
        report(name, message.len(), || {
            for _ in 0..MESSAGES {
                black_box(Message::parse(black_box(message.as_bytes()), b"192.0.2.7"));
            }
        });
    }

    let line = format!("{plain}\n");
    let counted = format!("{} {plain}", plain.len());
    for (name, frame) in [("deframe LF", &line), ("deframe octet counting", &counted)] {
        // As the receiver has it: reads of 64 KiB, a frame cut at each end.
        let input = frame.repeat(65_536 / frame.len() + 2);
        report(name, frame.len(), || deframe(black_box(input.as_bytes()), MESSAGES));
    }
}

/// Takes `count` frames out of `input`, from its start again where it ends.
fn deframe(input: &[u8], count: u32) {
    let mut left = count;
    while left > 0 {
        let mut deframer = Deframer::new(65_536);
        let mut rest = input;
        loop {
            let step = deframer.next(rest);
            rest = &rest[step.consumed..];
            let Some(frame) = step.frame else { break };
            black_box(frame);
            left -= 1;
            if left == 0 {
                return;
            }
        }
    }
}

fn report(name: &str, bytes: usize, mut round: impl FnMut()) {
    let best = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    let ns = best.as_nanos() as f64 / f64::from(MESSAGES);
    println!("{name:40} {bytes:5} bytes {ns:8.1} ns");
}
