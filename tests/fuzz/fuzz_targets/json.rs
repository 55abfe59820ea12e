//! Any bytes are a field: what is JSON, what a path finds and what a merge gives is what serde_json
//! and the jmespath crate say.

#![no_main]

use corndog_pipeline::expression::{Answer, Expression};
use corndog_pipeline::json::{self, DEPTH_MAX, Document, NotJson, PathSetBuilder, Steps};
use corndog_pipeline::merge::{Leaf, Merge, MergeRefused};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const EXPRESSIONS: [&str; 8] =
    ["a", "a.b", "a[0]", "a.b[1].c", "@", "a || b", "[a, b] | [0]", "length(a)"];
const BYTES_MAX: usize = 4096;

// The first line is text for templates, the second a tree, the rest the field.
fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let (text, tree, field) = (parts.next(), parts.next(), parts.next());
    let field = field.unwrap_or(input);
    paths(field);
    strings(field);
    if let (Some(text), Some(tree)) = (text, tree)
        && let Ok(tree) = serde_json::from_slice::<Value>(tree)
    {
        merge(text, &tree, field);
    }
});

/// What serde_json makes of a field. `None`: there is no saying, for a number is out of range.
fn reference(field: &[u8]) -> Option<Result<Value, ()>> {
    match serde_json::from_slice(field) {
        Err(error) if error.to_string().contains("number out of range") => None,
        other => Some(other.map_err(drop)),
    }
}

fn paths(field: &[u8]) {
    let mut paths = PathSetBuilder::new();
    let expressions =
        EXPRESSIONS.map(|text| Expression::compile(text, &mut paths).expect("a good expression"));
    let (paths, mut document, mut value) = (paths.build(), Document::new(), Vec::new());
    let mut steps = Steps::new(field.len(), Steps::PER_BYTE_MAX);
    let reference = reference(field);
    let tree = jmespath::Variable::from_json(std::str::from_utf8(field).unwrap_or("none")).ok();
    let tree = tree.map(jmespath::Rcvar::new);
    for (text, expression) in EXPRESSIONS.iter().zip(&expressions) {
        let answer = expression.evaluate(&paths, &mut document, field, &mut steps, &mut value);
        match (&reference, answer) {
            (None, _) => {}
            (Some(Err(())), Answer::NotJson(_)) => {}
            (Some(Ok(_)), Answer::NotJson(NotJson::TooCostly)) => {}
            (Some(Ok(_)), Answer::NotJson(why)) => assert_eq!(why, NotJson::TooDeep),
            (Some(found), _) => {
                assert!(found.is_ok(), "taken for JSON");
                let tree = tree.as_ref().expect("it is JSON");
                let expected = jmespath::compile(text).expect("a good expression");
                let expected = expected.search(tree).ok().filter(|found| !found.is_null());
                let expected_text = expected.as_ref().and_then(|found| found.as_string().cloned());
                assert_eq!(answer != Answer::Null, expected.is_some(), "{text}");
                assert_eq!(answer == Answer::Text, expected_text.is_some(), "{text}");
                assert_eq!(value, expected_text.unwrap_or_default().as_bytes(), "{text}");
            }
        }
    }
}

fn strings(bytes: &[u8]) {
    let mut out = vec![b'"'];
    json::escape(bytes, &mut out);
    out.push(b'"');
    let text: String = serde_json::from_slice(&out).expect("one string");
    assert_eq!(text, String::from_utf8_lossy(bytes));
    let mut back = Vec::new();
    assert!(json::string(&out, &mut back));
    assert_eq!(back, text.as_bytes());
    json::string(bytes, &mut back);
}

/// Strings with a `$` in them are made: the `$` becomes the text.
fn rendered(text: &str, with: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, part) in text.split('$').enumerate() {
        if number > 0 {
            out.extend_from_slice(with);
        }
        out.extend_from_slice(part.as_bytes());
    }
    out
}

fn rendered_tree(tree: &Value, with: &[u8]) -> Value {
    let string = |text: &str| String::from_utf8_lossy(&rendered(text, with)).into_owned();
    match tree {
        Value::String(text) => Value::from(string(text)),
        Value::Array(values) => values.iter().map(|value| rendered_tree(value, with)).collect(),
        Value::Object(values) => {
            values.iter().map(|(key, value)| (string(key), rendered_tree(value, with))).collect()
        }
        scalar => scalar.clone(),
    }
}

fn plain_merge(target: &mut Value, patch: Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                plain_merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(target), Value::Array(patch)) => {
            target.extend(patch);
            target.dedup();
        }
        (Value::Array(target), patch @ Value::Object(_)) => target.push(patch),
        (target, patch) => *target = patch,
    }
}

fn merge(text: &[u8], tree: &Value, msg: &[u8]) {
    let mut paths = PathSetBuilder::new();
    let leaf = |text: &str| {
        Ok(if text.contains('$') {
            Leaf::Made(text.to_owned())
        } else {
            Leaf::Constant(text.to_owned())
        })
    };
    let Ok(merge) = Merge::compile(tree, &mut paths, leaf) else { return };
    let (paths, mut document, mut out) = (paths.build(), Document::new(), Vec::new());
    let render = |leaf: &String, out: &mut Vec<u8>| {
        out.extend_from_slice(&rendered(leaf, text));
        true
    };
    let merged = merge.apply(&paths, &mut document, msg, render, BYTES_MAX, &mut out);
    match (reference(msg), merged) {
        (_, Err(MergeRefused::TooLong)) | (None, _) => {}
        (Some(Err(())), merged) => assert!(matches!(merged, Err(MergeRefused::NotJson(_)))),
        (Some(Ok(value)), Err(MergeRefused::NotObject)) => assert!(!value.is_object()),
        (Some(Ok(_)), Err(why)) => {
            assert_eq!(why, MergeRefused::NotJson(NotJson::TooDeep), "{DEPTH_MAX} levels");
        }
        (Some(Ok(mut value)), Ok(())) => {
            assert!(out.len() <= BYTES_MAX);
            plain_merge(&mut value, rendered_tree(tree, text));
            let merged: Option<Value> = serde_json::from_slice(&out).ok();
            assert_eq!(merged, Some(value), "{}", String::from_utf8_lossy(&out));
        }
    }
}
