//! What became of a message, written: for people, or as one JSON object a line for programs.

use super::{Outcome, Sent, Step};
use corndog_pipeline::ruleset::Why;
use serde_json::{Map, Value};
use std::io::{self, Write};

/// How outcomes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For people; colours are for terminals.
    Text {
        /// With escape sequences of colours.
        has_colour: bool,
    },
    /// One object a line.
    Json,
}

/// A colour of text.
#[derive(Debug, Clone, Copy)]
pub enum Colour {
    /// Labels.
    Dim,
    /// What is as it should be.
    Green,
    /// What is not.
    Red,
}

impl Style {
    /// `text` in a colour, where there are colours.
    pub fn paint(self, colour: Colour, text: &str) -> String {
        if self != (Style::Text { has_colour: true }) {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Dim => 2,
            Colour::Green => 32,
            Colour::Red => 31,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Writes what became of message `number` of `file`.
pub fn message(
    outcome: &Outcome,
    file: &str,
    number: u64,
    style: Style,
    out: &mut impl Write,
) -> io::Result<()> {
    if style == Style::Json {
        let mut object = Map::new();
        object.insert("input".to_owned(), format!("{file}:{number}").into());
        object.extend(json(outcome));
        return writeln!(out, "{}", Value::Object(object));
    }
    writeln!(out, "{}", style.paint(Colour::Dim, &format!("{}:{number}", plain(file.as_bytes()))))?;
    details(outcome, style, out)?;
    writeln!(out)
}

/// The fields, the rules tried, and what came of it; indented by two.
pub fn details(outcome: &Outcome, style: Style, out: &mut impl Write) -> io::Result<()> {
    for (name, bytes) in &outcome.fields {
        if let Some(bytes) = bytes {
            label(name, &plain(bytes), style, out)?;
        }
    }
    for (index, step) in outcome.tried.iter().enumerate() {
        let decides = outcome.rule.is_some() && index + 1 == outcome.tried.len();
        let colour = if step.why == Why::Matched { Colour::Green } else { Colour::Dim };
        let name = format!("rule {}", plain(step.rule.as_bytes()));
        label(&name, &style.paint(colour, &why_text(step, decides)), style, out)?;
    }
    if outcome.rule.is_none() && outcome.sent.is_some() {
        label("unmatched", "no rule forwards it", style, out)?;
    }
    match (&outcome.sent, outcome.dropped) {
        (Some(sent), _) => {
            if let Some(reason) = outcome.dead_letter {
                let sentence = format!("as a dead letter: {reason}");
                label("forwarded", &style.paint(Colour::Red, &sentence), style, out)?;
            }
            record(sent, style, out)
        }
        (None, reason) => {
            let sentence = style.paint(Colour::Red, reason.unwrap_or_default());
            label("dropped", &sentence, style, out)
        }
    }
}

fn record(sent: &Sent, style: Style, out: &mut impl Write) -> io::Result<()> {
    label("-> topic", &style.paint(Colour::Green, &plain(sent.topic.as_bytes())), style, out)?;
    if let Some(key) = &sent.key {
        label("-> key", &plain(key), style, out)?;
    }
    for (name, value) in &sent.headers {
        label("-> header", &format!("{}: {}", plain(name.as_bytes()), plain(value)), style, out)?;
    }
    if let Some(time) = sent.time {
        label("-> time", &time.to_string(), style, out)?;
    }
    label("-> payload", &plain(&sent.payload), style, out)
}

fn label(name: &str, text: &str, style: Style, out: &mut impl Write) -> io::Result<()> {
    let name = format!("{name:<15}");
    writeln!(out, "  {} {text}", style.paint(Colour::Dim, &name))
}

/// What came of a rule, for people.
fn why_text(step: &Step, decides: bool) -> String {
    let field = &step.field;
    match step.why {
        Why::Matched if decides => "matched".to_owned(),
        Why::Matched => "matched; it neither forwards nor stops".to_owned(),
        Why::FieldMissing => format!("the message has no {field}"),
        Why::NoMatch => format!("no match in {field}"),
        Why::NotJson => format!("{field} is not JSON"),
        Why::TooDeep => format!("{field} is JSON nested too deep"),
        Why::TooCostly => format!("what the expressions ask of {field} costs too much"),
        Why::PathNull => format!("the result in {field} is null"),
    }
}

/// Why a rule did not match, for programs.
fn why_name(why: Why) -> &'static str {
    match why {
        Why::Matched => "matched",
        Why::FieldMissing => "field_missing",
        Why::NoMatch => "no_match",
        Why::NotJson => "not_json",
        Why::TooDeep => "too_deep",
        Why::TooCostly => "too_costly",
        Why::PathNull => "path_null",
    }
}

/// One object: what became of it, then the fields. What is not there is null; bytes that are no
/// UTF-8 become U+FFFD.
pub fn json(outcome: &Outcome) -> Map<String, Value> {
    let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes).into_owned());
    let sent = outcome.sent.as_ref();
    let mut object = Map::new();
    object.insert("rule".to_owned(), outcome.rule.clone().into());
    object.insert("topic".to_owned(), sent.map(|sent| sent.topic.clone()).into());
    let key = sent.and_then(|sent| sent.key.as_ref()).map(|key| text(key));
    object.insert("key".to_owned(), key.into());
    let headers = sent.map(|sent| {
        let headers = sent.headers.iter().map(|(name, value)| (name.clone(), text(value)));
        headers.collect::<Map<_, _>>()
    });
    object.insert("headers".to_owned(), headers.map(Value::Object).into());
    object.insert("payload".to_owned(), sent.map(|sent| text(&sent.payload)).into());
    object.insert("dropped".to_owned(), outcome.dropped.into());
    object.insert("dead_letter".to_owned(), outcome.dead_letter.into());
    if let Some(time) = sent.and_then(|sent| sent.time) {
        object.insert("time".to_owned(), time.to_string().into());
    }
    for (name, bytes) in &outcome.fields {
        object.insert((*name).to_owned(), bytes.as_ref().map(|bytes| text(bytes)).into());
    }
    let tried = outcome.tried.iter().map(|step| {
        Value::Object(Map::from_iter([
            ("rule".to_owned(), step.rule.clone().into()),
            ("why".to_owned(), why_name(step.why).into()),
        ]))
    });
    object.insert("tried".to_owned(), tried.collect());
    object
}

/// Bytes on one line, whatever is in them: a terminal is never told what to do.
pub fn plain(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                shown.extend(character.escape_default());
            } else {
                shown.push(character);
            }
        }
        chunk.invalid().iter().for_each(|byte| shown.push_str(&format!("\\x{byte:02x}")));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_cannot_steer_a_terminal() {
        assert_eq!(plain(b"a\x1b[31m\xff\n\xc2\x9b\xc3\xa9"), "a\\u{1b}[31m\\xff\\n\\u{9b}\u{e9}");
    }

    #[test]
    fn colours_are_for_terminals() {
        assert_eq!(Style::Text { has_colour: false }.paint(Colour::Red, "x"), "x");
        assert_eq!(Style::Json.paint(Colour::Red, "x"), "x");
        assert_eq!(Style::Text { has_colour: true }.paint(Colour::Red, "x"), "\x1b[31mx\x1b[0m");
    }
}
