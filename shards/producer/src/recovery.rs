//! What happens to records that were not acknowledged: given up, sent again in order, or a new client.

use std::time::{Duration, Instant};

use corndog_pipeline::batch::Delivery;
use corndog_pipeline::control::Level;
use corndog_pipeline::counters::Failed;
use corndog_pipeline::record;
use corndog_pipeline::topics::TopicIndex;
use rdkafka_sys::rd_kafka_resp_err_t;

use crate::desk::{Failure, Stall};
use crate::letters::with_letter;
use crate::outcome::{Outcome, outcome_of};
use crate::place::{Item, Place};
use crate::shard::{Shard, waker};
use crate::values::Code;

/// How long a new client waits for the old one's records in flight. What is not reported by then
/// is sent again, and may be there twice.
const REBUILD_WAIT_MAX: Duration = Duration::from_secs(5);
/// What comes back to librdkafka's queues after they were purged is purged again this often.
const PURGE_PAUSE: Duration = Duration::from_millis(100);
/// The first pause before a failed record is sent again; it doubles up to the second.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The pause before a record of an unknown topic is tried again; librdkafka asks that often.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(1);
/// How much smaller MessageSets become when one was too large for its topic.
const SHRINK_FACTOR: usize = 4;

/// A client on its way to be replaced.
#[derive(Debug)]
pub(crate) struct Rebuild {
    since: Instant,
    /// Records on their way to a broker are taken back too.
    takes_in_flight: bool,
    batch_size: usize,
}

impl Shard {
    pub(crate) fn start_rebuild(&mut self, now: Instant, takes_in_flight: bool, batch_size: usize) {
        match &mut self.rebuild {
            Some(rebuild) => {
                rebuild.takes_in_flight |= takes_in_flight;
                rebuild.batch_size = rebuild.batch_size.min(batch_size);
            }
            None => self.rebuild = Some(Rebuild { since: now, takes_in_flight, batch_size }),
        }
    }

    /// Decides about each record that was not acknowledged.
    pub(crate) fn take_failures(&mut self, now: Instant) {
        let mut failures = std::mem::take(&mut self.desk.failures);
        for failure in failures.drain(..) {
            self.take_failure(failure, now);
        }
        // Its memory is used again.
        self.desk.failures = failures;
    }

    fn take_failure(&mut self, failure: Failure, now: Instant) {
        let topic = failure.topic.index();
        match outcome_of(failure.code) {
            Outcome::Permanent(reason) => self.give_up(failure, reason),
            Outcome::TakenBack => self.stall(topic, now, false),
            Outcome::Neighbour => self.stall(topic, now, true),
            Outcome::Retriable => {
                let desk = &mut self.desk.topics[topic];
                desk.failures =
                    if desk.stall.is_some() { desk.failures.max(1) } else { desk.failures + 1 };
                let pause = RETRY_MIN.saturating_mul(1 << desk.failures.min(10)).min(RETRY_MAX);
                self.settings.say(
                    Level::Warn,
                    "retry",
                    format!(
                        "topic {}: Kafka did not take records (error {}); sending them again",
                        self.topic_name(failure.topic),
                        failure.code
                    ),
                );
                self.stall(topic, now + pause, true);
            }
            Outcome::TopicUnknown => {
                let since = *self.desk.topics[topic].unknown_since.get_or_insert(now);
                let time_max = Duration::from_millis(self.conf.topic_unknown_ms_max);
                if now.duration_since(since) + UNKNOWN_PAUSE >= time_max {
                    self.give_up(failure, Failed::TopicUnknown);
                } else {
                    self.stall(topic, now + UNKNOWN_PAUSE, false);
                }
            }
            Outcome::TooLarge => self.take_too_large(failure, now),
        }
    }

    /// A record alone in its MessageSet is too large for good. One that may have shared it is not
    /// known to be: all is sent again in smaller sets, until the guilty one stands alone.
    fn take_too_large(&mut self, failure: Failure, now: Instant) {
        let bytes = self.record_bytes(failure.place);
        if !failure.was_sent {
            return self.give_up(failure, Failed::MessageTooLarge);
        }
        // With anything beside it, the set would be larger than `batch.size`: it was alone.
        if bytes >= self.conf.batch_size {
            let topic = failure.topic.index();
            let known = self.desk.topics[topic].too_large.map_or(bytes, |(known, _)| known);
            if !self.conf.compresses {
                self.desk.topics[topic].too_large = Some((bytes.min(known), now));
            }
            // The others of its size come back before they are refused one by one.
            self.stall(topic, now, true);
            return self.give_up(failure, Failed::MessageTooLarge);
        }
        let batch_size = (self.conf.batch_size / SHRINK_FACTOR).max(1);
        if self.rebuild.is_none() {
            let name = self.topic_name(failure.topic);
            self.settings.say(
                Level::Warn,
                "too_large",
                format!(
                    "topic {name}: Kafka refuses MessageSets of batch.size = {} bytes; sending in sets \
                     of {batch_size} from now on (set \"batch.size\" below the topic's max.message.bytes)",
                    self.conf.batch_size
                ),
            );
        }
        self.start_rebuild(now, false, batch_size);
    }

    /// Gives up the waiting records of one topic of one batch that are known to be too large.
    pub(crate) fn give_up_too_large(&mut self, slot: usize, chain: usize, now: Instant) {
        let Some(batch) = self.flight.batch(slot) else { return };
        let topic = batch.chain_topic(chain);
        let Some(bytes_refused) = self.desk.too_large(topic, now) else { return };
        let Some(batch) = self.flight.batch(slot) else { return };
        let is_known = |&index: &usize| {
            batch.delivery(index) == Delivery::Waiting
                && self.record_bytes(Place::record(slot, index)) >= bytes_refused
        };
        // Rare, so a list of its own is well spent.
        let known: Vec<usize> = batch.chain(chain).filter(is_known).collect();
        for index in known {
            let place = Place::record(slot, index);
            let code = rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE as Code;
            let failure = Failure { place, topic, code, was_sent: false };
            self.give_up(failure, Failed::MessageTooLarge);
        }
    }

    /// At least so many bytes does a record take in a MessageSet.
    pub(crate) fn record_bytes(&self, place: Place) -> usize {
        let Some(batch) = self.flight.batch(place.slot) else { return 0 };
        match place.item {
            Item::Record(index) => {
                let headers = record::headers(batch.headers(index));
                let headers_bytes: usize =
                    headers.map(|(name, value)| name.len() + value.len()).sum();
                let key_bytes = batch.key(index).map_or(0, <[u8]>::len);
                batch.payload(index).len() + key_bytes + headers_bytes
            }
            Item::Letter(at) => {
                let letter = self.flight.letters(place.slot).and_then(|letters| letters.get(at));
                let bytes = letter.and_then(|letter| {
                    let topic = self.topic_name(batch.topic(letter.index));
                    with_letter(batch, letter, topic, |frame, headers, _| {
                        let headers = headers.iter().map(|(name, value)| name.len() + value.len());
                        frame.len() + headers.sum::<usize>()
                    })
                });
                bytes.unwrap_or(0)
            }
        }
    }

    /// A record will not get where it was to go: it becomes a dead letter, or has failed.
    pub(crate) fn give_up(&mut self, failure: Failure, reason: Failed) {
        let Failure { place, topic, code, .. } = failure;
        let reason = match place.item {
            Item::Record(index) => {
                if self.try_bury(failure, index, reason) {
                    return;
                }
                reason
            }
            Item::Letter(at) => {
                let letter = self.flight.letters(place.slot).and_then(|letters| letters.get(at));
                letter.map_or(reason, |letter| letter.reason)
            }
        };
        self.flight.give_up(place);
        self.settings.counters.failed[reason as usize].add(1);
        self.settings.count_topic(topic, |topic| topic.failed.add(1));
        self.desk.settle(place.slot);
        let name = self.topic_name(topic);
        self.settings.say(
            Level::Error,
            reason.name(),
            format!("topic {name}: a record was given up: {} (error {code})", reason.name()),
        );
    }

    fn stall(&mut self, topic: usize, until: Instant, takes_back: bool) {
        let desk = &mut self.desk.topics[topic];
        let stall = desk.stall.get_or_insert(Stall { until, takes_back });
        stall.until = stall.until.max(until);
        stall.takes_back |= takes_back;
    }

    /// Moves stalled topics and a rebuild on, as far as they can go now.
    pub(crate) fn go_on(&mut self, now: Instant) {
        if let Some(rebuild) = &self.rebuild {
            let takes_in_flight = rebuild.takes_in_flight;
            self.purge(now, takes_in_flight);
            let is_late = self
                .rebuild
                .as_ref()
                .is_some_and(|rebuild| now.duration_since(rebuild.since) > REBUILD_WAIT_MAX);
            if self.desk.sent_count() == 0 || is_late {
                self.finish_rebuild(now);
            }
        } else {
            if self.desk.takes_back() {
                self.purge(now, false);
            }
            for at in 0..self.desk.used_count() {
                let topic = self.desk.used(at);
                let desk = &mut self.desk.topics[topic];
                let is_over = desk.stall.is_some_and(|stall| now >= stall.until);
                if is_over && desk.sent_count == 0 {
                    desk.stall = None;
                    self.flight.restart(TopicIndex::new(topic));
                    self.produce_again(Some(TopicIndex::new(topic)), now);
                }
            }
            self.produce_letters(now);
        }
        self.desk.publish_flow(&self.settings.topics);
    }

    /// Takes back what librdkafka has queued. Not at every turn: a request that is half written is
    /// taken back by closing its connection, and the answers under way on it are lost with it.
    fn purge(&mut self, now: Instant, in_flight: bool) {
        if self.purged_at.is_none_or(|at| now.duration_since(at) >= PURGE_PAUSE) {
            self.purged_at = Some(now);
            self.flight.purge(in_flight);
        }
    }

    /// Hands over again what waits, of one topic or of all.
    fn produce_again(&mut self, only: Option<TopicIndex>, now: Instant) {
        let before = self.desk.sent_count();
        match only {
            Some(topic) => self.produce_topic(topic, now),
            None => {
                for at in 0..self.desk.used_count() {
                    self.produce_topic(TopicIndex::new(self.desk.used(at)), now);
                }
            }
        }
        let resent = self.desk.sent_count() - before;
        self.settings.counters.resent.add(resent as u64);
    }

    /// Hands over what waits of a topic, oldest batch first.
    fn produce_topic(&mut self, topic: TopicIndex, now: Instant) {
        self.holding.forget(topic);
        for at in 0..self.order.len() {
            self.produce_topic_of(self.order[at], topic, now);
        }
    }

    fn finish_rebuild(&mut self, now: Instant) {
        let Some(rebuild) = &self.rebuild else { return };
        if rebuild.batch_size != self.conf.batch_size {
            self.conf.shrink(rebuild.batch_size);
        }
        let on_report = waker(&self.settings.inbox_sender, &self.is_woken);
        self.settings.unpin();
        let made = self.flight.rebuild(&self.conf.pairs, on_report);
        core_affinity::set_for_current(core_affinity::CoreId { id: self.settings.core });
        if let Err(why) = made {
            self.settings.say(Level::Error, "fatal", format!("no new client: {why}; trying again"));
            self.rebuild = Some(Rebuild {
                since: now,
                takes_in_flight: true,
                batch_size: self.conf.batch_size,
            });
            return;
        }
        self.rebuild = None;
        self.settings.counters.rebuilt.add(1);
        self.desk.start_over();
        self.produce_again(None, now);
    }
}
