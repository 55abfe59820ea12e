//! A message in the terms of all three parsers, and what reasons look for in it.

use std::collections::BTreeMap;

use corndog_pipeline::message::{Format, Message};
use corndog_pipeline::structured_data::items;
use jiff::Timestamp;
use regex::Regex;

use crate::PEER;

pub type Params = BTreeMap<(String, String), String>;

/// A message in the terms of all three.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    pub is_rfc5424: bool,
    pub pri: Option<(String, String)>,
    /// Nanoseconds since 1970.
    pub time: Option<i128>,
    pub hostname: Option<String>,
    pub app_name: Option<String>,
    pub procid: Option<String>,
    pub msgid: Option<String>,
    /// The last of those that have one name.
    pub params: Params,
    pub msg: String,
}

pub fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// PROCID as both write it: a number without its leading zeros or plus.
pub fn number(procid: Option<String>) -> Option<String> {
    procid.map(|procid| procid.parse::<i32>().map_or(procid, |number| number.to_string()))
}

pub fn ours(message: &Message<'_>) -> Parsed {
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

/// What reasons look for, compiled once.
pub struct Grammar {
    /// Structured data by the RFC's grammar, but for its bounds.
    pub data: Regex,
    /// A header of RFC 5424, but for its bounds.
    pub header: Regex,
    /// An offset's five bytes.
    pub offset: Regex,
    /// The times that `syslog_loose` knows in RFC 3164.
    pub usual: Regex,
}

impl Grammar {
    pub fn new() -> Grammar {
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

    pub fn is_strict(&self, data: &[u8]) -> bool {
        std::str::from_utf8(data).is_ok_and(|data| self.data.is_match(data))
    }
}
