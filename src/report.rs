//! The log: one line each on stderr, as text or as one JSON object. Written by the main thread
//! alone; shards send notices, so that a stderr that nobody reads never holds up the data, and the
//! main thread does not wait for it either: what cannot be written is left out and counted.
//!
//! | part | what it holds |
//! | --- | --- |
//! | `filter` | which lines the log has |
//! | `lines` | a line as text, for journald, or as JSON |
//! | `output` | stderr, without waiting long |
//! | `secrets` | what no line may hold |
//! | `last` | the last warning or error of each kind |

mod filter;
mod last;
mod lines;
mod output;
mod secrets;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::Stderr;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use corndog_pipeline::control::Level;
use serde_json::{Map, Value};

use crate::args::LogFormat;
use crate::config::KafkaSettings;
use crate::figures::LastError;
use filter::Filter;
use last::Last;
use lines::Form;
use output::Output;
use secrets::Secrets;

/// One line per condition in this time; the others are counted.
const INTERVAL: Duration = Duration::from_secs(10);
/// Conditions that are remembered, those of each peer among them.
const CONDITIONS_MAX: usize = 1024;
/// How long a line waits for a reader of stderr, once; then none does until it is read again.
const PATIENCE: Duration = Duration::from_millis(20);
/// The same for each landmark.
const LANDMARK_PATIENCE: Duration = Duration::from_millis(500);
/// Lines that others wait for: written whatever the filter says.
const LANDMARKS: [&str; 3] = ["ready", "draining", "ledger"];
/// The kind of a line about no condition.
const ANY: &str = "corndog";

/// Writes the log.
#[derive(Debug)]
pub struct Report {
    form: Form,
    filter: Filter,
    /// Of the thread that has it: never borrowed while somebody else is called.
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    stderr: Output<Stderr>,
    /// Lines that nobody read, since the last that somebody did.
    unread: u64,
    /// For each condition: when it was last written, and how many were left out since.
    conditions: HashMap<(&'static str, Option<IpAddr>), (Instant, u64)>,
    /// For each kind of dropped messages: what was said of them.
    drops: HashMap<&'static str, Drops>,
    last: Last,
    secrets: Secrets,
}

#[derive(Debug, Clone, Copy)]
struct Drops {
    level: Level,
    /// When the last line was written.
    at: Instant,
    /// How many there were then.
    told: u64,
}

impl Report {
    /// A log in this format, of whatever is no line of debugging.
    pub fn new(format: LogFormat) -> Report {
        let form = match format {
            LogFormat::Json => Form::Json,
            LogFormat::Text if is_journal() => Form::Journal,
            LogFormat::Text => Form::Text,
        };
        let state = State {
            stderr: Output::new(std::io::stderr()),
            unread: 0,
            conditions: HashMap::new(),
            drops: HashMap::new(),
            last: Last::default(),
            secrets: Secrets::default(),
        };
        Report { form, filter: Filter::default(), state: RefCell::new(state) }
    }

    /// A log in this format, of what the environment asks for.
    ///
    /// Errors: one sentence.
    pub fn from_environment(format: LogFormat) -> Result<Report, String> {
        Ok(Report { filter: Filter::from_environment()?, ..Report::new(format) })
    }

    /// From now on, no line shows these settings' secrets.
    pub fn hide(&self, kafka: &KafkaSettings) {
        let values = kafka.conf.iter().filter_map(|(key, value)| {
            if crate::config::is_secret(key) { Some(value.clone()) } else { secrets::of_url(value) }
        });
        self.state.borrow_mut().secrets.add(values);
    }

    /// The last warning or error of each kind, the newest first; also where the log has no line.
    pub fn last_errors(&self) -> Vec<LastError> {
        self.state.borrow().last.list()
    }

    /// Writes a line.
    pub fn say(&self, level: Level, message: &str) {
        self.say_with(level, message, Map::new());
    }

    /// Writes a line with fields.
    pub fn say_with(&self, level: Level, message: &str, fields: Map<String, Value>) {
        let message = self.note(level, ANY, message);
        self.write(level, ANY, &message, fields);
    }

    /// Writes a line about a condition, unless it was written a short while ago.
    pub fn say_once(&self, level: Level, kind: &'static str, message: &str) {
        let message = self.note(level, kind, message);
        self.write_condition(level, (kind, None), &message);
    }

    /// Writes a line about a dropped message, of which there are `count` by now, and how many others
    /// there were since the last; unless that was a short while ago.
    pub fn say_dropped(&self, level: Level, kind: &'static str, message: &str, count: u64) {
        let mut message = self.note(level, kind, message);
        let now = Instant::now();
        let before = {
            let drops = &mut self.state.borrow_mut().drops;
            let before = drops.get(kind).copied();
            if before.is_some_and(|drops| now.duration_since(drops.at) < INTERVAL) {
                return;
            }
            drops.insert(kind, Drops { level, at: now, told: count });
            before.map_or(0, |drops| drops.told)
        };
        let others = count.saturating_sub(before + 1);
        if others > 0 {
            message.push_str(&format!("; {others} others besides"));
        }
        self.write(level, kind, &message, Map::new());
    }

    /// Writes a line about one peer, unless it was written of that one a short while ago.
    pub fn say_once_of(&self, kind: &'static str, peer: IpAddr, message: &str) {
        let message = self.note(Level::Warn, kind, message);
        let peer = {
            let conditions = &mut self.state.borrow_mut().conditions;
            if conditions.len() >= CONDITIONS_MAX {
                forget_old(conditions);
            }
            // From too many peers at once: one line for all of them.
            (conditions.len() < CONDITIONS_MAX).then_some(peer)
        };
        self.write_condition(Level::Warn, (kind, peer), &message);
    }

    /// Writes how many lines of each kind were left out since the last of it; `dropped` says how many
    /// messages there are of a kind.
    pub fn say_left_out(&self, dropped: impl Fn(&str) -> u64) {
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        // Of what is meant to be dropped one line tells.
        for (kind, drops) in &self.state.borrow().drops {
            let left_out = dropped(kind).saturating_sub(drops.told);
            if left_out > 0 && drops.level != Level::Info {
                kinds.insert(kind, left_out);
            }
        }
        let conditions = std::mem::take(&mut self.state.borrow_mut().conditions);
        for ((kind, _), (_, left_out)) in conditions.into_iter().filter(|(_, (_, n))| *n > 0) {
            *kinds.entry(kind).or_default() += left_out;
        }
        for (kind, left_out) in kinds {
            let fields = Map::from_iter([("left_out".to_owned(), left_out.into())]);
            let message = format!("left out before the end: {kind}");
            self.write(Level::Warn, kind, &message, fields);
        }
    }

    /// Remembers a warning or error; returns what may be shown of the message.
    fn note(&self, level: Level, kind: &str, message: &str) -> String {
        let state = &mut *self.state.borrow_mut();
        let message = state.secrets.hide(message).into_owned();
        state.last.note(level, kind, &message);
        message
    }

    fn write_condition(
        &self,
        level: Level,
        condition: (&'static str, Option<IpAddr>),
        message: &str,
    ) {
        // Whoever asks for these wants all of them.
        if level == Level::Debug {
            return self.write(level, condition.0, message, Map::new());
        }
        let now = Instant::now();
        let left_out = {
            let conditions = &mut self.state.borrow_mut().conditions;
            let left_out = match conditions.get_mut(&condition) {
                Some((at, left_out)) if now.duration_since(*at) < INTERVAL => {
                    *left_out += 1;
                    return;
                }
                Some((_, left_out)) => *left_out,
                None => 0,
            };
            conditions.insert(condition, (now, 0));
            left_out
        };
        let mut fields = Map::new();
        if left_out > 0 {
            fields.insert("left_out".to_owned(), left_out.into());
        }
        self.write(level, condition.0, message, fields);
    }

    fn write(&self, level: Level, kind: &str, message: &str, fields: Map<String, Value>) {
        let is_landmark = LANDMARKS.contains(&message);
        if !is_landmark && !self.filter.takes(level, kind, message) {
            return;
        }
        let line = lines::line(self.form, level, message, fields);
        let state = &mut *self.state.borrow_mut();
        if state.unread > 0 {
            let fields = Map::from_iter([("left_out".to_owned(), state.unread.into())]);
            let message = "nobody read the log, so lines of it were left out";
            let told = lines::line(self.form, Level::Warn, message, fields);
            if state.stderr.write(&told, Duration::ZERO) {
                state.unread = 0;
            }
        }
        let is_written = match is_landmark {
            true => state.stderr.write_patiently(&line, LANDMARK_PATIENCE),
            false => state.stderr.write(&line, PATIENCE),
        };
        state.unread += u64::from(!is_written);
    }
}

/// Forgets what may be written again. Lines that were left out of one peer's are of all peers then.
fn forget_old(conditions: &mut HashMap<(&'static str, Option<IpAddr>), (Instant, u64)>) {
    let mut of_all: HashMap<&'static str, (Instant, u64)> = HashMap::new();
    conditions.retain(|(kind, peer), (at, left_out)| {
        let is_kept = at.elapsed() < INTERVAL || peer.is_none();
        if !is_kept && *left_out > 0 {
            of_all.entry(kind).or_insert((*at, 0)).1 += *left_out;
        }
        is_kept
    });
    for (kind, (at, left_out)) in of_all {
        conditions.entry((kind, None)).or_insert((at, 0)).1 += left_out;
    }
}

/// Whether stderr is journald's stream: `JOURNAL_STREAM` is its device and inode (sd-daemon(3)).
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stat) = rustix::fs::fstat(std::io::stderr()) else { return false };
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_of_the_log_is_remembered_and_counted() {
        let report = Report { filter: Filter::default(), ..Report::new(LogFormat::Json) };
        let peer = |number: u32| IpAddr::from(number.to_be_bytes());
        let conf = [("sasl.password", "hunter2"), ("a.url", "https://u:hunter3@h")];
        let conf = conf.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        report.hide(&KafkaSettings { embedded: false, topic: String::new(), conf });
        for number in 0..5 {
            report.say_once_of("refused", peer(number), &format!("peer {number}"));
            report.say_once(Level::Error, "fatal", "hunter2, u:hunter3, https://u:p@h/");
            report.say_once(Level::Info, "fine", "not an error");
        }
        report.say_dropped(Level::Warn, "dropped_unmatched", "first", 1);
        report.say_dropped(Level::Warn, "dropped_unmatched", "another", 900);
        let told = report.state.borrow().drops["dropped_unmatched"].told;
        assert_eq!(told, 1, "the others are said later");
        report.say(Level::Warn, "by the way");
        let last = report.last_errors();
        let shown: Vec<_> = last
            .iter()
            .map(|last| (last.kind.as_str(), last.message.as_str(), last.count))
            .collect();
        assert_eq!(
            shown,
            [
                ("corndog", "by the way", 1),
                ("dropped_unmatched", "another", 2),
                ("fatal", "(secret), u:(secret), https://(secret)@h/", 5),
                ("refused", "peer 4", 5),
            ]
        );
        assert_eq!(last[2].level, "error");
    }

    #[test]
    fn what_was_left_out_of_a_forgotten_peers_lines_is_of_all_peers() {
        let now = Instant::now();
        let long_ago = now.checked_sub(INTERVAL).expect("the machine runs for longer");
        let peer = |number: u8| Some(IpAddr::from([10, 0, 0, number]));
        let mut conditions = HashMap::from([
            (("refused", peer(1)), (long_ago, 3)),
            (("refused", peer(2)), (long_ago, 4)),
            (("refused", peer(3)), (now, 5)),
            (("fatal", None), (long_ago, 6)),
            (("quiet", peer(1)), (long_ago, 0)),
        ]);
        forget_old(&mut conditions);
        let mut left: Vec<_> =
            conditions.iter().map(|((kind, peer), (_, count))| (*kind, *peer, *count)).collect();
        left.sort();
        assert_eq!(left, [("fatal", None, 6), ("refused", None, 7), ("refused", peer(3), 5)]);
    }
}
