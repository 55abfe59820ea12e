//! Parsing against two crates, on messages as senders write them and on mutations of these.
//!
//! `syslog_rfc5424` is strict, `syslog_loose` is lenient, so both differ from us on purpose in
//! places. Every place is listed here with its reason; a difference without one fails the test.

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use corndog_pipeline::message::{Format, Message};
use corndog_pipeline::structured_data::items;
use jiff::Timestamp;
use regex::Regex;
use serde::Deserialize;
use syslog_loose::{Protocol, Variant};
use syslog_rfc5424::message::ProcId;

const PEER: &[u8] = b"192.0.2.7";

/// Frames that each test looks at.
const FRAMES: usize = 200_000;

const FILES: [&str; 7] = [
    include_str!("../../../tests/cases/messages.toml"),
    include_str!("../../../tests/cases/dialects/cisco.toml"),
    include_str!("../../../tests/cases/dialects/devices.toml"),
    include_str!("../../../tests/cases/dialects/forwarders.toml"),
    include_str!("../../../tests/cases/dialects/times.toml"),
    include_str!("../../../tests/cases/dialects/tags.toml"),
    include_str!("../../../tests/cases/dialects/rfc5424.toml"),
];

/// What a mutation puts in: bytes that mean something to one parser or another.
const MARKS: [&str; 32] = [
    " ",
    "  ",
    "-",
    "[",
    "]",
    "\"",
    "\\",
    "=",
    ":",
    ": ",
    "<",
    ">",
    "1",
    "0",
    "9",
    ".",
    "+",
    "Z",
    "T",
    "a",
    "A",
    "%",
    "*",
    ",",
    "/",
    "\t",
    "\n",
    "\u{e9}",
    "\u{feff}",
    "[a b=\"c\"]",
    "[12]",
    "Feb ",
];

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    input: Option<String>,
}

/// Frames as senders write them, whole and mutated.
struct Frames {
    seeds: Vec<String>,
    /// xorshift64*; never 0.
    state: u64,
}

impl Frames {
    fn new() -> Frames {
        let cases = FILES.iter().flat_map(|toml| {
            let cases: Cases = toml::from_str(toml).expect("cases");
            cases.case.into_iter().filter_map(|case| case.input)
        });
        Frames { seeds: cases.collect(), state: 0x2545_F491_4F6C_DD1D }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    /// The seeds in turn, then each with up to four mutations.
    fn frame(&mut self, number: usize) -> String {
        let mut frame = self.seeds[number % self.seeds.len()].clone();
        let mutations = if number < self.seeds.len() { 0 } else { self.below(5) };
        for _ in 0..mutations {
            // Mostly in the header, where the parsers look.
            let reach = if self.below(4) == 0 { frame.len() } else { frame.len().min(60) };
            let from = frame.floor_char_boundary(self.below(reach + 1));
            let to = frame.ceil_char_boundary((from + self.below(4)).min(frame.len()));
            let mark = MARKS[self.below(MARKS.len())];
            match self.below(3) {
                0 => frame.replace_range(from..to, ""),
                1 => frame.insert_str(from, mark),
                _ => frame.replace_range(from..to, mark),
            }
        }
        frame
    }
}

type Params = BTreeMap<(String, String), String>;

/// A message in the terms of all three.
#[derive(Debug, Clone, PartialEq)]
struct Parsed {
    is_rfc5424: bool,
    pri: Option<(String, String)>,
    /// Nanoseconds since 1970.
    time: Option<i128>,
    hostname: Option<String>,
    app_name: Option<String>,
    procid: Option<String>,
    msgid: Option<String>,
    /// The last of those that have one name.
    params: Params,
    msg: String,
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// PROCID as both write it: a number without its leading zeros or plus.
fn number(procid: Option<String>) -> Option<String> {
    procid.map(|procid| procid.parse::<i32>().map_or(procid, |number| number.to_string()))
}

fn ours(message: &Message<'_>) -> Parsed {
    let mut params = Params::new();
    for item in items(message.structured_data.unwrap_or_default()) {
        let mut value = Vec::new();
        item.value.write(&mut value);
        let key = [item.id, item.name].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        if !item.name.is_empty() {
            params.insert(key.into(), String::from_utf8_lossy(&value).into_owned());
        }
    }
    let time = text(message.timestamp).and_then(|time| time.parse::<Timestamp>().ok());
    let is_raw = message.format == Format::Raw;
    let pri = (message.facility().to_owned(), message.severity().to_owned());
    Parsed {
        is_rfc5424: message.format == Format::Rfc5424,
        pri: (!is_raw).then_some(pri),
        time: time.map(Timestamp::as_nanosecond),
        hostname: text(message.hostname.filter(|host| *host != PEER)),
        app_name: text(message.app_name),
        procid: number(text(message.procid)),
        msgid: text(message.msgid),
        params,
        msg: String::from_utf8_lossy(message.msg).into_owned(),
    }
}

/// `None`: the crate refuses the frame, or panics on it (it cuts offsets without looking).
fn strict(frame: &str) -> Option<Parsed> {
    let message = catch_unwind(|| syslog_rfc5424::parse_message(frame)).ok()?.ok()?;
    let elements = message.sd.iter().flat_map(|(id, element)| {
        element.iter().map(|(name, value)| ((id.clone(), name.clone()), value.clone()))
    });
    let nanos = message.timestamp_nanos.unwrap_or_default();
    Some(Parsed {
        is_rfc5424: true,
        pri: Some((message.facility.as_str().to_owned(), message.severity.as_str().to_owned())),
        time: message.timestamp.map(|time| i128::from(time) * 1_000_000_000 + i128::from(nanos)),
        hostname: message.hostname,
        app_name: message.appname,
        procid: message.procid.map(|procid| match procid {
            ProcId::PID(number) => number.to_string(),
            ProcId::Name(name) => name,
        }),
        msgid: message.msgid,
        params: elements.collect(),
        msg: message.msg,
    })
}

fn loose(frame: &str) -> Parsed {
    let message = syslog_loose::parse_message_with_year(frame, |_| 2026, Variant::Either);
    let params = message.structured_data.iter().flat_map(|element| {
        element.params().map(|(name, value)| ((element.id.to_owned(), (*name).to_owned()), value))
    });
    Parsed {
        is_rfc5424: message.protocol != Protocol::RFC3164,
        pri: message.facility.zip(message.severity).map(|(facility, severity)| {
            (facility.as_str().to_owned(), severity.as_str().to_owned())
        }),
        time: message.timestamp.and_then(|time| time.timestamp_nanos_opt()).map(i128::from),
        hostname: message.hostname.map(str::to_owned),
        app_name: message.appname.map(str::to_owned),
        procid: number(message.procid.map(|procid| procid.to_string())),
        msgid: message.msgid.map(str::to_owned),
        params: params.collect(),
        msg: message.msg.to_owned(),
    }
}

/// What reasons look for, compiled once.
struct Grammar {
    /// Structured data by the RFC's grammar, but for its bounds.
    data: Regex,
    /// A header of RFC 5424, but for its bounds.
    header: Regex,
    /// An offset's five bytes.
    offset: Regex,
    /// The times that `syslog_loose` knows in RFC 3164.
    usual: Regex,
}

impl Grammar {
    fn new() -> Grammar {
        let regex = |pattern: &str| Regex::new(pattern).expect("a pattern");
        let name = r#"[!#-<>-\\^-~]+"#;
        let element = format!(r#"\[{name}( {name}="(\\.|[^"\\])*")*\]"#);
        let date_time = r"\d{4}-\d\d-\d\dT\S+(Z|[+-]\d\d:\d\d)";
        let month_time = r"[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d";
        Grammar {
            data: regex(&format!("(?s)^({element})+$")),
            header: regex(&format!(r"^<\d{{1,3}}>[1-9]\d{{0,2}} (-|{date_time})( \S+){{4}} ")),
            offset: regex(r"^\d+ [\d-]+T[\d:.]+[+-](\S{5})"),
            usual: regex(&format!("^({month_time}|{date_time})$")),
        }
    }

    fn is_strict(&self, data: &[u8]) -> bool {
        std::str::from_utf8(data).is_ok_and(|data| self.data.is_match(data))
    }
}

#[test]
fn every_difference_from_syslog_rfc5424_has_its_reason() {
    std::panic::set_hook(Box::new(|_| {}));
    let (mut frames, grammar) = (Frames::new(), Grammar::new());
    let (mut same, mut explained, mut wrong) = (0, BTreeMap::new(), Vec::new());
    for number in 0..FRAMES {
        let frame = frames.frame(number);
        let message = Message::parse(frame.as_bytes(), PEER);
        let (ours, theirs) = (ours(&message), strict(&frame));
        let is_same = match &theirs {
            Some(theirs) => ours == *theirs,
            None => !ours.is_rfc5424,
        };
        if is_same {
            same += usize::from(theirs.is_some());
            continue;
        }
        let reason = match theirs {
            None => tolerated(&grammar, &frame, &message),
            Some(theirs) if ours.is_rfc5424 => read_otherwise(&grammar, &message, &ours, &theirs),
            Some(_) => refused(&grammar, &frame),
        };
        match reason {
            Some(reason) => *explained.entry(reason).or_insert(0) += 1,
            None => wrong.push(format!("{frame:?}\n  {ours:?}\n  {:?}", strict(&frame))),
        }
    }
    drop(std::panic::take_hook());
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong[..wrong.len().min(9)].join("\n"));
    assert!(same > FRAMES / 20, "{same} the same; {explained:#?}");
    assert!(explained.len() > 8, "{explained:#?}");
}

/// Why we take for RFC 5424 what the crate refuses.
fn tolerated(grammar: &Grammar, frame: &str, message: &Message<'_>) -> Option<&'static str> {
    let names = [
        (message.hostname, 255),
        (message.app_name, 48),
        (message.procid, 128),
        (message.msgid, 32),
    ];
    let names = names.iter().filter_map(|(name, max)| Some(((*name)?, *max)));
    let names: Vec<(&[u8], usize)> = names.collect();
    if names.iter().any(|(name, _)| name.iter().any(|byte| !(33..=126).contains(byte))) {
        return Some("s6: a name of other bytes than PRINTUSASCII");
    }
    if names.iter().any(|(name, max)| name.len() > *max) {
        return Some("s6: a name longer than the RFC has it");
    }
    let version = frame.split_once('>').map_or("", |(_, rest)| rest);
    if version.bytes().take_while(u8::is_ascii_digit).count() > 2 {
        return Some("s6.2.2: a version of three digits, which the RFC allows");
    }
    if let Some(time) = text(message.timestamp) {
        let is_fine = time
            .split_once('.')
            .is_some_and(|(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count() > 9);
        if time.parse::<Timestamp>().is_err() || time.contains(":60") || is_fine {
            return Some("s6.2.3: a time that does not exist, or is too fine, is no time to us");
        }
    }
    match message.structured_data {
        None => {
            // NILVALUE would be the seventh word.
            let header = frame[..frame.len() - message.msg.len()].trim_end_matches('\u{feff}');
            (header.trim_end().split(' ').count() == 6)
                .then_some("s6.3: malformed structured data is text")
        }
        Some(data) if !grammar.is_strict(data) => Some("s6.3: senders' own structured data"),
        Some(data) => {
            let end = data.as_ptr_range().end as usize - frame.as_ptr() as usize;
            let is_apart = matches!(frame.as_bytes().get(end), None | Some(b' '));
            (!is_apart).then_some("s6: a text right behind the structured data")
        }
    }
}

/// Why fields differ.
fn read_otherwise(
    grammar: &Grammar,
    message: &Message<'_>,
    ours: &Parsed,
    theirs: &Parsed,
) -> Option<&'static str> {
    let mut alike = theirs.clone();
    let mut reason = None;
    if ours.msg != theirs.msg && theirs.msg.strip_prefix('\u{feff}') == Some(&ours.msg) {
        alike.msg.clone_from(&ours.msg);
        reason = Some("s6.4: the BOM is no part of the text");
    }
    if ours.msg != theirs.msg && ours.msg.strip_prefix('-').is_some_and(|rest| rest == theirs.msg) {
        alike.msg.clone_from(&ours.msg);
        reason = Some("s6.3: NILVALUE is a whole field");
    }
    if ours.params != theirs.params
        && message.structured_data.is_some_and(|data| data.contains(&b'\\'))
    {
        alike.params.clone_from(&ours.params);
        reason = Some("s6.3.3: a backslash before another byte stands for itself");
    }
    let is_odd =
        message.structured_data.map_or(ours.msg.starts_with('['), |data| !grammar.is_strict(data));
    if is_odd {
        alike.msg.clone_from(&ours.msg);
        alike.params.clone_from(&ours.params);
        reason = Some("s6.3: names of structured data have one byte at least, and no quote");
    }
    if *ours == alike { reason } else { None }
}

/// Why we do not take for RFC 5424 what the crate takes.
fn refused(grammar: &Grammar, frame: &str) -> Option<&'static str> {
    let (pri, rest) = frame.split_once('>')?;
    if pri.len() > 4 {
        return Some("s6.2.1: PRIVAL has three digits at most");
    }
    if rest.starts_with('0') {
        return Some("s6.2.2: VERSION does not begin with 0");
    }
    let found = grammar.offset.captures(rest)?;
    let is_offset = found[1].bytes().enumerate().all(|(index, byte)| match index {
        2 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    (!is_offset).then_some("s6.2.3: an offset is hh:mm")
}

#[test]
fn every_difference_from_syslog_loose_has_its_reason() {
    std::panic::set_hook(Box::new(|_| {}));
    let (mut frames, grammar) = (Frames::new(), Grammar::new());
    let (mut same, mut explained, mut wrong) = (0, BTreeMap::new(), Vec::new());
    for number in 0..FRAMES {
        let frame = frames.frame(number);
        let message = Message::parse(frame.as_bytes(), PEER);
        let ours = ours(&message);
        // It panics on some times that do not exist.
        let Ok(theirs) = catch_unwind(|| loose(&frame)) else { continue };
        if ours == theirs {
            same += 1;
            continue;
        }
        let reason = match (ours.is_rfc5424, theirs.is_rfc5424) {
            (true, true) => loose_fields(&grammar, &message, &ours, &theirs),
            (true, false) => loose_refuses(&frame, &message),
            (false, true) => loose_takes(&grammar, &frame),
            (false, false) => loose_rfc3164(&grammar, &frame, &message, &ours, &theirs),
        };
        match reason {
            Some(reason) => *explained.entry(reason).or_insert(0) += 1,
            None => wrong.push(format!("{frame:?}\n  {ours:?}\n  {theirs:?}")),
        }
    }
    drop(std::panic::take_hook());
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong[..wrong.len().min(9)].join("\n"));
    assert!(same > FRAMES / 10, "{same} the same; {explained:#?}");
    assert!(explained.len() > 12, "{explained:#?}");
}

/// Why fields of RFC 5424 differ.
fn loose_fields(
    grammar: &Grammar,
    message: &Message<'_>,
    ours: &Parsed,
    theirs: &Parsed,
) -> Option<&'static str> {
    let names = [message.hostname, message.app_name, message.procid, message.msgid];
    if names.iter().flatten().any(|name| name.iter().any(|byte| *byte < b' ')) {
        return Some("s6: one SP stands between fields, and no other white space");
    }
    let mut alike = theirs.clone();
    let mut reason = None;
    let plain =
        |text: &str| text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}').to_owned();
    if ours.msg != theirs.msg && plain(&ours.msg) == plain(&theirs.msg) {
        alike.msg.clone_from(&ours.msg);
        reason = Some("s6: MSG begins behind one SP, and ends with the frame, without a BOM");
    }
    let data = message.structured_data.unwrap_or_default();
    if ours.params != alike.params && data.contains(&b'\\') {
        alike.params.clone_from(&ours.params);
        reason = Some("s6.3.3: escapes");
    }
    if (&ours.params, &ours.msg) != (&alike.params, &alike.msg) && !grammar.is_strict(data) {
        alike.params.clone_from(&ours.params);
        alike.msg.clone_from(&ours.msg);
        reason = Some("s6.3: senders' own structured data; what is none is text, whole");
    }
    let time = text(message.timestamp).unwrap_or_default();
    // And years that 64 bits of nanoseconds do not reach.
    if time.contains(":60") || ours.time.is_none() || theirs.time.is_none() {
        alike.time = ours.time;
        reason = reason.or(Some("s6.2.3: second 60, and more than nine digits of a second"));
    }
    if *ours == alike { reason } else { None }
}

/// Why we take for RFC 5424 what they do not.
fn loose_refuses(frame: &str, message: &Message<'_>) -> Option<&'static str> {
    let names = [message.hostname, message.app_name, message.procid, message.msgid];
    if names
        .iter()
        .flatten()
        .any(|name| name.ends_with(b":") || name.iter().any(|byte| !byte.is_ascii_graphic()))
    {
        return Some("s6.2.4: a name is any printable ASCII; a colon at its end, and more");
    }
    if text(message.timestamp).is_some_and(|time| time.parse::<Timestamp>().is_err()) {
        return Some("s6.2.3: the shape of a time is enough");
    }
    let is_nil = frame.ends_with(" -") && message.msg.is_empty();
    let is_text = message.structured_data.is_none() && !is_nil;
    is_text.then_some("s6.3: what is no structured data is no reason to lose the header")
}

/// Why they take for RFC 5424 what we do not.
fn loose_takes(grammar: &Grammar, frame: &str) -> Option<&'static str> {
    let pri = frame.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    if pri.is_some_and(|(pri, _)| pri.parse::<u16>().is_ok_and(|pri| pri > 191)) {
        return Some("s6.2.1: PRIVAL is 191 at most");
    }
    (!grammar.header.is_match(frame))
        .then_some("s6: PRI, T and Z in capitals, one SP between fields, and none is empty")
}

/// Why fields of RFC 3164 differ.
fn loose_rfc3164(
    grammar: &Grammar,
    frame: &str,
    message: &Message<'_>,
    ours: &Parsed,
    theirs: &Parsed,
) -> Option<&'static str> {
    if theirs.msg == frame && theirs.hostname.is_none() && theirs.app_name.is_none() {
        return Some("s4.3.2: without a time it leaves all to the text, its PRI too");
    }
    // What the times mean has tests of its own.
    let mut alike = Parsed { time: ours.time, ..theirs.clone() };
    if *ours == alike {
        return Some("s4.1.2: a time without year and zone");
    }
    if message.format == Format::Raw || !frame.starts_with('<') {
        return Some("s4.3.3: without PRI only a time and a tag make a message");
    }
    let time = text(message.timestamp).unwrap_or_default();
    if !grammar.usual.is_match(&time) {
        return Some("s4.1.2: devices' times are read by us, months in any case by them");
    }
    let after = frame.split_once(time.as_str()).map_or("", |(_, after)| after);
    if after.starts_with(':') || after.contains(" : %") {
        return Some("Cisco: a colon behind the time, and one behind the host");
    }
    if after.contains("[]:") {
        return Some("s4.1.3: empty brackets hold no number");
    }
    if ours.hostname.is_none() && alike.hostname.is_some() {
        return Some("s4.1.2: a tag, JSON or a word alone is no host");
    }
    if ours.app_name.is_none() && alike.app_name.is_some() {
        return Some("s4.1.3: a tag ends with a colon, and has no other bytes than a name");
    }
    if alike.params != Params::new() || alike.msgid.is_some() {
        return Some("s4.1.3: nothing in the text is structured data");
    }
    let is_word = |byte: &u8| !byte.is_ascii_whitespace() && *byte != b':';
    if message.procid.is_some_and(|procid| !procid.iter().all(is_word)) {
        return Some("s4.1.3: brackets hold anything but a space");
    }
    if ours.msg.starts_with('-') || ours.app_name.as_deref() == Some("-") {
        return Some("s4.1.3: a dash in tag or text is no NILVALUE");
    }
    let around = |c: char| c.is_whitespace() || matches!(c, '-' | ':');
    let skip = |text: &str| text.trim_start_matches(around).trim_end().to_owned();
    if skip(&ours.msg) == skip(&alike.msg) {
        alike.msg.clone_from(&ours.msg);
        return (*ours == alike).then_some("s4.1.3: nothing around the text is to be skipped");
    }
    None
}
