//! A Kafka cluster that counts and checks what it gets, and prints one JSON line about it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's result and its errors")]

use corndog_perf::faults::{Errors, Faults};
use corndog_perf::workload::Workload;
use corndog_perf::{Failure, cpu, report, sink, tool};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

/// A Kafka cluster on loopback that stores nothing: it checks each message of `load` and counts
/// loss, duplicates and order. Prints one JSON line at SIGTERM or SIGINT, or when --expect is
/// reached. Example: sink --port 19092 --expect 1000000
#[derive(argh::FromArgs)]
struct Args {
    /// the first broker's port (default 19092); the others follow
    #[argh(option, default = "19092")]
    port: u16,
    /// brokers (default 3)
    #[argh(option, default = "3")]
    brokers: u16,
    /// partitions of every topic (default 8)
    #[argh(option, default = "8")]
    partitions: u16,
    /// verify the CRC of each batch too
    #[argh(switch)]
    crc: bool,
    /// workload whose messages come, w1 to w4: the topics of all are checked, one payload in 256 is
    /// looked at whole; left out, what their stamps say is
    #[argh(option, from_str_fn(Workload::parse))]
    workload: Option<Workload>,
    /// ms from a produce request's records to its answer (default 0); the connection's next request
    /// waits behind it, as Kafka's do
    #[argh(option, default = "0")]
    delay: u64,
    /// produce requests that fail, COUNT/OF:ERROR with commas between: of each OF the last COUNT, as
    /// in 1/100:NOT_ENOUGH_REPLICAS,1/1000:REQUEST_TIMED_OUT. The names are Kafka's; batches that
    /// time out, or get NOT_ENOUGH_REPLICAS_AFTER_APPEND, are taken all the same
    #[argh(option, default = "Errors::default()", from_str_fn(Errors::parse))]
    errors: Errors,
    /// different messages to wait for: ends when they are in, and counts what lacks at a signal.
    /// Without it, lost are the gaps in each connection's sequence
    #[argh(option)]
    expect: Option<u64>,
    /// time each message from when it was to be sent until its batch is walked, and write the
    /// percentiles into this file (.hgrm, in microseconds); load has to run on the same machine
    #[argh(option)]
    latency: Option<PathBuf>,
}

fn main() -> ExitCode {
    tool::main("sink", run)
}

fn run(args: &Args) -> Result<(), Failure> {
    let stop = corndog_perf::stop::on_signals()?;
    args.latency.as_deref().map_or(Ok(()), report::check_file)?;
    let plan = sink::Plan {
        port: args.port,
        brokers: args.brokers,
        partitions: args.partitions,
        check_crc: args.crc,
        workload: args.workload,
        faults: Faults { delay: Duration::from_millis(args.delay), errors: args.errors.clone() },
    };
    let sink = sink::Sink::start(&plan)?;
    if args.latency.is_some() {
        sink.ledger().time_from(0);
    }
    eprintln!("sink: ready on 127.0.0.1:{}", args.port);
    let mut first = None;
    while !stop.load(Relaxed) {
        thread::sleep(Duration::from_millis(50));
        let ledger = sink.ledger();
        if first.is_none() && ledger.received() > 0 {
            first = Some(Instant::now());
        }
        let enough = args.expect.is_some_and(|count| ledger.received() >= count);
        if enough && args.expect <= Some(ledger.counts().unique) {
            break;
        }
    }
    let ledger = sink.ledger();
    let unique = ledger.counts().unique;
    let lost = args.expect.map_or_else(|| ledger.gaps(), |count| count.saturating_sub(unique));
    let mut counted = sink::report(&sink, lost, cpu::of_process(), first);
    if let Some(file) = &args.latency {
        let latencies = sink.latencies();
        counted["latency_us"] = latencies.json();
        write(file, &latencies.hgrm())?;
    }
    println!("{counted}");
    sink.stop();
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|error| Failure::Run(format!("{}: {error}", file.display())))
}
