//! One generated rule set on its generated messages.

use std::collections::BTreeMap;

use corndog_pipeline::template::Context;
use jiff::{SignedDuration, Timestamp};

use super::generate::{self, Generated};
use super::messages::Parts;
use super::pair::Pair;
use super::random::Random;
use super::shrink::Case;

/// Names a rule set and its messages: the same numbers give the same.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    /// Of the whole run.
    pub seed: u64,
    /// Of this rule set.
    pub set: u64,
}

impl Stream {
    fn open(self) -> (Generated, Parts, Random) {
        let mut random = Random::new(self.seed ^ Random::new(self.set).number());
        let generated = generate::rule_set(&mut random);
        let parts = Parts::new(&mut random);
        (generated, parts, random)
    }
}

static UTC: jiff::tz::TimeZone = jiff::tz::TimeZone::UTC;

/// What surrounds message number `number`: some 50 come in a second.
pub fn context(number: usize) -> Context<'static> {
    let since = SignedDuration::from_millis(1_770_000_000_000 + 20 * number as i64);
    let now = Timestamp::from_duration(since).expect("in this century");
    Context {
        peer: b"192.0.2.7",
        listener: b"plain",
        now,
        zone: &UTC,
        client_name: None,
        credentials: None,
    }
}

/// Compares both on so many messages, and counts what came of them.
///
/// Errors: the first difference, made small.
pub fn agree(
    stream: Stream,
    messages: u64,
    counts: &mut BTreeMap<&'static str, u64>,
) -> Result<(), String> {
    let (generated, parts, mut random) = stream.open();
    let mut pair = Pair::new(&generated).map_err(|mistakes| {
        format!("legal rules are refused:\n{}\n{:#?}", mistakes.join("\n"), generated.rules)
    })?;
    let mut frame = Vec::new();
    for number in 0..messages as usize {
        parts.next(&mut random, &mut frame);
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pair.check(&frame, &context(number))
        }));
        match checked {
            Ok(Ok(kind)) => *counts.entry(kind).or_default() += 1,
            Ok(Err(difference)) => return Err(small(stream, number, &difference)),
            Err(_) => return Err(small(stream, number, "it panics")),
        }
    }
    Ok(())
}

/// The difference that message number `last` shows, made small.
fn small(stream: Stream, last: usize, difference: &str) -> String {
    let (generated, parts, mut random) = stream.open();
    let next = |_| {
        let mut frame = Vec::new();
        parts.next(&mut random, &mut frame);
        frame
    };
    let frames: Vec<Vec<u8>> = (0..=last).map(next).collect();
    let mut case = Case { generated, frames, context: &context };
    case.shrink();
    format!("message {last}:\n{difference}\n\nmade small:\n{case}")
}
