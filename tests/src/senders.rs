//! What sends: a plain TCP sender, and the real ones, `logger` and `loggen`.

use crate::messages::message;
use crate::places::target;
use crate::process::run;
use crate::time::seconds;
use rustix::net::{self, AddressFamily, SocketType};
use std::io::{self, BufWriter, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A TCP connection to a listener.
#[derive(Debug)]
pub struct Sender(TcpStream);

impl Sender {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Sender {
        let stream = TcpStream::connect_timeout(&address, seconds(5))
            .unwrap_or_else(|error| panic!("nobody listens on {address}: {error}"));
        Sender(stream)
    }

    /// Connects from this address of loopback (127.0.0.2, say), so that it counts as another peer.
    ///
    /// Errors: refused.
    pub fn connect_from(source: Ipv4Addr, address: SocketAddr) -> io::Result<Sender> {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        net::bind(&socket, &SocketAddr::from((source, 0)))?;
        net::connect(&socket, &address)?;
        Ok(Sender(TcpStream::from(socket)))
    }

    /// Sends these bytes, waiting as long as the receiver wants.
    ///
    /// Panics: the receiver closed the connection.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the receiver holds the connection open");
    }

    /// Sends these bytes; fails where the receiver closed the connection.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.write_all(bytes.as_ref())
    }

    /// Sends text as one frame that a LF ends.
    pub fn send_line(&mut self, text: &str) {
        self.send(format!("{text}\n"));
    }

    /// The connection.
    pub fn stream(&self) -> &TcpStream {
        &self.0
    }

    /// Closes our side and waits until the receiver has closed its own.
    pub fn finish(mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
        let _ = self.wait_closed(seconds(10));
    }

    /// Closes the connection with a reset.
    pub fn reset(self) {
        let none = Some(Duration::ZERO);
        net::sockopt::set_socket_linger(&self.0, none).expect("a socket can linger");
    }

    /// How long it took the receiver to close the connection.
    ///
    /// Panics: it is open after `limit`.
    pub fn wait_closed(&mut self, limit: Duration) -> Duration {
        let start = Instant::now();
        self.0.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout above 0");
        let mut buffer = [0; 64];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return start.elapsed(),
                Ok(_) => {}
                Err(error) if would_block(&error) => {}
                // A reset closes too.
                Err(_) => return start.elapsed(),
            }
            assert!(start.elapsed() < limit, "the connection is open after {limit:?}");
        }
    }

    /// Whether the receiver has closed the connection, as far as this side knows.
    pub fn is_closed(&mut self) -> bool {
        self.0.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout above 0");
        match self.0.read(&mut [0; 64]) {
            Ok(count) => count == 0,
            Err(error) => !would_block(&error),
        }
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Connections that send numbered messages, each from a thread of its own.
#[derive(Debug)]
pub struct Flood {
    threads: Vec<JoinHandle<io::Result<()>>>,
    /// By connection: messages written whole. The connection's thread writes, the test reads.
    sent: Arc<Vec<AtomicU64>>,
    /// The test writes, the connections' threads read.
    stop: Arc<AtomicBool>,
}

impl Flood {
    /// Starts `connections` that send `each` messages of `bytes`, LF after each, as fast as they
    /// are taken; `rate` messages a second at most, where it is not 0.
    pub fn start(
        address: SocketAddr,
        connections: usize,
        each: u64,
        bytes: usize,
        rate: u64,
    ) -> Flood {
        let sent: Arc<Vec<AtomicU64>> =
            Arc::new((0..connections).map(|_| AtomicU64::new(0)).collect());
        let stop = Arc::new(AtomicBool::new(false));
        let start = |connection: usize| {
            let (sent, stop) = (Arc::clone(&sent), Arc::clone(&stop));
            let mut stream = Sender::connect(address).0;
            thread::spawn(move || {
                let flow = Flow { connection, each, bytes, rate };
                flow.send(&mut stream, &sent[connection], &stop)?;
                stream.shutdown(Shutdown::Write)?;
                // The receiver's own end of the connection, so that nothing is reset away.
                let _ = Sender(stream).wait_closed(seconds(120));
                Ok(())
            })
        };
        let threads = (0..connections).map(start).collect();
        Flood { threads, sent, stop }
    }

    /// Messages written until now, by connection; a lower bound while it runs.
    pub fn sent(&self) -> Vec<u64> {
        self.sent.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// Messages written until now, in all.
    pub fn total(&self) -> u64 {
        self.sent().iter().sum()
    }

    /// Whether some connection has ended: all was sent, or the receiver closed it.
    pub fn any_ended(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Tells the connections to end after the message at hand.
    pub fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until all was sent; messages by connection.
    ///
    /// Panics: the receiver closed a connection.
    pub fn finish(self) -> Vec<u64> {
        let sent = Arc::clone(&self.sent);
        for thread in self.threads {
            let ended = thread.join().expect("a sender does not panic");
            ended.expect("the receiver holds the connection open");
        }
        sent.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// Waits until all connections ended, be it that the receiver closed them; what each had
    /// written whole, a lower bound of what it sent.
    pub fn finish_closed(self) -> Vec<u64> {
        let sent = Arc::clone(&self.sent);
        for thread in self.threads {
            let _ = thread.join().expect("a sender does not panic");
        }
        sent.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

struct Flow {
    connection: usize,
    each: u64,
    bytes: usize,
    rate: u64,
}

impl Flow {
    fn send(&self, stream: &mut TcpStream, sent: &AtomicU64, stop: &AtomicBool) -> io::Result<()> {
        let start = Instant::now();
        let mut out = BufWriter::with_capacity(32 << 10, stream);
        for sequence in 0..self.each {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let mut text = message(self.connection, sequence, self.bytes);
            text.push('\n');
            out.write_all(text.as_bytes())?;
            if let Some(micros) = (sequence * 1_000_000).checked_div(self.rate) {
                let due = start + Duration::from_micros(micros);
                if due > Instant::now() {
                    out.flush()?;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                }
            }
            sent.store(sequence + 1, Ordering::Relaxed);
        }
        out.flush()
    }
}

/// Sends one message with `logger` (util-linux) over TCP; `options` as `--rfc5424` before it.
pub fn logger(address: SocketAddr, options: &[&str], text: &str) {
    run("logger", seconds(10), |command| {
        command.arg("--server").arg(address.ip().to_string());
        command.arg("--port").arg(address.port().to_string()).arg("--tcp");
        command.args(options).arg("--").arg(text);
    });
}

/// Sends `count` messages with `loggen` (syslog-ng) over TCP, `rate` a second on each of
/// `connections`; `options` as `--syslog-proto` before.
///
/// Debian's syslog-ng and rsyslog exclude each other, so tests/install unpacks the package into
/// target/syslog-ng instead of installing it.
pub fn loggen(address: SocketAddr, connections: u32, count: u32, rate: u32, options: &[&str]) {
    let prefix = target().join("syslog-ng/usr");
    let program = prefix.join("bin/loggen");
    assert!(program.exists(), "no {}: run tests/install", program.display());
    run(&program.display().to_string(), seconds(60), |command| {
        command.env("LD_LIBRARY_PATH", prefix.join("lib/syslog-ng"));
        command.env("SYSLOGNG_PREFIX", &prefix);
        command.args(["--inet", "--stream", "--quiet"]).args(options);
        command.arg(format!("--active-connections={connections}"));
        command.arg(format!("--number={count}")).arg(format!("--rate={rate}"));
        command.arg(address.ip().to_string()).arg(address.port().to_string());
    });
}

/// Bytes that look random and are the same each time: splitmix64 from this seed.
pub fn random_bytes(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    })
    .flatten()
}
