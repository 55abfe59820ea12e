//! Sizes and durations as an operator types them: `"64 KiB"`, `"5 ms"`.
//!
//! A number without a unit is refused, and so are kB and MB, which mean two things: a limit that
//! was read wrongly shows only under load.

/// What a number in the configuration counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A plain number.
    Count,
    /// Bytes, typed with B, KiB, MiB or GiB.
    Bytes,
    /// Milliseconds, typed with ms, s, min or h.
    Millis,
}

const SIZES: &[(&str, i64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
const DURATIONS: &[(&str, i64)] = &[("ms", 1), ("s", 1000), ("min", 60_000), ("h", 3_600_000)];

impl Unit {
    /// Unit names with their factors, ascending; none for a plain number.
    fn factors(self) -> &'static [(&'static str, i64)] {
        match self {
            Unit::Count => &[],
            Unit::Bytes => SIZES,
            Unit::Millis => DURATIONS,
        }
    }

    /// Reads `"64 KiB"`; the space may be left out, the unit may not.
    ///
    /// What does not fit saturates: the range check that follows says that it is too large.
    pub fn parse(self, text: &str) -> Option<i64> {
        let text = text.trim();
        let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(digits_end);
        if digits.is_empty() {
            return None;
        }
        let unit = unit.trim_start();
        let (_, factor) = self.factors().iter().find(|(name, _)| *name == unit)?;
        Some(digits.parse::<i64>().unwrap_or(i64::MAX).saturating_mul(*factor))
    }

    /// Writes a number as [`Unit::parse`] reads it, in the largest unit that keeps it whole.
    pub fn show(self, number: i64) -> String {
        let whole = |factor: i64| number == 0 || number % factor == 0;
        match self.factors().iter().rev().find(|(_, factor)| number >= *factor && whole(*factor)) {
            Some((name, factor)) => format!("{} {name}", number / factor),
            None => match self.factors().first() {
                Some((name, _)) => format!("{number} {name}"),
                None => number.to_string(),
            },
        }
    }

    /// What is wanted, for "5 is not a size".
    pub fn wanted(self) -> &'static str {
        match self {
            Unit::Count => "a whole number",
            Unit::Bytes => "a size",
            Unit::Millis => "a duration",
        }
    }

    /// How it is written, with room for an example after it.
    pub fn how(self) -> &'static str {
        match self {
            Unit::Count => "write it without quotes and unit",
            Unit::Bytes => "write a whole number with B, KiB, MiB or GiB",
            Unit::Millis => "write a whole number with ms, s, min or h",
        }
    }
}

/// A number's range, each end with its reason, and what holds when the key is left out.
#[derive(Debug)]
pub struct Bounds {
    /// What the number counts.
    pub unit: Unit,
    /// The smallest number allowed, and why.
    pub min: (i64, &'static str),
    /// The largest number allowed, and why.
    pub max: (i64, &'static str),
    /// In the range, and in the example of an error.
    pub default: i64,
}

impl Bounds {
    /// The number as it is typed: `16`, or `"64 KiB"` with its quotes.
    pub fn example(&self) -> String {
        match self.unit {
            Unit::Count => self.default.to_string(),
            Unit::Bytes | Unit::Millis => format!("\"{}\"", self.unit.show(self.default)),
        }
    }

    /// `None` when `number` is in the range; else what is wrong with it and what to do.
    pub fn refuse(&self, number: i64) -> Option<String> {
        if number < self.min.0 {
            let (least, why) = (self.unit.show(self.min.0), self.min.1);
            return Some(format!("is too small; give at least {least}, {why}"));
        }
        if number > self.max.0 {
            let (most, why) = (self.unit.show(self.max.0), self.max.1);
            return Some(format!("is too large; give at most {most}, {why}"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_a_known_unit_is_refused() {
        for text in
            ["", "64", "KiB", "1.5 MiB", "-1 KiB", "64 kB", "64 KB", "64 kib", "5 ms", "6 4 B"]
        {
            assert_eq!(Unit::Bytes.parse(text), None, "{text:?}");
        }
        for text in ["5", "5 m", "5 sec", "5 KiB", "1 min 30 s", "\u{0665} s"] {
            assert_eq!(Unit::Millis.parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn space_is_optional_and_overflow_saturates() {
        assert_eq!(Unit::Bytes.parse("64KiB"), Some(65_536));
        assert_eq!(Unit::Bytes.parse(" 512 B "), Some(512));
        assert_eq!(Unit::Millis.parse("10  min"), Some(600_000));
        assert_eq!(Unit::Bytes.parse("99999999999999999999 GiB"), Some(i64::MAX));
        assert_eq!(Unit::Millis.parse("9223372036854775807 h"), Some(i64::MAX));
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for unit in [Unit::Bytes, Unit::Millis] {
            for number in
                [0, 1, 480, 999, 1000, 1024, 1500, 65_536, 60_000, 90_000, 1 << 20, 1 << 34]
            {
                assert_eq!(unit.parse(&unit.show(number)), Some(number), "{}", unit.show(number));
            }
        }
        assert_eq!(Unit::Bytes.show(64 << 20), "64 MiB");
        assert_eq!(Unit::Millis.show(90_000), "90 s");
        assert_eq!(Unit::Count.show(16), "16");
    }
}
