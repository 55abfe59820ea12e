//! Dead letters of one batch: records that Kafka refused for good, on their way to the topic for
//! such, with why.
//!
//! A letter's payload is the frame that the record was made of, where it lies in the arena; so the
//! batch stays out until the letter's report is in. A letter that is refused too is given up: it
//! never becomes a letter again.

use std::time::Instant;

use corndog_pipeline::batch::{Batch, Delivery};
use corndog_pipeline::control::Level;
use corndog_pipeline::counters::Failed;
use corndog_pipeline::record::{dead_letter, headers};
use corndog_pipeline::topics::TopicIndex;

use crate::desk::{Failure, Stall};
use crate::outcome::is_offered_again;
use crate::partitions::Load;
use crate::place::Place;
use crate::shard::Shard;
use crate::values::Code;

/// A record that became a dead letter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Letter {
    /// The record's index in its batch.
    pub(crate) index: usize,
    /// Why Kafka did not take it where it should have gone.
    pub(crate) reason: Failed,
    /// The same, as Kafka said it.
    pub(crate) code: Code,
    /// `Waiting`, `Sent`, or settled.
    pub(crate) delivery: Delivery,
    /// Where it was sent last; the topic for dead letters may change while it waits.
    pub(crate) topic: TopicIndex,
    /// The partition of that topic which did not take it and which it goes to again; -1: none.
    pub(crate) bound: i32,
}

impl Letter {
    /// The partition of `topic` that the letter is bound to.
    pub(crate) fn bound_in(&self, topic: TopicIndex) -> Option<i32> {
        (self.bound >= 0 && self.topic == topic).then_some(self.bound)
    }
}

/// The letters of one batch, in the order in which their records were refused.
///
/// `waiting <= open <= letters`
#[derive(Debug, Default)]
pub(crate) struct Letters {
    letters: Vec<Letter>,
    waiting: usize,
    open: usize,
}

impl Letters {
    pub(crate) fn push(&mut self, letter: Letter) {
        debug_assert_eq!(letter.delivery, Delivery::Waiting);
        self.letters.push(letter);
        self.waiting += 1;
        self.open += 1;
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Letter> {
        self.letters.get(at)
    }

    pub(crate) fn len(&self) -> usize {
        self.letters.len()
    }

    /// Letters to be handed over.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Letters whose outcome is open.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Notes where a letter stands.
    pub(crate) fn set(&mut self, at: usize, delivery: Delivery) -> Letter {
        let letter = &mut self.letters[at];
        self.waiting -= usize::from(letter.delivery == Delivery::Waiting);
        self.waiting += usize::from(delivery == Delivery::Waiting);
        self.open -= usize::from(is_open(letter.delivery));
        self.open += usize::from(is_open(delivery));
        letter.delivery = delivery;
        *letter
    }

    /// Notes that a letter is with librdkafka, on its way to `topic`.
    pub(crate) fn sent(&mut self, at: usize, topic: TopicIndex) {
        self.set(at, Delivery::Sent);
        let letter = &mut self.letters[at];
        letter.bound = letter.bound_in(topic).unwrap_or(-1);
        letter.topic = topic;
    }

    /// Notes which partition of its topic a letter goes to when it is sent again; -1: any.
    pub(crate) fn bind(&mut self, at: usize, partition: i32) {
        self.letters[at].bound = partition;
    }

    /// What was sent waits again: its client is gone.
    pub(crate) fn take_back(&mut self) {
        for at in 0..self.letters.len() {
            if self.letters[at].delivery == Delivery::Sent {
                self.set(at, Delivery::Waiting);
            }
        }
    }
}

fn is_open(delivery: Delivery) -> bool {
    matches!(delivery, Delivery::Waiting | Delivery::Sent)
}

/// True for a record that may become a dead letter: what it was made of was kept, and it is none
/// already.
pub(crate) fn may_become_letter(batch: &Batch, index: usize) -> bool {
    let is_letter =
        || headers(batch.headers(index)).any(|(name, _)| name == dead_letter::REASON.as_bytes());
    batch.origin(index).is_some() && !is_letter()
}

/// Calls `take` with what is sent of a letter: the frame, the headers that say why it is one, and
/// when it was received, in milliseconds since 1970 (never the record's own time, which may be what
/// Kafka refused). `topic` is where it should have gone.
pub(crate) fn with_letter<T>(
    batch: &Batch,
    letter: &Letter,
    topic: &str,
    take: impl FnOnce(&[u8], &[(&str, &[u8])], i64) -> T,
) -> Option<T> {
    let origin = batch.origin(letter.index)?;
    let time = format!("{:.6}", origin.received);
    let headers = [
        (dead_letter::REASON, letter.reason.name().as_bytes()),
        (dead_letter::RULE, origin.rule),
        (dead_letter::LISTENER, origin.listener),
        (dead_letter::PEER, origin.peer),
        (dead_letter::TOPIC, topic.as_bytes()),
        (dead_letter::TIME, time.as_bytes()),
        (dead_letter::CLIENT_NAME, origin.client_name),
    ];
    let header_count = headers.len() - usize::from(origin.client_name.is_empty());
    Some(take(origin.frame, &headers[..header_count], origin.received.as_millisecond()))
}

impl Shard {
    /// Makes a dead letter of a record that Kafka refuses for good; `false`: it cannot be one.
    pub(crate) fn try_bury(&mut self, failure: Failure, index: usize, reason: Failed) -> bool {
        let Some(topic) = self.dead_letter else { return false };
        let slot = failure.place.slot;
        let (from, to) = (self.topic_name(failure.topic), self.topic_name(topic));
        let is_possible = from != to
            && self.flight.batch(slot).is_some_and(|batch| may_become_letter(batch, index));
        if is_possible {
            self.settings.say(
                Level::Warn,
                "dead_letter",
                format!(
                    "topic {from}: a record goes to the dead-letter topic {to}: {} (error {})",
                    reason.name(),
                    failure.code
                ),
            );
            let code = failure.code;
            let letter =
                Letter { index, reason, code, delivery: Delivery::Waiting, topic, bound: -1 };
            self.settings.count_topic(failure.topic, |from| from.failed.add(1));
            self.settings.count_topic(topic, |to| to.taken.add(1));
            self.flight.bury(slot, letter);
        }
        is_possible
    }

    /// Hands over the dead letters that wait, oldest batch first.
    pub(crate) fn produce_letters(&mut self, now: Instant) {
        if self.flight.letters_waiting() == 0 {
            return;
        }
        for at in 0..self.order.len() {
            let slot = self.order[at];
            if self.flight.letters(slot).is_some_and(|letters| letters.waiting() > 0) {
                self.produce_letters_of(slot, now);
            }
        }
    }

    fn produce_letters_of(&mut self, slot: usize, now: Instant) {
        let Some(topic) = self.dead_letter else {
            // A reload has taken the topic away.
            return self.give_up_letters(slot, 0);
        };
        self.desk.meet(topic);
        if let Some(bytes_refused) = self.desk.too_large(topic, now) {
            self.give_up_letters(slot, bytes_refused);
        }
        let desk = &mut self.desk.topics[topic.index()];
        if desk.stall.is_some() {
            return;
        }
        let partition_count = self.flight.partition_count(topic);
        let records = self.flight.letters(slot).map_or(0, Letters::waiting);
        let load = Load { slot, records, may_wait: self.conf.lingers };
        let mut choice = desk.partitions.choose(now, partition_count, desk.sent_count, load);
        let failures = &mut self.desk.failures;
        let mut waits = false;
        let choose = |bound: Option<i32>| choice.next(None, bound);
        let sent =
            self.flight.produce_letters(slot, topic, &self.settings.topics, choose, |at, code| {
                let place = Place::letter(slot, at);
                waits |= is_offered_again(code);
                failures.push(Failure { place, topic, code, was_sent: false });
            });
        if choice.holds || waits {
            desk.stall = Some(Stall { until: now, takes_back: false });
        }
        desk.sent_count += sent;
    }

    /// Gives up the waiting letters of one batch that are at least so large.
    fn give_up_letters(&mut self, slot: usize, bytes_min: usize) {
        let Some(letters) = self.flight.letters(slot) else { return };
        let given_up = (0..letters.len()).filter_map(|at| {
            let place = Place::letter(slot, at);
            let letter = letters.get(at).filter(|it| it.delivery == Delivery::Waiting)?;
            (self.record_bytes(place) >= bytes_min).then_some((place, *letter))
        });
        // Rare, so a list of its own is well spent.
        for (place, letter) in given_up.collect::<Vec<_>>() {
            let Letter { topic, code, reason, .. } = letter;
            self.give_up(Failure { place, topic, code, was_sent: false }, reason);
        }
    }
}
