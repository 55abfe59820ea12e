//! `[[rule]]`: from what was typed to what the pipeline compiles.
//!
//! Here patterns and expressions are bounded. What they say is compiled by the pipeline, rule by
//! rule and only to hear its mistakes, so that one pass over the file finds these too; of a rule
//! that has some, `parts.rs` finds all. What a rule does: `actions.rs`.

use super::actions::{self, Actions};
use super::kafka::KafkaSettings;
use super::limits::{EXPRESSION_BYTES_MAX, PATTERN_BYTES_MAX, RULES_MAX};
use super::parts::{self, Matcher};
use super::section::{Mistakes, Section, nearest, show};
use corndog_pipeline::rules::{ActionConfig, Field, MatcherConfig, RoutingConfig, RuleConfig};
use corndog_pipeline::ruleset::RuleSet;
use std::fmt;
use toml::Value;

/// Where a rule stood in the file that it was translated from; all numbers are from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulePlace {
    /// Its own.
    pub number: usize,
    /// On which it begins.
    pub line: usize,
    /// Of each of its actions that came along.
    pub actions: Vec<usize>,
}

impl fmt::Display for RulePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} (line {})", self.number, self.line)
    }
}

/// What an action without a topic needs, and what confines one with a template.
pub struct Around<'a> {
    /// Of each rule, where the file is a translation; else empty.
    pub places: &'a [RulePlace],
    /// For `kafka.topic`.
    pub kafka: &'a KafkaSettings,
    /// For `topics.allow`.
    pub routing: &'a RoutingConfig,
}

/// Reads all rules, in their order.
pub fn read(
    entries: Option<Vec<Section<'_>>>,
    around: &Around<'_>,
    mistakes: &Mistakes,
    warnings: &mut Vec<String>,
) -> Vec<RuleConfig> {
    let entries = entries.unwrap_or_default();
    if entries.is_empty()
        && around.routing.unmatched.is_none()
        && !mistakes.concern(&["rule", "unmatched", "unmatched.action", "unmatched.topic"])
    {
        mistakes.add(
            "rule",
            "there is none, so every message would be dropped; to forward all, add [[rule]] and \
             below it actions = [{ forward = \"\" }]",
        );
    }
    if entries.len() > RULES_MAX {
        let sentence = format!(
            "{} rules; give at most {RULES_MAX}, because a message that matches none is tried \
             against each",
            entries.len()
        );
        mistakes.add("rule", &sentence);
        return Vec::new();
    }
    // A mistake in the list itself is noted already; then every topic may pass.
    let is_mistaken = mistakes.concern(&["topics", "topics.allow"]);
    let allow = if is_mistaken { vec!["*".to_owned()] } else { around.routing.allow.clone() };
    let routing = RoutingConfig { allow, ..RoutingConfig::default() };
    let mut rules = Vec::with_capacity(entries.len());
    let mut ends_all = None;
    let called = |index: usize| match around.places.get(index) {
        Some(place) => place.to_string(),
        None => format!("rule {}", index + 1),
    };
    for (index, entry) in entries.into_iter().enumerate() {
        let entry = if around.places.is_empty() { entry } else { entry.called(called(index)) };
        let (rule, is_always) = read_rule(entry, around, index, &routing, warnings);
        if is_always && ends_all.is_none() && ends_messages(&rule) {
            ends_all = Some(index);
        }
        rules.push(rule);
    }
    if let Some(last) = ends_all.filter(|last| last + 1 < rules.len()) {
        let (next, last) = (called(last + 1), called(last));
        warnings.push(format!(
            "{next}: never reached, because {last} matches every message and ends it; move {last} \
             to the end"
        ));
    }
    rules
}

/// Whether it ends every message that it matches.
fn ends_messages(rule: &RuleConfig) -> bool {
    let is_sample = |action: &ActionConfig| matches!(action, ActionConfig::Sample(_));
    matches!(rule.actions.last(), Some(ActionConfig::Forward(_) | ActionConfig::Stop))
        && !rule.actions.iter().any(is_sample)
}

/// A rule, and whether it matches every message.
fn read_rule(
    mut entry: Section<'_>,
    around: &Around<'_>,
    index: usize,
    routing: &RoutingConfig,
    warnings: &mut Vec<String>,
) -> (RuleConfig, bool) {
    let mistakes_before = entry.mistakes.count();
    let name = super::read_name(&mut entry).unwrap_or_default();
    let field = read_field(&mut entry);
    let matcher = read_matcher(&mut entry);
    let numbers = around.places.get(index).map_or(&[][..], |place| &place.actions);
    let Actions { run, typed } = actions::read(&mut entry, around.kafka, numbers, warnings);
    let path = entry.path().to_owned();
    let mistakes = entry.mistakes;
    entry.finish();
    let rule = RuleConfig { name, field, matcher: matcher.config.clone(), actions: run };
    if mistakes.count() > mistakes_before {
        parts::check(&matcher, &typed, &path, routing, mistakes);
        return (rule, false);
    }
    let nameless = RuleConfig { name: String::new(), ..rule.clone() };
    match RuleSet::compile(&[nameless], routing) {
        Ok(rules) => {
            let is_regex = matches!(rule.matcher, MatcherConfig::Regex(_));
            let is_always =
                rule.matcher == MatcherConfig::Always || is_regex && rules.pattern_count() == 0;
            // Every message has these; others may lack theirs, and then no pattern matches.
            let is_everywhere =
                matches!(rule.field, Field::Msg | Field::Facility | Field::Severity);
            (rule, is_always && is_everywhere)
        }
        Err(refusals) => {
            parts::check(&matcher, &typed, &path, routing, mistakes);
            if mistakes.count() == mistakes_before {
                parts::note(refusals, &path, mistakes);
            }
            (rule, false)
        }
    }
}

fn read_matcher(entry: &mut Section<'_>) -> Matcher {
    let mistakes_before = entry.mistakes.count();
    let regex = entry.text("regex", "error|panic");
    let jmespath = entry.text("jmespath", "meta.topic");
    let is_read = entry.mistakes.count() == mistakes_before;
    let texts = [regex.as_deref(), jmespath.as_deref()];
    let [pattern, expression] = [
        texts[0].map(|text| MatcherConfig::Regex(text.to_owned())),
        texts[1].map(|text| MatcherConfig::Jmespath(text.to_owned())),
    ];
    let bounds = [
        ("regex", &pattern, PATTERN_BYTES_MAX, "all patterns are compiled"),
        ("jmespath", &expression, EXPRESSION_BYTES_MAX, "all expressions are compiled"),
    ];
    let mut sound = Vec::new();
    for ((key, config, bytes_max, why), text) in bounds.into_iter().zip(texts) {
        let bytes = text.map_or(0, str::len);
        if bytes > bytes_max {
            let sentence = format!(
                "{bytes} bytes; give at most {bytes_max}, because {why} at the start: split it \
                 into several rules"
            );
            entry.mistake(key, &sentence);
        } else {
            sound.extend(config.clone());
        }
    }
    if pattern.is_some() && expression.is_some() {
        entry.mistake(
            "jmespath",
            "stands beside regex in one rule; keep one of them, or write two rules",
        );
    }
    let names = is_read.then(|| Matcher::names(texts));
    let config = pattern.or(expression).unwrap_or(MatcherConfig::Always);
    Matcher { config, sound, names }
}

fn read_field(entry: &mut Section<'_>) -> Field {
    let Some(name) = entry.text("field", "msg") else { return Field::Msg };
    if let Some(field) = Field::parse(&name) {
        return field;
    }
    let names = Field::NAMED.map(|(known, _)| known);
    let shown = show(&Value::String(name.clone()));
    let sentence = match nearest(&name, &names) {
        _ if name.starts_with("sd.") => {
            format!("{shown} is no field of structured data; write sd.ID.PARAM")
        }
        Some(near) => format!("{shown} is an unknown field; did you mean \"{near}\"?"),
        None => {
            format!("{shown} is an unknown field; write one of {}, sd.ID.PARAM", names.join(", "))
        }
    };
    entry.mistake("field", &sentence);
    Field::Msg
}
