//! Any patterns on any fields: no panic, and one pass says what one by one says.
//!
//! Input: `[cache_bytes / 256 | patterns, LF after each | NUL | fields, NUL after each]`

#![no_main]

use corndog_pipeline::bits::Bits;
use corndog_pipeline::patterns::{Pattern, PatternSet};
use libfuzzer_sys::fuzz_target;

const PATTERNS_MAX: usize = 32;
const FIELDS_MAX: usize = 32;

fuzz_target!(|input: &[u8]| {
    let [cache_kib, rest @ ..] = input else { return };
    let mut parts = rest.split(|byte| *byte == 0);
    let texts = parts.next().unwrap_or_default().split(|byte| *byte == b'\n');
    let texts = texts.filter_map(|text| std::str::from_utf8(text).ok()).take(PATTERNS_MAX);
    let patterns = texts.filter_map(|text| Pattern::compile(text).ok());
    let patterns: Vec<Pattern> = patterns.map(Pattern::with_groups).collect();
    let count = patterns.len();
    let cache_bytes = usize::from(*cache_kib) * 256;
    let members = patterns.into_iter().enumerate().collect();
    let Ok(set) = PatternSet::with_cache_bytes(members, cache_bytes) else { return };
    let mut scratch = set.scratch();
    let mut spans = Vec::new();
    for field in parts.take(FIELDS_MAX) {
        let mut matched = Bits::new(count);
        set.search(&mut scratch, field, &mut matched);
        for (rule, member) in set.alone() {
            if set.is_match(member, &mut scratch, field) {
                matched.insert(rule);
            }
        }
        for member in 0..count {
            let is_match = set.is_match(member, &mut scratch, field);
            assert_eq!(matched.contains(member), is_match, "pattern {member}");
            set.captures(member, &mut scratch, field, &mut spans);
            assert_eq!(!spans.is_empty(), is_match, "captures of pattern {member}");
        }
    }
});
