//! All regexes on one field: which of them match, in one pass over its bytes.
//!
//! ```text
//!  few, or plain literals:  tried one by one, when their turn comes          (alone)
//!  all others:              one automaton for those that start with `^`,     (the pass)
//!                           one for those that a filter of literals finds,
//!                           one for the rest
//!  the winner's groups:     asked for afterwards                             (groups)
//! ```
//!
//! Whoever writes the messages cannot make a search long: each of these has a cost per byte that no
//! input exceeds, and sets of patterns whose sum is above `COST_NS_MAX` are refused.
//!
//! Each automaton exists twice. A field that is ASCII, as most are, is searched by one whose
//! classes and word boundaries are ASCII's: the same answers, from much smaller tables. For all
//! other fields, invalid UTF-8 included, characters are first translated to bytes, and there is one
//! for those.
//!
//! The answers are those of the regex crate, pattern by pattern, on bytes.

mod alone;
mod alphabet;
mod automaton;
mod cost;
mod dense;
mod graph;
mod groups;
mod lazy;
mod literals;
mod looks;
mod one_pass;
mod pass;
mod pattern;
mod positions;
mod shape;
mod words;

use regex_syntax::hir::Hir;

use crate::bits::Bits;
use alone::Literal;
use automaton::TooLarge;
use groups::{Groups, GroupsScratch};
use pass::{Pass, PassScratch};
use shape::Plain;

pub use pattern::{PATTERN_BYTES_MAX, PATTERN_NEST_MAX, PATTERN_TEXT_BYTES_MAX, Pattern};

/// Bytes of cache for the states of one automaton on one shard.
pub const AUTOMATON_CACHE_BYTES_MAX: usize = 1024 * 1024;

/// Nanoseconds that the patterns on one field may take for each of its bytes, whatever they are.
pub const COST_NS_MAX: usize = 48;

/// Nanoseconds that finding the groups of one pattern may take for each byte, once it has won.
pub const GROUPS_COST_NS_MAX: usize = 100;

/// All regexes on one field, compiled; shared by the shards.
#[derive(Debug)]
pub struct PatternSet {
    members: Vec<Member>,
    /// Members that are tried one by one, in order.
    alone: Vec<usize>,
    /// Finds members.
    pass: Option<Pass>,
    first_in_pass: usize,
}

#[derive(Debug)]
struct Member {
    rule: usize,
    matcher: Matcher,
    groups: Option<Groups>,
}

/// How one member is tried.
#[derive(Debug)]
enum Matcher {
    Always,
    Literal(Literal),
    Alone(Box<Pass>),
    InPass,
}

/// What one shard needs to search: caches and buffers, used again for each field.
#[derive(Debug)]
pub struct PatternScratch {
    pass: Option<PassScratch>,
    /// By member, of those that are tried alone.
    alone: Vec<Option<PassScratch>>,
    groups: GroupsScratch,
}

impl PatternSet {
    /// Puts patterns together, each with its rule's number; numbers ascend.
    ///
    /// Errors: one sentence; together they are too large, or could be made to search too long.
    pub fn new(members: Vec<(usize, Pattern)>) -> Result<PatternSet, String> {
        let set = Self::with_cache_bytes(members, AUTOMATON_CACHE_BYTES_MAX)?;
        let (cost, groups_cost) = (set.cost(), set.groups_cost());
        if cost > COST_NS_MAX {
            return Err(format!(
                "a message could make the regexes on one field search for {cost} ns per byte, and \
                 at most {COST_NS_MAX} are allowed; use fewer .* and fewer repetitions behind a \
                 pattern's first word, or fewer patterns"
            ));
        }
        if groups_cost > GROUPS_COST_NS_MAX {
            return Err(format!(
                "a message could make finding a regex's groups take {groups_cost} ns per byte, and \
                 at most {GROUPS_COST_NS_MAX} are allowed; make it shorter, or start it with ^ and \
                 leave no choice at any byte"
            ));
        }
        Ok(set)
    }

    /// A set that may search for any time, with so many bytes for each automaton's states, or as few
    /// as it can run with.
    ///
    /// Errors: one sentence; together they are too large.
    pub fn with_cache_bytes(
        members: Vec<(usize, Pattern)>,
        cache_bytes: usize,
    ) -> Result<PatternSet, String> {
        debug_assert!(members.is_sorted_by(|(rule, _), (next, _)| rule < next));
        let hirs: Vec<_> =
            members.iter().map(|(_, pattern)| shape::without_captures(&pattern.hir)).collect();
        Self::build(&members, hirs, cache_bytes).map_err(|TooLarge| {
            "the regexes on one field are too large together; make them simpler, bound their \
             repetitions lower, or say (?-u) where no Unicode is meant"
                .to_owned()
        })
    }

    fn build(
        members: &[(usize, Pattern)],
        hirs: Vec<Hir>,
        cache_bytes: usize,
    ) -> Result<PatternSet, TooLarge> {
        let plain: Vec<Option<Plain>> =
            hirs.iter().map(|hir| shape::plain(&shape::trimmed(hir.clone()))).collect();
        let chosen = cost::choose(&hirs, &plain);
        let together: Vec<_> =
            chosen.pass.iter().map(|member| (*member, hirs[*member].clone())).collect();
        let pass = match &together[..] {
            [] => None,
            together => Some(Pass::new(together, cache_bytes)?),
        };
        let mut built = Vec::with_capacity(members.len());
        let shapes = hirs.into_iter().zip(plain).enumerate();
        for ((rule, pattern), (member, (hir, plain))) in members.iter().zip(shapes) {
            let matcher = match plain {
                _ if pattern.is_always() => Matcher::Always,
                Some(plain) => Matcher::Literal(Literal::new(plain)),
                None if chosen.pass.binary_search(&member).is_ok() => Matcher::InPass,
                None => Matcher::Alone(Box::new(Pass::new(&[(member, hir)], cache_bytes)?)),
            };
            let groups = || Groups::new(&pattern.hir, pattern.groups().len());
            let groups = pattern.wants_groups.then(groups).transpose()?;
            built.push(Member { rule: *rule, matcher, groups });
        }
        let first_in_pass = chosen.pass.first().copied().unwrap_or(0);
        Ok(PatternSet { members: built, alone: chosen.alone, pass, first_in_pass })
    }

    /// Nanoseconds that all searches may take for each byte of a field, about.
    pub fn cost(&self) -> usize {
        let alone = self.alone.iter().map(|member| match &self.members[*member].matcher {
            Matcher::Alone(pass) => pass.cost(),
            Matcher::Literal(_) => alone::SEARCH_NS,
            Matcher::Always | Matcher::InPass => 0,
        });
        self.pass.as_ref().map_or(0, Pass::cost) + alone.sum::<usize>()
    }

    /// Nanoseconds that finding the groups of one pattern may take for each byte, about.
    pub fn groups_cost(&self) -> usize {
        let groups = self.members.iter().filter_map(|member| member.groups.as_ref());
        groups.map(Groups::cost).max().unwrap_or(0)
    }

    /// What one shard needs.
    pub fn scratch(&self) -> PatternScratch {
        let alone = self.members.iter().map(|member| match &member.matcher {
            Matcher::Alone(pass) => Some(pass.scratch()),
            Matcher::Always | Matcher::Literal(_) | Matcher::InPass => None,
        });
        PatternScratch {
            pass: self.pass.as_ref().map(Pass::scratch),
            alone: alone.collect(),
            groups: GroupsScratch::default(),
        }
    }

    /// Rule and member of each pattern that is tried alone, in order, when its turn comes.
    pub fn alone(&self) -> impl Iterator<Item = (usize, usize)> {
        self.alone.iter().map(|member| (self.members[*member].rule, *member))
    }

    /// The first rule that is in the pass; `None` if no rule is.
    pub fn pass(&self) -> Option<usize> {
        self.pass.as_ref().map(|_| self.members[self.first_in_pass].rule)
    }

    /// Patterns in the set.
    pub fn pattern_count(&self) -> usize {
        self.members.len()
    }

    /// Patterns that are searched together.
    pub fn pass_count(&self) -> usize {
        self.members.len() - self.alone.len()
    }

    /// Bytes that one shard's caches may grow to.
    pub fn scratch_bytes_max(&self) -> usize {
        let alone = self.members.iter().map(|member| match &member.matcher {
            Matcher::Alone(pass) => pass.lazy_count(),
            Matcher::Always | Matcher::Literal(_) | Matcher::InPass => 0,
        });
        let lazy = self.pass.as_ref().map_or(0, Pass::lazy_count) + alone.sum::<usize>();
        lazy * AUTOMATON_CACHE_BYTES_MAX
    }

    /// Runs the pass: inserts the rules' numbers of all patterns in it that match.
    ///
    /// Cost:   a step per byte and automaton; none where a filter finds nothing.
    pub fn search(&self, scratch: &mut PatternScratch, field: &[u8], matched: &mut Bits) {
        if let (Some(pass), Some(scratch)) = (&self.pass, &mut scratch.pass) {
            pass.search(scratch, field, |member| _ = matched.insert(self.members[member].rule));
        }
    }

    /// Tries one member, whether it is in the pass or not.
    ///
    /// Cost:   one search; that of the pass, if it is in it.
    pub fn is_match(&self, member: usize, scratch: &mut PatternScratch, field: &[u8]) -> bool {
        let PatternScratch { pass, alone, .. } = scratch;
        let mut is_found = false;
        let mut report = |found: usize| is_found |= found == member;
        match &self.members[member].matcher {
            Matcher::Always => return true,
            Matcher::Literal(literal) => return literal.is_match(field),
            Matcher::Alone(alone_pass) => {
                if let Some(scratch) = &mut alone[member] {
                    alone_pass.search(scratch, field, &mut report);
                }
            }
            Matcher::InPass => {
                if let (Some(in_pass), Some(scratch)) = (&self.pass, pass) {
                    in_pass.search(scratch, field, &mut report);
                }
            }
        }
        is_found
    }

    /// Where a member's groups matched, by number; empty if it does not match, or if its groups are
    /// not wanted.
    pub fn captures(
        &self,
        member: usize,
        scratch: &mut PatternScratch,
        field: &[u8],
        spans: &mut Vec<Option<(usize, usize)>>,
    ) {
        spans.clear();
        if let Some(groups) = &self.members[member].groups {
            groups.find(&mut scratch.groups, field, spans);
        }
    }
}
