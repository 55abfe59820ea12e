//! Spans of time as a histogram: percentiles of known error in memory that does not grow.
//!
//! Nanoseconds, to three digits from a microsecond on, up to an hour; what is longer counts as that.

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::fmt::{self, Write as _};

/// The finest step, and the longest span.
const NANOS_MIN: u64 = 1000;
const NANOS_MAX: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;
/// What the library makes of three digits: the least power of two above 2 * 10^3.
const SUB_BUCKETS: u32 = 2048;
/// Lines of a `.hgrm` for each halving of the distance to 1: HdrHistogram's own default.
const TICKS_PER_HALF: u32 = 5;

/// The percentiles that tables show, with their names.
pub const PERCENTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// Spans from several times to one; equal ones that follow each other are recorded together.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    now: u64,
    /// Earlier ones do not count.
    from: u64,
    sent: u64,
    count: u64,
}

impl Run {
    /// Until `now`, of what was sent at `from` or later.
    pub fn new(from: u64, now: u64) -> Self {
        Self { now, from, sent: 0, count: 0 }
    }

    /// One that was sent then; what came before goes into the histogram, made where it is needed.
    #[inline]
    pub fn note(&mut self, sent: u64, into: &mut Option<Box<Latencies>>) {
        if sent < self.from {
            return;
        }
        if sent != self.sent {
            self.end(into);
            self.sent = sent;
        }
        self.count += 1;
    }

    /// What is still here goes into the histogram.
    pub fn end(&mut self, into: &mut Option<Box<Latencies>>) {
        if self.count > 0 {
            into.get_or_insert_default().record(self.now.saturating_sub(self.sent), self.count);
            self.count = 0;
        }
    }
}

/// How long messages took.
#[derive(Clone, PartialEq)]
pub struct Latencies(Histogram<u64>);

impl fmt::Debug for Latencies {
    /// Not the thousands of counts.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Latencies({})", self.json())
    }
}

impl Default for Latencies {
    fn default() -> Self {
        let made = Histogram::new_with_bounds(NANOS_MIN, NANOS_MAX, DIGITS);
        Self(made.expect("the bounds are in order, and the digits below 6"))
    }
}

impl Latencies {
    /// Adds `count` spans of the same length.
    #[inline]
    pub fn record(&mut self, nanos: u64, count: u64) {
        self.0.saturating_record_n(nanos, count);
    }

    /// Messages that never came took longer than any that did.
    pub fn record_lost(&mut self, count: u64) {
        if count > 0 {
            self.record(NANOS_MAX, count);
        }
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds, which is all that could be refused.
        let _ = self.0.add(&other.0);
    }

    /// Spans recorded.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// What so great a part of them (0 to 1) does not exceed, in microseconds; 0 if there are none.
    pub fn micros(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e3
    }

    /// The longest, in microseconds.
    pub fn longest_micros(&self) -> f64 {
        self.0.max() as f64 / 1e3
    }

    /// Percentiles in microseconds, by name; `max` and `count`.
    pub fn json(&self) -> Value {
        let percentiles = PERCENTILES
            .iter()
            .map(|(name, quantile)| ((*name).to_owned(), json!(self.micros(*quantile))));
        let rest = [("max", json!(self.longest_micros())), ("count", json!(self.count()))];
        let rest = rest.into_iter().map(|(name, value)| (name.to_owned(), value));
        Value::Object(percentiles.chain(rest).collect())
    }

    /// HdrHistogram's text of percentiles, in microseconds: what its plotters read.
    pub fn hgrm(&self) -> String {
        let mut text = format!(
            "{:>12} {:>14} {:>10} {:>14}\n\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        );
        // Writing to a String cannot fail.
        for (micros, quantile, count) in self.curve() {
            let _ = match quantile < 1.0 {
                true => writeln!(
                    text,
                    "{micros:>12.3} {quantile:>2.12} {count:>10} {:>14.2}",
                    1.0 / (1.0 - quantile)
                ),
                false => writeln!(text, "{micros:>12.3} {quantile:>2.12} {count:>10}"),
            };
        }
        let micros = |nanos: f64| nanos / 1e3;
        let _ = writeln!(
            text,
            "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]\n\
             #[Max     = {:>12.3}, Total count    = {:>12}]\n\
             #[Buckets = {:>12}, SubBuckets     = {:>12}]",
            micros(self.0.mean()),
            micros(self.0.stdev()),
            self.longest_micros(),
            self.count(),
            self.0.buckets(),
            SUB_BUCKETS,
        );
        text
    }

    /// Points of the curve of percentiles: microseconds, quantile, spans up to there.
    pub fn curve(&self) -> Vec<(f64, f64, u64)> {
        let mut points = Vec::new();
        let mut count = 0;
        for step in self.0.iter_quantiles(TICKS_PER_HALF) {
            count += step.count_since_last_iteration();
            let micros = step.value_iterated_to().min(self.0.max()) as f64 / 1e3;
            points.push((micros, step.quantile_iterated_to(), count));
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Latencies {
        let mut latencies = Latencies::default();
        (1..=1000).for_each(|millis| latencies.record(millis * 1_000_000, 1));
        latencies
    }

    #[test]
    fn what_was_lost_took_longest() {
        let mut latencies = Latencies::default();
        latencies.record(2_000_000, 98);
        latencies.record_lost(0);
        assert!(latencies.longest_micros() < 2100.0);
        latencies.record_lost(2);
        assert!(latencies.micros(0.98) < 2100.0 && latencies.micros(0.99) > 3.5e9);
    }

    #[test]
    fn percentiles_are_known_to_three_digits() {
        let latencies = sample();
        for (_, quantile) in PERCENTILES {
            let expected = (quantile * 1000.0).ceil() * 1e3;
            let error = latencies.micros(quantile) / expected - 1.0;
            assert!(error.abs() < 1e-3, "{quantile}: {error}");
        }
        assert_eq!(Latencies::default().micros(0.99), 0.0);
    }

    #[test]
    fn what_is_added_is_as_if_recorded_here() {
        let (mut both, mut other) = (sample(), Latencies::default());
        other.record(5_000_000, 7);
        both.add(&other);
        let mut expected = sample();
        expected.record(5_000_000, 7);
        assert_eq!(both, expected);
        both.record(u64::MAX, 1);
        assert_eq!(both.count(), 1008);
    }

    #[test]
    fn runs_are_of_those_sent_late_enough() {
        let mut into = None;
        let mut run = Run::new(5_000_000, 9_000_000);
        for sent in [4_999_999, 5_000_000, 5_000_000, 7_000_000, 5_000_000, 0] {
            run.note(sent, &mut into);
        }
        run.end(&mut into);
        run.end(&mut into);
        let mut expected = Latencies::default();
        expected.record(4_000_000, 3);
        expected.record(2_000_000, 1);
        assert_eq!(into.as_deref(), Some(&expected));
    }

    #[test]
    fn hgrm_is_the_text_that_plotters_read() {
        let text = sample().hgrm();
        let mut lines = text.lines();
        let title = lines.next().unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(title, ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
        assert_eq!(lines.next(), Some(""));
        let rows: Vec<Vec<f64>> = lines
            .take_while(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|word| word.parse().unwrap()).collect())
            .collect();
        assert!(rows.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1]));
        let half = rows.iter().find(|row| row[1] == 0.5).unwrap();
        assert!((half[0] / 500_000.0 - 1.0).abs() < 1e-3, "{half:?}");
        assert_eq!((half[2], half[3]), (500.0, 2.0));
        let last = rows.last().unwrap();
        assert_eq!((last.len(), last[1], last[2]), (3, 1.0, 1000.0));
        assert!(text.ends_with("]\n") && text.contains("Total count    =         1000]"), "{text}");
    }
}
