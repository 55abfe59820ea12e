//! Where messages come from, and how they are to be read.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use corndog_pipeline::credentials::Credentials;
use corndog_pipeline::framing::Framing;
use corndog_pipeline::listen::Transport;
use corndog_pipeline::message::Dialect;
use corndog_pipeline::rules::Oversize;
use jiff::tz::TimeZone;

use crate::settings::Listen;

/// Where messages come from, and how they are to be read.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The sender's address as text; of the unix domain, what this machine is called.
    pub(crate) peer: String,
    /// `None`: the unix domain.
    address: Option<SocketAddr>,
    /// The name in its certificate that was verified.
    pub(crate) client_name: Option<String>,
    /// Of the unix domain: the process. Of datagrams, only where a rule asks.
    pub(crate) credentials: Option<Credentials>,
    pub(crate) listener: Rc<Reading>,
}

/// What all senders of a listener have in common.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) transport: Transport,
    pub(crate) framing: Framing,
    pub(crate) dialect: Dialect,
    pub(crate) zone: TimeZone,
    pub(crate) oversize: Oversize,
}

impl Reading {
    pub(crate) fn of(listen: &Listen) -> Rc<Reading> {
        Rc::new(Reading {
            index: listen.index,
            name: listen.name.clone(),
            transport: listen.transport,
            framing: listen.framing,
            dialect: listen.dialect,
            zone: listen.zone.clone(),
            oversize: listen.oversize,
        })
    }
}

impl Origin {
    pub(crate) fn new(address: SocketAddr, listener: Rc<Reading>) -> Self {
        let peer = address.ip().to_canonical().to_string();
        let address = Some(address);
        Origin { peer, address, client_name: None, credentials: None, listener }
    }

    pub(crate) fn of_machine(machine: &str, listener: Rc<Reading>) -> Self {
        let peer = machine.to_owned();
        Origin { peer, address: None, client_name: None, credentials: None, listener }
    }

    /// It is another sender's now. Nothing is allocated where that one's text is no longer.
    pub(crate) fn set_address(&mut self, address: SocketAddr) {
        if self.address.map(|before| before.ip()) != Some(address.ip()) {
            self.peer.clear();
            let _ = write!(self.peer, "{}", address.ip().to_canonical());
        }
        self.address = Some(address);
    }

    /// It is this process's now: pid, uid and gid; `None`: nobody knows. Text is made where it is
    /// another one.
    pub(crate) fn set_process(&mut self, process: Option<(u32, u32, u32)>) {
        if self.credentials.as_ref().map(Credentials::numbers) != process {
            self.credentials = process.map(|(pid, uid, gid)| Credentials::new(pid, uid, gid));
        }
    }

    pub(crate) fn set_client_name(&mut self, name: Option<String>) {
        self.client_name = name;
    }

    pub(crate) fn framing(&self) -> Framing {
        self.listener.framing
    }

    /// Of the unix domain, none: 0.0.0.0.
    pub(crate) fn ip(&self) -> IpAddr {
        self.address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{address} on {:?}", self.listener.name),
            None => write!(f, "a sender on {:?}", self.listener.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_is_the_address_of_the_last_sender() {
        let listener = Rc::new(Reading {
            index: 0,
            name: "l".to_owned(),
            transport: Transport::Tcp,
            framing: Framing::Auto,
            dialect: Dialect::Auto,
            zone: TimeZone::UTC,
            oversize: Oversize::Truncate,
        });
        let mut origin = Origin::of_machine("host", listener);
        assert_eq!(
            (origin.peer.as_str(), origin.to_string().as_str()),
            ("host", "a sender on \"l\"")
        );
        origin.set_address("[::ffff:192.0.2.7]:514".parse().unwrap());
        assert_eq!(origin.peer, "192.0.2.7");
        origin.set_address("[2001:db8::7]:514".parse().unwrap());
        assert_eq!(origin.peer, "2001:db8::7");
        assert_eq!(origin.to_string(), "[2001:db8::7]:514 on \"l\"");
    }
}
