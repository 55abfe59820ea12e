//! Kafka away: at the start, in the midst, frozen; senders are held, memory stays flat, nothing is
//! lost.

use crate::CORNDOG;
use corndog_tests::mock::Mock;
use corndog_tests::program::{Ended, printed_memory};
use corndog_tests::senders::Flood;
use corndog_tests::time::{full, seconds};
use corndog_tests::{
    Corndog, Kafka, Ledger, Proxy, Sender, Tally, read_all, settings, tally, timed_alone,
};
use std::thread::sleep;
use std::time::Duration;

/// Messages a second, of each of four connections.
const RATE: u64 = 50_000;

/// Breaks Kafka under load and mends it: the senders must be held and not closed, and everything
/// must arrive.
fn survive(down: Duration, break_it: fn(&mut Kafka), mend: fn(&mut Kafka)) {
    let mut kafka = Kafka::start();
    kafka.create_topic("plain", 4, &[]);
    // A small pool, so that it is full soon; few connections, so that the printed sum is tight.
    let over = "[batches]\nbytes = \"512 KiB\"\nper_receiver = 8\n[limits]\nconnections = 16";
    let mut corndog = Corndog::start(CORNDOG, &settings(&kafka.bootstrap(), over));
    let flood = Flood::start(corndog.address(), 4, u64::MAX >> 20, 248, RATE);
    sleep(seconds(1));
    break_it(&mut kafka);
    // The pool (4 MiB) and the kernel's buffers (up to 10 MiB a connection) fill, and then nothing
    // more is taken.
    sleep(down - seconds(1));
    let held = flood.total();
    sleep(seconds(1));
    assert_eq!(flood.total(), held, "the senders were not held");
    assert!(!flood.any_ended(), "a sender was disconnected");
    mend(&mut kafka);
    corndog_tests::wait_for("the flood to go on", seconds(60), || {
        assert!(!flood.any_ended(), "a sender was disconnected");
        (flood.total() > held + 2 * RATE).then_some(())
    });
    flood.end();
    let sent = flood.finish();
    let peak = corndog.process().memory("VmHWM");
    let printed = printed_memory(&corndog.log());
    let ledger = corndog.stop();
    ledger.assert_all_delivered(sent.iter().sum());
    let tally = tally(&read_all(&kafka.bootstrap(), "plain"), &sent);
    println!("{ledger:?} {tally:?}; peak {} MiB, printed {} MiB", peak >> 20, printed >> 20);
    assert_eq!(Tally { duplicated: 0, ..tally }, Tally::perfect());
    assert!(peak <= printed / 10 * 11, "resident {peak}, printed {printed}");
}

#[test]
fn kafka_killed_under_load_loses_nothing() {
    timed_alone(seconds(300), || {
        let down = if full() { seconds(60) } else { seconds(5) };
        survive(down, Kafka::kill, Kafka::restart);
    });
}

#[test]
fn kafka_frozen_under_load_loses_nothing() {
    timed_alone(seconds(300), || {
        let down = if full() { seconds(40) } else { seconds(5) };
        survive(down, Kafka::freeze, Kafka::thaw);
    });
}

#[test]
fn kafka_away_at_the_start_gets_everything_when_it_comes() {
    timed_alone(seconds(180), || {
        let mut kafka = Kafka::prepare(&[("auto.create.topics.enable", "true")]);
        let mut corndog = Corndog::start(CORNDOG, &settings(&kafka.bootstrap(), ""));
        let sent = Flood::start(corndog.address(), 2, 2000, 248, 0).finish();
        corndog.wait_line("a warning that Kafka is away", seconds(15), |line| {
            line.contains("\"WARN\"") && line.contains("Kafka")
        });
        kafka.restart();
        let mut watch = corndog_tests::Watch::new(&kafka.bootstrap(), "plain", seconds(60));
        watch.until(4000, seconds(60));
        corndog.stop().assert_all_delivered(4000);
        let records = read_all(&kafka.bootstrap(), "plain");
        assert_eq!(tally(&records, &sent), Tally::perfect());
    });
}

/// Stops a program whose Kafka is away, and checks that it took what it could and counted the rest.
fn stop_without_kafka(corndog: &mut Corndog) -> (Ended, Ledger) {
    corndog.terminate();
    let ended = corndog.wait(seconds(30));
    let ledger = ended.ledger();
    ledger.assert_closed();
    (ended, ledger)
}

#[test]
fn without_kafka_the_senders_are_held_and_memory_is_flat() {
    timed_alone(seconds(120), || {
        let address = format!("127.0.0.1:{}", corndog_tests::places::free_port());
        let over = "[limits]\ndrain_time = \"1 s\"\nconnections = 16";
        let mut corndog = Corndog::start(CORNDOG, &settings(&address, over));
        let flood = Flood::start(corndog.address(), 8, u64::MAX >> 20, 248, 0);
        sleep(seconds(3));
        let full = flood.total();
        let resident = corndog.process().memory("VmRSS");
        sleep(seconds(3));
        assert_eq!(flood.total(), full, "nothing more was taken");
        assert!(!flood.any_ended(), "a sender was disconnected");
        let peak = corndog.process().memory("VmHWM");
        let printed = printed_memory(&corndog.log());
        println!("resident {resident}, peak {peak}, printed {printed}");
        assert!(peak <= printed / 10 * 11, "resident {peak}, printed {printed}");
        let cpu = corndog.process().cpu();
        sleep(seconds(2));
        let cpu = corndog.process().cpu() - cpu;
        assert!(cpu < Duration::from_millis(400), "{cpu:?} of CPU in 2 s of waiting");
        let (ended, ledger) = stop_without_kafka(&mut corndog);
        assert_eq!(ended.code, Some(1), "{}", ended.text());
        assert_eq!(ledger.delivered, 0);
        assert_eq!(ledger.failed("shutdown"), ledger.forwarded, "{ledger:?}");
        flood.end();
        let _ = flood.finish_closed();
    });
}

#[test]
fn a_sender_can_connect_while_kafka_is_away() {
    timed_alone(seconds(60), || {
        let address = format!("127.0.0.1:{}", corndog_tests::places::free_port());
        let over = "[limits]\ndrain_time = \"1 s\"";
        let mut corndog = Corndog::start(CORNDOG, &settings(&address, over));
        for _ in 0..10 {
            let mut sender = Sender::connect(corndog.address());
            sender.send_line("<13>1 - - - - - - held");
            sender.finish();
        }
        let (ended, ledger) = stop_without_kafka(&mut corndog);
        assert_eq!(ended.code, Some(1), "{}", ended.text());
        assert_eq!((ledger.received, ledger.failed("shutdown")), (10, 10));
    });
}

#[test]
fn connections_cut_again_and_again_lose_and_duplicate_nothing() {
    timed_alone(seconds(180), || {
        let proxy = Proxy::start();
        let mut kafka = Kafka::prepare_behind(&proxy, &[]);
        kafka.restart();
        kafka.create_topic("plain", 4, &[]);
        let mut corndog = Corndog::start(CORNDOG, &settings(&kafka.bootstrap(), ""));
        let flood = Flood::start(corndog.address(), 4, 20_000, 248, 5_000);
        let mut cut = 0;
        while !flood.any_ended() {
            sleep(Duration::from_millis(250));
            // Requests in flight are appended or not, and their answers are gone: idempotence must
            // tell the one from the other.
            cut += proxy.cut();
        }
        let sent = flood.finish();
        assert!(cut > 5, "only {cut} connections were cut");
        corndog.stop().assert_all_delivered(80_000);
        let tally = tally(&read_all(&kafka.bootstrap(), "plain"), &sent);
        assert_eq!(tally, Tally::perfect());
    });
}

/// A shard slept for good with all its batches at home: the age timer had taken the last one home,
/// and whoever looked for it on behalf of the connections that waited found none to tell them of.
#[test]
fn a_small_pool_never_sleeps_on_empty_batches() {
    timed_alone(seconds(60), || {
        let mock = Mock::start();
        mock.create_topic("plain", 4);
        let more = "[batches]\nbytes = \"64 KiB\"\nper_receiver = 2\nage = \"1 ms\"\n\
                    [limits]\nframe = \"1 KiB\"\n[kafka.conf]\n\"linger.ms\" = \"0\"";
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), more));
        let flood = Flood::start(corndog.address(), 4, 20_000, 248, 10_000);
        let sent = flood.finish();
        assert_eq!(sent, [20_000; 4]);
        corndog.stop().assert_all_delivered(80_000);
    });
}
