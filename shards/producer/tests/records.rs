//! The shard, driven as the receivers drive it, with librdkafka's mock cluster as its Kafka.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends with the place")]

#[path = "records/order.rs"]
mod order;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use corndog_pipeline::batch::{Batch, Delivery, Receipt};
use corndog_pipeline::control::{Arrival, Notice, Phase, PhaseCell};
use corndog_pipeline::counters::{Failed, ProducerCounters};
use corndog_pipeline::latency::Latencies;
use corndog_pipeline::record::{HEADERS_BYTES_MAX, Origin, Record, push_header};
use corndog_pipeline::topics::{TopicIndex, TopicTable};
use corndog_producer::{ProducerSettings, spawn};
use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::Timestamp;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys::types::{RDKafkaApiKey, RDKafkaRespErr as Error};

const LIMIT: Duration = Duration::from_secs(30);
const BATCH_BYTES: usize = 4 << 20;
const BATCHES: usize = 4;
const AGE: Duration = Duration::from_millis(4);
const NAMES: [&str; 4] = ["plain", "letters", "other", "twofold"];

/// The shard, its Kafka, and what a receiver holds of it.
struct Rig {
    mock: MockCluster<'static, DefaultProducerContext>,
    topics: Arc<TopicTable>,
    inbox: Sender<Arrival>,
    home: Receiver<Batch>,
    counters: Arc<ProducerCounters>,
    phase: Arc<PhaseCell>,
    thread: Option<JoinHandle<()>>,
    _notices: Receiver<Notice>,
    measured: Receiver<Box<Latencies>>,
}

impl Rig {
    fn start() -> Rig {
        Rig::start_with(&[])
    }

    /// With these keys of librdkafka's, in place of ours or beside them.
    fn start_with(keys: &[(&str, &str)]) -> Rig {
        let mock = MockCluster::new(1).unwrap();
        for name in NAMES {
            mock.create_topic(name, if name == "twofold" { 2 } else { 1 }, 1).unwrap();
        }
        let topics = Arc::new(TopicTable::new(&NAMES.map(str::to_owned), 10));
        let (inbox, taken) = bounded(BATCHES + 4);
        let (homes, home) = bounded(BATCHES);
        let (notices, heard) = bounded(1024);
        let (latencies, measured) = bounded(1);
        let counters = Arc::new(ProducerCounters::new(topics.capacity()));
        let phase = Arc::new(PhaseCell::default());
        let cores = core_affinity::get_core_ids().unwrap();
        let servers = mock.bootstrap_servers();
        let ours = [("bootstrap.servers", servers.as_str()), ("linger.ms", "50")];
        let is_ours = |(key, _): &&(&str, &str)| keys.iter().all(|(given, _)| given != key);
        let conf = ours.iter().filter(is_ours).chain(keys);
        let thread = spawn(ProducerSettings {
            core: cores[0].id,
            cores_allowed: cores.iter().map(|core| core.id).collect(),
            conf: conf.map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
            batches_max: BATCHES,
            records_max: BATCH_BYTES / 128,
            batch_age_max: AGE,
            topics: topics.clone(),
            inbox: taken,
            inbox_sender: inbox.clone(),
            homes: vec![homes],
            counters: counters.clone(),
            phase: phase.clone(),
            notices,
            listener_count: 1,
            latencies,
        });
        assert!(matches!(heard.recv_timeout(LIMIT).unwrap(), Notice::Started));
        phase.advance(Phase::Running);
        let thread = Some(thread.unwrap());
        Rig { mock, topics, inbox, home, counters, phase, thread, _notices: heard, measured }
    }

    fn topic(&self, name: &str) -> TopicIndex {
        self.topics.topics().find(|(_, held)| *held == name).unwrap().0
    }

    fn dead_letters_go_to(&self, name: Option<&str>) {
        let topic = name.map(|name| self.topic(name));
        self.inbox.send(Arrival::DeadLetter(topic)).unwrap();
    }

    /// The next Produce requests are answered with these, and append nothing.
    fn fail(&self, errors: &[Error]) {
        self.mock.request_errors(RDKafkaApiKey::Produce, errors);
    }

    fn batch(&self, records: &[Record<'_>], received: Timestamp) -> Batch {
        let mut batch = Batch::new(0, BATCH_BYTES, self.topics.capacity());
        for record in records {
            let receipt = Receipt { read_at: Instant::now(), time: received, listener: 0 };
            assert!(batch.try_push(record, &receipt));
        }
        batch.seal(Instant::now());
        batch
    }

    /// Sends a batch that has no room for one record more, as under load.
    fn send_full(&self, records: &[Record<'_>]) {
        let bytes = records.iter().map(|record| record.payload.len()).sum::<usize>();
        let mut batch = Batch::new(0, bytes, self.topics.capacity());
        for record in records {
            let receipt = Receipt { read_at: Instant::now(), time: Timestamp::now(), listener: 0 };
            assert!(batch.try_push(record, &receipt));
            assert!(!batch.is_full());
        }
        let receipt = Receipt { read_at: Instant::now(), time: Timestamp::now(), listener: 0 };
        assert!(!batch.try_push(&records[0], &receipt) && batch.is_full());
        batch.seal(Instant::now());
        self.inbox.send(Arrival::Batch(batch)).unwrap();
    }

    fn send(&self, records: &[Record<'_>], received: Timestamp) {
        self.inbox.send(Arrival::Batch(self.batch(records, received))).unwrap();
    }

    /// Sends records and waits until they are home; where each stands.
    fn deliver(&self, records: &[Record<'_>], received: Timestamp) -> Vec<Delivery> {
        self.send(records, received);
        let batch = self.home.recv_timeout(LIMIT).expect("the batch comes home");
        (0..batch.record_count()).map(|index| batch.delivery(index)).collect()
    }

    fn record<'r>(&self, topic: &str, payload: &'r [u8]) -> Record<'r> {
        Record {
            topic: self.topic(topic),
            key: None,
            headers: &[],
            payload,
            time: None,
            origin: None,
        }
    }

    fn with_origin<'r>(&self, topic: &str, frame: &'r [u8], received: Timestamp) -> Record<'r> {
        let origin = Origin {
            frame,
            rule: b"7",
            listener: b"plain",
            peer: b"192.0.2.1",
            client_name: b"a.logs.example",
            received,
        };
        Record { origin: Some(origin), ..self.record(topic, &frame[5..]) }
    }

    fn failed(&self, reason: Failed) -> u64 {
        self.counters.failed[reason as usize].value()
    }

    fn dead_lettered(&self, reason: Failed) -> u64 {
        self.counters.dead_lettered[reason as usize].value()
    }

    /// All that a topic holds, once there are `count` records.
    fn read(&self, topic: &str, count: usize) -> Vec<OwnedMessage> {
        let mut conf = ClientConfig::new();
        conf.set("bootstrap.servers", self.mock.bootstrap_servers()).set("group.id", "test");
        let consumer: BaseConsumer = conf.create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..if topic == "twofold" { 2 } else { 1 } {
            list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let end = Instant::now() + LIMIT;
        let mut read = Vec::new();
        // A moment longer, for what should not be there.
        let mut more = 5;
        while more > 0 {
            assert!(Instant::now() < end, "{} of {count} in {topic}", read.len());
            more -= usize::from(read.len() >= count);
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                read.push(message.detach());
            }
        }
        assert_eq!(read.len(), count, "{topic}");
        read
    }

    /// Ends the shard, and its Kafka after it.
    fn stop(mut self) -> Arc<ProducerCounters> {
        self.inbox.send(Arrival::Closed).unwrap();
        self.thread.take().unwrap().join().unwrap();
        self.counters.clone()
    }
}

fn headers_of(message: &OwnedMessage) -> Vec<(String, String)> {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    headers.map(|header| (header.key.to_owned(), text(header.value.unwrap()))).collect()
}

fn time_of(message: &OwnedMessage) -> i64 {
    message.timestamp().to_millis().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    Timestamp::now().checked_sub(jiff::SignedDuration::from_secs(seconds)).unwrap()
}

#[test]
fn key_headers_and_times_arrive_in_the_order_of_their_records() {
    let rig = Rig::start();
    let mut headers = Vec::new();
    assert!(push_header(&mut headers, "app", b"nginx"));
    assert!(push_header(&mut headers, "app", b""));
    let mut large = Vec::new();
    assert!(push_header(&mut large, "", &vec![b'x'; HEADERS_BYTES_MAX - 6]));
    let own: Timestamp = "1999-12-31T23:59:59.123Z".parse().unwrap();
    let early: Timestamp = "1969-12-31T23:59:59Z".parse().unwrap();
    let now = Timestamp::now();
    let records = [
        rig.record("plain", b"0"),
        Record { headers: &headers, key: Some(b"k"), ..rig.record("plain", b"1") },
        rig.record("plain", b"2"),
        rig.record("plain", b"3"),
        Record { time: Some(own), key: Some(b""), ..rig.record("plain", b"4") },
        Record { headers: &large, ..rig.record("plain", b"") },
        Record { time: Some(early), ..rig.record("plain", b"6") },
        rig.record("plain", b"7"),
    ];
    assert_eq!(rig.deliver(&records, now), [Delivery::Delivered; 8]);
    let read = rig.read("plain", 8);
    for (message, record) in read.iter().zip(&records) {
        assert_eq!(message.payload().unwrap_or_default(), record.payload);
        assert_eq!(message.key(), record.key);
    }
    let some = [("app".to_owned(), "nginx".to_owned()), ("app".to_owned(), String::new())];
    assert_eq!(headers_of(&read[1]), some);
    assert_eq!(headers_of(&read[5])[0].1.len(), HEADERS_BYTES_MAX - 6);
    assert!([0, 2, 3, 4, 6, 7].iter().all(|&index| headers_of(&read[index]).is_empty()));
    assert_eq!(time_of(&read[4]), own.as_millisecond());
    assert_eq!(time_of(&read[6]), 1, "the earliest that Kafka knows");
    for index in [0, 1, 2, 3, 5, 7] {
        let apart = time_of(&read[index]).abs_diff(now.as_millisecond());
        assert!(apart <= 100, "record {index} is {apart} ms off its receipt");
    }
    rig.stop();
}

#[test]
fn under_load_few_records_wait_for_more_of_their_topic_and_keep_their_order() {
    let rig = Rig::start_with(&[("linger.ms", "0")]);
    rig.deliver(&[rig.record("plain", &[0]), rig.record("other", &[0])], Timestamp::now());
    // Half of the batch's bytes would be enough. Nothing more comes: they leave when the age is over.
    let third = |number: u8| vec![number; 300];
    let began = Instant::now();
    let [plain, other, twofold] = ["plain", "other", "twofold"];
    let full = |number: u8| {
        let bytes = third(number);
        rig.send_full(&[plain, other, twofold].map(|topic| rig.record(topic, &bytes)));
    };
    full(1);
    rig.home.recv_timeout(LIMIT).unwrap();
    assert!(began.elapsed() >= AGE, "after {:?}", began.elapsed());
    // As many batches as there are; then one of which most does not wait.
    (2..2 + BATCHES as u8).for_each(full);
    (0..BATCHES).for_each(|_| drop(rig.home.recv_timeout(LIMIT).unwrap()));
    full(98);
    rig.send_full(&[rig.record(plain, &[99; 3000]), rig.record(other, &third(99))]);
    (0..2).for_each(|_| drop(rig.home.recv_timeout(LIMIT).unwrap()));
    for topic in [plain, other] {
        let read = rig.read(topic, 4 + BATCHES);
        let firsts: Vec<u8> = read.iter().map(|message| message.payload().unwrap()[0]).collect();
        assert_eq!(firsts, [0, 1, 2, 3, 4, 5, 98, 99], "{topic}");
    }
    rig.stop();
}

#[test]
fn what_is_refused_after_it_waited_is_given_up_once() {
    let rig = Rig::start_with(&[("linger.ms", "0"), ("message.max.bytes", "1000")]);
    rig.deliver(&[rig.record("plain", &[0]), rig.record("other", &[0])], Timestamp::now());
    let (large, small, rest) = (vec![1; 2000], vec![2; 500], vec![3; 900]);
    let filler = rig.record("plain", &rest);
    let few = [rig.record("other", &large), rig.record("other", &small)];
    for round in 1..=20 {
        // It waits alone until its age is over, and then beside others that come while it is refused.
        let batches = if round % 2 == 0 { 1 } else { BATCHES };
        for _ in 0..batches {
            rig.send_full(&[few[0], few[1], filler, filler, filler]);
        }
        for _ in 0..batches {
            let batch = rig.home.recv_timeout(LIMIT).unwrap();
            let seen: Vec<_> = (0..5).map(|index| batch.delivery(index)).collect();
            assert_eq!(seen[0], Delivery::Failed);
            assert_eq!(seen[1..], [Delivery::Delivered; 4]);
        }
    }
    let counters = rig.stop();
    let failed = counters.failed[Failed::MessageTooLarge as usize].value();
    let count = 10 * (1 + BATCHES as u64);
    assert_eq!((failed, counters.delivered.value()), (count, 2 + 4 * count));
    assert_eq!(counters.in_flight.value(), 0);
}

#[test]
fn a_record_that_waited_has_the_time_of_its_receipt() {
    let rig = Rig::start();
    let received = ago(3600);
    let records = [b"0", b"1", b"2"].map(|payload| rig.record("plain", payload));
    rig.deliver(&records, received);
    // Sent again after it was refused.
    rig.fail(&[Error::RD_KAFKA_RESP_ERR_UNKNOWN]);
    let now = Timestamp::now();
    rig.deliver(&[rig.record("plain", b"3")], now);
    let times: Vec<i64> = rig.read("plain", 4).iter().map(time_of).collect();
    assert_eq!(times[..3], [received.as_millisecond(); 3]);
    assert_eq!(times[3], now.as_millisecond());
    rig.stop();
}

#[test]
fn latencies_are_of_the_records_that_kafka_acknowledged() {
    let rig = Rig::start();
    let records = [rig.record("plain", b"a"), rig.record("plain", b"b"), rig.record("other", b"c")];
    let began = Instant::now();
    rig.deliver(&records, Timestamp::now());
    let us_max = began.elapsed().as_micros() as u64 + 1000;
    rig.inbox.send(Arrival::Latencies(Box::new(Latencies::new(1)))).unwrap();
    let measured = rig.measured.recv_timeout(LIMIT).expect("the producer answers");
    // What librdkafka lingers is in it.
    assert_eq!(measured.total.len(), 3);
    assert!(measured.total.min() >= 40_000, "{} us", measured.total.min());
    assert!(measured.total.max() <= us_max, "{} us", measured.total.max());
    assert_eq!(measured.listeners[0].len(), 3);
    // In the order of the first reports: Kafka answers for both topics when it likes.
    let mut by_topic: Vec<u64> = measured.topics.iter().map(|(_, of)| of.len()).collect();
    by_topic.sort_unstable();
    assert_eq!(by_topic, [1, 2]);
    let plain = &rig.counters.topics[rig.topic("plain").index()];
    let counts = [&plain.taken, &plain.delivered, &plain.failed, &plain.bytes].map(|of| of.value());
    assert_eq!(counts, [2, 2, 0, 2]);
    rig.stop();
}

#[test]
fn a_refused_record_goes_to_the_dead_letters_with_why() {
    let rig = Rig::start();
    rig.dead_letters_go_to(Some("letters"));
    let received: Timestamp = "2026-01-02T03:04:05.678901Z".parse().unwrap();
    let now = Timestamp::now();
    // The first tells how many partitions there are, the second opens the one; then all five go in
    // one request.
    for payload in [b"counts", b"opens "] {
        rig.deliver(&[rig.record("plain", payload)], now);
    }
    rig.fail(&[Error::RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    let frames = [0, 1, 2, 3, 4].map(|number| format!("<13>1 number {number}"));
    let records: Vec<_> =
        frames.iter().map(|frame| rig.with_origin("plain", frame.as_bytes(), received)).collect();
    assert_eq!(rig.deliver(&records, received), [Delivery::Delivered; 5]);
    assert_eq!(rig.deliver(&[rig.record("plain", b"after")], now), [Delivery::Delivered]);
    let letters = rig.read("letters", 5);
    let expected = [
        ("corndog.reason", "rejected"),
        ("corndog.rule", "7"),
        ("corndog.listener", "plain"),
        ("corndog.peer", "192.0.2.1"),
        ("corndog.topic", "plain"),
        ("corndog.time", "2026-01-02T03:04:05.678901Z"),
        ("corndog.client_name", "a.logs.example"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    for (letter, frame) in letters.iter().zip(&frames) {
        assert_eq!(letter.payload(), Some(frame.as_bytes()));
        assert_eq!(letter.key(), None);
        assert_eq!(headers_of(letter), expected);
        assert_eq!(time_of(letter), received.as_millisecond());
    }
    rig.read("plain", 3);
    assert_eq!(rig.dead_lettered(Failed::Rejected), 5);
    let counters = rig.stop();
    assert_eq!(counters.delivered.value(), 8);
    assert!(counters.failed.iter().all(|failed| failed.value() == 0));
}

#[test]
fn what_cannot_be_a_dead_letter_fails() {
    let rig = Rig::start();
    rig.dead_letters_go_to(Some("letters"));
    let now = Timestamp::now();
    let refuse = || rig.fail(&[Error::RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    // Its frame was not kept.
    refuse();
    assert_eq!(rig.deliver(&[rig.record("plain", b"x")], now), [Delivery::Failed]);
    // It was on its way to the dead letters.
    refuse();
    let record = rig.with_origin("letters", b"<13>1 x", now);
    assert_eq!(rig.deliver(&[record], now), [Delivery::Failed]);
    // It is one, for a topic that took them before.
    refuse();
    let mut headers = Vec::new();
    assert!(push_header(&mut headers, "corndog.reason", b"topic_refused"));
    let record = Record { headers: &headers, ..rig.with_origin("other", b"<13>1 x", now) };
    assert_eq!(rig.deliver(&[record], now), [Delivery::Failed]);
    // There are none any more.
    rig.dead_letters_go_to(None);
    refuse();
    let record = rig.with_origin("plain", b"<13>1 x", now);
    assert_eq!(rig.deliver(&[record], now), [Delivery::Failed]);
    assert_eq!(rig.failed(Failed::Rejected), 4);
    let counters = rig.stop();
    assert_eq!(counters.delivered.value(), 0);
}

#[test]
fn a_dead_letter_that_is_refused_has_failed_for_the_first_reason() {
    let rig = Rig::start();
    rig.dead_letters_go_to(Some("letters"));
    let now = Timestamp::now();
    rig.fail(&[
        Error::RD_KAFKA_RESP_ERR_INVALID_RECORD,
        Error::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
    ]);
    let record = rig.with_origin("plain", b"<13>1 x", now);
    assert_eq!(rig.deliver(&[record], now), [Delivery::Failed]);
    // Refused by librdkafka, before it is sent.
    let mut frame = b"<13>1 ".to_vec();
    frame.resize(1_100_000, b'x');
    let large = Record { payload: &frame[..200], ..rig.with_origin("plain", &frame, now) };
    rig.fail(&[Error::RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    assert_eq!(rig.deliver(&[large], now), [Delivery::Failed]);
    assert_eq!(rig.failed(Failed::Rejected), 2);
    assert_eq!(rig.failed(Failed::NotAuthorized) + rig.failed(Failed::MessageTooLarge), 0);
    assert!(rig.stop().dead_lettered.iter().all(|counter| counter.value() == 0));
}

#[test]
fn a_record_too_large_is_buried_and_its_neighbours_are_not() {
    let rig = Rig::start();
    rig.dead_letters_go_to(Some("letters"));
    let now = Timestamp::now();
    let payload = vec![b'x'; 1_100_000];
    let large = Record { payload: &payload, ..rig.with_origin("plain", b"<13>1 small", now) };
    let records = [rig.record("plain", b"0"), large, rig.record("plain", b"2")];
    assert_eq!(rig.deliver(&records, now), [Delivery::Delivered; 3]);
    let read = rig.read("plain", 2);
    assert_eq!([read[0].payload(), read[1].payload()], [Some(&b"0"[..]), Some(b"2")]);
    assert_eq!(rig.read("letters", 1)[0].payload(), Some(&b"<13>1 small"[..]));
    assert_eq!(rig.dead_lettered(Failed::MessageTooLarge), 1);
    rig.stop();
}

#[test]
fn a_dead_letter_survives_errors_that_pass_and_a_new_client() {
    for error in
        [Error::RD_KAFKA_RESP_ERR_UNKNOWN, Error::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER]
    {
        let rig = Rig::start();
        rig.dead_letters_go_to(Some("letters"));
        let now = Timestamp::now();
        rig.fail(&[Error::RD_KAFKA_RESP_ERR_INVALID_RECORD, error, error]);
        let record = rig.with_origin("plain", b"<13>1 x", now);
        assert_eq!(rig.deliver(&[record], now), [Delivery::Delivered]);
        assert_eq!(rig.deliver(&[rig.record("other", b"y")], now), [Delivery::Delivered]);
        rig.read("letters", 1);
        rig.read("other", 1);
        assert_eq!(rig.dead_lettered(Failed::Rejected), 1);
        assert_eq!(rig.stop().delivered.value(), 2);
    }
}

#[test]
fn dead_letters_that_wait_follow_a_reload() {
    for then in [Some("other"), None] {
        let rig = Rig::start();
        rig.dead_letters_go_to(Some("letters"));
        let now = Timestamp::now();
        let record = rig.with_origin("plain", b"<13>1 x", now);
        rig.fail(&[Error::RD_KAFKA_RESP_ERR_INVALID_RECORD]);
        rig.mock.topic_error("letters", Error::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
        rig.send(&[record], now);
        assert!(rig.home.recv_timeout(Duration::from_secs(3)).is_err(), "it waits");
        rig.dead_letters_go_to(then);
        let batch = rig.home.recv_timeout(LIMIT).unwrap();
        match then {
            Some(topic) => {
                assert_eq!(batch.delivery(0), Delivery::Delivered);
                rig.read(topic, 1);
                assert_eq!(rig.dead_lettered(Failed::Rejected), 1);
            }
            None => {
                assert_eq!(batch.delivery(0), Delivery::Failed);
                assert_eq!(rig.failed(Failed::Rejected), 1);
            }
        }
        rig.stop();
    }
}

#[test]
fn dead_letters_open_at_the_end_are_counted() {
    let mut rig = Rig::start();
    rig.dead_letters_go_to(Some("letters"));
    let now = Timestamp::now();
    let mut errors = vec![Error::RD_KAFKA_RESP_ERR_UNKNOWN; 1000];
    errors[0] = Error::RD_KAFKA_RESP_ERR_INVALID_RECORD;
    rig.fail(&errors);
    rig.send(&[rig.with_origin("plain", b"<13>1 x", now)], now);
    assert!(rig.home.recv_timeout(Duration::from_secs(1)).is_err(), "it waits");
    rig.phase.advance(Phase::Aborting);
    rig.inbox.send(Arrival::Closed).unwrap();
    rig.thread.take().unwrap().join().unwrap();
    assert_eq!(rig.failed(Failed::Shutdown), 1);
    assert_eq!(rig.counters.in_flight.value(), 0);
}
