//! What a sink does wrong on purpose: answers that come late, and errors in a pattern.
//!
//! ```text
//! 1/100:NOT_ENOUGH_REPLICAS,2/1000:REQUEST_TIMED_OUT
//! ```
//! Of each hundred produce requests the last one, and of each thousand the last two, in the order in
//! which they come to the cluster; where two apply, the first named. All partitions of the request
//! get the error. What it carried is not taken; but for `REQUEST_TIMED_OUT` and
//! `NOT_ENOUGH_REPLICAS_AFTER_APPEND`, which Kafka says of batches that it has taken: those come
//! again, and have to be recognised.

use kafka_protocol::error::ResponseError;
use std::time::Duration;

/// More patterns than this make no test better.
const PATTERN_COUNT_MAX: usize = 8;
/// Above Kafka's own codes, which are fewer than 150.
const CODES: std::ops::Range<i16> = -1..1000;
/// A client's default patience is 30 s.
pub const DELAY_MAX: Duration = Duration::from_secs(60);

/// What is done wrong; nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// From a produce request's last record to its answer. As in Kafka, which mutes a connection
    /// while a request of it waits for replicas, the connection's next request waits behind it.
    pub delay: Duration,
    /// Which produce requests fail.
    pub errors: Errors,
}

/// Which produce requests fail, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors(Vec<Pattern>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pattern {
    /// `0 < count <= of`.
    count: u64,
    of: u64,
    error: ResponseError,
}

/// An error, and what becomes of the batches that got it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What the answer says.
    pub error: ResponseError,
    /// Whether the batches are taken all the same.
    pub is_taken: bool,
}

impl Errors {
    /// Reads patterns, `COUNT/OF:ERROR`, with commas between them.
    ///
    /// Errors: a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let patterns: Result<Vec<Pattern>, String> = text.split(',').map(Pattern::parse).collect();
        let patterns = patterns?;
        if patterns.len() > PATTERN_COUNT_MAX {
            return Err(format!("{} patterns: at most {PATTERN_COUNT_MAX}", patterns.len()));
        }
        Ok(Self(patterns))
    }

    /// What befalls the produce request of that number, from 0.
    pub fn of(&self, request: u64) -> Option<Fault> {
        let error = self.0.iter().find(|pattern| pattern.applies(request))?.error;
        let is_taken = matches!(
            error,
            ResponseError::RequestTimedOut | ResponseError::NotEnoughReplicasAfterAppend
        );
        Some(Fault { error, is_taken })
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?}: write COUNT/OF:ERROR, as in 1/100:NOT_ENOUGH_REPLICAS");
        let (share, name) = text.trim().split_once(':').ok_or_else(wrong)?;
        let (count, of) = share.split_once('/').ok_or_else(wrong)?;
        let count: u64 = count.parse().map_err(|_| wrong())?;
        let of: u64 = of.parse().map_err(|_| wrong())?;
        if count == 0 || count > of {
            return Err(format!("{share}: the first is from 1 to the second"));
        }
        let error = error_of(name).ok_or_else(|| format!("Kafka has no error {name:?}"))?;
        Ok(Self { count, of, error })
    }

    fn applies(&self, request: u64) -> bool {
        request % self.of >= self.of - self.count
    }
}

/// The error of that name, as Kafka writes it: NOT_ENOUGH_REPLICAS.
fn error_of(name: &str) -> Option<ResponseError> {
    let letters = name.replace('_', "");
    let known = CODES.filter_map(ResponseError::try_from_code);
    let mut named = known.filter(|error| !matches!(error, ResponseError::Unknown(_)));
    named.find(|error| error.to_string().eq_ignore_ascii_case(&letters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_of_each_so_many_fail() {
        let errors = Errors::parse("2/5:NOT_ENOUGH_REPLICAS, 1/3:REQUEST_TIMED_OUT").unwrap();
        let failed: Vec<u64> = (0..10).filter(|request| errors.of(*request).is_some()).collect();
        assert_eq!(failed, [2, 3, 4, 5, 8, 9]);
        let refused = Fault { error: ResponseError::NotEnoughReplicas, is_taken: false };
        let timed_out = Fault { error: ResponseError::RequestTimedOut, is_taken: true };
        assert_eq!((errors.of(3), errors.of(5)), (Some(refused), Some(timed_out)));
        // Where both apply, the first.
        assert_eq!(errors.of(8), Some(refused));
        assert_eq!(Errors::default().of(0), None);
    }

    #[test]
    fn all_of_kafkas_names_are_known() {
        for (name, code) in [
            ("UNKNOWN_SERVER_ERROR", -1),
            ("NOT_LEADER_OR_FOLLOWER", 6),
            ("MESSAGE_TOO_LARGE", 10),
            ("NOT_ENOUGH_REPLICAS_AFTER_APPEND", 20),
            ("TOPIC_AUTHORIZATION_FAILED", 29),
            ("KAFKA_STORAGE_ERROR", 56),
            ("INVALID_RECORD", 87),
        ] {
            assert_eq!(error_of(name).map(|error| error.code()), Some(code), "{name}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_one_sentence() {
        for text in ["", "1/100", "100:REQUEST_TIMED_OUT", "1/x:REQUEST_TIMED_OUT"] {
            assert!(Errors::parse(text).is_err_and(|sentence| sentence.contains("COUNT/OF")));
        }
        assert!(Errors::parse("0/3:REQUEST_TIMED_OUT").is_err());
        assert!(Errors::parse("4/3:REQUEST_TIMED_OUT").is_err());
        assert!(Errors::parse("1/3:NO_COFFEE").is_err_and(|text| text.contains("NO_COFFEE")));
        let many = ["1/2:REQUEST_TIMED_OUT"; 9].join(",");
        assert!(Errors::parse(&many).is_err_and(|sentence| sentence.contains("at most")));
    }
}
