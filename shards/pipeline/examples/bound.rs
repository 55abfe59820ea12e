//! What the worst messages cost that were found for whole rule sets, on one core.
//!
//!     cargo run --release -p corndog-pipeline --example bound
//!
//! The bound is 50 us for each KiB of a message, and for a message of at most 1 KiB. `patterns` and
//! `json` search for the worst of each kind; here what they are is put together, and with what is
//! asked of structured data. The best of several rounds. Exits with 1 if a set is above the bound.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::print_stdout,
    reason = "measures time and says so: it is no part of the pipeline"
)]

use corndog_pipeline::message::Message;
use corndog_pipeline::rules::{
    ActionConfig, Field, ForwardConfig, MatcherConfig, PayloadFormat, RoutingConfig, RuleConfig,
};
use corndog_pipeline::ruleset::RuleSet;
use corndog_pipeline::template::Context;
use corndog_pipeline::topics::TopicTable;
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

const BOUND_US_PER_KIB: f64 = 50.0;
const ROUNDS: u32 = 100;
const PEER: &[u8] = b"192.0.2.7";

fn main() -> ExitCode {
    let mut worst = 0.0_f64;
    println!("{:<40} {:<31} {:<31}", "us per KiB", "messages of 1 KiB", "of 64 KiB");
    for (name, rules) in rule_sets() {
        let compiled = RuleSet::compile(&rules, &RoutingConfig::default());
        let mut rules = compiled.unwrap_or_else(|why| panic!("{why:?}"));
        let table = TopicTable::new(rules.configured_topics(), 0);
        rules.place(&table).expect("there is room");
        let [few, many] = [1, 64].map(|kib| {
            let messages = messages(kib << 10).into_iter();
            let costs = messages.map(|(what, message)| (cost(&rules, &table, &message), what));
            costs.fold((0.0, ""), |worst, next| if next.0 > worst.0 { next } else { worst })
        });
        println!("{name:<40} {:>6.1} {:<24} {:>6.1} {:<24}", few.0, few.1, many.0, many.1);
        worst = worst.max(few.0).max(many.0);
    }
    println!("the worst: {worst:.1} us per KiB, of {BOUND_US_PER_KIB}");
    if worst <= BOUND_US_PER_KIB { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn rule_sets() -> Vec<(&'static str, Vec<RuleConfig>)> {
    let regex = |n: usize| rule("msg", MatcherConfig::Regex(format!("k{n:03}=.*v{n:03}")), vec![]);
    let general = |n: usize| {
        let text = format!("sort(a{n} || @) || length(@)");
        rule("msg", MatcherConfig::Jmespath(text), vec![])
    };
    let path = |n: usize| rule("msg", MatcherConfig::Jmespath(format!("k{n:03}.a")), vec![]);
    let sd = |n: usize| {
        let field = format!("sd.id.p{n:03}");
        rule(&field, MatcherConfig::Regex("^nothing has this$".into()), vec![])
    };
    let header = |n: usize| (format!("h{n}"), format!("{{{{sd.id.p{n:03}}}}}"));
    let headers =
        |count: usize| vec![rule("msg", MatcherConfig::Always, (0..count).map(header).collect())];
    vec![
        ("100 patterns", (0..100).map(regex).collect()),
        ("50 patterns, 20 general expressions", {
            (0..50).map(regex).chain((0..20).map(general)).collect()
        }),
        ("100 general expressions", (0..100).map(general).collect()),
        ("4,000 paths", (0..4000).map(path).collect()),
        ("4,000 parameters of structured data", (0..4000).map(sd).collect()),
        ("60 parameters as headers", headers(60)),
        ("50 patterns, 20 expressions, 60 headers", {
            (0..50).map(regex).chain((0..20).map(general)).chain(headers(60)).collect()
        }),
    ]
}

fn rule(field: &str, matcher: MatcherConfig, headers: Vec<(String, String)>) -> RuleConfig {
    let format = PayloadFormat::Msg;
    let forward = ForwardConfig { topic: "t".into(), key: None, headers, format };
    RuleConfig {
        name: String::new(),
        field: Field::parse(field).expect("a field"),
        matcher,
        actions: vec![ActionConfig::Forward(forward)],
    }
}

/// Messages of so many bytes that are dear for some of the sets.
fn messages(bytes: usize) -> Vec<(&'static str, Vec<u8>)> {
    let head = "<13>1 - h a - - ";
    let fill = |unit: &dyn Fn(usize) -> String, bytes: usize| {
        let mut filled = String::new();
        for next in (0..bytes).map(unit) {
            if filled.len() + next.len() > bytes {
                break;
            }
            filled.push_str(&next);
        }
        filled
    };
    let room = bytes - head.len() - 16;
    let key = |n: usize| format!("k{:03}=", n % 100);
    let all_keys = |n: usize| format!("\"k{:03}\":{{\"a\":1}},", n * 7 % 4000);
    let param = |n: usize| format!(" p{:03}=\"\"", n * 7 % 4000);
    let unknown = |_: usize| " p=\"\"".to_owned();
    let escaped = |n: usize| format!(" p{:03}=\"\\\\\\\"\\]\"", n % 60);
    [
        ("keys", format!("{head}- {}", fill(&key, room))),
        ("numbers", format!("{head}- [{}0]", fill(&|_| "1,".to_owned(), room))),
        ("numbers, falling", format!("{head}- [{}0]", fill(&|n| format!("{},", 99_999 - n), room))),
        ("members", format!("{head}- {{{}\"z\":0}}", fill(&all_keys, room))),
        (
            "the same member",
            format!("{head}- {{{}\"z\":0}}", fill(&|_| "\"k000\":0,".to_owned(), room)),
        ),
        ("parameters", format!("{head}[id{}] x", fill(&param, room))),
        ("the same parameter", format!("{head}[id{}] x", fill(&unknown, room))),
        ("escapes", format!("{head}[id{}] x", fill(&escaped, room))),
        ("one escaped parameter", format!("{head}[id p000=\"{}\"] x", "\\\\".repeat(room / 2 - 8))),
    ]
    .into_iter()
    .map(|(what, message)| (what, message.into_bytes()))
    .collect()
}

/// Microseconds for each KiB.
fn cost(rules: &RuleSet, table: &TopicTable, frame: &[u8]) -> f64 {
    let context = Context {
        peer: PEER,
        listener: b"l",
        now: jiff::Timestamp::UNIX_EPOCH,
        zone: &jiff::tz::TimeZone::UTC,
        client_name: None,
        credentials: None,
    };
    let message = Message::parse(frame, PEER);
    let mut scratch = rules.scratch();
    let rounds = if frame.len() > 4096 { ROUNDS / 10 } else { ROUNDS };
    let best = (0..rounds).map(|_| {
        let start = cpu_time();
        black_box(rules.evaluate(black_box(&message), &context, table, &mut scratch));
        cpu_time() - start
    });
    best.min().unwrap_or_default().as_nanos() as f64 / 1000.0 / (frame.len() as f64 / 1024.0)
}

/// What other programs take is not counted.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
