//! The pure heart: bytes to frames, frames to messages, messages to verdicts, verdicts to records
//! in a batch. No socket, no thread, no clock, no global, no unsafe code: time is an argument,
//! and whoever calls owns the buffers.

#![forbid(unsafe_code)]

mod actions;
mod attribution;
pub mod batch;
pub mod bits;
pub mod caret;
pub mod client_name;
mod compiler;
pub mod control;
pub mod counters;
pub mod credentials;
pub mod expression;
pub mod framing;
pub mod json;
pub mod latency;
pub mod listen;
pub mod merge;
pub mod message;
pub mod network;
pub mod patterns;
pub mod payload;
mod plan;
pub mod pool;
pub mod proxy;
pub mod record;
mod rfc3164;
mod rfc5424;
mod rule;
pub mod rules;
pub mod ruleset;
pub mod sample;
pub mod structured_data;
mod tally;
pub mod template;
pub mod time;
pub mod topics;
mod waiting;
