//! `[[rule]]`: from what was typed to what the pipeline compiles.
//!
//! Here patterns and templates are bounded, and what can never run is refused. What they say is
//! compiled by the pipeline, rule by rule and only to hear its mistakes, so that one pass over the
//! file finds these too.

use super::kafka::KafkaSettings;
use super::limits::{PATTERN_BYTES_MAX, RULES_MAX, TEMPLATE_BYTES_MAX};
use super::section::{Mistakes, Section, nearest, show};
use corndog_pipeline::rules::{
    ActionConfig, Field, ForwardConfig, MatcherConfig, PayloadFormat, RoutingConfig, RuleConfig,
};
use corndog_pipeline::ruleset::RuleSet;
use toml::Value;

/// What an action without a topic needs, and what confines one with a template.
pub struct Topics<'a> {
    /// For `kafka.topic`.
    pub kafka: &'a KafkaSettings,
    /// For `topics.allow`.
    pub routing: &'a RoutingConfig,
}

/// Reads all rules; `None` when the file has none.
pub fn read(
    entries: Option<Vec<Section<'_>>>,
    topics: &Topics<'_>,
    mistakes: &Mistakes,
    warnings: &mut Vec<String>,
) -> Vec<RuleConfig> {
    let entries = entries.unwrap_or_default();
    if entries.is_empty() && !mistakes.concern(&["rule"]) {
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
    let rules: Vec<RuleConfig> =
        entries.into_iter().map(|entry| read_rule(entry, topics)).collect();
    let ends_all =
        |rule: &RuleConfig| rule.matcher == MatcherConfig::Always && !rule.actions.is_empty();
    let last = rules.iter().position(ends_all).map_or(rules.len(), |index| index + 1);
    if last < rules.len() {
        warnings.push(format!(
            "rule {}: never reached, because rule {last} matches every message and ends it; move \
             rule {last} to the end",
            last + 1
        ));
    }
    rules
}

fn read_rule(mut entry: Section<'_>, topics: &Topics<'_>) -> RuleConfig {
    let mistakes_before = entry.mistakes.count();
    let name = super::read_name(&mut entry).unwrap_or_default();
    let field = read_field(&mut entry);
    let regex = entry.text("regex", "error|panic");
    if let Some(regex) = regex.as_ref().filter(|regex| regex.len() > PATTERN_BYTES_MAX) {
        let sentence = format!(
            "{} bytes; give at most {PATTERN_BYTES_MAX}, because all patterns are compiled at \
             the start: split it into several rules",
            regex.len()
        );
        entry.mistake("regex", &sentence);
    }
    let actions = read_actions(&mut entry, topics);
    let path = entry.path().to_owned();
    let mistakes = entry.mistakes;
    entry.finish();
    let matcher = regex.map_or(MatcherConfig::Always, MatcherConfig::Regex);
    let rule = RuleConfig { name, field, matcher, actions };
    if mistakes.count() == mistakes_before {
        compile(&rule, &path, topics, mistakes);
    }
    rule
}

/// Notes what the pipeline refuses in a rule that is otherwise in order.
fn compile(rule: &RuleConfig, path: &str, topics: &Topics<'_>, mistakes: &Mistakes) {
    // A mistake in the list itself is noted already; then every topic may pass.
    let all = ["*".to_owned()];
    let is_mistaken = mistakes.concern(&["topics", "topics.allow"]);
    let allow = if is_mistaken { &all } else { topics.routing.allow.as_slice() };
    let rule = RuleConfig { name: String::new(), ..rule.clone() };
    let routing = RoutingConfig { allow: allow.to_vec(), ..topics.routing.clone() };
    let refusals = RuleSet::compile(&[rule], &routing).err().unwrap_or_default();
    for refusal in refusals {
        let refusal = refusal.strip_prefix("rule 1: ").unwrap_or(&refusal);
        match refusal.split_once(": ") {
            Some((key, why)) => mistakes.add(&format!("{path}, {key}"), why),
            None => mistakes.add(path, refusal),
        }
    }
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
        None => format!("{shown} is an unknown field; write one of {}", names.join(", ")),
    };
    entry.mistake("field", &sentence);
    Field::Msg
}

const NO_ACTION: &str = "there is none, so the rule would do nothing; write for instance actions = \
                         [{ forward = \"\" }] or actions = [{ stop = true }]";

fn read_actions(entry: &mut Section<'_>, topics: &Topics<'_>) -> Vec<ActionConfig> {
    let values = match entry.take("actions") {
        None => Vec::new(),
        Some(Value::Array(values)) => values,
        Some(value) => {
            let sentence = format!(
                "{} is not a list; write for instance actions = [{{ forward = \"\" }}]",
                show(&value)
            );
            entry.mistake("actions", &sentence);
            return Vec::new();
        }
    };
    if values.is_empty() {
        entry.mistake("actions", NO_ACTION);
    }
    let mut actions: Vec<ActionConfig> = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let path = format!("action {}", index + 1);
        let Value::Table(table) = value else {
            let sentence =
                format!("{} is not a table; write for instance {{ forward = \"\" }}", show(&value));
            entry.mistake(&path, &sentence);
            continue;
        };
        let Some(action) = read_action(entry.inner(&path, table), topics) else { continue };
        match (actions.last(), &action) {
            (None, _) => actions.push(action),
            // What a hotdog user writes out of habit: forward ends the message already.
            (Some(ActionConfig::Forward(_)), ActionConfig::Stop) if index == 1 => {}
            (Some(_), _) => {
                let sentence = "never runs, because forward or stop before it ends the message; \
                                remove it, or give it a rule of its own";
                entry.mistake(&path, sentence);
            }
        }
    }
    actions
}

fn read_action(mut action: Section<'_>, topics: &Topics<'_>) -> Option<ActionConfig> {
    let has = |action: &mut Section<'_>, key: &str| action.rest().contains_key(key);
    let has_forward = has(&mut action, "forward");
    let has_key = has(&mut action, "key");
    let has_stop = has(&mut action, "stop");
    let has_other =
        action.rest().keys().any(|key| !["forward", "key", "stop"].contains(&key.as_str()));
    let stop = action.flag("stop");
    let topic = action.text("forward", "logs-{{appname}}").unwrap_or_default();
    let key = action.text("key", "{{hostname}}");
    let result = match (has_stop, has_forward || has_key) {
        (true, true) => {
            let sentence = "stands beside forward or key in one action; write each action in \
                            { } of its own";
            action.mistake("stop", sentence);
            None
        }
        (true, false) => {
            if stop == Some(false) {
                action.mistake(
                    "stop",
                    "false does nothing; write stop = true, or leave the action out",
                );
            }
            Some(ActionConfig::Stop)
        }
        (false, true) => Some(read_forward(&action, topic, key, topics)),
        (false, false) => {
            // An unknown key is said below; that the action is empty then says nothing more.
            if !has_other {
                action.mistake(
                    "forward",
                    "neither forward nor stop is given; write { forward = \"\" } or { stop = \
                     true }",
                );
            }
            None
        }
    };
    action.finish();
    result
}

/// A forward without a topic goes to `kafka.topic`.
fn read_forward(
    action: &Section<'_>,
    topic: String,
    key: Option<String>,
    topics: &Topics<'_>,
) -> ActionConfig {
    for (name, template) in [("forward", Some(&topic)), ("key", key.as_ref())] {
        let Some(bytes) = template.map(String::len) else { continue };
        if bytes > TEMPLATE_BYTES_MAX {
            let sentence = format!(
                "{bytes} bytes; give at most {TEMPLATE_BYTES_MAX}, because it is rendered for \
                 each message"
            );
            action.mistake(name, &sentence);
        }
    }
    if key.as_deref() == Some("") {
        action.mistake(
            "key",
            "empty; leave it out for records without a key, or write for instance key = \
             \"{{hostname}}\"",
        );
    }
    if topic.is_empty() {
        let topic = topics.kafka.topic.clone();
        return ActionConfig::Forward(forward(topic, key));
    }
    ActionConfig::Forward(forward(topic, key))
}

fn forward(topic: String, key: Option<String>) -> ForwardConfig {
    ForwardConfig { topic, key, headers: Vec::new(), format: PayloadFormat::default() }
}
