//! The Kafka inside the process, and what it prints.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends with the place")]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use corndog_pipeline::topics::TopicTable;
use corndog_producer::Embedded;
use crossbeam_channel::bounded;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const LIMIT: Duration = Duration::from_secs(30);

/// What was printed, for all who hold it.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Printed {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// The reader had been idle when the last topic came and the process ended: it took its idleness
/// for the end of all records.
#[test]
fn a_topic_that_is_new_at_the_end_is_printed() {
    let topics = Arc::new(TopicTable::new(&["old".to_owned()], 10));
    let printed = Printed::default();
    let (notices, heard) = bounded(10);
    let embedded = Embedded::start(topics.clone(), Box::new(printed.clone()), notices).unwrap();
    let mut conf = ClientConfig::new();
    conf.set("bootstrap.servers", embedded.servers());
    let producer: BaseProducer = conf.create().unwrap();
    let produce = |topic: &str, count: usize| {
        for number in 0..count {
            let payload = format!("record {number}");
            let record = BaseRecord::<str, str>::to(topic).payload(&payload);
            producer.send(record).map_err(|(why, _)| why).unwrap();
        }
        producer.flush(LIMIT).unwrap();
    };
    produce("old", 10);
    while printed.text().lines().count() < 10 {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_secs(1));
    produce("new", 100);
    assert!(topics.configure(&["new".to_owned()]).is_some());
    drop(embedded);
    let text = printed.text();
    let new: Vec<&str> = text.lines().filter(|line| line.starts_with("new[")).collect();
    assert_eq!(new.len(), 100, "{:?}", heard.try_recv());
    assert!((0..100).all(|it| new.iter().any(|line| line.ends_with(&format!(" record {it}")))));
}
