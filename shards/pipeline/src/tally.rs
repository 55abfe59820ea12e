//! What the rules did with one message, noted while they are tried and counted once it is settled: a
//! message that has to wait for a batch is evaluated again, and counts once.

use std::sync::Arc;

use crate::actions::Ending;
use crate::counters::{Dropped, RuleCounters};

/// One shard's counters of its rules, and what is not counted yet.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Written by the shard that has this, read by the main thread.
    counters: Arc<[RuleCounters]>,
    /// Rules that matched the message at hand.
    matched: Vec<usize>,
    /// What else its ending says of a rule.
    blamed: Option<(usize, Blame)>,
}

/// What becomes of a message that a rule matched, and did not forward as it is.
#[derive(Debug, Clone, Copy)]
enum Blame {
    Sampled,
    Error,
}

impl Tally {
    pub(crate) fn new(rule_count: usize) -> Tally {
        let counters = (0..rule_count).map(|_| RuleCounters::default()).collect();
        Tally { counters, matched: Vec::with_capacity(rule_count), blamed: None }
    }

    pub(crate) fn counters(&self) -> &Arc<[RuleCounters]> {
        &self.counters
    }

    /// A new message, or the last one again.
    pub(crate) fn begin(&mut self) {
        self.matched.clear();
        self.blamed = None;
    }

    #[inline]
    pub(crate) fn note_match(&mut self, rule: usize) {
        self.matched.push(rule);
    }

    #[inline]
    pub(crate) fn note_ending(&mut self, ending: Option<&Ending>) {
        self.blamed = match ending {
            Some(Ending::Dropped { rule, reason: Dropped::Sampled }) => {
                Some((*rule, Blame::Sampled))
            }
            Some(Ending::Refused { rule: Some(rule), .. }) => Some((*rule, Blame::Error)),
            _ => None,
        };
    }

    /// The message is settled.
    #[inline]
    pub(crate) fn count(&mut self) {
        for &rule in &self.matched {
            self.counters[rule].matched.add(1);
        }
        self.matched.clear();
        match self.blamed.take() {
            Some((rule, Blame::Sampled)) => self.counters[rule].sampled.add(1),
            Some((rule, Blame::Error)) => self.counters[rule].errors.add(1),
            None => {}
        }
    }
}
