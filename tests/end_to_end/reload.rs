//! SIGHUP: rules, topics, limits and what becomes of unmatched messages change while it runs, and
//! no message notices.

use crate::CORNDOG;
use corndog_tests::senders::Flood;
use corndog_tests::time::{full, seconds};
use corndog_tests::{
    Corndog, Kafka, Mock, Sender, Tally, read_all, settings, tally, timed, timed_alone, wait_for,
};
use std::thread::sleep;
use std::time::Duration;

/// All to one topic.
fn all_to(topic: &str) -> String {
    format!("[[rule]]\nname = \"all\"\nactions = [{{ forward = \"{topic}\" }}]\n")
}

fn payloads(mock: &Mock, topic: &str) -> Vec<String> {
    read_all(&mock.bootstrap(), topic).iter().map(corndog_tests::Record::text).collect()
}

/// Entries of a folder of `/proc/PID`.
fn entries(corndog: &mut Corndog, folder: &str) -> usize {
    let path = format!("/proc/{}/{folder}", corndog.process().id());
    std::fs::read_dir(path).expect("the process runs").count()
}

#[test]
fn rules_topics_and_unmatched_change_while_a_connection_stays() {
    timed(seconds(60), || {
        let mock = Mock::start();
        ["plain", "second", "rest"].iter().for_each(|topic| mock.create_topic(topic, 1));
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), &all_to("plain")));
        let mut sender = Sender::connect(corndog.address());
        sender.send_line("<13>1 - h a - - - one");
        wait_for("the first record", seconds(10), || {
            (!payloads(&mock, "plain").is_empty()).then_some(())
        });
        let over = r#"
            [unmatched]
            action = "forward"
            topic = "rest"
            [[rule]]
            regex = "two"
            actions = [{ forward = "second" }]
        "#;
        let answer = corndog.reload(&settings(&mock.bootstrap(), over));
        assert_eq!((&answer["message"], &answer["generation"]), (&"reloaded".into(), &2.into()));
        sender.send_line("<13>1 - h a - - - two");
        sender.send_line("<13>1 - h a - - - three");
        sender.finish();
        corndog.stop().assert_all_delivered(3);
        assert_eq!(payloads(&mock, "plain"), ["one"]);
        assert_eq!(payloads(&mock, "second"), ["two"]);
        assert_eq!(payloads(&mock, "rest"), ["three"]);
    });
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    timed(seconds(60), || {
        let mock = Mock::start();
        mock.create_topic("plain", 1);
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), &all_to("plain")));
        let bad = "[[rule]]\nname = \"broken\"\nregex = 'a(b'\nactions = [{ forward = \"x\" }]";
        let answer = corndog.reload(&settings(&mock.bootstrap(), bad));
        assert_eq!(answer["message"], "not reloaded: nothing has changed");
        assert_eq!((&answer["level"], &answer["generation"]), (&"ERROR".into(), &1.into()));
        let says = |text: &str| corndog.log().iter().any(|line| line.contains(text));
        assert!(says("unclosed group") && says("broken"), "{:#?}", corndog.log());
        let answer = corndog.reload("no = [toml");
        assert_eq!(answer["generation"], 1);
        let long = "[batches]\nbytes = \"1 MiB\"\n[limits]\nframe = \"300 KiB\"\n";
        let long = settings(&mock.bootstrap(), &format!("{long}{}", all_to("plain")));
        assert_eq!(corndog.reload(&long)["generation"], 1);
        let half = "307200 bytes are more than half of batches.bytes = 524288, which is in force";
        assert!(corndog.log().iter().any(|line| line.contains(half)), "{:#?}", corndog.log());
        let mut sender = Sender::connect(corndog.address());
        sender.send_line("<13>1 - h a - - - as before");
        sender.finish();
        corndog.stop().assert_all_delivered(1);
        assert_eq!(payloads(&mock, "plain"), ["as before"]);
    });
}

#[test]
fn what_cannot_change_while_running_is_named_and_the_rest_changes() {
    timed(seconds(60), || {
        let mock = Mock::start();
        ["plain", "second"].iter().for_each(|topic| mock.create_topic(topic, 1));
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), &all_to("plain")));
        let over = format!(
            "[batches]\nage = \"7 ms\"\n[kafka.conf]\n\"linger.ms\" = 7\n[limits]\nframe = \"480 B\"\n{}",
            all_to("second")
        );
        let answer = corndog.reload(&settings(&mock.bootstrap(), &over));
        assert_eq!(answer["message"], "reloaded");
        let log = corndog.log();
        for part in ["[batches]", "[kafka]"] {
            let is_named = |line: &&String| line.contains(part) && line.contains("restart");
            assert!(log.iter().any(|line| is_named(&line)), "{part}: {log:#?}");
        }
        for part in ["[shards]", "[[listen]]"] {
            assert!(!log.iter().any(|line| line.contains(part)), "{part}: {log:#?}");
        }
        let mut sender = Sender::connect(corndog.address());
        sender.send_line(&"x".repeat(1000));
        sender.finish();
        corndog.stop().assert_all_delivered(1);
        assert_eq!(payloads(&mock, "second"), ["x".repeat(480)]);
        let too_long = "[limits]\nframe = \"600 KiB\"\n[batches]\nbytes = \"4 MiB\"";
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), ""));
        let answer = corndog.reload(&settings(&mock.bootstrap(), too_long));
        assert_eq!(answer["message"], "not reloaded: nothing has changed");
        corndog.stop();
    });
}

#[test]
fn a_shorter_frame_limit_reaches_connections_that_are_open() {
    timed(seconds(60), || {
        let mock = Mock::start();
        mock.create_topic("plain", 1);
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), ""));
        let mut sender = Sender::connect(corndog.address());
        sender.send_line(&"a".repeat(60_000));
        sender.send("b".repeat(50_000));
        wait_for("the first record", seconds(10), || {
            (!payloads(&mock, "plain").is_empty()).then_some(())
        });
        corndog.reload(&settings(&mock.bootstrap(), "[limits]\nframe = \"1 KiB\""));
        // The frame under way keeps the limit that it began with.
        sender.send_line(&"b".repeat(10_000));
        sender.send_line(&"c".repeat(60_000));
        corndog.reload(&settings(&mock.bootstrap(), "[limits]\nframe = \"128 KiB\""));
        sender.send_line(&"d".repeat(100_000));
        sender.finish();
        corndog.stop().assert_all_delivered(4);
        let mut sizes: Vec<usize> = payloads(&mock, "plain").iter().map(String::len).collect();
        sizes.retain(|size| *size != 1024);
        assert_eq!(sizes, [60_000, 60_000, 100_000]);
    });
}

/// 200 reloads, every second one bad, under load: nothing is lost or doubled, and the process is
/// as large as before.
#[test]
fn two_hundred_reloads_under_load_lose_nothing() {
    timed_alone(seconds(240), || {
        let kafka = Kafka::shared();
        kafka.create_topic("reloaded", 4, &[]);
        let rules = |count: usize| -> String {
            let rule = |number| {
                format!(
                    "[[rule]]\nregex = 'never {number} (?P<n>\\w+)'\nactions = [{{ forward = \"reloaded\" }}]\n"
                )
            };
            (0..count).map(rule).collect::<String>() + &all_to("reloaded")
        };
        let good =
            [settings(&kafka.bootstrap(), &rules(60)), settings(&kafka.bootstrap(), &rules(90))];
        let bad = settings(&kafka.bootstrap(), "[topics]\nallow = [\"a b\"]");
        let mut corndog = Corndog::start(CORNDOG, &good[0]);
        let flood = Flood::start(corndog.address(), 4, u64::MAX >> 20, 248, 5000);
        let mut generation = 1;
        let mut before = None;
        for round in 0..200 {
            let answer = if round % 2 == 0 {
                generation += 1;
                corndog.reload(&good[round / 2 % 2])
            } else {
                corndog.reload(&bad)
            };
            assert_eq!(answer["generation"], generation, "{answer}");
            // Both rule sets were in force by then, and caches are warm.
            if round == 19 {
                sleep(seconds(1));
                let resident = corndog.process().memory("VmRSS");
                before =
                    Some((resident, entries(&mut corndog, "task"), entries(&mut corndog, "fd")));
            }
            sleep(Duration::from_millis(if full() { 100 } else { 20 }));
        }
        sleep(seconds(1));
        let after = (
            corndog.process().memory("VmRSS"),
            entries(&mut corndog, "task"),
            entries(&mut corndog, "fd"),
        );
        assert!(!flood.any_ended(), "a connection was closed");
        flood.end();
        let sent = flood.finish();
        corndog.stop().assert_all_delivered(sent.iter().sum());
        assert_eq!(tally(&read_all(&kafka.bootstrap(), "reloaded"), &sent), Tally::perfect());
        let before = before.expect("200 is more than 19");
        println!(
            "200 reloads, {} messages; before {before:?}, after {after:?}",
            sent.iter().sum::<u64>()
        );
        assert_eq!((before.1, before.2), (after.1, after.2), "threads, descriptors");
        assert!(
            after.0 <= before.0 + before.0 / 10,
            "resident: before {}, after {}",
            before.0,
            after.0
        );
    });
}
