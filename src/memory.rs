//! The memory sum: everything that can grow, at its bound. Printed at start and by `check`.

use corndog_pipeline::batch::{Batch, batch_records_max};
use corndog_pipeline::listen::Transport;
use corndog_pipeline::ruleset::RuleSet;
use corndog_pipeline::topics::RELOADED_TOPICS_MAX;

use crate::config::Settings;
use crate::engine::MADE_TOPICS_MIN;
use crate::status;

/// What librdkafka allocates for a record in flight, beside its bytes, which it reads in place:
/// its message (about 190 bytes), its share of a request's headers and segments, malloc's own.
const LIBRDKAFKA_BYTES_PER_RECORD: usize = 320;
/// The program, its libraries and threads.
const BASE_BYTES: usize = 24 << 20;

/// The parts of the sum, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemorySum {
    /// The batches' arenas: receivers x per_receiver x bytes.
    pub records: usize,
    /// The batches' tables of records and topics.
    pub tables: usize,
    /// librdkafka, with every batch out and full.
    pub librdkafka: usize,
    /// The connections' buffers, with every connection in the middle of its longest frame.
    pub connections: usize,
    /// The rules' caches and buffers on all receivers.
    pub rules: usize,
    /// What the status server has rendered and not sent yet.
    pub status: usize,
    /// The program itself.
    pub base: usize,
}

impl MemorySum {
    /// The sum for these settings.
    pub fn new(settings: &Settings, rules: &RuleSet) -> MemorySum {
        let receivers = settings.cores.receivers.len();
        let batches = receivers * settings.batches.per_receiver;
        let topics_max = rules.configured_topics().len()
            + RELOADED_TOPICS_MAX
            + settings.routing.distinct.max(MADE_TOPICS_MIN);
        let batch_bytes = settings.batches.bytes;
        let tables = Batch::memory_bytes(batch_bytes, topics_max) - batch_bytes;
        let mut buffer_max = corndog_receiver::buffer_bytes_max(settings.limits.frame_bytes_max);
        if settings.listen.iter().any(|listener| listener.transport == Transport::Tls) {
            // What came and is not deciphered yet has a buffer of its own.
            buffer_max = 2 * buffer_max + corndog_receiver::TLS_BYTES_MAX;
        }
        MemorySum {
            records: batches * batch_bytes,
            tables: batches * tables,
            librdkafka: batches * batch_records_max(batch_bytes) * LIBRDKAFKA_BYTES_PER_RECORD,
            connections: settings.limits.connections * buffer_max,
            // At a reload there are the old ones and the new.
            rules: 2 * receivers * rules.scratch_bytes_max(),
            status: settings.status.map_or(0, |_| status::MEMORY_BYTES_MAX),
            base: BASE_BYTES,
        }
    }

    /// The sum.
    pub fn total(&self) -> usize {
        self.records
            + self.tables
            + self.librdkafka
            + self.connections
            + self.rules
            + self.status
            + self.base
    }

    /// It in words.
    pub fn describe(&self, settings: &Settings) -> String {
        format!(
            "memory at most {} MiB: records {} MiB ({} receivers x {} batches x {} KiB), their tables {} \
             MiB, librdkafka {} MiB, connections {} MiB ({} x {} KiB), rules {} MiB, status {} MiB, the program {} MiB",
            mib(self.total()),
            mib(self.records),
            settings.cores.receivers.len(),
            settings.batches.per_receiver,
            settings.batches.bytes / 1024,
            mib(self.tables),
            mib(self.librdkafka),
            mib(self.connections),
            settings.limits.connections,
            self.connections / settings.limits.connections / 1024,
            mib(self.rules),
            mib(self.status),
            mib(self.base),
        )
    }
}

fn mib(bytes: usize) -> usize {
    bytes.div_ceil(1 << 20)
}
