//! Groups of patterns that leave no choice at any byte: found by walking along once.
//!
//! ```text
//!  ^a(b+)?c?    row    end     a        b        c
//!               0              1, (0
//!               1      0)               2, (1    3
//!               2      1) 0)            2        3, 1)
//!               3      0)
//! ```
//!
//! A row for each place between two steps: where each byte leads from there, which groups begin or
//! end on the way, and under which looks; likewise for the match's end there.

use std::collections::HashMap;

use regex_automata::Span;
use regex_automata::nfa::thompson::NFA;
use regex_automata::util::alphabet::ByteClasses;
use regex_automata::util::look::Look;
use regex_automata::util::prefilter::Prefilter;
use regex_automata::util::primitives::{NonMaxUsize, PatternID, StateID};
use regex_syntax::hir::Hir;

use super::graph::Graph;
use super::groups::Way;
use super::looks::{LookBits, bits_of};
use super::{automaton, shape, words};

/// Nanoseconds for each byte.
pub(super) const STEP_NS: usize = 3;

/// Entries in all rows, so that a row's place is 16 bits.
const ENTRIES_MAX: usize = 1 << 16;

/// Slots of a pattern's groups: where an end is left behind, they are all kept.
const SLOTS_MAX: usize = 32;

/// Places that a filter finds at which such a pattern is tried, before going both ways.
const TRIES_MAX: usize = 3;

/// A pattern that leaves no choice, wherever it starts.
#[derive(Debug)]
pub(super) struct OnePass {
    /// Each byte's column; in front of them is that of the match's end.
    column_of: Box<[u8; 256]>,
    /// Row by row. The first is the start's, to which nothing leads back.
    entries: Vec<Entry>,
    passes: Vec<Passage>,
    /// Finds where matches may start; `None` for patterns that start with `^`.
    filter: Option<Prefilter>,
}

/// Nothing by default: no step, no end.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// Where the next row begins; of an end, not 0.
    row: u16,
    pass: u16,
}

/// What is between a place and the next step, or the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Passage {
    looks: LookBits,
    slots: Vec<usize>,
}

/// Room for the groups of an end that the walk has left behind.
pub(super) type Kept = Vec<Option<NonMaxUsize>>;

impl OnePass {
    /// `None` if the pattern leaves a choice, may start anywhere, is too large, or asks for what is
    /// dear at every byte.
    ///
    /// Shape:  `ways` by the NFA's state.
    pub(super) fn new(nfa: &NFA, graph: &Graph, ways: &[Vec<Way>], hir: &Hir) -> Option<OnePass> {
        if nfa.group_info().slot_len() > SLOTS_MAX || nfa.look_set_any().contains_word_unicode() {
            return None;
        }
        let (filter, granted) = match shape::is_anchored(hir) {
            true => (None, bits_of(Look::Start)),
            false => (Some(automaton::filter(std::slice::from_ref(hir))?), 0),
        };
        let classes = nfa.byte_classes();
        let mut column_of = Box::new([0; 256]);
        for (column, byte) in column_of.iter_mut().zip(0..=u8::MAX) {
            *column = classes.get(byte).checked_add(1)?;
        }
        let mut table = Table {
            columns: 1 + usize::from(classes.get(u8::MAX)) + 1,
            entries: Vec::new(),
            passes: HashMap::from([(Passage::default(), 0)]),
            row_of: HashMap::new(),
            queue: Vec::new(),
        };
        let start = nfa.start_pattern(PatternID::ZERO)?;
        table.row(start)?;
        let mut next = 0;
        while let Some(state) = table.queue.get(next).copied() {
            let granted = if next == 0 { granted } else { 0 };
            table.fill(classes, graph, &ways[state.as_usize()], (state, granted))?;
            next += 1;
        }
        let passes = table.passes();
        Some(OnePass { column_of, entries: table.entries, passes, filter })
    }

    /// True if it always finds out.
    pub(super) fn is_final(&self) -> bool {
        self.filter.is_none()
    }

    /// Puts where the groups match into `slots`, which are all empty; false if the pattern does not
    /// match, `None` if it was not found out. `looks`: those that hold at a place in the field.
    pub(super) fn find(
        &self,
        kept: &mut Kept,
        slots: &mut [Option<NonMaxUsize>],
        field: &[u8],
        looks: impl Fn(usize) -> LookBits,
    ) -> Option<bool> {
        let Some(filter) = &self.filter else {
            return Some(self.walk(kept, slots, field, 0, looks));
        };
        let mut start = 0;
        for _ in 0..TRIES_MAX {
            let Some(span) = filter.find(field, Span::from(start..field.len())) else {
                return Some(false);
            };
            if self.walk(kept, slots, field, span.start, &looks) {
                return Some(true);
            }
            slots.fill(None);
            start = span.start + 1;
        }
        None
    }

    /// The match that starts at `start`, the way that the pattern prefers.
    fn walk(
        &self,
        kept: &mut Kept,
        slots: &mut [Option<NonMaxUsize>],
        field: &[u8],
        start: usize,
        looks: impl Fn(usize) -> LookBits,
    ) -> bool {
        let holds = |pass: &Passage, at| pass.looks == 0 || pass.looks & !looks(at) == 0;
        // The last end, whose groups are still those in `slots`; or they were kept.
        let mut end: Option<(&Passage, usize)> = None;
        let mut is_kept = false;
        let (mut row, mut at) = (0, start);
        loop {
            let ending = self.entries[row];
            if ending.row != 0 {
                let pass = &self.passes[usize::from(ending.pass)];
                if holds(pass, at) {
                    end = Some((pass, at));
                }
            }
            let Some(byte) = field.get(at) else { break };
            let entry = self.entries[row + usize::from(self.column_of[usize::from(*byte)])];
            if entry.row == 0 {
                break;
            }
            if entry.pass != 0 {
                let pass = &self.passes[usize::from(entry.pass)];
                if !holds(pass, at) {
                    break;
                }
                if let Some((end, at)) = end.take() {
                    kept.clear();
                    kept.extend_from_slice(slots);
                    end.set(kept, at);
                    is_kept = true;
                }
                pass.set(slots, at);
            }
            row = usize::from(entry.row);
            at += 1;
        }
        match end {
            Some((end, at)) => end.set(slots, at),
            None if is_kept => slots.copy_from_slice(kept),
            None => return false,
        }
        true
    }
}

impl Passage {
    fn set(&self, slots: &mut [Option<NonMaxUsize>], at: usize) {
        self.slots.iter().for_each(|slot| slots[*slot] = NonMaxUsize::new(at));
    }
}

/// A pattern's rows, while they are filled.
struct Table {
    columns: usize,
    entries: Vec<Entry>,
    passes: HashMap<Passage, u16>,
    row_of: HashMap<StateID, u16>,
    /// The NFA's states that have a row, row by row.
    queue: Vec<StateID>,
}

impl Table {
    /// The row of a state, which may be new.
    fn row(&mut self, state: StateID) -> Option<u16> {
        if let Some(row) = self.row_of.get(&state) {
            return Some(*row);
        }
        let row = u16::try_from(self.entries.len()).ok()?;
        let end = self.entries.len() + self.columns;
        self.entries.resize(Some(end).filter(|end| *end <= ENTRIES_MAX)?, Entry::default());
        self.row_of.insert(state, row);
        self.queue.push(state);
        Some(row)
    }

    fn pass(&mut self, pass: Passage) -> Option<u16> {
        let next = u16::try_from(self.passes.len()).ok()?;
        Some(*self.passes.entry(pass).or_insert(next))
    }

    /// The passes, by number.
    fn passes(&self) -> Vec<Passage> {
        let mut passes = vec![Passage::default(); self.passes.len()];
        self.passes.iter().for_each(|(pass, number)| {
            passes[usize::from(*number)].clone_from(pass);
        });
        passes
    }

    /// Fills a state's row; `None` if it leaves a choice. `granted`: looks that hold there anyway.
    fn fill(
        &mut self,
        classes: &ByteClasses,
        graph: &Graph,
        ways: &[Way],
        (state, granted): (StateID, LookBits),
    ) -> Option<()> {
        let first = usize::from(self.row(state)?);
        for (index, way) in ways.iter().enumerate() {
            let pass = Passage { looks: way.looks & !granted, slots: way.passed.clone() };
            let pass = self.pass(pass)?;
            let Some((next, position)) = way.step else {
                // What is behind an end would be preferred less, where the end's looks hold.
                if index + 1 < ways.len() {
                    return None;
                }
                self.entries[first] = Entry { row: u16::MAX, pass };
                continue;
            };
            let row = self.row(next).filter(|row| *row != 0)?;
            let bytes = &graph.positions[position as usize].bytes;
            for unit in classes.representatives(..=u8::MAX) {
                let byte = unit.as_u8()?;
                if words::contains(bytes, byte.into()) {
                    let place = &mut self.entries[first + 1 + usize::from(classes.get(byte))];
                    if place.row != 0 {
                        return None;
                    }
                    *place = Entry { row, pass };
                }
            }
        }
        Some(())
    }
}
