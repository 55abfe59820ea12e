//! The merge, against a plain one over serde_json values.

mod documents;

use corndog_pipeline::json::{Document, NotJson, PathSet, PathSetBuilder};
use corndog_pipeline::merge::{Leaf, Merge, MergeRefused};
use proptest::prelude::*;
use serde_json::{Value, json};

const BYTES_MAX: usize = 256 * 1024;

/// hotdog's deep merge, in four rules.
fn reference(target: &mut Value, patch: Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                reference(target.entry(key).or_insert(Value::Null), value);
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

/// A stand-in for templates: a string that starts with `$` is made of the rest and the message's
/// text.
fn leaf(text: &str) -> Result<Leaf<String>, String> {
    match text.strip_prefix('$') {
        Some("unknown") => Err("the variable unknown is unknown".into()),
        Some(name) => Ok(Leaf::Made(name.to_owned())),
        None => Ok(Leaf::Constant(text.to_owned())),
    }
}

fn rendered(name: &str, text: &str) -> String {
    format!("{name}{text}")
}

/// The tree with all strings rendered, as hotdog would have parsed it.
fn render(tree: &Value, text: &str) -> Value {
    let string = |string: &str| match string.strip_prefix('$') {
        Some(name) => rendered(name, text),
        None => string.to_owned(),
    };
    match tree {
        Value::String(leaf) => Value::from(string(leaf)),
        Value::Array(values) => values.iter().map(|value| render(value, text)).collect(),
        Value::Object(values) => {
            values.iter().map(|(key, value)| (string(key), render(value, text))).collect()
        }
        scalar => scalar.clone(),
    }
}

struct Merger {
    merge: Merge<String>,
    paths: PathSet,
    document: Document,
    out: Vec<u8>,
}

impl Merger {
    fn new(tree: &Value) -> Merger {
        let mut paths = PathSetBuilder::new();
        let merge = Merge::compile(tree, &mut paths, leaf).expect("a good tree");
        Merger { merge, paths: paths.build(), document: Document::new(), out: Vec::new() }
    }

    fn apply(&mut self, msg: &[u8], text: &str, bytes_max: usize) -> Result<String, MergeRefused> {
        self.document.clear();
        let render = |name: &String, out: &mut Vec<u8>| {
            out.extend_from_slice(rendered(name, text).as_bytes());
            true
        };
        let (paths, document) = (&self.paths, &mut self.document);
        self.merge.apply(paths, document, msg, render, bytes_max, &mut self.out)?;
        Ok(String::from_utf8(self.out.clone()).expect("the output is text"))
    }
}

#[track_caller]
fn merged(msg: &str, tree: Value) -> String {
    Merger::new(&tree).apply(msg.as_bytes(), "T", BYTES_MAX).expect("it merges")
}

/// The merged output is JSON, and says what the plain merge says.
fn check(msg: &str, tree: &Value, text: &str) {
    let mut expected: Value = serde_json::from_str(msg).expect("generated JSON");
    reference(&mut expected, render(tree, text));
    let merged = Merger::new(tree).apply(msg.as_bytes(), text, BYTES_MAX).expect("it merges");
    let value: Value = serde_json::from_str(&merged)
        .unwrap_or_else(|error| panic!("{error}: {merged} of {msg} and {tree}"));
    assert_eq!(value, expected, "{merged} of {msg} and {tree}");
}

#[test]
fn objects_merge_key_by_key() {
    let tree = || json!({"meta": {"hotdog": {"version": "1", "made": "$x"}}});
    assert_eq!(
        merged(r#"{"meta": {"topic" : "t"} , "n":1.50 }"#, tree()),
        r#"{"meta": {"topic" : "t","hotdog":{"version":"1","made":"xT"}} , "n":1.50 }"#
    );
    assert_eq!(
        merged(r#" {"meta":{"hotdog":{"version":0}}} "#, tree()),
        r#" {"meta":{"hotdog":{"version":"1","made":"xT"}}} "#
    );
    assert_eq!(merged("{ }", tree()), r#"{"meta":{"hotdog":{"version":"1","made":"xT"}} }"#);
    assert_eq!(merged("{\"meta\":{\n}}", json!({"meta": {}})), "{\"meta\":{\n}}");
    assert_eq!(merged(r#"{"a":1}"#, json!({})), r#"{"a":1}"#);
    assert_eq!(merged("{}", json!({"b": 1, "c": "$x", "d": null})), r#"{"b":1,"c":"xT","d":null}"#);
}

#[test]
fn array_into_array_appends_and_removes_consecutive_equal_elements() {
    assert_eq!(merged(r#"{"a":[1, 2]}"#, json!({"a": [2, 3, 3, 1]})), r#"{"a":[1, 2,3,1]}"#);
    assert_eq!(merged(r#"{"a":[ ]}"#, json!({"a": [2]})), r#"{"a":[2 ]}"#);
    assert_eq!(merged(r#"{"a":[1 , 1 ,1, 2,2 ]}"#, json!({"a": []})), r#"{"a":[1, 2 ]}"#);
    assert_eq!(
        merged(r#"{"a":["\u0078","x",{"k":1,"l":2},{"l":2,"k":1}]}"#, json!({"a": ["$"]})),
        r#"{"a":["\u0078",{"k":1,"l":2},"T"]}"#
    );
    // An array that was not there is not one into which is merged.
    assert_eq!(merged("{}", json!({"a": [1, 1]})), r#"{"a":[1,1]}"#);
}

#[test]
fn an_object_into_an_array_is_appended() {
    assert_eq!(merged(r#"{"a":[{"x":1}]}"#, json!({"a": {"x": 1}})), r#"{"a":[{"x":1},{"x":1}]}"#);
    assert_eq!(merged(r#"{"a":[]}"#, json!({"a": {"x": "$"}})), r#"{"a":[{"x":"T"}]}"#);
}

#[test]
fn anything_else_replaces() {
    for (old, new) in
        [("1", json!("x")), ("{\"x\":1}", json!(null)), ("[1]", json!(2)), ("{}", json!([1, 1]))]
    {
        let expected = format!("{{\"a\": {new} }}");
        assert_eq!(merged(&format!("{{\"a\": {old} }}"), json!({"a": new})), expected);
    }
    assert_eq!(merged(r#"{"a":1}"#, json!({"a": {"x": 2}})), r#"{"a":{"x":2}}"#);
}

#[test]
fn keys_that_repeat_are_made_one() {
    assert_eq!(
        merged(r#"{"a":1,"b":2, "\u0061" : {"x":3},"c":4}"#, json!({"a": {"y": 5}})),
        r#"{"b":2, "\u0061" : {"x":3,"y":5},"c":4}"#
    );
    assert_eq!(merged(r#"{"a":{"b":1},"a":{"b":2}}"#, json!({"a": {"b": 3}})), r#"{"a":{"b":3}}"#);
    assert_eq!(
        merged(r#"{"b":1,"b":2,"a":1}"#, json!({"a": 2})),
        r#"{"b":1,"b":2,"a":2}"#,
        "what is not touched stays"
    );
}

#[test]
fn many_keys_that_repeat_are_made_one() {
    let tree: Value = (0..2000).map(|n| (format!("k{n}"), json!({"x": n}))).collect();
    let member = |n: usize| format!("\"k{}\":{{\"y\":{n}}}", n * 7 % 3000);
    let members: Vec<_> = (0..9000).map(member).collect();
    check(&format!("{{{}}}", members.join(",")), &tree, "");
}

#[test]
fn keys_may_be_made_of_message_data() {
    assert_eq!(
        merged(r#"{"kT":{"x":1}}"#, json!({"$k": {"y": "$v"}, "z": 1})),
        r#"{"kT":{"x":1,"y":"vT"},"z":1}"#
    );
    assert_eq!(merged("{}", json!({"$k": 1, "kT": 2})), r#"{"kT":2}"#);
    assert_eq!(merged("{}", json!({"a": [{"$k": 1}]})), r#"{"a":[{"kT":1}]}"#);
    let mut merger = Merger::new(&json!({"$": "$"}));
    assert_eq!(merger.apply(b"{}", "\"\\", 100), Ok(r#"{"\"\\":"\"\\"}"#.into()));
    assert_eq!(merger.apply(b"{}", &"x".repeat(60), 100), Err(MergeRefused::TooLong));
}

#[test]
fn what_is_no_json_object_is_refused() {
    for tree in [json!({"a": 1}), json!({"$a": 1})] {
        let mut merger = Merger::new(&tree);
        let mut refused = |msg: &str| merger.apply(msg.as_bytes(), "", BYTES_MAX).unwrap_err();
        for other in ["1", "null", "\"x\"", "[]", "[{}]", " [ ] "] {
            assert_eq!(refused(other), MergeRefused::NotObject, "{other}");
        }
        for none in ["", "text", "{", "{}x", "{\"a\":1}}", "\u{feff}{}"] {
            assert_eq!(refused(none), MergeRefused::NotJson(NotJson::Syntax), "{none}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64));
        assert_eq!(refused(&deep), MergeRefused::NotJson(NotJson::TooDeep));
    }
}

#[test]
fn the_output_is_bounded() {
    let mut merger = Merger::new(&json!({"a": "$", "b": ["$"]}));
    let longest = r#"{"a":"","b":["xx"]}"#.len();
    assert!(merger.apply(b"{\"b\":[]}", "", longest).is_ok());
    for (text, bytes_max) in [("xx", longest), ("\0\0\0\0", 30), (&*"x".repeat(1000), 999)] {
        let refused = merger.apply(b"{\"b\":[]}", text, bytes_max);
        assert_eq!(refused, Err(MergeRefused::TooLong), "{text} in {bytes_max}");
        assert!(merger.out.is_empty());
    }
    let tree = json!({"a": "$"});
    let mut paths = PathSetBuilder::new();
    let merge = Merge::compile(&tree, &mut paths, leaf).unwrap();
    let (paths, mut document) = (paths.build(), Document::new());
    let refused =
        merge.apply(&paths, &mut document, b"{}", |_, _| false, BYTES_MAX, &mut Vec::new());
    assert_eq!(refused, Err(MergeRefused::TooLong), "a template that is too long");
}

#[test]
fn wrong_trees_are_one_sentence() {
    let compile = |tree: Value| {
        Merge::compile(&tree, &mut PathSetBuilder::new(), leaf).expect_err("a wrong tree")
    };
    for wrong in [json!(1), json!([]), json!("x"), json!(null)] {
        assert_eq!(compile(wrong), "a table of keys and values is needed");
    }
    assert_eq!(compile(json!({"a": "$unknown"})), "the variable unknown is unknown");
    let many = |count| (0..count).map(|n| (format!("k{n}"), json!([{"$k": 1}]))).collect::<Value>();
    let sentence = "a merge with a template as a key has at most 256 keys";
    assert!(compile(many(129)).starts_with(sentence));
    assert!(Merge::compile(&many(128), &mut PathSetBuilder::new(), leaf).is_ok());
    let deep = (0..100).fold(json!(1), |inner, _| json!({"a": inner}));
    assert_eq!(compile(deep), "nested deeper than 64");
}

#[test]
fn no_value_breaks_the_json() {
    for text in
        ["\"", "\\", "\"}],", "\u{0}\u{1f}", "\u{7f}\u{2028}\u{1f600}", "\\u0022", "</script>"]
    {
        check(r#"{"a":1}"#, &json!({"a": "$", "b": ["$", {"c": "$"}]}), text);
        check(r#"{"a":1}"#, &json!({"$": {"$x": "$"}}), text);
    }
    let mut merger = Merger::new(&json!({"a": 1}));
    let render = |_: &String, _: &mut Vec<u8>| true;
    merger
        .merge
        .apply(&merger.paths, &mut merger.document, b"{}", render, 99, &mut merger.out)
        .unwrap();
    let mut paths = PathSetBuilder::new();
    let merge = Merge::compile(&json!({"a": "$"}), &mut paths, leaf).unwrap();
    let bytes = |_: &String, out: &mut Vec<u8>| {
        out.extend_from_slice(b"\xff\"\xc3(");
        true
    };
    let (paths, mut document, mut out) = (paths.build(), Document::new(), Vec::new());
    merge.apply(&paths, &mut document, b"{}", bytes, 99, &mut out).unwrap();
    assert_eq!(out, "{\"a\":\"\u{fffd}\\\"\u{fffd}(\"}".as_bytes());
}

#[test]
fn reading_and_merging_allocate_nothing_once_warmed_up() {
    let tree = json!({"meta": {"hotdog": {"version": "1", "made": "$x"}}, "b": "\u{e9}"});
    let mut merger = Merger::new(&tree);
    let msg = br#"{"meta":{"topic":"t\u00e9"},"\u0062":1,"b":[1,2,{"c":3}],"list":[1,1]}"#;
    let mut apply = || {
        merger.document.clear();
        let render = |name: &String, out: &mut Vec<u8>| {
            out.extend_from_slice(name.as_bytes());
            true
        };
        let (paths, document) = (&merger.paths, &mut merger.document);
        merger.merge.apply(paths, document, msg, render, BYTES_MAX, &mut merger.out)
    };
    apply().expect("it merges");
    let counted = allocation_counter::measure(|| {
        (0..1000).for_each(|_| apply().expect("it merges"));
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

/// Trees over the documents' keys; strings may be made, keys too where `made_keys`.
fn tree(made_keys: bool) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(1)),
        Just(json!(1.0)),
        Just(json!("x")),
        Just(json!("$")),
        Just(json!("$x")),
        Just(json!("\u{e9}\"")),
        Just(json!([])),
        Just(json!({})),
        Just(json!(true)),
    ];
    let keys: &[&str] = if made_keys {
        &["a", "b", "meta", "$", "$me", "", "\u{fc}"]
    } else {
        &["a", "b", "meta", "topic", "", "a\"b", "\u{fc}", "new"]
    };
    let object = move |inner: BoxedStrategy<Value>| {
        proptest::collection::vec((proptest::sample::select(keys), inner), 0..4).prop_map(
            |members| members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Value>(),
        )
    };
    let value = leaf.prop_recursive(4, 24, 4, move |inner| {
        let array = proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
        prop_oneof![1 => array, 2 => object(inner.boxed())]
    });
    object(value.boxed())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spliced_is_what_the_plain_merge_gives(
        msg in documents::object(), tree in tree(false), text in "[a\"\\\\\u{0}\u{e9}]{0,4}",
    ) {
        check(&msg, &tree, &text);
    }

    #[test]
    fn made_keys_are_what_the_plain_merge_gives(
        msg in documents::object(), tree in tree(true), text in prop_oneof![Just("ta".to_owned()), "[a\"\\\\]{0,2}"],
    ) {
        check(&msg, &tree, &text);
    }

    #[test]
    fn damaged_messages_are_refused_or_merged_as_serde_json_would(
        msg in documents::damaged(), tree in tree(false),
    ) {
        let merged = Merger::new(&tree).apply(&msg, "T", BYTES_MAX);
        match serde_json::from_slice::<Value>(&msg) {
            Ok(Value::Object(_)) => check(std::str::from_utf8(&msg).unwrap(), &tree, "T"),
            Ok(_) => prop_assert_eq!(merged, Err(MergeRefused::NotObject)),
            Err(error) if error.to_string().contains("number out of range") => {}
            Err(_) => prop_assert!(matches!(merged, Err(MergeRefused::NotJson(_)))),
        }
    }
}
