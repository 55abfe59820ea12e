//! Runs corndog with ever more rules under the same load and prints what each number of them cost.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's result and its errors")]

use corndog_perf::forwarder::Kind;
use corndog_perf::workload::Workload;
use corndog_perf::{Failure, compare, sink, summary};
use std::path::PathBuf;
use std::process::ExitCode;

/// Numbers of rules that are measured, in each round.
const RULES: [usize; 5] = [10, 50, 100, 200, 500];

/// Measures corndog alone on w3 with 10, 50, 100, 200 and 500 rules: CPU per million messages, and
/// each by that of 10 rules in the same round. Exit code 1 if the last one is above --most.
/// Example: perf/growth --rounds 5
#[derive(argh::FromArgs)]
struct Args {
    /// messages per run (default 1000000)
    #[argh(option, default = "1_000_000")]
    messages: u64,
    /// rounds (default 5)
    #[argh(option, default = "5")]
    rounds: usize,
    /// what 500 rules may cost by 10 rules, at most, as the median over the rounds (default 1.1)
    #[argh(option, default = "1.1")]
    most: f64,
    /// corndog's executable (default: beside this one)
    #[argh(option)]
    corndog: Option<PathBuf>,
    /// port where corndog listens (default 1514)
    #[argh(option, default = "1514")]
    port: u16,
    /// the sink's first port (default 19092); two more follow
    #[argh(option, default = "19092")]
    sink_port: u16,
}

fn main() -> ExitCode {
    match run(&argh::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("growth: {failure}");
            failure.exit_code()
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    let stop = corndog_perf::stop::on_signals()?;
    let beside = || std::env::current_exe().ok()?.parent().map(|folder| folder.join("corndog"));
    let corndog = args.corndog.clone().or_else(beside).unwrap_or_else(|| "corndog".into());
    let installed = Kind::Corndog.find(&corndog)?;
    let entrants = RULES.map(|rules| compare::Entrant {
        label: label(rules),
        installed: installed.clone(),
        workload: Workload::W3 { rules },
        messages: args.messages,
        rate: None,
        idle: 0,
        kafka: None,
    });
    let plan = compare::Plan {
        entrants: entrants.to_vec(),
        rounds: args.rounds,
        port: args.port,
        profile: None,
        environment: Vec::new(),
        sink: sink::Plan::at(args.sink_port),
    };
    let tell =
        |round: usize, run: &compare::Run| eprintln!("round {}/{} {run}", round + 1, args.rounds);
    let runs = compare::run(&plan, &stop, &tell)?;
    print!("{}", summary::table(&runs));
    judge(&runs, args.most)
}

fn judge(runs: &[compare::Run], most: f64) -> Result<(), Failure> {
    let first = label(RULES[0]);
    let ratio = |rules: usize| summary::ratio(runs, &label(rules), &first);
    for (rules, ratio) in RULES[1..].iter().filter_map(|rules| Some((rules, ratio(*rules)?))) {
        println!("{rules} rules by {}, per round: {ratio:.3}", RULES[0]);
    }
    match ratio(RULES[RULES.len() - 1]) {
        Some(last) if last.median > most => {
            Err(Failure::Run(format!("{:.3} is above {most}", last.median)))
        }
        _ => Ok(()),
    }
}

fn label(rules: usize) -> String {
    format!("{rules} rules")
}
