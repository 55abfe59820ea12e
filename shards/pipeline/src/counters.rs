//! Counters: one writer each, on cache lines of their own, read by the main thread at any time.
//!
//! A counter is a plain add for its writer (no locked instruction). A reader that takes what is
//! counted later first (delivered before forwarded before received) never sees a deficit.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only its one writer changes, and that never goes back.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// For the one writer: adds `more`.
    #[inline]
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Release);
    }

    /// For the one writer of a gauge: it is `now`.
    #[inline]
    pub fn set(&self, now: u64) {
        self.0.store(now, Ordering::Release);
    }

    /// The value, as of now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// Why a message did not become a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// No rule forwarded it.
    Unmatched,
    /// A rule stopped it.
    Stopped,
    /// Its connection ended by reset, time-out or drain before the frame did.
    Framing,
    /// Its record is larger than a batch.
    Oversize,
    /// Its topic is illegal, not allowed, or one too many, and there is no fallback.
    TopicRefused,
    /// A rule merges into it, and it is no JSON object.
    MergeNotJson,
    /// A rule lets only some go on.
    Sampled,
    /// A datagram from none of the listener's `allow`ed networks.
    NotAllowed,
}

impl Dropped {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Dropped; 8] = [
        Dropped::Unmatched,
        Dropped::Stopped,
        Dropped::Framing,
        Dropped::Oversize,
        Dropped::TopicRefused,
        Dropped::MergeNotJson,
        Dropped::Sampled,
        Dropped::NotAllowed,
    ];

    /// Its name in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Dropped::Unmatched => "unmatched",
            Dropped::Stopped => "stopped",
            Dropped::Framing => "framing",
            Dropped::Oversize => "oversize",
            Dropped::TopicRefused => "topic_refused",
            Dropped::MergeNotJson => "merge_not_json",
            Dropped::Sampled => "sampled",
            Dropped::NotAllowed => "not_allowed",
        }
    }
}

/// Why a record was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The drain ended before it was acknowledged.
    Shutdown,
    /// Larger than librdkafka's or the broker's limit.
    MessageTooLarge,
    /// Its topic did not exist for `topic.metadata.propagation.max.ms`, or is illegal for Kafka.
    TopicUnknown,
    /// Kafka does not allow this client to write there.
    NotAuthorized,
    /// Not acknowledged within the user's own `message.timeout.ms`.
    TimedOut,
    /// Kafka refuses what is in it (policy, timestamp, format, compression).
    Rejected,
}

impl Failed {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Failed; 6] = [
        Failed::Shutdown,
        Failed::MessageTooLarge,
        Failed::TopicUnknown,
        Failed::NotAuthorized,
        Failed::TimedOut,
        Failed::Rejected,
    ];

    /// Its name in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Failed::Shutdown => "shutdown",
            Failed::MessageTooLarge => "message_too_large",
            Failed::TopicUnknown => "topic_unknown",
            Failed::NotAuthorized => "not_authorized",
            Failed::TimedOut => "timed_out",
            Failed::Rejected => "rejected",
        }
    }
}

/// Why a connection was closed by us, after it was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// A frame took longer than `limits.frame_time`.
    FrameTime,
    /// Nothing came for `limits.idle_time`.
    IdleTime,
    /// `framing = "octet"`, and something else stood where a count had to be.
    Framing,
}

impl Closed {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Closed; 3] = [Closed::FrameTime, Closed::IdleTime, Closed::Framing];

    /// Its name in the statistics.
    pub const fn name(self) -> &'static str {
        match self {
            Closed::FrameTime => "frame_time",
            Closed::IdleTime => "idle_time",
            Closed::Framing => "framing",
        }
    }
}

/// Why a connection was not let in: nothing that it sent was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// `limits.connections` was reached.
    TooMany,
    /// `limits.connections_per_ip` was reached.
    TooManyPerAddress,
    /// `limits.connections_per_64` was reached.
    TooManyPerNetwork,
    /// Its address is in none of the listener's `allow`ed networks.
    NotAllowed,
    /// It had `limits.handshake_time` to say who it is (TLS, PROXY), and did not.
    HandshakeTime,
    /// Too many others were in the middle of that, and it had been longest.
    Handshakes,
    /// TLS could not be agreed on.
    Tls,
    /// Its certificate is missing, or not one that is let in.
    Certificate,
    /// TLS on a plain port, plain text on a TLS port, HTTP on either.
    Protocol,
    /// It should have begun with a PROXY header.
    ProxyHeader,
}

impl Refused {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Refused; 10] = [
        Refused::TooMany,
        Refused::TooManyPerAddress,
        Refused::TooManyPerNetwork,
        Refused::NotAllowed,
        Refused::HandshakeTime,
        Refused::Handshakes,
        Refused::Tls,
        Refused::Certificate,
        Refused::Protocol,
        Refused::ProxyHeader,
    ];

    /// Its name in the statistics.
    pub const fn name(self) -> &'static str {
        match self {
            Refused::TooMany => "connections",
            Refused::TooManyPerAddress => "connections_per_ip",
            Refused::TooManyPerNetwork => "connections_per_64",
            Refused::NotAllowed => "not_allowed",
            Refused::HandshakeTime => "handshake_time",
            Refused::Handshakes => "handshakes",
            Refused::Tls => "tls",
            Refused::Certificate => "certificate",
            Refused::Protocol => "protocol",
            Refused::ProxyHeader => "proxy_header",
        }
    }
}

/// What an open connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has not said yet who it is (TLS, PROXY).
    Opening,
    /// It is between two frames.
    Idle,
    /// A frame has begun and not ended.
    MidFrame,
    /// It waits for an empty batch.
    Held,
}

impl State {
    /// All states, in the order of their numbers.
    pub const ALL: [State; 4] = [State::Opening, State::Idle, State::MidFrame, State::Held];

    /// Its name in the statistics.
    pub const fn name(self) -> &'static str {
        match self {
            State::Opening => "opening",
            State::Idle => "idle",
            State::MidFrame => "mid_frame",
            State::Held => "held",
        }
    }
}

/// What one shard counts for one listener.
#[derive(Debug, Default)]
pub struct ListenerCounters {
    /// Messages taken from frames.
    pub received: Counter,
    /// Messages that became no record.
    pub dropped: Counter,
    /// Bytes read from sockets; of TLS, what was in them.
    pub bytes_in: Counter,
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections ended, by either side.
    pub ended: Counter,
    /// Connections that were not let in.
    pub refused: Counter,
}

/// What one shard counts for one rule.
#[derive(Debug, Default)]
pub struct RuleCounters {
    /// Messages that it matched.
    pub matched: Counter,
    /// Of these, those that its `sample` left out.
    pub sampled: Counter,
    /// Of these, those that an action could not be done with: dropped, or dead letters.
    pub errors: Counter,
}

/// What the producer counts for one topic.
#[derive(Debug, Default)]
pub struct TopicCounters {
    /// Records for it, dead letters included: `taken >= delivered + failed`.
    pub taken: Counter,
    /// Records acknowledged.
    pub delivered: Counter,
    /// Records given up, or sent on as dead letters.
    pub failed: Counter,
    /// Bytes of keys and payloads acknowledged.
    pub bytes: Counter,
}

/// What a receiver shard counts. Written by that shard alone. The alignment keeps two shards'
/// counters off one cache line (128: adjacent lines are fetched in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ReceiverCounters {
    /// Messages taken from frames.
    pub received: Counter,
    /// Records made of them.
    pub forwarded: Counter,
    /// Messages that became no record, by reason.
    pub dropped: [Counter; Dropped::ALL.len()],
    /// Records made when no batch could take them any more: at the end of a drain.
    pub abandoned: Counter,
    /// Dead letters among the records made, by reason.
    pub dead_lettered: [Counter; Dropped::ALL.len()],
    /// Messages cut at `limits.frame`. They are forwarded.
    pub truncated: Counter,
    /// Bytes read from sockets; of TLS, what was in them.
    pub bytes_in: Counter,
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections ended, by either side.
    pub ended: Counter,
    /// Gauges: open connections by [`State`], as of the last look at their time.
    pub states: [Counter; State::ALL.len()],
    /// Connections that we closed, by reason.
    pub closed: [Counter; Closed::ALL.len()],
    /// Connections that were not let in, by reason.
    pub refused: [Counter; Refused::ALL.len()],
    /// Times that accept failed (descriptors, memory).
    pub accept_failed: Counter,
    /// Times that a connection had to wait for an empty batch.
    pub held: Counter,
    /// Microseconds in which somebody waited for an empty batch.
    pub starved_us: Counter,
    /// By the listener's number.
    pub listeners: Box<[ListenerCounters]>,
    /// Gauge: batches at home and empty.
    pub batches_empty: Counter,
    /// Gauge: which configuration it runs, counted from 1 at the start.
    pub generation: Counter,
}

impl ReceiverCounters {
    /// All zero, for so many listeners.
    pub fn new(listener_count: usize) -> Self {
        let listeners = (0..listener_count).map(|_| ListenerCounters::default()).collect();
        ReceiverCounters { listeners, ..ReceiverCounters::default() }
    }
}

/// Whether Kafka answers, as the producer knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Reach {
    /// No broker has answered yet.
    Unknown,
    /// One has, and not all have gone since.
    Up,
    /// All brokers are down.
    Down,
}

impl Reach {
    /// Reads the gauge.
    pub fn of(gauge: &Counter) -> Reach {
        match gauge.value() {
            0 => Reach::Unknown,
            1 => Reach::Up,
            _ => Reach::Down,
        }
    }
}

/// What the producer shard counts. Written by it alone.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ProducerCounters {
    /// Records acknowledged by Kafka.
    pub delivered: Counter,
    /// Records given up, by reason.
    pub failed: [Counter; Failed::ALL.len()],
    /// Records delivered to the dead-letter topic, by why Kafka refused them where they should have
    /// gone. They are among `delivered`.
    pub dead_lettered: [Counter; Failed::ALL.len()],
    /// Records of the batches taken from the queues.
    pub taken: Counter,
    /// Records handed to librdkafka again.
    pub resent: Counter,
    /// Times that the client was rebuilt.
    pub rebuilt: Counter,
    /// Gauge: records taken whose outcome is open, counted by itself and not by difference.
    pub in_flight: Counter,
    /// Gauge: a [`Reach`].
    pub reach: Counter,
    /// By the topic's number.
    pub topics: Box<[TopicCounters]>,
}

impl ProducerCounters {
    /// All zero, for topics numbered below `topics_max`.
    pub fn new(topics_max: usize) -> Self {
        let topics = (0..topics_max).map(|_| TopicCounters::default()).collect();
        ProducerCounters { topics, ..ProducerCounters::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_stands_at_its_own_number() {
        assert!(Dropped::ALL.iter().enumerate().all(|(index, reason)| *reason as usize == index));
        assert!(Failed::ALL.iter().enumerate().all(|(index, reason)| *reason as usize == index));
        assert!(Closed::ALL.iter().enumerate().all(|(index, reason)| *reason as usize == index));
        assert!(Refused::ALL.iter().enumerate().all(|(index, reason)| *reason as usize == index));
    }

    #[test]
    fn shards_counters_share_no_cache_line() {
        assert_eq!(align_of::<ReceiverCounters>(), 128);
        assert_eq!(size_of::<ReceiverCounters>() % 128, 0);
    }
}
