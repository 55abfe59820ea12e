//! The last ten minutes: a point every five seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use corndog_pipeline::latency::Latencies;
use hdrhistogram::Histogram;

use crate::figures::History;

/// Between two points.
const INTERVAL: Duration = Duration::from_secs(5);
/// Ten minutes of them.
const POINTS_MAX: usize = 120;

/// Counts that points are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages.
    pub received: u64,
    /// Records acknowledged.
    pub delivered: u64,
    /// Messages dropped and records given up.
    pub lost: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Point {
    received: f64,
    delivered: f64,
    lost: f64,
    p50_us: u64,
    p99_us: u64,
}

/// The points so far, and what the next one is made of.
#[derive(Debug)]
pub struct Past {
    points: VecDeque<Point>,
    since: Instant,
    before: Counts,
    latency: Histogram<u64>,
}

impl Past {
    /// Empty, from `now` on.
    pub fn new(now: Instant) -> Past {
        Past {
            points: VecDeque::with_capacity(POINTS_MAX),
            since: now,
            before: Counts::default(),
            latency: Latencies::new(0).total,
        }
    }

    /// Latencies of the interval that is under way.
    pub fn add(&mut self, latency: &Histogram<u64>) {
        // Of one range; else it would be left out.
        let _ = self.latency.add(latency);
    }

    /// Makes a point where it is time.
    pub fn look(&mut self, now: Instant, counts: Counts) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < INTERVAL {
            return;
        }
        let rate = |now: u64, before: u64| (now - before) as f64 / elapsed.as_secs_f64();
        let before = std::mem::replace(&mut self.before, counts);
        let of = |quantile| match self.latency.is_empty() {
            true => 0,
            false => self.latency.value_at_quantile(quantile),
        };
        let point = Point {
            received: rate(counts.received, before.received),
            delivered: rate(counts.delivered, before.delivered),
            lost: rate(counts.lost, before.lost),
            p50_us: of(0.5),
            p99_us: of(0.99),
        };
        if self.points.len() == POINTS_MAX {
            self.points.pop_front();
        }
        self.points.push_back(point);
        self.latency.reset();
        self.since = now;
    }

    /// As it is shown.
    pub fn show(&self) -> History {
        let rates = |of: fn(&Point) -> f64| self.points.iter().map(of).collect();
        let times = |of: fn(&Point) -> u64| self.points.iter().map(of).collect();
        History {
            interval_s: INTERVAL.as_secs_f64(),
            received: rates(|point| point.received),
            delivered: rates(|point| point.delivered),
            lost: rates(|point| point.lost),
            p50_us: times(|point| point.p50_us),
            p99_us: times(|point| point.p99_us),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_rates_and_the_oldest_goes() {
        let start = Instant::now();
        let mut past = Past::new(start);
        past.look(start + INTERVAL / 2, Counts { received: 5, delivered: 0, lost: 0 });
        assert!(past.show().received.is_empty());
        past.latency.record_n(300, 10).expect("it is there");
        for point in 1..=POINTS_MAX as u64 + 5 {
            let counts = Counts { received: 50 * point, delivered: 40 * point, lost: 10 * point };
            past.look(start + INTERVAL * point as u32, counts);
            if point == 1 {
                assert_eq!(past.show().p50_us, [300]);
            }
        }
        let shown = past.show();
        assert_eq!(shown.received.len(), POINTS_MAX);
        assert!(shown.received.iter().all(|rate| *rate == 10.0));
        assert!(shown.lost.iter().all(|rate| *rate == 2.0));
        assert_eq!(shown.p99_us[POINTS_MAX - 1], 0);
    }
}
