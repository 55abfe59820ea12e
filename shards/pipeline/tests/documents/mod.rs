//! Generated JSON: few keys, so that paths hit and keys repeat; odd spellings; broken ones too.

#![allow(dead_code, reason = "each test uses what it needs")]

use proptest::collection::vec;
use proptest::prelude::*;

/// Spellings of keys: `a`, `b`, `meta`, `topic`, "" and one with a quote, some with escapes.
pub const KEYS: [&str; 10] = [
    r#""a""#,
    r#""b""#,
    r#""meta""#,
    r#""topic""#,
    r#""\u006deta""#,
    r#""\u0061""#,
    r#""""#,
    r#""a\"b""#,
    r#""x y z x y z x y z x y z x y z x y z""#,
    "\"\u{fc}\"",
];

const SCALARS: [&str; 36] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "1.0",
    "1.00",
    "10e-1",
    "-12",
    "0.1",
    "1e2",
    "1E+2",
    "123456789012345678901234567890",
    "18446744073709551615",
    "-9223372036854775809",
    "1e308",
    "1e-400",
    r#""""#,
    r#""x""#,
    r#""\u0078""#,
    r#""\/""#,
    r#""/""#,
    r#""\n\t\"\\\b\f\r""#,
    r#""\u0000""#,
    r#""\ud83d\ude00""#,
    "\"\u{1f600}\"",
    "\"\u{e9}\u{20ac}\"",
    r#""[{\"""#,
    r#""}]""#,
    r#""a long text, longer than what is looked at in one go, with an end \u00e9""#,
    r#""a long text, longer than what is looked at in one go, without any""#,
    r#""1234567""#,
    r#""12345678""#,
    "[]",
    "{}",
];

/// What is no JSON value, but looks like one.
const BROKEN: [&str; 30] = [
    "nul",
    "nulll",
    "True",
    "+1",
    "01",
    "-",
    "1.",
    ".5",
    "1e",
    "1e+",
    "0x1",
    "NaN",
    "'x'",
    "\"",
    r#""\x""#,
    r#""\u12""#,
    r#""\u12g4""#,
    r#""\ud800""#,
    r#""\ud800x""#,
    r#""\ud800\u0041""#,
    r#""\udc00""#,
    r#""\ud800\ud800""#,
    "\"\n\"",
    "\"\u{0}\"",
    "[1,]",
    "{\"a\":1,}",
    "{\"a\" 1}",
    "{1:2}",
    "[1 2]",
    "]",
];

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(""), 1 => Just(" "), 1 => Just("\n\t \r ")]
}

fn key() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&KEYS[..])
}

/// A JSON document, as text.
pub fn document() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(&SCALARS[..]).prop_map(str::to_owned);
    let value = leaf.prop_recursive(5, 48, 6, |inner| {
        let element = (space(), inner.clone(), space()).prop_map(|(a, v, b)| format!("{a}{v}{b}"));
        let member = (space(), key(), space(), inner)
            .prop_map(|(a, key, b, value)| format!("{a}{key}{b}:{b}{value}{a}"));
        prop_oneof![
            1 => (space(), vec(element, 0..6)).prop_map(|(a, v)| format!("[{a}{}]", v.join(","))),
            3 => (space(), vec(member, 0..6)).prop_map(|(a, v)| format!("{{{a}{}}}", v.join(","))),
        ]
    });
    (space(), value, space()).prop_map(|(a, value, b)| format!("{a}{value}{b}"))
}

/// A JSON object, as text.
pub fn object() -> impl Strategy<Value = String> {
    let member = (space(), key(), space(), document())
        .prop_map(|(a, key, b, value)| format!("{a}{key}{b}:{value}"));
    vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(",")))
}

/// A document in so many arrays and objects.
pub fn nested() -> impl Strategy<Value = String> {
    (document(), vec(any::<bool>(), 50..140)).prop_map(|(document, levels)| {
        levels.into_iter().fold(document, |inner, is_object| {
            if is_object { format!("{{\"a\":{inner}}}") } else { format!("[{inner}]") }
        })
    })
}

/// A document that was cut, or in which some bytes were changed, or nearly one.
pub fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let interesting = prop_oneof![
        4 => proptest::sample::select(&b"{}[]\",:\\ue0-.x \n\x00\x1f\x7f\xc3\xff\xed\xa0"[..]),
        1 => any::<u8>(),
    ];
    let changed = (document(), vec((any::<prop::sample::Index>(), interesting, 0..3), 1..4))
        .prop_map(|(document, changes)| {
            let mut bytes = document.into_bytes();
            for (at, byte, kind) in changes {
                let at = at.index(bytes.len() + 1);
                match kind {
                    0 => bytes.insert(at, byte),
                    1 => bytes.truncate(at),
                    _ if at < bytes.len() => bytes[at] = byte,
                    _ => {}
                }
            }
            bytes
        });
    let broken = (key(), proptest::sample::select(&BROKEN[..]), document()).prop_map(
        |(key, broken, document)| {
            format!("{{{key}:[{document},{broken}],{key}:{document}}}").into_bytes()
        },
    );
    prop_oneof![3 => changed, 1 => broken]
}

/// How many objects and arrays are in each other, at most. For valid JSON.
pub fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut is_string, mut is_escape) = (0_usize, 0, false, false);
    for byte in json {
        match (is_string, byte) {
            (true, _) if is_escape => is_escape = false,
            (true, b'\\') => is_escape = true,
            (_, b'"') => is_string = !is_string,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
