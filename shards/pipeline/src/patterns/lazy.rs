//! An automaton whose states are built as fields lead to them, and kept.
//!
//! Who sends the fields thus says which states are built, and building one costs as much as
//! thousands of steps. So building is paid from a credit that grows with the bytes searched: a field
//! that asks for more is given up. What was built stays, and serves the next field.

use std::hash::{Hash, Hasher};

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::NFA;
use regex_automata::{Anchored, Input, MatchKind};

/// Building that a byte earns, in nanoseconds.
pub(super) const EARNED_NS: usize = 4;

/// Credit is saved up to so many nanoseconds, or as many as two states take.
const CREDIT_NS_MAX: usize = 16 * 1024;

/// What it takes to build a state, and to report a pattern; as `examples/patterns.rs` measures it.
const BUILD_NS: usize = 2000;
const BUILD_NS_BY_NFA_STATE: usize = 8;
const REPORT_NS: usize = 1;

/// States, or steps, that are known to cost nothing more: a power of two.
const KNOWN_COUNT: usize = 256;

/// Stands for the field's end, as bytes stand for themselves.
const FIELD_END: u16 = 256;

/// An automaton that is built as it is used.
#[derive(Debug)]
pub(super) struct Lazy {
    dfa: DFA,
    anchored: Anchored,
    build_ns: usize,
}

/// What one shard needs to run it.
#[derive(Debug)]
pub(super) struct LazyScratch {
    cache: Cache,
    /// Nanoseconds of building that are left.
    credit: usize,
    /// Match states of which all patterns were reported for this field.
    reported: Known,
    /// Steps out of match states that were built.
    built: Known,
    clear_count: usize,
}

/// The search ended early: there are matches that it did not report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GaveUp;

impl Lazy {
    /// `None` if there can be none: the patterns ask for Unicode's words.
    pub(super) fn new(nfa: &NFA, anchored: Anchored, cache_bytes: usize) -> Option<Lazy> {
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .cache_capacity(cache_bytes)
            .skip_cache_capacity_check(true);
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa.clone()).ok()?;
        let build_ns = BUILD_NS + nfa.states().len() * BUILD_NS_BY_NFA_STATE;
        Some(Lazy { dfa, anchored, build_ns })
    }

    pub(super) fn scratch(&self) -> LazyScratch {
        LazyScratch {
            cache: self.dfa.create_cache(),
            credit: self.credit_max(),
            reported: Known::new(),
            built: Known::new(),
            clear_count: 0,
        }
    }

    /// Calls `found` with each pattern that matches at `start` or behind it, once or more often;
    /// ends early when it says that nothing more is to be found.
    ///
    /// Cost:   one step per byte, and what was saved of `EARNED_NS` for each.
    pub(super) fn search(
        &self,
        scratch: &mut LazyScratch,
        field: &[u8],
        start: usize,
        found: &mut impl FnMut(usize) -> bool,
    ) -> Result<(), GaveUp> {
        let earned = (field.len() - start).saturating_mul(EARNED_NS);
        scratch.credit = scratch.credit.saturating_add(earned).min(self.credit_max());
        let left = scratch.credit;
        let mut walk = Walk { dfa: &self.dfa, scratch, left, build_ns: self.build_ns };
        let result = walk.run(field, start, self.anchored, found);
        walk.scratch.credit = walk.left;
        result
    }

    fn credit_max(&self) -> usize {
        CREDIT_NS_MAX.max(2 * self.build_ns)
    }
}

/// One search.
struct Walk<'a> {
    dfa: &'a DFA,
    scratch: &'a mut LazyScratch,
    /// Nanoseconds that may be spent.
    left: usize,
    build_ns: usize,
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
            if state.is_match() && !self.report(state, found)? || state.is_dead() {
                return Ok(());
            }
            state = self.step_from_match(state, *byte)?;
        }
        if state.is_match() && !self.report(state, found)? || state.is_dead() {
            return Ok(());
        }
        if self.scratch.built.insert(state, FIELD_END) {
            self.pay(self.build_ns)?;
        }
        let end = self.dfa.next_eoi_state(&mut self.scratch.cache, state).map_err(|_| GaveUp)?;
        self.follow_clears();
        if end.is_match() {
            self.report(end, found)?;
        }
        Ok(())
    }

    #[cold]
    fn build(&mut self, state: LazyStateID, byte: u8) -> Result<LazyStateID, GaveUp> {
        self.pay(self.build_ns)?;
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

    fn pay(&mut self, ns: usize) -> Result<(), GaveUp> {
        self.left = self.left.checked_sub(ns).ok_or(GaveUp)?;
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
    fn report(
        &mut self,
        state: LazyStateID,
        found: &mut impl FnMut(usize) -> bool,
    ) -> Result<bool, GaveUp> {
        if !self.scratch.reported.insert(state, 0) {
            return Ok(true);
        }
        let Walk { dfa, scratch, .. } = self;
        let count = dfa.match_len(&scratch.cache, state);
        let is_more = (0..count)
            .all(|index| found(dfa.match_pattern(&scratch.cache, state, index).as_usize()));
        self.pay(count * REPORT_NS)?;
        Ok(is_more)
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
