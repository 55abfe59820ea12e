//! All regexes on one field: which of them match, in one pass over its bytes.
//!
//! ```text
//!  few, or plain literals:  tried one by one, when their turn comes          (alone)
//!  all others:              one automaton for those that start with `^`,     (the pass)
//!                           one for those that a filter of literals finds,
//!                           one for the rest
//! ```
//!
//! Each automaton exists twice. A field that is ASCII, as most are, is searched by one whose
//! classes and word boundaries are ASCII's: the same answers, from much smaller tables. For all
//! other fields, invalid UTF-8 included, characters are first translated to bytes, and there is one
//! for those. No DFA can have Unicode's word boundaries: there they are left out, and what is found
//! is looked at again.
//!
//! The answers are those of the regex crate, pattern by pattern, on bytes.

mod alone;
mod alphabet;
mod automaton;
mod cost;
mod pass;
mod pattern;
mod shape;

use regex_automata::Input;
use regex_automata::meta::Cache;
use regex_automata::util::primitives::NonMaxUsize;

use crate::bits::Bits;
use alone::Literal;
use pass::{Pass, PassScratch};

pub use pattern::{PATTERN_BYTES_MAX, PATTERN_NEST_MAX, PATTERN_TEXT_BYTES_MAX, Pattern};

/// Bytes of cache for the states of one automaton on one shard.
pub const AUTOMATON_CACHE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Single patterns with caches of their own, on one shard.
const LIVE_CACHES_MAX: usize = 64;

/// All regexes on one field, compiled; shared by the shards.
#[derive(Debug)]
pub struct PatternSet {
    members: Vec<Member>,
    /// Members that are tried one by one, in order.
    alone: Vec<usize>,
    pass: Option<Pass>,
    slots_max: usize,
}

#[derive(Debug)]
struct Member {
    rule: usize,
    pattern: Pattern,
    matcher: Matcher,
}

/// How one member is tried alone.
#[derive(Debug)]
enum Matcher {
    Always,
    Literal(Literal),
    Regex,
}

/// What one shard needs to search: caches and buffers, used again for each field.
#[derive(Debug)]
pub struct PatternScratch {
    pass: Option<PassScratch>,
    live: LiveCaches,
    slots: Vec<Option<NonMaxUsize>>,
}

impl PatternSet {
    /// Puts patterns together, each with its rule's number; numbers ascend.
    ///
    /// Errors: one sentence; together they are too large.
    pub fn new(members: Vec<(usize, Pattern)>) -> Result<PatternSet, String> {
        Self::with_cache_bytes(members, AUTOMATON_CACHE_BYTES_MAX)
    }

    /// As `new`, with so many bytes for each automaton's states, or as few as it can run with.
    ///
    /// Errors: one sentence; together they are too large.
    pub fn with_cache_bytes(
        members: Vec<(usize, Pattern)>,
        cache_bytes: usize,
    ) -> Result<PatternSet, String> {
        debug_assert!(members.is_sorted_by(|(rule, _), (next, _)| rule < next));
        let slots = members.iter().map(|(_, pattern)| pattern.regex.group_info().slot_len());
        let slots_max = slots.max().unwrap_or(0);
        let members: Vec<Member> = members
            .into_iter()
            .map(|(rule, pattern)| Member { rule, matcher: Matcher::new(&pattern), pattern })
            .collect();
        let chosen = cost::choose(&members);
        let pass = match &chosen.pass[..] {
            [] => None,
            together => Some(Pass::new(&members, together, cache_bytes)?),
        };
        Ok(PatternSet { members, alone: chosen.alone, pass, slots_max })
    }

    /// What one shard needs.
    pub fn scratch(&self) -> PatternScratch {
        PatternScratch {
            pass: self.pass.as_ref().map(Pass::scratch),
            live: LiveCaches::new(self.members.len()),
            slots: vec![None; self.slots_max],
        }
    }

    /// Rule and member of each pattern that is tried alone, in order, when its turn comes.
    pub fn alone(&self) -> impl Iterator<Item = (usize, usize)> {
        self.alone.iter().map(|member| (self.members[*member].rule, *member))
    }

    /// The first rule that is in the pass; `None` if no rule is.
    pub fn pass(&self) -> Option<usize> {
        self.pass.as_ref().map(|pass| self.members[pass.first()].rule)
    }

    /// Patterns in the set.
    pub fn pattern_count(&self) -> usize {
        self.members.len()
    }

    /// Patterns that are searched together.
    pub fn pass_count(&self) -> usize {
        self.members.len() - self.alone.len()
    }

    /// Bytes that one shard's caches may grow to. A single pattern's search has one for each
    /// direction.
    pub fn scratch_bytes_max(&self) -> usize {
        let automatons = self.pass.as_ref().map_or(0, Pass::automaton_count);
        let live = self.members.len().min(LIVE_CACHES_MAX);
        automatons * AUTOMATON_CACHE_BYTES_MAX + live * 2 * pattern::PATTERN_CACHE_BYTES_MAX
    }

    /// Runs the pass: inserts the rules' numbers of all patterns in it that match.
    ///
    /// Cost:   a step per byte and automaton; none where a filter finds nothing. A field that asks
    ///         for too many new states is tried pattern by pattern.
    pub fn search(&self, scratch: &mut PatternScratch, field: &[u8], matched: &mut Bits) {
        let PatternScratch { pass: Some(pass_scratch), live, .. } = scratch else { return };
        if let Some(pass) = &self.pass {
            pass.search(pass_scratch, field, matched, |member| {
                self.members[member].is_match(member, live, field)
            });
        }
    }

    /// Tries one member, whether it is in the pass or not.
    ///
    /// Cost:   one search; a cache is made if it has none and needs one.
    pub fn is_match(&self, member: usize, scratch: &mut PatternScratch, field: &[u8]) -> bool {
        self.members[member].is_match(member, &mut scratch.live, field)
    }

    /// Where a member's groups matched, by number; empty if it does not match.
    pub fn captures(
        &self,
        member: usize,
        scratch: &mut PatternScratch,
        field: &[u8],
        spans: &mut Vec<Option<(usize, usize)>>,
    ) {
        let regex = &self.members[member].pattern.regex;
        let slots = &mut scratch.slots[..regex.group_info().slot_len()];
        let cache = scratch.live.cache(member, &self.members[member].pattern);
        spans.clear();
        if regex.search_slots_with(cache, &Input::new(field), slots).is_some() {
            let pairs = slots.chunks_exact(2);
            spans.extend(pairs.map(|pair| Some((pair[0]?.get(), pair[1]?.get()))));
        }
    }
}

impl Matcher {
    fn new(pattern: &Pattern) -> Matcher {
        if pattern.is_always() {
            return Matcher::Always;
        }
        let hir = shape::trimmed(shape::without_captures(&pattern.hir));
        shape::plain(&hir).map_or(Matcher::Regex, |plain| Matcher::Literal(Literal::new(plain)))
    }
}

impl Member {
    fn is_match(&self, member: usize, live: &mut LiveCaches, field: &[u8]) -> bool {
        match &self.matcher {
            Matcher::Always => true,
            Matcher::Literal(literal) => literal.is_match(field),
            Matcher::Regex => {
                let cache = live.cache(member, &self.pattern);
                let input = Input::new(field).earliest(true);
                self.pattern.regex.search_half_with(cache, &input).is_some()
            }
        }
    }
}

/// Caches of single patterns, made when they are first used: the last used ones live.
#[derive(Debug)]
struct LiveCaches {
    /// Where each member's cache is.
    places: Vec<Option<usize>>,
    live: Vec<LiveCache>,
    now: u64,
}

#[derive(Debug)]
struct LiveCache {
    member: usize,
    used: u64,
    cache: Cache,
}

impl LiveCaches {
    fn new(member_count: usize) -> LiveCaches {
        LiveCaches { places: vec![None; member_count], live: Vec::new(), now: 0 }
    }

    fn cache(&mut self, member: usize, pattern: &Pattern) -> &mut Cache {
        let place = self.places[member].unwrap_or_else(|| self.make(member, pattern));
        self.now += 1;
        let live = &mut self.live[place];
        live.used = self.now;
        &mut live.cache
    }

    #[cold]
    fn make(&mut self, member: usize, pattern: &Pattern) -> usize {
        let place = if self.live.len() < LIVE_CACHES_MAX {
            self.live.push(LiveCache { member, used: 0, cache: pattern.regex.create_cache() });
            self.live.len() - 1
        } else {
            let oldest = self.live.iter().enumerate().min_by_key(|(_, live)| live.used);
            let place = oldest.map_or(0, |(place, _)| place);
            let live = &mut self.live[place];
            self.places[live.member] = None;
            live.member = member;
            live.cache.reset(&pattern.regex);
            place
        };
        self.places[member] = Some(place);
        place
    }
}
