//! `[statsd]`: where metrics are sent.

use super::section::{Section, show};
use toml::Value;

/// Bytes of a prefix, which each metric repeats.
const PREFIX_BYTES_MAX: usize = 100;
const PREFIX: &str = "corndog";
/// Bytes of a host's name (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 255;
const ADDRESS_EXAMPLE: &str = "127.0.0.1:8125";

/// Where metrics are sent, and under which name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsdSettings {
    /// `host:port`; a name is resolved when it is needed.
    pub address: String,
    /// Before each metric's name, without the dot between them; may be empty.
    pub prefix: String,
}

/// Reads the section; `None`: nothing is sent.
pub fn read(mut section: Section<'_>) -> Option<StatsdSettings> {
    let address = section.text("address", ADDRESS_EXAMPLE).filter(|address| !address.is_empty());
    if let Some(address) = &address
        && !is_address(address)
    {
        let shown = show(&Value::String(address.clone()));
        let sentence = format!(
            "{shown} is not host:port with a port from 1 to 65535; write for instance address = \
             \"{ADDRESS_EXAMPLE}\" or \"statsd.example:8125\", or \"\" for none"
        );
        section.mistake("address", &sentence);
    }
    let prefix = section.text("prefix", PREFIX).unwrap_or_else(|| PREFIX.to_owned());
    if !is_prefix(&prefix) {
        let shown = show(&Value::String(prefix.clone()));
        let sentence = format!(
            "{shown} is not a prefix; use at most {PREFIX_BYTES_MAX} letters, digits, \".\", \"_\" \
             and \"-\", without a \".\" at either end"
        );
        section.mistake("prefix", &sentence);
    }
    section.finish();
    address.map(|address| StatsdSettings { address, prefix })
}

/// `host:port`, or `[IPv6]:port`.
fn is_address(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port != 0);
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
            (1..=HOST_BYTES_MAX).contains(&host.len()) && host.bytes().all(is_plain)
        }
    };
    is_port && is_host
}

fn is_prefix(prefix: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    prefix.len() <= PREFIX_BYTES_MAX
        && prefix.bytes().all(is_plain)
        && !prefix.starts_with('.')
        && !prefix.ends_with('.')
}
