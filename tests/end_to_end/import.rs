//! hotdog's own files: printed as ours, tried as they are, run as they are.
//!
//! `tests/cases/hotdog/NAME.yml` is a configuration as hotdog's users had them, `NAME.toml` beside
//! it what hotdog's contract says of some messages.

use crate::CORNDOG;
use corndog_tests::places::{Scratch, root};
use corndog_tests::process::Process;
use corndog_tests::program::{Finished, plain};
use corndog_tests::time::{seconds, wait_for};
use corndog_tests::{Sender, timed};
use rustix::process::Signal;
use serde_json::Value as Json;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Runs `corndog WORDS...`, paths among them.
fn corndog(words: &[&str], paths: &[&Path]) -> Finished {
    plain(CORNDOG, words, |command| {
        command.args(paths);
    })
}

fn hotdog(name: &str) -> PathBuf {
    root().join("tests/cases/hotdog").join(name)
}

/// Every configuration with its cases, at least as many as there are documented features.
fn all() -> Vec<(PathBuf, PathBuf)> {
    let folder = fs::read_dir(hotdog("")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .map(|path| (path.clone(), path.with_extension("toml")))
        .collect();
    all.sort();
    assert!(all.len() >= 18, "{all:?}");
    all
}

/// Imports a file into `folder`, and returns where it lies.
fn imported(yml: &Path, folder: &Path) -> PathBuf {
    let done = corndog(&["import"], &[yml]);
    assert_eq!(done.code, Some(0), "{}: {done:?}", yml.display());
    let name = yml.with_extension("imported.toml");
    let path = folder.join(name.file_name().unwrap());
    fs::write(&path, done.stdout).unwrap();
    path
}

#[test]
fn every_file_of_hotdogs_does_what_its_contract_says_as_it_is_and_imported() {
    timed(seconds(120), || {
        let scratch = Scratch::new("import");
        for (yml, cases) in all() {
            let name = yml.display();
            let as_it_is = corndog(&["test", "--cases"], &[&cases, Path::new("-c"), &yml]);
            assert_eq!(as_it_is.code, Some(0), "{name}: {}{}", as_it_is.stdout, as_it_is.stderr);
            let toml = imported(&yml, scratch.path());
            let after = corndog(&["test", "--cases"], &[&cases, Path::new("-c"), &toml]);
            assert_eq!(after.code, Some(0), "{name}, imported: {}{}", after.stdout, after.stderr);
            let json = |file: &Path| {
                let words = ["test", "--json", "--cases"];
                let done = corndog(&words, &[&cases, Path::new("-c"), file]);
                assert!(!done.stdout.is_empty(), "{name}: {done:?}");
                done.stdout
            };
            assert_eq!(json(&yml), json(&toml), "{name}");
        }
    });
}

#[test]
fn what_is_imported_passes_check() {
    timed(seconds(120), || {
        let scratch = Scratch::new("import");
        // The certificates of one are on no machine that this runs on.
        for (yml, _) in all().into_iter().filter(|(yml, _)| !yml.ends_with("tls.yml")) {
            for file in [imported(&yml, scratch.path()), yml.clone()] {
                let done = corndog(&["check", "-c"], &[&file]);
                assert_eq!(done.code, Some(0), "{}: {done:?}", file.display());
                let is_yml = file == yml;
                assert_eq!(done.stderr.contains("topics.allow"), is_yml, "{done:?}");
            }
        }
    });
}

/// hotdog asked for certificates where it had a CA, and took clients without one.
#[test]
fn what_came_by_tls_comes_by_tls() {
    timed(seconds(60), || {
        let pki = corndog_tests::Pki::new();
        let scratch = Scratch::new("import");
        let yml = scratch.path().join("hotdog.yml");
        let text = fs::read_to_string(hotdog("tls.yml")).unwrap();
        let text = text
            .replace("/etc/hotdog/cert.pem", pki.path("server.pem").to_str().unwrap())
            .replace("/etc/hotdog/key.pem", pki.path("server.key").to_str().unwrap())
            .replace("/etc/hotdog/ca.pem", pki.path("ca.pem").to_str().unwrap());
        fs::write(&yml, text).unwrap();
        let done = corndog(&["import"], &[&yml]);
        assert_eq!(done.code, Some(0), "{done:?}");
        for key in ["\ntransport = \"tls\"\n", "client_ca = ", "client_auth = \"optional\""] {
            assert!(done.stdout.contains(key), "`{key}` is not in {}", done.stdout);
        }
        for file in [imported(&yml, scratch.path()), yml] {
            let done = corndog(&["check", "-c"], &[&file]);
            assert_eq!(done.code, Some(0), "{}: {done:?}", file.display());
            assert!(done.stdout.contains("hotdog on 0.0.0.0:6514 (tls)"), "{done:?}");
        }
        let done = corndog(&["check", "-c"], &[&hotdog("tls.yml")]);
        assert_eq!(done.code, Some(2), "its files are not here: {done:?}");
        assert!(done.stderr.contains("tls.cert \"/etc/hotdog/cert.pem\""), "{done:?}");
    });
}

#[test]
fn everything_that_does_not_come_along_is_named() {
    timed(seconds(30), || {
        let notes = |name: &str, words: &[&str]| {
            let done = corndog(&["import"], &[&hotdog(name)]);
            assert_eq!(done.code, Some(0), "{done:?}");
            for word in words {
                assert!(done.stderr.contains(word), "`{word}` is not in: {}", done.stderr);
            }
            done
        };
        let done = notes("yaml.yml", &["global.kafka.buffer", "global.kafka.timeout_ms"]);
        for lines in [
            "\n[statsd]\naddress = \"localhost:8125\"\nprefix = \"hotdog\"\n",
            "\n[status]\naddress = \"127.0.0.1:8585\"\n",
        ] {
            assert!(done.stdout.contains(lines), "`{lines}` is not in {}", done.stdout);
        }
        for word in ["statsd", "global.status"] {
            assert!(!done.stderr.contains(word), "`{word}` comes along: {}", done.stderr);
        }
        notes(
            "left_out.yml",
            &[
                "line 16: rule 1: neither regex nor jmespath",
                "line 20: rule 2: no action",
                "rule 3: hotdog did not read regex where jmespath stands too",
                "rule 3, action 1, key: hotdog did not know this key",
                "rule 3, name: hotdog did not know this key",
                "rule 4, action 2: never ran",
            ],
        );
        notes("replace.yml", &["{{nothing}}", "{{hostname}}", "{{value}}"]);
        let done = notes(
            "blocks.yml",
            &[
                "rule 1: the variable {{hostname}} was unknown here and false where a block",
                "rule 1: the variable {{sd.origin.ip}} was unknown here and rendered as nothing",
                "rule 1: the variable {{value}} was unknown",
                "rule 4: the variable {{procid}} was unknown",
            ],
        );
        assert!(!done.stderr.contains("rule 4: the variable {{value}}"), "{}", done.stderr);
        for variable in ["hostname", "sd.origin", "procid"] {
            assert!(!done.stdout.contains(variable), "`{variable}`: {}", done.stdout);
        }
        notes("whole.yml", &["rule 1, action 1: json is no mapping", "rule 2, action 2: json is"]);
        let done = notes("topics.yml", &[]);
        assert!(done.stdout.contains("allow = [\"*\"]"), "{}", done.stdout);
        let done = notes("fields.yml", &[]);
        assert!(done.stdout.contains("# to the topics that you mean: allow = [\"site-*\"]"));
    });
}

#[test]
fn what_check_would_refuse_is_named_and_exits_with_2() {
    timed(seconds(60), || {
        let scratch = Scratch::new("import");
        let yml = scratch.path().join("hotdog.yml");
        let global = "global: {kafka: {conf: {bootstrap.servers: 'localhost:9092'}}}\n";
        for (template, reason) in [
            ("{{#each this}}{{this}}{{/each}}", "the helper each loops over data"),
            ("{{#with this}}{{msg}}{{/with}}", "the helper with is unknown"),
            ("{{lookup this 'msg'}}", "the helper lookup is unknown"),
            ("{{#if msg strict=true}}a{{/if}}", "the helper if takes no options"),
            ("a{{#if msg}}b", "the block opened here is not closed"),
        ] {
            for action in
                ["type: replace, template", "type: merge, json: {a", "type: merge, json: {"]
            {
                let json = match action.split_once('{') {
                    None => format!("{action}: {template:?}"),
                    Some((_, "a")) => format!("{action}: {template:?}}}"),
                    Some(_) => format!("{action}{template:?}: a}}"),
                };
                let actions = format!("[{{{json}}}, {{type: forward, topic: t}}]");
                let rules = format!("rules: [{{field: msg, regex: a, actions: {actions}}}]\n");
                fs::write(&yml, format!("{global}{rules}")).unwrap();
                let done = corndog(&["import"], &[&yml]);
                assert_eq!(done.code, Some(2), "{rules}{done:?}");
                let words = ["to be mended in what is printed: ", reason, "^"];
                for word in words {
                    assert!(done.stderr.contains(word), "`{word}` is not in: {}", done.stderr);
                }
                assert!(done.stdout.contains("[[rule]]"), "{done:?}");
                let toml = scratch.path().join("imported.toml");
                fs::write(&toml, &done.stdout).unwrap();
                let check = corndog(&["check", "-c"], &[&toml]);
                assert_eq!(check.code, Some(2), "{rules}{check:?}");
                assert!(check.stderr.contains(reason), "{check:?}");
            }
        }
    });
}

/// A list whose strings insert what the message holds would need escapes that `replace` does not
/// make: left out, what hotdog dropped would be forwarded.
#[test]
fn a_merge_of_a_list_with_variables_is_refused_by_name() {
    timed(seconds(30), || {
        let scratch = Scratch::new("import");
        let yml = scratch.path().join("hotdog.yml");
        for json in ["['{{msg}}']", "'{{msg}}'", "[{'{{a}}': 1}]"] {
            let text = format!(
                "global: {{kafka: {{conf: {{bootstrap.servers: 'localhost:9092'}}}}}}\nrules:\n- \
                 {{field: msg, regex: '(?P<a>.)', actions: [{{type: merge, json: {json}}}, {{type: \
                 forward, topic: t}}]}}\n"
            );
            fs::write(&yml, text).unwrap();
            let done = corndog(&["import"], &[&yml]);
            assert_eq!(done.code, Some(2), "{done:?}");
            for words in ["line 3: rule 1, action 1: json is no mapping", "has no counterpart"] {
                assert!(done.stderr.contains(words), "`{words}` is not in: {}", done.stderr);
            }
            let words = "to be mended in what is printed: rule 1 (line 3), action 1, merge: ";
            assert!(done.stderr.contains(words), "{}", done.stderr);
            assert!(done.stdout.contains("{ merge = "), "{}", done.stdout);
            let toml = scratch.path().join("imported.toml");
            fs::write(&toml, &done.stdout).unwrap();
            for file in [&toml, &yml] {
                let check = corndog(&["check", "-c"], &[file]);
                assert_eq!(check.code, Some(2), "{check:?}");
            }
        }
    });
}

/// Rules and actions that do not come along were not counted, so that errors meant others.
#[test]
fn errors_name_hotdogs_own_rules_and_actions() {
    timed(seconds(30), || {
        let scratch = Scratch::new("import");
        let yml = scratch.path().join("hotdog.yml");
        let long = "x".repeat(5000);
        let rules = format!(
            "global: {{kafka: {{conf: {{bootstrap.servers: 'localhost:9092'}}}}}}
rules:
- {{field: msg, actions: [{{type: stop}}]}}
- {{field: msg, regex: a, actions: []}}
- field: msg
  regex: '('
  actions:
  - {{type: merge, json: [1]}}
  - {{type: replace, template: '{long}'}}
  - {{type: forward, topic: '{{{{#if msg}}}}'}}
- {{field: msg, regex: b, actions: []}}
- {{field: msg, regex: c, actions: [{{type: forward, topic: 'no topic'}}]}}
"
        );
        fs::write(&yml, rules).unwrap();
        let expected = [
            "rule 3 (line 5), action 2, replace: 5000 bytes; give at most 4096",
            "rule 3 (line 5), regex: unclosed group",
            "rule 3 (line 5), forward: the block opened here is not closed",
            "rule 5 (line 12), forward: \"no topic\" is no legal topic name",
        ];
        for command in ["check -c", "import"] {
            let words: Vec<&str> = command.split(' ').collect();
            let done = corndog(&words, &[&yml]);
            assert_eq!(done.code, Some(2), "{done:?}");
            for words in expected {
                assert!(done.stderr.contains(words), "`{words}` is not in: {}", done.stderr);
            }
            for other in ["rule 1,", "rule 2,", "rule 1 (", "rule 2 ("] {
                assert!(!done.stderr.contains(other), "`{other}` is in: {}", done.stderr);
            }
        }
        let text = "rules:\n- {field: msg}\n- {field: time, regex: '(', actions: [{type: stop}, {type: \
                    jump}]}\n";
        fs::write(&yml, text).unwrap();
        let done = corndog(&["check", "-c"], &[&yml]);
        assert_eq!(done.code, Some(2), "{done:?}");
        for words in ["rule 2: field \"time\"", "\"jump\" is unknown", "rule 2 (line 3), regex: "] {
            assert!(done.stderr.contains(words), "`{words}` is not in: {}", done.stderr);
        }
        assert_eq!(done.stderr.matches("rule 2").count(), 3, "{}", done.stderr);
        let text = "global: {kafka: {conf: {bootstrap.servers: 'localhost:9092'}}}\nrules:\n- {field: \
                    msg}\n- {field: msg, regex: '.*', actions: [{type: stop}]}\n- {field: msg, \
                    regex: b, actions: [{type: stop}]}\n";
        fs::write(&yml, text).unwrap();
        let done = corndog(&["check", "-c"], &[&yml]);
        assert_eq!(done.code, Some(0), "{done:?}");
        let words = "rule 3 (line 5): never reached, because rule 2 (line 4) matches every message \
                     and ends it; move rule 2 (line 4) to the end";
        assert!(done.stderr.contains(words), "{}", done.stderr);
    });
}

#[test]
fn what_is_no_file_of_hotdogs_is_refused_in_a_sentence() {
    timed(seconds(60), || {
        let scratch = Scratch::new("import");
        let deep = format!("rules: {}", "[".repeat(10_000));
        let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..30 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(",");
            laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let rule = "rules: [{field: msg, regex: a, actions: [{type: ";
        let files = [
            ("", "neither `global` nor `rules`"),
            ("- a\n- b\n", "neither `global` nor `rules`"),
            ("a: [", "not YAML"),
            ("a: b: c", "line 1, column 5"),
            (&deep, "line 1, column"),
            (&laughs, "more than 1048576 values"),
            ("rules: []\nrules: []\n", "the key \"rules\" stands here twice"),
            ("rules: 1", "rules: not a list"),
            ("rules: [1]", "rule 1: not a mapping"),
            ("global: {listen: {address: 0.0.0.0, port: 70000}}", "\"70000\" is not a port"),
            ("global: {listen: {address: 0.0.0.0}}", "address and port belong together"),
            ("global: {kafka: {conf: {a: [b]}}}", "global.kafka.conf.a: not a string"),
            ("rules: [{field: time, regex: a, actions: [{type: stop}]}]", "field \"time\" is none"),
            (&format!("{rule}jump}}]}}]"), "type \"jump\" is unknown"),
            (&format!("{rule}merge}}]}}]"), "merge without json"),
            (&format!("{rule}replace}}]}}]"), "replace without a template"),
            (&format!("{rule}merge, json: {{a: .inf}}}}]}}]"), "no infinity"),
            ("rules: !ruby/object x", "has no meaning in a configuration"),
        ];
        for (text, words) in files {
            let path = scratch.path().join("hotdog.yml");
            fs::write(&path, text).unwrap();
            for command in ["import", "check"] {
                let flag: &[&Path] = if command == "check" { &[Path::new("-c")] } else { &[] };
                let done = corndog(&[command], &[flag, &[&path]].concat());
                assert_eq!(done.code, Some(2), "{text}: {done:?}");
                assert!(done.stdout.is_empty(), "{done:?}");
                assert!(done.stderr.contains(words), "`{words}` is not in: {}", done.stderr);
                assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
            }
        }
        let missing = corndog(&["import"], &[Path::new("/nonexistent/hotdog.yml")]);
        assert_eq!(missing.code, Some(2), "{missing:?}");
    });
}

#[test]
fn a_file_of_hotdogs_runs_as_it_is() {
    timed(seconds(60), || {
        let scratch = Scratch::new("import");
        let path = scratch.path().join("hotdog.yml");
        let text = fs::read_to_string(hotdog("merge.yml")).unwrap();
        fs::write(&path, text.replace("port: 1514", "port: 0")).unwrap();
        let log = fs::File::create(scratch.path().join("log")).unwrap();
        let records = fs::File::create(scratch.path().join("records")).unwrap();
        let mut process = Process::start(CORNDOG, |command| {
            command.args(["run", "--log", "json", "-c"]).arg(&path);
            command.env("CORNDOG_KAFKA__EMBEDDED", "true").stdin(Stdio::null());
            command
                .env("CORNDOG_STATUS__ADDRESS", "127.0.0.1:0")
                .env("CORNDOG_STATSD__ADDRESS", "");
            command.stdout(records).stderr(log);
        });
        let lines = |name: &str| fs::read_to_string(scratch.path().join(name)).unwrap();
        let logged = |message: &str| {
            lines("log").lines().find_map(|line| {
                let json = serde_json::from_str::<Json>(line).ok()?;
                json["message"].as_str()?.contains(message).then_some(json)
            })
        };
        let ready = wait_for("ready", seconds(20), || logged("ready"));
        let address: SocketAddr = ready["listen"][0].as_str().unwrap().parse().unwrap();
        assert!(logged("topics.allow = [\"*\"]").is_some(), "{}", lines("log"));
        let mut sender = Sender::connect(address);
        sender.send_line(r#"<13>1 - h a - - - {"meta": {"topic": "from-yaml"}}"#);
        sender.finish();
        let record = wait_for("the record", seconds(20), || {
            lines("records").lines().next().map(str::to_owned)
        });
        assert!(record.starts_with("from-yaml["), "{record}");
        assert!(record.contains(r#""hotdog":"#), "{record}");
        process.signal(Signal::TERM);
        assert_eq!(process.wait(seconds(20)).code(), Some(0), "{}", lines("log"));
    });
}
