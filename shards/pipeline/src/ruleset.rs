//! The rules, compiled: a message in, one verdict out.
//!
//! Rules are tried in order; the first that matches and forwards or stops decides. Not every rule
//! is looked at: those with patterns on one field share a pass over it, which is made when the
//! first of them has its turn, and which names the rules that match; those with paths share a read
//! of it as JSON, which names the rules whose path is there. Rules on parameters of structured data
//! wait until one walk over it has said which it has. A rule whose pattern always
//! matches is not searched at all. Groups are taken for the winner alone, and only if a template
//! of its names one. A field is read as JSON at most once, however many rules ask.
//!
//! All searching works on bytes, with the shard's own caches, and allocates nothing once these
//! have grown. What the actions do: `actions.rs`; how rules are compiled: `compiler.rs`.

use crate::actions::{Action, BUFFERS_BYTES_MAX, Buffers, Ending};
use crate::bits::Bits;
use crate::compiler::Compiler;
use crate::counters::{Dropped, RuleCounters};
use crate::expression::Answer;
use crate::json::{Document, NotJson, Steps};
use crate::message::Message;
use crate::patterns::PatternScratch;
use crate::record::Record;
use crate::rule::{At, FieldPlan, Matcher, Rule};
use crate::rules::{RecordTime, RoutingConfig, RuleConfig};
use crate::sample::Share;
use crate::structured_data::{SdNames, SdValues};
use crate::tally::Tally;
use crate::template::{Context, Sd};
use crate::topics::{self, TopicIndex, TopicPolicy, TopicTable};
use crate::waiting::Waiting;
use std::sync::Arc;

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
    pub(crate) rules: Vec<Rule>,
    pub(crate) fields: Vec<FieldPlan>,
    /// Where `msg` stands in `fields`.
    pub(crate) msg: usize,
    /// Parameters of the structured data that matchers and templates name.
    pub(crate) sd_names: SdNames,
    /// Rules to look at before a pass has said anything: those without a pattern and path, those
    /// whose pattern is tried alone, and the first rule of each pass and of each field's paths. Of
    /// those on structured data, the first alone.
    pub(crate) first_candidates: Bits,
    /// The others of those, by the number of their parameter.
    pub(crate) sd_rules: Waiting,
    /// What expressions that are more than a path may cost, for each byte of a message.
    pub(crate) steps_per_byte: usize,
    pub(crate) sample_count: usize,
    pub(crate) names_credentials: bool,
    pub(crate) routing: Routing,
    pub(crate) configured_topics: Vec<String>,
}

/// Where records may go, compiled.
#[derive(Debug)]
pub(crate) struct Routing {
    pub(crate) policy: TopicPolicy,
    /// By their numbers among the configured topics.
    pub(crate) fallback: Option<usize>,
    pub(crate) dead_letter: Option<usize>,
    pub(crate) unmatched: Option<usize>,
    pub(crate) record_time: RecordTime,
    /// Where each configured topic stands in the table.
    pub(crate) places: Vec<TopicIndex>,
}

/// What one shard needs to evaluate rules: caches and buffers, used again for each message. The
/// lists are by field, as `RuleSet::fields`.
#[derive(Debug)]
pub struct Scratch {
    candidates: Bits,
    patterns: Vec<PatternScratch>,
    documents: Vec<Document>,
    /// Fields whose documents are to be cleared.
    read_documents: Vec<usize>,
    sd: SdValues,
    steps: Steps,
    buffers: Buffers,
    tally: Tally,
}

impl Scratch {
    /// The message that was just evaluated will be evaluated again: as if it had not been.
    pub fn take_back(&mut self) {
        self.buffers.take_back();
        self.tally.begin();
    }

    /// The message that was just evaluated is settled: its rules are counted.
    #[inline]
    pub fn count(&mut self) {
        self.tally.count();
    }

    /// What is counted, by the rules' numbers.
    pub fn counters(&self) -> &Arc<[RuleCounters]> {
        self.tally.counters()
    }
}

/// Why a rule did not match, or that it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The message does not have the field.
    FieldMissing,
    /// The pattern is not found.
    NoMatch,
    /// The field is no JSON.
    NotJson,
    /// The field is JSON nested too deep to be read.
    TooDeep,
    /// The field is JSON, but what the expressions ask of it costs too much.
    TooCostly,
    /// The expression's result is null.
    PathNull,
    /// It matches.
    Matched,
}

/// One rule as it was tried on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// Its number, from 0.
    pub rule: usize,
    /// What came of it.
    pub why: Why,
}

impl RuleSet {
    /// Compiles the rules.
    ///
    /// Errors: every mistake, one sentence each, with the rule's number and name. Where a place in
    /// a pattern, an expression or a template is meant, two lines follow that show it.
    pub fn compile(rules: &[RuleConfig], routing: &RoutingConfig) -> Result<RuleSet, Vec<String>> {
        Compiler::new(routing).compile(rules)
    }

    /// Finds a place in `table` for each topic that the configuration names. To be called once,
    /// before the first message.
    ///
    /// Errors: one sentence; there is no room in it.
    pub fn place(&mut self, table: &TopicTable) -> Result<(), String> {
        self.routing.places = table.configure(&self.configured_topics).ok_or_else(|| {
            format!(
                "more than {} topics were added since the start; restart to have them all",
                topics::RELOADED_TOPICS_MAX
            )
        })?;
        Ok(())
    }

    /// Topics that the configuration names.
    pub fn configured_topics(&self) -> &[String] {
        &self.configured_topics
    }

    /// The topic for dead letters, once it has its place.
    pub fn dead_letter(&self) -> Option<TopicIndex> {
        self.routing.place_of(self.routing.dead_letter)
    }

    /// True if a topic comes from message data somewhere.
    pub fn makes_topics(&self) -> bool {
        self.rules.iter().flat_map(|rule| &rule.actions).any(Action::makes_topic)
    }

    /// True if a template names the process that sent a message: its credentials are needed.
    pub fn names_credentials(&self) -> bool {
        self.names_credentials
    }

    /// Rules in it.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// A rule's name, or its number from 1 where it has none.
    pub fn rule_name(&self, rule: usize) -> &str {
        self.rules.get(rule).map_or("", |rule| &rule.name)
    }

    /// Rules that have to search.
    pub fn pattern_count(&self) -> usize {
        self.fields.iter().map(|plan| plan.patterns.pattern_count()).sum()
    }

    /// Bytes that one shard's caches and buffers may grow to.
    pub fn scratch_bytes_max(&self) -> usize {
        let patterns = self.fields.iter().map(|plan| plan.patterns.scratch_bytes_max());
        patterns.sum::<usize>() + BUFFERS_BYTES_MAX
    }

    /// The caches and buffers of the only shard.
    pub fn scratch(&self) -> Scratch {
        self.scratch_of(Share::ALL)
    }

    /// The caches and buffers of one shard.
    pub fn scratch_of(&self, share: Share) -> Scratch {
        Scratch {
            candidates: Bits::new(self.rules.len()),
            patterns: self.fields.iter().map(|plan| plan.patterns.scratch()).collect(),
            documents: self.fields.iter().map(|_| Document::default()).collect(),
            read_documents: Vec::new(),
            sd: SdValues::default(),
            steps: Steps::default(),
            buffers: Buffers::new(share, self.sample_count),
            tally: Tally::new(self.rules.len()),
        }
    }

    /// Tries the rules in order on one message.
    ///
    /// Cost:   one pass per field with many patterns; no allocation.
    pub fn evaluate<'s>(
        &'s self,
        message: &Message<'s>,
        context: &Context<'s>,
        table: &TopicTable,
        scratch: &'s mut Scratch,
    ) -> Verdict<'s> {
        let mut ending = None;
        let mut next = 0;
        scratch.candidates.copy_from(&self.first_candidates);
        self.begin(message, scratch);
        scratch.buffers.begin();
        scratch.tally.begin();
        while let Some(index) = scratch.candidates.next_from(next) {
            next = index + 1;
            let rule = &self.rules[index];
            let plan = &self.fields[rule.field];
            if self.sd_rules.first == Some(index) {
                scratch.sd.read(&self.sd_names, message.structured_data);
                for number in scratch.sd.found() {
                    self.sd_rules.release(*number, &mut scratch.candidates);
                }
            }
            let Some(field) = plan.read(message, &scratch.sd) else { continue };
            let patterns = &mut scratch.patterns[rule.field];
            if plan.patterns.pass() == Some(index) {
                scratch.candidates.remove(index);
                plan.patterns.search(patterns, field, &mut scratch.candidates);
                if !rule.is_always() && !scratch.candidates.contains(index) {
                    continue;
                }
            }
            let document = &mut scratch.documents[rule.field];
            if rule.has_expression() && !document.is_read() {
                scratch.read_documents.push(rule.field);
            }
            if plan.path_rules.first == Some(index) {
                plan.find_paths(document, field, &mut scratch.candidates);
            }
            let (steps, buffers) = (&mut scratch.steps, &mut scratch.buffers);
            if !rule.is_in_pass()
                && self.try_alone(rule, field, patterns, document, steps, buffers) != Why::Matched
            {
                continue;
            }
            if rule.needs_sd {
                scratch.sd.read(&self.sd_names, message.structured_data);
            }
            let sd = Sd { names: &self.sd_names, values: &scratch.sd };
            let Some(field) = plan.read(message, sd.values) else { continue };
            if let Some(member) = rule.groups {
                plan.patterns.captures(member, patterns, field, &mut buffers.spans);
            }
            scratch.tally.note_match(index);
            let document = &mut scratch.documents[self.msg];
            let at = At { index, rule, field, message, context, sd };
            ending = self.act(&at, document, table, buffers);
            if ending.is_some() {
                break;
            }
        }
        scratch.tally.note_ending(ending.as_ref());
        self.verdict(ending, message, context, &mut scratch.buffers)
    }

    /// Forgets the message before.
    fn begin(&self, message: &Message<'_>, scratch: &mut Scratch) {
        scratch.documents[self.msg].clear();
        for &field in &scratch.read_documents {
            scratch.documents[field].clear();
        }
        scratch.read_documents.clear();
        scratch.sd.clear();
        scratch.steps = Steps::new(message.frame.len(), self.steps_per_byte);
    }

    /// What became of a message that could not be forwarded for a reason that the rules do not
    /// know: a dead letter, or dropped. `topic`: where its record should have gone.
    pub fn refuse<'s>(
        &'s self,
        rule: Option<usize>,
        reason: Dropped,
        topic: &str,
        message: &Message<'s>,
        context: &Context<'s>,
        scratch: &'s mut Scratch,
    ) -> Verdict<'s> {
        scratch.buffers.topic.clear();
        scratch.buffers.topic.extend_from_slice(topic.as_bytes());
        self.verdict(Some(Ending::Refused { rule, reason }), message, context, &mut scratch.buffers)
    }

    /// How each rule does on a message, one by one, to be read by people. Nothing is acted.
    pub fn explain(&self, message: &Message<'_>, scratch: &mut Scratch) -> Vec<Tried> {
        self.begin(message, scratch);
        scratch.sd.read(&self.sd_names, message.structured_data);
        let why = |rule: &Rule| {
            let field = self.fields[rule.field].read(message, &scratch.sd);
            let Some(field) = field else { return Why::FieldMissing };
            let patterns = &mut scratch.patterns[rule.field];
            let document = &mut scratch.documents[rule.field];
            scratch.read_documents.push(rule.field);
            let (steps, buffers) = (&mut scratch.steps, &mut scratch.buffers);
            self.try_alone(rule, field, patterns, document, steps, buffers)
        };
        let whys: Vec<Why> = self.rules.iter().map(why).collect();
        whys.into_iter().enumerate().map(|(rule, why)| Tried { rule, why }).collect()
    }

    /// Tries one rule by itself. A string that its expression finds is then in `buffers.value`.
    fn try_alone(
        &self,
        rule: &Rule,
        field: &[u8],
        patterns: &mut PatternScratch,
        document: &mut Document,
        steps: &mut Steps,
        buffers: &mut Buffers,
    ) -> Why {
        let plan = &self.fields[rule.field];
        buffers.has_value = false;
        match &rule.matcher {
            Matcher::Always => Why::Matched,
            Matcher::Pattern { member, .. } => {
                match plan.patterns.is_match(*member, patterns, field) {
                    true => Why::Matched,
                    false => Why::NoMatch,
                }
            }
            Matcher::Expression(expression) => {
                match expression.evaluate(&plan.paths, document, field, steps, &mut buffers.value) {
                    Answer::NotJson(NotJson::TooDeep) => Why::TooDeep,
                    Answer::NotJson(NotJson::TooCostly) => Why::TooCostly,
                    Answer::NotJson(NotJson::Syntax | NotJson::NumberRange) => Why::NotJson,
                    Answer::Null => Why::PathNull,
                    Answer::Other => Why::Matched,
                    Answer::Text => {
                        buffers.has_value = true;
                        Why::Matched
                    }
                }
            }
        }
    }
}

impl Routing {
    /// Where a configured topic stands in the table.
    pub(crate) fn place_of(&self, configured: Option<usize>) -> Option<TopicIndex> {
        self.places.get(configured?).copied()
    }
}
