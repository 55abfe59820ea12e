//! librdkafka's mock cluster, in the test's process: a broker that fails on command.
//!
//! It accepts any topic name, creates each topic that is asked for (4 partitions), knows no ACL,
//! and keeps at most 5 MiB of a partition: what passes here alone is not yet true.
//!
//! The safe crate has no call for `rd_kafka_mock_broker_push_request_error_rtts` (an error of one
//! broker, with a delay), `rd_kafka_mock_broker_error_stack_cnt` (how many errors are left),
//! `rd_kafka_mock_start_request_tracking` (which requests came) and
//! `rd_kafka_mock_partition_push_leader_response`: tests do without.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka_sys::types::RDKafkaApiKey;
use std::time::Duration;

pub use rdkafka_sys::types::RDKafkaRespErr as Error;

/// A cluster of one broker.
pub struct Mock(MockCluster<'static, DefaultProducerContext>);

impl Mock {
    /// Starts the broker.
    pub fn start() -> Mock {
        Mock(MockCluster::new(1).expect("the mock cluster starts"))
    }

    /// Its `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.0.bootstrap_servers()
    }

    /// Creates a topic.
    pub fn create_topic(&self, topic: &str, partition_count: i32) {
        self.0.create_topic(topic, partition_count, 1).expect("a topic can be created");
    }

    /// The next `times` Produce requests are answered with this error, and append nothing.
    pub fn fail_produce(&self, error: Error, times: usize) {
        self.0.request_errors(RDKafkaApiKey::Produce, &vec![error; times]);
    }

    /// The next `times` InitProducerId requests are answered with this error.
    pub fn fail_producer_id(&self, error: Error, times: usize) {
        self.0.request_errors(RDKafkaApiKey::InitProducerId, &vec![error; times]);
    }

    /// The next `times` Metadata requests are answered with this error.
    pub fn fail_metadata(&self, error: Error, times: usize) {
        self.0.request_errors(RDKafkaApiKey::Metadata, &vec![error; times]);
    }

    /// What Metadata says of a topic, from now on.
    pub fn fail_topic(&self, topic: &str, error: Error) {
        self.0.topic_error(topic, error).expect("a topic's name has no NUL");
    }

    /// Drops the broker's connections and refuses new ones.
    pub fn down(&self) {
        self.0.broker_down(-1).expect("the broker is there");
    }

    /// Takes connections again.
    pub fn up(&self) {
        self.0.broker_up(-1).expect("the broker is there");
    }

    /// Delays each answer.
    pub fn round_trip(&self, time: Duration) {
        self.0.broker_round_trip_time(-1, time).expect("the broker is there");
    }
}
