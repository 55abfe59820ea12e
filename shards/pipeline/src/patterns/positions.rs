//! All patterns searched at once, a bit for each of their positions: what no input can slow.
//!
//! ```text
//!  pattern  a[ab]*bc            bits    a [ab] b c
//!  field    a b b c             after a 1  0   0 0   those that follow, shifted: [ab] b
//!                               after b 0  1   1 0   and of them those that read b: both
//! ```
//!
//! A step takes the same time whatever is read and however much of it matches: a few operations for
//! each word of bits, and for each rest of edges that no shift goes along. Slower than an automaton
//! whose states are built, and faster than one that has to build them.

use std::collections::{BTreeMap, HashMap};

use super::graph::{ByteSet, Edge, Graph};
use super::looks::{LookBits, Looks};
use super::words::{self, Jump, Shifts, Term};
use crate::bits::Bits;

const WORD_BITS: usize = u64::BITS as usize;

/// What a step costs, in hundredths of a nanosecond: as `examples/patterns.rs` measures it.
const STEP_COST: usize = 600;
const WORD_COST: usize = 110;
const WORD_IF_COST: usize = 60;
const TERM_COST: usize = 90;
const READ_LOOK_COST: usize = 2500;

/// The patterns' positions as words of bits.
#[derive(Debug)]
pub(super) struct Positions {
    words: usize,
    /// Each byte's row in `rows`.
    row_of: Box<[u8; 256]>,
    /// Positions that read a byte, by row.
    rows: Vec<u64>,
    shifts: Shifts,
    shifts_if: Vec<(LookBits, Shifts)>,
    starts: Vec<u64>,
    starts_if: Vec<(LookBits, Vec<Term>)>,
    jumps: Vec<Jump>,
    jumps_if: Vec<(LookBits, Vec<Jump>)>,
    ends: Vec<u64>,
    ends_if: Vec<(LookBits, Vec<Term>)>,
    empties: Vec<(LookBits, u32)>,
    /// By position, each pattern's number.
    part_of: Vec<u32>,
    looks: Looks,
    /// All matches start at the field's start.
    is_anchored: bool,
}

/// Which positions have read the last byte.
#[derive(Debug)]
pub(super) struct PositionsScratch {
    now: Vec<u64>,
    next: Vec<u64>,
    /// Positions that end a pattern, without those that were reported.
    ends: Vec<u64>,
    /// The same for those that ask for looks.
    open: Vec<u64>,
}

/// What came of one step.
struct Stepped {
    is_live: bool,
    is_end: bool,
}

impl Positions {
    pub(super) fn new(graph: &Graph, looks: Looks) -> Positions {
        let words = graph.positions.len().div_ceil(WORD_BITS).max(1);
        let (row_of, rows) = rows(graph, words);
        let mut positions = Positions {
            words,
            row_of,
            rows,
            shifts: Shifts::new(words),
            shifts_if: Vec::new(),
            starts: vec![0; words],
            starts_if: conditional(&graph.starts),
            jumps: Vec::new(),
            jumps_if: Vec::new(),
            ends: vec![0; words],
            ends_if: conditional(&graph.ends),
            empties: graph.empties.iter().map(|(part, looks)| (*looks, *part)).collect(),
            part_of: graph.positions.iter().map(|position| position.part).collect(),
            looks,
            is_anchored: false,
        };
        for (to, list) in
            [(&mut positions.starts, &graph.starts), (&mut positions.ends, &graph.ends)]
        {
            let always = list.iter().filter(|(_, looks)| *looks == 0);
            always.for_each(|(position, _)| words::set(to, *position));
        }
        positions.add_edges(&graph.edges);
        positions
    }

    /// All matches start where the field does: there is no more to do where nothing is begun.
    pub(super) fn anchored(self) -> Positions {
        Positions { is_anchored: true, ..self }
    }

    /// Nanoseconds for each byte, at most, about.
    pub(super) fn cost(&self) -> usize {
        let lists = self.starts_if.iter().chain(&self.ends_if);
        let terms = lists.map(|(_, terms)| terms.len()).sum::<usize>() + self.empties.len();
        let hundredths = STEP_COST
            + self.words * (WORD_COST + self.shifts_if.len() * WORD_IF_COST)
            + (terms + self.jump_count()) * TERM_COST
            + self.looks.read_count() * READ_LOOK_COST;
        hundredths.div_ceil(100)
    }

    pub(super) fn words(&self) -> usize {
        self.words
    }

    pub(super) fn jump_count(&self) -> usize {
        self.jumps.len() + self.jumps_if.iter().map(|(_, jumps)| jumps.len()).sum::<usize>()
    }

    pub(super) fn scratch(&self) -> PositionsScratch {
        let empty = || vec![0; self.words];
        PositionsScratch { now: empty(), next: empty(), ends: empty(), open: empty() }
    }

    /// Inserts the numbers of all patterns that match at `start` or behind it.
    ///
    /// Cost:   `cost` for each byte, whatever they are.
    pub(super) fn search(
        &self,
        scratch: &mut PositionsScratch,
        field: &[u8],
        start: usize,
        found: &mut Bits,
    ) {
        let PositionsScratch { now, next, ends, open } = scratch;
        now.fill(0);
        ends.copy_from_slice(&self.ends);
        open.fill(u64::MAX);
        for at in start..=field.len() {
            let looks = self.looks.at(field, at);
            for terms in held(&self.ends_if, looks) {
                for Term { word, bits } in terms {
                    let ended = now[*word] & bits & open[*word];
                    self.report(*word, ended, found);
                    open[*word] &= !ended;
                }
            }
            for part in held(&self.empties, looks) {
                found.insert(*part as usize);
            }
            let Some(byte) = field.get(at) else { return };
            let stepped = self.step(now, next, ends, *byte, looks);
            std::mem::swap(now, next);
            if stepped.is_end {
                for (word, (now, ends)) in now.iter().zip(ends.iter_mut()).enumerate() {
                    self.report(word, now & *ends, found);
                    *ends &= !now;
                }
            }
            if self.is_anchored && !stepped.is_live {
                return;
            }
        }
    }

    /// For a graph that was reversed: puts the positions that may read each of a block's bytes, with
    /// the rest of a match behind it, into `kept`; the first place in the block where a match starts.
    ///
    /// Shape:  `kept` has `words` for each byte of `field[start..end]`, then those of the next byte,
    ///         which are known.
    pub(super) fn read_back(
        &self,
        kept: &mut [u64],
        field: &[u8],
        start: usize,
        end: usize,
    ) -> Option<usize> {
        if self.words == 1 {
            return match &self.looks {
                Looks::None => self.read_back_one::<false>(kept, field, start, end),
                _ => self.read_back_one::<true>(kept, field, start, end),
            };
        }
        let words = self.words;
        let mut first = None;
        for at in (start..end).rev() {
            let (now, behind) = kept[(at - start) * words..].split_at_mut(words);
            self.step(&behind[..words], now, &self.ends, field[at], self.looks.at(field, at + 1));
            let looks = self.looks.at(field, at);
            let ended = |terms: &[Term]| terms.iter().any(|term| now[term.word] & term.bits != 0);
            let mut ends_if = held(&self.ends_if, looks);
            if now.iter().zip(&self.ends).any(|(now, ends)| now & ends != 0)
                || ends_if.any(|terms| ended(terms))
                || self.is_empty_match(field, at)
            {
                first = Some(at);
            }
        }
        first
    }

    /// The same for one word, which most patterns have.
    fn read_back_one<const LOOKS: bool>(
        &self,
        kept: &mut [u64],
        field: &[u8],
        start: usize,
        end: usize,
    ) -> Option<usize> {
        let Shifts { one, two, same } = &self.shifts;
        let (one, two, same) = (one[0], two[0], same[0]);
        let (starts, ends) = (self.starts[0], self.ends[0]);
        let mut first = None;
        let mut now = kept[end - start];
        let mut looks = if LOOKS { self.looks.at(field, end) } else { 0 };
        for (at, (byte, kept)) in (start..end).zip(field[start..end].iter().zip(kept)).rev() {
            let mut next = words::reached(now, 0, one, two, same) | starts;
            for Jump { from, to } in &self.jumps {
                next |= u64::from(now & from.bits != 0).wrapping_neg() & to.bits;
            }
            let mut ends = ends;
            let mut is_empty = false;
            if LOOKS {
                for shifts in held(&self.shifts_if, looks) {
                    let Shifts { one, two, same } = shifts;
                    next |= words::reached(now, 0, one[0], two[0], same[0]);
                }
                for terms in held(&self.starts_if, looks) {
                    terms.iter().for_each(|term| next |= term.bits);
                }
                for jumps in held(&self.jumps_if, looks) {
                    let reached = jumps.iter().filter(|jump| now & jump.from.bits != 0);
                    reached.for_each(|jump| next |= jump.to.bits);
                }
                looks = self.looks.at(field, at);
                for terms in held(&self.ends_if, looks) {
                    terms.iter().for_each(|term| ends |= term.bits);
                }
                is_empty = held(&self.empties, looks).next().is_some();
            }
            now = next & self.rows[usize::from(self.row_of[usize::from(*byte)])];
            *kept = now;
            if now & ends != 0 || is_empty || !LOOKS && !self.empties.is_empty() {
                first = Some(at);
            }
        }
        first
    }

    /// True if a pattern matches nothing at all at `at`.
    pub(super) fn is_empty_match(&self, field: &[u8], at: usize) -> bool {
        let looks = self.looks.at(field, at);
        held(&self.empties, looks).next().is_some()
    }

    /// Looks that hold before the byte at `at`.
    pub(super) fn looks_at(&self, field: &[u8], at: usize) -> LookBits {
        self.looks.at(field, at)
    }

    /// The positions that read `byte` after those in `now` have read the byte before.
    #[inline]
    fn step(
        &self,
        now: &[u64],
        next: &mut [u64],
        ends: &[u64],
        byte: u8,
        looks: LookBits,
    ) -> Stepped {
        let row = usize::from(self.row_of[usize::from(byte)]) * self.words;
        let row = &self.rows[row..row + self.words];
        words::shift(now, next, &self.shifts, &self.starts, row);
        for shifts in held(&self.shifts_if, looks) {
            words::shift_more(now, next, shifts, row);
        }
        for terms in held(&self.starts_if, looks) {
            terms.iter().for_each(|term| next[term.word] |= term.bits & row[term.word]);
        }
        words::jump(now, next, &self.jumps, row);
        for jumps in held(&self.jumps_if, looks) {
            words::jump(now, next, jumps, row);
        }
        let (mut live, mut ended) = (0, 0);
        for (next, ends) in next.iter().zip(ends) {
            live |= next;
            ended |= next & ends;
        }
        Stepped { is_live: live != 0, is_end: ended != 0 }
    }

    fn report(&self, word: usize, mut ended: u64, found: &mut Bits) {
        while ended != 0 {
            let position = word * WORD_BITS + ended.trailing_zeros() as usize;
            ended &= ended - 1;
            found.insert(self.part_of[position] as usize);
        }
    }

    fn add_edges(&mut self, edges: &[Edge]) {
        let mut rests: BTreeMap<(LookBits, u32), Vec<u32>> = BTreeMap::new();
        for edge in edges {
            match i64::from(edge.to) - i64::from(edge.from) {
                0 => words::set(&mut self.shifts_of(edge.looks).same, edge.to),
                1 => words::set(&mut self.shifts_of(edge.looks).one, edge.to),
                2 => words::set(&mut self.shifts_of(edge.looks).two, edge.to),
                _ => rests.entry((edge.looks, edge.from)).or_default().push(edge.to),
            }
        }
        // Positions from which the same others are reached share a jump.
        let mut shared: BTreeMap<(LookBits, Vec<u32>), Vec<Term>> = BTreeMap::new();
        for ((looks, from), mut to) in rests {
            to.sort_unstable();
            to.dedup();
            words::add(shared.entry((looks, to)).or_default(), from);
        }
        for ((looks, to), from) in shared {
            let to = words::terms(&to);
            let jumps =
                from.iter().flat_map(|from| to.iter().map(|to| Jump { from: *from, to: *to }));
            self.jumps_of(looks).extend(jumps);
        }
    }

    fn shifts_of(&mut self, looks: LookBits) -> &mut Shifts {
        if looks == 0 {
            return &mut self.shifts;
        }
        let index = place(&mut self.shifts_if, looks, || Shifts::new(self.words));
        &mut self.shifts_if[index].1
    }

    fn jumps_of(&mut self, looks: LookBits) -> &mut Vec<Jump> {
        if looks == 0 {
            return &mut self.jumps;
        }
        let index = place(&mut self.jumps_if, looks, Vec::new);
        &mut self.jumps_if[index].1
    }
}

/// What stands in a list under looks that all hold.
fn held<T>(list: &[(LookBits, T)], looks: LookBits) -> impl Iterator<Item = &T> {
    list.iter().filter(move |(asked, _)| asked & !looks == 0).map(|(_, held)| held)
}

/// Where some looks stand in a list; they are put there if they are not.
fn place<T>(list: &mut Vec<(LookBits, T)>, looks: LookBits, make: impl FnOnce() -> T) -> usize {
    let known = list.iter().position(|(asked, _)| *asked == looks);
    known.unwrap_or_else(|| {
        list.push((looks, make()));
        list.len() - 1
    })
}

/// The row of each byte, and the rows: bytes that the same positions read share one.
fn rows(graph: &Graph, words: usize) -> (Box<[u8; 256]>, Vec<u64>) {
    let mut known: HashMap<Vec<u64>, u8> = HashMap::new();
    let mut rows = Vec::new();
    let row_of = std::array::from_fn(|byte| {
        let reads = |set: &ByteSet| set[byte / WORD_BITS] & 1 << (byte % WORD_BITS) != 0;
        let mut row = vec![0; words];
        for (position, at) in graph.positions.iter().zip(0_u32..) {
            if reads(&position.bytes) {
                words::set(&mut row, at);
            }
        }
        let count = u8::try_from(known.len()).unwrap_or(u8::MAX);
        *known.entry(row).or_insert_with_key(|row| {
            rows.extend_from_slice(row);
            count
        })
    });
    (Box::new(row_of), rows)
}

/// Positions that ask for looks, together where they ask for the same.
fn conditional(list: &[(u32, LookBits)]) -> Vec<(LookBits, Vec<Term>)> {
    let mut by_looks: BTreeMap<LookBits, Vec<Term>> = BTreeMap::new();
    for (position, looks) in list.iter().filter(|(_, looks)| *looks != 0) {
        words::add(by_looks.entry(*looks).or_default(), *position);
    }
    by_looks.into_iter().collect()
}
