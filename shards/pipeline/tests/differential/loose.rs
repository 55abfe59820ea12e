//! `syslog_loose`: what it says of a frame, and why that differs from what we say.

use corndog_pipeline::message::{Format, Message};
use jiff::Timestamp;
use syslog_loose::{Protocol, Variant};

use crate::parsed::{Grammar, Params, Parsed, number, text};

pub fn parse(frame: &str) -> Parsed {
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

/// Why fields of RFC 5424 differ.
pub fn fields(
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
pub fn refuses(frame: &str, message: &Message<'_>) -> Option<&'static str> {
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
pub fn takes(grammar: &Grammar, frame: &str) -> Option<&'static str> {
    let pri = frame.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    if pri.is_some_and(|(pri, _)| pri.parse::<u16>().is_ok_and(|pri| pri > 191)) {
        return Some("s6.2.1: PRIVAL is 191 at most");
    }
    (!grammar.header.is_match(frame))
        .then_some("s6: PRI, T and Z in capitals, one SP between fields, and none is empty")
}

/// Why fields of RFC 3164 differ.
pub fn rfc3164(
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
    if after.starts_with("  ") && ours.app_name.is_some() && alike.app_name.is_none() {
        return Some("s4.1.3: a tag is one behind a host that was left empty, too");
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
