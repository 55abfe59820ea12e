//! A line of the log as bytes: as text, as text for journald, or as one JSON object.

use std::fmt::Write as _;

use corndog_pipeline::control::Level;
use serde_json::{Map, Value};

/// Where the lines begin that show a place in a pattern or a template (`caret::under`).
const SHOWN: &str = "\n    ";

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// With the time and the level.
    Text,
    /// With `<n>` in front, syslog's severity: journald has the time itself (sd-daemon(3)).
    Journal,
    /// One object.
    Json,
}

/// A level's name in the log.
pub const fn name(level: Level) -> &'static str {
    match level {
        Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    }
}

const fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug => 7,
    }
}

/// The line, with its LF.
pub fn line(form: Form, level: Level, message: &str, fields: Map<String, Value>) -> String {
    let time = || format!("{:.6}", jiff::Timestamp::now());
    match form {
        Form::Text => format!("{} {:5} {}\n", time(), name(level), text(message, &fields)),
        Form::Journal => {
            let mark = format!("<{}>", severity(level));
            // journald takes each line by itself.
            let text = text(message, &fields).replace('\n', &format!("\n{mark}"));
            format!("{mark}{text}\n")
        }
        Form::Json => json(&time(), level, message, fields),
    }
}

fn json(time: &str, level: Level, message: &str, fields: Map<String, Value>) -> String {
    let mut line = Map::from_iter([
        ("timestamp".to_owned(), time.into()),
        ("level".to_owned(), name(level).into()),
        ("message".to_owned(), message.into()),
    ]);
    line.extend(fields);
    format!("{}\n", Value::Object(line))
}

fn text(message: &str, fields: &Map<String, Value>) -> String {
    let mut line = escape(message);
    for (key, value) in fields {
        match value {
            Value::Object(inner) => {
                for (inner_key, value) in inner {
                    let _ = write!(line, " {key}.{inner_key}={value}");
                }
            }
            value => {
                let _ = write!(line, " {key}={value}");
            }
        }
    }
    line
}

/// One line stays one line, whatever is in it; but for lines that show a place: indented, they
/// pass for no line of the log's own.
fn escape(message: &str) -> String {
    let mut escaped = String::with_capacity(message.len());
    for (at, character) in message.char_indices() {
        if character.is_control() && !message[at..].starts_with(SHOWN) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_cannot_break_a_line() {
        assert_eq!(text("a\nb\u{1b}[0m", &Map::new()), "a\\nb\\u{1b}[0m");
        let place = "no group\n    a(b\n     ^";
        assert_eq!(text(place, &Map::new()), place);
        let journal = line(Form::Journal, Level::Error, place, Map::new());
        assert_eq!(journal, "<3>no group\n<3>    a(b\n<3>     ^\n");
        let forged = line(Form::Journal, Level::Debug, "a\n<0>b", Map::new());
        assert_eq!(forged, "<7>a\\n<0>b\n");
    }

    #[test]
    fn fields_are_flattened_in_text_and_nested_in_json() {
        let fields = Map::from_iter([
            ("n".to_owned(), 1.into()),
            ("dropped".to_owned(), Value::Object(Map::from_iter([("x".to_owned(), 2.into())]))),
        ]);
        assert_eq!(text("m", &fields), "m n=1 dropped.x=2");
        let plain = line(Form::Text, Level::Info, "m", fields.clone());
        assert!(plain.ends_with("Z INFO  m n=1 dropped.x=2\n"), "{plain}");
        assert_eq!(
            json("t", Level::Info, "m", fields),
            "{\"timestamp\":\"t\",\"level\":\"INFO\",\"message\":\"m\",\"n\":1,\"dropped\":{\"x\":2}}\n"
        );
    }
}
