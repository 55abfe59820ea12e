//! Variables that hotdog did not know rendered as nothing: they are taken out of the templates.
//!
//! Only the plain form is changed (`{{name}}`, `{{{name}}}`, `{{&name}}`). What else a template
//! may hold, blocks and comments, stays as it is typed.

use corndog_pipeline::rules::{ActionConfig, MatcherConfig};
use regex_syntax::ast::{self, Ast, GroupKind, Visitor};
use serde_json::Value as Json;

/// Variables of every rule.
const BUILT_IN: [&str; 3] = ["msg", "version", "iso8601"];
/// Words in braces that are no variables.
const KEYWORDS: [&str; 2] = ["else", "this"];
/// Variables that corndog has and hotdog had not.
const OURS: [&str; 11] = [
    "hostname",
    "appname",
    "procid",
    "msgid",
    "facility",
    "severity",
    "timestamp",
    "raw",
    "peer",
    "listener",
    "value",
];

/// Takes unknown variables out of the actions' templates, and says to `note` which.
pub fn clean(matcher: &MatcherConfig, actions: &mut [ActionConfig], note: &mut dyn FnMut(&str)) {
    let mut known: Vec<String> = BUILT_IN.map(str::to_owned).to_vec();
    match matcher {
        MatcherConfig::Always => {}
        MatcherConfig::Jmespath(_) => known.push("value".to_owned()),
        MatcherConfig::Regex(pattern) => match groups(pattern) {
            Some(groups) => known.extend(groups),
            // The pattern is refused when it is compiled; its groups are not known.
            None => return,
        },
    }
    let mut cleaner = Cleaner { known, removed: Vec::new() };
    for action in actions {
        match action {
            ActionConfig::Forward(forward) if forward.topic.is_empty() => {}
            ActionConfig::Forward(forward) => {
                cleaner.clean(&mut forward.topic);
                if forward.topic.is_empty() {
                    note("nothing is left of the topic, so this forward goes to kafka.topic");
                }
            }
            ActionConfig::Replace(template) => cleaner.clean(template),
            ActionConfig::Merge(json) => cleaner.clean_tree(json),
            ActionConfig::Sample(_) | ActionConfig::Stop => {}
        }
    }
    for name in &cleaner.removed {
        let meant = match OURS.contains(&name.as_str()) {
            true => "; corndog knows it: put it back where it is wanted",
            false => "",
        };
        note(&format!(
            "the variable {{{{{name}}}}} was unknown here and rendered as nothing, so it is taken \
             out{meant}"
        ));
    }
}

struct Cleaner {
    known: Vec<String>,
    removed: Vec<String>,
}

impl Cleaner {
    /// The strings of a tree, as deep as the YAML was. Keys are templates too; of members whose
    /// keys become the same the last one stays, as in hotdog.
    fn clean_tree(&mut self, json: &mut Json) {
        match json {
            Json::String(text) => self.clean(text),
            Json::Array(values) => values.iter_mut().for_each(|value| self.clean_tree(value)),
            Json::Object(members) => {
                let cleaned = std::mem::take(members).into_iter().map(|(mut key, mut value)| {
                    self.clean(&mut key);
                    self.clean_tree(&mut value);
                    (key, value)
                });
                *members = cleaned.collect();
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    fn clean(&mut self, template: &mut String) {
        let mut kept = String::with_capacity(template.len());
        let mut rest = template.as_str();
        while let Some(open) = rest.find("{{") {
            let (before, tag) = rest.split_at(open);
            kept.push_str(before);
            let (open, close) = if tag.starts_with("{{{") { ("{{{", "}}}") } else { ("{{", "}}") };
            let Some(end) = tag.find(close) else {
                // It is refused when the template is compiled.
                rest = tag;
                break;
            };
            let (whole, after) = tag.split_at(end + close.len());
            let inner = &whole[open.len()..end];
            let name = inner.strip_prefix('&').unwrap_or(inner).trim();
            let is_escaped = before.ends_with('\\');
            if is_escaped || !self.is_unknown(name) {
                kept.push_str(whole);
            } else if !self.removed.iter().any(|removed| removed == name) {
                self.removed.push(name.to_owned());
            }
            rest = after;
        }
        kept.push_str(rest);
        *template = kept;
    }

    fn is_unknown(&self, name: &str) -> bool {
        let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        is_name && !KEYWORDS.contains(&name) && !self.known.iter().any(|known| known == name)
    }
}

/// The names of a pattern's groups; `None` for what is no pattern.
fn groups(pattern: &str) -> Option<Vec<String>> {
    struct Names(Vec<String>);
    impl Visitor for Names {
        type Output = Vec<String>;
        type Err = ();

        fn finish(self) -> Result<Vec<String>, ()> {
            Ok(self.0)
        }

        fn visit_pre(&mut self, ast: &Ast) -> Result<(), ()> {
            if let Ast::Group(group) = ast
                && let GroupKind::CaptureName { name, .. } = &group.kind
            {
                self.0.push(name.name.clone());
            }
            Ok(())
        }
    }
    let ast = ast::parse::Parser::new().parse(pattern).ok()?;
    ast::visit(&ast, Names(Vec::new())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use corndog_pipeline::rules::{ForwardConfig, PayloadFormat};
    use serde_json::json;

    fn cleaned(pattern: &str, template: &str) -> (String, Vec<String>) {
        let matcher = MatcherConfig::Regex(pattern.to_owned());
        let mut actions = [ActionConfig::Replace(template.to_owned())];
        let mut notes = Vec::new();
        clean(&matcher, &mut actions, &mut |note| notes.push(note.to_owned()));
        let [ActionConfig::Replace(template)] = actions else { panic!("it was one") };
        (template, notes)
    }

    fn cleaned_tree(matcher: &MatcherConfig, tree: Json) -> (Json, Vec<String>) {
        let mut actions = [ActionConfig::Merge(tree)];
        let mut notes = Vec::new();
        clean(matcher, &mut actions, &mut |note| notes.push(note.to_owned()));
        let [ActionConfig::Merge(tree)] = actions else { panic!("it was one") };
        (tree, notes)
    }

    #[test]
    fn known_variables_stay() {
        for template in ["{{a}} {{ b }} {{msg}} {{{version}}} {{&iso8601}}", "no braces }}", ""] {
            assert_eq!(cleaned("(?P<a>x)(?<b>y)?", template), (template.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn unknown_variables_go_with_one_note_each() {
        let (template, notes) = cleaned("x", "<{{value}}|{{{ nme }}}|{{&nme}}|{{hostname}}>");
        assert_eq!(template, "<|||>");
        assert_eq!(notes.len(), 3);
        assert!(notes[0].starts_with("the variable {{value}} was unknown here"));
        assert!(notes[1].ends_with("it is taken out"), "{}", notes[1]);
        assert!(notes[2].ends_with("put it back where it is wanted"));
    }

    #[test]
    fn what_is_no_plain_variable_stays() {
        for template in [
            "{{#if a}}x{{else}}y{{/if}}",
            "{{! unknown }}",
            "{{#each this}}{{this}}{{/each}}",
            "{{a.b}}",
            "\\{{unknown}}",
            "{{unknown",
            "{{~ b ~}}",
        ] {
            assert_eq!(cleaned("(?P<a>x)", template), (template.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn a_pattern_that_is_none_leaves_its_templates_alone() {
        assert_eq!(cleaned("(?P<a", "{{a}}"), ("{{a}}".to_owned(), Vec::new()));
    }

    #[test]
    fn a_topic_of_which_nothing_is_left_is_told() {
        let matcher = MatcherConfig::Regex("x".to_owned());
        let topic = "{{value}}".to_owned();
        let forward =
            ForwardConfig { topic, key: None, headers: Vec::new(), format: PayloadFormat::Msg };
        let mut notes = Vec::new();
        clean(&matcher, &mut [ActionConfig::Forward(forward)], &mut |note| {
            notes.push(note.to_owned());
        });
        assert!(notes[0].contains("nothing is left of the topic"), "{notes:?}");
    }

    #[test]
    fn value_belongs_to_jmespath() {
        let matcher = MatcherConfig::Jmespath("a.b".to_owned());
        let (merged, notes) = cleaned_tree(&matcher, json!({"a": ["{{value}}{{b}}", 1]}));
        assert_eq!(merged, json!({"a": ["{{value}}", 1]}));
        assert_eq!(notes.len(), 1);
    }

    #[test]
    fn keys_of_merge_are_templates_too() {
        let matcher = MatcherConfig::Jmespath("a.b".to_owned());
        let tree = json!({"{{value}}": {"is_{{k}}": 1}, "{{k}}a": 2, "a": 3});
        let (merged, notes) = cleaned_tree(&matcher, tree);
        assert_eq!(merged, json!({"{{value}}": {"is_": 1}, "a": 3}));
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].starts_with("the variable {{k}} was unknown here"));
    }
}
