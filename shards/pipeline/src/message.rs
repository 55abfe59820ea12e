//! Turns one frame into a message: fields that are slices of the frame, whatever its bytes are.
//!
//! Tried in turn: RFC 5424, RFC 3164, and where there is no valid PRI, the frame as it is.
//!
//! ```text
//! <PRI>VERSION SP TIMESTAMP SP HOSTNAME ...    Rfc5424   (RFC 5424 §6)
//! <PRI>anything else                           Rfc3164   (RFC 3164 §4)
//! TIMESTAMP ... TAG ...                        Rfc3164, without PRI
//! anything else                                Raw
//! ```
//!
//! A listener may say which of these its senders speak; see [`Dialect`].
//!
//! So every frame becomes a message, nothing is lost for its form, and no byte need be UTF-8.
//! Times and names are checked for their shape only: what they mean is for whoever reads them.

use crate::rules::Field;
use crate::{rfc3164, rfc5424};

/// PRI of a frame that brings none: user.notice (RFC 3164 §4.3.3).
pub(crate) const PRI_DEFAULT: u8 = 13;

/// local7.debug (RFC 5424 §6.2.1).
const PRI_MAX: u16 = 191;

/// By Numerical Code (RFC 5424 §6.2.1, table 1; the names are those of syslog.conf).
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clockd", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// By Numerical Code (RFC 5424 §6.2.1, table 2).
const SEVERITIES: [&str; 8] =
    ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// Which formats a listener's senders speak (`format` in the configuration).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Any: found out message by message.
    #[default]
    Auto,
    /// RFC 5424; what is not is its own `msg`, whole.
    Rfc5424,
    /// RFC 3164, also where it looks like RFC 5424.
    Rfc3164,
    /// None: every frame is its own `msg`, whole.
    Raw,
}

/// Which format a frame was recognised as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A PRI, a version, and a whole header.
    Rfc5424,
    /// A PRI, and not RFC 5424; or no PRI, but a time and a tag.
    Rfc3164,
    /// Neither.
    Raw,
}

/// One parsed frame. All slices lie in the frame, but for a `hostname` that is the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// What was parsed, whole.
    pub frame: &'a [u8],
    /// What it was recognised as.
    pub format: Format,
    /// `facility * 8 + severity`, `0..=191`.
    pub pri: u8,
    /// As sent: RFC 3339, or in RFC 3164 whatever senders write, with its year and zone. Its shape
    /// is right; whether there is such a day is not looked at.
    pub timestamp: Option<&'a [u8]>,
    /// As sent; the peer's where RFC 3164 or Raw name none; `None` where RFC 5424 says NILVALUE.
    pub hostname: Option<&'a [u8]>,
    /// APP-NAME, or the TAG's name in RFC 3164.
    pub app_name: Option<&'a [u8]>,
    /// PROCID, or what the TAG has in brackets in RFC 3164.
    pub procid: Option<&'a [u8]>,
    /// MSGID; RFC 5424 only.
    pub msgid: Option<&'a [u8]>,
    /// All SD-ELEMENTs with their brackets and escapes, as sent; RFC 5424 only.
    pub structured_data: Option<&'a [u8]>,
    /// The text, without a BOM (RFC 5424); may be empty.
    pub msg: &'a [u8],
}

impl<'a> Message<'a> {
    /// Parses any frame; `peer` is the sender's address as text.
    ///
    /// Cost:   at most two passes over the frame's header, one over structured data; no allocation.
    /// Panics: never.
    /// Source: RFC 5424 §6, RFC 3164 §4.
    #[inline]
    pub fn parse(frame: &'a [u8], peer: &'a [u8]) -> Message<'a> {
        let Some((pri, rest)) = pri(frame) else {
            return rfc3164::parse_without_pri(frame, peer)
                .unwrap_or_else(|| Message::raw(frame, peer));
        };
        if let Some(message) = rfc5424::parse(frame, pri, rest) {
            return message;
        }
        rfc3164::parse(frame, peer, pri, rest)
    }

    /// Parses a frame of a listener whose senders speak `dialect`; the rest is as `parse`.
    #[inline]
    pub fn parse_as(dialect: Dialect, frame: &'a [u8], peer: &'a [u8]) -> Message<'a> {
        let message = match (dialect, pri(frame)) {
            (Dialect::Auto, _) => return Message::parse(frame, peer),
            (Dialect::Rfc5424, Some((pri, rest))) => rfc5424::parse(frame, pri, rest),
            (Dialect::Rfc3164, Some((pri, rest))) => Some(rfc3164::parse(frame, peer, pri, rest)),
            (Dialect::Rfc3164, None) => rfc3164::parse_without_pri(frame, peer),
            (Dialect::Rfc5424, None) | (Dialect::Raw, _) => None,
        };
        message.unwrap_or_else(|| Message::raw(frame, peer))
    }

    /// A frame that is its own `msg`.
    fn raw(frame: &'a [u8], peer: &'a [u8]) -> Message<'a> {
        let message = Message::without_header(frame, peer, PRI_DEFAULT, frame);
        Message { format: Format::Raw, ..message }
    }

    /// Only a PRI, and `msg`: what RFC 3164 starts from.
    pub(crate) fn without_header(
        frame: &'a [u8],
        peer: &'a [u8],
        pri: u8,
        msg: &'a [u8],
    ) -> Message<'a> {
        Message {
            frame,
            format: Format::Rfc3164,
            pri,
            timestamp: None,
            hostname: Some(peer),
            app_name: None,
            procid: None,
            msgid: None,
            structured_data: None,
            msg,
        }
    }

    /// A field's bytes; `None` if the message has none. What structured data holds is read by
    /// [`SdValues`](crate::structured_data::SdValues), and is none here.
    pub fn field(&self, field: &Field) -> Option<&'a [u8]> {
        match field {
            Field::Msg => Some(self.msg),
            Field::Hostname => self.hostname,
            Field::Appname => self.app_name,
            Field::Procid => self.procid,
            Field::Msgid => self.msgid,
            Field::Facility => Some(self.facility().as_bytes()),
            Field::Severity => Some(self.severity().as_bytes()),
            Field::SdParam { .. } => None,
        }
    }

    /// The facility's name, `kern` to `local7`.
    pub fn facility(&self) -> &'static str {
        FACILITIES[usize::from(self.pri / 8) % FACILITIES.len()]
    }

    /// The severity's name, `emerg` to `debug`.
    pub fn severity(&self) -> &'static str {
        SEVERITIES[usize::from(self.pri % 8)]
    }
}

/// Reads `<PRIVAL>`: one to three digits, at most 191; leading zeros as RFC 5424 §6 allows them.
///
/// One NUL before it is passed over: it ended the message before, whose text ended in LF.
fn pri(frame: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = match frame {
        [b'<', rest @ ..] | [0, b'<', rest @ ..] => match rest {
            [_, _, b'>', ..] => rest.split_at(2),
            [_, _, _, b'>', ..] => rest.split_at(3),
            [_, b'>', ..] => rest.split_at(1),
            _ => return None,
        },
        _ => return None,
    };
    let mut value = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u16::from(digit - b'0');
    }
    if value > PRI_MAX {
        return None;
    }
    Some((u8::try_from(value).ok()?, &rest[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_2_1_every_pri_has_its_facility_and_severity() {
        for value in 0..=999_u16 {
            let frame = format!("<{value}>text");
            let message = Message::parse(frame.as_bytes(), b"peer");
            if value > PRI_MAX {
                assert_eq!((message.format, message.pri), (Format::Raw, PRI_DEFAULT), "{frame}");
                assert_eq!(message.msg, frame.as_bytes());
                continue;
            }
            assert_eq!((message.format, u16::from(message.pri)), (Format::Rfc3164, value));
            assert_eq!(message.facility(), FACILITIES[usize::from(value / 8)]);
            assert_eq!(message.severity(), SEVERITIES[usize::from(value % 8)]);
            assert_eq!(message.msg, b"text");
        }
    }

    #[test]
    fn a_frame_without_pri_is_its_own_msg() {
        for frame in [
            &b""[..],
            b"<",
            b"<>",
            b"<>x",
            b"<1",
            b"<12",
            b"<123",
            b"<1234>x",
            b"<-1>x",
            b"< 1>x",
            b"<1a>x",
            b"\xff\xfe",
            b"plain",
            b" <13>x",
        ] {
            let message = Message::parse(frame, b"192.0.2.7");
            assert_eq!(message.format, Format::Raw);
            assert_eq!((message.pri, message.msg), (PRI_DEFAULT, frame));
            assert_eq!(message.hostname, Some(&b"192.0.2.7"[..]));
            assert_eq!((message.facility(), message.severity()), ("user", "notice"));
        }
    }
}
