//! What runs at rates showed: tables, percentile curves, `.hgrm` files, JSON, and all as a report.

use crate::axis::{Axis, Scale, short};
use crate::failure::Failure;
use crate::latencies::{Latencies, PERCENTILES};
use crate::latency::{Demand, Run};
use crate::machine::Facts;
use crate::plot::{Lines, Point, SMALL, Series};
use crate::report::{self, Report, Section};
use crate::summary::Spread;
use crate::table::Table;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Points of a curve between two of its nines.
const POINTS_PER_NINE: i32 = 16;
/// From the median to the 99.99th percentile there are 3.7 nines.
const POINTS: i32 = 60;
/// Width and height in pixels of the curves of a rate.
const LARGE: (f64, f64) = (680.0, 340.0);

/// All runs of a forwarder at a rate.
#[derive(Debug)]
pub struct Curve {
    /// The rate.
    pub demand: Demand,
    /// The forwarder.
    pub label: String,
    /// Of all rounds together.
    pub latencies: Latencies,
    /// The load's own, of all rounds together.
    pub late: Latencies,
    /// Each of them.
    pub runs: Vec<Run>,
}

/// Of runs in any order; in the order of their first ones.
pub fn curves(runs: &[Run]) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for run in runs {
        let known = |curve: &&mut Curve| (curve.demand, &curve.label) == (run.demand, &run.label);
        match curves.iter_mut().find(known) {
            Some(curve) => {
                curve.latencies.add(&run.latencies);
                curve.late.add(&run.late);
                curve.runs.push(run.clone());
            }
            None => curves.push(Curve {
                demand: run.demand,
                label: run.label.clone(),
                latencies: run.latencies.clone(),
                late: run.late.clone(),
                runs: vec![run.clone()],
            }),
        }
    }
    curves
}

impl Curve {
    fn spread(&self, figure: fn(&Run) -> f64) -> Option<Spread> {
        Spread::of(self.runs.iter().map(figure))
    }

    fn sum(&self, figure: fn(&Run) -> u64) -> u64 {
        self.runs.iter().map(figure).sum()
    }

    /// Whether every run's rate was taken.
    fn is_taken(&self) -> bool {
        self.runs.iter().all(|run| run.is_taken)
    }

    fn row(&self) -> Vec<String> {
        let median = |figure: fn(&Run) -> f64| self.spread(figure).map_or(0.0, |one| one.median);
        let mark = if self.is_taken() { "" } else { " !" };
        let mut row =
            vec![self.label.clone(), format!("{:.0}{mark}", median(|run| run.per_second))];
        row.extend(PERCENTILES.map(|(_, quantile)| micros(self.latencies.micros(quantile))));
        row.push(micros(self.latencies.longest_micros()));
        row.push(match self.late.count() {
            0 => "-".to_owned(),
            _ => [self.late.micros(0.5), self.late.micros(0.99), self.late.longest_micros()]
                .map(micros)
                .join(" / "),
        });
        row.extend(
            [|run: &Run| run.cores, |run: &Run| run.load_cores, |run: &Run| run.sink_cores]
                .map(|figure| format!("{:.2}", median(figure))),
        );
        row.push(format!("{} / {}", self.sum(|run| run.lost), self.sum(|run| run.wrong)));
        row
    }

    /// Microseconds over shares, from the median on; no further than there are messages for.
    fn series(&self) -> Series {
        let last = 1.0 - 1.0 / self.latencies.count().max(2) as f64;
        let shares = (0..POINTS)
            .map(|index| 1.0 - 0.5 * 10f64.powf(-f64::from(index) / f64::from(POINTS_PER_NINE)));
        let shares = shares.chain([0.9999]).filter(|share| *share <= last.min(0.9999));
        let point = |share| Point::new(share, self.latencies.micros(share).max(1.0));
        Series { name: self.label.clone(), points: shares.map(point).collect() }
    }

    fn file_name(&self) -> String {
        format!("{}-{}.hgrm", self.label, name(self.demand))
    }

    fn json(&self) -> Value {
        let run = |run: &Run| {
            json!({
                "latency_us": run.latencies.json(),
                "load_late_us": run.late.json(),
                "messages_per_second": run.per_second,
                "cores": run.cores,
                "load_cores": run.load_cores,
                "sink_cores": run.sink_cores,
                "sent": run.sent,
                "lost": run.lost,
                "wrong": run.wrong,
            })
        };
        let rate = match self.demand {
            Demand::Rate(rate) => json!(rate),
            Demand::Saturation => json!("saturation"),
        };
        json!({
            "rate": rate,
            "forwarder": self.label,
            "latency_us": self.latencies.json(),
            "load_late_us": self.late.json(),
            "messages_per_second": self.spread(|run| run.per_second).map(Spread::json),
            "is_rate_taken": self.is_taken(),
            "cores": self.spread(|run| run.cores).map(Spread::json),
            "lost": self.sum(|run| run.lost),
            "wrong": self.sum(|run| run.wrong),
            "runs": self.runs.iter().map(run).collect::<Vec<Value>>(),
        })
    }
}

/// A table for each rate, below its name.
pub fn text(curves: &[Curve]) -> String {
    let demands = demands(curves).into_iter();
    let tables =
        demands.map(|demand| format!("\n{}\n{}", title(demand), table(curves, demand).text()));
    let mut text: String = tables.collect();
    if let Some(note) = note(curves) {
        text.push_str(&format!("\n{note}\n"));
    }
    text
}

/// All, with every run.
pub fn json(curves: &[Curve], facts: &Facts) -> Value {
    json!({
        "command": report::command_line(),
        "machine": facts.json(),
        "curves": curves.iter().map(Curve::json).collect::<Vec<Value>>(),
    })
}

/// Writes a `.hgrm` of each curve, an SVG of each rate, and the report.
pub fn write(curves: &[Curve], facts: &Facts, folder: &Path) -> Result<(), Failure> {
    let put = |name: &str, text: &str| {
        let file = folder.join(name);
        fs::write(&file, text).map_err(|error| Failure::Run(format!("{}: {error}", file.display())))
    };
    fs::create_dir_all(folder)
        .map_err(|error| Failure::Run(format!("{}: {error}", folder.display())))?;
    clear(folder).map_err(|error| Failure::Run(format!("{}: {error}", folder.display())))?;
    for curve in curves {
        put(&curve.file_name(), &curve.latencies.hgrm())?;
    }
    for demand in demands(curves) {
        put(&format!("{}.svg", name(demand)), &chart(curves, demand, title(demand))?)?;
    }
    report(curves, facts)?.write(&folder.join("report.html"))
}

/// Removes what an earlier run wrote of rates and forwarders that this one may not have.
fn clear(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let file = entry?.path();
        let part = |part: Option<&std::ffi::OsStr>| {
            part.unwrap_or_default().to_string_lossy().into_owned()
        };
        let (stem, kind) = (part(file.file_stem()), part(file.extension()));
        let demand = match kind.as_str() {
            "svg" => stem.as_str(),
            "hgrm" => stem.rsplit('-').next().unwrap_or_default(),
            _ => continue,
        };
        let is_rate = !demand.is_empty() && demand.bytes().all(|byte| byte.is_ascii_digit());
        if is_rate || demand == name(Demand::Saturation) {
            fs::remove_file(&file)?;
        }
    }
    Ok(())
}

fn report(curves: &[Curve], facts: &Facts) -> Result<Report, Failure> {
    let overview = overview(curves)?;
    let section = |demand| {
        Ok(Section {
            title: title(demand),
            charts: vec![chart(curves, demand, "Percentiles".to_owned())?],
            tables: vec![table(curves, demand)],
            ..Section::default()
        })
    };
    let sections: Result<Vec<Section>, Failure> =
        demands(curves).into_iter().map(section).collect();
    Ok(Report {
        title: "How long messages take through corndog, and its peers".to_owned(),
        lead: "From when a message was to be sent until a sink in place of Kafka has its batch. The load \
               sends by the clock, whatever the forwarder does, so that what waits in front of it counts. \
               Microseconds; percentiles are of the messages of all rounds together."
            .to_owned(),
        command: report::command_line(),
        facts: facts.0.clone(),
        sections: overview.into_iter().chain(sections?).collect(),
    })
}

/// Percentiles against the rate, if there are several rates.
fn overview(curves: &[Curve]) -> Result<Option<Section>, Failure> {
    let rates: Vec<f64> = demands(curves)
        .into_iter()
        .filter_map(|demand| match demand {
            Demand::Rate(rate) => Some(rate as f64),
            Demand::Saturation => None,
        })
        .collect();
    if rates.len() < 2 {
        return Ok(None);
    }
    let chart = |(name, quantile): (&str, f64)| {
        Lines {
            title: name.to_owned(),
            x: Axis::at("messages a second", Scale::Log, rates.clone()),
            y: Axis::new("microseconds", Scale::Log),
            series: labels(curves)
                .into_iter()
                .map(|label| against_rate(curves, label, quantile))
                .collect(),
            bound: None,
            are_values_said: false,
            size: SMALL,
        }
        .svg()
    };
    let charts: Result<Vec<String>, Failure> =
        [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)].into_iter().map(chart).collect();
    Ok(Some(Section {
        title: "Against the rate".to_owned(),
        charts: charts?,
        notes: note(curves).into_iter().collect(),
        ..Section::default()
    }))
}

fn against_rate(curves: &[Curve], label: &str, quantile: f64) -> Series {
    let mut points: Vec<Point> = curves
        .iter()
        .filter(|curve| curve.label == label)
        .filter_map(|curve| match curve.demand {
            Demand::Rate(rate) => {
                let of_run = |run: &Run| run.latencies.micros(quantile).max(1.0);
                let mut y = Spread::of(curve.runs.iter().map(of_run))?;
                // As in the tables: of all rounds together.
                y.median = curve.latencies.micros(quantile).clamp(y.min, y.max);
                Some(Point { x: rate as f64, y })
            }
            Demand::Saturation => None,
        })
        .collect();
    points.sort_by(|left, right| left.x.total_cmp(&right.x));
    Series { name: label.to_owned(), points }
}

fn chart(curves: &[Curve], demand: Demand, title: String) -> Result<String, Failure> {
    Lines {
        title,
        x: Axis::percentiles("percentile"),
        y: Axis::new("microseconds", Scale::Log),
        series: of_demand(curves, demand).map(Curve::series).collect(),
        bound: None,
        are_values_said: false,
        size: LARGE,
    }
    .svg()
}

fn table(curves: &[Curve], demand: Demand) -> Table {
    let mut columns = vec!["us", "messages/s"];
    columns.extend(PERCENTILES.map(|(name, _)| name));
    columns.extend([
        "max",
        "load late p50 / p99 / max",
        "cores",
        "load's",
        "sink's",
        "lost / wrong",
    ]);
    let mut table = Table::new(&columns);
    table.rows.extend(of_demand(curves, demand).map(Curve::row));
    table
}

/// What a mark in the tables means, if there is one.
fn note(curves: &[Curve]) -> Option<String> {
    let is_any = curves.iter().any(|curve| !curve.is_taken());
    is_any.then(|| {
        "! did not take this rate: what waits grows for as long as it lasts, and messages that were due \
         but could not be sent before the end are in no figure."
            .to_owned()
    })
}

fn title(demand: Demand) -> String {
    match demand {
        Demand::Rate(rate) => format!("{} messages a second", short(rate as f64)),
        Demand::Saturation => "As much as is taken".to_owned(),
    }
}

fn name(demand: Demand) -> String {
    match demand {
        Demand::Rate(rate) => rate.to_string(),
        Demand::Saturation => "saturation".to_owned(),
    }
}

fn micros(value: f64) -> String {
    format!("{value:.0}")
}

fn demands(curves: &[Curve]) -> Vec<Demand> {
    let mut demands = Vec::new();
    for curve in curves {
        if !demands.contains(&curve.demand) {
            demands.push(curve.demand);
        }
    }
    demands
}

fn labels(curves: &[Curve]) -> Vec<&str> {
    let mut labels = Vec::new();
    for curve in curves {
        if !labels.contains(&curve.label.as_str()) {
            labels.push(&curve.label);
        }
    }
    labels
}

fn of_demand(curves: &[Curve], demand: Demand) -> impl Iterator<Item = &Curve> {
    curves.iter().filter(move |curve| curve.demand == demand)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(demand: Demand, label: &str, millis: u64) -> Run {
        let mut latencies = Latencies::default();
        (1..=millis).for_each(|one| latencies.record(one * 1_000_000, 100));
        Run {
            demand,
            label: label.to_owned(),
            late: latencies.clone(),
            latencies,
            is_taken: demand != Demand::Rate(20_000),
            per_second: 990.0,
            cores: 0.5,
            load_cores: 0.1,
            sink_cores: 0.1,
            sent: 100,
            lost: 1,
            wrong: 2,
        }
    }

    fn sample() -> Vec<Run> {
        let (low, high) = (Demand::Rate(1000), Demand::Rate(20_000));
        vec![
            run(low, "corndog", 10),
            run(low, "rsyslog", 20),
            run(high, "corndog", 10),
            run(low, "rsyslog", 40),
            run(Demand::Saturation, "corndog", 30),
        ]
    }

    #[test]
    fn rounds_are_added_by_rate_and_forwarder() {
        let curves = curves(&sample());
        let counts: Vec<u64> = curves.iter().map(|curve| curve.latencies.count()).collect();
        assert_eq!(counts, [1000, 6000, 1000, 3000]);
        assert_eq!(curves[1].sum(|run| run.lost), 2);
        assert!(curves[0].is_taken() && !curves[2].is_taken() && curves[3].is_taken());
    }

    #[test]
    fn curves_go_from_the_median_as_far_as_there_are_messages() {
        let curves = curves(&sample());
        let points = curves[0].series().points;
        assert_eq!(points[0].x, 0.5);
        assert!(
            points.windows(2).all(|pair| pair[0].x < pair[1].x && pair[0].y.max <= pair[1].y.max)
        );
        let last = points.last().unwrap().x;
        assert!((0.998..0.9991).contains(&last), "{last}");
    }

    #[test]
    fn text_and_json_hold_every_curve() {
        let curves = curves(&sample());
        let text = text(&curves);
        assert!(text.contains("20 k messages a second") && text.contains("990 !"), "{text}");
        assert!(text.contains("! did not take this rate"), "{text}");
        let json = json(&curves, &Facts::default());
        assert_eq!(json["curves"].as_array().map(Vec::len), Some(4));
        assert_eq!(json["curves"][3]["rate"], "saturation");
    }

    #[test]
    fn the_folder_holds_histograms_charts_and_the_report() {
        let folder = std::env::temp_dir().join(format!("corndog-curves-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let others = ["77.svg", "rsyslog-77.hgrm", "my-own.svg", "notes.txt"];
        others.iter().for_each(|name| fs::write(folder.join(name), "").unwrap());
        write(&curves(&sample()), &Facts::default(), &folder).unwrap();
        // What an earlier run wrote of another rate is gone, what somebody else wrote is not.
        let kept = others.map(|name| folder.join(name).exists());
        assert_eq!(kept, [false, false, true, true]);
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        assert!(read("rsyslog-1000.hgrm").contains("Percentile"));
        assert!(read("saturation.svg").starts_with("<svg"));
        assert!(read("report.html").contains("Against the rate"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
