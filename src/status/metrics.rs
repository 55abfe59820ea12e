//! [`Figures`] -> OpenMetrics text. Names by its conventions: base units, `_total`, a HELP each.
//! Source: the OpenMetrics specification, 1.0.
//!
//! Label values are names of the operator's, topics, or brokers: they are escaped, and so many that
//! the page stays below 1 MiB: what does not fit is summed under `__other__`.

mod out;

use std::fmt::Error;

use corndog_pipeline::counters::{Closed, Dropped, Failed, Refused};
use hdrhistogram::Histogram;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::{Registry, Unit};

use self::out::{Label, Out};
use crate::figures::{Broker, Figures, Listener, Rule, Shard, Topic};

/// Bytes of all rows of topics, and of rules, at about this for each series.
const TOPIC_ROWS_BYTES_MAX: usize = 500 * 1024;
const RULE_ROWS_BYTES_MAX: usize = 200 * 1024;
const SERIES_BYTES: usize = 64;
/// Series that a topic and a rule have.
const TOPIC_SERIES: usize = 4;
const RULE_SERIES: usize = 3;
/// What all that do not fit are called.
const OTHER: &str = "__other__";

/// Latencies since the start.
#[derive(Debug)]
pub struct Latencies {
    /// Of each listener, in the order of the figures'.
    pub listeners: Vec<Histogram<u64>>,
    /// Of each part of the way.
    pub stages: Vec<(&'static str, Histogram<u64>)>,
}

/// The page.
///
/// Errors: the encoder's own; none is known.
pub fn page(figures: Figures, latencies: Latencies) -> Result<String, Error> {
    let mut registry = Registry::with_prefix("corndog");
    registry.register_collector(Box::new(Page { figures, latencies }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Page {
    figures: Figures,
    latencies: Latencies,
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut out = Out(encoder);
        self.process(&mut out)?;
        self.ledger(&mut out)?;
        self.listeners(&mut out)?;
        self.rules(&mut out)?;
        self.topics(&mut out)?;
        self.shards(&mut out)?;
        self.brokers(&mut out)?;
        self.connections(&mut out)
    }
}

impl Page {
    fn process(&self, out: &mut Out<'_>) -> Result<(), Error> {
        let figures = &self.figures;
        out.gauge(
            "ready",
            "1 while every shard is up and Kafka takes records",
            None,
            [(vec![], u64::from(figures.state == "ready"))],
        )?;
        out.gauge(
            "build_info",
            "The program, in its labels",
            None,
            [(vec![("version", figures.version.clone())], 1u64)],
        )?;
        out.gauge("uptime", "Since the start", Some(Unit::Seconds), [(vec![], figures.uptime_s)])?;
        let configuration = &figures.configuration;
        out.gauge(
            "configuration_generation",
            "Which configuration is in force, from 1",
            None,
            [(vec![], configuration.generation)],
        )?;
        out.counter(
            "configuration_refused",
            "Reloads that were refused",
            None,
            [(vec![], configuration.refused)],
        )?;
        let expiries = configuration
            .certificates
            .iter()
            .map(|of| (vec![("listener", of.listener.clone())], of.expires_in_s));
        let help = "Time until the listener's certificate, or one above it, expires";
        out.gauge("certificate_expiry", help, Some(Unit::Seconds), expiries)?;
        let memory = &figures.memory;
        out.gauge(
            "memory_resident",
            "Memory of the process that is resident",
            Some(Unit::Bytes),
            [(vec![], memory.resident_bytes)],
        )?;
        out.gauge(
            "memory_max",
            "The sum of all bounds on memory",
            Some(Unit::Bytes),
            [(vec![], memory.bytes_max)],
        )
    }

    fn ledger(&self, out: &mut Out<'_>) -> Result<(), Error> {
        let figures = &self.figures;
        let dropped = Dropped::ALL.map(Dropped::name);
        let failed = Failed::ALL.map(Failed::name);
        for (field, name, help) in [
            ("received", "received_messages", "Messages taken from frames"),
            ("forwarded", "forwarded_records", "Records made of them"),
            ("delivered", "delivered_records", "Records acknowledged by Kafka"),
        ] {
            out.counter(name, help, None, [(vec![], figures.count(field))])?;
        }
        let help = "Messages that became no record, by reason";
        let of = figures.reasons("dropped");
        let rows = rows_by_reason(&dropped, |reason| of.get(reason).copied());
        out.counter("dropped_messages", help, None, rows)?;
        let help = "Records given up, by reason";
        let of = figures.reasons("failed");
        let rows = rows_by_reason(&failed, |reason| of.get(reason).copied());
        out.counter("failed_records", help, None, rows)?;
        let help = "Messages whose verdict is open";
        out.gauge("in_hand_messages", help, None, [(vec![], figures.count("in_hand"))])?;
        let help = "Records whose outcome is open";
        out.gauge("in_flight_records", help, None, [(vec![], figures.count("in_flight"))])?;
        let letters = [&dropped[..], &failed].concat();
        let letters = rows_by_reason(&letters, |reason| figures.dead_lettered.get(reason).copied());
        out.counter("dead_letter_records", "Dead letters among the records", None, letters)?;
        for (name, help, count) in [
            ("truncated_messages", "Messages cut at limits.frame", figures.truncated),
            ("resent_records", "Records handed to librdkafka again", figures.resent),
            ("client_rebuilds", "Times that librdkafka's client was made anew", figures.rebuilt),
            (
                "kernel_dropped_datagrams",
                "Datagrams dropped before they could be read",
                figures.dropped_by_kernel,
            ),
        ] {
            out.counter(name, help, None, [(vec![], count)])?;
        }
        Ok(())
    }

    fn listeners(&self, out: &mut Out<'_>) -> Result<(), Error> {
        let rows = &self.figures.listeners;
        let labels = |of: &Listener| vec![("listener", of.name.clone())];
        let mut counter = |name: &str, help: &str, unit: Option<Unit>, of: fn(&Listener) -> u64| {
            out.counter(name, help, unit, rows.iter().map(|row| (labels(row), of(row))))
        };
        let bytes = Some(Unit::Bytes);
        counter("listener_received_messages", "Messages by listener", None, |row| row.received)?;
        counter("listener_dropped_messages", "Messages that became no record", None, |row| {
            row.dropped
        })?;
        counter("listener_received", "Bytes read", bytes, |row| row.bytes_in)?;
        counter("listener_connections_accepted", "Connections let in", None, |row| row.accepted)?;
        counter("listener_connections_refused", "Connections not let in", None, |row| row.refused)?;
        let open = rows.iter().map(|row| (labels(row), row.connections));
        out.gauge("listener_connections", "Open connections", None, open)?;
        let help = "From the read of a message's last byte to its delivery report";
        let latencies = rows.iter().map(labels).zip(&self.latencies.listeners);
        out.histogram("latency", help, latencies)?;
        let help = "The same, by part of the way";
        let stages = self.latencies.stages.iter();
        let stages = stages.map(|(name, of)| (vec![("stage", (*name).to_owned())], of));
        out.histogram("stage_latency", help, stages)
    }

    fn rules(&self, out: &mut Out<'_>) -> Result<(), Error> {
        let row_bytes = |row: &Rule| RULE_SERIES * (SERIES_BYTES + row.name.len());
        let rows = fold(&self.figures.rules, RULE_ROWS_BYTES_MAX, row_bytes, |sum, row| {
            sum.name = OTHER.to_owned();
            sum.matched += row.matched;
            sum.sampled += row.sampled;
            sum.errors += row.errors;
        });
        let mut counter = |name: &str, help: &str, of: fn(&Rule) -> u64| {
            let labels = |row: &Rule| vec![("rule", row.name.clone())];
            out.counter(name, help, None, rows.iter().map(|row| (labels(row), of(row))))
        };
        counter("rule_matched_messages", "Messages that the rule matched", |row| row.matched)?;
        counter("rule_sampled_messages", "Of these, left out by its sample", |row| row.sampled)?;
        counter("rule_error_messages", "Of these, an action could not be done", |row| row.errors)
    }

    fn topics(&self, out: &mut Out<'_>) -> Result<(), Error> {
        let row_bytes = |row: &Topic| TOPIC_SERIES * (SERIES_BYTES + row.name.len());
        let rows = fold(&self.figures.topics, TOPIC_ROWS_BYTES_MAX, row_bytes, |sum, row| {
            sum.name = OTHER.to_owned();
            sum.taken += row.taken;
            sum.delivered += row.delivered;
            sum.failed += row.failed;
            sum.bytes += row.bytes;
        });
        let mut counter = |name: &str, help: &str, unit: Option<Unit>, of: fn(&Topic) -> u64| {
            let labels = |row: &Topic| vec![("topic", row.name.clone())];
            out.counter(name, help, unit, rows.iter().map(|row| (labels(row), of(row))))
        };
        counter("topic_taken_records", "Records on their way to the topic", None, |row| row.taken)?;
        counter("topic_delivered_records", "Acknowledged", None, |row| row.delivered)?;
        counter("topic_failed_records", "Given up, or dead letters", None, |row| row.failed)?;
        let help = "Of keys and payloads acknowledged";
        counter("topic_delivered", help, Some(Unit::Bytes), |row| row.bytes)
    }

    fn shards(&self, out: &mut Out<'_>) -> Result<(), Error> {
        let labels = |row: &Shard| vec![("shard", format!("{} {}", row.kind, row.index))];
        let rows = || self.figures.shards.iter();
        let receivers = || rows().filter(|row| row.kind == "receiver");
        let seconds = Some(Unit::Seconds);
        let busy = rows().map(|row| (labels(row), row.busy_s));
        out.counter("shard_busy", "Time on its core", seconds.clone(), busy)?;
        let starved = receivers().map(|row| (labels(row), row.starved_s));
        let help = "Backpressure: time without an empty batch while a sender waited";
        out.counter("shard_starved", help, seconds, starved)?;
        let empty = receivers().map(|row| (labels(row), row.batches_empty));
        out.gauge("shard_batches_empty", "Batches at home and empty", None, empty)?;
        let all = receivers().map(|row| (labels(row), row.batches as u64));
        out.gauge("shard_batches", "Its batches", None, all)?;
        let received = receivers().map(|row| (labels(row), row.count));
        out.counter("shard_received_messages", "Messages by receiver", None, received)?;
        let queued = rows().filter(|row| row.kind == "producer");
        let queued = queued.map(|row| (vec![], row.queued as u64));
        out.gauge("producer_queue_batches", "Batches that wait for the producer", None, queued)
    }

    fn brokers(&self, out: &mut Out<'_>) -> Result<(), Error> {
        let rows = &self.figures.brokers;
        let labels = |row: &Broker| vec![("broker", row.name.clone())];
        let up = rows.iter().map(|row| (labels(row), u64::from(row.state == "UP")));
        out.gauge("broker_up", "1 while librdkafka is connected to it", None, up)?;
        let median = rows.iter().map(|row| (labels(row), row.round_trip.p50_us as f64 / 1e6));
        let help = "Median round trip of the last 5 s";
        out.gauge("broker_round_trip", help, Some(Unit::Seconds), median)?;
        let outbuf = rows.iter().map(|row| (labels(row), row.outbuf));
        out.gauge("broker_outbuf_requests", "Requests waiting to be sent", None, outbuf)?;
        let waiting = rows.iter().map(|row| (labels(row), row.waiting));
        out.gauge("broker_waiting_requests", "Requests sent and not answered", None, waiting)?;
        let errors = rows.iter().map(|row| (labels(row), row.errors));
        out.counter("broker_errors", "Errors of sending and receiving", None, errors)?;
        let timeouts = rows.iter().map(|row| (labels(row), row.timeouts));
        out.counter("broker_timeouts", "Requests that timed out", None, timeouts)
    }

    fn connections(&self, out: &mut Out<'_>) -> Result<(), Error> {
        let of = &self.figures.connections;
        let states = of.states.iter();
        let states = states.map(|(state, count)| (vec![("state", state.clone())], *count));
        out.gauge("connections", "Open connections by what they are at", None, states)?;
        let help = "Connections not let in, by reason";
        let refused = Refused::ALL.map(Refused::name);
        let rows = rows_by_reason(&refused, |reason| of.refused.get(reason).copied());
        out.counter("connections_refused", help, None, rows)?;
        let help = "Connections closed by corndog, by reason";
        let closed = Closed::ALL.map(Closed::name);
        let rows = rows_by_reason(&closed, |reason| of.closed.get(reason).copied());
        out.counter("connections_closed", help, None, rows)?;
        let help = "Times that a connection waited for an empty batch";
        out.counter("connections_held", help, None, [(vec![], of.held)])?;
        let help = "Times that accept failed";
        out.counter("accept_failures", help, None, [(vec![], of.accept_failed)])?;
        let help = "limits.connections";
        out.gauge("connections_limit", help, None, [(vec![], of.limit as u64)])?;
        let status = &self.figures.status;
        let help = "Requests answered by this server";
        out.counter("status_requests", help, None, [(vec![], status.requests)])?;
        let help = "Connections of this server that were one too many";
        out.counter("status_connections_refused", help, None, [(vec![], status.refused)])?;
        let help = "Connections of this server that were too slow, too long, or not HTTP";
        out.counter("status_connections_closed", help, None, [(vec![], status.closed)])
    }
}

/// A row for each reason, be it 0: a series that is born at 1 has no `increase` for an alert to see.
fn rows_by_reason(
    reasons: &[&str],
    count: impl Fn(&str) -> Option<u64>,
) -> impl Iterator<Item = (Vec<Label>, u64)> {
    let row =
        move |reason: &&str| (vec![("reason", (*reason).to_owned())], count(reason).unwrap_or(0));
    reasons.iter().map(row)
}

/// The rows whose bytes fit, and one that sums the others.
fn fold<T: Clone + Default>(
    rows: &[T],
    bytes_max: usize,
    row_bytes: impl Fn(&T) -> usize,
    add: impl Fn(&mut T, &T),
) -> Vec<T> {
    let mut bytes = 0;
    let fits = |row: &&T| {
        bytes += row_bytes(row);
        bytes <= bytes_max
    };
    let mut shown: Vec<T> = rows.iter().take_while(fits).cloned().collect();
    if shown.len() < rows.len() {
        let mut sum = T::default();
        rows[shown.len()..].iter().for_each(|row| add(&mut sum, row));
        shown.push(sum);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency() -> Histogram<u64> {
        Histogram::new_with_bounds(1, 600_000_000, 2).expect("it is there")
    }

    #[test]
    fn names_cannot_break_a_line_and_each_sum_is_whole() {
        let mut figures = Figures::default();
        let name = "a\"} 1\nevil{x=\"".to_owned();
        figures.listeners.push(Listener { name, received: 7, ..Listener::default() });
        let mut of = latency();
        of.record_n(300, 2).expect("it is there");
        of.record_n(70_000_000, 1).expect("it is there");
        let latencies = Latencies { listeners: vec![of], stages: vec![] };
        let text = page(figures, latencies).expect("it is there");
        let label = r#"listener="a\"} 1\nevil{x=\"""#;
        assert!(!text.contains("\nevil"), "{text}");
        let has = |line: &str| text.lines().any(|held| held == line);
        assert!(has(&format!("corndog_listener_received_messages_total{{{label}}} 7")), "{text}");
        assert!(
            has(&format!("corndog_latency_seconds_bucket{{le=\"0.0005\",{label}}} 2")),
            "{text}"
        );
        assert!(has(&format!("corndog_latency_seconds_bucket{{le=\"60.0\",{label}}} 2")), "{text}");
        assert!(has(&format!("corndog_latency_seconds_bucket{{le=\"+Inf\",{label}}} 3")), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_reason_that_never_happened_is_there_as_0() {
        let latencies = Latencies { listeners: vec![], stages: vec![] };
        let mut figures = Figures::default();
        figures.ledger.insert("dropped".to_owned(), serde_json::json!({ "framing": 3 }));
        let text = page(figures, latencies).expect("it is there");
        for line in [
            "corndog_dropped_messages_total{reason=\"framing\"} 3",
            "corndog_dropped_messages_total{reason=\"oversize\"} 0",
            "corndog_failed_records_total{reason=\"topic_unknown\"} 0",
            "corndog_dead_letter_records_total{reason=\"topic_refused\"} 0",
            "corndog_connections_refused_total{reason=\"certificate\"} 0",
            "corndog_connections_closed_total{reason=\"idle_time\"} 0",
        ] {
            assert!(text.lines().any(|held| held == line), "no {line}: {text}");
        }
    }

    #[test]
    fn a_thousand_topics_of_the_longest_name_fit_and_nothing_is_left_out_of_the_sum() {
        let topic = |number: usize| Topic {
            name: format!("{number:0>249}"),
            taken: 2,
            delivered: 1,
            ..Topic::default()
        };
        let rule =
            |number: usize| Rule { name: format!("{number:0>200}"), matched: 1, ..Rule::default() };
        let figures = Figures {
            topics: (0..1001).map(topic).collect(),
            rules: (0..5000).map(rule).collect(),
            listeners: (0..64)
                .map(|number| Listener { name: format!("{number:0>64}"), ..Listener::default() })
                .collect(),
            ..Figures::default()
        };
        let latencies = Latencies { listeners: vec![latency(); 64], stages: vec![] };
        let text = page(figures, latencies).expect("it is there");
        assert!(text.len() < 1 << 20, "{} bytes", text.len());
        let sum = |name: &str| -> u64 {
            let of = text.lines().filter(|line| line.starts_with(name));
            of.map(|line| {
                line.rsplit(' ').next().expect("it is there").parse::<u64>().expect("it is there")
            })
            .sum()
        };
        assert_eq!(sum("corndog_topic_taken_records_total{"), 2002);
        assert_eq!(sum("corndog_rule_matched_messages_total{"), 5000);
        assert!(text.contains("topic=\"__other__\""));
    }
}
