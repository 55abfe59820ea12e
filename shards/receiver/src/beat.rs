//! A shard's beat: connections that have something to say all the time are read together, so that one
//! wake-up serves many messages.
//!
//! A wake-up costs ten times what a message does. Where a sender's next bytes come within a moment of
//! the last ones, the next read waits for the beat; a lone message does not, nor a stream that is fast
//! enough to fill reads by itself, and no sender is held up: what comes meanwhile, the kernel takes.

use std::cell::RefCell;
use std::io;
use std::os::fd::RawFd;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use glommio::timer::Timer;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use crate::signal::Signal;

/// A period is such a part of a batch's age at most.
const PARTS_OF_AGE: u32 = 5;
/// Nor is it longer than this.
const PERIOD_MAX: Duration = Duration::from_millis(1);
/// A shorter one would save nothing.
const PERIOD_MIN: Duration = Duration::from_micros(100);
/// Reads of more are worth their wake-up. Less than a socket takes by default while nobody reads.
const READ_BYTES_MAX: usize = 16 * 1024;

/// What is known of one socket's reads.
#[derive(Debug)]
pub(crate) struct Reads {
    last: Instant,
    next: Next,
}

/// When the next read may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    AtOnce,
    Waits,
    HasWaited,
}

impl Reads {
    pub(crate) fn new(now: Instant) -> Reads {
        Reads { last: now, next: Next::AtOnce }
    }

    /// After a read of all that the socket had.
    pub(crate) fn note(&mut self, beat: &Beat, bytes: usize, now: Instant) {
        let gap = now.saturating_duration_since(std::mem::replace(&mut self.last, now));
        self.next = if beat.suits(bytes, gap) { Next::Waits } else { Next::AtOnce };
    }

    /// The next read is to wait.
    pub(crate) fn waits(&self) -> bool {
        self.next == Next::Waits
    }
}

/// Reads what a socket has at a beat; `None`: nothing. glommio's own read asks the kernel at once to
/// tell when more comes, which would be a wake-up before the next beat.
pub(crate) fn read_now(socket: RawFd, buffer: &mut [u8]) -> Option<io::Result<usize>> {
    match recv(socket, buffer, MsgFlags::MSG_DONTWAIT) {
        Err(Errno::EAGAIN | Errno::EINTR) => None,
        outcome => Some(outcome.map_err(io::Error::from)),
    }
}

/// A shard's beat; none where batches leave at once.
#[derive(Debug)]
pub(crate) struct Beat {
    period: Option<Duration>,
    waiting: RefCell<Vec<Waker>>,
    /// Somebody waits.
    begun: Signal,
}

impl Beat {
    pub(crate) fn new(batch_age_max: Duration) -> Beat {
        let period = (batch_age_max / PARTS_OF_AGE).min(PERIOD_MAX);
        Beat {
            period: (period >= PERIOD_MIN).then_some(period),
            waiting: RefCell::default(),
            begun: Signal::default(),
        }
    }

    fn suits(&self, bytes: usize, gap: Duration) -> bool {
        // One that waited comes a period after the last one, and somewhat later.
        bytes <= READ_BYTES_MAX && self.period.is_some_and(|period| gap < period * 3 / 2)
    }

    /// Before a read: ready where it is not to wait (false), and at the next beat (true), which is a
    /// period after the first began to wait. Whatever else wakes the task ends its wait, too.
    pub(crate) fn poll_wait(&self, reads: &mut Reads, context: &Context<'_>) -> Poll<bool> {
        if reads.next == Next::Waits {
            reads.next = Next::HasWaited;
            self.waiting.borrow_mut().push(context.waker().clone());
            self.begun.set();
            return Poll::Pending;
        }
        let next = std::mem::replace(&mut reads.next, Next::AtOnce);
        Poll::Ready(next == Next::HasWaited)
    }

    /// Gives the beat, for as long as it is polled.
    pub(crate) async fn give(&self) {
        let Some(period) = self.period else { return };
        loop {
            self.begun.wait().await;
            Timer::new(period).await;
            self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glommio::LocalExecutorBuilder;
    use std::future::poll_fn;
    use std::rc::Rc;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_beat_is_for_small_reads_in_quick_succession() {
        let beat = Beat::new(5 * MS);
        assert!(beat.suits(1, Duration::ZERO) && beat.suits(READ_BYTES_MAX, MS));
        assert!(!beat.suits(1, 2 * MS) && !beat.suits(READ_BYTES_MAX + 1, MS));
        // However long a batch may wait, a socket's bytes do not.
        assert!(!Beat::new(1000 * MS).suits(1, 2 * MS));
        for age in [Duration::ZERO, Duration::from_micros(400)] {
            assert!(!Beat::new(age).suits(1, Duration::ZERO), "{age:?}");
        }
    }

    #[test]
    fn all_that_wait_are_woken_together() {
        let work = |_| async {
            let beat = Rc::new(Beat::new(5 * MS));
            let giving = beat.clone();
            glommio::spawn_local(async move { giving.give().await }).detach();
            for _ in 0..3 {
                let began = Instant::now();
                let waiting: Vec<_> = (0..4)
                    .map(|_| {
                        let beat = beat.clone();
                        let mut reads = Reads::new(Instant::now());
                        reads.note(&beat, 1, Instant::now());
                        assert!(reads.waits());
                        glommio::spawn_local(async move {
                            assert!(poll_fn(|context| beat.poll_wait(&mut reads, context)).await);
                            assert!(!poll_fn(|context| beat.poll_wait(&mut reads, context)).await);
                        })
                    })
                    .collect();
                for wait in waiting {
                    wait.await;
                }
                // One beat for all, and none for the second read.
                assert!(began.elapsed() >= MS, "{:?}", began.elapsed());
                assert!(beat.waiting.borrow().is_empty());
            }
        };
        let executor = LocalExecutorBuilder::default().make().expect("an executor");
        executor.run(work(()));
    }
}
