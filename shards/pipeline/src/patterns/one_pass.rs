//! Groups of patterns that leave no choice at any byte: found by walking along once.

use regex_automata::dfa::onepass;
use regex_automata::nfa::thompson::NFA;
use regex_automata::util::prefilter::Prefilter;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input, Span};
use regex_syntax::hir::Hir;

use super::{automaton, shape};

/// Nanoseconds for each byte.
pub(super) const STEP_NS: usize = 3;

/// Bytes of the tables of a pattern that leaves no choice.
const ONE_PASS_BYTES_MAX: usize = 256 * 1024;

/// Places that a filter finds at which such a pattern is tried, before going both ways.
const TRIES_MAX: usize = 3;

/// A pattern that leaves no choice, wherever it starts.
#[derive(Debug)]
pub(super) struct OnePass {
    dfa: onepass::DFA,
    /// Finds where matches may start; `None` for patterns that start with `^`.
    filter: Option<Prefilter>,
}

impl OnePass {
    /// `None` if the pattern leaves a choice, or if it may start anywhere.
    pub(super) fn new(nfa: &NFA, hir: &Hir) -> Option<OnePass> {
        if nfa.look_set_any().contains_word_unicode() {
            return None;
        }
        let filter = match shape::is_anchored(hir) {
            true => None,
            false => Some(automaton::filter(std::slice::from_ref(hir))?),
        };
        let config = onepass::DFA::config().size_limit(Some(ONE_PASS_BYTES_MAX));
        let dfa = onepass::DFA::builder().configure(config).build_from_nfa(nfa.clone()).ok()?;
        Some(OnePass { dfa, filter })
    }

    /// True if it always finds out.
    pub(super) fn is_final(&self) -> bool {
        self.filter.is_none()
    }

    /// Puts where the groups match into `slots`; false if the pattern does not match, `None` if it
    /// was not found out.
    pub(super) fn find(
        &self,
        cache: &mut Option<onepass::Cache>,
        slots: &mut [Option<NonMaxUsize>],
        field: &[u8],
    ) -> Option<bool> {
        let cache = cache.get_or_insert_with(|| self.dfa.create_cache());
        cache.reset(&self.dfa);
        let mut find_at = |start: usize| {
            let input = Input::new(field).range(start..).anchored(Anchored::Yes);
            Some(self.dfa.try_search_slots(cache, &input, slots).ok()?.is_some())
        };
        let Some(filter) = &self.filter else { return find_at(0) };
        let mut start = 0;
        for _ in 0..TRIES_MAX {
            let Some(span) = filter.find(field, Span::from(start..field.len())) else {
                return Some(false);
            };
            if find_at(span.start)? {
                return Some(true);
            }
            start = span.start + 1;
        }
        None
    }
}
