//! Runs corndog and its peers in turn under the same load and prints what each cost.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's result and its errors")]

use corndog_perf::forwarder::{Installed, Kind};
use corndog_perf::{Failure, compare, sink};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Compares corndog with rsyslog: CPU per million messages, messages per second, peak memory,
/// lost, duplicated and reordered messages. Alternates between them in every round.
/// Example: perf/compare --rounds 5 --messages 2000000
#[derive(argh::FromArgs)]
struct Args {
    /// messages per run (default 2000000)
    #[argh(option, default = "2_000_000")]
    messages: u64,
    /// rounds (default 5); each runs every forwarder once
    #[argh(option, default = "5")]
    rounds: usize,
    /// workload (default w1): 4 TCP connections, LF, RFC 5424 of 248 bytes, one rule that forwards
    /// all, acks=all, linger 5 ms, no compression
    #[argh(option, default = "String::from(\"w1\")")]
    workload: String,
    /// measure one forwarder alone: rsyslog or corndog
    #[argh(option, from_str_fn(kind))]
    only: Option<Kind>,
    /// corndog's executable (default: beside this one)
    #[argh(option)]
    corndog: Option<PathBuf>,
    /// port where the forwarders listen (default 1514)
    #[argh(option, default = "1514")]
    port: u16,
    /// the sink's first port (default 19092); two more follow
    #[argh(option, default = "19092")]
    sink_port: u16,
    /// print JSON, every run included, in place of the table
    #[argh(switch)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&argh::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("compare: {failure}");
            failure.exit_code()
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    if args.workload != "w1" {
        return Err(Failure::Setup(format!("workload {:?}: only w1 is there", args.workload)));
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| Failure::Setup(format!("signal handler: {error}")))?;
    }
    let plan = compare::Plan {
        forwarders: forwarders(args)?,
        rounds: args.rounds,
        port: args.port,
        messages: args.messages,
        sink: sink::Plan { port: args.sink_port, brokers: 3, partitions: 8, check_crc: false },
    };
    let tell = |round: usize, run: &compare::Run| {
        eprintln!(
            "round {}/{} {}: {:.3} CPU s/million, {:.0} messages/s, {:.0} records/batch, lost {}",
            round + 1,
            args.rounds,
            run.kind.name(),
            run.cpu_per_million,
            run.messages_per_second,
            run.records_per_batch,
            run.lost
        );
    };
    let runs = compare::run(&plan, &stop, &tell)?;
    if args.json {
        println!("{}", compare::json(&runs));
    } else {
        print!("{}", compare::table(&runs));
    }
    Ok(())
}

fn forwarders(args: &Args) -> Result<Vec<Installed>, Failure> {
    let beside = || std::env::current_exe().ok()?.parent().map(|folder| folder.join("corndog"));
    let corndog = args.corndog.clone().or_else(beside).unwrap_or_else(|| "corndog".into());
    [Kind::Rsyslog, Kind::Corndog]
        .into_iter()
        .filter(|kind| args.only.is_none_or(|only| only == *kind))
        .map(|kind| kind.find(&corndog))
        .collect()
}

fn kind(word: &str) -> Result<Kind, String> {
    match word {
        "rsyslog" => Ok(Kind::Rsyslog),
        "corndog" => Ok(Kind::Corndog),
        _ => Err(format!("forwarder {word:?}: choose rsyslog or corndog")),
    }
}
