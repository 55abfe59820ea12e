//! What stands before the text where it is not `Mmm dd hh:mm:ss host`: the headers of network
//! devices, and times with a year, a zone, a fraction or in ISO 8601.
//!
//! ```text
//! [: ] [SEQUENCE: ] [HOSTNAME: | NODE:] [*|.] STAMP [:] [HOSTNAME [:]]
//! ```
//!
//! | who | what |
//! | --- | --- |
//! | Cisco IOS | `45: router1: *Mar  1 18:46:11.123 UTC: %SYS-5-CONFIG_I: ...` |
//! | Cisco IOS without clock | `45: 1w2d: %SYS-5-CONFIG_I: ...` (time since its start) |
//! | Cisco IOS XR | `45: router1 RP/0/RSP0/CPU0:Mar  1 18:46:11.123 UTC: ospf[10]: ...` |
//! | Cisco NX-OS | `: 2026 Mar  1 18:46:11 UTC: %ETHPORT-5-IF_UP: ...` |
//! | Cisco ASA | `Mar 01 2026 18:46:11 fw1 : %ASA-6-302013: ...` |
//! | Huawei | `Mar  1 2026 18:46:11+08:00 sw1 %%01IFNET/4/LINK_STATE(l)[12]:...` |
//! | H3C | `Mar  1 18:46:11 2026 sw1 %%10IFNET/3/LINK_UPDOWN: ...` |

use super::stamp::{Stamp, Zone, is_known_zone};
use super::{Header, find_host, host_before_tag, tag};
use crate::rfc5424::find_space;

/// Digits of a device's count of its messages.
const SEQUENCE_DIGITS_MAX: usize = 10;

/// Bytes of a time since a device's start: `00:00:46`, `1d02h`, `3y12w`.
const UPTIME_BYTES_MAX: usize = 12;

/// Bytes of a device's name before its time.
const ORIGIN_BYTES_MAX: usize = 64;

/// What log libraries put behind their time, where a host would stand.
const LEVELS: [&[u8]; 10] = [
    b"ALERT",
    b"CRITICAL",
    b"DEBUG",
    b"ERROR",
    b"FATAL",
    b"INFO",
    b"NOTICE",
    b"TRACE",
    b"WARN",
    b"WARNING",
];

/// True where a header of these may begin, or a time with more than its usual parts.
pub(super) fn may_begin(rest: &[u8]) -> bool {
    match rest {
        [b'0'..=b'9' | b'*' | b'.' | b':' | b' ', ..] => true,
        // The month alone decides between a time and a name.
        [b'A'..=b'Z', ..] => rest.first_chunk().is_some_and(|month| super::MONTHS.contains(&month)),
        _ => false,
    }
}

/// Reads the header; without a time in it, it is a host at most.
///
/// Cost:   each word is looked at a few times.
#[cold]
pub(super) fn header(rest: &[u8]) -> Header<'_> {
    device(rest).or_else(|| timed(rest, None)).unwrap_or_else(|| host_before_tag(rest))
}

/// A header that begins with a time, as a frame without PRI must to be seen as one.
#[cold]
pub(super) fn timed_header(rest: &[u8]) -> Option<Header<'_>> {
    timed(rest, None)
}

/// What devices put before the time.
fn device(rest: &[u8]) -> Option<Header<'_>> {
    let after = rest.strip_prefix(b":").unwrap_or(rest);
    let spaces = after.iter().take_while(|byte| **byte == b' ').count();
    let after = &after[spaces..];
    let Some(counted) = sequence(after) else {
        // Nothing was said but a colon or a space: it must be a time that follows.
        return if after.len() < rest.len() { timed(after, None) } else { None };
    };
    let (origin, behind) = match origin(counted) {
        Some((origin, behind)) => (Some(origin), behind),
        None => (None, counted),
    };
    timed(behind, origin).or_else(|| {
        let text = uptime(behind).unwrap_or(behind);
        let is_cisco = text.starts_with(b"%") && tag(text).is_some();
        is_cisco.then_some(Header { timestamp: None, hostname: origin, rest: text })
    })
}

/// `[*|.]STAMP[:] [HOSTNAME]`; a host that was `origin` before the time is not looked for behind.
fn timed<'a>(rest: &'a [u8], origin: Option<&'a [u8]>) -> Option<Header<'a>> {
    // The clock was never set (`*`), or is out of step (`.`).
    let (mark, start) = match rest {
        [b'*' | b'.', start @ ..] => (true, start),
        _ => (false, rest),
    };
    let (stamp, after) = Stamp::read(start)?;
    let mut bytes = start.len() - after.len();
    let mut after = after;
    if stamp.zone == Zone::Unsaid
        && let Some(more) = zone_before_host(after)
    {
        bytes += more;
        after = &after[more..];
    }
    let timestamp = Some(&start[..bytes]);
    let (after, has_colon) = match after {
        [] => (after, false),
        [b' ', after @ ..] => (after, false),
        [b':', b' ', after @ ..] => (after, true),
        [b':'] => (&after[1..], true),
        _ => return None,
    };
    if has_colon || mark || origin.is_some() {
        return Some(Header { timestamp, hostname: origin, rest: after });
    }
    let is_iso = start.get(4).is_some_and(|byte| matches!(byte, b'-' | b'/'));
    let (hostname, rest) = match find_host(after) {
        Some((host, _)) if is_iso && LEVELS.contains(&host) => (None, after),
        Some((b"-", behind)) => (None, behind),
        Some((host, behind)) => (Some(host), behind),
        None => (None, after),
    };
    Some(Header { timestamp, hostname, rest })
}

/// ` EST` where host and tag follow: how many bytes the zone takes.
fn zone_before_host(rest: &[u8]) -> Option<usize> {
    let near = rest.strip_prefix(b" ")?;
    let end = find_space(near)?;
    let (host, behind) = find_host(&near[end + 1..]).filter(|_| is_known_zone(&near[..end]))?;
    (!host.is_empty() && tag(behind).is_some()).then_some(1 + end)
}

/// `45: ` and what follows.
fn sequence(rest: &[u8]) -> Option<&[u8]> {
    let reach = &rest[..rest.len().min(SEQUENCE_DIGITS_MAX + 1)];
    let digits = reach.iter().position(|byte| !byte.is_ascii_digit())?;
    if digits == 0 { None } else { rest[digits..].strip_prefix(b": ") }
}

/// `router1: ` or `[router1 ]RP/0/RSP0/CPU0:`, and what follows.
fn origin(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let reach = &rest[..rest.len().min(ORIGIN_BYTES_MAX)];
    if !rest.first()?.is_ascii_alphanumeric() || Stamp::read(rest).is_some() {
        return None;
    }
    let colon = reach.iter().position(|byte| *byte == b':')?;
    let (names, after) = (&rest[..colon], &rest[colon + 1..]);
    if let [.., b'0'..=b'9'] = names
        && let Some(cpu) = names.windows(4).position(|four| four == b"/CPU")
        && Stamp::read(after).is_some()
    {
        let node = names[..cpu].iter().rposition(|byte| *byte == b' ');
        return Some((&names[..node.unwrap_or(colon)], after));
    }
    let after = after.strip_prefix(b" ")?;
    let is_name = names.iter().all(|byte| super::is_host_byte(*byte)) && uptime(rest).is_none();
    is_name.then_some((names, after))
}

/// What follows `1w2d: ` or `00:00:46: `.
fn uptime(rest: &[u8]) -> Option<&[u8]> {
    let reach = &rest[..rest.len().min(UPTIME_BYTES_MAX + 2)];
    let end = reach.windows(2).position(|two| two == b": ")?;
    let time = &rest[..end];
    let is_uptime = rest.first()?.is_ascii_digit()
        && time.iter().all(|byte| byte.is_ascii_digit() || b":.ywdhms".contains(byte))
        && (time.contains(&b':') || !time.contains(&b'.'));
    is_uptime.then_some(&rest[end + 2..])
}
