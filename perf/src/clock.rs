//! The clock that send times are of, CLOCK_MONOTONIC: one for all processes of a machine.

use rustix::thread::{clock_nanosleep_absolute, set_current_timer_slack};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::num::NonZeroU64;

/// The shortest that can be said.
const TIMER_SLACK: Option<NonZeroU64> = NonZeroU64::new(1);

/// Nanoseconds.
///
/// Cost: no system call.
#[inline]
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sleeps until it is so late; less, where a signal comes.
pub fn sleep_until(nanos: u64) {
    let time = Timespec {
        tv_sec: (nanos / 1_000_000_000) as i64,
        tv_nsec: (nanos % 1_000_000_000) as i64,
    };
    // Whoever sleeps looks at the clock again.
    let _ = clock_nanosleep_absolute(ClockId::Monotonic, &time);
}

/// Lets the calling thread's sleeps end when they are to: else the kernel gathers wake-ups for 50 us.
pub fn sleep_exactly() {
    // Where it is refused, the sleeps are longer, which shows.
    let _ = set_current_timer_slack(TIMER_SLACK);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_ends_no_sooner_than_said() {
        sleep_exactly();
        let until = now() + 3_000_000;
        sleep_until(until);
        assert!(now() >= until);
        sleep_until(0);
    }
}
