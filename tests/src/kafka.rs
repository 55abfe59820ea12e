//! Real Apache Kafka, one node that is broker and controller (KRaft), on loopback.
//!
//! How it is fetched and started is `corndog_kafka`'s. Where Java or Maven is missing a test fails with
//! what to do, it does not skip.

use crate::places::{Scratch, free_port, target};
use crate::process::Process;
use crate::proxy::Proxy;
use crate::time::{seconds, wait_for};
use corndog_kafka::{Installation, SMALL, server_properties};
use futures_lite::future::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rustix::process::Signal;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

/// Until a started broker answers; 6 s on two busy cores, 15 s after a kill -9.
const READY_TIME_MAX: Duration = Duration::from_secs(90);

/// A broker with a data folder of its own; killed, and its data removed, on drop.
pub struct Kafka {
    process: Option<Process>,
    port: u16,
    scratch: Scratch,
    installation: Installation,
}

/// One broker for all tests of a binary that only need topics of their own; it ends with the binary.
static SHARED: OnceLock<Kafka> = OnceLock::new();

impl Kafka {
    /// The broker that tests share, started when the first asks. Topics are not created by being
    /// named.
    pub fn shared() -> &'static Kafka {
        SHARED.get_or_init(Kafka::start)
    }

    /// Starts a broker and waits until it answers. Topics are not created by being named.
    pub fn start() -> Kafka {
        Kafka::start_with(&[])
    }

    /// As [`Kafka::start`], with lines of `server.properties` over the tests' own.
    pub fn start_with(properties: &[(&str, &str)]) -> Kafka {
        let mut kafka = Kafka::prepare(properties);
        kafka.restart();
        kafka
    }

    /// Everything but the start: its address is known, and nobody listens there yet.
    pub fn prepare(properties: &[(&str, &str)]) -> Kafka {
        let installation = Installation::in_target(&target());
        let installation = installation.unwrap_or_else(|sentence| panic!("{sentence}"));
        let scratch = Scratch::new("kafka");
        let data = scratch.path().join("data");
        installation.make_data(&data).expect("scratch is writable");
        let port = free_port();
        let text = server_properties(port, free_port(), &data, properties);
        fs::write(scratch.path().join("server.properties"), text).expect("scratch is writable");
        Kafka { process: None, port, scratch, installation }
    }

    /// Everything but the start, of a broker that sends its clients through `proxy`; see there.
    pub fn prepare_behind(proxy: &Proxy, properties: &[(&str, &str)]) -> Kafka {
        let advertised = format!("PLAINTEXT://{}", proxy.address());
        let mut all = vec![("advertised.listeners", advertised.as_str())];
        all.extend_from_slice(properties);
        let kafka = Kafka::prepare(&all);
        proxy.lead_to(kafka.port);
        kafka
    }

    /// Its `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it, again after [`Kafka::kill`], on the same port and data; waits until it answers.
    pub fn restart(&mut self) {
        self.spawn();
        self.wait_until_ready();
    }

    /// Starts it and does not wait.
    pub fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(self.log_path());
        let log = log.expect("scratch is writable");
        let errors = log.try_clone().expect("a file can be duplicated");
        let properties = self.scratch.path().join("server.properties");
        let folder = self.scratch.path().to_owned();
        self.process = Some(Process::start("java", |command| {
            self.installation.broker(command, SMALL, &properties);
            command.current_dir(folder);
            command.stdin(Stdio::null()).stdout(log).stderr(errors);
        }));
    }

    /// Waits until the broker answers a request for metadata.
    pub fn wait_until_ready(&mut self) {
        let bootstrap = self.bootstrap();
        let client: AdminClient<DefaultClientContext> =
            client(&bootstrap).create().expect("the client's configuration is right");
        wait_for("Kafka's answer", READY_TIME_MAX, || {
            if let Some(status) = self.process.as_mut().and_then(Process::exit) {
                panic!("Kafka ended with {status}: {}", self.log());
            }
            let metadata = client.inner().fetch_metadata(None, seconds(1)).ok()?;
            (!metadata.brokers().is_empty()).then_some(())
        });
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// `kill -STOP`: connections stay open, nothing is answered.
    pub fn freeze(&mut self) {
        self.process.as_mut().expect("it runs").signal(Signal::STOP);
    }

    /// `kill -CONT`.
    pub fn thaw(&mut self) {
        self.process.as_mut().expect("it runs").signal(Signal::CONT);
    }

    /// Creates a topic with settings of its own, `max.message.bytes` for instance.
    pub fn create_topic(&self, topic: &str, partition_count: i32, settings: &[(&str, &str)]) {
        let client: AdminClient<DefaultClientContext> =
            client(&self.bootstrap()).create().expect("the client's configuration is right");
        let mut new = NewTopic::new(topic, partition_count, TopicReplication::Fixed(1));
        for (key, value) in settings {
            new = new.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(seconds(20)));
        let results = block_on(client.create_topics([&new], &options)).expect("Kafka answers");
        for result in results {
            result.unwrap_or_else(|(topic, error)| panic!("topic {topic}: {error}"));
        }
    }

    /// Changes a setting of a topic.
    pub fn set_topic(&self, topic: &str, key: &str, value: &str) {
        let client: AdminClient<DefaultClientContext> =
            client(&self.bootstrap()).create().expect("the client's configuration is right");
        let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(key, value);
        let answer = client.alter_configs([&change], &AdminOptions::new());
        for result in block_on(answer).expect("Kafka answers") {
            result.unwrap_or_else(|(_, error)| panic!("topic {topic}: {error}"));
        }
    }

    /// The end of what it logged.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn log_path(&self) -> PathBuf {
        self.scratch.path().join("kafka.log")
    }
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "200");
    // A broker that is not up yet is no news.
    config.set("log_level", "2");
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mock, mock, read_all, timed};
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

    fn produce(bootstrap: &str, topic: &str, count: u32) {
        let mut config = client(bootstrap);
        config.set("enable.idempotence", "true");
        let producer: BaseProducer = config.create().unwrap();
        for number in 0..count {
            let payload = number.to_string();
            producer.send(BaseRecord::<(), str>::to(topic).payload(&payload)).unwrap();
        }
        producer.flush(seconds(20)).unwrap();
    }

    #[test]
    fn kafka_comes_back_after_kill_and_freeze_with_its_records() {
        timed(seconds(180), || {
            let mut kafka = Kafka::start();
            kafka.create_topic("harness", 4, &[]);
            produce(&kafka.bootstrap(), "harness", 1000);
            kafka.kill();
            kafka.restart();
            assert_eq!(read_all(&kafka.bootstrap(), "harness").len(), 1000);
            kafka.freeze();
            kafka.thaw();
            produce(&kafka.bootstrap(), "harness", 1000);
            assert_eq!(read_all(&kafka.bootstrap(), "harness").len(), 2000);
        });
    }

    #[test]
    fn the_mock_takes_records_and_gives_them_back() {
        timed(seconds(60), || {
            let mock = Mock::start();
            mock.create_topic("harness", 4);
            mock.fail_produce(mock::Error::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, 2);
            produce(&mock.bootstrap(), "harness", 1000);
            assert_eq!(read_all(&mock.bootstrap(), "harness").len(), 1000);
        });
    }
}
