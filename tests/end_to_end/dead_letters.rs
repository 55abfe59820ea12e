//! What Kafka refuses for good ends among the dead letters, as the frame that came, with why; and
//! what a rule says of key, headers and time is what Kafka holds.

use crate::CORNDOG;
use corndog_tests::messages::message;
use corndog_tests::time::seconds;
use corndog_tests::{
    Corndog, Kafka, Record, Sender, Tally, Watch, read_all, settings, tally, timed,
};
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{SystemTime, UNIX_EPOCH};

/// A message whose APP-NAME names its topic; numbered, so that it can be tallied.
fn to(topic: &str, sequence: u64, bytes: usize) -> String {
    format!("<134>1 - host {topic} - - - c=00 s={sequence:010} {:x<bytes$}", "")
}

/// APP-NAME is the topic, and `letters` takes what Kafka refuses.
fn by_app_name(bootstrap: &str, allow: &str, letters: &str) -> String {
    let over = format!(
        r#"
        [topics]
        allow = [{allow}]
        dead_letter = "{letters}"
        [kafka.conf]
        "topic.metadata.propagation.max.ms" = "6000"
        [[rule]]
        name = "by name"
        field = "appname"
        regex = '^(?P<name>.+)$'
        actions = [{{ forward = "{{{{name}}}}" }}]
        "#
    );
    settings(bootstrap, &over)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

fn header<'r>(record: &'r Record, name: &str) -> &'r str {
    let found = record.headers.iter().find(|(held, _)| held == name);
    std::str::from_utf8(&found.unwrap_or_else(|| panic!("no {name}: {record:?}")).1).unwrap()
}

/// Each letter is the frame that was sent, with six headers and the time of its receipt.
fn assert_letters(
    letters: &[Record],
    reason: &str,
    sender: SocketAddr,
    since_ms: i64,
    sent: &[(String, String)],
) {
    let mut expected: Vec<&(String, String)> = sent.iter().collect();
    for letter in letters {
        let (frame, topic) = (letter.text(), header(letter, "corndog.topic"));
        let at = expected.iter().position(|(sent, to)| *sent == frame && to == topic);
        expected.remove(at.unwrap_or_else(|| panic!("not sent to {topic}, or twice: {frame}")));
        assert_eq!(letter.headers.len(), 6, "{letter:?}");
        assert_eq!(letter.key, None);
        assert_eq!(header(letter, "corndog.reason"), reason);
        assert_eq!(header(letter, "corndog.rule"), "by name");
        assert_eq!(header(letter, "corndog.listener"), "plain");
        assert_eq!(header(letter, "corndog.peer"), sender.ip().to_string());
        let time = header(letter, "corndog.time");
        assert!(time.ends_with('Z') && time.len() == "2026-01-02T03:04:05.678901Z".len(), "{time}");
        let record_ms = letter.timestamp.expect("a time");
        assert!((since_ms..=now_ms()).contains(&record_ms), "{record_ms} is no time of receipt");
    }
    assert!(expected.is_empty(), "missing: {expected:?}");
}

#[test]
fn records_too_large_for_their_topic_are_dead_letters() {
    timed(seconds(180), || {
        let kafka = Kafka::shared();
        kafka.create_topic("narrow", 2, &[("max.message.bytes", "20000")]);
        kafka.create_topic("wide", 2, &[]);
        kafka.create_topic("letters-1", 1, &[]);
        let configuration = by_app_name(&kafka.bootstrap(), "\"narrow\", \"wide\"", "letters-1");
        let mut corndog = Corndog::start(CORNDOG, &configuration);
        let since_ms = now_ms();
        let mut sender = Sender::connect(corndog.address());
        let mut large = Vec::new();
        for sequence in 0..4000 {
            let topic = if sequence % 2 == 0 { "narrow" } else { "wide" };
            let is_large = sequence % 400 == 200;
            let line = to(topic, sequence, if is_large { 30_000 } else { 200 });
            sender.send_line(&line);
            if is_large {
                large.push((line, topic.to_owned()));
            }
        }
        sender.finish();
        corndog.stop().assert_all_delivered(4000);
        let letters = read_all(&kafka.bootstrap(), "letters-1");
        assert_letters(&letters, "message_too_large", corndog.address(), since_ms, &large);
        let missing = |lost| Tally { lost, ..Tally::perfect() };
        assert_eq!(tally(&read_all(&kafka.bootstrap(), "narrow"), &[4000]), missing(2010));
        assert_eq!(tally(&read_all(&kafka.bootstrap(), "wide"), &[4000]), missing(2000));
    });
}

#[test]
fn records_of_an_unknown_topic_are_dead_letters_in_their_order() {
    timed(seconds(120), || {
        let kafka = Kafka::shared();
        kafka.create_topic("present", 4, &[]);
        kafka.create_topic("letters-2", 1, &[]);
        let configuration =
            by_app_name(&kafka.bootstrap(), "\"present\", \"missing-*\"", "letters-2");
        let mut corndog = Corndog::start(CORNDOG, &configuration);
        let since_ms = now_ms();
        let mut sender = Sender::connect(corndog.address());
        let mut refused = Vec::new();
        for sequence in 0..3000 {
            let topic = if sequence % 10 == 5 { "missing-1" } else { "present" };
            let line = to(topic, sequence, 200);
            sender.send_line(&line);
            if topic != "present" {
                refused.push((line, topic.to_owned()));
            }
        }
        let mut watch = Watch::new(&kafka.bootstrap(), "present", seconds(10));
        watch.until(2700, seconds(5));
        sender.finish();
        corndog.stop().assert_all_delivered(3000);
        let letters = read_all(&kafka.bootstrap(), "letters-2");
        assert_letters(&letters, "topic_unknown", corndog.address(), since_ms, &refused);
        assert!(letters.iter().map(Record::text).eq(refused.into_iter().map(|(line, _)| line)));
        let neighbours = read_all(&kafka.bootstrap(), "present");
        assert_eq!(tally(&neighbours, &[3000]), Tally { lost: 300, ..Tally::perfect() });
    });
}

#[test]
fn without_a_topic_for_them_dead_letters_fail_as_what_they_were() {
    timed(seconds(120), || {
        let kafka = Kafka::shared();
        kafka.create_topic("there", 1, &[]);
        // Nobody has made `letters-3`: after its own time it is given up too.
        let allow = "\"there\", \"not-there\"";
        let configuration = by_app_name(&kafka.bootstrap(), allow, "letters-3");
        let mut corndog = Corndog::start(CORNDOG, &configuration);
        let mut sender = Sender::connect(corndog.address());
        for sequence in 0..100 {
            let topic = if sequence % 2 == 0 { "there" } else { "not-there" };
            sender.send_line(&to(topic, sequence, 200));
        }
        sender.finish();
        let ledger = corndog.stop();
        assert_eq!((ledger.forwarded, ledger.delivered), (100, 50));
        assert_eq!(ledger.failed("topic_unknown"), 50, "{ledger:?}");
    });
}

#[test]
fn key_headers_and_the_messages_time_are_what_kafka_holds() {
    timed(seconds(120), || {
        let kafka = Kafka::shared();
        kafka.create_topic("dressed", 1, &[]);
        let over = r#"
            [kafka]
            record_time = "message"
            [[rule]]
            actions = [{ forward = "dressed", key = "{{hostname}}", headers = { app = "{{appname}}", "from" = "{{listener}}" } }]
        "#;
        let mut corndog = Corndog::start(CORNDOG, &settings(&kafka.bootstrap(), over));
        let since_ms = now_ms();
        let mut sender = Sender::connect(corndog.address());
        for number in 0..300 {
            // Every third has no time of its own.
            let time = if number % 3 == 0 { "-" } else { "2003-10-11T22:14:15.003Z" };
            sender.send_line(&format!("<13>1 {time} host-{number} app-{number} - - - {number}"));
        }
        sender.finish();
        corndog.stop().assert_all_delivered(300);
        let records = read_all(&kafka.bootstrap(), "dressed");
        assert_eq!(records.len(), 300);
        for (number, record) in records.iter().enumerate() {
            assert_eq!(record.text(), number.to_string());
            assert_eq!(record.key, Some(format!("host-{number}").into_bytes()));
            assert_eq!(record.headers.len(), 2, "{record:?}");
            assert_eq!(header(record, "app"), format!("app-{number}"));
            assert_eq!(header(record, "from"), "plain");
            let time_ms = record.timestamp.expect("a time");
            if number % 3 == 0 {
                assert!((since_ms - 1..=now_ms()).contains(&time_ms), "{time_ms}");
            } else {
                assert_eq!(time_ms, 1_065_910_455_003);
            }
        }
    });
}

#[test]
fn a_record_has_the_time_of_its_receipt_after_an_outage() {
    timed(seconds(180), || {
        let mut kafka = Kafka::prepare(&[("auto.create.topics.enable", "true")]);
        let mut corndog = Corndog::start(CORNDOG, &settings(&kafka.bootstrap(), ""));
        let since_ms = now_ms();
        let mut sender = Sender::connect(corndog.address());
        for sequence in 0..500 {
            sender.send_line(&message(0, sequence, 248));
        }
        // Received within this time; Kafka comes well after it.
        sleep(seconds(1));
        let until_ms = now_ms();
        sleep(seconds(3));
        kafka.restart();
        Watch::new(&kafka.bootstrap(), "plain", seconds(60)).until(500, seconds(60));
        sender.finish();
        corndog.stop().assert_all_delivered(500);
        let records = read_all(&kafka.bootstrap(), "plain");
        assert_eq!(tally(&records, &[500]), Tally::perfect());
        for record in records {
            let time_ms = record.timestamp.expect("a time");
            assert!((since_ms - 1..=until_ms).contains(&time_ms), "{} ms", time_ms - since_ms);
        }
    });
}
