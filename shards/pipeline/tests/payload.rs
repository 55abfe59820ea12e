//! `format = "json"`, and the structured data that it is made of.

use corndog_pipeline::message::Message;
use corndog_pipeline::payload;
use corndog_pipeline::structured_data::{SdItem, SdNames, SdValue, SdValues, items};
use corndog_pipeline::template::Context;
use proptest::prelude::*;
use serde_json::{Value, json};

const CONTEXT: Context<'static> = Context {
    peer: b"192.0.2.7",
    listener: b"plain",
    now: jiff::Timestamp::UNIX_EPOCH,
    zone: &jiff::tz::TimeZone::UTC,
    client_name: None,
    credentials: None,
};

fn json_of(frame: &[u8]) -> Value {
    let message = Message::parse(frame, CONTEXT.peer);
    let mut out = b"x".to_vec();
    assert!(payload::json(&message, &CONTEXT, b"now", &mut out, usize::MAX));
    let bytes = out.len();
    // One byte less is refused.
    out.truncate(1);
    assert!(payload::json(&message, &CONTEXT, b"now", &mut out, bytes));
    let whole = out.split_off(1);
    assert!(!payload::json(&message, &CONTEXT, b"now", &mut out, bytes - 1));
    serde_json::from_slice(&whole).unwrap_or_else(|error| panic!("{error}: {whole:?}"))
}

#[test]
fn all_fields_are_members_of_one_object() {
    let frame = b"<165>1 2003-10-11T22:14:15.003Z host app 7 ID47 \
        [origin ip=\"192.0.2.1\" soft=\"a\\\"b\\\\\\]\\c\" ip=\"192.0.2.129\"][empty][a@1 x=\"\n\"] up";
    assert_eq!(
        json_of(frame),
        json!({
            "timestamp": "2003-10-11T22:14:15.003Z",
            "received": "now",
            "hostname": "host",
            "appname": "app",
            "procid": "7",
            "msgid": "ID47",
            "facility": "local4",
            "severity": "notice",
            "structured_data": {
                "a@1": { "x": "\n" },
                "empty": {},
                "origin": { "ip": ["192.0.2.1", "192.0.2.129"], "soft": "a\"b\\]\\c" },
            },
            "msg": "up",
            "peer": "192.0.2.7",
            "listener": "plain",
        })
    );
}

#[test]
fn what_the_message_does_not_have_is_left_out() {
    let expected = json!({
        "received": "now", "facility": "user", "severity": "notice",
        "msg": "", "peer": "192.0.2.7", "listener": "plain",
    });
    assert_eq!(json_of(b"<13>1 - - - - - -"), expected);
}

#[test]
fn what_is_no_text_becomes_the_replacement_character() {
    let frame = b"<13>1 - h\xff - - - [a\xfe b=\"\xe2\x82\\\"\"] \x00\x1f\x7f\"\\/\xc3\xa9 {{msg}}";
    let json = json_of(frame);
    assert_eq!(json["hostname"], "h\u{fffd}");
    assert_eq!(json["structured_data"]["a\u{fffd}"]["b"], "\u{fffd}\"");
    assert_eq!(json["msg"], "\0\u{1f}\u{7f}\"\\/\u{e9} {{msg}}");
}

/// Of several parameters with the same name, the first.
fn sd_param<'a>(message: &Message<'a>, id: &[u8], name: &[u8]) -> Option<SdValue<'a>> {
    let is_it = |item: &SdItem<'_>| !name.is_empty() && item.id == id && item.name == name;
    items(message.structured_data?).find(is_it).map(|item| item.value)
}

#[test]
fn elements_of_one_id_are_taken_together() {
    let frame = b"<13>1 - - - - - [b x=\"1\"][a x=\"2\"][b y=\"3\" x=\"4\"] -";
    let expected = json!({ "a": { "x": "2" }, "b": { "x": ["1", "4"], "y": "3" } });
    assert_eq!(json_of(frame)["structured_data"], expected);
    let message = Message::parse(frame, b"");
    let values = |id: &[u8], name: &[u8]| sd_param(&message, id, name).map(|value| value.raw);
    assert_eq!(values(b"b", b"x"), Some(&b"1"[..]));
    assert_eq!(values(b"b", b"y"), Some(&b"3"[..]));
    assert_eq!(values(b"b", b""), None);
    assert_eq!(values(b"a", b"y"), None);
}

#[test]
fn values_without_a_name_are_no_parameters() {
    let data = b"[a \"x\" =\"y\" b =\"z\" c= \"d\" e=\"1\"f=\"2\" g][h=\"i\"]";
    let found: Vec<_> = items(data)
        .map(|item| [item.id, item.name, item.value.raw].map(String::from_utf8_lossy).join("|"))
        .collect();
    assert_eq!(found, ["a||", "a|e|1", "a|f|2", "h||"]);
}

/// Structured data as the RFC has it: ids, names, and values before they are escaped.
type Elements = Vec<(String, Vec<(String, String)>)>;

fn elements() -> impl Strategy<Value = Elements> {
    let name = "[a-z][a-z0-9@._-]{0,3}";
    let params = prop::collection::vec((name, "([a-z \\]\"\\\\=\\[]|\u{e9}){0,6}"), 0..5);
    prop::collection::vec((name, params), 1..5)
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]")
}

fn frame_of(elements: &Elements) -> String {
    let mut frame = "<13>1 2003-10-11T22:14:15Z h a p m ".to_owned();
    for (id, params) in elements {
        frame += &format!("[{id}");
        for (name, value) in params {
            frame += &format!(" {name}=\"{}\"", escaped(value));
        }
        frame.push(']');
    }
    frame + " text"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn parameters_are_read_as_syslog_loose_reads_them(elements in elements()) {
        let frame = frame_of(&elements);
        let message = Message::parse(frame.as_bytes(), b"peer");
        let reference = syslog_loose::parse_message(&frame, syslog_loose::Variant::RFC5424);
        let expected: Vec<(String, String, String)> = reference
            .structured_data
            .iter()
            .flat_map(|element| {
                element
                    .params()
                    .map(|(name, value)| (element.id.to_string(), name.to_string(), value))
            })
            .collect();
        let wanted = expected.iter().step_by(2).map(|(id, name, _)| (&**id, &**name));
        let names = SdNames::new(wanted.chain([("absent", "x")]));
        let mut values = SdValues::default();
        // A message before it leaves nothing.
        values.read(&names, Some(b"[absent x=\"1\"]"));
        values.clear();
        values.read(&names, message.structured_data);
        for (id, name, _) in &expected {
            let first = expected.iter().find(|other| (&other.0, &other.1) == (id, name));
            let mut written = Vec::new();
            let value = sd_param(&message, id.as_bytes(), name.as_bytes());
            value.expect("is there").write(&mut written);
            if let Some(number) = names.find(id.as_bytes(), name.as_bytes()) {
                let read = values.value(number, message.structured_data);
                prop_assert_eq!(read, Some(&written[..]));
            }
            prop_assert_eq!(Some(written), first.map(|(_, _, value)| value.as_bytes().to_vec()));
        }
        let absent = names.find(b"absent", b"x").expect("is wanted");
        prop_assert_eq!(values.value(absent, message.structured_data), None);
        let count: usize = elements.iter().map(|(_, params)| params.len()).sum();
        let data = message.structured_data.expect("has the RFC's form");
        prop_assert_eq!(items(data).filter(|item| !item.name.is_empty()).count(), count);
        prop_assert_eq!(items(data).count(), count + elements.len());
        for (id, params) in &elements {
            for (name, _) in params {
                prop_assert!(json_of(frame.as_bytes())["structured_data"][id][name] != Value::Null);
            }
        }
    }

    #[test]
    fn whatever_comes_is_valid_json(
        data in "[\\[\\]\" =\\\\a-c]{0,40}",
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        repeated in 1..70_usize,
    ) {
        let mut frame = b"<13>1 - ".to_vec();
        frame.extend(bytes.iter().filter(|byte| **byte != b' '));
        frame.extend(b"x - - - ");
        frame.extend(format!("[a{data}").repeat(repeated).bytes());
        frame.extend(b"\"] ");
        frame.extend(&bytes);
        let json = json_of(&frame);
        let message = Message::parse(&frame, CONTEXT.peer);
        prop_assert_eq!(&json["msg"], &Value::from(String::from_utf8_lossy(message.msg)));
        prop_assert_eq!(json["structured_data"].is_object(), message.structured_data.is_some());
        json_of(&bytes);
    }
}
