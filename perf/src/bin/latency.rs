//! Measures how long messages take through corndog and its peers at given rates.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's result and its errors")]

use corndog_perf::forwarder::Kind;
use corndog_perf::latency::{self, Demand, Entrant};
use corndog_perf::machine::Facts;
use corndog_perf::pace::Spread;
use corndog_perf::{Failure, curves, forwarder, report, sink, tool};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// corndog with other settings.
const LOW_LATENCY: &str = "corndog-low-latency";

/// Sends by the clock at each rate and measures each message's latency, from when it was to be sent
/// until the sink has its batch. Prints percentiles in microseconds; writes the histograms (.hgrm),
/// the curves (SVG) and a report. Exit code 1 if the load itself does not keep the rate.
/// Example: perf/latency --rates 1000,20000 --rounds 1
#[derive(argh::FromArgs)]
struct Args {
    /// messages a second, of all connections (default 1000,20000,200000)
    #[argh(option, default = "String::from(\"1000,20000,200000\")")]
    rates: String,
    /// flat out as well, at the end: what waits then is queues; shows the rate that is reached
    #[argh(switch)]
    saturation: bool,
    /// corndog, corndog-low-latency, rsyslog or syslog-ng; may be given several times (default: all)
    #[argh(option)]
    forwarder: Vec<String>,
    /// rounds (default 3); each runs every forwarder once at each rate
    #[argh(option, default = "3")]
    rounds: usize,
    /// seconds of each run that count (default 10)
    #[argh(option, default = "10")]
    seconds: u64,
    /// seconds before these that do not (default 2)
    #[argh(option, default = "2")]
    warm: u64,
    /// connections that share the rate (default 4)
    #[argh(option, default = "4")]
    connections: u16,
    /// how messages are spread: poisson (default) or constant
    #[argh(option, default = "Spread::Poisson", from_str_fn(Spread::parse))]
    arrivals: Spread,
    /// microseconds between two wake-ups of a connection (default: 50 for each connection,
    /// 4000 at most)
    #[argh(option)]
    step: Option<u64>,
    /// milliseconds that one message in a hundred may be late by the load's own doing (default 5); a
    /// run with more is repeated, twice at most
    #[argh(option, default = "5")]
    late_most: u64,
    /// corndog's executable (default: beside this one)
    #[argh(option)]
    corndog: Option<PathBuf>,
    /// port where the forwarders listen (default 1514)
    #[argh(option, default = "1514")]
    port: u16,
    /// the sink's first port (default 19092); two more follow
    #[argh(option, default = "19092")]
    sink_port: u16,
    /// print JSON, every run included, in place of the tables
    #[argh(switch)]
    json: bool,
    /// folder for histograms, curves and report (default target/perf/latency)
    #[argh(option)]
    out: Option<PathBuf>,
}

/// `max-connections` in `peers/sng-w1.conf`.
const SYSLOG_NG_CONNECTIONS: u16 = 64;

fn main() -> ExitCode {
    tool::main("latency", run)
}

fn run(args: &Args) -> Result<(), Failure> {
    let stop = corndog_perf::stop::on_signals()?;
    let plan = plan(args)?;
    let folder = args.out.clone().unwrap_or_else(|| report::default_file("latency"));
    report::check_file(&folder.join("report.html"))?;
    let mut facts = Facts::gather(plan.entrants.iter().map(|entrant| &entrant.installed));
    facts.add("rounds", format!("{} of {} s, after {} s", args.rounds, args.seconds, args.warm));
    facts.add("load", load_fact(args));
    facts.add("Kafka", "3 brokers, 8 partitions a topic, acks=all, linger 5 ms, no compression");
    facts.add(
        LOW_LATENCY,
        latency::LOW_LATENCY.map(|(name, value)| format!("{name}={value}")).join("; "),
    );
    let runs = latency::run(&plan, &stop)?;
    let taken = facts.add_taken("taken by the machine at the end");
    let curves = curves::curves(&runs);
    match args.json {
        true => println!("{}", curves::json(&curves, &facts)),
        false => {
            print!("{}\ntaken by the machine itself, at the end: {taken}\n", curves::text(&curves))
        }
    }
    curves::write(&curves, &facts, &folder)?;
    eprintln!("report: {}", folder.join("report.html").display());
    match runs.iter().find(|run| run.lost > 0) {
        None => Ok(()),
        Some(run) => Err(Failure::Run(format!(
            "{} at {} lost {} of {} messages: in its percentiles they took longer than any that came",
            run.label, run.demand, run.lost, run.sent
        ))),
    }
}

fn load_fact(args: &Args) -> String {
    let spread = match args.arrivals {
        Spread::Poisson => "poisson",
        Spread::Constant => "constant",
    };
    format!("{} TCP connections, {spread}, LF, RFC 5424, frames of 248 bytes", args.connections)
}

fn plan(args: &Args) -> Result<latency::Plan, Failure> {
    for (flag, value, most) in [
        ("--seconds", args.seconds, 600),
        ("--rounds", args.rounds as u64, 100),
        ("--connections", u64::from(args.connections), 1000),
    ] {
        if !(1..=most).contains(&value) {
            return Err(Failure::Setup(format!("{flag}: choose 1 to {most}")));
        }
    }
    if args.warm > 60 {
        return Err(Failure::Setup("--warm: choose at most 60".into()));
    }
    Ok(latency::Plan {
        entrants: entrants(args)?,
        demands: demands(args)?,
        rounds: args.rounds,
        length: Duration::from_secs(args.seconds),
        warm: Duration::from_secs(args.warm),
        connections: args.connections,
        spread: args.arrivals,
        step: args.step.map(Duration::from_micros),
        late_most: Duration::from_millis(args.late_most),
        port: args.port,
        sink: sink::Plan::at(args.sink_port),
    })
}

fn demands(args: &Args) -> Result<Vec<Demand>, Failure> {
    let rate = |text: &str| match text.trim().parse() {
        Ok(rate) if rate > 0 => Ok(Demand::Rate(rate)),
        _ => Err(Failure::Setup(format!("--rates {text:?}: numbers above 0, as in 1000,20000"))),
    };
    let mut demands = args.rates.split(',').map(rate).collect::<Result<Vec<Demand>, Failure>>()?;
    demands.extend(args.saturation.then_some(Demand::Saturation));
    Ok(demands)
}

fn entrants(args: &Args) -> Result<Vec<Entrant>, Failure> {
    let all = [Kind::Corndog.name(), LOW_LATENCY, Kind::Rsyslog.name(), Kind::SyslogNg.name()];
    let names: Vec<&str> = match args.forwarder.is_empty() {
        true => all.to_vec(),
        false => args.forwarder.iter().map(String::as_str).collect(),
    };
    let corndog = forwarder::corndog(args.corndog.as_deref());
    let entrant = |name: &str| {
        if !all.contains(&name) {
            return Err(Failure::Setup(format!(
                "forwarder {name:?}: choose one of {}",
                all.join(", ")
            )));
        }
        let is_low = name == LOW_LATENCY;
        let kind = if is_low { Ok(Kind::Corndog) } else { Kind::parse(name) };
        Ok(Entrant {
            label: name.to_owned(),
            installed: kind.map_err(Failure::Setup)?.find(&corndog)?,
            environment: if is_low { latency::LOW_LATENCY.to_vec() } else { Vec::new() },
        })
    };
    if args.connections > SYSLOG_NG_CONNECTIONS && names.contains(&Kind::SyslogNg.name()) {
        return Err(Failure::Setup(format!(
            "--connections: syslog-ng is set up for {SYSLOG_NG_CONNECTIONS}, among which it divides its \
             window; choose at most as many, or leave it out by --forwarder"
        )));
    }
    names.into_iter().map(entrant).collect()
}
