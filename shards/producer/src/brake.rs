//! Stops a partition in the instant in which a broker refuses one of its MessageSets.
//!
//! librdkafka goes on with what is queued behind a refused set at once, on the thread that took the
//! broker's answer: before any other thread can have heard of it. What is to be sent again in its
//! order would stand behind that. So the partition is paused from within that thread, between the
//! answer and whatever it does next, by an interceptor, which librdkafka calls for each record
//! before its report. What is queued then stays until it is purged, and the partition until
//! [`Brake::release`].

#![allow(unsafe_code, reason = "the librdkafka boundary; each block carries its proof")]

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t as Error;

use crate::outcome::stops_partition;
use crate::values::{Conf, NO_ERROR, code_of};

const NAME: &CStr = c"corndog";

/// Pauses or resumes the partitions of a list.
type Act =
    unsafe extern "C" fn(*mut sys::rd_kafka_t, *mut sys::rd_kafka_topic_partition_list_t) -> Error;

thread_local! {
    /// This is one of librdkafka's threads that talk to a broker. Set when it starts, by itself.
    static IS_BROKER_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Which partitions of one client are stopped.
#[derive(Debug, Default)]
pub(crate) struct Brake(Mutex<State>);

/// Written by librdkafka's threads and by the producer.
#[derive(Debug, Default)]
struct State {
    stopped: Vec<(CString, i32)>,
    /// The client ends: its main thread, which does the pausing, answers no more.
    is_over: bool,
}

impl Brake {
    /// Fits the brake to the client that will be made of `conf`.
    ///
    /// # Safety
    /// The brake stays where it is until that client is destroyed.
    pub(crate) unsafe fn watch(&self, conf: &Conf) {
        let opaque = std::ptr::from_ref(self).cast_mut().cast();
        // SAFETY: `conf` is no client's yet; the name is copied; the caller vouches for `opaque`.
        // It can only fail where the name is there already.
        unsafe {
            sys::rd_kafka_conf_interceptor_add_on_new(conf.0, NAME.as_ptr(), Some(on_new), opaque);
        }
    }

    /// Lets the stopped partitions of a topic go on.
    ///
    /// # Safety
    /// The client is the one that the brake watches, and alive.
    pub(crate) unsafe fn release(&self, client: *mut sys::rd_kafka_t, topic: &CStr) {
        let mut state = self.lock();
        state.stopped.retain(|(stopped, partition)| {
            let is_other = **stopped != *topic;
            if !is_other {
                // SAFETY: by this function's contract.
                unsafe { tell(client, sys::rd_kafka_resume_partitions, topic, *partition) };
            }
            is_other
        });
    }

    /// The client is about to be destroyed: from now on nothing is stopped.
    pub(crate) fn end(&self) {
        self.lock().is_over = true;
    }

    /// Stops a partition, unless it is stopped.
    ///
    /// # Safety
    /// `client` is alive, and this is one of its broker threads.
    unsafe fn stop(&self, client: *mut sys::rd_kafka_t, topic: &CStr, partition: i32) {
        let mut state = self.lock();
        let is_stopped = |(name, at): &(CString, i32)| *at == partition && **name == *topic;
        if state.is_over || state.stopped.iter().any(is_stopped) {
            return;
        }
        // The lock is held until the main thread has done it, which never asks for the lock.
        // SAFETY: by this function's contract.
        unsafe { tell(client, sys::rd_kafka_pause_partitions, topic, partition) };
        state.stopped.push((topic.to_owned(), partition));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has `act` done to one partition, and waits until it is.
///
/// # Safety
/// The client is alive.
unsafe fn tell(client: *mut sys::rd_kafka_t, act: Act, topic: &CStr, partition: i32) {
    // SAFETY: the client is alive; the list is ours, made and destroyed here, and copies the name.
    unsafe {
        let list = sys::rd_kafka_topic_partition_list_new(1);
        sys::rd_kafka_topic_partition_list_add(list, topic.as_ptr(), partition);
        act(client, list);
        sys::rd_kafka_topic_partition_list_destroy(list);
    }
}

/// Called by `rd_kafka_new`, before the client has threads.
unsafe extern "C" fn on_new(
    client: *mut sys::rd_kafka_t,
    _conf: *const sys::rd_kafka_conf_t,
    opaque: *mut c_void,
    _why: *mut c_char,
    _why_bytes: usize,
) -> Error {
    // SAFETY: `client` is being made, which is when interceptors may be added; names are copied;
    // `opaque` is the brake, which outlives the client (see `watch`).
    unsafe {
        sys::rd_kafka_interceptor_add_on_thread_start(
            client,
            NAME.as_ptr(),
            Some(on_thread_start),
            opaque,
        );
        sys::rd_kafka_interceptor_add_on_acknowledgement(
            client,
            NAME.as_ptr(),
            Some(on_acknowledgement),
            opaque,
        )
    }
}

/// Called in each of librdkafka's threads when it starts.
unsafe extern "C" fn on_thread_start(
    _client: *mut sys::rd_kafka_t,
    kind: sys::rd_kafka_thread_type_t,
    _name: *const c_char,
    _opaque: *mut c_void,
) -> Error {
    let is_broker = kind == sys::rd_kafka_thread_type_t::RD_KAFKA_THREAD_BROKER;
    IS_BROKER_THREAD.set(is_broker);
    Error::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// Called for each record before it is reported, in the thread that knows its outcome.
unsafe extern "C" fn on_acknowledgement(
    client: *mut sys::rd_kafka_t,
    message: *mut sys::rd_kafka_message_t,
    opaque: *mut c_void,
) -> Error {
    // SAFETY: librdkafka's message, alive during the call.
    let message = unsafe { &*message };
    let code = code_of(message);
    // The main thread, too, gives records up (of topics that are not there), but it cannot wait for
    // itself, and what it gives up was never sent.
    if code != NO_ERROR && stops_partition(code) && IS_BROKER_THREAD.get() {
        // SAFETY: a record has a topic, whose name lives as long as it. The brake outlives the
        // client, which calls this. Broker threads hold no lock of librdkafka's where they take an
        // answer.
        unsafe {
            let topic = CStr::from_ptr(sys::rd_kafka_topic_name(message.rkt));
            (*opaque.cast::<Brake>()).stop(client, topic, message.partition);
        }
    }
    Error::RD_KAFKA_RESP_ERR_NO_ERROR
}
