//! Latencies between two times that metrics are sent: more than the last look's.

use hdrhistogram::Histogram;

use super::percentiles::{curve, percentiles};
use crate::figures::{Latency, Percentiles};

/// What has not been sent yet.
#[derive(Debug)]
pub struct Interval {
    coming: Histogram<u64>,
    /// Being sent; what comes meanwhile is the next one's.
    sending: Histogram<u64>,
    /// Of the last interval that had a report.
    last: Percentiles,
    curve: Vec<(f64, u64)>,
}

impl Interval {
    /// Empty; `like` has the range.
    pub fn new(like: &Histogram<u64>) -> Interval {
        Interval {
            coming: Histogram::new_from(like),
            sending: Histogram::new_from(like),
            last: Percentiles::default(),
            curve: Vec::new(),
        }
    }

    /// Adds what a look has brought.
    pub fn add(&mut self, latency: &Histogram<u64>) {
        self.coming += latency;
    }

    /// Puts those of all the time that was not sent in place of the last look's.
    pub fn put(&mut self, latency: &mut Latency) {
        self.sending += &self.coming;
        self.coming.reset();
        if !self.sending.is_empty() {
            self.last = percentiles(&self.sending);
            self.curve = curve(&self.sending);
        }
        latency.last = self.last.clone();
        latency.last_curve = self.curve.clone();
    }

    /// What was put was sent.
    pub fn settle(&mut self) {
        self.sending.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_came_since_the_last_sending_counts_and_nothing_twice() {
        let mut one = Histogram::<u64>::new_with_bounds(1, 1_000_000, 3).expect("a range");
        let mut interval = Interval::new(&one);
        let put = |interval: &mut Interval| {
            let mut latency = Latency::default();
            interval.put(&mut latency);
            (latency.last.count, latency.last.max_us, latency.last_curve.len() > 1)
        };
        assert_eq!(put(&mut interval), (0, 0, false));
        for value in [20_000, 300] {
            one.reset();
            one.record_n(value, 10).expect("in the range");
            interval.add(&one);
        }
        assert_eq!(put(&mut interval), (20, 20_015, true));
        // It could not be sent.
        interval.add(&one);
        assert_eq!(put(&mut interval), (30, 20_015, true));
        interval.settle();
        interval.add(&one);
        assert_eq!(put(&mut interval), (10, 300, true));
        interval.settle();
        assert_eq!(put(&mut interval), (10, 300, true), "the last that had a report");
    }
}
