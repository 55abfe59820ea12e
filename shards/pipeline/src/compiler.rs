//! Rules as they were typed, compiled to what is evaluated; every mistake is found here.

use regex_automata::PatternID;
use regex_automata::meta::{Config, Regex};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

use crate::rules::{ActionConfig, ForwardConfig, MatcherConfig, RuleConfig};
use crate::ruleset::{Action, Matcher, PATTERN_CACHE_BYTES_MAX, Rule, Topic};
use crate::template::{Scope, Template};
use crate::topics;

/// Bytes of one compiled pattern.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// Nesting of a pattern: what its parser recurses on.
const PATTERN_NEST_MAX: u32 = 64;

/// Compiles rules one by one, and collects the topics that they name.
pub(crate) struct Compiler<'c> {
    pub(crate) allow: &'c [String],
    pub(crate) configured_topics: Vec<String>,
    pub(crate) mistakes: Vec<String>,
    /// The most slots that a pattern's captures need.
    pub(crate) slots_max: usize,
}

/// A pattern, compiled.
struct Pattern {
    regex: Regex,
    /// It matches whatever the field holds: `.*`, say.
    is_always: bool,
    /// The names of its groups, by number.
    groups: Vec<Option<String>>,
}

impl Compiler<'_> {
    pub(crate) fn rule(&mut self, rule: &RuleConfig) -> Result<Rule, String> {
        let pattern = match &rule.matcher {
            MatcherConfig::Always => None,
            MatcherConfig::Regex(pattern) => Some(compile_pattern(pattern)?),
            MatcherConfig::Jmespath(_) => return Err("jmespath: not built yet".into()),
        };
        let groups = pattern.as_ref().map_or(&[][..], |pattern| &pattern.groups);
        let action = match rule.actions.first() {
            Some(ActionConfig::Stop) => Action::Stop,
            Some(ActionConfig::Forward(ForwardConfig { topic, key, .. })) => {
                self.forward(topic, key.as_deref(), groups)?
            }
            Some(_) => return Err("actions: not built yet".into()),
            None => {
                return Err(
                    "actions: there is none; add { forward = \"topic\" } or { stop = true }".into(),
                );
            }
        };
        let needs_groups = matches!(action, Action::Forward { needs_groups: true, .. });
        let matcher = match pattern {
            Some(pattern) if !pattern.is_always || needs_groups => {
                self.slots_max = self.slots_max.max(pattern.regex.group_info().slot_len());
                Matcher::Pattern(pattern.regex)
            }
            _ => Matcher::Always,
        };
        Ok(Rule { field: rule.field.clone(), matcher, action })
    }

    fn forward(
        &mut self,
        topic: &str,
        key: Option<&str>,
        groups: &[Option<String>],
    ) -> Result<Action, String> {
        let scope = Scope { groups, has_value: false };
        let topic_template =
            Template::compile(topic, &scope).map_err(|why| format!("forward: {why}"))?;
        let key = key
            .map(|key| Template::compile(key, &scope).map_err(|why| format!("key: {why}")))
            .transpose()?;
        let needs_groups =
            topic_template.has_groups() || key.as_ref().is_some_and(Template::has_groups);
        let topic = match topic_template.as_literal() {
            Some(name) if topics::is_legal(name) => {
                Topic::Fixed(self.configured(&String::from_utf8_lossy(name)))
            }
            Some(_) => return Err(illegal_topic(topic)),
            None => {
                self.check_made(topic, &topic_template)?;
                Topic::Made(topic_template)
            }
        };
        Ok(Action::Forward { topic, key, needs_groups })
    }

    /// A topic made by a template: what can be known of it now.
    fn check_made(&self, topic: &str, template: &Template) -> Result<(), String> {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        if !template.literals().flatten().all(is_plain) {
            return Err(illegal_topic(topic));
        }
        if self.allow.is_empty() {
            return Err(format!(
                "forward: the topic {topic:?} comes from message data, and topics.allow is empty; \
                 list the names that it may become, as topics.allow = [\"logs-*\"]"
            ));
        }
        Ok(())
    }

    /// The number of a topic that the configuration names.
    pub(crate) fn configured(&mut self, name: &str) -> usize {
        let known = self.configured_topics.iter().position(|topic| topic == name);
        known.unwrap_or_else(|| {
            self.configured_topics.push(name.into());
            self.configured_topics.len() - 1
        })
    }
}

fn illegal_topic(topic: &str) -> String {
    format!(
        "forward: {topic:?} is no legal topic name; use 1 to 249 of a-z A-Z 0-9 . _ - (not \".\", \
         not \"..\", not starting with \"__\")"
    )
}

/// Compiles one pattern, on bytes. Errors: one sentence, with the column.
fn compile_pattern(pattern: &str) -> Result<Pattern, String> {
    let hir = ParserBuilder::new()
        .utf8(false)
        .nest_limit(PATTERN_NEST_MAX)
        .build()
        .parse(pattern)
        .map_err(|error| format!("regex: {pattern:?}: {}", explain(&error)))?;
    let config = Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(PATTERN_BYTES_MAX))
        .onepass_size_limit(Some(PATTERN_BYTES_MAX))
        .hybrid_cache_capacity(PATTERN_CACHE_BYTES_MAX);
    let regex = Regex::builder().configure(config).build_from_hir(&hir).map_err(|_| {
        format!(
            "regex: {pattern:?} compiles to more than {} KiB; make it simpler, or bound its \
             repetitions lower",
            PATTERN_BYTES_MAX / 1024
        )
    })?;
    let names = regex.group_info().pattern_names(PatternID::ZERO);
    let groups = names.map(|name| name.map(str::to_owned)).collect();
    Ok(Pattern { regex, is_always: is_always(&hir), groups })
}

/// True for a pattern that finds an empty match wherever it starts.
fn is_always(hir: &Hir) -> bool {
    let properties = hir.properties();
    properties.minimum_len() == Some(0) && properties.look_set().is_empty()
}

/// The parser's complaint in one line: what, and at which column.
fn explain(error: &regex_syntax::Error) -> String {
    let (what, column) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span().start.column),
        regex_syntax::Error::Translate(error) => {
            (error.kind().to_string(), error.span().start.column)
        }
        _ => return error.to_string().replace('\n', " "),
    };
    format!("{what} (column {column})")
}
