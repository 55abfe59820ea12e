//! A TOML file of inputs with what is expected of them, for the operator's own CI.
//!
//! Each case stands alone: no topic made and nothing sampled by the cases before it. Its time is
//! fixed ([`TIME`] where it names none), so that `{{iso8601}}` is the same on every day.

use super::diff::{self, Difference};
use super::listeners::Listeners;
use super::show::{self, Colour, Style, plain};
use super::{Outcome, PEER, Surroundings, Trial};
use corndog_pipeline::counters::Dropped;
use corndog_pipeline::framing::Frame;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write};
use toml::Value;

/// Bytes of a file of cases.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// When a message is received that a case gives no time for.
const TIME: &str = "2000-01-01T00:00:00Z";
/// Stands for the program's version in what is expected.
const VERSION: &str = "{{version}}";

/// A case, read and checked.
#[derive(Debug)]
pub struct Case {
    name: String,
    frame: Vec<u8>,
    peer: String,
    /// Its place in the configuration; `None`: the one that is chosen, else the first.
    listener: Option<usize>,
    time: Timestamp,
    expected: Expected,
}

/// What a case expects; what is `None` is not compared.
#[derive(Debug, Default)]
pub struct Expected {
    /// The rule that decides, by name or number.
    pub rule: Option<String>,
    /// The record's topic.
    pub topic: Option<String>,
    /// Its key; empty: none, or an empty one.
    pub key: Option<String>,
    /// All of its headers.
    pub headers: Option<BTreeMap<String, String>>,
    /// Its payload.
    pub payload: Option<String>,
    /// Its payload, whatever the spelling of the JSON.
    pub payload_json: Option<Json>,
    /// Why there is no record.
    pub dropped: Option<String>,
    /// Why the record is a dead letter.
    pub dead_letter: Option<String>,
}

/// The file as typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    #[serde(default)]
    case: Vec<CaseConfig>,
}

/// A case as typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseConfig {
    name: String,
    input: Option<String>,
    input_hex: Option<String>,
    peer: Option<String>,
    listener: Option<String>,
    time: Option<String>,
    rule: Option<Value>,
    topic: Option<String>,
    key: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    payload: Option<String>,
    payload_json: Option<Value>,
    dropped: Option<String>,
    dead_letter: Option<String>,
}

/// Reads a file of cases, for these listeners.
///
/// Errors: every mistake, one sentence each.
pub fn read(file: &str, listeners: &Listeners) -> Result<Vec<Case>, Vec<String>> {
    let text = read_text(file).map_err(|why| vec![format!("{file}: {why}")])?;
    let CaseFile { case: cases } = toml::from_str(&text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start).min(text.len());
        let line = 1 + text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count();
        let why = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        vec![format!("{file}: line {line}: {why}")]
    })?;
    if cases.is_empty() {
        return Err(vec![format!(
            "{file}: there is no case; write [[case]] and below it name, input and topic"
        )]);
    }
    let mut checked = Vec::with_capacity(cases.len());
    let mut mistakes = Vec::new();
    for (index, case) in cases.into_iter().enumerate() {
        let name = format!("{file}: case {} {:?}", index + 1, case.name);
        match case.check(listeners) {
            Ok(case) => checked.push(case),
            Err(why) => mistakes.push(format!("{name}: {why}")),
        }
    }
    if mistakes.is_empty() { Ok(checked) } else { Err(mistakes) }
}

fn read_text(file: &str) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("cannot be read ({error})");
    let input = File::open(file).map_err(unreadable)?;
    let mut text = String::new();
    input.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("too large; cases have at most {} MiB", FILE_BYTES_MAX >> 20));
    }
    Ok(text)
}

impl CaseConfig {
    fn check(self, listeners: &Listeners) -> Result<Case, String> {
        let frame = match (self.input, self.input_hex) {
            (Some(text), None) => {
                let line = text.strip_suffix('\n').unwrap_or(&text);
                line.strip_suffix('\r').unwrap_or(line).as_bytes().to_vec()
            }
            (None, Some(hex)) => from_hex(&hex).ok_or("input_hex: not pairs of hex digits")?,
            (None, None) => return Err("input: there is none; write the frame".to_owned()),
            (Some(_), Some(_)) => {
                return Err("input and input_hex are both given; keep one".to_owned());
            }
        };
        let time = self.time.as_deref().unwrap_or(TIME);
        let time = time.parse().map_err(|_| {
            format!("time: {time:?} is no time of RFC 3339; write for instance {TIME:?}")
        })?;
        let rule = match self.rule {
            None => None,
            Some(Value::String(name)) => Some(name),
            Some(Value::Integer(number)) => Some(number.to_string()),
            Some(_) => return Err("rule: neither a name nor a number".to_owned()),
        };
        let payload_json = self.payload_json.map(expected_json).transpose()?;
        let listener = self.listener.as_deref().map(|name| listeners.find(name)).transpose();
        let listener = listener.map_err(|why| format!("listener: {why}"))?;
        for (key, reason) in [("dropped", &self.dropped), ("dead_letter", &self.dead_letter)] {
            check_reason(key, reason.as_deref())?;
        }
        let expected = Expected {
            rule,
            topic: self.topic.map(with_version),
            key: self.key.map(with_version),
            headers: self.headers.map(|headers| {
                headers.into_iter().map(|(name, text)| (name, with_version(text))).collect()
            }),
            payload: self.payload.map(with_version),
            payload_json,
            dropped: self.dropped,
            dead_letter: self.dead_letter,
        };
        expected.check()?;
        let peer = self.peer.unwrap_or_else(|| PEER.to_owned());
        Ok(Case { name: self.name, frame, peer, listener, time, expected })
    }
}

impl Expected {
    fn check(&self) -> Result<(), String> {
        let has_record = self.topic.is_some()
            || self.key.is_some()
            || self.headers.is_some()
            || self.payload.is_some()
            || self.payload_json.is_some()
            || self.dead_letter.is_some();
        match (has_record, &self.dropped) {
            (true, Some(_)) => {
                Err("dropped stands beside what only a record has; keep one".to_owned())
            }
            (false, None) if self.rule.is_none() => {
                Err("nothing is expected; write topic, payload, dropped or rule".to_owned())
            }
            _ if self.payload.is_some() && self.payload_json.is_some() => {
                Err("payload and payload_json are both given; keep one".to_owned())
            }
            _ => Ok(()),
        }
    }
}

fn check_reason(key: &str, reason: Option<&str>) -> Result<(), String> {
    let known = Dropped::ALL.map(Dropped::name);
    match reason {
        Some(reason) if !known.contains(&reason) => {
            Err(format!("{key}: {reason:?} is no reason; write one of {}", known.join(", ")))
        }
        _ => Ok(()),
    }
}

/// A string that holds JSON, or a TOML table or list that means it.
fn expected_json(value: Value) -> Result<Json, String> {
    let json = match value {
        Value::String(text) => serde_json::from_str(&text)
            .map_err(|error| format!("payload_json: not JSON: {error}"))?,
        value => serde_json::to_value(value)
            .map_err(|error| format!("payload_json: not JSON: {error}"))?,
    };
    let mut json = json;
    put_version(&mut json);
    Ok(json)
}

fn with_version(text: String) -> String {
    text.replace(VERSION, env!("CARGO_PKG_VERSION"))
}

/// As deep as serde_json reads (128 levels).
fn put_version(json: &mut Json) {
    match json {
        Json::String(text) => *text = with_version(std::mem::take(text)),
        Json::Array(values) => values.iter_mut().for_each(put_version),
        Json::Object(members) => members.values_mut().for_each(put_version),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect()
}

/// Tries all cases, writes what failed and a last line that counts. Returns how many failed.
pub fn run(trial: &mut Trial, cases: &[Case], style: Style, out: &mut impl Write) -> usize {
    let mut failed = 0;
    for (index, case) in cases.iter().enumerate() {
        trial.begin_anew();
        let surroundings =
            Surroundings { peer: &case.peer, listener: case.listener, now: case.time };
        let kept = case.frame.len().min(trial.frame_bytes_max);
        let frame = Frame { bytes: &case.frame[..kept], truncated: kept < case.frame.len() };
        let outcome = trial.evaluate(frame, &surroundings);
        let differences = diff::differences(&case.expected, &outcome);
        failed += usize::from(!differences.is_empty());
        // Where nobody reads, the exit code still tells.
        let _ = match style {
            Style::Json => write_json(case, &outcome, &differences, out),
            Style::Text { .. } => write_text(index + 1, case, &outcome, &differences, style, out),
        };
    }
    if !cases.is_empty() && style != Style::Json {
        let count = cases.len();
        let cases = if count == 1 { "case" } else { "cases" };
        let line = match failed {
            0 => style.paint(Colour::Green, &format!("{count} {cases}, all as expected")),
            _ => style.paint(Colour::Red, &format!("{count} {cases}, {failed} failed")),
        };
        let _ = writeln!(out, "{line}");
    }
    failed
}

fn write_json(
    case: &Case,
    outcome: &Outcome,
    differences: &[Difference],
    out: &mut impl Write,
) -> io::Result<()> {
    let mut object = Map::new();
    object.insert("case".to_owned(), case.name.clone().into());
    let failed = differences.iter().map(|difference| Json::from(difference.what.clone()));
    object.insert("failed".to_owned(), failed.collect());
    object.extend(show::json(outcome));
    writeln!(out, "{}", Json::Object(object))
}

/// A case that holds takes no line.
fn write_text(
    number: usize,
    case: &Case,
    outcome: &Outcome,
    differences: &[Difference],
    style: Style,
    out: &mut impl Write,
) -> io::Result<()> {
    if differences.is_empty() {
        return Ok(());
    }
    let name = format!("case {number} \"{}\"", plain(case.name.as_bytes()));
    writeln!(out, "{} {name}", style.paint(Colour::Red, "FAILED"))?;
    differences.iter().try_for_each(|difference| difference.write(style, out))?;
    writeln!(out, "  {}", style.paint(Colour::Dim, "what became of it:"))?;
    show::details(outcome, style, out)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(case: &str) -> String {
        let text = format!("name = \"a\"\n{case}");
        let case: CaseConfig = toml::from_str(&text).expect("TOML");
        case.check(&Listeners::default()).expect_err("a mistake")
    }

    #[test]
    fn a_case_that_means_nothing_is_refused() {
        assert_eq!(refusal("topic = \"a\""), "input: there is none; write the frame");
        assert!(refusal("input = \"a\"\ninput_hex = \"61\"").contains("both given"));
        assert!(refusal("input_hex = \"6\"\ntopic = \"a\"").contains("hex digits"));
        assert!(refusal("input = \"a\"").starts_with("nothing is expected"));
        assert!(refusal("input = \"a\"\ntopic = \"a\"\ndropped = \"stopped\"").contains("beside"));
        assert!(refusal("input = \"a\"\ndropped = \"lost\"").contains("\"lost\" is no reason"));
        assert!(refusal("input = \"a\"\nrule = 1.5").contains("neither a name nor a number"));
        assert!(refusal("input = \"a\"\nrule = 1\ntime = \"noon\"").contains("no time"));
        assert!(refusal("input = \"a\"\npayload_json = \"{\"").contains("not JSON"));
        assert!(refusal("input = \"a\"\nlistener = \"b\"").contains("\"b\" is no listener"));
        assert!(refusal("input = \"a\"\npayload = \"a\"\npayload_json = []").contains("keep one"));
    }

    #[test]
    fn hex_may_hold_spaces() {
        assert_eq!(from_hex("3c 31\n33 3E ff"), Some(b"<13>\xff".to_vec()));
        assert_eq!(from_hex("3g"), None);
    }
}
