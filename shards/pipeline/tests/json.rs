//! Reading fields as JSON, against serde_json.

mod documents;
#[path = "reference/json.rs"]
#[allow(dead_code, reason = "the rules' tests use the rest")]
mod reference;

use corndog_pipeline::json::{
    self, DEPTH_MAX, Document, NotJson, PathIndex, PathSet, PathSetBuilder, Step, Steps,
};
use proptest::prelude::*;
use serde_json::Value;

fn key(name: &str) -> Step {
    Step::Key(name.into())
}

/// All paths of one and two steps over the documents' keys, and some longer.
fn paths() -> (PathSet, Vec<(PathIndex, Vec<Step>)>) {
    let keys = ["a", "b", "meta", "topic", "", "a\"b", "\u{fc}", "none"].map(key);
    let indexes = [0, 1, 2, 70].map(Step::Index);
    let steps: Vec<Step> = keys.into_iter().chain(indexes).collect();
    let mut wanted = vec![vec![]];
    for first in &steps {
        wanted.push(vec![first.clone()]);
        for second in &steps {
            wanted.push(vec![first.clone(), second.clone()]);
        }
    }
    wanted.push(vec![key("meta"), key("a"), Step::Index(0), key("topic")]);
    wanted.push(vec![key("a"); 70]);
    let mut builder = PathSetBuilder::new();
    let wanted = wanted.into_iter().map(|steps| (builder.add(&steps), steps)).collect();
    (builder.build(), wanted)
}

fn find<'v>(value: &'v Value, steps: &[Step]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.as_object()?.get(key),
        Step::Index(index) => value.as_array()?.get(*index),
    })
}

/// Reads `bytes`, and compares all there is to compare.
fn check(document: &mut Document, bytes: &[u8]) {
    let (paths, wanted) = paths();
    document.clear();
    let read = document.read(&paths, bytes);
    assert_eq!(document.read(&paths, b"not read again"), read);
    let shown = String::from_utf8_lossy(bytes);
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) if error.to_string().contains("number out of range") => {
            assert_ne!(read, Err(NotJson::TooDeep), "{shown}");
            return;
        }
        Err(_) => {
            assert!(read.is_err(), "{shown}");
            assert!(wanted.iter().all(|(path, _)| document.value(&paths, *path).is_none()));
            assert_eq!(document.found().count(), 0, "{shown}");
            return;
        }
    };
    if documents::depth(bytes) > DEPTH_MAX {
        assert_eq!(read, Err(NotJson::TooDeep), "{shown}");
        return;
    }
    assert_eq!(read, Ok(()), "{shown}");
    let mut listed: Vec<PathIndex> = document.found().collect();
    listed.sort_unstable();
    assert!(listed.is_sorted_by(|path, next| path < next), "each once: {listed:?} of {shown}");
    for (path, steps) in &wanted {
        let is_there = document.value(&paths, *path).is_some();
        assert!(!is_there || listed.binary_search(path).is_ok(), "{steps:?} of {shown}");
        let found = document.value(&paths, *path).map(|span| {
            serde_json::from_slice::<Value>(span.of(bytes)).expect("a value's bytes are JSON")
        });
        assert_eq!(found.as_ref(), find(&value, steps), "{steps:?} of {shown}");
    }
}

#[test]
fn defined_cases() {
    let mut builder = PathSetBuilder::new();
    let topic = builder.add(&[key("meta"), key("topic")]);
    let paths = builder.build();
    let mut document = Document::new();
    let mut read = |json: &[u8]| {
        document.clear();
        document.read(&paths, json)?;
        let span = document.value(&paths, topic);
        Ok(span.map(|span| String::from_utf8_lossy(span.of(json)).into_owned()))
    };
    let found = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(read(br#"{"meta":{"topic":"x"}}"#), found("\"x\""));
    assert_eq!(read(b" \t\r\n{ \"meta\" : { \"topic\" : 1 } } \n"), found("1"));
    // The last of equal keys wins, however it is spelled and whatever it is.
    assert_eq!(read(br#"{"meta":{"topic":1},"\u006deta":{"topic":2}}"#), found("2"));
    assert_eq!(read(br#"{"meta":{"topic":1},"meta":3}"#), Ok(None));
    assert_eq!(read(br#"{"meta":{"topic":1},"meta":{}}"#), Ok(None));
    assert_eq!(read(br#"{"meta":3,"meta":{"topic":1,"topic":2}}"#), found("2"));
    // Numbers beyond an f64 are numbers.
    assert_eq!(read(br#"{"meta":{"topic":1e999}}"#), found("1e999"));
    // Lone surrogates are no text, NUL is.
    assert_eq!(read(br#"{"meta":{"topic":"\u0000"}}"#), found(r#""\u0000""#));
    assert_eq!(read(br#"{"meta":{"topic":"\ud800"}}"#), Err(NotJson::Syntax));
    assert_eq!(read(br#"{"x":"\udc00\ud800"}"#), Err(NotJson::Syntax));
    assert_eq!(read("\u{feff}{}".as_bytes()), Err(NotJson::Syntax));
    for none in ["", " ", "{", "}", "{}x", "{}{}", "{},", "text", "\"", "[\"\\u\"]"] {
        assert_eq!(read(none.as_bytes()), Err(NotJson::Syntax), "{none}");
    }
    assert_eq!(read(b"{\"a\":\"\xff\"}"), Err(NotJson::Syntax));
    assert_eq!(read(b"\xff"), Err(NotJson::Syntax));
    for other in ["1", "null", "\"x\"", "[]", "[1,{\"meta\":{\"topic\":1}}]"] {
        assert_eq!(read(other.as_bytes()), Ok(None), "{other}");
    }
    let huge = "x".repeat(1 << 20);
    let text = format!("{{\"x\":\"{huge}\",\"meta\":{{\"topic\":\"{huge}\"}}}}");
    assert_eq!(read(text.as_bytes()), found(&format!("\"{huge}\"")));
}

#[test]
fn depth_is_bounded_at_64() {
    let (paths, _) = paths();
    let mut document = Document::new();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for (levels, expected) in [
            (63, Ok(())),
            (64, Ok(())),
            (65, Err(NotJson::TooDeep)),
            (1 << 20, Err(NotJson::TooDeep)),
        ] {
            let text = format!("{}1{}", open.repeat(levels), close.repeat(levels));
            document.clear();
            assert_eq!(document.read(&paths, text.as_bytes()), expected, "{levels} of {open}");
        }
    }
    document.clear();
    let brackets_in_text = format!("[\"{}\\\"{}\"]", "[".repeat(1000), "{".repeat(1000));
    assert_eq!(document.read(&paths, brackets_in_text.as_bytes()), Ok(()));
}

#[test]
fn many_paths_are_found_as_few_are() {
    let mut builder = PathSetBuilder::new();
    let wanted: Vec<_> = (0..500).map(|n| builder.add(&[key(&format!("key{n}"))])).collect();
    assert_eq!(builder.add(&[key("key7")]), wanted[7], "a path is kept once");
    let paths = builder.build();
    let members: Vec<String> = (0..600).rev().map(|n| format!("\"key{n}\":{n}")).collect();
    let text = format!("{{{}}}", members.join(","));
    let mut document = Document::new();
    document.read(&paths, text.as_bytes()).unwrap();
    for (n, path) in wanted.iter().enumerate() {
        let span = document.value(&paths, *path).expect("it is there");
        assert_eq!(span.of(text.as_bytes()), n.to_string().as_bytes());
    }
}

#[test]
fn a_number_beyond_f64_is_told_when_a_value_is_built() {
    let (paths, _) = paths();
    let (mut document, mut steps) = (Document::new(), Steps::new(7, Steps::PER_BYTE_MAX));
    document.read(&paths, b"[1e999]").unwrap();
    assert_eq!(document.tree(b"[1e999]", &mut steps).err(), Some(NotJson::NumberRange));
    document.clear();
    assert!(document.read(&paths, b"[").is_err());
    assert_eq!(document.tree(b"[", &mut steps).err(), Some(NotJson::Syntax));
}

/// The rules' reference once read `01e400`: it put another number there without looking at how
/// this one is spelled.
#[test]
fn numbers_beyond_f64_are_spelled_as_others_are() {
    let (paths, _) = paths();
    let is_json = |text: &str| Document::new().read(&paths, text.as_bytes()).is_ok();
    for number in ["1e400", "-1E+400", "0.1e400", "10.0e999", "123e00400"] {
        let text = format!("[{number}, {number}]");
        assert!(is_json(&text) && reference::parse(text.as_bytes()).is_some(), "{number}");
    }
    for none in ["01e400", "-00e400", "1.e400", ".1e400", "1e400.", "1e400e1", "1e+-400", "+1e400"]
    {
        let text = format!("[{none}, null]");
        assert!(!is_json(&text) && reference::parse(text.as_bytes()).is_none(), "{none}");
    }
}

#[test]
fn what_was_read_is_forgotten() {
    let mut builder = PathSetBuilder::new();
    let path = builder.add(&[key("a"), key("b")]);
    let paths = builder.build();
    let mut document = Document::new();
    document.read(&paths, br#"{"a":{"b":1}}"#).unwrap();
    assert!(document.value(&paths, path).is_some());
    document.clear();
    assert_eq!(document.value(&paths, path), None);
    document.read(&paths, br#"{"a":{}}"#).unwrap();
    assert_eq!(document.value(&paths, path), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_json_is_what_serde_json_takes(
        good in documents::document(),
        bad in documents::damaged(),
        any in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut document = Document::new();
        check(&mut document, good.as_bytes());
        check(&mut document, &bad);
        check(&mut document, &any);
    }

    #[test]
    fn deep_documents_agree_up_to_the_bound(deep in documents::nested()) {
        check(&mut Document::new(), deep.as_bytes());
    }

    #[test]
    fn strings_are_unescaped_as_serde_json_does(
        text in any::<String>(),
        raw in proptest::collection::vec(
            proptest::sample::select(&b"\\\"u0d8Dcefnrtb/ x\n\xc3\xa9"[..]), 0..20),
    ) {
        let mut out = Vec::new();
        prop_assert!(json::string(Value::from(text.as_str()).to_string().as_bytes(), &mut out));
        prop_assert_eq!(&out, text.as_bytes());
        let raw = [b"\"", &raw[..], b"\""].concat();
        out.clear();
        if let Ok(text) = serde_json::from_slice::<String>(&raw) {
            prop_assert!(json::string(&raw, &mut out));
            prop_assert_eq!(&out, text.as_bytes());
        } else if std::str::from_utf8(&raw).is_ok() {
            prop_assert!(!json::string(&raw, &mut out));
        }
    }

    #[test]
    fn any_bytes_are_escaped_into_one_string(
        bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(&b"\"\\\n\0\x1f\x7fx\xf0\x9f\x98\x80"[..])],
            0..100),
    ) {
        let mut out = b"before\"".to_vec();
        json::escape(&bytes, &mut out);
        out.push(b'"');
        let text: String = serde_json::from_slice(&out[6..]).expect("one string");
        prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
    }
}
