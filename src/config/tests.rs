//! The shared cases of `tests/cases/config.toml`, and the reference file itself.

use super::*;
use corndog_pipeline::framing::Framing;
use corndog_pipeline::message::Dialect;
use corndog_pipeline::rules::{ActionConfig, MatcherConfig, PayloadFormat, SampleConfig};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use toml::Table;

const CASES: &str = include_str!("../../tests/cases/config.toml");
const REFERENCE: &str = include_str!("../../config.toml");
const ONE_RULE: &str = "\n[[rule]]\nactions = [{ forward = \"\" }]\n";

fn strings(case: &Table, key: &str) -> Vec<String> {
    let values = case.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    values.iter().map(|value| value.as_str().expect("a string").to_owned()).collect()
}

/// Reads a text that is no translation.
fn read(
    text: &str,
    environment: &[(String, String)],
    allowed_cores: &[usize],
) -> Result<(Settings, Vec<String>), Vec<Mistake>> {
    Settings::from_toml(text, &[], environment, allowed_cores)
}

/// Settings as the cases write them: key -> what it means.
fn means(settings: &Settings) -> BTreeMap<String, String> {
    let limits = &settings.limits;
    let cores = &settings.cores;
    let listen: Vec<String> =
        settings.listen.iter().map(|one| format!("{}={}", one.name, one.address)).collect();
    let transports: Vec<String> = settings.listen.iter().map(listen_means).collect();
    let oversize: Vec<String> =
        settings.listen.iter().map(|one| format!("{:?}", one.oversize)).collect();
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
        ("connections_per_64", limits.connections_per_64.to_string()),
        ("handshake_time", format!("{:?}", limits.handshake_time)),
        ("frame", limits.frame_bytes_max.to_string()),
        ("frame_time", format!("{:?}", limits.frame_time)),
        ("idle_time", format!("{:?}", limits.idle_time)),
        ("drain_time", format!("{:?}", limits.drain_time)),
        ("listen", listen.join(" ")),
        ("oversize", oversize.join(" ")),
        ("transports", transports.join(" | ")),
        ("embedded", settings.kafka.embedded.to_string()),
        ("topic", settings.kafka.topic.clone()),
        ("conf", conf.join(" ")),
        ("allow", settings.routing.allow.join(" ")),
        ("fallback", settings.routing.fallback.clone().unwrap_or_default()),
        ("dead_letter", settings.routing.dead_letter.clone().unwrap_or_default()),
        ("unmatched", settings.routing.unmatched.clone().unwrap_or_default()),
        ("record_time", format!("{:?}", settings.routing.record_time)),
        ("distinct", settings.routing.distinct.to_string()),
        ("rules", rules.join(" | ")),
        ("status", settings.status.map(|address| address.to_string()).unwrap_or_default()),
        (
            "statsd",
            settings
                .statsd
                .as_ref()
                .map(|statsd| format!("{} {}", statsd.address, statsd.prefix))
                .unwrap_or_default(),
        ),
    ];
    pairs.into_iter().map(|(key, text)| (key.to_owned(), text)).collect()
}

fn listen_means(listen: &ListenSettings) -> String {
    let mut text = listen.transport.name().to_owned();
    if listen.framing != Framing::Auto || listen.dialect != Dialect::Auto {
        text.push_str(&format!(" {:?} {:?}", listen.framing, listen.dialect));
    }
    if listen.zone != TimeZone::UTC {
        text.push_str(&format!(" {}", listen.zone.iana_name().unwrap_or("?")));
    }
    let allow: Vec<String> = listen.allow.iter().map(ToString::to_string).collect();
    if !allow.is_empty() {
        text.push_str(&format!(" allow {}", allow.join(" ")));
    }
    if listen.proxy_protocol {
        text.push_str(" proxy");
    }
    if let Some(tls) = &listen.tls {
        let files: Vec<String> = tls.paths().map(|path| path.display().to_string()).collect();
        let names: Vec<String> = tls.client_names.iter().map(ToString::to_string).collect();
        text.push_str(&format!(
            " {} {:?} [{}] {:?}",
            files.join(" "),
            tls.client_auth,
            names.join(" "),
            tls.min_version
        ));
        if let Some(place) = tls.client_name_in {
            text.push_str(&format!(" in {place:?}"));
        }
    }
    if listen.transport.is_unix() {
        text.push_str(&format!(" {:o}", listen.mode));
    }
    if listen.transport.is_datagram() {
        text.push_str(&format!(" {}", listen.receive_buffer_bytes));
    }
    text
}

fn rule_means(rule: &RuleConfig) -> String {
    let actions: Vec<String> = rule.actions.iter().map(action_means).collect();
    let matcher = match &rule.matcher {
        MatcherConfig::Always => "always".to_owned(),
        MatcherConfig::Regex(pattern) => pattern.clone(),
        MatcherConfig::Jmespath(expression) => format!("jmespath {expression}"),
    };
    format!("{}: {} {matcher} -> {}", rule.name, rule.field, actions.join(", "))
}

fn action_means(action: &ActionConfig) -> String {
    match action {
        ActionConfig::Forward(forward) => {
            let mut text = format!("forward {}", forward.topic);
            if let Some(key) = &forward.key {
                text.push_str(&format!(" by {key}"));
            }
            for (name, template) in &forward.headers {
                text.push_str(&format!(" {name}={template}"));
            }
            match forward.format {
                PayloadFormat::Msg => {}
                PayloadFormat::Raw => text.push_str(" as raw"),
                PayloadFormat::Json => text.push_str(" as json"),
            }
            text
        }
        ActionConfig::Merge(json) => format!("merge {json}"),
        ActionConfig::Replace(template) => format!("replace {template}"),
        ActionConfig::Sample(SampleConfig::OneIn(count)) => format!("one in {count}"),
        ActionConfig::Sample(SampleConfig::PerSecond(count)) => format!("{count} per second"),
        ActionConfig::Stop => "stop".to_owned(),
    }
}

/// Whether a mistake is the one expected; of one that ends with " ..." only the start counts.
fn is_expected((found, expected): (&String, &String)) -> bool {
    match expected.strip_suffix("...") {
        Some(start) if start.ends_with(' ') => found.starts_with(start),
        _ => found == expected,
    }
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
    let (settings, warnings) = match read(&text, &environment, &cores) {
        Err(mistakes) => {
            let found: Vec<String> = mistakes.into_iter().map(|mistake| mistake.0).collect();
            if found.len() == expected.len() && found.iter().zip(&expected).all(is_expected) {
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

/// The mistakes of a file with this rule alone.
fn mistakes_of(rule: &str) -> Vec<String> {
    let found = read(&format!("[[rule]]\n{rule}"), &[], &[0, 1]);
    found.expect_err(rule).into_iter().map(|mistake| mistake.0).collect()
}

/// Each limit of a rule is one sentence, and what is at the limit passes: no sentence names it.
#[test]
fn a_rules_texts_and_lists_are_bounded() {
    let text = |bytes: usize| "x".repeat(bytes);
    let list = |entry: &dyn Fn(usize) -> String, count: usize| -> String {
        (0..count).map(entry).collect::<Vec<_>>().join(", ")
    };
    let header = |index: usize| format!("h{index} = ''");
    let sample = |_| "{ sample = { one_in = 2 } }".to_owned();
    let template = "bytes; give at most 4096, because it is rendered for each message";
    let nested = |depth: usize| format!("{}1{}", "{a=".repeat(depth), "}".repeat(depth));
    let json = |depth: usize| format!("'{}1{}'", "{\"a\":".repeat(depth), "}".repeat(depth));
    for (rule, sentence) in [
        (
            format!("jmespath = '{}'\nactions = [{{ stop = true }}]", text(4097)),
            "rule 1, jmespath: 4097 bytes; give at most 4096, because all expressions are \
             compiled at the start: split it into several rules"
                .to_owned(),
        ),
        (
            format!("actions = [{{ replace = '{}' }}]", text(4097)),
            format!("rule 1, action 1, replace: 4097 {template}"),
        ),
        (
            format!("actions = [{{ headers = {{ a = '{}' }} }}]", text(4098)),
            format!("rule 1, action 1, headers, a: 4098 {template}"),
        ),
        (
            format!("actions = [{{ merge = {{ a = ['{}'] }} }}]", text(4097)),
            "rule 1, action 1, merge: 4097 bytes at a.0; give at most 4096, because it is rendered \
             for each message"
                .to_owned(),
        ),
        (
            format!("actions = [{{ headers = {{ {} = '' }} }}]", text(257)),
            format!(
                "rule 1, action 1, headers: \"{}\"... is not the name of a header; use 1 to 256 \
                 bytes on one line",
                text(60)
            ),
        ),
        (
            format!("actions = [{{ headers = {{ {} }} }}]", list(&header, 65)),
            "rule 1, action 1, headers: 65 of them; give at most 64, because they are rendered for \
             each message"
                .to_owned(),
        ),
        (
            format!("actions = [{}]", list(&sample, 65)),
            "rule 1, actions: 65 of them; give at most 64, because they run for each message"
                .to_owned(),
        ),
        (
            format!("actions = [{{ merge = {{ a = [{}] }} }}]", list(&|_| "1".to_owned(), 32_769)),
            "rule 1, action 1, merge: 65545 bytes as JSON; give at most 65536, because it is \
             rendered for each message"
                .to_owned(),
        ),
        (
            format!("actions = [{{ merge = '{}' }}]", text(65_537)),
            "rule 1, action 1, merge: 65537 bytes; give at most 65536, because it is rendered for \
             each message"
                .to_owned(),
        ),
        (
            format!("actions = [{{ merge = {} }}]", nested(65)),
            "rule 1, action 1, merge: nested deeper than 64, which no message may be either; take \
             some levels out"
                .to_owned(),
        ),
        (
            format!("actions = [{{ merge = {} }}]", json(65)),
            "rule 1, action 1, merge: nested deeper than 64, which no message may be either; take \
             some levels out"
                .to_owned(),
        ),
    ] {
        assert_eq!(mistakes_of(&rule), [sentence]);
    }
    for rule in [
        format!("actions = [{{ replace = '{}' }}, {{ stop = 1 }}]", text(4096)),
        format!("actions = [{{ merge = {} }}, {{ stop = 1 }}]", nested(64)),
        format!("actions = [{{ merge = {} }}, {{ stop = 1 }}]", json(64)),
        format!("actions = [{{ headers = {{ {} }} }}, {{ stop = 1 }}]", list(&header, 64)),
        format!("actions = [{}, {{ stop = 1 }}]", list(&sample, 63)),
    ] {
        let found = mistakes_of(&rule);
        assert!(matches!(found.as_slice(), [one] if one.contains("stop: 1 is not")), "{found:?}");
    }
}

/// Each parser that an operator's text meets recurses, so each is given a bound of its own.
#[test]
fn nesting_is_bounded_in_every_language() {
    let nested = |open: &str, inner: &str, close: &str, depth: usize| {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    let stop = "\nactions = [{ stop = true }]";
    for (rule, key, why) in [
        (format!("regex = '{}'{stop}", nested("(", "a", ")", 2000)), "regex", "deeper than 64"),
        (
            format!("jmespath = '{}'{stop}", nested("(", "a", ")", 2000)),
            "jmespath",
            "deeper than 64",
        ),
        (format!("jmespath = '{}'{stop}", nested("a[?", "b", "]", 1000)), "jmespath", "deeper"),
        (format!("jmespath = '{}'{stop}", nested("!", "a", "", 4000)), "jmespath", "operators"),
        (
            format!("actions = [{{ forward = '{}' }}]", nested("{{#if msg}}", "a", "{{/if}}", 200)),
            "forward",
            "deeper than 64",
        ),
        (
            format!("actions = [{{ merge = '{}' }}]", nested("[", "", "]", 20_000)),
            "merge",
            "recursion limit",
        ),
        (
            format!("actions = [{{ merge = {} }}]", nested("{a=", "1", "}", 20_000)),
            "line 2",
            "recurse",
        ),
    ] {
        let found = mistakes_of(&rule);
        let is_named = |one: &String| one.contains(key) && one.contains(why);
        assert!(matches!(found.as_slice(), [one] if is_named(one)), "{key}: {found:?}");
    }
}

#[test]
fn rules_are_bounded() {
    let rules = "[[rule]]\nactions = [{ stop = true }]\n".repeat(4097);
    let mistakes = read(&rules, &[], &[0, 1]).expect_err("too many");
    assert_eq!(
        mistakes.into_iter().map(|mistake| mistake.0).collect::<Vec<_>>(),
        ["rule: 4097 rules; give at most 4096, because a message that matches none is tried \
          against each"]
    );
}

#[test]
fn the_reference_file_equals_the_defaults() {
    let (reference, warnings) = read(REFERENCE, &[], &[0, 1, 2, 3]).expect("config.toml is valid");
    let rule = "[[rule]]\nname = \"everything\"\nactions = [{ forward = \"\" }]";
    let (defaults, _) = read(rule, &[], &[0, 1, 2, 3]).expect("one rule is enough");
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
        .flat_map(|line| [line, "\n"])
        .collect();
    let uncommented = uncommented
        .replace("allow = []\n# Where records go", "allow = [\"logs-*\"]\n# Where records go");
    let (settings, _) = read(&uncommented, &[], &[0, 1, 2, 3]).expect("valid");
    assert_eq!(settings.rules.len(), REFERENCE.matches("[[rule]]\n").count());
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
                "connections_per_64",
                "frame",
                "frame_time",
                "idle_time",
                "handshake_time",
                "drain_time",
            ],
        ),
        ("kafka", &["embedded", "topic", "record_time", "conf"]),
        ("topics", &["allow", "fallback", "dead_letter", "distinct"]),
        ("unmatched", &["action", "topic"]),
        ("status", &["address"]),
        ("statsd", &["address", "prefix"]),
    ] {
        for key in keys {
            assert!(table[section].get(key).is_some(), "{section}.{key}");
        }
    }
}

/// What stands in front of each metric cannot begin another one, and is bounded.
#[test]
fn addresses_and_prefixes_of_statsd_are_plain() {
    let statsd = |address: &str, prefix: &str| {
        let text = format!("[statsd]\naddress = {address:?}\nprefix = {prefix:?}\n{ONE_RULE}");
        read(&text, &[], &[0, 1]).map(|(settings, _)| settings.statsd)
    };
    let long = "a".repeat(100);
    for (address, prefix) in [
        ("a:1", ""),
        ("127.0.0.1:65535", "a.b"),
        ("[::1]:8125", "A-9_"),
        (&format!("{}:8125", "a".repeat(255)), long.as_str()),
    ] {
        let expected = StatsdSettings { address: address.into(), prefix: prefix.into() };
        assert_eq!(statsd(address, prefix), Ok(Some(expected)));
    }
    for address in [
        ":8125",
        "a",
        "a:",
        "a:0",
        "a:65536",
        "a:+1",
        "a b:1",
        "::1:8125",
        "[::1]",
        "[a]:1",
        "a:1:2",
        "a\n:1",
        &format!("{}:8125", "a".repeat(256)),
    ] {
        assert!(statsd(address, "a").is_err(), "{address}");
    }
    for prefix in [".", ".a", "a.", "a b", "a:1|c", "a\n", "\u{e4}", &"a".repeat(101)] {
        assert!(statsd("a:1", prefix).is_err(), "{prefix}");
    }
}

#[test]
fn a_secret_is_never_printed() {
    let config = "[kafka]\nembedded = false\n[kafka.conf]\n\"bootstrap.servers\" = \"b:9092\"\n\
        \"sasl.password\" = \"hunter2\"\n\"ssl.key.pem\" = \"hunter2\"";
    let (settings, warnings) = read(&format!("{config}{ONE_RULE}"), &[], &[0, 1]).expect("valid");
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
        let mistakes = read(config, &[], &[0, 1]).expect_err(config);
        for mistake in mistakes {
            let shown = ["hunter2", "1979", "3.5"].iter().any(|secret| mistake.0.contains(secret));
            assert!(!shown, "{mistake}");
        }
    }
}

#[test]
fn summary_is_one_line_with_the_memory_sum() {
    let (settings, _) = read(REFERENCE, &[], &[0, 1, 2, 3]).expect("valid");
    assert_eq!(settings.record_bytes(), 24 << 20);
    assert_eq!(
        settings.summary(),
        "3 receivers on cores 0-2, the producer on core 3; listening: plain on 127.0.0.1:1514; \
         rules: 1; to the embedded Kafka, topic syslog; memory for records: 3 x 16 x 512 KiB = \
         24 MiB; status on 127.0.0.1:8585"
    );
    let sections = "[status]\naddress = \"\"\n[statsd]\naddress = \"a:1\"\n";
    let (settings, _) = read(&format!("{sections}{ONE_RULE}"), &[], &[0, 1]).expect("valid");
    let summary = settings.summary();
    assert!(summary.ends_with("8 MiB; metrics to a:1 under \"corndog\""), "{summary}");
}

/// One line, or two more behind it that are indented.
fn is_sentence(mistake: &Mistake) -> bool {
    let lines: Vec<&str> = mistake.0.split('\n').collect();
    let is_place = |line: &&str| line.starts_with("    ");
    matches!(lines.len(), 1 | 3) && lines[1..].iter().all(is_place)
}

/// Nothing panics on what an operator may type, and every mistake is one sentence.
#[test]
fn broken_text_never_panics() {
    let step = 7;
    for end in (0..REFERENCE.len()).step_by(step) {
        for insert in ["", "[", "\"", "= 1\n", "\u{0}", "[[rule]]\n"] {
            let text = format!("{}{insert}{}", &REFERENCE[..end], &REFERENCE[end + 1..]);
            if let Err(mistakes) = read(&text, &[], &[0, 1]) {
                assert!(mistakes.iter().all(is_sentence), "{mistakes:?}");
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
        let _ = read(&text, &[], &[0]);
    }
}
