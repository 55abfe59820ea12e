//! The shared cases of parsing (`tests/cases/messages.toml` and `tests/cases/dialects`), as far as the
//! built program shows them from outside.

use crate::places::root;
use serde::Deserialize;
use std::fs;

/// What the parser must make of one frame.
#[derive(Debug, Clone, Deserialize)]
pub struct MessageCase {
    /// A statement.
    pub name: String,
    input: Option<String>,
    input_hex: Option<String>,
    #[serde(default = "rfc3164")]
    format: String,
    pri: usize,
    hostname: Option<String>,
    app_name: Option<String>,
    procid: Option<String>,
    msgid: Option<String>,
    msg: Option<String>,
    msg_hex: Option<String>,
}

fn rfc3164() -> String {
    "rfc3164".to_owned()
}

/// By Numerical Code (RFC 5424 §6.2.1).
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clockd", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// By Numerical Code (RFC 5424 §6.2.1).
const SEVERITIES: [&str; 8] =
    ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// A template that shows a message's fields; [`MessageCase::fields`] is what it becomes.
pub const FIELDS: &str = "{{facility}}|{{severity}}|{{hostname}}|{{appname}}|{{procid}}|{{msgid}}";

impl MessageCase {
    /// All cases of the files.
    pub fn all() -> Vec<MessageCase> {
        #[derive(Deserialize)]
        struct File {
            case: Vec<MessageCase>,
        }
        let cases = root().join("tests/cases");
        let folder = fs::read_dir(cases.join("dialects")).expect("in the repository");
        let mut paths: Vec<_> = folder.map(|entry| entry.expect("a file").path()).collect();
        paths.sort();
        paths.push(cases.join("messages.toml"));
        let files = paths.iter().map(|path| {
            let text = fs::read_to_string(path).expect("in the repository");
            toml::from_str::<File>(&text).expect("as documented")
        });
        files.flat_map(|file| file.case).collect()
    }

    /// The frame.
    pub fn frame(&self) -> Vec<u8> {
        text_or_hex(self.input.as_ref(), self.input_hex.as_ref())
    }

    /// Its MSG.
    pub fn msg(&self) -> Vec<u8> {
        text_or_hex(self.msg.as_ref(), self.msg_hex.as_ref())
    }

    /// Its fields in the form of [`FIELDS`], sent by `peer`; one that is absent is empty.
    pub fn fields(&self, peer: &str) -> String {
        // RFC 5424 may say that there is none; else it is the peer where none is named.
        let peer = (self.format != "rfc5424").then_some(peer);
        let hostname = self.hostname.as_deref().or(peer);
        let optional = [hostname, self.app_name.as_deref(), self.procid.as_deref()];
        let [hostname, app_name, procid] = optional.map(Option::unwrap_or_default);
        let msgid = self.msgid.as_deref().unwrap_or_default();
        let (facility, severity) = (FACILITIES[self.pri / 8], SEVERITIES[self.pri % 8]);
        format!("{facility}|{severity}|{hostname}|{app_name}|{procid}|{msgid}")
    }
}

fn text_or_hex(text: Option<&String>, hex: Option<&String>) -> Vec<u8> {
    let Some(hex) = hex else { return text.expect("text or hex").clone().into_bytes() };
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex digits")).collect()
}
