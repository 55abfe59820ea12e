//! What the process shows of itself: one instant of it, as `/stats` writes it and `corndog top`
//! reads it. Times are microseconds where a name ends in `_us`, seconds where it ends in `_s`;
//! counts are since the start, `rate` is per second over the last interval.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Everything that is shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// One sentence: how it is.
    pub message: String,
    /// hotdog's own shape, for its dashboards: its names, whole numbers.
    pub stats: BTreeMap<String, u64>,
    /// The ledger of this instant, with the fields of the log's last line.
    pub ledger: Map<String, Value>,
    /// Of the program.
    pub version: String,
    /// `ready`, `not_ready` or `draining`.
    pub state: String,
    /// Why it is not ready, a sentence each.
    pub reasons: Vec<String>,
    /// RFC 3339.
    pub time: String,
    /// Since the start.
    pub uptime_s: f64,
    /// Which configuration is in force.
    pub configuration: Configuration,
    /// Over the last interval.
    pub rates: Rates,
    /// The last ten minutes.
    pub history: History,
    /// From the read of a message's last byte to its delivery report, and the parts of that way.
    pub latency: Latency,
    /// In the order of the configuration.
    pub listeners: Vec<Listener>,
    /// In the order of the configuration.
    pub rules: Vec<Rule>,
    /// The configured ones first; the last may be `__other__`, for all that have no row.
    pub topics: Vec<Topic>,
    /// The receivers, then the producer.
    pub shards: Vec<Shard>,
    /// librdkafka's threads and ours that are no shards.
    pub threads: Vec<Thread>,
    /// As librdkafka knows them.
    pub brokers: Vec<Broker>,
    /// Of senders.
    pub connections: Connections,
    /// Datagrams that the kernel dropped before they were read.
    pub dropped_by_kernel: u64,
    /// Dead letters among the records, by reason.
    pub dead_lettered: BTreeMap<String, u64>,
    /// Messages cut at `limits.frame`; they are forwarded.
    pub truncated: u64,
    /// Records handed to librdkafka again.
    pub resent: u64,
    /// Times that librdkafka's client was made anew.
    pub rebuilt: u64,
    /// What it takes and may take.
    pub memory: Memory,
    /// The last of each kind, the newest first; at most 32.
    pub errors: Vec<LastError>,
    /// Of this server itself.
    pub status: Status,
}

impl Figures {
    /// A number of the ledger.
    pub fn count(&self, field: &str) -> u64 {
        self.ledger.get(field).and_then(Value::as_u64).unwrap_or(0)
    }

    /// The ledger's `dropped` or `failed`, by reason; without the zeros.
    pub fn reasons(&self, field: &str) -> BTreeMap<String, u64> {
        let members = self.ledger.get(field).and_then(Value::as_object).into_iter().flatten();
        members.filter_map(|(reason, count)| Some((reason.clone(), count.as_u64()?))).collect()
    }
}

/// Which configuration is in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Configuration {
    /// The file.
    pub file: String,
    /// Counted from 1 at the start.
    pub generation: u64,
    /// When it was put in force, RFC 3339.
    pub loaded: String,
    /// Reloads that were asked for and refused.
    pub refused: u64,
    /// When each listener's certificate expires.
    pub certificates: Vec<Certificate>,
}

/// One listener's certificate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Certificate {
    /// The listener.
    pub listener: String,
    /// RFC 3339.
    pub expires: String,
    /// Seconds until then; negative once it has expired.
    pub expires_in_s: i64,
}

/// Per second, over the last interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// Messages.
    pub received: f64,
    /// Records made.
    pub forwarded: f64,
    /// Records acknowledged.
    pub delivered: f64,
    /// Messages that became no record.
    pub dropped: f64,
    /// Records given up.
    pub failed: f64,
    /// Bytes read.
    pub bytes_in: f64,
    /// Bytes of records acknowledged.
    pub bytes_out: f64,
}

/// The last ten minutes, the oldest first, a point each `interval_s`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// Between two points.
    pub interval_s: f64,
    /// Messages per second.
    pub received: Vec<f64>,
    /// Records acknowledged per second.
    pub delivered: Vec<f64>,
    /// Dropped and failed per second.
    pub lost: Vec<f64>,
    /// Median of the latency.
    pub p50_us: Vec<u64>,
    /// 99th percentile of the latency.
    pub p99_us: Vec<u64>,
}

/// From read to delivery report, and where that time goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// The last interval that had a report.
    pub last: Percentiles,
    /// Since the start.
    pub total: Percentiles,
    /// Since the start, as a curve: percentile and microseconds, for a plot.
    pub curve: Vec<(f64, u64)>,
    /// The last interval's curve.
    pub last_curve: Vec<(f64, u64)>,
    /// `read_to_sealed`, `sealed_to_produced`, `produced_to_acknowledged`, in this order.
    pub stages: Vec<Stage>,
}

/// One part of the way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// The last interval that had a report.
    pub last: Percentiles,
    /// Since the start.
    pub total: Percentiles,
}

/// Of a histogram, in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Percentiles {
    /// Records in it.
    pub count: u64,
    /// Their mean.
    pub mean_us: f64,
    /// The median.
    pub p50_us: u64,
    /// 90 of 100 are below.
    pub p90_us: u64,
    /// 99 of 100 are below.
    pub p99_us: u64,
    /// 999 of 1000 are below.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// One listener.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// As configured.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// `tcp`, `tls`, `udp`, `unix-stream`, `unix-datagram`.
    pub transport: String,
    /// Messages.
    pub received: u64,
    /// Messages that became no record.
    pub dropped: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Open connections.
    pub connections: u64,
    /// Connections let in so far.
    pub accepted: u64,
    /// Connections not let in.
    pub refused: u64,
    /// Messages per second.
    pub rate: f64,
    /// Since the start.
    pub latency: Percentiles,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Its name, or `#3` for the third.
    pub name: String,
    /// Messages that it matched.
    pub matched: u64,
    /// Of these, left out by its `sample`.
    pub sampled: u64,
    /// Of these, dropped or dead letters because an action could not be done.
    pub errors: u64,
    /// Matches per second.
    pub rate: f64,
}

/// One topic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Topic {
    /// Its name, or `__other__`.
    pub name: String,
    /// Records taken by the producer for it.
    pub taken: u64,
    /// Acknowledged.
    pub delivered: u64,
    /// Given up.
    pub failed: u64,
    /// Bytes of keys and payloads acknowledged.
    pub bytes: u64,
    /// Kafka takes its records.
    pub is_flowing: bool,
    /// Acknowledged per second.
    pub rate: f64,
    /// Since the start; of topics beyond the first 100, those of `__other__`.
    pub latency: Percentiles,
}

/// One shard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shard {
    /// `receiver` or `producer`.
    pub kind: String,
    /// Among its kind.
    pub index: usize,
    /// Where it is pinned.
    pub core: usize,
    /// Messages (receiver) or records (producer) so far.
    pub count: u64,
    /// The same per second.
    pub rate: f64,
    /// Share of the last interval in which it ran, 0 to 1.
    pub busy: f64,
    /// Share in which it could have run, and others had its core.
    pub waiting: f64,
    /// CPU seconds so far.
    pub busy_s: f64,
    /// Receiver: open connections.
    pub connections: u64,
    /// Receiver: its batches.
    pub batches: usize,
    /// Receiver: those at home and empty.
    pub batches_empty: u64,
    /// Receiver: seconds without an empty batch while a sender waited for one.
    pub starved_s: f64,
    /// Producer: batches in its inbox.
    pub queued: usize,
}

/// A thread that is no shard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thread {
    /// As the kernel shows it.
    pub name: String,
    /// Share of the last interval in which it ran, 0 to 1.
    pub busy: f64,
    /// CPU seconds so far.
    pub busy_s: f64,
}

/// One broker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Broker {
    /// `host:port/id`.
    pub name: String,
    /// librdkafka's word: `UP`, `DOWN`, `CONNECT`, `INIT` and others.
    pub state: String,
    /// Round trips of the last interval of librdkafka's statistics.
    pub round_trip: Percentiles,
    /// Requests waiting to be sent.
    pub outbuf: u64,
    /// Requests sent and not answered.
    pub waiting: u64,
    /// Errors of sending and receiving so far.
    pub errors: u64,
    /// Requests that timed out so far.
    pub timeouts: u64,
    /// Connections made so far.
    pub connects: u64,
    /// Bytes sent so far.
    pub bytes_out: u64,
}

/// Connections of senders.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connections {
    /// Open now.
    pub open: u64,
    /// `limits.connections`.
    pub limit: usize,
    /// Open ones by what they are at: `opening`, `idle`, `mid_frame`, `held`.
    pub states: BTreeMap<String, u64>,
    /// Let in so far.
    pub accepted: u64,
    /// Times that one waited for an empty batch.
    pub held: u64,
    /// Closed by us, by reason.
    pub closed: BTreeMap<String, u64>,
    /// Not let in, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Times that accept failed.
    pub accept_failed: u64,
}

/// Memory of the process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Resident now.
    pub resident_bytes: u64,
    /// The sum of all bounds, as printed at the start.
    pub bytes_max: u64,
}

/// The last of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastError {
    /// The condition.
    pub kind: String,
    /// `info`, `warn` or `error`.
    pub level: String,
    /// RFC 3339.
    pub time: String,
    /// The sentence, with the peer where there is one.
    pub message: String,
    /// How often since the start.
    pub count: u64,
}

/// The status server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Answered so far.
    pub requests: u64,
    /// Connections refused: too many at once.
    pub refused: u64,
    /// Connections closed for their slowness or their form.
    pub closed: u64,
}
