//! Histograms as people read them.

use hdrhistogram::Histogram;

use crate::figures::Percentiles;

/// Points of a curve, in percent: denser towards the end, where it matters.
const CURVE: [f64; 22] = [
    0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 92.5, 95.0, 97.5, 99.0, 99.25, 99.5, 99.75, 99.9, 99.925,
    99.95, 99.975, 99.99, 99.995, 99.999, 99.9999, 100.0,
];

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
