//! What the process's threads cost, read from /proc; the threads themselves do nothing for it.
//! Source: proc(5), `/proc/pid/task/tid/schedstat`: time on a core and time waiting for one, in ns.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Threads that are shown; a client of librdkafka's has one for each broker.
const THREADS_MAX: usize = 512;

/// One thread over the last interval.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ThreadTime {
    /// As the kernel shows it; 15 characters at most.
    pub name: String,
    /// Seconds on a core so far.
    pub busy_s: f64,
    /// Share of the interval on a core.
    pub busy: f64,
    /// Share of the interval in which it could have run, and others had its core.
    pub waiting: f64,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    busy: Duration,
    waiting: Duration,
}

/// The threads at the last look.
#[derive(Debug)]
pub struct Threads {
    looked_at: Instant,
    seen: HashMap<u32, Seen>,
    pub of: Vec<ThreadTime>,
}

impl Threads {
    /// Before the first look.
    pub fn new(now: Instant) -> Threads {
        Threads { looked_at: now, seen: HashMap::new(), of: Vec::new() }
    }

    /// Reads all threads' times.
    pub fn look(&mut self, now: Instant) {
        let interval = now.saturating_duration_since(self.looked_at).as_secs_f64().max(1e-6);
        self.looked_at = now;
        let before = std::mem::take(&mut self.seen);
        self.of.clear();
        // Without /proc nothing can be known.
        let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return };
        for task in tasks.flatten().take(THREADS_MAX) {
            let path = task.path();
            let number = task.file_name().to_str().and_then(|name| name.parse().ok());
            let times = std::fs::read_to_string(path.join("schedstat"));
            let name = std::fs::read_to_string(path.join("comm"));
            // It has ended meanwhile.
            let (Some(number), Ok(times), Ok(name)) = (number, times, name) else { continue };
            let Some(now) = parse(&times) else { continue };
            let last = before.get(&number).copied().unwrap_or(now);
            let share = |now: Duration, last: Duration| {
                (now.saturating_sub(last).as_secs_f64() / interval).min(1.0)
            };
            self.of.push(ThreadTime {
                name: name.trim_end().to_owned(),
                busy_s: now.busy.as_secs_f64(),
                busy: share(now.busy, last.busy),
                waiting: share(now.waiting, last.waiting),
            });
            self.seen.insert(number, now);
        }
        self.of.sort_by(|one, other| one.name.cmp(&other.name));
    }

    /// The thread of this name.
    pub fn named(&self, name: &str) -> ThreadTime {
        self.of.iter().find(|thread| thread.name == name).cloned().unwrap_or_default()
    }
}

fn parse(text: &str) -> Option<Seen> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    let mut next = || numbers.next()?.ok().map(Duration::from_nanos);
    Some(Seen { busy: next()?, waiting: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_thread_is_seen_at_its_work() {
        let mut threads = Threads::new(Instant::now());
        threads.look(Instant::now());
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        threads.look(Instant::now());
        assert!(threads.of.iter().any(|thread| thread.busy > 0.0 && thread.busy_s > 0.0));
        assert!(threads.of.iter().all(|thread| thread.busy <= 1.0 && thread.waiting <= 1.0));
    }
}
