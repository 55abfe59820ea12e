//! From `logger` to a printed record, as a user tries it: `config.toml` as shipped, the Kafka
//! inside.

use crate::CORNDOG;
use corndog_tests::places::root;
use corndog_tests::senders::{loggen, logger};
use corndog_tests::time::seconds;
use corndog_tests::{Corndog, Sender, settings, timed};
use std::fs;
use std::time::Instant;

/// The shipped configuration, but for its ports: two tests and a user's own run can be on a machine.
fn shipped() -> String {
    let text = fs::read_to_string(root().join("config.toml")).unwrap();
    assert_eq!(text.matches("\"127.0.0.1:1514\"").count(), 1, "the shipped listener");
    assert_eq!(text.matches("\"127.0.0.1:8585\"").count(), 1, "the shipped status server");
    text.replace("\"127.0.0.1:1514\"", "\"127.0.0.1:0\"").replace("\"127.0.0.1:8585\"", "\"\"")
}

/// The embedded Kafka, everything to topic `plain`.
fn embedded(over: &str) -> String {
    let text = settings("", over);
    let mut table: toml::Table = text.parse().unwrap();
    let kafka = table["kafka"].as_table_mut().unwrap();
    kafka.insert("embedded".to_owned(), true.into());
    kafka.remove("conf");
    table.to_string()
}

/// Asserts the shape `TOPIC[PARTITION]@OFFSET PAYLOAD`; returns topic and payload.
fn printed(line: &str) -> (&str, &str) {
    let (place, payload) = line.split_once(' ').unwrap_or((line, ""));
    let (topic, place) = place.split_once('[').expect(line);
    let (partition, offset) = place.split_once("]@").expect(line);
    assert!(partition.parse::<u32>().is_ok() && offset.parse::<u64>().is_ok(), "{line}");
    (topic, payload)
}

#[test]
fn the_shipped_configuration_prints_a_loggers_message_within_a_second() {
    timed(seconds(60), || {
        let mut corndog = Corndog::start(CORNDOG, &shipped());
        let start = Instant::now();
        logger(corndog.address(), &["--rfc5424"], "hello");
        let (came, line) = corndog.wait_stdout("hello", seconds(5));
        assert_eq!(printed(&line), ("syslog", "hello"));
        let took = came.duration_since(start);
        assert!(took < seconds(1), "printed after {took:?}");
        corndog.stop().assert_all_delivered(1);
    });
}

#[test]
fn a_record_is_printed_within_a_second_also_when_it_is_not_the_first() {
    timed(seconds(60), || {
        let mut corndog = Corndog::start(CORNDOG, &shipped());
        for number in 0..5 {
            let text = format!("number {number}");
            let start = Instant::now();
            logger(corndog.address(), &["--rfc5424"], &text);
            let (came, _) = corndog.wait_stdout(&text, seconds(5));
            assert!(came.duration_since(start) < seconds(1), "{text}");
        }
        corndog.stop().assert_all_delivered(5);
    });
}

#[test]
fn every_form_of_logger_arrives() {
    timed(seconds(60), || {
        let mut corndog = Corndog::start(CORNDOG, &shipped());
        let forms: [(&str, &[&str]); 5] = [
            ("as RFC 5424", &["--rfc5424"]),
            ("as RFC 5424 bare", &["--rfc5424=notime,nohost,notq"]),
            ("as RFC 3164", &["--rfc3164"]),
            ("counted 5424", &["--rfc5424", "--octet-count"]),
            ("counted 3164", &["--rfc3164", "--octet-count"]),
        ];
        for (text, options) in forms {
            logger(corndog.address(), options, text);
            let (_, line) = corndog.wait_stdout(text, seconds(5));
            assert_eq!(printed(&line), ("syslog", text));
        }
        corndog.stop().assert_all_delivered(5);
    });
}

#[test]
fn loggen_arrives_whole() {
    timed(seconds(90), || {
        let mut corndog = Corndog::start(CORNDOG, &embedded(""));
        let address = corndog.address();
        loggen(address, 4, 250, 1000, &["--syslog-proto", "--size", "300"]);
        loggen(address, 4, 250, 1000, &["--syslog-proto", "--no-framing"]);
        loggen(address, 4, 250, 1000, &[]);
        // How many loggen sends at most is exact per connection only in newer versions: what counts
        // is that each that came in went out.
        std::thread::sleep(seconds(1));
        let ledger = corndog.stop();
        assert!(ledger.received >= 750, "{ledger:?}");
        ledger.assert_all_delivered(ledger.received);
        let printed = corndog.stdout();
        assert_eq!(printed.len() as u64, ledger.delivered);
        assert!(printed.iter().all(|line| line.contains("seq: ")), "loggen's text is the payload");
    });
}

#[test]
fn in_quiet_times_a_record_does_not_wait_for_its_batch_to_grow_old() {
    timed(seconds(60), || {
        let corndog = Corndog::start(CORNDOG, &embedded("[batches]\nage = \"10 s\""));
        let mut sender = Sender::connect(corndog.address());
        for text in ["first", "second", "third"] {
            sender.send_line(&format!("<13>1 - - - - - - {text}"));
            corndog.wait_stdout(text, seconds(5));
        }
    });
}

#[test]
fn rules_choose_topics_and_confine_what_senders_name() {
    timed(seconds(60), || {
        let configuration = embedded(
            r#"
            [topics]
            allow = ["logs-*"]
            fallback = "refused"
            [[rule]]
            field = "appname"
            regex = '^noise$'
            actions = [{ stop = true }]
            [[rule]]
            field = "msg"
            regex = '^topic=(?P<name>\S+) '
            actions = [{ forward = "logs-{{name}}", key = "{{hostname}}" }]
            [[rule]]
            field = "severity"
            regex = '^(emerg|alert|crit|err)$'
            actions = [{ forward = "errors" }]
            "#,
        );
        let mut corndog = Corndog::start(CORNDOG, &configuration);
        let mut sender = Sender::connect(corndog.address());
        sender.send_line("<134>1 - web noise - - - never seen");
        sender.send_line("<134>1 - web app - - - topic=blue named");
        sender.send_line("<134>1 - web app - - - topic=b/l\u{fc}e illegal");
        sender.send_line("<131>1 - web app - - - error");
        sender.send_line("<134>1 - web app - - - unmatched");
        let expected = [("logs-blue", "topic=blue named"), ("errors", "error")];
        for (topic, payload) in expected {
            let (_, line) = corndog.wait_stdout(payload, seconds(5));
            assert_eq!(printed(&line), (topic, payload));
        }
        let (_, line) = corndog.wait_stdout("illegal", seconds(5));
        assert_eq!(printed(&line).0, "refused");
        sender.finish();
        let ledger = corndog.stop();
        assert_eq!((ledger.received, ledger.forwarded, ledger.delivered), (5, 3, 3));
        assert_eq!((ledger.dropped("stopped"), ledger.dropped("unmatched")), (1, 1));
    });
}

/// The embedded Kafka ended in silence when a producer had made a topic before its reader did.
#[test]
fn topics_that_senders_name_one_after_the_other_are_printed() {
    timed(seconds(60), || {
        let configuration = embedded(
            r#"
            [topics]
            allow = ["logs-*"]
            [[rule]]
            actions = [{ forward = "logs-{{appname}}" }]
            "#,
        );
        let mut corndog = Corndog::start(CORNDOG, &configuration);
        let mut sender = Sender::connect(corndog.address());
        for number in 0..10 {
            let payload = format!("payload{number}.");
            sender.send_line(&format!("<134>1 - h app{number} - - - {payload}"));
            let (_, line) = corndog.wait_stdout(&payload, seconds(10));
            assert_eq!(printed(&line).0, format!("logs-app{number}"));
        }
        sender.finish();
        corndog.stop().assert_all_delivered(10);
    });
}

#[test]
fn check_says_what_the_shipped_configuration_means() {
    timed(seconds(60), || {
        let done = corndog_tests::program::command(CORNDOG, &["check"], &shipped());
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.stdout.contains("8 MiB"), "the memory sum on two cores: {done:?}");
        assert!(done.stdout.contains("config.toml"), "which file it read: {done:?}");
    });
}
