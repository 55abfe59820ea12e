//! `[topics]`, and what a topic may be called.

use super::limits::{ALLOW_PATTERNS_MAX, DISTINCT_TOPICS};
use super::section::{Section, show};
use corndog_pipeline::rules::RoutingConfig;
use corndog_pipeline::topics::{TOPIC_NAME_BYTES_MAX, is_legal};
use toml::Value;

/// Reads the section.
pub fn read(mut section: Section<'_>) -> RoutingConfig {
    let allow = section.texts("allow", "[\"logs-*\"]");
    if allow.len() > ALLOW_PATTERNS_MAX {
        let count = allow.len();
        let sentence = format!(
            "{count} patterns; give at most {ALLOW_PATTERNS_MAX}, because each new topic is \
             tried against each"
        );
        section.mistake("allow", &sentence);
    }
    for pattern in &allow {
        if !is_legal(pattern.replace('*', "x").as_bytes()) {
            let shown = show(&Value::String(pattern.clone()));
            let sentence = format!(
                "{shown} matches no topic name; use letters, digits, \".\", \"_\", \"-\" and *, \
                 for instance \"logs-*\""
            );
            section.mistake("allow", &sentence);
        }
    }
    let fallback = section.text("fallback", "syslog-refused").filter(|topic| !topic.is_empty());
    if let Some(refusal) = fallback.as_deref().and_then(refuse_topic) {
        section.mistake("fallback", &refusal);
    }
    let distinct = super::count(section.number("distinct", &DISTINCT_TOPICS));
    section.finish();
    RoutingConfig { allow, fallback, distinct, ..RoutingConfig::default() }
}

/// `None` for a topic that may be written to; else why not and what to do.
pub fn refuse_topic(name: &str) -> Option<String> {
    if is_legal(name.as_bytes()) {
        return None;
    }
    let shown = show(&Value::String(name.to_owned()));
    if name.starts_with("__") {
        return Some(format!(
            "{shown} is one of Kafka's own topics; use a name without \"__\" at the start"
        ));
    }
    Some(format!(
        "{shown} is not a topic name; use 1 to {TOPIC_NAME_BYTES_MAX} letters, digits, \".\", \
         \"_\" and \"-\", and not \".\" or \"..\" alone"
    ))
}
