//! The proof that each message of a sender arrives, with every field as it has to be.
//!
//! ```text
//! sender -> a listener of its own -> corndog, format = "json" -> Mock -> check
//! ```
//!
//! [`Proof::check`] prints a row for each sender; `tests/senders` makes a table of them.

use crate::places::Scratch;
use crate::time::seconds;
use crate::{Corndog, Mock, Record, Watch, settings};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How far a message's own time may be from the end of the test: one read in another zone is hours
/// away.
const TIME_APART_MAX_MS: u128 = 120_000;

/// How long what was sent may take to arrive, on a machine that is busy.
const ARRIVE_TIME_MAX: Duration = seconds(20);

/// Messages of one row that are not there, and that are not expected, in the text of a panic.
const WRONG_SHOWN_MAX: usize = 5;

/// How a listener is reached.
#[derive(Clone, Copy)]
pub enum By<'a> {
    /// A port of 127.0.0.1.
    Tcp,
    /// As [`By::Tcp`], with this `tls = { ... }`.
    Tls(&'a str),
    /// A port of 127.0.0.1.
    Udp,
    /// A path.
    Stream,
    /// A path.
    Datagram,
    /// This path, in a folder that is there.
    DatagramAt(&'a Path),
}

impl By<'_> {
    /// The listener's `transport`.
    pub fn name(self) -> &'static str {
        match self {
            By::Tcp => "tcp",
            By::Tls(_) => "tls",
            By::Udp => "udp",
            By::Stream => "unix-stream",
            By::Datagram | By::DatagramAt(_) => "unix-datagram",
        }
    }
}

/// A sender, and what its messages have to become.
struct Row {
    sender: String,
    transport: &'static str,
    /// As [`fits`] reads them.
    expected: Vec<Json>,
}

/// A running program with a listener for each sender, and the cluster that its records go to.
pub struct Proof {
    corndog: Corndog,
    watch: Watch,
    /// Ends with it; nobody asks it anything.
    _mock: Mock,
    scratch: Scratch,
    /// By listener: its address, or the socket's path.
    places: Vec<Place>,
    rows: Vec<Row>,
}

enum Place {
    Port(SocketAddr),
    Path(PathBuf),
}

impl Proof {
    /// Starts the program `exe` with one listener for each of these senders.
    pub fn start(exe: &str, senders: &[(&str, By<'_>)]) -> Proof {
        let mock = Mock::start();
        mock.create_topic("plain", 1);
        let scratch = Scratch::new("proof");
        let mut over = "[kafka]\nrecord_time = \"message\"\n[[rule]]\n\
                        actions = [{ forward = \"plain\", format = \"json\" }]\n"
            .to_owned();
        let path_of = |index: usize| scratch.path().join(format!("socket{index}"));
        for (index, (_, by)) in senders.iter().enumerate() {
            let address = match by {
                By::Stream | By::Datagram => format!("{:?}", path_of(index)),
                By::DatagramAt(path) => format!("{path:?}"),
                By::Tcp | By::Tls(_) | By::Udp => "\"127.0.0.1:0\"".to_owned(),
            };
            let tls = if let By::Tls(tls) = by { tls } else { "" };
            over.push_str(&format!(
                "[[listen]]\nname = \"{index}\"\naddress = {address}\ntransport = \"{}\"\n{tls}\n",
                by.name()
            ));
        }
        let corndog = Corndog::start(exe, &settings(&mock.bootstrap(), &over));
        let mut ports = corndog.addresses().iter();
        let place = |(index, (_, by)): (usize, &(&str, By<'_>))| match by {
            By::Stream | By::Datagram => Place::Path(path_of(index)),
            By::DatagramAt(path) => Place::Path((*path).to_owned()),
            By::Tcp | By::Tls(_) | By::Udp => {
                Place::Port(*ports.next().expect("one for each that is no path"))
            }
        };
        let places = senders.iter().enumerate().map(place).collect();
        let row = |(sender, by): &(&str, By<'_>)| Row {
            sender: (*sender).to_owned(),
            transport: by.name(),
            expected: Vec::new(),
        };
        let rows = senders.iter().map(row).collect();
        let watch = Watch::new(&mock.bootstrap(), "plain", ARRIVE_TIME_MAX);
        Proof { corndog, watch, _mock: mock, scratch, places, rows }
    }

    /// The address of the listener with this index.
    pub fn address(&self, index: usize) -> SocketAddr {
        match &self.places[index] {
            Place::Port(address) => *address,
            Place::Path(path) => panic!("{} is no port", path.display()),
        }
    }

    /// The path of the listener with this index.
    pub fn path(&self, index: usize) -> &Path {
        match &self.places[index] {
            Place::Port(address) => panic!("{address} is no path"),
            Place::Path(path) => path,
        }
    }

    /// A folder for what the senders need.
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Says what was sent to the listener with this index: one more message, as JSON without the
    /// members `received`, `peer` and `listener`. A `*` stands for any text, `"*"` alone for any
    /// value; `timestamp` is `rfc3164` or `iso`.
    pub fn expect(&mut self, index: usize, message: Json) {
        self.rows[index].expected.push(message);
    }

    /// Waits until as many messages have arrived as are expected, so that a sender that drops what
    /// a socket has no room for may go on.
    pub fn settle(&mut self) {
        let (expected, start) = (self.expected(), Instant::now());
        // What does not come in time is missing in its row.
        while self.watch.to_the_end(ARRIVE_TIME_MAX).len() < expected
            && start.elapsed() < ARRIVE_TIME_MAX
        {
            sleep(Duration::from_millis(2));
        }
    }

    fn expected(&self) -> usize {
        self.rows.iter().map(|row| row.expected.len()).sum()
    }

    /// Waits for all of it, stops the program, and prints a row for each sender.
    ///
    /// Panics: a message is missing, is there twice or is not as expected, with both.
    pub fn check(mut self) {
        let total = self.expected();
        assert!(total > 0, "nothing was sent");
        self.settle();
        let ledger = self.corndog.stop();
        let mut found = by_listener(self.watch.to_the_end(ARRIVE_TIME_MAX));
        let mut wrong = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            wrong.extend(row.check(found.remove(&index.to_string()).unwrap_or_default()));
        }
        assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), self.corndog.log().join("\n"));
        assert!(found.is_empty(), "no listener's: {found:?}");
        ledger.assert_all_delivered(total as u64);
    }
}

impl Row {
    /// Prints the row; what is missing or too much, as sentences.
    #[allow(clippy::print_stdout, reason = "the table of tests/senders")]
    fn check(&self, mut found: Vec<Json>) -> Vec<String> {
        let (sent, delivered) = (self.expected.len(), found.len());
        let mut wrong = Vec::new();
        for expected in &self.expected {
            match found.iter().position(|found| fits(expected, found)) {
                Some(place) => drop(found.remove(place)),
                None => wrong.push(format!("{}: not there: {expected}", self.sender)),
            }
        }
        let right = sent - wrong.len();
        println!("\n| {} | {} | {sent} | {delivered} | {right} |", self.sender, self.transport);
        wrong.truncate(WRONG_SHOWN_MAX);
        let found = found.iter().take(WRONG_SHOWN_MAX);
        wrong.extend(found.map(|found| format!("{}: unexpected: {found}", self.sender)));
        wrong
    }
}

/// The messages of each listener, made as [`Proof::expect`] has them.
fn by_listener(records: &[Record]) -> BTreeMap<String, Vec<Json>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis();
    let mut found: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for record in records {
        let mut fields: Map<String, Json> =
            serde_json::from_slice(&record.payload).expect("format = \"json\" is an object");
        let time = u128::try_from(record.timestamp.expect("a record has a time")).unwrap();
        assert!(time.abs_diff(now) < TIME_APART_MAX_MS, "not of these minutes: {fields:?}");
        fields.remove("received").expect("each message was received");
        let peer = fields.remove("peer").expect("each message has a peer");
        assert!(peer == "127.0.0.1" || peer == *host_name(), "{peer} is not this machine");
        if let Some(timestamp) = fields.get_mut("timestamp") {
            let is_iso = timestamp.as_str().is_some_and(|text| text.starts_with("20"));
            *timestamp = if is_iso { "iso" } else { "rfc3164" }.into();
        }
        let listener = fields.remove("listener").expect("each message has a listener");
        let listener = listener.as_str().expect("a name").to_owned();
        found.entry(listener).or_default().push(fields.into());
    }
    found
}

/// Whether a message is as expected.
fn fits(expected: &Json, found: &Json) -> bool {
    match (expected, found) {
        (Json::String(any), _) if any == "*" => true,
        (Json::String(pattern), Json::String(text)) => text_fits(pattern, text),
        (Json::Object(expected), Json::Object(found)) => {
            let fits = |(name, value)| found.get(name).is_some_and(|found| fits(value, found));
            expected.len() == found.len() && expected.iter().all(fits)
        }
        _ => expected == found,
    }
}

/// Whether `text` is `pattern`, in which each `*` stands for any text.
fn text_fits(pattern: &str, text: &str) -> bool {
    let Some((first, pieces)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = pieces.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some((_, behind)) = rest.split_once(piece) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

/// This machine's name.
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux tells its name");
    name.trim().to_owned()
}

/// This machine's name up to the first dot, as RFC 3164 has it (§4.1.2).
pub fn short_host_name() -> String {
    let name = host_name();
    name.split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_star_stands_for_any_text_and_nothing_else_does() {
        for (pattern, text, is_it) in [
            ("", "", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "ab", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c", false),
            ("ab*b", "ab", false),
        ] {
            assert_eq!(text_fits(pattern, text), is_it, "{pattern} {text}");
        }
    }

    #[test]
    fn a_member_more_or_less_does_not_fit() {
        let found = json!({"msg": "a", "structured_data": {"timeQuality": {"tzKnown": "1"}}});
        for (expected, is_it) in [
            (json!({"msg": "a", "structured_data": {"timeQuality": "*"}}), true),
            (json!({"msg": "a", "structured_data": {"x": "*"}}), false),
            (json!({"msg": "a"}), false),
            (json!({"msg": "a", "structured_data": "*", "procid": "*"}), false),
        ] {
            assert_eq!(fits(&expected, &found), is_it, "{expected}");
        }
    }
}
