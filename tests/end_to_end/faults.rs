//! Errors of a broker, one by one, on the mock: nothing is lost, nothing leaves its order.
//!
//! A broker that refuses a request refuses those that follow it in the pipeline too, because their
//! sequence numbers then have a gap, and it drops what it had already. The mock looks at sequence
//! numbers only inside of transactions: it appends what follows, a disorder that no Kafka makes, and
//! appends twice what is sent again after a lost answer. Behind what follows librdkafka holds the
//! refused records for arrived and reports them as delivered (its implicit acknowledgement), as it may
//! where brokers look at sequence numbers and have some. So each error is met twice: by a lone
//! request, where order and once-ness are judged, and amid a flood, where loss is. The pipeline's
//! order under errors is judged on real brokers (`real_kafka`, `outage`).

use crate::CORNDOG;
use corndog_tests::messages::message;
use corndog_tests::mock::{Error, Mock};
use corndog_tests::senders::Flood;
use corndog_tests::time::seconds;
use corndog_tests::{Corndog, Ledger, Sender, Tally, Watch, read_all, settings, tally, timed};
use std::thread::sleep;
use std::time::Duration;

/// Messages of each of two connections; 2 x 3000 x 248 bytes are below what the mock keeps.
const EACH: u64 = 3000;
/// Of each connection, a second: the flood takes 1.5 s at least.
const RATE: u64 = 2000;
/// How often in a row an error comes. librdkafka waits 0.1 s, then twice as long each time, 1 s at
/// most.
const TIMES: usize = 5;

/// Records of a lone request.
const BURST: u64 = 20;
/// Lone requests that meet the error.
const BURSTS: u64 = 3;

/// librdkafka says in the log which records it holds for arrived.
const TELLING: [&str; 2] = ["env", "CORNDOG_LOG=info,librdkafka=debug"];

/// Sends a flood, does what `fault` does in the midst of it, and stops. How many of the records that
/// lack in the tally librdkafka held for arrived, because the mock took what followed them.
fn flood(mock: &Mock, fault: impl FnOnce(&Mock)) -> (Ledger, Tally, u64) {
    mock.create_topic("plain", 4);
    let configuration = settings(&mock.bootstrap(), "[kafka.conf]\ndebug = \"eos\"");
    let mut corndog = Corndog::spawn(CORNDOG, &TELLING, &configuration);
    corndog.wait_ready();
    let flood = Flood::start(corndog.address(), 2, EACH, 248, RATE);
    sleep(Duration::from_millis(300));
    fault(mock);
    let sent = flood.finish();
    assert_eq!(sent, [EACH, EACH]);
    let ledger = corndog.stop();
    assert_eq!(ledger.received, 2 * EACH);
    let tally = tally(&read_all(&mock.bootstrap(), "plain"), &sent);
    let held = corndog.log().iter().filter_map(|line| held_for_arrived(line)).sum();
    println!("{ledger:?} {tally:?}, held for arrived: {held}");
    (ledger, tally, held)
}

/// Of how many records the line says that librdkafka holds them for arrived.
fn held_for_arrived(line: &str) -> Option<u64> {
    let (before, _) = line.split_once(" message(s) implicitly acked ")?;
    Some(before.rsplit(' ').next()?.parse().expect("a number of messages"))
}

/// Amid a flood of which the mock refuses something: all of it is delivered, whatever the mock makes
/// of its order. What it refused it does not have, nor what librdkafka then held for arrived.
fn is_survived(fault: impl FnOnce(&Mock) + Send + 'static) {
    timed(seconds(90), || {
        let (ledger, tally, held) = flood(&Mock::start(), fault);
        ledger.assert_all_delivered(2 * EACH);
        assert_eq!((tally.lost, tally.foreign), (held, 0));
    });
}

/// The same where connections break: what is held for arrived then may have arrived.
fn is_reconnected(fault: impl FnOnce(&Mock) + Send + 'static) {
    timed(seconds(90), || {
        let (ledger, tally, held) = flood(&Mock::start(), fault);
        ledger.assert_all_delivered(2 * EACH);
        assert!(tally.lost <= held && tally.foreign == 0, "{tally:?}, held for arrived: {held}");
    });
}

/// A burst is one batch and one request also on a busy machine.
const UNHURRIED: &str = "[batches]\nage = \"200 ms\"\n[kafka.conf]\n\"linger.ms\" = \"100\"";

/// Request after request, each answered with the error `times` times: all arrives once, in order.
fn is_survived_alone(error: Error, times: usize) {
    timed(seconds(90), move || {
        let mock = Mock::start();
        mock.create_topic("plain", 1);
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), UNHURRIED));
        let mut sender = Sender::connect(corndog.address());
        let mut watch = Watch::new(&mock.bootstrap(), "plain", seconds(10));
        for burst in 0..=BURSTS {
            // The first meets no error, so that the connection stands.
            if burst > 0 {
                mock.fail_produce(error, times);
            }
            let lines = (burst * BURST..(burst + 1) * BURST)
                .map(|sequence| message(0, sequence, 248) + "\n");
            sender.send(lines.collect::<String>());
            let count = usize::try_from((burst + 1) * BURST).unwrap();
            watch.until(count, seconds(30));
            // The report of what is read here comes a moment later.
            sleep(Duration::from_millis(50));
        }
        sender.finish();
        let count = (BURSTS + 1) * BURST;
        corndog.stop().assert_all_delivered(count);
        let records = read_all(&mock.bootstrap(), "plain");
        assert_eq!(tally(&records, &[count]), Tally::perfect());
    });
}

/// Two tests for each error that passes, answered to `TIMES` Produce requests in a row.
macro_rules! retriable {
    ($($name:ident: $error:ident,)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn is_survived_by_a_lone_request() {
                is_survived_alone(Error::$error, TIMES);
            }

            #[test]
            fn is_survived_amid_a_flood() {
                is_survived(|mock| mock.fail_produce(Error::$error, TIMES));
            }
        }
    )*};
}

retriable! {
    not_leader_or_follower: RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    leader_not_available: RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
    request_timed_out: RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    broker_not_available: RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
    replica_not_available: RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
    network_exception: RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
    not_enough_replicas: RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    not_enough_replicas_after_append: RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    kafka_storage_error: RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    fenced_leader_epoch: RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
    corrupt_message: RD_KAFKA_RESP_ERR_INVALID_MSG,
    unknown_topic_for_a_moment: RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    unknown_server_error: RD_KAFKA_RESP_ERR_UNKNOWN,
}

#[test]
fn connections_that_the_broker_closes_are_survived() {
    is_reconnected(|mock| mock.fail_produce(Error::RD_KAFKA_RESP_ERR__TRANSPORT, TIMES));
}

#[test]
fn coordinators_that_are_not_ready_are_survived() {
    timed(seconds(90), || {
        let mock = Mock::start();
        for error in [
            Error::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
            Error::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
            Error::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        ] {
            mock.fail_producer_id(error, 2);
        }
        let (ledger, tally, _) = flood(&mock, |_| {});
        ledger.assert_all_delivered(2 * EACH);
        assert_eq!((tally.lost, tally.foreign), (0, 0));
    });
}

#[test]
fn a_broker_down_for_two_seconds_is_survived() {
    is_reconnected(|mock| {
        mock.down();
        sleep(seconds(2));
        mock.up();
    });
}

#[test]
fn a_broker_that_flaps_is_survived() {
    is_reconnected(|mock| {
        for _ in 0..5 {
            mock.down();
            sleep(Duration::from_millis(150));
            mock.up();
            sleep(Duration::from_millis(150));
        }
    });
}

#[test]
fn a_slow_broker_is_survived() {
    is_survived(|mock| mock.round_trip(Duration::from_millis(300)));
}

/// Errors after which librdkafka's client is of no more use, or begins a new epoch; the program
/// builds another and sends again what was not acknowledged.
macro_rules! fatal {
    ($($name:ident: $error:ident,)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn loses_nothing_of_a_lone_request() {
                is_survived_alone(Error::$error, 1);
            }

            #[test]
            fn loses_nothing_of_a_flood() {
                is_survived(|mock| {
                    for _ in 0..3 {
                        mock.fail_produce(Error::$error, 2);
                        sleep(Duration::from_millis(300));
                    }
                });
            }
        }
    )*};
}

fatal! {
    out_of_order_sequence_number: RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
    invalid_producer_epoch: RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
    unknown_producer_id: RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
}

#[test]
fn a_duplicate_sequence_number_means_delivered() {
    timed(seconds(90), || {
        let (ledger, tally, _) = flood(&Mock::start(), |mock| {
            mock.fail_produce(Error::RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER, 1);
        });
        // The mock does not have the records, whatever it said: what it said counts.
        ledger.assert_all_delivered(2 * EACH);
        assert_eq!((tally.duplicated, tally.foreign), (0, 0));
    });
}

#[test]
fn a_topic_that_may_not_be_written_fails_as_not_authorized() {
    timed(seconds(90), || {
        let (ledger, tally, held) = flood(&Mock::start(), |mock| {
            mock.fail_produce(Error::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 1);
        });
        let failed = ledger.failed("not_authorized");
        assert!(failed > 0, "{ledger:?}");
        assert_eq!(ledger.delivered + failed, 2 * EACH, "{ledger:?}");
        assert_eq!((tally.lost, tally.foreign), (failed + held, 0));
    });
}

#[test]
fn a_request_that_is_too_large_costs_at_most_its_own_records() {
    timed(seconds(90), || {
        let (ledger, tally, held) = flood(&Mock::start(), |mock| {
            mock.fail_produce(Error::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 1);
        });
        let failed = ledger.failed("message_too_large");
        assert_eq!(ledger.delivered + failed, 2 * EACH, "{ledger:?}");
        // One refusal of a request with many records proves nothing against any of them.
        assert!(failed <= 1, "{ledger:?}");
        assert_eq!((tally.lost, tally.foreign), (failed + held, 0));
    });
}

#[test]
fn metadata_that_fails_for_a_moment_is_survived() {
    timed(seconds(90), || {
        let mock = Mock::start();
        mock.fail_metadata(Error::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, 3);
        let (ledger, tally, held) = flood(&mock, |mock| {
            mock.fail_metadata(Error::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, 3);
            mock.fail_produce(Error::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, 2);
        });
        ledger.assert_all_delivered(2 * EACH);
        assert_eq!((tally.lost, tally.foreign), (held, 0));
    });
}
