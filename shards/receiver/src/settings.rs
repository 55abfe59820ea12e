//! What a receiver shard is made of, as the engine fills it in.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use corndog_pipeline::batch::Batch;
use corndog_pipeline::control::{Arrival, Notice, PhaseCell};
use corndog_pipeline::counters::ReceiverCounters;
use corndog_pipeline::framing::Framing;
use corndog_pipeline::listen::Transport;
use corndog_pipeline::message::Dialect;
use corndog_pipeline::network::Network;
use corndog_pipeline::rules::Oversize;
use corndog_pipeline::ruleset::{RuleSet, Scratch};
use corndog_pipeline::topics::TopicTable;
use crossbeam_channel::{Receiver, Sender};
use jiff::tz::TimeZone;

use crate::gate::Gate;
use crate::kick::Kick;
use crate::tls::TlsCell;

/// One listener, as one shard has it.
#[derive(Debug)]
pub struct Listen {
    /// Its number.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// How senders reach it.
    pub transport: Transport,
    /// This shard's socket; `None`: another shard has it.
    pub socket: Option<OwnedFd>,
    /// How its connections' frames are delimited.
    pub framing: Framing,
    /// Which formats its senders speak.
    pub dialect: Dialect,
    /// Where their clocks are, if they do not say it.
    pub zone: TimeZone,
    /// What becomes of a frame longer than `limits.frame`.
    pub oversize: Oversize,
    /// Who may send; empty: everybody.
    pub allow: Arc<[Network]>,
    /// Connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// With `Transport::Tls`: what its next connections use.
    pub tls: Option<Arc<TlsCell>>,
}

/// What a reload changes, made ready off the shard for one shard.
#[derive(Debug)]
pub struct Live {
    /// Counts reloads, from 1 at the start.
    pub generation: u64,
    /// The rules, shared.
    pub rules: Arc<RuleSet>,
    /// This shard's caches and buffers for them.
    pub scratch: Scratch,
    /// Its connections' limits.
    pub limits: ReceiverLimits,
}

/// A connection's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiverLimits {
    /// Bytes of a frame; the rest of a longer one is cut off.
    pub frame_bytes_max: usize,
    /// From a frame's first byte to its last.
    pub frame_time: Duration,
    /// Without a byte.
    pub idle_time: Duration,
    /// For TLS and a PROXY header, from accept on.
    pub handshake_time: Duration,
}

/// What a receiver shard is made of. The engine fills it in.
pub struct ReceiverSettings {
    /// Its number among the receivers.
    pub index: usize,
    /// How many there are.
    pub receivers: usize,
    /// Its core.
    pub core: usize,
    /// Where it listens.
    pub listen: Vec<Listen>,
    /// What this machine is called: whose messages those of the unix domain are.
    pub machine: String,
    /// What it goes on with, after each reload.
    pub lives: Receiver<Box<Live>>,
    /// What it goes on without: that it has taken the new one, and to be freed elsewhere.
    pub retired: Sender<Box<Live>>,
    /// Its batches.
    pub batches_per_receiver: usize,
    /// Bytes of each.
    pub batch_bytes: usize,
    /// An unfilled batch leaves after this.
    pub batch_age_max: Duration,
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
