//! `[status]`: where the program shows itself over HTTP.

use super::section::{Section, show};
use std::net::SocketAddr;
use toml::Value;

const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8585);

/// Reads the section; `None`: off.
pub fn read(mut section: Section<'_>, warnings: &mut Vec<String>) -> Option<SocketAddr> {
    let is_given = section.rest().contains_key("address");
    let text = section.text("address", "127.0.0.1:8585");
    let address = match text {
        None => (!is_given).then_some(ADDRESS),
        Some(text) if text.is_empty() => None,
        Some(text) => read_address(&section, text),
    };
    if let Some(address) = address.filter(|address| !address.ip().to_canonical().is_loopback()) {
        warnings.push(format!(
            "status.address: {address} is reached from other machines, and whoever reaches it sees \
             topics, peers and errors; use 127.0.0.1, or let in only whom you trust"
        ));
    }
    section.finish();
    address
}

fn read_address(section: &Section<'_>, text: String) -> Option<SocketAddr> {
    let address = text.parse().ok();
    if address.is_none() {
        let shown = show(&Value::String(text));
        let sentence = format!(
            "{shown} is not ip:port, and names are not resolved; write for instance address = \
             \"127.0.0.1:8585\", or \"\" for none"
        );
        section.mistake("address", &sentence);
    }
    address
}
