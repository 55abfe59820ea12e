//! Bounds on waiting: a test that hangs ends with a sentence instead.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

/// Shared by tests that may run side by side, held whole by one that measures or loads the machine.
static MACHINE: RwLock<()> = RwLock::new(());

/// Runs a test's body, and fails it when it has not ended after `limit`; waiting for the machine
/// does not count.
///
/// The body has a thread of its own. One that hangs is left behind: it and the processes it
/// started end with the test binary.
pub fn timed(limit: Duration, body: impl FnOnce() + Send + 'static) {
    let _shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    run(limit, body);
}

/// As [`timed`], while no other test of this binary runs.
pub fn timed_alone(limit: Duration, body: impl FnOnce() + Send + 'static) {
    let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    run(limit, body);
}

fn run(limit: Duration, body: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel::<()>();
    let name = thread::current().name().unwrap_or("test").to_owned();
    let thread = thread::Builder::new()
        .name(name)
        .spawn(move || {
            // Dropped at the end, by a panic too, and that ends the wait.
            let _done = done;
            body();
        })
        .expect("a thread can be started");
    match ended.recv_timeout(limit) {
        Err(RecvTimeoutError::Timeout) => panic!("the test had not ended after {limit:?}"),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Asks again until there is an answer.
///
/// Panics: none after `limit`, with `what`.
pub fn wait_for<T>(what: &str, limit: Duration, mut answer: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the long versions of the tests were asked for (`CORNDOG_TESTS_FULL=1`).
pub fn full() -> bool {
    std::env::var_os("CORNDOG_TESTS_FULL").is_some_and(|value| value == "1")
}

/// Seconds, shorter to write.
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
