//! A message's whole way through the pipeline, from a socket's bytes to a batch that goes out and comes
//! home: for counting instructions, which hardly depend on neighbours.
//!
//!     cargo build --release --workspace --example path
//!     valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/path 100000
//!     valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/path 300000
//!
//! The difference of the two counts, divided by 200,000, is instructions per message of W1.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::print_stdout,
    reason = "a clock and a count to be printed: it is no part of the pipeline"
)]

use corndog_pipeline::batch::{Batch, Receipt};
use corndog_pipeline::counters::ReceiverCounters;
use corndog_pipeline::framing::Deframer;
use corndog_pipeline::message::Message;
use corndog_pipeline::pool::{Append, Pool};
use corndog_pipeline::rules::{
    ActionConfig, Field, ForwardConfig, MatcherConfig, PayloadFormat, RoutingConfig, RuleConfig,
};
use corndog_pipeline::ruleset::{RuleSet, Scratch, Verdict};
use corndog_pipeline::template::Context;
use corndog_pipeline::topics::{Lane, TopicTable};
use std::time::{Duration, Instant};

/// Bytes of a frame of W1, and of what a socket gives at once.
const FRAME_BYTES: usize = 248;
const READ_BYTES: usize = 64 * 1024;

fn main() {
    let count: usize = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(0);
    let head = "<165>1 2026-02-11T22:14:15.003123Z host17.example.net app-name 12345 ID47 - ";
    let line = format!("{head}{}\n", "x".repeat(FRAME_BYTES - head.len()));
    let input = line.repeat(READ_BYTES / line.len()).into_bytes();
    let mut path = Path::new();
    let began = Instant::now();
    while path.forwarded < count {
        path.feed(&input);
    }
    let ns = began.elapsed().as_nanos() / path.forwarded.max(1) as u128;
    println!("{} messages, {ns} ns each", path.forwarded);
}

struct Path {
    rules: RuleSet,
    table: TopicTable,
    scratch: Scratch,
    pool: Pool,
    counters: ReceiverCounters,
    deframer: Deframer,
    out: Vec<Batch>,
    forwarded: usize,
}

impl Path {
    fn new() -> Path {
        let forward = ForwardConfig {
            topic: "logs".to_owned(),
            key: None,
            headers: Vec::new(),
            format: PayloadFormat::Msg,
        };
        let rule = RuleConfig {
            name: "all".to_owned(),
            field: Field::Msg,
            matcher: MatcherConfig::Always,
            actions: vec![ActionConfig::Forward(forward)],
        };
        let mut rules = RuleSet::compile(&[rule], &RoutingConfig::default()).expect("a legal rule");
        let table = TopicTable::new(rules.configured_topics(), 10);
        rules.place(&table).expect("there is room");
        let scratch = rules.scratch();
        let pool = Pool::new(0, 16, 1 << 20, Duration::from_millis(5), table.capacity());
        Path {
            rules,
            table,
            scratch,
            pool,
            counters: ReceiverCounters::new(1),
            deframer: Deframer::new(READ_BYTES),
            out: Vec::new(),
            forwarded: 0,
        }
    }

    /// What one read brought.
    fn feed(&mut self, mut input: &[u8]) {
        let now = Instant::now();
        let receipt = Receipt { read_at: now, time: jiff::Timestamp::UNIX_EPOCH, listener: 0 };
        loop {
            let step = self.deframer.next(input);
            input = &input[step.consumed..];
            match step.frame {
                Some(frame) => self.take(frame.bytes, &receipt),
                None if step.consumed == 0 => return,
                None => {}
            }
        }
    }

    fn take(&mut self, frame: &[u8], receipt: &Receipt) {
        let message = Message::parse(frame, b"127.0.0.1");
        let context = Context {
            peer: b"127.0.0.1",
            listener: b"l",
            now: receipt.time,
            zone: &jiff::tz::TimeZone::UTC,
            client_name: None,
            credentials: None,
        };
        let verdict = self.rules.evaluate(&message, &context, &self.table, &mut self.scratch);
        let Verdict::Forward { record, .. } = verdict else { return };
        loop {
            match self.pool.append(receipt, Lane::Flowing, &record) {
                Append::Written => break,
                Append::Sealed(batch) => self.out.push(batch),
                Append::NoEmptyBatch => {
                    self.out.drain(..).for_each(|batch| self.pool.come_home(batch));
                }
                Append::TooLarge => return,
            }
        }
        self.scratch.count();
        self.counters.received.add(1);
        self.counters.listeners[0].received.add(1);
        self.counters.forwarded.add(1);
        self.forwarded += 1;
    }
}
