//! A shard's beat: connections that have something to say all the time are read together, so that
//! one wake-up serves many messages.
//!
//! A wake-up costs ten times what a message does. Where a sender's next bytes come within a moment
//! of the last ones, the next read waits for the beat; a lone message does not, nor a stream that is
//! fast enough to bring much with each read. What comes meanwhile, the kernel takes.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::os::fd::RawFd;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use corndog_pipeline::listen::Transport;
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
/// Reads of more are worth their wake-up: a quarter of the least that a TCP socket takes while
/// nobody reads it.
const TCP_READ_BYTES_MAX: usize = 16 * 1024;
/// A unix socket takes some 220 writes by default, however short they are: of 40 bytes each, these are
/// less than half of them.
const UNIX_READ_BYTES_MAX: usize = 4 * 1024;
/// UDP drops what its buffer cannot hold, so there is to be room for what comes in a period from whoever
/// begins to send as fast as a core can: some 1000 datagrams of 250 bytes, 1280 bytes each to the
/// kernel, which gives twice what is asked for.
const UDP_BUFFER_BYTES_MIN: usize = 2 * 1024 * 1024;
const UDP_READ_BYTES_MAX: usize = 32 * 1024;

/// What is known of one socket's reads.
#[derive(Debug)]
pub(crate) struct Reads {
    last: Instant,
    bytes_max: usize,
    next: Next,
    /// The last read waited for the beat.
    has_waited: bool,
}

/// When the next read may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    AtOnce,
    Waits,
    HasWaited,
}

impl Reads {
    pub(crate) fn new(now: Instant, transport: Transport) -> Reads {
        let bytes_max = match transport {
            Transport::UnixStream => UNIX_READ_BYTES_MAX,
            Transport::Udp => UDP_READ_BYTES_MAX,
            _ => TCP_READ_BYTES_MAX,
        };
        Reads { last: now, bytes_max, next: Next::AtOnce, has_waited: false }
    }

    /// Of a UDP socket whose buffer the kernel gives so many bytes; `None`: it cannot wait.
    pub(crate) fn of_udp(now: Instant, buffer_bytes: usize) -> Option<Reads> {
        (buffer_bytes >= UDP_BUFFER_BYTES_MIN).then(|| Reads::new(now, Transport::Udp))
    }

    /// After a read into so much room.
    pub(crate) fn note(&mut self, beat: &Beat, bytes: usize, room: usize, now: Instant) {
        let gap = now.saturating_duration_since(mem::replace(&mut self.last, now));
        let has_waited = mem::take(&mut self.has_waited);
        // What filled its room may have left something, which is read at once.
        let waits = bytes < room && bytes <= self.bytes_max && beat.suits(gap, has_waited);
        self.next = if waits { Next::Waits } else { Next::AtOnce };
    }

    /// Before the note of a read that was at a beat.
    pub(crate) fn note_beat(&mut self) {
        self.has_waited = true;
    }

    /// The next read is to wait.
    pub(crate) fn waits(&self) -> bool {
        self.next == Next::Waits
    }

    /// Reads what the socket has at a beat; `None`: nothing. glommio's own read asks the kernel at
    /// once to tell when more comes, which would be a wake-up before the next beat.
    pub(crate) fn read_now(
        &mut self,
        socket: RawFd,
        buffer: &mut [u8],
    ) -> Option<io::Result<usize>> {
        match recv(socket, buffer, MsgFlags::MSG_DONTWAIT) {
            Err(Errno::EAGAIN | Errno::EINTR) => None,
            outcome => {
                self.note_beat();
                Some(outcome.map_err(io::Error::from))
            }
        }
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

    /// Whether the next bytes are likely to come before a beat. A read that waited comes a period
    /// after the one before it, and somewhat later.
    fn suits(&self, gap: Duration, has_waited: bool) -> bool {
        let quarters = if has_waited { 6 } else { 3 };
        self.period.is_some_and(|period| gap < period * quarters / 4)
    }

    /// Before a read: ready where it is not to wait (false), and at the next beat (true), which is a
    /// period after the first began to wait. Whatever else wakes the task ends its wait, too.
    pub(crate) fn poll_wait(&self, reads: &mut Reads, context: &Context<'_>) -> Poll<bool> {
        if reads.next == Next::Waits {
            reads.next = Next::HasWaited;
            let mut waiting = self.waiting.borrow_mut();
            if waiting.is_empty() {
                self.begun.set();
            }
            waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        let next = mem::replace(&mut reads.next, Next::AtOnce);
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
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::rc::Rc;

    const MS: Duration = Duration::from_millis(1);

    /// Whether the read after this one would wait.
    fn waits(beat: &Beat, transport: Transport, bytes: usize, gap: Duration) -> bool {
        let start = Instant::now();
        let mut reads = Reads::new(start, transport);
        reads.note(beat, bytes, 65_536, start + gap);
        reads.waits()
    }

    #[test]
    fn a_beat_is_for_small_reads_in_quick_succession() {
        let beat = Beat::new(5 * MS);
        for (transport, bytes_max) in [
            (Transport::Tcp, TCP_READ_BYTES_MAX),
            (Transport::Tls, TCP_READ_BYTES_MAX),
            (Transport::UnixStream, UNIX_READ_BYTES_MAX),
        ] {
            assert!(waits(&beat, transport, 1, Duration::ZERO));
            assert!(waits(&beat, transport, bytes_max, MS / 2));
            assert!(!waits(&beat, transport, bytes_max + 1, MS / 2));
            assert!(!waits(&beat, transport, 1, MS));
        }
        // However long a batch may wait, a socket's bytes do not.
        assert!(!waits(&Beat::new(1000 * MS), Transport::Tcp, 1, MS));
        for age in [Duration::ZERO, Duration::from_micros(400)] {
            assert!(!waits(&Beat::new(age), Transport::Tcp, 1, Duration::ZERO), "{age:?}");
        }
    }

    #[test]
    fn udp_has_a_beat_where_its_buffer_holds_what_comes_meanwhile() {
        let (beat, start) = (Beat::new(5 * MS), Instant::now());
        assert!(Reads::of_udp(start, UDP_BUFFER_BYTES_MIN - 1).is_none());
        let mut reads = Reads::of_udp(start, UDP_BUFFER_BYTES_MIN).unwrap();
        for (bytes, waits) in [(UDP_READ_BYTES_MAX, true), (UDP_READ_BYTES_MAX + 1, false)] {
            reads.note(&beat, bytes, usize::MAX, start + MS / 2);
            assert_eq!(reads.waits(), waits, "{bytes}");
        }
    }

    #[test]
    fn a_read_that_fills_its_room_is_followed_by_another_at_once() {
        let (beat, now) = (Beat::new(5 * MS), Instant::now());
        let mut reads = Reads::new(now, Transport::Tcp);
        reads.note(&beat, 10, 10, now);
        assert!(!reads.waits());
        reads.note(&beat, 10, 11, now);
        assert!(reads.waits());
    }

    #[test]
    fn a_beat_goes_on_while_there_is_something_at_it() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (beat, start) = (Beat::new(5 * MS), Instant::now());
        let mut reads = Reads::new(start, Transport::UnixStream);
        let mut buffer = [0; 8];
        let mut read = |reads: &mut Reads| reads.read_now(ours.as_raw_fd(), &mut buffer);
        (&theirs).write_all(b"one").unwrap();
        assert_eq!(read(&mut reads).unwrap().unwrap(), 3);
        reads.note(&beat, 3, 8, start + MS * 5 / 4);
        assert!(reads.waits());
        // Nothing came: what comes then came too late for a beat.
        assert!(read(&mut reads).is_none());
        reads.note(&beat, 3, 8, start + MS * 10 / 4);
        assert!(!reads.waits());
        drop(theirs);
        assert_eq!(read(&mut reads).unwrap().unwrap(), 0);
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
                        let mut reads = Reads::new(began, Transport::Tcp);
                        reads.note(&beat, 1, 2, began);
                        glommio::spawn_local(async move {
                            assert!(poll_fn(|context| beat.poll_wait(&mut reads, context)).await);
                            assert!(!poll_fn(|context| beat.poll_wait(&mut reads, context)).await);
                        })
                    })
                    .collect();
                for wait in waiting {
                    wait.await;
                    // One beat for all.
                    assert!(beat.waiting.borrow().is_empty());
                }
                assert!(began.elapsed() >= MS, "{:?}", began.elapsed());
            }
        };
        let executor = LocalExecutorBuilder::default().make().expect("an executor");
        executor.run(work(()));
    }
}
