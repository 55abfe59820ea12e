//! A message's whole way through the pipeline, from a socket's bytes to a batch that goes out and comes
//! home, for W1 to W3 of perf/README.md: for counting instructions, which hardly depend on neighbours.
//! `perf/budget` counts them.
//!
//!     cargo build --release --workspace --example path
//!     target/release/examples/path w2 300000

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::print_stdout,
    reason = "a clock and a count to be printed: it is no part of the pipeline"
)]

use corndog_perf::message::{Block, Framing};
use corndog_perf::workload::Workload;
use corndog_pipeline::batch::{Batch, Receipt};
use corndog_pipeline::counters::ReceiverCounters;
use corndog_pipeline::framing::Deframer;
use corndog_pipeline::message::Message;
use corndog_pipeline::pool::{Append, Pool};
use corndog_pipeline::rules::{
    ActionConfig, Field, ForwardConfig, MatcherConfig, PayloadFormat, RoutingConfig, RuleConfig,
};
use corndog_pipeline::ruleset::{RuleSet, Scratch, Verdict};
use corndog_pipeline::sample::Share;
use corndog_pipeline::template::Context;
use corndog_pipeline::topics::{Lane, TopicTable};
use std::time::{Duration, Instant};

/// Bytes that a socket gives at once.
const READ_BYTES: usize = 64 * 1024;
/// Bytes of a frame that no workload's is longer than.
const FRAME_BYTES_MAX: usize = 64 * 1024;

fn main() -> Result<(), String> {
    let usage = "path WORKLOAD COUNT: w1, w2 or w3, and how many messages";
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or(usage)?;
    let count: usize = arguments.next().and_then(|count| count.parse().ok()).ok_or(usage)?;
    let workload = Workload::parse(&name)?;
    let block = Block::new(workload.texts(1), READ_BYTES, Framing::Lf);
    let mut path = Path::new(&rules(workload).ok_or(usage)?);
    let began = Instant::now();
    while path.forwarded < count {
        path.feed(block.bytes());
    }
    let ns = began.elapsed().as_nanos() / path.forwarded.max(1) as u128;
    println!("{} messages, {ns} ns each", path.forwarded);
    Ok(())
}

/// The workload's rules, as perf/workloads has them; `None` where they are not counted.
fn rules(workload: Workload) -> Option<Vec<RuleConfig>> {
    let forward = |topic: &str| {
        ActionConfig::Forward(ForwardConfig {
            topic: topic.to_owned(),
            key: None,
            headers: Vec::new(),
            format: PayloadFormat::Msg,
        })
    };
    let rule = |matcher: MatcherConfig, actions: Vec<ActionConfig>| RuleConfig {
        name: String::new(),
        field: Field::Msg,
        matcher,
        actions,
    };
    let all = |topic: &str| rule(MatcherConfig::Always, vec![forward(topic)]);
    Some(match workload {
        Workload::W1 { .. } => vec![all("logs")],
        Workload::W2 => {
            let merged = serde_json::json!({
                "meta": { "hotdog": { "version": "{{version}}", "timestamp": "{{iso8601}}" } }
            });
            let text = "This is the total message: {{msg}}\n\nAnd the name is: {{name}}\n";
            vec![
                rule(
                    MatcherConfig::Jmespath("meta.topic".to_owned()),
                    vec![ActionConfig::Merge(merged), forward("logs-{{value}}")],
                ),
                rule(
                    MatcherConfig::Regex(r"^hello\s+(?P<name>\w+)?".to_owned()),
                    vec![ActionConfig::Replace(text.to_owned()), forward("test")],
                ),
                all("logs-unknown"),
            ]
        }
        Workload::W3 { rules } => {
            let matching = |pattern| rule(MatcherConfig::Regex(pattern), vec![forward("test")]);
            let by_prefix = (0..rules / 2).map(|number| format!("^svc-{number:03}: "));
            let by_code =
                (0..rules / 2).map(|number| format!(r"user=(?P<user>\w+) .*code={number:03}"));
            by_prefix.chain(by_code).map(matching).chain([all("logs-unknown")]).collect()
        }
        Workload::W4 | Workload::Topics { .. } => return None,
    })
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
    fn new(rules: &[RuleConfig]) -> Path {
        let routing = RoutingConfig {
            allow: vec!["logs-*".to_owned()],
            distinct: 10,
            ..RoutingConfig::default()
        };
        let mut rules = RuleSet::compile(rules, &routing).expect("legal rules");
        let table = TopicTable::new(rules.configured_topics(), 10);
        rules.place(&table).expect("there is room");
        let scratch = rules.scratch();
        let pool = Pool::new(Share::ALL, 16, 1 << 20, Duration::from_millis(5), table.capacity());
        Path {
            rules,
            table,
            scratch,
            pool,
            counters: ReceiverCounters::new(1),
            deframer: Deframer::new(FRAME_BYTES_MAX),
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
