//! Which clients may send: the names in a certificate against `client_names`.
//!
//! A name is exact (`a.logs.example`, an IP address) or has one wildcard for its whole leftmost
//! label (`*.logs.example`). A wildcard in the certificate stands for one label too (RFC 9525 §6.3,
//! RFC 5425 §5.2).

use std::fmt;
use std::net::IpAddr;

/// Bytes of a DNS name (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// One entry of `client_names`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientName {
    /// A DNS name, in lower case; it may begin with `*.`.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl ClientName {
    /// Reads one entry.
    ///
    /// Errors: why not, to be put behind the text itself.
    pub fn parse(text: &str) -> Result<ClientName, &'static str> {
        if let Ok(address) = text.parse() {
            return Ok(ClientName::Ip(address));
        }
        let name = text.to_ascii_lowercase();
        let rest = name.strip_prefix("*.").unwrap_or(&name);
        if rest.contains('*') {
            return Err("has a wildcard that is not the whole leftmost label");
        }
        if rest.len() < name.len() && !rest.contains('.') {
            return Err("has a wildcard below a top-level name, which is nearly everybody");
        }
        if !is_dns_name(rest) {
            return Err("is neither a DNS name nor an IP address");
        }
        Ok(ClientName::Dns(name))
    }

    /// Whether it covers this name of a certificate.
    pub fn covers(&self, presented: &Presented<'_>) -> bool {
        match (self, presented) {
            (ClientName::Ip(wanted), Presented::Ip(presented)) => wanted == presented,
            (ClientName::Dns(wanted), Presented::Dns(presented)) => {
                wanted.eq_ignore_ascii_case(presented)
                    || is_under(presented, wanted)
                    || is_under(wanted, presented)
            }
            _ => false,
        }
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientName::Dns(name) => f.write_str(name),
            ClientName::Ip(address) => address.fmt(f),
        }
    }
}

/// A name in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented<'a> {
    /// A DNS name; it may begin with `*.`.
    Dns(&'a str),
    /// An address.
    Ip(IpAddr),
}

impl fmt::Display for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Presented::Dns(name) => f.write_str(name),
            Presented::Ip(address) => address.fmt(f),
        }
    }
}

/// Whether `name` is one label and what follows the wildcard of `pattern`.
fn is_under(name: &str, pattern: &str) -> bool {
    let Some(suffix) = pattern.strip_prefix("*.") else { return false };
    name.split_once('.').is_some_and(|(label, rest)| {
        !label.is_empty() && label != "*" && rest.eq_ignore_ascii_case(suffix)
    })
}

impl<'a> Presented<'a> {
    /// A DNS name as a certificate has it; `None` where it is none that can be compared with.
    pub fn dns(name: &'a str) -> Option<Presented<'a>> {
        is_dns_name(name.strip_prefix("*.").unwrap_or(name)).then_some(Presented::Dns(name))
    }
}

/// Letters, digits, `-` and `_` in labels; nothing else, so no NUL and no blank hides in a name.
fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact_or_have_one_leftmost_wildcard() {
        for text in ["a.logs.example", "*.logs.example", "host", "A_b.Example", "192.0.2.1", "::1"]
        {
            assert!(ClientName::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "*",
            "*.",
            "*.com",
            "a.*.example",
            "a*.logs.example",
            "*.*.example",
            "a..b",
            ".a",
            "a b",
            "a\0b",
            "**.logs.example",
        ] {
            assert!(ClientName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_label_on_either_side() {
        for (wanted, presented, is_covered) in [
            ("a.logs.example", "a.logs.example", true),
            ("a.logs.example", "A.Logs.Example", true),
            ("a.logs.example", "b.logs.example", false),
            ("*.logs.example", "a.logs.example", true),
            ("*.logs.example", "*.logs.example", true),
            ("*.logs.example", "logs.example", false),
            ("*.logs.example", "a.b.logs.example", false),
            ("*.logs.example", "a.logs.example.evil", false),
            ("a.logs.example", "*.logs.example", true),
            ("a.b.logs.example", "*.logs.example", false),
            ("192.0.2.1", "192.0.2.1", false),
        ] {
            let covers = ClientName::parse(wanted).unwrap().covers(&Presented::Dns(presented));
            assert_eq!(covers, is_covered, "{wanted} {presented}");
        }
        let address = "192.0.2.1".parse().unwrap();
        assert!(ClientName::Ip(address).covers(&Presented::Ip(address)));
    }
}
