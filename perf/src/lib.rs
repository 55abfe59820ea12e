//! Measures corndog beside its peers: a load generator, a Kafka sink and comparison runs.
//!
//! ```text
//!  load --TCP--> forwarder under test --Kafka protocol--> sink
//!   |            (a process of its own)                    |
//!   +--- stamps each message ------------ checks each stamp +
//! ```
//!
//! - [`message`]: a message with connection, sequence and checksum in it; pure
//! - [`workload`]: what the messages say, and what the rules have to make of them; pure
//! - [`load`]: sends such messages over TCP
//! - [`sink`]: brokers on consecutive ports; [`broker`] answers requests, [`records`] walks record
//!   batches, [`partition`] keeps sequences and order, [`ledger`] counts
//! - [`forwarder`]: starts and stops the processes that are measured, on their [`configs`]
//! - [`compare`]: rounds that alternate between forwarders, with their [`progress`]; [`summary`]:
//!   their figures, [`comparison`]: these as a report
//! - [`scale`]: what corndog's cost grows with, [`growth`]: that as a report; [`fleet`]: a load over thousands of connections
//! - [`fairness`]: a flood beside senders that send little ([`trickle`]), whose messages' [`arrivals`]
//!   are kept; [`stage`]: corndog and its sink, between which spans are counted
//! - [`watching`]: what corndog's [`status`] server says, and what its [`abusers`] cost
//! - [`report`]: figures as one HTML file, with each [`table`], charts ([`plot`], over an [`axis`], on a [`canvas`])
//!   and facts about the [`machine`]
//! - [`stop`]: the signals that end them
//! - [`cpu`]: CPU clocks of this process, its threads and of other processes
//!
//! Both ends are made to cost much less than what they measure; both print their own cost.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod abusers;
pub mod arrivals;
pub mod axis;
pub mod broker;
pub mod canvas;
pub mod compare;
pub mod comparison;
pub mod configs;
pub mod cpu;
pub mod failure;
pub mod fairness;
pub mod fleet;
pub mod forwarder;
pub mod growth;
pub mod ledger;
pub mod load;
pub mod machine;
pub mod message;
pub mod partition;
pub mod plot;
pub mod progress;
pub mod records;
pub mod report;
pub mod scale;
pub mod sink;
pub mod stage;
pub mod status;
pub mod stop;
pub mod summary;
pub mod table;
pub mod trickle;
pub mod watching;
pub mod wire;
pub mod workload;

pub use failure::Failure;
