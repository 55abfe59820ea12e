//! A rule with a mistake, part by part: what the pipeline refuses in the others.
//!
//! The pipeline stops at a rule's first mistake, and so would hide the next ones. Here each part is
//! compiled beside a matcher that is in order and has the same names for templates; one whose
//! mistake is noted already is left out.

use super::limits::TEMPLATE_BYTES_MAX;
use super::section::Mistakes;
use corndog_pipeline::rules::{
    ActionConfig, Field, ForwardConfig, MatcherConfig, PayloadFormat, RoutingConfig, RuleConfig,
};
use corndog_pipeline::ruleset::RuleSet;
use serde_json::Value as Json;

/// A topic that is legal.
const TOPIC: &str = "topic";

/// A rule's matcher, as it was read.
#[derive(Debug)]
pub struct Matcher {
    /// What it says.
    pub config: MatcherConfig,
    /// What of it has no mistake that is noted: more than one where both kinds stand there.
    pub sound: Vec<MatcherConfig>,
    /// What templates may name beside what every message has; `None`: anything, because it could
    /// not be read.
    pub names: Option<Vec<String>>,
}

impl Matcher {
    /// The names that these texts, as typed, give to templates.
    pub fn names([regex, jmespath]: [Option<&str>; 2]) -> Vec<String> {
        let value = jmespath.map(|_| "value".to_owned());
        regex.map(group_names).unwrap_or_default().into_iter().chain(value).collect()
    }

    /// One that is in order, with the same names.
    fn stand_in(&self, actions: &[ActionConfig]) -> MatcherConfig {
        let names = match (&self.names, &self.config) {
            (None, _) => words(actions),
            (Some(_), MatcherConfig::Jmespath(_)) => {
                return MatcherConfig::Jmespath("a".to_owned());
            }
            (Some(names), _) => names.clone(),
        };
        let mut pattern = String::new();
        for (index, name) in names.iter().enumerate() {
            if !names[..index].contains(name) {
                pattern.push_str(&format!("(?P<{name}>)"));
            }
        }
        MatcherConfig::Regex(pattern)
    }
}

/// Notes what the pipeline refuses in the matcher and in each of the actions.
pub fn check(
    matcher: &Matcher,
    actions: &[ActionConfig],
    path: &str,
    routing: &RoutingConfig,
    mistakes: &Mistakes,
) {
    let refusal = |matcher: &MatcherConfig, action: ActionConfig| {
        let (name, matcher, actions) = (String::new(), matcher.clone(), vec![action]);
        let rule = RuleConfig { name, field: Field::Msg, matcher, actions };
        RuleSet::compile(&[rule], routing).err().unwrap_or_default()
    };
    for config in &matcher.sound {
        note(refusal(config, ActionConfig::Stop), path, mistakes);
    }
    let stand_in = matcher.stand_in(actions);
    for action in actions {
        let refusals: Vec<String> =
            parts(action).into_iter().flat_map(|part| refusal(&stand_in, part)).collect();
        let refusals = match action {
            ActionConfig::Merge(_) if refusals.is_empty() => refusal(&stand_in, action.clone()),
            // Its strings were tried as what `replace` has.
            ActionConfig::Merge(_) => {
                refusals.iter().map(|why| why.replacen("replace: ", "merge: ", 1)).collect()
            }
            _ => refusals,
        };
        note(refusals, path, mistakes);
    }
}

/// Notes what the pipeline said of a rule that it knew by its number alone.
pub fn note(refusals: Vec<String>, path: &str, mistakes: &Mistakes) {
    for refusal in refusals {
        let refusal = refusal.strip_prefix("rule 1: ").unwrap_or(&refusal);
        match refusal.split_once(": ") {
            Some((key, why)) => mistakes.add(&format!("{path}, {key}"), why),
            None => mistakes.add(path, refusal),
        }
    }
}

/// An action for each template in one; those that are too long are noted already.
fn parts(action: &ActionConfig) -> Vec<ActionConfig> {
    let fits = |template: &str| template.len() <= TEMPLATE_BYTES_MAX;
    let forward = |topic: &str, key: Option<&String>, header: Option<&(String, String)>| {
        let headers = header.into_iter().cloned().collect();
        let (topic, key, format) = (topic.to_owned(), key.cloned(), PayloadFormat::default());
        ActionConfig::Forward(ForwardConfig { topic, key, headers, format })
    };
    match action {
        ActionConfig::Forward(typed) => {
            let topic = fits(&typed.topic).then(|| forward(&typed.topic, None, None));
            let key = typed.key.as_ref().filter(|key| fits(key));
            let headers = typed.headers.iter().filter(|(_, value)| fits(value));
            let headers = headers.map(|header| forward(TOPIC, None, Some(header)));
            let key = key.map(|key| forward(TOPIC, Some(key), None));
            topic.into_iter().chain(key).chain(headers).collect()
        }
        ActionConfig::Merge(tree) => {
            strings(tree).into_iter().map(|text| ActionConfig::Replace(text.to_owned())).collect()
        }
        ActionConfig::Replace(template) if !fits(template) => Vec::new(),
        other => vec![other.clone()],
    }
}

/// All strings of a tree, keys too.
fn strings(tree: &Json) -> Vec<&str> {
    let (mut found, mut left) = (Vec::new(), vec![tree]);
    while let Some(json) = left.pop() {
        match json {
            Json::String(text) => found.push(text.as_str()),
            Json::Array(values) => left.extend(values.iter().rev()),
            Json::Object(members) => {
                found.extend(members.keys().map(String::as_str));
                left.extend(members.values().rev());
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }
    found
}

/// The names of a pattern's groups, also where it is no pattern.
fn group_names(pattern: &str) -> Vec<String> {
    let after = |open: &'static str| {
        pattern.match_indices(open).map(move |(at, _)| (at, &pattern[at..][open.len()..]))
    };
    let mut found: Vec<(usize, &str)> = after("(?P<").chain(after("(?<")).collect();
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, rest)| first_word(rest)).filter(|name| !name.is_empty()).collect()
}

/// Whatever could be a name in the actions' templates.
fn words(actions: &[ActionConfig]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |template: &str| {
        let words = template.split(|c: char| !is_word(c)).map(first_word);
        found.extend(words.filter(|word| !word.is_empty()));
    };
    for action in actions.iter().flat_map(parts) {
        match action {
            ActionConfig::Forward(ForwardConfig { topic, key, headers, .. }) => {
                let headers = headers.iter().map(|(_, value)| value);
                [&topic].into_iter().chain(&key).chain(headers).for_each(|text| add(text));
            }
            ActionConfig::Replace(template) => add(&template),
            ActionConfig::Merge(_) | ActionConfig::Sample(_) | ActionConfig::Stop => {}
        }
    }
    found.sort();
    found.dedup();
    found
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The name that a text begins with; empty: none.
fn first_word(text: &str) -> String {
    let is_name = !text.starts_with(|c: char| c.is_ascii_digit());
    text.chars().take_while(|c| is_name && is_word(*c)).collect()
}
