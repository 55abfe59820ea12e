//! The rules, compiled: a message in, one verdict out.
//!
//! Rules are tried in order; the first that matches decides. A pattern that always matches is
//! recognised when it is compiled and never searched. Captures are taken for the winner alone, and
//! only if one of its templates names a group. All searching works on bytes, with the shard's own
//! caches, and allocates nothing once the caches have grown.

use regex_automata::Input;
use regex_automata::meta::{Cache, Regex};
use regex_automata::util::primitives::NonMaxUsize;

use crate::compiler::Compiler;
use crate::counters::Dropped;
use crate::message::Message;
use crate::record::Record;
use crate::rules::{Field, RoutingConfig, RuleConfig};
use crate::template::{Context, Groups, Template, Variables};
use crate::time::TimeText;
use crate::topics::{self, TopicCache, TopicIndex, TopicPolicy, TopicTable};

/// Bytes of a rendered key; a record with a longer one is dropped as `oversize`.
pub const KEY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of cache for one pattern on one shard; beyond it the lazy DFA starts its cache anew.
pub const PATTERN_CACHE_BYTES_MAX: usize = 256 * 1024;

/// What the rules say of one message.
#[derive(Debug, Clone, Copy)]
pub enum Verdict<'s> {
    /// It becomes a record, which lies in the message and in the scratch.
    Forward {
        /// The rule that decided; `None` if none matched.
        rule: Option<usize>,
        /// The record.
        record: Record<'s>,
        /// The record is a dead letter: why the message could not be forwarded.
        dead_letter: Option<Dropped>,
    },
    /// It becomes none.
    Drop {
        /// The rule that decided; `None` if none matched.
        rule: Option<usize>,
        /// Why.
        reason: Dropped,
    },
}

/// All rules, compiled once and shared by the shards.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    policy: TopicPolicy,
    fallback: Option<usize>,
    configured_topics: Vec<String>,
    /// Where each configured topic stands in the table.
    places: Vec<TopicIndex>,
    slots_max: usize,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) field: Field,
    pub(crate) matcher: Matcher,
    pub(crate) action: Action,
}

#[derive(Debug)]
pub(crate) enum Matcher {
    /// Matches every message that has the field.
    Always,
    Pattern(Regex),
}

#[derive(Debug)]
pub(crate) enum Action {
    Forward { topic: Topic, key: Option<Template>, needs_groups: bool },
    Stop,
}

#[derive(Debug)]
pub(crate) enum Topic {
    Fixed(usize),
    Made(Template),
}

/// What one shard needs to evaluate rules: caches and buffers, used again for each message.
#[derive(Debug)]
pub struct Scratch {
    caches: Vec<Option<Cache>>,
    slots: Vec<Option<NonMaxUsize>>,
    spans: Vec<Option<(usize, usize)>>,
    topic: Vec<u8>,
    key: Vec<u8>,
    time: TimeText,
    topics: TopicCache,
}

impl RuleSet {
    /// Compiles the rules.
    ///
    /// Errors: every mistake, one sentence each, with the rule's number and name. Where a place in
    /// a pattern, an expression or a template is meant, two lines follow that show it.
    pub fn compile(rules: &[RuleConfig], routing: &RoutingConfig) -> Result<RuleSet, Vec<String>> {
        let mut compiler = Compiler {
            allow: &routing.allow,
            configured_topics: Vec::new(),
            mistakes: Vec::new(),
            slots_max: 0,
        };
        let rules = rules
            .iter()
            .enumerate()
            .filter_map(|(index, rule)| {
                let name = match rule.name.as_str() {
                    "" => format!("rule {}", index + 1),
                    name => format!("rule {} ({name:?})", index + 1),
                };
                match compiler.rule(rule) {
                    Ok(rule) => Some(rule),
                    Err(why) => {
                        compiler.mistakes.push(format!("{name}: {why}"));
                        None
                    }
                }
            })
            .collect();
        let fallback = routing.fallback.as_ref().map(|name| compiler.configured(name));
        if !compiler.mistakes.is_empty() {
            return Err(compiler.mistakes);
        }
        Ok(RuleSet {
            rules,
            policy: TopicPolicy { allow: routing.allow.clone(), distinct: routing.distinct },
            fallback,
            configured_topics: compiler.configured_topics,
            places: Vec::new(),
            slots_max: compiler.slots_max,
        })
    }

    /// Topics that the configuration names, by their numbers in the table.
    pub fn configured_topics(&self) -> &[String] {
        &self.configured_topics
    }

    /// Finds a place in `table` for each topic that the configuration names. To be called once,
    /// before the first message.
    ///
    /// Errors: one sentence; there is no room in it.
    pub fn place(&mut self, table: &TopicTable) -> Result<(), String> {
        self.places = table.configure(&self.configured_topics).ok_or_else(|| {
            format!(
                "more than {} topics were added since the start; restart to have them all",
                topics::RELOADED_TOPICS_MAX
            )
        })?;
        Ok(())
    }

    /// True if a topic comes from message data somewhere.
    pub fn makes_topics(&self) -> bool {
        self.rules
            .iter()
            .any(|rule| matches!(rule.action, Action::Forward { topic: Topic::Made(_), .. }))
    }

    /// Rules in it.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// Rules that have to search.
    pub fn pattern_count(&self) -> usize {
        self.rules.iter().filter(|rule| matches!(rule.matcher, Matcher::Pattern(_))).count()
    }

    /// The caches and buffers for one shard.
    pub fn scratch(&self) -> Scratch {
        let caches = self.rules.iter().map(|rule| match &rule.matcher {
            Matcher::Always => None,
            Matcher::Pattern(regex) => Some(regex.create_cache()),
        });
        Scratch {
            caches: caches.collect(),
            slots: vec![None; self.slots_max],
            spans: Vec::with_capacity(self.slots_max / 2),
            topic: Vec::with_capacity(topics::TOPIC_NAME_BYTES_MAX + 1),
            key: Vec::with_capacity(1024),
            time: TimeText::default(),
            topics: TopicCache::default(),
        }
    }

    /// Tries the rules in order on one message.
    ///
    /// Cost:   a search per rule up to the winner; no allocation.
    pub fn evaluate<'s>(
        &self,
        message: &Message<'s>,
        context: &Context<'s>,
        table: &TopicTable,
        scratch: &'s mut Scratch,
    ) -> Verdict<'s> {
        let winner = self.rules.iter().enumerate().find_map(|(index, rule)| {
            let field = field_of(message, &rule.field)?;
            let is_match = match &rule.matcher {
                Matcher::Always => true,
                Matcher::Pattern(regex) => scratch.caches[index].as_mut().is_some_and(|cache| {
                    regex.search_half_with(cache, &Input::new(field).earliest(true)).is_some()
                }),
            };
            is_match.then_some((index, rule, field))
        });
        let Some((index, rule, field)) = winner else {
            return Verdict::Drop { rule: None, reason: Dropped::Unmatched };
        };
        match &rule.action {
            Action::Stop => Verdict::Drop { rule: Some(index), reason: Dropped::Stopped },
            Action::Forward { topic, key, needs_groups } => {
                if *needs_groups {
                    rule.capture(index, field, scratch);
                }
                let forward = Forward { rule: index, field, topic, key: key.as_ref() };
                self.forward(forward, message, context, table, scratch)
            }
        }
    }

    fn forward<'s>(
        &self,
        forward: Forward<'_>,
        message: &Message<'s>,
        context: &Context<'s>,
        table: &TopicTable,
        scratch: &'s mut Scratch,
    ) -> Verdict<'s> {
        let rule = Some(forward.rule);
        scratch.time.refresh(context.now);
        let variables = Variables {
            message,
            context,
            iso8601: scratch.time.text(),
            groups: Some(Groups { field: forward.field, spans: &scratch.spans }),
            value: None,
        };
        let topic = match forward.topic {
            Topic::Fixed(topic) => Some(self.places[*topic]),
            Topic::Made(template) => {
                let name_max = topics::TOPIC_NAME_BYTES_MAX;
                scratch.topic.clear();
                let fits = template.render(&variables, name_max, &mut scratch.topic);
                let topic = fits
                    .then(|| scratch.topics.resolve(table, &self.policy, &scratch.topic))
                    .flatten();
                topic.or(self.fallback.map(|topic| self.places[topic]))
            }
        };
        let Some(topic) = topic else {
            return Verdict::Drop { rule, reason: Dropped::TopicRefused };
        };
        let key = match forward.key {
            None => None,
            Some(template) => {
                scratch.key.clear();
                if !template.render(&variables, KEY_BYTES_MAX, &mut scratch.key) {
                    return Verdict::Drop { rule, reason: Dropped::Oversize };
                }
                Some(&*scratch.key)
            }
        };
        let payload = message.msg;
        let record = Record { topic, key, headers: &[], payload, time: None, origin: None };
        Verdict::Forward { rule, record, dead_letter: None }
    }
}

/// A rule that won, and what it forwards.
struct Forward<'a> {
    rule: usize,
    field: &'a [u8],
    topic: &'a Topic,
    key: Option<&'a Template>,
}

impl Rule {
    /// Takes the winner's groups into the scratch.
    fn capture(&self, index: usize, field: &[u8], scratch: &mut Scratch) {
        scratch.spans.clear();
        let (Matcher::Pattern(regex), Some(cache)) = (&self.matcher, &mut scratch.caches[index])
        else {
            return;
        };
        let slots = &mut scratch.slots[..regex.group_info().slot_len()];
        regex.search_slots_with(cache, &Input::new(field), slots);
        let spans = slots.chunks_exact(2).map(|pair| Some((pair[0]?.get(), pair[1]?.get())));
        scratch.spans.extend(spans);
    }
}

/// A field's bytes; `None` if the message has none.
fn field_of<'a>(message: &Message<'a>, field: &Field) -> Option<&'a [u8]> {
    match field {
        Field::Msg => Some(message.msg),
        Field::Hostname => message.hostname,
        Field::Appname => message.app_name,
        Field::Procid => message.procid,
        Field::Msgid => message.msgid,
        Field::Facility => Some(message.facility().as_bytes()),
        Field::Severity => Some(message.severity().as_bytes()),
        Field::SdParam { .. } => None,
    }
}
