//! Reads one table of the configuration key by key, and notes every mistake instead of stopping
//! at the first.
//!
//! A key that was never asked for is unknown: what the program does not read, it refuses. A key
//! with a mistake yields its default, so that the rest of the file is read too; cross checks ask
//! [`Mistakes::concern`] first, and so do not build on a value that nobody typed.

use super::Mistake;
use super::environment::Overlay;
use super::units::{Bounds, Unit};
use std::cell::RefCell;
use toml::{Table, Value};

/// Characters of a value that an error repeats.
const SHOWN_CHARS_MAX: usize = 60;
/// How alike a key and a known one must be to be suggested; 1 is equal.
const SUGGESTION_LIKENESS_MIN: f64 = 0.6;

/// Every mistake found so far, with the key that it concerns.
#[derive(Debug, Default)]
pub struct Mistakes(RefCell<Vec<(String, Mistake)>>);

impl Mistakes {
    /// Notes a mistake about `key`; `label` is the key as the operator wrote it.
    pub fn add_as(&self, key: &str, label: &str, sentence: &str) {
        let mistake = Mistake(format!("{label}: {sentence}"));
        self.0.borrow_mut().push((key.to_owned(), mistake));
    }

    /// Notes a mistake about `key`.
    pub fn add(&self, key: &str, sentence: &str) {
        self.add_as(key, key, sentence);
    }

    /// Whether one of `keys` already has a mistake.
    pub fn concern(&self, keys: &[&str]) -> bool {
        self.0.borrow().iter().any(|(key, _)| keys.contains(&key.as_str()))
    }

    /// How many there are so far.
    pub fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// Notes a sentence that names its key itself.
    pub fn add_whole(&self, sentence: String) {
        self.0.borrow_mut().push((String::new(), Mistake(sentence)));
    }

    /// All of them, in the order found.
    pub fn into_list(self) -> Vec<Mistake> {
        self.0.into_inner().into_iter().map(|(_, mistake)| mistake).collect()
    }
}

/// One table being read.
pub struct Section<'a> {
    /// `batches`, `kafka.conf`, `listen 1`, `rule 2 "json", action 1`; empty for the whole file.
    path: String,
    table: Table,
    asked: Vec<&'static str>,
    overlay: &'a Overlay,
    /// Where mistakes go.
    pub mistakes: &'a Mistakes,
}

impl<'a> Section<'a> {
    /// The whole file, after the environment was laid over it.
    pub fn file(table: Table, overlay: &'a Overlay, mistakes: &'a Mistakes) -> Section<'a> {
        Section { path: String::new(), table, asked: Vec::new(), overlay, mistakes }
    }

    fn nested(&self, path: String, table: Table) -> Section<'a> {
        let (overlay, mistakes) = (self.overlay, self.mistakes);
        Section { path, table, asked: Vec::new(), overlay, mistakes }
    }

    /// The same section, called otherwise in errors.
    pub fn called(self, path: String) -> Section<'a> {
        Section { path, ..self }
    }

    /// What the section is called in an error.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `batches.age`, or `rule 2, regex`: entries of a list are counted from 1.
    pub fn key(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            "kafka.conf" => format!("kafka.conf.\"{key}\""),
            path if path.contains(' ') => format!("{path}, {key}"),
            path => format!("{path}.{key}"),
        }
    }

    /// Notes a mistake about `key`, naming the environment's variable when that gave the value.
    pub fn mistake(&self, key: &str, sentence: &str) {
        let key = self.key(key);
        match self.overlay.variable(&key) {
            Some(variable) => self.mistakes.add_as(&key, &format!("{variable} ({key})"), sentence),
            None => self.mistakes.add(&key, sentence),
        }
    }

    /// The key's value, which then counts as known.
    pub fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.push(key);
        self.table.remove(key)
    }

    fn wrong_type(&self, key: &str, value: &Value, wanted: &str, example: &str) {
        let shown = show(value);
        self.mistake(
            key,
            &format!("{shown} is not {wanted}; write for instance {key} = {example}"),
        );
    }

    /// A string; what the environment gave is text even where it looks like a number.
    pub fn text(&mut self, key: &'static str, example: &str) -> Option<String> {
        let value = self.take(key)?;
        match (self.overlay.text(&self.key(key)), value) {
            (_, Value::String(text)) => Some(text),
            (Some(raw), _) => Some(raw.to_owned()),
            (None, value) => {
                self.wrong_type(key, &value, "a string", &format!("\"{example}\""));
                None
            }
        }
    }

    /// A list of strings.
    pub fn texts(&mut self, key: &'static str, example: &str) -> Vec<String> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Value::Array(values) = value else {
            self.wrong_type(key, &value, "a list", example);
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(values.len());
        for value in values {
            match value {
                Value::String(text) => texts.push(text),
                value => self.wrong_type(key, &value, "a string", example),
            }
        }
        texts
    }

    /// One of a few words, each with what it means; `None` when it is left out.
    pub fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key, words.first()?.0)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let shown = show(&Value::String(text.clone()));
            let sentence = match nearest(&text, &known) {
                Some(near) => format!("{shown} is unknown; did you mean \"{near}\"?"),
                None => format!("{shown} is unknown; write one of \"{}\"", known.join("\", \"")),
            };
            self.mistake(key, &sentence);
        }
        found.map(|(_, meant)| *meant)
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        if value.as_bool().is_none() {
            self.wrong_type(key, &value, "true or false", "true");
        }
        value.as_bool()
    }

    /// A number in its range, typed with its unit; the default when the key is left out.
    pub fn number(&mut self, key: &'static str, bounds: &Bounds) -> i64 {
        match self.take(key) {
            Some(value) => self.read_number(key, &value, bounds).unwrap_or(bounds.default),
            None => bounds.default,
        }
    }

    /// Checks one number against its range.
    pub fn read_number(&self, key: &str, value: &Value, bounds: &Bounds) -> Option<i64> {
        let number = match (bounds.unit, value) {
            (Unit::Count, Value::Integer(number)) => Some(*number),
            (Unit::Bytes | Unit::Millis, Value::String(text)) => bounds.unit.parse(text),
            _ => None,
        };
        let shown = show(value);
        let Some(number) = number else {
            let (wanted, how) = (bounds.unit.wanted(), bounds.unit.how());
            let example = bounds.example();
            let sentence =
                format!("{shown} is not {wanted}; {how}, for instance {key} = {example}");
            self.mistake(key, &sentence);
            return None;
        };
        if let Some(refusal) = bounds.refuse(number) {
            self.mistake(key, &format!("{shown} {refusal}"));
            return None;
        }
        Some(number)
    }

    /// `[key]`; empty when it is left out. Its value is never repeated: it may hold a password.
    pub fn section(&mut self, key: &'static str) -> Section<'a> {
        let path = self.key(key);
        let table = match self.take(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(Value::Array(_)) => {
                self.mistake(key, &format!("given as a list; write [{path}] once, in one bracket"));
                Table::new()
            }
            Some(_) => {
                let sentence = format!("not a section; write [{path}] on a line of its own");
                self.mistake(key, &sentence);
                Table::new()
            }
        };
        self.nested(path, table)
    }

    /// `[[key]]`, each entry with its number and its name in its path; `None` when left out.
    pub fn entries(&mut self, key: &'static str) -> Option<Vec<Section<'a>>> {
        let mut sections = Vec::new();
        match self.take(key)? {
            Value::Array(values) => {
                for (index, value) in values.into_iter().enumerate() {
                    match value {
                        Value::Table(table) => {
                            let path = entry_path(key, index, &table);
                            sections.push(self.nested(path, table));
                        }
                        _ => self.mistake(
                            key,
                            &format!(
                                "entry {} is not a table; write [[{key}]] on a line of its own for \
                             each",
                                index + 1
                            ),
                        ),
                    }
                }
            }
            Value::Table(_) => self.mistake(
                key,
                &format!("given as one section; write [[{key}]], in two brackets, for each"),
            ),
            _ => self.mistake(
                key,
                &format!("not a list; write [[{key}]] on a line of its own for each"),
            ),
        }
        Some(sections)
    }

    /// A table inside this entry, such as one of a rule's actions.
    pub fn inner(&self, path: &str, table: Table) -> Section<'a> {
        self.nested(self.key(path), table)
    }

    /// What nobody asked for yet.
    pub fn rest(&mut self) -> &mut Table {
        &mut self.table
    }

    /// Refuses every key that was never asked for.
    pub fn finish(self) {
        for key in self.table.keys() {
            let known = &self.asked;
            let sentence = match nearest(key, known) {
                Some(near) => format!("unknown key; did you mean \"{near}\"?"),
                None => format!("unknown key; known here are {}", known.join(", ")),
            };
            self.mistake(&show_key(key), &sentence);
        }
    }
}

/// `rule 2 "json"`: the name helps to find it, the number is always there.
fn entry_path(key: &str, index: usize, table: &Table) -> String {
    let number = index + 1;
    match table.get("name").and_then(Value::as_str) {
        Some(name) if !name.is_empty() => {
            format!("{key} {number} {}", show(&Value::String(name.to_owned())))
        }
        _ => format!("{key} {number}"),
    }
}

/// The known key that was probably meant.
pub fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let key = key.to_ascii_lowercase();
    let likeness = |near: &str| strsim::normalized_damerau_levenshtein(&key, near);
    let best = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) >= SUGGESTION_LIKENESS_MIN).then_some(best)
}

/// A value as an error repeats it: short, on one line, control characters escaped.
pub fn show(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let cut = text.char_indices().nth(SHOWN_CHARS_MAX).map(|(end, _)| &text[..end]);
            match cut {
                Some(start) => format!("{:?}...", start),
                None => format!("{text:?}"),
            }
        }
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
        Value::Datetime(_) => "a date".to_owned(),
        value => value.to_string(),
    }
}

/// A key of the operator's own as an error repeats it.
pub fn show_key(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if key.len() <= SHOWN_CHARS_MAX && key.chars().all(plain) {
        return key.to_owned();
    }
    show(&Value::String(key.to_owned()))
}
