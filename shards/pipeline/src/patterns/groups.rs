//! Where a pattern's groups matched: asked for the pattern that won, once per message.
//!
//! Some patterns leave no choice at any byte, and are walked along at once. All others take two
//! ways: back from the field's end, to know at each byte from which positions the rest of a match
//! can be read; then forward from where the first match starts, always along what the pattern
//! prefers among what those positions say leads to the end. Neither depends on what the field holds.

use std::collections::{BTreeSet, HashSet};

use regex_automata::nfa::thompson::{NFA, State, WhichCaptures};
use regex_automata::util::primitives::{NonMaxUsize, PatternID, StateID};
use regex_syntax::hir::Hir;

use super::alphabet::Alphabet;
use super::automaton::{self, Text, TooLarge};
use super::graph::Graph;
use super::looks::{LookBits, bits_of};
use super::one_pass::{self, Kept, OnePass};
use super::positions::Positions;
use super::{shape, words};

/// Bytes whose positions are kept at a time; of all others, those of each block's start are.
const BLOCK_BYTES: usize = 1024;

/// Nanoseconds for each byte that both ways take where all positions are in one word.
const WALK_NS: usize = 8;

/// How a pattern's groups are found, by what a field is made of.
#[derive(Debug)]
pub(super) struct Groups {
    ascii: Option<Finder>,
    /// For fields that are not ASCII, translated; without an alphabet, as they are.
    other: Finder,
    alphabet: Option<Alphabet>,
    group_count: usize,
}

#[derive(Debug)]
struct Finder {
    one_pass: Option<OnePass>,
    nfa: NFA,
    /// Reads backwards: its first position is the graph's last one.
    back: Positions,
    position_last: u32,
    /// By the NFA's state that a step leads to, or that is the start: the ways on, in the order of
    /// preference.
    ways: Vec<Vec<Way>>,
}

/// A way from behind one step through the next one, or to the pattern's end.
#[derive(Debug)]
pub(super) struct Way {
    /// Where the step leads, and its position.
    pub(super) step: Option<(StateID, u32)>,
    pub(super) looks: LookBits,
    /// Slots that are passed on the way.
    pub(super) passed: Vec<usize>,
}

/// What one shard needs to find groups. It grows with the fields.
#[derive(Debug, Default)]
pub(super) struct GroupsScratch {
    slots: Vec<Option<NonMaxUsize>>,
    kept: Kept,
    translated: Vec<u8>,
    offsets: Vec<usize>,
    /// The positions of each block's first byte, from the field's start.
    starts: Vec<u64>,
    /// The positions of each byte of one block.
    block: Vec<u64>,
    block_index: usize,
}

enum Next {
    State(StateID),
    End,
}

impl Groups {
    /// For a pattern with captures, of which there are so many, the whole match included.
    pub(super) fn new(hir: &Hir, group_count: usize) -> Result<Groups, TooLarge> {
        let ascii = shape::ascii(hir);
        let ascii = match shape::is_fail(&ascii) {
            true => None,
            false => Some(Finder::new(ascii, Text::Ascii)?),
        };
        let alphabet = Alphabet::new([hir].into_iter());
        let (other, alphabet) = match alphabet.pattern(hir) {
            Some(translated) => {
                (Finder::new(translated, Text::Letters(&alphabet))?, Some(alphabet))
            }
            None => (Finder::new(hir.clone(), Text::Bytes)?, None),
        };
        Ok(Groups { ascii, other, alphabet, group_count })
    }

    /// Nanoseconds for each byte of a field, at most, about.
    pub(super) fn cost(&self) -> usize {
        let ascii = self.ascii.as_ref().map_or(0, Finder::cost);
        ascii.max(self.other.cost())
    }

    /// Appends where each group matched, by number; nothing if the pattern does not match.
    pub(super) fn find(
        &self,
        scratch: &mut GroupsScratch,
        field: &[u8],
        spans: &mut Vec<Option<(usize, usize)>>,
    ) {
        let is_found = match (&self.ascii, &self.alphabet) {
            (Some(ascii), _) if field.is_ascii() => ascii.find(scratch, field),
            (None, _) if field.is_ascii() => false,
            (_, None) => self.other.find(scratch, field),
            (_, Some(alphabet)) => {
                let mut translated = std::mem::take(&mut scratch.translated);
                alphabet.translate(field, &mut translated);
                let is_found = self.other.find(scratch, &translated);
                scratch.translated = translated;
                if is_found {
                    Alphabet::offsets(field, &mut scratch.offsets);
                    let offset = |slot: NonMaxUsize| NonMaxUsize::new(scratch.offsets[slot.get()]);
                    scratch.slots.iter_mut().for_each(|slot| *slot = slot.and_then(offset));
                }
                is_found
            }
        };
        if is_found {
            spans.extend(pairs(&scratch.slots));
            // Groups that no field of ASCII can fill may be missing.
            spans.resize(self.group_count, None);
        }
    }
}

fn pairs(slots: &[Option<NonMaxUsize>]) -> impl Iterator<Item = Option<(usize, usize)>> {
    slots.chunks_exact(2).map(|pair| Some((pair[0]?.get(), pair[1]?.get())))
}

impl Finder {
    fn new(hir: Hir, text: Text<'_>) -> Result<Finder, TooLarge> {
        let nfa = automaton::nfa(std::slice::from_ref(&hir), WhichCaptures::All).ok_or(TooLarge)?;
        let graph = Graph::new(&nfa).ok_or(TooLarge)?;
        let looks = automaton::looks(nfa.look_set_any(), text);
        let ways = ways(&nfa, &graph);
        Ok(Finder {
            one_pass: OnePass::new(&nfa, &graph, &ways, &hir),
            back: Positions::new(&graph.reversed(), looks),
            position_last: graph.positions.len().saturating_sub(1) as u32,
            ways,
            nfa,
        })
    }

    /// Nanoseconds for each byte, at most, about: twice back, and once forward.
    fn cost(&self) -> usize {
        if self.one_pass.as_ref().is_some_and(OnePass::is_final) {
            return one_pass::STEP_NS;
        }
        match self.back.words() {
            1 => WALK_NS + self.back.jump_count(),
            _ => 3 * self.back.cost(),
        }
    }

    /// Puts where the groups matched into the scratch's slots; false if the pattern does not match.
    fn find(&self, scratch: &mut GroupsScratch, field: &[u8]) -> bool {
        scratch.slots.clear();
        scratch.slots.resize(self.nfa.group_info().slot_len(), None);
        let GroupsScratch { kept, slots, .. } = scratch;
        let looks = |at| self.back.looks_at(field, at);
        let tried =
            self.one_pass.as_ref().and_then(|one_pass| one_pass.find(kept, slots, field, looks));
        tried.unwrap_or_else(|| match self.first_start(scratch, field) {
            Some(start) => {
                self.walk(scratch, field, start);
                true
            }
            None => false,
        })
    }

    /// Goes back through the field; where the first match starts.
    fn first_start(&self, scratch: &mut GroupsScratch, field: &[u8]) -> Option<usize> {
        let words = self.back.words();
        let blocks = field.len().div_ceil(BLOCK_BYTES);
        scratch.starts.resize(blocks * words, 0);
        scratch.block.resize((BLOCK_BYTES + 1) * words, 0);
        let mut first = self.back.is_empty_match(field, field.len()).then_some(field.len());
        for block in (0..blocks).rev() {
            first = self.read_block(scratch, field, block).or(first);
            scratch.starts[block * words..][..words].copy_from_slice(&scratch.block[..words]);
        }
        first
    }

    /// Puts the positions of each byte of a block into the scratch; the first place in it where a
    /// match starts.
    fn read_block(&self, scratch: &mut GroupsScratch, field: &[u8], block: usize) -> Option<usize> {
        scratch.block_index = block;
        let words = self.back.words();
        let start = block * BLOCK_BYTES;
        let end = field.len().min(start + BLOCK_BYTES);
        let GroupsScratch { block: kept, starts, .. } = scratch;
        let kept = &mut kept[..(end - start + 1) * words];
        let behind = &mut kept[(end - start) * words..];
        match starts.get((block + 1) * words..(block + 2) * words) {
            Some(known) => behind.copy_from_slice(known),
            None => behind.fill(0),
        }
        self.back.read_back(kept, field, start, end)
    }

    /// Goes forward from where the first match starts.
    fn walk(&self, scratch: &mut GroupsScratch, field: &[u8], start: usize) {
        let words = self.back.words();
        let Some(mut state) = self.nfa.start_pattern(PatternID::ZERO) else { return };
        for at in start..=field.len() {
            if at < field.len() && scratch.block_index != at / BLOCK_BYTES {
                self.read_block(scratch, field, at / BLOCK_BYTES);
            }
            let GroupsScratch { block, slots, .. } = scratch;
            let now = &block[at % BLOCK_BYTES * words..][..words];
            let now = if at < field.len() { now } else { &[] };
            match self.next(state, field, at, now, slots) {
                Next::State(next) => state = next,
                Next::End => return,
            }
        }
    }

    /// The step that the pattern prefers, among those that lead to an end; slots that are passed on
    /// the way to it are set.
    fn next(
        &self,
        from: StateID,
        field: &[u8],
        at: usize,
        now: &[u64],
        slots: &mut [Option<NonMaxUsize>],
    ) -> Next {
        let is_open =
            |position: u32| !now.is_empty() && words::contains(now, self.position_last - position);
        let looks = self.back.looks_at(field, at);
        let holds = |way: &&Way| {
            way.looks & !looks == 0 && way.step.is_none_or(|(_, position)| is_open(position))
        };
        let Some(way) = self.ways[from.as_usize()].iter().find(holds) else { return Next::End };
        way.passed.iter().for_each(|slot| slots[*slot] = NonMaxUsize::new(at));
        way.step.map_or(Next::End, |(next, _)| Next::State(next))
    }
}

/// The ways on from where each step leads, and from the start; by the NFA's state.
fn ways(nfa: &NFA, graph: &Graph) -> Vec<Vec<Way>> {
    let mut ways: Vec<_> = nfa.states().iter().map(|_| Vec::new()).collect();
    let targets = graph.steps.iter().flatten().map(|(next, _)| *next);
    let froms: BTreeSet<_> = targets.chain(nfa.start_pattern(PatternID::ZERO)).collect();
    for from in froms {
        ways[from.as_usize()] = ways_from(nfa, graph, from);
    }
    ways
}

fn ways_from(nfa: &NFA, graph: &Graph, from: StateID) -> Vec<Way> {
    let mut ways = Vec::new();
    let mut passed = Vec::new();
    let mut seen = HashSet::new();
    // States to look at, under which looks, and how many slots were passed on the way to them.
    let mut stack = vec![(from, 0, 0)];
    while let Some((id, looks, passed_count)) = stack.pop() {
        passed.truncate(passed_count);
        if seen.contains(&(id, 0)) || !seen.insert((id, looks)) {
            continue;
        }
        match nfa.state(id) {
            State::Look { look, next } => {
                stack.push((*next, looks | bits_of(*look), passed_count));
            }
            State::Union { alternates } => {
                stack.extend(alternates.iter().rev().map(|next| (*next, looks, passed_count)));
            }
            State::BinaryUnion { alt1, alt2 } => {
                stack.extend([(*alt2, looks, passed_count), (*alt1, looks, passed_count)]);
            }
            State::Capture { next, slot, .. } => {
                passed.push(slot.as_usize());
                stack.push((*next, looks, passed_count + 1));
            }
            State::Fail => {}
            State::Match { .. } => {
                ways.push(Way { step: None, looks, passed: passed.clone() });
                if looks == 0 {
                    break;
                }
            }
            _ => ways.extend(graph.steps[id.as_usize()].iter().map(|step| Way {
                step: Some(*step),
                looks,
                passed: passed.clone(),
            })),
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patterns::Pattern;

    #[test]
    fn patterns_without_a_choice_are_walked_along_once() {
        for (text, is_one_pass) in [
            (r"^hello\s+(?P<name>\w+)?", true),
            ("^(?:(a)(b)|(x))*", true),
            (r"^(\w+)\b=(\d)?$", true),
            (r"^(?:(a)\b|(b))+", true),
            (r"user=(\d+)", true),
            ("^(\\pL+)-", true),
            // After an a, another may be read by either.
            ("^(a*)(a)", false),
            (r"^(a*)\b(?:a|b)", false),
            // It may start anywhere, and nothing finds where.
            (r"(\w+)=", false),
            // An end that looks may keep from being one, and then what follows it.
            (r"^(a)(?:\b|(b))", false),
            // More groups than are kept at each end.
            (&"^(a)(b)".repeat(8), false),
        ] {
            let pattern = Pattern::compile(text).expect(text);
            let groups = Groups::new(&pattern.hir, pattern.groups().len()).expect(text);
            let ascii = groups.ascii.expect(text);
            assert_eq!(ascii.one_pass.is_some(), is_one_pass, "{text}");
        }
    }
}
