//! The cases of tests/cases/rules.toml, through parser and rules.

#[allow(dead_code, reason = "the other tests and the example use the rest")]
mod reference;

use std::collections::BTreeMap;

use corndog_pipeline::message::Message;
use corndog_pipeline::rules::{
    ActionConfig, Field, ForwardConfig, MatcherConfig, PayloadFormat, RoutingConfig, RuleConfig,
};
use corndog_pipeline::ruleset::{RuleSet, Verdict};
use corndog_pipeline::template::Context;
use corndog_pipeline::topics::TopicTable;
use proptest::prelude::*;
use reference::cases::Case;
use reference::run::{self, Stream};
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[test]
fn every_case_gets_its_verdict() {
    let cases: Cases =
        toml::from_str(include_str!("../../../tests/cases/rules.toml")).expect("cases are TOML");
    assert!(cases.case.len() >= 15);
    for case in &cases.case {
        assert!(!case.name.is_empty() && !case.source.is_empty(), "a case says what and whence");
        case.hold();
    }
}

#[test]
fn what_is_too_long_is_a_dead_letter_that_names_its_topic() {
    let long = "x".repeat(70_000);
    for (topic, action) in [
        ("fixed", r#"{ forward = "fixed", key = "{{msg}}" }"#),
        ("made-h", r#"{ forward = "made-{{hostname}}", headers = { msg = "{{msg}}" } }"#),
    ] {
        let case = format!(
            r#"
            allow = ["made-*"]
            dead_letter = "dead"
            rule = [{{ actions = [{action}] }}]
            [[message]]
            input = "<13>1 - h a - - - {long}"
            topic = "dead"
            dead_letter = "oversize"
            payload = "<13>1 - h a - - - {long}"
            headers = [
                ["corndog.reason", "oversize"],
                ["corndog.rule", "1"],
                ["corndog.listener", "plain"],
                ["corndog.peer", "127.0.0.1"],
                ["corndog.topic", "{topic}"],
                ["corndog.time", "2026-11-23T09:10:10.000000Z"],
            ]"#
        );
        Case::read(&case).hold();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 0, ..Default::default() })]
    #[test]
    fn rules_agree_with_their_plain_reference(seed: u64) {
        let agreed = run::agree(Stream { seed, set: 0 }, 500, &mut BTreeMap::new());
        prop_assert!(agreed.is_ok(), "{}", agreed.unwrap_err());
    }
}

fn forward_to(topic: &str, key: Option<&String>) -> ActionConfig {
    ActionConfig::Forward(ForwardConfig {
        topic: topic.into(),
        key: key.cloned(),
        headers: Vec::new(),
        format: PayloadFormat::default(),
    })
}

fn forward(regex: &str, topic: &str) -> RuleConfig {
    RuleConfig {
        name: "r".into(),
        field: Field::Msg,
        matcher: MatcherConfig::Regex(regex.into()),
        actions: vec![forward_to(topic, None)],
    }
}

#[test]
fn every_mistake_is_one_sentence_with_the_rules_number() {
    let rules = [
        forward("a(", "t"),
        forward("a", "t-{{unknown}}"),
        forward("a", "t-{{msg}}"),
        forward("a", "a b"),
        forward("a", "t-{{msg"),
        forward("(?:a{1000}){1000}", "t"),
        forward(&format!("{}a{}", "(".repeat(500), ")".repeat(500)), "t"),
    ];
    let mistakes = RuleSet::compile(&rules, &RoutingConfig::default()).expect_err("all are wrong");
    assert_eq!(mistakes.len(), rules.len(), "{mistakes:#?}");
    for (number, mistake) in mistakes.iter().enumerate() {
        assert!(mistake.starts_with(&format!("rule {} (\"r\"): ", number + 1)), "{mistake}");
        let line_count = mistake.lines().count();
        assert!(line_count == 1 || mistake.contains("\n    ") && line_count == 3, "{mistake}");
    }
    assert!(mistakes[0].ends_with("unclosed group\n    a(\n     ^"), "{}", mistakes[0]);
}

fn jmespath(expression: &str) -> RuleConfig {
    RuleConfig { matcher: MatcherConfig::Jmespath(expression.into()), ..forward("", "t") }
}

/// Each has something to spend for itself: at some count it is more than a message may cost.
#[test]
fn expressions_and_patterns_share_one_bound() {
    let compile = |rules: &[RuleConfig]| RuleSet::compile(rules, &RoutingConfig::default());
    let general = |count| (0..count).map(|n| jmespath(&format!("a{n} || b"))).collect::<Vec<_>>();
    let gaps = |count| (0..count).map(|n| forward(&format!("k{n:03}=.*v{n:03}"), "t"));
    assert!(compile(&general(100)).is_ok());
    assert!(compile(&(0..4096).map(|n| jmespath(&format!("a{n}.b"))).collect::<Vec<_>>()).is_ok());
    assert!(compile(&gaps(100).collect::<Vec<_>>()).is_ok());
    for refused in [general(130), gaps(100).chain(general(100)).collect()] {
        let mistakes = compile(&refused).expect_err("too much together");
        assert_eq!(mistakes.len(), 1);
        assert!(mistakes[0].contains("expressions that are more than a path"), "{}", mistakes[0]);
    }
}

#[test]
fn bytes_that_are_no_text_are_searched_as_well() {
    let rules = [forward(r"(?-u:\xff)x", "t")];
    let mut rules = RuleSet::compile(&rules, &RoutingConfig::default()).expect("legal");
    let table = TopicTable::new(rules.configured_topics(), 0);
    rules.place(&table).expect("there is room");
    let context = Context {
        peer: b"p",
        listener: b"l",
        now: jiff::Timestamp::UNIX_EPOCH,
        zone: &jiff::tz::TimeZone::UTC,
        client_name: None,
        credentials: None,
    };
    let message = Message::parse(b"\xfe\xffx", b"p");
    let mut scratch = rules.scratch();
    let verdict = rules.evaluate(&message, &context, &table, &mut scratch);
    assert!(matches!(verdict, Verdict::Forward { .. }));
}
