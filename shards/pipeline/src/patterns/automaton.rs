//! Many patterns searched in one pass: a lazy DFA that reports every pattern that matches.
//!
//! ```text
//!  field:  .......user=bob GET /x code=200......
//!          |      |                            |
//!          |      the automaton starts here    and ends here: one step per byte
//!          the filter looks for what each match starts with, many bytes at a time
//! ```
//!
//! The automaton's states are built as fields lead to them, and kept. Who sends the fields thus says
//! which states are built, and building one costs some thousand steps. So building is paid from a
//! credit that grows with the bytes searched: a field that asks for more is given up, and the caller
//! tries its patterns one by one. What was built stays, and serves the next field.

use std::fmt;
use std::hash::{Hash, Hasher};

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::prefilter::Prefilter;
use regex_automata::{Anchored, Input, MatchKind, Span};
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::Seq;

use super::shape;

/// Bytes that the patterns of one automaton compile to, at most.
pub(super) const AUTOMATON_BYTES_MAX: usize = 16 * 1024 * 1024;

/// States that may be built before the credit comes from bytes alone.
const CREDIT_STATES_MAX: u32 = 16 * 1024;

/// States that one field may add.
const FIELD_STATES_MAX: u32 = 1024;

/// Bytes searched that earn one state.
const STATE_BYTES: usize = 64;

/// After giving up, a search is begun with so much credit again.
const CREDIT_STATES_MIN: u32 = 64;

/// States, or steps, that are known to cost nothing more: a power of two.
const KNOWN_COUNT: usize = 256;

/// Stands for the field's end, as bytes stand for themselves.
const FIELD_END: u16 = 256;

/// Patterns of one field that are searched together.
pub(super) struct Automaton {
    dfa: DFA,
    anchored: Anchored,
    /// Finds where each match starts.
    filter: Option<Prefilter>,
}

/// What one shard needs to run an automaton.
#[derive(Debug)]
pub(super) struct AutomatonScratch {
    cache: Cache,
    /// States that may be built.
    credit: u32,
    /// Match states of which all patterns were reported for this field.
    reported: Known,
    /// Steps out of match states that were built.
    built: Known,
    clear_count: usize,
}

/// The search ended early: there are matches that it did not report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GaveUp;

impl Automaton {
    /// Compiles patterns, numbered as they stand; `cache_bytes` for the states of each shard.
    ///
    /// Errors: `None` if they are larger than `AUTOMATON_BYTES_MAX`.
    pub(super) fn new(hirs: &[Hir], anchored: bool, cache_bytes: usize) -> Option<Automaton> {
        let config = thompson::Config::new()
            .utf8(false)
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(AUTOMATON_BYTES_MAX));
        let nfa = thompson::Compiler::new().configure(config).build_many_from_hir(hirs).ok()?;
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .cache_capacity(cache_bytes)
            .skip_cache_capacity_check(true);
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa).ok()?;
        let filter = if anchored { None } else { filter(hirs) };
        let anchored = if anchored { Anchored::Yes } else { Anchored::No };
        Some(Automaton { dfa, anchored, filter })
    }

    /// What one shard needs.
    pub(super) fn scratch(&self) -> AutomatonScratch {
        AutomatonScratch {
            cache: self.dfa.create_cache(),
            credit: CREDIT_STATES_MAX,
            reported: Known::new(),
            built: Known::new(),
            clear_count: 0,
        }
    }

    /// Calls `found` with each pattern that matches, once or more often; ends early when it says
    /// that nothing more is to be found.
    ///
    /// Cost:   one step per byte, from the first place that the filter finds; building at most
    ///         `FIELD_STATES_MAX` states, in the long run one per `STATE_BYTES`.
    pub(super) fn search(
        &self,
        scratch: &mut AutomatonScratch,
        field: &[u8],
        mut found: impl FnMut(usize) -> bool,
    ) -> Result<(), GaveUp> {
        let start = match &self.filter {
            None => 0,
            Some(filter) => match filter.find(field, Span::from(0..field.len())) {
                None => return Ok(()),
                Some(span) => span.start,
            },
        };
        let earned = (field.len() - start) / STATE_BYTES + 1;
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        scratch.credit = scratch.credit.saturating_add(earned).min(CREDIT_STATES_MAX);
        if scratch.credit < CREDIT_STATES_MIN {
            return Err(GaveUp);
        }
        let allowed = scratch.credit.min(FIELD_STATES_MAX);
        scratch.credit -= allowed;
        let mut walk = Walk { dfa: &self.dfa, scratch, left: allowed };
        let result = walk.run(field, start, self.anchored, &mut found);
        let left = walk.left;
        scratch.credit += left;
        result
    }
}

/// Without its states, which are many.
impl fmt::Debug for Automaton {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Automaton").field("filter", &self.filter).finish_non_exhaustive()
    }
}

/// One search.
struct Walk<'a> {
    dfa: &'a DFA,
    scratch: &'a mut AutomatonScratch,
    /// States that may be built.
    left: u32,
}

impl Walk<'_> {
    fn run(
        &mut self,
        field: &[u8],
        start: usize,
        anchored: Anchored,
        found: &mut impl FnMut(usize) -> bool,
    ) -> Result<(), GaveUp> {
        self.scratch.reported.forget();
        let input = Input::new(field).range(start..).anchored(anchored);
        let state = self.dfa.start_state_forward(&mut self.scratch.cache, &input);
        let mut state = state.map_err(|_| GaveUp)?;
        self.follow_clears();
        for byte in &field[start..] {
            if !state.is_tagged() {
                let next = self.dfa.next_state_untagged(&self.scratch.cache, state, *byte);
                state = if next.is_unknown() { self.build(state, *byte)? } else { next };
                continue;
            }
            if state.is_match() && !self.report(state, found) || state.is_dead() {
                return Ok(());
            }
            state = self.step_from_match(state, *byte)?;
        }
        if state.is_match() && !self.report(state, found) || state.is_dead() {
            return Ok(());
        }
        if self.scratch.built.insert(state, FIELD_END) {
            self.pay()?;
        }
        let end = self.dfa.next_eoi_state(&mut self.scratch.cache, state).map_err(|_| GaveUp)?;
        self.follow_clears();
        if end.is_match() {
            self.report(end, found);
        }
        Ok(())
    }

    #[cold]
    fn build(&mut self, state: LazyStateID, byte: u8) -> Result<LazyStateID, GaveUp> {
        self.pay()?;
        let next = self.dfa.next_state(&mut self.scratch.cache, state, byte);
        self.follow_clears();
        next.map_err(|_| GaveUp)
    }

    /// A step that does not say whether it was built: those that were are kept in mind.
    fn step_from_match(&mut self, state: LazyStateID, byte: u8) -> Result<LazyStateID, GaveUp> {
        if self.scratch.built.insert(state, u16::from(byte)) {
            return self.build(state, byte);
        }
        self.dfa.next_state(&mut self.scratch.cache, state, byte).map_err(|_| GaveUp)
    }

    fn pay(&mut self) -> Result<(), GaveUp> {
        self.left = self.left.checked_sub(1).ok_or(GaveUp)?;
        Ok(())
    }

    /// After the cache was cleared, states have other names.
    fn follow_clears(&mut self) {
        let clear_count = self.scratch.cache.clear_count();
        if self.scratch.clear_count != clear_count {
            self.scratch.clear_count = clear_count;
            self.scratch.reported.forget();
            self.scratch.built.forget();
        }
    }

    /// Reports a match state's patterns; false if nothing more is to be found.
    fn report(&mut self, state: LazyStateID, found: &mut impl FnMut(usize) -> bool) -> bool {
        let Walk { dfa, scratch, .. } = self;
        if !scratch.reported.insert(state, 0) {
            return true;
        }
        (0..dfa.match_len(&scratch.cache, state))
            .all(|index| found(dfa.match_pattern(&scratch.cache, state, index).as_usize()))
    }
}

/// A small set of states, or of steps from them, that forgets some: each has one place.
#[derive(Debug)]
struct Known {
    places: Vec<(Option<LazyStateID>, u16, u32)>,
    /// What was put in at another time is forgotten.
    now: u32,
}

impl Known {
    fn new() -> Known {
        Known { places: vec![(None, 0, 0); KNOWN_COUNT], now: 0 }
    }

    fn forget(&mut self) {
        self.now = self.now.wrapping_add(1);
        if self.now == 0 {
            self.places.fill((None, 0, 0));
        }
    }

    /// Puts a step in; true if it was not there.
    fn insert(&mut self, state: LazyStateID, unit: u16) -> bool {
        let mut hash = StateHash(u64::from(unit));
        state.hash(&mut hash);
        let place = &mut self.places[hash.finish() as usize % KNOWN_COUNT];
        let step = (Some(state), unit, self.now);
        let is_new = *place != step;
        *place = step;
        is_new
    }
}

/// Spreads a state's number, which is a multiple of some power of two.
struct StateHash(u64);

impl Hasher for StateHash {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 << 32 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 >> 32
    }
}

/// What finds the places where matches may start, many bytes at a time; `None` where a pattern may
/// start with anything, or where there is too much to look for.
fn filter(hirs: &[Hir]) -> Option<Prefilter> {
    let mut all = Seq::empty();
    for hir in hirs {
        all.union(&mut shape::prefixes(hir)?);
    }
    all.optimize_for_prefix_by_preference();
    let filter = Prefilter::new(MatchKind::LeftmostFirst, all.literals()?)?;
    filter.is_fast().then_some(filter)
}
