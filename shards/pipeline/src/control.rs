//! What goes between a shard and the main thread: a phase down, notices up. Never a message.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::batch::Batch;
use crate::counters::Dropped;
use crate::latency::Latencies;
use crate::topics::TopicIndex;

/// How far the process is. It only moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Shards set themselves up; nothing is accepted.
    Starting,
    /// Accepting and forwarding.
    Running,
    /// No more is accepted; what the kernel holds is read, and all is delivered.
    Draining,
    /// Out of time: what is not delivered is counted, and the shards end.
    Aborting,
}

/// The phase, as shards see it. Written by the main thread, read by all shards.
#[derive(Debug, Default)]
pub struct PhaseCell(AtomicU8);

impl PhaseCell {
    /// The phase at present.
    pub fn now(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Running,
            2 => Phase::Draining,
            _ => Phase::Aborting,
        }
    }

    /// For the main thread: moves on to `phase`.
    pub fn advance(&self, phase: Phase) {
        self.0.fetch_max(phase as u8, Ordering::AcqRel);
    }
}

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For whoever looks for a cause.
    Debug,
    /// Good to know.
    Info,
    /// Somebody should look.
    Warn,
    /// Something is lost or broken.
    Error,
}

/// What a shard tells the main thread.
#[derive(Debug)]
pub enum Notice {
    /// The shard is up.
    Started,
    /// The shard cannot start; one sentence.
    Refused(String),
    /// Something for the log. The main thread limits the rate per `kind`, but for `Level::Debug`.
    Said {
        /// How much it matters.
        level: Level,
        /// The condition, for the rate limit.
        kind: &'static str,
        /// One sentence.
        text: String,
    },
    /// A dropped message, for the log. The main thread limits the rate per `kind`, and knows how many
    /// others there were.
    Dropped {
        /// How much it matters.
        level: Level,
        /// The condition, for the rate limit.
        kind: &'static str,
        /// Why.
        reason: Dropped,
        /// One sentence.
        text: String,
    },
    /// librdkafka's statistics, as JSON.
    Statistics(String),
    /// Something for the log about one peer. The main thread limits the rate per `kind` and peer.
    OfPeer {
        /// The condition, for the rate limit.
        kind: &'static str,
        /// Whose.
        peer: IpAddr,
        /// One sentence.
        text: String,
    },
}

/// What comes to the producer's inbox.
#[derive(Debug)]
pub enum Arrival {
    /// A sealed batch, from a receiver.
    Batch(Batch),
    /// Delivery reports are there, from librdkafka.
    Reports,
    /// From now on, where records go that Kafka refuses for good, from the main thread.
    DeadLetter(Option<TopicIndex>),
    /// Empty ones to go on with: those filled until now are to be sent back. From the main thread.
    Latencies(Box<Latencies>),
    /// No receiver will send any more, from the main thread.
    Closed,
}
