//! A [`Hotdog`] -> our TOML, with comments that say what each part was.

use super::hotdog::{Hotdog, Rule, Tls};
use corndog_pipeline::rules::{ActionConfig, MatcherConfig};
use serde_json::Value as Json;
use std::fmt::Write as _;
use toml::{Table, Value};

/// Where hotdog listened for TLS when its file did not say it.
const TLS_ADDRESS: &str = "0.0.0.0:6514";
/// Bytes of a word that stands in a comment; a longer one is cut.
const COMMENT_BYTES_MAX: usize = 200;

/// The whole file. `name` is hotdog's file, for the first comment.
pub fn toml(hotdog: &Hotdog, name: &str) -> String {
    let mut out = String::new();
    line(&mut out, &format!("# From hotdog's {}, by corndog import.", comment(name)));
    listen(&mut out, hotdog);
    kafka(&mut out, hotdog);
    topics(&mut out, hotdog);
    metrics(&mut out, hotdog);
    for rule in &hotdog.rules {
        write_rule(&mut out, rule);
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// What may stand in a comment: one line, and not endless.
fn comment(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut shown: String = plain.take(COMMENT_BYTES_MAX).collect();
    if text.chars().count() > COMMENT_BYTES_MAX {
        shown.push_str("...");
    }
    shown
}

fn string(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn listen(out: &mut String, hotdog: &Hotdog) {
    let address = match (hotdog.address.as_deref(), &hotdog.tls) {
        (Some(address), _) => address,
        (None, Some(_)) => TLS_ADDRESS,
        (None, None) => return,
    };
    line(out, "\n# global.listen: address, port and tls");
    line(out, "[[listen]]");
    line(out, "name = \"hotdog\"");
    line(out, &format!("address = {}", string(address)));
    if let Some(tls) = &hotdog.tls {
        line(out, "transport = \"tls\"");
        line(out, &format!("tls = {}", tls_table(tls)));
    }
}

fn tls_table(tls: &Tls) -> String {
    let mut keys: Vec<String> = Vec::new();
    let named = [("cert", &tls.cert), ("key", &tls.key), ("client_ca", &tls.ca)];
    for (key, path) in named {
        if let Some(path) = path {
            keys.push(format!("{key} = {}", string(path)));
        }
    }
    if tls.ca.is_some() {
        // hotdog asked clients for a certificate, and took those without one.
        keys.push("client_auth = \"optional\"".to_owned());
    }
    format!("{{ {} }}", keys.join(", "))
}

fn kafka(out: &mut String, hotdog: &Hotdog) {
    line(out, "\n# global.kafka");
    line(out, "[kafka]");
    line(out, "embedded = false");
    if let Some(topic) = &hotdog.topic {
        line(out, "# Where a forward without a topic goes.");
        line(out, &format!("topic = {}", string(topic)));
    }
    let [buffer, timeout] = &hotdog.queue;
    if let Some(buffer) = buffer {
        line(
            out,
            &format!("# buffer was {}: see [batches], whose memory holds records", comment(buffer)),
        );
    }
    if let Some(timeout) = timeout {
        line(out, &format!("# timeout_ms was {}: corndog keeps trying", comment(timeout)));
    }
    line(out, "\n# global.kafka.conf: librdkafka's own keys, untouched");
    line(out, "[kafka.conf]");
    for (key, text) in &hotdog.conf {
        line(out, &format!("{} = {}", string(key), string(text)));
    }
}

fn topics(out: &mut String, hotdog: &Hotdog) {
    line(out, "\n[topics]");
    line(out, "# hotdog confined no topic. Legal names and `distinct` hold still; narrow the list");
    match narrower(hotdog) {
        Some(patterns) => line(out, &format!("# to the topics that you mean: allow = {patterns}")),
        None => line(out, "# to the topics that you mean, such as [\"logs-*\"]."),
    }
    line(out, "allow = [\"*\"]");
}

/// What the rules' templates need; `None` where one of them may be anything.
fn narrower(hotdog: &Hotdog) -> Option<Value> {
    let mut patterns: Vec<Value> = Vec::new();
    let actions = hotdog.rules.iter().flat_map(|rule| &rule.rule.actions);
    for action in actions {
        let ActionConfig::Forward(forward) = action else { continue };
        if !forward.topic.contains("{{") {
            continue;
        }
        let mut pattern = String::new();
        let mut rest = forward.topic.as_str();
        while let Some(open) = rest.find("{{") {
            pattern.push_str(&rest[..open]);
            pattern.push('*');
            let after = &rest[open..];
            let close = after.find("}}")? + 2;
            rest = after[close..].trim_start_matches('}');
        }
        pattern.push_str(rest);
        if pattern.trim_matches('*').is_empty() || pattern.contains(|c: char| c.is_control()) {
            return None;
        }
        let pattern = Value::String(pattern);
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    (!patterns.is_empty()).then_some(Value::Array(patterns))
}

fn metrics(out: &mut String, hotdog: &Hotdog) {
    if let Some(address) = &hotdog.statsd {
        line(out, "\n# global.metrics.statsd, under the names that hotdog had");
        line(out, "[statsd]");
        line(out, &format!("address = {}", string(address)));
        line(out, "prefix = \"hotdog\"");
    }
    if let Some(address) = &hotdog.status {
        line(out, "\n# global.status: address and port");
        line(out, "[status]");
        line(out, &format!("address = {}", string(address)));
    }
}

fn write_rule(out: &mut String, rule: &Rule) {
    line(out, &format!("\n# rule {}, line {}", rule.place.number, rule.place.line));
    line(out, "[[rule]]");
    let RuleParts { field, matcher, actions } = RuleParts::of(rule);
    line(out, &format!("field = {field}"));
    line(out, &matcher);
    match actions.as_slice() {
        [action] if action.len() < 80 => line(out, &format!("actions = [{action}]")),
        actions => {
            line(out, "actions = [");
            actions.iter().for_each(|action| line(out, &format!("  {action},")));
            line(out, "]");
        }
    }
}

struct RuleParts {
    field: String,
    matcher: String,
    actions: Vec<String>,
}

impl RuleParts {
    fn of(rule: &Rule) -> RuleParts {
        let rule = &rule.rule;
        let matcher = match &rule.matcher {
            MatcherConfig::Always => String::new(),
            MatcherConfig::Regex(pattern) => format!("regex = {}", string(pattern)),
            MatcherConfig::Jmespath(expression) => format!("jmespath = {}", string(expression)),
        };
        let field = string(&rule.field.to_string());
        let actions = rule.actions.iter().map(write_action).collect();
        RuleParts { field, matcher, actions }
    }
}

fn write_action(action: &ActionConfig) -> String {
    let mut text = String::from("{ ");
    // Writing to a string cannot fail.
    let _ = match action {
        ActionConfig::Forward(forward) => write!(text, "forward = {}", string(&forward.topic)),
        ActionConfig::Merge(json) => write!(text, "merge = {}", tree(json)),
        ActionConfig::Replace(template) => write!(text, "replace = {}", string(template)),
        // hotdog had none.
        ActionConfig::Sample(_) => Ok(()),
        ActionConfig::Stop => write!(text, "stop = true"),
    };
    text.push_str(" }");
    text
}

/// A TOML table, or where TOML has no such value (null, large numbers) a string with the JSON. So
/// is a string, which would else be read as JSON.
fn tree(json: &Json) -> String {
    match value(json) {
        Some(value) if !json.is_string() => value.to_string(),
        _ => string(&json.to_string()),
    }
}

/// As deep as the YAML was.
fn value(json: &Json) -> Option<Value> {
    match json {
        Json::Null => None,
        Json::Bool(flag) => Some(Value::Boolean(*flag)),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Some(Value::Integer(integer)),
            None if number.is_f64() => number.as_f64().map(Value::Float),
            None => None,
        },
        Json::String(text) => Some(Value::String(text.clone())),
        Json::Array(values) => values.iter().map(value).collect::<Option<_>>().map(Value::Array),
        Json::Object(members) => {
            let members = members.iter().map(|(key, json)| Some((key.clone(), value(json)?)));
            members.collect::<Option<Table>>().map(Value::Table)
        }
    }
}
