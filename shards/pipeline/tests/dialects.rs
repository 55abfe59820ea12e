//! Messages as senders write them: the shared cases in `tests/cases/dialects`.

use corndog_pipeline::message::{Dialect, Format, Message};
use corndog_pipeline::structured_data::items;
use corndog_pipeline::time::of_message;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

const PEER: &[u8] = b"192.0.2.7";

const FILES: [(&str, &str); 6] = [
    ("cisco", include_str!("../../../tests/cases/dialects/cisco.toml")),
    ("devices", include_str!("../../../tests/cases/dialects/devices.toml")),
    ("forwarders", include_str!("../../../tests/cases/dialects/forwarders.toml")),
    ("times", include_str!("../../../tests/cases/dialects/times.toml")),
    ("tags", include_str!("../../../tests/cases/dialects/tags.toml")),
    ("rfc5424", include_str!("../../../tests/cases/dialects/rfc5424.toml")),
];

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    source: String,
    input: String,
    format: Option<String>,
    pri: u8,
    timestamp: Option<String>,
    hostname: Option<String>,
    app_name: Option<String>,
    procid: Option<String>,
    msgid: Option<String>,
    structured_data: Option<String>,
    params: Option<Vec<[String; 3]>>,
    msg: String,
    received: Option<String>,
    timezone: Option<String>,
    time: Option<String>,
}

fn all() -> impl Iterator<Item = (&'static str, Case)> {
    FILES.into_iter().flat_map(|(file, toml)| {
        let cases: Cases = toml::from_str(toml).unwrap_or_else(|why| panic!("{file}: {why}"));
        cases.case.into_iter().map(move |case| (file, case))
    })
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

impl Case {
    /// What differs from what is expected, a line each.
    fn differences(&self) -> Vec<String> {
        let message = Message::parse(self.input.as_bytes(), PEER);
        let format = match message.format {
            Format::Rfc5424 => "rfc5424",
            Format::Rfc3164 => "rfc3164",
            Format::Raw => "raw",
        };
        let expected = self.format.as_deref().unwrap_or("rfc3164");
        let peer = (expected != "rfc5424").then_some(PEER);
        let hostname = self.hostname.clone().or(text(peer));
        let params = self.params.as_ref().map(|params| format!("{params:?}"));
        let found_params = self.params.is_some().then(|| format!("{:?}", params_of(&message)));
        let pairs = [
            ("format", Some(format.to_owned()), Some(expected.to_owned())),
            ("pri", Some(message.pri.to_string()), Some(self.pri.to_string())),
            ("timestamp", text(message.timestamp), self.timestamp.clone()),
            ("hostname", text(message.hostname), hostname),
            ("app_name", text(message.app_name), self.app_name.clone()),
            ("procid", text(message.procid), self.procid.clone()),
            ("msgid", text(message.msgid), self.msgid.clone()),
            ("structured_data", text(message.structured_data), self.structured_data.clone()),
            ("params", found_params, params),
            ("msg", text(Some(message.msg)), Some(self.msg.clone())),
            ("time", self.time.as_ref().map(|_| self.time_of(&message)), self.time.clone()),
        ];
        let differs = pairs.into_iter().filter(|(_, found, expected)| found != expected);
        differs
            .map(|(key, found, expected)| format!("{key}: {found:?}, not {expected:?}"))
            .collect()
    }

    fn time_of(&self, message: &Message<'_>) -> String {
        let received = self.received.as_deref().unwrap_or("2026-03-02T12:00:00Z");
        let received: Timestamp = received.parse().expect("a time");
        let zone = self.timezone.as_deref().map(|zone| TimeZone::posix(zone).expect("POSIX"));
        let time = of_message(message, received, &zone.unwrap_or(TimeZone::UTC));
        time.map_or("none".to_owned(), |time| time.to_string())
    }
}

fn params_of(message: &Message<'_>) -> Vec<[String; 3]> {
    let items = items(message.structured_data.unwrap_or_default());
    let params = items.filter(|item| !item.name.is_empty());
    let texts = params.map(|item| {
        let mut value = Vec::new();
        item.value.write(&mut value);
        [item.id, item.name, &value].map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    });
    texts.collect()
}

#[test]
fn shared_cases_hold() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for (file, case) in all() {
        count += 1;
        assert!(!case.source.is_empty(), "{}", case.name);
        let differences = case.differences();
        if !differences.is_empty() {
            let (name, input) = (&case.name, &case.input);
            wrong.push(format!("{file}: {name}\n  {input:?}\n  {}", differences.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 300, "{count}");
}

#[test]
fn a_frame_cut_anywhere_is_a_message_that_ends_with_it() {
    for (_, case) in all() {
        let frame = case.input.as_bytes();
        for end in 0..frame.len() {
            let message = Message::parse(&frame[..end], PEER);
            assert!(frame[..end].ends_with(message.msg), "{}, {end}", case.name);
        }
    }
}

#[test]
fn a_listeners_dialect_holds_whatever_a_frame_looks_like() {
    let parse = |dialect, frame: &'static str| {
        let message = Message::parse_as(dialect, frame.as_bytes(), PEER);
        (message.format, message.pri, text(message.app_name), text(Some(message.msg)).unwrap())
    };
    let new = "<14>1 - h a - - - t";
    let old = "<15>a: t";
    let bare = "Mar  1 18:46:11 h a: t";
    let whole = |frame: &str| (Format::Raw, 13, None, frame.to_owned());
    let a = || Some("a".to_owned());
    for (dialect, expected) in [
        (Dialect::Auto, (Format::Rfc5424, 14, a(), "t".to_owned())),
        (Dialect::Rfc5424, (Format::Rfc5424, 14, a(), "t".to_owned())),
        (Dialect::Rfc3164, (Format::Rfc3164, 14, None, "1 - h a - - - t".to_owned())),
        (Dialect::Raw, whole(new)),
    ] {
        assert_eq!(parse(dialect, new), expected, "{dialect:?}");
    }
    for (dialect, expected) in [
        (Dialect::Auto, (Format::Rfc3164, 15, a(), "t".to_owned())),
        (Dialect::Rfc5424, whole(old)),
        (Dialect::Rfc3164, (Format::Rfc3164, 15, a(), "t".to_owned())),
        (Dialect::Raw, whole(old)),
    ] {
        assert_eq!(parse(dialect, old), expected, "{dialect:?}");
    }
    for (dialect, expected) in [
        (Dialect::Auto, (Format::Rfc3164, 13, a(), "t".to_owned())),
        (Dialect::Rfc5424, whole(bare)),
        (Dialect::Rfc3164, (Format::Rfc3164, 13, a(), "t".to_owned())),
        (Dialect::Raw, whole(bare)),
    ] {
        assert_eq!(parse(dialect, bare), expected, "{dialect:?}");
    }
}
