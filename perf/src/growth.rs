//! How corndog's cost grows, as tables, as JSON and as a report of small charts.

use crate::axis::{Axis, Scale};
use crate::compare::Run;
use crate::failure::Failure;
use crate::machine::Facts;
use crate::plot::{Lines, Point, SMALL, Series};
use crate::report::{self, Report, Section};
use crate::scale::Dimension;
use crate::summary::{self, Spread};
use crate::table::Table;
use serde_json::{Value, json};

const MIB: f64 = (1 << 20) as f64;
/// Figures whose ends lie further apart are shown by their logarithms.
const LINEAR_MAX: f64 = 8.0;

/// A chart of a dimension: title, unit, and what a run of a point shows.
struct Figure {
    title: &'static str,
    unit: &'static str,
    value: fn(&Run, usize) -> f64,
}

const CPU: Figure = Figure {
    title: "CPU",
    unit: "seconds per million messages: less is better",
    value: |run, _| run.cpu_per_million,
};
const CPU_BY_BYTES: Figure = Figure {
    title: "CPU of bytes",
    unit: "milliseconds per MiB: less is better",
    // A million messages, seconds: microseconds of one.
    value: |run, bytes| run.cpu_per_million / 1e3 * MIB / bytes as f64,
};
const RATE: Figure = Figure {
    title: "Rate",
    unit: "messages per second: more is better",
    value: |run, _| run.messages_per_second,
};
const MEMORY: Figure = Figure {
    title: "Memory",
    unit: "MiB at the peak: less is better",
    value: |run, _| run.memory_peak_mib,
};

/// Those of a dimension: three, which stand side by side.
fn figures(dimension: Dimension) -> Vec<Figure> {
    match dimension {
        Dimension::Size => vec![CPU, CPU_BY_BYTES, RATE],
        _ => vec![CPU, RATE, MEMORY],
    }
}

/// Each dimension that ran, with its runs.
fn dimensions(runs: &[Run]) -> Vec<(Dimension, Vec<Run>)> {
    let groups = summary::groups(runs).into_iter();
    groups.filter_map(|(group, runs)| Some((Dimension::parse(group).ok()?, runs))).collect()
}

/// All dimensions, each a table with its notes.
pub fn text(runs: &[Run]) -> String {
    let part = |(dimension, runs): &(Dimension, Vec<Run>)| {
        let notes: String = notes(runs).into_iter().map(|note| note + "\n").collect();
        format!("\n{}\n{}{notes}", dimension.name(), table(*dimension, runs).text())
    };
    dimensions(runs).iter().map(part).collect()
}

/// All dimensions with the machine's facts, every run included.
pub fn json(runs: &[Run], facts: &Facts) -> Value {
    let part = |(dimension, runs): (Dimension, Vec<Run>)| {
        let values = dimension.values();
        let first = dimension.label(values[0]);
        let pairs: Vec<(String, String)> =
            values[1..].iter().map(|value| (dimension.label(*value), first.clone())).collect();
        let mut part = summary::json(&runs, &pairs);
        part["values"] = json!(values);
        part["ratio_most"] = json!(dimension.most());
        (dimension.name().to_owned(), part)
    };
    json!({
        "command": report::command_line(),
        "machine": facts.json(),
        "dimensions": dimensions(runs).into_iter().map(part).collect::<serde_json::Map<_, _>>(),
    })
}

/// All dimensions as a report.
pub fn report(runs: &[Run], facts: &Facts) -> Result<Report, Failure> {
    let sections = dimensions(runs).into_iter().map(|(dimension, runs)| section(dimension, &runs));
    Ok(Report {
        title: "What corndog's cost grows with".to_owned(),
        lead: "corndog alone, flat out, into the same sink in place of Kafka. One thing grows, all else \
               stays; the points take turns. Figures are the median over the rounds, with the least \
               and the greatest."
            .to_owned(),
        command: report::command_line(),
        facts: facts.0.clone(),
        sections: sections.collect::<Result<_, _>>()?,
    })
}

fn section(dimension: Dimension, runs: &[Run]) -> Result<Section, Failure> {
    let charts = figures(dimension).into_iter().map(|figure| chart(dimension, runs, &figure));
    let name = dimension.name();
    let verdict = dimension.most().and_then(|most| {
        let (value, ratio) = dimension.growth(runs).pop()?;
        let (last, first) = (dimension.label(value), dimension.label(dimension.values()[0]));
        Some(format!("{last} by {first}, CPU per round: {:.3}; at most {most}.", ratio?))
    });
    Ok(Section {
        title: name[..1].to_uppercase() + &name[1..],
        text: [dimension.about().to_owned()].into_iter().chain(verdict).collect(),
        charts: charts.collect::<Result<_, _>>()?,
        tables: vec![table(dimension, runs)],
        notes: notes(runs),
    })
}

fn chart(dimension: Dimension, runs: &[Run], figure: &Figure) -> Result<String, Failure> {
    let spread = |value: usize| {
        let label = dimension.label(value);
        let of_label = runs.iter().filter(|run| run.label == label);
        Spread::of(of_label.map(|run| (figure.value)(run, value)))
    };
    let point = |value: usize| Some(Point { x: value as f64, y: spread(value)? });
    let points: Vec<Point> = dimension.values().into_iter().filter_map(point).collect();
    let ends = |pick: fn(f64, f64) -> f64| points.iter().map(|point| point.y.median).reduce(pick);
    let is_wide = ends(f64::max) > ends(f64::min).map(|least| least * LINEAR_MAX);
    let first = points.first().map(|point| point.y.median);
    let most = dimension.most().filter(|_| figure.title == CPU.title);
    let bound = most.zip(first).map(|(most, first)| {
        (most * first, format!("{most} times {}", dimension.label(dimension.values()[0])))
    });
    Lines {
        title: figure.title.to_owned(),
        x: Axis::at(dimension.axis(), Scale::Log, points.iter().map(|point| point.x)),
        y: Axis::new(figure.unit, if is_wide { Scale::Log } else { Scale::Linear }),
        series: vec![Series { name: "corndog".to_owned(), points }],
        bound,
        are_values_said: true,
        size: SMALL,
    }
    .svg()
}

/// The figures of each point; beside the CPU what it is by that of the first, or by bytes.
fn table(dimension: Dimension, runs: &[Run]) -> Table {
    let mut table = summary::table(runs);
    let growth = dimension.growth(runs);
    let place = |label: &str| growth.iter().position(|(value, _)| dimension.label(*value) == label);
    let beside = |label: &str| {
        let (value, ratio) = growth[place(label)?];
        if dimension != Dimension::Size {
            if value == growth[0].0 {
                return Some("1".to_owned());
            }
            return ratio.map(|ratio| format!("{ratio:.3}"));
        }
        let own = runs.iter().filter(|run| run.label == label);
        let spread = Spread::of(own.map(|run| (CPU_BY_BYTES.value)(run, value)))?;
        Some(format!("{spread:.2}"))
    };
    table.columns.insert(
        2,
        match dimension {
            Dimension::Size => "CPU ms/MiB".to_owned(),
            _ => format!("by {}", dimension.label(growth[0].0)),
        },
    );
    for row in &mut table.rows {
        row.insert(2, beside(&row[0]).unwrap_or_default());
    }
    // In their order, whichever ran first.
    table.rows.sort_by_key(|row| place(&row[0]));
    table
}

/// What the tools took themselves: where the records are says nothing here.
fn notes(runs: &[Run]) -> Vec<String> {
    summary::notes(runs).pop().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::sample;

    fn runs() -> Vec<Run> {
        let points = [(Dimension::Shards, 1, 1.0), (Dimension::Shards, 8, 1.05)];
        let sizes = [(Dimension::Size, 100, 0.5), (Dimension::Size, 65_536, 20.0)];
        let run = |(dimension, value, cpu): (Dimension, usize, f64)| Run {
            group: dimension.name().to_owned(),
            ..sample(&dimension.label(value), cpu)
        };
        points.into_iter().chain(sizes).map(run).collect()
    }

    #[test]
    fn every_dimension_has_a_section_with_its_charts() {
        let report = report(&runs(), &Facts::default()).unwrap();
        let titles: Vec<&str> = report.sections.iter().map(|one| one.title.as_str()).collect();
        assert_eq!(titles, ["Shards", "Size"]);
        let counts: Vec<usize> = report.sections.iter().map(|one| one.charts.len()).collect();
        assert_eq!(counts, [3, 3]);
        assert!(report.sections[0].charts[0].contains("1.1 times 1 shard"));
        assert!(report.sections[0].text[1].contains("8 shards by 1 shard"));
    }

    #[test]
    fn table_has_the_ratio_and_of_sizes_the_cost_of_bytes() {
        let text = text(&runs());
        assert!(text.contains("1.050 (1.050..1.050)"), "{text}");
        // 20 us of 64 KiB are 320 us of a MiB.
        assert!(text.contains("0.32 (0.32..0.32)"), "{text}");
        let json = json(&runs(), &Facts::default());
        assert_eq!(json["dimensions"]["shards"]["cpu_ratios"]["8 shards/1 shard"]["median"], 1.05);
        assert_eq!(json["dimensions"]["shards"]["ratio_most"], 1.1);
    }
}
