//! Metrics by statsd, over UDP: each interval what moved in it, in the main thread's runtime.
//!
//! Nobody waits for it: the name is resolved on a thread of the runtime's, the socket never blocks,
//! and what cannot be sent is said, and not sent again.

mod packets;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use corndog_pipeline::control::Level;
use tokio::net::UdpSocket;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::config::StatsdSettings;
use crate::figures::Figures;

/// Between two times that metrics are sent.
pub const INTERVAL: Duration = Duration::from_secs(10);
/// How long a name's address is good.
const RESOLVED_TIME_MAX: Duration = Duration::from_secs(300);
/// How long sending waits for a name; the answer may come later, for the next time.
const RESOLVE_TIME_MAX: Duration = Duration::from_secs(5);
/// For all packets of an interval: a socket takes them at once, or not at all.
const SEND_TIME_MAX: Duration = Duration::from_secs(1);
/// The condition, for the log.
const KIND: &str = "statsd";

/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Sends metrics.
#[derive(Debug)]
pub struct Statsd {
    settings: StatsdSettings,
    /// What was counted when metrics were sent last.
    before: Arc<Figures>,
    target: Option<Target>,
    /// A name being resolved; never more than one, because nothing ends one that hangs.
    resolving: Option<JoinHandle<io::Result<Vec<SocketAddr>>>>,
}

/// Where to.
#[derive(Debug)]
struct Target {
    address: SocketAddr,
    /// Connected, so that the kernel says where nobody listens.
    socket: UdpSocket,
    resolved_at: Instant,
    /// Not all of the last packets were sent: the name may have another address now.
    has_failed: bool,
}

impl Statsd {
    /// Sends nothing yet; counters begin at 0.
    pub fn new(settings: StatsdSettings) -> Statsd {
        let before = Arc::new(Figures::default());
        Statsd { settings, before, target: None, resolving: None }
    }

    /// Sends every [`INTERVAL`], for as long as it is polled; may be dropped at any time. `settle` hears
    /// that the last figures were sent, `say` takes a level, the condition and a sentence.
    pub async fn run(
        &mut self,
        figures: impl Fn() -> Arc<Figures>,
        settle: impl Fn(),
        mut say: impl FnMut(Level, &'static str, String),
    ) {
        loop {
            sleep(INTERVAL).await;
            let now = figures();
            let sent = self.send(&now).await;
            if Arc::ptr_eq(&self.before, &now) {
                settle();
            }
            if let Err(why) = sent {
                say(
                    Level::Warn,
                    KIND,
                    format!("statsd.address {:?}: {why}", self.settings.address),
                );
            }
        }
    }

    /// Sends what moved since the last time; at the end of a run, too. While there is no address,
    /// nothing counts as sent.
    ///
    /// Errors: what is to be said, without the address.
    pub async fn send(&mut self, now: &Arc<Figures>) -> Result<(), String> {
        let resolved = self.resolve().await;
        let Some(target) = &mut self.target else { return resolved };
        let packets = packets::packets(&self.settings.prefix, &self.before, now);
        self.before = Arc::clone(now);
        let (mut sent, mut why) = (0, None);
        let sending = async {
            for packet in &packets {
                match send_packet(&target.socket, packet).await {
                    Ok(()) => sent += 1,
                    Err(error) => why = Some(error.to_string()),
                }
            }
        };
        if timeout(SEND_TIME_MAX, sending).await.is_err() {
            why = Some(format!("the socket takes no more for {SEND_TIME_MAX:?}"));
        }
        target.has_failed = why.is_some();
        match why {
            None => resolved,
            Some(why) => {
                Err(format!("{} of {} packets: {why}", packets.len() - sent, packets.len()))
            }
        }
    }

    /// Looks for the address, if it is time to. An address that was good stays while there is no
    /// newer one.
    async fn resolve(&mut self) -> Result<(), String> {
        let is_good = |target: &Target| {
            !target.has_failed && target.resolved_at.elapsed() < RESOLVED_TIME_MAX
        };
        if self.target.as_ref().is_some_and(is_good) {
            return Ok(());
        }
        let found = match self.settings.address.parse() {
            Ok(address) => vec![address],
            Err(_) => self.look_up().await?,
        };
        if let Some(target) = &mut self.target
            && found.contains(&target.address)
        {
            target.resolved_at = Instant::now();
            return Ok(());
        }
        let mut why = "the name has no address".to_owned();
        for address in found {
            match Target::open(address).await {
                Ok(target) => {
                    self.target = Some(target);
                    return Ok(());
                }
                Err(error) => why = format!("no way to {address}: {error}"),
            }
        }
        Err(why)
    }

    async fn look_up(&mut self) -> Result<Vec<SocketAddr>, String> {
        let name = self.settings.address.clone();
        let look_up = move || name.to_socket_addrs().map(|all| all.take(ADDRESSES_MAX).collect());
        let resolving = self.resolving.get_or_insert_with(|| spawn_blocking(look_up));
        let answer = timeout(RESOLVE_TIME_MAX, resolving).await;
        let answer = answer
            .map_err(|_| format!("the name has no address: no answer in {RESOLVE_TIME_MAX:?}"))?;
        self.resolving = None;
        let found = answer.map_err(io::Error::other).and_then(|found| found);
        found.map_err(|error| format!("the name has no address: {error}"))
    }
}

impl Target {
    async fn open(address: SocketAddr) -> io::Result<Target> {
        let any = match address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        Ok(Target { address, socket, resolved_at: Instant::now(), has_failed: false })
    }
}

/// Sends a packet, also where the kernel tells of the one before that nobody takes it.
///
/// Errors: this packet was not sent, or the one before was not taken.
async fn send_packet(socket: &UdpSocket, packet: &[u8]) -> io::Result<()> {
    match socket.send(packet).await {
        Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
            socket.send(packet).await?;
            Err(refused)
        }
        sent => sent.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Topic;
    use std::future::Future;

    fn statsd(address: &str) -> Statsd {
        Statsd::new(StatsdSettings { address: address.to_owned(), prefix: "hotdog".to_owned() })
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(work)
    }

    fn taken(count: u64) -> Arc<Figures> {
        let topic = Topic { name: "a".to_owned(), taken: count, ..Topic::default() };
        Arc::new(Figures { topics: vec![topic], ..Figures::default() })
    }

    /// The value of a counter among the packets that come.
    fn received(socket: &std::net::UdpSocket, name: &str) -> u64 {
        let mut packet = [0; 2048];
        loop {
            let length = socket.recv(&mut packet).expect("a packet within the time");
            let text = std::str::from_utf8(&packet[..length]).expect("ASCII");
            let of_line = |line: &str| {
                line.strip_prefix(name)?.strip_prefix(':')?.split('|').next()?.parse().ok()
            };
            if let Some(count) = text.lines().find_map(of_line) {
                return count;
            }
        }
    }

    #[test]
    fn a_server_sees_what_moved() {
        let server = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        server.set_read_timeout(Some(Duration::from_secs(5))).expect("a time");
        let address = server.local_addr().expect("bound").to_string();
        for address in [address.replace("127.0.0.1", "localhost"), address] {
            let mut statsd = statsd(&address);
            run(async {
                for (count, moved) in [(5, 5), (5, 0), (12, 7), (11, 0)] {
                    assert_eq!(statsd.send(&taken(count)).await, Ok(()));
                    assert_eq!(received(&server, "hotdog.kafka.submitted"), moved);
                }
            });
        }
    }

    #[test]
    fn what_was_not_sent_for_want_of_an_address_is_sent_later() {
        let server = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        server.set_read_timeout(Some(Duration::from_secs(5))).expect("a time");
        let mut statsd = statsd("nobody.invalid:8125");
        run(async {
            let why = statsd.send(&taken(5)).await.expect_err("RFC 6761: .invalid never resolves");
            assert!(why.starts_with("the name has no address: "), "{why}");
            statsd.settings.address = server.local_addr().expect("bound").to_string();
            assert_eq!(statsd.send(&taken(6)).await, Ok(()));
            assert_eq!(received(&server, "hotdog.kafka.submitted"), 6);
        });
    }

    #[test]
    fn nobody_there_is_said_and_harms_nothing() {
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = closed.local_addr().expect("bound").to_string();
        drop(closed);
        let mut statsd = statsd(&address);
        run(async {
            // The kernel tells of the first packet when the second is sent.
            let _ = statsd.send(&taken(1)).await;
            let why = statsd.send(&taken(2)).await.expect_err("refused");
            assert!(why.contains("refused"), "{why}");
        });
    }
}
