//! What a comparison showed, as a report and as JSON: a section for each workload.

use crate::agreement;
use crate::canvas::Color;
use crate::compare::Run;
use crate::failure::Failure;
use crate::forwarder::Kind;
use crate::machine::Facts;
use crate::plot::{Bar, Bars, SMALL};
use crate::report::{self, Report, Section};
use crate::summary::{self, Spread};
use serde_json::{Value, json};

/// A figure of a run, with the words of its chart.
type Figure = (&'static str, &'static str, fn(&Run) -> f64);

const FIGURES: [Figure; 3] = [
    ("CPU", "seconds per million messages: less is better", |run| run.cpu_per_million),
    ("Rate", "messages per second: more is better", |run| run.messages_per_second),
    ("Memory", "MiB at the peak: less is better", |run| run.memory_peak_mib),
];

/// All groups, each below its name if there are several.
pub fn text(runs: &[Run]) -> String {
    let groups = groups(runs);
    let is_one = groups.len() == 1;
    let heading = |group: &str| if is_one { String::new() } else { format!("\n{group}\n") };
    groups.iter().map(|(group, runs)| heading(group) + &group_text(runs)).collect()
}

/// Each group with its runs: ours first, the others in their order.
fn groups(runs: &[Run]) -> Vec<(&str, Vec<Run>)> {
    let mut groups = summary::groups(runs);
    for (_, runs) in &mut groups {
        runs.sort_by_key(|run| run.label != Kind::Corndog.name());
    }
    groups
}

fn group_text(runs: &[Run]) -> String {
    let lines = summary::notes(runs).into_iter().chain(lines(runs));
    let lines: String = lines.map(|line| line + "\n").collect();
    summary::table(runs).text() + &lines
}

/// All groups with the machine's facts, every run included.
pub fn json(runs: &[Run], facts: &Facts) -> Value {
    let groups = groups(runs).into_iter();
    let groups = groups
        .map(|(group, runs)| (group.to_owned(), summary::json(&runs, &agreement::pairs(&runs))));
    json!({
        "command": report::command_line(),
        "machine": facts.json(),
        "workloads": groups.collect::<serde_json::Map<String, Value>>(),
    })
}

/// Whether the sink and Kafka agree in every group.
pub fn agree(runs: &[Run]) -> bool {
    summary::groups(runs).iter().all(|(_, runs)| agreement::judge(runs).1)
}

/// Who lost or spoiled messages, if somebody did: its cost means nothing then, and it has no ratio.
pub fn fault(runs: &[Run]) -> Option<String> {
    let run = runs.iter().find(|run| !run.is_whole())?;
    Some(format!(
        "{}, {}: of {} messages {} were lost, {} came corrupt, {} to another topic, {} (of those looked \
         at) with another payload than the rules make: what it cost is no figure",
        run.group, run.label, run.sent, run.lost, run.corrupt, run.misrouted, run.misshapen
    ))
}

/// All groups as a report.
pub fn report(runs: &[Run], facts: &Facts) -> Result<Report, Failure> {
    let groups = groups(runs);
    let overview = (groups.len() > 1).then(|| overview(&groups)).transpose()?.flatten();
    let sections = groups.iter().map(|(group, runs)| section(group, runs));
    let sections: Result<Vec<Section>, Failure> = sections.collect();
    Ok(Report {
        title: "What corndog costs, beside its peers".to_owned(),
        lead: "Each forwarder takes the same messages over TCP, and has them acknowledged by the same \
               sink in place of Kafka, or by Apache Kafka where their names say so. They take turns; \
               figures are the median over the rounds, with the least and the greatest."
            .to_owned(),
        command: report::command_line(),
        facts: facts.0.clone(),
        sections: overview.into_iter().chain(sections?).collect(),
    })
}

/// corndog's CPU by each peer's at the sink, of all groups; `None` without peers.
fn overview(groups: &[(&str, Vec<Run>)]) -> Result<Option<Section>, Failure> {
    let bar = |group: &str, runs: &[Run], (own, peer): &(String, String)| {
        if own != Kind::Corndog.name() {
            return None;
        }
        let value = summary::ratio(runs, own, peer)?;
        let name = format!("{}, by {peer}", group.to_uppercase());
        Some(Bar { name, value, color: Color::First })
    };
    let bars: Vec<Bar> = groups
        .iter()
        .flat_map(|(group, runs)| {
            let pairs = agreement::pairs(runs);
            pairs.iter().filter_map(|pair| bar(group, runs, pair)).collect::<Vec<_>>()
        })
        .collect();
    if bars.is_empty() {
        return Ok(None);
    }
    let chart = Bars {
        title: "corndog's CPU by the peer's".to_owned(),
        unit: "ratio in the same round: less is better, 1 is as much".to_owned(),
        bars,
        width: 560.0,
    };
    let title = "All workloads".to_owned();
    Ok(Some(Section { title, charts: vec![chart.svg()?], ..Section::default() }))
}

fn section(group: &str, runs: &[Run]) -> Result<Section, Failure> {
    let charts: Result<Vec<String>, Failure> =
        FIGURES.iter().map(|figure| chart(runs, figure)).collect();
    Ok(Section {
        title: format!("{}: {}", group.to_uppercase(), about(group)),
        text: lines(runs),
        charts: charts?,
        tables: vec![summary::table(runs)],
        notes: summary::notes(runs),
    })
}

fn chart(runs: &[Run], (title, unit, figure): &Figure) -> Result<String, Failure> {
    let bar = |label: &str| {
        let value: Spread = summary::spread(runs, label, *figure)?;
        Some(Bar { name: label.to_owned(), value, color: color(label) })
    };
    let bars = summary::labels(runs).into_iter().filter_map(bar).collect();
    Bars { title: (*title).to_owned(), unit: (*unit).to_owned(), bars, width: SMALL.0 }.svg()
}

/// A forwarder has the same colour everywhere.
fn color(label: &str) -> Color {
    let index = Kind::ALL.iter().position(|kind| kind.name() == agreement::forwarder(label));
    index.map_or(Color::Faint, Color::of_series)
}

/// The ratios, and whether the sink and Kafka agree, where runs were at both.
fn lines(runs: &[Run]) -> Vec<String> {
    let line = |(own, peer): &(String, String)| {
        let ratio = summary::ratio(runs, own, peer)?;
        Some(format!("{own}/{peer} CPU, per round: {ratio:.3}"))
    };
    let ratios: Vec<String> = agreement::pairs(runs).iter().filter_map(line).collect();
    [ratios, best(runs).into_iter().collect(), agreement::judge(runs).0].concat()
}

/// Of several peers at the sink, the one by which corndog's share is greatest.
fn best(runs: &[Run]) -> Option<String> {
    let own = Kind::Corndog.name();
    let pairs = agreement::pairs(runs);
    let shares: Vec<(&str, f64)> = pairs
        .iter()
        .filter(|(one, _)| one == own)
        .filter_map(|(_, peer)| Some((peer.as_str(), summary::ratio(runs, own, peer)?.median)))
        .collect();
    let (peer, _) = shares.iter().max_by(|one, other| one.1.total_cmp(&other.1))?;
    (shares.len() > 1).then(|| format!("the best peer: {peer}"))
}

fn about(group: &str) -> &'static str {
    match group {
        "w1" => "one rule that forwards all",
        "w2" => "hotdog's own three rules, on JSON and text",
        "w3" => "many regex rules, of which few match",
        "w4" => "one rule that forwards all, over TLS 1.3",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::sample;

    #[test]
    fn every_group_has_its_section_and_its_ratio() {
        let mut runs = [
            sample("rsyslog", 4.0),
            sample("corndog", 1.0),
            sample("syslog-ng", 2.0),
            sample("corndog", 1.0),
        ];
        for run in &mut runs[2..] {
            run.group = "w3".to_owned();
        }
        let report = report(&runs, &Facts::default()).unwrap();
        let titles: Vec<&str> = report.sections.iter().map(|one| one.title.as_str()).collect();
        assert_eq!(titles.len(), 3);
        assert!(titles[2].starts_with("W3: many"), "{titles:?}");
        assert!(report.sections[0].charts[0].contains("W3, by syslog-ng"));
        assert_eq!(
            report.sections[1].text,
            ["corndog/rsyslog CPU, per round: 0.250 (0.250..0.250)"]
        );
        let json = json(&runs, &Facts::default());
        assert_eq!(json["workloads"]["w3"]["cpu_ratios"]["corndog/syslog-ng"]["median"], 0.5);
    }

    #[test]
    fn the_best_peer_is_told_of_several() {
        let runs = [sample("rsyslog", 4.0), sample("syslog-ng", 3.0), sample("corndog", 1.0)];
        assert!(text(&runs).ends_with("the best peer: syslog-ng\n"), "{}", text(&runs));
        assert!(!text(&runs[1..]).contains("best"));
    }

    #[test]
    fn who_loses_messages_is_at_fault_and_has_no_ratio() {
        let mut runs = [sample("rsyslog", 4.0), sample("corndog", 1.0)];
        assert_eq!(fault(&runs), None);
        runs[1].lost = 10;
        let fault = fault(&runs).unwrap();
        assert!(fault.starts_with("w1, corndog: of 10 messages 10 were lost"), "{fault}");
        assert!(!text(&runs).contains("per round"));
    }

    #[test]
    fn one_forwarder_alone_has_no_ratio() {
        let runs = [sample("rsyslog", 4.0)];
        assert!(agreement::pairs(&runs).is_empty());
        assert!(text(&runs).contains("4.000"));
        assert_eq!(report(&runs, &Facts::default()).unwrap().sections.len(), 1);
    }
}
