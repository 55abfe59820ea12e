//! What is said of messages that become no record: the first of each reason, and then one each
//! interval. How many there were besides, the main thread knows of all receivers.

use std::cell::Cell;
use std::time::{Duration, Instant};

use corndog_pipeline::control::Level;
use corndog_pipeline::counters::Dropped;

use crate::origin::Origin;

/// Between two messages told of for one reason. Not all become lines: the main thread says which.
const INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of a message that a line shows.
const SHOWN_BYTES_MAX: usize = 200;

/// What one shard has said.
#[derive(Debug, Default)]
pub(crate) struct Drops([Cell<Option<Instant>>; Dropped::ALL.len()]);

impl Drops {
    /// Whether the message dropped at `now` is told of.
    #[inline]
    pub(crate) fn is_told(&self, reason: Dropped, now: Instant) -> bool {
        let told = &self.0[reason as usize];
        let is_over =
            |last: Instant| !is_intended(reason) && now.saturating_duration_since(last) >= INTERVAL;
        let is_due = told.get().is_none_or(is_over);
        if is_due {
            told.set(Some(now));
        }
        is_due
    }
}

/// True if the operator's rules ask for it: one line tells that they do.
fn is_intended(reason: Dropped) -> bool {
    matches!(reason, Dropped::Stopped | Dropped::Sampled)
}

pub(crate) fn level(reason: Dropped) -> Level {
    if is_intended(reason) { Level::Info } else { Level::Warn }
}

/// The condition's name in the log.
pub(crate) fn kind(reason: Dropped) -> &'static str {
    match reason {
        Dropped::Unmatched => "dropped_unmatched",
        Dropped::Stopped => "dropped_stopped",
        Dropped::Framing => "dropped_framing",
        Dropped::Oversize => "dropped_oversize",
        Dropped::TopicRefused => "dropped_topic_refused",
        Dropped::MergeNotJson => "dropped_merge_not_json",
        Dropped::Sampled => "dropped_sampled",
        Dropped::NotAllowed => "dropped_not_allowed",
    }
}

fn why(reason: Dropped) -> &'static str {
    match reason {
        Dropped::Unmatched => "no rule forwards it",
        Dropped::Stopped => "a stop, as it is meant to; not told again",
        Dropped::Framing => "it has no end",
        Dropped::Oversize => "it, or what the rules make of it, is too long",
        Dropped::TopicRefused => {
            "its topic is illegal, not in topics.allow, or one more than topics.distinct"
        }
        Dropped::MergeNotJson => "a merge into what is no JSON object",
        Dropped::Sampled => "left out by a sample, as it is meant to; not told again",
        Dropped::NotAllowed => "its address is in none of the networks in allow",
    }
}

/// The line: who sent it, why, which rule, and how it begins.
pub(crate) fn describe(
    reason: Dropped,
    rule: Option<&str>,
    frame: &[u8],
    origin: &Origin,
) -> String {
    let mut line = format!("{origin}: dropped ({}): {}", reason.name(), why(reason));
    if let Some(rule) = rule {
        line.push_str(&format!("; rule {rule:?}"));
    }
    let shown = &frame[..frame.len().min(SHOWN_BYTES_MAX)];
    line.push_str(&format!("; \"{}\"", shown.escape_ascii()));
    if shown.len() < frame.len() {
        line.push_str(&format!(" and {} bytes more", frame.len() - shown.len()));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_then_one_each_interval() {
        let drops = Drops::default();
        let start = Instant::now();
        assert!(drops.is_told(Dropped::Unmatched, start));
        assert!(!drops.is_told(Dropped::Unmatched, start));
        assert!(drops.is_told(Dropped::Oversize, start));
        assert!(drops.is_told(Dropped::Unmatched, start + INTERVAL));
        assert!(drops.is_told(Dropped::Stopped, start));
        assert!(!drops.is_told(Dropped::Stopped, start + INTERVAL * 9));
    }

    #[test]
    fn every_reason_has_a_kind_with_its_name() {
        for reason in Dropped::ALL {
            assert_eq!(kind(reason), format!("dropped_{}", reason.name()));
        }
    }
}
