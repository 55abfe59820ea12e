//! The patterns that are searched together: their automatons, and what is done where one gives up.

use regex_syntax::hir::Hir;

use super::alphabet::{Alphabet, Translated};
use super::automaton::{AUTOMATON_BYTES_MAX, Automaton, AutomatonScratch, GaveUp};
use super::{Member, shape};
use crate::bits::Bits;

/// The patterns that are searched together.
#[derive(Debug)]
pub(super) struct Pass {
    /// The first member in it.
    first: usize,
    /// For fields that are ASCII.
    ascii: Vec<Group>,
    /// For all others, translated.
    unicode: Vec<Group>,
    alphabet: Alphabet,
    /// For fields that are not ASCII, those that cannot be translated.
    untranslated: Vec<Part>,
}

/// Patterns that share an automaton.
#[derive(Debug)]
struct Group {
    automaton: Automaton,
    /// By the automaton's numbers.
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    member: usize,
    rule: usize,
    /// What the automaton finds is a match; otherwise it may be one.
    is_exact: bool,
}

/// What one shard needs to run the pass.
#[derive(Debug)]
pub(super) struct PassScratch {
    ascii: Vec<AutomatonScratch>,
    unicode: Vec<AutomatonScratch>,
    /// Of a group's parts, those that were found.
    found: Bits,
    translated: Vec<u8>,
}

impl Pass {
    pub(super) fn new(
        members: &[Member],
        together: &[usize],
        cache_bytes: usize,
    ) -> Result<Pass, String> {
        let alphabet = Alphabet::new(together.iter().map(|member| &members[*member].pattern.hir));
        let (mut ascii, mut unicode, mut untranslated) = (Vec::new(), Vec::new(), Vec::new());
        for member in together {
            let Member { rule, pattern, .. } = &members[*member];
            let part = Part { member: *member, rule: *rule, is_exact: true };
            let hir = shape::ascii(&pattern.hir);
            if !shape::is_fail(&hir) {
                ascii.push((part, shape::trimmed(hir)));
            }
            match alphabet.pattern(&pattern.hir) {
                Some(Translated { hir, is_exact }) => {
                    unicode.push((Part { is_exact, ..part }, shape::trimmed(hir)));
                }
                None => untranslated.push(part),
            }
        }
        Ok(Pass {
            first: together[0],
            ascii: groups(ascii, cache_bytes)?,
            unicode: groups(unicode, cache_bytes)?,
            alphabet,
            untranslated,
        })
    }

    pub(super) fn first(&self) -> usize {
        self.first
    }

    pub(super) fn automaton_count(&self) -> usize {
        self.ascii.len() + self.unicode.len()
    }

    pub(super) fn scratch(&self) -> PassScratch {
        let scratches =
            |groups: &[Group]| groups.iter().map(|group| group.automaton.scratch()).collect();
        let both = self.ascii.iter().chain(&self.unicode);
        let parts_max = both.map(|group| group.parts.len()).max();
        PassScratch {
            ascii: scratches(&self.ascii),
            unicode: scratches(&self.unicode),
            found: Bits::new(parts_max.unwrap_or(0)),
            translated: Vec::new(),
        }
    }

    /// Inserts the rules of all patterns that match; `is_match` tries one member.
    pub(super) fn search(
        &self,
        scratch: &mut PassScratch,
        field: &[u8],
        matched: &mut Bits,
        mut is_match: impl FnMut(usize) -> bool,
    ) {
        let PassScratch { ascii, unicode, found, translated } = scratch;
        let (groups, scratches, field) = if field.is_ascii() {
            (&self.ascii, ascii, field)
        } else {
            self.alphabet.translate(field, translated);
            (&self.unicode, unicode, &translated[..])
        };
        for (group, scratch) in groups.iter().zip(scratches) {
            group.search(scratch, found, field, matched, &mut is_match);
        }
        if !field.is_ascii() {
            let matches = self.untranslated.iter().filter(|part| is_match(part.member));
            matches.for_each(|part| _ = matched.insert(part.rule));
        }
    }
}

impl Group {
    fn search(
        &self,
        scratch: &mut AutomatonScratch,
        found: &mut Bits,
        field: &[u8],
        matched: &mut Bits,
        is_match: &mut impl FnMut(usize) -> bool,
    ) {
        let mut left = self.parts.len();
        let result = self.automaton.search(scratch, field, |part| {
            if left == self.parts.len() {
                found.clear();
            }
            left -= usize::from(found.insert(part));
            left > 0
        });
        let is_any = left < self.parts.len();
        let gave_up = result == Err(GaveUp);
        if !is_any && !gave_up {
            return;
        }
        if !is_any {
            found.clear();
        }
        for (index, part) in self.parts.iter().enumerate() {
            let is_found = found.contains(index);
            let is_matched = match (is_found, part.is_exact) {
                (true, true) => true,
                (false, _) if !gave_up => false,
                _ => is_match(part.member),
            };
            if is_matched {
                matched.insert(part.rule);
            }
        }
    }
}

/// Shares patterns out: those that start with `^`, those that a filter finds, and the rest.
///
/// Errors: one sentence; they are too large.
fn groups(parts: Vec<(Part, Hir)>, cache_bytes: usize) -> Result<Vec<Group>, String> {
    let (anchored, floating): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|(_, hir)| shape::is_anchored(hir));
    let (filtered, others): (Vec<_>, Vec<_>) =
        floating.into_iter().partition(|(_, hir)| shape::prefixes(hir).is_some());
    let mut groups = Vec::new();
    groups.extend(group(anchored, true, cache_bytes)?);
    groups.extend(group(filtered, false, cache_bytes)?);
    groups.extend(group(others, false, cache_bytes)?);
    Ok(groups)
}

fn group(
    parts: Vec<(Part, Hir)>,
    anchored: bool,
    cache_bytes: usize,
) -> Result<Option<Group>, String> {
    if parts.is_empty() {
        return Ok(None);
    }
    let (parts, hirs): (Vec<Part>, Vec<Hir>) = parts.into_iter().unzip();
    let automaton = Automaton::new(&hirs, anchored, cache_bytes).ok_or_else(|| {
        format!(
            "the regexes on one field compile to more than {} MiB together; make them simpler, \
             bound their repetitions lower, or say (?-u) where no Unicode is meant",
            AUTOMATON_BYTES_MAX / (1024 * 1024)
        )
    })?;
    Ok(Some(Group { automaton, parts }))
}
