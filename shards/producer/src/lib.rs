//! The dedicated shard: batches in, records to Kafka, batches home with their outcome.
//!
//! A plain thread on a core of its own. It takes sealed batches from its inbox, hands their records
//! to librdkafka where they lie, reads delivery reports, and sends each batch home when the outcome
//! of its last record is known. rdkafka appears in this crate alone.

mod conf;
mod desk;
mod embedded;
mod native;
mod outcome;
mod partition;
mod partitions;
mod recovery;
mod shard;

pub use conf::check;
pub use embedded::Embedded;
pub use shard::{ProducerSettings, spawn};
