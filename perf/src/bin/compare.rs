//! Runs corndog and its peers in turn under the same load and prints what each cost.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's result and its errors")]

use corndog_perf::compare::Entrant;
use corndog_perf::forwarder::{Installed, Kind};
use corndog_perf::kafka::Kafka;
use corndog_perf::machine::Facts;
use corndog_perf::workload::Workload;
use corndog_perf::{
    Failure, agreement, compare, comparison, configs, forwarder, report, sink, tool,
};
use std::mem;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Compares corndog with its peers: CPU per million messages, messages per second, peak memory,
/// lost, duplicated, reordered and wrong messages. Alternates between them in every round.
/// Example: perf/compare --workload all --rounds 5
#[derive(argh::FromArgs)]
struct Args {
    /// w1 (default): one rule that forwards all; w2: hotdog's three rules on JSON and text; w3: 100
    /// regex rules; w4: w1 over TLS 1.3. All: 4 TCP connections, LF, RFC 5424, acks=all, linger 5
    /// ms, no compression. May be
    /// given several times; all: w1 to w4
    #[argh(option, from_str_fn(named))]
    workload: Vec<Workloads>,
    /// compare with rsyslog and syslog-ng (both are the default) or rsyslog-strings (string compares
    /// for regexes, w3); may be given several times, and is left out where it has no configuration
    /// for one of several workloads
    #[argh(option, from_str_fn(Kind::parse))]
    peer: Vec<Kind>,
    /// measure one forwarder alone
    #[argh(option, from_str_fn(Kind::parse))]
    only: Option<Kind>,
    /// messages per run (default 2000000)
    #[argh(option, default = "2_000_000")]
    messages: u64,
    /// messages per run of a peer (default: as many; of w2 a quarter, of w3 a twentieth)
    #[argh(option)]
    peer_messages: Option<u64>,
    /// messages a second; flat out if left out
    #[argh(option)]
    rate: Option<u64>,
    /// rounds (default 5); each runs every forwarder once
    #[argh(option, default = "5")]
    rounds: usize,
    /// rules of w3 (default 100), an even number
    #[argh(option)]
    rules: Option<usize>,
    /// corndog's executable (default: beside this one)
    #[argh(option)]
    corndog: Option<PathBuf>,
    /// port where the forwarders listen (default 1514)
    #[argh(option, default = "1514")]
    port: u16,
    /// the sink's first port (default 19092); two more follow
    #[argh(option, default = "19092")]
    sink_port: u16,
    /// with --only: sample the forwarder's stacks while it works, into this file, for `perf report`
    #[argh(option)]
    profile: Option<PathBuf>,
    /// run each forwarder against real Apache Kafka, too, one node at the sink's port + 10, and say
    /// whether it and the sink, then of one broker as well, count the same
    #[argh(switch)]
    kafka: bool,
    /// print JSON, every run included, in place of the tables
    #[argh(switch)]
    json: bool,
    /// where to write the report, an HTML file (default target/perf/compare.html; none with --json)
    #[argh(option)]
    report: Option<PathBuf>,
}

fn main() -> ExitCode {
    tool::main("compare", run)
}

fn run(args: &Args) -> Result<(), Failure> {
    let stop = corndog_perf::stop::on_signals()?;
    let workloads = workloads(args)?;
    if args.profile.is_some() && (args.only.is_none() || workloads.len() > 1) {
        return Err(Failure::Setup("--profile needs --only, and one workload".into()));
    }
    let entrants: Result<Vec<Vec<Entrant>>, Failure> =
        workloads.iter().map(|workload| entrants(args, *workload, workloads.len() > 1)).collect();
    let mut plan = compare::Plan {
        entrants: entrants?.concat(),
        rounds: args.rounds,
        port: args.port,
        profile: args.profile.clone(),
        sink: sink::Plan::at(args.sink_port),
    };
    let report = args.report.clone();
    let report = report.or_else(|| (!args.json).then(|| report::default_file("compare.html")));
    report.as_deref().map_or(Ok(()), report::check_file)?;
    let facts = facts(args, &plan);
    if args.kafka {
        at_kafka_too(args, &mut plan, &stop)?;
    }
    let runs = compare::run(&plan, &stop)?;
    match args.json {
        true => println!("{}", comparison::json(&runs, &facts)),
        false => print!("{}", comparison::text(&runs)),
    }
    if let Some(file) = report {
        comparison::report(&runs, &facts)?.write(&file)?;
        eprintln!("report: {}", file.display());
    }
    match comparison::fault(&runs) {
        Some(fault) => Err(Failure::Run(fault)),
        None if comparison::agree(&runs) => Ok(()),
        None => Err(Failure::Run("the sink and Kafka do not agree".into())),
    }
}

/// What the figures depend on.
fn facts(args: &Args, plan: &compare::Plan) -> Facts {
    let mut facts = Facts::gather(plan.entrants.iter().map(|entrant| &entrant.installed));
    let pace = args.rate.map_or("flat out".to_owned(), |rate| format!("{rate} messages a second"));
    let kafka = match args.kafka {
        true => "a sink of one broker, and Apache Kafka of one node",
        false => "3 brokers",
    };
    facts.add("rounds", args.rounds.to_string());
    facts.add("messages per run of corndog", args.messages.to_string());
    facts.add("load", format!("4 TCP connections, {pace}, LF, RFC 5424"));
    facts.add(
        "Kafka",
        format!("{kafka}, 8 partitions a topic, acks=all, linger 5 ms, no compression"),
    );
    facts
}

/// Starts Kafka, warms it up, and has each forwarder run against it as well.
fn at_kafka_too(args: &Args, plan: &mut compare::Plan, stop: &AtomicBool) -> Result<(), Failure> {
    plan.check()?;
    let port = args.sink_port.checked_add(10);
    let port = port.ok_or_else(|| Failure::Setup("--sink-port: choose a lower one".into()))?;
    eprintln!("starting Kafka and warming it up ...");
    let kafka = Kafka::start(port);
    // Ctrl-C ends Kafka as well.
    if stop.load(Relaxed) {
        return Err(Failure::Stopped);
    }
    plan.entrants = agreement::twice(mem::take(&mut plan.entrants), &Arc::new(kafka?));
    plan.sink.brokers = 1;
    compare::run(&agreement::warm_up(plan), stop).map(drop)
}

/// Those of one workload; the peers first, in the first round. One of several workloads goes
/// without peers that have no configuration for it.
fn entrants(
    args: &Args,
    workload: Workload,
    is_one_of_several: bool,
) -> Result<Vec<Entrant>, Failure> {
    let kinds = match (args.only, args.peer.as_slice(), workload) {
        (Some(only), [], _) => vec![only],
        (Some(_), ..) => {
            return Err(Failure::Setup("--only measures one forwarder: leave --peer out".into()));
        }
        (None, [], _) => vec![Kind::Rsyslog, Kind::SyslogNg, Kind::Corndog],
        (None, peers, _) => [peers, &[Kind::Corndog]].concat(),
    };
    if let Some(twice) = (1..kinds.len()).find(|index| kinds[..*index].contains(&kinds[*index])) {
        let name = kinds[twice].name();
        return Err(Failure::Setup(format!(
            "--peer {name}: name each forwarder once, and no corndog"
        )));
    }
    let is_wanted = |kind: &Kind| !is_one_of_several || configs::of(*kind, workload).is_some();
    let entrant = |kind: Kind| {
        let is_slow = kind != Kind::Corndog && args.only.is_none();
        let messages = if is_slow { peer_messages(args, workload) } else { args.messages };
        Ok(Entrant {
            group: workload.name().to_owned(),
            label: kind.name().to_owned(),
            installed: find(kind, args)?,
            workload,
            messages,
            connections: None,
            environment: Vec::new(),
            rate: args.rate,
            kafka: None,
        })
    };
    kinds.into_iter().filter(is_wanted).map(entrant).collect()
}

/// Slow peers get fewer messages: what counts is the CPU time of each.
fn peer_messages(args: &Args, workload: Workload) -> u64 {
    let share = match workload {
        Workload::W1 { .. } | Workload::W4 | Workload::Topics { .. } => 1,
        Workload::W2 => 4,
        Workload::W3 { .. } => 20,
    };
    args.peer_messages.unwrap_or((args.messages / share).max(1))
}

/// Each once, in the order given.
fn workloads(args: &Args) -> Result<Vec<Workload>, Failure> {
    let mut workloads: Vec<Workload> = Vec::new();
    for workload in args.workload.iter().flat_map(|named| &named.0) {
        if !workloads.contains(workload) {
            workloads.push(*workload);
        }
    }
    if workloads.is_empty() {
        workloads.push(Workload::parse("w1").map_err(Failure::Setup)?);
    }
    let Some(rules) = args.rules else { return Ok(workloads) };
    let many = workloads.iter_mut().find(|workload| matches!(workload, Workload::W3 { .. }));
    *many.ok_or_else(|| Failure::Setup("--rules is for w3".into()))? = Workload::W3 { rules };
    Ok(workloads)
}

fn find(kind: Kind, args: &Args) -> Result<Installed, Failure> {
    let corndog = forwarder::corndog(args.corndog.as_deref());
    kind.find(&corndog)
}

/// What a --workload stands for.
struct Workloads(Vec<Workload>);

fn named(name: &str) -> Result<Workloads, String> {
    let names = if name == "all" { &["w1", "w2", "w3", "w4"][..] } else { &[name][..] };
    let workloads: Result<_, _> = names.iter().map(|name| Workload::parse(name)).collect();
    workloads.map(Workloads).map_err(|sentence| format!("{sentence}, or all"))
}
