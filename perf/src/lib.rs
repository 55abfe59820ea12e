//! Measures corndog beside its peers: a load generator, a Kafka sink and comparison runs.
//!
//! ```text
//!  load --TCP--> forwarder under test --Kafka protocol--> sink
//!   |            (a process of its own)                    |
//!   +--- stamps each message ------------ checks each stamp +
//! ```
//!
//! - [`message`]: a message with connection, sequence, send time and checksum in it, in [`hex`]; pure
//! - [`workload`]: what the messages say, and what the rules have to make of them; pure
//! - [`source`]: all that a load can send; [`mix`]: messages as files say them; pure
//! - [`load`]: sends such messages, flat out or at a [`pace`], by the [`clock`]
//! - [`sink`]: brokers on consecutive ports; [`broker`] answers requests ([`answers`] are their
//!   bytes), [`records`] walks record batches, [`codec`] decompresses them, [`partition`] keeps
//!   sequences and order, [`ledger`] counts; [`faults`]: what a sink does wrong on purpose
//! - [`kafka`]: Apache Kafka in place of the sink, asked by a [`client`]; [`destination`]: one of
//!   the two; [`agreement`]: whether both say the same
//! - [`forwarder`]: starts and stops the processes that are measured, on their [`configs`]
//! - [`compare`]: rounds that alternate between forwarders, with their [`progress`]; [`summary`]:
//!   their figures, [`comparison`]: these as a report
//! - [`scale`]: what corndog's cost grows with, [`growth`]: that as a report; [`fleet`]: a load over thousands of connections
//! - [`fairness`]: a flood beside senders that send little ([`trickle`]), whose messages' [`arrivals`]
//!   are kept; [`stage`]: corndog and its sink, between which spans are counted
//! - [`latency`]: how long messages take at given rates; [`curves`]: that as tables, curves, a report
//! - [`watching`]: what corndog's [`status`] server says, and what its [`abusers`] cost
//! - [`report`]: figures as one HTML file, with each [`table`], charts ([`plot`], over an [`axis`], on a [`canvas`])
//!   and facts about the [`machine`]
//! - [`recording`]: a process's stacks, sampled; [`profile`]: where its CPU time went, by kind of
//!   thread
//! - [`tool`]: how each begins and ends; [`stop`]: the signals that end them
//! - [`latencies`]: how long messages took, as a histogram; [`random`]: what is drawn
//! - [`cpu`]: CPU clocks of this process, its threads and of other processes
//!
//! Both ends are made to cost much less than what they measure; both print their own cost.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod abusers;
pub mod agreement;
pub mod answers;
pub mod arrivals;
pub mod audit;
pub mod axis;
pub mod broker;
pub mod canvas;
pub mod client;
pub mod clock;
pub mod codec;
pub mod compare;
pub mod comparison;
pub mod configs;
pub mod cpu;
pub mod curves;
pub mod destination;
pub mod failure;
pub mod fairness;
pub mod faults;
pub mod fleet;
pub mod forwarder;
pub mod growth;
pub mod hex;
pub mod kafka;
pub mod latencies;
pub mod latency;
pub mod ledger;
pub mod load;
pub mod machine;
pub mod message;
pub mod mix;
pub mod pace;
pub mod partition;
pub mod plot;
pub mod profile;
pub mod progress;
pub mod random;
pub mod recording;
pub mod records;
pub mod report;
pub mod scale;
mod sender;
pub mod sink;
pub mod source;
pub mod stage;
pub mod status;
pub mod stop;
pub mod summary;
pub mod table;
pub mod taken;
pub mod tool;
pub mod trickle;
pub mod watching;
pub mod wire;
pub mod workload;

pub use failure::Failure;
