//! How often each rule matched, over all shards, and over reloads by the rule's name.

use std::collections::HashMap;
use std::sync::Arc;

use corndog_pipeline::counters::RuleCounters;
use corndog_pipeline::ruleset::{RuleSet, Scratch};

/// What one rule did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleCounts {
    /// Messages that it matched.
    pub matched: u64,
    /// Of these, left out by its `sample`.
    pub sampled: u64,
    /// Of these, those that an action could not be done with.
    pub errors: u64,
}

/// The counters of one configuration's rules.
#[derive(Debug, Default)]
struct Generation {
    names: Vec<String>,
    /// One for each receiver, by the rules' numbers. Written by that receiver alone.
    shards: Vec<Arc<[RuleCounters]>>,
}

/// All rules' counters.
#[derive(Debug, Default)]
pub struct RuleBooks {
    now: Generation,
    /// In force on some shards until all have taken the last reload.
    before: Generation,
    /// Of the configurations before these, for names that are still there.
    sums: HashMap<String, RuleCounts>,
}

impl RuleBooks {
    /// Those of the first configuration.
    pub fn new(rules: &RuleSet) -> RuleBooks {
        RuleBooks { now: Generation::new(rules), ..RuleBooks::default() }
    }

    /// One more receiver has these rules.
    pub fn add(&mut self, scratch: &Scratch) {
        self.now.shards.push(scratch.counters().clone());
    }

    /// Other rules are in force from now on, and on each shard from when it takes them.
    pub fn replace(&mut self, rules: &RuleSet) {
        self.before = std::mem::replace(&mut self.now, Generation::new(rules));
    }

    /// All shards have taken the last reload: nothing of what was before is counted any more.
    pub fn settle(&mut self) {
        let before = std::mem::take(&mut self.before);
        for (rule, name) in before.names.iter().enumerate() {
            self.sums.entry(name.clone()).or_default().add(before.counts(rule));
        }
        self.sums.retain(|name, _| self.now.names.contains(name));
    }

    /// What each rule did, in their order.
    pub fn rows(&self) -> impl Iterator<Item = (&str, RuleCounts)> {
        self.now.names.iter().enumerate().map(|(rule, name)| {
            let mut counts = self.now.counts(rule);
            counts.add(self.sums.get(name).copied().unwrap_or_default());
            if let Some(rule) = self.before.names.iter().position(|before| before == name) {
                counts.add(self.before.counts(rule));
            }
            (name.as_str(), counts)
        })
    }
}

impl Generation {
    fn new(rules: &RuleSet) -> Generation {
        let name = |rule| rules.rule_name(rule).to_owned();
        Generation { names: (0..rules.rule_count()).map(name).collect(), shards: Vec::new() }
    }

    fn counts(&self, rule: usize) -> RuleCounts {
        let mut sum = RuleCounts::default();
        for counters in self.shards.iter().filter_map(|shard| shard.get(rule)) {
            // Parts before the whole: they never show more.
            let (sampled, errors) = (counters.sampled.value(), counters.errors.value());
            sum.add(RuleCounts { matched: counters.matched.value(), sampled, errors });
        }
        sum
    }
}

impl RuleCounts {
    fn add(&mut self, more: RuleCounts) {
        self.matched += more.matched;
        self.sampled += more.sampled;
        self.errors += more.errors;
    }
}
