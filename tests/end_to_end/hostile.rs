//! Senders that mean harm, or are broken: the process lives, the honest neighbour is unharmed, the
//! ledger is exact.

use crate::CORNDOG;
use corndog_tests::messages::message;
use corndog_tests::senders::{Flood, random_bytes};
use corndog_tests::time::{full, seconds};
use corndog_tests::{Corndog, Ledger, Mock, Sender, Tally, read_all, settings, tally, timed};
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Numbered messages to `plain`; everything else, also to Kafka, to `hostile`.
const RULES: &str = r#"
[[rule]]
name = "honest"
field = "msg"
regex = '^c=\d\d s=\d{10} '
actions = [{ forward = "plain" }]
[[rule]]
name = "hostile"
actions = [{ forward = "hostile" }]
"#;

/// Runs `attack` beside an honest sender; what was received in all, and of that sender.
fn beside_an_honest_neighbour(over: &str, attack: impl FnOnce(&mut Corndog)) -> (Ledger, u64) {
    let mock = Mock::start();
    mock.create_topic("plain", 4);
    mock.create_topic("hostile", 4);
    let configuration = settings(&mock.bootstrap(), &format!("{over}\n{RULES}"));
    let mut corndog = Corndog::start(CORNDOG, &configuration);
    let flood = Flood::start(corndog.address(), 1, u64::MAX >> 20, 248, 500);
    sleep(Duration::from_millis(200));
    attack(&mut corndog);
    corndog.assert_alive();
    sleep(Duration::from_millis(200));
    assert!(!flood.any_ended(), "the honest neighbour was disconnected");
    flood.end();
    let sent = flood.finish();
    let ledger = corndog.stop();
    let records = read_all(&mock.bootstrap(), "plain");
    assert_eq!(tally(&records, &sent), Tally::perfect());
    let failed: u64 = ledger.failed.values().sum();
    assert_eq!(failed, 0, "{ledger:?}");
    (ledger, sent[0])
}

#[test]
fn twenty_thousand_nested_brackets_are_a_message() {
    timed(seconds(60), || {
        let (ledger, honest) = beside_an_honest_neighbour("", |corndog| {
            let mut sender = Sender::connect(corndog.address());
            for bracket in ["[", "{\"a\":", "(", "<", "\"", "\\", "[a b=\"", "\u{feff}"] {
                let nested = bracket.repeat(20_000 / bracket.len());
                sender.send_line(&nested);
                sender.send_line(&format!("<13>1 - host app - - - {nested}"));
                sender.send_line(&format!("<13>1 - host app - - {nested}"));
                sender.send_line(&format!("<13>Oct 11 22:14:15 host {nested}"));
            }
            sender.finish();
        });
        ledger.assert_all_delivered(honest + 32);
    });
}

#[test]
fn counts_of_twenty_digits_do_no_harm() {
    timed(seconds(60), || {
        let (ledger, honest) = beside_an_honest_neighbour("", |corndog| {
            let address = corndog.address();
            // As the first bytes: no count of at most seven digits, so frames end at LF.
            let mut first = Sender::connect(address);
            first.send("99999999999999999999 <13>1 - - - - - - a\n18446744073709551616 x\n");
            first.finish();
            // After an honest counted frame.
            let mut later = Sender::connect(address);
            later.send("4 <1>a99999999999999999999 <13>1 - - - - - - b\n");
            let _ = later.try_send("more of it\n");
            later.finish();
            // A count that is larger than what follows.
            let mut short = Sender::connect(address);
            short.send("9999999 <13>too short");
            short.finish();
        });
        assert!(ledger.received > honest + 2, "{ledger:?}");
        assert_eq!(ledger.delivered, ledger.forwarded);
    });
}

#[test]
fn nuls_do_no_harm() {
    timed(seconds(60), || {
        let (ledger, honest) = beside_an_honest_neighbour("", |corndog| {
            let mut sender = Sender::connect(corndog.address());
            let mut nuls = vec![0; 1_000_000];
            for end in nuls.iter_mut().skip(999).step_by(1000) {
                *end = b'\n';
            }
            sender.send(&nuls);
            sender.send_line("<13>1 - h\0st app - - - a\0b");
            sender.finish();
        });
        ledger.assert_all_delivered(honest + 1001);
    });
}

#[test]
fn a_frame_without_an_end_is_cut_and_the_next_is_found() {
    timed(seconds(60), || {
        let (ledger, honest) =
            beside_an_honest_neighbour("[limits]\nframe = \"8 KiB\"", |corndog| {
                let mut sender = Sender::connect(corndog.address());
                sender.send("x".repeat(20 << 20));
                sender.send("\n<13>1 - - - - - - after it\n");
                sender.finish();
            });
        ledger.assert_all_delivered(honest + 2);
    });
}

#[test]
fn random_bytes_do_no_harm() {
    timed(seconds(180), || {
        let length = if full() { seconds(60) } else { seconds(5) };
        let seed = u64::from(std::process::id());
        println!("seed {seed}");
        let (ledger, honest) = beside_an_honest_neighbour("", move |corndog| {
            let mut random = random_bytes(seed);
            let end = Instant::now() + length;
            while Instant::now() < end {
                let mut sender = Sender::connect(corndog.address());
                // 20 ms apart on average: each connection begins anew, some in octet counting.
                let mut bytes: Vec<u8> = random.by_ref().take(64 << 10).collect();
                if bytes[0].is_multiple_of(2) {
                    bytes.splice(..0, format!("{} ", bytes[1]).into_bytes());
                }
                // One that is closed for its framing is no harm.
                let _ = sender.try_send(&bytes);
                if bytes[2].is_multiple_of(2) {
                    sender.finish();
                }
                sleep(Duration::from_millis(5));
            }
        });
        assert!(ledger.received > honest, "{ledger:?}");
        assert_eq!(ledger.delivered, ledger.forwarded);
    });
}

#[test]
fn a_connection_reset_loses_only_its_unfinished_frame() {
    timed(seconds(60), || {
        let (ledger, honest) = beside_an_honest_neighbour("", |corndog| {
            for _ in 0..20 {
                let mut sender = Sender::connect(corndog.address());
                sender.send("<13>1 - - - - - - whole\n<13>1 - - - - - - unfin");
                // Read before the reset comes, which would take it along.
                sleep(Duration::from_millis(50));
                sender.reset();
            }
            sleep(Duration::from_millis(200));
        });
        assert_eq!(ledger.dropped("framing"), 20, "{ledger:?}");
        assert_eq!(ledger.delivered, honest + 20);
    });
}

#[test]
fn an_unfinished_frame_at_the_end_of_a_connection_is_delivered() {
    timed(seconds(60), || {
        let (ledger, honest) = beside_an_honest_neighbour("", |corndog| {
            let mut sender = Sender::connect(corndog.address());
            sender.send("<13>1 - - - - - - whole\n<13>1 - - - - - - without LF");
            sender.finish();
        });
        ledger.assert_all_delivered(honest + 2);
    });
}

/// Each byte of the rest that is skipped began the frame's time anew.
#[test]
fn the_rest_of_an_oversize_frame_has_no_more_time() {
    timed(seconds(60), || {
        let limits = "[limits]\nframe = \"480 B\"\nframe_time = \"1 s\"";
        let (ledger, ..) = beside_an_honest_neighbour(limits, |corndog| {
            let mut slow = Sender::connect(corndog.address());
            let start = Instant::now();
            slow.send([b'x'; 600]);
            while slow.try_send("x").is_ok() && !slow.is_closed() {
                sleep(Duration::from_millis(100));
                assert!(start.elapsed() < seconds(10), "it was never closed");
            }
        });
        assert_eq!(ledger.delivered, ledger.received, "what came before the cut is a message");
    });
}

#[test]
fn a_slow_frame_is_closed_after_frame_time() {
    timed(seconds(60), || {
        let (ledger, honest) =
            beside_an_honest_neighbour("[limits]\nframe_time = \"1 s\"", |corndog| {
                let mut slow = Sender::connect(corndog.address());
                let mut steady = Sender::connect(corndog.address());
                let start = Instant::now();
                // A byte now and then does not help.
                while slow.try_send("x").is_ok() && !slow.is_closed() {
                    steady.send_line("<13>1 - - - - - - in time");
                    sleep(Duration::from_millis(100));
                    assert!(start.elapsed() < seconds(10), "it was never closed");
                }
                let took = start.elapsed();
                assert!(took >= Duration::from_millis(950), "closed after {took:?}");
                assert!(took < Duration::from_millis(2500), "closed after {took:?}");
                steady.finish();
            });
        assert_eq!(ledger.dropped("framing"), 1, "{ledger:?}");
        assert_eq!(ledger.delivered, ledger.received - 1);
        assert!(ledger.delivered > honest + 5);
    });
}

#[test]
fn an_idle_connection_is_closed_after_idle_time() {
    timed(seconds(60), || {
        let (ledger, honest) =
            beside_an_honest_neighbour("[limits]\nidle_time = \"1 s\"", |corndog| {
                let mut idle = Sender::connect(corndog.address());
                idle.send_line("<13>1 - - - - - - and then nothing");
                let took = idle.wait_closed(seconds(10));
                assert!(took >= Duration::from_millis(950), "closed after {took:?}");
                assert!(took < Duration::from_millis(2500), "closed after {took:?}");
            });
        ledger.assert_all_delivered(honest + 1);
    });
}

/// How many of these connections are open, after the program had time to close the others.
fn count_open(senders: &mut [Sender]) -> usize {
    sleep(Duration::from_millis(500));
    senders.iter_mut().map(|sender| usize::from(!sender.is_closed())).sum()
}

#[test]
fn connections_beyond_the_limit_are_closed_and_counted() {
    timed(seconds(60), || {
        let over = "[shards]\nreceivers = 2\n[limits]\nconnections = 8\nconnections_per_ip = 8";
        let (ledger, honest) = beside_an_honest_neighbour(over, |corndog| {
            let address = corndog.address();
            let mut senders: Vec<Sender> = (0..20).map(|_| Sender::connect(address)).collect();
            // The neighbour's is the eighth.
            assert_eq!(count_open(&mut senders), 7);
            drop(senders);
            sleep(Duration::from_millis(300));
            let mut sender = Sender::connect(address);
            sender.send_line("<13>1 - - - - - - there is room again");
            sender.finish();
        });
        ledger.assert_all_delivered(honest + 1);
    });
}

#[test]
fn one_address_cannot_take_all_connections() {
    timed(seconds(60), || {
        let over = "[limits]\nconnections = 100\nconnections_per_ip = 4";
        let (ledger, honest) = beside_an_honest_neighbour(over, |corndog| {
            let address = corndog.address();
            let greedy = Ipv4Addr::new(127, 0, 0, 2);
            let mut senders: Vec<Sender> =
                (0..10).map(|_| Sender::connect_from(greedy, address).unwrap()).collect();
            assert_eq!(count_open(&mut senders), 4);
            let mut other = Sender::connect_from(Ipv4Addr::new(127, 0, 0, 3), address).unwrap();
            other.send_line("<13>1 - - - - - - from elsewhere");
            other.finish();
        });
        ledger.assert_all_delivered(honest + 1);
    });
}

#[test]
fn a_busy_connection_does_not_starve_another_on_its_shard() {
    timed(seconds(60), || {
        let mock = Mock::start();
        mock.create_topic("plain", 4);
        let over = "[shards]\nreceivers = 1\n[[rule]]\nfield = \"hostname\"\nregex = '^quiet$'\n\
                    actions = [{ forward = \"plain\" }]\n[[rule]]\nactions = [{ stop = true }]";
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), over));
        let busy = Flood::start(corndog.address(), 4, u64::MAX >> 20, 248, 0);
        sleep(Duration::from_millis(300));
        let mut quiet = Sender::connect(corndog.address());
        let mut watch = corndog_tests::Watch::new(&mock.bootstrap(), "plain", seconds(10));
        let mut slowest = Duration::ZERO;
        for number in 1..=10 {
            let start = Instant::now();
            quiet.send_line("<13>1 - quiet - - - - still here");
            watch.until(number, seconds(5));
            slowest = slowest.max(start.elapsed());
            sleep(Duration::from_millis(50));
        }
        busy.end();
        busy.finish();
        println!("slowest {slowest:?}");
        assert!(slowest < seconds(1), "the quiet connection waited {slowest:?}");
        quiet.finish();
        let ledger = corndog.stop();
        assert_eq!(ledger.delivered, 10);
        assert_eq!(ledger.dropped("stopped") + 10, ledger.received);
    });
}

#[test]
fn honest_octet_counting_beside_lf_arrives_whole() {
    timed(seconds(60), || {
        let mock = Mock::start();
        mock.create_topic("plain", 4);
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), ""));
        let mut counted = Sender::connect(corndog.address());
        let mut lines = Sender::connect(corndog.address());
        for sequence in 0..2000 {
            let text = message(0, sequence, 248);
            counted.send(format!("{} {text}", text.len()));
            lines.send_line(&message(1, sequence, 248));
        }
        counted.finish();
        lines.finish();
        corndog.stop().assert_all_delivered(4000);
        let records = read_all(&mock.bootstrap(), "plain");
        assert_eq!(tally(&records, &[2000, 2000]), Tally::perfect());
    });
}
