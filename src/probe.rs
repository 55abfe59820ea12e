//! What can be known of the machine before anything starts: its descriptors, its name.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Settings;

/// Descriptors that the process needs beside its senders' connections: rings, librdkafka, the main
/// loop, the status server's connections, files.
const DESCRIPTORS_BASE: usize = 80;
/// Descriptors of one receiver shard: its rings and eventfds.
const DESCRIPTORS_PER_RECEIVER: usize = 14;
/// Of one listener on one shard: its socket, and once more to wait on where it is of datagrams.
const DESCRIPTORS_PER_LISTENER: usize = 2;

/// Raises the limit on descriptors to what the connections need, as far as it goes.
///
/// Returns a warning where not all connections can be had.
/// Errors: one sentence where not even the shards can.
pub fn take_descriptors(settings: &Settings) -> Result<Option<String>, String> {
    let per_receiver = DESCRIPTORS_PER_RECEIVER + settings.listen.len() * DESCRIPTORS_PER_LISTENER;
    let shards = DESCRIPTORS_BASE + settings.cores.receivers.len() * per_receiver;
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

/// What this machine is called.
pub fn machine_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
