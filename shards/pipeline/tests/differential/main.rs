//! Parsing against two crates, on messages as senders write them and on mutations of these.
//!
//! `syslog_rfc5424` is strict, `syslog_loose` is lenient, so both differ from us on purpose in
//! places. Every place is listed here with its reason; a difference without one fails the test.

mod frames;
mod loose;
mod parsed;
mod strict;

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use corndog_pipeline::message::Message;

use frames::Frames;
use parsed::{Grammar, ours};

const PEER: &[u8] = b"192.0.2.7";

/// Frames that each test looks at.
const FRAMES: usize = 200_000;

#[test]
fn every_difference_from_syslog_rfc5424_has_its_reason() {
    std::panic::set_hook(Box::new(|_| {}));
    let (mut frames, grammar) = (Frames::new(), Grammar::new());
    let (mut same, mut explained, mut wrong) = (0, BTreeMap::new(), Vec::new());
    for number in 0..FRAMES {
        let frame = frames.frame(number);
        let message = Message::parse(frame.as_bytes(), PEER);
        let (ours, theirs) = (ours(&message), strict::parse(&frame));
        let is_same = match &theirs {
            Some(theirs) => ours == *theirs,
            None => !ours.is_rfc5424,
        };
        if is_same {
            same += usize::from(theirs.is_some());
            continue;
        }
        let reason = match theirs {
            None => strict::tolerated(&grammar, &frame, &message),
            Some(theirs) if ours.is_rfc5424 => {
                strict::read_otherwise(&grammar, &message, &ours, &theirs)
            }
            Some(_) => strict::refused(&grammar, &frame),
        };
        match reason {
            Some(reason) => *explained.entry(reason).or_insert(0) += 1,
            None => wrong.push(format!("{frame:?}\n  {ours:?}\n  {:?}", strict::parse(&frame))),
        }
    }
    drop(std::panic::take_hook());
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong[..wrong.len().min(9)].join("\n"));
    assert!(same > FRAMES / 20, "{same} the same; {explained:#?}");
    assert!(explained.len() > 8, "{explained:#?}");
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
        let Ok(theirs) = catch_unwind(|| loose::parse(&frame)) else { continue };
        if ours == theirs {
            same += 1;
            continue;
        }
        let reason = match (ours.is_rfc5424, theirs.is_rfc5424) {
            (true, true) => loose::fields(&grammar, &message, &ours, &theirs),
            (true, false) => loose::refuses(&frame, &message),
            (false, true) => loose::takes(&grammar, &frame),
            (false, false) => loose::rfc3164(&grammar, &frame, &message, &ours, &theirs),
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
