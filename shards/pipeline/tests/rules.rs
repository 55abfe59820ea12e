//! The cases of tests/cases/rules.toml, through parser and rules.

use corndog_pipeline::counters::Dropped;
use corndog_pipeline::message::Message;
use corndog_pipeline::rules::{
    ActionConfig, Field, ForwardConfig, MatcherConfig, PayloadFormat, RoutingConfig, RuleConfig,
};
use corndog_pipeline::ruleset::{RuleSet, Verdict};
use corndog_pipeline::template::Context;
use corndog_pipeline::topics::TopicTable;
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[expect(dead_code, reason = "for the reader of the file")]
    source: String,
    #[serde(default)]
    allow: Vec<String>,
    fallback: Option<String>,
    distinct: Option<usize>,
    rule: Vec<CaseRule>,
    message: Vec<CaseMessage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseRule {
    field: Option<String>,
    regex: Option<String>,
    actions: Vec<CaseAction>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseAction {
    forward: Option<String>,
    key: Option<String>,
    #[serde(default)]
    stop: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseMessage {
    input: String,
    topic: Option<String>,
    key: Option<String>,
    dropped: Option<String>,
}

fn forward_to(topic: &str, key: Option<&String>) -> ActionConfig {
    ActionConfig::Forward(ForwardConfig {
        topic: topic.into(),
        key: key.cloned(),
        headers: Vec::new(),
        format: PayloadFormat::default(),
    })
}

fn action(action: &CaseAction) -> ActionConfig {
    match &action.forward {
        Some(topic) => forward_to(topic, action.key.as_ref()),
        None => {
            assert!(action.stop, "an action forwards or stops");
            ActionConfig::Stop
        }
    }
}

fn rules(case: &Case) -> Vec<RuleConfig> {
    let rule = |rule: &CaseRule| RuleConfig {
        name: String::new(),
        field: Field::parse(rule.field.as_deref().unwrap_or("msg")).expect("a field"),
        matcher: rule.regex.clone().map_or(MatcherConfig::Always, MatcherConfig::Regex),
        actions: rule.actions.iter().map(action).collect(),
    };
    case.rule.iter().map(rule).collect()
}

#[test]
fn every_case_gets_its_verdict() {
    let cases: Cases =
        toml::from_str(include_str!("../../../tests/cases/rules.toml")).expect("cases are TOML");
    assert!(cases.case.len() >= 15);
    for case in &cases.case {
        let routing = RoutingConfig {
            allow: case.allow.clone(),
            fallback: case.fallback.clone(),
            distinct: case.distinct.unwrap_or(100),
            ..RoutingConfig::default()
        };
        let mut rules = RuleSet::compile(&rules(case), &routing)
            .unwrap_or_else(|mistakes| panic!("{}: {mistakes:?}", case.name));
        let table = TopicTable::new(rules.configured_topics(), routing.distinct);
        rules.place(&table).expect("there is room");
        let mut scratch = rules.scratch();
        for message in &case.message {
            let parsed = Message::parse(message.input.as_bytes(), b"127.0.0.1");
            let context = Context {
                peer: b"127.0.0.1",
                listener: b"plain",
                now: jiff::Timestamp::UNIX_EPOCH,
            };
            let verdict = rules.evaluate(&parsed, &context, &table, &mut scratch);
            let (topic, key, dropped) = match verdict {
                Verdict::Forward { record, .. } => (table.name(record.topic), record.key, None),
                Verdict::Drop { reason, .. } => (None, None, Some(Dropped::name(reason))),
            };
            let shown = format!("{}: {}", case.name, message.input);
            assert_eq!(topic, message.topic.as_deref(), "{shown}");
            assert_eq!(key, message.key.as_deref().map(str::as_bytes), "{shown}");
            assert_eq!(dropped, message.dropped.as_deref(), "{shown}");
        }
    }
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

#[test]
fn bytes_that_are_no_text_are_searched_as_well() {
    let rules = [forward(r"(?-u:\xff)x", "t")];
    let mut rules = RuleSet::compile(&rules, &RoutingConfig::default()).expect("legal");
    let table = TopicTable::new(rules.configured_topics(), 0);
    rules.place(&table).expect("there is room");
    let context = Context { peer: b"p", listener: b"l", now: jiff::Timestamp::UNIX_EPOCH };
    let message = Message::parse(b"\xfe\xffx", b"p");
    let mut scratch = rules.scratch();
    let verdict = rules.evaluate(&message, &context, &table, &mut scratch);
    assert!(matches!(verdict, Verdict::Forward { .. }));
}
