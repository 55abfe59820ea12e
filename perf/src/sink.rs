//! A Kafka cluster in one process that counts what it gets and stores nothing.
//!
//! One listener per broker, on consecutive loopback ports; one thread per connection, which reads a
//! whole request into its own buffer and answers it before it reads the next one. The batches are
//! walked where they lie in that buffer.

use crate::broker::Cluster;
use crate::cpu;
use crate::failure::Failure;
use crate::faults::{DELAY_MAX, Faults};
use crate::forwarder::check_port;
use crate::latencies::Latencies;
use crate::ledger::Ledger;
use crate::workload::Workload;
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A longer request closes its connection: Kafka's own bound.
const REQUEST_BYTES_MAX: usize = 100 << 20;
const REQUEST_BYTES_START: usize = 2 << 20;
/// How often a delay looks whether the sink stops.
const TICK: Duration = Duration::from_millis(100);

/// What a sink is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The first broker's port on 127.0.0.1; the others follow it.
    pub port: u16,
    /// Brokers, at least 1.
    pub brokers: u16,
    /// Partitions of every topic, at least 1.
    pub partitions: u16,
    /// Whether each batch's CRC is verified too.
    pub check_crc: bool,
    /// Whose messages come: their topics are checked, and some payloads whole.
    pub workload: Option<Workload>,
    /// What it does wrong on purpose.
    pub faults: Faults,
}

impl Plan {
    /// As every comparison has it: three brokers from this port on, eight partitions, no faults.
    pub fn at(port: u16) -> Self {
        let faults = Faults::default();
        Self { port, brokers: 3, partitions: 8, check_crc: false, workload: None, faults }
    }

    /// Each broker's.
    fn ports(&self) -> Result<Vec<u16>, Failure> {
        if self.brokers == 0 || self.partitions == 0 {
            return Err(Failure::Setup("a sink needs a broker and a partition at least".into()));
        }
        let ports: Option<Vec<u16>> =
            (0..self.brokers).map(|index| self.port.checked_add(index)).collect();
        let (brokers, port) = (self.brokers, self.port);
        ports.ok_or_else(|| {
            Failure::Setup(format!("{brokers} brokers from port {port} on: past 65535"))
        })
    }

    /// Fails with a sentence if something listens on one of its ports, which `flag` chooses.
    pub fn check_ports(&self, flag: &str) -> Result<(), Failure> {
        self.ports()?.into_iter().try_for_each(|port| check_port(port, flag))
    }
}

/// A running sink.
pub struct Sink {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    listeners: Vec<JoinHandle<()>>,
}

struct Shared {
    cluster: Cluster,
    stopping: AtomicBool,
    /// Nanoseconds of CPU of connections' threads that have ended.
    cpu_nanos: AtomicU64,
    /// Open connections: a stop shuts their sockets down, then joins their threads.
    connections: Mutex<Vec<(TcpStream, JoinHandle<()>)>>,
}

impl Sink {
    /// Listens on every port, or on none.
    ///
    /// Errors: `Failure::Setup` with the port and the reason.
    pub fn start(plan: &Plan) -> Result<Self, Failure> {
        if plan.faults.delay > DELAY_MAX {
            let seconds = DELAY_MAX.as_secs();
            return Err(Failure::Setup(format!("a delay of more than {seconds} s")));
        }
        let ports = plan.ports()?;
        let bound: Result<Vec<TcpListener>, Failure> =
            ports.iter().map(|port| listen(*port)).collect();
        let bound = bound?;
        let shared = Arc::new(Shared {
            cluster: Cluster::new(ports.clone(), plan),
            stopping: AtomicBool::new(false),
            cpu_nanos: AtomicU64::new(0),
            connections: Mutex::default(),
        });
        let listeners = bound.into_iter().enumerate().map(|(broker, listener)| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || accept(&shared, broker, &listener))
        });
        let listeners = listeners.collect();
        let addresses = ports.iter().map(|port| (Ipv4Addr::LOCALHOST, *port).into()).collect();
        Ok(Self { shared, addresses, listeners })
    }

    /// What has arrived.
    pub fn ledger(&self) -> &Ledger {
        &self.shared.cluster.ledger
    }

    /// Records taken so far, by topic.
    pub fn by_topic(&self) -> Vec<(String, u64)> {
        self.shared.cluster.by_topic()
    }

    /// How long the messages took that the ledger was told to time.
    pub fn latencies(&self) -> Latencies {
        self.shared.cluster.latencies()
    }

    /// Closes everything; returns the CPU time that its connections took.
    pub fn stop(self) -> Duration {
        self.shared.stopping.store(true, Relaxed);
        for address in &self.addresses {
            // Wakes the listener, which then sees that it is to stop.
            drop(TcpStream::connect_timeout(address, Duration::from_secs(1)));
        }
        for listener in self.listeners {
            drop(listener.join());
        }
        for (stream, thread) in self.shared.connections().drain(..) {
            // An error means that the peer has gone already.
            let _ = stream.shutdown(Shutdown::Both);
            drop(thread.join());
        }
        Duration::from_nanos(self.shared.cpu_nanos.load(Relaxed))
    }
}

/// One line of JSON: what arrived. `lost` is for the caller to judge; `started` is the first send.
pub fn report(sink: &Sink, lost: u64, cpu: Duration, started: Option<Instant>) -> Value {
    let ledger = sink.ledger();
    let counts = ledger.counts();
    let last = ledger.last_record();
    let seconds = started.zip(last).map(|(first, last)| last.duration_since(first).as_secs_f64());
    let per_record = |total: f64| (counts.received > 0).then(|| total / counts.received as f64);
    json!({
        "received": counts.received,
        "lost": lost,
        "duplicated": counts.duplicated,
        "reordered": counts.reordered,
        "corrupt": counts.corrupt,
        "misrouted": counts.misrouted,
        "misshapen": counts.misshapen,
        "by_topic": sink.by_topic().into_iter().collect::<BTreeMap<String, u64>>(),
        "payload_bytes": counts.payload_bytes,
        "batches_taken": ledger.batches.taken.load(Relaxed),
        "batches_repeated": ledger.batches.repeated.load(Relaxed),
        "batches_out_of_sequence": ledger.batches.out_of_sequence.load(Relaxed),
        "batches_compressed": ledger.batches.compressed.load(Relaxed),
        "batches_refused": ledger.batches.refused.load(Relaxed),
        "batches_failed_on_purpose": ledger.batches.failed.load(Relaxed),
        "seconds": seconds,
        "cpu_ns_per_record": per_record(cpu.as_nanos() as f64),
    })
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, Vec<(TcpStream, JoinHandle<()>)>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps, but not past a stop.
    fn hold_back(&self, delay: Duration) {
        let until = Instant::now() + delay;
        while !self.stopping.load(Relaxed) {
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return;
            }
            thread::sleep(rest.min(TICK));
        }
    }
}

fn listen(port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|error| Failure::of_port(port, "--port or --sink-port", &error))
}

fn accept(shared: &Arc<Shared>, broker: usize, listener: &TcpListener) {
    loop {
        let accepted = listener.accept();
        if shared.stopping.load(Relaxed) {
            return;
        }
        let Ok((stream, _)) = accepted else {
            // For want of descriptors, most likely: wait for some to be freed.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let Ok(handle) = stream.try_clone() else { continue };
        let worker = Arc::clone(shared);
        let thread = thread::spawn(move || connection(&worker, broker, stream));
        let mut connections = shared.connections();
        connections.retain(|(_, thread)| !thread.is_finished());
        connections.push((handle, thread));
    }
}

/// Serves one client until it goes.
#[allow(clippy::print_stderr, reason = "a client that is not understood must not fail in silence")]
fn connection(shared: &Shared, broker: usize, mut stream: TcpStream) {
    if let Err(sentence) = serve(shared, broker, &mut stream) {
        eprintln!("sink: connection closed: {sentence}");
    }
    // The other end may have closed already.
    let _ = stream.shutdown(Shutdown::Both);
    shared.cpu_nanos.fetch_add(cpu::of_thread().as_nanos() as u64, Relaxed);
}

/// Ends with `Ok` when the client closes or breaks its connection.
fn serve(shared: &Shared, broker: usize, stream: &mut TcpStream) -> Result<(), String> {
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    let mut buffer = Arc::new(vec![0; REQUEST_BYTES_START]);
    loop {
        let mut length = [0; 4];
        if stream.read_exact(&mut length).is_err() {
            return Ok(());
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > REQUEST_BYTES_MAX {
            return Err(format!("a request of {length} bytes is above {REQUEST_BYTES_MAX}"));
        }
        // Sole owner again, since the last request's slices are gone; else a new buffer.
        let bytes = Arc::make_mut(&mut buffer);
        if bytes.len() < length {
            bytes.resize(length, 0);
        }
        if stream.read_exact(&mut bytes[..length]).is_err() {
            return Ok(());
        }
        let request = Bytes::from_owner(Loan(Arc::clone(&buffer))).slice(..length);
        let answer = shared.cluster.answer(broker, request)?;
        let Some(answer) = answer else { continue };
        shared.hold_back(answer.delay);
        if stream.write_all(&answer.bytes).is_err() {
            return Ok(());
        }
    }
}

/// Lends a connection's buffer to the decoder, which slices it without a copy.
struct Loan(Arc<Vec<u8>>);

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_one_sentence_and_nothing_listens() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let plan = Plan { brokers: 1, ..Plan::at(port) };
        let Err(Failure::Setup(sentence)) = Sink::start(&plan) else { panic!("it started") };
        assert!(sentence.contains(&port.to_string()), "{sentence}");
        assert!(sentence.contains("in use"), "{sentence}");
    }
}
