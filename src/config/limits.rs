//! Every number's range, each end with its reason, and its default.

use super::units::{Bounds, Unit};

const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;
const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;

/// Memory for records, over all receivers.
pub const RECORD_BYTES_MAX: i64 = 16 << 30;
/// Memory for unfinished frames, were every connection to hold the longest.
pub const CONNECTION_BYTES_MAX: i64 = 64 << 30;
/// Batches hold at least this many of the longest frames.
pub const FRAMES_PER_BATCH_MIN: i64 = 2;
/// Listeners; each costs a socket per receiver.
pub const LISTENERS_MAX: usize = 64;
/// Rules; a message that matches none is tried against each.
pub const RULES_MAX: usize = 4096;
/// A pattern, so that compiling what an operator wrote stays cheap.
pub const PATTERN_BYTES_MAX: usize = 4096;
/// A JMESPath expression, for the same reason.
pub const EXPRESSION_BYTES_MAX: usize = 4096;
/// A template, which is rendered for each message.
pub const TEMPLATE_BYTES_MAX: usize = 4096;
/// Actions of a rule, which run for each message that it matches.
pub const ACTIONS_MAX: usize = 64;
/// What one action merges, as JSON; each message that the rule matches grows by it.
pub const MERGE_BYTES_MAX: usize = 64 << 10;
/// Objects and lists in each other in what an action merges: as many as in a message.
pub const MERGE_DEPTH_MAX: usize = 64;
/// Headers of a record; each is rendered for each message.
pub const HEADERS_MAX: usize = 64;
/// A header's name, which every record repeats.
pub const HEADER_NAME_BYTES_MAX: usize = 256;
/// A listener's or a rule's name, which the log and the statistics repeat.
pub const NAME_BYTES_MAX: usize = 128;
/// Networks in a listener's `allow`; each connection and datagram is looked up in all.
pub const ALLOW_NETWORKS_MAX: usize = 1000;
/// Names in a listener's `client_names`; each certificate is compared with all.
pub const CLIENT_NAMES_MAX: usize = 10_000;
/// Patterns in `topics.allow`; each new topic is tried against each.
pub const ALLOW_PATTERNS_MAX: usize = 1000;

/// `shards.receivers`; its default is only an example, `"auto"` counts the cores.
pub const RECEIVERS: Bounds = Bounds {
    unit: Unit::Count,
    min: (1, "because someone must receive"),
    max: (256, "because each is a thread with batches of its own"),
    default: 2,
};

/// `batches.bytes`.
pub const BATCH_BYTES: Bounds = Bounds {
    unit: Unit::Bytes,
    min: (4 * KIB, "because each batch costs the producer a wake"),
    max: (64 * MIB, "because a batch comes home only when its last record is acknowledged"),
    default: 512 * KIB,
};

/// `batches.per_receiver`.
pub const BATCHES_PER_RECEIVER: Bounds = Bounds {
    unit: Unit::Count,
    min: (2, "because one fills while another is with Kafka"),
    max: (4096, "because all of them are allocated at the start"),
    default: 16,
};

/// `batches.age`.
pub const BATCH_AGE: Bounds = Bounds {
    unit: Unit::Millis,
    min: (0, "which sends each batch as soon as nothing more is read"),
    max: (60 * SECOND, "because a record waits that long in an unfilled batch"),
    default: 5,
};

/// `limits.connections`.
pub const CONNECTIONS: Bounds = Bounds {
    unit: Unit::Count,
    min: (1, "because each sender needs one"),
    max: (1_000_000, "because each costs a file descriptor and memory"),
    default: 4096,
};

/// `limits.connections_per_ip`.
pub const CONNECTIONS_PER_IP: Bounds = Bounds {
    unit: Unit::Count,
    min: (1, "because each sender needs one"),
    max: (1_000_000, "which is the most that limits.connections may be"),
    default: 256,
};

/// `limits.connections_per_64`.
pub const CONNECTIONS_PER_64: Bounds = Bounds {
    unit: Unit::Count,
    min: (1, "because each sender needs one"),
    max: (1_000_000, "which is the most that limits.connections may be"),
    default: 1024,
};

/// `limits.handshake_time`.
pub const HANDSHAKE_TIME: Bounds = Bounds {
    unit: Unit::Millis,
    min: (100, "because TLS takes two journeys across the network"),
    max: (60 * SECOND, "because whoever does not say who he is holds a connection that long"),
    default: 5 * SECOND,
};

/// `receive_buffer` of a listener.
pub const RECEIVE_BUFFER: Bounds = Bounds {
    unit: Unit::Bytes,
    min: (64 * KIB, "because the longest datagram must fit"),
    max: (1 << 30, "because the kernel takes it from the machine's memory"),
    default: 4 * MIB,
};

/// `limits.frame`.
pub const FRAME_BYTES: Bounds = Bounds {
    unit: Unit::Bytes,
    min: (480, "which every receiver must take (RFC 5424, section 6.1)"),
    max: (16 * MIB, "because a connection may hold that much of an unfinished frame"),
    default: 64 * KIB,
};

/// `limits.frame_time`.
pub const FRAME_TIME: Bounds = Bounds {
    unit: Unit::Millis,
    min: (100, "because a frame may cross a slow network in pieces"),
    max: (HOUR, "because a sender that stalls holds a connection that long"),
    default: 30 * SECOND,
};

/// `limits.idle_time`.
pub const IDLE_TIME: Bounds = Bounds {
    unit: Unit::Millis,
    min: (100, "because senders pause between messages"),
    max: (7 * 24 * HOUR, "because a sender that vanished holds a connection that long"),
    default: 600 * SECOND,
};

/// `limits.drain_time`.
pub const DRAIN_TIME: Bounds = Bounds {
    unit: Unit::Millis,
    min: (100, "because Kafka must answer for what is in flight"),
    max: (HOUR, "because a stop takes that long while Kafka is away"),
    default: 30 * SECOND,
};

/// `sample = { one_in = N }`.
pub const SAMPLE_ONE_IN: Bounds = Bounds {
    unit: Unit::Count,
    min: (1, "which lets every message go on"),
    max: (1_000_000_000, "because more is as good as stop"),
    default: 100,
};

/// `sample = { per_second = N }`.
pub const SAMPLE_PER_SECOND: Bounds = Bounds {
    unit: Unit::Count,
    min: (1, "or use stop, which drops every message"),
    max: (1_000_000_000, "because no machine receives more"),
    default: 50,
};

/// `topics.distinct`.
pub const DISTINCT_TOPICS: Bounds = Bounds {
    unit: Unit::Count,
    min: (1, "because a template makes at least one"),
    max: (10_000, "because each topic's name and partitions stay in memory"),
    default: 100,
};
