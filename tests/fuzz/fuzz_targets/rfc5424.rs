//! RFC 5424: put together again, the fields are the frame; structured data is read to its end.

#![no_main]

use corndog_pipeline::message::{Dialect, Format, Message};
use corndog_pipeline::structured_data::{SdNames, SdValues, items};
use libfuzzer_sys::fuzz_target;

const PEER: &[u8] = b"192.0.2.7";

const BOM: &[u8] = b"\xEF\xBB\xBF";

fuzz_target!(|frame: &[u8]| {
    let message = Message::parse_as(Dialect::Rfc5424, frame, PEER);
    if message.format != Format::Rfc5424 {
        assert_eq!((message.format, message.msg, message.pri), (Format::Raw, frame, 13));
        return;
    }
    assert_eq!(Message::parse(frame, PEER), message);
    let rest = frame.strip_prefix(b"\0").unwrap_or(frame);
    let header = rest.iter().position(|byte| *byte == b' ').expect("behind the version");
    let mut again = frame[..frame.len() - rest.len() + header].to_vec();
    let fields =
        [message.timestamp, message.hostname, message.app_name, message.procid, message.msgid];
    for field in fields {
        again.push(b' ');
        again.extend_from_slice(field.unwrap_or(b"-"));
    }
    // What follows the header: all of it is structured data and text, but for NILVALUE, a space
    // and a BOM.
    let left = frame.strip_prefix(&again[..]).and_then(|left| left.strip_prefix(b" "));
    let left = left.expect("the header is the frame's start");
    let text = match message.structured_data {
        Some(data) => left.strip_prefix(data).expect("it follows the header"),
        None => match left {
            [b'-'] => b"",
            [b'-', b' ', ..] => &left[1..],
            _ => left,
        },
    };
    let text = match left.len() == text.len() {
        true => text,
        false => text.strip_prefix(b" ").unwrap_or(text),
    };
    assert_eq!(message.msg, text.strip_prefix(BOM).unwrap_or(text));

    let data = message.structured_data.unwrap_or_default();
    let named = || items(data).filter(|item| !item.name.is_empty());
    let names = SdNames::new(named().map(|item| (item.id, item.name)));
    let mut values = SdValues::default();
    values.read(&names, Some(data));
    for item in named() {
        let number = names.find(item.id, item.name).expect("is wanted");
        let first = named().find(|other| (other.id, other.name) == (item.id, item.name));
        let mut expected = Vec::new();
        first.expect("is there").value.write(&mut expected);
        assert_eq!(values.value(number, Some(data)), Some(&expected[..]));
    }
    let mut found = 0;
    for item in items(data) {
        found += item.id.len() * usize::from(item.name.is_empty());
        found += item.name.len() + item.value.raw.len();
        let bytes: usize = item.value.pieces().map(<[u8]>::len).sum();
        assert!(bytes <= item.value.raw.len());
    }
    assert!(found <= data.len());
});
