//! Sends stamped syslog messages over TCP, TLS, UDP or unix sockets; prints one JSON line about it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's result and its errors")]

use corndog_perf::message::Framing;
use corndog_perf::mix::Mix;
use corndog_perf::pace::{Pace, Spread};
use corndog_perf::source::Source;
use corndog_perf::wire::Dial;
use corndog_perf::workload::Workload;
use corndog_perf::{Failure, load, tool};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Sends RFC 5424 messages, each with connection, sequence number and checksum; prints
/// one JSON line. SIGTERM or SIGINT end it cleanly: the counts are of whole messages.
/// Example: load --address 127.0.0.1:1514 --messages 1000000
#[derive(argh::FromArgs)]
struct Args {
    /// address to send to (default 127.0.0.1:1514)
    #[argh(option, default = "std::net::SocketAddr::from(([127, 0, 0, 1], 1514))")]
    address: std::net::SocketAddr,
    /// connections (default 4)
    #[argh(option, default = "4")]
    connections: u16,
    /// number of the first connection in the messages (default 0); a sink tells generators apart
    /// by it
    #[argh(option, default = "0")]
    first_connection: u16,
    /// messages over all connections (default 1000000)
    #[argh(option, default = "1_000_000")]
    messages: u64,
    /// messages a second over all connections, by the clock: each is sent when it is due, late or
    /// not; flat out if left out
    #[argh(option)]
    rate: Option<u64>,
    /// how a rate's messages are spread: constant (default) or poisson
    #[argh(option, default = "Spread::Constant", from_str_fn(Spread::parse))]
    arrivals: Spread,
    /// microseconds from one wake-up of a connection to the next, at least: what is due meanwhile goes
    /// in one write (default: 50 for each connection, 4000 at most, so 20,000 wake-ups a second of all)
    #[argh(option)]
    step: Option<u64>,
    /// milliseconds that one message in a hundred may be late by the load's own doing; more ends it
    /// with exit code 1 (default 5)
    #[argh(option, default = "5")]
    late_most: u64,
    /// what the messages are: w1 (default), w2 (JSON and text), w3 (text for many rules), w4 (w1 over TLS)
    #[argh(option, default = "String::from(\"w1\")")]
    workload: String,
    /// bytes of a frame without its delimiter, of w1: one number (default 248), or two as in
    /// 106..65536, between which each is drawn, its logarithm evenly
    #[argh(option, from_str_fn(Source::of_sizes))]
    size: Option<Source>,
    /// in place of a workload: a file that says what the messages are, as those in perf/mixes
    #[argh(option)]
    mix: Option<PathBuf>,
    /// rules that w3 is for (default 100): those of its messages that match have their numbers
    #[argh(option)]
    rules: Option<usize>,
    /// with tls, and w4: the forwarder's certificate, in PEM
    #[argh(option)]
    certificate: Option<PathBuf>,
    /// tcp (default, w4 over TLS); tls: whatever is sent, over TLS 1.3; udp: a message in each datagram,
    /// nothing held back; unix-stream or unix-datagram to --path
    #[argh(option, default = "Transport::Tcp", from_str_fn(transport))]
    transport: Transport,
    /// path of a unix socket
    #[argh(option)]
    path: Option<PathBuf>,
    /// lf or octet (default lf)
    #[argh(option, default = "Framing::Lf", from_str_fn(framing))]
    framing: Framing,
    /// seed of the message bodies (default 1)
    #[argh(option, default = "1")]
    seed: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Transport {
    /// Of w4, TLS.
    Tcp,
    Tls,
    Udp,
    UnixStream,
    UnixDatagram,
}

fn main() -> ExitCode {
    tool::main("load", run)
}

fn source(args: &Args) -> Result<Source, Failure> {
    let named = Workload::parse(&args.workload).map_err(Failure::Setup)?;
    match (named, &args.size, args.rules, &args.mix) {
        (Workload::W1 { .. }, None, None, Some(file)) => Ok(Source::Mix(Mix::read(file)?.into())),
        (Workload::W1 { .. }, Some(sizes), None, None) => Ok(sizes.clone()),
        (Workload::W3 { .. }, None, Some(rules), None) => Ok(Workload::W3 { rules }.into()),
        (_, None, None, None) => Ok(named.into()),
        _ => Err(Failure::Setup("--size is for w1, --rules for w3, --mix for neither".into())),
    }
}

fn dial(args: &Args, source: &Source) -> Result<Dial, Failure> {
    let refuse = |sentence: &str| Err(Failure::Setup(sentence.to_owned()));
    let is_w4 = matches!(source, Source::Workload(workload) if workload.is_tls());
    let transport = match args.transport {
        Transport::Tcp if is_w4 => Transport::Tls,
        transport => transport,
    };
    let is_datagram = matches!(transport, Transport::Udp | Transport::UnixDatagram);
    if transport != Transport::Tls && is_w4 || is_datagram && args.framing != Framing::Lf {
        return refuse("w4 is for --transport tls, datagrams are for --framing lf");
    }
    match (transport, &args.certificate, &args.path) {
        (Transport::Udp, None, None) => Ok(Dial::Udp),
        (Transport::UnixStream, None, Some(path)) => Ok(Dial::UnixStream(path.clone())),
        (Transport::UnixDatagram, None, Some(path)) => Ok(Dial::UnixDatagram(path.clone())),
        (Transport::Tcp, None, None) => Ok(Dial::Plain),
        (Transport::Tls, Some(file), None) => Dial::tls(file),
        (Transport::Tls, None, None) => refuse("TLS needs --certificate FILE"),
        (Transport::UnixStream | Transport::UnixDatagram, None, None) => {
            refuse("a unix socket needs --path FILE")
        }
        _ => refuse("--certificate is for TLS, --path for unix sockets"),
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    let stop = corndog_perf::stop::on_signals()?;
    let source = source(args)?;
    let dial = dial(args, &source)?;
    let pace = args.rate.map(|rate| {
        let pace = Pace::new(rate, args.arrivals, args.connections);
        Pace { step: args.step.map_or(pace.step, Duration::from_micros), ..pace }
    });
    let plan = load::Plan {
        address: args.address,
        dial,
        connections: args.connections,
        first_connection: args.first_connection,
        messages: args.messages,
        pace,
        source,
        framing: args.framing,
        seed: args.seed,
    };
    let report = load::run(&plan, &stop, &AtomicU64::new(0))?;
    println!("{}", report.json());
    if let Some(error) = report.error() {
        let place = plan.dial.place(plan.address);
        return Err(Failure::Run(format!("{place}: {error}")));
    }
    pace.map_or(Ok(()), |pace| report.check_pace(&pace, Duration::from_millis(args.late_most)))
}

fn transport(word: &str) -> Result<Transport, String> {
    match word {
        "tcp" => Ok(Transport::Tcp),
        "tls" => Ok(Transport::Tls),
        "udp" => Ok(Transport::Udp),
        "unix-stream" => Ok(Transport::UnixStream),
        "unix-datagram" => Ok(Transport::UnixDatagram),
        _ => Err(format!("transport {word:?}: choose tcp, tls, udp, unix-stream or unix-datagram")),
    }
}

fn framing(word: &str) -> Result<Framing, String> {
    match word {
        "lf" => Ok(Framing::Lf),
        "octet" => Ok(Framing::Octet),
        _ => Err(format!("framing {word:?}: choose lf or octet")),
    }
}
