//! What librdkafka is given and gives: a configuration, headers, a record, an error code, a string.

#![allow(unsafe_code, reason = "the librdkafka boundary; each block carries its proof")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;

use rdkafka_sys as sys;

use crate::place::Place;

/// An error code of librdkafka's, as a number: a broker may send codes that the bindings' enum
/// does not have, so it is never read as that enum.
pub(crate) type Code = i32;

/// No error.
pub(crate) const NO_ERROR: Code = 0;
/// What this program asks of librdkafka cannot be right.
pub(crate) const INVALID_ARGUMENT: Code =
    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG as Code;
/// librdkafka's own queue is full: what follows is not taken either.
pub(crate) const QUEUE_FULL: Code = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__QUEUE_FULL as Code;
/// The topic has no such partition.
pub(crate) const UNKNOWN_PARTITION: Code =
    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION as Code;
/// A fatal error was there before, whatever it was.
pub(crate) const FATAL: Code = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__FATAL as Code;

/// A record as librdkafka is given it: pointers to key and payload, and the place that its report
/// names.
#[repr(transparent)]
pub(crate) struct Outgoing(pub(crate) sys::rd_kafka_message_t);

// SAFETY: the pointers are followed by `Client::produce_run` and `produce_one` alone, whose callers
// vouch for them; librdkafka may be called from any thread.
unsafe impl Send for Outgoing {}

impl Outgoing {
    pub(crate) fn new(place: Place, partition: i32, key: Option<&[u8]>, payload: &[u8]) -> Self {
        Outgoing(sys::rd_kafka_message_t {
            err: sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
            rkt: ptr::null_mut(),
            partition,
            payload: payload.as_ptr().cast_mut().cast(),
            len: payload.len(),
            key: key.map_or(ptr::null_mut(), |key| key.as_ptr().cast_mut().cast()),
            key_len: key.map_or(0, <[u8]>::len),
            offset: 0,
            _private: place.pack() as *mut c_void,
        })
    }

    /// Whether librdkafka took it, after `produce_run`.
    pub(crate) fn code(&self) -> Code {
        code_of(&self.0)
    }
}

/// Headers of one record.
pub(crate) struct Headers(pub(crate) *mut sys::rd_kafka_headers_t);

impl Headers {
    /// These headers, copied.
    pub(crate) fn new<'h>(headers: impl Iterator<Item = (&'h [u8], &'h [u8])>) -> Headers {
        let mut list = Headers(ptr::null_mut());
        for (name, value) in headers {
            // SAFETY: the list is made once and is ours until a record takes it over. Name and
            // value are as long as said and are copied; a slice's pointer is never null, so an
            // empty value is one of no bytes, and its length is never the -1 that asks for a NUL.
            unsafe {
                if list.0.is_null() {
                    list.0 = sys::rd_kafka_headers_new(8);
                }
                sys::rd_kafka_header_add(
                    list.0,
                    name.as_ptr().cast(),
                    name.len() as isize,
                    value.as_ptr().cast(),
                    value.len() as isize,
                );
            }
        }
        list
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: not taken over by a record (then it is forgotten), so ours to destroy, once.
            unsafe { sys::rd_kafka_headers_destroy(self.0) };
        }
    }
}

/// A configuration that no client has taken over yet.
pub(crate) struct Conf(pub(crate) *mut sys::rd_kafka_conf_t);

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

pub(crate) fn code_of(message: &sys::rd_kafka_message_t) -> Code {
    // SAFETY: `err` is a C enum, so an i32, initialised. Read as a number, through a pointer that
    // never makes it the Rust enum, it may be a code that the enum does not have.
    unsafe { (&raw const message.err).cast::<Code>().read() }
}

/// Copies a C string.
///
/// # Safety
/// `text` is null or ends with a NUL and is alive.
pub(crate) unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by this function's contract.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
