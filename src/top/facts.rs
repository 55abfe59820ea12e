//! Figures -> what they mean: how it is, what is lost, and what is worth a look.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::grid::{Cell, Tone, toned};
use super::units;
use crate::figures::Figures;

/// A certificate that expires sooner is worth a look.
const EXPIRES_SOON_S: i64 = 14 * 86_400;
/// Of a sentence.
pub const SENTENCE_WIDTH_MAX: usize = 400;
/// Of a reason's name.
const REASON_WIDTH_MAX: usize = 40;
/// Asked for by rules; no loss.
const WANTED: [&str; 2] = ["stopped", "sampled"];

/// In one word, as a badge.
pub fn state(figures: &Figures) -> Cell {
    match figures.state.as_str() {
        "ready" => toned("READY", Tone::Good),
        "not_ready" => toned("NOT READY", Tone::Bad),
        "draining" => toned("DRAINING", Tone::Warn),
        other => toned(units::clean(other, 20).to_uppercase(), Tone::Warn),
    }
}

/// What needs somebody, a sentence each.
pub fn troubles(figures: &Figures) -> Vec<Cell> {
    let reasons = figures.reasons.iter();
    let mut troubles: Vec<Cell> =
        reasons.map(|reason| toned(units::clean(reason, SENTENCE_WIDTH_MAX), Tone::Bad)).collect();
    for certificate in &figures.configuration.certificates {
        let left = certificate.expires_in_s;
        let listener = units::clean(&certificate.listener, REASON_WIDTH_MAX);
        if left < 0 {
            let since = units::seconds(left.unsigned_abs() as f64);
            let sentence = format!("the certificate of {listener} expired {since} ago");
            troubles.push(toned(sentence, Tone::Bad));
        } else if left < EXPIRES_SOON_S {
            let sentence =
                format!("the certificate of {listener} expires in {}", units::seconds(left as f64));
            troubles.push(toned(sentence, Tone::Warn));
        }
    }
    troubles
}

/// What happened besides, as `what count`; nothing that has not happened.
pub fn oddities(figures: &Figures) -> Vec<Cell> {
    let mut oddities = Vec::new();
    let mut note = |what: String, count: u64, tone: Tone| {
        if count > 0 {
            oddities.push(toned(format!("{what} {}", units::exact(count)), tone));
        }
    };
    let connections = &figures.connections;
    note("dropped by kernel".to_owned(), figures.dropped_by_kernel, Tone::Bad);
    note("client rebuilt".to_owned(), figures.rebuilt, Tone::Warn);
    note("accept failed".to_owned(), connections.accept_failed, Tone::Bad);
    note("reload refused".to_owned(), figures.configuration.refused, Tone::Warn);
    for (reason, count) in &figures.dead_lettered {
        note(format!("dead letter {}", reason_name(reason)), *count, Tone::Warn);
    }
    for (reason, count) in &connections.refused {
        note(format!("refused {}", reason_name(reason)), *count, Tone::Warn);
    }
    for (reason, count) in &connections.closed {
        note(format!("closed {}", reason_name(reason)), *count, Tone::Plain);
    }
    note("truncated".to_owned(), figures.truncated, Tone::Plain);
    note("resent".to_owned(), figures.resent, Tone::Plain);
    note("held".to_owned(), connections.held, Tone::Plain);
    oddities
}

fn reason_name(reason: &str) -> String {
    units::clean(reason, REASON_WIDTH_MAX)
}

/// Where every message is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// Messages taken from frames.
    pub received: u64,
    /// Records made of them.
    pub forwarded: u64,
    /// Records acknowledged.
    pub delivered: u64,
    /// Messages whose verdict is open; negative if the books are wrong.
    pub in_hand: i64,
    /// Records whose outcome is open; negative if the books are wrong.
    pub in_flight: i64,
    /// Messages that became no record.
    pub dropped: u64,
    /// Records given up.
    pub failed: u64,
    /// By reason, the most first.
    pub losses: Vec<Loss>,
}

/// Why messages did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// As the ledger names it.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// A rule asks for it.
    pub is_wanted: bool,
}

impl Books {
    /// From the fields of the log's last line; what is missing is 0.
    pub fn read(ledger: &Map<String, Value>) -> Books {
        let count = |name: &str| ledger.get(name).and_then(Value::as_u64).unwrap_or(0);
        let open = |name: &str| ledger.get(name).and_then(Value::as_i64).unwrap_or(0);
        let (dropped, failed) = (reasons(ledger.get("dropped")), reasons(ledger.get("failed")));
        let sum = |reasons: &BTreeMap<String, u64>| {
            reasons.values().copied().fold(0, u64::saturating_add)
        };
        let mut books = Books {
            received: count("received"),
            forwarded: count("forwarded"),
            delivered: count("delivered"),
            in_hand: open("in_hand"),
            in_flight: open("in_flight"),
            dropped: sum(&dropped),
            failed: sum(&failed),
            losses: Vec::new(),
        };
        let loss = |(reason, count): (String, u64), is_failed: bool| {
            let is_wanted = !is_failed && WANTED.contains(&reason.as_str());
            Loss { reason, count, is_wanted }
        };
        books.losses.extend(dropped.into_iter().map(|case| loss(case, false)));
        books.losses.extend(failed.into_iter().map(|case| loss(case, true)));
        books.losses.sort_by_key(|loss| (loss.is_wanted, std::cmp::Reverse(loss.count)));
        books
    }

    /// What is lost and was not asked for.
    pub fn lost(&self) -> u64 {
        let lost = self.losses.iter().filter(|loss| !loss.is_wanted);
        lost.fold(0, |sum, loss| sum.saturating_add(loss.count))
    }

    /// `nothing lost`, or how many.
    pub fn verdict(&self) -> Cell {
        match self.lost() {
            0 => toned("nothing lost", Tone::Good),
            lost => toned(format!("{} lost", units::exact(lost)), Tone::Bad),
        }
    }

    /// Each loss as `reason count`.
    pub fn loss_cells(&self) -> Vec<Cell> {
        let cell = |loss: &Loss| {
            let tone = if loss.is_wanted { Tone::Plain } else { Tone::Bad };
            toned(format!("{} {}", loss.reason, units::exact(loss.count)), tone)
        };
        self.losses.iter().map(cell).collect()
    }
}

fn reasons(map: Option<&Value>) -> BTreeMap<String, u64> {
    let cases = map.and_then(Value::as_object).into_iter().flatten();
    let counted = cases.filter_map(|(name, count)| Some((reason_name(name), count.as_u64()?)));
    counted.filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Certificate, Configuration};

    #[test]
    fn losses_are_sorted_and_what_rules_ask_for_is_none() {
        let ledger = serde_json::json!({
            "received": 10, "forwarded": 6, "delivered": 4, "in_hand": -1, "in_flight": 1,
            "dropped": {"stopped": 3, "unmatched": 1, "framing": 0}, "failed": {"shutdown": 2},
        });
        let Value::Object(ledger) = ledger else { panic!("no object") };
        let books = Books::read(&ledger);
        assert_eq!((books.dropped, books.failed, books.lost()), (4, 2, 3));
        assert_eq!((books.in_hand, books.in_flight), (-1, 1));
        let cells: Vec<String> = books.loss_cells().into_iter().map(|cell| cell.text).collect();
        assert_eq!(cells, ["shutdown 2", "unmatched 1", "stopped 3"]);
        assert_eq!(Books::read(&Map::new()), Books::default());
    }

    #[test]
    fn certificates_are_told_of_in_time() {
        let certificate = |expires_in_s| Certificate {
            listener: "tls".to_owned(),
            expires: String::new(),
            expires_in_s,
        };
        let certificates = [20 * 86_400, 3 * 86_400, -60].map(certificate).to_vec();
        let configuration = Configuration { certificates, ..Configuration::default() };
        let troubles = troubles(&Figures { configuration, ..Figures::default() });
        let texts: Vec<&str> = troubles.iter().map(|cell| cell.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "the certificate of tls expires in 3 d 0 h",
                "the certificate of tls expired 1 min 0 s ago"
            ]
        );
    }
}
