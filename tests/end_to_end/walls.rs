//! The walls between the crates, as cargo sees them.
//!
//!     corndog -> receiver, producer -> pipeline        (and no arrow backwards or across)

use corndog_tests::places::root;
use corndog_tests::process::run;
use corndog_tests::time::seconds;
use corndog_tests::timed;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// Which of our crates a crate may use, and whether the arrow is for its tests alone.
const ARROWS: [(&str, &str, bool); 11] = [
    ("corndog", "corndog-receiver", false),
    ("corndog", "corndog-producer", false),
    ("corndog", "corndog-pipeline", false),
    ("corndog-receiver", "corndog-pipeline", false),
    ("corndog-producer", "corndog-pipeline", false),
    ("corndog", "corndog-tests", true),
    ("corndog-receiver", "corndog-tests", true),
    ("corndog-producer", "corndog-tests", true),
    // How Apache Kafka is fetched and started.
    ("corndog-tests", "corndog-kafka", false),
    ("corndog-perf", "corndog-kafka", false),
    // The workloads whose instructions are counted.
    ("corndog-pipeline", "corndog-perf", true),
];

/// Who may name these crates directly; others may have them through one of these, where an arrow
/// allows that.
const OWNERS: [(&str, &[&str]); 3] = [
    ("glommio", &["corndog-receiver"]),
    ("rdkafka", &["corndog-producer", "corndog-tests", "corndog-perf"]),
    ("rdkafka-sys", &["corndog-producer", "corndog-tests", "corndog-perf"]),
];

/// Who must not have these crates, by any way.
const FORBIDDEN: [(&str, &str); 8] = [
    ("corndog-pipeline", "glommio"),
    ("corndog-pipeline", "rdkafka"),
    ("corndog-pipeline", "rdkafka-sys"),
    ("corndog-pipeline", "libc"),
    ("corndog-pipeline", "rustix"),
    ("corndog-receiver", "rdkafka"),
    ("corndog-receiver", "rdkafka-sys"),
    ("corndog-producer", "glommio"),
];

struct Graph {
    /// Package id to name.
    names: BTreeMap<String, String>,
    /// Package id to what it uses: id, and whether only its tests do.
    uses: BTreeMap<String, Vec<(String, bool)>>,
    /// Ids of our own packages.
    members: BTreeSet<String>,
}

impl Graph {
    fn read() -> Graph {
        let host = run("rustc", seconds(30), |command| {
            command.arg("-vV");
        });
        let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned();
        let text = run(env!("CARGO"), seconds(120), |command| {
            command.current_dir(root()).args(["metadata", "--format-version", "1", "--locked"]);
            command.args(["--filter-platform", &host]);
        });
        let metadata: Json = serde_json::from_str(&text).unwrap();
        let text = |value: &Json| value.as_str().unwrap().to_owned();
        let list = |value: &Json| value.as_array().unwrap().clone();
        let packages = list(&metadata["packages"]);
        let names = packages.iter().map(|package| (text(&package["id"]), text(&package["name"])));
        let dependency = |entry: &Json| {
            let is_of_tests = list(&entry["dep_kinds"]).iter().all(|kind| kind["kind"] == "dev");
            (text(&entry["pkg"]), is_of_tests)
        };
        let nodes = list(&metadata["resolve"]["nodes"]);
        let uses = nodes
            .iter()
            .map(|node| (text(&node["id"]), list(&node["deps"]).iter().map(dependency).collect()));
        Graph {
            names: names.collect(),
            uses: uses.collect(),
            members: list(&metadata["workspace_members"]).iter().map(text).collect(),
        }
    }

    fn name(&self, id: &str) -> &str {
        &self.names[id]
    }

    /// All that is compiled into this package, its tests apart.
    fn closure(&self, name: &str) -> BTreeSet<&str> {
        let start = self.members.iter().find(|id| self.name(id) == name).expect(name);
        let (mut seen, mut open) = (BTreeSet::new(), vec![start.as_str()]);
        while let Some(id) = open.pop() {
            for (used, is_of_tests) in &self.uses[id] {
                if !is_of_tests && seen.insert(used.as_str()) {
                    open.push(used);
                }
            }
        }
        seen.into_iter().map(|id| self.name(id)).collect()
    }
}

#[test]
fn no_arrow_runs_backwards() {
    timed(seconds(150), || {
        let graph = Graph::read();
        for from in &graph.members {
            for (to, is_of_tests) in &graph.uses[from] {
                if !graph.members.contains(to) {
                    continue;
                }
                let (from, to) = (graph.name(from), graph.name(to));
                let allowed = ARROWS.iter().any(|(user, used, tests_only)| {
                    (*user, *used) == (from, to) && (*is_of_tests || !tests_only)
                });
                assert!(allowed, "{from} uses {to}");
            }
        }
    });
}

#[test]
fn glommio_and_rdkafka_stay_behind_their_walls() {
    timed(seconds(150), || {
        let graph = Graph::read();
        for (name, absent) in FORBIDDEN {
            assert!(!graph.closure(name).contains(absent), "{name} has {absent}");
        }
        for from in &graph.members {
            for (to, _) in &graph.uses[from] {
                let (from, to) = (graph.name(from), graph.name(to));
                let owners = OWNERS.iter().find(|(owned, _)| *owned == to);
                let allowed = owners.is_none_or(|(_, owners)| owners.contains(&from));
                assert!(allowed, "{from} names {to}");
            }
        }
        // The check sees what it should see.
        assert!(graph.closure("corndog-receiver").contains("glommio"));
        assert!(graph.closure("corndog-producer").contains("rdkafka-sys"));
    });
}

#[test]
fn the_pipeline_forbids_unsafe_code() {
    let source = std::fs::read_to_string(root().join("shards/pipeline/src/lib.rs")).unwrap();
    assert!(source.contains("#![forbid(unsafe_code)]"));
}
