//! Reads the header with which a load balancer says whose connection it passes on.
//!
//! ```text
//! PROXY TCP4 192.0.2.7 203.0.113.1 40000 6514 CRLF        version 1, at most 107 bytes
//! signature[12] version/command family/protocol length[2] addresses TLVs     version 2
//! ```
//!
//! Whoever sends it can name any address: whether to believe it is for the caller.
//! Source: the PROXY protocol, versions 1 and 2 (haproxy, 2020/03/05).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of a header. Version 2 could have 65,551; senders use less than 300, TLVs included.
pub const HEADER_BYTES_MAX: usize = 4096;

/// Bytes of a version 1 header, its CRLF included (§2.1).
const LINE_BYTES_MAX: usize = 107;
const LINE_START: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length (§2.2).
const FIXED_BYTES: usize = 16;

/// A whole header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its bytes; behind them the connection's own begin.
    pub bytes: usize,
    /// Whose connection it is; `None`: the proxy's own, such as a health check, or unknown.
    pub source: Option<SocketAddr>,
}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// It does not begin as one.
    NoHeader,
    /// It is longer than it may be.
    TooLong,
    /// Its addresses are none, or not of the family that it names.
    Malformed,
}

impl Invalid {
    /// It in words.
    pub const fn describe(self) -> &'static str {
        match self {
            Invalid::NoHeader => "no PROXY header",
            Invalid::TooLong => "a PROXY header that is too long",
            Invalid::Malformed => "a malformed PROXY header",
        }
    }
}

/// Reads the header at the start of a connection; `None`: more bytes are needed.
///
/// Cost:   at most [`HEADER_BYTES_MAX`] bytes are looked at.
/// Panics: never.
pub fn parse(input: &[u8]) -> Result<Option<Header>, Invalid> {
    if begins(input, SIGNATURE) {
        return if input.len() < FIXED_BYTES { Ok(None) } else { binary(input) };
    }
    if begins(input, LINE_START) {
        return line(input);
    }
    Err(Invalid::NoHeader)
}

/// Whether `input` begins with `start`, as far as it goes.
fn begins(input: &[u8], start: &[u8]) -> bool {
    let both = input.len().min(start.len());
    input[..both] == start[..both]
}

/// Version 1 (§2.1).
fn line(input: &[u8]) -> Result<Option<Header>, Invalid> {
    let reach = &input[..input.len().min(LINE_BYTES_MAX)];
    let Some(end) = reach.windows(2).position(|pair| pair == b"\r\n") else {
        return if reach.len() < LINE_BYTES_MAX { Ok(None) } else { Err(Invalid::TooLong) };
    };
    let bytes = end + 2;
    let line = reach.get(LINE_START.len()..end).ok_or(Invalid::Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| Invalid::Malformed)?;
    // What follows UNKNOWN is to be ignored.
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Ok(Some(Header { bytes, source: None }));
    }
    let words: Vec<&str> = line.splitn(6, ' ').collect();
    let [family, source, target, source_port, target_port] = words[..] else {
        return Err(Invalid::Malformed);
    };
    let is_v4 = match family {
        "TCP4" => true,
        "TCP6" => false,
        _ => return Err(Invalid::Malformed),
    };
    let address =
        |text: &str| text.parse().ok().filter(|address: &IpAddr| address.is_ipv4() == is_v4);
    let (source, _) = address(source).zip(address(target)).ok_or(Invalid::Malformed)?;
    let (port, _) = port(source_port).zip(port(target_port)).ok_or(Invalid::Malformed)?;
    Ok(Some(Header { bytes, source: Some(SocketAddr::new(source, port)) }))
}

/// Digits, without a sign or leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_canonical = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain && is_canonical)
}

/// Version 2 (§2.2); `input` holds the fixed part.
fn binary(input: &[u8]) -> Result<Option<Header>, Invalid> {
    let (version_and_command, family) = (input[12], input[13]);
    let behind = usize::from(u16::from_be_bytes([input[14], input[15]]));
    let bytes = FIXED_BYTES + behind;
    if version_and_command >> 4 != 2 {
        return Err(Invalid::Malformed);
    }
    if bytes > HEADER_BYTES_MAX {
        return Err(Invalid::TooLong);
    }
    let Some(addresses) = input.get(FIXED_BYTES..bytes) else { return Ok(None) };
    let source = match (version_and_command & 0x0f, family >> 4) {
        // LOCAL: the proxy's own; what follows is to be ignored.
        (0, _) => None,
        (1, 1) => {
            let (source, port) = pair::<4>(addresses)?;
            Some(SocketAddr::new(Ipv4Addr::from(source).into(), port))
        }
        (1, 2) => {
            let (source, port) = pair::<16>(addresses)?;
            Some(SocketAddr::new(Ipv6Addr::from(source).into(), port))
        }
        // UNSPEC and UNIX name nobody that we could.
        (1, 0 | 3) => None,
        _ => return Err(Invalid::Malformed),
    };
    Ok(Some(Header { bytes, source }))
}

/// `[source][target][source port][target port]`, addresses of `N` bytes.
fn pair<const N: usize>(addresses: &[u8]) -> Result<([u8; N], u16), Invalid> {
    let (source, rest) = addresses.split_first_chunk::<N>().ok_or(Invalid::Malformed)?;
    let (_target, ports) = rest.split_first_chunk::<N>().ok_or(Invalid::Malformed)?;
    let (ports, _tlvs) = ports.split_first_chunk::<4>().ok_or(Invalid::Malformed)?;
    Ok((*source, u16::from_be_bytes([ports[0], ports[1]])))
}
