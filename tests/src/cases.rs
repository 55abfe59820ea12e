//! The shared cases of parsing (`tests/cases/messages.toml`), as far as the built program shows
//! them from outside.

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
    facility: String,
    severity: String,
    hostname: Option<String>,
    #[serde(default)]
    hostname_is_peer: bool,
    app_name: Option<String>,
    procid: Option<String>,
    msgid: Option<String>,
    msg: Option<String>,
    msg_hex: Option<String>,
}

/// A template that shows a message's fields; [`MessageCase::fields`] is what it becomes.
pub const FIELDS: &str = "{{facility}}|{{severity}}|{{hostname}}|{{appname}}|{{procid}}|{{msgid}}";

impl MessageCase {
    /// All cases of the file.
    pub fn all() -> Vec<MessageCase> {
        #[derive(Deserialize)]
        struct File {
            case: Vec<MessageCase>,
        }
        let text = fs::read_to_string(root().join("tests/cases/messages.toml"));
        let file: File = toml::from_str(&text.expect("in the repository")).expect("as documented");
        file.case
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
        let hostname = if self.hostname_is_peer { Some(peer) } else { self.hostname.as_deref() };
        let optional = [hostname, self.app_name.as_deref(), self.procid.as_deref()];
        let [hostname, app_name, procid] = optional.map(Option::unwrap_or_default);
        let msgid = self.msgid.as_deref().unwrap_or_default();
        let (facility, severity) = (&self.facility, &self.severity);
        format!("{facility}|{severity}|{hostname}|{app_name}|{procid}|{msgid}")
    }
}

fn text_or_hex(text: Option<&String>, hex: Option<&String>) -> Vec<u8> {
    let Some(hex) = hex else { return text.expect("text or hex").clone().into_bytes() };
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex digits")).collect()
}
