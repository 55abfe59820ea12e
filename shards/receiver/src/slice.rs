//! Short turns on a core, for threads that wake often and run briefly.
//!
//! Where threads share a core (two cores for everything, say), Linux lets one that wakes wait for the
//! turn of whoever runs: 3 ms by default. One that asks for short turns comes first, and pays with
//! being interrupted sooner. It needs no privilege. Kernels before 6.12 take the wish and ignore it.
//!
//! Source: sched_setattr(2); EEVDF's custom slices, Linux 6.12.

#![allow(unsafe_code, reason = "no library wraps this system call")]

/// The kernel's least.
const SLICE_NS: u64 = 100_000;
/// `SCHED_OTHER`, where a runtime is the length of a turn.
const POLICY_OTHER: u32 = 0;

/// `struct sched_attr`, in its first version.
#[repr(C)]
#[derive(Debug, Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

const ATTRIBUTES_BYTES: u32 = size_of::<Attributes>() as u32;

/// Asks for short turns of this thread, and of all that it makes from now on. Whoever gave the process
/// another policy than the usual keeps it.
///
/// Errors: the kernel's; nothing has changed then.
pub fn ask_for_short_turns() -> std::io::Result<()> {
    let mut attributes = Attributes::default();
    // SAFETY: the pointer is to a `sched_attr` of the size that is given, which the call fills.
    let got = unsafe {
        libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, ATTRIBUTES_BYTES, 0)
    };
    if got != 0 {
        return Err(std::io::Error::last_os_error());
    }
    if attributes.policy != POLICY_OTHER {
        return Ok(());
    }
    attributes.size = ATTRIBUTES_BYTES;
    attributes.runtime = SLICE_NS;
    // SAFETY: the pointer is to a `sched_attr` whose size is in it, which the call reads.
    match unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_takes_it_and_the_rest_stays() {
        std::thread::spawn(|| {
            ask_for_short_turns().expect("no privilege is needed");
            let mut attributes = Attributes::default();
            // SAFETY: as above.
            let got = unsafe {
                libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, ATTRIBUTES_BYTES, 0)
            };
            assert_eq!((got, attributes.policy), (0, POLICY_OTHER));
            // 0 before Linux 6.12.
            assert!([0, SLICE_NS].contains(&attributes.runtime), "{attributes:?}");
        })
        .join()
        .expect("the thread ends");
    }
}
