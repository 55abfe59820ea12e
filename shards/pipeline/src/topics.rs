//! Topics: which names are legal, where message data may send a record, and a number for each.
//!
//! A name taken from message data is somebody else's word. It becomes a topic only if it is legal
//! for Kafka, matches `topics.allow`, and is one of the first `topics.distinct` such names.

#![allow(clippy::disallowed_types, reason = "a slot written once, in a table that is passed on")]

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// A topic's number: from 0, the configured ones first, then those made from message data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicIndex(u16);

impl TopicIndex {
    /// The topic numbered `index`.
    pub fn new(index: usize) -> Self {
        TopicIndex(u16::try_from(index).unwrap_or(u16::MAX))
    }

    /// As an index into tables by topic.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Two kinds of topics are kept apart, so that one that does not flow holds up only its own records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Topics that Kafka takes records for.
    Flowing,
    /// Topics of which that is not known yet, or not true at present. At most a quarter of the
    /// pool's batches are filled with their records.
    Waiting,
}

/// Characters of a topic name. Source: Kafka's `Topic.validate`.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// True for `[a-zA-Z0-9._-]{1,249}` that is neither `.` nor `..` and does not start with `__`
/// (Kafka's own topics do).
pub fn is_legal(name: &[u8]) -> bool {
    (1..=TOPIC_NAME_BYTES_MAX).contains(&name.len())
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
        && name != b"."
        && name != b".."
        && !name.starts_with(b"__")
}

/// True if `name` is matched by `pattern`, in which `*` stands for any run of characters.
///
/// Cost:   `name.len() * pattern.len()` steps at most; no recursion.
pub fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at_pattern, mut at_name) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at_name < name.len() {
        if pattern.get(at_pattern) == Some(&b'*') {
            retry = Some((at_pattern, at_name));
            at_pattern += 1;
        } else if pattern.get(at_pattern) == Some(&name[at_name]) {
            at_pattern += 1;
            at_name += 1;
        } else if let Some((star, from)) = retry {
            retry = Some((star, from + 1));
            at_pattern = star + 1;
            at_name = from + 1;
        } else {
            return false;
        }
    }
    pattern[at_pattern..].iter().all(|&byte| byte == b'*')
}

/// All topics of the process, shared by the shards. It only grows, up to its bound: a slot is
/// written once, by the shard that first needs the name, and read by all. A shard looks here only
/// for a name that it has not met; when all slots are taken it knows them all, and looks no more.
#[derive(Debug)]
pub struct TopicTable {
    names: Box<[OnceLock<Box<str>>]>,
    /// True while Kafka takes records for the topic. Written by the producer, read by receivers.
    is_flowing: Box<[AtomicBool]>,
}

impl TopicTable {
    /// The configured topics, and room for `distinct` made from message data.
    pub fn new(configured: &[String], distinct: usize) -> Self {
        let slots = configured.len() + distinct;
        let names: Box<[OnceLock<Box<str>>]> = (0..slots).map(|_| OnceLock::new()).collect();
        for (slot, name) in names.iter().zip(configured) {
            slot.get_or_init(|| name.as_str().into());
        }
        TopicTable { names, is_flowing: (0..slots).map(|_| AtomicBool::new(false)).collect() }
    }

    /// Topics that it has room for.
    pub fn capacity(&self) -> usize {
        self.names.len()
    }

    /// The name of a topic that was given out.
    pub fn name(&self, topic: TopicIndex) -> Option<&str> {
        self.names.get(topic.index())?.get().map(AsRef::as_ref)
    }

    /// Topics given out so far.
    pub fn count(&self) -> usize {
        self.names.iter().take_while(|slot| slot.get().is_some()).count()
    }

    /// The lane for the topic's records at present.
    pub fn lane(&self, topic: TopicIndex) -> Lane {
        match self.is_flowing[topic.index()].load(Ordering::Relaxed) {
            true => Lane::Flowing,
            false => Lane::Waiting,
        }
    }

    /// For the producer: notes whether Kafka takes records for the topic.
    pub fn set_flowing(&self, topic: TopicIndex, is_flowing: bool) {
        self.is_flowing[topic.index()].store(is_flowing, Ordering::Relaxed);
    }

    /// The number of `name`, which gets a slot if it has none; `None` if all are taken.
    fn admit(&self, name: &str) -> Option<TopicIndex> {
        (0..self.names.len()).find_map(|index| {
            let held = self.names[index].get_or_init(|| name.into());
            (**held == *name).then(|| TopicIndex::new(index))
        })
    }
}

/// Where message data may send a record.
#[derive(Debug, Clone, Default)]
pub struct TopicPolicy {
    /// Patterns with `*`; a name must match one.
    pub allow: Vec<String>,
    /// Where a refused topic's record goes; `None` drops it.
    pub fallback: Option<TopicIndex>,
}

impl TopicPolicy {
    fn is_allowed(&self, name: &str) -> bool {
        self.allow.iter().any(|pattern| is_match(pattern.as_bytes(), name.as_bytes()))
    }
}

/// One shard's view of the table: the names that it has met.
#[derive(Debug, Default)]
pub struct TopicCache {
    met: HashMap<Box<str>, TopicIndex>,
    /// The last topic found, for runs of one topic.
    last: Option<TopicIndex>,
    /// Slots of the table known to be in `met`.
    seen: usize,
}

impl TopicCache {
    /// The topic for a rendered `name`, or `None` if it is refused: illegal, not allowed, or one
    /// too many.
    ///
    /// Cost:   a comparison or one hash look-up for a name met before; no allocation then.
    pub fn resolve(
        &mut self,
        table: &TopicTable,
        policy: &TopicPolicy,
        name: &[u8],
    ) -> Option<TopicIndex> {
        if let Some(last) = self.last
            && table.name(last).is_some_and(|held| held.as_bytes() == name)
        {
            return Some(last);
        }
        if !is_legal(name) {
            return None;
        }
        let name = std::str::from_utf8(name).ok()?;
        let topic = match self.met.get(name) {
            Some(topic) => *topic,
            None => self.meet(table, policy, name)?,
        };
        self.last = Some(topic);
        Some(topic)
    }

    fn meet(&mut self, table: &TopicTable, policy: &TopicPolicy, name: &str) -> Option<TopicIndex> {
        if self.seen == table.capacity() {
            return None;
        }
        if !policy.is_allowed(name) {
            return None;
        }
        // A configured topic may be named by message data too, where it is allowed: no slot then.
        let topic = table.admit(name);
        while let Some(held) = table.names.get(self.seen).and_then(OnceLock::get) {
            if policy.is_allowed(held) {
                self.met.insert(held.clone(), TopicIndex::new(self.seen));
            }
            self.seen += 1;
        }
        topic
    }
}
