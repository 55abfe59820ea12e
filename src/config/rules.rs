//! `[[rule]]`: from what was typed to what the pipeline compiles.
//!
//! Here patterns and expressions are bounded. What they say is compiled by the pipeline, rule by
//! rule and only to hear its mistakes, so that one pass over the file finds these too. What a rule
//! does: `actions.rs`.

use super::actions;
use super::kafka::KafkaSettings;
use super::limits::{EXPRESSION_BYTES_MAX, PATTERN_BYTES_MAX, RULES_MAX};
use super::section::{Mistakes, Section, nearest, show};
use corndog_pipeline::rules::{ActionConfig, Field, MatcherConfig, RoutingConfig, RuleConfig};
use corndog_pipeline::ruleset::RuleSet;
use toml::Value;

/// What an action without a topic needs, and what confines one with a template.
pub struct Topics<'a> {
    /// For `kafka.topic`.
    pub kafka: &'a KafkaSettings,
    /// For `topics.allow`.
    pub routing: &'a RoutingConfig,
}

/// Reads all rules, in their order.
pub fn read(
    entries: Option<Vec<Section<'_>>>,
    topics: &Topics<'_>,
    mistakes: &Mistakes,
    warnings: &mut Vec<String>,
) -> Vec<RuleConfig> {
    let entries = entries.unwrap_or_default();
    if entries.is_empty()
        && topics.routing.unmatched.is_none()
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
    let allow = if is_mistaken { vec!["*".to_owned()] } else { topics.routing.allow.clone() };
    let routing = RoutingConfig { allow, ..RoutingConfig::default() };
    let mut rules = Vec::with_capacity(entries.len());
    let mut ends_all = None;
    for (index, entry) in entries.into_iter().enumerate() {
        let (rule, is_always) = read_rule(entry, topics.kafka, &routing, warnings);
        if is_always && ends_all.is_none() && ends_messages(&rule) {
            ends_all = Some(index + 1);
        }
        rules.push(rule);
    }
    if let Some(last) = ends_all.filter(|last| *last < rules.len()) {
        warnings.push(format!(
            "rule {}: never reached, because rule {last} matches every message and ends it; move \
             rule {last} to the end",
            last + 1
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
    kafka: &KafkaSettings,
    routing: &RoutingConfig,
    warnings: &mut Vec<String>,
) -> (RuleConfig, bool) {
    let mistakes_before = entry.mistakes.count();
    let name = super::read_name(&mut entry).unwrap_or_default();
    let field = read_field(&mut entry);
    let matcher = read_matcher(&mut entry);
    let actions = actions::read(&mut entry, kafka, warnings);
    let path = entry.path().to_owned();
    let mistakes = entry.mistakes;
    entry.finish();
    let rule = RuleConfig { name, field, matcher, actions };
    if mistakes.count() > mistakes_before {
        return (rule, false);
    }
    let is_always = compile(&rule, &path, routing, mistakes);
    // Every message has these; others may lack theirs, and then no pattern matches.
    let is_everywhere = matches!(rule.field, Field::Msg | Field::Facility | Field::Severity);
    (rule, is_always && is_everywhere)
}

fn read_matcher(entry: &mut Section<'_>) -> MatcherConfig {
    let regex = entry.text("regex", "error|panic");
    let jmespath = entry.text("jmespath", "meta.topic");
    let bounds = [
        ("regex", &regex, PATTERN_BYTES_MAX, "all patterns are compiled"),
        ("jmespath", &jmespath, EXPRESSION_BYTES_MAX, "all expressions are compiled"),
    ];
    for (key, text, bytes_max, why) in bounds {
        let Some(bytes) = text.as_ref().map(String::len) else { continue };
        if bytes > bytes_max {
            let sentence = format!(
                "{bytes} bytes; give at most {bytes_max}, because {why} at the start: split it \
                 into several rules"
            );
            entry.mistake(key, &sentence);
        }
    }
    match (regex, jmespath) {
        (None, None) => MatcherConfig::Always,
        (Some(regex), None) => MatcherConfig::Regex(regex),
        (None, Some(jmespath)) => MatcherConfig::Jmespath(jmespath),
        (Some(regex), Some(_)) => {
            entry.mistake(
                "jmespath",
                "stands beside regex in one rule; keep one of them, or write two rules",
            );
            MatcherConfig::Regex(regex)
        }
    }
}

/// Notes what the pipeline refuses in a rule that is otherwise in order. True if it matches
/// whatever the field holds.
fn compile(rule: &RuleConfig, path: &str, routing: &RoutingConfig, mistakes: &Mistakes) -> bool {
    let nameless = RuleConfig { name: String::new(), ..rule.clone() };
    let refusals = match RuleSet::compile(&[nameless], routing) {
        Ok(rules) => {
            let is_regex = matches!(rule.matcher, MatcherConfig::Regex(_));
            return rule.matcher == MatcherConfig::Always || is_regex && rules.pattern_count() == 0;
        }
        Err(refusals) => refusals,
    };
    for refusal in refusals {
        let refusal = refusal.strip_prefix("rule 1: ").unwrap_or(&refusal);
        match refusal.split_once(": ") {
            Some((key, why)) => mistakes.add(&format!("{path}, {key}"), why),
            None => mistakes.add(path, refusal),
        }
    }
    false
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
