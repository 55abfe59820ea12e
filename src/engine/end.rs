//! How the engine ends: drained, aborted, or of itself.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use corndog_pipeline::control::{Arrival, Phase};

use super::Engine;

/// How long shards that were told to end at once may take.
pub const ABORT_TIME_MAX: Duration = Duration::from_secs(5);
/// How often every receiver is woken from outside; see `Kick`. It bounds how long one may sleep
/// that should not, and costs about 20 us.
const KICK: Duration = Duration::from_millis(50);

impl Engine {
    /// Stops accepting; what the kernel holds is read, and all is delivered.
    pub fn drain(&mut self) {
        // The sockets go with the shards.
        self.kernel_drops.look_now();
        self.phase.advance(Phase::Draining);
    }

    /// The drain is over: what is not delivered is counted as failed.
    pub fn abort(&self) {
        self.phase.advance(Phase::Aborting);
    }

    /// Looks after the threads; true when all have ended. The producer hears when the last
    /// receiver has.
    pub fn has_ended(&mut self) -> bool {
        if self.kicked_at.elapsed() >= KICK {
            self.kicked_at = Instant::now();
            self.kicks.iter().for_each(|kick| kick.kick());
        }
        let is_running = self.phase.now() == Phase::Running;
        let (ended, running) =
            std::mem::take(&mut self.receivers).into_iter().partition(JoinHandle::is_finished);
        self.receivers = running;
        for thread in ended {
            self.has_died |= thread.join().is_err() || is_running;
        }
        if self.receivers.is_empty() && !self.is_inbox_closed {
            self.is_inbox_closed = self.inbox.try_send(Arrival::Closed).is_ok();
        }
        if let Some(thread) = self.producer.take_if(|thread| thread.is_finished()) {
            self.has_died |= thread.join().is_err() || is_running;
        }
        self.receivers.is_empty() && self.producer.is_none()
    }

    /// True if a shard has ended that nobody told to.
    pub fn has_died(&self) -> bool {
        self.has_died
    }

    /// Waits a bounded time for shards that were told to end at once.
    pub fn end_at_once(&mut self) {
        self.abort();
        let deadline = Instant::now() + ABORT_TIME_MAX;
        while !self.has_ended() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends the embedded Kafka, after what it has is printed.
    pub fn end_embedded(&mut self) {
        self.embedded = None;
    }
}
