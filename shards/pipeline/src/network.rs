//! Networks that a listener lets in: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`.

use std::fmt;
use std::net::IpAddr;

/// An address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// Reads `ADDRESS/BITS`, or an address alone, which is a network of one.
    ///
    /// Errors: why not, to be put behind the text itself.
    pub fn parse(text: &str) -> Result<Network, &'static str> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| "is no network")?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => bits_max,
            Some(prefix) => match prefix.parse() {
                Ok(bits) if bits <= bits_max => bits,
                _ => return Err("has a prefix that is too long, or none"),
            },
        };
        let network = Network { address, prefix_bits };
        if network.masked(address) != bits(address) {
            return Err("has bits behind its prefix; set them to 0");
        }
        Ok(network)
    }

    /// Whether it holds this address; an IPv4 address in IPv6's clothes counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.masked(address) == bits(self.address)
    }

    /// The bits of `address` that count here.
    fn masked(&self, address: IpAddr) -> u128 {
        let width = if address.is_ipv4() { 32 } else { 128 };
        let behind = width - u32::from(self.prefix_bits);
        bits(address).checked_shr(behind).and_then(|high| high.checked_shl(behind)).unwrap_or(0)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

/// Whether `address` may come in; an empty list lets all in.
pub fn allows(networks: &[Network], address: IpAddr) -> bool {
    networks.is_empty() || networks.iter().any(|network| network.contains(address))
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
            ("127.0.0.0/8", "::ffff:127.0.0.1", "::ffff:128.0.0.1"),
            ("192.0.2.128/25", "192.0.2.255", "192.0.2.127"),
        ] {
            let network = Network::parse(network).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network} {outside}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/",
            "10/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "10.0.0.1/8",
            "2001:db8::1/32",
            "host",
            "10.0.0.0/8/8",
            "127.0.0.1:80",
        ] {
            assert!(Network::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_empty_list_lets_all_in() {
        let address = "192.0.2.1".parse().unwrap();
        assert!(allows(&[], address));
        assert!(!allows(&[Network::parse("::/0").unwrap()], address));
    }
}
