//! Runs corndog and its peers in turn under the same load and prints what each cost.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's result and its errors")]

use corndog_perf::forwarder::{Installed, Kind};
use corndog_perf::kafka::Kafka;
use corndog_perf::workload::Workload;
use corndog_perf::{Failure, agreement, compare, sink, summary};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Compares corndog with its peers: CPU per million messages, messages per second, peak memory,
/// lost, duplicated, reordered and wrong messages. Alternates between them in every round.
/// Example: perf/compare --workload w2 --rounds 5
#[derive(argh::FromArgs)]
struct Args {
    /// w1 (default): one rule that forwards all; w2: hotdog's three rules on JSON and text; w3: 100
    /// regex rules; w4: w1 over TLS 1.3. All: 4 TCP connections, LF, RFC 5424, acks=all, linger 5
    /// ms, no compression
    #[argh(option, default = "String::from(\"w1\")", from_str_fn(named))]
    workload: String,
    /// compare with rsyslog (default but for w3), syslog-ng (default of w3) or rsyslog-strings
    /// (string compares for regexes, w3); may be given several times
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
    if args.profile.is_some() && args.only.is_none() {
        return Err(Failure::Setup("--profile is of one forwarder: say which with --only".into()));
    }
    let stop = corndog_perf::stop::on_signals()?;
    let mut entrants = entrants(args)?;
    let mut sink = sink::Plan::at(args.sink_port);
    if args.kafka {
        entrants = agreement::twice(entrants, &Arc::new(start_kafka(args)?));
        sink.brokers = 1;
    }
    let plan = compare::Plan {
        entrants,
        rounds: args.rounds,
        port: args.port,
        profile: args.profile.clone(),
        environment: Vec::new(),
        sink,
    };
    if args.kafka {
        eprintln!("warming Kafka up ...");
        compare::run(&agreement::warm_up(&plan), &stop, &|_, _| ())?;
    }
    let tell =
        |round: usize, run: &compare::Run| eprintln!("round {}/{} {run}", round + 1, args.rounds);
    let runs = compare::run(&plan, &stop, &tell)?;
    let ratios = agreement::pairs(&runs);
    let (text, agree) = agreement::judge(&runs);
    if args.json {
        println!("{}", summary::json(&runs, &ratios));
    } else {
        print!("{}", summary::table(&runs));
        for (own, peer) in ratios {
            if let Some(ratio) = summary::ratio(&runs, &own, &peer) {
                println!("{own}/{peer} CPU, per round: {ratio:.3}");
            }
        }
        print!("{text}");
    }
    match agree {
        true => Ok(()),
        false => Err(Failure::Run("the sink and Kafka do not agree".into())),
    }
}

fn start_kafka(args: &Args) -> Result<Kafka, Failure> {
    let port = args.sink_port.checked_add(10);
    Kafka::start(port.ok_or_else(|| Failure::Setup("--sink-port: choose a lower one".into()))?)
}

/// The peers first, in the first round.
fn entrants(args: &Args) -> Result<Vec<compare::Entrant>, Failure> {
    let workload = workload(args)?;
    let kinds = match (args.only, args.peer.as_slice(), workload) {
        (Some(only), [], _) => vec![only],
        (Some(_), ..) => {
            return Err(Failure::Setup("--only measures one forwarder: leave --peer out".into()));
        }
        (None, [], Workload::W3 { .. }) => vec![Kind::SyslogNg, Kind::Corndog],
        (None, [], _) => vec![Kind::Rsyslog, Kind::Corndog],
        (None, peers, _) => [peers, &[Kind::Corndog]].concat(),
    };
    let entrant = |kind: Kind| {
        let is_slow = kind != Kind::Corndog && args.only.is_none();
        let messages = if is_slow { peer_messages(args, workload) } else { args.messages };
        let label = kind.name().to_owned();
        let installed = find(kind, args)?;
        let (rate, kafka) = (args.rate, None);
        Ok(compare::Entrant { label, installed, workload, messages, rate, idle: 0, kafka })
    };
    kinds.into_iter().map(entrant).collect()
}

/// Slow peers get fewer messages: what counts is the CPU time of each.
fn peer_messages(args: &Args, workload: Workload) -> u64 {
    let share = match workload {
        Workload::W1 { .. } | Workload::W4 => 1,
        Workload::W2 => 4,
        Workload::W3 { .. } => 20,
    };
    args.peer_messages.unwrap_or((args.messages / share).max(1))
}

fn workload(args: &Args) -> Result<Workload, Failure> {
    let named = Workload::parse(&args.workload).map_err(Failure::Setup)?;
    match (named, args.rules) {
        (_, None) => Ok(named),
        (Workload::W3 { .. }, Some(rules)) => Ok(Workload::W3 { rules }),
        _ => Err(Failure::Setup("--rules is for w3".into())),
    }
}

fn find(kind: Kind, args: &Args) -> Result<Installed, Failure> {
    let beside = || std::env::current_exe().ok()?.parent().map(|folder| folder.join("corndog"));
    let corndog = args.corndog.clone().or_else(beside).unwrap_or_else(|| "corndog".into());
    kind.find(&corndog)
}

fn named(name: &str) -> Result<String, String> {
    Workload::parse(name).map(|_| name.to_owned())
}
