//! The screen at every size, on figures that nobody would make.

use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

use crate::figures::*;
use crate::top::shown::Shown;
use crate::top::tables::Table;
use crate::top::{text, view};

const HOSTILE: &str =
    "\x1b[31m\u{9b}2J\x07\u{202e}\tname\r\n\u{301}\u{301}\u{1f469}\u{200d}\u{1f469}";

fn percentiles(micros: u64) -> Percentiles {
    let [p50_us, p90_us, p99_us, p999_us, max_us] = [micros; 5];
    Percentiles { count: 1, mean_us: micros as f64, p50_us, p90_us, p99_us, p999_us, max_us }
}

fn object(value: Value) -> serde_json::Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn busy() -> Figures {
    let points: Vec<f64> = (0..600).map(|index| f64::from(index % 97)).collect();
    let listener = Listener { name: "plain".to_owned(), rate: 41_000.0, ..Listener::default() };
    let shard =
        |kind: &str, index| Shard { kind: kind.to_owned(), index, busy: 0.95, ..Shard::default() };
    let topic =
        |index| Topic { name: format!("logs-{index}"), is_flowing: true, ..Topic::default() };
    Figures {
        message: "all shards are up".to_owned(),
        state: "ready".to_owned(),
        version: "0.1.0".to_owned(),
        time: "2026-01-02T03:04:05Z".to_owned(),
        uptime_s: 273_600.0,
        ledger: object(json!({
            "received": 12_345_678, "forwarded": 12_345_600, "delivered": 12_345_003,
            "dropped": {"unmatched": 70, "stopped": 8}, "failed": {}, "in_hand": 0, "in_flight": 597,
        })),
        rates: Rates { received: 41_000.0, ..Rates::default() },
        history: History {
            interval_s: 1.0,
            received: points.clone(),
            delivered: points.clone(),
            lost: points,
            p50_us: vec![900; 600],
            p99_us: vec![4_000; 600],
        },
        latency: Latency {
            last: percentiles(1_234),
            total: percentiles(1_100),
            stages: vec![Stage { name: "read_to_sealed".to_owned(), ..Stage::default() }],
            ..Latency::default()
        },
        listeners: vec![listener],
        rules: vec![Rule { name: "json with a topic".to_owned(), ..Rule::default() }],
        topics: (0..1000).map(topic).collect(),
        shards: vec![shard("receiver", 0), shard("receiver", 1), shard("producer", 0)],
        threads: vec![Thread { name: "rdk:main".to_owned(), busy: 0.1, busy_s: 3.0 }],
        ..Figures::default()
    }
}

/// Every text hostile, every number at its end.
fn hostile() -> Figures {
    let name = HOSTILE.to_owned();
    let latency = percentiles(u64::MAX);
    let counts = std::collections::BTreeMap::from([(name.clone(), u64::MAX), (String::new(), 7)]);
    let certificate =
        |expires_in_s| Certificate { listener: name.clone(), expires: name.clone(), expires_in_s };
    Figures {
        message: name.clone(),
        state: name.clone(),
        reasons: vec![name.repeat(500); 40],
        version: name.clone(),
        time: name.clone(),
        uptime_s: -1e300,
        ledger: object(json!({
            "received": u64::MAX, "forwarded": -1, "delivered": "x", "in_hand": i64::MIN,
            "dropped": {HOSTILE: u64::MAX, "b": u64::MAX}, "failed": {HOSTILE: 1},
        })),
        configuration: Configuration {
            file: name.clone(),
            generation: u64::MAX,
            certificates: [i64::MIN, 0, i64::MAX].map(certificate).to_vec(),
            ..Configuration::default()
        },
        rates: Rates {
            received: f64::MAX,
            dropped: f64::MAX,
            failed: f64::MAX,
            ..Rates::default()
        },
        history: History {
            received: vec![f64::MAX; 1000],
            delivered: vec![-1.0, 1e-300, f64::MAX],
            lost: vec![f64::INFINITY, f64::NAN],
            p99_us: vec![u64::MAX; 5],
            ..History::default()
        },
        latency: Latency {
            last: latency.clone(),
            stages: vec![Stage {
                name: name.clone(),
                last: latency.clone(),
                total: latency.clone(),
            }],
            ..Latency::default()
        },
        listeners: vec![Listener {
            name: name.clone(),
            address: name.clone(),
            ..Listener::default()
        }],
        rules: vec![Rule { name: name.repeat(99), errors: u64::MAX, ..Rule::default() }],
        topics: vec![Topic { name: name.clone(), rate: f64::MAX, latency, ..Topic::default() }; 3],
        shards: vec![
            Shard {
                kind: name.clone(),
                index: usize::MAX,
                busy: f64::MAX,
                waiting: f64::NAN,
                ..Shard::default()
            };
            70
        ],
        threads: vec![Thread { name: name.clone(), busy: -1.0, busy_s: f64::NAN }; 9],
        brokers: vec![Broker { name: name.clone(), state: name.clone(), ..Broker::default() }; 70],
        connections: Connections {
            open: u64::MAX,
            closed: counts.clone(),
            refused: counts.clone(),
            ..Connections::default()
        },
        dead_lettered: counts,
        errors: vec![
            LastError {
                level: name.clone(),
                message: name.repeat(50),
                ..LastError::default()
            };
            9
        ],
        memory: Memory { resident_bytes: u64::MAX, bytes_max: 1 },
        ..Figures::default()
    }
}

fn shown(figures: Figures) -> Shown {
    let mut shown = Shown::new("127.0.0.1:8585");
    shown.take(Ok(figures), Timestamp::UNIX_EPOCH);
    shown
}

fn lines(shown: &Shown, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a screen");
    let draw = |frame: &mut ratatui::Frame<'_>| {
        view::draw(shown, frame.area(), frame.buffer_mut(), Timestamp::UNIX_EPOCH);
    };
    terminal.draw(draw).expect("a drawn screen");
    let cells = terminal.backend().buffer().content().chunks(usize::from(width));
    cells.map(|row| row.iter().map(|cell| cell.symbol()).collect()).collect()
}

#[test]
fn every_size_holds_every_state() {
    let mut silent = shown(busy());
    silent.take(Err(HOSTILE.to_owned()), Timestamp::MIN);
    silent.paused = Some(Timestamp::MAX);
    silent.has_help = true;
    let mut nobody = Shown::new(HOSTILE);
    let asking = nobody.clone();
    nobody.take(Err(HOSTILE.to_owned()), Timestamp::MAX);
    let states =
        [shown(Figures::default()), shown(busy()), shown(hostile()), silent, nobody, asking];
    let widths = [1, 2, 17, 36, 40, 60, 72, 80, 100, 136, 150, 200];
    let heights = [1, 2, 3, 5, 7, 10, 14, 22, 24, 34, 60];
    for mut state in states {
        let tables = Table::ALL.into_iter().cycle();
        let sizes = widths.iter().flat_map(|width| heights.map(|height| (*width, height)));
        for ((width, height), table) in sizes.zip(tables) {
            (state.table, state.first_row) = (table, 1_000_000);
            for line in lines(&state, width, height) {
                assert!(!line.contains(char::is_control), "{width}x{height}: {line:?}");
                assert!(!line.contains('\u{202e}'), "{width}x{height}: {line:?}");
            }
        }
    }
}

#[test]
fn the_usual_size_tells_the_essentials() {
    let screen = lines(&shown(busy()), 80, 24).join("\n");
    for essential in [
        " READY   0.1.0  up 3 d 4 h",
        "received 41.0k/s",
        "read to acked  1.23 ms",
        "70 lost",
        "\u{2514} forwarded   12,345,600  597 in flight",
        "unmatched 70  stopped 8",
        "producer 0",
        "topics 1,000",
        "q quit",
    ] {
        assert!(screen.contains(essential), "{essential:?} is not in\n{screen}");
    }
}

#[test]
fn a_small_screen_tells_how_it_is() {
    let screen = lines(&shown(busy()), 40, 10).join("\n");
    for essential in ["READY", "received 41.0k/s", "70 lost", "plain", "q quit"] {
        assert!(screen.contains(essential), "{essential:?} is not in\n{screen}");
    }
}

#[test]
fn silence_is_told_with_since_when_and_the_last_figures_stay() {
    let mut shown = shown(busy());
    shown.take(Err("connection refused".to_owned()), Timestamp::UNIX_EPOCH);
    let screen = lines(&shown, 100, 24).join("\n");
    assert!(screen.contains("NO ANSWER"), "{screen}");
    assert!(screen.contains("no answer from 127.0.0.1:8585 since"), "{screen}");
    assert!(screen.contains("(0 s): connection refused; asking on"), "{screen}");
    assert!(screen.contains("12,345,600"), "{screen}");
}

#[test]
fn plain_text_has_no_escapes_and_all_sections() {
    for figures in [Figures::default(), busy(), hostile()] {
        let text = text::text(&figures);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        let sections: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
        let sections: Vec<&str> = sections.into_iter().filter(|line| !line.is_empty()).collect();
        assert_eq!(
            sections,
            [
                "corndog",
                "rates",
                "ledger",
                "process",
                "latency",
                "shards",
                "listeners",
                "rules",
                "topics",
                "brokers",
                "errors"
            ]
        );
    }
}
