//! The boundary to librdkafka: the only unsafe code of the project.
//!
//! `Flight` owns the client *and* the batches whose bytes librdkafka reads in place. A batch gets
//! in by `board` and out by `release`, which refuses while one of its records is with librdkafka;
//! so no pointer outlives its bytes, whatever the caller does. Fields are dropped in the order of
//! their declaration: the client (whose threads are joined by its end) before the batches.
//!
//! What the safe crate does not offer and is called here: batches without copy, delivery reports
//! as event arrays, a partitioner, purge.

#![allow(unsafe_code, reason = "the librdkafka boundary; each block carries its proof")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use corndog_pipeline::batch::{Batch, Delivery};
use corndog_pipeline::topics::TopicIndex;
use rdkafka_sys as sys;

use crate::partition;

/// An error code of librdkafka's, as a number: a broker may send codes that the bindings' enum
/// does not have, so it is never read as that enum.
pub(crate) type Code = i32;

/// No error.
pub(crate) const NO_ERROR: Code = 0;

/// Delivery reports taken from an event at once.
const REPORTS_MAX: usize = 1024;

/// What librdkafka tells.
#[derive(Debug)]
pub(crate) enum Event {
    /// A record's outcome. A record with an error is `Waiting` again.
    Report { slot: usize, index: usize, topic: TopicIndex, partition: i32, code: Code },
    /// The client is unusable from now on.
    Fatal(String),
    /// Something is wrong with a broker or all of them.
    Trouble(String),
    /// A line of its log; `level` is syslog's severity.
    Log { level: i32, text: String },
}

/// Makes a client with `conf` and ends it: what it refuses would be refused at start.
pub(crate) fn try_client(conf: &[(String, String)]) -> Result<(), String> {
    Client::new(conf, Box::new(|| {}), 0).map(drop)
}

/// A batch that is out, and how many of its records are with librdkafka.
struct Seat {
    batch: Batch,
    sent_count: usize,
}

/// The client, and the batches that it may read.
pub(crate) struct Flight {
    client: Client,
    seats: Vec<Option<Seat>>,
    messages: Vec<sys::rd_kafka_message_t>,
    indexes: Vec<usize>,
    reports: Vec<*const sys::rd_kafka_message_t>,
}

// SAFETY: the raw pointers in `messages` and `reports` are scratch: written and read within one
// call. The client's pointers may be used from any thread (librdkafka locks inside), and nothing
// here is shared: a Flight moves to another thread as a whole, before it is used there.
unsafe impl Send for Flight {}

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
            indexes: Vec::with_capacity(records_max),
            reports: vec![ptr::null(); REPORTS_MAX],
        })
    }

    /// Ends the client and makes another. Records that were with the old one are `Waiting` again.
    pub(crate) fn rebuild(
        &mut self,
        conf: &[(String, String)],
        on_report: Box<dyn Fn() + Send + Sync>,
    ) -> Result<(), String> {
        let topics_max = self.client.topics.len();
        // The old client ends when it is overwritten: after that nothing reads the batches.
        self.client = Client::new(conf, on_report, topics_max)?;
        for seat in self.seats.iter_mut().flatten() {
            seat.sent_count = 0;
            for index in 0..seat.batch.record_count() {
                if seat.batch.delivery(index) == Delivery::Sent {
                    seat.batch.set_delivery(index, Delivery::Waiting);
                }
            }
        }
        Ok(())
    }

    /// Takes a batch in; gives it back if no seat is free.
    pub(crate) fn board(&mut self, batch: Batch) -> Result<usize, Batch> {
        match self.seats.iter().position(Option::is_none) {
            Some(slot) => {
                self.seats[slot] = Some(Seat { batch, sent_count: 0 });
                Ok(slot)
            }
            None => Err(batch),
        }
    }

    /// The batch in `slot`, to look at.
    pub(crate) fn batch(&self, slot: usize) -> Option<&Batch> {
        self.seats[slot].as_ref().map(|seat| &seat.batch)
    }

    /// Notes that a record is given up. Records that are with librdkafka stay as they are.
    pub(crate) fn give_up(&mut self, slot: usize, index: usize) {
        if let Some(seat) = &mut self.seats[slot]
            && seat.batch.delivery(index) == Delivery::Waiting
        {
            seat.batch.set_delivery(index, Delivery::Failed);
        }
    }

    /// Gives the batch back, unless one of its records is with librdkafka.
    pub(crate) fn release(&mut self, slot: usize) -> Option<Batch> {
        let seat = self.seats[slot].take_if(|seat| seat.sent_count == 0)?;
        Some(seat.batch)
    }

    /// The number of partitions of `topic` when librdkafka last said it; 0: not known.
    pub(crate) fn partition_count(&self, topic: TopicIndex) -> i32 {
        let handle = self.client.topics[topic.index()].as_ref();
        handle.map_or(0, |handle| handle.partitions.load(Ordering::Relaxed))
    }

    /// Hands the waiting records of one topic of one batch to librdkafka, in their order.
    ///
    /// `choose` says for each which partition it goes to, by its key: -1 lets librdkafka ask our
    /// partitioner (which learns the partition count), `None` leaves the record waiting. Records
    /// that are refused stay `Waiting` and are given to `refused` with the code. Returns how many
    /// are sent.
    ///
    /// Cost:   no copy of the payload; no allocation of ours.
    pub(crate) fn produce(
        &mut self,
        slot: usize,
        chain: usize,
        name: &str,
        choose: impl FnMut(Option<&[u8]>) -> Option<i32>,
        mut refused: impl FnMut(usize, Code),
    ) -> usize {
        let Some(seat) = &mut self.seats[slot] else { return 0 };
        let Some(handle) = self.client.topic(seat.batch.chain_topic(chain), name) else {
            let code = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG as Code;
            let is_waiting = |&index: &usize| seat.batch.delivery(index) == Delivery::Waiting;
            seat.batch.chain(chain).filter(is_waiting).for_each(|index| refused(index, code));
            return 0;
        };
        let topic = handle.topic;
        fill(seat, chain, slot, choose, &mut self.messages, &mut self.indexes);
        // All to one partition: librdkafka looks it up once.
        let first = self.messages.first().map_or(-1, |message| message.partition);
        let is_one = self.messages.iter().all(|message| message.partition == first);
        let (partition, flags) =
            if is_one { (first, 0) } else { (-1, sys::RD_KAFKA_MSG_F_PARTITION) };
        // SAFETY: `topic` is this client's handle, alive as long as it. `messages` holds exactly
        // that many entries. With neither F_COPY nor F_FREE librdkafka keeps the payload pointers
        // until it reports each record (keys are copied). They point into the batch in this seat:
        // its arena is never reallocated (`try_push` stays within its capacity, and nobody gets
        // `&mut Batch` while it is here), and `release` refuses while a record is sent.
        unsafe {
            sys::rd_kafka_produce_batch(
                topic,
                partition,
                flags as c_int,
                self.messages.as_mut_ptr(),
                self.messages.len() as c_int,
            );
        }
        let mut sent = 0;
        for (message, &index) in self.messages.iter().zip(&self.indexes) {
            match code_of(message) {
                NO_ERROR => {
                    seat.batch.set_delivery(index, Delivery::Sent);
                    sent += 1;
                }
                code => refused(index, code),
            }
        }
        seat.sent_count += sent;
        sent
    }

    /// Takes what librdkafka has to tell, at most `events_max` events, without waiting.
    pub(crate) fn poll(&mut self, events_max: usize, mut on_event: impl FnMut(Event)) -> bool {
        for _ in 0..events_max {
            // SAFETY: the queue belongs to this client and lives as long as it; 0: do not wait.
            let event = unsafe { sys::rd_kafka_queue_poll(self.client.queue, 0) };
            if event.is_null() {
                return false;
            }
            // SAFETY: `event` is not null, is ours, and is destroyed once, below.
            match unsafe { sys::rd_kafka_event_type(event) } {
                sys::RD_KAFKA_EVENT_DR => self.take_reports(event, &mut on_event),
                sys::RD_KAFKA_EVENT_ERROR => on_event(error_of(event)),
                sys::RD_KAFKA_EVENT_LOG => on_event(log_of(event)),
                _ => {}
            }
            // SAFETY: as above; nothing taken from it is used after this.
            unsafe { sys::rd_kafka_event_destroy(event) };
        }
        true
    }

    fn take_reports(
        &mut self,
        event: *mut sys::rd_kafka_event_t,
        on_event: &mut impl FnMut(Event),
    ) {
        loop {
            // SAFETY: `event` is a delivery report event; at most `reports.len()` pointers are
            // written to `reports`, and each stays good until the event is destroyed.
            let count = unsafe {
                sys::rd_kafka_event_message_array(
                    event,
                    self.reports.as_mut_ptr(),
                    self.reports.len(),
                )
            };
            if count == 0 {
                return;
            }
            for &message in &self.reports[..count] {
                // SAFETY: one of the `count` pointers just written.
                let message = unsafe { &*message };
                let (slot, index) = unpack(message._private as usize);
                let code = code_of(message);
                let Some(seat) = self.seats.get_mut(slot).and_then(Option::as_mut) else {
                    continue;
                };
                let delivery =
                    if code == NO_ERROR { Delivery::Delivered } else { Delivery::Waiting };
                seat.batch.set_delivery(index, delivery);
                seat.sent_count -= 1;
                let topic = seat.batch.topic(index);
                let partition = message.partition;
                on_event(Event::Report { slot, index, topic, partition, code });
            }
        }
    }

    /// Takes back what is queued and not on its way to a broker; with `in_flight` also what is
    /// (its outcome then stays unknown). Each record is reported as purged.
    pub(crate) fn purge(&self, in_flight: bool) {
        let what = sys::RD_KAFKA_PURGE_F_QUEUE
            | if in_flight { sys::RD_KAFKA_PURGE_F_INFLIGHT } else { 0 }
            | sys::RD_KAFKA_PURGE_F_NON_BLOCKING;
        // SAFETY: the client is alive; purging may be done from any thread.
        unsafe { sys::rd_kafka_purge(self.client.rk, what as c_int) };
    }
}

/// Lays out the waiting records of a chain for `rd_kafka_produce_batch`.
fn fill(
    seat: &Seat,
    chain: usize,
    slot: usize,
    mut choose: impl FnMut(Option<&[u8]>) -> Option<i32>,
    messages: &mut Vec<sys::rd_kafka_message_t>,
    indexes: &mut Vec<usize>,
) {
    messages.clear();
    indexes.clear();
    for index in seat.batch.chain(chain) {
        if seat.batch.delivery(index) != Delivery::Waiting {
            continue;
        }
        let key = seat.batch.key(index);
        let Some(partition) = choose(key) else { continue };
        let payload = seat.batch.payload(index);
        messages.push(sys::rd_kafka_message_t {
            err: sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
            rkt: ptr::null_mut(),
            partition,
            payload: payload.as_ptr().cast_mut().cast(),
            len: payload.len(),
            key: key.map_or(ptr::null_mut(), |key| key.as_ptr().cast_mut().cast()),
            key_len: key.map_or(0, <[u8]>::len),
            offset: 0,
            _private: pack(slot, index) as *mut c_void,
        });
        indexes.push(index);
    }
}

/// A record's place as one word: librdkafka gives it back with the report.
const fn pack(slot: usize, index: usize) -> usize {
    slot << 32 | index
}

const fn unpack(word: usize) -> (usize, usize) {
    (word >> 32, word & 0xffff_ffff)
}

fn code_of(message: &sys::rd_kafka_message_t) -> Code {
    // SAFETY: `err` is a C enum, so an i32, initialised. Read as a number, through a pointer that
    // never makes it the Rust enum, it may be a code that the enum does not have.
    unsafe { (&raw const message.err).cast::<Code>().read() }
}

fn error_of(event: *mut sys::rd_kafka_event_t) -> Event {
    // SAFETY: `event` is alive; the string it gives lives as long as it and is copied here.
    unsafe {
        let text = text_of(sys::rd_kafka_event_error_string(event));
        if sys::rd_kafka_event_error_is_fatal(event) != 0 {
            return Event::Fatal(text);
        }
        Event::Trouble(text)
    }
}

fn log_of(event: *mut sys::rd_kafka_event_t) -> Event {
    let (mut facility, mut text, mut level) = (ptr::null(), ptr::null(), 0);
    // SAFETY: `event` is a log event, alive; the strings live as long as it and are copied here.
    unsafe {
        sys::rd_kafka_event_log(event, &mut facility, &mut text, &mut level);
        Event::Log { level, text: format!("{}: {}", text_of(facility), text_of(text)) }
    }
}

/// Copies a C string.
///
/// # Safety
/// `text` is null or ends with a NUL and is alive.
unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by this function's contract.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A topic's handle, and the cell in which our partitioner leaves the partition count.
struct Handle {
    topic: *mut sys::rd_kafka_topic_t,
    /// Written by the partitioner on librdkafka's threads, read by the producer.
    partitions: Box<AtomicI32>,
}

/// librdkafka's client, its event queue and its topics.
struct Client {
    rk: *mut sys::rd_kafka_t,
    queue: *mut sys::rd_kafka_queue_t,
    topics: Vec<Option<Handle>>,
    /// Boxed twice: librdkafka keeps one plain pointer to it.
    on_report: Box<Box<dyn Fn() + Send + Sync>>,
}

impl Client {
    fn new(
        conf: &[(String, String)],
        on_report: Box<dyn Fn() + Send + Sync>,
        topics_max: usize,
    ) -> Result<Client, String> {
        let conf = Conf::new(conf)?;
        let events = sys::RD_KAFKA_EVENT_DR | sys::RD_KAFKA_EVENT_ERROR | sys::RD_KAFKA_EVENT_LOG;
        let mut why = [0 as c_char; 512];
        let on_report = Box::new(on_report);
        // SAFETY: `conf` is alive; `rd_kafka_new` takes it over only where it succeeds, and only
        // then it is forgotten here. `why` is as long as said. The queue is asked of a client that
        // is not null. `on_report` is boxed and kept in the Client, which disables the callback
        // before it lets go of it; `announce` gets exactly that pointer.
        unsafe {
            sys::rd_kafka_conf_set_events(conf.0, events as c_int);
            let kind = sys::rd_kafka_type_t::RD_KAFKA_PRODUCER;
            let rk = sys::rd_kafka_new(kind, conf.0, why.as_mut_ptr(), why.len());
            if rk.is_null() {
                return Err(text_of(why.as_ptr()));
            }
            std::mem::forget(conf);
            sys::rd_kafka_set_log_queue(rk, ptr::null_mut());
            let queue = sys::rd_kafka_queue_get_main(rk);
            let opaque = ptr::from_ref(&*on_report).cast_mut().cast();
            sys::rd_kafka_queue_cb_event_enable(queue, Some(announce), opaque);
            let topics = (0..topics_max).map(|_| None).collect();
            Ok(Client { rk, queue, topics, on_report })
        }
    }

    /// The handle of a topic, made where it is new; `None` if librdkafka refuses the name.
    fn topic(&mut self, topic: TopicIndex, name: &str) -> Option<&Handle> {
        let slot = &mut self.topics[topic.index()];
        if slot.is_none() {
            let name = CString::new(name).ok()?;
            let partitions = Box::new(AtomicI32::new(0));
            // SAFETY: the client is alive, `name` ends with a NUL. The configuration is a copy of
            // the client's and is taken over by `rd_kafka_topic_new`. The cell that the partitioner
            // writes to is boxed and lives until the client is destroyed (see `drop`).
            let handle = unsafe {
                let conf = sys::rd_kafka_default_topic_conf_dup(self.rk);
                sys::rd_kafka_topic_conf_set_partitioner_cb(conf, Some(choose_partition));
                let cell = ptr::from_ref(&*partitions).cast_mut().cast();
                sys::rd_kafka_topic_conf_set_opaque(conf, cell);
                sys::rd_kafka_topic_new(self.rk, name.as_ptr(), conf)
            };
            if handle.is_null() {
                return None;
            }
            *slot = Some(Handle { topic: handle, partitions });
        }
        slot.as_ref()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: each handle is destroyed once, topics and queue before the client. The callback
        // is disabled first. `rd_kafka_destroy_flags` joins librdkafka's threads: when it returns,
        // nothing calls the partitioner or reads a payload; cells and `on_report` go after that.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue, None, ptr::null_mut());
            for handle in self.topics.iter().flatten() {
                sys::rd_kafka_topic_destroy(handle.topic);
            }
            sys::rd_kafka_queue_destroy(self.queue);
            sys::rd_kafka_destroy_flags(
                self.rk,
                sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE as c_int,
            );
        }
        debug_assert!(ptr::from_ref(&*self.on_report).is_aligned());
    }
}

/// A configuration that no client has taken over yet.
pub(crate) struct Conf(*mut sys::rd_kafka_conf_t);

impl Conf {
    /// Sets each key. Errors: librdkafka's own sentence about the first that it refuses.
    pub(crate) fn new(pairs: &[(String, String)]) -> Result<Conf, String> {
        // SAFETY: no precondition; what it gives is destroyed in `drop` or taken over.
        let conf = Conf(unsafe { sys::rd_kafka_conf_new() });
        for (key, value) in pairs {
            conf.set(key, value)?;
        }
        Ok(conf)
    }

    fn set(&self, key: &str, value: &str) -> Result<(), String> {
        let nul = |_| format!("{key}: a NUL byte is not allowed");
        let (c_key, c_value) = (CString::new(key).map_err(nul)?, CString::new(value).map_err(nul)?);
        let mut why = [0 as c_char; 512];
        // SAFETY: the configuration is alive; both strings end with a NUL; `why` is as long as said
        // and ends with a NUL after the call.
        unsafe {
            let result = sys::rd_kafka_conf_set(
                self.0,
                c_key.as_ptr(),
                c_value.as_ptr(),
                why.as_mut_ptr(),
                why.len(),
            );
            match result {
                sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
                _ => Err(text_of(why.as_ptr())),
            }
        }
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: not taken over by a client (then it is forgotten), so ours to destroy, once.
        unsafe { sys::rd_kafka_conf_destroy(self.0) };
    }
}

/// Called by librdkafka when an event comes to the empty queue.
unsafe extern "C" fn announce(_client: *mut sys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: `opaque` is the pointer given in `Client::new`, to a callback that outlives this.
    let on_report = unsafe { &*opaque.cast::<Box<dyn Fn() + Send + Sync>>() };
    on_report();
}

/// Called by librdkafka for records without a given partition: it tells us the partition count.
/// Keyed records go where their key says; the others of one batch go together.
unsafe extern "C" fn choose_partition(
    _topic: *const sys::rd_kafka_topic_t,
    key: *const c_void,
    key_bytes: usize,
    partition_count: i32,
    topic_opaque: *mut c_void,
    message_opaque: *mut c_void,
) -> i32 {
    // SAFETY: the pointer given in `Client::topic`; the cell outlives the client.
    let cell = unsafe { &*topic_opaque.cast::<AtomicI32>() };
    cell.store(partition_count, Ordering::Relaxed);
    if key.is_null() {
        return partition::of_batch(unpack(message_opaque as usize).0, partition_count);
    }
    // SAFETY: librdkafka gives its copy of the key, of that length.
    let key = unsafe { std::slice::from_raw_parts(key.cast::<u8>(), key_bytes) };
    partition::of_key(key, partition_count)
}
