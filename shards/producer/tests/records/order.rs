//! Records of one partition stay in their order, whatever is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use corndog_pipeline::batch::Delivery;
use corndog_pipeline::control::Arrival;
use jiff::Timestamp;
use rdkafka::message::Message;
use rdkafka_sys::types::RDKafkaRespErr as Error;

use crate::{BATCHES, LIMIT, Rig};

/// Keeps the producer's core busy until it is dropped: its shard is late for everything.
struct Busy {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    fn start() -> Busy {
        let is_over = Arc::new(AtomicBool::new(false));
        let core = core_affinity::get_core_ids().unwrap()[0];
        let spin = |_| {
            let is_over = is_over.clone();
            std::thread::spawn(move || {
                core_affinity::set_for_current(core);
                let end = Instant::now() + LIMIT;
                while !is_over.load(Ordering::Relaxed) && Instant::now() < end {}
            })
        };
        let threads = (0..8).map(spin).collect();
        Busy { is_over, threads }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

/// Numbered records arrive in their order, behind the `before` that are there.
fn assert_in_order(rig: &Rig, before: usize, payloads: &[Vec<u8>], story: &str) {
    let read = rig.read("plain", before + payloads.len());
    let read = read[before..].iter().map(|message| message.payload().unwrap());
    assert!(read.eq(payloads.iter().map(Vec::as_slice)), "{story}");
}

/// What is queued behind a MessageSet when the broker refuses it stays there. librdkafka would send
/// it in the same instant, long before this program hears of the refusal, and the refused records,
/// sent again, would stand behind it.
#[test]
fn nothing_overtakes_a_refused_set() {
    for error in [Error::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, Error::RD_KAFKA_RESP_ERR_UNKNOWN] {
        let rig = Rig::start_with(&[("max.in.flight", "1")]);
        let now = Timestamp::now();
        for payload in [b"counts", b"opens "] {
            rig.deliver(&[rig.record("plain", payload)], now);
        }
        rig.mock.broker_round_trip_time(1, Duration::from_millis(200)).unwrap();
        rig.fail(&[error]);
        let payloads: Vec<_> = (0..300).map(|number| number.to_string().into_bytes()).collect();
        let busy = Busy::start();
        for some in payloads.chunks(100) {
            let records: Vec<_> = some.iter().map(|payload| rig.record("plain", payload)).collect();
            rig.send(&records, now);
            // The first are on their way before the others come.
            std::thread::sleep(Duration::from_millis(100));
        }
        for _ in payloads.chunks(100) {
            let batch = rig.home.recv_timeout(LIMIT).expect("the batch comes home");
            assert!((0..100).all(|index| batch.delivery(index) == Delivery::Delivered));
        }
        drop(busy);
        assert_in_order(&rig, 2, &payloads, &format!("{error:?}"));
        rig.stop();
    }
}

/// A record for which librdkafka has no room waits; the next batch, taken from the inbox in the
/// same turn, is small enough to be taken, and would be before it.
#[test]
fn nothing_overtakes_a_record_without_room() {
    let rig = Rig::start_with(&[("queue.buffering.max.kbytes", "100")]);
    let now = Timestamp::now();
    for payload in [b"counts", b"opens "] {
        rig.deliver(&[rig.record("plain", payload)], now);
    }
    let payloads = [vec![b'0'; 60_000], vec![b'1'; 60_000], vec![b'2'; 10], vec![b'3'; 10]];
    let batch_of = |some: &[Vec<u8>]| {
        let records = some.iter().map(|payload| rig.record("plain", payload));
        rig.batch(&records.collect::<Vec<_>>(), now)
    };
    let batches = [batch_of(&payloads[..2]), batch_of(&payloads[2..])];
    let busy = Busy::start();
    for batch in batches {
        rig.inbox.send(Arrival::Batch(batch)).unwrap();
    }
    for _ in 0..2 {
        let batch = rig.home.recv_timeout(LIMIT).expect("the batch comes home");
        assert!((0..2).all(|index| batch.delivery(index) == Delivery::Delivered));
    }
    drop(busy);
    assert_in_order(&rig, 2, &payloads, "no room");
    rig.stop();
}

/// A refused set goes to its own partition again: on the other one it would stand behind records
/// that came after it and were taken there.
#[test]
fn a_refused_set_stays_on_its_partition() {
    for batch_count in 2..=BATCHES {
        let rig = Rig::start_with(&[]);
        let now = Timestamp::now();
        // The first tells how many partitions there are, two more open them.
        for payload in [b"counts", b"opens ", b"opens "] {
            rig.deliver(&[rig.record("twofold", payload)], now);
        }
        rig.mock.broker_round_trip_time(1, Duration::from_millis(200)).unwrap();
        rig.fail(&[Error::RD_KAFKA_RESP_ERR_UNKNOWN]);
        let payloads: Vec<_> =
            (0..batch_count * 100).map(|number| format!("{number:03}")).collect();
        for some in payloads.chunks(100) {
            let bytes = some.iter().map(String::as_bytes);
            let records: Vec<_> = bytes.map(|payload| rig.record("twofold", payload)).collect();
            rig.send(&records, now);
            std::thread::sleep(Duration::from_millis(60));
        }
        for _ in 0..batch_count {
            let batch = rig.home.recv_timeout(LIMIT).expect("the batch comes home");
            assert!((0..100).all(|index| batch.delivery(index) == Delivery::Delivered));
        }
        let read = rig.read("twofold", 3 + payloads.len());
        for partition in 0..2 {
            let of_it = read.iter().filter(|message| message.partition() == partition);
            let numbers: Vec<_> =
                of_it.map(|it| it.payload().unwrap()).filter(|it| it.len() == 3).collect();
            assert!(numbers.is_sorted(), "{batch_count} batches, partition {partition}");
        }
        rig.stop();
    }
}
