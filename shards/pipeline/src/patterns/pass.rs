//! The patterns that are searched together: their automatons, and which of them a field needs.

use regex_syntax::hir::Hir;

use super::alphabet::Alphabet;
use super::automaton::{Automaton, AutomatonScratch, LITERALS_MIN, Text, TooLarge};
use super::shape;
use crate::bits::Bits;

/// Nanoseconds that translating a byte takes.
const TRANSLATE_NS: usize = 3;

/// The patterns that are searched together.
#[derive(Debug)]
pub(super) struct Pass {
    /// For fields that are ASCII.
    ascii: Vec<Group>,
    /// For all others, translated.
    letters: Vec<Group>,
    /// For those, as they are: the patterns that cannot be translated.
    bytes: Vec<Group>,
    alphabet: Alphabet,
}

/// Patterns, each with the number to insert where it matches.
type Parts = Vec<(usize, Hir)>;

/// Patterns that share an automaton.
#[derive(Debug)]
struct Group {
    automaton: Automaton,
    /// By the automaton's numbers, what to insert where they match.
    rules: Vec<usize>,
}

/// What one shard needs to run the pass.
#[derive(Debug)]
pub(super) struct PassScratch {
    ascii: Vec<AutomatonScratch>,
    letters: Vec<AutomatonScratch>,
    bytes: Vec<AutomatonScratch>,
    /// Of a group's patterns, those that were found.
    found: Bits,
    translated: Vec<u8>,
}

impl Pass {
    /// Patterns without captures, each with the number to insert where it matches.
    pub(super) fn new(patterns: &[(usize, Hir)], cache_bytes: usize) -> Result<Pass, TooLarge> {
        let alphabet = Alphabet::new(patterns.iter().map(|(_, hir)| hir));
        let (mut ascii, mut letters, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        for (rule, hir) in patterns {
            let only_ascii = shape::ascii(hir);
            if !shape::is_fail(&only_ascii) {
                ascii.push((*rule, shape::trimmed(only_ascii)));
            }
            match alphabet.pattern(hir) {
                Some(hir) => letters.push((*rule, shape::trimmed(hir))),
                None => bytes.push((*rule, shape::trimmed(hir.clone()))),
            }
        }
        Ok(Pass {
            ascii: groups(ascii, Text::Ascii, cache_bytes)?,
            letters: groups(letters, Text::Letters(&alphabet), cache_bytes)?,
            bytes: groups(bytes, Text::Bytes, cache_bytes)?,
            alphabet,
        })
    }

    /// Nanoseconds for each byte of a field, at most, about.
    pub(super) fn cost(&self) -> usize {
        let sum = |groups: &[Group]| groups.iter().map(|group| group.automaton.cost()).sum();
        let ascii: usize = sum(&self.ascii);
        ascii.max(TRANSLATE_NS + sum(&self.letters) + sum(&self.bytes))
    }

    /// Automatons whose states are built as fields lead to them.
    pub(super) fn lazy_count(&self) -> usize {
        self.groups().filter(|group| group.automaton.is_lazy()).count()
    }

    fn groups(&self) -> impl Iterator<Item = &Group> {
        [&self.ascii, &self.letters, &self.bytes].into_iter().flatten()
    }

    pub(super) fn scratch(&self) -> PassScratch {
        let scratches =
            |groups: &[Group]| groups.iter().map(|group| group.automaton.scratch()).collect();
        let parts_max = self.groups().map(|group| group.rules.len()).max();
        PassScratch {
            ascii: scratches(&self.ascii),
            letters: scratches(&self.letters),
            bytes: scratches(&self.bytes),
            found: Bits::new(parts_max.unwrap_or(0)),
            translated: Vec::new(),
        }
    }

    /// Calls `matched` with the numbers of all patterns that match.
    pub(super) fn search(
        &self,
        scratch: &mut PassScratch,
        field: &[u8],
        mut matched: impl FnMut(usize),
    ) {
        let PassScratch { ascii, letters, bytes, found, translated } = scratch;
        if field.is_ascii() {
            search(&self.ascii, ascii, found, field, &mut matched);
            return;
        }
        if !self.letters.is_empty() {
            self.alphabet.translate(field, translated);
            search(&self.letters, letters, found, translated, &mut matched);
        }
        search(&self.bytes, bytes, found, field, &mut matched);
    }
}

fn search(
    groups: &[Group],
    scratches: &mut [AutomatonScratch],
    found: &mut Bits,
    field: &[u8],
    matched: &mut impl FnMut(usize),
) {
    for (group, scratch) in groups.iter().zip(scratches) {
        if group.automaton.search(scratch, field, group.rules.len(), found) {
            let mut next = 0;
            while let Some(part) = found.next_from(next).filter(|part| *part < group.rules.len()) {
                matched(group.rules[part]);
                next = part + 1;
            }
        }
    }
}

/// Shares patterns out: literals where they are many; of the others, those that start with `^`,
/// those that a filter finds, and the rest.
fn groups(parts: Parts, text: Text<'_>, cache_bytes: usize) -> Result<Vec<Group>, TooLarge> {
    let is_anchored = |(_, hir): &(usize, Hir)| shape::is_anchored(hir);
    let is_filtered = |(_, hir): &(usize, Hir)| shape::prefixes(hir).is_some();
    let (anchored, floating): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_anchored);
    let (prefixes, anchored) = literals(anchored);
    let (literals, floating) = literals(floating);
    let (filtered, others) = floating.into_iter().partition(is_filtered);
    let kinds =
        [(prefixes, true), (anchored, true), (literals, false), (filtered, false), (others, false)];
    let mut groups = Vec::new();
    for (parts, is_anchored) in kinds {
        if !parts.is_empty() {
            let (rules, hirs): (Vec<usize>, Vec<Hir>) = parts.into_iter().unzip();
            let automaton = Automaton::new(&hirs, text, is_anchored, cache_bytes)?;
            groups.push(Group { automaton, rules });
        }
    }
    Ok(groups)
}

/// Patterns that are literals, if they are many, and all others.
fn literals(parts: Parts) -> (Parts, Parts) {
    let is_literal = |(_, hir): &(usize, Hir)| shape::literal(hir).is_some();
    match parts.iter().filter(|part| is_literal(part)).count() {
        0..LITERALS_MIN => (Vec::new(), parts),
        _ => parts.into_iter().partition(is_literal),
    }
}
