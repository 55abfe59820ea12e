//! Runs corndog on workloads and draws where its CPU time went, by kind of thread.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's result and its errors")]

use corndog_perf::compare::{Entrant, Run, Scratch};
use corndog_perf::forwarder::Kind;
use corndog_perf::machine::Facts;
use corndog_perf::profile::Profile;
use corndog_perf::progress::Progress;
use corndog_perf::workload::Workload;
use corndog_perf::{Failure, compare, forwarder, recording, report, sink, tool};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Samples corndog's stacks while it forwards, and draws a flame graph of each kind of thread into
/// target/perf/profile/WORKLOAD, with a report of them all. Prints each kind's share of the CPU
/// time and the functions that took most of it, in percent of all.
/// Example: perf/profile --workload w1 --workload w3
#[derive(argh::FromArgs)]
struct Args {
    /// w1 (default), w2, w3 or w4; may be given several times
    #[argh(option, from_str_fn(Workload::parse))]
    workload: Vec<Workload>,
    /// messages per run (default 4000000)
    #[argh(option, default = "4_000_000")]
    messages: u64,
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
    tool::main("profile", run)
}

fn run(args: &Args) -> Result<(), Failure> {
    let stop = corndog_perf::stop::on_signals()?;
    let plan = plan(args)?;
    plan.check()?;
    for entrant in &plan.entrants {
        let folder = folder(entrant);
        fs::create_dir_all(&folder)
            .map_err(|error| Failure::Setup(format!("{}: {error}", folder.display())))?;
        recording::check(&samples(entrant))?;
    }
    let facts = facts(args, &plan)?;
    let shown = sample(&plan, &stop)?;
    for (entrant, (run, profile)) in plan.entrants.iter().zip(&shown) {
        let mut facts = facts.clone();
        facts.add("what the run cost, sampled", run.to_string());
        facts.add("samples", profile.sample_count().to_string());
        let title = format!("What corndog's time goes into, {}", entrant.group.to_uppercase());
        profile.draw(&folder(entrant), &title, facts)?;
        println!("{}: {run}", entrant.group);
        println!("{}{} samples", profile.table(), profile.sample_count());
        println!("{}", folder(entrant).join("index.html").display());
    }
    Ok(())
}

/// Every workload's run and its samples, in their order.
///
/// Errors: nothing is shown by halves: the first failure ends it all.
fn sample(plan: &compare::Plan, stop: &AtomicBool) -> Result<Vec<(Run, Profile)>, Failure> {
    let scratch = Scratch::new()?;
    let steps = |entrant: &Entrant| {
        ["runs", "samples read"].map(|step| format!("{}, {}, {step}", entrant.group, entrant.label))
    };
    let mut progress = Progress::new(plan.entrants.iter().flat_map(steps).collect());
    let mut shown = Vec::new();
    for entrant in &plan.entrants {
        let file = samples(entrant);
        let plan = compare::Plan { profile: Some(file.clone()), ..plan.clone() };
        progress.begin();
        let run = unless_stopped(compare::run_one(&plan, entrant, &scratch, stop), stop)?;
        progress.end(&run);
        progress.begin();
        let profile = unless_stopped(Profile::read(&file), stop)?;
        progress.end(&format!("{} samples", profile.sample_count()));
        shown.push((run, profile));
    }
    Ok(shown)
}

/// Whatever failed after a Ctrl-C failed for that reason: it ends `perf` as well.
fn unless_stopped<T>(outcome: Result<T, Failure>, stop: &AtomicBool) -> Result<T, Failure> {
    if stop.load(Relaxed) { Err(Failure::Stopped) } else { outcome }
}

/// Each workload once, in the order given.
fn plan(args: &Args) -> Result<compare::Plan, Failure> {
    let installed = Kind::Corndog.find(&forwarder::corndog(args.corndog.as_deref()))?;
    let mut workloads: Vec<Workload> = Vec::new();
    for workload in &args.workload {
        if !workloads.contains(workload) {
            workloads.push(*workload);
        }
    }
    if workloads.is_empty() {
        workloads.push(Workload::parse("w1").map_err(Failure::Setup)?);
    }
    let entrant = |workload: Workload| Entrant {
        group: workload.name().to_owned(),
        label: Kind::Corndog.name().to_owned(),
        installed: installed.clone(),
        workload,
        messages: args.messages,
        connections: None,
        environment: Vec::new(),
        rate: None,
        kafka: None,
    };
    Ok(compare::Plan {
        entrants: workloads.into_iter().map(entrant).collect(),
        rounds: 1,
        port: args.port,
        // Each run has a file of its own.
        profile: None,
        sink: sink::Plan::at(args.sink_port),
    })
}

/// What the figures depend on.
fn facts(args: &Args, plan: &compare::Plan) -> Result<Facts, Failure> {
    let mut facts = Facts::gather(plan.entrants.first().map(|entrant| &entrant.installed));
    facts.add("perf", recording::version()?);
    facts.add("sampling", recording::ABOUT);
    facts.add("messages per run", args.messages.to_string());
    facts.add("load", "4 TCP connections, flat out, LF, RFC 5424");
    facts.add("Kafka", "3 brokers, 8 partitions a topic, acks=all, linger 5 ms, no compression");
    Ok(facts)
}

/// Where all that is drawn of a workload goes.
fn folder(entrant: &Entrant) -> PathBuf {
    report::default_file("profile").join(&entrant.group)
}

fn samples(entrant: &Entrant) -> PathBuf {
    folder(entrant).join("perf.data")
}
