//! Two instants of the process -> statsd packets: what moved between them, and how it is now.
//!
//!     PREFIX.NAME:VALUE|TYPE LF      TYPE: c counter, g gauge, ms timer
//!
//! hotdog's names come first, for its dashboards. Counters are what was added since the packets
//! before, never below 0. What has a name of its own (topics, reasons) is sent where it moved.

use cadence::prelude::*;
use cadence::{BufferedSpyMetricSink, StatsdClient};
use std::collections::BTreeMap;

use crate::figures::Figures;

/// Of one packet, so that it crosses an Ethernet with IPv6 and UDP headers whole.
pub const PACKET_BYTES_MAX: usize = 1432;
/// Of all packets of an interval; what is left of the topics then is summed.
const BYTES_MAX: usize = 64 << 10;
/// Topics in an interval; the rest is summed.
const TOPICS_MAX: usize = 1000;
/// Where the rest of the topics is summed, also where the figures do it.
const OTHER: &str = "__other__";
/// Of a name below the prefix: the longest topic (249 bytes) behind ours fits.
const NAME_BYTES_MAX: usize = 300;
/// Beside the name: a dot, a colon, a number, type, sampling rate, LF.
const LINE_BYTES_MORE: usize = 40;
/// Values that stand for the latencies of an interval, evenly spaced among them.
const LATENCIES: u64 = 20;
/// A sampling rate has so many steps from 0 to 1, so that it is a short number.
const RATE_STEPS: f64 = 1e9;

/// The packets of what happened from `before` to `now`; at most 64 KiB in all.
pub fn packets(prefix: &str, before: &Figures, now: &Figures) -> Vec<Vec<u8>> {
    // Not limited by itself: how much goes in is.
    let (out, sink) = BufferedSpyMetricSink::with_capacity(None, Some(PACKET_BYTES_MAX));
    let client = StatsdClient::from_sink(prefix, sink);
    let mut lines = Lines { client, prefix_bytes: prefix.len(), bytes: 0 };
    lines.counts(before, now);
    lines.latencies(before, now);
    lines.condition(before, now);
    for (index, shard) in now.shards.iter().enumerate() {
        lines.share(&format!("shard.{index}.busy"), shard.busy);
    }
    lines.topics(before, now);
    // Its buffer is written when it is dropped.
    drop(lines);
    out.try_iter().collect()
}

/// Puts lines into packets.
struct Lines {
    client: StatsdClient,
    prefix_bytes: usize,
    /// Of all lines so far, at their longest.
    bytes: usize,
}

impl Lines {
    /// hotdog's counters and ours.
    fn counts(&mut self, before: &Figures, now: &Figures) {
        let in_ledger = |key| added(before.count(key), now.count(key));
        let dropped = moved(&before.reasons("dropped"), &now.reasons("dropped"));
        let failed = moved(&before.reasons("failed"), &now.reasons("failed"));
        let letters = moved(&before.dead_lettered, &now.dead_lettered);
        // A message that became a dead letter for it counts as one that was dropped for it.
        let of = |reason| [&dropped, &letters].iter().filter_map(|map| map.get(reason)).sum();
        for (name, count) in [
            ("lines", in_ledger("received")),
            ("delivered", in_ledger("delivered")),
            ("bytes_in", added(bytes_in(before), bytes_in(now))),
            ("kafka.producer.error", failed.values().sum()),
            ("error.log_parse", of("unparsed")),
            // There is no such queue: senders are held instead.
            ("error.full_internal_queue", 0),
            ("error.internal_push_failed", 0),
            ("error.topic_parse_failed", of("topic_refused")),
            ("error.merge_target_not_json", of("merge_not_json")),
            // What is merged in is JSON, whatever a message holds.
            ("error.merge_of_invalid_json", 0),
        ] {
            self.count(name, count);
        }
        let refused = moved(&before.connections.refused, &now.connections.refused);
        for (name, by_reason) in [
            ("dropped", &dropped),
            ("failed", &failed),
            ("kafka.producer.error", &failed),
            ("refused", &refused),
        ] {
            for (reason, count) in by_reason {
                self.count(&format!("{name}.{reason}"), *count);
            }
        }
    }

    /// hotdog's timer, in microseconds as it had it, and ours.
    fn latencies(&mut self, before: &Figures, now: &Figures) {
        let count = added(before.latency.total.count, now.latency.total.count);
        // Without a report in the interval, the last one that had one is shown already.
        if count > 0 {
            let sent = count.min(LATENCIES);
            let quantile = |index| (index as f64 + 0.5) / sent as f64 * 100.0;
            let values = (0..sent).map(|index| at(&now.latency.last_curve, quantile(index)));
            // Each stands for so many: where a server counts timings, it counts all.
            let rate = (sent as f64 / count as f64 * RATE_STEPS).ceil() / RATE_STEPS;
            for value in values.flatten() {
                self.time("kafka.producer.sent", value, rate);
            }
        }
        let last = &now.latency.last;
        self.gauge("latency.p50_us", last.p50_us);
        self.gauge("latency.p99_us", last.p99_us);
        self.gauge("latency.max_us", last.max_us);
    }

    fn condition(&mut self, before: &Figures, now: &Figures) {
        self.gauge("connections", now.connections.open);
        self.gauge("in_flight", now.count("in_flight"));
        let starved =
            |figures: &Figures| -> f64 { figures.shards.iter().map(|shard| shard.starved_s).sum() };
        let seconds = starved(now) - starved(before);
        self.share("backpressure_s", seconds);
    }

    /// Records taken for each topic, and in all.
    fn topics(&mut self, before: &Figures, now: &Figures) {
        let earlier: BTreeMap<&str, u64> =
            before.topics.iter().map(|topic| (topic.name.as_str(), topic.taken)).collect();
        let (mut all, mut rest, mut named) = (0, 0, 0);
        for topic in &now.topics {
            let taken = added(earlier.get(topic.name.as_str()).copied().unwrap_or(0), topic.taken);
            all += taken;
            if taken == 0 {
                continue;
            }
            let name = format!("kafka.submitted.{}", topic.name);
            // Two lines are still to come.
            let has_room = self.bytes + 3 * self.line_bytes(NAME_BYTES_MAX) <= BYTES_MAX;
            if topic.name == OTHER || named == TOPICS_MAX || !has_room {
                rest += taken;
            } else {
                self.count(&name, taken);
                named += 1;
            }
        }
        if rest > 0 {
            self.count(&format!("kafka.submitted.{OTHER}"), rest);
        }
        self.count("kafka.submitted", all);
    }

    fn count(&mut self, name: &str, count: u64) {
        if let Some(name) = self.take(name) {
            // A channel without a bound takes everything.
            let _ = self.client.count(&name, count);
        }
    }

    fn gauge(&mut self, name: &str, value: u64) {
        if let Some(name) = self.take(name) {
            let _ = self.client.gauge(&name, value);
        }
    }

    /// A gauge that is no whole number; with a sign it would be added to the one before.
    fn share(&mut self, name: &str, value: f64) {
        let value = if value.is_finite() { value.max(0.0) } else { 0.0 };
        if let Some(name) = self.take(name) {
            let _ = self.client.gauge(&name, (value * 1000.0).round() / 1000.0);
        }
    }

    fn time(&mut self, name: &str, value: u64, rate: f64) {
        if let Some(name) = self.take(name) {
            let timer = self.client.time_with_tags(&name, value);
            let _ = match rate < 1.0 {
                true => timer.with_sampling_rate(rate).try_send(),
                false => timer.try_send(),
            };
        }
    }

    /// A name of letters, digits, `.`, `_` and `-` alone, where there is room for its line.
    fn take(&mut self, name: &str) -> Option<String> {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let name: String = name.chars().take(NAME_BYTES_MAX).map(plain).collect();
        let bytes = self.line_bytes(name.len());
        (self.bytes + bytes <= BYTES_MAX).then(|| {
            self.bytes += bytes;
            name
        })
    }

    fn line_bytes(&self, name_bytes: usize) -> usize {
        self.prefix_bytes + name_bytes + LINE_BYTES_MORE
    }
}

/// What a counter has grown by.
fn added(before: u64, now: u64) -> u64 {
    now.saturating_sub(before)
}

/// By reason, what has grown.
fn moved(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let growth = now.iter().map(|(reason, count)| {
        (reason.clone(), added(before.get(reason).copied().unwrap_or(0), *count))
    });
    growth.filter(|(_, count)| *count > 0).collect()
}

fn bytes_in(figures: &Figures) -> u64 {
    figures.listeners.iter().map(|listener| listener.bytes_in).sum()
}

/// What so many percent were no longer than, by the curve.
fn at(curve: &[(f64, u64)], percentile: f64) -> Option<u64> {
    let next = curve.iter().find(|(share, _)| *share >= percentile).or_else(|| curve.last());
    next.map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Shard;
    use crate::figures::{Listener, Topic};
    use serde_json::{Map, Value, json};

    fn figures(ledger: Value, topics: &[(&str, u64)]) -> Figures {
        let Value::Object(ledger) = ledger else { panic!("an object") };
        let topic = |(name, taken): &(&str, u64)| Topic {
            name: (*name).to_owned(),
            taken: *taken,
            ..Topic::default()
        };
        Figures { ledger, topics: topics.iter().map(topic).collect(), ..Figures::default() }
    }

    /// Lines of packets, sorted.
    fn lines(packets: &[Vec<u8>]) -> Vec<String> {
        let mut lines: Vec<String> = packets
            .iter()
            .flat_map(|packet| std::str::from_utf8(packet).expect("ASCII").lines())
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_hotdogs_dashboards_show_has_its_names() {
        let before = figures(json!({"received": 10, "dropped": {"unmatched": 1}}), &[("a.b", 3)]);
        let mut now = figures(
            json!({
                "received": 30, "delivered": 12, "in_flight": 4,
                "dropped": {"unmatched": 3, "topic_refused": 5, "merge_not_json": 1},
                "failed": {"timed_out": 2},
            }),
            &[("a.b", 8), ("quiet", 0), ("new", 7), (OTHER, 2)],
        );
        now.dead_lettered = BTreeMap::from([("merge_not_json".to_owned(), 6)]);
        now.connections.open = 3;
        now.connections.refused = BTreeMap::from([("per_ip".to_owned(), 9)]);
        now.listeners = vec![Listener { bytes_in: 1000, ..Listener::default() }];
        now.latency.total.count = 80;
        now.latency.last_curve = (0..=100).map(|share| (f64::from(share), share as u64)).collect();
        let shard = |busy| Shard { busy, starved_s: 1.25, ..Shard::default() };
        now.shards = vec![shard(0.51234), shard(f64::NAN)];
        let lines = lines(&packets("hotdog", &before, &now));
        let expected = [
            "hotdog.connections:3|g",
            "hotdog.lines:20|c",
            "hotdog.kafka.submitted:14|c",
            "hotdog.kafka.submitted.a.b:5|c",
            "hotdog.kafka.submitted.new:7|c",
            "hotdog.kafka.submitted.__other__:2|c",
            "hotdog.kafka.producer.sent:3|ms|@0.25",
            "hotdog.kafka.producer.sent:98|ms|@0.25",
            "hotdog.kafka.producer.error:2|c",
            "hotdog.kafka.producer.error.timed_out:2|c",
            "hotdog.error.log_parse:0|c",
            "hotdog.error.full_internal_queue:0|c",
            "hotdog.error.internal_push_failed:0|c",
            "hotdog.error.topic_parse_failed:5|c",
            "hotdog.error.merge_of_invalid_json:0|c",
            "hotdog.error.merge_target_not_json:7|c",
            "hotdog.dropped.unmatched:2|c",
            "hotdog.dropped.topic_refused:5|c",
            "hotdog.failed.timed_out:2|c",
            "hotdog.refused.per_ip:9|c",
            "hotdog.delivered:12|c",
            "hotdog.in_flight:4|g",
            "hotdog.bytes_in:1000|c",
            "hotdog.latency.p50_us:0|g",
            "hotdog.latency.p99_us:0|g",
            "hotdog.latency.max_us:0|g",
            "hotdog.shard.0.busy:0.512|g",
            "hotdog.shard.1.busy:0|g",
            "hotdog.backpressure_s:2.5|g",
        ];
        for line in expected {
            assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        }
        let timings = lines.iter().filter(|line| line.contains("sent")).count() as u64;
        assert_eq!(timings, LATENCIES, "{lines:#?}");
        let merges = 1; // dropped.merge_not_json
        assert_eq!(lines.len() as u64, expected.len() as u64 + LATENCIES - 2 + merges);
    }

    #[test]
    fn few_latencies_are_sent_as_they_are_and_old_ones_not_again() {
        let mut now = Figures::default();
        now.latency.total.count = 2;
        now.latency.last_curve = vec![(50.0, 100), (100.0, 900)];
        let sent = |before: &Figures, now: &Figures| {
            let all = lines(&packets("", before, now));
            all.into_iter().filter(|line| line.contains("sent")).collect::<Vec<_>>()
        };
        assert_eq!(
            sent(&Figures::default(), &now),
            ["kafka.producer.sent:100|ms", "kafka.producer.sent:900|ms"]
        );
        assert_eq!(sent(&now, &now), Vec::<String>::new());
        now.latency.last_curve.clear();
        assert_eq!(sent(&Figures::default(), &now), Vec::<String>::new());
    }

    #[test]
    fn a_counter_never_goes_back() {
        let before = figures(
            json!({"received": 100, "delivered": 9, "failed": {"rejected": 7}}),
            &[("a", 50)],
        );
        let mut now =
            figures(json!({"received": 1, "failed": {"rejected": 1}}), &[("a", 2), ("b", 1)]);
        now.shards = vec![Shard { starved_s: -3.0, busy: -1.0, ..Shard::default() }];
        let lines = lines(&packets("p", &before, &now));
        assert!(lines.iter().all(|line| !line.contains('-')), "{lines:#?}");
        assert!(lines.contains(&"p.kafka.submitted:1|c".to_owned()), "{lines:#?}");
        assert!(lines.contains(&"p.lines:0|c".to_owned()), "{lines:#?}");
    }

    /// Figures hold legal topics alone; even so, a name cannot become a metric of its own.
    #[test]
    fn no_topic_and_no_reason_breaks_a_line() {
        let hostile = ["a:1|c\nb", "a|@0.1", "a#b", "\u{1f32d} a", "a\u{0}b", &"x".repeat(4000)];
        let topics: Vec<(&str, u64)> = hostile.iter().map(|name| (*name, 1)).collect();
        let dropped: Map<String, Value> =
            hostile.iter().map(|name| ((*name).to_owned(), 1.into())).collect();
        let now = figures(json!({"dropped": dropped}), &topics);
        let packets = packets("p", &Figures::default(), &now);
        let lines = lines(&packets);
        for line in &lines {
            let (name, rest) = line.split_once(':').expect("NAME:VALUE|TYPE");
            assert!(
                name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
                "{line}"
            );
            let (value, kind) = rest.split_once('|').expect("VALUE|TYPE");
            assert!(value.parse::<f64>().is_ok() && ["c", "g", "ms"].contains(&kind), "{line}");
        }
        assert!(lines.contains(&"p.kafka.submitted.a_1_c_b:1|c".to_owned()), "{lines:#?}");
        assert!(lines.contains(&"p.kafka.submitted.__a:1|c".to_owned()), "{lines:#?}");
        assert!(packets.iter().all(|packet| packet.len() <= PACKET_BYTES_MAX));
    }

    #[test]
    fn packets_and_all_of_them_are_bounded_and_the_rest_is_summed() {
        let prefix = "p".repeat(100);
        let names = |length: usize| -> Vec<String> {
            (0..10_000)
                .map(|number| format!("{number:05}{}", "t".repeat(length - 5)))
                .collect::<Vec<_>>()
        };
        for (length, prefix) in [(249, prefix.as_str()), (5, prefix.as_str()), (5, "")] {
            let names = names(length);
            let topics: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 2)).collect();
            let now = figures(json!({"received": u64::MAX}), &topics);
            let packets = packets(prefix, &Figures::default(), &now);
            assert!(packets.iter().all(|packet| packet.len() <= PACKET_BYTES_MAX));
            let sum: usize = packets.iter().map(Vec::len).sum();
            assert!(sum <= BYTES_MAX, "{sum}");
            let lines = lines(&packets);
            let value = |line: &String| {
                let (_, rest) = line.rsplit_once(':').expect("NAME:VALUE|TYPE");
                rest.trim_end_matches("|c").parse::<u64>().expect("a counter")
            };
            let named: Vec<u64> =
                lines.iter().filter(|line| line.contains("submitted.")).map(value).collect();
            assert_eq!(named.iter().sum::<u64>(), 20_000, "{length}");
            assert!(named.len() <= TOPICS_MAX + 1, "{}", named.len());
            assert!(named.len() > 100, "{}", named.len());
            assert!(lines.iter().any(|line| line.ends_with("kafka.submitted:20000|c")));
        }
    }
}
