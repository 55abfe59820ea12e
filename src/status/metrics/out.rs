//! Rows -> a metric's text, with the crate's encoder.

use std::fmt::Error;

use hdrhistogram::Histogram;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Unit;

/// Upper ends of the buckets of latency, in microseconds.
const BUCKETS_US: [u64; 16] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 60_000_000,
];

/// A label's name and value.
pub(super) type Label = (&'static str, String);

/// Encodes one metric after the other.
pub(super) struct Out<'a>(pub(super) DescriptorEncoder<'a>);

impl Out<'_> {
    pub(super) fn counter<V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        rows: impl IntoIterator<Item = (Vec<Label>, V)>,
    ) -> Result<(), Error> {
        let kind = MetricType::Counter;
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, value) in rows {
            let exemplar = None::<&Exemplar<Vec<Label>, u64>>;
            match labels.is_empty() {
                true => metric.encode_counter(&value, exemplar)?,
                false => {
                    metric.encode_family(&escape(labels))?.encode_counter(&value, exemplar)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn gauge<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        rows: impl IntoIterator<Item = (Vec<Label>, V)>,
    ) -> Result<(), Error> {
        let kind = MetricType::Gauge;
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, value) in rows {
            match labels.is_empty() {
                true => metric.encode_gauge(&value)?,
                false => metric.encode_family(&escape(labels))?.encode_gauge(&value)?,
            }
        }
        Ok(())
    }

    pub(super) fn histogram<'h>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Vec<Label>, &'h Histogram<u64>)>,
    ) -> Result<(), Error> {
        let (unit, kind) = (Some(Unit::Seconds), MetricType::Histogram);
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, of) in rows {
            let (buckets, count) = buckets(of);
            let sum = of.mean() * count as f64 / 1e6;
            let labels = escape(labels);
            let mut metric = metric.encode_family(&labels)?;
            metric.encode_histogram::<Vec<Label>>(sum, count, &buckets, None)?;
        }
        Ok(())
    }
}

/// Counts between the buckets' ends, in seconds; and of all.
fn buckets(of: &Histogram<u64>) -> (Vec<(f64, u64)>, u64) {
    let (mut buckets, mut from, mut below) = (Vec::with_capacity(BUCKETS_US.len() + 1), 0, 0);
    for end_us in BUCKETS_US {
        let count = of.count_between(from, end_us);
        buckets.push((end_us as f64 / 1e6, count));
        below += count;
        from = of.highest_equivalent(end_us) + 1;
    }
    buckets.push((f64::MAX, of.len().saturating_sub(below)));
    (buckets, of.len())
}

/// The crate writes label values as they are.
fn escape(labels: Vec<Label>) -> Vec<Label> {
    let one = |value: String| match value.contains(['\\', '"', '\n']) {
        true => value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"),
        false => value,
    };
    labels.into_iter().map(|(name, value)| (name, one(value))).collect()
}
