//! Rules that are not looked at until what they need is found: a path in a field's JSON, a parameter
//! of structured data. Thousands of them cost a message nothing that has none of it.

use crate::bits::Bits;

/// Rules that become candidates when something is found, by its number.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// With its turn it is looked for.
    pub(crate) first: Option<usize>,
    by_number: Vec<Vec<usize>>,
}

impl Waiting {
    /// One more rule; rules come in order.
    pub(crate) fn push(&mut self, number: usize, rule: usize) {
        self.first.get_or_insert(rule);
        if self.by_number.len() <= number {
            self.by_number.resize(number + 1, Vec::new());
        }
        self.by_number[number].push(rule);
    }

    /// What has this number was found: the rules that waited for it are candidates.
    pub(crate) fn release(&self, number: usize, candidates: &mut Bits) {
        for rule in self.by_number.get(number).into_iter().flatten() {
            candidates.insert(*rule);
        }
    }
}
