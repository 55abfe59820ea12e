//! What a rule that matched does: its actions in order, on an output that starts empty.

use crate::counters::Dropped;
use crate::json::Document;
use crate::merge::{Merge, MergeRefused};
use crate::message::Message;
use crate::payload;
use crate::record::{HEADERS_BYTES_MAX, Origin, Record, dead_letter, push_header};
use crate::rule::At;
use crate::rules::{PayloadFormat, RecordTime, SampleConfig};
use crate::ruleset::{RuleSet, Verdict};
use crate::sample::{Sampled, Share};
use crate::template::{Context, Groups, Template, Variables};
use crate::time::{self, TimeText};
use crate::topics::{TOPIC_NAME_BYTES_MAX, TopicCache, TopicIndex, TopicTable};

/// Bytes of a rendered key; a record with a longer one is not forwarded (`oversize`).
pub const KEY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of what `merge`, `replace` and `format = "json"` make; more is not forwarded (`oversize`).
pub const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// Bytes that `Buffers` may grow to: an output that is being made beside the last one, a value, a
/// key, the headers and one of them.
pub(crate) const BUFFERS_BYTES_MAX: usize =
    3 * OUTPUT_BYTES_MAX + KEY_BYTES_MAX + 2 * HEADERS_BYTES_MAX;

#[derive(Debug)]
pub(crate) enum Action {
    Forward(Forward),
    Merge(Merge<Template>),
    Replace(Template),
    /// With its number among all samples.
    Sample(SampleConfig, usize),
    Stop,
}

#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) topic: Topic,
    pub(crate) key: Option<Template>,
    pub(crate) headers: Vec<(String, Template)>,
    pub(crate) format: PayloadFormat,
}

#[derive(Debug)]
pub(crate) enum Topic {
    /// Its number among the configured topics.
    Fixed(usize),
    Made(Template),
}

impl Action {
    pub(crate) fn makes_topic(&self) -> bool {
        matches!(self, Action::Forward(Forward { topic: Topic::Made(_), .. }))
    }
}

/// How a message ends. What it is made of lies in the buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Forwarded {
        rule: usize,
        topic: TopicIndex,
        has_key: bool,
        payload: Payload,
    },
    /// To the dead letters, if there is a topic for them.
    Refused {
        rule: Option<usize>,
        reason: Dropped,
    },
    Dropped {
        rule: usize,
        reason: Dropped,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    Msg,
    Frame,
    Output,
}

/// What actions read and write, used again for each message.
#[derive(Debug)]
pub(crate) struct Buffers {
    share: Share,
    sampled: Vec<Sampled>,
    /// What this message's samples were before it.
    sampled_before: Vec<(usize, Sampled)>,
    topics: TopicCache,
    time: TimeText,
    /// The winner's groups.
    pub(crate) spans: Vec<Option<(usize, usize)>>,
    /// What the winner's expression found, if it was a string.
    pub(crate) value: Vec<u8>,
    pub(crate) has_value: bool,
    /// The topic's name, as rendered.
    pub(crate) topic: Vec<u8>,
    key: Vec<u8>,
    headers: Vec<u8>,
    /// One header's value.
    header: Vec<u8>,
    output: Vec<u8>,
}

impl Buffers {
    pub(crate) fn new(share: Share, sample_count: usize) -> Buffers {
        Buffers {
            share,
            sampled: vec![Sampled::default(); sample_count],
            sampled_before: Vec::new(),
            topics: TopicCache::default(),
            time: TimeText::default(),
            spans: Vec::new(),
            value: Vec::new(),
            has_value: false,
            topic: Vec::with_capacity(TOPIC_NAME_BYTES_MAX),
            key: Vec::new(),
            headers: Vec::new(),
            header: Vec::new(),
            output: Vec::new(),
        }
    }

    /// A new message: what was sampled stays.
    pub(crate) fn begin(&mut self) {
        self.sampled_before.clear();
    }

    /// The message will come again: it was not sampled yet.
    pub(crate) fn take_back(&mut self) {
        while let Some((number, before)) = self.sampled_before.pop() {
            self.sampled[number] = before;
        }
    }
}

impl RuleSet {
    /// Runs the rule's actions; `None`: the next rules have their turn.
    pub(crate) fn act(
        &self,
        at: &At<'_, '_>,
        document: &mut Document,
        table: &TopicTable,
        buffers: &mut Buffers,
    ) -> Option<Ending> {
        let rule = at.index;
        if at.rule.needs_time {
            buffers.time.refresh(at.context.now);
        }
        buffers.output.clear();
        buffers.topic.clear();
        for action in &at.rule.actions {
            let refusal = match action {
                Action::Stop => return Some(Ending::Dropped { rule, reason: Dropped::Stopped }),
                Action::Sample(sample, number) => {
                    let sampled = &mut buffers.sampled[*number];
                    buffers.sampled_before.push((*number, *sampled));
                    if !sampled.take(*sample, buffers.share, at.context.now) {
                        return Some(Ending::Dropped { rule, reason: Dropped::Sampled });
                    }
                    None
                }
                Action::Replace(template) => replace(template, at, buffers),
                Action::Merge(merge) => self.merge(merge, at, document, buffers),
                Action::Forward(forward) => return Some(self.forward(forward, at, table, buffers)),
            };
            if let Some(reason) = refusal {
                return Some(Ending::Refused { rule: Some(rule), reason });
            }
        }
        None
    }

    fn merge(
        &self,
        merge: &Merge<Template>,
        at: &At<'_, '_>,
        document: &mut Document,
        buffers: &mut Buffers,
    ) -> Option<Dropped> {
        let Buffers { spans, value, has_value, time, output, .. } = buffers;
        let variables = at.variables(spans, has_value.then_some(&**value), time);
        output.clear();
        let merged = merge.apply(
            &self.fields[self.msg].paths,
            document,
            at.message.msg,
            |template: &Template, out: &mut Vec<u8>| {
                template.render(&variables, OUTPUT_BYTES_MAX, out)
            },
            OUTPUT_BYTES_MAX,
            output,
        );
        match merged {
            Ok(()) => None,
            Err(MergeRefused::TooLong) => Some(Dropped::Oversize),
            Err(MergeRefused::NotJson(_) | MergeRefused::NotObject) => Some(Dropped::MergeNotJson),
        }
    }

    fn forward(
        &self,
        forward: &Forward,
        at: &At<'_, '_>,
        table: &TopicTable,
        buffers: &mut Buffers,
    ) -> Ending {
        let rule = at.index;
        let refused = |reason| Ending::Refused { rule: Some(rule), reason };
        let Some(topic) = self.topic(forward, at, table, buffers) else {
            return refused(Dropped::TopicRefused);
        };
        if !render_key_and_headers(forward, at, buffers) {
            self.name_fixed(forward, buffers);
            return refused(Dropped::Oversize);
        }
        let payload = match forward.format {
            // An output of no bytes is none.
            _ if !buffers.output.is_empty() => Payload::Output,
            PayloadFormat::Msg => Payload::Msg,
            PayloadFormat::Raw => Payload::Frame,
            PayloadFormat::Json => {
                let Buffers { time, output, .. } = buffers;
                if !payload::json(at.message, at.context, time.text(), output, OUTPUT_BYTES_MAX) {
                    self.name_fixed(forward, buffers);
                    return refused(Dropped::Oversize);
                }
                Payload::Output
            }
        };
        Ending::Forwarded { rule, topic, has_key: forward.key.is_some(), payload }
    }

    /// Notes for the dead letter where the record should have gone; a made name is there already.
    fn name_fixed(&self, forward: &Forward, buffers: &mut Buffers) {
        if let Topic::Fixed(topic) = &forward.topic {
            buffers.topic.extend_from_slice(self.configured_topics[*topic].as_bytes());
        }
    }

    /// The record's topic; `None` if it is refused and there is no fallback.
    fn topic(
        &self,
        forward: &Forward,
        at: &At<'_, '_>,
        table: &TopicTable,
        buffers: &mut Buffers,
    ) -> Option<TopicIndex> {
        let template = match &forward.topic {
            Topic::Fixed(topic) => return self.routing.place_of(Some(*topic)),
            Topic::Made(template) => template,
        };
        let Buffers { spans, value, has_value, time, topic, topics, .. } = buffers;
        let variables = at.variables(spans, has_value.then_some(&**value), time);
        let fits = template.render(&variables, TOPIC_NAME_BYTES_MAX, topic);
        let made = fits.then(|| topics.resolve(table, &self.routing.policy, topic)).flatten();
        if !fits {
            mark_cut(topic);
        }
        made.or_else(|| self.routing.place_of(self.routing.fallback))
    }

    /// The verdict for a message that ended so, or that no rule ended.
    pub(crate) fn verdict<'s>(
        &'s self,
        ending: Option<Ending>,
        message: &Message<'s>,
        context: &Context<'s>,
        buffers: &'s mut Buffers,
    ) -> Verdict<'s> {
        match ending {
            None => self.unmatched(message, context),
            Some(Ending::Dropped { rule, reason }) => Verdict::Drop { rule: Some(rule), reason },
            Some(Ending::Refused { rule, reason }) => {
                self.refused(rule, reason, message, context, buffers)
            }
            Some(Ending::Forwarded { rule, topic, has_key, payload }) => {
                let payload = match payload {
                    Payload::Msg => message.msg,
                    Payload::Frame => message.frame,
                    Payload::Output => &buffers.output,
                };
                let record = Record {
                    topic,
                    key: has_key.then_some(&*buffers.key),
                    headers: &buffers.headers,
                    payload,
                    time: self.time_of(message, context),
                    origin: self.origin(Some(rule), message, context),
                };
                Verdict::Forward { rule: Some(rule), record, dead_letter: None }
            }
        }
    }

    fn unmatched<'s>(&'s self, message: &Message<'s>, context: &Context<'s>) -> Verdict<'s> {
        let Some(topic) = self.routing.place_of(self.routing.unmatched) else {
            return Verdict::Drop { rule: None, reason: Dropped::Unmatched };
        };
        let record = Record {
            topic,
            key: None,
            headers: &[],
            payload: message.msg,
            time: self.time_of(message, context),
            origin: self.origin(None, message, context),
        };
        Verdict::Forward { rule: None, record, dead_letter: None }
    }

    /// A dead letter, or dropped.
    fn refused<'s>(
        &'s self,
        rule: Option<usize>,
        reason: Dropped,
        message: &Message<'s>,
        context: &Context<'s>,
        buffers: &'s mut Buffers,
    ) -> Verdict<'s> {
        let Some(topic) = self.dead_letter() else { return Verdict::Drop { rule, reason } };
        buffers.time.refresh(context.now);
        buffers.headers.clear();
        let name = rule.map_or("", |rule| self.rule_name(rule));
        for (header, value) in [
            (dead_letter::REASON, reason.name().as_bytes()),
            (dead_letter::RULE, name.as_bytes()),
            (dead_letter::LISTENER, context.listener),
            (dead_letter::PEER, context.peer),
            (dead_letter::TOPIC, &*buffers.topic),
            (dead_letter::TIME, buffers.time.text()),
        ] {
            // All of them are short: names, an address, at most a topic's name and a time.
            push_header(&mut buffers.headers, header, value);
        }
        if let Some(name) = context.client_name {
            push_header(&mut buffers.headers, dead_letter::CLIENT_NAME, name);
        }
        let record = Record {
            topic,
            key: None,
            headers: &buffers.headers,
            payload: message.frame,
            time: self.time_of(message, context),
            origin: None,
        };
        Verdict::Forward { rule, record, dead_letter: Some(reason) }
    }

    fn time_of(&self, message: &Message<'_>, context: &Context<'_>) -> Option<jiff::Timestamp> {
        match self.routing.record_time {
            RecordTime::Received => None,
            RecordTime::Message => time::of_message(message, context.now, context.zone),
        }
    }

    /// What the dead letters would need of a record, if there are any.
    fn origin<'s>(
        &'s self,
        rule: Option<usize>,
        message: &Message<'s>,
        context: &Context<'s>,
    ) -> Option<Origin<'s>> {
        self.routing.dead_letter?;
        Some(Origin {
            frame: message.frame,
            rule: rule.map_or("", |rule| self.rule_name(rule)).as_bytes(),
            listener: context.listener,
            peer: context.peer,
            client_name: context.client_name.unwrap_or_default(),
            received: context.now,
        })
    }
}

/// Ends a name that is too long with an ellipsis, within a topic's longest name and not within a
/// character.
fn mark_cut(name: &mut Vec<u8>) {
    let mut end = name.len().min(TOPIC_NAME_BYTES_MAX - dead_letter::CUT.len());
    while name.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) && end > 0 {
        end -= 1;
    }
    name.truncate(end);
    name.extend_from_slice(dead_letter::CUT.as_bytes());
}

impl<'a> At<'a, '_> {
    /// What this rule's templates may insert.
    fn variables(
        &self,
        spans: &'a [Option<(usize, usize)>],
        value: Option<&'a [u8]>,
        time: &'a TimeText,
    ) -> Variables<'a> {
        Variables {
            message: self.message,
            context: self.context,
            sd: self.sd,
            iso8601: time.text(),
            groups: self.rule.groups.map(|_| Groups { field: self.field, spans }),
            value,
        }
    }
}

fn replace(template: &Template, at: &At<'_, '_>, buffers: &mut Buffers) -> Option<Dropped> {
    let Buffers { spans, value, has_value, time, output, .. } = buffers;
    let variables = at.variables(spans, has_value.then_some(&**value), time);
    output.clear();
    (!template.render(&variables, OUTPUT_BYTES_MAX, output)).then_some(Dropped::Oversize)
}

/// False if one of them is too long.
fn render_key_and_headers(forward: &Forward, at: &At<'_, '_>, buffers: &mut Buffers) -> bool {
    let Buffers { spans, value, has_value, time, key, headers, header, .. } = buffers;
    key.clear();
    headers.clear();
    if forward.key.is_none() && forward.headers.is_empty() {
        return true;
    }
    let variables = at.variables(spans, has_value.then_some(&**value), time);
    let has_room = |template: &Template| template.render(&variables, KEY_BYTES_MAX, key);
    if !forward.key.as_ref().is_none_or(has_room) {
        return false;
    }
    forward.headers.iter().all(|(name, template)| {
        header.clear();
        template.render(&variables, HEADERS_BYTES_MAX, header) && push_header(headers, name, header)
    })
}
