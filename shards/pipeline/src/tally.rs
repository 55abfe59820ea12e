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
    /// How it ended, where that says something of a rule.
    ending: Option<Ending>,
}

impl Tally {
    pub(crate) fn new(rule_count: usize) -> Tally {
        let counters = (0..rule_count).map(|_| RuleCounters::default()).collect();
        Tally { counters, matched: Vec::with_capacity(rule_count), ending: None }
    }

    pub(crate) fn counters(&self) -> &Arc<[RuleCounters]> {
        &self.counters
    }

    /// A new message, or the last one again.
    pub(crate) fn begin(&mut self) {
        self.matched.clear();
        self.ending = None;
    }

    pub(crate) fn note_match(&mut self, rule: usize) {
        self.matched.push(rule);
    }

    pub(crate) fn note_ending(&mut self, ending: Option<Ending>) {
        self.ending = ending;
    }

    /// The message is settled.
    #[inline]
    pub(crate) fn count(&mut self) {
        for rule in self.matched.drain(..) {
            self.counters[rule].matched.add(1);
        }
        match self.ending.take() {
            Some(Ending::Dropped { rule, reason: Dropped::Sampled }) => {
                self.counters[rule].sampled.add(1);
            }
            Some(Ending::Refused { rule: Some(rule), .. }) => self.counters[rule].errors.add(1),
            _ => {}
        }
    }
}
