//! `format = "json"`: all fields of a message as one JSON object.
//!
//! The schema, which stays as it is; a member is left out where the message has none:
//!
//! | member | |
//! | --- | --- |
//! | `timestamp` | the message's own time, as sent |
//! | `received` | when it was received, RFC 3339 in microseconds, UTC |
//! | `hostname` `appname` `procid` `msgid` | as sent; the peer is `hostname` where RFC 3164 names none |
//! | `facility` `severity` | by name: `local4`, `notice` |
//! | `structured_data` | an object of SD-IDs, each an object of parameters |
//! | `msg` | the text |
//! | `peer` `listener` | the address that it came from, the listener that took it |
//!
//! Every value is a string, but for `structured_data`: there an SD-ID is an object, a parameter is a
//! string without its escapes, and one that is repeated (as RFC 5424 §7.2 does with `ip`) is an
//! array of strings in the order sent. SD-IDs and parameters are sorted; elements of one SD-ID are
//! taken together. Bytes that are not UTF-8 become U+FFFD, in names too.

use crate::json::escape;
use crate::message::Message;
use crate::structured_data::{self, SdItem};
use crate::template::Context;

/// Elements and parameters of one message that are sorted without an allocation.
const SD_ITEMS_FEW: usize = 64;

/// Writes a message as one JSON object behind what is in `out`, up to `bytes_max` bytes in all.
///
/// `iso8601` is the context's `now` as text: see [`TimeText`](crate::time::TimeText).
///
/// Cost:   one pass over the fields; no allocation but for `out`, and where the structured data
///         holds more than 64 elements and parameters, which are then sorted.
/// Errors: `false` if it would be longer; `out` then holds a part.
pub fn json(
    message: &Message<'_>,
    context: &Context<'_>,
    iso8601: &[u8],
    out: &mut Vec<u8>,
    bytes_max: usize,
) -> bool {
    let mut object = Object { out, bytes_max, before: b"{\"" };
    let written = object.optional("timestamp", message.timestamp)
        && object.member("received", iso8601)
        && object.optional("hostname", message.hostname)
        && object.optional("appname", message.app_name)
        && object.optional("procid", message.procid)
        && object.optional("msgid", message.msgid)
        && object.member("facility", message.facility().as_bytes())
        && object.member("severity", message.severity().as_bytes())
        && message.structured_data.is_none_or(|data| object.structured_data(data))
        && object.member("msg", message.msg)
        && object.member("peer", context.peer)
        && object.member("listener", context.listener);
    object.out.push(b'}');
    written && out.len() <= bytes_max
}

/// An object that is being written.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    /// What is too long to fit is not begun: at most one value, escaped, is written too much.
    bytes_max: usize,
    /// What comes before the next name.
    before: &'static [u8],
}

impl Object<'_> {
    fn optional(&mut self, name: &str, value: Option<&[u8]>) -> bool {
        value.is_none_or(|value| self.member(name, value))
    }

    fn member(&mut self, name: &str, value: &[u8]) -> bool {
        if !self.has_room(value.len()) {
            return false;
        }
        self.name(name);
        self.out.push(b'"');
        escape(value, self.out);
        self.out.push(b'"');
        true
    }

    fn name(&mut self, name: &str) {
        self.out.extend_from_slice(self.before);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.before = b",\"";
    }

    fn has_room(&self, bytes: usize) -> bool {
        bytes <= self.bytes_max.saturating_sub(self.out.len())
    }

    fn structured_data(&mut self, structured_data: &[u8]) -> bool {
        self.name("structured_data");
        let mut few = [SdItem::default(); SD_ITEMS_FEW];
        let mut count = 0;
        for (place, item) in few.iter_mut().zip(structured_data::items(structured_data)) {
            *place = item;
            count += 1;
        }
        if count < SD_ITEMS_FEW {
            return self.sd_items(&mut few[..count]);
        }
        let mut many: Vec<SdItem<'_>> = structured_data::items(structured_data).collect();
        self.sd_items(&mut many)
    }

    fn sd_items(&mut self, items: &mut [SdItem<'_>]) -> bool {
        // What has the same name stays in the order sent: that of the places in the frame.
        items.sort_unstable_by_key(|item| (item.id, item.name, item.value.raw.as_ptr()));
        self.out.push(b'{');
        for (index, element) in items.chunk_by(|item, next| item.id == next.id).enumerate() {
            let Some(SdItem { id, .. }) = element.first() else { continue };
            self.out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
            escape(id, self.out);
            self.out.extend_from_slice(b"\":{");
            let params = element.chunk_by(|item, next| item.name == next.name);
            let named = params.filter(|params| params.iter().any(|item| !item.name.is_empty()));
            for (index, params) in named.enumerate() {
                if index > 0 {
                    self.out.push(b',');
                }
                if !self.sd_param(params) {
                    return false;
                }
            }
            self.out.push(b'}');
        }
        self.out.push(b'}');
        true
    }

    /// All values of one parameter.
    fn sd_param(&mut self, values: &[SdItem<'_>]) -> bool {
        let Some(SdItem { name, .. }) = values.first() else { return true };
        self.out.push(b'"');
        escape(name, self.out);
        self.out.extend_from_slice(if values.len() == 1 { b"\":\"" } else { b"\":[\"" });
        for (index, SdItem { value, .. }) in values.iter().enumerate() {
            if !self.has_room(value.raw.len()) {
                return false;
            }
            if index > 0 {
                self.out.extend_from_slice(b"\",\"");
            }
            for piece in value.pieces() {
                escape(piece, self.out);
            }
        }
        self.out.extend_from_slice(if values.len() == 1 { b"\"" } else { b"\"]" });
        true
    }
}
