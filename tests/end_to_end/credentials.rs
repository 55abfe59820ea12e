//! Who sent a message in the unix domain: `peer_pid`, `peer_uid` and `peer_gid`.

use crate::CORNDOG;
use corndog_tests::places::Scratch;
use corndog_tests::process::run;
use corndog_tests::time::seconds;
use corndog_tests::{Corndog, Mock, Sender, Watch, settings, timed};
use std::io::Write as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

const ASKS: &str = "[[rule]]\nactions = [{ forward = \"plain\", key = \
                    \"{{listener}} {{peer_pid}} {{peer_uid}} {{peer_gid}}\" }]\n";
const ASKS_NOT: &str = "[[rule]]\nactions = [{ forward = \"plain\", key = \"{{listener}}\" }]\n";

/// A listener of each kind.
fn listen(stream: &Path, datagram: &Path) -> String {
    format!(
        "[shards]\nreceivers = 2\n[[listen]]\nname = \"t\"\naddress = \"127.0.0.1:0\"\n\
         [[listen]]\nname = \"s\"\ntransport = \"unix-stream\"\naddress = {stream:?}\n\
         [[listen]]\nname = \"d\"\ntransport = \"unix-datagram\"\naddress = {datagram:?}\n"
    )
}

/// Keys and payloads of the first `count` records.
fn records(watch: &mut Watch, count: usize) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let records = watch.until(count, seconds(10));
    let pair = |record: &corndog_tests::Record| {
        (text(record.key.as_deref().unwrap_or_default()), text(&record.payload))
    };
    records.iter().map(pair).collect()
}

/// The sender may say what it likes in the message; whose process, user and group it is, the kernel
/// says.
#[test]
fn the_kernel_says_which_process_sent_a_message() {
    timed(seconds(60), || {
        let scratch = Scratch::new("credentials");
        let [stream, datagram] = ["stream", "datagram"].map(|name| scratch.path().join(name));
        let mock = Mock::start();
        mock.create_topic("plain", 1);
        let over = format!("{}{ASKS}", listen(&stream, &datagram));
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), &over));
        let mut tcp = Sender::connect(corndog.address());
        tcp.send_line("<13>1 - - app 1 - - tcp");
        tcp.finish();
        let mut connection = UnixStream::connect(&stream).unwrap();
        connection.write_all(b"<13>1 - - app 1 - - ours\n<13>app[1]: ours\n").unwrap();
        drop(connection);
        let socket = UnixDatagram::unbound().unwrap();
        // Between two of this process, one of another: each datagram has its own sender.
        let script = format!(
            "import os, socket\n\
             for kind, path in (socket.SOCK_DGRAM, {datagram:?}), (socket.SOCK_STREAM, {stream:?}):\n\
             \x20   sender = socket.socket(socket.AF_UNIX, kind)\n\
             \x20   sender.connect(path)\n\
             \x20   sender.send(b'<13>app[1]: %d\\n' % os.getpid())\n\
             \x20   sender.close()"
        );
        socket.send_to(b"<13>app[1]: ours", &datagram).unwrap();
        run("python3", seconds(10), |command| {
            command.args(["-c", &script]);
        });
        socket.send_to(b"<13>app[1]: ours", &datagram).unwrap();

        let mut watch = Watch::new(&mock.bootstrap(), "plain", seconds(10));
        let found = records(&mut watch, 7);
        let (pid, user) = (std::process::id(), rustix::process::geteuid().as_raw());
        let group = rustix::process::getegid().as_raw();
        let count = |key: &str, payload: &str| {
            found.iter().filter(|(a, b)| (a.as_str(), b.as_str()) == (key, payload)).count()
        };
        assert_eq!(count("t   ", "tcp"), 1, "{found:?}");
        assert_eq!(count(&format!("s {pid} {user} {group}"), "ours"), 2, "{found:?}");
        assert_eq!(count(&format!("d {pid} {user} {group}"), "ours"), 2, "{found:?}");
        let other = found.iter().find(|(_, payload)| payload.parse::<u32>().is_ok());
        let other = &other.unwrap_or_else(|| panic!("{found:?}")).1;
        assert_ne!(*other, pid.to_string());
        for listener in ["s", "d"] {
            let key = format!("{listener} {other} {user} {group}");
            assert_eq!(count(&key, other), 1, "{found:?}");
        }
        corndog.stop().assert_all_delivered(7);
    });
}

/// Where no rule asks, the kernel is not asked for each datagram; after a reload it is.
#[test]
fn a_reload_may_bring_a_rule_that_asks() {
    timed(seconds(60), || {
        let scratch = Scratch::new("credentials");
        let [stream, datagram] = ["stream", "datagram"].map(|name| scratch.path().join(name));
        let mock = Mock::start();
        mock.create_topic("plain", 1);
        let with = |rules: &str| {
            settings(&mock.bootstrap(), &format!("{}{rules}", listen(&stream, &datagram)))
        };
        let mut corndog = Corndog::start(CORNDOG, &with(ASKS_NOT));
        let mut connection = UnixStream::connect(&stream).unwrap();
        let socket = UnixDatagram::unbound().unwrap();
        let mut watch = Watch::new(&mock.bootstrap(), "plain", seconds(10));
        let mut taken = 0;
        let mut send = |text: &str| {
            connection.write_all(format!("<13>{text}\n").as_bytes()).unwrap();
            socket.send_to(format!("<13>{text}").as_bytes(), &datagram).unwrap();
            taken += 2;
            let mut keys: Vec<String> =
                records(&mut watch, taken).drain(taken - 2..).map(|(key, _)| key).collect();
            keys.sort();
            keys
        };
        let process = format!(
            "{} {} {}",
            std::process::id(),
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw()
        );
        assert_eq!(send("before"), ["d", "s"]);
        assert_eq!(corndog.reload(&with(ASKS))["message"], "reloaded");
        assert_eq!(send("asked"), [format!("d {process}"), format!("s {process}")]);
        assert_eq!(corndog.reload(&with(ASKS_NOT))["message"], "reloaded");
        assert_eq!(send("after"), ["d", "s"]);
        corndog.stop().assert_all_delivered(6);
    });
}
