//! The built program, from a socket to a record in Kafka; each file is one theme.
//!
//! One test binary for all of them, because linking librdkafka with the release profile's LTO takes
//! half a minute each time, and so that they share one Apache Kafka. One theme alone:
//!
//!     cargo test --release --test end_to_end hostile::
//!
//! `CORNDOG_TESTS_FULL=1` runs what stands in the tests as `full()` at its full length.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends with the place")]
#![allow(clippy::print_stdout, reason = "figures for whoever looks at a failed or --nocapture run")]

mod certificates;
mod client_name;
mod credentials;
mod crowds;
mod dead_letters;
mod descriptors;
mod faults;
mod first_light;
mod hostile;
mod import;
mod journal_senders;
mod log;
mod logger_senders;
mod monitoring;
mod outage;
mod plain_senders;
mod real_kafka;
mod real_senders;
mod reload;
mod stage;
mod starting;
mod status;
mod status_page;
mod stopping;
mod tls;
mod tls_senders;
mod topics;
mod transports;
mod trial;
mod walls;
mod web_senders;

/// The program under test.
const CORNDOG: &str = env!("CARGO_BIN_EXE_corndog");
