//! Asks one Kafka broker, a request at a time: enough to make topics, and to read them back.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// For each read and write.
const PATIENCE: Duration = Duration::from_secs(30);
/// A longer answer is none of Kafka's.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A connection to a broker.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, correlation_id: 0 })
    }

    /// Asks, and waits for the answer.
    ///
    /// Errors: a sentence; the connection is beyond repair. What Kafka refuses is in the answer.
    pub fn ask<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response, String> {
        let refuse = |what: String| format!("Kafka, API key {} version {version}: {what}", R::KEY);
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let bytes = encode(self.correlation_id, version, request).map_err(refuse)?;
        let answer = self.exchange(&bytes).map_err(|error| refuse(error.to_string()))?;
        decode::<R>(self.correlation_id, version, answer).map_err(refuse)
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<Bytes> {
        self.stream.write_all(request)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > ANSWER_BYTES_MAX {
            return Err(io::Error::other(format!("an answer of {length} bytes")));
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok(answer.into())
    }
}

/// Length, header and body of a request.
pub(crate) fn encode<R: Request>(
    correlation_id: i32,
    version: i16,
    request: &R,
) -> Result<BytesMut, String> {
    let mut bytes = BytesMut::with_capacity(512);
    bytes.put_u32(0);
    RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str("corndog-perf")))
        .encode(&mut bytes, R::header_version(version))
        .and_then(|()| request.encode(&mut bytes, version))
        .map_err(|error| error.to_string())?;
    let length = bytes.len() as u32 - 4;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes)
}

/// The answer to it, without its length.
pub(crate) fn decode<R: Request>(
    correlation_id: i32,
    version: i16,
    mut answer: Bytes,
) -> Result<R::Response, String> {
    let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version))
        .map_err(|error| error.to_string())?;
    if header.correlation_id != correlation_id {
        return Err("an answer to something else".into());
    }
    R::Response::decode(&mut answer, version).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{Plan, Sink};
    use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
    use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest, TopicName};
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn a_sink_answers_a_client() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let sink = Sink::start(&Plan { brokers: 1, ..Plan::at(address.port()) }).unwrap();
        let mut client = Client::connect(address).unwrap();
        let versions = client.ask(3, &ApiVersionsRequest::default()).unwrap();
        assert!(!versions.api_keys.is_empty());
        let name = TopicName(StrBytes::from_static_str("logs"));
        let topic = MetadataRequestTopic::default().with_name(Some(name));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        let metadata = client.ask(9, &request).unwrap();
        assert_eq!(metadata.topics[0].partitions.len(), 8);
        sink.stop();
        assert!(client.ask(9, &request).is_err());
    }
}
