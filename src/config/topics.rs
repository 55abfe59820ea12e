//! `[topics]`, `[unmatched]`, `kafka.record_time`, and what a topic may be called.

use super::limits::{ALLOW_PATTERNS_MAX, DISTINCT_TOPICS};
use super::section::{Section, show};
use corndog_pipeline::rules::{RecordTime, RoutingConfig};
use corndog_pipeline::topics::{TOPIC_NAME_BYTES_MAX, is_legal};
use toml::Value;

/// The words of `kafka.record_time`.
const RECORD_TIMES: [(&str, RecordTime); 2] =
    [("received", RecordTime::Received), ("message", RecordTime::Message)];
/// The words of `unmatched.action`; true: forward.
const UNMATCHED: [(&str, bool); 2] = [("drop", false), ("forward", true)];

/// Whether the file names a topic for dead letters, before its section is read.
pub fn has_dead_letter(file: &mut Section<'_>) -> bool {
    let topics = file.rest().get("topics").and_then(Value::as_table);
    let topic = topics.and_then(|topics| topics.get("dead_letter"));
    topic.is_some_and(|topic| topic.as_str() != Some(""))
}

/// Reads `record_time` from `[kafka]`.
pub fn read_record_time(kafka: &mut Section<'_>) -> RecordTime {
    kafka.choice("record_time", &RECORD_TIMES).unwrap_or_default()
}

/// Reads `[unmatched]`: where a message goes that no rule forwards.
pub fn read_unmatched(mut section: Section<'_>, kafka_topic: &str) -> Option<String> {
    let forwards = section.choice("action", &UNMATCHED);
    let topic = read_topic(&mut section, "topic", "unmatched");
    if forwards != Some(true)
        && let Some(topic) = &topic
    {
        let sentence = format!(
            "{topic:?} is not used, because unmatched.action is \"drop\"; write action = \
             \"forward\", or leave the topic out"
        );
        section.mistake("topic", &sentence);
    }
    section.finish();
    (forwards == Some(true)).then(|| topic.unwrap_or_else(|| kafka_topic.to_owned()))
}

/// A topic that may be empty: none then.
fn read_topic(section: &mut Section<'_>, key: &'static str, example: &str) -> Option<String> {
    let topic = section.text(key, example).filter(|topic| !topic.is_empty())?;
    if let Some(refusal) = refuse_topic(&topic) {
        section.mistake(key, &refusal);
        return None;
    }
    Some(topic)
}

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
        // What a star stands for may be nothing.
        let is_topic = |star| is_legal(pattern.replace('*', star).as_bytes());
        if !is_topic("") && !is_topic("x") {
            let shown = show(&Value::String(pattern.clone()));
            let sentence = format!(
                "{shown} matches no topic name; use letters, digits, \".\", \"_\", \"-\" and *, \
                 for instance \"logs-*\""
            );
            section.mistake("allow", &sentence);
        }
    }
    let fallback = read_topic(&mut section, "fallback", "syslog-refused");
    let dead_letter = read_topic(&mut section, "dead_letter", "dead-letters");
    let distinct = super::count(section.number("distinct", &DISTINCT_TOPICS));
    section.finish();
    RoutingConfig { allow, fallback, dead_letter, distinct, ..RoutingConfig::default() }
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
