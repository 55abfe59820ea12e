//! Runs corndog under a flood and prints what senders that send little wait beside it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's result and its errors")]

use corndog_perf::forwarder::Kind;
use corndog_perf::{Failure, fairness, forwarder, sink, stage, tool};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Floods one receiver of corndog beside 100 connections that send ten messages a second each and ten
/// newcomers a second: without the flood, at 80 % of what the node takes, and flat out. Prints what
/// the quiet ones wait from send (newcomers: from connect) to the sink. Exit code 1 if they wait too
/// long or something is lost.
/// Example: perf/fairness --seconds 20
#[derive(argh::FromArgs)]
struct Args {
    /// seconds of each phase that count (default 10)
    #[argh(option, default = "10")]
    seconds: u64,
    /// what 99 of 100 messages may wait at 80 %, in ms (default 50)
    #[argh(option, default = "50")]
    most: u64,
    /// the same flat out, where the flood is held back (default 1000)
    #[argh(option, default = "1000")]
    most_flat_out: u64,
    /// what 99 of 100 newcomers may wait in any phase, in ms (default 500)
    #[argh(option, default = "500")]
    most_new: u64,
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
    tool::main("fairness", run)
}

fn run(args: &Args) -> Result<(), Failure> {
    let stop = corndog_perf::stop::on_signals()?;
    if !(1..=60).contains(&args.seconds) {
        return Err(Failure::Setup("--seconds: choose 1 to 60".into()));
    }
    let corndog = forwarder::corndog(args.corndog.as_deref());
    let plan = stage::Plan {
        installed: Kind::Corndog.find(&corndog)?,
        port: args.port,
        sink: sink::Plan::at(args.sink_port),
        length: Duration::from_secs(args.seconds),
    };
    let shown = fairness::run(&plan, &stop, &|phase| eprintln!("{phase} ..."))?;
    println!("{shown}");
    judge(args, &shown)
}

fn judge(args: &Args, shown: &fairness::Shown) -> Result<(), Failure> {
    if shown.lost > 0 {
        return Err(Failure::Run(format!("{} messages are lost", shown.lost)));
    }
    let mosts = [args.most, args.most, args.most_flat_out];
    for (phase, most) in shown.phases.iter().zip(mosts) {
        for (who, waits, most) in
            [("trickles", &phase.trickles, most), ("newcomers", &phase.newcomers, args.most_new)]
        {
            let (wait, most) = (waits.percentile(99), Duration::from_millis(most));
            if wait > most {
                let label = &phase.label;
                return Err(Failure::Run(format!(
                    "{label}: {who} wait {wait:.1?}, above {most:?}"
                )));
            }
        }
    }
    Ok(())
}
