//! What templates, `format = "json"` and times cost per message, on one core.
//!
//!     cargo run --release -p corndog-pipeline --example templates
//!
//! The best of several rounds, so that a busy machine disturbs least.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::print_stdout,
    reason = "measures time and says so: it is no part of the pipeline"
)]

use corndog_pipeline::message::Message;
use corndog_pipeline::payload;
use corndog_pipeline::structured_data::{SdNames, SdValues};
use corndog_pipeline::template::{Context, Groups, Scope, Sd, Template, Variables};
use corndog_pipeline::time::{self, TimeText};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: u32 = 15;
const OUT_BYTES_MAX: usize = 256 * 1024;
const DATA: &str = "[exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"]";

fn main() {
    let text = "x".repeat(150);
    let head = "<165>1 2026-02-11T22:14:15.003123Z host17.example.net app-name 12345 ID47";
    let plain = format!("{head} - {text}");
    let with_data = format!("{head} {DATA} {text}");
    let old = format!("<34>Feb 11 22:14:15 host17.example.net sshd[12345]: {text}");

    for (name, template) in [
        ("one variable", "logs-{{appname}}"),
        ("three variables", "{{hostname}}-{{user}}-{{iso8601}}"),
        ("sd.ID.PARAM", "{{sd.exampleSDID@32473.eventID}}"),
        ("comparison (handlebars)", "{{eq appname \"x\"}}"),
        ("if and two variables (handlebars)", "{{#if procid}}{{appname}}[{{procid}}]{{/if}}"),
    ] {
        rendering(name, template, &with_data);
    }
    for (name, frame) in [("json", &plain), ("json, structured data", &with_data)] {
        as_json(name, frame.as_bytes());
    }
    // The worst that was found per byte: structured data of the shortest parameters, not in order.
    let params: String =
        (0..20_000_u32).map(|index| params_name(index.wrapping_mul(7919) % 17_576)).collect();
    let many = format!("{head} [a {}] x", &params[..params.len().min(65_000) / 6 * 6]);
    as_json("json, 65,000 bytes of parameters", many.as_bytes());
    let control = format!("{head} - {}", "\u{1}".repeat(65_000));
    as_json("json, 65,000 control characters", control.as_bytes());
    let broken = [head.as_bytes(), b" - ", &[0xff; 65_000]].concat();
    as_json("json, 65,000 bytes that are no UTF-8", &broken);

    let now = "2026-02-11T22:14:16Z".parse().unwrap_or_default();
    for (name, frame) in [("time, RFC 5424", &plain), ("time, RFC 3164", &old)] {
        let message = Message::parse(frame.as_bytes(), b"192.0.2.7");
        report(name, frame.len(), 200_000, || {
            black_box(time::of_message(black_box(&message), now, &jiff::tz::TimeZone::UTC));
        });
    }
    let mut times = [now, jiff::Timestamp::UNIX_EPOCH].into_iter().cycle();
    let mut text = TimeText::default();
    report("time as text", 0, 200_000, || text.refresh(times.next().unwrap_or_default()));
}

/// `abc="" `, by a number.
fn params_name(index: u32) -> String {
    let letter = |digit: u32| char::from(b'a' + (digit % 26) as u8);
    format!("{}{}{}=\"\"", letter(index / 676), letter(index / 26), letter(index))
}

fn rendering(name: &str, text: &str, frame: &str) {
    let groups = [None, Some("user".to_owned())];
    let template = match Template::compile(text, &Scope { groups: &groups, has_value: false }) {
        Ok(template) => template,
        Err(why) => return println!("{text}: {why}"),
    };
    let message = Message::parse(frame.as_bytes(), b"192.0.2.7");
    let context = context();
    let names = SdNames::new(template.sd_params());
    let mut values = SdValues::default();
    values.read(&names, message.structured_data);
    let variables = Variables {
        message: &message,
        context: &context,
        sd: Sd { names: &names, values: &values },
        iso8601: b"2026-02-11T22:14:16.000000Z",
        groups: Some(Groups { field: b"user=root", spans: &[Some((0, 9)), Some((5, 9))] }),
        value: None,
    };
    let mut out = Vec::with_capacity(1024);
    report(name, frame.len(), 100_000, || {
        out.clear();
        black_box(template.render(black_box(&variables), OUT_BYTES_MAX, &mut out));
    });
}

fn as_json(name: &str, frame: &[u8]) {
    let message = Message::parse(frame, b"192.0.2.7");
    let context = context();
    let mut out = Vec::with_capacity(2 * OUT_BYTES_MAX);
    let count = if frame.len() < 1024 { 100_000 } else { 20 };
    report(name, frame.len(), count, || {
        out.clear();
        let iso8601 = b"2026-02-11T22:14:16.000000Z";
        let written = payload::json(black_box(&message), &context, iso8601, &mut out, usize::MAX);
        black_box(written);
    });
}

static UTC: jiff::tz::TimeZone = jiff::tz::TimeZone::UTC;

fn context() -> Context<'static> {
    Context {
        peer: b"192.0.2.7",
        listener: b"plain",
        now: jiff::Timestamp::UNIX_EPOCH,
        zone: &UTC,
        client_name: None,
        credentials: None,
    }
}

fn report(name: &str, bytes: usize, count: u32, mut call: impl FnMut()) {
    let best = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..count).for_each(|_| call());
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    let ns = best.as_nanos() as f64 / f64::from(count);
    println!("{name:40} {bytes:6} bytes {ns:12.1} ns");
}
