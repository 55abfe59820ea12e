//! JSON by the book: `serde_json` values, and hotdog's deep merge on them.

use serde_json::Value;

/// Brackets that may stand inside of each other.
pub const DEPTH_MAX: usize = 64;

/// Reads JSON; `None` if it is none, or nested too deep. A number beyond an f64 is one all the
/// same: some other number stands for it, the same for the same spelling.
pub fn parse(text: &[u8]) -> Option<Value> {
    if !is_shallow(text) {
        return None;
    }
    let read = |text: &[u8]| serde_json::from_slice(text).ok();
    read(text).or_else(|| read(&within_range(text)))
}

/// The text with another number for each that is beyond an f64.
fn within_range(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut rest, mut is_in_string) = (text, false);
    while let Some(byte) = rest.first() {
        let is_inside = |byte: &u8| byte.is_ascii_digit() || b".eE+-".contains(byte);
        let run = match byte {
            b'\\' if is_in_string => rest.len().min(2),
            _ if is_in_string || !byte.is_ascii_digit() => 1,
            _ => rest.iter().take_while(|byte| is_inside(byte)).count(),
        };
        is_in_string ^= *byte == b'"';
        let (token, after) = rest.split_at(run);
        let number = std::str::from_utf8(token).ok().and_then(|token| token.parse::<f64>().ok());
        match number {
            Some(number) if number.is_infinite() && !is_in_string && is_number(token) => {
                let step = |sum: u64, byte: &u8| (sum * 31 + u64::from(*byte)) % 99_991;
                let sum = token.iter().fold(0, step);
                out.extend_from_slice(format!("{}e295", 100_000 + sum).as_bytes());
            }
            _ => out.extend_from_slice(token),
        }
        rest = after;
    }
    out
}

/// True of a number without its sign, as RFC 8259 section 6 spells it. Rust's own reading of
/// numbers takes more: `01` and `1.` are none here.
fn is_number(token: &[u8]) -> bool {
    let split = |bytes: &[u8]| {
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (digits, bytes[digits..].to_vec())
    };
    let (whole, mut rest) = split(token);
    if whole == 0 || (whole > 1 && token[0] == b'0') {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let (digits, behind) = split(fraction);
        if digits == 0 {
            return false;
        }
        rest = behind;
    }
    let Some(exponent) = rest.strip_prefix(b"e").or(rest.strip_prefix(b"E")) else {
        return rest.is_empty();
    };
    let unsigned = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
    let (digits, behind) = split(unsigned);
    digits > 0 && behind.is_empty()
}

/// True if no more than [`DEPTH_MAX`] brackets stand inside of each other.
pub fn is_shallow(text: &[u8]) -> bool {
    let (mut depth, mut deepest, mut is_in_string, mut is_escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_in_string => is_escaped = true,
            b'"' => is_in_string = !is_in_string,
            b'[' | b'{' if !is_in_string => depth += 1,
            b']' | b'}' if !is_in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest <= DEPTH_MAX
}

/// Objects merge key by key; an array into an array appends, then consecutive equal elements are
/// removed; an object into an array is appended; anything else replaces.
pub fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match into.get_mut(&key) {
                    Some(held) => merge(held, value),
                    None => {
                        into.insert(key, value);
                    }
                }
            }
        }
        (Value::Array(into), Value::Array(from)) => {
            into.extend(from);
            into.dedup();
        }
        (Value::Array(into), object @ Value::Object(_)) => into.push(object),
        (into, from) => *into = from,
    }
}

/// The tree with every string in it replaced, keys too; of keys that are then the same, the last
/// one counts.
pub fn map_strings(tree: &Value, map: &mut impl FnMut(&str) -> String) -> Value {
    match tree {
        Value::String(text) => Value::String(map(text)),
        Value::Array(items) => items.iter().map(|item| map_strings(item, map)).collect(),
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| (map(key), map_strings(value, map));
            Value::Object(members.iter().map(member).collect())
        }
        other => other.clone(),
    }
}
