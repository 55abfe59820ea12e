//! Expressions, against the jmespath crate and the cases of tests/cases/jmespath.toml.

mod documents;

use corndog_pipeline::expression::{Answer, Expression};
use corndog_pipeline::json::{Document, NotJson, PathSetBuilder, Steps};
use jmespath::Variable;
use proptest::prelude::*;
use serde::Deserialize;
use std::sync::Arc;

/// What one expression finds in one field.
fn ask(expression: &str, field: &[u8]) -> (Answer, String) {
    let mut paths = PathSetBuilder::new();
    let expression = Expression::compile(expression, &mut paths).expect("a good expression");
    let mut value = b"old".to_vec();
    let (paths, mut document, mut steps) = (paths.build(), Document::new(), steps(field));
    let answer = expression.evaluate(&paths, &mut document, field, &mut steps, &mut value);
    (answer, String::from_utf8(value).expect("text"))
}

/// What a message has that is this field alone.
fn steps(field: &[u8]) -> Steps {
    Steps::new(field.len(), Steps::PER_BYTE_MAX)
}

/// The same, by the crate alone.
fn reference(expression: &str, field: &str) -> (Answer, String) {
    let expression = jmespath::compile(expression).expect("a good expression");
    let Ok(tree) = Variable::from_json(field) else {
        return (Answer::NotJson(NotJson::Syntax), String::new());
    };
    match expression.search(tree).as_deref() {
        Ok(Variable::Null) | Err(_) => (Answer::Null, String::new()),
        Ok(Variable::String(text)) => (Answer::Text, text.clone()),
        Ok(_) => (Answer::Other, String::new()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    given: Vec<Given>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    name: String,
    json: String,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    expression: String,
    /// The string that it finds.
    text: Option<String>,
    /// Or `null`, `other`, `not json`, `error`: refused when compiled.
    result: Option<String>,
    /// Read without building a value.
    path: Option<bool>,
}

#[test]
fn every_case_gets_its_answer() {
    let cases: Cases =
        toml::from_str(include_str!("../../../tests/cases/jmespath.toml")).expect("cases are TOML");
    let mut count = 0;
    for given in &cases.given {
        for case in &given.case {
            let shown = format!("{}: {}", given.name, case.expression);
            count += 1;
            let compiled = Expression::compile(&case.expression, &mut PathSetBuilder::new());
            if case.result.as_deref() == Some("error") {
                let sentence = compiled.expect_err(&shown);
                assert_eq!(sentence.lines().count(), 3, "{sentence}");
                continue;
            }
            let compiled = compiled.unwrap_or_else(|why| panic!("{shown}: {why}"));
            if let Some(is_path) = case.path {
                assert_eq!(compiled.path().is_some(), is_path, "{shown}");
            }
            let (answer, value) = ask(&case.expression, given.json.as_bytes());
            let expected = match (&case.text, case.result.as_deref()) {
                (Some(_), None) => Answer::Text,
                (None, Some("null")) => Answer::Null,
                (None, Some("other")) => Answer::Other,
                (None, Some("not json")) => Answer::NotJson(NotJson::Syntax),
                other => panic!("{shown}: {other:?}"),
            };
            assert_eq!(
                (answer, &*value),
                (expected, case.text.as_deref().unwrap_or("")),
                "{shown}"
            );
            assert_eq!(reference(&case.expression, &given.json), (answer, value), "{shown}");
        }
    }
    assert!(count >= 100, "{count} cases");
}

#[track_caller]
fn refused(expression: &str, what: &str, caret: usize) {
    let sentence =
        Expression::compile(expression, &mut PathSetBuilder::new()).expect_err(expression);
    let lines: Vec<&str> = sentence.lines().collect();
    assert!(lines[0].contains(what), "{sentence}");
    assert_eq!(lines[2].len() - 1 - 4, caret, "{sentence}");
}

#[test]
fn wrong_expressions_are_one_sentence_with_a_caret() {
    refused("a.", "found Eof", 2);
    refused("a b", "this is not JMESPath", 2);
    refused("a.b[", "this is not JMESPath", 4);
    refused("a ! b", "this is not JMESPath", 2);
    refused("x.lenght(a)", "there is no function lenght()", 2);
    refused("length(a, b)", "length() takes 1 arguments, not 2", 0);
    refused("a[?join(@)]", "join() takes 2 arguments, not 1", 3);
    refused("a[?&b]", "an expression (&) is for map(), sort_by(), max_by(), min_by() only", 3);
    refused("to_array(&a)[0]", "an expression (&) is for map()", 9);
    refused("map(a, b)", "map() takes an expression (&) as argument 1", 0);
    refused("a.sort_by(@, @ || &b)", "sort_by() takes an expression (&) as argument 2", 2);
    refused("a[::0]", "a slice's step is not 0", 5);
    refused("a[1::2147483647]", "a slice's step is at most", 15);
    refused("'x", "Unclosed ' delimiter", 0);
    refused("\"\\x\"", "Unable to parse quoted identifier", 0);
    refused("`{`", "Unable to parse literal", 0);
    refused("", "this is not JMESPath", 0);
}

#[test]
fn long_and_deep_expressions_are_refused_before_the_parser_sees_them() {
    let mut paths = PathSetBuilder::new();
    let mut compile = |text: &str| Expression::compile(text, &mut paths);
    assert!(compile(&"a".repeat(4096)).is_ok());
    let sentence = compile(&"a".repeat(4097)).expect_err("too long");
    assert!(sentence.contains("4097 bytes, more than 4096"), "{sentence}");
    for (open, inner, close) in [
        ("(", "a", ")"),
        ("[", "a", "]"),
        ("{a:", "a", "}"),
        ("length(", "a", ")"),
        ("a[?", "a", "]"),
        ("!", "a", ""),
        ("*.", "a", ""),
        ("a[*].", "a", ""),
    ] {
        let text = |levels| format!("{}{inner}{}", open.repeat(levels), close.repeat(levels));
        assert!(compile(&text(60)).is_ok(), "{open}");
        for levels in [70, 400, 4000 / (open.len() + close.len())] {
            let sentence = compile(&text(levels)).expect_err(open);
            let is_bounded =
                sentence.contains("deeper than 64") || sentence.contains("than 256 op");
            assert!(is_bounded, "{open} {levels}: {sentence}");
        }
    }
    for chain in [".a", "[0]", "|a", "||a", "&&a", "[]", "==a"] {
        let sentence = compile(&format!("a{}", chain.repeat(4000 / chain.len()))).expect_err(chain);
        assert!(sentence.contains("more than 256 operators"), "{chain}: {sentence}");
    }
    let quoted = format!(
        "a == '{}' || b == \"{}\" || `\"{}\"`",
        "[(".repeat(500),
        "{".repeat(500),
        "&".repeat(500)
    );
    assert!(compile(&quoted).is_ok(), "brackets in quotes do not nest");
}

#[test]
fn the_longest_chains_fit_a_small_stack() {
    let chains: Vec<String> = [(".a", 1), ("[0]", 1), ("||a", 2), ("&&a", 2), ("[]", 1), ("|a", 1)]
        .iter()
        .map(|(chain, operators)| format!("a{}", chain.repeat(256 / operators)))
        .chain(["!", "*.", "a[*]."].map(|open| format!("{}a", open.repeat(64))))
        .chain([format!("{}a{}", "a[?".repeat(64), "]".repeat(64))])
        .collect();
    let deep = format!("{}1{}", "[".repeat(64), "]".repeat(64));
    let evaluate = move || {
        for chain in chains {
            let mut paths = PathSetBuilder::new();
            let expression = Expression::compile(&chain, &mut paths).expect(&chain);
            let paths = paths.build();
            let mut value = Vec::new();
            for field in [&*deep, r#"{"a":{"a":false}}"#, r#"{"a":[[1]]}"#] {
                let (mut document, field) = (Document::new(), field.as_bytes());
                let mut steps = steps(field);
                expression.evaluate(&paths, &mut document, field, &mut steps, &mut value);
            }
        }
    };
    #[expect(clippy::disallowed_types, reason = "a stack of known size")]
    let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(evaluate).unwrap();
    thread.join().expect("the stack is enough");
}

#[test]
fn numbers_beyond_f64_are_nothing_to_a_path_and_not_json_to_the_rest() {
    let field = br#"{"a":1e999,"b":"x"}"#;
    assert_eq!(ask("b", field), (Answer::Text, "x".into()));
    assert_eq!(ask("a", field), (Answer::Other, String::new()));
    assert_eq!(ask("b || a", field).0, Answer::NotJson(NotJson::NumberRange));
}

#[test]
fn a_value_is_built_once_for_all_expressions() {
    let mut paths = PathSetBuilder::new();
    let first = Expression::compile("length(a)", &mut paths).unwrap();
    let second = Expression::compile("a[-1]", &mut paths).unwrap();
    let (paths, mut document, mut value) = (paths.build(), Document::new(), Vec::new());
    let field = br#"{"a":["x","y"]}"#;
    let mut steps = steps(field);
    let mut ask = |expression: &Expression, document: &mut Document| {
        expression.evaluate(&paths, document, field, &mut steps, &mut value)
    };
    assert_eq!(ask(&first, &mut document), Answer::Other);
    let built = document.tree(field, &mut Steps::default()).unwrap().value.clone();
    assert_eq!(ask(&second, &mut document), Answer::Text);
    assert_eq!(value, b"y");
    assert!(Arc::ptr_eq(&built, document.tree(field, &mut Steps::default()).unwrap().value));
}

/// Each doubles what it gets: joined 26 times in a row, 18 bytes became gigabytes.
#[test]
fn what_multiplies_is_stopped() {
    let doubled = ["join('', [@, @])"; 26].join(" | ");
    let shared = ["[@, @]"; 26].join(" | ");
    let escaped = ["to_string([@])"; 26].join(" | ");
    for text in [
        doubled,
        format!("to_string({shared})"),
        format!("({shared}) == ({shared})"),
        format!("contains({shared}, to_array(@))"),
        format!("({shared}){}", "[]".repeat(25)),
        escaped,
    ] {
        let mut answer = None;
        let memory =
            allocation_counter::measure(|| answer = Some(ask(&text, br#""16 bytes of text""#)));
        assert_eq!(answer, Some((Answer::NotJson(NotJson::TooCostly), String::new())), "{text}");
        assert!(memory.bytes_max < 1 << 20, "{text}: {memory:?}");
    }
}

#[test]
fn what_is_spent_is_spent_for_one_message() {
    let mut paths = PathSetBuilder::new();
    let mut compile = |text: &str| Expression::compile(text, &mut paths).unwrap();
    let dear = compile(&["[@, @][]"; 40].join(" | "));
    let cheap = compile("a || length(@)");
    let (paths, mut document, mut value) = (paths.build(), Document::new(), Vec::new());
    let mut evaluate = |expression: &Expression, field: &[u8]| {
        document.clear();
        let mut steps = steps(field);
        let first = expression.evaluate(&paths, &mut document, field, &mut steps, &mut value);
        (first, cheap.evaluate(&paths, &mut document, field, &mut steps, &mut value))
    };
    for _ in 0..2 {
        let answers = evaluate(&dear, b"[1]");
        assert_eq!(answers, (Answer::NotJson(NotJson::TooCostly), Answer::Other));
        assert_eq!(evaluate(&cheap, b"[1]"), (Answer::Other, Answer::Other));
    }
}

const EXPRESSIONS: [&str; 112] = [
    "a",
    "meta.topic",
    "meta.a.b",
    "\"\"",
    "\"a\\\"b\"",
    "\"\u{fc}\".a",
    "@",
    "@.a",
    "a[0]",
    "[0]",
    "[1].a",
    "a[0].b[1]",
    "a | b",
    "a | @ | b",
    "(a).b",
    "a.\"\\u0062\"",
    "\"\\u006deta\".topic",
    "[-1]",
    "a[-1]",
    "*",
    "a.*",
    "[*].a",
    "a[].b",
    "a[?b]",
    "a || b",
    "a && b",
    "!a",
    "a == b",
    "a < b",
    "`1`",
    "'x'",
    "[a, b]",
    "{x: a, y: b}",
    "length(a)",
    "to_string(@)",
    "keys(@)",
    "sort(a)",
    "max(a)",
    "join(',', a)",
    "not_null(a, b, meta)",
    "a[::-1]",
    "[1:]",
    "type(a)",
    "sum(a)",
    "[-2].a",
    "a[-9]",
    "a[1:3]",
    "a[-2::-1]",
    "[::2]",
    "[]",
    "[][]",
    "*.*",
    "[*].*",
    "*[].a",
    "[?a == b]",
    "[?@ == `1`]",
    "*[?a != 'x']",
    "[?a >= `1` || b].a",
    "[?!a]",
    "[?a].[b, a]",
    "a <= b",
    "a > b",
    "a != b",
    "a == `[1]`",
    "a == `{\"a\": 1}`",
    "[a, b] == [b, a]",
    "[@] == [@]",
    "{x: a} == {x: b}",
    "[a, b][*].a",
    "{x: a, y: b}.*",
    "a.[a, b]",
    "a.{x: a}",
    "!(a && b)",
    "(a || b).a",
    "a | [0] | a",
    "abs(a)",
    "avg(a)",
    "ceil(a)",
    "floor(a)",
    "contains(a, b)",
    "contains(a, 'x')",
    "contains(@, `1`)",
    "starts_with(a, 'x')",
    "ends_with(a, b)",
    "join(a, b)",
    "join('-', values(@))",
    "keys(a)[0]",
    "values(a)[0]",
    "map(&a, @)",
    "map(&to_string(@), a)",
    "map(&map(&a, @), @)",
    "max_by(@, &a)",
    "max_by(a, &@)",
    "min_by(@, &to_string(a))",
    "min_by(a, &@)",
    "sort_by(@, &a)",
    "sort_by(a, &@)",
    "sort_by(@, &to_string(@))[0]",
    "max(@)",
    "min(a)",
    "merge(a, b)",
    "merge(@, {x: a}).x",
    "not_null(a.a, b.b, 'x')",
    "reverse(a)",
    "reverse(@)",
    "sort(@)",
    "to_array(a)",
    "to_number(a)",
    "to_number(to_string(@))",
    "to_string(a)",
    "to_string([a, b])",
    "length(@)",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_expression_answers_as_the_crate(document in documents::document(), object in documents::object()) {
        for expression in EXPRESSIONS {
            for field in [&document, &object] {
                prop_assert_eq!(
                    ask(expression, field.as_bytes()), reference(expression, field),
                    "{} of {}", expression, field
                );
            }
        }
    }

    #[test]
    fn damaged_documents_answer_as_the_crate(field in documents::damaged()) {
        let Ok(text) = std::str::from_utf8(&field) else {
            prop_assert_eq!(ask("a", &field).0, Answer::NotJson(NotJson::Syntax));
            return Ok(());
        };
        let parsed = serde_json::from_str::<serde_json::Value>(text);
        if parsed.is_err_and(|error| error.to_string().contains("number out of range")) {
            return Ok(());
        }
        for expression in EXPRESSIONS {
            let (answer, value) = ask(expression, &field);
            prop_assert_eq!((answer, value), reference(expression, text), "{} of {}", expression, text);
        }
    }

    #[test]
    fn any_text_compiles_or_is_refused(text in "[a-c0-9\"'`.*@&|!=<>(){}\\[\\]?:, \\\\-]{0,30}") {
        let compiled = Expression::compile(&text, &mut PathSetBuilder::new());
        if jmespath::compile(&text).is_err() {
            prop_assert!(compiled.is_err());
        }
    }
}
