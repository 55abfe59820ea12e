//! Charts as SVG: lines over an axis, and bars with the ends of their spread.
//!
//! What is shown carries its own words: a series its name at its end, a bar its figures. There is
//! no legend and nothing to hover over.

use crate::axis::{Axis, Ruler, short};
use crate::canvas::{self, Align, Canvas, Color, Lettering};
use crate::failure::Failure;
use crate::summary::Spread;

/// Pixels of an average letter by the text's height, at most.
const LETTER_WIDTH: f64 = 0.56;
/// Between the names of two series.
const NAME_HEIGHT: f64 = 15.0;
/// A series of more points is a line without dots.
const DOTS_MAX: usize = 12;
/// Beside the outer points, where they say their values.
const SAID_MARGIN: f64 = 20.0;
/// Width and height in pixels of one of three charts side by side.
pub const SMALL: (f64, f64) = (330.0, 240.0);
/// Above the first bar, for title and unit.
const BARS_TOP: f64 = 44.0;
/// Of a bar, with the room around it.
const BAR_HEIGHT: f64 = 28.0;

const TITLE: Lettering = Lettering { color: Color::Ink, height: 14.0, is_bold: true };
const UNIT: Lettering = Lettering { color: Color::Faint, height: 12.0, is_bold: false };
const TICK: Lettering = Lettering { color: Color::Faint, height: 11.0, is_bold: false };
const VALUE: Lettering = Lettering { color: Color::Ink, height: 12.0, is_bold: false };

/// A value over another, with the ends of its spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Along the horizontal axis.
    pub x: f64,
    /// Along the vertical one.
    pub y: Spread,
}

/// Points that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Said at its end; of an only series nothing is said.
    pub name: String,
    /// From left to right.
    pub points: Vec<Point>,
}

/// Lines over an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    /// Above the chart.
    pub title: String,
    /// From left to right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// One or more; up to four have colours of their own.
    pub series: Vec<Series>,
    /// A bound, as a dashed line with its name.
    pub bound: Option<(f64, String)>,
    /// Whether each point says its value.
    pub are_values_said: bool,
    /// Width and height in pixels.
    pub size: (f64, f64),
}

/// A bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// In front of it.
    pub name: String,
    /// Its end, and those of its whiskers.
    pub value: Spread,
    /// Its colour.
    pub color: Color,
}

/// Bars below each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// Above the chart.
    pub title: String,
    /// Of the values.
    pub unit: String,
    /// From the top.
    pub bars: Vec<Bar>,
    /// Width in pixels; the height follows from the bars.
    pub width: f64,
}

impl Point {
    /// One without a spread.
    pub fn new(x: f64, y: f64) -> Self {
        Self { x, y: Spread { median: y, min: y, max: y } }
    }
}

/// The rectangle of a chart in which its values lie.
struct Field {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Field {
    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        (self.left + x * (self.right - self.left), self.bottom - y * (self.bottom - self.top))
    }
}

impl Lines {
    /// The chart.
    pub fn svg(&self) -> Result<String, Failure> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = self.x.ruler(points().map(|point| point.x));
        let bound = self.bound.iter().map(|(value, _)| *value);
        let y = self.y.ruler(points().flat_map(|point| [point.y.min, point.y.max]).chain(bound));
        let field = self.field(&y);
        canvas::svg(self.size, |canvas| {
            self.draw_frame(canvas, &field, &x, &y)?;
            if let Some((value, name)) = &self.bound {
                let (left, height) = field.place(0.0, y.share(*value));
                canvas.dashes((left, height), (field.right, height), Color::Faint)?;
                canvas.text((field.right, height - 8.0), name, Align::End, TICK)?;
            }
            for (index, series) in self.series.iter().enumerate() {
                let place = |x_value, y_value| field.place(x.share(x_value), y.share(y_value));
                self.draw_series(canvas, series, Color::of_series(index), field.bottom, &place)?;
            }
            self.draw_names(canvas, &field, &y)
        })
    }

    fn field(&self, y: &Ruler) -> Field {
        let longest = |texts: &mut dyn Iterator<Item = &String>, height: f64| {
            texts.map(|text| text.chars().count()).max().unwrap_or(0) as f64 * height * LETTER_WIDTH
        };
        let ticks = longest(&mut y.ticks.iter().map(|(_, text)| text), TICK.height);
        let names = match self.series.len() {
            0 | 1 => 16.0,
            _ => 10.0 + longest(&mut self.series.iter().map(|one| &one.name), VALUE.height),
        };
        let (width, height) = self.size;
        let inner = if self.are_values_said { SAID_MARGIN } else { 0.0 };
        let (left, right) = (ticks + 12.0 + inner, width - names - inner);
        Field { left, right, top: 58.0, bottom: height - 42.0 }
    }

    fn draw_frame(
        &self,
        canvas: &Canvas<'_>,
        field: &Field,
        x: &Ruler,
        y: &Ruler,
    ) -> Result<(), Failure> {
        canvas.text((0.0, 10.0), &self.title, Align::Start, TITLE)?;
        canvas.text((0.0, 29.0), &self.y.name, Align::Start, UNIT)?;
        let edge = if self.are_values_said { SAID_MARGIN } else { 0.0 };
        for (value, text) in &y.ticks {
            let (left, height) = field.place(0.0, y.share(*value));
            let line = [(left - edge, height), (field.right + edge, height)];
            canvas.line(line, Color::Grid, 1.0)?;
            canvas.text((left - edge - 6.0, height), text, Align::End, TICK)?;
        }
        for (value, text) in &x.ticks {
            let (across, bottom) = field.place(x.share(*value), 0.0);
            if !self.are_values_said {
                canvas.line([(across, field.top), (across, bottom)], Color::Grid, 1.0)?;
            }
            canvas.line([(across, bottom), (across, bottom + 4.0)], Color::Faint, 1.0)?;
            canvas.text((across, bottom + 14.0), text, Align::Middle, TICK)?;
        }
        let middle = (field.left + field.right) / 2.0;
        canvas.text((middle, field.bottom + 32.0), &self.x.name, Align::Middle, UNIT)
    }

    fn draw_series(
        &self,
        canvas: &Canvas<'_>,
        series: &Series,
        color: Color,
        bottom: f64,
        place: &dyn Fn(f64, f64) -> (f64, f64),
    ) -> Result<(), Failure> {
        let points = &series.points;
        for Point { x, y } in points.iter().filter(|point| point.y.min < point.y.max) {
            canvas.line([place(*x, y.min), place(*x, y.max)], color, 1.0)?;
        }
        canvas.line(points.iter().map(|point| place(point.x, point.y.median)), color, 2.0)?;
        if points.len() > DOTS_MAX {
            return Ok(());
        }
        for Point { x, y } in points {
            let at = place(*x, y.median);
            canvas.dot(at, 3.5, color)?;
            if self.are_values_said {
                // Below, since bounds are above; but not among the ticks.
                let (below, above) = (place(*x, y.min).1 + 14.0, place(*x, y.max).1 - 12.0);
                let height = if below + 6.0 < bottom { below } else { above };
                canvas.text((at.0, height), &short(y.median), Align::Middle, VALUE)?;
            }
        }
        Ok(())
    }

    /// Each name at the end of its line, or as near as the others let it.
    fn draw_names(&self, canvas: &Canvas<'_>, field: &Field, y: &Ruler) -> Result<(), Failure> {
        if self.series.len() < 2 {
            return Ok(());
        }
        let end = |series: &Series| {
            let last = series.points.last().map_or(0.0, |point| point.y.median);
            field.place(1.0, y.share(last)).1
        };
        let heights = apart(self.series.iter().map(end).collect(), NAME_HEIGHT);
        for (index, (series, height)) in self.series.iter().zip(heights).enumerate() {
            let lettering = Lettering { color: Color::of_series(index), is_bold: true, ..VALUE };
            canvas.text((field.right + 8.0, height), &series.name, Align::Start, lettering)?;
        }
        Ok(())
    }
}

impl Bars {
    /// The chart.
    pub fn svg(&self) -> Result<String, Failure> {
        let wide = |text: &str| text.chars().count() as f64 * VALUE.height * LETTER_WIDTH;
        let most = |text: &dyn Fn(&Bar) -> f64| self.bars.iter().map(text).fold(0.0, f64::max);
        let left = most(&|bar: &Bar| wide(&bar.name)) + 10.0;
        let right = self.width - most(&|bar: &Bar| wide(&bar.figures())) - 12.0;
        let greatest = most(&|bar: &Bar| bar.value.max).max(f64::MIN_POSITIVE);
        let across = |value: f64| left + value / greatest * (right - left).max(10.0);
        let bottom = BARS_TOP + BAR_HEIGHT * self.bars.len() as f64;
        canvas::svg((self.width, bottom + 4.0), |canvas| {
            canvas.text((0.0, 10.0), &self.title, Align::Start, TITLE)?;
            canvas.text((0.0, 29.0), &self.unit, Align::Start, UNIT)?;
            for (index, bar) in self.bars.iter().enumerate() {
                let middle = BARS_TOP + BAR_HEIGHT * (index as f64 + 0.5);
                canvas.text((left - 8.0, middle), &bar.name, Align::End, VALUE)?;
                bar.draw(canvas, (left, middle), &across)?;
            }
            canvas.line([(left, BARS_TOP - 2.0), (left, bottom)], Color::Faint, 1.0)
        })
    }
}

impl Bar {
    /// The median, with the ends where they are others.
    fn figures(&self) -> String {
        let Spread { median, min, max } = self.value;
        match min < max {
            true => format!("{} ({}..{})", short(median), short(min), short(max)),
            false => short(median),
        }
    }

    fn draw(
        &self,
        canvas: &Canvas<'_>,
        (left, middle): (f64, f64),
        across: &dyn Fn(f64) -> f64,
    ) -> Result<(), Failure> {
        let Spread { median, min, max } = self.value;
        canvas.bar((left, middle - 8.0), (across(median), middle + 8.0), self.color)?;
        if min < max {
            for end in [min, max] {
                let line = [(across(end), middle - 4.0), (across(end), middle + 4.0)];
                canvas.line(line, Color::Ink, 1.0)?;
            }
            canvas.line([(across(min), middle), (across(max), middle)], Color::Ink, 1.0)?;
        }
        canvas.text((across(max) + 8.0, middle), &self.figures(), Align::Start, VALUE)
    }
}

/// Heights no nearer to each other than `least`, in the same order, moved as little as that takes.
fn apart(heights: Vec<f64>, least: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|left, right| heights[*left].total_cmp(&heights[*right]));
    // Runs of neighbours that touch: members, and the middle of what they wanted.
    let mut runs: Vec<(Vec<usize>, f64)> = Vec::new();
    for index in order {
        let mut run = (vec![index], heights[index]);
        while let Some((members, middle)) = runs.pop() {
            let reach = (members.len() + run.0.len()) as f64 / 2.0 * least;
            if run.1 - middle >= reach {
                runs.push((members, middle));
                break;
            }
            let (count, other) = (run.0.len() as f64, members.len() as f64);
            run.1 = (run.1 * count + middle * other) / (count + other);
            run.0 = [members, run.0].concat();
        }
        runs.push(run);
    }
    let mut moved = heights;
    for (members, middle) in runs {
        let first = middle - (members.len() as f64 - 1.0) / 2.0 * least;
        for (place, index) in members.into_iter().enumerate() {
            moved[index] = first + place as f64 * least;
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::Scale;

    fn series(name: &str, values: &[f64]) -> Series {
        let points = values.iter().enumerate().map(|(x, y)| Point::new(x as f64 + 1.0, *y));
        Series { name: name.to_owned(), points: points.collect() }
    }

    #[test]
    fn names_keep_apart_and_in_order() {
        assert_eq!(apart(vec![50.0, 10.0], 15.0), [50.0, 10.0]);
        assert_eq!(apart(vec![20.0, 20.0, 20.0], 10.0), [10.0, 20.0, 30.0]);
        let moved = apart(vec![30.0, 10.0, 12.0], 10.0);
        assert!(moved[1] < moved[2] && moved[2] < moved[0], "{moved:?}");
        assert!(moved[2] - moved[1] >= 9.99 && moved[0] - moved[2] >= 9.99, "{moved:?}");
    }

    #[test]
    fn lines_hold_title_ticks_and_names_and_escape_them() {
        let lines = Lines {
            title: "CPU <by> rules".to_owned(),
            x: Axis::at("rules", Scale::Log, [1.0, 3.0]),
            y: Axis::new("s", Scale::Linear),
            series: vec![series("corndog", &[0.9, 0.8, 0.7]), series("a & b", &[0.9, 0.8, 0.7])],
            bound: Some((1.0, "bound".to_owned())),
            are_values_said: false,
            size: (480.0, 300.0),
        };
        let svg = lines.svg().unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in ["CPU &lt;by&gt; rules", "rules", "corndog", "a &amp; b", "0.75", "bound"] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn bars_say_their_figures() {
        let bar = |name: &str, median: f64, color| Bar {
            name: name.to_owned(),
            value: Spread { median, min: median - 0.1, max: median + 0.25 },
            color,
        };
        let bars = Bars {
            title: "W1".to_owned(),
            unit: "CPU s/million".to_owned(),
            bars: vec![bar("corndog", 0.8, Color::First), bar("rsyslog", 3.5, Color::Second)],
            width: 480.0,
        };
        let svg = bars.svg().unwrap();
        assert!(svg.contains("0.8 (0.7..1.05)") && svg.contains("3.5 (3.4..3.75)"), "{svg}");
    }
}
