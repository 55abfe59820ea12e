//! Starts that fail: one sentence each with key, value, limit and what to do, exit code 2, soon.

use crate::CORNDOG;
use corndog_tests::places::{free_port, root};
use corndog_tests::program::command;
use corndog_tests::time::seconds;
use corndog_tests::{Corndog, Mock, Sender, settings, timed};
use serde_json::Value as Json;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// From the start to the exit.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(2);

/// Kafka is never asked in these tests.
fn nowhere(over: &str) -> String {
    settings("127.0.0.1:9", over)
}

/// Runs below `wrapper`, which must be refused with one sentence that holds all of `words`.
fn is_refused(wrapper: &[&str], configuration: &str, words: &[&str]) {
    let start = Instant::now();
    let mut corndog = Corndog::spawn(CORNDOG, wrapper, configuration);
    let ended = corndog.wait(seconds(10));
    let took = start.elapsed();
    let text = ended.text();
    assert_eq!(ended.code, Some(2), "{text}");
    assert!(took < REFUSAL_TIME_MAX, "it took {took:?}:\n{text}");
    let lines: Vec<Json> =
        ended.log.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let errors: Vec<&str> = lines
        .iter()
        .filter(|line| line["level"] == "ERROR")
        .filter_map(|line| line["message"].as_str())
        .collect();
    let [sentence] = errors.as_slice() else { panic!("not one error:\n{text}") };
    for word in words {
        assert!(sentence.contains(word), "`{word}` is not in: {sentence}");
    }
    assert!(!ended.says("\"message\":\"ready\""), "it was ready:\n{text}");
    assert!(!ended.says("panicked"), "{text}");
    assert!(ended.stdout.is_empty(), "{:?}", ended.stdout);
}

#[test]
fn an_occupied_port_is_named() {
    timed(seconds(30), || {
        let owner = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = owner.local_addr().unwrap().to_string();
        let configuration = nowhere("").replace("127.0.0.1:0", &address);
        is_refused(&[], &configuration, &["plain", &address, "another program listens"]);
    });
}

#[test]
fn a_port_of_another_corndog_is_named() {
    timed(seconds(30), || {
        let first = Corndog::start(CORNDOG, &nowhere(""));
        let address = first.address().to_string();
        let configuration = nowhere("").replace("127.0.0.1:0", &address);
        is_refused(&[], &configuration, &["plain", &address, "another program listens"]);
        drop(Sender::connect(first.address()));
    });
}

#[test]
fn an_occupied_port_among_several_leaves_nothing_half_started() {
    timed(seconds(30), || {
        let owner = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = owner.local_addr().unwrap();
        let free = free_port();
        let over = format!(
            r#"
            [[listen]]
            name = "first"
            address = "127.0.0.1:{free}"
            transport = "tcp"
            [[listen]]
            name = "second"
            address = "{address}"
            transport = "tcp"
            "#
        );
        is_refused(&[], &nowhere(&over), &["second", &address.to_string()]);
        assert!(TcpListener::bind(("127.0.0.1", free)).is_ok(), "the first is free again");
    });
}

#[test]
fn an_address_of_another_machine_is_named() {
    timed(seconds(30), || {
        // TEST-NET-3 (RFC 5737): nobody's.
        let configuration = nowhere("").replace("127.0.0.1:0", "203.0.113.7:1514");
        is_refused(&[], &configuration, &["203.0.113.7:1514", "address of this machine"]);
    });
}

#[test]
fn too_little_locked_memory_is_named() {
    timed(seconds(30), || {
        let wrapper = ["prlimit", "--memlock=65536:65536"];
        is_refused(&wrapper, &nowhere(""), &["locked memory", "ulimit -l"]);
    });
}

#[test]
fn too_few_descriptors_are_named() {
    timed(seconds(30), || {
        for limit in ["--nofile=16:16", "--nofile=40:40"] {
            let wrapper = ["prlimit", limit];
            is_refused(&wrapper, &nowhere(""), &["file descriptors", "ulimit -n"]);
        }
    });
}

#[test]
fn io_uring_refused_is_named() {
    timed(seconds(30), || {
        let script = root().join("tests/end_to_end/refuse_io_uring.pl");
        let script = script.to_str().unwrap();
        let refused = ["perl", script, std::env::consts::ARCH, "1"];
        is_refused(&refused, &nowhere(""), &["io_uring is refused", "io_uring_disabled"]);
        let missing = ["perl", script, std::env::consts::ARCH, "38"];
        is_refused(&missing, &nowhere(""), &["no io_uring", "Linux"]);
    });
}

/// The first core that this test may use.
fn own_core() -> String {
    let list = corndog_tests::process::run("taskset", seconds(5), |command| {
        command.args(["--cpu-list", "--pid"]).arg(std::process::id().to_string());
    });
    let cores = list.rsplit(' ').next().unwrap().trim().to_owned();
    cores.split([',', '-']).next().unwrap().to_owned()
}

#[test]
fn a_core_outside_taskset_is_named() {
    timed(seconds(30), || {
        let core = own_core();
        let other = core.parse::<u32>().unwrap() + 1;
        let over = format!("[shards]\ncores = [{core}, {other}]");
        let wrapper = ["taskset", "--cpu-list", &core];
        is_refused(&wrapper, &nowhere(&over), &["shards.cores", &other.to_string()]);
    });
}

#[test]
fn one_core_is_enough() {
    timed(seconds(60), || {
        let mock = Mock::start();
        let core = own_core();
        let wrapper = ["taskset", "--cpu-list", &core];
        let mut corndog = Corndog::spawn(CORNDOG, &wrapper, &settings(&mock.bootstrap(), ""));
        corndog.wait_ready();
        let mut sender = Sender::connect(corndog.address());
        for _ in 0..100 {
            sender.send_line("<13>1 - - - - - - hello");
        }
        sender.finish();
        corndog.stop().assert_all_delivered(100);
    });
}

/// Broken configurations, and what the sentence must hold.
const BROKEN: [(&str, &[&str]); 16] = [
    ("[limits]\nframe_timee = \"1 s\"", &["frame_timee", "frame_time"]),
    ("[limit]\nframe_time = \"1 s\"", &["limit", "limits"]),
    ("[limits]\nframe = \"1 B\"", &["limits.frame", "480"]),
    ("[limits]\nframe = \"a lot\"", &["limits.frame", "a lot"]),
    ("[limits]\nframe = \"1 MiB\"", &["limits.frame", "batches.bytes"]),
    ("[limits]\nconnections = 0", &["limits.connections", "0"]),
    ("[limits]\nhandshake_time = \"1 ms\"", &["handshake_time", "100 ms"]),
    ("[batches]\nage = 5", &["batches.age"]),
    ("[batches]\nper_receiver = 1", &["batches.per_receiver", "2"]),
    ("[shards]\nreceivers = 100000", &["shards.receivers", "100000"]),
    ("[topics]\ndistinct = \"many\"", &["topics.distinct", "many"]),
    ("[kafka.conf]\n\"no.such.key\" = \"1\"", &["no.such.key"]),
    ("[kafka.conf]\n\"linger.ms\" = \"soon\"", &["linger.ms"]),
    ("[[rule]]\nregex = '('\nactions = [{ forward = \"t\" }]", &["rule", "regex"]),
    ("[[rule]]\nactions = [{ forward = \"{{hostname}}\" }]", &["forward", "topics.allow"]),
    ("[status]\naddress = \"localhost:8585\"", &["status.address", "localhost:8585"]),
];

#[test]
fn every_broken_configuration_has_its_sentence() {
    timed(seconds(60), || {
        for (over, words) in BROKEN {
            let configuration = nowhere(over);
            is_refused(&[], &configuration, words);
            let done = command(CORNDOG, &["check"], &configuration);
            assert_eq!(done.code, Some(2), "{over}: {done:?}");
            for word in words {
                assert!(done.stderr.contains(word), "`{word}` is not in: {done:?}");
            }
        }
    });
}

#[test]
fn a_sound_configuration_passes_check_with_its_memory() {
    timed(seconds(30), || {
        let done = command(CORNDOG, &["check"], &nowhere("[shards]\nreceivers = 3"));
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.stdout.contains("24 MiB"), "3 x 16 x 512 KiB: {done:?}");
    });
}

#[test]
fn check_names_all_mistakes_at_once() {
    timed(seconds(30), || {
        let over = "[limits]\nframe = \"1 B\"\nidle = 1\n[batches]\nage = 5\n[topic]\nallow = []";
        let done = command(CORNDOG, &["check"], &nowhere(over));
        assert_eq!(done.code, Some(2), "{done:?}");
        for word in ["limits.frame", "limits.idle", "batches.age", "topic"] {
            assert!(done.stderr.contains(word), "`{word}` is not in: {done:?}");
        }
    });
}

#[test]
fn what_is_no_configuration_is_refused() {
    timed(seconds(30), || {
        let toml = command(CORNDOG, &["check"], "this = is [not toml");
        assert_eq!(toml.code, Some(2), "{toml:?}");
        assert!(toml.stderr.contains("line 1"), "{toml:?}");
        // The last -c is the harness's own; a file that is missing comes by the environment.
        let missing = corndog_tests::program::plain(CORNDOG, &["run"], |command| {
            command.env("CORNDOG_CONFIG", "/nonexistent/corndog.toml");
        });
        assert_eq!(missing.code, Some(2), "{missing:?}");
        assert!(missing.stderr.contains("/nonexistent/corndog.toml"), "{missing:?}");
        let words = corndog_tests::program::plain(CORNDOG, &["runn"], |_| {});
        assert_eq!(words.code, Some(2), "{words:?}");
    });
}

#[test]
fn help_and_version_are_no_failure() {
    timed(seconds(30), || {
        for words in [&["--version"][..], &["--help"], &["run", "--help"], &["check", "--help"]] {
            let done = corndog_tests::program::plain(CORNDOG, words, |_| {});
            assert_eq!(done.code, Some(0), "{words:?}: {done:?}");
            assert!(!done.stdout.is_empty(), "{words:?}");
        }
    });
}
