//! File descriptors: how many a process has, and how many it may have.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use std::fs;

/// The numbers that are taken in the process `id`.
///
/// Panics: there is no such process.
pub fn open(id: u32) -> Vec<u64> {
    let entries = fs::read_dir(format!("/proc/{id}/fd")).expect("the process runs");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Allows this process, and those that it starts, so many of them.
///
/// Panics: the limit is lower, and only a privileged user can raise it.
pub fn allow(count: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return;
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(count));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum });
    raised.unwrap_or_else(|error| {
        panic!("{count} descriptors are needed: raise the limit (ulimit -Hn): {error}")
    });
}

/// Lowers the limit of the process `id` until `free` more of them can be had; the limit before.
pub fn leave(id: u32, free: usize) -> Rlimit {
    let open = open(id);
    // They are numbers below the limit.
    let limit = (0..).filter(|number| !open.contains(number)).nth(free).expect("without end");
    let maximum = getrlimit(Resource::Nofile).maximum;
    set_limit(id, Rlimit { current: Some(limit), maximum })
}

/// Sets the limit of the process `id`; the limit before.
pub fn set_limit(id: u32, limit: Rlimit) -> Rlimit {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process id");
    prlimit(Some(pid), Resource::Nofile, limit).expect("it is our own process")
}
