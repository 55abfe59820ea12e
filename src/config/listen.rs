//! `[[listen]]`: where senders connect.

use super::limits::LISTENERS_MAX;
use super::read_name;
use super::section::{Mistakes, Section, show};
use corndog_pipeline::rules::Oversize;
use std::net::SocketAddr;
use toml::Value;

/// One TCP listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenSettings {
    /// Unique; shown in statistics.
    pub name: String,
    /// Unique; port 0 lets the kernel choose.
    pub address: SocketAddr,
    /// What becomes of a frame longer than `limits.frame`.
    pub oversize: Oversize,
}

const LISTEN_NAME: &str = "plain";
const LISTEN_ADDRESS: &str = "127.0.0.1:1514";
const OVERSIZE: [(&str, Oversize); 3] = [
    ("truncate", Oversize::Truncate),
    ("drop", Oversize::Drop),
    ("dead_letter", Oversize::DeadLetter),
];

/// All listeners; without any, the default one. `has_dead_letter`: there is a topic for what
/// cannot be forwarded.
pub fn read(
    entries: Option<Vec<Section<'_>>>,
    has_dead_letter: bool,
    mistakes: &Mistakes,
) -> Vec<ListenSettings> {
    let Some(entries) = entries else {
        let address = SocketAddr::from(([127, 0, 0, 1], 1514));
        let (name, oversize) = (LISTEN_NAME.to_owned(), Oversize::default());
        return vec![ListenSettings { name, address, oversize }];
    };
    if entries.is_empty() && !mistakes.concern(&["listen"]) {
        mistakes.add(
            "listen",
            "an empty list, so nobody could connect; write for instance [[listen]] and below it \
             address = \"127.0.0.1:1514\"",
        );
    }
    if entries.len() > LISTENERS_MAX {
        let sentence = format!(
            "{} listeners; give at most {}, because each costs a socket per receiver",
            entries.len(),
            LISTENERS_MAX
        );
        mistakes.add("listen", &sentence);
        return Vec::new();
    }
    let mut listeners: Vec<ListenSettings> = Vec::new();
    for entry in entries {
        if let Some(listener) = read_listener(entry, &listeners, has_dead_letter) {
            listeners.push(listener);
        }
    }
    listeners
}

fn read_listener(
    mut entry: Section<'_>,
    others: &[ListenSettings],
    has_dead_letter: bool,
) -> Option<ListenSettings> {
    let name = read_name(&mut entry).unwrap_or_else(|| LISTEN_NAME.to_owned());
    if name.is_empty() {
        entry.mistake("name", "empty; write for instance name = \"plain\"");
    } else if others.iter().any(|other| other.name == name) {
        let shown = show(&Value::String(name.clone()));
        let sentence = format!("{shown} is the name of another listener too; give each its own");
        entry.mistake("name", &sentence);
    }
    let transport = entry.text("transport", "tcp");
    if let Some(transport) = transport.filter(|transport| transport != "tcp") {
        let shown = show(&Value::String(transport));
        let sentence = format!("{shown} is unknown; this version has \"tcp\" alone");
        entry.mistake("transport", &sentence);
    }
    let address = read_address(&mut entry, others);
    let oversize = entry.choice("oversize", &OVERSIZE).unwrap_or_default();
    if oversize == Oversize::DeadLetter && !has_dead_letter {
        entry.mistake(
            "oversize",
            "\"dead_letter\", but topics.dead_letter names no topic; name one, or write \
             \"truncate\" or \"drop\"",
        );
    }
    entry.finish();
    Some(ListenSettings { name, address: address?, oversize })
}

fn read_address(entry: &mut Section<'_>, others: &[ListenSettings]) -> Option<SocketAddr> {
    let text = match entry.rest().contains_key("address") {
        true => entry.text("address", LISTEN_ADDRESS)?,
        false => {
            entry.take("address");
            LISTEN_ADDRESS.to_owned()
        }
    };
    let Ok(address) = text.parse::<SocketAddr>() else {
        let shown = show(&Value::String(text));
        let sentence = format!(
            "{shown} is not ip:port, and names are not resolved; write for instance address = \
             \"0.0.0.0:1514\" or \"[::]:1514\""
        );
        entry.mistake("address", &sentence);
        return None;
    };
    let is_same = |other: &ListenSettings| other.address == address && address.port() != 0;
    if let Some(other) = others.iter().find(|other| is_same(other)) {
        let sentence = format!(
            "{address} is the address of listener \"{}\" too; give each its own",
            other.name
        );
        entry.mistake("address", &sentence);
    }
    Some(address)
}
