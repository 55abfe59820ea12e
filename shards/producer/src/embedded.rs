//! A Kafka inside the process, to try things: librdkafka's mock cluster, and a reader that prints
//! each record. It stores little, knows no limits and no rights, and is gone with the process.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use corndog_pipeline::control::{Level, Notice};
use corndog_pipeline::topics::TopicTable;
use crossbeam_channel::Sender;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::{Offset, TopicPartitionList};

/// Partitions of each topic.
const PARTITIONS: i32 = 4;
/// How long the reader waits for a record before it looks for new topics and flushes.
const POLL_MAX: Duration = Duration::from_millis(20);
/// How long it may take to start.
const START_TIME_MAX: Duration = Duration::from_secs(2);
/// How long the end of the process waits for what is still to be printed.
const STOP_TIME_MAX: Duration = Duration::from_secs(3);
/// How long the reader may take to ask how many records there are in the end.
const ENDS_TIME_MAX: Duration = Duration::from_secs(1);

/// The embedded Kafka. It ends when it is dropped, after the records that it has are printed.
pub struct Embedded {
    servers: String,
    is_stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Embedded {
    /// Starts it. Each record of `topics` is printed as `TOPIC[PARTITION]@OFFSET PAYLOAD`.
    ///
    /// Errors: one sentence.
    pub fn start(
        topics: Arc<TopicTable>,
        out: Box<dyn Write + Send>,
        notices: Sender<Notice>,
    ) -> Result<Embedded, String> {
        let is_stopping = Arc::new(AtomicBool::new(false));
        let (ready, started) = crossbeam_channel::bounded(1);
        let stop = is_stopping.clone();
        let thread = std::thread::Builder::new()
            .name("embedded kafka".into())
            .spawn(move || {
                if let Err(why) = serve(&topics, out, &stop, &ready) {
                    let text = format!("the embedded Kafka has ended: {why}");
                    let notice = Notice::Said { level: Level::Error, kind: "embedded", text };
                    let _ = notices.try_send(notice);
                    let _ = ready.try_send(Err(why));
                }
            })
            .map_err(|why| format!("kafka.embedded: no thread for it: {why}"))?;
        let servers = started
            .recv_timeout(START_TIME_MAX)
            .map_err(|_| {
                "kafka.embedded: it did not start within 2 s; is memory or a limit too low?"
                    .to_owned()
            })?
            .map_err(|why| format!("kafka.embedded: it cannot start: {why}"))?;
        Ok(Embedded { servers, is_stopping, thread: Some(thread) })
    }

    /// Its address, for `bootstrap.servers`.
    pub fn servers(&self) -> &str {
        &self.servers
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Release);
        let deadline = Instant::now() + STOP_TIME_MAX;
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            if Instant::now() >= deadline {
                // Nobody reads stdout: the process ends without the rest.
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    topics: &TopicTable,
    mut out: Box<dyn Write + Send>,
    is_stopping: &AtomicBool,
    ready: &Sender<Result<String, String>>,
) -> Result<(), String> {
    let cluster = MockCluster::new(1).map_err(|why| why.to_string())?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "corndog-embedded")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        // The mock answers an empty fetch only after this long.
        .set("fetch.wait.max.ms", "100")
        .create()
        .map_err(|why| why.to_string())?;
    let _ = ready.send(Ok(cluster.bootstrap_servers()));
    let mut followed = HashSet::new();
    let mut is_printing = true;
    let mut ends = None;
    loop {
        // Read before the topics: those that are new by then are among them.
        let is_last = is_stopping.load(Ordering::Acquire);
        for (_, name) in topics.topics() {
            if !followed.contains(name) {
                follow(&cluster, &consumer, name).map_err(|why| why.to_string())?;
                followed.insert(name);
            }
        }
        if is_last && ends.is_none() {
            // Nothing more comes.
            ends = Some(ends_of(&consumer).map_err(|why| why.to_string())?);
        }
        let polled = consumer.poll(POLL_MAX);
        let is_quiet = polled.is_none();
        match polled {
            Some(Ok(record)) => {
                // A closed stdout ends the printing, not the Kafka.
                is_printing = is_printing && print(&mut out, &record).is_ok();
            }
            Some(Err(_)) => {}
            None => is_printing = is_printing && out.flush().is_ok(),
        }
        if let Some(ends) = &ends
            && (!is_printing
                || is_quiet && is_at(&consumer, ends).map_err(|why| why.to_string())?)
        {
            return Ok(());
        }
    }
}

/// Behind the last record of each partition.
fn ends_of(consumer: &BaseConsumer) -> rdkafka::error::KafkaResult<TopicPartitionList> {
    let mut partitions = consumer.assignment()?;
    if partitions.count() == 0 {
        return Ok(partitions);
    }
    partitions.set_all_offsets(Offset::End)?;
    consumer.offsets_for_times(partitions, ENDS_TIME_MAX)
}

/// All records before `ends` are read.
fn is_at(consumer: &BaseConsumer, ends: &TopicPartitionList) -> rdkafka::error::KafkaResult<bool> {
    let positions = consumer.position()?.to_topic_map();
    Ok(ends.to_topic_map().into_iter().all(|(partition, end)| {
        match (end, positions.get(&partition)) {
            (Offset::Offset(end), Some(Offset::Offset(position))) => *position >= end,
            (Offset::Offset(end), _) => end == 0,
            _ => true,
        }
    }))
}

/// Makes the topic and reads it from its beginning.
fn follow(
    cluster: &MockCluster<'_, rdkafka::producer::DefaultProducerContext>,
    consumer: &BaseConsumer,
    name: &str,
) -> rdkafka::error::KafkaResult<()> {
    let made = cluster.create_topic(name, PARTITIONS, 1);
    // A producer that asks for a topic makes it as well, and may have been quicker.
    made.or_else(|why| match why.rdkafka_error_code() {
        Some(RDKafkaErrorCode::TopicAlreadyExists) => Ok(()),
        _ => Err(why),
    })?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(name, partition, Offset::Beginning)?;
    }
    consumer.incremental_assign(&partitions)
}

fn print(out: &mut dyn Write, record: &BorrowedMessage<'_>) -> std::io::Result<()> {
    write!(out, "{}[{}]@{} ", record.topic(), record.partition(), record.offset())?;
    out.write_all(record.payload().unwrap_or_default())?;
    out.write_all(b"\n")
}
