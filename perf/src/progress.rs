//! What runs now, how much of it all that is, and how long the rest will take.
#![allow(clippy::print_stderr, reason = "it tells the one who waits")]

use std::fmt;
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Runs in their order, told to standard error: on a terminal in one line that is written anew,
/// else in lines.
pub struct Progress {
    /// Of all runs; runs of one name take about as long as each other.
    names: Vec<String>,
    /// By those that have ended; the next one is `names[took.len()]`.
    took: Vec<Duration>,
    begun: Instant,
    is_terminal: bool,
}

impl Progress {
    /// Of runs of these names, none of which has begun.
    pub fn new(names: Vec<String>) -> Self {
        let is_terminal = stderr().is_terminal();
        Self { names, took: Vec::new(), begun: Instant::now(), is_terminal }
    }

    /// The next run begins.
    pub fn begin(&mut self) {
        self.begun = Instant::now();
        let (index, all) = (self.took.len(), self.names.len());
        let Some(name) = self.names.get(index) else { return };
        let round = self.names[..=index].iter().filter(|one| *one == name).count();
        let rounds = self.names.iter().filter(|one| *one == name).count();
        let rest = match left(&self.names, &self.took) {
            Some(time) => format!("about {} left", rough(time)),
            None => "how long it takes is not known yet".to_owned(),
        };
        let line = format!("{} of {all}: {name}, round {round} of {rounds}; {rest}", index + 1);
        if self.is_terminal {
            self.rewrite(&line);
        } else {
            eprintln!("{line}");
        }
    }

    /// It has ended, and showed this.
    pub fn end(&mut self, shown: &dyn fmt::Display) {
        self.took.push(self.begun.elapsed());
        if !self.is_terminal {
            eprintln!("  {shown}");
        }
    }

    fn rewrite(&self, line: &str) {
        let mut stderr = stderr().lock();
        // A terminal that takes nothing cannot be told so.
        let _ = write!(stderr, "\r\x1b[2K{line}").and_then(|()| stderr.flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal {
            self.rewrite("");
        }
    }
}

/// What the runs after those that took so long will take: each as long as those of its name did on
/// average, or as all did. `None` if none has ended yet.
fn left(names: &[String], took: &[Duration]) -> Option<Duration> {
    let mean = |of: &dyn Fn(&str) -> bool| {
        let times: Vec<Duration> =
            names.iter().zip(took).filter(|(name, _)| of(name)).map(|(_, time)| *time).collect();
        let count = u32::try_from(times.len()).ok().filter(|count| *count > 0)?;
        Some(times.iter().sum::<Duration>() / count)
    };
    let all = mean(&|_| true)?;
    let rest = names.get(took.len()..).unwrap_or_default();
    Some(rest.iter().map(|name| mean(&|one| one == name).unwrap_or(all)).sum())
}

/// `40 s`, `3 min`, `1 h 5 min`: no finer than it is known.
fn rough(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..100 => format!("{} s", seconds.div_ceil(5) * 5),
        100..3600 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_rest_takes_what_runs_of_its_name_took() {
        let names = names(&["a", "b", "b", "a", "c"]);
        let left = |took: &[u64]| {
            let took: Vec<Duration> = took.iter().map(|time| Duration::from_secs(*time)).collect();
            left(&names, &took)
        };
        assert_eq!(left(&[]), None);
        assert_eq!(left(&[2]), Some(Duration::from_secs(8)));
        // b 6, a 2, c as all: 4.
        assert_eq!(left(&[2, 6]), Some(Duration::from_secs(12)));
        assert_eq!(left(&[2, 6, 6, 2, 4]), Some(Duration::ZERO));
    }

    #[test]
    fn times_are_rough() {
        let texts = [0, 1, 42, 99, 100, 3599, 3900].map(|time| rough(Duration::from_secs(time)));
        assert_eq!(texts, ["0 s", "5 s", "45 s", "100 s", "2 min", "60 min", "1 h 5 min"]);
    }
}
