//! Words of bits, one for each position, and how bits go from one to the next.

const WORD_BITS: usize = u64::BITS as usize;

/// Positions that are reached by a shift: words of bits each.
#[derive(Debug, Default)]
pub(super) struct Shifts {
    /// From the position before.
    pub(super) one: Vec<u64>,
    /// From the second one before.
    pub(super) two: Vec<u64>,
    /// From themselves.
    pub(super) same: Vec<u64>,
}

/// Some positions of one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) word: usize,
    pub(super) bits: u64,
}

/// Edges that no shift goes along: from each of some positions of a word to some of another's.
#[derive(Debug)]
pub(super) struct Jump {
    pub(super) from: Term,
    pub(super) to: Term,
}

impl Shifts {
    pub(super) fn new(words: usize) -> Shifts {
        Shifts { one: vec![0; words], two: vec![0; words], same: vec![0; words] }
    }
}

/// Of one word's positions, those that are reached by a shift. `before`: the word before `now`;
/// `one`, `two` and `same` are the word's of `Shifts`.
#[inline]
pub(super) fn reached(now: u64, before: u64, one: u64, two: u64, same: u64) -> u64 {
    let by_one = now << 1 | before >> (WORD_BITS - 1);
    let by_two = now << 2 | before >> (WORD_BITS - 2);
    by_one & one | by_two & two | now & same
}

/// The positions of `row` that are reached by a shift, or started.
#[inline]
pub(super) fn shift(now: &[u64], next: &mut [u64], shifts: &Shifts, starts: &[u64], row: &[u64]) {
    let Shifts { one, two, same } = shifts;
    let words = now.len();
    if let ([now], [next], [starts], [row]) = (now, &mut *next, starts, row)
        && let ([one], [two], [same]) = (&one[..], &two[..], &same[..])
    {
        *next = (reached(*now, 0, *one, *two, *same) | starts) & row;
        return;
    }
    let (next, starts, row) = (&mut next[..words], &starts[..words], &row[..words]);
    let (one, two, same) = (&one[..words], &two[..words], &same[..words]);
    let shifted = |now: u64, before: u64, word: usize| {
        reached(now, before, one[word], two[word], same[word]) | starts[word]
    };
    next[0] = shifted(now[0], 0, 0) & row[0];
    for word in 1..words {
        next[word] = shifted(now[word], now[word - 1], word) & row[word];
    }
}

/// Adds the positions of `row` that are reached by a shift.
pub(super) fn shift_more(now: &[u64], next: &mut [u64], shifts: &Shifts, row: &[u64]) {
    let mut before = 0;
    for (word, now) in now.iter().enumerate() {
        let Shifts { one, two, same } = shifts;
        next[word] |= reached(*now, before, one[word], two[word], same[word]) & row[word];
        before = *now;
    }
}

pub(super) fn jump(now: &[u64], next: &mut [u64], jumps: &[Jump], row: &[u64]) {
    for Jump { from, to } in jumps {
        let is_reached = now[from.word] & from.bits != 0;
        next[to.word] |= u64::from(is_reached).wrapping_neg() & to.bits & row[to.word];
    }
}

/// True if a position is among those of some words.
pub(super) fn contains(words: &[u64], position: u32) -> bool {
    words[position as usize / WORD_BITS] & 1 << (position as usize % WORD_BITS) != 0
}

pub(super) fn set(words: &mut [u64], position: u32) {
    words[position as usize / WORD_BITS] |= 1 << (position as usize % WORD_BITS);
}

pub(super) fn terms(positions: &[u32]) -> Vec<Term> {
    let mut terms = Vec::new();
    positions.iter().for_each(|position| add(&mut terms, *position));
    terms
}

pub(super) fn add(terms: &mut Vec<Term>, position: u32) {
    let (word, bits) = (position as usize / WORD_BITS, 1 << (position as usize % WORD_BITS));
    match terms.iter_mut().find(|term| term.word == word) {
        Some(term) => term.bits |= bits,
        None => terms.push(Term { word, bits }),
    }
}
