//! The configuration's text -> [`Settings`]; every limit is checked here and nowhere else.
//!
//! The text is parsed to a table, the environment is laid over it, and each section is read by
//! hand, so that one pass finds all mistakes: unknown keys, wrong types, numbers out of range,
//! and what does not fit together.
//!
//! | part | what it holds |
//! | --- | --- |
//! | `file` | finding, reading and parsing the file |
//! | `environment` | variables over the file |
//! | `section` | reading a table key by key, noting mistakes |
//! | `units`, `limits` | sizes and durations; every range with its reason |
//! | `shards`, `listen`, `kafka`, `topics`, `rules` | the sections of those names |
//! | `status`, `statsd` | where the program shows itself |
//! | `tls` | a listener's certificates, by name; nothing is opened |
//! | `actions`, `merge` | what a rule does; a TOML table as JSON |
//! | `parts` | a rule with a mistake, part by part, to find the others |

mod actions;
mod environment;
mod file;
mod kafka;
mod limits;
mod listen;
mod merge;
mod parts;
mod rules;
mod section;
mod shards;
mod statsd;
mod status;
#[cfg(test)]
mod tests;
mod tls;
mod topics;
mod units;

pub use environment::environment;
pub use file::{find_file, is_hotdog, read_file};
pub use kafka::{KafkaSettings, is_secret};
pub use listen::ListenSettings;
pub use rules::RulePlace;
pub use statsd::StatsdSettings;

use crate::cores::{self, CorePlan};
use corndog_pipeline::listen::{Address, Transport};
use corndog_pipeline::rules::{RoutingConfig, RuleConfig};
use environment::Overlay;
use section::{Mistakes, Section, show};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use toml::Value;
use units::Unit;

/// A mistake in the configuration: one sentence with key, value, limit and what to do. Two lines
/// may follow that show the place in a pattern, an expression or a template; they are indented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake(pub String);

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The whole configuration, as meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which shard runs where.
    pub cores: CorePlan,
    /// The receivers' memory for records.
    pub batches: BatchSettings,
    /// What a sender may take.
    pub limits: LimitSettings,
    /// Where senders connect; at least one.
    pub listen: Vec<ListenSettings>,
    /// Where records go.
    pub kafka: KafkaSettings,
    /// Which topics records may go to, and what becomes of the others.
    pub routing: RoutingConfig,
    /// Tried in order; at least one, unless what matches none is forwarded.
    pub rules: Vec<RuleConfig>,
    /// Where the program shows itself over HTTP; port 0 lets the kernel choose. `None`: nowhere.
    pub status: Option<SocketAddr>,
    /// Where metrics are sent; `None`: nowhere.
    pub statsd: Option<StatsdSettings>,
}

/// Memory for records: receivers x `per_receiver` x `bytes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSettings {
    /// Of one batch; at least twice the longest frame.
    pub bytes: usize,
    /// How many batches a receiver owns.
    pub per_receiver: usize,
    /// When an unfilled batch leaves.
    pub age: Duration,
}

/// What a sender may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSettings {
    /// In the whole process.
    pub connections: usize,
    /// From one address; at most `connections`.
    pub connections_per_ip: usize,
    /// From one IPv6 /64; at most `connections`.
    pub connections_per_64: usize,
    /// Of a frame; the rest of a longer one is skipped.
    pub frame_bytes_max: usize,
    /// From a frame's first byte to its last.
    pub frame_time: Duration,
    /// Without any byte.
    pub idle_time: Duration,
    /// For TLS and a PROXY header.
    pub handshake_time: Duration,
    /// From the signal to the end.
    pub drain_time: Duration,
}

impl Settings {
    /// Reads a configuration's text, with the environment over it. `places`: where each rule stood
    /// in the file that the text was made from, for mistakes to name; else empty.
    ///
    /// Returns the settings and warnings, a sentence each.
    /// Errors: every mistake, unless the text is not even TOML, which hides the others.
    pub fn from_toml(
        text: &str,
        places: &[RulePlace],
        environment: &[(String, String)],
        allowed_cores: &[usize],
    ) -> Result<(Settings, Vec<String>), Vec<Mistake>> {
        let mut table = file::parse(text).map_err(|mistake| vec![mistake])?;
        let mistakes = Mistakes::default();
        let mut warnings = Vec::new();
        let overlay = Overlay::lay(environment, &mut table, &mistakes, &mut warnings);
        let mut file = Section::file(table, &overlay, &mistakes);

        let cores = shards::read(file.section("shards"), allowed_cores, &mut warnings);
        let batches = read_batches(file.section("batches"));
        let limits = read_limits(file.section("limits"), &mut warnings);
        let has_dead_letter = topics::has_dead_letter(&mut file);
        let entries = file.entries("listen");
        let listen = listen::read(entries, has_dead_letter, &mistakes, &mut warnings);
        let mut section = file.section("kafka");
        let record_time = topics::read_record_time(&mut section);
        let kafka = kafka::read(section, &overlay, environment, &mut warnings);
        let routing = topics::read(file.section("topics"));
        let unmatched = topics::read_unmatched(file.section("unmatched"), &kafka.topic);
        let routing = RoutingConfig { record_time, unmatched, ..routing };
        let around = rules::Around { places, kafka: &kafka, routing: &routing };
        let rules = rules::read(file.entries("rule"), &around, &mistakes, &mut warnings);
        let status = status::read(file.section("status"), &mut warnings);
        let statsd = statsd::read(file.section("statsd"));
        file.finish();

        let settings =
            Settings { cores, batches, limits, listen, kafka, routing, rules, status, statsd };
        settings.check_together(&mistakes);
        match mistakes.into_list() {
            list if list.is_empty() => Ok((settings, warnings)),
            list => Err(list),
        }
    }

    /// Memory for records: all that is ever held of them.
    pub fn record_bytes(&self) -> usize {
        let per_receiver = self.batches.per_receiver.saturating_mul(self.batches.bytes);
        self.cores.receivers.len().saturating_mul(per_receiver)
    }

    /// One line of what the configuration means, with the memory sum.
    pub fn summary(&self) -> String {
        let receivers = self.cores.receivers.len();
        let listen: Vec<String> = self
            .listen
            .iter()
            .map(|listener| match listener.transport {
                Transport::Tcp => format!("{} on {}", listener.name, listener.address),
                other => format!("{} on {} ({})", listener.name, listener.address, other.name()),
            })
            .collect();
        format!(
            "{} on {}, the producer on core {}; listening: {}; rules: {}; to {}, topic {}; \
             memory for records: {receivers} x {} x {} = {}{}",
            if receivers == 1 { "1 receiver".to_owned() } else { format!("{receivers} receivers") },
            name_cores(&self.cores.receivers),
            self.cores.producer,
            listen.join(", "),
            self.rules.len(),
            if self.kafka.embedded { "the embedded Kafka" } else { "Kafka" },
            self.kafka.topic,
            self.batches.per_receiver,
            show_bytes(self.batches.bytes),
            show_bytes(self.record_bytes()),
            self.outlets(),
        )
    }

    /// Where it shows itself.
    fn outlets(&self) -> String {
        let status = self.status.map(|address| format!("; status on {address}"));
        let statsd = self
            .statsd
            .as_ref()
            .map(|statsd| format!("; metrics to {} under {:?}", statsd.address, statsd.prefix));
        [status, statsd].into_iter().flatten().collect()
    }

    /// What no single key can get wrong.
    fn check_together(&self, mistakes: &Mistakes) {
        let (batch, frame) = (show_bytes(self.batches.bytes), self.limits.frame_bytes_max);
        let frames = count(limits::FRAMES_PER_BATCH_MIN);
        if frame > self.batches.bytes / frames
            && !mistakes.concern(&["limits.frame", "batches.bytes"])
        {
            let sentence = format!(
                "{} is too large for batches.bytes = {batch}; give at most half of it, {}, \
                 because a frame with its key must fit an empty batch",
                show_bytes(frame),
                show_bytes(self.batches.bytes / frames),
            );
            mistakes.add("limits.frame", &sentence);
        }
        let keys = ["shards", "shards.receivers", "shards.cores", "batches.per_receiver"];
        let most = limits::RECORD_BYTES_MAX;
        if self.record_bytes() > count(most)
            && !mistakes.concern(&keys)
            && !mistakes.concern(&["batches.bytes"])
        {
            let sentence = format!(
                "{} receivers x {} x {batch} is {} of memory for records; at most {} may be \
                 taken: lower per_receiver or bytes",
                self.cores.receivers.len(),
                self.batches.per_receiver,
                show_bytes(self.record_bytes()),
                show_bytes(count(most)),
            );
            mistakes.add("batches", &sentence);
        }
        let held = self.limits.connections.saturating_mul(frame);
        let most = limits::CONNECTION_BYTES_MAX;
        if held > count(most) && !mistakes.concern(&["limits.connections", "limits.frame"]) {
            let sentence = format!(
                "{} connections x frame = {} may hold {} of unfinished frames; at most {} may be \
                 taken: lower connections or frame",
                self.limits.connections,
                show_bytes(frame),
                show_bytes(held),
                show_bytes(count(most)),
            );
            mistakes.add("limits", &sentence);
        }
        self.check_status(mistakes);
    }

    /// The status server's port is no listener's.
    fn check_status(&self, mistakes: &Mistakes) {
        let Some(status) = self.status.filter(|status| status.port() != 0) else { return };
        let is_same = |listener: &&ListenSettings| {
            listener.address == Address::Inet(status) && !listener.transport.is_datagram()
        };
        if let Some(other) = self.listen.iter().find(is_same) {
            let sentence = format!(
                "{status} is the address of listener {:?} too; give each its own",
                other.name
            );
            mistakes.add("status.address", &sentence);
        }
    }
}

/// A number that its range keeps at 0 or above.
fn count(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

fn show_bytes(bytes: usize) -> String {
    Unit::Bytes.show(i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn name_cores(list: &[usize]) -> String {
    let shown = cores::show(list);
    if shown.contains(['-', ',']) { format!("cores {shown}") } else { format!("core {shown}") }
}

fn read_batches(mut section: Section<'_>) -> BatchSettings {
    let bytes = count(section.number("bytes", &limits::BATCH_BYTES));
    let per_receiver = count(section.number("per_receiver", &limits::BATCHES_PER_RECEIVER));
    let age = duration(section.number("age", &limits::BATCH_AGE));
    section.finish();
    BatchSettings { bytes, per_receiver, age }
}

fn read_limits(mut section: Section<'_>, warnings: &mut Vec<String>) -> LimitSettings {
    let connections = count(section.number("connections", &limits::CONNECTIONS));
    let is_given = section.rest().contains_key("connections_per_ip");
    let per_ip = count(section.number("connections_per_ip", &limits::CONNECTIONS_PER_IP));
    if is_given && per_ip > connections {
        warnings.push(format!(
            "limits.connections_per_ip: {per_ip} is more than limits.connections = {connections}, \
             which holds"
        ));
    }
    let per_64 = count(section.number("connections_per_64", &limits::CONNECTIONS_PER_64));
    let frame_bytes_max = count(section.number("frame", &limits::FRAME_BYTES));
    let frame_time = duration(section.number("frame_time", &limits::FRAME_TIME));
    let idle_time = duration(section.number("idle_time", &limits::IDLE_TIME));
    let handshake_time = duration(section.number("handshake_time", &limits::HANDSHAKE_TIME));
    let drain_time = duration(section.number("drain_time", &limits::DRAIN_TIME));
    section.finish();
    LimitSettings {
        connections,
        connections_per_ip: per_ip.min(connections),
        connections_per_64: per_64.min(connections),
        frame_bytes_max,
        frame_time,
        idle_time,
        handshake_time,
        drain_time,
    }
}

/// A name that the log and the statistics can show; `None` when it is left out.
fn read_name(entry: &mut Section<'_>) -> Option<String> {
    let name = entry.text("name", "plain")?;
    if name.len() > limits::NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let shown = show(&Value::String(name.clone()));
        let sentence = format!(
            "{shown} is not a name; use at most {} bytes on one line",
            limits::NAME_BYTES_MAX
        );
        entry.mistake("name", &sentence);
    }
    Some(name)
}
