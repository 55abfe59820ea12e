//! A process's stacks, sampled by `perf record` into a file.
//!
//! Whatever is in the file was sampled in this run: the one of an earlier run is removed first, and
//! a `perf` that failed, or wrote nothing, fails the run.

use crate::failure::Failure;
use crate::forwarder::signal;
use crate::report;
use rustix::process::Signal;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How samples are taken, for reports.
pub const ABOUT: &str = "perf record, cpu-clock at 997 Hz, stacks by debug information";
/// By the clock: virtual machines often have no cycle counter.
const EVENT: [&str; 2] = ["--event=cpu-clock", "--freq=997"];
/// By debug information: releases have no frame pointers, nor have the peers' packages. `perf`
/// copies 24 KiB of each stack: librdkafka has 16 in one frame, where it calls `sendmsg`.
const STACKS: &str = "--call-graph=dwarf,24576";
/// Until it writes: then it samples, or is about to.
const START_TIME: Duration = Duration::from_secs(20);
/// From the signal until the file is whole; then it is killed.
const STOP_TIME: Duration = Duration::from_secs(120);
const TICK: Duration = Duration::from_millis(20);

/// A `perf record` that runs. Killed when dropped, if it still does.
pub struct Recording {
    child: Child,
    file: PathBuf,
    /// What it says.
    log: PathBuf,
}

/// The version of `perf`.
///
/// Errors: `Failure::Setup` if it is missing or does not work.
pub fn version() -> Result<String, Failure> {
    let install = "install linux-perf, or measure without a profile";
    let output = Command::new("perf").arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::Setup(format!("perf is missing: {install}")),
        _ => Failure::Setup(format!("perf does not start ({error}): {install}")),
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    match (output.status.success(), text.trim().strip_prefix("perf version ")) {
        (true, Some(version)) => Ok(version.to_owned()),
        _ => {
            let said = last_line(&String::from_utf8_lossy(&output.stderr));
            let status = output.status;
            Err(Failure::Setup(format!("perf --version failed ({status}: {said}): {install}")))
        }
    }
}

/// Whether samples can be written there, by a `perf` that is there: better known before a run.
///
/// Errors: `Failure::Setup` with the reason.
pub fn check(file: &Path) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let (file, folder) = (file.display(), folder.display());
        let sentence = format!("{file}: there is no folder {folder}: make it, or choose another");
        return Err(Failure::Setup(sentence));
    }
    report::check_file(file)?;
    version().map(drop)
}

impl Recording {
    /// Samples a process into a file until it is stopped; an earlier run's file goes first. What
    /// `perf` says goes to `log`.
    ///
    /// Errors: `Failure::Run` if `perf` does not start or ends at once, or the earlier file stays.
    pub fn start(pid: u32, file: &Path, log: &Path) -> Result<Self, Failure> {
        let mut command = Command::new("perf");
        command.args(["record", "--quiet"]).args(EVENT).arg(STACKS);
        command.arg("--pid").arg(pid.to_string()).arg("--output").arg(file);
        Self::spawn(command, file, log)
    }

    fn spawn(mut command: Command, file: &Path, log: &Path) -> Result<Self, Failure> {
        remove(file)?;
        let said = File::create(log)
            .map_err(|error| Failure::Run(format!("{}: {error}", log.display())))?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn();
        let child = child.map_err(|error| Failure::Run(format!("perf does not start: {error}")))?;
        let mut recording = Self { child, file: file.to_owned(), log: log.to_owned() };
        let deadline = Instant::now() + START_TIME;
        while !recording.has_written() {
            recording.check()?;
            if Instant::now() > deadline {
                let seconds = START_TIME.as_secs();
                return Err(Failure::Run(format!("perf record wrote nothing within {seconds} s")));
            }
            thread::sleep(TICK);
        }
        Ok(recording)
    }

    fn has_written(&self) -> bool {
        fs::metadata(&self.file).is_ok_and(|data| data.len() > 0)
    }

    /// Fails if it has ended by itself.
    fn check(&mut self) -> Result<(), Failure> {
        match self.child.try_wait().map_err(broken)? {
            None => Ok(()),
            Some(status) => Err(self.failed("ended by itself", status)),
        }
    }

    /// Ends it, and waits until its file is whole.
    ///
    /// Errors: `Failure::Run`; it ended by itself before, or failed, or wrote nothing.
    pub fn stop(mut self) -> Result<(), Failure> {
        self.check()?;
        signal(&self.child, Signal::TERM);
        let deadline = Instant::now() + STOP_TIME;
        let status = loop {
            if let Some(status) = self.child.try_wait().map_err(broken)? {
                break status;
            }
            if Instant::now() > deadline {
                let seconds = STOP_TIME.as_secs();
                return Err(Failure::Run(format!("perf record did not end within {seconds} s")));
            }
            thread::sleep(TICK);
        };
        if !is_good(status) {
            return Err(self.failed("failed", status));
        }
        match self.has_written() {
            true => Ok(()),
            false => Err(self.failed(&format!("wrote nothing to {}", self.file.display()), status)),
        }
    }

    fn failed(&self, how: &str, status: ExitStatus) -> Failure {
        let said = fs::read(&self.log).unwrap_or_default();
        let said = last_line(&String::from_utf8_lossy(&said));
        Failure::Run(format!("perf record {how} ({status}): {said}"))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn broken(error: io::Error) -> Failure {
    Failure::Run(format!("perf record: {error}"))
}

/// Removes a file, if it is there.
///
/// Errors: `Failure::Run` with the file and the reason.
pub fn remove(file: &Path) -> Result<(), Failure> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Failure::Run(format!("{}: {error}", file.display())))
        }
        _ => Ok(()),
    }
}

/// The last line that says something: of a program that failed, mostly why.
pub fn last_line(said: &str) -> String {
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    last.map_or("no message", str::trim).to_owned()
}

/// Whether it ended as told to: once its file is whole, it ends itself by the signal it got, of
/// which Ctrl-C at a terminal is another.
fn is_good(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    let good = [Signal::TERM, Signal::INT].map(Signal::as_raw);
    status.success() || status.signal().is_some_and(|signal| good.contains(&signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a `perf` that does this beside an earlier run's file ends with, if this happens to its
    /// file meanwhile; and whether there is a file then.
    fn record(name: &str, script: &str, meanwhile: fn(&Path)) -> (String, bool) {
        let folder = std::env::temp_dir();
        let of = |end: &str| folder.join(format!("corndog-{name}-{}.{end}", std::process::id()));
        let (file, log) = (of("data"), of("log"));
        fs::write(&file, "of an earlier run").unwrap();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).arg("perf").arg(&file);
        let outcome = Recording::spawn(shell, &file, &log).and_then(|recording| {
            meanwhile(&file);
            recording.stop()
        });
        let is_there = file.exists();
        remove(&file).unwrap();
        remove(&log).unwrap();
        (outcome.map_or_else(|failure| failure.to_string(), |()| String::new()), is_there)
    }

    /// `perf record` failed, and an earlier run's samples were shown as this one's.
    #[test]
    fn a_perf_that_fails_fails_the_run_and_leaves_no_earlier_file() {
        let script = "echo first >&2; echo 'no permission' >&2; exit 255";
        let (sentence, is_there) = record("fails", script, |_| ());
        let expected = "perf record ended by itself (exit status: 255): no permission";
        assert_eq!((sentence.as_str(), is_there), (expected, false));
        let script = "trap 'echo full >&2; exit 3' TERM; echo samples >\"$1\"
            while :; do sleep 0.1; done";
        let (sentence, _) = record("fails-late", script, |_| ());
        assert_eq!(sentence, "perf record failed (exit status: 3): full");
    }

    #[test]
    fn a_perf_that_wrote_fails_the_run_only_if_its_file_is_gone() {
        let script = "echo samples >\"$1\"; exec sleep 60";
        assert_eq!(record("good", script, |_| ()), (String::new(), true));
        let (sentence, _) = record("gone", script, |file| remove(file).unwrap());
        assert!(sentence.contains("wrote nothing to"), "{sentence}");
        let (sentence, _) = record("empty", script, |file| fs::write(file, "").unwrap());
        assert!(sentence.contains("wrote nothing to"), "{sentence}");
    }

    #[test]
    fn a_folder_that_is_missing_is_told_before_anything_runs() {
        let failure = check(Path::new("/nowhere/perf.data")).unwrap_err();
        assert!(matches!(&failure, Failure::Setup(sentence) if sentence.contains("/nowhere:")));
    }
}
