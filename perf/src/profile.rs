//! Where a run's CPU time went, by kind of thread: shares, dearest functions, flame graphs.
//!
//! ```text
//!  perf.data -perf script-> stacks -inferno-> "receiver_0;clone3;...;parse 17" -> by kind -> SVG
//! ```
//!
//! What a folder holds of an earlier run is replaced whole: kinds that were not seen this time have
//! no file in it.

use crate::failure::Failure;
use crate::machine::Facts;
use crate::recording;
use crate::report::{self, Report, Section, escaped};
use crate::table::Table;
use inferno::collapse::Collapse;
use inferno::collapse::perf::{Folder, Options};
use inferno::flamegraph;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Stdio};

/// Seconds for `perf script`, which reads all of the program's debug information.
const SCRIPT_SECONDS_MAX: &str = "300";
/// Functions in the table, of each kind.
const TOP_COUNT: usize = 10;
/// Of a function's name in the table.
const NAME_CHARACTERS_MAX: usize = 88;
/// Pixels of a flame graph in a report, as wide as the page; narrower beside less room.
const GRAPH_WIDTH: usize = 1072;
/// How inferno marks a function of the kernel, and one that was inlined.
const MARKS: [&str; 2] = ["_[k]", "_[i]"];

/// A kind of thread, by what corndog and librdkafka call their threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reads sockets, frames, parses, applies the rules.
    Receiver,
    /// Hands batches to librdkafka.
    Producer,
    /// librdkafka's own: one for each broker, and one beside them.
    Librdkafka,
    /// The first thread, and whatever has another name.
    Main,
}

/// A run's samples: stacks and how often each was seen, by kind of thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// In the order of `Kind::ALL`; a stack is without its thread.
    stacks: [Vec<(String, u64)>; Kind::ALL.len()],
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Receiver, Self::Producer, Self::Librdkafka, Self::Main];

    /// Its name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Producer => "producer",
            Self::Librdkafka => "librdkafka",
            Self::Main => "main",
        }
    }

    fn of(thread: &str) -> Self {
        match thread {
            _ if thread.starts_with("receiver") => Self::Receiver,
            _ if thread.starts_with("producer") => Self::Producer,
            _ if thread.starts_with("rdk:") => Self::Librdkafka,
            _ => Self::Main,
        }
    }
}

impl Profile {
    /// What `perf record` wrote.
    ///
    /// Errors: `Failure::Run`; `perf script` fails, or nothing was sampled.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let broken = |what: String| Failure::Run(format!("perf script: {what}"));
        let log = file.with_extension("log");
        let said = File::create(&log).map_err(|error| broken(error.to_string()))?;
        let mut command = Command::new("timeout");
        // Without periods, by which the folder would weigh: a sample is one.
        command.args([SCRIPT_SECONDS_MAX, "perf", "script", "--inline", "--fields=-period"]);
        command.arg("--input").arg(file);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(said);
        let mut child = command.spawn().map_err(|error| broken(error.to_string()))?;
        let mut folded = Vec::new();
        let read = match child.stdout.take() {
            Some(stdout) => folder().collapse(BufReader::new(stdout), &mut folded),
            None => Ok(()),
        };
        let status = child.wait().map_err(|error| broken(error.to_string()))?;
        let said = fs::read(&log).unwrap_or_default();
        recording::remove(&log)?;
        if !status.success() {
            let said = recording::last_line(&String::from_utf8_lossy(&said));
            return Err(broken(format!("{status}: {said}")));
        }
        read.map_err(|error| broken(error.to_string()))?;
        let profile = Self::parse(&String::from_utf8_lossy(&folded));
        match profile.sample_count() {
            0 => Err(broken("nothing was sampled".into())),
            _ => Ok(profile),
        }
    }

    /// Lines of a thread, a stack from its root on, and a count.
    fn parse(folded: &str) -> Self {
        let mut stacks: [Vec<(String, u64)>; Kind::ALL.len()] = Default::default();
        for line in folded.lines() {
            let Some((stack, count)) = line.rsplit_once(' ') else { continue };
            let (Some((thread, stack)), Ok(count)) = (stack.split_once(';'), count.parse()) else {
                continue;
            };
            stacks[Kind::of(thread) as usize].push((stack.to_owned(), count));
        }
        Self { stacks }
    }

    /// A kind's part of all samples.
    pub fn share(&self, kind: Kind) -> f64 {
        self.count(kind) as f64 / self.sample_count().max(1) as f64
    }

    /// A kind's functions in which most samples were, and their parts of all samples. What the
    /// standard library does is on its caller's account.
    pub fn top(&self, kind: Kind) -> Vec<(String, f64)> {
        let mut counts: HashMap<&str, u64> = HashMap::new();
        for (stack, count) in &self.stacks[kind as usize] {
            *counts.entry(payer(stack)).or_default() += count;
        }
        let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
        counts.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
        let total = self.sample_count().max(1) as f64;
        let top = counts.into_iter().take(TOP_COUNT);
        top.map(|(function, count)| (function.to_owned(), count as f64 / total)).collect()
    }

    /// Shares and dearest functions, for people.
    pub fn table(&self) -> String {
        let mut table = String::new();
        for kind in Kind::ALL.into_iter().filter(|kind| self.count(*kind) > 0) {
            // Writing to a String cannot fail.
            let _ = writeln!(table, "{:5.1} %  {}", 100.0 * self.share(kind), kind.name());
            for (function, share) in self.top(kind) {
                let function = readable(&function);
                let _ = writeln!(table, "         {:5.1} %  {function}", 100.0 * share);
            }
        }
        table
    }

    /// Writes a flame graph of each kind that was seen, and a report with all of them.
    pub fn draw(&self, folder: &Path, title: &str, facts: Facts) -> Result<(), Failure> {
        let mut sections = Vec::new();
        for kind in Kind::ALL {
            let file = folder.join(format!("{}.svg", kind.name()));
            recording::remove(&file)?;
            if self.count(kind) == 0 {
                continue;
            }
            let graph = self.graph(kind, title)?;
            fs::write(&file, &graph)
                .map_err(|error| Failure::Run(format!("{}: {error}", file.display())))?;
            sections.push(self.section(kind, &graph));
        }
        let report = Report {
            title: title.to_owned(),
            lead:
                "Where the CPU time went, by kind of thread: its stacks from below, each as wide \
                   as its part of the samples. A click on a function shows it alone."
                    .to_owned(),
            command: report::command_line(),
            facts: facts.0,
            sections,
        };
        report.write(&folder.join("index.html"))
    }

    /// A kind's flame graph, an SVG.
    fn graph(&self, kind: Kind, title: &str) -> Result<String, Failure> {
        let mut options = flamegraph::Options::default();
        options.title = format!("{title}, {}", kind.name());
        options.subtitle = Some(self.percent(kind));
        options.colors = flamegraph::color::Palette::Multi(flamegraph::color::MultiPalette::Rust);
        // The same colors in each run, that two can be laid side by side.
        options.hash = true;
        let lines: Vec<String> = self.stacks[kind as usize]
            .iter()
            .map(|(stack, count)| format!("{stack} {count}"))
            .collect();
        let mut graph = Vec::new();
        flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut graph)
            .map_err(|error| Failure::Run(format!("{} threads: {error}", kind.name())))?;
        Ok(String::from_utf8_lossy(&graph).into_owned())
    }

    fn section(&self, kind: Kind, graph: &str) -> Section {
        let mut table = Table::new(&["function", "% of all"]);
        for (function, share) in self.top(kind) {
            table.rows.push(vec![readable(&function), format!("{:.1}", 100.0 * share)]);
        }
        Section {
            title: format!("{}: {}", kind.name(), self.percent(kind)),
            charts: vec![framed(graph)],
            tables: vec![table],
            ..Section::default()
        }
    }

    fn percent(&self, kind: Kind) -> String {
        format!("{:.1} % of the CPU time", 100.0 * self.share(kind))
    }

    fn count(&self, kind: Kind) -> u64 {
        self.stacks[kind as usize].iter().map(|(_, count)| count).sum()
    }

    /// All samples: of a thousand or fewer the tenths of a percent say little.
    pub fn sample_count(&self) -> u64 {
        Kind::ALL.into_iter().map(|kind| self.count(kind)).sum()
    }
}

fn folder() -> Folder {
    let mut options = Options::default();
    options.annotate_kernel = true;
    Folder::from(options)
}

/// The innermost function that is not the standard library's.
fn payer(stack: &str) -> &str {
    let innermost = stack.rsplit(';').next().unwrap_or(stack);
    stack.rsplit(';').find(|function| !is_std(function)).unwrap_or(innermost)
}

/// Whether it is in the standard library, or a method of a type without a path, such as `[u8]`.
fn is_std(function: &str) -> bool {
    let of_type = function.strip_prefix('<').and_then(|rest| rest.split([' ', '>']).next());
    let path = of_type.unwrap_or(function);
    let is_in = |start: &&str| path.trim_start_matches(['&', '[']).starts_with(*start);
    ["core::", "alloc::", "std::"].iter().any(is_in)
        || of_type.is_some_and(|path| !path.contains("::"))
}

/// Without marks, and cut; `(kernel)` before what is the kernel's.
fn readable(function: &str) -> String {
    let [kernel, inlined] = MARKS;
    let is_kernel = function.ends_with(kernel);
    let plain = function.trim_end_matches(kernel).trim_end_matches(inlined);
    let cut: String = plain.chars().take(NAME_CHARACTERS_MAX).collect();
    if is_kernel { format!("(kernel) {cut}") } else { cut }
}

/// A graph as a document of its own within the report: its scripts know of one graph alone.
fn framed(graph: &str) -> String {
    let height = graph.split_once(" height=\"").and_then(|(_, rest)| rest.split('"').next());
    let height: usize = height.and_then(|height| height.parse().ok()).unwrap_or(GRAPH_WIDTH);
    // The graph's scripts leave its width to what is around it.
    let start = "<!doctype html><meta charset=utf-8><style>body{margin:0}svg{width:100%}</style>";
    // The first tag is the graph's; what stands before it is for files.
    let graph = graph.find("<svg").map_or(graph, |index| &graph[index..]);
    format!(
        "<iframe sandbox=\"allow-scripts\" height=\"{height}\" style=\"border: 0; \
         width: min({GRAPH_WIDTH}px, 100vw - 48px)\" srcdoc=\"{}\"></iframe>",
        escaped(&format!("{start}{graph}"))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDED: &str = "\
        receiver_0;clone3;run;parse_[i] 30\n\
        receiver_1;clone3;run;recv;copy_to_iter_[k] 25\n\
        receiver_1;clone3;parse_[i];<core::slice::Iter<T> as Iterator>::next_[i] 5\n\
        producer;clone3;send 20\n\
        rdk:broker2;clone3;crc32c 15\n\
        corndog;main;<a::b as c>::poll 5\n\
        nonsense\n";

    #[test]
    fn samples_are_of_the_kind_that_the_thread_is_named_for() {
        let profile = Profile::parse(FOLDED);
        let shares = Kind::ALL.map(|kind| profile.share(kind));
        assert_eq!(shares, [0.6, 0.2, 0.15, 0.05]);
        let top = profile.top(Kind::Receiver);
        assert_eq!(top, [("parse_[i]".to_owned(), 0.35), ("copy_to_iter_[k]".to_owned(), 0.25)]);
    }

    #[test]
    fn the_standard_library_is_on_its_callers_account() {
        for function in [
            "core::ptr::write",
            "<alloc::vec::Vec<T> as core::ops::Deref>::deref",
            "<[u8]>::is_ascii",
            "<usize as core::slice::SliceIndex<[T]>>::index",
            "<&std::net::TcpStream as Read>::read",
        ] {
            assert_eq!(payer(&format!("run;parse;{function}")), "parse");
        }
        for function in ["a::b", "<a::b<core::c> as core::d>::e", "memcpy", "[unknown]"] {
            assert_eq!(payer(&format!("run;{function}")), function);
        }
        assert_eq!(payer("core::a;core::b"), "core::b");
    }

    #[test]
    fn table_and_report_name_every_kind_and_no_earlier_one() {
        let profile = Profile::parse(FOLDED);
        let table = profile.table();
        assert!(table.contains(" 60.0 %  receiver\n          35.0 %  parse\n"), "{table}");
        assert!(table.contains("(kernel) copy_to_iter\n"), "{table}");
        let folder = std::env::temp_dir().join(format!("corndog-profile-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut facts = Facts::default();
        facts.add("kernel", "6.1");
        profile.draw(&folder, "a run", facts.clone()).unwrap();
        let report = fs::read_to_string(folder.join("index.html")).unwrap();
        assert!(report.contains("<td>&lt;a::b as c&gt;::poll</td>"), "{report}");
        assert!(report.contains("<dt>kernel</dt><dd>6.1</dd>"), "{report}");
        assert_eq!(report.matches("srcdoc=").count(), Kind::ALL.len());
        for kind in Kind::ALL {
            let svg = fs::read_to_string(folder.join(format!("{}.svg", kind.name()))).unwrap();
            assert!(svg.contains("<svg") && report.contains(kind.name()));
            assert!(report.contains(&format!("a run, {}", kind.name())));
        }
        // Kinds of the run before stayed beside those of this one.
        Profile::parse("producer;clone3;send 20\n").draw(&folder, "another", facts).unwrap();
        let is_there = |kind: Kind| folder.join(format!("{}.svg", kind.name())).exists();
        assert_eq!(Kind::ALL.map(is_there), [false, true, false, false]);
        assert!(!folder.join("index.html.part").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
