//! Answers Kafka's requests, as the part of a cluster that one broker is; no socket here.
//!
//! What librdkafka asks a producer's broker: ApiVersions, Metadata, InitProducerId, Produce. A topic
//! exists as soon as it is named. Partitions lead round robin:
//! `broker = (topic_index + partition) % broker_count`.

use crate::answers::{api_versions, encode};
use crate::faults::{Fault, Faults};
use crate::latencies::Latencies;
use crate::ledger::Ledger;
use crate::partition::{Expected, Partition, Verdict};
use crate::records::{Batch, Malformed};
use crate::sink::Plan;
use crate::workload::Workload;
use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    ApiKey, InitProducerIdRequest, InitProducerIdResponse, MetadataRequest, MetadataResponse,
    ProduceRequest, ProduceResponse, TopicName,
};
use kafka_protocol::protocol::{Decodable, StrBytes, decode_request_header_from_buffer};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

const HOST: &str = "127.0.0.1";

/// The cluster that all brokers of a sink share.
pub struct Cluster {
    /// What has arrived.
    pub ledger: Ledger,
    ports: Vec<u16>,
    partition_count: u16,
    check_crc: bool,
    workload: Option<Workload>,
    faults: Faults,
    topics: RwLock<HashMap<StrBytes, Arc<Topic>>>,
    next_producer_id: AtomicI64,
    /// Produce requests so far, at all brokers.
    produce_count: AtomicU64,
}

/// What is sent back.
#[derive(Debug)]
pub struct Answer {
    /// With its length in front.
    pub bytes: BytesMut,
    /// How long it is held back.
    pub delay: Duration,
}

struct Topic {
    index: usize,
    expected: Expected,
    partitions: Vec<Mutex<Partition>>,
}

impl Cluster {
    /// The cluster of a plan; its broker k (from 1) listens on `ports[k - 1]`.
    pub fn new(ports: Vec<u16>, plan: &Plan) -> Self {
        Self {
            ledger: Ledger::default(),
            ports,
            partition_count: plan.partitions,
            check_crc: plan.check_crc,
            workload: plan.workload,
            faults: plan.faults.clone(),
            topics: RwLock::default(),
            next_producer_id: AtomicI64::new(1),
            produce_count: AtomicU64::new(0),
        }
    }

    /// Answers one request (without its length); `Ok(None)` where no answer is wanted (acks = 0).
    ///
    /// Errors: a sentence; the connection is beyond repair.
    pub fn answer(&self, broker: usize, mut request: Bytes) -> Result<Option<Answer>, String> {
        if request.len() < 8 {
            return Err(format!("a request of {} bytes is too short", request.len()));
        }
        let key = i16::from_be_bytes([request[0], request[1]]);
        let header = decode_request_header_from_buffer(&mut request)
            .map_err(|error| format!("request header with API key {key}: {error}"))?;
        let version = header.request_api_version;
        let refuse = |error| format!("API key {key} version {version}: {error}");
        let mut delay = Duration::ZERO;
        let bytes = match ApiKey::try_from(key) {
            Ok(ApiKey::ApiVersions) => api_versions(&header),
            Ok(ApiKey::Metadata) => {
                let asked = MetadataRequest::decode(&mut request, version).map_err(refuse)?;
                encode(&header, version, &self.metadata(&asked))
            }
            Ok(ApiKey::InitProducerId) => {
                InitProducerIdRequest::decode(&mut request, version).map_err(refuse)?;
                let id = self.next_producer_id.fetch_add(1, Relaxed);
                let answer = InitProducerIdResponse::default().with_producer_id(id.into());
                encode(&header, version, &answer)
            }
            Ok(ApiKey::Produce) => {
                let produce = ProduceRequest::decode(&mut request, version).map_err(refuse)?;
                let answer = self.produce(broker, &produce);
                if produce.acks == 0 {
                    return Ok(None);
                }
                delay = self.faults.delay;
                encode(&header, version, &answer)
            }
            _ => Err(format!("API key {key} is not served: this sink takes producers only")),
        }?;
        Ok(Some(Answer { bytes, delay }))
    }

    /// Records taken so far, by topic, in the order of their names.
    pub fn by_topic(&self) -> Vec<(String, u64)> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let count = |topic: &Topic| {
            let partitions = topic.partitions.iter();
            let locked = partitions.map(|p| p.lock().unwrap_or_else(PoisonError::into_inner));
            locked.map(|partition| partition.record_count()).sum()
        };
        let counted = topics.values().map(|topic| (topic.expected.topic.clone(), count(topic)));
        let mut counts: Vec<(String, u64)> = counted.collect();
        counts.sort();
        counts
    }

    /// How long the messages took that the ledger was told to time.
    pub fn latencies(&self) -> Latencies {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = Latencies::default();
        for partition in topics.values().flat_map(|topic| &topic.partitions) {
            let partition = partition.lock().unwrap_or_else(PoisonError::into_inner);
            partition.latencies().into_iter().for_each(|latencies| all.add(latencies));
        }
        all
    }

    fn metadata(&self, asked: &MetadataRequest) -> MetadataResponse {
        let brokers = self.ports.iter().zip(1..).map(|(port, id): (_, i32)| {
            MetadataResponseBroker::default()
                .with_node_id(id.into())
                .with_host(StrBytes::from_static_str(HOST))
                .with_port(i32::from(*port))
        });
        let names: Vec<TopicName> = match &asked.topics {
            Some(topics) => topics.iter().filter_map(|topic| topic.name.clone()).collect(),
            None => {
                let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
                topics.keys().cloned().map(TopicName).collect()
            }
        };
        let topics = names.into_iter().map(|name| {
            let index = self.topic(&name.0).index;
            let partitions = (0..self.partition_count).map(|id| self.metadata_of(index, id));
            MetadataResponseTopic::default()
                .with_name(Some(name))
                .with_partitions(partitions.collect())
        });
        MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_cluster_id(Some(StrBytes::from_static_str("corndog-perf-sink")))
            .with_controller_id(1.into())
            .with_topics(topics.collect())
    }

    fn metadata_of(&self, topic_index: usize, partition: u16) -> MetadataResponsePartition {
        let leader = self.leader(topic_index, partition) as i32 + 1;
        MetadataResponsePartition::default()
            .with_partition_index(i32::from(partition))
            .with_leader_id(leader.into())
            .with_leader_epoch(0)
            .with_replica_nodes(vec![leader.into()])
            .with_isr_nodes(vec![leader.into()])
    }

    /// Which broker (from 0) leads a partition.
    fn leader(&self, topic_index: usize, partition: u16) -> usize {
        (topic_index + usize::from(partition)) % self.ports.len()
    }

    /// The topic of that name, made if it is new.
    fn topic(&self, name: &StrBytes) -> Arc<Topic> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(name) {
            return Arc::clone(topic);
        }
        drop(topics);
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let index = topics.len();
        // A copy of the name: the one given is a slice of the request's buffer.
        let made = topics.entry(StrBytes::from_string(name.to_string())).or_insert_with(|| {
            let partitions = (0..self.partition_count).map(|_| Mutex::default()).collect();
            let expected = Expected::new(name.to_string(), self.workload);
            Arc::new(Topic { index, expected, partitions })
        });
        Arc::clone(made)
    }

    fn produce(&self, broker: usize, request: &ProduceRequest) -> ProduceResponse {
        let fault = self.faults.errors.of(self.produce_count.fetch_add(1, Relaxed));
        let responses = request.topic_data.iter().map(|data| {
            let topic = self.topic(&data.name.0);
            let partitions = data.partition_data.iter().map(|partition| {
                let records = partition.records.as_deref().unwrap_or_default();
                let outcome = match fault {
                    None => self.append(broker, &topic, partition.index, records),
                    Some(fault) => self.fail(fault, broker, &topic, partition.index, records),
                };
                let (code, offset) = match outcome {
                    Ok(offset) => (0, offset),
                    Err(error) => (error.code(), -1),
                };
                PartitionProduceResponse::default()
                    .with_index(partition.index)
                    .with_error_code(code)
                    .with_base_offset(offset)
            });
            TopicProduceResponse::default()
                .with_name(data.name.clone())
                .with_partition_responses(partitions.collect())
        });
        ProduceResponse::default().with_responses(responses.collect())
    }

    /// Answers the batches for one partition with an error, whatever becomes of them.
    fn fail(
        &self,
        fault: Fault,
        broker: usize,
        topic: &Topic,
        index: i32,
        records: &[u8],
    ) -> Result<i64, ResponseError> {
        self.ledger.batches.failed.fetch_add(1, Relaxed);
        if fault.is_taken {
            // What is wrong by itself is told as that.
            self.append(broker, topic, index, records)?;
        }
        Err(fault.error)
    }

    /// Takes the batches for one partition; the first one's offset.
    fn append(
        &self,
        broker: usize,
        topic: &Topic,
        index: i32,
        records: &[u8],
    ) -> Result<i64, ResponseError> {
        let counts = &self.ledger.batches;
        let partition = usize::try_from(index).ok().and_then(|index| topic.partitions.get(index));
        let Some(partition) = partition else {
            counts.refused.fetch_add(1, Relaxed);
            return Err(ResponseError::UnknownTopicOrPartition);
        };
        if self.leader(topic.index, index as u16) != broker {
            counts.refused.fetch_add(1, Relaxed);
            return Err(ResponseError::NotLeaderOrFollower);
        }
        let mut partition = partition.lock().unwrap_or_else(PoisonError::into_inner);
        let mut first = None;
        let mut rest = records;
        while !rest.is_empty() {
            let parsed = Batch::parse(rest, self.check_crc);
            let (batch, next) = parsed.map_err(|error| self.refuse(error))?;
            let plain = batch.decompress().map_err(|error| self.refuse(error))?;
            let batch = match &plain {
                Some(plain) => {
                    counts.compressed.fetch_add(1, Relaxed);
                    batch.with_records(plain)
                }
                None => batch,
            };
            let taken = partition.take(&batch, &topic.expected, &self.ledger);
            let offset = self.judge(taken.map_err(|error| self.refuse(error))?)?;
            first = first.or(Some(offset));
            rest = next;
        }
        Ok(first.unwrap_or(-1))
    }

    fn judge(&self, verdict: Verdict) -> Result<i64, ResponseError> {
        let counts = &self.ledger.batches;
        let (counter, outcome) = match verdict {
            Verdict::Taken(offset) => (&counts.taken, Ok(offset)),
            Verdict::Repeat(offset) => (&counts.repeated, Ok(offset)),
            Verdict::OutOfOrder => {
                (&counts.out_of_sequence, Err(ResponseError::OutOfOrderSequenceNumber))
            }
            Verdict::Stale => {
                (&counts.out_of_sequence, Err(ResponseError::DuplicateSequenceNumber))
            }
            Verdict::Fenced => (&counts.out_of_sequence, Err(ResponseError::InvalidProducerEpoch)),
        };
        counter.fetch_add(1, Relaxed);
        outcome
    }

    fn refuse(&self, error: Malformed) -> ResponseError {
        self.ledger.batches.refused.fetch_add(1, Relaxed);
        match error {
            Malformed::Codec(_) => ResponseError::UnsupportedCompressionType,
            Malformed::Magic(_) => ResponseError::UnsupportedForMessageFormat,
            Malformed::Shape | Malformed::Crc | Malformed::Compressed => {
                ResponseError::CorruptMessage
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client;
    use crate::codec::Codec;
    use crate::faults::Errors;
    use crate::records::tests::{batch, compressed};
    use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use kafka_protocol::protocol::Request;

    fn ask<R: Request>(cluster: &Cluster, broker: usize, version: i16, body: &R) -> R::Response {
        let request = client::encode(77, version, body).unwrap().freeze().slice(4..);
        let answer = cluster.answer(broker, request).unwrap().unwrap();
        let is_late = R::KEY == ApiKey::Produce as i16;
        assert_eq!(answer.delay, if is_late { cluster.faults.delay } else { Duration::ZERO });
        let mut answer = answer.bytes.freeze();
        let length = answer.split_to(4);
        assert_eq!(u32::from_be_bytes(length[..].try_into().unwrap()) as usize, answer.len());
        client::decode::<R>(77, version, answer).unwrap()
    }

    fn produce(cluster: &Cluster, broker: usize, partition: i32, records: Vec<u8>) -> (i16, i64) {
        let data = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(Bytes::from(records)));
        let topic = TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_static_str("logs")))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
        let answer = ask(cluster, broker, 7, &request);
        let partition = &answer.responses[0].partition_responses[0];
        (partition.error_code, partition.base_offset)
    }

    #[test]
    fn any_topic_exists_and_its_leaders_go_round() {
        let cluster = Cluster::new(vec![9001, 9002, 9003], &Plan::at(9001));
        let name = TopicName(StrBytes::from_static_str("logs"));
        let topic = MetadataRequestTopic::default().with_name(Some(name));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        for version in [1, 4, 9] {
            let answer = ask(&cluster, 0, version, &request);
            assert_eq!(answer.brokers[2].port, 9003);
            let leaders: Vec<i32> =
                answer.topics[0].partitions.iter().map(|partition| *partition.leader_id).collect();
            assert_eq!(leaders, [1, 2, 3, 1, 2, 3, 1, 2]);
        }
    }

    #[test]
    fn produce_is_answered_with_offsets_or_the_right_error() {
        let plan = Plan { check_crc: true, ..Plan::at(9001) };
        let cluster = Cluster::new(vec![9001, 9002, 9003], &plan);
        let good = |sequence| batch((1, 0, sequence), &[b"one", b"two"]);
        assert_eq!(produce(&cluster, 0, 3, good(0)), (0, 0));
        assert_eq!(produce(&cluster, 0, 3, good(2)), (0, 2));
        assert_eq!(produce(&cluster, 0, 3, good(2)), (0, 2));
        let code = |error: ResponseError| (error.code(), -1);
        let out_of_order = code(ResponseError::OutOfOrderSequenceNumber);
        assert_eq!(produce(&cluster, 0, 3, good(6)), out_of_order);
        assert_eq!(produce(&cluster, 1, 3, good(4)), code(ResponseError::NotLeaderOrFollower));
        assert_eq!(produce(&cluster, 0, 8, good(4)), code(ResponseError::UnknownTopicOrPartition));
        assert_eq!(produce(&cluster, 0, 3, compressed(&good(4), Codec::Zstd)), (0, 4));
        let counts = &cluster.ledger.batches;
        assert_eq!(counts.repeated.load(Relaxed), 1);
        assert_eq!(counts.compressed.load(Relaxed), 1);
        assert_eq!(cluster.ledger.counts().corrupt, 6);
    }

    #[test]
    fn errors_of_the_pattern_take_the_batch_or_not_and_answers_are_late() {
        let delay = Duration::from_millis(7);
        let errors = "1/4:NOT_ENOUGH_REPLICAS,1/3:REQUEST_TIMED_OUT";
        let faults = Faults { delay, errors: Errors::parse(errors).unwrap() };
        let cluster = Cluster::new(vec![9001], &Plan { faults, ..Plan::at(9001) });
        let good = |sequence| batch((1, 0, sequence), &[b"one", b"two"]);
        let code = |error: ResponseError| (error.code(), -1);
        assert_eq!(produce(&cluster, 0, 3, good(0)), (0, 0));
        assert_eq!(produce(&cluster, 0, 3, good(2)), (0, 2));
        assert_eq!(produce(&cluster, 0, 3, good(4)), code(ResponseError::RequestTimedOut));
        assert_eq!(produce(&cluster, 0, 3, good(6)), code(ResponseError::NotEnoughReplicas));
        assert_eq!(produce(&cluster, 0, 3, good(4)), (0, 4));
        let counts = &cluster.ledger.batches;
        let counts = [&counts.taken, &counts.repeated, &counts.failed].map(|c| c.load(Relaxed));
        assert_eq!(counts, [3, 1, 2]);
    }

    #[test]
    fn other_requests_are_refused_by_name() {
        let cluster = Cluster::new(vec![9001], &Plan::at(9001));
        assert!(cluster.answer(0, Bytes::from_static(&[0; 4])).is_err());
        let fetch = [0, 1, 0, 4, 0, 0, 0, 1, 0xff, 0xff];
        let sentence = cluster.answer(0, Bytes::copy_from_slice(&fetch)).unwrap_err();
        assert!(sentence.contains("not served"), "{sentence}");
    }
}
