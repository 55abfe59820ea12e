//! CPU time: of this process, of its threads, and of another process.

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::time::Duration;

/// User and system CPU time of this process so far.
pub fn of_process() -> Duration {
    of_clock(ClockId::ProcessCPUTime)
}

/// User and system CPU time of the calling thread so far.
pub fn of_thread() -> Duration {
    of_clock(ClockId::ThreadCPUTime)
}

/// User and system CPU time of another process: all its threads, also those that have ended.
///
/// Units:  clock ticks (10 ms) underneath, so measure over seconds.
/// Errors: `None` if there is no such process.
pub fn of_pid(pid: u32) -> Option<Duration> {
    ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
        .map(|ticks| Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
}

/// User and system CPU time of another process's first thread.
///
/// Errors: `None` if there is no such process.
pub fn of_first_thread(pid: u32) -> Option<Duration> {
    let schedstat = fs::read_to_string(format!("/proc/{pid}/task/{pid}/schedstat")).ok()?;
    schedstat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Peak resident memory (VmHWM) of another process in bytes.
pub fn memory_peak_of_pid(pid: u32) -> Option<u64> {
    bytes_of(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmHWM:")
}

/// Memory of this machine in bytes.
pub fn memory_of_machine() -> Option<u64> {
    bytes_of(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// A line such as `VmHWM:  1234 kB`, in bytes.
fn bytes_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// utime + stime of a line of /proc/PID/stat. The second field may hold spaces and brackets.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn of_clock(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_the_14th_and_15th_field() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 7 7 20 0 3 0 100 0 0";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("nonsense"), None);
    }

    #[test]
    fn own_process_is_readable() {
        assert!(of_pid(std::process::id()).is_some());
        assert!(memory_peak_of_pid(std::process::id()).is_some_and(|bytes| bytes > 100_000));
        assert!(memory_of_machine() > memory_peak_of_pid(std::process::id()));
        assert!(of_process() >= of_thread());
        assert!(of_first_thread(std::process::id()).is_some());
    }
}
