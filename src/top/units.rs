//! Numbers and texts of [`Figures`](crate::figures::Figures) -> what a person reads, on one line.
//!
//! Texts come from senders and from whoever answers at the address: nothing in them may steer a
//! terminal, and nothing may be long.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::text::Span;

/// Stands where a text was cut.
const CUT: char = '\u{2026}';
/// Characters of a text that are looked at, whatever its width: marks that combine have none.
const CHARACTERS_MAX: usize = 1024;

/// Marks on one letter.
const MARKS_MAX: usize = 2;

/// `text` without what could steer a terminal or hide in it, in at most so many columns.
pub fn clean(text: &str, width_max: usize) -> String {
    let mut shown = String::new();
    let mut marks = 0;
    for (index, character) in text.chars().enumerate() {
        if index >= CHARACTERS_MAX {
            shown.push(CUT);
            break;
        }
        match character {
            '\t' | '\n' | '\r' => shown.push(' '),
            character if character.is_control() => shown.push('\u{fffd}'),
            character if is_invisible(character) => {}
            character => {
                // More marks on one letter than a language has reach into the lines around.
                marks = if is_mark(character) { marks + 1 } else { 0 };
                if marks <= MARKS_MAX {
                    shown.push(character);
                }
            }
        }
    }
    cut(shown, width_max)
}

/// What turns the direction of writing, joins, or takes no room.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// What takes no column of its own.
fn is_mark(character: char) -> bool {
    !character.is_ascii() && width(character.encode_utf8(&mut [0; 4])) == 0
}

fn cut(mut text: String, width_max: usize) -> String {
    if width(&text) <= width_max {
        return text;
    }
    // The longest start that leaves a column for the mark.
    let ends: Vec<usize> = text.char_indices().map(|(end, _)| end).collect();
    let fitting = ends.partition_point(|end| width(&text[..*end]) < width_max);
    text.truncate(fitting.checked_sub(1).map_or(0, |last| ends[last]));
    if width_max > 0 {
        text.push(CUT);
    }
    text
}

/// Columns that it takes in a terminal.
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { Span::raw(text).width() }
}

/// `1,234,567`.
pub fn exact(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `-1,234`.
pub fn signed(count: i64) -> String {
    let sign = if count < 0 { "-" } else { "" };
    format!("{sign}{}", exact(count.unsigned_abs()))
}

/// `1.23M`; exact below 100,000.
pub fn short(count: u64) -> String {
    if count < 100_000 { exact(count) } else { scaled(count as f64) }
}

/// Per second: `0`, `0.2`, `41.2k`.
pub fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate <= 0.0 => "0".to_owned(),
        rate if rate < 0.1 => "<0.1".to_owned(),
        rate => scaled(rate),
    }
}

/// Three figures and a letter.
fn scaled(number: f64) -> String {
    let (number, unit) = in_unit(number, 1000.0, &["", "k", "M", "G", "T", "P", "E"]);
    let decimals = if unit.is_empty() && number.fract() == 0.0 { 0 } else { decimals(number) };
    format!("{number:.decimals$}{unit}")
}

/// `12.3 MiB`.
pub fn bytes(count: u64) -> String {
    let (number, unit) =
        in_unit(count as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]);
    let decimals = if unit == "B" { 0 } else { decimals(number) };
    format!("{number:.decimals$} {unit}")
}

/// Bytes per second.
pub fn bytes_rate(per_second: f64) -> String {
    format!("{}/s", bytes(per_second as u64))
}

fn in_unit(mut number: f64, step: f64, units: &'static [&'static str]) -> (f64, &'static str) {
    let mut index = 0;
    // What rounds to a thousand is one of the next unit.
    while number >= step - 0.5 && index + 1 < units.len() {
        number /= step;
        index += 1;
    }
    (number, units.get(index).copied().unwrap_or_default())
}

fn decimals(number: f64) -> usize {
    match number {
        number if number < 9.995 => 2,
        number if number < 99.95 => 1,
        _ => 0,
    }
}

/// `850 us`, `1.23 ms`, `12.3 s`, `3 min 5 s`.
pub fn micros(count: u64) -> String {
    let number = count as f64;
    match count {
        0..1_000 => format!("{count} us"),
        1_000..1_000_000 => format!("{:.*} ms", decimals(number / 1e3), number / 1e3),
        1_000_000..60_000_000 => format!("{:.*} s", decimals(number / 1e6), number / 1e6),
        _ => seconds(number / 1e6),
    }
}

/// `42 s`, `12 min 3 s`, `4 h 12 min`, `3 d 4 h`.
pub fn seconds(count: f64) -> String {
    let count = count.max(0.0) as u64;
    match count {
        0..60 => format!("{count} s"),
        60..3_600 => format!("{} min {} s", count / 60, count % 60),
        3_600..86_400 => format!("{} h {} min", count / 3_600, count / 60 % 60),
        _ => format!("{} d {} h", exact(count / 86_400), count / 3_600 % 24),
    }
}

/// Of a share from 0 to 1: `63 %`.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", (share * 100.0).clamp(0.0, 999.0))
}

/// An RFC 3339 instant on the wall clock here; what is none is shown as it is.
pub fn clock(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(instant) => at(instant, Timestamp::now()),
        Err(_) => clean(time, 20),
    }
}

/// `17:03:11`, with the day where it is another one.
pub fn at(instant: Timestamp, now: Timestamp) -> String {
    let zone = TimeZone::system();
    let (then, now) = (instant.to_zoned(zone.clone()), now.to_zoned(zone));
    let format = if then.date() == now.date() { "%H:%M:%S" } else { "%F %H:%M" };
    then.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        let hostile = "a\x1b[31mb\u{9b}2J\x07\u{202e}c\td\u{7f}\u{200b}\u{feff}";
        assert_eq!(clean(hostile, 80), "a\u{fffd}[31mb\u{fffd}2J\u{fffd}c d\u{fffd}");
        assert_eq!(clean("\x1b]0;title\x07", 80), "\u{fffd}]0;title\u{fffd}");
    }

    #[test]
    fn long_texts_are_cut_by_their_width() {
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abcde\u{2026}");
        assert_eq!(clean("\u{65e5}\u{672c}\u{8a9e}", 5), "\u{65e5}\u{672c}\u{2026}");
        assert_eq!(clean("abc", 1), "\u{2026}");
        assert_eq!(clean("abc", 0), "");
        assert_eq!(clean(&"\u{301}".repeat(1000), 8), "\u{301}\u{301}");
        assert_eq!(clean(&"a\u{301}".repeat(1 << 20), 3), "a\u{301}a\u{301}\u{2026}");
    }

    #[test]
    fn numbers_are_short_and_right() {
        let counts = [0, 999, 1_000, 99_999, 100_000, 999_499, 999_999, 12_345_678, u64::MAX];
        let shown = ["0", "999", "1,000", "99,999", "100k", "999k", "1.00M", "12.3M", "18.4E"];
        assert_eq!(counts.map(short), shown);
        assert_eq!(exact(u64::MAX), "18,446,744,073,709,551,615");
        let rates = [-1.0, 0.0, 0.01, 0.25, 7.0, 41_234.0, f64::NAN, f64::MAX].map(rate);
        assert_eq!(rates[..6], ["0", "0", "<0.1", "0.25", "7", "41.2k"]);
        assert_eq!([0, 1023, 1024, 5 << 20].map(bytes), ["0 B", "1023 B", "1.00 KiB", "5.00 MiB"]);
        let times = [0, 850, 1_234, 12_345, 123_456, 1_500_000, 61_000_000, u64::MAX].map(micros);
        assert_eq!(
            times[..7],
            ["0 us", "850 us", "1.23 ms", "12.3 ms", "123 ms", "1.50 s", "1 min 1 s"]
        );
        assert_eq!(seconds(-5.0), "0 s");
        assert_eq!(seconds(273_600.0), "3 d 4 h");
        assert_eq!([0.631, -1.0, 1e300].map(percent), ["63 %", "0 %", "999 %"]);
    }

    #[test]
    fn a_time_that_is_none_is_cleaned() {
        assert_eq!(clock("\x1b[2J"), "\u{fffd}[2J");
    }
}
