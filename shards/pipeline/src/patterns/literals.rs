//! Many literals, looked for at once (Aho and Corasick 1975).

use aho_corasick::automaton::Automaton;
use aho_corasick::{Anchored, MatchKind, StartKind, dfa, nfa::contiguous};

/// Bytes of literals up to which all their states get a full table: a step is one look into it.
const TABLE_LITERAL_BYTES_MAX: usize = 32 * 1024;

/// Literals that may end at one place: others are searched in another way.
const ENDS_MAX: usize = 8;

/// Finds literals anywhere in a field, or at its start.
#[derive(Debug)]
pub(super) struct Literals {
    states: States,
    anchored: Anchored,
}

#[derive(Debug)]
enum States {
    Table(dfa::DFA),
    Compact(contiguous::NFA),
}

impl Literals {
    /// `None` if many of them end with each other.
    pub(super) fn new(literals: &[Box<[u8]>], is_anchored: bool) -> Option<Literals> {
        let (anchored, start_kind) = match is_anchored {
            true => (Anchored::Yes, StartKind::Anchored),
            false => (Anchored::No, StartKind::Unanchored),
        };
        let literal_bytes: usize = literals.iter().map(|literal| literal.len()).sum();
        let states = if literal_bytes <= TABLE_LITERAL_BYTES_MAX {
            let mut builder = dfa::DFA::builder();
            let builder = builder.match_kind(MatchKind::Standard).start_kind(start_kind);
            States::Table(builder.prefilter(false).build(literals).ok()?)
        } else {
            let mut builder = contiguous::NFA::builder();
            let builder = builder.match_kind(MatchKind::Standard).prefilter(false);
            States::Compact(builder.build(literals).ok()?)
        };
        let new = Literals { states, anchored };
        let most = literals.iter().map(|literal| new.end_count(literal)).max();
        (most.unwrap_or(0) <= ENDS_MAX).then_some(new)
    }

    /// Calls `found` with each literal that stands at `start` or behind it, whenever it does; ends
    /// early when it says that nothing more is to be found.
    ///
    /// Cost:   one or two steps per byte, and at most `ENDS_MAX` calls.
    pub(super) fn search(&self, field: &[u8], start: usize, found: &mut impl FnMut(usize) -> bool) {
        match &self.states {
            States::Table(states) => search(states, self.anchored, &field[start..], found),
            States::Compact(states) => search(states, self.anchored, &field[start..], found),
        }
    }

    /// Literals that end where this one does.
    fn end_count(&self, literal: &[u8]) -> usize {
        let mut count = 0;
        self.search(literal, 0, &mut |_| {
            count += 1;
            true
        });
        count
    }
}

fn search<A: Automaton>(
    states: &A,
    anchored: Anchored,
    field: &[u8],
    found: &mut impl FnMut(usize) -> bool,
) {
    let Ok(mut state) = states.start_state(anchored) else { return };
    for byte in field {
        state = states.next_state(anchored, state, *byte);
        if !states.is_special(state) {
            continue;
        }
        if states.is_dead(state) {
            return;
        }
        if states.is_match(state) {
            let mut ends = 0..states.match_len(state);
            if !ends.all(|index| found(states.match_pattern(state, index).as_usize())) {
                return;
            }
        }
    }
}
