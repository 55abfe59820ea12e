//! What the pass over all patterns of a field costs per message, on one core.
//!
//!     cargo run --release -p corndog-pipeline --example patterns
//!
//! First usual messages, by the number of patterns; then the worst that a sender could be made to
//! send for each rule set: walks over what its patterns are made of. The best of several rounds.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::print_stdout,
    reason = "measures time and says so: it is no part of the pipeline"
)]

use corndog_pipeline::bits::Bits;
use corndog_pipeline::patterns::{AUTOMATON_CACHE_BYTES_MAX, Pattern, PatternScratch, PatternSet};
use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

const ROUNDS: u32 = 300;

fn main() {
    println!("usual messages of 250 bytes, ns each; none matches");
    println!(
        "{:>9} {:>9} {:>12} {:>12} {:>12}",
        "patterns", "in pass", "no user=", "user=", "code="
    );
    let texts = [
        filled("GET /index.html 200 from 192.0.2.7 in 12 ms, "),
        filled("login of user=bob by key, from 192.0.2.7, "),
        filled("login of user=bob by key, from 192.0.2.7, code=999 "),
    ];
    for count in [1, 3, 10, 100, 500] {
        let set = compile(&w3(count));
        let mut scratch = set.scratch();
        let costs = texts.each_ref().map(|text| usual(&set, &mut scratch, text.as_bytes()));
        println!(
            "{count:>9} {:>9} {:>12.1} {:>12.1} {:>12.1}",
            set.pass_count(),
            costs[0],
            costs[1],
            costs[2]
        );
    }
    println!("\ngroups of the pattern that won, ns for each message of 250 bytes");
    for pattern in [
        r"^login of user=(?P<user>\w+)",
        r"user=(?P<user>\w+)",
        r"user=(?P<user>\w+) .*code=(?P<code>\d+)",
        r"\b(?P<user>\w+) by key, from (?P<from>[\d.]+)",
        r"(?P<a>\d+)\.(?P<b>\d+)\.(?P<c>\d+)\.(?P<d>\d+)",
    ] {
        let pattern_set = vec![(0, Pattern::compile(pattern).expect("legal").with_groups())];
        let set = PatternSet::new(pattern_set).expect("small enough");
        println!("{:>10.1}  {pattern}", groups(&set, texts[2].as_bytes()));
    }
    println!(
        "\nworst messages, us per KiB: all, and the slowest message, when they come first and again"
    );
    println!(
        "{:>20} {:>9} {:>18} {:>10} {:>10} {:>10} {:>10}",
        "rule set", "patterns", "messages", "first", "slowest", "again", "slowest"
    );
    for (name, patterns) in rule_sets() {
        let start = cpu_time();
        let set = compile(&patterns);
        println!(
            "{name}: compiled in {:.0?}, bound {} ns per byte",
            (cpu_time() - start),
            set.cost()
        );
        for (kind, bytes) in [("1 KiB", 1024), ("1 KiB, not ASCII", 1024), ("64 KiB", 65_536)] {
            let fields = worst(&patterns, bytes, kind.contains("not"));
            let first = best(&fields, (0..3).map(|_| walk(&set, &mut set.scratch(), &fields)));
            let mut scratch = set.scratch();
            let runs: Vec<_> = (0..6).map(|_| walk(&set, &mut scratch, &fields)).collect();
            let last = best(&fields, runs.into_iter().skip(2));
            println!(
                "{name:>20} {:>9} {kind:>18} {:>10.1} {:>10.1} {:>10.1} {:>10.1}",
                patterns.len(),
                first.0,
                first.1,
                last.0,
                last.1
            );
        }
    }
}

/// A hundred patterns, as W3 has them; in the same proportion if more or less.
fn w3(count: usize) -> Vec<String> {
    let service = |n: usize| format!("^svc-{n:03}: ");
    let code = |n: usize| format!(r"user=(?P<user>\w+) .*code={n:03}");
    (0..count.div_ceil(2)).map(service).chain((0..count / 2).map(code)).collect()
}

fn rule_sets() -> Vec<(&'static str, Vec<String>)> {
    let numbered = |count: usize, make: fn(usize) -> String| (0..count).map(make).collect();
    vec![
        ("W3", w3(100)),
        ("W3", w3(500)),
        ("literals", numbered(500, |n| format!("error {n:03} in module"))),
        ("key and value", numbered(40, |n| format!("k{n:03}=.*v{n:03}"))),
        ("key and value", numbered(500, |n| format!("k{n:03}=.*v{n:03}"))),
        ("words", numbered(100, |n| format!(r"\bk{n:03}\b\s+\w+@\w+"))),
        ("exponential", numbered(40, |n| format!("a[ab]{{{}}}c", n + 20))),
        ("one gap", vec!["(error|failed).{0,80}timeout".into()]),
        ("gaps", numbered(20, |n| format!("(error|failed{n}).{{0,80}}timeout"))),
        (
            "no literal",
            numbered(40, |n| {
                format!(r"[a-f]\d+[{}-z]+\d{{{}}}", (b'g' + n as u8 % 19) as char, n % 7 + 1)
            }),
        ),
    ]
}

/// What other programs take is not counted.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn compile(patterns: &[String]) -> PatternSet {
    let compiled = patterns.iter().map(|text| Pattern::compile(text).expect("legal"));
    PatternSet::with_cache_bytes(compiled.enumerate().collect(), AUTOMATON_CACHE_BYTES_MAX)
        .expect("small enough")
}

fn filled(start: &str) -> String {
    format!("{start}{}", "lorem ipsum dolor sit amet 0123456789 ".repeat(7))[..250].into()
}

/// Evaluates as a rule set does: those alone, then the pass.
fn evaluate(set: &PatternSet, scratch: &mut PatternScratch, field: &[u8], matched: &mut Bits) {
    matched.clear();
    for (rule, member) in set.alone() {
        if set.is_match(member, scratch, field) {
            matched.insert(rule);
        }
    }
    if set.pass().is_some() {
        set.search(scratch, field, matched);
    }
    black_box(matched);
}

fn usual(set: &PatternSet, scratch: &mut PatternScratch, field: &[u8]) -> f64 {
    const MESSAGES: u32 = 500;
    let mut matched = Bits::new(set.pattern_count());
    let best = (0..ROUNDS).map(|_| {
        let start = cpu_time();
        for _ in 0..MESSAGES {
            evaluate(set, scratch, black_box(field), &mut matched);
        }
        cpu_time() - start
    });
    best.min().unwrap_or_default().as_nanos() as f64 / f64::from(MESSAGES)
}

fn groups(set: &PatternSet, field: &[u8]) -> f64 {
    const MESSAGES: u32 = 500;
    let mut scratch = set.scratch();
    let mut spans = Vec::new();
    let best = (0..ROUNDS).map(|_| {
        let start = cpu_time();
        for _ in 0..MESSAGES {
            set.captures(0, &mut scratch, black_box(field), &mut spans);
            assert!(!black_box(&spans).is_empty());
        }
        cpu_time() - start
    });
    best.min().unwrap_or_default().as_nanos() as f64 / f64::from(MESSAGES)
}

/// One pass over messages: microseconds for each.
fn walk(set: &PatternSet, scratch: &mut PatternScratch, fields: &[Vec<u8>]) -> Vec<f64> {
    let mut matched = Bits::new(set.pattern_count());
    let mut times = Vec::with_capacity(fields.len());
    for field in fields {
        let start = cpu_time();
        evaluate(set, scratch, field, &mut matched);
        times.push((cpu_time() - start).as_nanos() as f64 / 1000.0);
    }
    times
}

/// Of several runs that do the same, each message's best; microseconds per KiB, and the slowest
/// message's.
fn best(fields: &[Vec<u8>], runs: impl Iterator<Item = Vec<f64>>) -> (f64, f64) {
    let best = runs.reduce(|best, run| best.iter().zip(run).map(|(a, b)| a.min(b)).collect());
    let best = best.unwrap_or_default();
    let kib = fields.iter().map(Vec::len).sum::<usize>() as f64 / 1024.0;
    let slowest = best.iter().zip(fields).map(|(us, field)| us / (field.len() as f64 / 1024.0));
    (best.iter().sum::<f64>() / kib, slowest.fold(0.0, f64::max))
}

/// Walks over pieces of the patterns' own texts, numbers and words between them.
fn worst(patterns: &[String], bytes: usize, not_ascii: bool) -> Vec<Vec<u8>> {
    let mut random = Random(7);
    let pieces: Vec<&str> = patterns
        .iter()
        .flat_map(|pattern| pattern.split(['^', '\\', '.', '*', '(', ')', '?', '<', '>', '+', '[']))
        .filter(|piece| !piece.is_empty())
        .collect();
    let fields = if bytes > 4096 { 20 } else { 1000 };
    (0..fields)
        .map(|_| {
            let mut field = Vec::with_capacity(bytes);
            while field.len() < bytes {
                let piece = pieces[random.below(pieces.len())].as_bytes();
                match random.below(24) {
                    0 => field.extend_from_slice(&piece[..random.below(piece.len()) + 1]),
                    1 => field.extend_from_slice(b"user=x "),
                    2 => field.push(b'\n'),
                    3 => field.push(b" a7z"[random.below(4)]),
                    4 if not_ascii => field.extend_from_slice("\u{e9}".as_bytes()),
                    5 if not_ascii => field.push(0xff),
                    _ => field.extend_from_slice(piece),
                }
            }
            field.truncate(bytes);
            field
        })
        .collect()
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }
}
