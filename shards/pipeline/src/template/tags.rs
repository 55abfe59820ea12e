//! Reads a template's tags by a loop, before a parser that recurses on them sees the text.
//!
//! ```text
//! {{name}} {{{name}}} {{&name}} {{#helper word (helper word) "text"}} {{else}} {{/helper}} {{! }}
//! ```
//!
//! Where tags start and end, and how deep they nest, is decided as handlebars decides it. What it
//! knows beside these (partials, decorators, raw blocks, lists) is refused here, by name.

use crate::rules::Field;

/// Blocks and parentheses within one another: what parsing and rendering recurse on.
pub(super) const NEST_MAX: usize = 64;

/// A sentence, and the byte of the text that it means.
pub(super) type Mistake = (String, usize);

/// What stands in a template's tags.
#[derive(Debug, Default)]
pub(super) struct Tags<'t> {
    /// The text, with brackets around each `sd.ID.PARAM`: handlebars would stop at its `@`.
    pub(super) text: String,
    /// Where in it brackets were put, in order.
    brackets: Vec<usize>,
    /// Each word outside of quotes: where it starts in the text as typed, and what it is.
    words: Vec<(usize, &'t str)>,
}

impl<'t> Tags<'t> {
    /// Reads the tags of `typed`.
    ///
    /// Cost:   one pass.
    /// Errors: a tag or a block that is not closed, nests too deep, or is of a kind that is not allowed.
    pub(super) fn read(typed: &'t str) -> Result<Tags<'t>, Mistake> {
        let mut reader = Reader { typed, at: 0, nest: 0, outer: Vec::new(), tags: Tags::default() };
        let mut copied = 0;
        while let Some(open) = reader.next_tag() {
            let words_before = reader.tags.words.len();
            reader.tag(open)?;
            let Tags { text, brackets, words } = &mut reader.tags;
            for (offset, word) in &words[words_before..] {
                let is_sd = word.starts_with("sd.") && Field::parse(word).is_some();
                if !is_sd {
                    continue;
                }
                text.push_str(&typed[copied..*offset]);
                brackets.push(text.len());
                text.push('[');
                text.push_str(word);
                brackets.push(text.len());
                text.push(']');
                copied = offset + word.len();
            }
        }
        reader.tags.text.push_str(&typed[copied..]);
        if let Some(Outer { open, .. }) = reader.outer.last() {
            let why = "the block opened here is not closed; write {{/if}} behind it, with the name \
                       of its helper";
            return Err((why.to_owned(), *open));
        }
        Ok(reader.tags)
    }

    /// Where in the text as typed the character stands that is at `line` and `column`, both from 1
    /// on, of the text with brackets.
    pub(super) fn offset(&self, line: usize, column: usize) -> usize {
        let lines = self.text.split_inclusive('\n');
        let line_start: usize = lines.take(line.saturating_sub(1)).map(str::len).sum();
        let rest = &self.text[line_start..];
        let in_line = rest.char_indices().nth(column.saturating_sub(1));
        let offset = line_start + in_line.map_or(rest.len(), |(index, _)| index);
        offset - self.brackets.iter().filter(|bracket| **bracket < offset).count()
    }

    /// Where a word stands first, in the text as typed.
    pub(super) fn find(&self, word: &str) -> usize {
        let bare = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(word);
        let found = self.words.iter().find(|(_, other)| *other == word || *other == bare);
        found.map_or(0, |(offset, _)| *offset)
    }
}

/// Where it is in the text.
struct Reader<'t> {
    typed: &'t str,
    /// `0 <= at <= typed.len()`; before it all is read.
    at: usize,
    /// Blocks that are open, and branches of theirs that handlebars keeps within one another.
    nest: usize,
    /// The blocks that are open, the innermost last.
    outer: Vec<Outer>,
    tags: Tags<'t>,
}

/// A block that is open.
struct Outer {
    /// Where its tag opens.
    open: usize,
    /// What `nest` was before it.
    nest: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.typed[self.at..]
    }

    fn take(&mut self, token: &str) -> bool {
        let is_next = self.rest().starts_with(token);
        self.at += if is_next { token.len() } else { 0 };
        is_next
    }

    fn skip_whitespace(&mut self) {
        self.at = self.typed.len() - self.rest().trim_start_matches(super::WHITESPACE).len();
    }

    /// Where the next tag opens. One backslash before the braces makes them text, two do not.
    fn next_tag(&mut self) -> Option<usize> {
        loop {
            let text = self.rest();
            let open = text.find("{{")?;
            let before = text[..open].trim_end_matches('\\');
            self.at += open;
            if open - before.len() != 1 {
                return Some(self.at);
            }
            self.at += 2;
            self.take("{{");
        }
    }

    /// Reads one tag, to its end.
    fn tag(&mut self, open: usize) -> Result<(), Mistake> {
        if self.take("{{!") {
            return self.comment(open);
        }
        if self.take("{{{{") {
            return Err(("raw blocks ({{{{ }}}}) are not allowed in templates".into(), open));
        }
        self.at += 2;
        self.take("~");
        let is_triple = self.take("{");
        self.take("~");
        self.skip_whitespace();
        let is_block = self.take("#");
        let is_end = !is_block && self.take("/");
        let is_inverse = !is_block && !is_end && self.take("^");
        self.skip_whitespace();
        if self.take(">") {
            return Err(("partials ({{> }}) are not allowed in templates".into(), open));
        }
        if self.take("*") {
            return Err(("decorators ({{* }}) are not allowed in templates".into(), open));
        }
        self.take("&");
        let words_before = self.tags.words.len();
        if is_block {
            self.outer.push(Outer { open, nest: self.nest });
            self.nest += 1;
        }
        self.words(open, is_triple)?;
        let words = &self.tags.words[words_before..];
        let has_else = words.first().is_some_and(|(_, word)| word.starts_with("else"));
        if is_end {
            self.nest = self.outer.pop().map_or(0, |outer| outer.nest);
        } else if is_inverse && !words.is_empty()
            || has_else && words[0].1 != "else"
            || has_else && words.len() > 1
        {
            // Each branch of a chain is kept within the one before.
            self.nest += 1;
        }
        self.check_nest(0, open)
    }

    fn comment(&mut self, open: usize) -> Result<(), Mistake> {
        let rest = self.rest();
        let long = rest.strip_prefix("--").and_then(|text| Some(2 + text.find("--}}")? + 4));
        let end = long.or_else(|| Some(rest.find("}}")? + 2)).ok_or_else(|| not_closed(open))?;
        self.at += end;
        Ok(())
    }

    /// Reads what is in a tag, and the braces that close it.
    fn words(&mut self, open: usize, is_triple: bool) -> Result<(), Mistake> {
        let mut parentheses = 0_usize;
        loop {
            self.skip_whitespace();
            let start = self.at;
            if is_triple && self.take("}}}") || self.take("}}") {
                return Ok(());
            }
            let Some(next) = self.rest().chars().next() else { return Err(not_closed(open)) };
            match next {
                '(' => {
                    parentheses += 1;
                    self.check_nest(parentheses, start)?;
                }
                ')' => parentheses = parentheses.saturating_sub(1),
                '"' | '\'' => {
                    self.quoted(next)?;
                    continue;
                }
                '{' => return Err(("there is no use for { inside of a tag".into(), start)),
                '~' | '=' | '|' | '}' => {}
                _ => {
                    self.word()?;
                    continue;
                }
            }
            self.at += 1;
        }
    }

    fn quoted(&mut self, quote: char) -> Result<(), Mistake> {
        let mut is_escaped = false;
        let end = self.rest().char_indices().skip(1).find(|(_, c)| {
            let is_end = *c == quote && !is_escaped;
            is_escaped = *c == '\\' && !is_escaped;
            is_end
        });
        let (end, _) = end.ok_or_else(|| ("the quote here is not closed".to_owned(), self.at))?;
        self.at += end + 1;
        Ok(())
    }

    /// A name, a path or a number: to where something else starts, `[...]` in it as one.
    fn word(&mut self) -> Result<(), Mistake> {
        let start = self.at;
        loop {
            let is_word = |c: char| !super::WHITESPACE.contains(&c) && !"\"'(){}=|~[]".contains(c);
            self.at = self.typed.len() - self.rest().trim_start_matches(is_word).len();
            if !self.rest().starts_with('[') {
                break;
            }
            let inside = &self.rest()[1..];
            let end =
                inside.find(']').filter(|end| !inside[..*end].contains(['[', '"', '\'', '{']));
            let end = end.ok_or_else(|| {
                ("a list is not allowed in a template, and [name] is not closed".into(), self.at)
            })?;
            self.at += end + 2;
        }
        if self.at == start {
            return Err(("there is no use for ] here".into(), start));
        }
        self.tags.words.push((start, &self.typed[start..self.at]));
        Ok(())
    }

    fn check_nest(&self, parentheses: usize, offset: usize) -> Result<(), Mistake> {
        if self.nest + parentheses <= NEST_MAX {
            return Ok(());
        }
        let why =
            format!("blocks and parentheses nest deeper than {NEST_MAX} here; make it simpler");
        Err((why, offset))
    }
}

fn not_closed(open: usize) -> Mistake {
    ("the braces opened here are not closed; write {{name}}, or \\{{ for the text".into(), open)
}
