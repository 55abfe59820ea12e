//! Once running, the pipeline allocates nothing: not per message, not per batch.

#![allow(clippy::disallowed_methods, reason = "a first instant, from which time is an argument")]

use std::time::{Duration, Instant};

use corndog_pipeline::batch::Batch;
use corndog_pipeline::batch::Receipt;
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

const MESSAGES: &str = "<165>1 2003-10-11T22:14:15.003Z host app 7 ID47 [a b=\"c\"] up user=root ok\n\
                        <34>Oct 11 22:14:15 mymachine su[12]: 'su root' failed for user=lonvick\n\
                        <13>1 - - - - - - nothing matches this one\n\
                        no syslog at all user=x\n";

struct Engine {
    rules: RuleSet,
    table: TopicTable,
    scratch: Scratch,
    pool: Pool,
    out: Vec<Batch>,
    forwarded: usize,
    batches: usize,
}

impl Engine {
    fn run(&mut self, rounds: usize, now: Instant) {
        let mut deframer = Deframer::new(64 * 1024);
        for _ in 0..rounds {
            let mut input = MESSAGES.as_bytes();
            loop {
                let step = deframer.next(input);
                input = &input[step.consumed..];
                match step.frame {
                    Some(frame) => self.take(frame.bytes, now),
                    None if step.consumed == 0 => break,
                    None => {}
                }
            }
        }
    }

    fn take(&mut self, frame: &[u8], now: Instant) {
        let message = Message::parse(frame, b"127.0.0.1");
        let context = Context {
            peer: b"127.0.0.1",
            listener: b"l",
            now: jiff::Timestamp::UNIX_EPOCH,
            zone: &jiff::tz::TimeZone::UTC,
            client_name: None,
            credentials: None,
        };
        let verdict = self.rules.evaluate(&message, &context, &self.table, &mut self.scratch);
        let Verdict::Forward { record, .. } = verdict else { return };
        self.forwarded += 1;
        loop {
            let receipt = Receipt { read_at: now, time: context.now, listener: 0 };
            match self.pool.append(&receipt, Lane::Flowing, &record) {
                Append::Written => return self.scratch.count(),
                Append::Sealed(batch) => {
                    self.batches += 1;
                    self.out.push(batch);
                }
                Append::NoEmptyBatch => {
                    while let Some(batch) = self.out.pop() {
                        self.pool.come_home(batch);
                    }
                }
                Append::TooLarge => panic!("a small record fits"),
            }
        }
    }
}

#[test]
fn nothing_is_allocated_per_message_nor_per_batch() {
    let rule = |regex: &str, topic: &str, key: Option<&str>| RuleConfig {
        name: String::new(),
        field: Field::Msg,
        matcher: MatcherConfig::Regex(regex.to_owned()),
        actions: vec![ActionConfig::Forward(ForwardConfig {
            topic: topic.to_owned(),
            key: key.map(str::to_owned),
            headers: Vec::new(),
            format: PayloadFormat::default(),
        })],
    };
    let rules = [
        rule(r"user=(?P<user>\w+)", "users-{{user}}", Some("{{hostname}}-{{user}}-{{iso8601}}")),
        rule("failed|denied", "alerts", None),
    ];
    let allow = vec!["users-*".to_owned()];
    let routing = RoutingConfig { allow, distinct: 10, ..RoutingConfig::default() };
    let mut rules = RuleSet::compile(&rules, &routing).expect("legal");
    let table = TopicTable::new(rules.configured_topics(), 10);
    rules.place(&table).expect("there is room");
    let now = Instant::now();
    let mut engine = Engine {
        pool: Pool::new(Share::ALL, 4, 16 * 1024, Duration::from_millis(5), table.capacity()),
        scratch: rules.scratch(),
        out: Vec::with_capacity(4),
        rules,
        table,
        forwarded: 0,
        batches: 0,
    };
    engine.run(1000, now);
    let before = engine.forwarded;
    let counted = allocation_counter::measure(|| engine.run(10_000, now));
    assert_eq!(engine.forwarded - before, 30_000, "three of four messages are forwarded");
    assert!(engine.batches > 100, "many batches went out and came home");
    assert_eq!(counted.count_total, 0, "{counted:?}");
}
