//! Variables that hotdog did not know rendered as nothing, and were false where a block asked for
//! them: they are taken out of the templates.
//!
//! What a block decided by such a variable alone is decided here; where more stands in the way
//! (lines, `else if`, other helpers), `null` stands for the variable, which is false too.

pub mod tags;
mod words;

use corndog_pipeline::rules::{ActionConfig, MatcherConfig};
use corndog_pipeline::template::{Scope, Template};
use regex_syntax::ast::{self, Ast, GroupKind, Visitor};
use serde_json::Value as Json;
use words::{Removed, Use};

/// Variables of every rule.
const BUILT_IN: [&str; 3] = ["msg", "version", "iso8601"];

/// Takes unknown variables out of the actions' templates, and says to `note` which.
pub fn clean(matcher: &MatcherConfig, actions: &mut [ActionConfig], note: &mut dyn FnMut(&str)) {
    // A pattern that is none is refused when it is compiled; its groups are not known.
    let Some(groups) = groups(matcher) else { return };
    let mut known: Vec<String> = BUILT_IN.map(str::to_owned).to_vec();
    known.extend(groups);
    if matches!(matcher, MatcherConfig::Jmespath(_)) {
        known.push("value".to_owned());
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
    cleaner.removed.iter().for_each(|removed| note(&say(removed)));
}

/// What was taken out, and what that means.
fn say(Removed { name, was }: &Removed) -> String {
    let meant = match is_ours(name) {
        true => "; corndog knows it: put it back where it is wanted",
        false => "",
    };
    let what = match was {
        Use::Inserted => "rendered as nothing, so it is taken out",
        Use::Asked => {
            "false where a block or a helper asked for it, so what that decided is kept, or null \
             stands for it"
        }
    };
    format!("the variable {{{{{name}}}}} was unknown here and {what}{meant}")
}

/// Whether a template of ours may name it, in some rule.
fn is_ours(name: &str) -> bool {
    let scope = Scope { groups: &[], has_value: true };
    Template::compile(&format!("{{{{{name}}}}}"), &scope).is_ok()
}

struct Cleaner {
    known: Vec<String>,
    removed: Vec<Removed>,
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
        let Some((cleaned, removed)) = words::without_unknown(template, &self.known) else {
            return;
        };
        *template = cleaned;
        for one in removed {
            if !self.removed.contains(&one) {
                self.removed.push(one);
            }
        }
    }
}

/// The names of the groups in a matcher's pattern; `None` for what is no pattern.
pub fn groups(matcher: &MatcherConfig) -> Option<Vec<String>> {
    let MatcherConfig::Regex(pattern) = matcher else { return Some(Vec::new()) };
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
    fn what_asks_for_known_variables_stays() {
        for template in [
            "{{#if a}}x{{else}}y{{/if}}",
            "{{#if (and msg (not a))}}{{ this.a }}{{@root.msg}}{{[a]}}{{else if (eq a 1)}}-{{/if}}",
            "{{! unknown }}",
            "\\{{unknown}}",
            "{{~ a ~}}",
            "{{this}}",
        ] {
            assert_eq!(cleaned("(?P<a>x)", template), (template.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn what_is_refused_as_it_is_stays() {
        for template in [
            "{{#each this}}{{this}}{{value}}{{/each}}",
            "{{#with this}}{{hostname}}{{/with}}",
            "{{unknown",
            "{{> hostname}}{{hostname}}",
        ] {
            assert_eq!(cleaned("(?P<a>x)", template), (template.to_owned(), Vec::new()));
        }
    }

    /// hotdog had neither hostname nor structured data, and a value only of a jmespath: it kept the
    /// other branch.
    #[test]
    fn blocks_that_an_unknown_variable_decides_are_decided() {
        for (template, expected) in [
            ("<{{#if hostname}}a{{else}}b{{/if}}>", "<b>"),
            ("<{{#if sd.a.b}}a{{/if}}>", "<>"),
            ("<{{#unless value}}a{{else}}b{{/unless}}>", "<a>"),
            ("<{{#unless value}}{{a}}{{/unless}}>", "<{{a}}>"),
            (
                "{{#if hostname}}{{nme}}{{else}}{{#unless sd.a.b}}{{msg}}{{/unless}}{{/if}}",
                "{{msg}}",
            ),
            ("{{#if msg.length}}a{{^}}b{{/if}}", "b"),
            ("{{#if hostname}}{{#if a}}x{{else}}y{{/if}}{{else}}z{{/if}}", "z"),
            ("{{#if a}}{{#if hostname}}x{{else}}y{{/if}}{{/if}}", "{{#if a}}y{{/if}}"),
        ] {
            let (template, notes) = cleaned("(?P<a>x)", template);
            assert_eq!(template, expected);
            assert!(notes[0].contains(" was unknown here and false where a block"), "{notes:?}");
        }
        let (_, notes) = cleaned("x", "{{#if sd.a.b}}a{{/if}}{{#if nme}}a{{/if}}{{sd.a.b}}{{a.b}}");
        assert_eq!(notes.len(), 4, "{notes:?}");
        assert!(notes[0].starts_with("the variable {{sd.a.b}} was unknown here and false"));
        assert!(notes[0].ends_with("corndog knows it: put it back where it is wanted"));
        assert!(notes[1].ends_with("or null stands for it"), "{notes:?}");
        assert!(notes[2].contains("{{sd.a.b}} was unknown here and rendered as nothing"));
        assert!(notes[3].starts_with("the variable {{a.b}} was unknown"), "{notes:?}");
    }

    #[test]
    fn null_stands_for_what_is_asked_for_in_other_ways() {
        for (template, expected) in [
            ("{{#if a}}x{{else if hostname}}y{{/if}}", "{{#if a}}x{{else if null}}y{{/if}}"),
            ("{{#if hostname}}x{{else if a}}y{{/if}}", "{{#if null}}x{{else if a}}y{{/if}}"),
            ("{{#if (or a value)}}x{{/if}}", "{{#if (or a null)}}x{{/if}}"),
            ("{{#if (eq \"value\" value)}}x{{/if}}", "{{#if (eq \"value\" null)}}x{{/if}}"),
            ("{{#if nme}}\nx\n{{else}}\ny\n{{/if}}\n", "{{#if null}}\nx\n{{else}}\ny\n{{/if}}\n"),
            ("{{nme}}{{#if a}}\nx{{/if}}", "{{#if null}}{{/if}}{{#if a}}\nx{{/if}}"),
            ("a {{~nme}} b", "a {{~#if null}}{{/if}} b"),
            ("a {{{nme~}}} b", "a {{#if null}}{{/if~}} b"),
            ("\\\\{{nme}}b", "\\\\{{#if null}}{{/if}}b"),
            ("{{len hostname}}", "{{len null}}"),
            ("{{#if msg option=value}}x{{/if}}", "{{#if msg option=null}}x{{/if}}"),
        ] {
            let (template, notes) = cleaned("(?P<a>x)", template);
            assert_eq!(template, expected);
            assert_eq!(notes.len(), 1, "{notes:?}");
        }
    }

    /// What is left renders what handlebars rendered of the whole, without the variables.
    #[test]
    fn what_is_left_renders_what_was_rendered() {
        let mut handlebars = handlebars::Handlebars::new();
        handlebars.register_escape_fn(handlebars::no_escape);
        let data = json!({"a": "A", "msg": "M", "empty": ""});
        let pieces = [
            "{{nme}}",
            "{{#if nme}}",
            "{{#if a}}",
            "{{#unless sd.x.y}}",
            "{{else}}",
            "{{/if}}",
            "{{/unless}}",
            "{{~nme~}}",
            "{{else if nme}}",
            "{{a}}",
            "\n",
            " ",
            "x",
            "\\",
            "{{#if (and a nme)}}",
            "{{!c}}",
            "{{a.b}}",
            "{{#if empty}}",
            "{{^}}",
            "}",
        ];
        let (mut rendered_count, mut state) = (0, 1_u64);
        for _ in 0..40_000 {
            let mut template = String::new();
            let mut open = Vec::new();
            for _ in 0..8 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let index = usize::try_from(state >> 33).expect("31 bits") % pieces.len();
                let piece = pieces[index];
                if piece.starts_with("{{/") {
                    template.push_str(open.pop().unwrap_or(""));
                    continue;
                }
                template.push_str(piece);
                if piece.starts_with("{{#") {
                    open.push(if piece.contains("unless") { "{{/unless}}" } else { "{{/if}}" });
                }
            }
            open.iter().rev().for_each(|end| template.push_str(end));
            let Ok(before) = handlebars.render_template(&template, &data) else { continue };
            let (left, _) = cleaned("(?P<a>x)(?P<empty>y)", &template);
            let after = handlebars.render_template(&left, &data);
            assert_eq!(after.ok().as_ref(), Some(&before), "{template:?} became {left:?}");
            rendered_count += 1;
        }
        assert!(rendered_count > 10_000, "{rendered_count}");
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
