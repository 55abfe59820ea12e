//! File descriptors: none is left behind, and where none is free nothing spins.

use crate::stage::{Stage, Way};
use corndog_tests::descriptors;
use corndog_tests::time::{full, seconds};
use corndog_tests::{Sender, timed_alone, wait_for};
use std::io::Write;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// After the shortage, until a new connection's message is in Kafka, by either listener.
const NORMAL_AGAIN_MAX: Duration = Duration::from_secs(1);
/// Of a core, for the whole process while none is free.
const SHARE_MAX: f64 = 0.2;

/// Comes and goes, in one of five ways; true if it leaves a message.
fn come_and_go(stage: &Stage, number: u64, hello: &[u8]) -> bool {
    let way = if number % 5 < 3 { Way::Plain } else { Way::Secure };
    let mut stream = TcpStream::connect(stage.address(way)).unwrap();
    match number % 5 {
        1 => stream.write_all(b"<13>1 - - - - - - hello\n").unwrap(),
        2 => {
            stream.write_all(b"<13>1 - - - - - - never").unwrap();
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        }
        4 => stream.write_all(&hello[..hello.len() / 2]).unwrap(),
        _ => {}
    }
    number % 5 == 1
}

#[test]
fn connections_that_come_and_go_leave_no_descriptor() {
    timed_alone(seconds(300), || {
        let count = if full() { 100_000 } else { 5000 };
        let mut stage = Stage::start("[limits]\nconnections = 12000\nconnections_per_ip = 12000");
        let hello = stage.trust.hello();
        // What is opened once, and stays.
        stage.serve(Way::Secure);
        let id = stage.id();
        let before = descriptors::open(id).len();
        let memory = stage.corndog.process().memory("VmRSS");
        let began = Instant::now();
        let messages = (0..count).filter(|number| come_and_go(&stage, *number, &hello)).count();
        let took = began.elapsed();
        wait_for("all of them are closed", seconds(20), || {
            (descriptors::open(id).len() <= before).then_some(())
        });
        let after = descriptors::open(id).len();
        let grown = stage.corndog.process().memory("VmRSS").saturating_sub(memory) >> 10;
        println!(
            "{count} connections in {took:.1?}: {before} descriptors before, {after} after; {grown} \
             KiB more memory"
        );
        stage.serve(Way::Secure);
        let ledger = stage.stop();
        assert_eq!(ledger.delivered, messages as u64 + stage.probes(), "{ledger:?}");
    });
}

/// What ends a shortage.
#[derive(Debug)]
enum End {
    ConnectionsClose,
    LimitIsRaised,
}

/// Takes all descriptors for a while, with as many connections again in the backlog.
fn exhaust(stage: &mut Stage, end: &End) {
    let length = if full() { seconds(120) } else { seconds(2) };
    let id = stage.id();
    let limit = descriptors::leave(id, 4);
    let address = stage.address(Way::Plain);
    let mut senders: Vec<Sender> = (0..60).map(|_| Sender::connect(address)).collect();
    for sender in &mut senders {
        sender.send_line("<13>1 - - - - - - in turn");
    }
    sleep(Duration::from_millis(300));
    let (before, began) = (stage.corndog.process().cpu(), Instant::now());
    sleep(length);
    let used = stage.corndog.process().cpu() - before;
    let share = used.as_secs_f64() / began.elapsed().as_secs_f64();
    match end {
        End::ConnectionsClose => drop(senders),
        End::LimitIsRaised => {
            descriptors::set_limit(id, limit);
        }
    }
    let ended = Instant::now();
    let plain = stage.serve(Way::Plain);
    stage.serve(Way::Secure);
    let normal = ended.elapsed();
    println!(
        "none free for {length:?}: {:.1} % of a core; {end:?}: a new sender is served after \
         {plain:.1?}, and one more over TLS after {normal:.1?}",
        share * 100.0
    );
    assert!(share < SHARE_MAX, "{share} of a core: it spins");
    assert!(normal <= NORMAL_AGAIN_MAX, "{normal:?}");
    assert!(
        stage.corndog.log().iter().any(|line| line.contains("no connection can be accepted")),
        "it says so"
    );
    descriptors::set_limit(id, limit);
}

#[test]
fn a_shortage_of_descriptors_is_survived_without_spinning() {
    timed_alone(seconds(400), || {
        let mut stage = Stage::start("");
        for end in [End::ConnectionsClose, End::LimitIsRaised] {
            exhaust(&mut stage, &end);
        }
        let ledger = stage.stop();
        ledger.assert_all_delivered(2 * 60 + stage.probes());
    });
}
