//! Rules as they were typed, compiled to what is evaluated; every mistake is found here.

use crate::actions::{Action, Forward, Topic};
use crate::expression::Expression;
use crate::json::PathSetBuilder;
use crate::merge::{Leaf, Merge};
use crate::patterns::{Pattern, PatternSet};
use crate::plan::{plan_search, sd_rules, steps_per_byte};
use crate::rule::{FieldPlan, Matcher, Rule};
use crate::rules::{
    ActionConfig, Field, ForwardConfig, MatcherConfig, PayloadFormat, RoutingConfig, RuleConfig,
};
use crate::ruleset::{Routing, RuleSet};
use crate::structured_data::SdNames;
use crate::template::{Scope, Template};
use crate::topics::{self, TopicPolicy};
use crate::waiting::Waiting;

/// Compiles rules one by one, and collects what they share.
pub(crate) struct Compiler<'c> {
    routing: &'c RoutingConfig,
    fields: Vec<FieldRules>,
    configured_topics: Vec<String>,
    sample_count: usize,
    /// SD-IDs and PARAM-NAMEs that templates name.
    sd_params: Vec<(String, String)>,
    names_credentials: bool,
}

/// What the rules want of one field, so far.
struct FieldRules {
    field: Field,
    paths: PathSetBuilder,
    patterns: Vec<(usize, Pattern)>,
}

impl<'c> Compiler<'c> {
    pub(crate) fn new(routing: &'c RoutingConfig) -> Self {
        let mut compiler = Compiler {
            routing,
            fields: Vec::new(),
            configured_topics: Vec::new(),
            sample_count: 0,
            sd_params: Vec::new(),
            names_credentials: false,
        };
        compiler.field(&Field::Msg);
        compiler
    }

    /// Errors: every mistake, with the rule's number and name.
    pub(crate) fn compile(mut self, configs: &[RuleConfig]) -> Result<RuleSet, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut rules = Vec::with_capacity(configs.len());
        for (index, config) in configs.iter().enumerate() {
            match self.rule(index, config) {
                Ok(rule) => rules.push(rule),
                Err(why) => mistakes.push(match config.name.as_str() {
                    "" => format!("rule {}: {why}", index + 1),
                    name => format!("rule {} ({name:?}): {why}", index + 1),
                }),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        self.finish(rules).map_err(|why| vec![why])
    }

    fn finish(mut self, mut rules: Vec<Rule>) -> Result<RuleSet, String> {
        let routing = self.routing;
        let mut named = |name: &Option<String>| name.as_ref().map(|name| self.configured(name));
        let (fallback, dead_letter, unmatched) =
            (named(&routing.fallback), named(&routing.dead_letter), named(&routing.unmatched));
        let matched = self.fields.iter().filter_map(|rules| rules.field.sd_param());
        let templated = self.sd_params.iter().map(|(id, param)| (&**id, &**param));
        let sd_names = SdNames::new(matched.chain(templated));
        let plan = |FieldRules { field, paths, patterns }: FieldRules| {
            let sd_param = field.sd_param();
            let sd_param =
                sd_param.and_then(|(id, param)| sd_names.find(id.as_bytes(), param.as_bytes()));
            let patterns = PatternSet::new(patterns)?;
            let (paths, path_rules) = (paths.build(), Waiting::default());
            Ok(FieldPlan { field, sd_param, patterns, paths, path_rules })
        };
        let mut fields: Vec<FieldPlan> =
            self.fields.into_iter().map(plan).collect::<Result<_, String>>()?;
        let steps_per_byte = steps_per_byte(&fields, &rules)?;
        let mut first_candidates = plan_search(&mut fields, &mut rules);
        let sd_rules = sd_rules(&fields, &rules, &mut first_candidates);
        Ok(RuleSet {
            rules,
            fields,
            msg: 0,
            sd_names,
            first_candidates,
            sd_rules,
            steps_per_byte,
            sample_count: self.sample_count,
            names_credentials: self.names_credentials,
            routing: Routing {
                policy: TopicPolicy { allow: routing.allow.clone(), distinct: routing.distinct },
                fallback,
                dead_letter,
                unmatched,
                record_time: routing.record_time,
                places: Vec::new(),
            },
            configured_topics: self.configured_topics,
        })
    }

    fn rule(&mut self, index: usize, config: &RuleConfig) -> Result<Rule, String> {
        let field = self.field(&config.field);
        let mut pattern = None;
        let mut scope = Scope { groups: &[], has_value: false };
        let matcher = match &config.matcher {
            MatcherConfig::Always => Matcher::Always,
            MatcherConfig::Regex(text) => {
                let compiled = Pattern::compile(text).map_err(|why| format!("regex: {why}"))?;
                let is_always = compiled.is_always();
                scope.groups = pattern.insert(compiled).groups();
                let member = self.fields[field].patterns.len();
                match is_always {
                    true => Matcher::Always,
                    false => Matcher::Pattern { member, is_in_pass: false },
                }
            }
            MatcherConfig::Jmespath(text) => {
                scope.has_value = true;
                let paths = &mut self.fields[field].paths;
                let expression = Expression::compile(text, paths);
                Matcher::Expression(expression.map_err(|why| format!("jmespath: {why}"))?)
            }
        };
        if config.actions.is_empty() {
            return Err(
                "actions: there is none; add { forward = \"topic\" } or { stop = true }".into()
            );
        }
        let mut actions = Vec::with_capacity(config.actions.len());
        let mut needs = Needs::default();
        for action in &config.actions {
            // What a hotdog user writes out of habit: forward ends the message already.
            if !matches!(actions.last(), Some(Action::Forward(_))) || *action != ActionConfig::Stop
            {
                actions.push(self.action(action, &scope, &mut needs)?);
            }
        }
        self.names_credentials |= needs.credentials;
        let needs_groups = needs.groups;
        let groups = needs_groups.then(|| self.fields[field].patterns.len());
        if let Some(pattern) = pattern
            && (needs_groups || !pattern.is_always())
        {
            let pattern = if needs_groups { pattern.with_groups() } else { pattern };
            self.fields[field].patterns.push((index, pattern));
        }
        let name = match config.name.as_str() {
            "" => (index + 1).to_string(),
            name => name.to_owned(),
        };
        let needs_sd = !needs.sd_params.is_empty();
        self.sd_params.append(&mut needs.sd_params);
        Ok(Rule { name, field, matcher, actions, groups, needs_time: needs.time, needs_sd })
    }

    fn action(
        &mut self,
        action: &ActionConfig,
        scope: &Scope<'_>,
        needs: &mut Needs,
    ) -> Result<Action, String> {
        Ok(match action {
            ActionConfig::Stop => Action::Stop,
            ActionConfig::Sample(sample) => {
                self.sample_count += 1;
                Action::Sample(*sample, self.sample_count - 1)
            }
            ActionConfig::Replace(text) => Action::Replace(
                needs.template(text, scope).map_err(|why| format!("replace: {why}"))?,
            ),
            ActionConfig::Merge(tree) => {
                let leaf = |text: &str| {
                    let template = needs.template(text, scope)?;
                    Ok(match template.as_literal() {
                        Some(text) => Leaf::Constant(String::from_utf8_lossy(text).into_owned()),
                        None => Leaf::Made(template),
                    })
                };
                let merge = Merge::compile(tree, &mut self.fields[0].paths, leaf);
                Action::Merge(merge.map_err(|why| format!("merge: {why}"))?)
            }
            ActionConfig::Forward(forward) => self.forward(forward, scope, needs)?,
        })
    }

    fn forward(
        &mut self,
        config: &ForwardConfig,
        scope: &Scope<'_>,
        needs: &mut Needs,
    ) -> Result<Action, String> {
        let topic = needs.template(&config.topic, scope);
        let topic = topic.map_err(|why| format!("forward: {why}"))?;
        let topic = match topic.as_literal() {
            Some(name) if topics::is_legal(name) => {
                Topic::Fixed(self.configured(&String::from_utf8_lossy(name)))
            }
            Some(_) => return Err(illegal_topic(&config.topic)),
            None => {
                self.check_made(&config.topic, &topic)?;
                Topic::Made(topic)
            }
        };
        let key = config.key.as_deref().map(|key| needs.template(key, scope));
        let key = key.transpose().map_err(|why| format!("key: {why}"))?;
        let header = |(name, value): &(String, String)| {
            let value = needs.template(value, scope);
            Ok((name.clone(), value.map_err(|why| format!("headers: {name}: {why}"))?))
        };
        let headers: Result<_, String> = config.headers.iter().map(header).collect();
        needs.time |= config.format == PayloadFormat::Json;
        Ok(Action::Forward(Forward { topic, key, headers: headers?, format: config.format }))
    }

    /// A topic made by a template: what can be known of it now.
    fn check_made(&self, topic: &str, template: &Template) -> Result<(), String> {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        if !template.literals().flatten().all(is_plain) {
            return Err(illegal_topic(topic));
        }
        if self.routing.allow.is_empty() && template.has_message_data() {
            return Err(format!(
                "forward: the topic {topic:?} comes from message data, and topics.allow is empty; \
                 list the names that it may become, as topics.allow = [\"logs-*\"]"
            ));
        }
        Ok(())
    }

    /// The number of a topic that the configuration names.
    fn configured(&mut self, name: &str) -> usize {
        let known = self.configured_topics.iter().position(|topic| topic == name);
        known.unwrap_or_else(|| {
            self.configured_topics.push(name.into());
            self.configured_topics.len() - 1
        })
    }

    /// The number of a field that rules match on.
    fn field(&mut self, field: &Field) -> usize {
        let known = self.fields.iter().position(|known| known.field == *field);
        known.unwrap_or_else(|| {
            self.fields.push(FieldRules {
                field: field.clone(),
                paths: PathSetBuilder::default(),
                patterns: Vec::new(),
            });
            self.fields.len() - 1
        })
    }
}

/// What the templates of one rule name.
#[derive(Debug, Default)]
struct Needs {
    groups: bool,
    time: bool,
    /// SD-IDs and PARAM-NAMEs.
    sd_params: Vec<(String, String)>,
    credentials: bool,
}

impl Needs {
    fn template(&mut self, text: &str, scope: &Scope<'_>) -> Result<Template, String> {
        let template = Template::compile(text, scope)?;
        self.groups |= template.has_groups();
        self.time |= template.needs_time();
        let owned = |(id, param): (&str, &str)| (id.to_owned(), param.to_owned());
        self.sd_params.extend(template.sd_params().map(owned));
        self.credentials |= template.names_credentials();
        Ok(template)
    }
}

fn illegal_topic(topic: &str) -> String {
    format!(
        "forward: {topic:?} is no legal topic name; use 1 to 249 of a-z A-Z 0-9 . _ - (not \".\", \
         not \"..\", not starting with \"__\")"
    )
}
