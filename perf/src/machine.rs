//! What a figure depends on beside the program: the machine, its state, and the programs' versions.

use crate::cpu;
use crate::forwarder::{Installed, Kind};
use crate::taken::Taken;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// The lock file that corndog was built from, if it was built beside this program.
const LOCK: &str = include_str!("../../Cargo.lock");
const MIB: u64 = 1 << 20;
/// How long the cores are watched.
const WATCH_TIME: Duration = Duration::from_secs(2);

/// Names and values, in the order of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(pub Vec<(String, String)>);

impl Facts {
    /// Of this machine, now, and of the forwarders that are to be measured. What cannot be found out
    /// says so.
    ///
    /// Cost: keeps all cores busy for two seconds.
    pub fn gather<'a>(installed: impl IntoIterator<Item = &'a Installed>) -> Self {
        let mut facts = Self::default();
        facts.add("date", format!("{:.0}", jiff::Timestamp::now()));
        facts.add("processor", processor());
        facts.add("cores", cores());
        facts.add("memory", memory());
        facts.add("kernel", kernel());
        facts.add("governor", governor());
        facts.add("load average at the start", load_average());
        facts.add_taken("taken by the machine at the start");
        let mut seen = BTreeSet::new();
        for one in installed {
            if seen.insert(one.program.clone()) {
                facts.add(one.kind.name(), version(one));
            }
        }
        facts.add("librdkafka of corndog", corndog_librdkafka());
        if seen.len() > 1 {
            facts.add("librdkafka of the others", system_librdkafka());
        }
        facts
    }

    /// Adds one at the end.
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Adds what the machine takes from its cores now, and says it.
    ///
    /// Cost: as `gather`.
    pub fn add_taken(&mut self, name: &str) -> Taken {
        let taken = Taken::watch(WATCH_TIME);
        self.add(name, taken.to_string());
        taken
    }

    /// As an object.
    pub fn json(&self) -> Value {
        let facts = self
            .0
            .iter()
            .map(|(name, value)| (name.replace(' ', "_"), Value::String(value.clone())));
        Value::Object(facts.collect())
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn or_unknown(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

fn processor() -> String {
    let info = read("/proc/cpuinfo");
    let name = or_unknown(field(&info, "model name"));
    let is_guest = field(&info, "flags").is_some_and(|flags| has_word(&flags, "hypervisor"));
    if is_guest { format!("{name} (a virtual machine)") } else { name }
}

fn cores() -> String {
    let own = std::thread::available_parallelism().map_or(0, usize::from);
    let all = read("/proc/cpuinfo").lines().filter(|line| line.starts_with("processor")).count();
    if own == all { all.to_string() } else { format!("{own} of {all}") }
}

fn memory() -> String {
    or_unknown(cpu::memory_of_machine().map(|bytes| format!("{} MiB", bytes / MIB)))
}

fn kernel() -> String {
    let release = read("/proc/sys/kernel/osrelease");
    let system = read("/etc/os-release");
    let name = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map_or_else(String::new, |name| format!(", {}", name.trim_matches('"')));
    format!("Linux {}{name}", release.trim())
}

/// Of all cores; a virtual machine mostly does not see its host's.
fn governor() -> String {
    let cores = fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let files = cores.map(|core| core.path().join("cpufreq/scaling_governor"));
    let names: BTreeSet<String> = files
        .filter_map(|file| fs::read_to_string(file).ok())
        .map(|name| name.trim().to_owned())
        .collect();
    match names.is_empty() {
        true => "not visible from here".to_owned(),
        false => names.into_iter().collect::<Vec<_>>().join(", "),
    }
}

fn load_average() -> String {
    let averages = read("/proc/loadavg");
    let averages: Vec<&str> = averages.split(' ').take(3).collect();
    or_unknown(Some(averages.join(", ")))
}

/// What the program says of itself.
fn version(installed: &Installed) -> String {
    let flag = match installed.kind {
        Kind::Corndog => "--version",
        Kind::Rsyslog | Kind::RsyslogStrings => "-v",
        Kind::SyslogNg => "-V",
    };
    let output = installed.bare_command().arg(flag).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    or_unknown(text.ok().as_deref().and_then(version_number))
}

/// The first word that begins with a digit and has a dot, as in `rsyslogd  8.2302.0 (aka 2023.02)`.
fn version_number(text: &str) -> Option<String> {
    let mut words = text.split(|letter: char| letter.is_whitespace() || "(),".contains(letter));
    let is_version = |word: &&str| {
        word.starts_with(|letter: char| letter.is_ascii_digit()) && word.contains('.')
    };
    words.find(is_version).map(str::to_owned)
}

/// It is linked into the program: what the lock file says.
fn corndog_librdkafka() -> String {
    let package = LOCK.split("[[package]]").find(|text| text.contains("name = \"rdkafka-sys\""));
    let version = package.and_then(|text| field(text, "version"));
    let version =
        version.and_then(|text| Some(text.split_once('+')?.1.trim_matches('"').to_owned()));
    or_unknown(version)
}

/// What Debian's package manager says; both peers take the system's.
fn system_librdkafka() -> String {
    let mut query = Command::new("dpkg-query");
    let output = query.args(["-W", "-f=${Version}", "librdkafka1"]).output();
    or_unknown(output.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()))
}

/// What stands behind the name and `:` or `=` in the first line that has it.
fn field(text: &str, name: &str) -> Option<String> {
    let behind = |line: &str| {
        let rest = line.strip_prefix(name)?.trim_start();
        Some(rest.strip_prefix([':', '='])?.trim().to_owned())
    };
    text.lines().find_map(behind)
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(' ').any(|one| one == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_the_first_number_with_a_dot() {
        let rsyslog = "rsyslogd  8.2302.0 (aka 2023.02) compiled with:\n\tPLATFORM: x";
        assert_eq!(version_number(rsyslog).as_deref(), Some("8.2302.0"));
        assert_eq!(version_number("syslog-ng 3 (3.38.1)\n").as_deref(), Some("3.38.1"));
        assert_eq!(version_number("no version"), None);
    }

    #[test]
    fn fields_are_found_by_colon_and_by_equals_sign() {
        assert_eq!(
            field("a : b\nmodel name\t: AMD EPYC\n", "model name").as_deref(),
            Some("AMD EPYC")
        );
        assert_eq!(field("version = \"1+2\"", "version").as_deref(), Some("\"1+2\""));
        assert_eq!(field("versions = 1", "version"), None);
    }

    #[test]
    fn this_machine_has_every_fact() {
        let facts = Facts::gather([]);
        let json = facts.json();
        for name in ["date", "processor", "cores", "memory", "kernel", "governor"] {
            assert!(json[name].as_str().is_some_and(|value| !value.is_empty()), "{name}");
        }
        assert!(corndog_librdkafka().starts_with(|letter: char| letter.is_ascii_digit()));
    }
}
