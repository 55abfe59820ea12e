//! What the end-to-end tests share: the built program, real Apache Kafka, the mock, senders.
//!
//! ```text
//! Sender -> Corndog -> Kafka or Mock -> read_all -> tally
//! ```
//!
//! The program under test is a process, driven as a user drives it: a file, signals, sockets, its
//! log and its exit code. Nothing here links it. Every wait has a bound, and says what it waited
//! for when it is over. What a test started ends with the test.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends with the place")]

pub mod browser;
pub mod cases;
pub mod descriptors;
pub mod kafka;
pub mod ledger;
pub mod messages;
pub mod mock;
pub mod murmur2;
pub mod pki;
pub mod places;
pub mod process;
pub mod program;
pub mod promql;
pub mod proof;
pub mod proxy;
pub mod reader;
pub mod secure;
pub mod senders;
pub mod status;
pub mod time;

pub use kafka::Kafka;
pub use ledger::Ledger;
pub use messages::{Tally, tally};
pub use mock::Mock;
pub use pki::Pki;
pub use program::{Corndog, settings};
pub use proof::{By, Proof};
pub use proxy::Proxy;
pub use reader::{Record, Watch, read_all};
pub use secure::{SecureSender, Trust};
pub use senders::Sender;
pub use time::{timed, timed_alone, wait_for};
