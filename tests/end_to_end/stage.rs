//! Where crowds come in: a program with a plain and a TLS listener, and an honest sender whose
//! message is followed from its connect to Kafka.

use crate::CORNDOG;
use corndog_tests::time::seconds;
use corndog_tests::{Corndog, Ledger, Mock, Pki, SecureSender, Sender, Trust, Watch, settings};
use serde_json::Value as Json;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// `probe ...` to a topic of its own, `burst ...` nowhere, all else to `plain`.
const RULES: &str = r#"
[[rule]]
name = "honest"
regex = '^probe '
actions = [{ forward = "probe" }]
[[rule]]
name = "burst"
regex = '^burst '
actions = [{ stop = true }]
[[rule]]
name = "all else"
actions = [{ forward = "plain" }]
"#;

/// An honest sender is served within this, whatever the others do.
pub(crate) const SERVED_TIME_MAX: Duration = Duration::from_millis(500);

/// The program, its Kafka, and what honest senders found.
pub(crate) struct Stage {
    pub(crate) corndog: Corndog,
    pub(crate) mock: Mock,
    pub(crate) pki: Pki,
    pub(crate) trust: Trust,
    watch: Watch,
    served: Vec<Duration>,
}

/// Which listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    Secure,
}

impl Stage {
    /// Starts it with `over` laid over the tests' configuration.
    pub(crate) fn start(over: &str) -> Stage {
        let (mock, pki) = (Mock::start(), Pki::new());
        mock.create_topic("plain", 4);
        mock.create_topic("probe", 1);
        let corndog = Corndog::start(CORNDOG, &Stage::configuration(&mock, &pki, over));
        let trust = Trust::in_ca(&pki);
        let watch = Watch::new(&mock.bootstrap(), "probe", seconds(10));
        let mut stage = Stage { corndog, mock, pki, trust, watch, served: Vec::new() };
        // The first one also waits for the producer's first connection.
        stage.serve(Way::Plain);
        stage.served.clear();
        stage
    }

    /// What the program runs with.
    pub(crate) fn configuration(mock: &Mock, pki: &Pki, over: &str) -> String {
        let tls = pki.tls("");
        let listen = format!(
            "[[listen]]\nname = \"secure\"\naddress = \"127.0.0.1:0\"\ntransport = \"tls\"\n{tls}\n\
             [[listen]]\nname = \"plain\"\naddress = \"127.0.0.1:0\"\n"
        );
        settings(&mock.bootstrap(), &format!("{over}\n{listen}\n{RULES}"))
    }

    pub(crate) fn address(&self, way: Way) -> SocketAddr {
        self.corndog.addresses()[usize::from(way == Way::Plain)]
    }

    /// The process's id.
    pub(crate) fn id(&mut self) -> u32 {
        self.corndog.process().id()
    }

    /// An honest sender comes, sends a message and goes; how long it took from its connect until
    /// the record was read from Kafka.
    pub(crate) fn serve(&mut self, way: Way) -> Duration {
        let wanted = self.watch.records().len() + 1;
        let began = Instant::now();
        self.send_once(way, &format!("<13>1 - - - - - - probe {wanted}\n"));
        self.watch.until(wanted, seconds(30));
        let took = began.elapsed();
        self.served.push(took);
        took
    }

    fn send_once(&self, way: Way, line: &str) {
        let address = self.address(way);
        match way {
            Way::Plain => {
                let mut sender = Sender::connect(address);
                sender.send(line);
            }
            Way::Secure => {
                let sender = SecureSender::connect(address, &self.trust, "127.0.0.1");
                let mut sender = sender.expect("an honest client is let in");
                sender.send(line).expect("an honest client is not cut off");
                sender.finish().expect("and not reset");
            }
        }
    }

    /// What honest senders waited: count, median and longest.
    pub(crate) fn served(&self) -> Served {
        let mut served = self.served.clone();
        served.sort();
        Served {
            count: served.len(),
            median: served.get(served.len() / 2).copied().unwrap_or_default(),
            longest: served.last().copied().unwrap_or_default(),
        }
    }

    /// Honest senders' messages in Kafka.
    pub(crate) fn probes(&self) -> u64 {
        self.watch.records().len() as u64
    }

    /// Waits until so many records of the topic `plain` can be read.
    pub(crate) fn wait_plain(&self, count: usize) {
        Watch::new(&self.mock.bootstrap(), "plain", seconds(10)).until(count, seconds(60));
    }

    pub(crate) fn stop(&mut self) -> Ledger {
        self.corndog.stop()
    }

    /// Connections that were not let in for this reason, by the last line of statistics.
    pub(crate) fn refused(&self, reason: &str) -> u64 {
        let lines = self.corndog.log();
        let line = lines.iter().rev().find(|line| line.contains("\"message\":\"statistics\""));
        let statistics: Json = serde_json::from_str(line.expect("statistics")).unwrap();
        statistics["connections_refused"][reason].as_u64().unwrap_or(0)
    }
}

/// What honest senders waited.
pub(crate) struct Served {
    pub(crate) count: usize,
    pub(crate) median: Duration,
    pub(crate) longest: Duration,
}

impl fmt::Display for Served {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Served { count, median, longest } = self;
        write!(formatter, "{count} honest ones waited {median:.1?}, {longest:.1?} at most")
    }
}
