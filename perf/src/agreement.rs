//! Whether the sink and Apache Kafka say the same of a forwarder: the sink must not be kind.

use crate::compare::{Entrant, Plan, Run};
use crate::forwarder::Kind;
use crate::kafka::Kafka;
use crate::summary;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a warm-up sends: Java compiles what it sees often.
const WARM_MESSAGES: u64 = 1_000_000;
const WARM_ROUNDS: usize = 2;
/// Ends the labels of runs against Kafka.
const SUFFIX: &str = "-kafka";

/// Each entrant as it is, and then against Kafka.
pub fn twice(entrants: Vec<Entrant>, kafka: &Arc<Kafka>) -> Vec<Entrant> {
    let both = |entrant: Entrant| {
        let label = entrant.label.clone() + SUFFIX;
        let other = Entrant { label, kafka: Some(Arc::clone(kafka)), ..entrant.clone() };
        [entrant, other]
    };
    entrants.into_iter().flat_map(both).collect()
}

/// What makes Kafka as fast as it gets, before anything is measured.
pub fn warm_up(plan: &Plan) -> Plan {
    let at_kafka = plan.entrants.iter().rfind(|entrant| entrant.kafka.is_some());
    let flat_out = |entrant: &Entrant| {
        let messages = entrant.messages.min(WARM_MESSAGES);
        Entrant { messages, rate: None, ..entrant.clone() }
    };
    let entrants = at_kafka.map(flat_out).into_iter().collect();
    Plan { entrants, rounds: WARM_ROUNDS, profile: None, ..plan.clone() }
}

/// The forwarder of a label, wherever its records went.
pub fn forwarder(label: &str) -> &str {
    label.strip_suffix(SUFFIX).unwrap_or(label)
}

/// Whether a label is of runs against Kafka.
pub fn is_kafka(label: &str) -> bool {
    label.ends_with(SUFFIX)
}

/// Pairs of labels whose CPU is compared: corndog with each peer, at the same destination, and each
/// forwarder at Kafka with itself at the sink. The runs are of one group.
pub fn pairs(runs: &[Run]) -> Vec<(String, String)> {
    let labels = summary::labels(runs);
    let own = [Kind::Corndog.name().to_owned(), Kind::Corndog.name().to_owned() + SUFFIX];
    let mut pairs = Vec::new();
    for label in labels.iter().filter(|label| !own.iter().any(|own| own == *label)) {
        let own = &own[usize::from(is_kafka(label))];
        if labels.contains(&own.as_str()) {
            pairs.push((own.clone(), (*label).to_owned()));
        }
    }
    for (at_sink, at_kafka) in at_both(runs) {
        pairs.push((at_kafka, at_sink));
    }
    pairs
}

/// Says for each forwarder of a group whether both count the same; and whether they do for all.
pub fn judge(runs: &[Run]) -> (Vec<String>, bool) {
    let (mut lines, mut agree) = (Vec::new(), true);
    for (at_sink, at_kafka) in at_both(runs) {
        let (sink, kafka) = (counts(runs, &at_sink), counts(runs, &at_kafka));
        let differ: Vec<String> = sink
            .keys()
            .chain(kafka.keys().filter(|key| !sink.contains_key(*key)))
            .filter(|key| sink.get(*key) != kafka.get(*key))
            .map(|key| {
                let count = |counts: &BTreeMap<String, u64>| counts.get(key).copied().unwrap_or(0);
                format!("{key} {} and {}", count(&sink), count(&kafka))
            })
            .collect();
        agree &= differ.is_empty();
        lines.push(match differ.is_empty() {
            true => format!("{at_sink}: the sink and Kafka count the same"),
            false => format!("{at_sink}: the sink and Kafka differ: {}", differ.join(", ")),
        });
    }
    (lines, agree)
}

/// Labels that ran at both: at the sink, and at Kafka.
fn at_both(runs: &[Run]) -> Vec<(String, String)> {
    let labels = summary::labels(runs);
    let pair = |at_sink: &&str| ((*at_sink).to_owned(), (*at_sink).to_owned() + SUFFIX);
    labels.iter().map(pair).filter(|(_, at_kafka)| labels.contains(&at_kafka.as_str())).collect()
}

fn counts(runs: &[Run], label: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for run in runs.iter().filter(|run| run.label == label) {
        let own = [
            ("sent", run.sent),
            ("received", run.received),
            ("lost", run.lost),
            ("duplicated", run.duplicated),
            ("reordered", run.reordered),
            ("corrupt", run.corrupt),
            ("wrong", run.misrouted + run.misshapen),
        ];
        let by_topic =
            run.by_topic.iter().map(|(topic, count)| (format!("records in {topic}"), *count));
        for (key, count) in
            own.map(|(key, count)| (key.to_owned(), count)).into_iter().chain(by_topic)
        {
            *counts.entry(key).or_default() += count;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::sample;

    #[test]
    fn pairs_are_of_one_destination_and_then_of_both() {
        let runs = ["rsyslog", "rsyslog-kafka", "corndog", "corndog-kafka"]
            .map(|label| sample(label, 1.0));
        let pairs = pairs(&runs);
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(own, peer)| (own.as_str(), peer.as_str())).collect();
        let expected = [
            ("corndog", "rsyslog"),
            ("corndog-kafka", "rsyslog-kafka"),
            ("rsyslog-kafka", "rsyslog"),
            ("corndog-kafka", "corndog"),
        ];
        assert_eq!(pairs, expected);
        assert!(super::pairs(&[sample("corndog", 1.0)]).is_empty());
    }

    #[test]
    fn a_count_that_differs_is_told() {
        let mut runs = [sample("corndog", 1.0), sample("corndog-kafka", 1.0)];
        let same = vec!["corndog: the sink and Kafka count the same".to_owned()];
        assert_eq!(judge(&runs), (same, true));
        runs[1].lost += 3;
        runs[1].by_topic[0].0 = "other".to_owned();
        let (lines, agree) = judge(&runs);
        let text = lines.concat();
        assert!(!agree && text.contains("lost 0 and 3"), "{text}");
        assert!(text.contains("records in test 10 and 0, records in other 0 and 10"), "{text}");
        assert_eq!(judge(&runs[..1]), (Vec::new(), true));
    }
}
