//! What can be known of the machine before anything starts: a port, descriptors.

use std::net::{SocketAddr, TcpListener};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{ListenSettings, Settings};

/// Descriptors that the process needs beside its connections: shards, rings, librdkafka, files.
const DESCRIPTORS_BASE: usize = 48;
/// Descriptors of one receiver shard: its rings, eventfds and listeners.
const DESCRIPTORS_PER_RECEIVER: usize = 16;

/// Takes each address for a moment, alone: shards share theirs by SO_REUSEPORT, which would as
/// readily share it with another program of the same user. A port 0 becomes the one it got.
///
/// Errors: one sentence for each address that cannot be had.
pub fn take_addresses(listen: &mut [ListenSettings]) -> Result<(), Vec<String>> {
    let mut mistakes = Vec::new();
    for listener in listen {
        match TcpListener::bind(listener.address).and_then(|socket| socket.local_addr()) {
            Ok(address) => listener.address = address,
            Err(why) => mistakes.push(refusal(&listener.name, listener.address, &why)),
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

fn refusal(name: &str, address: SocketAddr, why: &std::io::Error) -> String {
    let hint = match why.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program listens there; stop it or choose another port"
        }
        std::io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
        std::io::ErrorKind::PermissionDenied => {
            "a port below 1024 needs CAP_NET_BIND_SERVICE; grant it or choose a higher port"
        }
        _ => "choose another address",
    };
    format!("listen {name:?}: cannot listen on {address}: {hint} ({why})")
}

/// Raises the limit on descriptors to what the connections need, as far as it goes.
///
/// Returns a warning where not all connections can be had.
/// Errors: one sentence where not even the shards can.
pub fn take_descriptors(settings: &Settings) -> Result<Option<String>, String> {
    let shards = DESCRIPTORS_BASE + settings.cores.receivers.len() * DESCRIPTORS_PER_RECEIVER;
    let wanted = (shards + settings.limits.connections) as u64;
    let limit = getrlimit(Resource::Nofile);
    let mut soft = limit.current.unwrap_or(u64::MAX);
    if soft < wanted {
        let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)).max(soft);
        let rlimit = Rlimit { current: Some(raised), maximum: limit.maximum };
        if setrlimit(Resource::Nofile, rlimit).is_ok() {
            soft = raised;
        }
    }
    if soft < shards as u64 {
        return Err(format!(
            "only {soft} file descriptors are allowed and the shards alone need {shards}; allow more \
             (ulimit -n, LimitNOFILE=)"
        ));
    }
    Ok((soft < wanted).then(|| {
        format!(
            "limits.connections = {}, but {soft} file descriptors are allowed, which is enough for {}; \
             allow {wanted} (ulimit -n, LimitNOFILE=)",
            settings.limits.connections,
            soft - shards as u64
        )
    }))
}
