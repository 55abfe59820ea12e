//! SIGTERM and SIGINT: what was received is delivered or counted, and the exit code says which.

use crate::CORNDOG;
use corndog_tests::messages::{message, number};
use corndog_tests::places::free_port;
use corndog_tests::senders::Flood;
use corndog_tests::time::seconds;
use corndog_tests::{
    Corndog, Kafka, Mock, Sender, Tally, read_all, settings, tally, timed, timed_alone,
};
use rustix::process::Signal;
use std::thread::sleep;
use std::time::{Duration, Instant};

fn to_topic(bootstrap: &str, topic: &str) -> String {
    settings(bootstrap, &format!("[[rule]]\nactions = [{{ forward = \"{topic}\" }}]"))
}

#[test]
fn a_signal_under_full_load_delivers_all_that_was_received() {
    timed_alone(seconds(180), || {
        let kafka = Kafka::shared();
        kafka.create_topic("stopped", 4, &[]);
        let mut corndog = Corndog::start(CORNDOG, &to_topic(&kafka.bootstrap(), "stopped"));
        let flood = Flood::start(corndog.address(), 4, u64::MAX >> 20, 248, 0);
        sleep(Duration::from_millis(1500));
        let signalled = Instant::now();
        // The senders go on sending until they are closed.
        corndog.terminate();
        let ended = corndog.wait(seconds(40));
        println!("drained in {:?}", signalled.elapsed());
        let written = flood.finish_closed();
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        let ledger = ended.ledger();
        ledger.assert_closed();
        let cut = ledger.dropped("framing");
        assert!(cut <= 4, "at most the frame at hand of each connection: {ledger:?}");
        assert_eq!(ledger.delivered + cut, ledger.received, "{ledger:?}");

        let records = read_all(&kafka.bootstrap(), "stopped");
        assert_eq!(records.len() as u64, ledger.delivered);
        // What arrived of each connection is what it sent, from the first on, without a gap.
        let mut received = vec![0; written.len()];
        for record in &records {
            // The last frame of a connection may be cut by the end.
            if let Some((connection, sequence)) = number(&record.payload) {
                received[connection] = received[connection].max(sequence + 1);
            }
        }
        let tally = tally(&records, &received);
        assert!(tally.foreign <= 4, "{tally:?}");
        assert_eq!(Tally { foreign: 0, ..tally }, Tally::perfect());
    });
}

#[test]
fn what_the_kernel_holds_at_the_signal_is_delivered() {
    timed_alone(seconds(120), || {
        let mock = Mock::start();
        mock.create_topic("plain", 4);
        for _ in 0..10 {
            let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), ""));
            let mut text = String::new();
            for sequence in 0..300 {
                text.push_str(&message(0, sequence, 248));
                text.push('\n');
            }
            let mut first = Sender::connect(corndog.address());
            first.send(&text);
            // This one may still wait in the backlog when the signal comes.
            let mut second = Sender::connect(corndog.address());
            second.send(&text);
            corndog.stop().assert_all_delivered(600);
        }
    });
}

#[test]
fn sigint_and_sigterm_stop_an_idle_program_at_once() {
    timed(seconds(60), || {
        let mock = Mock::start();
        for signal in [Signal::INT, Signal::TERM] {
            let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), ""));
            let _idle = Sender::connect(corndog.address());
            let start = Instant::now();
            corndog.signal(signal);
            let ended = corndog.wait(seconds(10));
            let took = start.elapsed();
            assert_eq!(ended.code, Some(0), "{}", ended.text());
            assert!(took < seconds(2), "it took {took:?}:\n{}", ended.text());
            assert!(ended.says("\"message\":\"draining\""), "{}", ended.text());
            ended.ledger().assert_all_delivered(0);
        }
    });
}

#[test]
fn nobody_is_accepted_while_it_drains() {
    timed(seconds(60), || {
        let away = format!("127.0.0.1:{}", free_port());
        let over = "[limits]\ndrain_time = \"3 s\"";
        let mut corndog = Corndog::start(CORNDOG, &settings(&away, over));
        Sender::connect(corndog.address()).send_line("<13>1 - - - - - - held");
        sleep(Duration::from_millis(300));
        corndog.terminate();
        corndog.wait_message("draining", seconds(2));
        sleep(Duration::from_millis(500));
        let refused = std::net::TcpStream::connect(corndog.address());
        assert!(refused.is_err(), "a listener is open");
        let ended = corndog.wait(seconds(10));
        assert_eq!(ended.code, Some(1));
        assert_eq!(ended.ledger().failed("shutdown"), 1);
    });
}

#[test]
fn without_kafka_it_ends_after_drain_time_and_counts_what_is_left() {
    timed(seconds(60), || {
        let mock = Mock::start();
        mock.create_topic("plain", 4);
        let over = "[limits]\ndrain_time = \"2 s\"";
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), over));
        let mut sender = Sender::connect(corndog.address());
        for sequence in 0..100 {
            sender.send_line(&message(0, sequence, 248));
        }
        let mut watch = corndog_tests::Watch::new(&mock.bootstrap(), "plain", seconds(10));
        watch.until(100, seconds(10));
        // The reports of what is read here may not be in yet.
        sleep(Duration::from_millis(500));
        mock.down();
        for sequence in 100..150 {
            sender.send_line(&message(0, sequence, 248));
        }
        sleep(Duration::from_millis(500));
        let start = Instant::now();
        corndog.terminate();
        let ended = corndog.wait(seconds(20));
        let took = start.elapsed();
        assert_eq!(ended.code, Some(1), "{}", ended.text());
        assert!(took >= Duration::from_millis(1900), "it gave up after {took:?}");
        assert!(took < seconds(4), "it took {took:?}");
        let ledger = ended.ledger();
        ledger.assert_closed();
        assert_eq!((ledger.received, ledger.delivered), (150, 100), "{ledger:?}");
        assert_eq!(ledger.failed("shutdown"), 50, "{ledger:?}");
    });
}

#[test]
fn kafka_that_comes_back_within_drain_time_gets_everything() {
    timed(seconds(60), || {
        let mock = Mock::start();
        mock.create_topic("plain", 4);
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), ""));
        mock.down();
        let sent = Flood::start(corndog.address(), 2, 500, 248, 0).finish();
        corndog.terminate();
        corndog.wait_message("draining", seconds(2));
        sleep(seconds(2));
        mock.up();
        let ended = corndog.wait(seconds(30));
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        ended.ledger().assert_all_delivered(1000);
        let records = read_all(&mock.bootstrap(), "plain");
        assert_eq!(tally(&records, &sent), Tally::perfect());
    });
}

#[test]
fn a_second_signal_ends_at_once_with_the_ledger() {
    timed(seconds(60), || {
        let away = format!("127.0.0.1:{}", free_port());
        for (first, second) in [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::TERM)] {
            let mut corndog = Corndog::start(CORNDOG, &settings(&away, ""));
            let mut sender = Sender::connect(corndog.address());
            for sequence in 0..100 {
                sender.send_line(&message(0, sequence, 248));
            }
            sleep(Duration::from_millis(300));
            corndog.signal(first);
            corndog.wait_message("draining", seconds(2));
            sleep(Duration::from_millis(300));
            let start = Instant::now();
            corndog.signal(second);
            let ended = corndog.wait(seconds(10));
            let took = start.elapsed();
            assert!(took < seconds(1), "it took {took:?}:\n{}", ended.text());
            assert_eq!(ended.code, Some(1), "{}", ended.text());
            let ledger = ended.ledger();
            ledger.assert_closed();
            assert_eq!(ledger.failed("shutdown"), 100, "{ledger:?}");
        }
    });
}
