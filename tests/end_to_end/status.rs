//! The status server: the ledger is true at every instant, readiness says why, and whoever abuses it
//! is bounded and takes nothing from the data.

use crate::CORNDOG;
use corndog_tests::senders::Flood;
use corndog_tests::status::{address, get, ledger, raw, request, stats};
use corndog_tests::time::seconds;
use corndog_tests::{Corndog, Kafka, Ledger, Mock, Sender, settings, timed, timed_alone, wait_for};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

const STATUS: &str = "[status]\naddress = \"127.0.0.1:0\"\n";

fn with_status(over: &str) -> String {
    // A list that stands last would take what follows for its own.
    format!("{STATUS}{over}")
}

/// Sends numbered messages until told to stop: of each hundred one that no rule forwards, and one
/// that is too long. How many were sent.
fn send_mixed(address: SocketAddr, stop: &AtomicBool) -> u64 {
    let mut sender = Sender::connect(address);
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut lines = String::new();
        for number in sent..sent + 100 {
            match number % 100 {
                7 => lines.push_str("<13>1 - h a - - - nobody wants this\n"),
                77 => lines.push_str(&format!("<13>1 - h a - - - keep {}\n", "x".repeat(2000))),
                _ => lines.push_str(&format!("<13>1 - h a - - - keep {number}\n")),
            }
        }
        sent += 100;
        sender.send(lines.as_bytes());
        sleep(Duration::from_millis(2));
    }
    sender.finish();
    sent
}

/// Each later than the one before: no counter goes back.
fn assert_grown(before: &Ledger, now: &Ledger) {
    for (before, now) in [
        (before.received, now.received),
        (before.forwarded, now.forwarded),
        (before.delivered, now.delivered),
        (before.dropped("unmatched"), now.dropped("unmatched")),
        (before.dropped("oversize"), now.dropped("oversize")),
    ] {
        assert!(now >= before, "a counter has gone back: {before} {now}");
    }
}

#[test]
fn the_ledger_is_true_at_each_of_100_scrapes_through_an_outage() {
    timed_alone(seconds(180), || {
        let mut kafka = Kafka::start();
        kafka.create_topic("plain", 4, &[]);
        let over = r#"
            [limits]
            frame = "1 KiB"
            [[listen]]
            name = "plain"
            address = "127.0.0.1:0"
            oversize = "drop"
            [[rule]]
            name = "keep"
            regex = "keep"
            actions = [{ forward = "plain" }]
        "#;
        let mut corndog =
            Corndog::start(CORNDOG, &settings(&kafka.bootstrap(), &with_status(over)));
        let status = address(&corndog);
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..4)
            .map(|_| {
                let (stop, address) = (stop.clone(), corndog.address());
                thread::spawn(move || send_mixed(address, &stop))
            })
            .collect();
        let mut before = Ledger::default();
        let (mut open, mut was_away) = (0, false);
        for scrape in 0..100 {
            match scrape {
                30 => kafka.kill(),
                60 => kafka.restart(),
                _ => {}
            }
            let now = ledger(status);
            assert_grown(&before, &now);
            open += usize::from(now.in_flight > 0);
            was_away |= get(status, "/ready").status == 503;
            before = now;
            sleep(Duration::from_millis(60));
        }
        stop.store(true, Ordering::Relaxed);
        let sent: u64 = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        let end = corndog.stop();
        println!("{sent} sent, {end:?}, in flight at {open} of 100 scrapes");
        assert!(was_away, "it never said that Kafka was away");
        assert!(open > 10, "no scrape saw what is in flight: it showed nothing");
        assert_eq!(end.received, sent);
        assert_eq!(end.dropped("unmatched"), sent / 100);
        assert_eq!(end.dropped("oversize"), sent / 100);
        assert_eq!(end.delivered, sent / 100 * 98);
        let read = corndog_tests::read_all(&kafka.bootstrap(), "plain").len() as u64;
        assert_eq!(read, end.delivered, "what the reader counted");
        assert!(before.received <= end.received);
    });
}

#[test]
fn ready_says_why_not() {
    timed(seconds(120), || {
        let mock = Mock::start();
        mock.create_topic("plain", 1);
        mock.down();
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), STATUS));
        let status = address(&corndog);
        let answer = get(status, "/ready");
        assert_eq!(answer.status, 503);
        assert!(answer.body.contains("Kafka"), "{}", answer.body);
        assert_eq!(get(status, "/health").status, 200);
        mock.up();
        wait_for("ready", seconds(20), || (get(status, "/ready").status == 200).then_some(()));
        // Nothing was ever sent.
        mock.down();
        wait_for("not ready", seconds(40), || (get(status, "/ready").status == 503).then_some(()));
        mock.up();
        wait_for("ready once more", seconds(30), || {
            (get(status, "/ready").status == 200).then_some(())
        });
        let mut sender = Sender::connect(corndog.address());
        sender.send_line("<13>1 - h a - - - hello");
        wait_for("its delivery", seconds(10), || (ledger(status).delivered == 1).then_some(()));
        mock.down();
        let began = Instant::now();
        while get(status, "/ready").status != 503 {
            let stats = || (stats(status)["brokers"].to_string(), corndog.log().join("\n"));
            assert!(began.elapsed() < seconds(30), "ready without Kafka: {:#?}", stats());
            sleep(Duration::from_millis(200));
        }
        let stats = stats(status);
        assert_eq!(stats["state"], "not_ready");
        assert!(stats["message"].as_str().unwrap().contains("Kafka"), "{stats}");
        mock.up();
        sender.finish();
        wait_for("ready again", seconds(30), || {
            (get(status, "/ready").status == 200).then_some(())
        });
        corndog.stop().assert_all_delivered(1);
    });
}

#[test]
fn a_drain_is_shown_while_it_lasts() {
    timed(seconds(60), || {
        let mock = Mock::start();
        mock.create_topic("plain", 1);
        let over = with_status("[limits]\ndrain_time = \"2 s\"\n");
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), &over));
        let status = address(&corndog);
        mock.down();
        let mut sender = Sender::connect(corndog.address());
        sender.send_line("<13>1 - h a - - - hello");
        sender.finish();
        wait_for("the message", seconds(10), || (ledger(status).in_flight == 1).then_some(()));
        corndog.terminate();
        corndog.wait_message("draining", seconds(5));
        let answer = get(status, "/ready");
        assert_eq!(answer.status, 503);
        assert!(answer.body.contains("draining"), "{}", answer.body);
        assert_eq!(stats(status)["state"], "draining");
        let ended = corndog.wait(seconds(30));
        assert_eq!(ended.code, Some(1), "{}", ended.text());
    });
}

#[test]
fn what_hotdogs_dashboards_read_is_there() {
    timed(seconds(60), || {
        let mock = Mock::start();
        mock.create_topic("plain", 1);
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), STATUS));
        let status = address(&corndog);
        let mut sender = Sender::connect(corndog.address());
        sender.send_line("<13>1 - h a - - - hello");
        wait_for("its delivery", seconds(10), || (ledger(status).delivered == 1).then_some(()));
        wait_for("the connection's state", seconds(5), || {
            let states = &stats(status)["connections"]["states"];
            (states["idle"] == 1 && states["held"] == 0).then_some(())
        });
        let stats = stats(status);
        assert!(stats["message"].is_string());
        let of = &stats["stats"];
        assert!(of.as_object().unwrap().values().all(serde_json::Value::is_u64), "{of}");
        assert_eq!((&of["lines"], &of["connections"]), (&1.into(), &1.into()));
        assert_eq!((&of["kafka.submitted"], &of["kafka.submitted.plain"]), (&1.into(), &1.into()));
        sender.finish();
        corndog.stop();
    });
}

#[test]
fn rules_keep_their_counts_over_a_reload_by_their_names() {
    timed(seconds(60), || {
        let mock = Mock::start();
        mock.create_topic("plain", 1);
        let rule = |name: &str, pattern: &str| {
            format!(
                "[[rule]]\nname = \"{name}\"\nregex = \"{pattern}\"\nactions = [{{ forward = \"plain\" }}]\n"
            )
        };
        let first = with_status(&format!("{}{}", rule("one", "1"), rule("two", "2")));
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), &first));
        let status = address(&corndog);
        let mut sender = Sender::connect(corndog.address());
        let mut send = |texts: &[&str], count: u64| {
            texts.iter().for_each(|text| sender.send_line(&format!("<13>1 - h a - - - {text}")));
            wait_for("the messages", seconds(10), || {
                (ledger(status).received == count).then_some(())
            });
        };
        let matched = || -> Vec<(String, u64)> {
            let rules = stats(status)["rules"].as_array().unwrap().clone();
            let row = |rule: &serde_json::Value| {
                (rule["name"].as_str().unwrap().to_owned(), rule["matched"].as_u64().unwrap())
            };
            rules.iter().map(row).collect()
        };
        send(&["1", "1", "2", "3"], 4);
        assert_eq!(matched(), [("one".to_owned(), 2), ("two".to_owned(), 1)]);
        let over =
            format!("[status]\naddress = \"{status}\"\n{}{}", rule("three", "3"), rule("one", "1"));
        corndog.reload(&settings(&mock.bootstrap(), &over));
        send(&["1", "3"], 6);
        assert_eq!(matched(), [("three".to_owned(), 1), ("one".to_owned(), 3)]);
        sender.finish();
        corndog.stop();
    });
}

#[test]
fn other_methods_paths_and_broken_requests_are_refused() {
    timed(seconds(60), || {
        let mock = Mock::start();
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), STATUS));
        let status = address(&corndog);
        assert_eq!(request(status, "HEAD", "/stats", "").body, "");
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let answer = request(status, method, "/stats", "Content-Length: 0\r\n");
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, Some("GET, HEAD")),
                "{method}"
            );
        }
        assert_eq!(get(status, "/secrets").status, 404);
        assert_eq!(get(status, "/../etc/passwd").status, 404);
        let html = request(status, "GET", "/", "Accept: text/html\r\n");
        assert!(html.body.starts_with("<!doctype html>"), "{}", html.head);
        assert!(get(status, "/").body.starts_with("corndog "));
        let long = format!("X-Long: {}\r\n", "x".repeat(20_000));
        assert_eq!(request(status, "GET", "/stats", &long).status, 431);
        for broken in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "\u{16}\u{3}\u{1}\r\n\r\n"] {
            let answer = raw(status, broken.as_bytes()).unwrap_or_default();
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
        }
        assert_eq!(get(status, "/health").status, 200);
        corndog.stop();
    });
}

/// Silent, slow and endless clients, and those that never read, until told to stop.
fn abuse(status: SocketAddr, stop: &AtomicBool) {
    let mut held: Vec<TcpStream> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(status) else { continue };
        let _ = stream.set_nonblocking(true);
        // What cannot be written is the server's bound at work.
        let _ = match held.len() % 4 {
            0 => Ok(0),
            1 => stream.write(b"GET /stats HT"),
            2 => stream.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(50).as_slice()),
            _ => stream.write(&b"X".repeat(4096)),
        };
        held.push(stream);
        if held.len() > 200 {
            held.drain(..100);
        }
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn slow_silent_and_many_clients_are_bounded_and_an_honest_one_is_served() {
    timed_alone(seconds(120), || {
        let mock = Mock::start();
        mock.create_topic("plain", 4);
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), STATUS));
        let status = address(&corndog);
        let flood = Flood::start(corndog.address(), 2, u64::MAX >> 20, 248, 20_000);
        sleep(seconds(1));
        let before = corndog.process().memory("VmRSS");
        let stop = Arc::new(AtomicBool::new(false));
        let abusers: Vec<_> = (0..2)
            .map(|_| {
                let stop = stop.clone();
                thread::spawn(move || abuse(status, &stop))
            })
            .collect();
        let began = Instant::now();
        let (mut served, mut slowest) = (0, Duration::ZERO);
        while began.elapsed() < seconds(10) {
            let asked = Instant::now();
            // The oldest of too many is closed, whoever that is: an honest one asks again.
            let answer =
                raw(status, b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            if answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                served += 1;
                slowest = slowest.max(asked.elapsed());
            }
            sleep(Duration::from_millis(100));
        }
        let descriptors = corndog_tests::descriptors::open(corndog.process().id()).len();
        let grown = corndog.process().memory("VmRSS").saturating_sub(before);
        stop.store(true, Ordering::Relaxed);
        abusers.into_iter().for_each(|abuser| abuser.join().unwrap());
        println!(
            "{served} served, the slowest in {slowest:?}; {descriptors} descriptors, {} KiB more",
            grown >> 10
        );
        assert!(served >= 5, "an honest client was served {served} times in 10 s");
        assert!(descriptors < 200, "{descriptors} descriptors");
        assert!(grown < 24 << 20, "{grown} bytes more");
        let stats = stats(status);
        assert!(stats["status"]["refused"].as_u64() > Some(0), "{}", stats["status"]);
        flood.end();
        let sent: u64 = flood.finish().iter().sum();
        corndog.stop().assert_all_delivered(sent);
    });
}

#[test]
fn a_request_that_stalls_is_closed_in_time() {
    timed(seconds(60), || {
        let mock = Mock::start();
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), STATUS));
        let status = address(&corndog);
        let mut stream = TcpStream::connect(status).unwrap();
        stream.write_all(b"GET /stats HTTP/1.1\r\nHost:").unwrap();
        stream.set_read_timeout(Some(seconds(10))).unwrap();
        let began = Instant::now();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the server closes");
        let time = began.elapsed();
        assert!((seconds(1)..seconds(4)).contains(&time), "closed after {time:?}");
        corndog.stop();
    });
}

#[test]
fn an_address_that_is_taken_is_one_sentence_and_exit_2() {
    timed(seconds(30), || {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let over = format!("[status]\naddress = \"{address}\"\n");
        let finished =
            corndog_tests::program::command(CORNDOG, &["run"], &settings("127.0.0.1:9", &over));
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        let said = finished.stderr.lines().filter(|line| line.contains("ERROR")).count();
        assert_eq!(said, 1, "{}", finished.stderr);
        assert!(finished.stderr.contains("status.address"), "{}", finished.stderr);
    });
}

#[test]
fn top_shows_the_running_program_once() {
    timed(seconds(60), || {
        let mock = Mock::start();
        mock.create_topic("plain", 1);
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), STATUS));
        let status = address(&corndog);
        let mut sender = Sender::connect(corndog.address());
        sender.send_line("<13>1 - h a - - - hello");
        wait_for("its delivery", seconds(10), || (ledger(status).delivered == 1).then_some(()));
        let words = ["top", "--once", "--status", &status.to_string()];
        let shown = corndog_tests::program::plain(CORNDOG, &words, |_| {});
        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
        assert!(
            shown.stdout.contains("ready") && shown.stdout.contains("plain"),
            "{}",
            shown.stdout
        );
        assert!(!shown.stdout.contains('\u{1b}'), "an escape: {}", shown.stdout);
        sender.finish();
        corndog.stop();
        let shown = corndog_tests::program::plain(CORNDOG, &words, |_| {});
        assert_eq!(shown.code, Some(1), "{}", shown.stdout);
        assert_eq!(shown.stderr.lines().count(), 1, "{}", shown.stderr);
    });
}
