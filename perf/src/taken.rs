//! What the machine takes away from whoever runs on it: a virtual machine's neighbours, the kernel, other
//! processes.
//!
//! On each core a thread looks at the clock and does nothing else. Where it sees a gap, something else had
//! the core. No program can be faster than that: a percentile below what is taken is luck.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

/// What is shorter is the clock itself, and interrupts.
const GAP_MIN: Duration = Duration::from_micros(100);
/// Gaps that show in a percentile.
const LONG_MIN: Duration = Duration::from_millis(1);

/// Of the core that lost most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    watched: Duration,
    in_all: Duration,
    longest: Duration,
    long_count: u32,
}

impl Taken {
    /// Watches all cores that this process may run on, and keeps them busy for so long.
    pub fn watch(length: Duration) -> Self {
        let cores = rustix::thread::sched_getaffinity(None);
        let is_ours = |core: &usize| cores.as_ref().is_ok_and(|cores| cores.is_set(*core));
        let threads: Vec<_> = (0..rustix::thread::CpuSet::MAX_CPU)
            .filter(is_ours)
            .map(|core| thread::spawn(move || Self::watch_core(core, length)))
            .collect();
        let all = threads.into_iter().filter_map(|thread| thread.join().ok());
        all.max_by_key(|taken| taken.in_all).unwrap_or_default()
    }

    fn watch_core(core: usize, length: Duration) -> Self {
        let mut own = rustix::thread::CpuSet::new();
        own.set(core);
        // It fails where the core has just been taken from this process; another is watched twice then.
        let _ = rustix::thread::sched_setaffinity(None, &own);
        let mut taken = Self { watched: length, ..Self::default() };
        let start = Instant::now();
        let mut last = start;
        while last - start < length {
            let now = Instant::now();
            taken.note(now - last);
            last = now;
        }
        taken
    }

    fn note(&mut self, gap: Duration) {
        if gap >= GAP_MIN {
            self.in_all += gap;
            self.longest = self.longest.max(gap);
            self.long_count += u32::from(gap >= LONG_MIN);
        }
    }
}

/// As in `1.65 % of a core's time, 4.0 gaps a second of 1 ms or more, the longest 6.4 ms`.
impl fmt::Display for Taken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.watched.as_secs_f64().max(f64::MIN_POSITIVE);
        write!(
            formatter,
            "{:.2} % of a core's time, {:.1} gaps a second of 1 ms or more, the longest {:.1} ms",
            100.0 * self.in_all.as_secs_f64() / seconds,
            f64::from(self.long_count) / seconds,
            self.longest.as_secs_f64() * 1000.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_added_and_long_ones_counted() {
        let mut taken = Taken { watched: Duration::from_secs(2), ..Taken::default() };
        for us in [50, 100, 900, 1000, 6000] {
            taken.note(Duration::from_micros(us));
        }
        assert_eq!(
            taken.to_string(),
            "0.40 % of a core's time, 1.0 gaps a second of 1 ms or more, the longest 6.0 ms"
        );
    }

    #[test]
    fn this_machine_is_watched() {
        let length = Duration::from_millis(50);
        let start = Instant::now();
        let taken = Taken::watch(length);
        assert!(start.elapsed() >= length && taken.watched == length, "{taken}");
    }
}
