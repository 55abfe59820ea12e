//! What a receiver shard is made of, as the engine fills it in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use corndog_pipeline::batch::Batch;
use corndog_pipeline::control::{Arrival, Notice, PhaseCell};
use corndog_pipeline::counters::ReceiverCounters;
use corndog_pipeline::ruleset::RuleSet;
use corndog_pipeline::topics::TopicTable;
use crossbeam_channel::{Receiver, Sender};

use crate::gate::Gate;
use crate::kick::Kick;

/// One listener.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Its name.
    pub name: String,
    /// Where it listens; each shard has a socket of its own there.
    pub address: SocketAddr,
}

/// A connection's limits.
#[derive(Debug, Clone)]
pub struct ReceiverLimits {
    /// Bytes of a frame; the rest of a longer one is cut off.
    pub frame_bytes_max: usize,
    /// From a frame's first byte to its last.
    pub frame_time: Duration,
    /// Without a byte.
    pub idle_time: Duration,
}

/// What a receiver shard is made of. The engine fills it in.
pub struct ReceiverSettings {
    /// Its number among the receivers.
    pub index: usize,
    /// Its core.
    pub core: usize,
    /// Where it listens.
    pub listen: Vec<Listen>,
    /// Its connections' limits.
    pub limits: ReceiverLimits,
    /// Its batches.
    pub batches_per_receiver: usize,
    /// Bytes of each.
    pub batch_bytes: usize,
    /// An unfilled batch leaves after this.
    pub batch_age_max: Duration,
    /// The rules, shared.
    pub rules: Arc<RuleSet>,
    /// All topics, shared.
    pub topics: Arc<TopicTable>,
    /// How many connections there may be, shared.
    pub gate: Arc<Gate>,
    /// Sealed batches go out here.
    pub outbox: Sender<Arrival>,
    /// Empty ones come home here.
    pub returns: Receiver<Batch>,
    /// Written by this shard alone.
    pub counters: Arc<ReceiverCounters>,
    /// Written by the main thread.
    pub phase: Arc<PhaseCell>,
    /// By which the main thread wakes this shard.
    pub kick: Arc<Kick>,
    /// To the main thread.
    pub notices: Sender<Notice>,
}
