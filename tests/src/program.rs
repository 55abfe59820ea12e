//! The built program as a process: its configuration in, its log, exit code and memory out.

use crate::ledger::Ledger;
use crate::places::{Scratch, free_port};
use crate::process::Process;
use crate::time::seconds;
use rustix::process::Signal;
use serde_json::Value as Json;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use toml::{Table, Value};

/// Until the program says `ready`.
const READY_TIME_MAX: Duration = Duration::from_secs(10);
/// What the address of a listener says where the harness chooses the port.
const ANY_PORT: &str = "\"127.0.0.1:0\"";

/// What all tests start from: one listener, a cluster of the test's, everything to topic `plain`.
const BASE: &str = r#"
[[listen]]
name = "plain"
address = "127.0.0.1:0"
transport = "tcp"

[kafka]
embedded = false
topic = "plain"

[[rule]]
name = "everything"
field = "msg"
actions = [{ forward = "plain" }]
"#;

/// The tests' configuration on the cluster `bootstrap`, with `over` laid over it, key by key; a
/// list (`listen`, `rule`) replaces the one below.
pub fn settings(bootstrap: &str, over: &str) -> String {
    let mut base: Table = BASE.parse().expect("BASE is TOML");
    let kafka = format!("[kafka.conf]\n\"bootstrap.servers\" = \"{bootstrap}\"");
    lay(&mut base, kafka.parse().expect("an address needs no escape"));
    lay(&mut base, over.parse().unwrap_or_else(|error| panic!("{error}: {over}")));
    base.to_string()
}

fn lay(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Lines that a thread reads from a pipe, with the time at which each came.
#[derive(Debug, Default)]
struct Lines {
    state: Mutex<(Vec<(Instant, String)>, bool)>,
    changed: Condvar,
}

impl Lines {
    fn read(pipe: impl Read + Send + 'static) -> Arc<Lines> {
        let lines = Arc::new(Lines::default());
        let writer = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line).into_owned();
                writer.lock().0.push((Instant::now(), line));
                writer.changed.notify_all();
            }
            writer.lock().1 = true;
            writer.changed.notify_all();
        });
        lines
    }

    fn lock(&self) -> MutexGuard<'_, (Vec<(Instant, String)>, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn texts(&self) -> Vec<String> {
        self.lock().0.iter().map(|(_, line)| line.clone()).collect()
    }

    /// Waits for a line from index `from` on; `None`: the pipe was closed, or the time is over.
    fn wait(
        &self,
        from: usize,
        limit: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Option<(Instant, String)> {
        let deadline = Instant::now() + limit;
        let mut next = from;
        let mut state = self.lock();
        loop {
            if let Some(line) = state.0.iter().skip(next).find(|(_, line)| wanted(line)) {
                return Some(line.clone());
            }
            next = state.0.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if state.1 || left.is_zero() {
                return None;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn wait_closed(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        while !state.1 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None`: a signal ended it.
    pub code: Option<i32>,
    /// All lines of the log.
    pub log: Vec<String>,
    /// All lines of stdout.
    pub stdout: Vec<String>,
}

impl Ended {
    /// The ledger, which must be the last line of all, be there once and be balanced.
    pub fn ledger(&self) -> Ledger {
        let parsed: Vec<Json> = self.log.iter().map(|line| parse(line)).collect();
        let last = parsed.last().expect("a program that ran has logged");
        assert_eq!(last["message"], "ledger", "the last line is no ledger:\n{}", self.text());
        let count = parsed.iter().filter(|line| line["message"] == "ledger").count();
        assert_eq!(count, 1, "more than one ledger:\n{}", self.text());
        let ledger = Ledger::from_line(last);
        ledger.assert_balanced();
        ledger
    }

    /// The log as one text.
    pub fn text(&self) -> String {
        self.log.join("\n")
    }

    /// Whether some line of the log holds this text.
    pub fn says(&self, text: &str) -> bool {
        self.log.iter().any(|line| line.contains(text))
    }
}

/// The running program, with `--log json`; killed on drop.
pub struct Corndog {
    process: Process,
    log: Arc<Lines>,
    stdout: Arc<Lines>,
    addresses: Vec<SocketAddr>,
    scratch: Scratch,
}

impl Corndog {
    /// Starts the program `exe` with this configuration and waits for `ready`.
    ///
    /// Each `127.0.0.1:0` becomes a free port; [`Corndog::address`] tells the first.
    pub fn start(exe: &str, configuration: &str) -> Corndog {
        let corndog = Corndog::spawn(exe, &[], configuration);
        corndog.wait_ready();
        corndog
    }

    /// Starts it below `wrapper`, a command that becomes the program (`prlimit`, `taskset`), and
    /// does not wait.
    pub fn spawn(exe: &str, wrapper: &[&str], configuration: &str) -> Corndog {
        let scratch = Scratch::new("corndog");
        let (configuration, addresses) = with_ports(configuration);
        let path = scratch.path().join("config.toml");
        fs::write(&path, &configuration).expect("scratch is writable");
        let words: Vec<&str> = wrapper.iter().copied().chain([exe]).collect();
        let mut process = Process::start(words[0], |command| {
            command.args(&words[1..]).args(["run", "--log", "json", "-c"]).arg(&path);
            command.current_dir(scratch.path()).stdin(Stdio::null());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        });
        let log = Lines::read(process.child().stderr.take().expect("piped"));
        let stdout = Lines::read(process.child().stdout.take().expect("piped"));
        Corndog { process, log, stdout, addresses, scratch }
    }

    /// The first listener's address.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All listeners' addresses that the harness chose, in the configuration's order.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Writes another configuration to the program's file, for the same listeners.
    pub fn write(&self, configuration: &str) {
        let mut text = without_status(configuration);
        for address in &self.addresses {
            text = text.replacen(ANY_PORT, &format!("\"{address}\""), 1);
        }
        let path = self.scratch.path().join("config.toml");
        fs::write(&path, text).expect("scratch is writable");
    }

    /// Writes another configuration, sends SIGHUP, and gives the line that says what came of it:
    /// `reloaded` or `not reloaded ...`.
    ///
    /// Panics: no such line came within ten seconds.
    pub fn reload(&mut self, configuration: &str) -> Json {
        self.write(configuration);
        let from = self.log.texts().len();
        self.process.signal(Signal::HUP);
        let is_answer = |line: &str| {
            let message = &parse(line)["message"];
            message == "reloaded" || message.as_str().is_some_and(|m| m.starts_with("not reload"))
        };
        match self.log.wait(from, seconds(10), is_answer) {
            Some((_, line)) => parse(&line),
            None => panic!("no answer to SIGHUP:\n{}", self.log.texts().join("\n")),
        }
    }

    /// The process, for its memory and CPU time.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Waits for the line `ready`.
    pub fn wait_ready(&self) {
        self.wait_message("ready", READY_TIME_MAX);
    }

    /// Waits for a line of the log with this `message`.
    ///
    /// Panics: none came, with the log.
    pub fn wait_message(&self, message: &str, limit: Duration) -> Json {
        self.wait_line(message, limit, |line| parse(line)["message"] == message)
    }

    /// Waits for a line of the log that `wanted` accepts.
    ///
    /// Panics: none came, with the log and `what`.
    pub fn wait_line(&self, what: &str, limit: Duration, wanted: impl Fn(&str) -> bool) -> Json {
        match self.log.wait(0, limit, wanted) {
            Some((_, line)) => parse(&line),
            None => panic!("no line `{what}` after {limit:?}:\n{}", self.log.texts().join("\n")),
        }
    }

    /// Waits for a line of stdout that ends with this text; when it came, and the line.
    pub fn wait_stdout(&self, end: &str, limit: Duration) -> (Instant, String) {
        self.stdout.wait(0, limit, |line| line.ends_with(end)).unwrap_or_else(|| {
            let (out, log) = (self.stdout.texts().join("\n"), self.log.texts().join("\n"));
            panic!("no line of stdout ends with `{end}` after {limit:?}:\n{out}\n{log}")
        })
    }

    /// The lines of the log until now.
    pub fn log(&self) -> Vec<String> {
        self.log.texts()
    }

    /// The lines of stdout until now.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.texts()
    }

    /// Asserts that it runs.
    pub fn assert_alive(&mut self) {
        let exit = self.process.exit();
        assert!(exit.is_none(), "it ended with {exit:?}:\n{}", self.log.texts().join("\n"));
    }

    /// Sends SIGTERM.
    pub fn terminate(&mut self) {
        self.process.signal(Signal::TERM);
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for the end.
    ///
    /// Panics: it runs after `limit`, with the log.
    pub fn wait(&mut self, limit: Duration) -> Ended {
        let start = Instant::now();
        while self.process.exit().is_none() {
            let text = || self.log.texts().join("\n");
            assert!(start.elapsed() < limit, "it had not ended after {limit:?}:\n{}", text());
            thread::sleep(Duration::from_millis(2));
        }
        let code = self.process.exit().expect("it ended").code();
        self.log.wait_closed(seconds(5));
        self.stdout.wait_closed(seconds(5));
        Ended { code, log: self.log.texts(), stdout: self.stdout.texts() }
    }

    /// SIGTERM, then the end, which must be a drained one.
    pub fn stop(&mut self) -> Ledger {
        self.terminate();
        let ended = self.wait(seconds(60));
        assert_eq!(ended.code, Some(0), "not drained:\n{}", ended.text());
        let ledger = ended.ledger();
        ledger.assert_closed();
        ledger
    }
}

/// Runs `corndog WORDS... -c FILE` to its end with this configuration.
///
/// Panics: it runs after ten seconds.
pub fn command(exe: &str, words: &[&str], configuration: &str) -> Finished {
    let scratch = Scratch::new("command");
    let (configuration, _) = with_ports(configuration);
    let path = scratch.path().join("config.toml");
    fs::write(&path, configuration).expect("scratch is writable");
    plain(exe, words, |command| {
        command.arg("-c").arg(&path).current_dir(scratch.path());
    })
}

/// Runs `corndog WORDS...` to its end, with what `prepare` adds.
///
/// Panics: it runs after ten seconds.
pub fn plain(exe: &str, words: &[&str], prepare: impl FnOnce(&mut Command)) -> Finished {
    let start = Instant::now();
    let mut process = Process::start(exe, |command| {
        command.args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        prepare(command);
    });
    let stderr = Lines::read(process.child().stderr.take().expect("piped"));
    let stdout = Lines::read(process.child().stdout.take().expect("piped"));
    let status = process.wait(seconds(10));
    let took = start.elapsed();
    stderr.wait_closed(seconds(5));
    stdout.wait_closed(seconds(5));
    let [stdout, stderr] = [stdout, stderr].map(|lines| lines.texts().join("\n"));
    Finished { code: status.code(), stdout, stderr, took }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None`: a signal ended it.
    pub code: Option<i32>,
    /// Its whole stdout.
    pub stdout: String,
    /// Its whole stderr.
    pub stderr: String,
    /// From its start to its end.
    pub took: Duration,
}

/// The memory sum that the program printed at its start: `memory_bytes_max` of a line of the log.
///
/// Panics: it printed none.
pub fn printed_memory(log: &[String]) -> u64 {
    let sums = log.iter().filter_map(|line| parse(line)["memory_bytes_max"].as_u64());
    sums.max().unwrap_or_else(|| panic!("no memory sum:\n{}", log.join("\n")))
}

/// Many run at once here, so one that does not say where its status server is has none.
fn without_status(configuration: &str) -> String {
    let table = configuration.parse::<Table>();
    // What is no TOML stays as it is, for the program to say so.
    if table.is_ok_and(|table| !table.contains_key("status")) {
        return format!("{configuration}\n[status]\naddress = \"\"\n");
    }
    configuration.to_owned()
}

/// Replaces each `127.0.0.1:0` by a free port.
fn with_ports(configuration: &str) -> (String, Vec<SocketAddr>) {
    let configuration = without_status(configuration);
    let mut pieces = configuration.split(ANY_PORT);
    let mut text = pieces.next().unwrap_or_default().to_owned();
    let mut addresses = Vec::new();
    for piece in pieces {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        text.push_str(&format!("\"{address}\"{piece}"));
        addresses.push(address);
    }
    (text, addresses)
}

/// A line of the log, which must be a JSON object with a `message`.
fn parse(line: &str) -> Json {
    let parsed: Json =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"));
    assert!(parsed["message"].is_string(), "no message: {line}");
    parsed
}
