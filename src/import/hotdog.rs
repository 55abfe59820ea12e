//! hotdog's file -> a [`Hotdog`], with notes on what does not come along.
//!
//! What hotdog would not have taken is a mistake; what it took and we do not have is a note that
//! names it with the reason. Keys that hotdog did not know it ignored: they get a note.

use super::table::{Table, show};
use super::yaml::{Kind, Node};
use super::{template, whole};
use crate::config::RulePlace;
use corndog_pipeline::rules::{
    ActionConfig, Field, ForwardConfig, MatcherConfig, PayloadFormat, RuleConfig,
};

/// Fields that hotdog's rules knew.
const FIELDS: [&str; 5] = ["msg", "hostname", "appname", "facility", "severity"];

/// What a hotdog file says, in our words.
#[derive(Debug, Default)]
pub struct Hotdog {
    /// IP address and port, as TOML wants them; `None`: the file has none.
    pub address: Option<String>,
    /// `None`: plaintext.
    pub tls: Option<Tls>,
    /// librdkafka's keys and values.
    pub conf: Vec<(String, String)>,
    /// `global.kafka.topic`.
    pub topic: Option<String>,
    /// `global.kafka.buffer` and `global.kafka.timeout_ms`, as typed.
    pub queue: [Option<String>; 2],
    /// `host:port` of statsd.
    pub statsd: Option<String>,
    /// `ip:port` of the status server.
    pub status: Option<String>,
    /// In order.
    pub rules: Vec<Rule>,
}

/// `global.listen.tls`; paths as typed.
#[derive(Debug, Default)]
pub struct Tls {
    /// PEM of the certificate.
    pub cert: Option<String>,
    /// PEM of its key.
    pub key: Option<String>,
    /// PEM of the clients' authority.
    pub ca: Option<String>,
}

/// One rule, and where it stood.
#[derive(Debug)]
pub struct Rule {
    /// In hotdog's file.
    pub place: RulePlace,
    /// What it says.
    pub rule: RuleConfig,
}

/// What is to be said about a file, a sentence each.
#[derive(Debug, Default)]
pub struct Findings {
    /// hotdog would not have taken it.
    pub mistakes: Vec<String>,
    /// It does not come along, or means something else.
    pub notes: Vec<String>,
}

/// Reads the tree of a file.
///
/// Errors: the mistakes in `findings`, if there are any.
pub fn read(root: &Node, findings: &mut Findings) -> Hotdog {
    let mut hotdog = Hotdog::default();
    let is_hotdog = match &root.kind {
        Kind::Map(entries) => {
            entries.iter().any(|(key, _)| matches!(key.as_str(), "global" | "rules"))
        }
        _ => false,
    };
    if !is_hotdog {
        let sentence = "this is no file of hotdog's: it has neither `global` nor `rules`";
        findings.mistakes.push(sentence.to_owned());
        return hotdog;
    }
    let Some(mut file) = Table::new(root, "", findings) else { return hotdog };
    if let Some(global) = file.table("global", findings) {
        read_global(global, &mut hotdog, findings);
    }
    if let Some(rules) = file.list("rules", findings) {
        for (index, node) in rules.iter().enumerate() {
            if let Some(rule) = read_rule(index + 1, node, findings) {
                hotdog.rules.push(rule);
            }
        }
    }
    file.finish(findings);
    hotdog
}

fn read_global(mut global: Table<'_>, hotdog: &mut Hotdog, findings: &mut Findings) {
    if let Some(mut listen) = global.table("listen", findings) {
        hotdog.address = read_address(&mut listen, findings);
        hotdog.tls = read_tls(&mut listen, findings);
        listen.finish(findings);
    }
    if let Some(mut kafka) = global.table("kafka", findings) {
        if let Some(mut conf) = kafka.table("conf", findings) {
            for (key, node) in conf.rest() {
                match node.text() {
                    Some(_) if node.is_null() => findings.notes.push(format!(
                        "line {}: global.kafka.conf.{key}: empty, so it is left out",
                        node.line
                    )),
                    Some(text) => hotdog.conf.push((key.clone(), text.to_owned())),
                    None => findings.mistakes.push(format!(
                        "line {}: global.kafka.conf.{key}: not a string, which all of librdkafka's \
                         values are",
                        node.line
                    )),
                }
            }
        }
        hotdog.topic = kafka.text("topic", findings).filter(|topic| !topic.is_empty());
        hotdog.queue = ["buffer", "timeout_ms"].map(|key| kafka.text(key, findings));
        note_queue(hotdog, findings);
        kafka.finish(findings);
    }
    if let Some(mut metrics) = global.table("metrics", findings) {
        hotdog.statsd = metrics.text("statsd", findings).filter(|address| !address.is_empty());
        metrics.finish(findings);
    }
    if let Some(mut status) = global.table("status", findings) {
        hotdog.status = read_address(&mut status, findings);
        status.finish(findings);
    }
    global.finish(findings);
}

fn note_queue(hotdog: &Hotdog, findings: &mut Findings) {
    let reasons = [
        "global.kafka.buffer has no counterpart: corndog holds records in batches of a fixed sum \
         ([batches]) and holds senders back when they are full, where hotdog discarded",
        "global.kafka.timeout_ms has no counterpart: corndog starts whether Kafka answers or not, \
         and keeps trying, where hotdog gave up",
    ];
    let given = hotdog.queue.iter().zip(reasons).filter(|(text, _)| text.is_some());
    findings.notes.extend(given.map(|(_, reason)| reason.to_owned()));
}

/// `address` and `port` as `ip:port`.
fn read_address(table: &mut Table<'_>, findings: &mut Findings) -> Option<String> {
    let address = table.text("address", findings);
    let port = table.text("port", findings);
    let path = table.path.clone();
    let port = match port {
        None => None,
        Some(port) => match port.replace('_', "").parse::<u16>() {
            Ok(port) => Some(port),
            Err(_) => {
                let shown = show(&port);
                let sentence = format!("{path}.port: {shown} is not a port from 0 to 65535");
                findings.mistakes.push(sentence);
                return None;
            }
        },
    };
    let address = match address.as_deref() {
        Some("localhost") => {
            findings.notes.push(format!(
                "{path}.address: localhost is written as 127.0.0.1, since corndog resolves no names"
            ));
            Some("127.0.0.1".to_owned())
        }
        Some(address) if address.contains(':') && !address.starts_with('[') => {
            Some(format!("[{address}]"))
        }
        other => other.map(str::to_owned),
    };
    match (address, port) {
        (Some(address), Some(port)) => Some(format!("{address}:{port}")),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            let sentence = format!("{path}: address and port belong together; one is missing");
            findings.mistakes.push(sentence);
            None
        }
    }
}

fn read_tls(listen: &mut Table<'_>, findings: &mut Findings) -> Option<Tls> {
    let node = listen.take("tls")?;
    if node.text() == Some("false") {
        return None;
    }
    let mut table = Table::new(node, "global.listen.tls", findings)?;
    let [cert, key, ca] = ["cert", "key", "ca"].map(|name| table.text(name, findings));
    table.finish(findings);
    Some(Tls { cert, key, ca })
}

/// One rule; `None` where nothing is left of it, which a note then says.
fn read_rule(number: usize, node: &Node, findings: &mut Findings) -> Option<Rule> {
    let path = format!("rule {number}");
    let mut entry = Table::new(node, &path, findings)?;
    let field = read_field(&mut entry, findings);
    let regex = entry.text("regex", findings);
    let jmespath = entry.text("jmespath", findings);
    let matcher = match (regex, jmespath) {
        (None, None) => None,
        (Some(regex), None) => Some(MatcherConfig::Regex(regex)),
        (regex, Some(jmespath)) => {
            if regex.is_some() {
                entry.note("hotdog did not read regex where jmespath stands too", findings);
            }
            Some(MatcherConfig::Jmespath(jmespath))
        }
    };
    let nodes = entry.list("actions", findings).unwrap_or_default();
    let mut actions = Actions { list: Vec::new(), path: path.clone() };
    for (index, node) in nodes.iter().enumerate() {
        actions.take(index + 1, node, findings);
    }
    let (line, actions) = (entry.line, actions.list);
    let Some(matcher) = matcher else {
        let sentence = "neither regex nor jmespath, so it never matched; left out, because in \
                        corndog it would match every message";
        entry.note(sentence, findings);
        entry.finish(findings);
        return None;
    };
    if actions.is_empty() {
        entry.note("no action, so it did nothing; left out", findings);
        entry.finish(findings);
        return None;
    }
    entry.finish(findings);
    let (numbers, mut actions): (Vec<usize>, Vec<ActionConfig>) = actions.into_iter().unzip();
    template::clean(&matcher, &mut actions, &mut |what| {
        findings.notes.push(format!("line {line}: {path}: {what}"));
    });
    let groups = template::groups(&matcher).unwrap_or_default();
    let actions = numbers.into_iter().zip(actions).collect();
    let actions = whole::split(actions, &groups, &mut |number, what| {
        findings.notes.push(format!("line {line}: {path}, action {number}: {what}"));
    });
    let (numbers, actions) = actions.into_iter().unzip();
    let rule = RuleConfig { name: String::new(), field, matcher, actions };
    Some(Rule { place: RulePlace { number, line, actions: numbers }, rule })
}

fn read_field(entry: &mut Table<'_>, findings: &mut Findings) -> Field {
    let Some(name) = entry.text("field", findings) else {
        entry.note("no field; msg is meant", findings);
        return Field::Msg;
    };
    let known = FIELDS.contains(&name.as_str()).then(|| Field::parse(&name)).flatten();
    known.unwrap_or_else(|| {
        let shown = show(&name);
        let sentence = format!("field {shown} is none of {}", FIELDS.join(", "));
        entry.mistake(&sentence, findings);
        Field::Msg
    })
}

/// An action, and its number from 1 in hotdog's rule.
pub type Numbered = (usize, ActionConfig);

/// A rule's actions being read.
struct Actions {
    list: Vec<Numbered>,
    path: String,
}

impl Actions {
    fn take(&mut self, number: usize, node: &Node, findings: &mut Findings) {
        let path = format!("{}, action {number}", self.path);
        let Some(mut entry) = Table::new(node, &path, findings) else { return };
        let Some(kind) = entry.text("type", findings) else {
            entry.mistake("no type; write forward, merge, replace or stop", findings);
            return;
        };
        let action = match kind.as_str() {
            "forward" => {
                // Empty: `kafka.topic`, where hotdog documented that it goes.
                let topic = entry.text("topic", findings).unwrap_or_default();
                let format = PayloadFormat::default();
                let forward = ForwardConfig { topic, key: None, headers: Vec::new(), format };
                Some(ActionConfig::Forward(forward))
            }
            "merge" => read_merge(&mut entry, findings),
            "replace" => match entry.text("template", findings) {
                Some(template) => Some(ActionConfig::Replace(template)),
                None => {
                    entry.mistake("replace without a template", findings);
                    None
                }
            },
            "stop" => Some(ActionConfig::Stop),
            other => {
                let shown = show(other);
                let sentence =
                    format!("type {shown} is unknown; hotdog had forward, merge, replace and stop");
                entry.mistake(&sentence, findings);
                None
            }
        };
        let ended = self
            .list
            .iter()
            .any(|(_, action)| matches!(action, ActionConfig::Forward(_) | ActionConfig::Stop));
        match action {
            // Out of habit: forward has ended the message already.
            Some(ActionConfig::Stop)
                if matches!(self.list.last(), Some((_, ActionConfig::Forward(_)))) => {}
            Some(_) if ended => {
                let sentence = "never ran, because a forward or stop before it ends the message; \
                                left out";
                entry.note(sentence, findings);
            }
            Some(action) => self.list.push((number, action)),
            None => {}
        }
        entry.finish(findings);
    }
}

fn read_merge(entry: &mut Table<'_>, findings: &mut Findings) -> Option<ActionConfig> {
    let Some(node) = entry.take("json") else {
        entry.mistake("merge without json", findings);
        return None;
    };
    match node.json() {
        Ok(json) => Some(ActionConfig::Merge(json)),
        Err(line) => {
            findings.mistakes.push(format!(
                "line {line}: {}: json has no infinity and no not-a-number",
                entry.path
            ));
            None
        }
    }
}
