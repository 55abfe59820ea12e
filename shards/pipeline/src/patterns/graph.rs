//! Positions: the places in patterns that read a byte, and which may follow which.
//!
//! ```text
//!  user=\w+x    positions  u s e r = \w x
//!               edges      u-s s-e e-r r-= =-\w \w-\w \w-x
//! ```
//!
//! Read off an NFA: a position is one of its steps, and what follows is what can be reached without
//! a step. An edge may ask for looks to hold between the two bytes.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::primitives::StateID;

use super::looks::{LookBits, bits_of};

/// Edges of a graph, and states looked at to find them.
const WORK_MAX: usize = 1 << 21;

/// The positions of some patterns. The order of a pattern's positions is that of its text, about.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) positions: Vec<Position>,
    pub(super) edges: Vec<Edge>,
    pub(super) starts: Vec<(u32, LookBits)>,
    pub(super) ends: Vec<(u32, LookBits)>,
    /// Parts that match nothing at all where the looks hold.
    pub(super) empties: Vec<(u32, LookBits)>,
    /// For each of the NFA's states, its steps: where they lead, and their position.
    pub(super) steps: Vec<Vec<(StateID, u32)>>,
}

/// A place in a pattern that reads a byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) bytes: ByteSet,
    /// The pattern's number.
    pub(super) part: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Edge {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) looks: LookBits,
}

/// A set of bytes.
pub(super) type ByteSet = [u64; 4];

/// A step as it was found: what it reads, and where it leads.
struct Step {
    state: StateID,
    next: StateID,
    bytes: ByteSet,
}

/// What can be reached without a step.
#[derive(Debug, Default, Clone)]
struct Reach {
    steps: Vec<(usize, LookBits)>,
    ends: Vec<LookBits>,
}

impl Graph {
    /// The graph of an NFA's patterns; `None` if it is too large.
    pub(super) fn new(nfa: &NFA) -> Option<Graph> {
        let mut graph = Graph { steps: vec![Vec::new(); nfa.states().len()], ..Graph::default() };
        let mut work = WORK_MAX;
        for pattern in nfa.patterns() {
            graph.add(nfa, nfa.start_pattern(pattern)?, pattern.as_u32(), &mut work)?;
        }
        Some(graph)
    }

    /// The graph that reads backwards: the last position is the first.
    pub(super) fn reversed(&self) -> Graph {
        let last = self.positions.len().saturating_sub(1) as u32;
        let turn = |list: &[(u32, LookBits)]| -> Vec<(u32, LookBits)> {
            list.iter().map(|(position, looks)| (last - position, *looks)).collect()
        };
        Graph {
            positions: self.positions.iter().rev().copied().collect(),
            edges: self
                .edges
                .iter()
                .map(|edge| Edge { from: last - edge.to, to: last - edge.from, ..*edge })
                .collect(),
            starts: turn(&self.ends),
            ends: turn(&self.starts),
            empties: self.empties.clone(),
            steps: Vec::new(),
        }
    }

    fn add(&mut self, nfa: &NFA, start: StateID, part: u32, work: &mut usize) -> Option<()> {
        let mut found = Found { nfa, steps: Vec::new(), of_state: HashMap::new() };
        // What each state that a step leads to reaches; the start is no step.
        let first = found.reach(start, work)?;
        let mut reaches: HashMap<StateID, Reach> = HashMap::new();
        let mut next = 0;
        while next < found.steps.len() {
            let target = found.steps[next].next;
            if let Entry::Vacant(place) = reaches.entry(target) {
                place.insert(found.reach(target, work)?);
            }
            next += 1;
        }
        let steps = found.steps;
        let numbers = self.number(&steps, &first, &reaches, part);
        for (step, from) in steps.iter().zip(&numbers) {
            let reach = &reaches[&step.next];
            let edge = |(to, looks): &(usize, LookBits)| Edge {
                from: *from,
                to: numbers[*to],
                looks: *looks,
            };
            self.edges.extend(reach.steps.iter().map(edge));
            self.ends.extend(reach.ends.iter().map(|looks| (*from, *looks)));
            *work = work.checked_sub(reach.steps.len() + reach.ends.len())?;
        }
        self.starts.extend(first.steps.iter().map(|(to, looks)| (numbers[*to], *looks)));
        self.empties.extend(first.ends.iter().map(|looks| (part, *looks)));
        Some(())
    }

    /// Numbers steps so that what follows first has the next number, where that is possible.
    fn number(
        &mut self,
        steps: &[Step],
        first: &Reach,
        reaches: &HashMap<StateID, Reach>,
        part: u32,
    ) -> Vec<u32> {
        let mut numbers = vec![u32::MAX; steps.len()];
        let starts = first.steps.iter().map(|(step, _)| *step);
        for start in starts.chain(0..steps.len()) {
            let mut next = Some(start).filter(|step| numbers[*step] == u32::MAX);
            while let Some(step) = next {
                let Step { state, next: target, bytes } = steps[step];
                numbers[step] = self.positions.len() as u32;
                self.steps[state.as_usize()].push((target, numbers[step]));
                self.positions.push(Position { bytes, part });
                let follows = reaches[&target].steps.iter();
                let mut free = follows.filter(|(step, _)| numbers[*step] == u32::MAX);
                next = free.next().map(|(step, _)| *step);
            }
        }
        numbers
    }
}

/// The steps of one pattern that were found so far.
struct Found<'n> {
    nfa: &'n NFA,
    steps: Vec<Step>,
    /// The numbers of each state's steps.
    of_state: HashMap<StateID, Vec<usize>>,
}

impl Found<'_> {
    /// What can be reached from a state, and under which looks. In the order of preference.
    fn reach(&mut self, from: StateID, work: &mut usize) -> Option<Reach> {
        let mut reach = Reach::default();
        let mut seen = HashSet::new();
        let mut stack = vec![(from, 0)];
        while let Some((id, looks)) = stack.pop() {
            if !seen.insert((id, looks)) || looks != 0 && seen.contains(&(id, 0)) {
                continue;
            }
            *work = work.checked_sub(1)?;
            match self.nfa.state(id) {
                State::Look { look, next } => stack.push((*next, looks | bits_of(*look))),
                State::Union { alternates } => {
                    stack.extend(alternates.iter().rev().map(|next| (*next, looks)));
                }
                State::BinaryUnion { alt1, alt2 } => {
                    stack.extend([(*alt2, looks), (*alt1, looks)]);
                }
                State::Capture { next, .. } => stack.push((*next, looks)),
                State::Fail => {}
                State::Match { .. } => reach.ends.push(looks),
                _ => {
                    let steps = self.steps_of(id);
                    reach.steps.extend(steps.iter().map(|step| (*step, looks)));
                }
            }
        }
        let always: HashSet<usize> =
            reach.steps.iter().filter(|(_, looks)| *looks == 0).map(|(step, _)| *step).collect();
        reach.steps.retain(|(step, looks)| *looks == 0 || !always.contains(step));
        if reach.ends.contains(&0) {
            reach.ends = vec![0];
        }
        Some(reach)
    }

    fn steps_of(&mut self, id: StateID) -> &[usize] {
        let Found { nfa, steps, of_state } = self;
        of_state.entry(id).or_insert_with(|| {
            let first = steps.len();
            let mut add = |next: StateID, bytes: std::ops::RangeInclusive<u8>| {
                let known = steps[first..].iter_mut().find(|step| step.next == next);
                match known {
                    Some(step) => insert(&mut step.bytes, bytes),
                    None => {
                        let mut step = Step { state: id, next, bytes: [0; 4] };
                        insert(&mut step.bytes, bytes);
                        steps.push(step);
                    }
                }
            };
            match nfa.state(id) {
                State::ByteRange { trans } => add(trans.next, trans.start..=trans.end),
                State::Sparse(sparse) => {
                    sparse.transitions.iter().for_each(|trans| {
                        add(trans.next, trans.start..=trans.end);
                    });
                }
                State::Dense(dense) => {
                    for (byte, next) in (0..=u8::MAX).zip(dense.transitions.iter()) {
                        if *next != StateID::ZERO {
                            add(*next, byte..=byte);
                        }
                    }
                }
                _ => {}
            }
            (first..steps.len()).collect()
        })
    }
}

fn insert(set: &mut ByteSet, bytes: std::ops::RangeInclusive<u8>) {
    for byte in bytes {
        set[usize::from(byte) / 64] |= 1 << (byte % 64);
    }
}
