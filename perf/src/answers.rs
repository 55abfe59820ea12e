//! Puts answers into bytes, and says which requests a sink's brokers answer.

use bytes::{BufMut, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

/// API keys with the versions that are announced.
///
/// Produce below 3 is not understood, but librdkafka takes a broker without Produce 0 or without
/// Fetch for one that knows no record batches; Kafka 4 announces Produce 0 for the same reason.
/// Without FindCoordinator it sends no LZ4. A producer asks neither that nor Fetch.
/// Metadata stops before topic ids, Produce before its answers carry leaders.
const API_VERSIONS: [(ApiKey, i16, i16); 6] = [
    (ApiKey::Produce, 0, 9),
    (ApiKey::Fetch, 4, 11),
    (ApiKey::Metadata, 0, 9),
    (ApiKey::FindCoordinator, 0, 0),
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::InitProducerId, 0, 4),
];

/// The versions that are served; a client that asks in a newer way is told in the oldest one.
pub fn api_versions(header: &RequestHeader) -> Result<BytesMut, String> {
    let keys = API_VERSIONS.iter().map(|(key, min, max)| {
        ApiVersion::default()
            .with_api_key(*key as i16)
            .with_min_version(*min)
            .with_max_version(*max)
    });
    let mut answer = ApiVersionsResponse::default().with_api_keys(keys.collect());
    let mut version = header.request_api_version;
    if !(0..=3).contains(&version) {
        version = 0;
        answer.error_code = ResponseError::UnsupportedVersion.code();
    }
    encode(header, version, &answer)
}

/// Length, header and body of an answer.
pub fn encode<T: Encodable + HeaderVersion>(
    header: &RequestHeader,
    version: i16,
    answer: &T,
) -> Result<BytesMut, String> {
    let mut bytes = BytesMut::with_capacity(512);
    bytes.put_u32(0);
    ResponseHeader::default()
        .with_correlation_id(header.correlation_id)
        .encode(&mut bytes, T::header_version(version))
        .and_then(|()| answer.encode(&mut bytes, version))
        .map_err(|error| format!("answer to API key {}: {error}", header.request_api_key))?;
    let length = bytes.len() as u32 - 4;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes)
}
