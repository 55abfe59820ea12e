//! A template without the variables that hotdog did not know: it renders what it rendered there.

use super::tags::{self, Kind, Tag, Word};
use corndog_pipeline::template::TEMPLATE_BYTES_MAX;
use std::ops::Range;

/// Helpers within whose blocks a name means something else. Ours has neither: the template is
/// refused, and mended by hand.
const SCOPED: [&str; 2] = ["each", "with"];

/// A variable that was taken out.
#[derive(Debug, PartialEq, Eq)]
pub struct Removed {
    /// As the template had it.
    pub name: String,
    /// What it was there for.
    pub was: Use,
}

/// What a variable is in a template for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Its value is inserted.
    Inserted,
    /// A block or a helper asks for it.
    Asked,
}

/// The template with nothing, or null, in the place of each variable that is not `known`, and
/// which these were.
///
/// Errors: `None` where nothing is to be changed, or where the template is refused as it is.
pub fn without_unknown(template: &str, known: &[String]) -> Option<(String, Vec<Removed>)> {
    if template.len() > TEMPLATE_BYTES_MAX {
        return None;
    }
    let tags = tags::read(template)?;
    let is_scoped = |word: &Word| word.is_helper && SCOPED.contains(&&template[word.range.clone()]);
    if tags.iter().flat_map(|tag| &tag.words).any(is_scoped) {
        return None;
    }
    let mut edits = Edits { template, known, list: Vec::new(), removed: Vec::new() };
    let may_cut = may_cut(template, &tags);
    for (index, tag) in tags.iter().enumerate() {
        if edits.has_cut(tag) {
            continue;
        }
        match may_cut.then(|| edits.decided(&tags[index..])).flatten() {
            Some(kept) => edits.cut_to(kept),
            None => edits.tag(tag, may_cut),
        }
    }
    let Edits { mut list, removed, .. } = edits;
    list.sort_by_key(|(range, _)| range.start);
    (!list.is_empty()).then(|| (applied(template, &list), removed))
}

/// Whether a tag may go without a trace. Not so where the blanks or the backslash beside it, or
/// the line on which another tag then stands alone, would mean something else.
fn may_cut(template: &str, tags: &[Tag]) -> bool {
    let has = |kind| tags.iter().any(|tag| tag.kind == kind);
    let stands_alone = has(Kind::Comment) || has(Kind::Open) && template.contains('\n');
    !template.contains('~') && !template.contains("\\{{") && !stands_alone
}

/// The ranges are in order, and none overlaps another.
fn applied(template: &str, edits: &[(Range<usize>, &str)]) -> String {
    let mut written = String::with_capacity(template.len());
    let mut after = 0;
    for (range, text) in edits {
        written.push_str(&template[after..range.start]);
        written.push_str(text);
        after = range.end;
    }
    written.push_str(&template[after..]);
    written
}

/// A block that an unknown variable decides.
struct Decided {
    name: String,
    /// From its first tag to its last.
    whole: Range<usize>,
    /// What is rendered of it.
    kept: Range<usize>,
}

/// What is to be written anew.
struct Edits<'t> {
    template: &'t str,
    known: &'t [String],
    /// No range overlaps another.
    list: Vec<(Range<usize>, &'static str)>,
    removed: Vec<Removed>,
}

impl<'t> Edits<'t> {
    fn text(&self, range: &Range<usize>) -> &'t str {
        &self.template[range.clone()]
    }

    /// Whether it stands in what is cut already.
    fn has_cut(&self, tag: &Tag) -> bool {
        self.list.iter().any(|(cut, _)| cut.contains(&tag.range.start))
    }

    fn cut_to(&mut self, Decided { name, whole, kept }: Decided) {
        self.list.push((whole.start..kept.start, ""));
        self.list.push((kept.end..whole.end, ""));
        self.remove(name, Use::Asked);
    }

    fn tag(&mut self, tag: &Tag, may_cut: bool) {
        for word in tag.words.iter().filter(|word| !word.is_helper) {
            let name = self.text(&word.range);
            if is_known(name, self.known) {
                continue;
            }
            if tag.kind == Kind::Variable {
                let nothing = if may_cut { "" } else { nothing_like(self.text(&tag.range)) };
                self.list.push((tag.range.clone(), nothing));
                self.remove(name.to_owned(), Use::Inserted);
            } else {
                self.list.push((word.range.clone(), "null"));
                self.remove(name.to_owned(), Use::Asked);
            }
        }
    }

    fn remove(&mut self, name: String, was: Use) {
        let removed = Removed { name, was };
        if !self.removed.contains(&removed) {
            self.removed.push(removed);
        }
    }

    /// The block that the first tag opens, if all that decides it is an unknown variable: `if` or
    /// `unless`, and at most an `else`.
    fn decided(&self, tags: &[Tag]) -> Option<Decided> {
        let open = tags.first().filter(|tag| tag.kind == Kind::Open && !tag.has_more)?;
        let [helper, asked] = open.words.as_slice() else { return None };
        let name = self.text(&asked.range);
        if is_known(name, self.known) {
            return None;
        }
        let (mut depth, mut other) = (0_usize, None);
        for tag in tags {
            match tag.kind {
                Kind::Open => depth += 1,
                Kind::End if depth == 1 => {
                    let end = &tag.range;
                    let other: &Range<usize> = other.unwrap_or(end);
                    let kept = match self.text(&helper.range) {
                        "unless" => open.range.end..other.start,
                        "if" if other == end => end.start..end.start,
                        "if" => other.end..end.start,
                        _ => return None,
                    };
                    let (name, whole) = (name.to_owned(), open.range.start..end.end);
                    return Some(Decided { name, whole, kept });
                }
                Kind::End => depth -= 1,
                Kind::Else if depth == 1 => {
                    if other.is_some() || !tag.words.is_empty() || tag.has_more {
                        return None;
                    }
                    other = Some(&tag.range);
                }
                _ => {}
            }
        }
        None
    }
}

/// What renders as nothing, and leaves the blanks beside it as `tag` left them.
fn nothing_like(tag: &str) -> &'static str {
    let inside = tag.trim_matches(['{', '}']);
    match (inside.starts_with('~'), inside.ends_with('~')) {
        (false, false) => "{{#if null}}{{/if}}",
        (true, false) => "{{~#if null}}{{/if}}",
        (false, true) => "{{#if null}}{{/if~}}",
        (true, true) => "{{~#if null}}{{/if~}}",
    }
}

/// Whether a word is what the template's data has, or no variable. A path into a variable leads
/// nowhere: all of them are strings.
fn is_known(word: &str, known: &[String]) -> bool {
    let is_number = word.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
    let is_literal = is_number || matches!(word, "true" | "false" | "null");
    let is_whole = matches!(word, "this" | "." | ".." | "@root");
    if is_literal || is_whole {
        return true;
    }
    let mut name = word;
    for prefix in ["this.", "this/", "./", "@root.", "@root/"] {
        name = name.strip_prefix(prefix).unwrap_or(name);
    }
    while let Some(inner) = name.strip_prefix("../") {
        name = inner;
    }
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_path = bare.is_none() && name.contains(['.', '/', '[']);
    !is_path && known.iter().any(|known| known == bare.unwrap_or(name))
}
