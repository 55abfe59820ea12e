//! A set of small numbers: which rules match.

const WORD_BITS: usize = u64::BITS as usize;

/// Numbers below a capacity, one bit each.
///
/// Cost:   nothing is allocated after `new`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// An empty set that has room for the numbers below `capacity`.
    pub fn new(capacity: usize) -> Bits {
        Bits { words: vec![0; capacity.div_ceil(WORD_BITS)] }
    }

    /// Takes all numbers out.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Puts a number in; true if it was not there.
    ///
    /// Panics: if the number is beyond the capacity, rounded up to 64.
    pub fn insert(&mut self, number: usize) -> bool {
        let (word, bit) = (&mut self.words[number / WORD_BITS], 1 << (number % WORD_BITS));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Takes a number out.
    ///
    /// Panics: as `insert`.
    pub fn remove(&mut self, number: usize) {
        self.words[number / WORD_BITS] &= !(1 << (number % WORD_BITS));
    }

    /// True if the number is in it.
    pub fn contains(&self, number: usize) -> bool {
        let word = self.words.get(number / WORD_BITS);
        word.is_some_and(|word| word & (1 << (number % WORD_BITS)) != 0)
    }

    /// The smallest number in it that is not below `from`.
    pub fn next_from(&self, from: usize) -> Option<usize> {
        let mut index = from / WORD_BITS;
        let mut word = self.words.get(index)? & (u64::MAX << (from % WORD_BITS));
        while word == 0 {
            index += 1;
            word = *self.words.get(index)?;
        }
        Some(index * WORD_BITS + word.trailing_zeros() as usize)
    }

    /// True if a number is in both sets.
    pub fn meets(&self, other: &Bits) -> bool {
        self.words.iter().zip(&other.words).any(|(word, other)| word & other != 0)
    }

    /// Makes it the same set as `other`, which has the same capacity.
    ///
    /// Panics: if the capacities differ.
    pub fn copy_from(&mut self, other: &Bits) {
        self.words.copy_from_slice(&other.words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_in_order() {
        let mut bits = Bits::new(130);
        assert_eq!(bits.next_from(0), None);
        for number in [129, 0, 64, 63] {
            assert!(bits.insert(number));
            assert!(!bits.insert(number));
            bits.remove(number);
            assert!(!bits.contains(number));
            assert!(bits.insert(number));
        }
        let mut from = 0;
        for number in [0, 63, 64, 129] {
            assert!(bits.contains(number) && !bits.contains(number + 1) || number == 63);
            assert_eq!(bits.next_from(from), Some(number));
            from = number + 1;
        }
        assert_eq!(bits.next_from(from), None);
        assert_eq!(bits.next_from(100_000), None);
        assert!(!bits.contains(100_000));

        let mut copy = Bits::new(130);
        copy.copy_from(&bits);
        assert_eq!(copy, bits);
        assert!(copy.meets(&bits) && !copy.meets(&Bits::new(130)));
        copy.clear();
        assert_eq!(copy.next_from(0), None);
    }
}
