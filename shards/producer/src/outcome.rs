//! What an error in a delivery report means for its record.

use corndog_pipeline::counters::Failed;
use rdkafka_sys::rd_kafka_resp_err_t as Error;

use crate::values::Code;

/// What to do with a record that was not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Taken back by ourselves, or the client is unusable: send it again when things are in order.
    TakenBack,
    /// It shared a MessageSet with a record that Kafka refuses: send it again, in its order.
    Neighbour,
    /// Send it again: the cause is one that passes.
    Retriable,
    /// Its topic does not exist at present.
    TopicUnknown,
    /// It, or what librdkafka packed it together with, is larger than the topic allows.
    TooLarge,
    /// Sending it again would not help.
    Permanent(Failed),
}

/// True for a broker's answer after which the records are sent again: nothing of their partition
/// may go before them.
pub(crate) fn stops_partition(code: Code) -> bool {
    let is_brokers = code > Error::RD_KAFKA_RESP_ERR__END as Code;
    match outcome_of(code) {
        // librdkafka's own code, for what it reads in a broker's answer.
        Outcome::Neighbour => true,
        Outcome::Retriable | Outcome::TooLarge => is_brokers,
        Outcome::TakenBack | Outcome::TopicUnknown | Outcome::Permanent(_) => false,
    }
}

/// True if a record that librdkafka refused when it was handed over is handed over again.
pub(crate) fn is_offered_again(code: Code) -> bool {
    !matches!(outcome_of(code), Outcome::TooLarge | Outcome::Permanent(_))
}

/// Reads an error code. What is not known to be permanent is retriable: nothing is lost by accident.
pub(crate) fn outcome_of(code: Code) -> Outcome {
    const PERMANENT: &[(Error, Failed)] = &[
        (Error::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, Failed::NotAuthorized),
        (Error::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, Failed::NotAuthorized),
        (Error::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, Failed::NotAuthorized),
        (Error::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, Failed::TopicUnknown),
        (Error::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, Failed::TimedOut),
        (Error::RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, Failed::Rejected),
        (Error::RD_KAFKA_RESP_ERR_INVALID_RECORD, Failed::Rejected),
        (Error::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, Failed::Rejected),
        (Error::RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, Failed::Rejected),
        (Error::RD_KAFKA_RESP_ERR_POLICY_VIOLATION, Failed::Rejected),
        (Error::RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, Failed::Rejected),
        (Error::RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, Failed::Rejected),
        (Error::RD_KAFKA_RESP_ERR__INVALID_ARG, Failed::Rejected),
        (Error::RD_KAFKA_RESP_ERR__BAD_COMPRESSION, Failed::Rejected),
    ];
    const TAKEN_BACK: &[Error] = &[
        Error::RD_KAFKA_RESP_ERR__PURGE_QUEUE,
        Error::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT,
        Error::RD_KAFKA_RESP_ERR__FATAL,
        Error::RD_KAFKA_RESP_ERR__DESTROY,
        Error::RD_KAFKA_RESP_ERR__QUEUE_FULL,
    ];
    const UNKNOWN: &[Error] =
        &[Error::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, Error::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART];
    const TOO_LARGE: &[Error] = &[
        Error::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        Error::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
    ];
    const NEIGHBOUR: Error = Error::RD_KAFKA_RESP_ERR__INVALID_DIFFERENT_RECORD;
    let is = |error: &Error| *error as Code == code;
    if let Some((_, reason)) = PERMANENT.iter().find(|(error, _)| is(error)) {
        Outcome::Permanent(*reason)
    } else if TAKEN_BACK.iter().any(is) {
        Outcome::TakenBack
    } else if is(&NEIGHBOUR) {
        Outcome::Neighbour
    } else if UNKNOWN.iter().any(is) {
        Outcome::TopicUnknown
    } else if TOO_LARGE.iter().any(is) {
        Outcome::TooLarge
    } else {
        Outcome::Retriable
    }
}
