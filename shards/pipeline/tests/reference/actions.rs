//! What the actions do, by the book, on an output that starts empty.

use std::collections::BTreeMap;

use corndog_pipeline::record::{HEADERS_BYTES_MAX, dead_letter};
use corndog_pipeline::rules::{ActionConfig, ForwardConfig, PayloadFormat, SampleConfig};
use corndog_pipeline::topics::{is_legal, is_match};
use serde_json::Value;

use super::template::{Template, Templates, Variables};
use super::{Outcome, Payload, PlainRecord, Reference, Turn, json, payload};

const KEY_BYTES_MAX: usize = 64 * 1024;
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

pub(super) enum Action {
    Forward(Forward),
    /// The tree, and a template for each string in it.
    Merge(Value, BTreeMap<String, Template>),
    Replace(Template),
    Sample(Sample),
    Stop,
}

pub(super) struct Forward {
    /// Where it names no variable: the topic itself.
    fixed: Option<String>,
    topic: Template,
    key: Option<Template>,
    headers: Vec<(String, Template)>,
    format: PayloadFormat,
}

pub(super) struct Sample {
    config: SampleConfig,
    /// Messages seen, or of `second` alone.
    seen: u64,
    second: i64,
}

impl Action {
    pub(super) fn new(action: &ActionConfig, templates: &mut Templates) -> Action {
        match action {
            ActionConfig::Forward(forward) => Action::Forward(Forward::new(forward, templates)),
            ActionConfig::Merge(tree) => {
                let mut rendered = BTreeMap::new();
                json::map_strings(tree, &mut |text| {
                    rendered.entry(text.to_owned()).or_insert_with(|| templates.add(text));
                    String::new()
                });
                Action::Merge(tree.clone(), rendered)
            }
            ActionConfig::Replace(text) => Action::Replace(templates.add(text)),
            ActionConfig::Sample(config) => {
                Action::Sample(Sample { config: *config, seen: 0, second: 0 })
            }
            ActionConfig::Stop => Action::Stop,
        }
    }

    /// Forgets what a sample has seen.
    pub(super) fn forget(&mut self) {
        if let Action::Sample(sample) = self {
            (sample.seen, sample.second) = (0, 0);
        }
    }

    pub(super) fn fixed_topic(&self) -> Option<String> {
        match self {
            Action::Forward(forward) => forward.fixed.clone(),
            _ => None,
        }
    }
}

impl Forward {
    fn new(forward: &ForwardConfig, templates: &mut Templates) -> Forward {
        let header = |(name, value): &(String, String)| (name.clone(), templates.add(value));
        Forward {
            headers: forward.headers.iter().map(header).collect(),
            fixed: (!forward.topic.contains("{{")).then(|| forward.topic.clone()),
            topic: templates.add(&forward.topic),
            key: forward.key.as_ref().map(|key| templates.add(key)),
            format: forward.format,
        }
    }
}

impl Sample {
    fn goes_on(&mut self, second: i64) -> bool {
        if let SampleConfig::PerSecond(_) = self.config
            && self.second != second
        {
            (self.seen, self.second) = (0, second);
        }
        self.seen += 1;
        match self.config {
            SampleConfig::OneIn(count) => (self.seen - 1).is_multiple_of(count),
            SampleConfig::PerSecond(count) => self.seen <= count,
        }
    }
}

/// A message that could not be forwarded: why, and the topic that it should have gone to.
struct Refused(&'static str, Vec<u8>);

impl Reference {
    /// Runs a rule's actions; `None`: the next rules have their turn.
    pub(super) fn run(
        &mut self,
        rule: usize,
        turn: &Turn<'_>,
        variables: &Variables,
    ) -> Option<Outcome> {
        let mut output = Payload::Bytes(Vec::new());
        for number in 0..self.rules[rule].actions.len() {
            match self.step(rule, number, turn, variables, &mut output) {
                Ok(None) => {}
                Ok(Some(outcome)) => return Some(outcome),
                Err(refused) => return Some(self.refused(rule, refused, turn)),
            }
        }
        None
    }

    /// Runs one action. Gives an outcome if it ends the message.
    fn step(
        &mut self,
        rule: usize,
        number: usize,
        turn: &Turn<'_>,
        variables: &Variables,
        output: &mut Payload,
    ) -> Result<Option<Outcome>, Refused> {
        let dropped = |reason| Some(Outcome::Drop { rule: Some(rule), reason });
        match &mut self.rules[rule].actions[number] {
            Action::Stop => return Ok(dropped("stopped")),
            Action::Sample(sample) => {
                let goes_on = sample.goes_on(turn.context.now.as_second());
                return Ok(if goes_on { None } else { dropped("sampled") });
            }
            Action::Replace(template) => {
                let bytes = self.templates.render(template, turn, variables);
                if bytes.len() > OUTPUT_BYTES_MAX {
                    return Err(Refused("oversize", Vec::new()));
                }
                *output = Payload::Bytes(bytes);
            }
            Action::Merge(tree, rendered) => {
                let mut merged = json::parse(turn.message.msg)
                    .filter(Value::is_object)
                    .ok_or(Refused("merge_not_json", Vec::new()))?;
                let tree = json::map_strings(tree, &mut |text| {
                    let bytes = self.templates.render(&rendered[text], turn, variables);
                    String::from_utf8_lossy(&bytes).into_owned()
                });
                json::merge(&mut merged, tree);
                if merged.to_string().len() > OUTPUT_BYTES_MAX {
                    return Err(Refused("oversize", Vec::new()));
                }
                *output = Payload::Json(merged);
            }
            Action::Forward(_) => {
                let output = std::mem::replace(output, Payload::Bytes(Vec::new()));
                return self.forward(rule, number, turn, variables, output).map(Some);
            }
        }
        Ok(None)
    }

    fn forward(
        &mut self,
        rule: usize,
        number: usize,
        turn: &Turn<'_>,
        variables: &Variables,
        output: Payload,
    ) -> Result<Outcome, Refused> {
        let Action::Forward(forward) = &self.rules[rule].actions[number] else {
            unreachable!("it is a forward");
        };
        let render = |template: &Template| self.templates.render(template, turn, variables);
        let (wanted, fixed) = (render(&forward.topic), forward.fixed.clone());
        let key = forward.key.as_ref().map(render);
        let value = |(name, template): &(String, Template)| (name.clone(), render(template));
        let headers: Vec<(String, Vec<u8>)> = forward.headers.iter().map(value).collect();
        let payload = match (output, forward.format) {
            (Payload::Bytes(bytes), PayloadFormat::Msg) if bytes.is_empty() => {
                Payload::Bytes(turn.message.msg.to_vec())
            }
            (Payload::Bytes(bytes), PayloadFormat::Raw) if bytes.is_empty() => {
                Payload::Bytes(turn.message.frame.to_vec())
            }
            (Payload::Bytes(bytes), PayloadFormat::Json) if bytes.is_empty() => {
                Payload::Json(payload::json(turn))
            }
            (output, _) => output,
        };
        let Some(topic) = fixed.or_else(|| self.resolve(&wanted)) else {
            return Err(Refused("topic_refused", wanted));
        };
        let headers_bytes: usize =
            headers.iter().map(|(name, value)| 6 + name.len() + value.len()).sum();
        let is_oversize = key.as_ref().is_some_and(|key| key.len() > KEY_BYTES_MAX)
            || headers_bytes > HEADERS_BYTES_MAX
            || matches!(&payload, Payload::Json(value) if value.to_string().len() > OUTPUT_BYTES_MAX);
        if is_oversize {
            return Err(Refused("oversize", wanted));
        }
        let (rule, time) = (Some(rule), self.time(turn));
        let dead_letter = None;
        Ok(Outcome::Forward(PlainRecord { rule, topic, key, headers, payload, time, dead_letter }))
    }

    /// A topic that message data names, or else the fallback.
    fn resolve(&mut self, wanted: &[u8]) -> Option<String> {
        let fallback = self.routing.fallback.clone();
        let is_allowed =
            self.routing.allow.iter().any(|pattern| is_match(pattern.as_bytes(), wanted));
        if !is_legal(wanted) || !is_allowed {
            return fallback;
        }
        let wanted = String::from_utf8(wanted.to_vec()).expect("legal names are ASCII");
        if !self.configured.contains(&wanted) && !self.made.contains(&wanted) {
            if self.made.len() == self.routing.distinct {
                return fallback;
            }
            self.made.push(wanted.clone());
        }
        Some(wanted)
    }

    /// A dead letter, or dropped.
    fn refused(&self, rule: usize, Refused(reason, wanted): Refused, turn: &Turn<'_>) -> Outcome {
        let Some(topic) = self.routing.dead_letter.clone() else {
            return Outcome::Drop { rule: Some(rule), reason };
        };
        let now = format!("{:.6}", turn.context.now);
        let headers = [
            (dead_letter::REASON, reason.as_bytes()),
            (dead_letter::RULE, self.rules[rule].label.as_bytes()),
            (dead_letter::LISTENER, turn.context.listener),
            (dead_letter::PEER, turn.context.peer),
            (dead_letter::TOPIC, &wanted),
            (dead_letter::TIME, now.as_bytes()),
        ];
        Outcome::Forward(PlainRecord {
            rule: Some(rule),
            topic,
            key: None,
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_vec())).to_vec(),
            payload: Payload::Bytes(turn.message.frame.to_vec()),
            time: self.time(turn),
            dead_letter: Some(reason),
        })
    }
}
