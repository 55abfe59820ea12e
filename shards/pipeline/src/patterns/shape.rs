//! What a pattern's structure tells: rewritings that ask the same, and literals that it needs.
//!
//! All functions here recurse on the operator's pattern, whose nesting is bounded when it is parsed.

use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{
    Capture, Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind,
    Look, Repetition,
};

/// Bytes that a needed literal has at least: shorter ones are found everywhere.
const LITERAL_BYTES_MIN: usize = 3;

/// A pattern that is no more than a literal, and where it has to stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plain {
    Starts(Box<[u8]>),
    Ends(Box<[u8]>),
    Equals(Box<[u8]>),
    Contains(Box<[u8]>),
}

/// True for a pattern that finds an empty match wherever it starts.
pub(super) fn is_always(hir: &Hir) -> bool {
    let properties = hir.properties();
    properties.minimum_len() == Some(0) && properties.look_set().is_empty()
}

/// True for a pattern that matches at a field's start or not at all.
pub(super) fn is_anchored(hir: &Hir) -> bool {
    hir.properties().look_set_prefix().contains(Look::Start)
}

/// True for a pattern that asks for Unicode's word boundaries, which no automaton can have.
pub(super) fn asks_for_words(hir: &Hir) -> bool {
    hir.properties().look_set().contains_word_unicode()
}

/// The pattern as it works on ASCII alone: the same answers for each such field, without Unicode's
/// large tables, and with word boundaries that a DFA can have.
pub(super) fn ascii(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Literal(literal) if !literal.0.is_ascii() => Hir::fail(),
        HirKind::Class(class) => Hir::class(Class::Bytes(ascii_class(class))),
        HirKind::Look(look) => Hir::look(match look {
            Look::WordUnicode => Look::WordAscii,
            Look::WordUnicodeNegate => Look::WordAsciiNegate,
            Look::WordStartUnicode => Look::WordStartAscii,
            Look::WordEndUnicode => Look::WordEndAscii,
            Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
            Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
            other => *other,
        }),
        _ => within(hir, ascii),
    }
}

/// The pattern without its captures.
pub(super) fn without_captures(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Capture(capture) => without_captures(&capture.sub),
        _ => within(hir, without_captures),
    }
}

/// The pattern without Unicode's word boundaries: it is found where the pattern is, and elsewhere.
pub(super) fn without_words(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Look(
            Look::WordUnicode
            | Look::WordUnicodeNegate
            | Look::WordStartUnicode
            | Look::WordEndUnicode
            | Look::WordStartHalfUnicode
            | Look::WordEndHalfUnicode,
        ) => Hir::empty(),
        _ => within(hir, without_words),
    }
}

/// Applies `change` to what an expression is made of.
fn within(hir: &Hir, change: fn(&Hir) -> Hir) -> Hir {
    match hir.kind() {
        HirKind::Repetition(repetition) => {
            let sub = change(&repetition.sub);
            match (is_fail(&sub), repetition.min) {
                (true, 0) => Hir::empty(),
                (true, _) => Hir::fail(),
                _ => Hir::repetition(Repetition { sub: Box::new(sub), ..repetition.clone() }),
            }
        }
        HirKind::Capture(capture) => {
            let sub = change(&capture.sub);
            match is_fail(&sub) {
                true => Hir::fail(),
                false => Hir::capture(Capture { sub: Box::new(sub), ..capture.clone() }),
            }
        }
        HirKind::Concat(parts) => {
            let parts: Vec<Hir> = parts.iter().map(change).collect();
            if parts.iter().any(is_fail) { Hir::fail() } else { Hir::concat(parts) }
        }
        HirKind::Alternation(parts) => {
            let parts = parts.iter().map(change).filter(|part| !is_fail(part));
            Hir::alternation(parts.collect())
        }
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => hir.clone(),
    }
}

/// True for an expression that matches nothing.
pub(super) fn is_fail(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Class(class) if class.is_empty())
}

/// A class's ASCII.
pub(super) fn ascii_class(class: &Class) -> ClassBytes {
    match class {
        Class::Unicode(class) => {
            let mut class = class.clone();
            class.intersect(&ClassUnicode::new([ClassUnicodeRange::new('\0', '\x7f')]));
            let bytes = |c: char| u8::try_from(c).unwrap_or(0x7f);
            let ranges = class
                .iter()
                .map(|range| ClassBytesRange::new(bytes(range.start()), bytes(range.end())));
            ClassBytes::new(ranges)
        }
        Class::Bytes(class) => {
            let mut class = class.clone();
            class.intersect(&ClassBytes::new([ClassBytesRange::new(0, 0x7f)]));
            class
        }
    }
}

/// Leaves out what a search needs not find at both ends, when only a yes or no is asked:
/// `.*foo\w+` is found where `foo\w` is. To be given a pattern without captures.
pub(super) fn trimmed(hir: Hir) -> Hir {
    let mut parts = match hir.into_kind() {
        HirKind::Concat(parts) => parts,
        kind => vec![again(kind)],
    };
    loop {
        let Some(last) = parts.pop() else { return Hir::empty() };
        if !is_optional(&last) {
            parts.push(fewest(last));
            break;
        }
    }
    let skipped = parts.iter().take_while(|part| is_optional(part)).count();
    parts.drain(..skipped);
    if let Some(first) = parts.first_mut() {
        *first = fewest(std::mem::replace(first, Hir::empty()));
    }
    Hir::concat(parts)
}

/// An expression that may be nothing, wherever it stands.
fn is_optional(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Repetition(repetition) if repetition.min == 0) || is_always(hir)
}

/// Of a repetition at a pattern's end, as few as there may be.
fn fewest(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Repetition(repetition) => {
            Hir::repetition(Repetition { max: Some(repetition.min), ..repetition })
        }
        kind => again(kind),
    }
}

fn again(kind: HirKind) -> Hir {
    match kind {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(class) => Hir::class(class),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Repetition(repetition) => Hir::repetition(repetition),
        HirKind::Capture(capture) => Hir::capture(capture),
        HirKind::Concat(parts) => Hir::concat(parts),
        HirKind::Alternation(parts) => Hir::alternation(parts),
    }
}

/// The literal that a trimmed pattern is, if it is no more.
pub(super) fn plain(hir: &Hir) -> Option<Plain> {
    let literal = |hir: &Hir| match hir.kind() {
        HirKind::Literal(literal) => Some(literal.0.clone()),
        _ => None,
    };
    let is_look = |hir: &Hir, look: Look| matches!(hir.kind(), HirKind::Look(is) if *is == look);
    let HirKind::Concat(parts) = hir.kind() else { return literal(hir).map(Plain::Contains) };
    match &parts[..] {
        [start, text] if is_look(start, Look::Start) => literal(text).map(Plain::Starts),
        [text, end] if is_look(end, Look::End) => literal(text).map(Plain::Ends),
        [start, text, end] if is_look(start, Look::Start) && is_look(end, Look::End) => {
            literal(text).map(Plain::Equals)
        }
        _ => None,
    }
}

/// The text that a trimmed pattern looks for at the field's start, or anywhere, if it is no more.
pub(super) fn literal(hir: &Hir) -> Option<Box<[u8]>> {
    match plain(hir)? {
        Plain::Starts(text) | Plain::Contains(text) => Some(text),
        Plain::Ends(_) | Plain::Equals(_) => None,
    }
}

/// Literals one of which each match starts with; `None` where there are none, or too short ones.
pub(super) fn prefixes(hir: &Hir) -> Option<Seq> {
    let mut extractor = Extractor::new();
    let seq = extractor.kind(ExtractKind::Prefix).extract(hir);
    (seq.min_literal_len()? >= LITERAL_BYTES_MIN).then_some(seq)
}
