//! The listeners: their sockets, made before any shard; and what changes while they run, which is
//! their certificates.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use corndog_pipeline::listen::TlsFiles;
use corndog_pipeline::network::Network;
use corndog_receiver::{BoundPath, Listen, Loaded, TlsCell, Wanted, bind_all};

use crate::config::ListenSettings;

/// All listeners. Dropping them removes the paths of unix sockets.
pub struct Listeners {
    of: Vec<Listener>,
    /// Numbers by which /proc/net knows the UDP sockets.
    udp_inodes: Vec<u64>,
    _paths: Vec<BoundPath>,
}

struct Listener {
    settings: ListenSettings,
    allow: Arc<[Network]>,
    tls: Option<Arc<TlsCell>>,
    /// By shard, until the shard takes it.
    sockets: Vec<Option<OwnedFd>>,
}

impl Listeners {
    /// Binds all sockets. `tls` goes with `listen`. A port 0 in `listen` becomes the one it got.
    ///
    /// Returns warnings, a sentence each.
    /// Errors: one sentence for each listener that cannot be had.
    pub fn open(
        listen: &mut [ListenSettings],
        tls: Vec<Option<Loaded>>,
        shard_count: usize,
    ) -> Result<(Listeners, Vec<String>), Vec<String>> {
        let (mut mistakes, mut warnings) = (Vec::new(), Vec::new());
        let mut listeners =
            Listeners { of: Vec::new(), udp_inodes: Vec::new(), _paths: Vec::new() };
        for (settings, loaded) in listen.iter_mut().zip(tls) {
            let wanted = Wanted {
                transport: settings.transport,
                address: settings.address.clone(),
                mode: settings.mode,
                receive_buffer_bytes: settings.receive_buffer_bytes,
            };
            let bound = match bind_all(&wanted, shard_count) {
                Ok(bound) => bound,
                Err(why) => {
                    mistakes.push(format!("listen {:?}: {why}", settings.name));
                    continue;
                }
            };
            settings.address = bound.address;
            let name = &settings.name;
            warnings.extend(bound.warning.map(|why| format!("listen {name:?}: {why}")));
            listeners.udp_inodes.extend(bound.inodes);
            listeners._paths.extend(bound.path);
            listeners.of.push(Listener {
                settings: settings.clone(),
                allow: settings.allow.clone().into(),
                tls: loaded.map(|loaded| Arc::new(TlsCell::new(loaded.config))),
                sockets: bound.sockets.into_iter().map(Some).collect(),
            });
        }
        if mistakes.is_empty() { Ok((listeners, warnings)) } else { Err(mistakes) }
    }

    /// What shard `index` listens on; it gets its sockets once.
    pub fn of_shard(&mut self, index: usize) -> Vec<Listen> {
        let listen = |(number, listener): (usize, &mut Listener)| Listen {
            index: number,
            name: listener.settings.name.clone(),
            transport: listener.settings.transport,
            socket: listener.sockets.get_mut(index).and_then(Option::take),
            framing: listener.settings.framing,
            dialect: listener.settings.dialect,
            zone: listener.settings.zone.clone(),
            oversize: listener.settings.oversize,
            allow: listener.allow.clone(),
            proxy_protocol: listener.settings.proxy_protocol,
            tls: listener.tls.clone(),
        };
        self.of.iter_mut().enumerate().map(listen).collect()
    }

    /// Those with TLS: name, files, and where their next connections look.
    pub fn with_tls(&self) -> impl Iterator<Item = (&str, &TlsFiles, &Arc<TlsCell>)> {
        self.of.iter().filter_map(|listener| {
            let settings = &listener.settings;
            Some((settings.name.as_str(), settings.tls.as_ref()?, listener.tls.as_ref()?))
        })
    }

    /// Numbers by which /proc/net knows the UDP sockets.
    pub fn udp_inodes(&self) -> &[u64] {
        &self.udp_inodes
    }
}
