//! A template -> its tags, each with the words in it, so that they can be written anew.
//!
//! ```text
//! {{name}} {{{name}}} {{&name}} {{#helper word (helper word) "text"}} {{else}} {{/helper}} {{! }}
//! ```
//! Where a tag starts and ends is decided as handlebars decides it. Ranges are bytes of the
//! template.

use std::ops::Range;

/// What handlebars skips between words.
const WHITESPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// What a tag is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{{! }}`
    Comment,
    /// One word and nothing else: it is inserted.
    Variable,
    /// A helper with its words: what it returns is inserted.
    Call,
    /// `{{#helper words}}`
    Open,
    /// `{{else}}`, `{{^}}`, `{{else helper words}}`
    Else,
    /// `{{/helper}}`
    End,
}

/// A tag.
#[derive(Debug)]
pub struct Tag {
    /// With its braces.
    pub range: Range<usize>,
    /// What it is for.
    pub kind: Kind,
    /// Names, paths and literals without quotes, in order; neither `else` nor what follows `/`.
    pub words: Vec<Word>,
    /// There are quotes, parentheses or options beside the words.
    pub has_more: bool,
}

/// A word of a tag.
#[derive(Debug)]
pub struct Word {
    /// Where it stands.
    pub range: Range<usize>,
    /// It calls a helper, or names an option; other words are what helpers get, or what is
    /// inserted.
    pub is_helper: bool,
}

/// All tags, in order.
///
/// Errors: `None` for what is refused when the template is compiled: a tag that is not closed, or
/// of a kind that no template may hold.
pub fn read(template: &str) -> Option<Vec<Tag>> {
    let mut reader = Reader { template, at: 0 };
    let mut tags = Vec::new();
    while let Some(start) = reader.next_tag() {
        tags.push(reader.tag(start)?);
    }
    Some(tags)
}

struct Reader<'t> {
    template: &'t str,
    /// `0 <= at <= template.len()`; before it all is read.
    at: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.template[self.at..]
    }

    fn take(&mut self, token: &str) -> bool {
        let is_next = self.rest().starts_with(token);
        self.at += if is_next { token.len() } else { 0 };
        is_next
    }

    fn skip_whitespace(&mut self) {
        self.at = self.template.len() - self.rest().trim_start_matches(WHITESPACE).len();
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

    fn tag(&mut self, start: usize) -> Option<Tag> {
        if self.take("{{!") {
            let rest = self.rest();
            let long = rest.strip_prefix("--").and_then(|text| Some(2 + text.find("--}}")? + 4));
            self.at += long.or_else(|| Some(rest.find("}}")? + 2))?;
            let range = start..self.at;
            return Some(Tag { range, kind: Kind::Comment, words: Vec::new(), has_more: false });
        }
        if self.take("{{{{") {
            return None;
        }
        self.at += 2;
        self.take("~");
        let is_triple = self.take("{");
        self.take("~");
        self.skip_whitespace();
        let mark = ["#", "/", "^"].into_iter().find(|mark| self.take(mark));
        self.skip_whitespace();
        if self.take(">") || self.take("*") {
            return None;
        }
        self.take("&");
        let (mut words, has_more) = self.words(is_triple)?;
        let is_else =
            words.first().is_some_and(|word| &self.template[word.range.clone()] == "else");
        let kind = match mark {
            Some("#") => Kind::Open,
            Some("/") => Kind::End,
            Some(_) => Kind::Else,
            None if is_else => Kind::Else,
            None if words.len() == 1 && !has_more => Kind::Variable,
            None => Kind::Call,
        };
        let named = match kind {
            Kind::End => words.len(),
            Kind::Else if is_else => 1,
            _ => 0,
        };
        words.drain(..named);
        if let (Kind::Call | Kind::Open | Kind::Else, Some(first)) = (kind, words.first_mut()) {
            first.is_helper = true;
        }
        Some(Tag { range: start..self.at, kind, words, has_more })
    }

    /// Reads what is in a tag, and the braces that close it; whether there is more than words.
    fn words(&mut self, is_triple: bool) -> Option<(Vec<Word>, bool)> {
        let (mut words, mut has_more, mut is_helper) = (Vec::<Word>::new(), false, false);
        loop {
            self.skip_whitespace();
            if self.take(if is_triple { "}}}" } else { "}}" }) {
                return Some((words, has_more));
            }
            let next = self.rest().chars().next()?;
            match next {
                '{' => return None,
                '~' | '}' => self.at += 1,
                '"' | '\'' => {
                    has_more = true;
                    self.quoted(next)?;
                }
                '(' | ')' | '=' | '|' => {
                    has_more = true;
                    self.at += 1;
                    if let ('=', Some(option)) = (next, words.last_mut()) {
                        option.is_helper = true;
                    }
                }
                _ => words.push(Word { range: self.word()?, is_helper }),
            }
            is_helper = next == '(';
        }
    }

    fn quoted(&mut self, quote: char) -> Option<()> {
        let mut is_escaped = false;
        let (end, _) = self.rest().char_indices().skip(1).find(|(_, c)| {
            let is_end = *c == quote && !is_escaped;
            is_escaped = *c == '\\' && !is_escaped;
            is_end
        })?;
        self.at += end + 1;
        Some(())
    }

    /// To where something else starts, `[...]` in it as one.
    fn word(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        loop {
            let is_word = |c: char| !WHITESPACE.contains(&c) && !"\"'(){}=|~[]".contains(c);
            self.at = self.template.len() - self.rest().trim_start_matches(is_word).len();
            if !self.rest().starts_with('[') {
                break;
            }
            self.at += self.rest().find(']')? + 1;
        }
        (self.at > start).then_some(start..self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each tag as kind, words (helpers with a colon) and `+` where there is more.
    fn shown(template: &str) -> Option<Vec<String>> {
        let tags = read(template)?;
        let word = |word: &Word| {
            let text = &template[word.range.clone()];
            if word.is_helper { format!("{text}:") } else { text.to_owned() }
        };
        let shown = tags.iter().map(|tag| {
            let words: Vec<String> = tag.words.iter().map(word).collect();
            let more = if tag.has_more { " +" } else { "" };
            format!("{:?} {}{more}", tag.kind, words.join(" "))
        });
        Some(shown.collect())
    }

    #[test]
    fn tags_are_read_with_their_words() {
        let template =
            "a{{b}} {{{ c }}}{{& d}}{{~e.[f g]~}} \\{{h}} \\\\{{i}}{{!-- }} --}}{{! j }}";
        let expected = ["Variable b", "Variable c", "Variable d", "Variable e.[f g]", "Variable i"];
        let tags = shown(template).expect("tags");
        assert_eq!(tags[..5], expected);
        assert_eq!(tags[5..], ["Comment ", "Comment "]);
        let template = "{{#if (and a (eq b '}}'))}}x{{else if c}}{{^}}{{else}}{{len d}}{{/if}}";
        let expected =
            ["Open if: and: a eq: b +", "Else if: c", "Else ", "Else ", "Call len: d", "End "];
        assert_eq!(shown(template).expect("tags"), expected);
    }

    #[test]
    fn what_no_template_may_hold_is_not_read() {
        for template in ["{{a", "{{{a}}", "{{> a}}", "{{*a}}", "{{{{a}}}}", "{{a {b}}", "{{'a}}"] {
            assert_eq!(shown(template), None, "{template}");
        }
    }

    #[test]
    fn ranges_hold_the_tags_whatever_the_text() {
        let template = "x\u{e9}{{~#if a~}}{{b.[c]}} \\{{ {{else}}{{{d}}}{{/if}}{{!e}}(\"')}";
        for (end, _) in template.char_indices() {
            for start in 0..end {
                let Some(part) = template.get(start..end) else { continue };
                let mut after = 0;
                for tag in read(part).unwrap_or_default() {
                    assert!(after <= tag.range.start, "{part}");
                    let text = &part[tag.range.clone()];
                    assert!(text.starts_with("{{") && text.ends_with("}}"), "{part}");
                    after = tag.range.end;
                }
            }
        }
    }
}
