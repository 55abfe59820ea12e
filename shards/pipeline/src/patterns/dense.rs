//! An automaton whose states are all built at the start: patterns that have few of them.

use std::collections::HashSet;

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson::NFA;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, Input, MatchKind};

/// Its states may take so many times the bytes of those that a shard builds as it goes: the shards
/// share them.
const STATES_BYTES_SHARE: usize = 4;

/// Bytes that building them may take, besides.
const BUILD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// NFA states times the states they make, at most: it bounds the time that building takes.
const BUILD_WORK_MAX: usize = 64 * 1024 * 1024;

/// Patterns that one field may make it report, over all its states.
const REPORTS_MAX: usize = 32 * 1024;

/// An automaton that is never built while it is used.
#[derive(Debug)]
pub(super) struct Dense {
    dfa: dense::DFA<Vec<u32>>,
    anchored: Anchored,
    state_count: usize,
}

/// What one shard needs to run it.
#[derive(Debug)]
pub(super) struct DenseScratch {
    /// When each state was reported last.
    reported: Vec<u32>,
    now: u32,
}

impl Dense {
    /// `None` if there are too many states. `cache_bytes`: for those that are built later.
    pub(super) fn new(nfa: &NFA, anchored: Anchored, cache_bytes: usize) -> Option<Dense> {
        let classes = nfa.byte_classes().alphabet_len().next_power_of_two();
        let states_max = BUILD_WORK_MAX / nfa.states().len().max(1);
        let bytes_max =
            (states_max * classes * size_of::<u32>()).min(STATES_BYTES_SHARE * cache_bytes);
        let config = dense::DFA::config()
            .match_kind(MatchKind::All)
            .accelerate(false)
            .start_kind(match anchored {
                Anchored::No => StartKind::Unanchored,
                _ => StartKind::Anchored,
            })
            .dfa_size_limit(Some(bytes_max))
            .determinize_size_limit(Some(BUILD_BYTES_MAX));
        let dfa = dense::Builder::new().configure(config).build_from_nfa(nfa).ok()?;
        let (state_count, report_count) = count(&dfa, anchored)?;
        (report_count <= REPORTS_MAX).then_some(Dense { dfa, anchored, state_count })
    }

    pub(super) fn scratch(&self) -> DenseScratch {
        DenseScratch { reported: vec![0; self.state_count], now: 0 }
    }

    /// Calls `found` with each pattern that matches at `start` or behind it; ends early when it says
    /// that nothing more is to be found.
    ///
    /// Cost:   one step per byte, and at most `REPORTS_MAX` calls.
    pub(super) fn search(
        &self,
        scratch: &mut DenseScratch,
        field: &[u8],
        start: usize,
        found: &mut impl FnMut(usize) -> bool,
    ) {
        scratch.now = scratch.now.wrapping_add(1);
        if scratch.now == 0 {
            scratch.reported.fill(0);
            scratch.now = 1;
        }
        let input = Input::new(field).range(start..).anchored(self.anchored);
        let Ok(mut state) = self.dfa.start_state_forward(&input) else { return };
        for byte in &field[start..] {
            if self.dfa.is_special_state(state)
                && (self.dfa.is_dead_state(state) || !self.report(scratch, state, found))
            {
                return;
            }
            state = self.dfa.next_state(state, *byte);
        }
        if self.report(scratch, state, found) {
            self.report(scratch, self.dfa.next_eoi_state(state), found);
        }
    }

    /// Reports a state's patterns, if it is a match state; false if nothing more is to be found.
    fn report(
        &self,
        scratch: &mut DenseScratch,
        state: StateID,
        found: &mut impl FnMut(usize) -> bool,
    ) -> bool {
        if !self.dfa.is_match_state(state) {
            return true;
        }
        let reported = &mut scratch.reported[index(&self.dfa, state)];
        if std::mem::replace(reported, scratch.now) == scratch.now {
            return true;
        }
        (0..self.dfa.match_len(state))
            .all(|index| found(self.dfa.match_pattern(state, index).as_usize()))
    }
}

fn index(dfa: &dense::DFA<Vec<u32>>, state: StateID) -> usize {
    state.as_usize() >> dfa.stride2()
}

/// States, by their greatest number, and the patterns that all match states report.
fn count(dfa: &dense::DFA<Vec<u32>>, anchored: Anchored) -> Option<(usize, usize)> {
    let mut seen = HashSet::new();
    let mut states = Vec::new();
    for before in [None].into_iter().chain((0..=u8::MAX).map(Some)) {
        let config = start::Config::new().anchored(anchored).look_behind(before);
        states.push(dfa.start_state(&config).ok()?);
    }
    let classes: Vec<u8> =
        dfa.byte_classes().representatives(..).filter_map(|unit| unit.as_u8()).collect();
    let (mut last, mut reports) = (0, 0);
    while let Some(state) = states.pop() {
        if !seen.insert(state) {
            continue;
        }
        last = last.max(index(dfa, state));
        if dfa.is_match_state(state) {
            reports += dfa.match_len(state);
        }
        states.extend(classes.iter().map(|byte| dfa.next_state(state, *byte)));
        states.push(dfa.next_eoi_state(state));
    }
    Some((last + 1, reports))
}
