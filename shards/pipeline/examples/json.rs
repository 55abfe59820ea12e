//! What JSON costs per message, on one core: paths, merges, and the worst inputs.
//!
//!     CARGO_PROFILE_RELEASE_LTO=off cargo run --release -p corndog-pipeline --example json
//!
//! Time is what this thread was on its core, the best of several rounds, so that a busy machine
//! disturbs least. Beside it what sonic-rs takes
//! for the same path, without the checks that it leaves out: hexadecimal digits, surrogates, depth.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::print_stdout,
    reason = "measures time and says so: it is no part of the pipeline"
)]

#[path = "json/general.rs"]
mod general;

use std::hint::black_box;
use std::time::Duration;

use corndog_pipeline::expression::{Answer, Expression};
use corndog_pipeline::json::{Document, NotJson, PathSet, PathSetBuilder, Steps, escape};
use corndog_pipeline::merge::{Leaf, Merge};
use serde_json::{Value, json};

const ROUNDS: u32 = 15;
const ROUND_TIME: Duration = Duration::from_millis(20);
const KIB: f64 = 1024.0;
const BYTES_MAX: usize = 256 * 1024;

/// Compiled rules for one field, and a shard's scratch.
struct Field {
    paths: PathSet,
    expressions: Vec<Expression>,
    merge: Merge<String>,
    document: Document,
    value: Vec<u8>,
    out: Vec<u8>,
    /// The expression was stopped.
    is_too_costly: bool,
}

impl Field {
    fn new(expressions: &[&str], tree: &Value) -> Field {
        let mut paths = PathSetBuilder::new();
        let leaf = |text: &str| -> Result<Leaf<String>, String> {
            Ok(match text.strip_prefix('$') {
                Some(made) => Leaf::Made(made.to_owned()),
                None => Leaf::Constant(text.to_owned()),
            })
        };
        let compile = |text: &&str| Expression::compile(text, &mut paths).expect("a good one");
        let expressions = expressions.iter().map(compile).collect();
        let merge = Merge::compile(tree, &mut paths, leaf).expect("a good tree");
        let (document, value, out) = (Document::new(), Vec::new(), Vec::new());
        let paths = paths.build();
        Field { paths, expressions, merge, document, value, out, is_too_costly: false }
    }

    fn path(&mut self, field: &[u8]) {
        self.document.clear();
        let (paths, document) = (&self.paths, &mut self.document);
        let mut steps = Steps::new(field.len(), Steps::PER_BYTE_MAX);
        self.is_too_costly = false;
        for expression in &self.expressions {
            let field = black_box(field);
            let answer = expression.evaluate(paths, document, field, &mut steps, &mut self.value);
            self.is_too_costly |= black_box(answer) == Answer::NotJson(NotJson::TooCostly);
        }
    }

    fn merge(&mut self, field: &[u8]) {
        let render = |text: &String, out: &mut Vec<u8>| {
            out.extend_from_slice(text.as_bytes());
            true
        };
        let (paths, document) = (&self.paths, &mut self.document);
        let merged = self.merge.apply(paths, document, field, render, BYTES_MAX, &mut self.out);
        let _ = black_box(merged);
    }
}

fn main() {
    let constants = json!({"meta": {"hotdog": {"version": "1.0.0", "timestamp": "2026-01-01"}}});
    let made =
        json!({"meta": {"hotdog": {"version": "1.0.0", "timestamp": "$2026-01-01T00:00:00Z"}}});
    let typical = typical();
    println!("a typical object of {} bytes, meta.topic:", typical.len());
    let mut field = Field::new(&["meta.topic"], &constants);
    report("path", &typical, |msg| field.path(msg));
    report("path, then merge of two constants", &typical, |msg| {
        field.path(msg);
        field.merge(msg);
    });
    let mut field = Field::new(&["meta.topic"], &made);
    report("path, then merge with a template", &typical, |msg| {
        field.path(msg);
        field.merge(msg);
    });
    let mut field = Field::new(&["meta.topic"], &json!({"meta": {"$hotdog": "1"}}));
    report("path, then merge with a made key", &typical, |msg| {
        field.path(msg);
        field.merge(msg);
    });
    let mut field = Field::new(&["meta.topic || 'none'"], &constants);
    report("general expression", &typical, |msg| field.path(msg));
    report("sonic_rs::to_object_iter, two levels", &typical, |msg| {
        black_box(sonic(black_box(msg)));
    });
    report("sonic_rs::get (stops at the value)", &typical, |msg| {
        let _ = black_box(sonic_rs::get(black_box(msg), ["meta", "topic"]));
    });
    report("serde_json to IgnoredAny", &typical, |msg| {
        let _ = black_box(serde_json::from_slice::<serde::de::IgnoredAny>(black_box(msg)));
    });

    if std::env::args().any(|word| word == "general") {
        return general::report();
    }
    println!("worst inputs of 64 KiB (at most 50000 ns per KiB):");
    worst();
    general::report();
}

/// The same path by sonic-rs, the whole object looked at.
fn sonic(msg: &[u8]) -> Option<usize> {
    let mut found = None;
    for member in sonic_rs::to_object_iter(msg) {
        let (key, value) = member.ok()?;
        if key == "meta" {
            found = Some(value);
        }
    }
    let found = found?;
    let mut topic = None;
    for member in sonic_rs::to_object_iter(found.as_raw_str()) {
        let (key, value) = member.ok()?;
        if key == "topic" {
            topic = Some(value.as_raw_str().len());
        }
    }
    topic
}

fn typical() -> Vec<u8> {
    let text =
        "GET /static/images/logo-large.png?version=20260211 HTTP/1.1 from 192.0.2.17 in 12 ms";
    json!({
        "timestamp": "2026-02-11T22:14:15.003123Z", "level": "info", "status": 200, "bytes": 51234,
        "request": {"method": "GET", "path": "/static/images/logo-large.png", "cached": true},
        "message": text, "host": "edge17.example.net", "duration": 0.0123,
        "tags": ["cdn", "static"], "meta": {"topic": "cdn-access", "service": "edge"},
    })
    .to_string()
    .into_bytes()
}

fn worst() {
    let fill = |unit: &str| unit.repeat((64 << 10) / unit.len());
    let array = |unit: &str| format!("{{\"a\":[{}0]}}", fill(unit));
    let object = |unit: &str| format!("{{{}\"z\":0}}", fill(unit));
    let inputs = [
        ("digits in an array", array("1,")),
        ("empty objects in an array", array("{},")),
        ("nested arrays", array("[[[[[[[[]]]]]]]],")),
        ("equal numbers, spelled differently", array("1.0,1.00,")),
        ("equal objects, spelled differently", array("{\"k\":1},{\"\\u006b\":1},")),
        ("a touched key again and again", object("\"a\":1,")),
        ("a touched key, with escapes", object("\"\\u0061\":{},")),
        ("a wanted path again and again", object("\"meta\":{\"topic\":1},")),
        ("escapes", format!("{{\"a\":\"{}\"}}", fill("\\u00e9"))),
        ("surrogate pairs", format!("{{\"meta\":{{\"topic\":\"{}\"}}}}", fill("\\ud83d\\ude00"))),
        ("whitespace", format!("{{{}}}", fill(" "))),
        ("not ASCII", format!("{{\"a\":\"{}\"}}", fill("\u{e9}"))),
        ("brackets", fill("[")),
        ("a long text", format!("{{\"a\":\"{}\"}}", fill("x"))),
    ];
    let tree = json!({"a": ["x"], "meta": {"topic": "$x"}});
    for (name, input) in &inputs {
        let mut fast = Field::new(&["meta.topic"], &tree);
        report_per_kib(&format!("{name}: path and merge"), input.as_bytes(), |msg| {
            fast.path(msg);
            fast.merge(msg);
        });
    }
    let many: Value = (0..5000).map(|n| (format!("k{n}"), json!({"x": n}))).collect();
    for (name, value) in [("number", "0"), ("object", "{}")] {
        let members: String =
            (0..64 << 10).map(|n| format!("\"k{}\":{value},", n % 5000)).collect();
        let input =
            format!("{{{}\"z\":0}}", &members[..members[..64 << 10].rfind(',').unwrap_or(0) + 1]);
        let mut field = Field::new(&["meta.topic"], &many);
        let name = format!("5000 touched keys again, {name}: path and merge");
        report_per_kib(&name, input.as_bytes(), |msg| {
            field.path(msg);
            field.merge(msg);
        });
    }
    let mut out = Vec::new();
    for (name, byte) in [("controls", 0), ("no UTF-8", 0xff), ("quotes", b'"'), ("text", b'x')] {
        report_per_kib(&format!("escape: {name}"), &[byte; 64 << 10], |bytes| {
            out.clear();
            escape(black_box(bytes), &mut out);
        });
    }
}

fn report(name: &str, msg: &[u8], run: impl FnMut(&[u8])) {
    println!("  {name:<58} {:>9.0} ns", best(msg, ROUNDS, run));
}

fn report_per_kib(name: &str, msg: &[u8], run: impl FnMut(&[u8])) {
    println!("  {name:<58} {:>9.0} ns/KiB", best(msg, ROUNDS, run) * KIB / msg.len() as f64);
}

/// Nanoseconds that this thread was on its core, per run.
fn best(msg: &[u8], rounds: u32, mut run: impl FnMut(&[u8])) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..rounds {
        let (start, mut runs) = (on_core(), 0_u32);
        let mut spent = 0;
        while spent < ROUND_TIME.as_nanos() {
            run(msg);
            runs += 1;
            if runs % 16 == 0 || msg.len() > 4096 {
                spent = on_core() - start;
            }
        }
        best = best.min(spent as f64 / f64::from(runs));
    }
    best
}

fn on_core() -> u128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as u128 * 1_000_000_000 + now.tv_nsec as u128
}
