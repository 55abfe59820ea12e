//! Whether each record tells its sender: what a listener's `client_name_in` asks of all rules.
//!
//! A message of one client must never reach a topic, or have a header, that tells of another. So what
//! carries the name holds nothing else that a sender could choose: the topic is text around
//! `{{client_name}}`, the header is `{{client_name}}` alone, and neither stands in an `if`.

use crate::actions::{Action, Forward, Topic};
use crate::listen::ClientNameIn;
use crate::ruleset::RuleSet;

/// The header that carries the name.
pub const CLIENT_NAME_HEADER: &str = "client_name";

/// The text before and behind the name in a topic.
type Around<'a> = (&'a [u8], &'a [u8]);

impl RuleSet {
    /// Checks that each record of a client carries its verified name in `place`. Dead letters need
    /// no rule for it: they have a header of their own.
    ///
    /// Returns what does not, a sentence each that names the rule or key first.
    pub fn check_client_name(&self, place: ClientNameIn) -> Vec<String> {
        let mut refusals = match place {
            ClientNameIn::Topic => self.check_topics(),
            ClientNameIn::Header => self.check_headers(),
        };
        if self.routing.unmatched.is_some() {
            refusals.push(
                "unmatched.action: \"forward\" sends records without the client's name; write \
                 \"drop\", and add a last rule that forwards the rest"
                    .to_owned(),
            );
        }
        refusals
    }

    fn check_headers(&self) -> Vec<String> {
        let lacks = |(_, forward): &(usize, &Forward)| !has_header(forward);
        let refuse = |(index, _)| {
            format!(
                "{}: forward: no header carries the client's name; add headers = {{ \
                 {CLIENT_NAME_HEADER} = \"{{{{client_name}}}}\" }}",
                self.rule_label(index)
            )
        };
        self.forwards().filter(lacks).map(refuse).collect()
    }

    fn check_topics(&self) -> Vec<String> {
        let mut refusals = Vec::new();
        let mut topics: Vec<(usize, Around<'_>)> = Vec::new();
        for (index, forward) in self.forwards() {
            let rule = || self.rule_label(index);
            let Some(around) = around_name(forward) else {
                refusals.push(format!(
                    "{}: forward: the topic does not carry the client's name, once and with fixed \
                     text alone around it; write for instance forward = \"logs-{{{{client_name}}}}\"",
                    rule()
                ));
                continue;
            };
            if topics.iter().any(|(_, known)| *known == around) {
                continue;
            }
            if let Some((other, _)) = topics.iter().find(|(_, known)| may_meet(*known, around)) {
                refusals.push(format!(
                    "{}: forward: one client's topic could be what {} makes another's; begin both \
                     with the same text, or with texts that differ before either ends",
                    rule(),
                    self.rule_label(*other)
                ));
            }
            topics.push((index, around));
        }
        if self.routing.fallback.is_some() {
            refusals.push(
                "topics.fallback: a refused topic's record would go there without the client's \
                 name; leave it out, and give topics.dead_letter"
                    .to_owned(),
            );
        }
        let dead_letter = self.routing.dead_letter.map(|topic| &*self.configured_topics[topic]);
        if let Some(name) = dead_letter
            && let Some((rule, _)) = topics.iter().find(|(_, around)| may_be(name, *around))
        {
            refusals.push(format!(
                "topics.dead_letter: {name:?} could be the topic that {} makes for a client; put \
                 a text before {{{{client_name}}}} there that it does not begin with",
                self.rule_label(*rule)
            ));
        }
        refusals
    }

    /// Each `forward`, with its rule.
    fn forwards(&self) -> impl Iterator<Item = (usize, &Forward)> {
        self.rules.iter().enumerate().flat_map(|(index, rule)| {
            rule.actions.iter().filter_map(move |action| match action {
                Action::Forward(forward) => Some((index, forward)),
                _ => None,
            })
        })
    }

    /// What a rule is called in an error.
    fn rule_label(&self, index: usize) -> String {
        let number = index + 1;
        match self.rule_name(index) {
            name if name == number.to_string() => format!("rule {number}"),
            name => format!("rule {number} ({name:?})"),
        }
    }
}

fn has_header(forward: &Forward) -> bool {
    let is_it = |(name, _): &&(String, _)| name == CLIENT_NAME_HEADER;
    let header = forward.headers.iter().find(is_it);
    header.is_some_and(|(_, template)| template.around_client_name() == Some((b"", b"")))
}

fn around_name(forward: &Forward) -> Option<Around<'_>> {
    match &forward.topic {
        Topic::Made(template) => template.around_client_name(),
        Topic::Fixed(_) => None,
    }
}

/// Whether two names can make the same topic, one with either text around it: `a-` before `b.c`, and
/// `a-b.` before `c`.
fn may_meet(one: Around<'_>, other: Around<'_>) -> bool {
    let begin_alike = one.0.starts_with(other.0) || other.0.starts_with(one.0);
    let end_alike = one.1.ends_with(other.1) || other.1.ends_with(one.1);
    one != other && begin_alike && end_alike
}

/// Whether some name makes this topic.
fn may_be(topic: &str, (before, behind): Around<'_>) -> bool {
    let topic = topic.as_bytes();
    topic.len() > before.len() + behind.len()
        && topic.starts_with(before)
        && topic.ends_with(behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{
        ActionConfig, Field, ForwardConfig, MatcherConfig, PayloadFormat, RoutingConfig, RuleConfig,
    };

    /// A rule for each topic, with this header.
    fn rules(topics: &[&str], header: (&str, &str)) -> Vec<RuleConfig> {
        let rule = |topic: &&str| RuleConfig {
            name: String::new(),
            field: Field::Msg,
            matcher: MatcherConfig::Regex("(?P<word>x)".to_owned()),
            actions: vec![ActionConfig::Forward(ForwardConfig {
                topic: (*topic).to_owned(),
                key: None,
                headers: vec![(header.0.to_owned(), header.1.to_owned())],
                format: PayloadFormat::Msg,
            })],
        };
        topics.iter().map(rule).collect()
    }

    fn routing() -> RoutingConfig {
        RoutingConfig { allow: vec!["*".to_owned()], distinct: 10, ..RoutingConfig::default() }
    }

    fn check(rules: &[RuleConfig], routing: &RoutingConfig, place: ClientNameIn) -> Vec<String> {
        RuleSet::compile(rules, routing).unwrap().check_client_name(place)
    }

    #[test]
    fn a_topic_carries_the_name_and_nothing_else_of_the_message() {
        for (topic, is_good) in [
            ("{{client_name}}", true),
            ("logs-{{ client_name }}", true),
            ("{{{client_name}}}.logs", true),
            ("logs-{{client_name}}-{{version}}", true),
            ("plain", false),
            ("logs-{{appname}}", false),
            ("logs-{{client_name}}{{client_name}}", false),
            ("logs-{{client_name}}-{{appname}}", false),
            ("{{#if msg}}{{client_name}}{{/if}}", false),
            ("logs-{{#if client_name}}{{client_name}}{{else}}none{{/if}}", false),
        ] {
            let found = check(&rules(&[topic], ("a", "b")), &routing(), ClientNameIn::Topic);
            assert_eq!(found.is_empty(), is_good, "{topic}: {found:?}");
            assert!(found.iter().all(|why| why.starts_with("rule 1: forward: ")), "{found:?}");
        }
    }

    #[test]
    fn the_header_is_the_name_alone() {
        for (header, is_good) in [
            (("client_name", "{{client_name}}"), true),
            (("client_name", "{{appname}}"), false),
            (("client_name", "{{client_name}}{{appname}}"), false),
            (("client_name", "of {{client_name}}"), false),
            (("client_name", "{{#if msg}}{{client_name}}{{/if}}"), false),
            (("client", "{{client_name}}"), false),
        ] {
            let found = check(&rules(&["plain"], header), &routing(), ClientNameIn::Header);
            assert_eq!(found.is_empty(), is_good, "{header:?}: {found:?}");
        }
    }

    /// A group's name wins over ours, and what it matched is the sender's word.
    #[test]
    fn a_group_of_that_name_is_not_the_name() {
        let mut rules = rules(&["logs-{{client_name}}"], ("client_name", "{{client_name}}"));
        rules[0].matcher = MatcherConfig::Regex("(?P<client_name>x)".to_owned());
        for place in [ClientNameIn::Topic, ClientNameIn::Header] {
            assert_eq!(check(&rules, &routing(), place).len(), 1);
        }
    }

    #[test]
    fn no_two_rules_make_one_topic_of_two_names() {
        for (topics, is_good) in [
            (["a-{{client_name}}", "a-{{client_name}}"], true),
            (["a-{{client_name}}", "b-{{client_name}}"], true),
            (["{{client_name}}-a", "{{client_name}}-b"], true),
            (["a-{{client_name}}", "a-b.{{client_name}}"], false),
            (["{{client_name}}", "{{client_name}}.b"], false),
            (["{{client_name}}", "a-{{client_name}}"], false),
            (["a-{{client_name}}", "{{client_name}}-b"], false),
        ] {
            let found = check(&rules(&topics, ("a", "b")), &routing(), ClientNameIn::Topic);
            assert_eq!(found.is_empty(), is_good, "{topics:?}: {found:?}");
            assert!(found.iter().all(|why| why.contains("rule 1 makes another's")), "{found:?}");
        }
    }

    #[test]
    fn what_no_rule_forwards_must_carry_it_too() {
        let rules = rules(&["logs-{{client_name}}"], ("client_name", "{{client_name}}"));
        let name = |name: &str| Some(name.to_owned());
        for (over, in_topic, in_header) in [
            (routing(), None, None),
            (
                RoutingConfig { unmatched: name("rest"), ..routing() },
                Some("unmatched.action: "),
                Some("unmatched.action: "),
            ),
            (
                RoutingConfig { fallback: name("rest"), ..routing() },
                Some("topics.fallback: "),
                None,
            ),
            (RoutingConfig { dead_letter: name("dead"), ..routing() }, None, None),
            (
                RoutingConfig { dead_letter: name("logs-dead"), ..routing() },
                Some("topics.dead_letter: \"logs-dead\" could be the topic that rule 1 makes"),
                None,
            ),
        ] {
            for (place, start) in
                [(ClientNameIn::Topic, in_topic), (ClientNameIn::Header, in_header)]
            {
                let found = check(&rules, &over, place);
                assert_eq!(found.len(), usize::from(start.is_some()), "{found:?}");
                assert!(found.iter().all(|why| why.starts_with(start.unwrap())), "{found:?}");
            }
        }
    }
}
