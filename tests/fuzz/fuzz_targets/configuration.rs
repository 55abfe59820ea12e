//! Any bytes are a configuration: settings or sentences, soon, and never a panic.
//!
//! The program is no library, so its own files are included. librdkafka, which judges the values
//! under [kafka.conf] in the program, is left out: it is C, and no part of what is looked at here.

#![no_main]
#![allow(dead_code, unused_imports, reason = "the program uses what this target does not")]

extern crate self as corndog_producer;

#[path = "../../../src"]
mod program {
    pub mod config;
    pub mod cores;
}

use corndog_pipeline::ruleset::RuleSet;
use libfuzzer_sys::fuzz_target;
use program::config::Settings;
use program::cores;
use std::time::{Duration, Instant};

/// Bytes of an input: a file may be longer, and takes as much longer.
const INPUT_BYTES_MAX: usize = 16 << 10;

/// The costliest rules are patterns that compile to their limit, at some 10 ms each and with
/// sanitizers ten times that; an input has room for a few hundred of them.
const TIME_MAX: Duration = Duration::from_secs(60);

/// In the place of librdkafka.
pub fn check(_conf: &[(String, String)]) -> Result<Vec<String>, Vec<String>> {
    Ok(Vec::new())
}

fuzz_target!(|bytes: &[u8]| {
    let bytes = &bytes[..bytes.len().min(INPUT_BYTES_MAX)];
    let text = String::from_utf8_lossy(bytes);
    let start = Instant::now();
    let read = Settings::from_toml(&text, &[], &[], &[0, 1, 2, 3]);
    match &read {
        Ok((settings, warnings)) => {
            assert!(warnings.iter().all(|warning| !warning.contains('\n')), "{warnings:?}");
            assert!(!settings.summary().contains('\n'));
            // What was found in order rule by rule is so as a whole, but for what all cost together.
            let refused = RuleSet::compile(&settings.rules, &settings.routing).err();
            let refused = refused.unwrap_or_default();
            assert!(refused.iter().all(|why| !why.starts_with("rule ")), "{refused:?}");
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            for mistake in mistakes {
                let lines: Vec<&str> = mistake.0.split('\n').collect();
                let is_place = |line: &&str| line.starts_with("    ");
                assert!(matches!(lines.len(), 1 | 3), "{mistake}");
                assert!(lines[1..].iter().all(is_place), "{mistake}");
            }
        }
    }
    assert!(start.elapsed() < TIME_MAX, "{:?}", start.elapsed());
});
