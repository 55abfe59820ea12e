//! When each message of some connections arrived: what its sender waited for it.

use crate::message::Stamp;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Above every connection's number.
const NOBODY: u32 = u32::MAX;

/// One message, at the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its connection.
    pub connection: u16,
    /// Its number there.
    pub sequence: u64,
    /// When its batch was walked.
    pub at: Instant,
}

/// The arrivals of connections from one number on; of none, until that is said. Written by the
/// sink's threads, under a lock held for one message: for those that send little.
#[derive(Debug)]
pub struct Arrivals {
    /// Written before the first message, read by the sink's threads.
    first: AtomicU32,
    all: Mutex<Vec<Arrival>>,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { first: AtomicU32::new(NOBODY), all: Mutex::default() }
    }
}

impl Arrivals {
    /// Notes the messages of connections from `first` on.
    pub fn watch_from(&self, first: u16) {
        self.first.store(u32::from(first), Relaxed);
    }

    /// Notes a message that has come, if its connection is watched.
    #[inline]
    pub fn note(&self, stamp: Stamp) {
        if u32::from(stamp.connection) >= self.first.load(Relaxed) {
            self.push(stamp);
        }
    }

    /// Takes what has come since the last call.
    pub fn take(&self) -> Vec<Arrival> {
        std::mem::take(&mut self.all.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, stamp: Stamp) {
        let Stamp { connection, sequence, .. } = stamp;
        let arrival = Arrival { connection, sequence, at: Instant::now() };
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(arrival);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ROUTE_ANY;

    #[test]
    fn only_those_that_are_watched_are_noted() {
        let arrivals = Arrivals::default();
        let stamp = |connection| Stamp { connection, route: ROUTE_ANY, sequence: 7, sent: 0 };
        let note = |connection| arrivals.note(stamp(connection));
        note(u16::MAX);
        assert!(arrivals.take().is_empty());
        arrivals.watch_from(100);
        (99..102).for_each(note);
        let noted: Vec<u16> = arrivals.take().iter().map(|arrival| arrival.connection).collect();
        assert_eq!(noted, [100, 101]);
        assert!(arrivals.take().is_empty());
    }
}
