//! Figures -> plain text in fixed sections, for scripts and pipes.
//!
//! Sections and their order stay, whatever is in them; nothing is left out for want of room.

use std::fmt::Write as _;

use super::facts::{self, Books};
use super::grid::{Cell, GAP, Grid};
use super::tables::{self, Counts, Table};
use super::units;
use crate::figures::Figures;

/// Wider than any table: nothing is left out.
const WIDTH: usize = 1000;
/// Of labels.
const LABEL_WIDTH: usize = 14;

/// The whole of it, each section under its name.
pub fn text(figures: &Figures) -> String {
    let mut out = String::new();
    corndog(&mut out, figures);
    rates(&mut out, figures);
    ledger(&mut out, figures);
    process(&mut out, figures);
    section(&mut out, "latency", &tables::latency(figures));
    section(&mut out, "shards", &tables::shards(figures));
    for table in Table::ALL {
        section(&mut out, table.title(), &table.grid(figures, Counts::Exact));
    }
    out
}

fn corndog(out: &mut String, figures: &Figures) {
    let configuration = &figures.configuration;
    heading(out, "corndog");
    label(out, "state", &units::clean(&figures.state, 20));
    label(out, "message", &units::clean(&figures.message, facts::SENTENCE_WIDTH_MAX));
    for trouble in facts::troubles(figures) {
        label(out, "trouble", &trouble.text);
    }
    label(out, "version", &units::clean(&figures.version, 64));
    label(out, "time", &units::clean(&figures.time, 64));
    label(out, "up", &units::seconds(figures.uptime_s));
    let loaded = units::clean(&configuration.loaded, 64);
    let file = units::clean(&configuration.file, facts::SENTENCE_WIDTH_MAX);
    label(out, "configuration", &file);
    label(
        out,
        "generation",
        &format!("{}, since {loaded}", units::exact(configuration.generation)),
    );
}

fn rates(out: &mut String, figures: &Figures) {
    let rates = &figures.rates;
    heading(out, "rates");
    let per_second = |rate: f64| format!("{}/s", units::rate(rate));
    let received = units::bytes_rate(rates.bytes_in);
    label(out, "received", &format!("{}, {received}", per_second(rates.received)));
    label(out, "forwarded", &per_second(rates.forwarded));
    let delivered = units::bytes_rate(rates.bytes_out);
    label(out, "delivered", &format!("{}, {delivered}", per_second(rates.delivered)));
    label(out, "dropped", &per_second(rates.dropped));
    label(out, "failed", &per_second(rates.failed));
}

fn ledger(out: &mut String, figures: &Figures) {
    let books = Books::read(&figures.ledger);
    heading(out, "ledger");
    label(out, "received", &units::exact(books.received));
    label(out, "in hand", &units::signed(books.in_hand));
    label(out, "dropped", &units::exact(books.dropped));
    label(out, "forwarded", &units::exact(books.forwarded));
    label(out, "in flight", &units::signed(books.in_flight));
    label(out, "failed", &units::exact(books.failed));
    label(out, "delivered", &units::exact(books.delivered));
    for loss in &books.losses {
        let what = if loss.is_wanted { "by rule" } else { "lost" };
        label(out, what, &format!("{} {}", loss.reason, units::exact(loss.count)));
    }
}

fn process(out: &mut String, figures: &Figures) {
    let (connections, memory) = (&figures.connections, &figures.memory);
    heading(out, "process");
    let (open, limit) = (units::exact(connections.open), units::exact(connections.limit as u64));
    label(out, "connections", &format!("{open} of {limit}"));
    let (resident, bound) = (units::bytes(memory.resident_bytes), units::bytes(memory.bytes_max));
    label(out, "memory", &format!("{resident} of {bound}"));
    for oddity in facts::oddities(figures) {
        label(out, "besides", &oddity.text);
    }
}

fn heading(out: &mut String, name: &str) {
    if !out.is_empty() {
        out.push('\n');
    }
    // Writing to a String cannot fail; so below.
    let _ = writeln!(out, "{name}");
}

fn label(out: &mut String, name: &str, text: &str) {
    let text = if text.is_empty() { "-" } else { text };
    let _ = writeln!(out, "  {name:<LABEL_WIDTH$} {text}");
}

fn section(out: &mut String, name: &str, grid: &Grid) {
    heading(out, name);
    if grid.rows.is_empty() {
        let _ = writeln!(out, "  none");
        return;
    }
    for line in grid.lines(WIDTH, 0, usize::MAX) {
        let texts: Vec<&str> = line.iter().map(|cell: &Cell| cell.text.as_str()).collect();
        let _ = writeln!(out, "  {}", texts.join(&" ".repeat(GAP)).trim_end());
    }
}
