//! The plain reference for the rules: small, slow, obviously right, and made of well-known crates.
//!
//! It tries rule by rule and action by action, on values that it builds anew for each message:
//! `regex` for patterns, `jmespath` for expressions, `serde_json` for merges, `handlebars` for
//! templates. Of the pipeline it uses what a message is, and which topic names are legal.

mod actions;
pub mod cases;
pub mod generate;
pub mod json;
pub mod messages;
pub mod pair;
pub mod patterns;
mod payload;
pub mod random;
pub mod run;
pub mod shrink;
pub mod template;

use corndog_pipeline::message::Message;
use corndog_pipeline::rules::{Field, MatcherConfig, RecordTime, RoutingConfig, RuleConfig};
use corndog_pipeline::ruleset::Why;
use corndog_pipeline::template::Context;
use corndog_pipeline::time;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use jmespath::ast::Ast;
use jmespath::{Expression, Rcvar, Variable};
use serde_json::Value;

use actions::Action;
use template::{Templates, Variables};

/// What becomes of one message.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A record.
    Forward(PlainRecord),
    /// None.
    Drop {
        /// The rule that decided.
        rule: Option<usize>,
        /// Why, in snake case.
        reason: &'static str,
    },
}

/// A record, owned.
#[derive(Debug, Clone, PartialEq)]
pub struct PlainRecord {
    /// The rule that decided.
    pub rule: Option<usize>,
    /// Where it goes.
    pub topic: String,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Names and values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its payload.
    pub payload: Payload,
    /// Its time, where that is not when it was received.
    pub time: Option<Timestamp>,
    /// It is a dead letter: why, in snake case.
    pub dead_letter: Option<&'static str>,
}

/// A payload: to be equal byte by byte, or as JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Any spelling of this value.
    Json(Value),
}

/// All rules, as typed, with what has to be remembered between messages.
pub struct Reference {
    rules: Vec<Rule>,
    routing: RoutingConfig,
    templates: Templates,
    /// Topics that the configuration names.
    configured: Vec<String>,
    /// Topics that message data named.
    made: Vec<String>,
}

struct Rule {
    /// Its name, or else its number.
    label: String,
    field: Field,
    matcher: Matcher,
    actions: Vec<Action>,
}

enum Matcher {
    Always,
    Regex(regex::bytes::Regex),
    Jmespath(Expression<'static>),
}

/// One message on its way through the rules.
pub(crate) struct Turn<'a> {
    message: &'a Message<'a>,
    context: &'a Context<'a>,
    /// Fields that were read as JSON; `None`: it is none.
    parsed: Vec<(Field, Option<Parsed>)>,
}

/// A field as JSON.
#[derive(Clone)]
struct Parsed {
    value: Rcvar,
    /// All its numbers are within an f64: else only plain paths are looked for in it.
    is_in_range: bool,
}

impl Reference {
    /// Compiles what the rule set under test accepted.
    pub fn new(rules: &[RuleConfig], routing: &RoutingConfig) -> Reference {
        let mut templates = Templates::default();
        let rules = rules.iter().enumerate();
        let rules: Vec<Rule> =
            rules.map(|(index, rule)| Rule::new(index, rule, &mut templates)).collect();
        let mut configured: Vec<String> =
            rules.iter().flat_map(|rule| &rule.actions).filter_map(Action::fixed_topic).collect();
        configured.extend([&routing.fallback, &routing.dead_letter].into_iter().flatten().cloned());
        configured.extend(routing.unmatched.clone());
        Reference { rules, routing: routing.clone(), templates, configured, made: Vec::new() }
    }

    /// How many topics message data may name.
    pub fn distinct(&self) -> usize {
        self.routing.distinct
    }

    /// How each rule does on a message.
    pub fn explain(&self, message: &Message<'_>, context: &Context<'_>) -> Vec<Why> {
        let mut turn = Turn { message, context, parsed: Vec::new() };
        let why = |rule: &Rule| rule.matches(&mut turn).err().unwrap_or(Why::Matched);
        self.rules.iter().map(why).collect()
    }

    /// Forgets what is remembered between messages.
    pub fn forget(&mut self) {
        self.made.clear();
        self.rules.iter_mut().flat_map(|rule| &mut rule.actions).for_each(Action::forget);
    }

    /// Tries the rules in order.
    pub fn evaluate(&mut self, message: &Message<'_>, context: &Context<'_>) -> Outcome {
        let mut turn = Turn { message, context, parsed: Vec::new() };
        for index in 0..self.rules.len() {
            let Ok(variables) = self.rules[index].matches(&mut turn) else { continue };
            if let Some(outcome) = self.run(index, &turn, &variables) {
                return outcome;
            }
        }
        match &self.routing.unmatched {
            None => Outcome::Drop { rule: None, reason: "unmatched" },
            Some(topic) => Outcome::Forward(PlainRecord {
                rule: None,
                topic: topic.clone(),
                key: None,
                headers: Vec::new(),
                payload: Payload::Bytes(message.msg.to_vec()),
                time: self.time(&turn),
                dead_letter: None,
            }),
        }
    }
}

impl Matcher {
    fn new(matcher: &MatcherConfig) -> Matcher {
        match matcher {
            MatcherConfig::Always => Matcher::Always,
            MatcherConfig::Regex(pattern) => {
                Matcher::Regex(regex::bytes::Regex::new(pattern).expect("it was accepted"))
            }
            MatcherConfig::Jmespath(expression) => {
                Matcher::Jmespath(jmespath::compile(expression).expect("it was accepted"))
            }
        }
    }

    /// The variables that it sets.
    fn names(&self) -> Vec<String> {
        match self {
            Matcher::Always => Vec::new(),
            Matcher::Regex(regex) => regex.capture_names().flatten().map(str::to_owned).collect(),
            Matcher::Jmespath(_) => vec!["value".to_owned()],
        }
    }
}

impl Rule {
    fn new(index: usize, rule: &RuleConfig, templates: &mut Templates) -> Rule {
        let label = match rule.name.as_str() {
            "" => (index + 1).to_string(),
            name => name.to_owned(),
        };
        let matcher = Matcher::new(&rule.matcher);
        templates.begin(matcher.names());
        let actions = rule.actions.iter().map(|action| Action::new(action, templates)).collect();
        Rule { label, field: rule.field.clone(), matcher, actions }
    }

    /// The variables of its own that it sets, if it matches.
    fn matches(&self, turn: &mut Turn<'_>) -> Result<Variables, Why> {
        let field = turn.field(&self.field).ok_or(Why::FieldMissing)?;
        match &self.matcher {
            Matcher::Always => Ok(Variables::new()),
            Matcher::Regex(regex) => {
                let captures = regex.captures(&field).ok_or(Why::NoMatch)?;
                let group = |name: &str| {
                    let taken = captures.name(name).map(|taken| taken.as_bytes().to_vec());
                    (name.to_owned(), taken.unwrap_or_default())
                };
                Ok(regex.capture_names().flatten().map(group).collect())
            }
            Matcher::Jmespath(expression) => {
                let json = turn.json(&self.field).ok_or(Why::NotJson)?;
                if !json.is_in_range && !is_path(expression.as_ast()) {
                    return Err(Why::NotJson);
                }
                let found = expression.search(&json.value).map_err(|_| Why::PathNull)?;
                if found.is_null() {
                    return Err(Why::PathNull);
                }
                let value = found.as_string().cloned().unwrap_or_default();
                Ok(vec![("value".to_owned(), value.into_bytes())])
            }
        }
    }
}

impl Reference {
    /// A record's time, where that is not when its message was received.
    fn time(&self, turn: &Turn<'_>) -> Option<Timestamp> {
        if self.routing.record_time == RecordTime::Received {
            return None;
        }
        let text = std::str::from_utf8(turn.message.timestamp?).expect("the parser checks it");
        let now = turn.context.now;
        let time = match text.as_bytes() {
            [_, _, _, _, b'-', _, _, b'-', _, _, b'T', .., b'Z']
            | [_, _, _, _, b'-', _, _, b'-', _, _, b'T', .., b'+' | b'-', _, _, b':', _, _] => {
                text.parse().ok()?
            }
            [b'A'..=b'Z', _, _, b' ', day @ .., b' ', _, _, b':', _, _, b':', _, _]
                if day.len() <= 2 =>
            {
                nearest(text, now)?
            }
            // What devices write instead has references of its own: `tests/dialects.rs`.
            _ => time::of_message(turn.message, now, turn.context.zone)?,
        };
        let is_near = time <= now + SignedDuration::from_mins(55);
        (time >= Timestamp::UNIX_EPOCH && is_near).then_some(time)
    }
}

/// `Mmm dd hh:mm:ss` in UTC, in the year that brings it nearest to `now`.
fn nearest(text: &str, now: Timestamp) -> Option<Timestamp> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let this_year = now.to_zoned(TimeZone::UTC).year();
    let times = (this_year - 1..=this_year + 1).filter_map(|year| {
        let text = format!("{year} {}", words.join(" "));
        let time = DateTime::strptime("%Y %b %d %H:%M:%S", text).ok()?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
    });
    times.min_by_key(|time| time.duration_since(now).abs())
}

impl Turn<'_> {
    /// A field's bytes; `None` if the message has none.
    fn field(&self, field: &Field) -> Option<Vec<u8>> {
        let message = self.message;
        match field {
            Field::Msg => Some(message.msg.to_vec()),
            Field::Hostname => message.hostname.map(<[u8]>::to_vec),
            Field::Appname => message.app_name.map(<[u8]>::to_vec),
            Field::Procid => message.procid.map(<[u8]>::to_vec),
            Field::Msgid => message.msgid.map(<[u8]>::to_vec),
            Field::Facility => Some(message.facility().into()),
            Field::Severity => Some(message.severity().into()),
            Field::SdParam { id, param } => sd_param(message.structured_data?, id, param),
        }
    }

    /// A field as JSON; `None` if it is none.
    fn json(&mut self, field: &Field) -> Option<Parsed> {
        if let Some((_, parsed)) = self.parsed.iter().find(|(known, _)| known == field) {
            return parsed.clone();
        }
        let bytes = self.field(field);
        let parsed = bytes.and_then(|bytes| {
            let read = |text: &str| Variable::from_json(text).ok().map(Rcvar::new);
            let text = std::str::from_utf8(&bytes).ok().filter(|_| json::is_shallow(&bytes))?;
            match read(text) {
                Some(value) => Some(Parsed { value, is_in_range: true }),
                None => Some(Parsed {
                    value: read(&json::parse(&bytes)?.to_string())?,
                    is_in_range: false,
                }),
            }
        });
        self.parsed.push((field.clone(), parsed.clone()));
        parsed
    }
}

/// True for `a.b[0]."c d"`, and what stands for the field itself.
fn is_path(ast: &Ast) -> bool {
    match ast {
        Ast::Identity { .. } | Ast::Field { .. } => true,
        Ast::Index { idx, .. } => *idx >= 0,
        Ast::Subexpr { lhs, rhs, .. } => is_path(lhs) && is_path(rhs),
        _ => false,
    }
}

/// A parameter of the structured data: of several, the first.
fn sd_param(structured_data: &[u8], id: &str, param: &str) -> Option<Vec<u8>> {
    let elements = payload::elements(structured_data).into_iter();
    let mut params =
        elements.filter(|element| element.id == id.as_bytes()).flat_map(|element| element.params);
    params.find(|(name, _)| name == param.as_bytes()).map(|(_, value)| value)
}
