//! The records that librdkafka has, and the batches that they lie in.
//!
//! `Flight` owns the client *and* the batches whose bytes librdkafka reads in place. A batch gets
//! in by `board` and out by `release`, which refuses while one of its records is with librdkafka;
//! so no pointer outlives its bytes, whatever the caller does. Fields are dropped in the order of
//! their declaration: the client (whose threads are joined by its end) before the batches.
//!
//! A record without headers whose time is now goes with others of its topic in one call, and gets
//! the time of that call. What has headers, a time of its own, or waited before it was handed over
//! goes by itself, with its time.

#![allow(unsafe_code, reason = "the librdkafka boundary; each block carries its proof")]

use corndog_pipeline::batch::{Batch, Delivery};
use corndog_pipeline::counters::Failed;
use corndog_pipeline::record;
use corndog_pipeline::topics::{TopicIndex, TopicTable};

use crate::client::{Client, Told};
use crate::letters::{Letter, Letters, with_letter};
use crate::place::{Item, Place};
use crate::recorder::Mark;
use crate::values::{
    Code, Headers, INVALID_ARGUMENT, NO_ERROR, Outgoing, QUEUE_FULL, UNKNOWN_PARTITION,
};

/// A record's time may differ by this from when it was received, in milliseconds.
const TIME_SLACK_MS: u64 = 100;

/// What librdkafka tells, as the producer needs it.
#[derive(Debug)]
pub(crate) enum Event {
    /// A record's outcome. A record with an error is `Waiting` again. `letter`: it is a dead
    /// letter, and why.
    Report {
        mark: Mark,
        partition: i32,
        code: Code,
        letter: Option<Failed>,
        place: Place,
        bytes: usize,
    },
    /// The client is unusable from now on.
    Fatal(String),
    /// Something is wrong with a broker, or all of them are down.
    Trouble { text: String, all_down: bool },
    /// A line of its log; `level` is syslog's severity.
    Log { level: i32, text: String },
    /// Its statistics, as JSON.
    Statistics(String),
}

/// A batch that is out, and how many of its records are with librdkafka.
struct Seat {
    batch: Batch,
    letters: Letters,
    sent_count: usize,
    /// The partition of each record that was sent and not taken, which it goes to again; -1: none.
    /// Empty until there is one.
    bound: Vec<i32>,
}

/// A record laid out to be handed over.
#[derive(Debug, Clone, Copy)]
struct Laid {
    index: usize,
    /// It has headers, or a time that is not now.
    goes_alone: bool,
}

/// The client, and the batches that it may read.
pub(crate) struct Flight {
    client: Client,
    seats: Vec<Option<Seat>>,
    /// Scratch: written and read within one call, side by side.
    messages: Vec<Outgoing>,
    laid: Vec<Laid>,
    letters_waiting: usize,
}

impl Flight {
    /// A client with `conf`, and seats for `seat_count` batches of at most `records_max` records.
    ///
    /// `on_report` is called from librdkafka's threads when reports come while none were waiting.
    pub(crate) fn new(
        conf: &[(String, String)],
        on_report: Box<dyn Fn() + Send + Sync>,
        seat_count: usize,
        records_max: usize,
        topics_max: usize,
    ) -> Result<Flight, String> {
        Ok(Flight {
            client: Client::new(conf, on_report, topics_max)?,
            seats: (0..seat_count).map(|_| None).collect(),
            messages: Vec::with_capacity(records_max),
            laid: Vec::with_capacity(records_max),
            letters_waiting: 0,
        })
    }

    /// Ends the client and makes another. Records that were with the old one are `Waiting` again.
    pub(crate) fn rebuild(
        &mut self,
        conf: &[(String, String)],
        on_report: Box<dyn Fn() + Send + Sync>,
    ) -> Result<(), String> {
        // The old client ends when it is overwritten: after that nothing reads the batches.
        self.client = Client::new(conf, on_report, self.client.topics_max())?;
        self.letters_waiting = 0;
        for seat in self.seats.iter_mut().flatten() {
            seat.sent_count = 0;
            seat.letters.take_back();
            self.letters_waiting += seat.letters.waiting();
            for index in 0..seat.batch.record_count() {
                if seat.batch.delivery(index) == Delivery::Sent {
                    seat.batch.set_delivery(index, Delivery::Waiting);
                }
            }
        }
        Ok(())
    }

    /// Takes a batch in; gives it back if no seat is free.
    pub(crate) fn board(&mut self, batch: Batch) -> Result<usize, Box<Batch>> {
        match self.seats.iter().position(Option::is_none) {
            Some(slot) => {
                let (letters, bound) = (Letters::default(), Vec::new());
                self.seats[slot] = Some(Seat { batch, letters, sent_count: 0, bound });
                Ok(slot)
            }
            None => Err(Box::new(batch)),
        }
    }

    /// The batch in `slot`, to look at.
    pub(crate) fn batch(&self, slot: usize) -> Option<&Batch> {
        self.seats[slot].as_ref().map(|seat| &seat.batch)
    }

    /// The dead letters of the batch in `slot`, to look at.
    pub(crate) fn letters(&self, slot: usize) -> Option<&Letters> {
        self.seats[slot].as_ref().map(|seat| &seat.letters)
    }

    /// Dead letters of all batches that wait to be handed over.
    pub(crate) fn letters_waiting(&self) -> usize {
        self.letters_waiting
    }

    /// Notes that a record, or the dead letter made of one, is given up. What is with librdkafka
    /// stays as it is.
    pub(crate) fn give_up(&mut self, place: Place) {
        let Some(seat) = &mut self.seats[place.slot] else { return };
        match place.item {
            Item::Record(index) if seat.batch.delivery(index) == Delivery::Waiting => {
                seat.batch.set_delivery(index, Delivery::Failed);
            }
            Item::Letter(at)
                if seat.letters.get(at).is_some_and(|it| it.delivery == Delivery::Waiting) =>
            {
                seat.letters.set(at, Delivery::Failed);
                self.letters_waiting -= 1;
            }
            _ => {}
        }
    }

    /// Gives a record up and keeps the dead letter that was made of it.
    pub(crate) fn bury(&mut self, slot: usize, letter: Letter) {
        self.give_up(Place::record(slot, letter.index));
        if let Some(seat) = &mut self.seats[slot] {
            seat.letters.push(letter);
            self.letters_waiting += 1;
        }
    }

    /// Gives the batch back, unless one of its records is with librdkafka.
    pub(crate) fn release(&mut self, slot: usize) -> Option<Batch> {
        let seat = self.seats[slot].take_if(|seat| seat.sent_count == 0)?;
        self.letters_waiting -= seat.letters.waiting();
        Some(seat.batch)
    }

    /// Lets the topic's partitions go on that were stopped when a set of them was refused. Nothing
    /// of the topic is to be with librdkafka.
    pub(crate) fn restart(&self, topic: TopicIndex) {
        self.client.restart(topic);
    }

    /// The number of partitions of `topic` when librdkafka last said it; 0: not known.
    pub(crate) fn partition_count(&self, topic: TopicIndex) -> i32 {
        self.client.partition_count(topic)
    }

    /// Hands the waiting records of one topic of one batch to librdkafka, in their order.
    ///
    /// `choose` says for each which partition it goes to, by its key and the partition that it is
    /// bound to: -1 lets librdkafka ask our partitioner (which learns the partition count), `None`
    /// leaves the record waiting. Records
    /// that are refused stay `Waiting` and are given to `refused` with the code. Returns how many
    /// are sent. `now_ms`: milliseconds since 1970.
    ///
    /// Cost:   no copy of the payload; no allocation of ours, but for headers.
    pub(crate) fn produce(
        &mut self,
        slot: usize,
        chain: usize,
        name: &str,
        now_ms: i64,
        choose: impl FnMut(Option<&[u8]>, Option<i32>) -> Option<i32>,
        mut refused: impl FnMut(usize, Code),
    ) -> usize {
        let Some(seat) = &mut self.seats[slot] else { return 0 };
        let topic = seat.batch.chain_topic(chain);
        if !self.client.open_topic(topic, name) {
            let is_waiting = |&index: &usize| seat.batch.delivery(index) == Delivery::Waiting;
            let waiting = seat.batch.chain(chain).filter(is_waiting);
            waiting.for_each(|index| refused(index, INVALID_ARGUMENT));
            return 0;
        }
        lay_out(seat, chain, slot, now_ms, choose, &mut self.messages, &mut self.laid);
        let (mut sent, mut from, mut is_full) = (0, 0, false);
        while from < self.laid.len() && !is_full {
            let run = self.laid[from..].iter().take_while(|laid| !laid.goes_alone).count();
            let to = from + run.max(1);
            let messages = &mut self.messages[from..to];
            let alone = hand_over(&self.client, &seat.batch, topic, messages, self.laid[from]);
            for (message, laid) in messages.iter().zip(&self.laid[from..to]) {
                match alone.unwrap_or_else(|| message.code()) {
                    NO_ERROR => {
                        seat.batch.set_delivery(laid.index, Delivery::Sent);
                        sent += 1;
                    }
                    code => {
                        if code == UNKNOWN_PARTITION {
                            seat.bind(laid.index, -1);
                        }
                        // What comes behind must not overtake it, should there be room again.
                        is_full |= code == QUEUE_FULL;
                        refused(laid.index, code);
                    }
                }
            }
            from = to;
        }
        seat.sent_count += sent;
        sent
    }

    /// Hands the waiting dead letters of one batch to librdkafka, to go to `topic`; as
    /// [`Flight::produce`], with the letters' own indexes.
    pub(crate) fn produce_letters(
        &mut self,
        slot: usize,
        topic: TopicIndex,
        table: &TopicTable,
        mut choose: impl FnMut(Option<i32>) -> Option<i32>,
        mut refused: impl FnMut(usize, Code),
    ) -> usize {
        let Some(seat) = &mut self.seats[slot] else { return 0 };
        let is_known = self.client.open_topic(topic, table.name(topic).unwrap_or_default());
        let (client, mut sent) = (&self.client, 0);
        for at in 0..seat.letters.len() {
            let waiting = seat.letters.get(at).filter(|it| it.delivery == Delivery::Waiting);
            let Some(letter) = waiting else { continue };
            let Some(partition) = choose(letter.bound_in(topic)) else { break };
            let from = table.name(seat.batch.topic(letter.index)).unwrap_or_default();
            let code = with_letter(&seat.batch, letter, from, |frame, headers, time_ms| {
                if !is_known {
                    return INVALID_ARGUMENT;
                }
                let message = Outgoing::new(Place::letter(slot, at), partition, None, frame);
                let headers = headers.iter().map(|(name, value)| (name.as_bytes(), *value));
                // SAFETY: as in `hand_over`: a letter's frame lies in the arena too, and
                // `sent_count` counts the letters that are sent.
                unsafe { client.produce_one(topic, &message, time_ms, Headers::new(headers)) }
            });
            match code.unwrap_or(INVALID_ARGUMENT) {
                NO_ERROR => {
                    seat.letters.sent(at, topic);
                    sent += 1;
                }
                code => {
                    if code == UNKNOWN_PARTITION {
                        seat.letters.bind(at, -1);
                    }
                    refused(at, code);
                    if code == QUEUE_FULL {
                        break;
                    }
                }
            }
        }
        seat.sent_count += sent;
        self.letters_waiting -= sent;
        sent
    }

    /// Takes what librdkafka has to tell, at most `events_max` events, without waiting.
    pub(crate) fn poll(&mut self, events_max: usize, mut on_event: impl FnMut(Event)) -> bool {
        let (seats, letters_waiting) = (&mut self.seats, &mut self.letters_waiting);
        self.client.poll(events_max, |told| {
            let event = match told {
                Told::Report { place, partition, code, at } => {
                    let Some(seat) = seats.get_mut(place.slot).and_then(Option::as_mut) else {
                        return;
                    };
                    let (topic, letter) = seat.report(place.item, partition, code);
                    *letters_waiting += usize::from(letter.is_some() && code != NO_ERROR);
                    let index = seat.record_of(place.item);
                    let batch = &seat.batch;
                    let (read_us, listener) = (batch.read_us(index), batch.listener(index));
                    let mark = Mark { slot: place.slot, topic, read_us, listener, at };
                    let bytes = batch.record_bytes(index);
                    Event::Report { mark, partition, code, letter, place, bytes }
                }
                Told::Fatal(why) => Event::Fatal(why),
                Told::Trouble { text, all_down } => Event::Trouble { text, all_down },
                Told::Log { level, text } => Event::Log { level, text },
                Told::Statistics(json) => Event::Statistics(json),
            };
            on_event(event);
        })
    }

    /// True once a broker has told of its cluster.
    pub(crate) fn has_met_cluster(&self) -> bool {
        self.client.has_met_cluster()
    }

    /// Takes back what is queued and not on its way to a broker; with `in_flight` also what is
    /// (its outcome then stays unknown). Each record is reported as purged.
    pub(crate) fn purge(&self, in_flight: bool) {
        self.client.purge(in_flight);
    }
}

impl Seat {
    /// Notes which partition a record goes to when it is sent again; -1: any.
    fn bind(&mut self, index: usize, partition: i32) {
        if self.bound.is_empty() {
            self.bound.resize(self.batch.record_count(), -1);
        }
        self.bound[index] = partition;
    }

    fn bound(&self, index: usize) -> Option<i32> {
        self.bound.get(index).copied().filter(|&partition| partition >= 0)
    }

    /// The record that is meant, or that the letter is made of.
    fn record_of(&self, item: Item) -> usize {
        match item {
            Item::Record(index) => index,
            Item::Letter(at) => self.letters.get(at).map_or(0, |letter| letter.index),
        }
    }

    /// Notes a report. Gives the topic that it was sent to and, of a dead letter, why it is one.
    fn report(&mut self, item: Item, partition: i32, code: Code) -> (TopicIndex, Option<Failed>) {
        self.sent_count -= 1;
        let bound = if code == UNKNOWN_PARTITION { -1 } else { partition };
        let delivery = if code == NO_ERROR { Delivery::Delivered } else { Delivery::Waiting };
        match item {
            Item::Record(index) => {
                self.batch.set_delivery(index, delivery);
                if code != NO_ERROR {
                    self.bind(index, bound);
                }
                (self.batch.topic(index), None)
            }
            Item::Letter(at) => {
                let letter = self.letters.set(at, delivery);
                if code == NO_ERROR {
                    self.batch.set_delivery(letter.index, Delivery::Delivered);
                } else {
                    self.letters.bind(at, bound);
                }
                (letter.topic, Some(letter.reason))
            }
        }
    }
}

/// Hands one run of records over together, or one record alone; the code of that one.
fn hand_over(
    client: &Client,
    batch: &Batch,
    topic: TopicIndex,
    messages: &mut [Outgoing],
    first: Laid,
) -> Option<Code> {
    // SAFETY: the messages point into the batch in its seat: its arena is never reallocated
    // (`try_push` stays within its capacity, and nobody gets `&mut Batch` while it is here, but to
    // note where a record stands), and `release` refuses while a record is sent.
    unsafe {
        if !first.goes_alone {
            client.produce_run(topic, messages);
            return None;
        }
        let headers = Headers::new(record::headers(batch.headers(first.index)));
        Some(client.produce_one(topic, &messages[0], batch.time_ms(first.index), headers))
    }
}

/// Lays out the waiting records of a chain.
fn lay_out(
    seat: &Seat,
    chain: usize,
    slot: usize,
    now_ms: i64,
    mut choose: impl FnMut(Option<&[u8]>, Option<i32>) -> Option<i32>,
    messages: &mut Vec<Outgoing>,
    laid: &mut Vec<Laid>,
) {
    messages.clear();
    laid.clear();
    let batch = &seat.batch;
    for index in batch.chain(chain) {
        if batch.delivery(index) != Delivery::Waiting {
            continue;
        }
        let key = batch.key(index);
        let Some(partition) = choose(key, seat.bound(index)) else { continue };
        let place = Place::record(slot, index);
        messages.push(Outgoing::new(place, partition, key, batch.payload(index)));
        let goes_alone = batch.has_own_time(index)
            || !batch.headers(index).is_empty()
            || now_ms.abs_diff(batch.time_ms(index)) > TIME_SLACK_MS;
        laid.push(Laid { index, goes_alone });
    }
}
