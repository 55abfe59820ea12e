//! A mapping of hotdog's file, read key by key; what nobody asked for is noted at the end.

use super::hotdog::Findings;
use super::yaml::{Kind, Node};

/// Characters of a value that a sentence repeats.
const SHOWN_CHARS_MAX: usize = 60;

/// A mapping being read, key by key.
pub struct Table<'n> {
    /// Its key, with those around it.
    pub path: String,
    /// From 1, in hotdog's file.
    pub line: usize,
    entries: &'n [(String, Node)],
    asked: Vec<&'static str>,
}

impl<'n> Table<'n> {
    /// `None`: it is no mapping, which is a mistake, or null, which is none.
    pub fn new(node: &'n Node, path: &str, findings: &mut Findings) -> Option<Table<'n>> {
        let Kind::Map(entries) = &node.kind else {
            findings.mistakes.push(format!("line {}: {path}: not a mapping", node.line));
            return None;
        };
        Some(Table { path: path.to_owned(), line: node.line, entries, asked: Vec::new() })
    }

    fn key(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path if path.starts_with("rule ") => format!("{path}, {key}"),
            path => format!("{path}.{key}"),
        }
    }

    /// The key's value, which then counts as known; null is as good as left out.
    pub fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.asked.push(key);
        let (_, node) = self.entries.iter().find(|(known, _)| known == key)?;
        (!node.is_null()).then_some(node)
    }

    /// The mapping under `key`, to be read in turn.
    pub fn table(&mut self, key: &'static str, findings: &mut Findings) -> Option<Table<'n>> {
        let path = self.key(key);
        Table::new(self.take(key)?, &path, findings)
    }

    /// The list under `key`.
    pub fn list(&mut self, key: &'static str, findings: &mut Findings) -> Option<&'n [Node]> {
        let node = self.take(key)?;
        let Kind::List(nodes) = &node.kind else {
            findings.mistakes.push(format!("line {}: {}: not a list", node.line, self.key(key)));
            return None;
        };
        Some(nodes)
    }

    /// The scalar under `key`, as typed.
    pub fn text(&mut self, key: &'static str, findings: &mut Findings) -> Option<String> {
        let node = self.take(key)?;
        let text = node.text().map(str::to_owned);
        if text.is_none() {
            let sentence = format!("line {}: {}: not a string", node.line, self.key(key));
            findings.mistakes.push(sentence);
        }
        text
    }

    /// Every entry, which then counts as known.
    pub fn rest(&mut self) -> &'n [(String, Node)] {
        std::mem::take(&mut self.entries)
    }

    /// Says what does not come along.
    pub fn note(&self, sentence: &str, findings: &mut Findings) {
        findings.notes.push(format!("line {}: {}: {sentence}", self.line, self.path));
    }

    /// Says what hotdog would not have taken.
    pub fn mistake(&self, sentence: &str, findings: &mut Findings) {
        findings.mistakes.push(format!("line {}: {}: {sentence}", self.line, self.path));
    }

    /// Notes every key that was never asked for.
    pub fn finish(self, findings: &mut Findings) {
        for (key, node) in self.entries {
            if !self.asked.contains(&key.as_str()) {
                let key = self.key(&show(key).replace('"', ""));
                findings.notes.push(format!(
                    "line {}: {key}: hotdog did not know this key; left out",
                    node.line
                ));
            }
        }
    }
}

/// A value as a sentence repeats it: short, on one line.
pub fn show(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}
