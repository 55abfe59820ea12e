//! Numbers of eight lower-case hexadecimal digits, written and read eight digits at a time.
//!
//! The digits of a number stand in one u64, a byte each, the first in the lowest: as they lie in
//! memory. All steps below work on the eight bytes side by side, without a table or a branch.

const ONES: u64 = 0x0101_0101_0101_0101;
/// From the digit after `9` to `a`.
const LETTERS: u64 = (b'a' - b'9' - 1) as u64;

/// The number's digits.
#[inline]
pub fn digits(number: u32) -> [u8; 8] {
    encode(spread(number)).to_le_bytes()
}

/// The number that these digits are; `None` if one is none, or an upper-case one.
#[inline]
pub fn number(digits: [u8; 8]) -> Option<u32> {
    let text = u64::from_le_bytes(digits);
    // Letters have the bit 0x40, and 1 in the low half for `a`.
    let letters = text >> 6 & ONES;
    let nibbles = (text & (0x0f * ONES)).wrapping_add(letters * 9) & (0x0f * ONES);
    // What was no digit does not come out again as it was.
    (encode(nibbles) == text).then(|| gather(nibbles))
}

/// Sixteen digits.
#[inline]
pub fn digits_of_u64(number: u64) -> [u8; 16] {
    let mut text = [0; 16];
    text[..8].copy_from_slice(&digits((number >> 32) as u32));
    text[8..].copy_from_slice(&digits(number as u32));
    text
}

/// The number that these sixteen digits are.
#[inline]
pub fn u64_of_digits(text: &[u8; 16]) -> Option<u64> {
    let half = |start: usize| number(std::array::from_fn(|index| text[start + index]));
    Some(u64::from(half(0)?) << 32 | u64::from(half(8)?))
}

/// A value below 16 in each byte, to a digit in each byte.
#[inline]
fn encode(nibbles: u64) -> u64 {
    let letters = (nibbles + 6 * ONES) >> 4 & ONES;
    nibbles + u64::from(b'0') * ONES + letters * LETTERS
}

/// Eight values below 16, the number's highest in the lowest byte.
#[inline]
fn spread(number: u32) -> u64 {
    let mut wide = u64::from(number);
    wide = (wide | wide << 16) & 0x0000_ffff_0000_ffff;
    wide = (wide | wide << 8) & 0x00ff_00ff_00ff_00ff;
    wide = (wide | wide << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    wide.swap_bytes()
}

/// The opposite of `spread`.
#[inline]
fn gather(nibbles: u64) -> u32 {
    let mut wide = nibbles.swap_bytes();
    wide = (wide | wide >> 4) & 0x00ff_00ff_00ff_00ff;
    wide = (wide | wide >> 8) & 0x0000_ffff_0000_ffff;
    (wide | wide >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_library() {
        let numbers = (0..32).flat_map(|bit| [1u32 << bit, (1u32 << bit) - 1, 0x9e37_79b9 << bit]);
        for value in numbers.chain([0, u32::MAX, 0x0123_4567, 0x89ab_cdef]) {
            let text = digits(value);
            assert_eq!(text, format!("{value:08x}").as_bytes());
            assert_eq!(number(text), Some(value));
            let wide = u64::from(value) << 32 | 0x9a0f_a909;
            assert_eq!(digits_of_u64(wide), format!("{wide:016x}").as_bytes());
            assert_eq!(u64_of_digits(&digits_of_u64(wide)), Some(wide));
        }
    }

    #[test]
    fn only_digits_and_lower_case_letters_are_digits() {
        for byte in 0..=u8::MAX {
            let value = (byte as char).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
            for index in 0..8 {
                let mut text = *b"00000000";
                text[index] = byte;
                let shift = 4 * (7 - index);
                assert_eq!(number(text), value.map(|value| value << shift), "{byte} at {index}");
            }
        }
    }
}
