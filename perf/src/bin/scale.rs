//! Runs corndog with ever more of one thing under the same load and shows what each point cost.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's result and its errors")]

use corndog_perf::compare::Entrant;
use corndog_perf::forwarder::Kind;
use corndog_perf::machine::Facts;
use corndog_perf::scale::{self, Dimension};
use corndog_perf::{Failure, compare, forwarder, growth, report, sink, tool};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures corndog alone with 10 to 500 rules, 4 to 10000 connections, 1 to 8 shards, frames of 106
/// B to 64 KiB and 1 to 1000 topics: CPU per million messages, messages per second, peak memory, and
/// the CPU by that of the first point in the same round. Exit code 1 if 500 rules or 8 shards cost
/// above 1.1 of the first point, 10000 connections or 1000 topics above 1.3.
/// Example: perf/scale --only rules --only topics --rounds 5
#[derive(argh::FromArgs)]
struct Args {
    /// rules, connections, shards, size or topics; may be given several times (default: all)
    #[argh(option, from_str_fn(Dimension::parse))]
    only: Vec<Dimension>,
    /// messages per run (default 2000000); fewer of frames above 2 KiB and of more than 200 topics,
    /// in proportion
    #[argh(option, default = "2_000_000")]
    messages: u64,
    /// rounds (default 5); each runs every point once
    #[argh(option, default = "5")]
    rounds: usize,
    /// corndog's executable (default: beside this one)
    #[argh(option)]
    corndog: Option<PathBuf>,
    /// port where corndog listens (default 1514)
    #[argh(option, default = "1514")]
    port: u16,
    /// the sink's first port (default 19092); two more follow
    #[argh(option, default = "19092")]
    sink_port: u16,
    /// print JSON, every run included, in place of the tables
    #[argh(switch)]
    json: bool,
    /// where to write the report, an HTML file (default target/perf/scale.html; none with --json)
    #[argh(option)]
    report: Option<PathBuf>,
}

fn main() -> ExitCode {
    tool::main("scale", run)
}

fn run(args: &Args) -> Result<(), Failure> {
    let stop = corndog_perf::stop::on_signals()?;
    let plan = plan(args)?;
    let report = args.report.clone();
    let report = report.or_else(|| (!args.json).then(|| report::default_file("scale.html")));
    report.as_deref().map_or(Ok(()), report::check_file)?;
    let mut facts = Facts::gather(plan.entrants.first().map(|entrant| &entrant.installed));
    facts.add("rounds", args.rounds.to_string());
    facts.add("messages per run", args.messages.to_string());
    facts.add("load", "TCP, flat out, LF, RFC 5424; 4 connections where nothing else is said");
    facts.add("Kafka", "3 brokers, 8 partitions a topic, acks=all, linger 5 ms, no compression");
    let runs = compare::run(&plan, &stop)?;
    match args.json {
        true => println!("{}", growth::json(&runs, &facts)),
        false => print!("{}", growth::text(&runs)),
    }
    if let Some(file) = report {
        growth::report(&runs, &facts)?.write(&file)?;
        eprintln!("report: {}", file.display());
    }
    scale::judge(&runs)
}

fn plan(args: &Args) -> Result<compare::Plan, Failure> {
    let corndog = forwarder::corndog(args.corndog.as_deref());
    let installed = Kind::Corndog.find(&corndog)?;
    let is_wanted = |one: &Dimension| args.only.is_empty() || args.only.contains(one);
    let wanted = Dimension::ALL.into_iter().filter(is_wanted);
    let entrants: Result<Vec<Vec<Entrant>>, Failure> =
        wanted.map(|dimension| dimension.entrants(&installed, args.messages)).collect();
    Ok(compare::Plan {
        entrants: entrants?.concat(),
        rounds: args.rounds,
        port: args.port,
        profile: None,
        sink: sink::Plan::at(args.sink_port),
    })
}
