//! The pure heart: bytes to frames, frames to messages, messages to verdicts, verdicts to records
//! in a batch. No socket, no thread, no clock, no global, no unsafe code: time is an argument,
//! and whoever calls owns the buffers.

#![forbid(unsafe_code)]

pub mod rules;
