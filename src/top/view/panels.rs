//! Latency, ledger, the process and the chosen table, each in the room that it is given.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::charts::{bar, split};
use super::paint::{self, BOLD, DIM, IN, Piece, TIME, piece};
use crate::figures::Figures;
use crate::top::facts::{self, Books};
use crate::top::grid::{Cell, Tone};
use crate::top::shown::Shown;
use crate::top::tables::{self, Counts, Table};
use crate::top::units;

/// The ledger's least width; more is the latency's.
const LEDGER_WIDTH: u16 = 39;
/// From here on the process has a part of its own.
pub const WIDE: u16 = 136;
/// From here on brokers and errors stand beside the chosen table.
const WIDEST: u16 = 150;

/// Latency, ledger and, where there is room, the process, side by side; or the ledger in a line.
pub fn middle(figures: &Figures, area: Rect, buffer: &mut Buffer, is_box: bool) {
    let edge = if is_box { 4 } else { 0 };
    if area.height < 7 {
        ledger_line(figures, paint::line_of(area, 0), buffer);
    } else if area.width < 60 {
        ledger(figures, area, buffer, is_box);
    } else if area.width < WIDE {
        let left = Rect { width: area.width - LEDGER_WIDTH - edge - 1, ..area };
        latency(figures, left, buffer, is_box);
        ledger(figures, paint::after(area, left.width + 1), buffer, is_box);
    } else {
        let parts = split(area, 3, 1);
        latency(figures, parts[0], buffer, is_box);
        ledger(figures, parts[1], buffer, is_box);
        process(figures, parts[2], buffer, is_box);
    }
}

fn latency(figures: &Figures, area: Rect, buffer: &mut Buffer, is_box: bool) {
    let title = [
        piece("latency", TIME.add_modifier(Modifier::BOLD), 0),
        piece(" of the last interval", DIM, 1),
    ];
    let inner = paint::frame(buffer, area, &title, &paint::nothing(), is_box);
    let grid = tables::latency(figures);
    for (row, line) in grid.lines(inner.width.into(), 0, inner.height.into()).iter().enumerate() {
        paint::put_cells(buffer, paint::line_of(inner, row as u16), line);
    }
}

fn ledger_line(figures: &Figures, area: Rect, buffer: &mut Buffer) {
    let books = Books::read(&figures.ledger);
    let verdict = books.verdict();
    let pieces = [
        piece(verdict.text, paint::style(verdict.tone), 0),
        piece(format!("received {}", units::exact(books.received)), DIM, 3),
        piece(format!("delivered {}", units::exact(books.delivered)), DIM, 2),
        piece(format!("in flight {}", units::signed(books.in_flight)), DIM, 1),
        piece(format!("in hand {}", units::signed(books.in_hand)), DIM, 4),
    ];
    paint::put_pieces(buffer, area, &pieces, 2);
}

/// The ledger as the tree that it is: what is above is the sum of what is below and beside.
fn ledger(figures: &Figures, area: Rect, buffer: &mut Buffer, is_box: bool) {
    let books = Books::read(&figures.ledger);
    let verdict = books.verdict();
    let right = piece(verdict.text, paint::style(verdict.tone), 0);
    let inner = paint::frame(buffer, area, &[piece("ledger", BOLD, 0)], &right, is_box);
    let open = |count: i64, what: &str| format!("{} {what}", units::signed(count));
    let loss = |count: u64, is_bad: bool| {
        if is_bad && count > 0 { paint::style(Tone::Bad) } else { BOLD }
    };
    let has_lost = books.losses.iter().any(|loss| !loss.is_wanted);
    let lines = [
        ("received", books.received, BOLD, open(books.in_hand, "in hand")),
        ("\u{251c} dropped", books.dropped, loss(books.dropped, has_lost), String::new()),
        ("\u{2514} forwarded", books.forwarded, BOLD, open(books.in_flight, "in flight")),
        ("  \u{251c} failed", books.failed, loss(books.failed, true), String::new()),
        ("  \u{2514} delivered", books.delivered, BOLD, String::new()),
    ];
    let texts = lines.each_ref().map(|line| units::exact(line.1));
    let number = texts.iter().map(String::len).max().unwrap_or(0).max(6);
    let beside = lines.iter().map(|line| line.3.len()).max().unwrap_or(0);
    let is_exact = 13 + 1 + number + 2 + beside <= inner.width.into();
    for (row, (label, count, style, beside)) in lines.into_iter().enumerate() {
        let text = if is_exact { units::exact(count) } else { units::short(count) };
        let width = if is_exact { number } else { 6 };
        let line = paint::line_of(inner, row as u16);
        paint::put(buffer, line, label, DIM);
        paint::put(buffer, paint::after(line, 14), &format!("{text:>width$}"), style);
        paint::put(buffer, paint::after(line, 16 + width as u16), &beside, DIM);
    }
    let losses = books.loss_cells();
    let rest = inner.height.saturating_sub(5);
    let below = Rect { y: inner.y + inner.height - rest, height: rest, ..inner };
    if losses.is_empty() {
        paint::put(buffer, paint::line_of(below, 0), "no message and no record lost", DIM);
    }
    paint::put_flow(buffer, below, &losses);
}

/// Connections, memory, and what happened besides.
fn process(figures: &Figures, area: Rect, buffer: &mut Buffer, is_box: bool) {
    let title = [piece("process", BOLD, 0)];
    let inner = paint::frame(buffer, area, &title, &paint::nothing(), is_box);
    let (connections, memory) = (&figures.connections, &figures.memory);
    let limit = connections.limit as u64;
    let of = format!("{} of {}", units::exact(connections.open), units::exact(limit));
    gauge("connections", &of, share(connections.open, limit), inner, buffer);
    let of =
        format!("{} of {}", units::bytes(memory.resident_bytes), units::bytes(memory.bytes_max));
    let filled = share(memory.resident_bytes, memory.bytes_max);
    gauge("memory", &of, filled, paint::line_of_rest(inner, 1), buffer);
    let beside = [
        piece(format!("{} accepted", units::exact(connections.accepted)), DIM, 1),
        piece(format!("{} status requests", units::exact(figures.status.requests)), DIM, 2),
    ];
    paint::put_pieces(buffer, paint::line_of(inner, 2), &beside, 2);
    let mut oddities = facts::oddities(figures);
    if oddities.is_empty() {
        oddities = vec![Cell { text: "nothing odd so far".to_owned(), tone: Tone::Dim }];
    }
    paint::put_flow(buffer, paint::line_of_rest(inner, 3), &oddities);
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn gauge(name: &str, text: &str, share: f64, area: Rect, buffer: &mut Buffer) {
    let line = paint::line_of(area, 0);
    paint::put(buffer, line, name, DIM);
    let rest = paint::put_right(buffer, paint::after(line, 12), text, Style::new());
    let style = if share > 0.9 { paint::style(Tone::Warn) } else { IN };
    bar(buffer, Rect { width: rest.width.min(30), ..rest }, [share, 0.0], style);
}

/// The chosen table, and beside it, where there is room, brokers and errors, which say what is wrong.
pub fn tables(
    shown: &Shown,
    figures: &Figures,
    area: Rect,
    buffer: &mut Buffer,
    is_box: bool,
) -> usize {
    if area.width < WIDEST || area.height < 12 {
        return table(shown, figures, area, buffer, is_box);
    }
    let beside = paint::after(area, area.width - area.width * 2 / 5);
    let edge = u16::from(is_box);
    let brokers = (figures.brokers.len().min(64) as u16 + 2 + edge).min(area.height / 2);
    aside(Table::Brokers, figures, Rect { height: brokers, ..beside }, buffer, is_box);
    aside(Table::Errors, figures, paint::line_of_rest(beside, brokers), buffer, is_box);
    let chosen = Rect { width: area.width - beside.width - 1, ..area };
    table(shown, figures, chosen, buffer, is_box)
}

/// A table that was not chosen, from its first row on.
fn aside(table: Table, figures: &Figures, area: Rect, buffer: &mut Buffer, is_box: bool) {
    let title = [piece(table.title(), BOLD, 0)];
    let inner = paint::frame(buffer, area, &title, &paint::nothing(), is_box);
    rows(table, figures, 0, inner, buffer);
}

/// The tabs, the chosen table under its headings, and where in it; how many rows are shown.
pub fn table(
    shown: &Shown,
    figures: &Figures,
    area: Rect,
    buffer: &mut Buffer,
    is_box: bool,
) -> usize {
    let (row_count, table) = (shown.row_count(), shown.table);
    let edge = u16::from(is_box);
    let page = usize::from(area.height.saturating_sub(2 + edge));
    let first = shown.first_row.min(row_count.saturating_sub(page));
    let place = format!(
        "{}-{} of {}",
        first + 1,
        (first + page).min(row_count),
        units::exact(row_count as u64)
    );
    let right = piece(if row_count > page { place } else { String::new() }, DIM, 0);
    let inner = paint::frame(buffer, area, &tabs(shown, figures), &right, is_box);
    rows(table, figures, first, inner, buffer);
    page
}

/// The headings, and rows from `first` on.
fn rows(table: Table, figures: &Figures, first: usize, area: Rect, buffer: &mut Buffer) {
    if table.row_count(figures) == 0 {
        paint::put(buffer, paint::line_of(area, 0), &format!("no {} so far", table.title()), DIM);
        return;
    }
    let grid = table.grid(figures, Counts::Short);
    let count = usize::from(area.height.saturating_sub(1));
    for (row, line) in grid.lines(area.width.into(), first, count).iter().enumerate() {
        paint::put_cells(buffer, paint::line_of(area, row as u16), line);
    }
}

fn tabs(shown: &Shown, figures: &Figures) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for table in Table::ALL {
        let count = units::exact(table.row_count(figures) as u64);
        let mark = if table.has_trouble(figures) { "!" } else { "" };
        let text = format!(" {} {count}{mark} ", table.title());
        let style = match (table == shown.table, mark) {
            (true, _) => BOLD.add_modifier(Modifier::REVERSED),
            (false, "!") => paint::style(Tone::Bad),
            (false, _) => Style::new(),
        };
        pieces.push(piece(text, style, u8::from(table != shown.table)));
    }
    pieces
}
