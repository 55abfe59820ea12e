//! The dedicated shard: batches in, records to Kafka, batches home with their outcome.
//!
//! A plain thread on a core of its own. It takes sealed batches from its inbox, hands their records
//! to librdkafka where they lie, reads delivery reports, and sends each batch home when the outcome
//! of its last record is known. rdkafka appears in this crate alone.
//!
//! Unsafe code is in four files, the only ones of the project: `values.rs` (what librdkafka is
//! given and gives), `client.rs` (the calls), `brake.rs` (what is done in its threads when a set is
//! refused) and `native.rs` (the proof that the bytes outlive them).

mod brake;
mod client;
mod conf;
mod desk;
mod embedded;
mod holding;
mod letters;
mod native;
mod outcome;
mod partition;
mod partitions;
mod place;
mod recorder;
mod recovery;
mod shard;
mod values;

pub use conf::check;
pub use embedded::Embedded;
pub use shard::{ProducerSettings, spawn};
