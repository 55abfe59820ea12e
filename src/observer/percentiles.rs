//! Histograms as people read them. Reading one takes tens of microseconds, so it is done once for each
//! interval, and only where somebody asks.

use std::collections::HashMap;

use corndog_pipeline::latency::{Latencies, STAGES};
use corndog_pipeline::topics::TopicIndex;
use hdrhistogram::Histogram;

use crate::figures::{Latency, Percentiles, Stage};

/// Points of a curve, in percent: denser towards the end, where it matters.
const CURVE: [f64; 22] = [
    0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 92.5, 95.0, 97.5, 99.0, 99.25, 99.5, 99.75, 99.9, 99.925,
    99.95, 99.975, 99.99, 99.995, 99.999, 99.9999, 100.0,
];

/// All latencies, as they are shown.
#[derive(Debug)]
pub struct LatencyView {
    pub latency: Latency,
    /// By the listener's number.
    pub listeners: Vec<Percentiles>,
    pub topics: HashMap<TopicIndex, Percentiles>,
    pub other_topics: Percentiles,
}

impl LatencyView {
    /// Of the latencies since the start, and of the last interval.
    pub fn new(total: &Latencies, last: &Latencies) -> LatencyView {
        let stages = total.stages.iter().zip(&last.stages).zip(STAGES);
        let latency = Latency {
            last: percentiles(&last.total),
            total: percentiles(&total.total),
            curve: curve(&total.total),
            last_curve: curve(&last.total),
            stages: stages
                .map(|((total, last), name)| Stage {
                    name: name.to_owned(),
                    last: percentiles(last),
                    total: percentiles(total),
                })
                .collect(),
        };
        LatencyView {
            latency,
            listeners: total.listeners.iter().map(percentiles).collect(),
            topics: total.topics.iter().map(|(topic, of)| (*topic, percentiles(of))).collect(),
            other_topics: percentiles(&total.other_topics),
        }
    }
}

/// What is asked of every histogram.
pub fn percentiles(of: &Histogram<u64>) -> Percentiles {
    if of.is_empty() {
        return Percentiles::default();
    }
    Percentiles {
        count: of.len(),
        mean_us: of.mean(),
        p50_us: of.value_at_quantile(0.5),
        p90_us: of.value_at_quantile(0.9),
        p99_us: of.value_at_quantile(0.99),
        p999_us: of.value_at_quantile(0.999),
        max_us: of.max(),
    }
}

/// Percentile and microseconds, for a plot.
pub fn curve(of: &Histogram<u64>) -> Vec<(f64, u64)> {
    if of.is_empty() {
        return Vec::new();
    }
    CURVE.iter().map(|percent| (*percent, of.value_at_percentile(*percent))).collect()
}
