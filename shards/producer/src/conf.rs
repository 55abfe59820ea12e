//! librdkafka's configuration: the user's keys over our defaults, and what weakens a promise.

use crate::values::Conf;

/// Our defaults under `[kafka.conf]`, each with its reason.
const DEFAULTS: &[(&str, &str)] = &[
    // No duplicates and no reordering when librdkafka retries; brings acks=all.
    ("enable.idempotence", "true"),
    // A record waits for Kafka as long as it takes: the sender is held, nothing is given up.
    ("message.timeout.ms", "0"),
    // The pool of batches is the bound on records in flight; librdkafka's must never bind first.
    ("queue.buffering.max.messages", "0"),
    ("queue.buffering.max.kbytes", "2147483647"),
    // Records have waited for others in their batch (batches.age): librdkafka sends what it has.
    ("linger.ms", "0"),
    // New partitions are used, and a cluster that has gone is noticed, after ten seconds.
    ("topic.metadata.refresh.interval.ms", "10000"),
    // Our partitioner is asked, not librdkafka's sticky one: it learns the partition count.
    ("sticky.partitioning.linger.ms", "0"),
    ("client.id", "corndog"),
    // The brokers' round trips and queues, for the status page.
    ("statistics.interval.ms", "5000"),
    // A small request does not wait until the one before it is acknowledged (Nagle).
    ("socket.nagle.disable", "true"),
    // Its log comes through our queue, into our log.
    ("log.queue", "true"),
];

/// Keys that this program needs for itself: refused, with the reason.
const REFUSED: &[(&str, &str)] = &[
    ("log.queue", "librdkafka's log goes into corndog's own; remove the key"),
    (
        "transactional.id",
        "records are sent one batch after the other, never in transactions; remove it",
    ),
    (
        "delivery.report.only.error",
        "every record's report is needed for the ledger; remove the key",
    ),
    (
        "sticky.partitioning.linger.ms",
        "the records of one batch without a key go to one partition as it is; remove the key",
    ),
    (
        "partitioner",
        "keyed records go where Kafka's Java client puts them (murmur2), the others batch by batch; remove the key",
    ),
];

/// The largest MessageSet that librdkafka makes, in bytes, where `batch.size` is not set.
pub(crate) const BATCH_SIZE_DEFAULT: usize = 1_000_000;

/// How long an unknown topic's records wait for it to appear. librdkafka counts that from when it
/// first heard the name, also while Kafka is away, so that a topic that Kafka makes when it comes
/// back would be too late. So the time is kept here, from Kafka's first "unknown"; librdkafka itself
/// says "unknown" quickly and is asked again.
const PROPAGATION_KEY: &str = "topic.metadata.propagation.max.ms";
const PROPAGATION_MS_DEFAULT: u64 = 30_000;
const PROPAGATION_MS_EACH: u64 = 1_000;

/// librdkafka's configuration as it is used.
#[derive(Debug, Clone)]
pub(crate) struct ClientConf {
    pub(crate) pairs: Vec<(String, String)>,
    /// The largest MessageSet that librdkafka makes.
    pub(crate) batch_size: usize,
    /// MessageSets are compressed: a record's size says little of whether it fits.
    pub(crate) compresses: bool,
    /// A partition's first record waits for others.
    pub(crate) lingers: bool,
    /// How long a topic may be unknown before its records are given up.
    pub(crate) topic_unknown_ms_max: u64,
}

/// Checks the user's keys as librdkafka does. Gives warnings about promises that they weaken.
///
/// Errors: every mistake, one sentence each.
pub fn check(user: &[(String, String)]) -> Result<Vec<String>, Vec<String>> {
    let mut mistakes = Vec::new();
    for (key, value) in user {
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| refused == key) {
            mistakes.push(format!("kafka.conf.\"{key}\": {why}"));
        } else if let Err(why) = Conf::new(&[(key.clone(), value.clone())]) {
            mistakes
                .push(format!("kafka.conf.\"{key}\": {why}; see librdkafka's CONFIGURATION.md"));
        }
    }
    for (key, value) in user {
        let is_broker = matches!(key.as_str(), "bootstrap.servers" | "metadata.broker.list");
        if is_broker && value.trim().is_empty() {
            mistakes
                .push(format!("kafka.conf.\"{key}\": empty; name a broker, as \"broker1:9092\""));
        }
    }
    if mistakes.is_empty()
        && let Err(why) = crate::client::try_client(&ClientConf::new(user).pairs)
    {
        // What only shows between keys, or in the files that they name.
        mistakes.push(format!("kafka.conf: librdkafka refuses these keys together: {why}"));
    }
    if mistakes.is_empty() { Ok(warnings(user)) } else { Err(mistakes) }
}

fn warnings(user: &[(String, String)]) -> Vec<String> {
    let weakening = user.iter().filter_map(|(key, value)| {
        let why = match (key.as_str(), value.as_str()) {
            ("enable.idempotence", "false") => "records may be duplicated and reordered by retries",
            ("acks" | "request.required.acks", value) if !is_all(value) => {
                "acknowledged records can be lost with a broker, and idempotence is off"
            }
            ("message.timeout.ms" | "delivery.timeout.ms", value) if value != "0" => {
                "records not acknowledged in that time are given up (failed.timed_out)"
            }
            ("queue.buffering.max.messages" | "queue.buffering.max.kbytes", _) => {
                "where this binds before the pool of batches does, records wait twice"
            }
            ("retries" | "message.send.max.retries", _) => {
                "corndog sends again what librdkafka gives back, so this only costs order and time"
            }
            _ => return None,
        };
        Some(format!("kafka.conf.\"{key}\" = {value:?}: {why}"))
    });
    weakening.collect()
}

fn is_all(acks: &str) -> bool {
    matches!(acks, "all" | "-1")
}

impl ClientConf {
    /// The user's keys over our defaults.
    pub(crate) fn new(user: &[(String, String)]) -> ClientConf {
        let of_user = |key: &str| user.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        let acks = of_user("acks").or_else(|| of_user("request.required.acks"));
        let has_weak_acks = acks.is_some_and(|acks| !is_all(acks));
        let linger_ms = of_user("linger.ms").or_else(|| of_user("queue.buffering.max.ms"));
        let defaults = DEFAULTS.iter().filter(|(key, _)| {
            let is_alias_set = match *key {
                "message.timeout.ms" => of_user("delivery.timeout.ms").is_some(),
                "linger.ms" => linger_ms.is_some(),
                _ => false,
            };
            of_user(key).is_none()
                && !is_alias_set
                && !(*key == "enable.idempotence" && has_weak_acks)
        });
        let pairs = defaults.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let number = |key: &str| of_user(key).and_then(|value| value.parse::<u64>().ok());
        let batch_size = number("batch.size").map_or(BATCH_SIZE_DEFAULT, |bytes| bytes as usize);
        let topic_unknown_ms_max = number(PROPAGATION_KEY).unwrap_or(PROPAGATION_MS_DEFAULT);
        let users = user.iter().filter(|(key, _)| key != PROPAGATION_KEY).cloned();
        let mut conf = ClientConf {
            pairs: pairs.chain(users).collect(),
            batch_size,
            compresses: ["compression.codec", "compression.type"]
                .iter()
                .any(|key| of_user(key).is_some_and(|codec| codec != "none")),
            lingers: linger_ms.is_some_and(|value| value.parse() != Ok(0.0)),
            topic_unknown_ms_max,
        };
        let propagation_ms = topic_unknown_ms_max.min(PROPAGATION_MS_EACH).to_string();
        conf.pairs.push((PROPAGATION_KEY.to_owned(), propagation_ms));
        conf
    }

    /// The same with smaller MessageSets.
    pub(crate) fn shrink(&mut self, batch_size: usize) {
        self.batch_size = batch_size;
        self.pairs.retain(|(key, _)| key != "batch.size");
        self.pairs.push(("batch.size".to_owned(), batch_size.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn our_defaults_are_accepted_by_librdkafka() {
        assert!(Conf::new(&ClientConf::new(&[]).pairs).is_ok());
    }

    #[test]
    fn what_the_user_sets_wins_and_is_warned_of() {
        let user = pairs(&[("acks", "1"), ("message.timeout.ms", "5000")]);
        let conf = ClientConf::new(&user);
        assert_eq!(conf.pairs.iter().filter(|(key, _)| key == "message.timeout.ms").count(), 1);
        assert!(!conf.pairs.iter().any(|(key, _)| key == "enable.idempotence"));
        assert_eq!(check(&user).expect("legal").len(), 2);
    }

    /// librdkafka had freed the interceptors in the configuration already: the process died.
    #[test]
    fn what_librdkafka_refuses_late_is_a_sentence() {
        for late in [
            &[("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "PLAIN")][..],
            &[("security.protocol", "ssl"), ("ssl.ca.location", "/nonexistent/ca.pem")],
        ] {
            let refusals = check(&pairs(late)).expect_err("refused");
            assert!(refusals[0].starts_with("kafka.conf: librdkafka refuses"), "{refusals:?}");
        }
    }

    #[test]
    fn every_mistake_is_named() {
        let user = pairs(&[("linger.mss", "5"), ("partitioner", "random"), ("acks", "x")]);
        assert_eq!(check(&user).expect_err("three mistakes").len(), 3);
    }
}
