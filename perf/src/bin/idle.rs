//! Runs corndog with and without idle connections under the same load and prints what they cost it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's result and its errors")]

use corndog_perf::forwarder::Kind;
use corndog_perf::workload::Workload;
use corndog_perf::{Failure, compare, sink, summary};
use std::path::PathBuf;
use std::process::ExitCode;

/// Connections beside the idle ones: the load's, and what is just closing.
const OTHERS: usize = 100;

/// Measures corndog on w1 alone and beside idle connections, in turn: CPU per million messages, and
/// the one by the other in each round. Exit code 1 if it is above --most.
/// Example: perf/idle --connections 10000 --rounds 5
#[derive(argh::FromArgs)]
struct Args {
    /// idle connections (default 10000)
    #[argh(option, default = "10_000")]
    connections: usize,
    /// messages per run (default 2000000)
    #[argh(option, default = "2_000_000")]
    messages: u64,
    /// rounds (default 5)
    #[argh(option, default = "5")]
    rounds: usize,
    /// what the load may cost beside them by what it costs alone, at most, as the median over the
    /// rounds (default 1.3)
    #[argh(option, default = "1.3")]
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
            eprintln!("idle: {failure}");
            failure.exit_code()
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    let stop = corndog_perf::stop::on_signals()?;
    let tell =
        |round: usize, run: &compare::Run| eprintln!("round {}/{} {run}", round + 1, args.rounds);
    let runs = compare::run(&plan(args)?, &stop, &tell)?;
    print!("{}", summary::table(&runs));
    let Some(ratio) = summary::ratio(&runs, &label(args.connections), &label(0)) else {
        return Err(Failure::Run("nothing was measured".into()));
    };
    println!("CPU beside {} idle connections by alone, per round: {ratio:.3}", args.connections);
    match ratio.median > args.most {
        true => Err(Failure::Run(format!("{:.3} is above {}", ratio.median, args.most))),
        false => Ok(()),
    }
}

/// Alone and beside them, with the same limits.
fn plan(args: &Args) -> Result<compare::Plan, Failure> {
    let beside = || std::env::current_exe().ok()?.parent().map(|folder| folder.join("corndog"));
    let corndog = args.corndog.clone().or_else(beside).unwrap_or_else(|| "corndog".into());
    let installed = Kind::Corndog.find(&corndog)?;
    let workload = Workload::parse("w1").map_err(Failure::Setup)?;
    let entrants = [0, args.connections].map(|idle| compare::Entrant {
        label: label(idle),
        installed: installed.clone(),
        workload,
        messages: args.messages,
        rate: None,
        idle,
        kafka: None,
    });
    let limit = (args.connections + OTHERS).to_string();
    let names = ["CORNDOG_LIMITS__CONNECTIONS", "CORNDOG_LIMITS__CONNECTIONS_PER_IP"];
    Ok(compare::Plan {
        entrants: entrants.to_vec(),
        rounds: args.rounds,
        port: args.port,
        profile: None,
        environment: names.map(|name| (name, limit.clone())).to_vec(),
        sink: sink::Plan::at(args.sink_port),
    })
}

fn label(idle: usize) -> String {
    match idle {
        0 => "alone".to_owned(),
        count => format!("{count} idle"),
    }
}
