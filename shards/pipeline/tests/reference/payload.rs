//! All fields of a message as one JSON object, and what is in its structured data.

use corndog_pipeline::rules::Field;
use serde_json::{Map, Value};

use super::Turn;

/// The payload of `format = "json"`.
pub(crate) fn json(turn: &Turn<'_>) -> Value {
    let mut object = Map::new();
    let mut member = |name: &str, value: Option<&[u8]>| {
        if let Some(value) = value {
            object.insert(name.to_owned(), text(value));
        }
    };
    let message = turn.message;
    member("timestamp", message.timestamp);
    member("received", Some(format!("{:.6}", turn.context.now).as_bytes()));
    for (name, field) in Field::NAMED {
        member(name, turn.field(&field).as_deref());
    }
    member("peer", Some(turn.context.peer));
    member("listener", Some(turn.context.listener));
    if let Some(data) = message.structured_data {
        object.insert("structured_data".into(), structured_data(data));
    }
    Value::Object(object)
}

fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// SD-IDs, each an object of parameters; what is repeated is an array.
fn structured_data(data: &[u8]) -> Value {
    let mut object = Map::new();
    for Element { id, params } in elements(data) {
        let id = String::from_utf8_lossy(&id).into_owned();
        let element = object.entry(id).or_insert_with(|| Value::Object(Map::new()));
        for (name, value) in params {
            let name = String::from_utf8_lossy(&name).into_owned();
            match element.get_mut(&name) {
                None => element[name] = text(&value),
                Some(Value::Array(values)) => values.push(text(&value)),
                Some(first) => *first = Value::Array(vec![first.take(), text(&value)]),
            }
        }
    }
    Value::Object(object)
}

/// An SD-ELEMENT with its parameters, these without escapes.
pub(crate) struct Element {
    /// SD-ID.
    pub(crate) id: Vec<u8>,
    /// Names and values.
    pub(crate) params: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads byte by byte: what is in quotes is a value, and the word ending in `=` before it a name.
pub(crate) fn elements(data: &[u8]) -> Vec<Element> {
    let mut elements: Vec<Element> = Vec::new();
    let mut bytes = data.iter().copied().peekable();
    while bytes.next() == Some(b'[') {
        let mut id = Vec::new();
        while let Some(byte) = bytes.next_if(|byte| !b" =]\"".contains(byte)) {
            id.push(byte);
        }
        let (mut params, mut word) = (Vec::new(), Vec::new());
        while let Some(byte) = bytes.next_if(|byte| *byte != b']') {
            match byte {
                b' ' => word.clear(),
                b'"' => {
                    let value = value(&mut bytes);
                    if word.pop() == Some(b'=') && !word.is_empty() {
                        params.push((std::mem::take(&mut word), value));
                    }
                    word.clear();
                }
                other => word.push(other),
            }
        }
        bytes.next();
        elements.push(Element { id, params });
    }
    elements
}

/// RFC 5424 §6.3.3: a backslash escapes `"`, `\` and `]`; before anything else it is itself.
fn value(bytes: &mut impl Iterator<Item = u8>) -> Vec<u8> {
    let mut value = Vec::new();
    while let Some(byte) = bytes.next().filter(|byte| *byte != b'"') {
        let escaped = if byte == b'\\' { bytes.next() } else { None };
        match escaped {
            None => value.push(byte),
            Some(escaped) if b"\"\\]".contains(&escaped) => value.push(escaped),
            Some(other) => value.extend([byte, other]),
        }
    }
    value
}
