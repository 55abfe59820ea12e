//! Certificates, keys, CAs and CRLs while the listeners run: loaded anew when a file changes or the
//! configuration is read again, checked before they replace the old ones. Connections that are
//! there stay as they are.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use corndog_pipeline::control::Level;
use corndog_pipeline::listen::TlsFiles;
use corndog_pipeline::ruleset::RuleSet;
use corndog_receiver::{Loaded, TlsCell};

use crate::config::ListenSettings;
use crate::listeners::Listeners;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often files that were refused are tried again though nobody touched them: a certificate may
/// become valid, and a file may be openable again once a descriptor is free.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// The files of all listeners with TLS.
pub struct Certificates {
    of: Vec<Watched>,
    looked_at: Instant,
}

struct Watched {
    listener: String,
    files: TlsFiles,
    cell: Arc<TlsCell>,
    /// What is in force, or was refused.
    loaded: Vec<Stamp>,
    /// What the last look saw, where that was something else.
    changing: Option<Vec<Stamp>>,
    /// When `loaded` was refused; `None`: it is in force.
    refused_at: Option<Instant>,
}

/// What tells that a file has changed; `None`: it cannot be seen.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Reads and checks the files of each listener that has some.
///
/// Returns what goes with `listen`; warnings are added, a sentence each.
/// Errors: one sentence for each listener whose files cannot be used.
pub fn load_all(
    listen: &[ListenSettings],
    warnings: &mut Vec<String>,
) -> Result<Vec<Option<Loaded>>, Vec<String>> {
    let (mut all, mut mistakes) = (Vec::new(), Vec::new());
    for (index, listener) in listen.iter().enumerate() {
        let name = || format!("listen {} {:?}", index + 1, listener.name);
        all.push(None);
        let Some(files) = &listener.tls else { continue };
        match corndog_receiver::load(files, SystemTime::now()) {
            Ok(loaded) => {
                let warning = |warning: &String| format!("{}, {warning}", name());
                warnings.extend(loaded.warnings.iter().map(warning));
                all[index] = Some(loaded);
            }
            Err(why) => mistakes.push(format!("{}, {why}", name())),
        }
    }
    if mistakes.is_empty() { Ok(all) } else { Err(mistakes) }
}

impl Certificates {
    /// Those of these listeners, as they are in force.
    pub fn new(listeners: &Listeners) -> Certificates {
        let watched = |(listener, files, cell): (&str, &TlsFiles, &Arc<TlsCell>)| Watched {
            listener: listener.to_owned(),
            files: files.clone(),
            cell: cell.clone(),
            loaded: stamps(files),
            changing: None,
            refused_at: None,
        };
        Certificates { of: listeners.with_tls().map(watched).collect(), looked_at: Instant::now() }
    }

    /// Checks a reload's rules against the listeners that are not in its file: those go on.
    ///
    /// Errors: one sentence; the rules do not carry the names of their clients.
    pub fn check_rules(&self, listen: &[ListenSettings], rules: &RuleSet) -> Result<(), String> {
        let goes_on = |watched: &&Watched| {
            !listen.iter().any(|new| new.name == watched.listener && new.tls.is_some())
        };
        for watched in self.of.iter().filter(goes_on) {
            let place = watched.files.client_name_in;
            let why = place.and_then(|place| rules.check_client_name(place).into_iter().next());
            if let Some(why) = why {
                let name = &watched.listener;
                return Err(format!(
                    "{why} (listen {name:?}, tls, client_name_in asks for it until a restart)"
                ));
            }
        }
        Ok(())
    }

    /// Puts in force what a reload has read and checked.
    pub fn take(&mut self, listen: &[ListenSettings], tls: Vec<Option<Loaded>>) {
        for (settings, loaded) in listen.iter().zip(tls) {
            let watched = self.of.iter_mut().find(|watched| watched.listener == settings.name);
            if let (Some(watched), Some(files), Some(loaded)) = (watched, &settings.tls, loaded) {
                watched.files = files.clone();
                watched.loaded = stamps(files);
                watched.changing = None;
                watched.refused_at = None;
                watched.cell.set(loaded.config);
            }
        }
    }

    /// When each listener's certificate expires, in seconds since 1970.
    pub fn expiries(&self) -> impl Iterator<Item = (&str, i64)> {
        self.of.iter().map(|watched| (watched.listener.as_str(), watched.cell.config().expires))
    }

    /// Looks whether files have changed, now and then; what came of it, for the log.
    pub fn look(&mut self, now: Instant) -> Vec<(Level, String)> {
        if now.saturating_duration_since(self.looked_at) < LOOK {
            return Vec::new();
        }
        self.looked_at = now;
        self.of.iter_mut().flat_map(|watched| watched.look(now)).collect()
    }
}

impl Watched {
    fn look(&mut self, now: Instant) -> Vec<(Level, String)> {
        let seen = stamps(&self.files);
        let is_old = |refused: Instant| now.saturating_duration_since(refused) >= TRY_AGAIN;
        let is_due = self.refused_at.is_some_and(is_old);
        if seen == self.loaded && !is_due {
            self.changing = None;
            return Vec::new();
        }
        // Certificate and key are written one after the other: once both have been left alone.
        if seen != self.loaded && self.changing.as_ref() != Some(&seen) {
            self.changing = Some(seen);
            return Vec::new();
        }
        self.changing = None;
        self.loaded = seen;
        self.refused_at = None;
        let name = &self.listener;
        match corndog_receiver::load(&self.files, SystemTime::now()) {
            Ok(loaded) => {
                self.cell.set(loaded.config);
                let warning = |why| (Level::Warn, format!("listen {name:?}, {why}"));
                let mut said: Vec<_> = loaded.warnings.into_iter().map(warning).collect();
                said.push((Level::Info, format!("listen {name:?}: certificates loaded anew")));
                said
            }
            Err(why) => {
                self.refused_at = Some(now);
                let text =
                    format!("listen {name:?}, {why}; the certificates from before stay in force");
                vec![(Level::Error, text)]
            }
        }
    }
}

fn stamps(files: &TlsFiles) -> Vec<Stamp> {
    files.paths().map(stamp).collect()
}

fn stamp(path: &Path) -> Stamp {
    // The file that a link leads to: that is how Kubernetes changes them.
    let file = std::fs::metadata(path).ok()?;
    Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
}
