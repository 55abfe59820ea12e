//! Generated rule sets and messages, through the rules and through the plain reference.
//!
//!     cargo run --release -p corndog-pipeline --example agree -- --messages 10000000
//!
//! Prints what came of the messages, and `no difference`; or the first difference, made small,
//! and exits with 1. `--seed N` repeats a run, `--threads N` says how many rule sets are tried at
//! the same time.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program of its own: threads, clock and output are no part of the pipeline"
)]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/reference/mod.rs"]
mod reference;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use reference::run::{self, Stream};

/// Messages that each rule set gets.
const MESSAGES_PER_SET: u64 = 20_000;

/// Panics that are shown.
const PANICS_SHOWN: u64 = 3;

/// What came of the messages, by kind.
type Counts = BTreeMap<&'static str, u64>;

/// What the command line says.
struct Args {
    messages: u64,
    seed: u64,
    threads: usize,
}

fn main() -> ExitCode {
    let args = match read_args() {
        Ok(args) => args,
        Err(why) => {
            eprintln!("agree: {why}");
            return ExitCode::from(2);
        }
    };
    println!("seed {}", args.seed);
    let start = Instant::now();
    let next = AtomicU64::new(0);
    let has_failed = AtomicBool::new(false);
    let counts = Mutex::new(Counts::new());
    // A panic is reported as a difference, and happens often while that is made small.
    let panics = AtomicU64::new(0);
    std::panic::set_hook(Box::new(move |panic| {
        if panics.fetch_add(1, Ordering::Relaxed) < PANICS_SHOWN {
            eprintln!("{panic}");
        }
    }));
    std::thread::scope(|scope| {
        for _ in 0..args.threads {
            scope.spawn(|| {
                let mine = work(&args, &next, &has_failed);
                let mut all = counts.lock().expect("nobody panics with it");
                for (kind, count) in mine {
                    *all.entry(kind).or_default() += count;
                }
            });
        }
    });
    if has_failed.into_inner() {
        return ExitCode::FAILURE;
    }
    let counts = counts.into_inner().expect("nobody panics with it");
    report(&counts, start.elapsed().as_secs_f64(), args.messages.div_ceil(MESSAGES_PER_SET));
    ExitCode::SUCCESS
}

fn report(counts: &Counts, seconds: f64, sets: u64) {
    for (kind, count) in counts {
        println!("{count:>12} {kind}");
    }
    let total: u64 = counts.values().sum();
    let rate = total as f64 / seconds;
    println!("{total:>12} messages, {sets} rule sets, {seconds:.0} s, {rate:.0} messages a second");
    println!("no difference");
}

fn read_args() -> Result<Args, String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = now.map_or(0, |since| since.as_micros() as u64);
    let mut args = Args { messages: 1_000_000, seed, threads: 2 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word}: a number is missing"))?;
        let number: u64 = value.parse().map_err(|_| format!("{word} {value}: no number"))?;
        match word.as_str() {
            "--messages" => args.messages = number,
            "--seed" => args.seed = number,
            "--threads" => args.threads = (number as usize).clamp(1, 64),
            _ => {
                return Err(format!("{word}: unknown; --messages, --seed and --threads are known"));
            }
        }
    }
    Ok(args)
}

/// Tries one rule set after the other, until there are no more or something differs.
fn work(args: &Args, next: &AtomicU64, has_failed: &AtomicBool) -> Counts {
    let mut counts = Counts::new();
    loop {
        let set = next.fetch_add(1, Ordering::Relaxed);
        let from = set * MESSAGES_PER_SET;
        if from >= args.messages || has_failed.load(Ordering::Relaxed) {
            return counts;
        }
        let stream = Stream { seed: args.seed, set };
        let messages = MESSAGES_PER_SET.min(args.messages - from);
        if let Err(difference) = run::agree(stream, messages, &mut counts) {
            if !has_failed.swap(true, Ordering::Relaxed) {
                println!("rule set {set} of seed {}: a difference\n{difference}", args.seed);
            }
            return counts;
        }
    }
}
