//! The time at which a message is processed, as text; and the time that a message itself has.

use std::io::Write as _;

use jiff::Timestamp;

/// The variable `iso8601`: rendered when the time changes, not for each message.
///
/// It belongs to one shard, in its scratch.
#[derive(Debug, Clone, Default)]
pub struct TimeText {
    rendered: Option<Timestamp>,
    text: Vec<u8>,
}

impl TimeText {
    /// Renders `now`, unless it is what was rendered last: RFC 3339 in microseconds, in UTC.
    ///
    /// Cost:   a comparison, or some 100 ns; no allocation but for the first.
    pub fn refresh(&mut self, now: Timestamp) {
        if self.rendered == Some(now) {
            return;
        }
        self.text.clear();
        // Writing to a vector cannot fail.
        let _ = write!(self.text, "{now:.6}");
        self.rendered = Some(now);
    }

    /// What was rendered; empty before the first time.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}
