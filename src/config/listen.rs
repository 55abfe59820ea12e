//! `[[listen]]`: where senders connect.

use super::limits::{ALLOW_NETWORKS_MAX, LISTENERS_MAX, RECEIVE_BUFFER};
use super::section::{Mistakes, Section, show};
use super::{count, read_name, tls};
use corndog_pipeline::framing::Framing;
use corndog_pipeline::listen::{Address, PATH_BYTES_MAX, TlsFiles, Transport};
use corndog_pipeline::message::Dialect;
use corndog_pipeline::network::Network;
use corndog_pipeline::rules::Oversize;
use jiff::tz::TimeZone;
use std::net::SocketAddr;
use std::path::PathBuf;
use toml::Value;

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenSettings {
    /// Unique; shown in statistics.
    pub name: String,
    /// How senders reach it.
    pub transport: Transport,
    /// Unique among those of its kind; port 0 lets the kernel choose.
    pub address: Address,
    /// How frames are delimited; datagrams need nothing.
    pub framing: Framing,
    /// Which formats its senders speak.
    pub dialect: Dialect,
    /// Where their clocks are, if they do not say it.
    pub zone: TimeZone,
    /// What becomes of a frame longer than `limits.frame`.
    pub oversize: Oversize,
    /// Who may send; empty: everybody.
    pub allow: Vec<Network>,
    /// Connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// With `Transport::Tls`, and only there.
    pub tls: Option<TlsFiles>,
    /// A unix socket's permissions.
    pub mode: u32,
    /// Bytes of datagrams that the kernel is to hold.
    pub receive_buffer_bytes: usize,
}

impl Default for ListenSettings {
    fn default() -> Self {
        ListenSettings {
            name: LISTEN_NAME.to_owned(),
            transport: Transport::Tcp,
            address: Address::Inet(SocketAddr::from(([127, 0, 0, 1], 1514))),
            framing: Framing::default(),
            dialect: Dialect::default(),
            zone: TimeZone::UTC,
            oversize: Oversize::default(),
            allow: Vec::new(),
            proxy_protocol: false,
            tls: None,
            mode: MODE,
            receive_buffer_bytes: count(RECEIVE_BUFFER.default),
        }
    }
}

const LISTEN_NAME: &str = "plain";
const LISTEN_ADDRESS: &str = "127.0.0.1:1514";
const PATH_EXAMPLE: &str = "/run/corndog/log";
/// As /dev/log has it: whoever runs here may log.
const MODE: u32 = 0o666;
const TRANSPORT: [(&str, Transport); 5] = [
    ("tcp", Transport::Tcp),
    ("tls", Transport::Tls),
    ("udp", Transport::Udp),
    ("unix-stream", Transport::UnixStream),
    ("unix-datagram", Transport::UnixDatagram),
];
const FRAMING: [(&str, Framing); 4] = [
    ("auto", Framing::Auto),
    ("octet", Framing::Octet),
    ("lf", Framing::Lf),
    ("nul", Framing::Nul),
];
const FORMAT: [(&str, Dialect); 4] = [
    ("auto", Dialect::Auto),
    ("rfc5424", Dialect::Rfc5424),
    ("rfc3164", Dialect::Rfc3164),
    ("raw", Dialect::Raw),
];
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
    warnings: &mut Vec<String>,
) -> Vec<ListenSettings> {
    let Some(entries) = entries else { return vec![ListenSettings::default()] };
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
        if let Some(listener) = read_listener(entry, &listeners, has_dead_letter, warnings) {
            listeners.push(listener);
        }
    }
    listeners
}

fn read_listener(
    mut entry: Section<'_>,
    others: &[ListenSettings],
    has_dead_letter: bool,
    warnings: &mut Vec<String>,
) -> Option<ListenSettings> {
    let name = read_name(&mut entry).unwrap_or_else(|| LISTEN_NAME.to_owned());
    if name.is_empty() {
        entry.mistake("name", "empty; write for instance name = \"plain\"");
    } else if others.iter().any(|other| other.name == name) {
        let shown = show(&Value::String(name.clone()));
        let sentence = format!("{shown} is the name of another listener too; give each its own");
        entry.mistake("name", &sentence);
    }
    let is_known = !entry.rest().contains_key("transport");
    let transport = entry.choice("transport", &TRANSPORT);
    let is_known = is_known || transport.is_some();
    let transport = transport.unwrap_or(Transport::Tcp);
    let address = match is_known {
        true => read_address(&mut entry, transport, others),
        // What it should be, the transport would say.
        false => entry.take("address").and(None),
    };
    let framing = entry.choice("framing", &FRAMING).unwrap_or_default();
    if transport.is_datagram() && framing != Framing::Auto {
        entry.mistake("framing", "given, but a datagram is a frame by itself; leave it out");
    }
    let dialect = entry.choice("format", &FORMAT).unwrap_or_default();
    let zone = read_zone(&mut entry);
    let oversize = entry.choice("oversize", &OVERSIZE).unwrap_or_default();
    if oversize == Oversize::DeadLetter && !has_dead_letter {
        entry.mistake(
            "oversize",
            "\"dead_letter\", but topics.dead_letter names no topic; name one, or write \
             \"truncate\" or \"drop\"",
        );
    }
    let allow = read_allow(&mut entry, transport);
    let proxy_protocol = read_proxy(&mut entry, transport, &allow, warnings);
    let tls = match transport {
        Transport::Tls => tls::read(&mut entry),
        other => {
            if is_known {
                tls::refuse(&mut entry, other.name());
            } else {
                entry.take("tls");
            }
            None
        }
    };
    let mode = read_mode(&mut entry, transport);
    let receive_buffer_bytes = read_buffer(&mut entry, transport);
    entry.finish();
    Some(ListenSettings {
        name,
        transport,
        address: address?,
        framing,
        dialect,
        zone,
        oversize,
        allow,
        proxy_protocol,
        tls,
        mode,
        receive_buffer_bytes,
    })
}

fn read_zone(entry: &mut Section<'_>) -> TimeZone {
    let Some(name) = entry.text("timezone", "Europe/Berlin") else { return TimeZone::UTC };
    // Without it a machine that has no table of zones would not know UTC either.
    if name == "UTC" {
        return TimeZone::UTC;
    }
    TimeZone::get(&name).unwrap_or_else(|_| {
        let shown = show(&Value::String(name));
        let sentence = format!(
            "{shown} is no time zone that this machine knows; write its IANA name, for instance \
             timezone = \"Europe/Berlin\" (the package is tzdata)"
        );
        entry.mistake("timezone", &sentence);
        TimeZone::UTC
    })
}

fn read_address(
    entry: &mut Section<'_>,
    transport: Transport,
    others: &[ListenSettings],
) -> Option<Address> {
    let address = match transport.is_unix() {
        true => read_path(entry)?,
        false => read_inet(entry)?,
    };
    let is_same = |other: &ListenSettings| {
        let shares_ports = match &address {
            Address::Path(_) => true,
            Address::Inet(inet) if inet.port() == 0 => false,
            Address::Inet(_) => other.transport.is_datagram() == transport.is_datagram(),
        };
        other.address == address && shares_ports
    };
    if let Some(other) = others.iter().find(|other| is_same(other)) {
        let sentence = format!(
            "{address} is the address of listener \"{}\" too; give each its own",
            other.name
        );
        entry.mistake("address", &sentence);
    }
    Some(address)
}

fn read_inet(entry: &mut Section<'_>) -> Option<Address> {
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
    Some(Address::Inet(address))
}

fn read_path(entry: &mut Section<'_>) -> Option<Address> {
    if !entry.rest().contains_key("address") {
        entry.take("address");
        let sentence = format!("missing; write for instance address = \"{PATH_EXAMPLE}\"");
        entry.mistake("address", &sentence);
        return None;
    }
    let text = entry.text("address", PATH_EXAMPLE)?;
    if !text.starts_with('/') || text.len() > PATH_BYTES_MAX || text.contains('\0') {
        let shown = show(&Value::String(text));
        let sentence = format!(
            "{shown} is not a path of a unix socket; write one that begins with / and has at most \
             {PATH_BYTES_MAX} bytes, for instance address = \"{PATH_EXAMPLE}\""
        );
        entry.mistake("address", &sentence);
        return None;
    }
    Some(Address::Path(PathBuf::from(text)))
}

fn read_allow(entry: &mut Section<'_>, transport: Transport) -> Vec<Network> {
    let texts = entry.texts("allow", "[\"10.0.0.0/8\", \"2001:db8::/32\"]");
    if transport.is_unix() && !texts.is_empty() {
        entry.mistake("allow", "given, but a unix socket has no networks; write mode instead");
        return Vec::new();
    }
    if texts.len() > ALLOW_NETWORKS_MAX {
        let sentence = format!("{} networks; give at most {ALLOW_NETWORKS_MAX}", texts.len());
        entry.mistake("allow", &sentence);
        return Vec::new();
    }
    let mut networks = Vec::with_capacity(texts.len());
    for text in texts {
        match Network::parse(&text) {
            Ok(network) => networks.push(network),
            Err(why) => {
                let shown = show(&Value::String(text));
                let sentence = format!(
                    "{shown} {why}; write for instance \"10.0.0.0/8\", \"2001:db8::/32\" or \
                     \"192.0.2.7\""
                );
                entry.mistake("allow", &sentence);
            }
        }
    }
    networks
}

fn read_proxy(
    entry: &mut Section<'_>,
    transport: Transport,
    allow: &[Network],
    warnings: &mut Vec<String>,
) -> bool {
    let is_on = entry.flag("proxy_protocol").unwrap_or(false);
    if is_on && !matches!(transport, Transport::Tcp | Transport::Tls) {
        entry.mistake("proxy_protocol", "true, but only tcp and tls have it; leave it out");
    } else if is_on && allow.is_empty() {
        warnings.push(format!(
            "{}: true, and allow is empty, so whoever connects can name any address as his own; \
             list the proxies in allow",
            entry.key("proxy_protocol")
        ));
    }
    is_on
}

fn read_mode(entry: &mut Section<'_>, transport: Transport) -> u32 {
    let Some(text) = entry.text("mode", "0666") else { return MODE };
    if !transport.is_unix() {
        entry.mistake("mode", "given, but only unix sockets have one; leave it out");
        return MODE;
    }
    match u32::from_str_radix(&text, 8) {
        Ok(mode) if mode <= 0o777 && text.bytes().all(|byte| byte.is_ascii_digit()) => mode,
        _ => {
            let shown = show(&Value::String(text));
            let sentence = format!(
                "{shown} is not a mode; write it as for chmod, for instance mode = \"0660\""
            );
            entry.mistake("mode", &sentence);
            MODE
        }
    }
}

fn read_buffer(entry: &mut Section<'_>, transport: Transport) -> usize {
    let is_given = entry.rest().contains_key("receive_buffer");
    let bytes = count(entry.number("receive_buffer", &RECEIVE_BUFFER));
    if is_given && !transport.is_datagram() {
        entry.mistake(
            "receive_buffer",
            "given, but only udp and unix-datagram have one of their own; leave it out",
        );
    }
    bytes
}
