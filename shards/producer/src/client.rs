//! librdkafka's client, its topics and its event queue. With `values.rs`, `brake.rs` and
//! `native.rs` the only unsafe code of the project: here are the calls, in `native.rs` the proof
//! that the bytes outlive them.
//!
//! What the safe crate does not offer and is called here: batches without copy, single records with
//! headers and a time without copy, delivery reports as event arrays, a partitioner, purge.

#![allow(unsafe_code, reason = "the librdkafka boundary; each block carries its proof")]

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;

use corndog_pipeline::topics::TopicIndex;
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_vu_s__bindgen_ty_1 as Value;

use crate::brake::Brake;
use crate::partition;
use crate::place::Place;
use crate::values::{
    Code, Conf, FATAL, Headers, INVALID_ARGUMENT, NO_ERROR, Outgoing, code_of, text_of,
};

/// Delivery reports taken from an event at once.
const REPORTS_MAX: usize = 1024;
/// The earliest time of a record, in milliseconds since 1970: librdkafka takes 0 for "now", and
/// Kafka knows no time before.
const TIME_MS_MIN: i64 = 1;

unsafe extern "C" {
    // As the bindings have it, but giving the number that C gives, not their enum.
    fn rd_kafka_error_code(error: *const sys::rd_kafka_error_t) -> Code;
    fn rd_kafka_event_error(event: *mut sys::rd_kafka_event_t) -> Code;
}

/// What librdkafka tells.
#[derive(Debug)]
pub(crate) enum Told {
    /// A record's outcome.
    Report { place: Place, partition: i32, code: Code, at: Instant },
    /// The client is unusable from now on.
    Fatal(String),
    /// Something is wrong with a broker, or all of them are down.
    Trouble { text: String, all_down: bool },
    /// A line of its log; `level` is syslog's severity.
    Log { level: i32, text: String },
    /// Its statistics, as JSON.
    Statistics(String),
}

/// Makes a client with `conf` and ends it: what it refuses would be refused at start.
pub(crate) fn try_client(conf: &[(String, String)]) -> Result<(), String> {
    Client::new(conf, Box::new(|| {}), 0).map(drop)
}

/// A topic's handle, and the cell in which our partitioner leaves the partition count.
struct Handle {
    name: CString,
    topic: *mut sys::rd_kafka_topic_t,
    /// Written by the partitioner on librdkafka's threads, read by the producer. Shared by the
    /// numbers that hold the same name: librdkafka knows one topic for both, and one cell.
    partitions: Arc<AtomicI32>,
}

/// librdkafka's client, its event queue and its topics.
pub(crate) struct Client {
    rk: *mut sys::rd_kafka_t,
    queue: *mut sys::rd_kafka_queue_t,
    topics: Vec<Option<Handle>>,
    reports: Vec<*const sys::rd_kafka_message_t>,
    /// Boxed twice: librdkafka keeps one plain pointer to it.
    on_report: Box<Box<dyn Fn() + Send + Sync>>,
    /// Boxed: librdkafka keeps a plain pointer to it.
    brake: Box<Brake>,
}

// SAFETY: the client's pointers may be used from any thread (librdkafka locks inside), and nothing
// here is shared: a Client moves to another thread as a whole, before it is used there. `reports`
// is scratch: written and read within one call.
unsafe impl Send for Client {}

impl Client {
    /// A client with `conf` for topics numbered below `topics_max`.
    ///
    /// `on_report` is called from librdkafka's threads when reports come while none were waiting.
    pub(crate) fn new(
        conf: &[(String, String)],
        on_report: Box<dyn Fn() + Send + Sync>,
        topics_max: usize,
    ) -> Result<Client, String> {
        let conf = Conf::new(conf)?;
        let events = sys::RD_KAFKA_EVENT_DR
            | sys::RD_KAFKA_EVENT_ERROR
            | sys::RD_KAFKA_EVENT_LOG
            | sys::RD_KAFKA_EVENT_STATS;
        let mut why = [0 as c_char; 512];
        let on_report = Box::new(on_report);
        let brake = Box::<Brake>::default();
        // SAFETY: the brake is boxed and dropped after the client is destroyed.
        unsafe { brake.watch(&conf) };
        // SAFETY: `conf` is alive; `rd_kafka_new` takes it over where it succeeds. Where it fails
        // late (no SASL user, no such CA file) it has freed the brake's interceptors in it, and to
        // destroy it would free them twice: so it is forgotten in both cases, for some KiB at a
        // refused start. `why` is as long as said. The queue is asked of a client that is not null.
        // `on_report` is boxed and kept in the Client, which disables the callback before it lets
        // go of it; `announce` gets exactly that pointer.
        unsafe {
            sys::rd_kafka_conf_set_events(conf.0, events as c_int);
            let kind = sys::rd_kafka_type_t::RD_KAFKA_PRODUCER;
            let rk = sys::rd_kafka_new(kind, conf.0, why.as_mut_ptr(), why.len());
            std::mem::forget(conf);
            if rk.is_null() {
                return Err(text_of(why.as_ptr()));
            }
            sys::rd_kafka_set_log_queue(rk, ptr::null_mut());
            let queue = sys::rd_kafka_queue_get_main(rk);
            let opaque = ptr::from_ref(&*on_report).cast_mut().cast();
            sys::rd_kafka_queue_cb_event_enable(queue, Some(announce), opaque);
            let topics = (0..topics_max).map(|_| None).collect();
            let reports = vec![ptr::null(); REPORTS_MAX];
            Ok(Client { rk, queue, topics, reports, on_report, brake })
        }
    }

    /// The number of topics that it has room for.
    pub(crate) fn topics_max(&self) -> usize {
        self.topics.len()
    }

    /// Makes the handle of a topic where it is new; `false` if librdkafka refuses the name.
    pub(crate) fn open_topic(&mut self, topic: TopicIndex, name: &str) -> bool {
        if self.topics[topic.index()].is_some() {
            return true;
        }
        let Ok(name) = CString::new(name) else { return false };
        let partitions = Arc::new(AtomicI32::new(0));
        // SAFETY: the client is alive, `name` ends with a NUL. The configuration is a copy of
        // the client's and is taken over by `rd_kafka_topic_new`, which drops it where it knows the
        // name already. The cell that the partitioner writes to is kept until the client is
        // destroyed (see `drop`).
        let handle = unsafe {
            let conf = sys::rd_kafka_default_topic_conf_dup(self.rk);
            sys::rd_kafka_topic_conf_set_partitioner_cb(conf, Some(choose_partition));
            sys::rd_kafka_topic_conf_set_opaque(conf, Arc::as_ptr(&partitions).cast_mut().cast());
            sys::rd_kafka_topic_new(self.rk, name.as_ptr(), conf)
        };
        if handle.is_null() {
            return false;
        }
        // The same handle again: the partitioner writes to the cell of whoever came first.
        let known = self.topics.iter().flatten().find(|known| known.topic == handle);
        let partitions = known.map_or(partitions, |known| known.partitions.clone());
        self.topics[topic.index()] = Some(Handle { name, topic: handle, partitions });
        true
    }

    /// Lets the topic's partitions go on that were stopped when a set of them was refused.
    pub(crate) fn restart(&self, topic: TopicIndex) {
        if let Some(handle) = &self.topics[topic.index()] {
            // SAFETY: the client is alive, and its brake is this one.
            unsafe { self.brake.release(self.rk, &handle.name) };
        }
    }

    /// The number of partitions of `topic` when librdkafka last said it; 0: not known.
    pub(crate) fn partition_count(&self, topic: TopicIndex) -> i32 {
        let handle = self.topics[topic.index()].as_ref();
        handle.map_or(0, |handle| handle.partitions.load(Ordering::Relaxed))
    }

    /// Hands over records of one topic whose time is now and that have no headers; each then has
    /// its code.
    ///
    /// Cost:   no copy of the payload; no allocation of ours.
    ///
    /// # Safety
    /// The payloads stay where they are until each record that was taken is reported or the client
    /// has ended; the keys during the call.
    pub(crate) unsafe fn produce_run(&self, topic: TopicIndex, run: &mut [Outgoing]) {
        let (Some(handle), Some(first)) = (&self.topics[topic.index()], run.first()) else {
            return;
        };
        // All to one partition: librdkafka looks it up once.
        let first = first.0.partition;
        let is_one = run.iter().all(|message| message.0.partition == first);
        let (partition, flags) =
            if is_one { (first, 0) } else { (-1, sys::RD_KAFKA_MSG_F_PARTITION) };
        // SAFETY: `handle` is this client's, alive as long as it. `Outgoing` is transparent, so
        // `run` holds exactly that many entries. With neither F_COPY nor F_FREE librdkafka keeps
        // the payload pointers until it reports each record, and copies the keys: the caller
        // vouches for both.
        unsafe {
            sys::rd_kafka_produce_batch(
                handle.topic,
                partition,
                flags as c_int,
                run.as_mut_ptr().cast(),
                run.len() as c_int,
            );
        }
    }

    /// Hands over one record with its time, in milliseconds since 1970, and its headers.
    ///
    /// # Safety
    /// As for [`Client::produce_run`].
    pub(crate) unsafe fn produce_one(
        &self,
        topic: TopicIndex,
        message: &Outgoing,
        time_ms: i64,
        headers: Headers,
    ) -> Code {
        use sys::rd_kafka_vtype_t as Type;
        let Some(handle) = &self.topics[topic.index()] else { return INVALID_ARGUMENT };
        let mem =
            |ptr, size| Value { mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr, size } };
        let values = [
            (Type::RD_KAFKA_VTYPE_RKT, Value { rkt: handle.topic }),
            (Type::RD_KAFKA_VTYPE_PARTITION, Value { i32_: message.0.partition }),
            (Type::RD_KAFKA_VTYPE_MSGFLAGS, Value { i: 0 }),
            (Type::RD_KAFKA_VTYPE_VALUE, mem(message.0.payload, message.0.len)),
            (Type::RD_KAFKA_VTYPE_KEY, mem(message.0.key, message.0.key_len)),
            (Type::RD_KAFKA_VTYPE_OPAQUE, Value { ptr: message.0._private }),
            (Type::RD_KAFKA_VTYPE_TIMESTAMP, Value { i64_: time_ms.max(TIME_MS_MIN) }),
            (Type::RD_KAFKA_VTYPE_HEADERS, Value { headers: headers.0 }),
        ]
        .map(|(vtype, u)| sys::rd_kafka_vu_t { vtype, u });
        // SAFETY: the client and the handle are alive; each value is the union's member that its
        // type names. Flags 0: no copy and no free, as in `produce_run`; a null key is no key. The
        // headers are taken over where no error comes back, and only then they are forgotten here.
        // An error is ours to destroy, once.
        unsafe {
            let error = sys::rd_kafka_produceva(self.rk, values.as_ptr(), values.len());
            if error.is_null() {
                std::mem::forget(headers);
                return NO_ERROR;
            }
            // After a fatal error its own code would come, as if this record were at fault.
            let code = match sys::rd_kafka_error_is_fatal(error) {
                0 => rd_kafka_error_code(error),
                _ => FATAL,
            };
            sys::rd_kafka_error_destroy(error);
            code
        }
    }

    /// Takes what librdkafka has to tell, at most `events_max` events, without waiting. True: there
    /// may be more.
    pub(crate) fn poll(&mut self, events_max: usize, mut on_told: impl FnMut(Told)) -> bool {
        for _ in 0..events_max {
            // SAFETY: the queue belongs to this client and lives as long as it; 0: do not wait.
            let event = unsafe { sys::rd_kafka_queue_poll(self.queue, 0) };
            if event.is_null() {
                return false;
            }
            // SAFETY: `event` is not null, is ours, and is destroyed once, below.
            match unsafe { sys::rd_kafka_event_type(event) } {
                sys::RD_KAFKA_EVENT_DR => self.take_reports(event, &mut on_told),
                sys::RD_KAFKA_EVENT_ERROR => on_told(error_of(event)),
                sys::RD_KAFKA_EVENT_LOG => on_told(log_of(event)),
                sys::RD_KAFKA_EVENT_STATS => on_told(statistics_of(event)),
                _ => {}
            }
            // SAFETY: as above; nothing taken from it is used after this.
            unsafe { sys::rd_kafka_event_destroy(event) };
        }
        true
    }

    fn take_reports(&mut self, event: *mut sys::rd_kafka_event_t, on_told: &mut impl FnMut(Told)) {
        let at = Instant::now();
        loop {
            let (reports, room) = (self.reports.as_mut_ptr(), self.reports.len());
            // SAFETY: `event` is a delivery report event; at most `room` pointers are written to
            // `reports`, and each stays good until the event is destroyed.
            let count = unsafe { sys::rd_kafka_event_message_array(event, reports, room) };
            if count == 0 {
                return;
            }
            for &message in &self.reports[..count] {
                // SAFETY: one of the `count` pointers just written.
                let message = unsafe { &*message };
                let place = Place::unpack(message._private as usize);
                let (partition, code) = (message.partition, code_of(message));
                on_told(Told::Report { place, partition, code, at });
            }
        }
    }

    /// True once a broker has told of its cluster. Does not wait.
    pub(crate) fn has_met_cluster(&self) -> bool {
        // SAFETY: the client is alive; 0: only what is known already.
        unsafe { sys::rd_kafka_controllerid(self.rk, 0) >= 0 }
    }

    /// Takes back what is queued and not on its way to a broker; with `in_flight` also what is
    /// (its outcome then stays unknown). Each record is reported as purged.
    pub(crate) fn purge(&self, in_flight: bool) {
        let what = sys::RD_KAFKA_PURGE_F_QUEUE
            | if in_flight { sys::RD_KAFKA_PURGE_F_INFLIGHT } else { 0 }
            | sys::RD_KAFKA_PURGE_F_NON_BLOCKING;
        // SAFETY: the client is alive; purging may be done from any thread.
        unsafe { sys::rd_kafka_purge(self.rk, what as c_int) };
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.brake.end();
        // SAFETY: each handle is given back as often as it was made (librdkafka counts where two
        // numbers hold one name), topics and queue before the client. The callback is disabled
        // first. `rd_kafka_destroy_flags` joins librdkafka's threads: when it returns, nothing
        // calls the partitioner or reads a payload; cells, `on_report` and `brake` go after that.
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

fn error_of(event: *mut sys::rd_kafka_event_t) -> Told {
    // SAFETY: `event` is alive; the string it gives lives as long as it and is copied here.
    unsafe {
        let text = text_of(sys::rd_kafka_event_error_string(event));
        if sys::rd_kafka_event_error_is_fatal(event) != 0 {
            return Told::Fatal(text);
        }
        let all_down = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as Code;
        Told::Trouble { text, all_down: rd_kafka_event_error(event) == all_down }
    }
}

fn log_of(event: *mut sys::rd_kafka_event_t) -> Told {
    let (mut facility, mut text, mut level) = (ptr::null(), ptr::null(), 0);
    // SAFETY: `event` is a log event, alive; the strings live as long as it and are copied here.
    unsafe {
        sys::rd_kafka_event_log(event, &mut facility, &mut text, &mut level);
        Told::Log { level, text: format!("{}: {}", text_of(facility), text_of(text)) }
    }
}

fn statistics_of(event: *mut sys::rd_kafka_event_t) -> Told {
    // SAFETY: `event` is a statistics event, alive; its text lives as long as it and is copied here.
    unsafe { Told::Statistics(text_of(sys::rd_kafka_event_stats(event))) }
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
    // SAFETY: the pointer given in `open_topic`; the cell outlives the client.
    let cell = unsafe { &*topic_opaque.cast::<AtomicI32>() };
    cell.store(partition_count, Ordering::Relaxed);
    if key.is_null() {
        return partition::of_batch(Place::unpack(message_opaque as usize).slot, partition_count);
    }
    // SAFETY: librdkafka gives its copy of the key, of that length.
    let key = unsafe { std::slice::from_raw_parts(key.cast::<u8>(), key_bytes) };
    partition::of_key(key, partition_count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_with_one_name_learn_its_partitions_together() {
        let mut client = Client::new(&[], Box::new(|| {}), 8).expect("a client");
        let [first, other, second] = [0, 3, 7].map(TopicIndex::new);
        assert!(client.open_topic(first, "one"));
        assert!(client.open_topic(other, "two"));
        assert!(client.open_topic(second, "one"));
        // What the partitioner does with the cell that librdkafka was given first.
        let cell = |topic: TopicIndex| client.topics[topic.index()].as_ref().expect("open");
        cell(first).partitions.store(7, Ordering::Relaxed);
        assert_eq!(client.partition_count(second), 7);
        assert_eq!(client.partition_count(other), 0);
    }
}
