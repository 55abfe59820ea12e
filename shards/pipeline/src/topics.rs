//! Topics: which names are legal, where message data may send a record, and a number for each.
//!
//! A name taken from message data is somebody else's word. It becomes a topic only if it is legal
//! for Kafka, matches `topics.allow`, and is one of the first `topics.distinct` such names.

#![allow(clippy::disallowed_types, reason = "a slot written once, in a table that is passed on")]

use std::collections::HashMap;
use std::ops::Range;
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

/// Topics that a reload may add to those that the configuration named at start.
pub const RELOADED_TOPICS_MAX: usize = 1000;

/// All topics of the process, shared by the shards: those that the configuration names, then those
/// made from message data. It only grows, up to its bounds: a slot is written once (a configured
/// one by the main thread, a made one by the shard that first needs the name) and read by all. A
/// shard looks here only for a name that it has not met; when all slots are taken it knows them
/// all, and looks no more.
#[derive(Debug)]
pub struct TopicTable {
    /// `[configured | room for configured ones | made]`
    names: Box<[OnceLock<Box<str>>]>,
    made_from: usize,
    /// True while Kafka takes records for the topic. Written by the producer, read by receivers.
    is_flowing: Box<[AtomicBool]>,
}

impl TopicTable {
    /// The configured topics, with room for more of them, and for `made_max` made from message
    /// data.
    pub fn new(configured: &[String], made_max: usize) -> Self {
        let made_from = configured.len() + RELOADED_TOPICS_MAX;
        let slots = made_from + made_max;
        let names: Box<[OnceLock<Box<str>>]> = (0..slots).map(|_| OnceLock::new()).collect();
        for (slot, name) in names.iter().zip(configured) {
            slot.get_or_init(|| name.as_str().into());
        }
        let is_flowing = (0..slots).map(|_| AtomicBool::new(false)).collect();
        TopicTable { names, made_from, is_flowing }
    }

    /// Topics that it has room for: every index is below this.
    pub fn capacity(&self) -> usize {
        self.names.len()
    }

    /// Topics made from message data that it has room for.
    pub fn made_max(&self) -> usize {
        self.names.len() - self.made_from
    }

    /// For the main thread: the topics that a configuration names, those that are new added.
    ///
    /// Errors: `None` if there is no room for all; some may have been added then.
    pub fn configure(&self, names: &[String]) -> Option<Vec<TopicIndex>> {
        let place = |name: &String| {
            let known = self.topics().find(|(_, held)| held == name).map(|(topic, _)| topic);
            known.or_else(|| self.admit(0..self.made_from, name))
        };
        names.iter().map(place).collect()
    }

    /// The name of a topic that was given out.
    pub fn name(&self, topic: TopicIndex) -> Option<&str> {
        self.names.get(topic.index())?.get().map(AsRef::as_ref)
    }

    /// Topics given out so far, in the order of their indexes.
    pub fn topics(&self) -> impl Iterator<Item = (TopicIndex, &str)> {
        let given = |from: usize, to: usize| {
            (from..to).map_while(|index| {
                let topic = TopicIndex::new(index);
                self.name(topic).map(|name| (topic, name))
            })
        };
        given(0, self.made_from).chain(given(self.made_from, self.names.len()))
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

    /// The first of `slots` that holds `name`, or that is free and holds it from now on.
    fn admit(&self, mut slots: Range<usize>, name: &str) -> Option<TopicIndex> {
        slots.find_map(|index| {
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
    /// How many topics may be made from message data.
    pub distinct: usize,
}

impl TopicPolicy {
    fn is_allowed(&self, name: &str) -> bool {
        self.allow.iter().any(|pattern| is_match(pattern.as_bytes(), name.as_bytes()))
    }
}

/// Places for topics that were found last.
const RECENT_PLACES: usize = 256;

/// One shard's view of the table: the names that it has met, under one policy.
#[derive(Debug)]
pub struct TopicCache {
    met: HashMap<Box<[u8]>, TopicIndex>,
    /// By a name's last bytes: the topic that was found last with these, or with others of that place.
    recent: Box<[Option<TopicIndex>; RECENT_PLACES]>,
    /// Made topics known to be in `met`.
    made_seen: usize,
    has_seen_configured: bool,
}

impl Default for TopicCache {
    fn default() -> Self {
        TopicCache {
            met: HashMap::new(),
            recent: Box::new([None; RECENT_PLACES]),
            made_seen: 0,
            has_seen_configured: false,
        }
    }
}

/// The place of this name, and of others; names of less than eight bytes have one by their length.
#[inline]
fn recent_place(name: &[u8]) -> usize {
    let end = name.last_chunk().map_or(name.len() as u64, |end| u64::from_le_bytes(*end));
    // The highest bits of the product depend on all of the name's end.
    (end.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}

impl TopicCache {
    /// The topic for a rendered `name`, or `None` if it is refused: illegal, not allowed, or one
    /// too many.
    ///
    /// Cost:   a comparison or one hash look-up for a name met before; no allocation then. Whoever
    ///         chooses names can have the look-up, which is safe from collisions, no more.
    pub fn resolve(
        &mut self,
        table: &TopicTable,
        policy: &TopicPolicy,
        name: &[u8],
    ) -> Option<TopicIndex> {
        let place = recent_place(name);
        if let Some(recent) = self.recent[place]
            && table.name(recent).is_some_and(|held| held.as_bytes() == name)
        {
            return Some(recent);
        }
        let topic = match self.met.get(name) {
            Some(topic) => *topic,
            None if is_legal(name) => self.meet(table, policy, std::str::from_utf8(name).ok()?)?,
            None => return None,
        };
        self.recent[place] = Some(topic);
        Some(topic)
    }

    fn meet(&mut self, table: &TopicTable, policy: &TopicPolicy, name: &str) -> Option<TopicIndex> {
        if !self.has_seen_configured {
            // A configured topic may be named by message data too, where it is allowed.
            self.has_seen_configured = true;
            self.learn(table, policy, 0..table.made_from);
            if let Some(topic) = self.met.get(name.as_bytes()) {
                return Some(*topic);
            }
        }
        let made_max = policy.distinct.min(table.made_max());
        if self.made_seen == made_max || !policy.is_allowed(name) {
            return None;
        }
        let from = table.made_from;
        let topic = table.admit(from..from + made_max, name);
        self.made_seen += self.learn(table, policy, from + self.made_seen..from + made_max);
        topic
    }

    /// Notes the names in `slots`, up to the first free one. Returns how many.
    fn learn(&mut self, table: &TopicTable, policy: &TopicPolicy, slots: Range<usize>) -> usize {
        let start = slots.start;
        let mut end = start;
        for index in slots {
            let Some(held) = table.names[index].get() else { break };
            if policy.is_allowed(held) {
                self.met.insert(held.as_bytes().into(), TopicIndex::new(index));
            }
            end = index + 1;
        }
        end - start
    }
}
