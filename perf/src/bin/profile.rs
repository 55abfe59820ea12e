//! Runs corndog on workloads and draws where its CPU time went, by kind of thread.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's result and its errors")]

use corndog_perf::forwarder::Kind;
use corndog_perf::profile::Profile;
use corndog_perf::workload::Workload;
use corndog_perf::{Failure, compare, sink};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

/// Samples corndog's stacks while it forwards, and draws a flame graph of each kind of thread into
/// target/perf/profile/WORKLOAD, with a page of them all. Prints each kind's share of the CPU time
/// and the functions that took most of it, in percent of all.
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
    match run(&argh::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("profile: {failure}");
            failure.exit_code()
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    let stop = corndog_perf::stop::on_signals()?;
    let own = std::env::current_exe().unwrap_or_default();
    let corndog = args.corndog.clone().unwrap_or_else(|| own.with_file_name("corndog"));
    let target = own.ancestors().nth(2).unwrap_or(own.as_path());
    let workloads = match args.workload.as_slice() {
        [] => vec![Workload::parse("w1").map_err(Failure::Setup)?],
        named => named.to_vec(),
    };
    for workload in workloads {
        let folder = target.join("perf/profile").join(workload.name());
        fs::create_dir_all(&folder)
            .map_err(|error| Failure::Setup(format!("{}: {error}", folder.display())))?;
        let samples = folder.join("perf.data");
        let plan = compare::Plan {
            entrants: vec![compare::Entrant {
                group: workload.name().to_owned(),
                label: Kind::Corndog.name().to_owned(),
                installed: Kind::Corndog.find(&corndog)?,
                workload,
                messages: args.messages,
                connections: None,
                environment: Vec::new(),
                rate: None,
                kafka: None,
            }],
            rounds: 1,
            port: args.port,
            profile: Some(samples.clone()),
            sink: sink::Plan::at(args.sink_port),
        };
        for run in compare::run(&plan, &stop)? {
            println!("{}: {run}", workload.name());
        }
        eprintln!("reading {} ...", samples.display());
        let profile = Profile::read(&samples);
        // Ctrl-C ends `perf script` as well.
        if stop.load(Relaxed) {
            return Err(Failure::Stopped);
        }
        let profile = profile?;
        profile.draw(&folder, &format!("corndog, {}", workload.name()))?;
        println!("{}{} samples", profile.table(), profile.sample_count());
        println!("{}", folder.join("index.html").display());
    }
    Ok(())
}
