//! Any text compiles to a template or is refused in one sentence; a template renders any message.
//!
//! Input: `[text] 0xff [frame]`.

#![no_main]

use corndog_pipeline::message::Message;
use corndog_pipeline::payload;
use corndog_pipeline::structured_data::{SdNames, SdValues};
use corndog_pipeline::template::{Context, Groups, Scope, Sd, Template, Variables};
use corndog_pipeline::time;
use libfuzzer_sys::fuzz_target;

const OUT_BYTES_MAX: usize = 4096;

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == 0xff).unwrap_or(input.len());
    let (text, frame) = input.split_at(end);
    let frame = frame.get(1..).unwrap_or_default();
    let message = Message::parse(frame, b"192.0.2.7");
    let context = Context {
        peer: b"192.0.2.7",
        listener: b"l",
        now: jiff::Timestamp::UNIX_EPOCH,
        zone: &jiff::tz::TimeZone::UTC,
        client_name: None,
        credentials: None,
    };

    let mut out = Vec::new();
    if payload::json(&message, &context, b"now", &mut out, 8 * OUT_BYTES_MAX) {
        serde_json::from_slice::<serde_json::Value>(&out).expect("valid JSON");
    }
    if let Some(time) = time::of_message(&message, context.now, context.zone) {
        assert!(time >= jiff::Timestamp::UNIX_EPOCH);
    }

    let Ok(text) = std::str::from_utf8(text) else { return };
    let groups = [None, Some("user".to_owned())];
    match Template::compile(text, &Scope { groups: &groups, has_value: true }) {
        Ok(template) => {
            let names = SdNames::new(template.sd_params());
            let mut values = SdValues::default();
            values.read(&names, message.structured_data);
            let variables = Variables {
                message: &message,
                context: &context,
                sd: Sd { names: &names, values: &values },
                iso8601: b"now",
                groups: Some(Groups { field: message.msg, spans: &[None, Some((0, 1))] }),
                value: Some(message.msg),
            };
            out.clear();
            template.render(&variables, OUT_BYTES_MAX, &mut out);
            assert!(out.len() <= OUT_BYTES_MAX);
            // What is refused is too long, and nothing else.
            out.clear();
            assert!(template.render(&variables, usize::MAX, &mut out));
        }
        Err(why) => assert!(matches!(why.lines().count(), 1 | 3), "{why}"),
    }
});
