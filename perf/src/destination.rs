//! Where a forwarder's records go in a run: into a sink, or into Apache Kafka's topics.

use crate::failure::Failure;
use crate::kafka::{Kafka, Topics};
use crate::latencies::Latencies;
use crate::ledger::Ledger;
use crate::sink::{self, Sink};
use crate::workload::Workload;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// One of the two, empty at first.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Destination<'a> {
    /// Counts what comes as it comes.
    Sink(Sink, SocketAddr),
    /// Counts when all is over.
    Kafka(Topics<'a>, SocketAddr),
}

impl<'a> Destination<'a> {
    /// A new one for a workload: in Kafka, if there is one.
    pub fn start(
        kafka: Option<&'a Kafka>,
        plan: &sink::Plan,
        workload: Workload,
    ) -> Result<Self, Failure> {
        match kafka {
            Some(kafka) => Ok(Self::Kafka(Topics::make(kafka, workload)?, kafka.address())),
            None => {
                let workload = Some(workload);
                let sink = Sink::start(&sink::Plan { workload, ..plan.clone() })?;
                Ok(Self::Sink(sink, (Ipv4Addr::LOCALHOST, plan.port).into()))
            }
        }
    }

    /// The forwarder's `bootstrap.servers`.
    pub fn bootstrap(&self) -> SocketAddr {
        match self {
            Self::Sink(_, address) | Self::Kafka(_, address) => *address,
        }
    }

    /// Records so far: for those who wait.
    pub fn records(&self) -> Result<u64, Failure> {
        match self {
            Self::Sink(sink, _) => Ok(sink.ledger().received()),
            Self::Kafka(topics, _) => topics.records(),
        }
    }

    /// Whether so many records are as many different messages; Kafka's are told apart when it is
    /// over.
    pub fn has(&self, messages: u64) -> bool {
        match self {
            Self::Sink(sink, _) => sink.ledger().counts().unique >= messages,
            Self::Kafka(..) => true,
        }
    }

    /// Completes what is counted, once the forwarder has stopped.
    pub fn read(&mut self, workload: Workload) -> Result<(), Failure> {
        match self {
            Self::Sink(..) => Ok(()),
            Self::Kafka(topics, _) => topics.read_back(workload),
        }
    }

    /// What has come, once it is read.
    pub fn ledger(&self) -> &Ledger {
        match self {
            Self::Sink(sink, _) => sink.ledger(),
            Self::Kafka(topics, _) => &topics.ledger,
        }
    }

    /// When the last record came.
    pub fn last_record(&self) -> Option<Instant> {
        match self {
            Self::Sink(sink, _) => sink.ledger().last_record(),
            Self::Kafka(topics, _) => topics.last_record(),
        }
    }

    /// Records by topic, in the order of their names.
    pub fn by_topic(&self) -> Vec<(String, u64)> {
        match self {
            Self::Sink(sink, _) => sink.by_topic(),
            Self::Kafka(topics, _) => topics.by_topic().to_vec(),
        }
    }

    /// How long the messages took that the ledger was told to time; none of those at Kafka, which are
    /// read when all is over.
    pub fn latencies(&self) -> Latencies {
        match self {
            Self::Sink(sink, _) => sink.latencies(),
            Self::Kafka(..) => Latencies::default(),
        }
    }

    /// Ends it; the CPU time that it took: the sink's connections', or the whole of the broker.
    pub fn stop(self) -> Result<Duration, Failure> {
        match self {
            Self::Sink(sink, _) => Ok(sink.stop()),
            Self::Kafka(topics, _) => {
                let cpu = topics.cpu_of_run();
                topics.delete()?;
                Ok(cpu)
            }
        }
    }
}
