//! How many connections there may be: in all, from one address, and from one IPv6 network of /64,
//! which one machine has for itself. Looked at when a connection begins and when it ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use corndog_pipeline::counters::Refused;

/// Bits of an IPv6 address behind its /64.
const HOST_BITS: u128 = u64::MAX as u128;

/// How many connections there may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GateLimits {
    /// In all.
    pub connections_max: usize,
    /// From one address.
    pub per_address_max: usize,
    /// From one IPv6 /64.
    pub per_64_max: usize,
}

/// Counts connections. Written by all receivers, under a lock held for one look-up.
#[derive(Debug)]
pub struct Gate {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    limits: GateLimits,
    count: usize,
    by_address: HashMap<IpAddr, usize>,
    by_64: HashMap<Ipv6Addr, usize>,
}

/// The right to be connected; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    gate: Arc<Gate>,
    /// Whose it is; `None`: nobody's that is counted (the unix domain, a proxy).
    address: Option<IpAddr>,
}

impl Gate {
    /// A gate with these limits.
    pub fn new(limits: GateLimits) -> Gate {
        let gate = Gate { open: Mutex::default() };
        gate.set_limits(limits);
        gate
    }

    /// For the main thread: from now on so many. Who is in stays in.
    pub fn set_limits(&self, limits: GateLimits) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).limits = limits;
    }

    /// Lets one more in; without an address it counts in all alone.
    pub(crate) fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Ticket, Refused> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.count >= open.limits.connections_max {
            return Err(Refused::TooMany);
        }
        if let Some(address) = address {
            open.count_address(address.to_canonical())?;
        }
        open.count += 1;
        Ok(Ticket { gate: self.clone(), address: address.map(|address| address.to_canonical()) })
    }
}

impl Ticket {
    /// Whose it is has become known: it counts among that address's from now on.
    pub(crate) fn assign(&mut self, address: IpAddr) -> Result<(), Refused> {
        let address = address.to_canonical();
        let mut open = self.gate.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.count_address(address)?;
        if let Some(before) = self.address.replace(address) {
            open.forget_address(before);
        }
        Ok(())
    }
}

impl Open {
    fn count_address(&mut self, address: IpAddr) -> Result<(), Refused> {
        let of_64 = network_of(address);
        if let Some(network) = of_64
            && self.by_64.get(&network).is_some_and(|count| *count >= self.limits.per_64_max)
        {
            return Err(Refused::TooManyPerNetwork);
        }
        let of_address = self.by_address.entry(address).or_default();
        if *of_address >= self.limits.per_address_max {
            return Err(Refused::TooManyPerAddress);
        }
        *of_address += 1;
        if let Some(network) = of_64 {
            *self.by_64.entry(network).or_default() += 1;
        }
        Ok(())
    }

    fn forget_address(&mut self, address: IpAddr) {
        take_one(self.by_address.entry(address));
        if let Some(network) = network_of(address) {
            take_one(self.by_64.entry(network));
        }
    }
}

fn take_one<K>(entry: Entry<'_, K, usize>) {
    if let Entry::Occupied(mut entry) = entry {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

/// The /64 of an IPv6 address; loopback is this machine, and no network.
fn network_of(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) if !address.is_loopback() => {
            Some(Ipv6Addr::from_bits(address.to_bits() & !HOST_BITS))
        }
        _ => None,
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut open = self.gate.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.count -= 1;
        if let Some(address) = self.address {
            open.forget_address(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(connections_max: usize, per_address_max: usize, per_64_max: usize) -> Arc<Gate> {
        Arc::new(Gate::new(GateLimits { connections_max, per_address_max, per_64_max }))
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn both_limits_hold_and_tickets_come_back() {
        let gate = gate(3, 2, 2);
        let [one, two] = ["127.0.0.1", "127.0.0.2"].map(address);
        let first = gate.enter(one).unwrap();
        let _second = gate.enter(one).unwrap();
        assert_eq!(gate.enter(one).unwrap_err(), Refused::TooManyPerAddress);
        let _third = gate.enter(two).unwrap();
        assert_eq!(gate.enter(two).unwrap_err(), Refused::TooMany);
        drop(first);
        let _fourth = gate.enter(one).unwrap();
        assert_eq!(gate.open.lock().unwrap().count, 3);
    }

    #[test]
    fn a_network_of_64_bits_counts_as_one() {
        let gate = gate(100, 2, 3);
        let in_one: Vec<_> = ["2001:db8::1", "2001:db8::1", "2001:db8::2"]
            .map(|text| gate.enter(address(text)).unwrap())
            .into();
        assert_eq!(gate.enter(address("2001:db8::3")).unwrap_err(), Refused::TooManyPerNetwork);
        let _other = gate.enter(address("2001:db8:0:1::1")).unwrap();
        drop(in_one);
        let _again = gate.enter(address("2001:db8::3")).unwrap();
        let open = gate.open.lock().unwrap();
        assert_eq!((open.by_address.len(), open.by_64.len()), (2, 2));
    }

    #[test]
    fn an_address_in_the_clothes_of_the_other_family_is_the_same() {
        let gate = gate(10, 1, 1);
        let _one = gate.enter(address("192.0.2.1")).unwrap();
        let again = gate.enter(address("::ffff:192.0.2.1")).unwrap_err();
        assert_eq!(again, Refused::TooManyPerAddress);
        let _two = gate.enter(address("::ffff:192.0.2.2")).unwrap();
    }

    #[test]
    fn a_ticket_counts_for_whom_the_proxy_names() {
        let gate = gate(10, 1, 1);
        let mut first = gate.enter(None).unwrap();
        let mut second = gate.enter(None).unwrap();
        let named = "192.0.2.1".parse().unwrap();
        first.assign(named).unwrap();
        assert_eq!(second.assign(named).unwrap_err(), Refused::TooManyPerAddress);
        drop(first);
        second.assign(named).unwrap();
        drop(second);
        let open = gate.open.lock().unwrap();
        assert_eq!((open.count, open.by_address.len()), (0, 0));
    }
}
