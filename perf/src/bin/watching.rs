//! Runs corndog with its status server, and prints what that says and what its abuse costs.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's result and its errors")]

use corndog_perf::abusers::Crew;
use corndog_perf::forwarder::Kind;
use corndog_perf::{Failure, forwarder, sink, stage, tool, watching};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Sends corndog 20,000 messages a second and holds the latencies of its /stats against those that it
/// measures itself; then floods it flat out, in turn without and with clients that abuse its status
/// server. Exit code 1 if both do not speak of the same messages, if something is lost, or if the
/// flood is taken too slowly beside the abuse.
/// Example: perf/watching --rounds 5
#[derive(argh::FromArgs)]
struct Args {
    /// seconds of each span that count (default 4)
    #[argh(option, default = "4")]
    seconds: u64,
    /// rounds of one span without and one with abusers (default 3)
    #[argh(option, default = "3")]
    rounds: u16,
    /// records a second with abusers by those without, at least, as the median over the rounds
    /// (default 0.95)
    #[argh(option, default = "0.95")]
    least: f64,
    /// of the abusers, only those that ask without end and never read
    #[argh(switch)]
    deaf: bool,
    /// corndog's executable (default: beside this one)
    #[argh(option)]
    corndog: Option<PathBuf>,
    /// port where corndog listens (default 1514)
    #[argh(option, default = "1514")]
    port: u16,
    /// the sink's first port (default 19092); two more follow
    #[argh(option, default = "19092")]
    sink_port: u16,
    /// port of corndog's status server (default 8585)
    #[argh(option, default = "8585")]
    status_port: u16,
}

fn main() -> ExitCode {
    tool::main("watching", run)
}

fn run(args: &Args) -> Result<(), Failure> {
    let stop = corndog_perf::stop::on_signals()?;
    let plan = plan(args)?;
    eprintln!("agreement ...");
    let agreement = watching::agreement(&plan, &stop)?;
    println!("{agreement}\n");
    let abuse = watching::abuse(&plan, &stop, &|span| eprintln!("{span}"))?;
    println!("{abuse}");
    if !agreement.is_of_the_same() {
        return Err(Failure::Run("/stats does not speak of the messages that were sent".into()));
    }
    if abuse.lost > 0 {
        return Err(Failure::Run(format!("{} messages are lost", abuse.lost)));
    }
    match abuse.ratio().filter(|ratio| ratio.median < args.least) {
        Some(ratio) => Err(Failure::Run(format!("{:.3} is below {}", ratio.median, args.least))),
        None => Ok(()),
    }
}

fn plan(args: &Args) -> Result<watching::Plan, Failure> {
    if !(1..=60).contains(&args.seconds) {
        return Err(Failure::Setup("--seconds: choose 1 to 60".into()));
    }
    if !(1..=12).contains(&args.rounds) {
        return Err(Failure::Setup("--rounds: choose 1 to 12".into()));
    }
    let corndog = forwarder::corndog(args.corndog.as_deref());
    Ok(watching::Plan {
        stage: stage::Plan {
            installed: Kind::Corndog.find(&corndog)?,
            port: args.port,
            sink: sink::Plan::at(args.sink_port),
            length: Duration::from_secs(args.seconds),
        },
        status_port: args.status_port,
        crew: if args.deaf { Crew::Deaf } else { Crew::All },
        rounds: args.rounds,
    })
}
