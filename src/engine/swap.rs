//! Another configuration for the running engine.

use std::sync::Arc;

use corndog_pipeline::listen::Address;
use corndog_receiver::Live;

use super::{Engine, gate_limits, receiver_limits};
use crate::config::{ListenSettings, Settings};
use crate::plan::Plan;
use crate::reload::Prepared;

impl Engine {
    /// Puts a configuration in force, as far as that can be done while running: rules, topics,
    /// limits and what becomes of unmatched messages. The shards take it between two frames.
    ///
    /// Returns what the file says that cannot be put in force while running, a sentence each.
    /// Errors: one sentence; nothing has changed then.
    pub fn reload(&mut self, prepared: Prepared) -> Result<Vec<String>, String> {
        debug_assert!(!self.is_swapping(), "one reload at a time");
        let Prepared { plan: Plan { settings: new, mut rules, tls, .. }, scratches } = prepared;
        let batch_bytes = self.settings.batches.bytes;
        if new.limits.frame_bytes_max > batch_bytes / 2 {
            return Err(format!(
                "limits.frame: {} bytes are more than half of batches.bytes = {batch_bytes}, which \
                 is in force until a restart; restart, or give less",
                new.limits.frame_bytes_max
            ));
        }
        self.certificates.check_rules(&new.listen, &rules)?;
        rules.place(&self.topics)?;
        let kept = self.kept(&new);
        self.generation += 1;
        self.certificates.take(&new.listen, tls);
        self.settings.limits = new.limits;
        self.settings.routing = new.routing;
        self.settings.rules = new.rules;
        self.gate.set_limits(gate_limits(&self.settings));
        self.tell_dead_letter(&rules);
        self.rule_books.replace(&rules);
        self.configured_topics = rules.configured_topics().iter().cloned().collect();
        let rules = Arc::new(rules);
        for (lives, scratch) in self.lives.iter().zip(scratches) {
            let live = Live {
                generation: self.generation,
                rules: rules.clone(),
                scratch,
                limits: receiver_limits(&self.settings),
            };
            self.rule_books.add(&live.scratch);
            // The last one was taken. A shard that has ended takes none.
            self.swapping_count += usize::from(lives.try_send(Box::new(live)).is_ok());
        }
        Ok(kept)
    }

    /// What `new` says that is not put in force.
    fn kept(&self, new: &Settings) -> Vec<String> {
        let old = &self.settings;
        let parts = [
            ("[shards]", old.cores != new.cores),
            ("[batches]", old.batches != new.batches),
            ("[[listen]]", !listens_alike(&old.listen, &new.listen)),
            ("[status]", old.status != new.status),
            ("[statsd]", old.statsd != new.statsd),
            ("[kafka] embedded or conf", {
                (old.kafka.embedded, &old.kafka.conf) != (new.kafka.embedded, &new.kafka.conf)
            }),
        ];
        let mut kept: Vec<String> = parts
            .into_iter()
            .filter(|(_, has_changed)| *has_changed)
            .map(|(part, _)| format!("{part} has changed in the file; restart to put it in force"))
            .collect();
        if new.routing.distinct > self.topics.made_max() {
            kept.push(format!(
                "topics.distinct: {} is more than the {} that there is room for; restart to have \
                 them all",
                new.routing.distinct,
                self.topics.made_max()
            ));
        }
        kept
    }

    /// True until all receivers have taken the last reload. Frees what they go on without.
    pub fn is_swapping(&mut self) -> bool {
        while self.retired.try_recv().is_ok() {
            self.swapping_count -= 1;
            if self.swapping_count == 0 {
                self.rule_books.settle();
            }
        }
        self.swapping_count > 0
    }
}

/// True if the sockets of `old` are what `new` asks for. Port 0 is whichever was free; what `tls`
/// says is put in force while running.
fn listens_alike(old: &[ListenSettings], new: &[ListenSettings]) -> bool {
    let is_alike = |(old, new): (&ListenSettings, &ListenSettings)| {
        let mut wanted = ListenSettings { tls: old.tls.clone(), ..new.clone() };
        if let (Address::Inet(wanted), Address::Inet(old)) = (&mut wanted.address, &old.address)
            && wanted.port() == 0
        {
            wanted.set_port(old.port());
        }
        *old == wanted && old.tls.is_some() == new.tls.is_some()
    };
    old.len() == new.len() && old.iter().zip(new).all(is_alike)
}
