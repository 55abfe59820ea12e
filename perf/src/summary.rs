//! What runs showed: medians with their ends, ratios by round, as a table and as JSON.

use crate::agreement;
use crate::compare::Run;
use crate::table::Table;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Of more topics only the number is told.
const TOPICS_SHOWN_MAX: usize = 8;

/// Median, least and greatest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle value, or the mean of the two.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of at least one value; `None` of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = values.len() / 2;
        let lower = (values.len() - 1) / 2;
        Some(Self { median: (values[lower] + values[upper]) / 2.0, min, max })
    }

    /// As an object.
    pub fn json(self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = formatter.precision().unwrap_or(2);
        let Self { median, min, max } = self;
        // `pad` would cut the text to the precision.
        let width = formatter.width().unwrap_or(0);
        let text = format!("{median:.digits$} ({min:.digits$}..{max:.digits$})");
        write!(formatter, "{text:>width$}")
    }
}

/// CPU of the runs of one label by those of another, round by round; `None` unless both ran, and
/// neither lost or spoiled anything.
pub fn ratio(runs: &[Run], own: &str, peer: &str) -> Option<Spread> {
    if [own, peer].iter().any(|label| !of_label(runs, label).all(Run::is_whole)) {
        return None;
    }
    let of = |label| of_label(runs, label).map(|run| run.cpu_per_million);
    Spread::of(of(own).zip(of(peer)).map(|(own, peer)| own / peer))
}

/// The labels that ran, in the order of their first runs.
pub fn labels(runs: &[Run]) -> Vec<&str> {
    let mut labels: Vec<&str> = Vec::new();
    for run in runs {
        if !labels.contains(&run.label.as_str()) {
            labels.push(&run.label);
        }
    }
    labels
}

/// The groups that ran, in the order of their first runs, each with its runs.
pub fn groups(runs: &[Run]) -> Vec<(&str, Vec<Run>)> {
    let mut groups: Vec<(&str, Vec<Run>)> = Vec::new();
    for run in runs {
        match groups.iter_mut().find(|(group, _)| *group == run.group) {
            Some((_, members)) => members.push(run.clone()),
            None => groups.push((&run.group, vec![run.clone()])),
        }
    }
    groups
}

/// A figure of the runs of a label; `None` if it did not run.
pub fn spread(runs: &[Run], label: &str, figure: fn(&Run) -> f64) -> Option<Spread> {
    Spread::of(of_label(runs, label).map(figure))
}

/// The figures of each label.
pub fn table(runs: &[Run]) -> Table {
    let mut table = Table::new(&[
        "",
        "CPU s/million",
        "messages/s",
        "peak MiB",
        "lost",
        "dup",
        "reord",
        "corr",
        "wrong",
    ]);
    for label in labels(runs) {
        let figure = |figure: fn(&Run) -> f64, digits: usize| {
            spread(runs, label, figure)
                .map_or_else(String::new, |spread| format!("{spread:.digits$}"))
        };
        let sum =
            |field: fn(&Run) -> u64| of_label(runs, label).map(field).sum::<u64>().to_string();
        let mark = if of_label(runs, label).all(|run| run.is_taken) { "" } else { " !" };
        table.rows.push(vec![
            label.to_owned(),
            figure(|run| run.cpu_per_million, 3),
            figure(|run| run.messages_per_second, 0) + mark,
            figure(|run| run.memory_peak_mib, 1),
            sum(|run| run.lost),
            sum(|run| run.duplicated),
            sum(|run| run.reordered),
            sum(|run| run.corrupt),
            sum(|run| run.misrouted + run.misshapen),
        ]);
    }
    table
}

/// What the table leaves out: where the records are, and what the tools took themselves.
pub fn notes(runs: &[Run]) -> Vec<String> {
    let mut notes: Vec<String> = labels(runs)
        .into_iter()
        .map(|label| format!("{label}, records by topic: {}", topics(&by_topic(runs, label))))
        .collect();
    let (at_kafka, at_sink): (Vec<&Run>, Vec<&Run>) =
        runs.iter().partition(|run| agreement::is_kafka(&run.label));
    let costs = [
        ("load", "message", Spread::of(runs.iter().map(|run| run.load_ns))),
        ("sink", "record", Spread::of(at_sink.iter().map(|run| run.sink_ns))),
        ("Kafka", "record", Spread::of(at_kafka.iter().map(|run| run.sink_ns))),
    ];
    let costs = costs.iter().filter_map(|(name, unit, cost)| {
        cost.as_ref().map(|cost| format!("{name} {cost:.0} ns/{unit}"))
    });
    let costs: Vec<String> = costs.collect();
    if !runs.iter().all(|run| run.is_taken) {
        notes.push("! the rate was not taken: the forwarder held the load back".to_owned());
    }
    if !costs.is_empty() {
        notes.push(format!("the tools' own CPU: {}", costs.join(", ")));
    }
    notes
}

/// Each topic with its records; of many only their number.
fn topics(counts: &BTreeMap<&str, u64>) -> String {
    if counts.len() > TOPICS_SHOWN_MAX {
        let (least, most) = (counts.values().min(), counts.values().max());
        let (least, most) = (least.copied().unwrap_or(0), most.copied().unwrap_or(0));
        return format!("{} topics of {least} to {most} each", counts.len());
    }
    counts.iter().map(|(topic, count)| format!("{topic} {count}")).collect::<Vec<_>>().join(", ")
}

/// The figures and every run as JSON; `ratios` names pairs of labels.
pub fn json(runs: &[Run], ratios: &[(String, String)]) -> Value {
    let summary = labels(runs).into_iter().map(|label| {
        let spread =
            |field: fn(&Run) -> f64| Spread::of(of_label(runs, label).map(field)).map(Spread::json);
        let sum = |field: fn(&Run) -> u64| of_label(runs, label).map(field).sum::<u64>();
        let summary = json!({
            "cpu_seconds_per_million": spread(|run| run.cpu_per_million),
            "messages_per_second": spread(|run| run.messages_per_second),
            "memory_peak_mib": spread(|run| run.memory_peak_mib),
            "records_per_batch": spread(|run| run.records_per_batch),
            "sent": sum(|run| run.sent),
            "lost": sum(|run| run.lost),
            "duplicated": sum(|run| run.duplicated),
            "reordered": sum(|run| run.reordered),
            "corrupt": sum(|run| run.corrupt),
            "misrouted": sum(|run| run.misrouted),
            "misshapen": sum(|run| run.misshapen),
            "by_topic": by_topic(runs, label),
        });
        (label.to_owned(), summary)
    });
    let summary: serde_json::Map<String, Value> = summary.collect();
    let ratios = ratios.iter().map(|(own, peer)| {
        (format!("{own}/{peer}"), json!(ratio(runs, own, peer).map(Spread::json)))
    });
    json!({
        "forwarders": summary,
        "cpu_ratios": ratios.collect::<serde_json::Map<String, Value>>(),
        "runs": runs.iter().map(run_json).collect::<Vec<Value>>(),
    })
}

fn run_json(run: &Run) -> Value {
    json!({
        "forwarder": run.label,
        "sent": run.sent,
        "received": run.received,
        "lost": run.lost,
        "duplicated": run.duplicated,
        "reordered": run.reordered,
        "corrupt": run.corrupt,
        "misrouted": run.misrouted,
        "misshapen": run.misshapen,
        "cpu_seconds_per_million": run.cpu_per_million,
        "messages_per_second": run.messages_per_second,
        "is_rate_taken": run.is_taken,
        "memory_peak_mib": run.memory_peak_mib,
        "records_per_batch": run.records_per_batch,
        "load_cpu_ns_per_message": run.load_ns,
        "sink_cpu_ns_per_record": run.sink_ns,
    })
}

fn of_label<'a>(runs: &'a [Run], label: &'a str) -> impl Iterator<Item = &'a Run> {
    runs.iter().filter(move |run| run.label == label)
}

/// Records of all runs of a label, by topic.
fn by_topic<'a>(runs: &'a [Run], label: &'a str) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    for (topic, count) in of_label(runs, label).flat_map(|run| &run.by_topic) {
        *counts.entry(topic.as_str()).or_default() += count;
    }
    counts
}

/// A run that showed little.
#[cfg(test)]
pub(crate) fn sample(label: &str, cpu_per_million: f64) -> Run {
    Run {
        group: "w1".to_owned(),
        label: label.to_owned(),
        sent: 10,
        received: 10,
        lost: 0,
        duplicated: 0,
        reordered: 0,
        corrupt: 0,
        misrouted: 0,
        misshapen: 0,
        by_topic: vec![("test".to_owned(), 10)],
        cpu_per_million,
        messages_per_second: 1000.0,
        is_taken: true,
        memory_peak_mib: 20.0,
        records_per_batch: 100.0,
        load_ns: 70.0,
        sink_ns: 100.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_median_and_ends() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }

    #[test]
    fn ratio_is_paired_by_round_whatever_the_order_within() {
        let (own, peer) = ("corndog", "rsyslog");
        let runs = [(peer, 2.0), (own, 1.0), (own, 3.0), (peer, 4.0)]
            .map(|(label, cpu)| sample(label, cpu));
        let spread = ratio(&runs, own, peer).unwrap();
        assert_eq!((spread.min, spread.max), (0.5, 0.75));
        assert_eq!(ratio(&runs[..1], own, peer), None);
    }

    #[test]
    fn what_lost_or_spoiled_messages_has_no_ratio() {
        let spoil: [fn(&mut Run); 4] = [
            |run| run.lost = 1,
            |run| run.corrupt = 1,
            |run| run.misrouted = 1,
            |run| run.misshapen = 1,
        ];
        for (spoil, index) in spoil.iter().zip([0, 1, 0, 1]) {
            let mut runs = [sample("corndog", 1.0), sample("rsyslog", 2.0)];
            assert!(ratio(&runs, "corndog", "rsyslog").is_some());
            spoil(&mut runs[index]);
            assert_eq!(ratio(&runs, "corndog", "rsyslog"), None);
        }
    }

    #[test]
    fn a_rate_that_was_not_taken_is_marked() {
        let mut runs = [sample("corndog", 1.0), sample("rsyslog", 2.0)];
        assert!(!table(&runs).text().contains('!') && notes(&runs).len() == 3);
        runs[1].is_taken = false;
        assert!(table(&runs).text().contains("1000 (1000..1000) !"));
        assert!(notes(&runs).iter().any(|note| note.starts_with("! the rate was not taken")));
    }

    #[test]
    fn table_and_json_hold_every_forwarder() {
        let mut runs = [sample("rsyslog", 2.0), sample("corndog", 1.0), sample("rsyslog", 3.0)];
        runs[2].reordered = 2;
        let text = table(&runs).text();
        assert!(text.contains("corndog") && text.contains("2.500 (2.000..3.000)"), "{text}");
        assert_eq!(notes(&runs)[0], "rsyslog, records by topic: test 20");
        let json = json(&runs, &[("corndog".to_owned(), "rsyslog".to_owned())]);
        assert_eq!(json["forwarders"]["rsyslog"]["reordered"], 2);
        assert_eq!(json["cpu_ratios"]["corndog/rsyslog"]["median"], 0.5);
        assert_eq!(json["runs"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn groups_keep_their_order_and_their_runs() {
        let mut runs = [sample("rsyslog", 2.0), sample("corndog", 1.0), sample("rsyslog", 3.0)];
        runs[1].group = "w2".to_owned();
        let groups = groups(&runs);
        let sizes: Vec<_> = groups.iter().map(|(group, runs)| (*group, runs.len())).collect();
        assert_eq!(sizes, [("w1", 2), ("w2", 1)]);
    }

    #[test]
    fn many_topics_are_counted() {
        let names: Vec<String> = (0..9).map(|number| format!("logs-{number}")).collect();
        let counts = names.iter().zip(1..).map(|(name, count)| (name.as_str(), count)).collect();
        assert_eq!(topics(&counts), "9 topics of 1 to 9 each");
    }
}
