//! Processes that end with the test that started them, and signals to them.
//!
//! A drop kills. Where there is no drop (the test binary is killed, or holds the process in a
//! `static`) the kernel kills: `setpriv --pdeathsig` asks it to, when the *thread* that started
//! the process ends. So all are started by one thread that lives as long as the test binary.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

type Order = (Command, Sender<io::Result<Child>>);

/// A running process; killed on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts `program` with what `prepare` adds to the command: arguments, environment, pipes.
    ///
    /// Panics: it cannot be started.
    pub fn start(program: &str, prepare: impl FnOnce(&mut Command)) -> Process {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]);
        prepare(&mut command);
        let child = start_here(command)
            .unwrap_or_else(|error| panic!("setpriv (of util-linux) cannot start: {error}"));
        Process { child, name: program.to_owned() }
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The process id; `setpriv` and other wrappers became the program, so it is the program's.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; one that is gone already gets none.
    pub fn signal(&mut self, signal: Signal) {
        if self.exit().is_some() {
            return;
        }
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // Not reaped until `exit` says so: the id cannot be another's.
        let _ = kill_process(id.expect("a process id is positive"), signal);
    }

    /// How it ended, if it has.
    pub fn exit(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child can be waited for")
    }

    /// Waits for the end.
    ///
    /// Panics: none after `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.exit() {
                return status;
            }
            assert!(start.elapsed() < limit, "{} had not ended after {limit:?}", self.name);
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Kills and waits for the end.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }

    /// Bytes from `/proc/ID/status`: `VmRSS` is resident now, `VmHWM` the most it ever was.
    pub fn memory(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = fs::read_to_string(path).expect("the process runs");
        let line = status.lines().find(|line| line.starts_with(field)).expect("a field of status");
        let kib = line.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok());
        kib.expect("FIELD: NUMBER kB") << 10
    }

    /// CPU time used until now, user and system.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("it runs");
        // The fields after the name, which may hold blanks itself: state is the first.
        let rest = stat.rsplit(')').next().expect("PID (NAME) STATE ...");
        let ticks: u64 =
            rest.split_whitespace().skip(11).take(2).map(|word| word.parse::<u64>().unwrap()).sum();
        // A tick is 10 ms on every Linux that this runs on (USER_HZ).
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts the command on the thread that lives as long as this test binary.
fn start_here(command: Command) -> io::Result<Child> {
    static ORDERS: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::Builder::new()
            .name("starts processes".to_owned())
            .spawn(move || {
                for (mut command, answer) in inbox {
                    let _ = answer.send(command.spawn());
                }
            })
            .expect("a thread can be started");
        Mutex::new(orders)
    });
    let (answer, child) = mpsc::channel();
    let order = (command, answer);
    orders.lock().unwrap_or_else(PoisonError::into_inner).send(order).expect("it never ends");
    child.recv().expect("it answers each order")
}

/// Runs a command to its end, which must be a good one; returns its stdout.
///
/// Panics: it cannot be started, fails, or has not ended after `limit`; with its stderr.
pub fn run(program: &str, limit: Duration, prepare: impl FnOnce(&mut Command)) -> String {
    use std::process::Stdio;
    let mut process = Process::start(program, |command| {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        prepare(command);
    });
    let stdout = process.child().stdout.take().expect("piped");
    let stderr = process.child().stderr.take().expect("piped");
    let stdout = thread::spawn(move || io::read_to_string(stdout));
    let stderr = thread::spawn(move || io::read_to_string(stderr));
    let status = process.wait(limit);
    let text = |thread: thread::JoinHandle<io::Result<String>>| {
        thread.join().expect("reading does not panic").unwrap_or_default()
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert!(status.success(), "{program} ended with {status}: {stdout}{stderr}");
    stdout
}
