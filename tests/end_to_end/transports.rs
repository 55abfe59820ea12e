//! UDP, unix sockets, IPv6, PROXY headers and allow lists, with the senders that use them.

use crate::CORNDOG;
use corndog_tests::messages::message;
use corndog_tests::pki::Pki;
use corndog_tests::places::{Scratch, free_port};
use corndog_tests::process::run;
use corndog_tests::secure::{SecureSender, Trust};
use corndog_tests::time::seconds;
use corndog_tests::{Corndog, Ledger, Mock, Sender, Tally, read_all, settings, tally, timed};
use serde_json::Value as Json;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::thread::sleep;
use std::time::Duration;

/// Who sent it, and on which listener, as the key; the host name too.
const RULES: &str =
    "[[rule]]\nactions = [{ forward = \"plain\", key = \"{{listener}} {{peer}} {{hostname}}\" }]";

struct Running {
    corndog: Corndog,
    mock: Mock,
}

fn start(listen: &str, more: &str) -> Running {
    let mock = Mock::start();
    mock.create_topic("plain", 1);
    let over = format!("{more}\n{listen}\n{RULES}");
    let corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), &over));
    Running { corndog, mock }
}

impl Running {
    /// Waits until so many messages have come in, as far as the log can tell: until all are records.
    fn wait_records(&self, count: usize) -> Vec<(String, String)> {
        let mut watch = corndog_tests::Watch::new(&self.mock.bootstrap(), "plain", seconds(10));
        let records = watch.until(count, seconds(10));
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(b"")).into_owned();
        records
            .iter()
            .map(|record| (text(record.key.as_deref()), text(Some(&record.payload))))
            .collect()
    }

    fn stop(&mut self) -> Ledger {
        self.corndog.stop()
    }

    /// The last line of statistics.
    fn statistics(&self) -> Json {
        let lines = self.corndog.log();
        let line = lines.iter().rev().find(|line| line.contains("\"message\":\"statistics\""));
        serde_json::from_str(line.expect("statistics")).unwrap()
    }

    fn refused(&self, reason: &str) -> u64 {
        self.statistics()["connections_refused"][reason].as_u64().unwrap_or(0)
    }
}

fn udp(address: &str, more: &str) -> String {
    format!("[[listen]]\nname = \"u\"\ntransport = \"udp\"\naddress = \"{address}\"\n{more}")
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

#[test]
fn each_datagram_is_a_message_without_its_end() {
    timed(seconds(60), || {
        let mut running = start(&udp("127.0.0.1:0", ""), "[shards]\nreceivers = 2");
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = running.corndog.address();
        for text in ["<13>a", "<13>b\n", "<13>c\r\n", "<13>d\0", "\n", "", "<13>e\nf\n", "9 <13>g"]
        {
            sender.send_to(text.as_bytes(), address).unwrap();
        }
        let records = running.wait_records(6);
        let payloads: Vec<&str> = records.iter().map(|(_, payload)| payload.as_str()).collect();
        assert_eq!(payloads, ["a", "b", "c", "d", "e\nf", "9 <13>g"]);
        assert!(records.iter().all(|(key, _)| key == "u 127.0.0.1 127.0.0.1"), "{records:?}");
        running.stop().assert_all_delivered(6);
    });
}

#[test]
fn loggers_and_pythons_datagrams_arrive_on_both_families() {
    timed(seconds(60), || {
        let port = free_port();
        let mut running = start(&udp(&format!("[::]:{port}"), ""), "");
        for (server, options) in [
            ("127.0.0.1", &["--rfc5424"][..]),
            ("127.0.0.1", &["--rfc3164"]),
            ("::1", &["--rfc5424"]),
        ] {
            run("logger", seconds(10), |command| {
                command.args(["--udp", "--server", server, "--port", &port.to_string()]);
                command.args(options).args(["--", "by logger"]);
            });
        }
        let script = format!(
            "import logging, logging.handlers\n\
             log = logging.getLogger()\n\
             log.addHandler(logging.handlers.SysLogHandler(('127.0.0.1', {port})))\n\
             log.warning('by python')"
        );
        run("python3", seconds(10), |command| {
            command.args(["-c", &script]);
        });
        let records = running.wait_records(4);
        let by = |text: &str| records.iter().filter(|(_, payload)| payload == text).count();
        assert_eq!((by("by logger"), by("by python")), (3, 1), "{records:?}");
        let from = |peer: &str| records.iter().filter(|(key, _)| key.contains(peer)).count();
        assert_eq!((from(" 127.0.0.1 "), from(" ::1 ")), (3, 1), "{records:?}");
        running.stop().assert_all_delivered(4);
    });
}

#[test]
fn a_datagram_longer_than_a_frame_is_cut_and_counted() {
    timed(seconds(60), || {
        let over = "[limits]\nframe = \"480 B\"";
        let mut running = start(&udp("127.0.0.1:0", ""), over);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = running.corndog.address();
        sender.send_to(&[b'x'; 480], address).unwrap();
        sender.send_to(&[b'x'; 481], address).unwrap();
        sender.send_to(&[b'x'; 65_507], address).unwrap();
        let records = running.wait_records(3);
        assert!(records.iter().all(|(_, payload)| payload.len() == 480), "{records:?}");
        running.stop().assert_all_delivered(3);
        assert_eq!(running.statistics()["truncated"], 2);
    });
}

/// Nobody can hold a UDP sender: what does not fit is lost, and every one of them is known.
#[test]
fn what_the_kernel_drops_while_kafka_is_away_is_counted() {
    timed(seconds(120), || {
        let mock = Mock::start();
        mock.create_topic("plain", 1);
        let over = format!(
            "[limits]\ndrain_time = \"20 s\"\n[batches]\nbytes = \"128 KiB\"\nper_receiver = 2\n{}",
            udp("127.0.0.1:0", "receive_buffer = \"64 KiB\"")
        );
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), &over));
        mock.down();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sent = 20_000;
        for number in 0..sent {
            let text = format!("<13>1 - - - - - - number {number} {}", "x".repeat(200));
            sender.send_to(text.as_bytes(), corndog.address()).unwrap();
        }
        sleep(Duration::from_millis(1500));
        mock.up();
        let ledger = corndog.stop();
        let lines = corndog.log();
        let line = lines.iter().rev().find(|line| line.contains("\"message\":\"statistics\""));
        let statistics: Json = serde_json::from_str(line.unwrap()).unwrap();
        let dropped = statistics["dropped_by_kernel"].as_u64().unwrap();
        assert!(dropped > 0, "{statistics}");
        assert_eq!(ledger.received + dropped, sent, "{ledger:?}");
        assert_eq!(ledger.delivered, ledger.received);
    });
}

/// 1 GiB is more than any kernel gives: it counts twice that, in 31 bits.
#[test]
fn a_smaller_receive_buffer_than_was_asked_for_is_said() {
    timed(seconds(60), || {
        let mut running = start(&udp("127.0.0.1:0", "receive_buffer = \"1 GiB\""), "");
        let log = running.corndog.log();
        let said = log.iter().find(|line| line.contains("receive_buffer: "));
        let said = said.unwrap_or_else(|| panic!("{log:#?}"));
        assert!(said.contains("listen \\\"u\\\"") && said.contains("\"WARN\""), "{said}");
        assert!(said.contains("1048576 KiB were asked for") && said.contains("rmem_max"), "{said}");
        running.stop().assert_all_delivered(0);
    });
}

/// One sender's long datagrams end its turn before its count does; those of others come through.
#[test]
fn long_datagrams_and_short_ones_all_arrive() {
    timed(seconds(60), || {
        let mut running = start(&udp("127.0.0.1:0", ""), "");
        let address = running.corndog.address();
        let [long, short] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        for number in 0..100 {
            let text = format!("<13>1 - - - - - - long {}", "x".repeat(40_000));
            // At most so many as the buffer holds.
            long.send_to(text.as_bytes(), address).unwrap();
            short.send_to(format!("<13>1 - - - - - - short {number}").as_bytes(), address).unwrap();
            if number % 20 == 19 {
                running.wait_records(2 * (number + 1));
            }
        }
        let records = running.wait_records(200);
        let short = records.iter().filter(|(_, payload)| payload.starts_with("short"));
        let numbers: Vec<&str> = short.map(|(_, payload)| payload.as_str()).collect();
        let expected: Vec<String> = (0..100).map(|number| format!("short {number}")).collect();
        assert_eq!(numbers, expected);
        running.stop().assert_all_delivered(200);
    });
}

#[test]
fn datagrams_that_come_all_the_time_all_arrive_those_before_a_stop_too() {
    const BEFORE: usize = 3000;
    const COUNT: usize = BEFORE + 500;
    timed(seconds(60), || {
        let mut running = start(&udp("127.0.0.1:0", "receive_buffer = \"4 MiB\""), "");
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = running.corndog.address();
        // Far less than a beat from each to the next.
        let send = |number: usize| {
            sender.send_to(format!("<13>number {number}").as_bytes(), address).unwrap();
            sleep(Duration::from_micros(150));
        };
        (0..BEFORE).for_each(send);
        assert_eq!(running.wait_records(BEFORE).len(), BEFORE);
        (BEFORE..COUNT).for_each(send);
        running.stop().assert_all_delivered(COUNT as u64);
        let mut numbers: Vec<usize> = running
            .wait_records(COUNT)
            .iter()
            .filter_map(|(_, payload)| payload.strip_prefix("number ")?.parse().ok())
            .collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..COUNT));
    });
}

#[test]
fn datagrams_from_other_networks_are_dropped_and_counted() {
    timed(seconds(60), || {
        let mut running = start(&udp("127.0.0.1:0", "allow = [\"127.0.0.2\"]"), "");
        let address = running.corndog.address();
        for (source, count) in [("127.0.0.2:0", 3), ("127.0.0.3:0", 5)] {
            let sender = UdpSocket::bind(source).unwrap();
            for _ in 0..count {
                sender.send_to(b"<13>1 - - - - - - hello", address).unwrap();
            }
        }
        running.wait_records(3);
        let ledger = running.stop();
        assert_eq!((ledger.received, ledger.delivered), (8, 3), "{ledger:?}");
        assert_eq!(ledger.dropped("not_allowed"), 5);
        assert!(running.corndog.log().iter().any(|line| line.contains("127.0.0.3:")));
    });
}

#[test]
fn unix_sockets_take_local_senders() {
    timed(seconds(60), || {
        let scratch = Scratch::new("unix");
        let [stream, datagram] = ["stream", "datagram"].map(|name| scratch.path().join(name));
        // Left over from a run that was killed.
        drop(UnixListener::bind(&stream).unwrap());
        drop(UnixDatagram::bind(&datagram).unwrap());
        let listen = format!(
            "[[listen]]\nname = \"s\"\ntransport = \"unix-stream\"\naddress = {stream:?}\nmode = \"0620\"\n\
             [[listen]]\nname = \"d\"\ntransport = \"unix-datagram\"\naddress = {datagram:?}"
        );
        let mut running = start(&listen, "[shards]\nreceivers = 2");
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&stream), mode(&datagram)), (0o620, 0o666));
        for path in [&stream, &datagram] {
            run("logger", seconds(10), |command| {
                command.arg("--socket").arg(path).args(["--socket-errors=on", "--", "by logger"]);
            });
        }
        let script = format!(
            "import logging, logging.handlers\n\
             log = logging.getLogger()\n\
             log.addHandler(logging.handlers.SysLogHandler({datagram:?}))\n\
             log.warning('by python')"
        );
        run("python3", seconds(10), |command| {
            command.args(["-c", &script]);
        });
        let mut sender = UnixStream::connect(&stream).unwrap();
        std::io::Write::write_all(&mut sender, b"<13>1 - - - - - - one\n<13>two\n").unwrap();
        let records = running.wait_records(5);
        let host = host_name();
        let on = |key: String| records.iter().filter(|(found, _)| found.starts_with(&key)).count();
        assert_eq!((on(format!("s {host}")), on(format!("d {host}"))), (3, 2), "{records:?}");
        let by = |text: &str| records.iter().filter(|(_, payload)| payload == text).count();
        assert_eq!((by("by logger"), by("by python"), by("one"), by("two")), (2, 1, 1, 1));
        running.stop().assert_all_delivered(5);
        assert!(!stream.exists() && !datagram.exists(), "their paths are gone");
    });
}

#[test]
fn a_datagram_sender_on_this_machine_waits_while_kafka_is_away() {
    // The kernel holds ten: who looked for them ten times a second would need 50 s.
    timed(seconds(40), || {
        let scratch = Scratch::new("unix");
        let path = scratch.path().join("log");
        let mock = Mock::start();
        mock.create_topic("plain", 1);
        let over = format!(
            "[batches]\nbytes = \"128 KiB\"\nper_receiver = 2\n\
             [[listen]]\ntransport = \"unix-datagram\"\naddress = {path:?}"
        );
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), &over));
        mock.down();
        let sender = UnixDatagram::unbound().unwrap();
        sender.connect(&path).unwrap();
        let sending = std::thread::spawn(move || {
            for number in 0..5000 {
                let text = format!("<13>1 - - - - - - number {number} {}", "x".repeat(200));
                sender.send(text.as_bytes()).unwrap();
            }
        });
        sleep(seconds(1));
        assert!(!sending.is_finished(), "the sender is held");
        mock.up();
        sending.join().unwrap();
        corndog.stop().assert_all_delivered(5000);
    });
}

/// Sends messages in pieces that come half a millisecond after each other, or as much longer as the
/// machine likes: connections like that are read at a beat. How many messages.
fn send_in_pieces(connection: usize, mut write: impl FnMut(&[u8])) -> u64 {
    let pause = Duration::from_micros(500);
    let mut count = 0;
    let mut lines = |bytes: &[usize]| -> Vec<u8> {
        let line = |bytes: &usize| {
            count += 1;
            message(connection, count - 1, *bytes) + "\n"
        };
        bytes.iter().map(line).collect::<String>().into_bytes()
    };
    let mut send = |bytes: &[u8]| {
        write(bytes);
        sleep(pause);
    };
    for round in 0..12 {
        // A frame that nearly fills a buffer; what fills the rest of it, and a frame's beginning.
        let mut bytes = lines(&[60_000]);
        bytes.extend(lines(&[250; 20]));
        bytes.extend(lines(&[1500]));
        for piece in [50_000 + round, 15_000, 1000] {
            send(&bytes.drain(..piece).collect::<Vec<_>>());
        }
        send(&bytes);
        // Short pieces, that end anywhere.
        let bytes = lines(&[100; 30]);
        bytes.chunks(70 + round).for_each(&mut send);
        // Nothing for longer than a beat.
        sleep(4 * pause);
    }
    // The last one needs no end, and the sender's end comes right behind it.
    let last = lines(&[200]);
    send(&last[..100]);
    send(&last[100..200]);
    count
}

#[test]
fn what_comes_in_pieces_in_quick_succession_is_taken_whole_and_in_order() {
    timed(seconds(90), || {
        let scratch = Scratch::new("pieces");
        let path = scratch.path().join("stream");
        let pki = Pki::new();
        let listen = format!(
            "[[listen]]\nname = \"plain\"\naddress = \"127.0.0.1:0\"\n\
             [[listen]]\nname = \"secure\"\naddress = \"127.0.0.1:0\"\ntransport = \"tls\"\n{}\n\
             [[listen]]\nname = \"unix\"\naddress = {path:?}\ntransport = \"unix-stream\"",
            pki.tls("")
        );
        let mut running = start(&listen, "[shards]\nreceivers = 1");
        let [plain, secure] = [0, 1].map(|listener| running.corndog.addresses()[listener]);
        let sent = std::thread::scope(|scope| {
            let senders = [
                scope.spawn(|| {
                    let mut stream = TcpStream::connect(plain).unwrap();
                    send_in_pieces(0, |bytes| stream.write_all(bytes).unwrap())
                }),
                scope.spawn(|| {
                    let mut stream = UnixStream::connect(&path).unwrap();
                    send_in_pieces(1, |bytes| stream.write_all(bytes).unwrap())
                }),
                scope.spawn(|| {
                    let trust = Trust::in_ca(&pki);
                    let mut sender = SecureSender::connect(secure, &trust, "127.0.0.1").unwrap();
                    let count = send_in_pieces(2, |bytes| sender.send(bytes).unwrap());
                    sender.finish().unwrap();
                    count
                }),
            ];
            senders.map(|sender| sender.join().unwrap())
        });
        let ledger = running.stop();
        ledger.assert_all_delivered(sent.iter().sum());
        let records = read_all(&running.mock.bootstrap(), "plain");
        assert_eq!(tally(&records, &sent), Tally::perfect());
    });
}

#[test]
fn a_listener_that_cannot_be_had_names_itself() {
    timed(seconds(60), || {
        let scratch = Scratch::new("taken");
        let file = scratch.path().join("file");
        fs::write(&file, "precious").unwrap();
        let live = scratch.path().join("live");
        let _owner = UnixListener::bind(&live).unwrap();
        let port = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port_taken = port.local_addr().unwrap();
        let unix = |path: &std::path::Path| {
            format!("[[listen]]\nname = \"u\"\ntransport = \"unix-stream\"\naddress = {path:?}")
        };
        for (listen, why) in [
            (udp(&port_taken.to_string(), ""), "another program listens"),
            (unix(&file), "no socket"),
            (unix(&live), "another program listens"),
            (unix(&scratch.path().join("missing/log")), "make its folder"),
        ] {
            let configuration = settings("127.0.0.1:9", &listen);
            let done = corndog_tests::program::command(CORNDOG, &["run"], &configuration);
            assert_eq!(done.code, Some(2), "{done:?}");
            let said = done.stderr.lines().find(|line| line.contains("ERROR"));
            let said = said.unwrap_or_else(|| panic!("{done:?}"));
            assert!(said.contains("listen \"u\": ") && said.contains(why), "{said}");
        }
        assert_eq!(fs::read_to_string(file).unwrap(), "precious");
        assert!(live.exists());
    });
}

#[test]
fn an_ipv6_listener_takes_both_families_over_tcp() {
    timed(seconds(60), || {
        let port = free_port();
        let listen = format!("[[listen]]\nname = \"t\"\naddress = \"[::]:{port}\"");
        let mut running = start(&listen, "[shards]\nreceivers = 2");
        for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            let mut sender = Sender::connect(address.parse().unwrap());
            sender.send_line("<13>hello");
            sender.finish();
        }
        let mut keys: Vec<String> =
            running.wait_records(2).into_iter().map(|(key, _)| key).collect();
        keys.sort();
        assert_eq!(keys, ["t 127.0.0.1 127.0.0.1", "t ::1 ::1"]);
        running.stop().assert_all_delivered(2);
    });
}

fn tcp(more: &str) -> String {
    format!("[[listen]]\nname = \"t\"\naddress = \"127.0.0.1:0\"\n{more}")
}

#[test]
fn a_proxy_says_whose_connection_it_is() {
    timed(seconds(60), || {
        let listen = tcp("proxy_protocol = true\nallow = [\"127.0.0.0/8\"]");
        let mut running = start(&listen, "[limits]\nhandshake_time = \"1 s\"");
        let address = running.corndog.address();
        let version_2: &[u8] =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x09\x7f\0\0\x01\0\x07\x02\x02";
        let send = |pieces: &[&[u8]]| {
            let mut sender = Sender::connect(address);
            for piece in pieces {
                sender.send(piece);
                sleep(Duration::from_millis(20));
            }
            sender.finish();
        };
        send(&[b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 514\r\n<13>one\n"]);
        send(&[b"PROXY TCP6 2001:db8::7 ::1 40000 514\r", b"\n<13>tw", b"o\n"]);
        send(&[version_2, b"<13>three\n"]);
        send(&[&version_2[..20], &version_2[20..], b"<13>four\n"]);
        send(&[b"PROXY UNKNOWN\r\n<13>five\n"]);
        let mut records = running.wait_records(5);
        records
            .sort_by_key(|(_, payload)| payload.len() * 256 + usize::from(payload.as_bytes()[0]));
        let peer = |text: &str| {
            let (key, _) = records.iter().find(|(_, payload)| payload == text).unwrap();
            key.split(' ').nth(1).unwrap().to_owned()
        };
        assert_eq!(peer("one"), "192.0.2.7");
        assert_eq!(peer("two"), "2001:db8::7");
        assert_eq!(peer("three"), "192.0.2.9");
        assert_eq!(peer("four"), "192.0.2.9");
        assert_eq!(peer("five"), "127.0.0.1");
        // Without a header, with one that is wrong, and with half of one.
        for (bytes, limit) in [
            (&b"<13>no header\n"[..], 500),
            (b"PROXY TCP4 nobody 127.0.0.1 1 2\r\n<13>x\n", 500),
            (b"PROXY TCP4 192.0.2.7", 2000),
        ] {
            let mut sender = Sender::connect(address);
            sender.send(bytes);
            let took = sender.wait_closed(seconds(5));
            assert!(took < Duration::from_millis(limit), "{took:?}");
        }
        running.stop().assert_all_delivered(5);
        assert_eq!(running.refused("proxy_header"), 2);
        assert_eq!(running.refused("handshake_time"), 1);
    });
}

#[test]
fn connections_count_for_whom_the_proxy_names() {
    timed(seconds(60), || {
        let listen = tcp("proxy_protocol = true\nallow = [\"127.0.0.1\"]");
        let limits = "[limits]\nconnections = 100\nconnections_per_ip = 2\nconnections_per_64 = 3";
        let mut running = start(&listen, limits);
        let address = running.corndog.address();
        let mut open: Vec<Sender> = Vec::new();
        for source in [
            "TCP4 192.0.2.7 127.0.0.1",
            "TCP4 192.0.2.7 127.0.0.1",
            "TCP4 192.0.2.7 127.0.0.1",
            "TCP4 192.0.2.8 127.0.0.1",
            "TCP6 2001:db8::1 ::1",
            "TCP6 2001:db8::2 ::1",
            "TCP6 2001:db8::3 ::1",
            "TCP6 2001:db8::4 ::1",
            "TCP6 2001:db8:0:1::4 ::1",
        ] {
            let mut sender = Sender::connect(address);
            sender.send(format!("PROXY {source} 1 2\r\n<13>hello\n"));
            open.push(sender);
            sleep(Duration::from_millis(20));
        }
        running.wait_records(7);
        drop(open);
        running.stop().assert_all_delivered(7);
        assert_eq!(running.refused("connections_per_ip"), 1);
        assert_eq!(running.refused("connections_per_64"), 1);
    });
}

#[test]
fn connections_from_other_networks_are_refused() {
    timed(seconds(60), || {
        let mut running = start(&tcp("allow = [\"127.0.0.2\", \"127.0.1.0/24\"]"), "");
        let address = running.corndog.address();
        for (source, is_welcome) in [
            (Ipv4Addr::new(127, 0, 0, 2), true),
            (Ipv4Addr::new(127, 0, 1, 77), true),
            (Ipv4Addr::new(127, 0, 0, 3), false),
        ] {
            let mut sender = Sender::connect_from(source, address).unwrap();
            let _ = sender.try_send("<13>hello\n");
            if is_welcome {
                sender.finish();
            } else {
                sender.wait_closed(seconds(2));
            }
        }
        running.wait_records(2);
        running.stop().assert_all_delivered(2);
        assert_eq!(running.refused("not_allowed"), 1);
        let log = running.corndog.log();
        assert!(log.iter().any(|line| line.contains("127.0.0.3") && line.contains("allow")));
    });
}

/// Each shard has a socket of its own: of several senders none is alone.
#[test]
fn udp_and_tcp_of_one_port_are_spread_over_shards() {
    timed(seconds(60), || {
        let port = free_port();
        let listen = format!(
            "{}\n[[listen]]\nname = \"t\"\naddress = \"127.0.0.1:{port}\"",
            udp(&format!("127.0.0.1:{port}"), "")
        );
        let mut running = start(&listen, "[shards]\nreceivers = 2");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        for _ in 0..32 {
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            sender.send_to(b"<13>udp", address).unwrap();
            let mut sender = Sender::connect(address);
            sender.send_line("<13>tcp");
            sender.finish();
        }
        running.wait_records(64);
        running.stop().assert_all_delivered(64);
        assert!(TcpListener::bind(address).is_ok(), "the port is free again");
    });
}

#[test]
fn a_listener_says_how_its_senders_write() {
    timed(seconds(60), || {
        let listen = "[[listen]]\nname = \"octet\"\naddress = \"127.0.0.1:0\"\nframing = \"octet\"\n\
                      [[listen]]\nname = \"nul\"\naddress = \"127.0.0.1:0\"\nframing = \"nul\"\n\
                      [[listen]]\nname = \"raw\"\naddress = \"127.0.0.1:0\"\nformat = \"raw\"";
        let mut running = start(listen, "");
        let addresses = running.corndog.addresses().to_vec();
        let mut octet = Sender::connect(addresses[0]);
        octet.send("8 <13>line<13>no count\n8 <13>lost");
        octet.wait_closed(seconds(5));
        let mut nul = Sender::connect(addresses[1]);
        nul.send("<13>two\nlines\0<13>second\0");
        nul.finish();
        let mut raw = Sender::connect(addresses[2]);
        raw.send_line("<13>1 - - - - - - as it is");
        raw.finish();
        let records = running.wait_records(4);
        let of = |listener: &str| -> Vec<&str> {
            let is_its = |record: &&(String, String)| record.0.starts_with(listener);
            records.iter().filter(is_its).map(|(_, payload)| payload.as_str()).collect()
        };
        assert_eq!(of("octet "), ["line"]);
        assert_eq!(of("nul "), ["two\nlines", "second"]);
        assert_eq!(of("raw "), ["<13>1 - - - - - - as it is"]);
        let ledger = running.stop();
        assert_eq!((ledger.received, ledger.delivered), (5, 4));
        assert_eq!(ledger.dropped("framing"), 1);
        assert_eq!(running.statistics()["closed"]["framing"], 1);
        assert!(running.corndog.log().iter().any(|line| line.contains("no count stands")));
    });
}

#[test]
fn a_listeners_time_zone_is_that_of_its_senders() {
    timed(seconds(60), || {
        let listen = "[kafka]\nrecord_time = \"message\"\n\
                      [[listen]]\nname = \"utc\"\naddress = \"127.0.0.1:0\"\n\
                      [[listen]]\nname = \"tokyo\"\naddress = \"127.0.0.1:0\"\ntimezone = \"Asia/Tokyo\"";
        let mut running = start(listen, "");
        let noon = run("date", seconds(5), |command| {
            command.args(["-u", "-d", "12 hours ago", "+%b %e %H:%M:%S"]);
        });
        for address in running.corndog.addresses().to_vec() {
            let mut sender = Sender::connect(address);
            sender.send_line(&format!("<13>{} host app: noon", noon.trim()));
            sender.finish();
        }
        let mut watch = corndog_tests::Watch::new(&running.mock.bootstrap(), "plain", seconds(10));
        let times: Vec<i64> =
            watch.until(2, seconds(10)).iter().filter_map(|record| record.timestamp).collect();
        assert_eq!((times[0] - times[1]).abs(), 9 * 3_600_000, "{times:?}");
        running.stop().assert_all_delivered(2);
    });
}
