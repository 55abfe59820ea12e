//! How what a case expects differs from what was found, so that a person sees it at once.

use super::cases::Expected;
use super::show::{Colour, Style, plain};
use super::{Outcome, Sent};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Characters of a value in front of the first difference, and behind it.
const CONTEXT_CHARS: usize = 60;
/// Places of a JSON payload that are shown; more are counted.
const PLACES_MAX: usize = 20;

/// One thing that is not as expected.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// `topic`, `header app`, `payload.meta.topic`.
    pub what: String,
    expected: String,
    found: String,
}

/// Everything that is not as expected; empty: the case holds.
pub fn differences(expected: &Expected, outcome: &Outcome) -> Vec<Difference> {
    let mut list = List::default();
    let rule = outcome.rule.clone().unwrap_or_else(|| "none".to_owned());
    list.compare("rule", expected.rule.as_deref(), || rule);
    list.compare("dropped", expected.dropped.as_deref(), || match &outcome.sent {
        Some(sent) => format!("no: it goes to {}", sent.topic),
        None => outcome.dropped.unwrap_or_default().to_owned(),
    });
    match &outcome.sent {
        Some(sent) => list.compare_record(expected, sent),
        None if expected.dropped.is_none() && expected.has_record() => {
            let reason = format!("no record: dropped, {}", outcome.dropped.unwrap_or_default());
            let topic = expected.topic.clone().unwrap_or_else(|| "a record".to_owned());
            list.add("topic", topic, reason);
        }
        None => {}
    }
    let dead_letter = outcome.dead_letter.unwrap_or("no dead letter");
    list.compare("dead_letter", expected.dead_letter.as_deref(), || dead_letter.to_owned());
    list.0
}

impl Expected {
    fn has_record(&self) -> bool {
        self.topic.is_some()
            || self.key.is_some()
            || self.headers.is_some()
            || self.payload.is_some()
            || self.payload_json.is_some()
    }
}

#[derive(Default)]
struct List(Vec<Difference>);

impl List {
    fn add(&mut self, what: &str, expected: String, found: String) {
        self.0.push(Difference { what: what.to_owned(), expected, found });
    }

    fn compare(&mut self, what: &str, expected: Option<&str>, found: impl FnOnce() -> String) {
        let Some(expected) = expected else { return };
        let found = found();
        if expected != found {
            self.add(what, plain(expected.as_bytes()), plain(found.as_bytes()));
        }
    }

    fn compare_bytes(&mut self, what: &str, expected: Option<&str>, found: &[u8]) {
        match expected {
            Some(expected) if expected.as_bytes() != found => {
                self.add(what, plain(expected.as_bytes()), plain(found));
            }
            _ => {}
        }
    }

    fn compare_record(&mut self, expected: &Expected, sent: &Sent) {
        self.compare("topic", expected.topic.as_deref(), || sent.topic.clone());
        let key = sent.key.as_deref().unwrap_or_default();
        self.compare_bytes("key", expected.key.as_deref(), key);
        if let Some(headers) = &expected.headers {
            self.compare_headers(headers, &sent.headers);
        }
        self.compare_bytes("payload", expected.payload.as_deref(), &sent.payload);
        let Some(expected) = &expected.payload_json else { return };
        match serde_json::from_slice::<Json>(&sent.payload) {
            Ok(found) => self.compare_json(expected, &found),
            Err(_) => self.add("payload", expected.to_string(), plain(&sent.payload)),
        }
    }

    fn compare_headers(
        &mut self,
        expected: &BTreeMap<String, String>,
        found: &[(String, Vec<u8>)],
    ) {
        for (name, text) in expected {
            let what = format!("header {}", plain(name.as_bytes()));
            match found.iter().find(|(known, _)| known == name) {
                Some((_, bytes)) => self.compare_bytes(&what, Some(text), bytes),
                None => self.add(&what, plain(text.as_bytes()), "no such header".to_owned()),
            }
        }
        for (name, bytes) in found.iter().filter(|(name, _)| !expected.contains_key(name)) {
            let what = format!("header {}", plain(name.as_bytes()));
            self.add(&what, "no such header".to_owned(), plain(bytes));
        }
    }

    /// Every place where two trees differ; numbers are equal where their values are.
    fn compare_json(&mut self, expected: &Json, found: &Json) {
        let mut open = vec![("payload".to_owned(), Some(expected), Some(found))];
        let mut places = 0;
        while let Some((path, expected, found)) = open.pop() {
            match (expected, found) {
                (Some(Json::Object(a)), Some(Json::Object(b))) => {
                    let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
                    let members = keys.map(|key| (format!("{path}.{key}"), a.get(key), b.get(key)));
                    open.extend(members.collect::<Vec<_>>().into_iter().rev());
                }
                (Some(Json::Array(a)), Some(Json::Array(b))) => {
                    let count = a.len().max(b.len());
                    let items =
                        (0..count).map(|at| (format!("{path}[{at}]"), a.get(at), b.get(at)));
                    open.extend(items.rev());
                }
                (Some(a), Some(b)) if is_equal(a, b) => {}
                (a, b) => {
                    places += 1;
                    if places <= PLACES_MAX {
                        let text = |json: Option<&Json>| {
                            json.map_or("nothing".to_owned(), |json| {
                                plain(json.to_string().as_bytes())
                            })
                        };
                        self.add(&plain(path.as_bytes()), text(a), text(b));
                    }
                }
            }
        }
        if places > PLACES_MAX {
            let more = format!("{} more places", places - PLACES_MAX);
            self.add("payload", "the same".to_owned(), more);
        }
    }
}

fn is_equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

impl Difference {
    /// Two lines, and a mark under the first character that differs.
    pub fn write(&self, style: Style, out: &mut impl Write) -> io::Result<()> {
        let same =
            self.expected.chars().zip(self.found.chars()).take_while(|(a, b)| a == b).count();
        let (expected, _) = window(&self.expected, same);
        let (found, mark) = window(&self.found, same);
        let what = format!("{:<15}", self.what);
        let blank = " ".repeat(what.chars().count());
        writeln!(out, "  {what} expected {}", style.paint(Colour::Green, &expected))?;
        writeln!(out, "  {blank} found    {}", style.paint(Colour::Red, &found))?;
        if same > 0 {
            writeln!(out, "  {blank}          {}^", " ".repeat(mark))?;
        }
        Ok(())
    }
}

/// The text around character `at`, and where that stands in it.
fn window(text: &str, at: usize) -> (String, usize) {
    let from = at.saturating_sub(CONTEXT_CHARS);
    let start = if from > 0 { "..." } else { "" };
    let mut shown = start.to_owned();
    let length = at - from + CONTEXT_CHARS;
    shown.extend(text.chars().skip(from).take(length));
    if text.chars().count() > from + length {
        shown.push_str("...");
    }
    (shown, start.len() + at - from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn json_differences(expected: &Json, found: &Json) -> Vec<String> {
        let mut list = List::default();
        list.compare_json(expected, found);
        let show = |one: Difference| format!("{}: {} / {}", one.what, one.expected, one.found);
        list.0.into_iter().map(show).collect()
    }

    #[test]
    fn places_that_differ_in_json_are_named_in_their_order() {
        let expected = json!({"a": 1, "b": {"c": [1, 2], "d": "x"}, "e": null});
        let found = json!({"b": {"c": [1, 3, 4], "d": "x"}, "a": 1.0, "f": []});
        let places = [
            "payload.b.c[1]: 2 / 3",
            "payload.b.c[2]: nothing / 4",
            "payload.e: null / nothing",
            "payload.f: nothing / []",
        ];
        assert_eq!(json_differences(&expected, &found), places);
    }

    #[test]
    fn many_places_are_counted() {
        let found: Vec<u32> = (0..100).collect();
        let places = json_differences(&json!([]), &json!(found));
        assert_eq!(places.len(), PLACES_MAX + 1);
        assert_eq!(places[PLACES_MAX], "payload: the same / 80 more places");
    }

    #[test]
    fn the_first_difference_is_marked() {
        let difference = Difference {
            what: "topic".to_owned(),
            expected: "logs-a".to_owned(),
            found: "logs-b".to_owned(),
        };
        let mut out = Vec::new();
        difference.write(Style::Text { has_colour: false }, &mut out).expect("memory");
        let text = String::from_utf8(out).expect("ASCII");
        let lines: Vec<&str> = text.lines().collect();
        let column = lines[1].find("logs-b").expect("shown") + 5;
        assert_eq!(lines[2].find('^'), Some(column), "{text}");
    }

    #[test]
    fn long_values_are_shown_around_the_difference() {
        let text = format!("{}X{}", "a".repeat(1000), "b".repeat(1000));
        let (shown, at) = window(&text, 1000);
        assert_eq!(shown.chars().nth(at), Some('X'));
        assert!(shown.len() < 200);
        assert_eq!(window("short", 2), ("short".to_owned(), 2));
    }
}
