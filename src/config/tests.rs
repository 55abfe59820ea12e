//! The shared cases of `tests/cases/config.toml`, and the reference file itself.

use super::*;
use corndog_pipeline::rules::{ActionConfig, ForwardConfig};
use std::collections::BTreeMap;
use toml::Table;

const CASES: &str = include_str!("../../tests/cases/config.toml");
const REFERENCE: &str = include_str!("../../config.toml");
const ONE_RULE: &str = "\n[[rule]]\nactions = [{ forward = \"\" }]\n";

fn strings(case: &Table, key: &str) -> Vec<String> {
    let values = case.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    values.iter().map(|value| value.as_str().expect("a string").to_owned()).collect()
}

/// Settings as the cases write them: key -> what it means.
fn means(settings: &Settings) -> BTreeMap<String, String> {
    let limits = &settings.limits;
    let cores = &settings.cores;
    let listen: Vec<String> =
        settings.listen.iter().map(|one| format!("{}={}", one.name, one.address)).collect();
    let conf: Vec<String> =
        settings.kafka.conf.iter().map(|(key, text)| format!("{key}={text}")).collect();
    let rules: Vec<String> = settings.rules.iter().map(rule_means).collect();
    let pairs = [
        ("receivers", format!("{:?}", cores.receivers)),
        ("producer", cores.producer.to_string()),
        ("shared", cores.shared.to_string()),
        ("bytes", settings.batches.bytes.to_string()),
        ("per_receiver", settings.batches.per_receiver.to_string()),
        ("age", format!("{:?}", settings.batches.age)),
        ("connections", limits.connections.to_string()),
        ("connections_per_ip", limits.connections_per_ip.to_string()),
        ("frame", limits.frame_bytes_max.to_string()),
        ("frame_time", format!("{:?}", limits.frame_time)),
        ("idle_time", format!("{:?}", limits.idle_time)),
        ("drain_time", format!("{:?}", limits.drain_time)),
        ("listen", listen.join(" ")),
        ("embedded", settings.kafka.embedded.to_string()),
        ("topic", settings.kafka.topic.clone()),
        ("conf", conf.join(" ")),
        ("allow", settings.routing.allow.join(" ")),
        ("fallback", settings.routing.fallback.clone().unwrap_or_default()),
        ("distinct", settings.routing.distinct.to_string()),
        ("rules", rules.join(" | ")),
    ];
    pairs.into_iter().map(|(key, text)| (key.to_owned(), text)).collect()
}

fn rule_means(rule: &RuleConfig) -> String {
    let actions: Vec<String> = rule
        .actions
        .iter()
        .map(|action| match action {
            ActionConfig::Forward(ForwardConfig { topic, key: None, .. }) => {
                format!("forward {topic}")
            }
            ActionConfig::Forward(ForwardConfig { topic, key: Some(key), .. }) => {
                format!("forward {topic} by {key}")
            }
            ActionConfig::Stop => "stop".to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    let regex = rule.regex.as_deref().unwrap_or("always");
    format!("{}: {:?} {regex} -> {}", rule.name, rule.field, actions.join(", "))
}

fn check_case(case: &Table) -> Result<(), String> {
    let mut text = case["config"].as_str().expect("config is a string").to_owned();
    if !case.get("whole").and_then(Value::as_bool).unwrap_or(false) {
        text.push_str(ONE_RULE);
    }
    let cores: Vec<usize> = match case.get("cores").and_then(Value::as_array) {
        Some(cores) => cores.iter().filter_map(Value::as_integer).map(count).collect(),
        None => vec![0, 1, 2, 3],
    };
    let environment: Vec<(String, String)> = match case.get("environment") {
        Some(Value::Table(table)) => table
            .iter()
            .map(|(name, text)| (name.clone(), text.as_str().expect("a string").to_owned()))
            .collect(),
        _ => Vec::new(),
    };
    let expected = strings(case, "mistakes");
    let (settings, warnings) = match Settings::from_toml(&text, &environment, &cores) {
        Err(mistakes) => {
            let found: Vec<String> = mistakes.into_iter().map(|mistake| mistake.0).collect();
            if found == expected {
                return Ok(());
            }
            return Err(format!("mistakes\n  found    {found:#?}\n  expected {expected:#?}"));
        }
        Ok(_) if !expected.is_empty() => return Err(format!("accepted; expected {expected:#?}")),
        Ok(both) => both,
    };
    if warnings != strings(case, "warnings") {
        return Err(format!("warnings: found {warnings:#?}"));
    }
    let found = means(&settings);
    for (key, text) in case.get("means").and_then(Value::as_table).into_iter().flatten() {
        if found.get(key).map(String::as_str) != text.as_str() {
            return Err(format!("{key}: found {:?}, expected {text}", found.get(key)));
        }
    }
    Ok(())
}

#[test]
fn shared_cases_hold() {
    let cases: Table = CASES.parse().expect("the cases are TOML");
    let cases = cases["case"].as_array().expect("a list of cases");
    assert!(cases.len() >= 50, "{} cases", cases.len());
    let mut failures = Vec::new();
    for case in cases {
        let case = case.as_table().expect("a table");
        if let Err(why) = check_case(case) {
            failures.push(format!("{}: {why}", case["name"]));
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn the_reference_file_equals_the_defaults() {
    let (reference, warnings) =
        Settings::from_toml(REFERENCE, &[], &[0, 1, 2, 3]).expect("config.toml is valid");
    let rule = "[[rule]]\nname = \"everything\"\nactions = [{ forward = \"\" }]";
    let (defaults, _) = Settings::from_toml(rule, &[], &[0, 1, 2, 3]).expect("one rule is enough");
    assert_eq!(reference, defaults);
    assert_eq!(warnings, Vec::<String>::new());
}

/// What the comments offer must work too: every commented line of configuration, uncommented.
#[test]
fn the_reference_files_examples_are_valid() {
    let uncommented: String = REFERENCE
        .lines()
        .map(|line| line.strip_prefix("#: ").unwrap_or(line))
        .map(|line| if line.starts_with("embedded") { "embedded = false" } else { line })
        .map(|line| if line.starts_with("allow") { "allow = [\"logs-*\"]" } else { line })
        .flat_map(|line| [line, "\n"])
        .collect();
    let (settings, _) = Settings::from_toml(&uncommented, &[], &[0, 1, 2, 3]).expect("valid");
    assert_eq!(settings.rules.len(), 4);
    assert!(!settings.kafka.conf.is_empty());
    assert!(settings.listen.len() > 1);
}

#[test]
fn the_reference_file_holds_every_key() {
    let table: Table = REFERENCE.parse().expect("TOML");
    for (section, keys) in [
        ("shards", &["receivers", "cores"][..]),
        ("batches", &["bytes", "per_receiver", "age"]),
        (
            "limits",
            &[
                "connections",
                "connections_per_ip",
                "frame",
                "frame_time",
                "idle_time",
                "drain_time",
            ],
        ),
        ("kafka", &["embedded", "topic", "conf"]),
        ("topics", &["allow", "fallback", "distinct"]),
    ] {
        for key in keys {
            assert!(table[section].get(key).is_some(), "{section}.{key}");
        }
    }
}

#[test]
fn a_secret_is_never_printed() {
    let config = "[kafka]\nembedded = false\n[kafka.conf]\n\"bootstrap.servers\" = \"b:9092\"\n\
        \"sasl.password\" = \"hunter2\"\n\"ssl.key.pem\" = \"hunter2\"";
    let (settings, warnings) =
        Settings::from_toml(&format!("{config}{ONE_RULE}"), &[], &[0, 1]).expect("valid");
    assert!(settings.kafka.conf.iter().any(|(_, text)| text == "hunter2"));
    let printed = format!("{settings:?} {warnings:?} {}", settings.summary());
    assert!(!printed.contains("hunter2"), "{printed}");
}

#[test]
fn a_secret_never_stands_in_a_mistake() {
    for config in [
        "[kafka.conf]\n\"sasl.password\" = [\"hunter2\"]",
        "[kafka.conf]\n\"sasl.password\" = 1979-05-27",
        "[kafka.conf]\n\"sasl.password\" = 3.5",
        "[kafka.conf]\n\"sasl.password\" = \"hunter2",
        "[kafka.conf]\n\"sasl.password\" = hunter2",
        "[kafka.conf]\n\"sasl.password\" = 'a' 'hunter2'",
        "[kafka.conf]\n\"sasl.password\" = \"\\hunter2\"",
        "[kafka.conf]\n\"sasl.password\" = \"hunter2\"\n\"sasl.password\" = \"hunter2\"",
        "[kafka.conf]\n\"sasl.password\" = \"hunter2\"\nsasl.password = \"hunter2\"",
        "[kafka]\n\"sasl.password\" = \"hunter2\"\nsasl.passwort = \"hunter2\"",
        "[kafka]\nconf = \"hunter2\"",
        "kafka = \"hunter2\"",
        "password = \"hunter2\"",
    ] {
        let mistakes = Settings::from_toml(config, &[], &[0, 1]).expect_err(config);
        for mistake in mistakes {
            let shown = ["hunter2", "1979", "3.5"].iter().any(|secret| mistake.0.contains(secret));
            assert!(!shown, "{mistake}");
        }
    }
}

#[test]
fn summary_is_one_line_with_the_memory_sum() {
    let (settings, _) = Settings::from_toml(REFERENCE, &[], &[0, 1, 2, 3]).expect("valid");
    assert_eq!(settings.record_bytes(), 48 << 20);
    assert_eq!(
        settings.summary(),
        "3 receivers on cores 0-2, the producer on core 3; listening: plain on 127.0.0.1:1514; \
         rules: 1; to the embedded Kafka, topic syslog; memory for records: 3 x 16 x 1 MiB = \
         48 MiB"
    );
}

/// Nothing panics on what an operator may type, and every mistake is one line.
#[test]
fn broken_text_never_panics() {
    let step = 7;
    for end in (0..REFERENCE.len()).step_by(step) {
        for insert in ["", "[", "\"", "= 1\n", "\u{0}", "[[rule]]\n"] {
            let text = format!("{}{insert}{}", &REFERENCE[..end], &REFERENCE[end + 1..]);
            if let Err(mistakes) = Settings::from_toml(&text, &[], &[0, 1]) {
                assert!(mistakes.iter().all(|mistake| !mistake.0.contains('\n')), "{mistakes:?}");
            }
        }
    }
}

#[test]
fn deep_nesting_is_refused_without_recursion() {
    for text in [
        "[".repeat(20_000),
        format!("a = {}", "[".repeat(20_000)),
        format!("[kafka.conf]\na{} = 1", ".a".repeat(20_000)),
    ] {
        let _ = Settings::from_toml(&text, &[], &[0]);
    }
}
