//! Rules and messages as TOML, with what becomes of each: of the rule set and of the reference.

use std::collections::BTreeMap;

use corndog_pipeline::rules::{
    ActionConfig, Field, ForwardConfig, MatcherConfig, PayloadFormat, RecordTime, RoutingConfig,
    RuleConfig, SampleConfig,
};
use corndog_pipeline::template::Context;
use serde::Deserialize;
use serde_json::Value;

use super::generate::Generated;
use super::json;
use super::pair::Pair;
use super::{Outcome, Payload, PlainRecord};

/// Rules as in config.toml, routing as in its [topics], and messages in order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it says, as a statement.
    #[serde(default)]
    pub name: String,
    /// Where that is written.
    #[serde(default)]
    pub source: String,
    allow: Option<Vec<String>>,
    fallback: Option<String>,
    dead_letter: Option<String>,
    distinct: Option<usize>,
    unmatched: Option<String>,
    record_time: Option<String>,
    rule: Vec<CaseRule>,
    message: Vec<CaseMessage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseRule {
    #[serde(default)]
    name: String,
    field: Option<String>,
    regex: Option<String>,
    jmespath: Option<String>,
    actions: Vec<CaseAction>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseAction {
    forward: Option<String>,
    key: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    format: Option<String>,
    merge: Option<Value>,
    replace: Option<String>,
    sample: Option<BTreeMap<String, u64>>,
    #[serde(default)]
    stop: bool,
}

/// A message, and what is expected of it: a topic with what else is named, or a reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseMessage {
    input: String,
    /// Bytes that no TOML string holds, as hexadecimal digits behind the input.
    #[serde(default)]
    bytes: String,
    /// Milliseconds behind 2026-11-23T09:10:10Z.
    #[serde(default)]
    after_ms: i64,
    topic: Option<String>,
    key: Option<String>,
    /// Pairs of name and value, in order.
    headers: Option<Vec<(String, String)>>,
    payload: Option<String>,
    /// The payload as JSON, in any spelling.
    json: Option<Value>,
    dropped: Option<String>,
    /// It is a dead letter: why.
    dead_letter: Option<String>,
}

/// When a case's messages are received.
pub const RECEIVED_MS: i64 = 1_795_425_010_000;

impl Case {
    /// Reads one case.
    pub fn read(text: &str) -> Case {
        toml::from_str(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn routing(&self) -> RoutingConfig {
        RoutingConfig {
            allow: self.allow.clone().unwrap_or_default(),
            fallback: self.fallback.clone(),
            dead_letter: self.dead_letter.clone(),
            distinct: self.distinct.unwrap_or(100),
            unmatched: self.unmatched.clone(),
            record_time: match self.record_time.as_deref() {
                None | Some("received") => RecordTime::Received,
                Some("message") => RecordTime::Message,
                Some(other) => panic!("record_time = {other:?}"),
            },
        }
    }

    /// The rules, as the configuration would hand them over.
    pub fn generated(&self) -> Generated {
        Generated {
            rules: self.rule.iter().map(CaseRule::config).collect(),
            routing: self.routing(),
        }
    }

    /// Runs the messages through both.
    ///
    /// Panics: where they differ, or do not say what is expected.
    pub fn hold(&self) {
        let mut pair = Pair::new(&self.generated())
            .unwrap_or_else(|mistakes| panic!("{}: {mistakes:#?}", self.name));
        for (number, message) in self.message.iter().enumerate() {
            let shown = format!("{}, message {}: {}", self.name, number + 1, message.input);
            let now = jiff::Timestamp::from_millisecond(RECEIVED_MS + message.after_ms);
            let now = now.expect("in this century");
            let context = Context {
                peer: b"127.0.0.1",
                listener: b"plain",
                now,
                zone: &jiff::tz::TimeZone::UTC,
                client_name: None,
                credentials: None,
            };
            let said = pair.evaluate(&message.frame(), &context);
            message.check(&said.found, &shown);
            if let Some(difference) = said.difference() {
                panic!("{shown}\n{difference}");
            }
        }
    }
}

impl CaseRule {
    fn config(&self) -> RuleConfig {
        let matcher = match (&self.regex, &self.jmespath) {
            (None, None) => MatcherConfig::Always,
            (Some(pattern), None) => MatcherConfig::Regex(pattern.clone()),
            (None, Some(expression)) => MatcherConfig::Jmespath(expression.clone()),
            (Some(_), Some(_)) => panic!("a rule has one matcher"),
        };
        RuleConfig {
            name: self.name.clone(),
            field: Field::parse(self.field.as_deref().unwrap_or("msg")).expect("a field"),
            matcher,
            actions: self.actions.iter().map(CaseAction::config).collect(),
        }
    }
}

impl CaseAction {
    fn config(&self) -> ActionConfig {
        if let Some(topic) = &self.forward {
            return ActionConfig::Forward(ForwardConfig {
                topic: topic.clone(),
                key: self.key.clone(),
                headers: self.headers.clone().into_iter().collect(),
                format: match self.format.as_deref() {
                    None | Some("msg") => PayloadFormat::Msg,
                    Some("raw") => PayloadFormat::Raw,
                    Some("json") => PayloadFormat::Json,
                    Some(other) => panic!("format = {other:?}"),
                },
            });
        }
        if let Some(tree) = &self.merge {
            return ActionConfig::Merge(tree.clone());
        }
        if let Some(template) = &self.replace {
            return ActionConfig::Replace(template.clone());
        }
        if let Some(sample) = &self.sample {
            return ActionConfig::Sample(match sample.first_key_value() {
                Some((key, count)) if key == "one_in" => SampleConfig::OneIn(*count),
                Some((key, count)) if key == "per_second" => SampleConfig::PerSecond(*count),
                other => panic!("sample = {other:?}"),
            });
        }
        assert!(self.stop, "an action does something");
        ActionConfig::Stop
    }
}

impl CaseMessage {
    fn frame(&self) -> Vec<u8> {
        let digits = self.bytes.as_bytes().chunks(2);
        let byte = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).expect("digits");
            u8::from_str_radix(pair, 16).expect("hexadecimal")
        };
        self.input.bytes().chain(digits.map(byte)).collect()
    }

    fn check(&self, found: &Outcome, shown: &str) {
        let record = match found {
            Outcome::Drop { reason, .. } => {
                assert_eq!(self.dropped.as_deref(), Some(*reason), "{shown}");
                return;
            }
            Outcome::Forward(record) => record,
        };
        assert_eq!(self.dropped, None, "{shown}: it was forwarded to {}", record.topic);
        assert_eq!(self.topic.as_deref(), Some(record.topic.as_str()), "{shown}");
        assert_eq!(self.key.as_ref().map(String::as_bytes), record.key.as_deref(), "{shown}");
        assert_eq!(self.dead_letter.as_deref(), record.dead_letter, "{shown}");
        self.check_payload(record, shown);
        if let Some(expected) = &self.headers {
            let found = record.headers.iter();
            let found: Vec<(String, String)> = found
                .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into()))
                .collect();
            assert_eq!(&found, expected, "{shown}");
        }
    }

    fn check_payload(&self, record: &PlainRecord, shown: &str) {
        let Payload::Bytes(payload) = &record.payload else { unreachable!("a record has bytes") };
        if let Some(expected) = &self.payload {
            assert_eq!(String::from_utf8_lossy(payload), expected.as_str(), "{shown}");
        }
        if let Some(expected) = &self.json {
            let found = json::parse(payload);
            assert_eq!(found.as_ref(), Some(expected), "{shown}");
        }
    }
}
