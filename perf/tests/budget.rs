//! `perf/budget` under a valgrind that fails, counts nothing, or counts as told.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const BUDGET: &str = "# Kept.\nallowance = 3\nw1 = 1000\nw2 = 1000\nw3 = 1000\n";
/// So many instructions for each message, and a start.
const GOOD: &str = "echo \"$5 messages, 1 ns each\"; echo \"==1== Collected : $(($5 * EACH + 7))\"";

/// A copy of the script beside a budget, with programs of its own.
struct Place(PathBuf);

impl Place {
    fn new(name: &str, valgrind: &str) -> Self {
        let folder = format!("corndog-budget-{name}-{}", std::process::id());
        let place = Self(std::env::temp_dir().join(folder));
        for part in ["perf", "bin"] {
            fs::create_dir_all(place.0.join(part)).unwrap();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("budget");
        fs::copy(script, place.0.join("perf/budget")).unwrap();
        fs::write(place.0.join("perf/budget.toml"), BUDGET).unwrap();
        for (program, text) in [("cargo", "exit 0"), ("valgrind", valgrind)] {
            let file = place.0.join("bin").join(program);
            fs::write(&file, format!("#!/bin/bash\n{text}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        place
    }

    /// Its exit code, and all that it said.
    fn run(&self, flags: &[&str]) -> (Option<i32>, String) {
        let path = std::env::var("PATH").unwrap();
        let output = Command::new("bash")
            .arg(self.0.join("perf/budget"))
            .args(flags)
            .env("PATH", format!("{}:{path}", self.0.join("bin").display()))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    fn budget(&self) -> String {
        fs::read_to_string(self.0.join("perf/budget.toml")).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// With a valgrind that failed it wrote -2147483647 into the budget, and was content.
#[test]
fn a_run_that_fails_or_counts_nothing_is_an_error_and_writes_nothing() {
    let cases = [
        ("fails", "echo 'no such tool' >&2; exit 1", "exit code 1, so nothing is counted: no such"),
        ("silent", "exit 0", "counted no instructions of 30000 messages"),
        ("aborts", "echo '==1== Collected : 7'; echo gone; kill -ABRT $$", "exit code 134"),
        ("none", "echo '0 messages, 0 ns each'; echo '==1== Collected : 7'", "counted no"),
        ("alike", "echo \"$5 messages, 1 ns each\"; echo '==1== Collected : 7'", "cannot be"),
    ];
    for (name, valgrind, sentence) in cases {
        let place = Place::new(name, valgrind);
        for flags in [&[][..], &["--write"]] {
            let (code, said) = place.run(flags);
            assert_eq!(code, Some(1), "{name}: {said}");
            assert!(said.starts_with("perf/budget: w1: ") && said.contains(sentence), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
        assert_eq!(place.budget(), BUDGET);
    }
}

#[test]
fn counts_are_held_against_the_budget_and_written_down() {
    let cases = [(1000, 0, "+0.0"), (1030, 0, "+3.0"), (1031, 1, "find the instructions")];
    let below = [(970, 0, "-3.0"), (969, 0, "(perf/budget --write)")];
    for (each, code, sentence) in cases.into_iter().chain(below) {
        let place = Place::new(&format!("{each}"), &GOOD.replace("EACH", &each.to_string()));
        let (ended, said) = place.run(&[]);
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains(sentence), "{said}");
        assert_eq!(said.contains("--write"), each == 969, "{said}");
        assert_eq!(place.budget(), BUDGET);
        assert_eq!(place.run(&["--write"]), (Some(0), String::new()));
        assert_eq!(place.budget(), BUDGET.replace("1000", &each.to_string()));
    }
}

#[test]
fn a_budget_that_lacks_a_line_is_told_before_anything_runs() {
    for line in ["allowance = 3\n", "w2 = 1000\n"] {
        let place = Place::new(line.split_once(' ').unwrap().0, &GOOD.replace("EACH", "1000"));
        let lacking = BUDGET.replace(line, "");
        fs::write(place.0.join("perf/budget.toml"), lacking).unwrap();
        let (code, said) = place.run(&[]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(&format!("has no `{}", &line[..2])), "{said}");
    }
    let place = Place::new("flag", &GOOD.replace("EACH", "1000"));
    let (code, said) = place.run(&["--wirte"]);
    assert!(code == Some(2) && said.contains("--wirte: only --write"), "{said}");
}
