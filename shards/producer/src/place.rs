//! Where a record is, as one word: librdkafka keeps it and gives it back with the report.
//!
//! ```text
//! bit 63: a dead letter   62..32: the seat of its batch   31..0: which record, or which letter
//! ```

/// A record of the batch, or the dead letter made of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    /// By its index in the batch.
    Record(usize),
    /// By its index among the letters of the batch.
    Letter(usize),
}

/// Which record that is with librdkafka, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) slot: usize,
    pub(crate) item: Item,
}

const LETTER: usize = 1 << 63;
const INDEX_BITS: u32 = 32;
const INDEX_MASK: usize = (1 << INDEX_BITS) - 1;

impl Place {
    pub(crate) const fn record(slot: usize, index: usize) -> Place {
        Place { slot, item: Item::Record(index) }
    }

    pub(crate) const fn letter(slot: usize, at: usize) -> Place {
        Place { slot, item: Item::Letter(at) }
    }

    #[inline]
    pub(crate) const fn pack(self) -> usize {
        match self.item {
            Item::Record(index) => self.slot << INDEX_BITS | index,
            Item::Letter(at) => LETTER | self.slot << INDEX_BITS | at,
        }
    }

    #[inline]
    pub(crate) const fn unpack(word: usize) -> Place {
        let slot = (word & !LETTER) >> INDEX_BITS;
        match word & LETTER {
            0 => Place::record(slot, word & INDEX_MASK),
            _ => Place::letter(slot, word & INDEX_MASK),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_from_its_word() {
        for slot in [0, 1, 4095, 0x7fff_ffff] {
            for index in [0, 1, 8191, INDEX_MASK] {
                for place in [Place::record(slot, index), Place::letter(slot, index)] {
                    assert_eq!(Place::unpack(place.pack()), place);
                }
            }
        }
    }
}
