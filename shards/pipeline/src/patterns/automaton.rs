//! Patterns that are searched together, in the cheapest way whose cost no field can drive up.
//!
//! ```text
//!  field:  .......user=bob GET /x code=200......
//!          |      |                            |
//!          |      the automaton starts here    and ends here: one step per byte
//!          the filter looks for what each match starts with, many bytes at a time
//! ```
//!
//! Where all states of the automaton can be built at the start, they are. Where there may be too
//! many, they are built as fields lead to them, within a budget, and fields that ask for more are
//! searched by positions. Those are also asked where the automaton finds more than the patterns do:
//! it cannot have Unicode's word boundaries.

use std::fmt;

use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::look::LookSet;
use regex_automata::util::prefilter::Prefilter;
use regex_automata::{Anchored, MatchKind, Span};
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::Seq;

use super::alphabet::Alphabet;
use super::dense::{Dense, DenseScratch};
use super::graph::Graph;
use super::lazy::{EARNED_NS, Lazy, LazyScratch};
use super::literals::Literals;
use super::looks::Looks;
use super::positions::{Positions, PositionsScratch};
use super::shape;
use crate::bits::Bits;

/// Bytes that the patterns of one automaton compile to, at most.
const NFA_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Literals that are looked for as such, rather than as patterns.
pub(super) const LITERALS_MIN: usize = 32;

/// What a step of an automaton costs where its states are spread over the caches.
const STEP_NS: usize = 4;

/// What fields the patterns were made for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Text<'a> {
    Ascii,
    /// Translated.
    Letters(&'a Alphabet),
    /// Any, as it is.
    Bytes,
}

/// Patterns of one field that are searched together.
pub(super) struct Automaton {
    states: States,
    /// Finds where each match starts.
    filter: Option<Prefilter>,
    /// Those that the states find, and that are not matches for that alone.
    doubtful: Bits,
    positions: Option<Positions>,
    /// The patterns that are searched by positions: all, or the doubtful ones where all else is sure.
    by_positions: Vec<usize>,
}

enum States {
    Literals(Literals),
    Dense(Dense),
    Lazy(Lazy),
    /// None can be built.
    None,
}

/// What one shard needs to run an automaton.
#[derive(Debug)]
pub(super) struct AutomatonScratch {
    states: StatesScratch,
    positions: Option<PositionsScratch>,
    /// Of `by_positions`, those that were found.
    found: Bits,
}

#[derive(Debug)]
enum StatesScratch {
    Dense(DenseScratch),
    Lazy(Box<LazyScratch>),
    None,
}

/// They are too large to be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Automaton {
    /// Compiles patterns, numbered as they stand; `cache_bytes` for the states of each shard.
    pub(super) fn new(
        hirs: &[Hir],
        text: Text<'_>,
        is_anchored: bool,
        cache_bytes: usize,
    ) -> Result<Automaton, TooLarge> {
        if let Some(literals) = literals(hirs, is_anchored) {
            return Ok(Automaton {
                states: States::Literals(literals),
                filter: None,
                doubtful: Bits::default(),
                positions: None,
                by_positions: Vec::new(),
            });
        }
        let anchored = if is_anchored { Anchored::Yes } else { Anchored::No };
        let bare: Vec<Hir> = hirs.iter().map(shape::without_words).collect();
        let nfa = nfa(&bare, WhichCaptures::None).ok_or(TooLarge)?;
        let states = States::new(&nfa, anchored, cache_bytes);
        let mut doubtful = Bits::new(hirs.len());
        let mut by_positions = Vec::new();
        for (part, hir) in hirs.iter().enumerate() {
            let is_doubtful = shape::asks_for_words(hir);
            if is_doubtful {
                doubtful.insert(part);
            }
            if is_doubtful || !matches!(states, States::Dense(_)) {
                by_positions.push(part);
            }
        }
        let positions = match by_positions.len() {
            0 => None,
            _ => {
                let hirs: Vec<Hir> = by_positions.iter().map(|part| hirs[*part].clone()).collect();
                let nfa = self::nfa(&hirs, WhichCaptures::None).ok_or(TooLarge)?;
                let graph = Graph::new(&nfa).ok_or(TooLarge)?;
                let positions = Positions::new(&graph, looks(nfa.look_set_any(), text));
                Some(if is_anchored { positions.anchored() } else { positions })
            }
        };
        let filter = if is_anchored { None } else { filter(hirs) };
        Ok(Automaton { states, filter, doubtful, positions, by_positions })
    }

    /// Nanoseconds for each byte of the field, at most, about.
    pub(super) fn cost(&self) -> usize {
        let states = match &self.states {
            States::Literals(_) | States::Dense(_) => STEP_NS,
            States::Lazy(_) => STEP_NS + EARNED_NS,
            States::None => 0,
        };
        states + self.positions.as_ref().map_or(0, Positions::cost)
    }

    /// True if its states are built as fields lead to them.
    pub(super) fn is_lazy(&self) -> bool {
        matches!(self.states, States::Lazy(_))
    }

    /// What one shard needs.
    pub(super) fn scratch(&self) -> AutomatonScratch {
        AutomatonScratch {
            states: match &self.states {
                States::Dense(dense) => StatesScratch::Dense(dense.scratch()),
                States::Lazy(lazy) => StatesScratch::Lazy(Box::new(lazy.scratch())),
                States::Literals(_) | States::None => StatesScratch::None,
            },
            positions: self.positions.as_ref().map(Positions::scratch),
            found: Bits::new(self.by_positions.len()),
        }
    }

    /// Puts the patterns that match into `found`, which has room for `part_count`; true if there
    /// are any. What `found` holds otherwise means nothing.
    ///
    /// Cost:   one step per byte, from the first place that the filter finds; at most `cost`.
    pub(super) fn search(
        &self,
        scratch: &mut AutomatonScratch,
        field: &[u8],
        part_count: usize,
        found: &mut Bits,
    ) -> bool {
        let start = match &self.filter {
            None => 0,
            Some(filter) => match filter.find(field, Span::from(0..field.len())) {
                None => return false,
                Some(span) => span.start,
            },
        };
        let mut left = part_count;
        let mut report = |part: usize| {
            if left == part_count {
                found.clear();
            }
            left -= usize::from(found.insert(part));
            left > 0
        };
        let is_whole = match (&self.states, &mut scratch.states) {
            (States::Literals(literals), _) => {
                literals.search(field, start, &mut report);
                true
            }
            (States::Dense(dense), StatesScratch::Dense(scratch)) => {
                dense.search(scratch, field, start, &mut report);
                true
            }
            (States::Lazy(lazy), StatesScratch::Lazy(scratch)) => {
                lazy.search(scratch, field, start, &mut report).is_ok()
            }
            _ => false,
        };
        let is_any = left < part_count;
        if is_whole && !(is_any && self.doubtful.meets(found)) {
            return is_any;
        }
        if !(is_whole && is_any) {
            found.clear();
        }
        let AutomatonScratch { positions: positions_scratch, found: exact, .. } = scratch;
        if let (Some(positions), Some(scratch)) = (&self.positions, positions_scratch) {
            exact.clear();
            positions.search(scratch, field, start, exact);
            for (index, part) in self.by_positions.iter().enumerate() {
                match exact.contains(index) {
                    true => _ = found.insert(*part),
                    false => found.remove(*part),
                }
            }
        }
        true
    }
}

/// Without its states, which are many.
impl fmt::Debug for Automaton {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Automaton").field("filter", &self.filter).finish_non_exhaustive()
    }
}

impl States {
    fn new(nfa: &NFA, anchored: Anchored, cache_bytes: usize) -> States {
        if let Some(dense) = Dense::new(nfa, anchored, cache_bytes) {
            return States::Dense(dense);
        }
        Lazy::new(nfa, anchored, cache_bytes).map_or(States::None, States::Lazy)
    }
}

/// Searched for as literals, if they are many and nothing else.
fn literals(hirs: &[Hir], is_anchored: bool) -> Option<Literals> {
    if hirs.len() < LITERALS_MIN {
        return None;
    }
    let texts: Option<Vec<Box<[u8]>>> = hirs.iter().map(shape::literal).collect();
    Literals::new(&texts?, is_anchored)
}

/// Patterns as one NFA; `None` if they are too large.
pub(super) fn nfa(hirs: &[Hir], captures: WhichCaptures) -> Option<NFA> {
    let config = thompson::Config::new()
        .utf8(false)
        .which_captures(captures)
        .nfa_size_limit(Some(NFA_BYTES_MAX));
    thompson::Compiler::new().configure(config).build_many_from_hir(hirs).ok()
}

/// How the looks that patterns ask for are told in their text.
pub(super) fn looks(asked: LookSet, text: Text<'_>) -> Looks {
    match text {
        Text::Ascii => Looks::translated(asked, None),
        Text::Letters(alphabet) => Looks::translated(asked, Some(alphabet)),
        Text::Bytes => Looks::bytes(asked),
    }
}

/// What finds the places where matches may start, many bytes at a time; `None` where a pattern may
/// start with anything, or where there is too much to look for.
pub(super) fn filter(hirs: &[Hir]) -> Option<Prefilter> {
    let mut all = Seq::empty();
    for hir in hirs {
        all.union(&mut shape::prefixes(hir)?);
    }
    all.optimize_for_prefix_by_preference();
    let filter = Prefilter::new(MatchKind::LeftmostFirst, all.literals()?)?;
    filter.is_fast().then_some(filter)
}
