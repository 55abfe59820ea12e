//! Reads an RFC 3164 message, as senders write it rather than as the RFC has it.
//!
//! ```text
//! [TIMESTAMP SP [HOSTNAME SP]] [TAG[PROCID]: ] MSG
//! ```
//!
//! RFC 3164 describes what was seen, so every part may be missing, and each is taken only where it
//! shows. What is not surely header stays in MSG, where the operator's rules can still see it:
//!
//! - TIMESTAMP is `Mmm dd hh:mm:ss`, or RFC 3339 as rsyslog's default forward format has it, each
//!   followed by a space or the end. These are the usual ones, and are read first; what devices
//!   write instead is in `dialects`, and the times in `stamp`.
//! - HOSTNAME, behind a time: the next word, unless it looks like a tag (ends with `:`, or has
//!   `[...]:`), has bytes that no host name has, or ends the frame (then it is the MSG). `-` is no
//!   host, nor is one that was left empty: two spaces before a tag. Without a time: only in
//!   `host app[procid]: `, for `failed login: x` has the same form as `host app: x`.
//! - TAG is `app:` followed by a space or the end, or `app[procid]:`. The RFC lets any byte that is
//!   not alphanumeric end the tag (§4.1.3), a space too; then each first word of a text would be
//!   one, so here the colon is needed. A name has no quotes, braces, commas: JSON is no tag.
//! - Without a PRI, only what begins with a time and has a tag is a message of this kind.
//!
//! The host is the peer where none is named (§4.3.2).

mod dialects;
pub(crate) mod stamp;

use crate::message::{Message, PRI_DEFAULT};
use crate::rfc5424::rfc3339_bytes;
use stamp::ZONE_NAME_BYTES_MAX;

/// Bytes of a TAG's name. The RFC says 32 (§4.1.3), senders know no such limit.
const TAG_NAME_BYTES_MAX: usize = 48;

/// Bytes between a TAG's brackets.
const TAG_PROCID_BYTES_MAX: usize = 48;

/// As a time names them, January first.
pub(crate) const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// What stands before the tag.
struct Header<'a> {
    timestamp: Option<&'a [u8]>,
    hostname: Option<&'a [u8]>,
    /// Tag and text.
    rest: &'a [u8],
}

/// `app[procid]:` or `app:`.
struct Tag<'a> {
    app_name: &'a [u8],
    procid: Option<&'a [u8]>,
    has_brackets: bool,
    /// Behind the colon and one space.
    msg: &'a [u8],
}

/// Reads any message with a PRI; `rest` is what follows it in `frame`.
///
/// Cost:   each word of the header is looked at a few times at most, the text not at all.
/// Source: RFC 3164 §4.
pub(crate) fn parse<'a>(frame: &'a [u8], peer: &'a [u8], pri: u8, rest: &'a [u8]) -> Message<'a> {
    let header = match usual_time(rest) {
        Some((timestamp, after)) => {
            let (hostname, rest) = host(after);
            Header { timestamp: Some(timestamp), hostname, rest }
        }
        None if dialects::may_begin(rest) => dialects::header(rest),
        None => host_before_tag(rest),
    };
    message(frame, peer, pri, &header, tag(header.rest))
}

/// Reads a message without PRI: `None` unless it begins with a time, and has a tag.
///
/// Source: RFC 3164 §4.3.2, and files of messages sent as they are.
pub(crate) fn parse_without_pri<'a>(frame: &'a [u8], peer: &'a [u8]) -> Option<Message<'a>> {
    if !dialects::may_begin(frame) {
        return None;
    }
    let header = dialects::timed_header(frame)?;
    let tag = tag(header.rest)?;
    Some(message(frame, peer, PRI_DEFAULT, &header, Some(tag)))
}

#[inline]
fn message<'a>(
    frame: &'a [u8],
    peer: &'a [u8],
    pri: u8,
    header: &Header<'a>,
    tag: Option<Tag<'a>>,
) -> Message<'a> {
    let mut message = Message::without_header(frame, peer, pri, header.rest);
    message.timestamp = header.timestamp;
    message.hostname = Some(header.hostname.unwrap_or(peer));
    if let Some(tag) = tag {
        message.app_name = Some(tag.app_name);
        message.procid = tag.procid;
        message.msg = tag.msg;
    }
    message
}

/// One of the usual times, and what follows its space; `None`: there is none, or more of the time
/// may follow it.
#[inline]
fn usual_time(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let bytes = month_time_bytes(rest).or_else(|| rfc3339_bytes(rest))?;
    let (time, after) = rest.split_at(bytes);
    let after = match after {
        [] => after,
        [b' ', after @ ..] => after,
        _ => return None,
    };
    // A year, a zone's name, its offset; or a host.
    let has_more = match after {
        [b'0'..=b'9', _, _, _, b' ' | b':', ..] => true,
        [b'A'..=b'Z', b'A'..=b'Z', ..] => may_be_zone(after),
        [b'+' | b'-', b'0'..=b'9', ..] => true,
        _ => false,
    };
    (!has_more).then_some((time, after))
}

/// Two to five capitals, and no more of a host's name.
fn may_be_zone(after: &[u8]) -> bool {
    let reach = &after[..after.len().min(ZONE_NAME_BYTES_MAX + 1)];
    let capitals = reach.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    match &after[capitals..] {
        [b' ' | b':', ..] => true,
        [b'+' | b'-', digit, ..] => digit.is_ascii_digit(),
        _ => false,
    }
}

/// How many bytes `Mmm dd hh:mm:ss` takes at the start of `rest`.
///
/// The day has two places, filled by a space (§4.1.2) or a zero, or one.
#[inline]
fn month_time_bytes(rest: &[u8]) -> Option<usize> {
    let month = rest.first_chunk::<3>()?;
    if !MONTHS.contains(&month) {
        return None;
    }
    let (day_bytes, time) = match &rest[3..] {
        [b' ', b' ' | b'0'..=b'3', b'0'..=b'9', b' ', time @ ..] => (2, time),
        [b' ', b'1'..=b'9', b' ', time @ ..] => (1, time),
        _ => return None,
    };
    let [h1, h2, b':', m1, m2, b':', s1, s2, ..] = time else { return None };
    let is_time = [h1, h2, m1, m2, s1, s2].into_iter().all(u8::is_ascii_digit);
    is_time.then_some(b"Mmm  hh:mm:ss".len() + day_bytes)
}

/// The host behind a time, and what follows its space.
#[inline]
fn host(rest: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match find_host(rest) {
        Some((b"-", after)) => (None, after),
        Some((host, after)) => (Some(host), after),
        None => match rest {
            // An empty name: nginx has none yet while it starts.
            [b' ', after @ ..] if tag(after).is_some() => (None, after),
            _ => (None, rest),
        },
    }
}

/// The first word, where it may be a host or the dash that stands for none.
#[inline]
fn find_host(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = rest.iter().position(|byte| !is_host_byte(*byte))?;
    let (host, after) = (&rest[..end], rest[end..].strip_prefix(b" ")?);
    let is_host = !host.is_empty()
        && !host.ends_with(b":")
        && !matches!(host, b"last" | b"--" if is_notice(host, after))
        && tag(rest).is_none();
    is_host.then_some((host, after))
}

/// What syslogd says itself: `last message repeated 3 times`, `-- MARK --`.
fn is_notice(word: &[u8], after: &[u8]) -> bool {
    word == b"--" || after.starts_with(b"message repeated ")
}

/// The host without a time: only before a tag with brackets.
fn host_before_tag(rest: &[u8]) -> Header<'_> {
    match host(rest) {
        (Some(host), after) if tag(after).is_some_and(|tag| tag.has_brackets) => {
            Header { timestamp: None, hostname: Some(host), rest: after }
        }
        _ => Header { timestamp: None, hostname: None, rest },
    }
}

/// The tag at the start of `rest`.
#[inline]
fn tag(rest: &[u8]) -> Option<Tag<'_>> {
    let reach = &rest[..rest.len().min(TAG_NAME_BYTES_MAX + 1)];
    let name_bytes = reach.iter().position(|byte| !is_tag_name_byte(*byte))?;
    let (app_name, after) = rest.split_at(name_bytes);
    if app_name.is_empty() {
        // Cisco ASA: `fw1 : %ASA-6-302013: `.
        return if after.starts_with(b": %") { tag(&after[2..]) } else { None };
    }
    let (procid, after, has_brackets) = match after {
        // A number alone is no program.
        [b':'] | [b':', b' ', ..] if app_name.iter().all(u8::is_ascii_digit) => return None,
        [b':'] | [b':', b' ', ..] => (None, &after[1..], false),
        [b'[', bracketed @ ..] => {
            let reach = &bracketed[..bracketed.len().min(TAG_PROCID_BYTES_MAX + 1)];
            let end = reach.iter().position(|byte| matches!(byte, b']' | b' '))?;
            let after = bracketed[end..].strip_prefix(b"]:")?;
            ((end > 0).then_some(&bracketed[..end]), after, true)
        }
        // Cisco IOS XR.
        [b' ', b':', b' ', ..] if app_name[0] == b'%' => (None, &after[2..], false),
        _ => return None,
    };
    let msg = after.strip_prefix(b" ").unwrap_or(after);
    Some(Tag { app_name, procid, has_brackets, msg })
}

/// Names, IP addresses with zone or port, and names that are not ASCII.
fn is_host_byte(byte: u8) -> bool {
    HOST_BYTES[usize::from(byte)]
}

/// What program names have: `postfix/smtpd`, `(systemd)`, `%ASA-6-302013`, `user@1000.service`.
fn is_tag_name_byte(byte: u8) -> bool {
    TAG_NAME_BYTES[usize::from(byte)]
}

static HOST_BYTES: [bool; 256] = letters_and(b"-._:%/@[]");
static TAG_NAME_BYTES: [bool; 256] = letters_and(b"-_./@()%#+*~$");

/// True at letters, digits, what is not ASCII, and `marks`.
const fn letters_and(marks: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = byte >= 0x80 || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut mark = 0;
    while mark < marks.len() {
        table[marks[mark] as usize] = true;
        mark += 1;
    }
    table
}
