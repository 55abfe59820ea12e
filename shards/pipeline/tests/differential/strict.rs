//! `syslog_rfc5424`: what it says of a frame, and why that differs from what we say.

use std::panic::catch_unwind;

use corndog_pipeline::message::Message;
use jiff::Timestamp;
use syslog_rfc5424::message::ProcId;

use crate::parsed::{Grammar, Parsed, text};

/// `None`: the crate refuses the frame, or panics on it (it cuts offsets without looking).
pub fn parse(frame: &str) -> Option<Parsed> {
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

/// Why we take for RFC 5424 what the crate refuses.
pub fn tolerated(grammar: &Grammar, frame: &str, message: &Message<'_>) -> Option<&'static str> {
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
pub fn read_otherwise(
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
pub fn refused(grammar: &Grammar, frame: &str) -> Option<&'static str> {
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
