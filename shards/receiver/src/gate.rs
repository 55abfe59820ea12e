//! How many connections there may be, in all and from one address. The one thing that receiver
//! shards share beside the topic table: looked at when a connection begins and when it ends.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use corndog_pipeline::counters::Closed;

/// Counts connections. Written by all receivers, under a lock held for one look-up.
#[derive(Debug)]
pub struct Gate {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    connections_max: usize,
    per_address_max: usize,
    count: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The right to be connected; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Gate {
    /// A gate for so many connections in all, and from one address.
    pub fn new(connections_max: usize, per_address_max: usize) -> Gate {
        let gate = Gate { open: Mutex::default() };
        gate.set_limits(connections_max, per_address_max);
        gate
    }

    /// For the main thread: from now on so many. Who is in stays in.
    pub fn set_limits(&self, connections_max: usize, per_address_max: usize) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        (open.connections_max, open.per_address_max) = (connections_max, per_address_max);
    }

    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Ticket, Closed> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.count >= open.connections_max {
            return Err(Closed::TooMany);
        }
        let per_address_max = open.per_address_max;
        let of_address = open.by_address.entry(address).or_default();
        if *of_address >= per_address_max {
            return Err(Closed::TooManyPerAddress);
        }
        *of_address += 1;
        open.count += 1;
        Ok(Ticket { gate: self.clone(), address })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut open = self.gate.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.count -= 1;
        if let Some(of_address) = open.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_tickets_come_back() {
        let gate = Arc::new(Gate::new(3, 2));
        let [one, two] = [[127, 0, 0, 1], [127, 0, 0, 2]].map(IpAddr::from);
        let (a, _b) = (gate.enter(one).expect("free"), gate.enter(one).expect("free"));
        assert_eq!(gate.enter(one).expect_err("two are in"), Closed::TooManyPerAddress);
        let _c = gate.enter(two).expect("free");
        assert_eq!(gate.enter(two).expect_err("three are in"), Closed::TooMany);
        drop(a);
        let d = gate.enter(one).expect("one has left");
        drop(d);
        gate.set_limits(10, 1);
        assert_eq!(gate.enter(one).expect_err("one is in"), Closed::TooManyPerAddress);
    }
}
