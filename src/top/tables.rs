//! Figures -> the tables that a person chooses from.

use super::grid::{Cell, Grid, Tone, number, plain, toned, word, words};
use super::units;
use crate::figures::{Broker, Figures, LastError, Listener, Percentiles, Rule, Stage, Topic};

/// Of a name.
const NAME_WIDTH_MAX: usize = 64;
/// Of an address or a short word.
const WORD_WIDTH_MAX: usize = 24;

/// One of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Table {
    /// Where messages come in.
    #[default]
    Listeners,
    /// What becomes of them.
    Rules,
    /// Where they go.
    Topics,
    /// Who takes them.
    Brokers,
    /// What went wrong last.
    Errors,
}

/// How counts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// `12.3M`.
    Short,
    /// `12,345,678`.
    Exact,
}

impl Counts {
    fn cell(self, count: u64) -> Cell {
        plain(match self {
            Counts::Short => units::short(count),
            Counts::Exact => units::exact(count),
        })
    }

    /// A count that should be 0.
    fn loss(self, count: u64) -> Cell {
        Cell { tone: if count > 0 { Tone::Bad } else { Tone::Plain }, ..self.cell(count) }
    }
}

impl Table {
    /// In the order of their tabs.
    pub const ALL: [Table; 5] =
        [Table::Listeners, Table::Rules, Table::Topics, Table::Brokers, Table::Errors];

    /// The next tab, round and round.
    pub fn next(self, is_back: bool) -> Table {
        let count = Table::ALL.len();
        Table::ALL[(self as usize + if is_back { count - 1 } else { 1 }) % count]
    }

    /// What it holds.
    pub fn title(self) -> &'static str {
        match self {
            Table::Listeners => "listeners",
            Table::Rules => "rules",
            Table::Topics => "topics",
            Table::Brokers => "brokers",
            Table::Errors => "errors",
        }
    }

    /// How many rows it has.
    pub fn row_count(self, figures: &Figures) -> usize {
        match self {
            Table::Listeners => figures.listeners.len(),
            Table::Rules => figures.rules.len(),
            Table::Topics => figures.topics.len(),
            Table::Brokers => figures.brokers.len(),
            Table::Errors => figures.errors.len(),
        }
    }

    /// Something in it does not work now.
    pub fn has_trouble(self, figures: &Figures) -> bool {
        match self {
            Table::Listeners | Table::Rules | Table::Errors => false,
            Table::Topics => figures.topics.iter().any(|topic| !topic.is_flowing),
            Table::Brokers => figures.brokers.iter().any(|broker| broker.state == "DOWN"),
        }
    }

    /// Its rows.
    pub fn grid(self, figures: &Figures, counts: Counts) -> Grid {
        match self {
            Table::Listeners => Grid {
                columns: listener_columns(),
                rows: figures.listeners.iter().map(|row| listener(row, counts)).collect(),
            },
            Table::Rules => Grid {
                columns: rule_columns(),
                rows: figures.rules.iter().map(|row| rule(row, counts)).collect(),
            },
            Table::Topics => Grid {
                columns: topic_columns(),
                rows: figures.topics.iter().map(|row| topic(row, counts)).collect(),
            },
            Table::Brokers => Grid {
                columns: broker_columns(),
                rows: figures.brokers.iter().map(|row| broker(row, counts)).collect(),
            },
            Table::Errors => Grid {
                columns: vec![word("last", 3), word("level", 0), number("times", 1), words("what")],
                rows: figures.errors.iter().map(last_error).collect(),
            },
        }
    }
}

fn name(text: &str) -> Cell {
    plain(units::clean(text, NAME_WIDTH_MAX))
}

fn listener_columns() -> Vec<crate::top::grid::Column> {
    vec![
        words("listener"),
        word("transport", 5),
        word("address", 3),
        number("msg/s", 0),
        number("received", 1),
        number("dropped", 2),
        number("open", 4),
        number("refused", 7),
        number("accepted", 9),
        number("bytes in", 8),
        number("p50", 10),
        number("p99", 6),
    ]
}

fn listener(row: &Listener, counts: Counts) -> Vec<Cell> {
    vec![
        name(&row.name),
        plain(units::clean(&row.transport, WORD_WIDTH_MAX)),
        plain(units::clean(&row.address, WORD_WIDTH_MAX)),
        plain(units::rate(row.rate)),
        counts.cell(row.received),
        counts.loss(row.dropped),
        counts.cell(row.connections),
        Cell { tone: warn_if(row.refused > 0), ..counts.cell(row.refused) },
        counts.cell(row.accepted),
        plain(units::bytes(row.bytes_in)),
        time(&row.latency, row.latency.p50_us),
        time(&row.latency, row.latency.p99_us),
    ]
}

fn rule_columns() -> Vec<crate::top::grid::Column> {
    vec![
        words("rule"),
        number("matches/s", 0),
        number("matched", 1),
        number("sampled out", 3),
        number("errors", 2),
    ]
}

fn rule(row: &Rule, counts: Counts) -> Vec<Cell> {
    vec![
        name(&row.name),
        plain(units::rate(row.rate)),
        counts.cell(row.matched),
        counts.cell(row.sampled),
        counts.loss(row.errors),
    ]
}

fn topic_columns() -> Vec<crate::top::grid::Column> {
    vec![
        words("topic"),
        word("state", 3),
        number("records/s", 0),
        number("taken", 6),
        number("delivered", 1),
        number("failed", 2),
        number("bytes", 5),
        number("p50", 7),
        number("p99", 4),
    ]
}

fn topic(row: &Topic, counts: Counts) -> Vec<Cell> {
    let state = if row.is_flowing { toned("flows", Tone::Good) } else { toned("STUCK", Tone::Bad) };
    vec![
        name(&row.name),
        state,
        plain(units::rate(row.rate)),
        counts.cell(row.taken),
        counts.cell(row.delivered),
        counts.loss(row.failed),
        plain(units::bytes(row.bytes)),
        time(&row.latency, row.latency.p50_us),
        time(&row.latency, row.latency.p99_us),
    ]
}

fn broker_columns() -> Vec<crate::top::grid::Column> {
    vec![
        words("broker"),
        word("state", 0),
        number("trip p50", 4),
        number("trip p99", 1),
        number("to send", 3),
        number("unanswered", 2),
        number("errors", 2),
        number("timeouts", 5),
        number("connects", 6),
        number("bytes out", 7),
    ]
}

fn broker(row: &Broker, counts: Counts) -> Vec<Cell> {
    let tone = match row.state.as_str() {
        "UP" => Tone::Good,
        "DOWN" => Tone::Bad,
        _ => Tone::Warn,
    };
    vec![
        name(&row.name),
        toned(units::clean(&row.state, WORD_WIDTH_MAX), tone),
        time(&row.round_trip, row.round_trip.p50_us),
        time(&row.round_trip, row.round_trip.p99_us),
        counts.cell(row.outbuf),
        counts.cell(row.waiting),
        Cell { tone: warn_if(row.errors > 0), ..counts.cell(row.errors) },
        Cell { tone: warn_if(row.timeouts > 0), ..counts.cell(row.timeouts) },
        counts.cell(row.connects),
        plain(units::bytes(row.bytes_out)),
    ]
}

fn last_error(row: &LastError) -> Vec<Cell> {
    let tone = match row.level.as_str() {
        "error" => Tone::Bad,
        "warn" => Tone::Warn,
        _ => Tone::Plain,
    };
    let sentence = if row.message.is_empty() { &row.kind } else { &row.message };
    vec![
        toned(units::clock(&row.time), Tone::Dim),
        toned(units::clean(&row.level, 8), tone),
        plain(units::exact(row.count)),
        plain(units::clean(sentence, super::facts::SENTENCE_WIDTH_MAX)),
    ]
}

fn warn_if(is_odd: bool) -> Tone {
    if is_odd { Tone::Warn } else { Tone::Plain }
}

fn time(of: &Percentiles, micros: u64) -> Cell {
    if of.count == 0 { toned("-", Tone::Dim) } else { plain(units::micros(micros)) }
}

/// Where the time goes: the whole way, its stages, and the whole way since the start.
pub fn latency(figures: &Figures) -> Grid {
    let latency = &figures.latency;
    let mut rows = vec![percentiles("read to acked", &latency.last)];
    rows.extend(latency.stages.iter().map(|stage| percentiles(&stage_name(stage), &stage.last)));
    rows.push(percentiles("since start", &latency.total));
    let columns = vec![
        words(""),
        number("p50", 0),
        number("p90", 4),
        number("p99", 1),
        number("p99.9", 3),
        number("max", 2),
        number("mean", 5),
        number("records", 6),
    ];
    Grid { columns, rows }
}

/// Short, so that the figures have room.
fn stage_name(stage: &Stage) -> String {
    match stage.name.as_str() {
        "read_to_sealed" => "  to sealed".to_owned(),
        "sealed_to_produced" => "  to produced".to_owned(),
        "produced_to_acknowledged" => "  to acked".to_owned(),
        other => units::clean(other, WORD_WIDTH_MAX).replace('_', " "),
    }
}

fn percentiles(name: &str, of: &Percentiles) -> Vec<Cell> {
    vec![
        toned(name, Tone::Dim),
        time(of, of.p50_us),
        time(of, of.p90_us),
        time(of, of.p99_us),
        time(of, of.p999_us),
        time(of, of.max_us),
        time(of, of.mean_us as u64),
        plain(units::short(of.count)),
    ]
}

/// Who runs how much.
pub fn shards(figures: &Figures) -> Grid {
    let columns = vec![
        word("shard", 0),
        number("core", 1),
        number("busy", 0),
        number("waiting", 1),
        number("per second", 0),
        number("so far", 1),
        number("CPU time", 2),
        word("more", 2),
    ];
    let shards = figures.shards.iter().map(|shard| {
        let more = match shard.kind.as_str() {
            "producer" => format!("{} queued", shard.queued),
            _ => {
                let (empty, batches) = (shard.batches_empty, shard.batches);
                let starved = units::seconds(shard.starved_s);
                let open = units::exact(shard.connections);
                format!("{open} connections, {empty} of {batches} batches empty, starved {starved}")
            }
        };
        vec![
            plain(format!("{} {}", units::clean(&shard.kind, WORD_WIDTH_MAX), shard.index)),
            plain(shard.core.to_string()),
            plain(units::percent(shard.busy)),
            plain(units::percent(shard.waiting)),
            plain(units::rate(shard.rate)),
            plain(units::exact(shard.count)),
            plain(units::seconds(shard.busy_s)),
            plain(more),
        ]
    });
    let threads = figures.threads.iter().map(|thread| {
        let cell = |text: String| if text.is_empty() { plain("-") } else { plain(text) };
        let mut row = vec![cell(units::clean(&thread.name, WORD_WIDTH_MAX)), plain("-")];
        row.push(plain(units::percent(thread.busy)));
        row.extend([plain("-"), plain("-"), plain("-")]);
        row.extend([plain(units::seconds(thread.busy_s)), plain("")]);
        row
    });
    Grid { columns, rows: shards.chain(threads).collect() }
}
