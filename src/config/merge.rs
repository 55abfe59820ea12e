//! What a `merge` adds: a TOML table, or a string that holds a JSON object, -> JSON.
//!
//! Two notations, because TOML has no null. Members keep the order in which they are written.

use super::limits::{MERGE_BYTES_MAX, MERGE_DEPTH_MAX, TEMPLATE_BYTES_MAX};
use super::section::{show, show_key};
use serde_json::{Map, Number, Value as Json};
use toml::Value;

const EXAMPLE: &str = "merge = { meta = { seen = \"{{iso8601}}\" } }";

/// Reads the value of `merge`: always an object.
///
/// Errors: one sentence, without the key.
pub fn read(value: Value) -> Result<Json, String> {
    let object = match value {
        Value::Table(_) => convert(value, &mut Vec::new())?,
        Value::String(text) => parse(&text)?,
        value => {
            return Err(format!(
                "{} is not a table; write for instance {EXAMPLE}, or the same as JSON in a string",
                show(&value)
            ));
        }
    };
    check(&object, &mut Vec::new())?;
    // A tree of strings, numbers and maps with text keys can always be written.
    let bytes = serde_json::to_string(&object).map_or(0, |text| text.len());
    if bytes > MERGE_BYTES_MAX {
        return Err(format!(
            "{bytes} bytes as JSON; give at most {MERGE_BYTES_MAX}, because it is rendered for \
             each message"
        ));
    }
    Ok(object)
}

/// JSON in a string. serde_json itself stops at 128 levels.
fn parse(text: &str) -> Result<Json, String> {
    if text.len() > MERGE_BYTES_MAX {
        let bytes = text.len();
        return Err(format!(
            "{bytes} bytes; give at most {MERGE_BYTES_MAX}, because it is rendered for each message"
        ));
    }
    let shown = || show(&Value::String(text.to_owned()));
    let how = format!("write for instance '{{\"meta\": {{\"parent\": null}}}}', or {EXAMPLE}");
    match serde_json::from_str(text) {
        Ok(object @ Json::Object(_)) => Ok(object),
        Ok(_) => Err(format!("{} is JSON, but no object; {how}", shown())),
        Err(why) => Err(format!("{} is not a JSON object ({why}); {how}", shown())),
    }
}

/// A TOML value as JSON; `path` holds the keys on the way to it. At most `MERGE_DEPTH_MAX` calls
/// are open at a time.
fn convert(value: Value, path: &mut Vec<String>) -> Result<Json, String> {
    if path.len() > MERGE_DEPTH_MAX {
        return Err(too_deep());
    }
    Ok(match value {
        Value::String(text) => Json::String(text),
        Value::Integer(number) => Json::Number(number.into()),
        Value::Boolean(flag) => Json::Bool(flag),
        Value::Datetime(time) => Json::String(time.to_string()),
        Value::Float(number) => match Number::from_f64(number) {
            Some(number) => Json::Number(number),
            None => {
                return Err(format!(
                    "{number} at {} is no number for JSON; write a number, or a string",
                    show_path(path)
                ));
            }
        },
        Value::Array(values) => {
            let mut list = Vec::with_capacity(values.len());
            for (index, value) in values.into_iter().enumerate() {
                path.push(index.to_string());
                list.push(convert(value, path)?);
                path.pop();
            }
            Json::Array(list)
        }
        Value::Table(table) => {
            let mut members = Map::with_capacity(table.len());
            for (key, value) in table {
                path.push(key.clone());
                members.insert(key, convert(value, path)?);
                path.pop();
            }
            Json::Object(members)
        }
    })
}

/// Bounds the depth and each template, whichever notation they came in.
fn check(json: &Json, path: &mut Vec<String>) -> Result<(), String> {
    match json {
        Json::String(text) if text.len() > TEMPLATE_BYTES_MAX => Err(format!(
            "{} bytes at {}; give at most {TEMPLATE_BYTES_MAX}, because it is rendered for each \
             message",
            text.len(),
            show_path(path)
        )),
        Json::Array(_) | Json::Object(_) if path.len() >= MERGE_DEPTH_MAX => Err(too_deep()),
        Json::Array(values) => {
            let mut entries = values.iter().enumerate();
            entries.try_for_each(|(index, value)| check_at(index.to_string(), value, path))
        }
        Json::Object(members) => {
            members.iter().try_for_each(|(key, value)| check_at(key.clone(), value, path))
        }
        _ => Ok(()),
    }
}

fn check_at(key: String, json: &Json, path: &mut Vec<String>) -> Result<(), String> {
    path.push(key);
    check(json, path)?;
    path.pop();
    Ok(())
}

fn too_deep() -> String {
    format!(
        "nested deeper than {MERGE_DEPTH_MAX}, which no message may be either; take some levels out"
    )
}

/// `meta.seen`, or the last keys of a long path.
fn show_path(path: &[String]) -> String {
    let shown = &path[path.len().saturating_sub(4)..];
    let head = if shown.len() < path.len() { "..." } else { "" };
    let keys: Vec<String> = shown.iter().map(|key| show_key(key)).collect();
    format!("{head}{}", keys.join("."))
}
