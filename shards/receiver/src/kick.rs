//! A wake-up from outside: the main thread kicks every shard a few times per second.
//!
//! glommio 0.9 can go to sleep with tasks that are ready to run: when its preempt timer fires
//! between the poll and the first task (a noisy neighbour takes the core for that long), it takes
//! "preempted before anything ran" for "nothing to run" and parks. If the timers of all those tasks
//! had fired, nothing would ever wake it: seen as a shard that slept for good, 4 times in 15 runs of
//! 10 s beside a compiler. An event from another thread ends such a sleep.

use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

/// One shard's handle for the main thread.
#[derive(Debug, Default)]
pub struct Kick {
    /// Set by the shard, used by the main thread, under a lock held for one call.
    waker: Mutex<Option<Waker>>,
}

impl Kick {
    /// For the main thread: makes the shard look around, also where it should not be asleep.
    pub fn kick(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            waker.wake_by_ref();
        }
    }

    /// For the shard: takes kicks for as long as it is polled.
    pub(crate) async fn take(&self) {
        poll_fn(|context| {
            self.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// For the shard, before it ends: there is nothing to wake any more.
    pub(crate) fn end(&self) {
        self.set(None);
    }

    fn set(&self, waker: Option<Waker>) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = waker;
    }
}
