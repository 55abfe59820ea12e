//! Headless Chromium: what a page becomes in a real browser, and what that complains of.

use crate::places::Scratch;
use crate::process::Process;
use crate::time::seconds;
use std::io::{self, Read};
use std::path::Path;
use std::process::Stdio;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// From its start to its end; under load it hangs now and then, and is started once again.
const LOOK_TIME_MAX: Duration = seconds(60);
/// Of the page's own clock, which stands still while an answer is on its way.
const PAGE_TIME: &str = "--virtual-time-budget=4000";

/// What it saw.
#[derive(Debug)]
pub struct Seen {
    /// The document as its scripts left it.
    pub document: String,
    /// What it logged of scripts and policies: nothing is good.
    pub console: Vec<String>,
}

/// Opens a page, with more `flags`, and gives what it became after four seconds.
///
/// Panics: it had not ended in time, twice.
pub fn look(url: &str, flags: &[&str]) -> Seen {
    let (document, log) = open(url, &[&["--dump-dom"], flags].concat());
    let console = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Seen { document, console }
}

/// Writes a picture (PNG) of a page.
///
/// Panics: as [`look`]; no picture was written.
pub fn picture(url: &str, file: &Path, flags: &[&str]) {
    let screenshot = format!("--screenshot={}", file.display());
    let (_, log) = open(url, &[&[screenshot.as_str(), "--hide-scrollbars"], flags].concat());
    assert!(file.exists(), "no {}:\n{log}", file.display());
}

/// Its stdout and stderr.
fn open(url: &str, flags: &[&str]) -> (String, String) {
    let mut logs = Vec::new();
    for _ in 0..2 {
        match try_open(url, flags) {
            Ok(seen) => return seen,
            Err(log) => logs.push(log),
        }
    }
    panic!("chromium (tests/install) did not open {url}, twice:\n{}", logs.join("\n---\n"))
}

/// Errors: it ran too long or failed; what it said.
fn try_open(url: &str, flags: &[&str]) -> Result<(String, String), String> {
    let scratch = Scratch::new("chromium");
    let mut process = Process::start("chromium", |command| {
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", PAGE_TIME]);
        command.args(["--enable-logging=stderr", "--v=0", "--disable-dev-shm-usage"]);
        command.arg(format!("--user-data-dir={}", scratch.path().display()));
        command.args(flags).arg(url).env("HOME", scratch.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    });
    let stdout = read(process.child().stdout.take().expect("piped"));
    let stderr = read(process.child().stderr.take().expect("piped"));
    let start = Instant::now();
    while process.exit().is_none() && start.elapsed() < LOOK_TIME_MAX {
        thread::sleep(Duration::from_millis(20));
    }
    let exit = process.exit();
    // Its other processes end with it, and with them the pipes.
    drop(process);
    let [stdout, stderr] = [stdout, stderr].map(|text| text.join().expect("no panic"));
    match exit {
        Some(status) if status.success() => Ok((stdout, stderr)),
        Some(status) => Err(format!("it ended with {status}: {stderr}")),
        None => Err(format!("it had not ended after {LOOK_TIME_MAX:?}: {stderr}")),
    }
}

fn read(pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = io::BufReader::new(pipe).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
