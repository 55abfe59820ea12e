//! Certificates that change under load: nobody notices.

use crate::stage::{Stage, Way};
use corndog_tests::messages::message;
use corndog_tests::time::{full, seconds};
use corndog_tests::{SecureSender, Tally, read_all, tally, timed_alone, wait_for};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Connections over TLS that send for as long as it takes.
const CONNECTIONS: usize = 4;
/// Messages a second of each: what all send in the longest run fits Kafka's mock.
const RATE: u64 = 200;

/// Sends numbered messages over TLS until it is told to stop; how many.
///
/// Panics: the connection was cut.
fn send_on(
    address: SocketAddr,
    stage: &Stage,
    connection: usize,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<u64> {
    let mut sender = SecureSender::connect(address, &stage.trust, "127.0.0.1").unwrap();
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        let mut sent = 0;
        while !stop.load(Relaxed) {
            let line = format!("{}\n", message(connection, sent, 100));
            sender.send(line).expect("the connection stays");
            sent += 1;
            thread::sleep(Duration::from_micros(1_000_000 / RATE));
        }
        sender.finish().expect("the connection stays to its end");
        sent
    })
}

/// How often the log says this.
fn said(stage: &Stage, text: &str) -> usize {
    stage.corndog.log().iter().filter(|line| line.contains(text)).count()
}

/// By a change of the files alone, which is looked for every second.
fn change_files(stage: &Stage) {
    let text = "certificates loaded anew";
    let before = said(stage, text);
    wait_for(text, seconds(10), || (said(stage, text) > before).then_some(()));
}

#[test]
fn reloads_of_certificates_under_load_cut_no_connection_and_lose_nothing() {
    timed_alone(seconds(400), || {
        let (signals, changes) = if full() { (70, 30) } else { (9, 1) };
        let mut stage = Stage::start("");
        let address = stage.address(Way::Secure);
        let configuration = Stage::configuration(&stage.mock, &stage.pki, "");
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> =
            (0..CONNECTIONS).map(|number| send_on(address, &stage, number, &stop)).collect();
        let mut slowest = Duration::ZERO;
        for number in 0..signals + changes {
            let name = format!("n{number}.example");
            stage.pki.sign("server", &["127.0.0.1", &name], |_| {});
            if number < signals {
                let answer = stage.corndog.reload(&configuration);
                assert_eq!(answer["message"], "reloaded", "{answer}");
            } else {
                change_files(&stage);
            }
            // The new one is in force.
            let began = Instant::now();
            let sender = SecureSender::connect(address, &stage.trust, &name);
            sender.unwrap().finish().unwrap();
            slowest = slowest.max(began.elapsed());
            assert!(!senders.iter().any(JoinHandle::is_finished), "a connection was cut");
        }
        stop.store(true, Relaxed);
        let sent: Vec<u64> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        let total: u64 = sent.iter().sum();
        println!(
            "{signals} by SIGHUP, {changes} by a change: {total} messages on {CONNECTIONS} \
             connections; the slowest new one took {slowest:.1?}"
        );
        stage.stop().assert_all_delivered(total + stage.probes());
        let records = read_all(&stage.mock.bootstrap(), "plain");
        assert_eq!(tally(&records, &sent), Tally::perfect());
    });
}
