//! `corndog test`: what is shown of a message, for people and for programs, and files of cases.

use crate::CORNDOG;
use corndog_tests::places::{Scratch, root};
use corndog_tests::program::{Finished, plain};
use corndog_tests::time::seconds;
use corndog_tests::timed;
use serde_json::{Value as Json, json};
use std::fs;

/// The rules of `tests/cases/trial.toml`, too.
const RULES: &str = r#"
[limits]
frame = "480 B"

[[listen]]
name = "plain"
address = "127.0.0.1:0"

[[listen]]
name = "strict"
address = "127.0.0.1:0"
oversize = "dead_letter"

[topics]
allow = ["logs-*"]
dead_letter = "dead"

[[rule]]
name = "json with a topic"
jmespath = "meta.topic"
actions = [
  { merge = { seen = "{{iso8601}}", by = { peer = "{{peer}}", listener = "{{listener}}" } } },
  { forward = "logs-{{value}}", key = "{{hostname}}", headers = { app = "{{appname}}", pid = "{{procid}}" } },
]

[[rule]]
field = "sd.origin@32473.ip"
regex = '^(?P<net>\d+)\.'
actions = [{ forward = "by-origin", key = "{{net}}" }]

[[rule]]
name = "noise"
field = "severity"
regex = "^debug$"
actions = [{ stop = true }]

[[rule]]
name = "some"
field = "appname"
regex = "^chatty$"
actions = [{ sample = { one_in = 2 } }, { forward = "sampled" }]

[[rule]]
name = "whole"
regex = "^whole"
actions = [{ forward = "whole", format = "raw" }]

[[rule]]
name = "unused"
regex = "never sent"
actions = [{ replace = "x" }]
"#;

/// Runs `corndog test` on files of these names and contents, the configuration among them.
fn test(words: &[&str], files: &[(&str, &str)]) -> Finished {
    let scratch = Scratch::new("trial");
    for (name, text) in files {
        fs::write(scratch.path().join(name), text).unwrap();
    }
    fs::write(scratch.path().join("rules.toml"), RULES).unwrap();
    plain(CORNDOG, &[&["test", "-c", "rules.toml"], words].concat(), |command| {
        command.current_dir(scratch.path());
        let input = scratch.path().join("stdin");
        if input.exists() {
            command.stdin(fs::File::open(input).unwrap());
        }
    })
}

#[test]
fn our_own_cases_hold() {
    timed(seconds(30), || {
        let cases = fs::read_to_string(root().join("tests/cases/trial.toml")).unwrap();
        let done = test(&["--cases", "cases.toml"], &[("cases.toml", &cases)]);
        assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
        assert!(done.stdout.ends_with("cases, all as expected"), "{done:?}");
    });
}

#[test]
fn people_see_fields_rules_and_the_record() {
    timed(seconds(30), || {
        let frame = r#"<13>1 - web1 app 7 - - {"meta": {"topic": "a"}}"#;
        let input = format!("{frame}\nplain\x1b[31m\n");
        let done = test(&["a.log"], &[("a.log", &input)]);
        assert_eq!(done.code, Some(0), "{done:?}");
        let squeezed: Vec<String> = done
            .stdout
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let expected = [
            "a.log:1",
            "format rfc5424",
            "facility user",
            "hostname web1",
            "rule json with a topic matched",
            "-> topic logs-a",
            "-> key web1",
            "-> header app: app",
            "-> header pid: 7",
            "a.log:2",
            "rule json with a topic msg is not JSON",
            "rule 2 the message has no sd.origin@32473.ip",
            "rule noise no match in severity",
            "dropped unmatched",
        ];
        for line in expected {
            assert!(squeezed.iter().any(|shown| shown == line), "`{line}`: {}", done.stdout);
        }
        assert!(!done.stdout.contains('\x1b'), "colours are for terminals: {done:?}");
        assert!(done.stdout.contains("plain\\u{1b}[31m"), "{done:?}");
    });
}

#[test]
fn programs_get_one_object_a_message() {
    timed(seconds(30), || {
        let frame = r#"<13>1 - web1 app - - - {"meta": {"topic": "a"}}"#;
        let input = format!("{frame}\n\n<15>1 - - - - - - x\n404 not a count");
        let done = test(&["--json", "-"], &[("stdin", &input)]);
        assert_eq!(done.code, Some(0), "{done:?}");
        let objects: Vec<Json> =
            done.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        assert_eq!(objects.len(), 3, "{done:?}");
        let first = &objects[0];
        assert_eq!(first["rule"], "json with a topic");
        assert_eq!(first["topic"], "logs-a");
        assert_eq!(first["key"], "web1");
        assert_eq!(first["headers"], json!({"app": "app", "pid": ""}));
        assert_eq!(first["dropped"], Json::Null);
        assert_eq!(first["hostname"], "web1");
        assert_eq!(first["procid"], Json::Null);
        let payload: Json = serde_json::from_str(first["payload"].as_str().unwrap()).unwrap();
        assert_eq!(payload["by"], json!({"peer": "127.0.0.1", "listener": "plain"}));
        let second = &objects[1];
        assert_eq!((&second["rule"], &second["dropped"]), (&json!("noise"), &json!("stopped")));
        assert_eq!(second["topic"], Json::Null);
        assert_eq!(second["tried"][1], json!({"rule": "2", "why": "field_missing"}));
        assert_eq!(second["tried"].as_array().unwrap().len(), 3);
        assert_eq!(objects[2]["msg"], "404 not a count");
    });
}

#[test]
fn counted_frames_and_long_ones_are_read_as_a_listener_reads_them() {
    timed(seconds(30), || {
        let long = "x".repeat(1000);
        let done = test(&["--json", "-"], &[("stdin", &format!("9 <13>a\nb c1004 <13>{long}"))]);
        let objects: Vec<Json> =
            done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(objects.len(), 2, "{done:?}");
        assert_eq!(objects[0]["msg"], "a\nb c");
        assert_eq!(objects[1]["msg"].as_str().unwrap().len(), 480 - "<13>".len());
    });
}

#[test]
fn a_case_that_fails_shows_the_difference() {
    timed(seconds(30), || {
        let cases = r#"
[[case]]
name = "good"
input = "whole"
topic = "whole"

[[case]]
name = "wrong topic and payload"
input = '<13>1 - web1 app - - - {"meta": {"topic": "abc"}, "n": [1, 2]}'
topic = "logs-abd"
payload_json = '''{"meta": {"topic": "abc"}, "n": [1, 3], "seen": "2000-01-01T00:00:00.000000Z",
    "by": {"peer": "127.0.0.1", "listener": "plain"}}'''

[[case]]
name = "dropped, and a record expected"
input = "nothing"
topic = "x"
"#;
        let done = test(&["--cases", "cases.toml"], &[("cases.toml", cases)]);
        assert_eq!(done.code, Some(1), "{done:?}");
        for words in [
            "FAILED case 2 \"wrong topic and payload\"",
            "topic           expected logs-abd",
            "                  found    logs-abc",
            "payload.n[1]    expected 3",
            "found    no record: dropped, unmatched",
            "3 cases, 2 failed",
        ] {
            assert!(done.stdout.contains(words), "`{words}` is not in:\n{}", done.stdout);
        }
        assert!(!done.stdout.contains("\"good\""), "{done:?}");
        let words = ["--json", "--cases", "cases.toml"];
        let done = test(&words, &[("cases.toml", cases)]);
        assert_eq!(done.code, Some(1), "{done:?}");
        let failed: Vec<Json> = done
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).unwrap()["failed"].clone())
            .collect();
        assert_eq!(failed, [json!([]), json!(["topic", "payload.n[1]"]), json!(["topic"])]);
    });
}

#[test]
fn a_wrong_file_is_refused_in_a_sentence() {
    timed(seconds(30), || {
        let cases = [
            ("", "there is no case"),
            ("[[case]]\n", "missing field `name`"),
            ("[[case]]\nname = 1", "line 2"),
            ("[[case]]\nname = \"a\"\ninput = \"a\"\ntopics = \"b\"", "unknown field `topics`"),
            ("[[case]]\nname = \"a\"\ninput = \"a\"", "case 1 \"a\": nothing is expected"),
            ("[[case]]\nname = \"a\"\ninput = \"a\"\ndropped = \"x\"", "is no reason"),
            ("case = [", "line 1"),
        ];
        for (text, words) in cases {
            let done = test(&["--cases", "cases.toml"], &[("cases.toml", text)]);
            assert_eq!(done.code, Some(2), "{text}: {done:?}");
            assert!(done.stderr.contains(words), "`{words}` is not in: {}", done.stderr);
            assert!(done.stdout.is_empty(), "{done:?}");
        }
        for words in [&["nowhere.log"][..], &["."], &["--cases", "nowhere.toml"], &[]] {
            let done = test(words, &[]);
            assert_eq!(done.code, Some(2), "{words:?}: {done:?}");
        }
        let wrong = plain(CORNDOG, &["test", "-c", "/nonexistent.toml", "-"], |_| {});
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
    });
}

/// Two listeners that read the same bytes otherwise.
const LISTENERS: &str = r#"
[[listen]]
name = "berlin"
address = "127.0.0.1:0"
timezone = "Europe/Berlin"

[[listen]]
name = "bare"
address = "127.0.0.1:0"
format = "raw"

[kafka]
record_time = "message"

[[rule]]
actions = [{ replace = "{{listener}}: {{msg}}" }, { forward = "all" }]
"#;

/// Runs `corndog test` on these listeners, with a file of cases and a message at hand.
fn test_listeners(words: &[&str], cases: &str) -> Finished {
    let scratch = Scratch::new("trial");
    fs::write(scratch.path().join("config.toml"), LISTENERS).unwrap();
    fs::write(scratch.path().join("cases.toml"), cases).unwrap();
    fs::write(scratch.path().join("a.log"), "<13>Jul  1 12:00:00 web1 app: hello\n").unwrap();
    plain(CORNDOG, &[&["test"], words].concat(), |command| {
        command.current_dir(scratch.path());
    })
}

#[test]
fn the_first_listeners_settings_hold_or_those_of_the_one_that_is_named() {
    timed(seconds(30), || {
        let object = |words: &[&str]| -> Json {
            let done = test_listeners(&[words, &["--json", "a.log"]].concat(), "");
            assert_eq!(done.code, Some(0), "{done:?}");
            serde_json::from_str(&done.stdout).unwrap()
        };
        for first in [object(&[]), object(&["--listen", "berlin"])] {
            assert_eq!(first["payload"], "berlin: hello");
            assert_eq!(first["format"], "rfc3164");
            // Noon in Berlin's summer.
            assert!(first["time"].as_str().unwrap().ends_with("-07-01T10:00:00Z"), "{first}");
        }
        let bare = object(&["--listen", "bare"]);
        assert_eq!(bare["payload"], "bare: <13>Jul  1 12:00:00 web1 app: hello");
        assert_eq!(bare["format"], "raw");
    });
}

#[test]
fn a_case_names_its_listener_or_has_the_one_of_the_command() {
    timed(seconds(30), || {
        let case = |listener: &str, payload: &str| {
            let input = "<13>Jul  1 12:00:00 web1 app: hello";
            format!(
                "[[case]]\nname = \"a\"\ninput = \"{input}\"\n{listener}\npayload = {payload:?}\n"
            )
        };
        let (berlin, bare) = ("berlin: hello", "bare: <13>Jul  1 12:00:00 web1 app: hello");
        let named = case("listener = \"berlin\"", berlin) + &case("listener = \"bare\"", bare);
        let words = ["--cases", "cases.toml"];
        let first = named.clone() + &case("", berlin);
        let done = test_listeners(&words, &first);
        assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
        let listen = [&words[..], &["--listen", "bare"]].concat();
        let done = test_listeners(&listen, &(named + &case("", bare)));
        assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
        assert_eq!(test_listeners(&listen, &first).code, Some(1));
    });
}

#[test]
fn a_listener_that_is_none_is_one_sentence() {
    timed(seconds(30), || {
        let cases = "[[case]]\nname = \"a\"\ninput = \"a\"\nlistener = \"tls\"\ntopic = \"all\"\n";
        for (words, sentence) in [
            (["--listen", "tls", "a.log"], "--listen: \"tls\" is no listener of the configuration"),
            (["a.log", "--cases", "cases.toml"], "case 1 \"a\": listener: \"tls\" is no listener"),
        ] {
            let done = test_listeners(&words, cases);
            assert_eq!(done.code, Some(2), "{done:?}");
            assert!(done.stderr.contains(sentence), "{}", done.stderr);
            assert!(done.stderr.contains("write \"berlin\" or \"bare\""), "{}", done.stderr);
            assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
            assert!(done.stdout.is_empty(), "{done:?}");
        }
    });
}

#[test]
fn a_configuration_of_another_machine_can_be_tried() {
    timed(seconds(30), || {
        let scratch = Scratch::new("trial");
        let text = "[shards]\ncores = [0, 1000]\n[kafka]\nembedded = false\n[[rule]]\nactions = \
                    [{ forward = \"all\" }]\n";
        fs::write(scratch.path().join("config.toml"), text).unwrap();
        fs::write(scratch.path().join("a.log"), "a\n").unwrap();
        let done = plain(CORNDOG, &["test", "a.log"], |command| {
            command.current_dir(scratch.path());
        });
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.stdout.contains("all"), "{done:?}");
        let check = plain(CORNDOG, &["check"], |command| {
            command.current_dir(scratch.path());
        });
        assert_eq!(check.code, Some(2), "{check:?}");
    });
}
