//! What real Apache Kafka holds in the end: everything, once, in order, where it belongs.

use crate::CORNDOG;
use corndog_tests::cases::{FIELDS, MessageCase};
use corndog_tests::murmur2::partition;
use corndog_tests::senders::Flood;
use corndog_tests::time::{full, seconds};
use corndog_tests::{
    Corndog, Kafka, Sender, Tally, Watch, read_all, settings, tally, timed, timed_alone,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A message whose APP-NAME names its topic; numbered, so that it can be tallied.
fn to(topic: &str, sequence: u64, bytes: usize) -> String {
    let mut message = format!("<134>1 - host {topic} - - - c=00 s={sequence:010} ");
    while message.len() < bytes {
        message.push('x');
    }
    message
}

/// APP-NAME is the topic.
fn by_app_name(topics: &str, conf: &str) -> String {
    let over = format!(
        r#"
        [topics]
        {topics}
        [kafka.conf]
        {conf}
        [[rule]]
        field = "appname"
        regex = '^(?P<name>.+)$'
        actions = [{{ forward = "{{{{name}}}}" }}]
        "#
    );
    settings(&Kafka::shared().bootstrap(), &over)
}

/// Which sequence numbers of `0..count` are missing from the tally of one connection.
fn without(records: &[corndog_tests::Record], count: u64, missing: u64) {
    let expected = Tally { lost: missing, ..Tally::perfect() };
    assert_eq!(tally(records, &[count]), expected);
}

#[test]
fn a_million_messages_arrive_once_and_in_order() {
    timed_alone(seconds(300), || {
        let kafka = Kafka::shared();
        kafka.create_topic("million", 4, &[]);
        let each = if full() { 250_000 } else { 25_000 };
        let over = r#"
            [shards]
            receivers = 2
            [[rule]]
            actions = [{ forward = "million" }]
        "#;
        let mut corndog = Corndog::start(CORNDOG, &settings(&kafka.bootstrap(), over));
        let start = Instant::now();
        let flood = Flood::start(corndog.address(), 4, each, 248, 0);
        let sent = flood.finish();
        let ledger = corndog.stop();
        println!("{} messages in {:?}", 4 * each, start.elapsed());
        ledger.assert_all_delivered(4 * each);
        let records = read_all(&kafka.bootstrap(), "million");
        assert_eq!(tally(&records, &sent), Tally::perfect());
        let used: BTreeSet<i32> = records.iter().map(|record| record.partition).collect();
        assert_eq!(used.len(), 4, "batches are spread over the partitions");
    });
}

#[test]
fn keyed_records_land_where_kafkas_java_client_puts_them() {
    timed(seconds(120), || {
        let kafka = Kafka::shared();
        kafka.create_topic("keyed", 7, &[]);
        let over = r#"
            [[rule]]
            actions = [{ forward = "keyed", key = "{{hostname}}" }]
        "#;
        let mut corndog = Corndog::start(CORNDOG, &settings(&kafka.bootstrap(), over));
        let mut sender = Sender::connect(corndog.address());
        for sequence in 0..5000_u64 {
            let host = format!("host-{}", sequence * 7919 % 500);
            sender.send_line(&format!("<134>1 - {host} app - - - c=00 s={sequence:010} x"));
        }
        sender.finish();
        corndog.stop().assert_all_delivered(5000);
        let records = read_all(&kafka.bootstrap(), "keyed");
        let mut last: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for record in &records {
            let key = record.key.clone().expect("a key");
            assert_eq!(record.partition, partition(&key, 7), "{}", String::from_utf8_lossy(&key));
            let before = last.insert(key, record.payload.clone());
            assert!(before.is_none_or(|before| before < record.payload), "order per key");
        }
        assert_eq!(tally(&records, &[5000]), Tally::perfect());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let time = u128::try_from(records[0].timestamp.expect("a time")).unwrap();
        assert!(now - time < 120_000, "the record's time is when it was received");
    });
}

#[test]
fn an_unknown_topic_neither_stops_nor_reorders_its_neighbours() {
    timed(seconds(120), || {
        let kafka = Kafka::shared();
        kafka.create_topic("known", 4, &[]);
        let conf = "\"topic.metadata.propagation.max.ms\" = \"6000\"";
        let configuration = by_app_name("allow = [\"known\", \"absent-*\"]", conf);
        let mut corndog = Corndog::start(CORNDOG, &configuration);
        let mut sender = Sender::connect(corndog.address());
        let start = Instant::now();
        for sequence in 0..3000 {
            let absent = format!("absent-{}", sequence % 3);
            let topic = if sequence % 10 == 5 { &absent } else { "known" };
            sender.send_line(&to(topic, sequence, 248));
        }
        let mut watch = Watch::new(&kafka.bootstrap(), "known", seconds(10));
        watch.until(2700, seconds(5));
        let took = start.elapsed();
        assert!(took < seconds(6), "the neighbours waited {took:?}");
        sender.finish();
        let ledger = corndog.stop();
        assert_eq!((ledger.forwarded, ledger.delivered), (3000, 2700));
        assert_eq!(ledger.failed("topic_unknown"), 300, "{ledger:?}");
        without(&read_all(&kafka.bootstrap(), "known"), 3000, 300);
    });
}

#[test]
fn a_topic_that_appears_in_time_gets_its_records() {
    timed(seconds(120), || {
        let kafka = Kafka::shared();
        let mut corndog = Corndog::start(CORNDOG, &by_app_name("allow = [\"late\"]", ""));
        let mut sender = Sender::connect(corndog.address());
        for sequence in 0..1000 {
            sender.send_line(&to("late", sequence, 248));
        }
        std::thread::sleep(seconds(3));
        kafka.create_topic("late", 4, &[]);
        let mut watch = Watch::new(&kafka.bootstrap(), "late", seconds(20));
        watch.until(1000, seconds(40));
        sender.finish();
        corndog.stop().assert_all_delivered(1000);
        without(&read_all(&kafka.bootstrap(), "late"), 1000, 0);
    });
}

#[test]
fn records_too_large_for_their_topic_fail_alone() {
    timed(seconds(180), || {
        let kafka = Kafka::shared();
        // Kafka's limit is one of the whole MessageSet: neighbours that librdkafka packed together
        // are refused together, although each is small enough.
        kafka.create_topic("small", 2, &[("max.message.bytes", "20000")]);
        kafka.create_topic("beside", 2, &[]);
        let configuration = by_app_name("allow = [\"small\", \"beside\"]", "");
        let mut corndog = Corndog::start(CORNDOG, &configuration);
        let mut sender = Sender::connect(corndog.address());
        for sequence in 0..4000 {
            let topic = if sequence % 2 == 0 { "small" } else { "beside" };
            let bytes = if sequence % 400 == 200 { 30_000 } else { 248 };
            sender.send_line(&to(topic, sequence, bytes));
        }
        sender.finish();
        let ledger = corndog.stop();
        assert_eq!(ledger.failed("message_too_large"), 10, "{ledger:?}");
        assert_eq!((ledger.forwarded, ledger.delivered), (4000, 3990));
        without(&read_all(&kafka.bootstrap(), "small"), 4000, 2010);
        without(&read_all(&kafka.bootstrap(), "beside"), 4000, 2000);
    });
}

#[test]
fn records_too_large_for_the_client_fail_alone() {
    timed(seconds(120), || {
        let kafka = Kafka::shared();
        kafka.create_topic("large", 2, &[]);
        let over = r#"
            [limits]
            frame = "2 MiB"
            [batches]
            bytes = "4 MiB"
            [[rule]]
            actions = [{ forward = "large" }]
        "#;
        let mut corndog = Corndog::start(CORNDOG, &settings(&kafka.bootstrap(), over));
        let mut sender = Sender::connect(corndog.address());
        for sequence in 0..500 {
            let bytes = if sequence % 100 == 50 { 1_500_000 } else { 248 };
            sender.send_line(&to("app", sequence, bytes));
        }
        sender.finish();
        let ledger = corndog.stop();
        assert_eq!(ledger.failed("message_too_large"), 5, "{ledger:?}");
        assert_eq!((ledger.forwarded, ledger.delivered), (500, 495));
        without(&read_all(&kafka.bootstrap(), "large"), 500, 5);
    });
}

/// Names that no rule may turn into a topic: illegal for Kafka, Kafka's own, or not allowed.
const FORBIDDEN: [&str; 9] =
    [".", "..", "__consumer_offsets", "t-a/b", "t-ä", "t-\u{1}", "other", "t-{{name}}", "t-a:b"];

#[test]
fn forbidden_topics_go_to_the_fallback() {
    timed(seconds(120), || {
        let kafka = Kafka::shared();
        kafka.create_topic("t-legal", 1, &[]);
        kafka.create_topic("fallback-1", 1, &[]);
        let topics = "allow = [\"t-*\"]\nfallback = \"fallback-1\"";
        let mut corndog = Corndog::start(CORNDOG, &by_app_name(topics, ""));
        let mut sender = Sender::connect(corndog.address());
        let long = format!("t-{}", "x".repeat(300));
        let names = FORBIDDEN.iter().copied().chain([long.as_str()]);
        let count = names.clone().count() as u64;
        for (sequence, name) in names.enumerate() {
            sender.send_line(&to(name, sequence as u64, 0));
        }
        sender.send_line(&to("t-legal", 0, 0));
        sender.finish();
        corndog.stop().assert_all_delivered(count + 1);
        let refused = read_all(&kafka.bootstrap(), "fallback-1");
        let texts: Vec<String> = refused.iter().map(corndog_tests::Record::text).collect();
        assert_eq!(refused.len() as u64, count, "{texts:?}");
        assert_eq!(read_all(&kafka.bootstrap(), "t-legal").len(), 1);
    });
}

#[test]
fn forbidden_topics_are_dropped_and_counted_where_there_is_no_fallback() {
    timed(seconds(60), || {
        let mut corndog = Corndog::start(CORNDOG, &by_app_name("allow = [\"t-*\"]", ""));
        let mut sender = Sender::connect(corndog.address());
        for name in FORBIDDEN {
            sender.send_line(&to(name, 0, 0));
        }
        sender.finish();
        let ledger = corndog.stop();
        assert_eq!(ledger.dropped("topic_refused"), FORBIDDEN.len() as u64, "{ledger:?}");
        assert_eq!(ledger.forwarded, 0);
    });
}

#[test]
fn a_sender_that_invents_topics_gets_no_more_than_distinct() {
    timed(seconds(120), || {
        let kafka = Kafka::shared();
        for number in 0..5 {
            kafka.create_topic(&format!("d-{number}"), 1, &[]);
        }
        kafka.create_topic("fallback-2", 1, &[]);
        let topics = "allow = [\"d-*\"]\nfallback = \"fallback-2\"\ndistinct = 5";
        let mut corndog = Corndog::start(CORNDOG, &by_app_name(topics, ""));
        let mut sender = Sender::connect(corndog.address());
        for sequence in 0..2000 {
            sender.send_line(&to(&format!("d-{sequence}"), sequence, 0));
        }
        // The first five are still taken.
        for sequence in 2000..2005 {
            sender.send_line(&to(&format!("d-{}", sequence - 2000), sequence, 0));
        }
        sender.finish();
        corndog.stop().assert_all_delivered(2005);
        for number in 0..5 {
            assert_eq!(read_all(&kafka.bootstrap(), &format!("d-{number}")).len(), 2);
        }
        assert_eq!(read_all(&kafka.bootstrap(), "fallback-2").len(), 1995);
    });
}

#[test]
fn a_topic_without_enough_replicas_holds_its_records_in_order() {
    timed(seconds(120), || {
        let kafka = Kafka::shared();
        // One broker, two in-sync replicas wanted: each Produce request is refused, by a broker
        // that looks at sequence numbers, until the topic wants less.
        kafka.create_topic("replicated", 4, &[("min.insync.replicas", "2")]);
        let over = "[[rule]]\nactions = [{ forward = \"replicated\" }]";
        let mut corndog = Corndog::start(CORNDOG, &settings(&kafka.bootstrap(), over));
        let flood = Flood::start(corndog.address(), 4, 5000, 248, 2000);
        std::thread::sleep(seconds(1));
        kafka.set_topic("replicated", "min.insync.replicas", "1");
        std::thread::sleep(Duration::from_millis(500));
        kafka.set_topic("replicated", "min.insync.replicas", "2");
        std::thread::sleep(Duration::from_millis(500));
        kafka.set_topic("replicated", "min.insync.replicas", "1");
        let sent = flood.finish();
        corndog.stop().assert_all_delivered(20_000);
        let records = read_all(&kafka.bootstrap(), "replicated");
        assert_eq!(tally(&records, &sent), Tally::perfect());
    });
}

#[test]
fn the_shared_cases_arrive_as_their_fields() {
    timed(seconds(120), || {
        let kafka = Kafka::shared();
        // One partition, so that records are in the order of the cases.
        kafka.create_topic("cases", 1, &[]);
        let over = format!("[[rule]]\nactions = [{{ forward = \"cases\", key = \"{FIELDS}\" }}]");
        let mut corndog = Corndog::start(CORNDOG, &settings(&kafka.bootstrap(), &over));
        let cases: Vec<MessageCase> = MessageCase::all()
            .into_iter()
            // No MSG-LEN is 0, and a LF at the end is taken for a delimiter beside the count.
            .filter(|case| !matches!(case.frame().last(), None | Some(b'\n' | b'\r')))
            .collect();
        let mut sender = Sender::connect(corndog.address());
        for case in &cases {
            let frame = case.frame();
            sender.send(format!("{} ", frame.len()));
            sender.send(frame);
        }
        sender.finish();
        corndog.stop().assert_all_delivered(cases.len() as u64);
        let records = read_all(&kafka.bootstrap(), "cases");
        for (case, record) in cases.iter().zip(&records) {
            let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default());
            assert_eq!(key, case.fields("127.0.0.1"), "{}", case.name);
            assert_eq!(record.payload, case.msg(), "{}", case.name);
        }
        assert!(cases.len() > 50, "only {} cases", cases.len());
    });
}
