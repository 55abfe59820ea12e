//! A `merge` of what is no mapping -> what does the same here.
//!
//! Where `msg` was a JSON object, hotdog put a list or a scalar in its place; where it was not, the
//! message ended. Ours merges an object into an object: the same comes of an empty merge, which
//! ends a message as hotdog's did, and of a `replace` with the JSON behind it. What a `replace`
//! inserts is not escaped, though, so it may insert only what needs no escape.

use super::hotdog::Numbered;
use super::template::tags::{self, Kind};
use corndog_pipeline::rules::ActionConfig;
use serde_json::{Map, Value as Json};

/// Variables that hold neither quotes nor backslashes, unless groups have their names.
const UNESCAPED: [&str; 2] = ["version", "iso8601"];

const KEPT: &str = "json is no mapping, and took the place of a msg that is a JSON object: it is \
                    written as an empty merge, which drops other messages as before, and a replace";
const REFUSED: &str = "json is no mapping, and took the place of a msg that is a JSON object; ours \
                       merges mappings alone, and replace would insert the variables without \
                       escaping them, so this has no counterpart: write a mapping, or a replace \
                       behind merge = {}";

/// Writes such merges as two actions, and says so to `note`; what cannot be written so stays, and
/// is refused. `groups`: the names in the rule's pattern.
pub fn split(
    actions: Vec<Numbered>,
    groups: &[String],
    note: &mut dyn FnMut(usize, &str),
) -> Vec<Numbered> {
    let mut made = Vec::with_capacity(actions.len());
    for (number, action) in actions {
        match action {
            ActionConfig::Merge(json) if !json.is_object() => match template(&json, groups) {
                Some(template) => {
                    note(number, KEPT);
                    made.push((number, ActionConfig::Merge(Json::Object(Map::new()))));
                    made.push((number, ActionConfig::Replace(template)));
                }
                None => {
                    note(number, REFUSED);
                    made.push((number, ActionConfig::Merge(json)));
                }
            },
            action => made.push((number, action)),
        }
    }
    made
}

/// The JSON's text, where it renders to JSON whatever its variables hold.
fn template(json: &Json, groups: &[String]) -> Option<String> {
    let mut left = vec![json];
    while let Some(json) = left.pop() {
        let is_safe = match json {
            Json::String(text) => is_safe(text, groups),
            Json::Array(values) => {
                left.extend(values);
                true
            }
            Json::Object(members) => {
                left.extend(members.values());
                members.keys().all(|key| is_safe(key, groups))
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => true,
        };
        if !is_safe {
            return None;
        }
    }
    Some(json.to_string())
}

/// Whether a template is the same when its text is escaped as JSON, and needs no other escapes.
fn is_safe(text: &str, groups: &[String]) -> bool {
    let Some(tags) = tags::read(text) else { return false };
    let is_plain = |tag: &tags::Tag| {
        let names = tag.words.iter().map(|word| &text[word.range.clone()]);
        let is_unescaped =
            |name: &str| UNESCAPED.contains(&name) && !groups.iter().any(|group| group == name);
        tag.kind == Kind::Variable
            && names.into_iter().all(is_unescaped)
            && !text[tag.range.clone()].contains(char::is_control)
    };
    !text.contains("\\{{") && tags.iter().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn split_one(json: Json, groups: &[&str]) -> (Vec<ActionConfig>, String) {
        let groups: Vec<String> = groups.iter().map(|name| (*name).to_owned()).collect();
        let mut notes = Vec::new();
        let actions = vec![(3, ActionConfig::Merge(json)), (4, ActionConfig::Stop)];
        let made = split(actions, &groups, &mut |number, note| {
            assert_eq!(number, 3);
            notes.push(note.to_owned());
        });
        let (numbers, mut actions): (Vec<usize>, Vec<_>) = made.into_iter().unzip();
        assert!(numbers == [3, 4] || numbers == [3, 3, 4], "{numbers:?}");
        assert_eq!(actions.pop(), Some(ActionConfig::Stop));
        (actions, notes.concat())
    }

    #[test]
    fn what_needs_no_escape_becomes_two_actions() {
        for (json, template) in [
            (json!([1, {"a": ["b\"\\"]}, null]), r#"[1,{"a":["b\"\\"]},null]"#),
            (json!("{{version}} {{ iso8601 }}\n"), "\"{{version}} {{ iso8601 }}\\n\""),
            (json!(1.5), "1.5"),
            (json!([{"{{version}}": {}}]), r#"[{"{{version}}":{}}]"#),
        ] {
            let replace = ActionConfig::Replace(template.to_owned());
            let (actions, note) = split_one(json, &["msg"]);
            assert_eq!(actions, [ActionConfig::Merge(json!({})), replace]);
            assert_eq!(note, KEPT);
        }
    }

    #[test]
    fn what_needs_escapes_stays_to_be_refused() {
        for json in [
            json!(["{{msg}}"]),
            json!([{"{{value}}": 1}]),
            json!("{{a}}"),
            json!(["{{#if version}}a{{/if}}"]),
            json!(["\\{{version}}"]),
            json!(["{{\nversion}}"]),
            json!(["{{version"]),
            json!([["{{iso8601}}"]]),
        ] {
            let (actions, note) = split_one(json.clone(), &["iso8601"]);
            assert_eq!(actions, [ActionConfig::Merge(json)]);
            assert_eq!(note, REFUSED);
        }
    }

    #[test]
    fn a_mapping_is_a_merge() {
        let json = json!({"a": ["{{msg}}"]});
        let (actions, note) = split_one(json.clone(), &[]);
        assert_eq!((actions, note), (vec![ActionConfig::Merge(json)], String::new()));
    }
}
