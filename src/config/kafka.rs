//! `[kafka]` and `[kafka.conf]`, with the environment's broker and credentials.
//!
//! A broker that is named means that Kafka: with `KAFKA_BROKER` the embedded one of the file does
//! not start, unless the environment asks for it too.

use super::environment::{Overlay, variable};
use super::section::{Mistakes, Section, show};
use super::topics::refuse_topic;
use std::fmt;
use toml::{Table, Value};

/// librdkafka's two names for its list of brokers.
const BROKER_KEYS: [&str; 2] = ["bootstrap.servers", "metadata.broker.list"];
/// Where `forward` without a topic goes.
pub const TOPIC: &str = "syslog";

/// Where records go.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// A Kafka inside the process, to try things; `conf` names no broker then.
    pub embedded: bool,
    /// Where `forward` without a topic goes.
    pub topic: String,
    /// librdkafka's own keys and values, sorted by key; some are secret ([`is_secret`]).
    pub conf: Vec<(String, String)>,
}

/// Whether the value of librdkafka's `key` must never be printed.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "passphrase", "secret", "key.pem"].iter().any(|mark| key.contains(mark))
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conf: Vec<(&str, &str)> = self
            .conf
            .iter()
            .map(|(key, text)| (key.as_str(), if is_secret(key) { "(secret)" } else { text }))
            .collect();
        f.debug_struct("KafkaSettings")
            .field("embedded", &self.embedded)
            .field("topic", &self.topic)
            .field("conf", &conf)
            .finish()
    }
}

/// Reads the section.
pub fn read(
    mut section: Section<'_>,
    overlay: &Overlay,
    environment: &[(String, String)],
    warnings: &mut Vec<String>,
) -> KafkaSettings {
    let flag = section.flag("embedded");
    let topic = read_topic(&mut section);
    let mut conf = Vec::new();
    let mut conf_section = section.section("conf");
    for (key, value) in flatten(std::mem::take(conf_section.rest())) {
        read_conf(&conf_section, key, value, &mut conf);
    }
    refuse_misplaced(&mut section);
    let mistakes = section.mistakes;
    section.finish();

    conf.sort();
    for pair in conf.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        mistakes.add(&conf_key(&pair[0].0), "given twice; keep one of them");
    }
    let asked = (flag, overlay.variable("kafka.embedded").is_some());
    let embedded = embedded(asked, environment, &mut conf, mistakes, warnings);
    if !embedded {
        lay_credentials(environment, &mut conf);
    }
    match corndog_producer::check(&conf) {
        Ok(weakened) => warnings.extend(weakened),
        Err(refusals) => {
            refusals.into_iter().for_each(|refusal| mistakes.add_whole(hide(refusal, &conf)));
        }
    }
    KafkaSettings { embedded, topic, conf }
}

/// What librdkafka says of a key may repeat its value.
fn hide(mut sentence: String, conf: &[(String, String)]) -> String {
    for (key, text) in conf.iter().filter(|(key, text)| is_secret(key) && !text.is_empty()) {
        if sentence.starts_with(&conf_key(key)) {
            sentence = format!(
                "{}{}",
                conf_key(key),
                sentence[conf_key(key).len()..].replace(text, "(secret)")
            );
        }
    }
    sentence
}

fn read_topic(section: &mut Section<'_>) -> String {
    let Some(topic) = section.text("topic", TOPIC) else { return TOPIC.to_owned() };
    if let Some(refusal) = refuse_topic(&topic) {
        section.mistake("topic", &refusal);
        return TOPIC.to_owned();
    }
    topic
}

/// `bootstrap.servers = "x"` without quotes is a table in a table for TOML; the dots are put back.
fn flatten(table: Table) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    let mut open: Vec<(String, Value)> = table.into_iter().collect();
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Table(inner) if !inner.is_empty() => {
                open.extend(inner.into_iter().map(|(key, value)| (format!("{path}.{key}"), value)));
            }
            value => flat.push((path, value)),
        }
    }
    flat.sort_by(|(a, _), (b, _)| a.cmp(b));
    flat
}

/// One key of librdkafka's: which keys and values there are, librdkafka knows.
fn read_conf(section: &Section<'_>, key: String, value: Value, conf: &mut Vec<(String, String)>) {
    let text = match value {
        Value::String(text) => text,
        Value::Integer(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        value => {
            let shown = if is_secret(&key) { "the value".to_owned() } else { show(&value) };
            let sentence = format!(
                "{shown} is not a string, whole number, true or false; write for instance \
                 \"{key}\" = \"...\""
            );
            section.mistake(&key, &sentence);
            return;
        }
    };
    if key.contains('\0') || text.contains('\0') {
        section.mistake(&key.replace('\0', "\\0"), "holds a NUL byte; librdkafka takes none");
        return;
    }
    conf.push((key, text));
}

/// librdkafka's keys, given one section too high.
fn refuse_misplaced(section: &mut Section<'_>) {
    let is_misplaced = |key: &str, value: &Value| key.contains('.') || value.is_table();
    let rest = std::mem::take(section.rest());
    for (key, value) in rest {
        if !is_misplaced(&key, &value) {
            section.rest().insert(key, value);
            continue;
        }
        for (key, _) in flatten(Table::from_iter([(key, value)])) {
            section.mistake(&key, "unknown key; librdkafka's own keys go under [kafka.conf]");
        }
    }
}

/// Whether the embedded Kafka runs; then `conf` names no broker, else it does.
///
/// `asked` is `kafka.embedded`, and whether the environment gave it.
fn embedded(
    asked: (Option<bool>, bool),
    environment: &[(String, String)],
    conf: &mut Vec<(String, String)>,
    mistakes: &Mistakes,
    warnings: &mut Vec<String>,
) -> bool {
    if let Some(broker) = variable(environment, "KAFKA_BROKER") {
        drop_brokers(conf);
        conf.push((BROKER_KEYS[0].to_owned(), broker.to_owned()));
        conf.sort();
        if asked == (Some(true), true) {
            warnings.push(
                "KAFKA_BROKER: not used, because CORNDOG_KAFKA__EMBEDDED asks for the embedded \
                 Kafka; unset one of them"
                    .to_owned(),
            );
            drop_brokers(conf);
            return true;
        }
        return false;
    }
    let broker_key =
        conf.iter().map(|(key, _)| key).find(|key| BROKER_KEYS.contains(&key.as_str()));
    match (asked, broker_key) {
        ((Some(true), true), Some(key)) => {
            warnings.push(format!(
                "kafka.conf.\"{key}\": not used, because CORNDOG_KAFKA__EMBEDDED asks for the \
                 embedded Kafka"
            ));
            drop_brokers(conf);
            true
        }
        ((Some(true), false), Some(key)) => {
            let sentence = format!(
                "true, but kafka.conf names brokers (\"{key}\"); set kafka.embedded = false to \
                 send to them, or remove that key"
            );
            mistakes.add("kafka.embedded", &sentence);
            true
        }
        ((Some(false), _), None)
            if !mistakes.concern(&BROKER_KEYS.map(conf_key).each_ref().map(String::as_str)) =>
        {
            mistakes.add(
                "kafka.embedded",
                "false, but no broker is named; give \"bootstrap.servers\" = \"broker1:9092\" \
                 under [kafka.conf], or KAFKA_BROKER",
            );
            false
        }
        ((flag, _), broker_key) => flag.unwrap_or(broker_key.is_none()),
    }
}

fn conf_key(key: &str) -> String {
    format!("kafka.conf.\"{key}\"")
}

fn drop_brokers(conf: &mut Vec<(String, String)>) {
    conf.retain(|(key, _)| !BROKER_KEYS.contains(&key.as_str()));
}

/// hotdog's two variables, over the file's keys.
fn lay_credentials(environment: &[(String, String)], conf: &mut Vec<(String, String)>) {
    let pairs =
        [("SASL_SCRAM_USERNAME", "sasl.username"), ("SASL_SCRAM_PASSWORD", "sasl.password")];
    for (name, key) in pairs {
        if let Some(text) = variable(environment, name) {
            conf.retain(|(known, _)| known != key);
            conf.push((key.to_owned(), text.to_owned()));
        }
    }
    conf.sort();
}
