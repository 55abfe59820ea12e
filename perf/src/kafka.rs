//! Real Apache Kafka in place of the sink: a broker that is started once, and topics for each run.
//!
//! ```text
//!  a run:  topics made | the forwarder fills them, offsets are asked for | read back | deleted
//! ```
//!
//! The broker is kept from run to run, since Java is slow until it is warm. While a forwarder runs
//! nothing is read but the topics' ends; afterwards all partitions are read from their beginnings,
//! and each batch goes where the sink's go: into a `Partition`, and from there into a `Ledger`.

use crate::client::Client;
use crate::cpu;
use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::partition::{Expected, Partition, Verdict};
use crate::records::{Batch, Malformed};
use crate::workload::Workload;
use corndog_kafka::{Installation, server_properties};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::FetchableTopicResponse;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, FetchRequest, ListOffsetsRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// From the start until it has answered.
const READY_TIME_MAX: Duration = Duration::from_secs(90);
/// Until topics that were asked for are there.
const TOPICS_TIME_MAX: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(50);
/// As Kafka's own start script has them.
const MACHINE: &[&str] = &[
    "-Xmx1g",
    "-Xms1g",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
];
const PARTITION_COUNT: i32 = 8;
const FETCH_BYTES_MAX: i32 = 64 << 20;
const FETCH_PARTITION_BYTES_MAX: i32 = 8 << 20;
const LATEST: i64 = -1;
// Versions that Kafka 4 speaks, and that name topics by their names.
const CREATE_TOPICS: i16 = 5;
const DELETE_TOPICS: i16 = 5;
const LIST_OFFSETS: i16 = 5;
const FETCH: i16 = 11;

/// A broker that runs. Killed when dropped, and its data removed.
#[derive(Debug)]
pub struct Kafka {
    address: SocketAddr,
    child: Child,
    folder: PathBuf,
}

/// A workload's topics, for one run.
pub struct Topics<'a> {
    kafka: &'a Kafka,
    client: Mutex<Client>,
    names: Vec<TopicName>,
    ends: Mutex<Ends>,
    /// What was read back.
    pub ledger: Ledger,
    by_topic: Vec<(String, u64)>,
    cpu_before: Duration,
    cpu_of_run: Duration,
}

/// How far a run had come when last asked.
#[derive(Debug, Default, Clone, Copy)]
struct Ends {
    records: u64,
    /// When they were seen to have grown last.
    grown: Option<Instant>,
}

impl Kafka {
    /// Starts it on this port, and the one after it, and waits until it answers.
    ///
    /// Errors: `Failure::Setup`; something is missing, or in use.
    pub fn start(port: u16) -> Result<Self, Failure> {
        let controller_port = port.checked_add(1).ok_or_else(|| {
            Failure::Setup("Kafka needs two ports: choose a lower one with --sink-port".into())
        })?;
        for port in [port, controller_port] {
            crate::forwarder::check_port(port, "--sink-port")?;
        }
        let own = std::env::current_exe().unwrap_or_default();
        let target = own.ancestors().nth(2).unwrap_or(own.as_path());
        let installation = Installation::in_target(target).map_err(Failure::Setup)?;
        let folder = std::env::temp_dir().join(format!("corndog-kafka-{}", std::process::id()));
        let broken = |error| Failure::Setup(format!("{}: {error}", folder.display()));
        let data = folder.join("data");
        installation.make_data(&data).map_err(Failure::Setup)?;
        let properties = folder.join("server.properties");
        // What a run has left is gone soon after it, else disks fill.
        let over = [("log.segment.delete.delay.ms", "1000")];
        let text = server_properties(port, controller_port, &data, &over);
        fs::write(&properties, text).map_err(broken)?;
        let log = File::create(folder.join("kafka.log")).map_err(broken)?;
        let errors = log.try_clone().map_err(broken)?;
        // It ends with us, however we end.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "java"]);
        installation.broker(&mut command, MACHINE, &properties);
        command.current_dir(&folder).stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn();
        let child = child.map_err(|error| Failure::Setup(format!("Kafka: {error}")))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut kafka = Self { address, child, folder };
        kafka.wait_until_it_answers()?;
        Ok(kafka)
    }

    /// Its `bootstrap.servers`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn wait_until_it_answers(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + READY_TIME_MAX;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return Err(self.gone());
            }
            let request = ListOffsetsRequest::default();
            let client = Client::connect(self.address).ok();
            if client.is_some_and(|mut client| client.ask(LIST_OFFSETS, &request).is_ok()) {
                return Ok(());
            }
            thread::sleep(TICK);
        }
        let seconds = READY_TIME_MAX.as_secs();
        Err(Failure::Run(format!("Kafka did not answer within {seconds} s")))
    }

    fn gone(&self) -> Failure {
        let log = fs::read_to_string(self.folder.join("kafka.log")).unwrap_or_default();
        let last = log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message");
        Failure::Run(format!("Kafka ended by itself: {last}"))
    }

    fn cpu(&self) -> Result<Duration, Failure> {
        cpu::of_pid(self.child.id()).ok_or_else(|| self.gone())
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // All fail only where there is nothing to do any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl<'a> Topics<'a> {
    /// Makes the workload's topics, empty.
    pub fn make(kafka: &'a Kafka, workload: Workload) -> Result<Self, Failure> {
        let client = Client::connect(kafka.address);
        let mut client = client.map_err(|error| Failure::Run(format!("Kafka: {error}")))?;
        let names: Vec<TopicName> = workload.topics().into_iter().map(named).collect();
        let topics = names.iter().map(|name| {
            CreatableTopic::default()
                .with_name(name.clone())
                .with_num_partitions(PARTITION_COUNT)
                .with_replication_factor(1)
        });
        let request = CreateTopicsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(TOPICS_TIME_MAX.as_millis() as i32);
        let made = client.ask(CREATE_TOPICS, &request).map_err(Failure::Run)?;
        for topic in &made.topics {
            judge(&topic.name, topic.error_code)?;
        }
        let topics = Self {
            kafka,
            client: Mutex::new(client),
            names,
            ends: Mutex::default(),
            ledger: Ledger::default(),
            by_topic: Vec::new(),
            cpu_before: kafka.cpu()?,
            cpu_of_run: Duration::ZERO,
        };
        let deadline = Instant::now() + TOPICS_TIME_MAX;
        // The broker hears of them later than the controller.
        while let Err(failure) = topics.records() {
            if Instant::now() > deadline {
                return Err(failure);
            }
            thread::sleep(TICK);
        }
        Ok(topics)
    }

    /// Records in them now: one request.
    pub fn records(&self) -> Result<u64, Failure> {
        let topics = self.names.iter().map(|name| {
            let partitions = (0..PARTITION_COUNT).map(|index| {
                ListOffsetsPartition::default().with_partition_index(index).with_timestamp(LATEST)
            });
            ListOffsetsTopic::default()
                .with_name(name.clone())
                .with_partitions(partitions.collect())
        });
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_topics(topics.collect());
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = client.ask(LIST_OFFSETS, &request).map_err(Failure::Run)?;
        drop(client);
        let mut records = 0;
        for topic in &answer.topics {
            for partition in &topic.partitions {
                judge(&topic.name, partition.error_code)?;
                records += u64::try_from(partition.offset).unwrap_or(0);
            }
        }
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if records > ends.records {
            *ends = Ends { records, grown: Some(Instant::now()) };
        }
        Ok(records)
    }

    /// When the last record was seen to have come: late by as much as lies between two questions.
    pub fn last_record(&self) -> Option<Instant> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).grown
    }

    /// Reads all of them back, once nobody writes any more; checks and counts as the sink does.
    pub fn read_back(&mut self, workload: Workload) -> Result<(), Failure> {
        self.records()?;
        self.cpu_of_run = self.kafka.cpu()?.saturating_sub(self.cpu_before);
        for name in self.names.clone() {
            let topic = name.to_string();
            let expected = Expected::new(topic.clone(), Some(workload));
            let mut records = 0;
            for index in 0..PARTITION_COUNT {
                records += self.read_partition(&name, index, &expected)?;
            }
            self.by_topic.push((topic, records));
        }
        self.by_topic.retain(|(_, records)| *records > 0);
        self.by_topic.sort();
        Ok(())
    }

    /// Records by topic, as they were read back.
    pub fn by_topic(&self) -> &[(String, u64)] {
        &self.by_topic
    }

    /// The broker's CPU time from the making of the topics until they were read back.
    pub fn cpu_of_run(&self) -> Duration {
        self.cpu_of_run
    }

    /// Deletes them.
    pub fn delete(self) -> Result<(), Failure> {
        let request = DeleteTopicsRequest::default()
            .with_topic_names(self.names.clone())
            .with_timeout_ms(TOPICS_TIME_MAX.as_millis() as i32);
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = client.ask(DELETE_TOPICS, &request).map_err(Failure::Run)?;
        for topic in &answer.responses {
            judge(topic.name.as_ref().unwrap_or(&TopicName::default()), topic.error_code)?;
        }
        Ok(())
    }

    fn read_partition(
        &self,
        name: &TopicName,
        index: i32,
        expected: &Expected,
    ) -> Result<u64, Failure> {
        let mut partition = Partition::default();
        loop {
            let offset = partition.record_count() as i64;
            let answer = self.fetch(name, index, offset)?;
            let mut partitions = answer.iter().flat_map(|topic| &topic.partitions);
            let data = partitions.next().ok_or_else(|| wrong(expected, index, "is left out"))?;
            judge(name, data.error_code)?;
            let mut rest = data.records.as_deref().unwrap_or_default();
            while let Some((batch, next)) = split(rest)
                .map_err(|error| wrong(expected, index, &format!("offset {offset}: {error:?}")))?
            {
                self.take(&mut partition, &batch, expected, index)?;
                rest = next;
            }
            let read = partition.record_count() as i64;
            if read >= data.high_watermark {
                return Ok(partition.record_count());
            }
            if read == offset {
                return Err(wrong(expected, index, "gives no whole batch"));
            }
        }
    }

    fn take(
        &self,
        partition: &mut Partition,
        batch: &Batch<'_>,
        expected: &Expected,
        index: i32,
    ) -> Result<(), Failure> {
        let malformed = |error: Malformed| wrong(expected, index, &format!("{error:?}"));
        let plain = batch.decompress().map_err(malformed)?;
        let batch = plain.as_deref().map_or(*batch, |plain| batch.with_records(plain));
        match partition.take(&batch, expected, &self.ledger).map_err(malformed)? {
            Verdict::Taken(_) => {
                self.ledger.batches.taken.fetch_add(1, Relaxed);
                Ok(())
            }
            // It would have been Kafka's to refuse.
            verdict => Err(wrong(expected, index, &format!("a batch is {verdict:?}"))),
        }
    }

    fn fetch(
        &self,
        name: &TopicName,
        index: i32,
        offset: i64,
    ) -> Result<Vec<FetchableTopicResponse>, Failure> {
        let partition = FetchPartition::default()
            .with_partition(index)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(FETCH_PARTITION_BYTES_MAX);
        let topic = FetchTopic::default().with_topic(name.clone()).with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_replica_id((-1).into())
            .with_max_bytes(FETCH_BYTES_MAX)
            .with_topics(vec![topic]);
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = client.ask(FETCH, &request).map_err(Failure::Run)?;
        judge(name, answer.error_code)?;
        Ok(answer.responses)
    }
}

/// The first whole batch and what follows it; `None` where an answer's last batch is cut, as Kafka
/// may do.
fn split(bytes: &[u8]) -> Result<Option<(Batch<'_>, &[u8])>, Malformed> {
    match Batch::parse(bytes, true) {
        Ok(split) => Ok(Some(split)),
        Err(Malformed::Shape) => Ok(None),
        Err(error) => Err(error),
    }
}

fn named(topic: String) -> TopicName {
    TopicName(StrBytes::from_string(topic))
}

fn judge(topic: &TopicName, code: i16) -> Result<(), Failure> {
    match ResponseError::try_from_code(code) {
        None => Ok(()),
        Some(error) => Err(Failure::Run(format!("Kafka, topic {:?}: {error}", &*topic.0))),
    }
}

fn wrong(expected: &Expected, index: i32, what: &str) -> Failure {
    Failure::Run(format!("Kafka, topic {:?}, partition {index}: {what}", expected.topic))
}
