//! Rates and shares -> columns and bars of eighths.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::paint::{self, BOLD, DIM, IN, LOST, OUT, Piece, TIME, piece};
use crate::figures::Figures;
use crate::top::grid::Tone;
use crate::top::units;

/// Columns from an eighth to a whole, upwards.
const UPWARDS: [&str; 9] = [
    " ", "\u{2581}", "\u{2582}", "\u{2583}", "\u{2584}", "\u{2585}", "\u{2586}", "\u{2587}",
    "\u{2588}",
];
/// Bars from an eighth to a whole, to the right.
const RIGHTWARDS: [&str; 9] = [
    " ", "\u{258f}", "\u{258e}", "\u{258d}", "\u{258c}", "\u{258b}", "\u{258a}", "\u{2589}",
    "\u{2588}",
];
/// Could have run, and others had the core.
const WAITED: &str = "\u{2592}";
/// Did not run.
const IDLE: &str = "\u{00b7}";
/// A shard with its bar and figures; and with less.
const SHARD_WIDTH: u16 = 38;
const SHARD_WIDTH_SMALL: u16 = 17;
/// Between two of them.
const SHARD_GAP: u16 = 3;
/// A shard that ran more than this is near its end.
const BUSY: f64 = 0.9;

/// The chart of times; the others are rates.
const P99: &str = "p99";
/// A chart from here on tells its highest point; from there on bytes as well.
const TOP_WIDTH: u16 = 36;
const VOLUME_WIDTH: u16 = 46;

/// One of the charts of the last ten minutes.
struct Chart {
    name: &'static str,
    now: Piece,
    more: Piece,
    points: Vec<f64>,
    /// What is over the top of it.
    top: f64,
    style: Style,
    is_peaks: bool,
}

/// What comes in, what is acknowledged, what is lost, and how long it takes.
pub fn rates(figures: &Figures, area: Rect, buffer: &mut Buffer, is_box: bool) {
    if area.height < 2 || area.width < 36 {
        return rates_line(figures, area, buffer);
    }
    let mut charts = charts(figures);
    charts.truncate(if area.width < 72 { 2 + usize::from(area.width >= 54) } else { 4 });
    for (chart, area) in charts.iter().zip(split(area, charts.len() as u16, 1)) {
        let mut title = vec![piece(format!("{} ", chart.name), DIM, 0), chart.now.clone()];
        if area.width >= VOLUME_WIDTH {
            title.push(chart.more.clone());
        }
        let top = if area.width >= TOP_WIDTH { peak(chart) } else { String::new() };
        let right = piece(top, DIM, 0);
        let inner = paint::frame(buffer, area, &title, &right, is_box);
        columns(buffer, inner, chart);
    }
}

fn peak(chart: &Chart) -> String {
    match chart.points.iter().copied().fold(0.0, f64::max) {
        top if top <= 0.0 => String::new(),
        top if chart.name == P99 => format!("max {}", units::micros(top as u64)),
        top => format!("max {}", units::rate(top)),
    }
}

fn rates_line(figures: &Figures, area: Rect, buffer: &mut Buffer) {
    let mut pieces = Vec::new();
    for (rank, chart) in charts(figures).into_iter().enumerate() {
        let style = if chart.is_peaks && chart.top <= 0.0 { DIM } else { chart.now.style };
        pieces.push(piece(format!("{} {}", chart.name, chart.now.text), style, rank as u8));
    }
    paint::put_pieces(buffer, paint::line_of(area, 0), &pieces, 2);
}

fn charts(figures: &Figures) -> Vec<Chart> {
    let (rates, history) = (&figures.rates, &figures.history);
    let points = |points: &[u64]| points.iter().map(|point| *point as f64).collect::<Vec<_>>();
    let top = |points: &[f64]| points.iter().copied().fold(0.0, f64::max);
    let flow = top(&history.received).max(top(&history.delivered));
    let lost = rates.dropped + rates.failed;
    let p99 = points(&history.p99_us);
    let last = &figures.latency.last;
    let p99_text = if last.count == 0 { "-".to_owned() } else { units::micros(last.p99_us) };
    let per_second = |rate: f64| format!("{}/s", units::rate(rate));
    let volume = |rate: f64| piece(format!("  {}", units::bytes_rate(rate)), DIM, 1);
    vec![
        Chart {
            name: "received",
            now: piece(per_second(rates.received), IN.add_modifier(Modifier::BOLD), 0),
            more: volume(rates.bytes_in),
            points: history.received.clone(),
            top: flow,
            style: IN,
            is_peaks: false,
        },
        Chart {
            name: "delivered",
            now: piece(per_second(rates.delivered), OUT.add_modifier(Modifier::BOLD), 0),
            more: volume(rates.bytes_out),
            points: history.delivered.clone(),
            top: flow,
            style: OUT,
            is_peaks: false,
        },
        Chart {
            name: "lost",
            now: piece(
                per_second(lost),
                if lost > 0.0 { paint::style(Tone::Bad) } else { BOLD },
                0,
            ),
            more: paint::nothing(),
            top: top(&history.lost),
            points: history.lost.clone(),
            style: LOST,
            is_peaks: true,
        },
        Chart {
            name: P99,
            now: piece(p99_text, TIME.add_modifier(Modifier::BOLD), 0),
            more: paint::nothing(),
            top: top(&p99),
            points: p99,
            style: TIME,
            is_peaks: true,
        },
    ]
}

/// An area in so many parts side by side, with a gap between them.
pub fn split(area: Rect, count: u16, gap: u16) -> Vec<Rect> {
    let count = count.max(1);
    let room = area.width.saturating_sub((count - 1).saturating_mul(gap));
    let mut x = area.x;
    let parts = (0..count).map(|index| {
        let width = room / count + u16::from(index < room % count);
        let part = Rect { x, width, ..area };
        x = x.saturating_add(width + gap);
        part.intersection(area)
    });
    parts.collect()
}

/// The points over the area's columns, the newest at the right; what is not 0 shows.
fn columns(buffer: &mut Buffer, area: Rect, chart: &Chart) {
    let area = area.intersection(buffer.area);
    let points = resample(&chart.points, area.width.into(), chart.is_peaks);
    let first = area.width - points.len() as u16;
    for column in 0..area.width {
        let point = column.checked_sub(first).and_then(|index| points.get(usize::from(index)));
        let eighths = point.map_or(0, |point| level(*point, chart.top, area.height));
        for row in 0..area.height {
            let below = usize::from(area.height - 1 - row) * 8;
            let symbol = UPWARDS[eighths.saturating_sub(below).min(8)];
            let cell = &mut buffer[(area.x + column, area.y + row)];
            match symbol {
                // The ground, so that an empty chart is one.
                " " if below == 0 => cell.set_symbol(UPWARDS[1]).set_style(DIM),
                symbol => cell.set_symbol(symbol).set_style(chart.style),
            };
        }
    }
}

fn level(point: f64, top: f64, height: u16) -> usize {
    let whole = f64::from(height) * 8.0;
    if point <= 0.0 || top <= 0.0 {
        return 0;
    }
    (point / top * whole).round().clamp(1.0, whole) as usize
}

/// At most `width` points: of more, those that share a column are one, their mean or their peak.
fn resample(points: &[f64], width: usize, is_peaks: bool) -> Vec<f64> {
    if points.len() <= width {
        return points.to_vec();
    }
    let bucket = |index: usize| {
        let bucket = &points[index * points.len() / width..(index + 1) * points.len() / width];
        match is_peaks {
            true => bucket.iter().copied().fold(0.0, f64::max),
            false => bucket.iter().sum::<f64>() / bucket.len().max(1) as f64,
        }
    };
    (0..width).map(bucket).collect()
}

/// Something that runs on a core.
struct Runner {
    name: String,
    initial: String,
    busy: f64,
    waiting: f64,
    more: String,
}

/// How many lines the shards take, without a frame; with `is_small` as few as can be read.
pub fn shard_rows(figures: &Figures, width: u16, is_small: bool) -> u16 {
    let each = if is_small { SHARD_WIDTH_SMALL } else { SHARD_WIDTH };
    let count = figures.shards.len() + if is_small { 0 } else { figures.threads.len() };
    let rows = count.div_ceil(usize::from(beside(width, each)));
    rows.min(usize::from(u16::MAX)) as u16
}

/// How many of a width fit side by side.
fn beside(width: u16, each: u16) -> u16 {
    (width.saturating_add(SHARD_GAP) / (each + SHARD_GAP)).max(1)
}

/// A bar each: the producer, the receivers, then threads that are no shards.
pub fn shards(figures: &Figures, area: Rect, buffer: &mut Buffer) {
    let mut runners = runners(figures);
    let fitting = usize::from(beside(area.width, SHARD_WIDTH)) * usize::from(area.height);
    let is_wide = fitting >= figures.shards.len();
    let each = if is_wide { SHARD_WIDTH } else { SHARD_WIDTH_SMALL };
    let parts = split(area, beside(area.width, each), SHARD_GAP);
    let room = parts.len() * usize::from(area.height);
    if runners.len() > room {
        runners.truncate(figures.shards.len());
    }
    for (index, runner) in runners.iter().enumerate().take(room) {
        let row = (index / parts.len()) as u16;
        let part = paint::line_of(parts[index % parts.len()], row);
        if index + 1 == room && runners.len() > room {
            paint::put(buffer, part, &format!("+{} more", runners.len() - index), BOLD);
            return;
        }
        bar_line(runner, part, buffer, is_wide);
    }
}

fn runners(figures: &Figures) -> Vec<Runner> {
    let (producers, receivers): (Vec<_>, Vec<_>) =
        figures.shards.iter().partition(|shard| shard.kind == "producer");
    let shards = producers.into_iter().chain(receivers).map(|shard| {
        let kind = units::clean(&shard.kind, 12);
        Runner {
            initial: format!("{}{}", kind.chars().take(1).collect::<String>(), shard.index),
            name: format!("{kind} {}", shard.index),
            busy: shard.busy,
            waiting: shard.waiting,
            more: format!("{}/s", units::rate(shard.rate)),
        }
    });
    let threads = figures.threads.iter().map(|thread| Runner {
        name: units::clean(&thread.name, 15),
        initial: units::clean(&thread.name, 5),
        busy: thread.busy,
        waiting: 0.0,
        more: String::new(),
    });
    shards.chain(threads).collect()
}

fn bar_line(runner: &Runner, area: Rect, buffer: &mut Buffer, is_wide: bool) {
    let name =
        if is_wide { format!("{:<12}", runner.name) } else { format!("{:<3}", runner.initial) };
    let share = format!("{:>5}", units::percent(runner.busy));
    let more = if is_wide { format!(" {:>8}", runner.more) } else { String::new() };
    let is_busy = runner.busy > BUSY;
    let tone = if is_busy { paint::style(Tone::Warn) } else { BOLD };
    let taken = units::width(&name) + 1 + share.len() + more.len();
    let width = area.width.saturating_sub(taken as u16);
    let columns = paint::put(buffer, area, &name, DIM);
    let area = paint::after(area, columns + 1);
    let style = if is_busy { paint::style(Tone::Warn) } else { IN };
    bar(
        buffer,
        Rect { width: width.min(area.width), ..area },
        [runner.busy, runner.waiting],
        style,
    );
    let area = paint::after(area, width);
    let columns = paint::put(buffer, area, &share, tone);
    paint::put(buffer, paint::after(area, columns), &more, DIM);
}

/// Two shares of one whole, from 0 to 1.
pub fn bar(buffer: &mut Buffer, area: Rect, [busy, waiting]: [f64; 2], style: Style) {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return;
    }
    let whole = f64::from(area.width) * 8.0;
    let eighths = |share: f64| (share * whole).round().clamp(0.0, whole) as usize;
    let (busy, both) = (eighths(busy), eighths(busy + waiting));
    for column in 0..usize::from(area.width) {
        let (from, cell) = (column * 8, &mut buffer[(area.x + column as u16, area.y)]);
        match busy.saturating_sub(from).min(8) {
            0 if both >= from + 4 => cell.set_symbol(WAITED).set_style(style),
            0 => cell.set_symbol(IDLE).set_style(DIM),
            part => cell.set_symbol(RIGHTWARDS[part]).set_style(style),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_share_a_column_are_their_mean_or_their_peak() {
        let points = [1.0, 3.0, 0.0, 8.0];
        assert_eq!(resample(&points, 2, false), [2.0, 4.0]);
        assert_eq!(resample(&points, 2, true), [3.0, 8.0]);
        assert_eq!(resample(&points, 9, true), points);
        assert!(resample(&points, 0, true).is_empty());
    }

    #[test]
    fn the_least_loss_shows() {
        assert_eq!(level(1.0, 1e9, 3), 1);
        assert_eq!(level(0.0, 1e9, 3), 0);
        assert_eq!(level(2.0, 1.0, 3), 24);
        assert_eq!(level(f64::INFINITY, f64::INFINITY, 3), 0);
    }

    #[test]
    fn a_bar_is_what_ran_then_what_waited() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 1));
        bar(&mut buffer, Rect::new(0, 0, 10, 1), [0.35, 0.25], Style::new());
        let symbols: String = buffer.content().iter().map(|cell| cell.symbol()).collect();
        assert_eq!(
            symbols,
            "\u{2588}\u{2588}\u{2588}\u{258c}\u{2592}\u{2592}\u{b7}\u{b7}\u{b7}\u{b7}"
        );
    }
}
