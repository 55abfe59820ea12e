//! What is shown -> the cells of the screen, whatever its size. No clock and no terminal.
//!
//! ```text
//! corndog  READY  up 3 d 4 h  generation 2                 header
//! all shards are up, Kafka takes records                   notice: how it is, or what is wrong
//! - received 41.2k/s - delivered 41.2k/s - lost - p99 ---  rates
//! - latency ----------------- - ledger -- nothing lost --  middle
//! - shards ---------------------------------------------   shards
//! - listeners 4  rules 12  topics 100 ------ 1-9 of 100 -  table
//! q quit  p pause  Tab next table                          footer
//! ```

mod charts;
mod paint;
mod panels;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::facts;
use super::grid::{Cell, Tone, toned};
use super::shown::{Shown, Silence};
use super::units;
use crate::figures::Figures;
use paint::{BOLD, DIM, KEY, Piece, piece};

/// From here on the parts have boxes.
const BOX_HEIGHT: u16 = 34;
const BOX_WIDTH: u16 = 100;
/// Below it there is one notice.
const LOW_HEIGHT: u16 = 16;
/// Sentences of trouble that are shown.
const NOTICES_MAX: u16 = 4;

/// A part of the screen, from the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Header,
    Notice,
    Rates,
    Middle,
    Shards,
    Table,
    Footer,
}

/// How many lines each part has, in their order.
type Heights = [u16; 7];

/// Writes the screen; how many rows of the table it holds.
pub fn draw(shown: &Shown, area: Rect, buffer: &mut Buffer, now: Timestamp) -> usize {
    let area = area.intersection(buffer.area);
    let Some(figures) = &shown.figures else {
        nobody(shown, area, buffer, now);
        return 0;
    };
    let notices = notices(shown, figures, area.width, now);
    let is_box = area.height >= BOX_HEIGHT && area.width >= BOX_WIDTH;
    let heights = heights(figures, area, notices.len() as u16, is_box);
    let mut y = area.y;
    let parts = heights.map(|height| {
        let part = Rect { y, height, ..area };
        y += height;
        part
    });
    let [head, notice, rates, middle, shards, table, foot] = parts;
    header(shown, figures, head, buffer, now);
    for (row, cell) in notices.iter().enumerate() {
        let line = paint::line_of(notice, row as u16);
        paint::put(buffer, line, &cell.text, paint::style(cell.tone));
    }
    charts::rates(figures, rates, buffer, is_box);
    panels::middle(figures, middle, buffer, is_box);
    if shards.height > 0 {
        let facts = process_facts(figures, area.width);
        let inner = paint::frame(buffer, shards, &[piece("shards", BOLD, 0)], &facts, is_box);
        charts::shards(figures, inner, buffer);
    }
    let page = panels::tables(shown, figures, table, buffer, is_box);
    footer(shown, foot, buffer);
    page
}

/// What each part is given, one wish after another while there is room; the rest is the table's.
fn heights(figures: &Figures, area: Rect, notice_count: u16, is_box: bool) -> Heights {
    use Part::{Footer, Header, Middle, Notice, Rates, Shards, Table};
    let edge = u16::from(is_box);
    let inside = if is_box { area.width.saturating_sub(4) } else { area.width };
    let is_low = area.height < LOW_HEIGHT;
    let few = charts::shard_rows(figures, inside, true).max(1);
    let many = charts::shard_rows(figures, inside, false).max(few);
    let wishes = [
        (Header, 1),
        (Table, 3),
        (Rates, 1),
        (Notice, notice_count.min(1)),
        (Middle, 1),
        (Footer, 1),
        (Rates, 1),
        (Table, 2),
        (Middle, 6 + edge),
        (Notice, if is_low { 0 } else { notice_count.saturating_sub(1).min(1) }),
        (Shards, 2 + edge),
        (Rates, 2 + edge),
        (Table, 1 + edge),
        (Shards, few.min(area.height / 6).saturating_sub(1)),
        (Notice, if is_low { 0 } else { notice_count.saturating_sub(2) }),
        (Table, 3),
        (Shards, many.saturating_sub(few).min(area.height / 8)),
        (Rates, 2),
        (Table, 5),
        (Middle, 1),
        (Rates, 3),
    ];
    let (mut heights, mut room) = ([0; 7], area.height);
    for (part, lines) in wishes {
        if lines <= room {
            heights[part as usize] += lines;
            room -= lines;
        }
    }
    heights[Table as usize] += room;
    heights
}

fn header(shown: &Shown, figures: &Figures, area: Rect, buffer: &mut Buffer, now: Timestamp) {
    let badge = |cell: &Cell| piece(format!(" {} ", cell.text), paint::badge(cell.tone), 0);
    let state = match &shown.silence {
        Some(_) => toned("NO ANSWER", Tone::Bad),
        None => facts::state(figures),
    };
    let configuration = &figures.configuration;
    let paused = shown.paused.map(|since| format!(" PAUSED {} ", units::at(since, now)));
    let pieces = [
        piece("corndog", BOLD, 0),
        badge(&state),
        piece(paused.unwrap_or_default(), paint::badge(Tone::Plain), 1),
        piece(units::clean(&figures.version, 24), DIM, 5),
        piece(format!("up {}", units::seconds(figures.uptime_s)), DIM, 2),
        piece(format!("generation {}", units::exact(configuration.generation)), DIM, 4),
        piece(units::clean(&configuration.file, 60), DIM, 6),
        piece(units::clean(&shown.address, 60), DIM, 7),
    ];
    // The figures' own time: how old they are shows.
    let rest = match area.width >= 30 && !figures.time.is_empty() {
        true => paint::put_right(buffer, area, &units::clock(&figures.time), BOLD),
        false => area,
    };
    paint::put_pieces(buffer, rest, &pieces, 2);
}

/// How it is, in a line each: no answer, what is wrong, what is odd; else the server's sentence.
fn notices(shown: &Shown, figures: &Figures, width: u16, now: Timestamp) -> Vec<Cell> {
    let silence =
        shown.silence.iter().map(|silence| toned(no_answer(shown, silence, now), Tone::Bad));
    let mut notices: Vec<Cell> = silence.chain(facts::troubles(figures)).collect();
    let count = notices.len();
    if count > usize::from(NOTICES_MAX) {
        notices.truncate(usize::from(NOTICES_MAX) - 1);
        notices
            .push(toned(format!("and {} more", count + 1 - usize::from(NOTICES_MAX)), Tone::Bad));
    }
    if notices.is_empty() && !figures.message.is_empty() {
        notices.push(toned(units::clean(&figures.message, facts::SENTENCE_WIDTH_MAX), Tone::Plain));
    }
    // Those that are as they may be stand in the process's part, where there is one.
    let odd = facts::oddities(figures).into_iter().filter(|oddity| oddity.tone != Tone::Plain);
    let texts: Vec<String> = odd.map(|oddity| oddity.text).collect();
    if width < panels::WIDE && !texts.is_empty() {
        notices.push(toned(format!("besides: {}", texts.join(", ")), Tone::Warn));
    }
    notices
}

fn no_answer(shown: &Shown, silence: &Silence, now: Timestamp) -> String {
    format!("{}: {}; asking on", silent_since(shown, silence, now), why(silence))
}

fn silent_since(shown: &Shown, silence: &Silence, now: Timestamp) -> String {
    let address = units::clean(&shown.address, 60);
    let since = units::at(silence.since, now);
    let age = units::seconds(now.duration_since(silence.since).as_secs_f64());
    format!("no answer from {address} since {since} ({age})")
}

fn why(silence: &Silence) -> String {
    units::clean(&silence.reason, facts::SENTENCE_WIDTH_MAX)
}

/// At the right of the shards, where the process has no part of its own.
fn process_facts(figures: &Figures, width: u16) -> Piece {
    if width >= panels::WIDE {
        return paint::nothing();
    }
    let (connections, memory) = (&figures.connections, &figures.memory);
    let resident = units::bytes(memory.resident_bytes);
    let text = format!(
        "{} of {} connections, {resident} of {}",
        units::exact(connections.open),
        units::exact(connections.limit as u64),
        units::bytes(memory.bytes_max)
    );
    piece(text, DIM, 0)
}

fn footer(shown: &Shown, area: Rect, buffer: &mut Buffer) {
    let keys: &[(&str, &str)] = if shown.has_help {
        &[
            ("q Esc Ctrl-C", "quit"),
            ("p", "hold the figures, go on"),
            ("Tab Left Right", "choose a table"),
            ("Up Down PgUp PgDn Home End", "scroll it"),
            ("?", "short"),
        ]
    } else {
        &[("q", "quit"), ("p", "pause"), ("Tab", "table"), ("Up Down", "scroll"), ("?", "keys")]
    };
    let mut area = area;
    for (key, does) in keys {
        let columns = paint::put(buffer, area, key, KEY);
        area = paint::after(area, columns + 1);
        let columns = paint::put(buffer, area, does, DIM);
        area = paint::after(area, columns + 3);
    }
}

/// Before the first answer.
fn nobody(shown: &Shown, area: Rect, buffer: &mut Buffer, now: Timestamp) {
    let address = units::clean(&shown.address, 60);
    let lines = match &shown.silence {
        None => vec![piece(format!("asking {address}"), DIM, 0)],
        Some(silence) => vec![
            piece(" NO ANSWER ", paint::badge(Tone::Bad), 0),
            piece(silent_since(shown, silence, now), paint::style(Tone::Bad), 0),
            piece(why(silence), paint::style(Tone::Bad), 0),
            piece("", DIM, 0),
            piece(
                "Is corndog running? It answers at its [status] address, and is asked on;",
                DIM,
                0,
            ),
            piece("corndog top --status HOST:PORT asks another one.", DIM, 0),
            piece("", DIM, 0),
            piece("q quits", KEY.add_modifier(Modifier::DIM), 0),
        ],
    };
    let top = (area.height / 2).saturating_sub(lines.len() as u16 / 2 + 1);
    for (row, line) in lines.iter().enumerate() {
        let row = paint::line_of(area, top + row as u16);
        let width = units::width(&line.text).min(usize::from(area.width)) as u16;
        let column = (area.width - width) / 2;
        paint::put(buffer, paint::after(row, column), &line.text, line.style);
    }
}
