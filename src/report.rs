//! The log: one line each on stderr, as text or as one JSON object. Written by the main thread
//! alone; shards send notices, so that a stderr that nobody reads never holds up the data.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use corndog_pipeline::control::Level;
use serde_json::{Map, Value};

use crate::args::LogFormat;

/// One line per condition in this time; the others are counted.
const INTERVAL: Duration = Duration::from_secs(10);
/// Conditions that are remembered, those of each peer among them.
const CONDITIONS_MAX: usize = 1024;

/// Writes the log.
#[derive(Debug)]
pub struct Report {
    format: LogFormat,
    /// For each condition: when it was last written, and how many were left out since.
    conditions: HashMap<(&'static str, Option<IpAddr>), (Instant, u64)>,
}

impl Report {
    /// A log in this format.
    pub fn new(format: LogFormat) -> Report {
        Report { format, conditions: HashMap::new() }
    }

    /// Writes a line.
    pub fn say(&self, level: Level, message: &str) {
        self.say_with(level, message, Map::new());
    }

    /// Writes a line with fields.
    pub fn say_with(&self, level: Level, message: &str, fields: Map<String, Value>) {
        let time = format!("{:.6}", jiff::Timestamp::now());
        let line = match self.format {
            LogFormat::Text => text(&time, level, message, &fields),
            LogFormat::Json => json(&time, level, message, fields),
        };
        // Nobody is left to be told that stderr is gone.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    /// Writes a line about a condition, unless it was written a short while ago.
    pub fn say_once(&mut self, level: Level, kind: &'static str, message: &str) {
        self.say_condition(level, (kind, None), message);
    }

    /// Writes a line about one peer, unless it was written of that one a short while ago.
    pub fn say_once_of(&mut self, kind: &'static str, peer: IpAddr, message: &str) {
        if self.conditions.len() >= CONDITIONS_MAX {
            self.conditions.retain(|_, (at, _)| at.elapsed() < INTERVAL);
        }
        // From too many peers at once: one line for all of them.
        let peer = (self.conditions.len() < CONDITIONS_MAX).then_some(peer);
        self.say_condition(Level::Warn, (kind, peer), message);
    }

    /// The last of each kind.
    pub fn last_errors(&self) -> Vec<crate::figures::LastError> {
        Vec::new()
    }

    /// Writes how many lines of each kind were left out since the last of it.
    pub fn say_left_out(&mut self) {
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for ((kind, _), (_, left_out)) in self.conditions.drain().filter(|(_, (_, n))| *n > 0) {
            *kinds.entry(kind).or_default() += left_out;
        }
        for (kind, left_out) in kinds {
            let fields = Map::from_iter([("left_out".to_owned(), left_out.into())]);
            self.say_with(Level::Warn, &format!("left out before the end: {kind}"), fields);
        }
    }

    fn say_condition(
        &mut self,
        level: Level,
        condition: (&'static str, Option<IpAddr>),
        message: &str,
    ) {
        let now = Instant::now();
        let left_out = match self.conditions.get_mut(&condition) {
            Some((at, left_out)) if now.duration_since(*at) < INTERVAL => {
                *left_out += 1;
                return;
            }
            Some((_, left_out)) => *left_out,
            None => 0,
        };
        self.conditions.insert(condition, (now, 0));
        let mut fields = Map::new();
        if left_out > 0 {
            fields.insert("left_out".to_owned(), left_out.into());
        }
        self.say_with(level, message, fields);
    }
}

const fn name(level: Level) -> &'static str {
    match level {
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
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

fn text(time: &str, level: Level, message: &str, fields: &Map<String, Value>) -> String {
    let mut line = format!("{time} {:5} {}", name(level), escape(message));
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
    line.push('\n');
    line
}

/// Where the lines begin that show a place in a pattern or a template (`caret::under`).
const SHOWN: &str = "\n    ";

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
        let line = text("t", Level::Warn, "a\nb\u{1b}[0m", &Map::new());
        assert_eq!(line, "t WARN  a\\nb\\u{1b}[0m\n");
        let line = text("t", Level::Error, "no group\n    a(b\n     ^", &Map::new());
        assert_eq!(line, "t ERROR no group\n    a(b\n     ^\n");
    }

    #[test]
    fn fields_are_flattened_in_text_and_nested_in_json() {
        let fields = Map::from_iter([
            ("n".to_owned(), 1.into()),
            ("dropped".to_owned(), Value::Object(Map::from_iter([("x".to_owned(), 2.into())]))),
        ]);
        assert_eq!(text("t", Level::Info, "m", &fields), "t INFO  m n=1 dropped.x=2\n");
        assert_eq!(
            json("t", Level::Info, "m", fields),
            "{\"timestamp\":\"t\",\"level\":\"INFO\",\"message\":\"m\",\"n\":1,\"dropped\":{\"x\":2}}\n"
        );
    }
}
