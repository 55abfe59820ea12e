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
//! - [`sink`]: brokers on consecutive ports; [`broker`] answers requests ([`answers`] are their
//!   bytes), [`records`] walks record batches, [`codec`] decompresses them, [`partition`] keeps
//!   sequences and order, [`ledger`] counts; [`faults`]: what a sink does wrong on purpose
//! - [`kafka`]: Apache Kafka in place of the sink, asked by a [`client`]; [`destination`]: one of
//!   the two; [`agreement`]: whether both say the same
//! - [`forwarder`]: starts and stops the processes that are measured, on their [`configs`]
//! - [`compare`]: rounds that alternate between forwarders; [`summary`]: their figures; [`crowd`]:
//!   connections that send nothing beside them
//! - [`fairness`]: a flood beside senders that send little ([`trickle`]), whose messages' [`arrivals`]
//!   are kept; [`stage`]: corndog and its sink, between which spans are counted
//! - [`watching`]: what corndog's [`status`] server says, and what its [`abusers`] cost
//! - [`profile`]: where a run's CPU time went, by kind of thread
//! - [`stop`]: the signals that end them
//! - [`cpu`]: CPU clocks of this process, its threads and of other processes
//!
//! Both ends are made to cost much less than what they measure; both print their own cost.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod abusers;
pub mod agreement;
pub mod answers;
pub mod arrivals;
pub mod broker;
pub mod client;
pub mod codec;
pub mod compare;
pub mod configs;
pub mod cpu;
pub mod crowd;
pub mod destination;
pub mod failure;
pub mod fairness;
pub mod faults;
pub mod forwarder;
pub mod kafka;
pub mod ledger;
pub mod load;
pub mod message;
pub mod partition;
pub mod profile;
pub mod records;
pub mod sink;
pub mod stage;
pub mod status;
pub mod stop;
pub mod summary;
pub mod trickle;
pub mod watching;
pub mod wire;
pub mod workload;

pub use failure::Failure;
