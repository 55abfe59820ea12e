//! `/metrics` as Prometheus' own parser reads it, and the dashboard and the alerts that stand on it.

use crate::CORNDOG;
use corndog_tests::places::{Scratch, root};
use corndog_tests::process::run;
use corndog_tests::promql::metrics;
use corndog_tests::time::seconds;
use corndog_tests::{
    Corndog, Ledger, Mock, Pki, SecureSender, Sender, Trust, settings, status, timed, wait_for,
};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

/// Debian's, for the packages of tests/install.
const PYTHON: &str = "/usr/bin/python3";
const PARSE_METRICS: &str = "
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
families = parse(open(sys.argv[1], encoding='utf-8', newline='').read())
json.dump([[s.name, s.labels, s.value] for f in families for s in f.samples], sys.stdout)
";
const PARSE_YAML: &str = "
import json, sys, yaml
json.dump(yaml.safe_load(open(sys.argv[1], encoding='utf-8')), sys.stdout)
";

/// Waits until so many messages were received and all of them have ended.
pub(crate) fn wait_settled(server: SocketAddr, received: u64) -> Ledger {
    wait_for("all messages to be settled", seconds(90), || {
        sleep(Duration::from_millis(100));
        let ledger = status::ledger(server);
        let is_settled = ledger.received >= received && ledger.in_hand + ledger.in_flight == 0;
        is_settled.then_some(ledger)
    })
}

/// One line of `/metrics`.
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Parses a page of metrics with Prometheus' client.
fn parse(page: &str) -> Vec<Sample> {
    let scratch = Scratch::new("metrics");
    let file = scratch.path().join("metrics.txt");
    fs::write(&file, page).expect("scratch is writable");
    let json = run(PYTHON, seconds(60), |command| {
        command.arg("-c").arg(PARSE_METRICS).arg(&file);
    });
    let samples: Vec<(String, BTreeMap<String, String>, f64)> =
        serde_json::from_str(&json).expect("every value is a number");
    samples.into_iter().map(|(name, labels, value)| Sample { name, labels, value }).collect()
}

/// A page of metrics, which must be what Prometheus takes.
fn scrape(server: SocketAddr) -> String {
    let answer = status::get(server, "/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(media_type));
    answer.body
}

fn sum(samples: &[Sample], name: &str) -> u64 {
    samples.iter().filter(|sample| sample.name == name).map(|sample| sample.value as u64).sum()
}

/// The alerts' file, parsed.
fn alerts() -> Vec<Json> {
    let file = root().join("src/status/alerts.yml");
    let json = run(PYTHON, seconds(60), |command| {
        command.arg("-c").arg(PARSE_YAML).arg(&file);
    });
    let json: Json = serde_json::from_str(&json).expect("JSON");
    let groups = json["groups"].as_array().expect("groups");
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")).cloned().collect()
}

fn dashboard() -> Json {
    let text = fs::read_to_string(root().join("src/status/grafana.json")).expect("it is there");
    serde_json::from_str(&text).expect("JSON")
}

/// All texts that stand under this key, however deep.
fn texts_under(key: &str, json: &Json, found: &mut Vec<String>) {
    match json {
        Json::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == key => found.push(text.to_owned()),
                    _ => texts_under(key, value, found),
                }
            }
        }
        Json::Array(values) => values.iter().for_each(|value| texts_under(key, value, found)),
        _ => {}
    }
}

/// Every expression of the dashboard and of the alerts.
fn expressions() -> Vec<String> {
    let dashboard = dashboard();
    let mut found = Vec::new();
    texts_under("expr", &dashboard, &mut found);
    let mut variables = Vec::new();
    texts_under("definition", &dashboard, &mut variables);
    let metric = |of: &String| {
        let inside = of.strip_prefix("label_values(").and_then(|rest| rest.split_once(','));
        inside.expect("label_values(METRIC, LABEL)").0.to_owned()
    };
    found.extend(variables.iter().map(metric));
    let alerts = alerts();
    found.extend(alerts.iter().map(|alert| alert["expr"].as_str().expect("a text").to_owned()));
    found
}

/// The metrics that are named and not there.
fn unknown(expressions: &[String], known: &BTreeSet<String>) -> Vec<String> {
    let named = expressions.iter().flat_map(|expression| metrics(expression));
    named.filter(|name| !known.contains(name)).collect()
}

/// Messages that are forwarded, stopped, and refused their topic.
const TRAFFIC: &str = r#"
[status]
address = "127.0.0.1:0"
[limits]
idle_time = "1 s"
[topics]
allow = ["allowed-*"]
[[rule]]
name = "stop"
regex = '^stop'
actions = [{ stop = true }]
[[rule]]
name = "refuse"
regex = '^refuse'
actions = [{ forward = "{{hostname}}" }]
[[rule]]
name = "all else"
actions = [{ forward = "plain" }]
"#;

fn start_with_traffic(mock: &Mock, pki: &Pki) -> Corndog {
    let listen = format!(
        "[[listen]]\nname = \"secure\"\naddress = \"127.0.0.1:0\"\ntransport = \"tls\"\n{}\n\
         [[listen]]\nname = \"plain\"\naddress = \"127.0.0.1:0\"\n",
        pki.tls(""),
    );
    let over = format!("{TRAFFIC}\n{listen}");
    let corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), &over));
    let message = |text: &str| format!("<13>1 - host app - - - {text}\n");
    let all = [message("stop"), message("refuse"), message("go").repeat(10)].concat();
    // The configuration's order, in which the listeners stand before the status server or behind.
    let server = status::address(&corndog);
    let listeners: Vec<_> = corndog.addresses().iter().filter(|of| **of != server).collect();
    let [secure, plain] = listeners.as_slice() else { panic!("{listeners:?}") };
    let mut sender = SecureSender::connect(**secure, &Trust::in_ca(pki), "127.0.0.1").unwrap();
    sender.send(&all).unwrap();
    sender.finish().unwrap();
    let mut sender = Sender::connect(**plain);
    sender.send(&all);
    sender.finish();
    // One that is refused, and one that is closed.
    let mut browser = Sender::connect(**plain);
    browser.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    browser.wait_closed(seconds(20));
    Sender::connect(**plain).wait_closed(seconds(20));
    corndog
}

#[test]
fn dashboard_and_alerts_name_only_what_is_there() {
    timed(seconds(120), || {
        let (mock, pki) = (Mock::start(), Pki::new());
        mock.create_topic("plain", 4);
        let mut corndog = start_with_traffic(&mock, &pki);
        let server = status::address(&corndog);
        wait_settled(server, 24);
        // librdkafka tells of its brokers each few seconds.
        let page = wait_for("a broker in the metrics", seconds(30), || {
            sleep(Duration::from_millis(200));
            Some(scrape(server)).filter(|page| page.contains("\ncorndog_broker_up{"))
        });
        let samples = parse(&page);
        let known: BTreeSet<String> = samples.iter().map(|sample| sample.name.clone()).collect();
        let mut expressions = expressions();
        assert!(expressions.len() > 80, "only {} expressions were found", expressions.len());
        assert_eq!(unknown(&expressions, &known), Vec::<String>::new());
        check_reasons(&expressions, &samples);
        check_legends(&samples);
        expressions.push("rate(corndog_made_up_total[5m])".to_owned());
        assert_eq!(unknown(&expressions, &known), ["corndog_made_up_total"]);
        let ledger = corndog.stop();
        assert_eq!((ledger.dropped("stopped"), ledger.dropped("topic_refused")), (2, 2));
        assert_eq!(sum(&samples, "corndog_dropped_messages_total"), 4);
        assert_eq!(sum(&samples, "corndog_delivered_records_total"), 20);
        assert_eq!(sum(&samples, "corndog_latency_seconds_count"), 20);
    });
}

/// The reasons that the losses leave out are reasons of the program's.
fn check_reasons(expressions: &[String], samples: &[Sample]) {
    let of_drops = samples.iter().filter(|of| of.name == "corndog_dropped_messages_total");
    let known: BTreeSet<&str> = of_drops.map(|of| of.labels["reason"].as_str()).collect();
    let lists: Vec<&str> = expressions
        .iter()
        .flat_map(|expression| expression.split("reason!~\"").skip(1))
        .map(|rest| rest.split('"').next().unwrap_or_default())
        .collect();
    assert!(lists.len() >= 2, "{lists:?}");
    for list in lists {
        let unknown: Vec<&str> = list.split('|').filter(|one| !known.contains(one)).collect();
        assert!(unknown.is_empty(), "{unknown:?} are no reasons: {known:?}");
    }
}

/// The labels that legends show are labels of the metrics'.
fn check_legends(samples: &[Sample]) {
    let labels = samples.iter().flat_map(|sample| sample.labels.keys().map(String::as_str));
    let known: BTreeSet<&str> = labels.chain(["instance"]).collect();
    let mut legends = Vec::new();
    texts_under("legendFormat", &dashboard(), &mut legends);
    for legend in legends {
        for piece in legend.split("{{").skip(1) {
            let label = piece.split("}}").next().unwrap_or_default();
            assert!(known.contains(label), "{legend}: no metric has {label}");
        }
    }
}

#[test]
fn an_alert_says_how_bad_it_is_and_what_to_do() {
    let alerts = alerts();
    let mut names = BTreeSet::new();
    for alert in &alerts {
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let name = text(&alert["alert"]);
        assert!(name.starts_with("Corndog") && names.insert(name.clone()), "{name}");
        assert!(text(&alert["for"]).ends_with(['m', 'h']), "{name}: for");
        let severity = text(&alert["labels"]["severity"]);
        assert!(["critical", "warning", "info"].contains(&severity.as_str()), "{name}: {severity}");
        assert!(text(&alert["annotations"]["summary"]).len() > 10, "{name}: summary");
        assert!(text(&alert["annotations"]["description"]).len() > 60, "{name}: description");
    }
    assert!(names.len() >= 10, "{names:?}");
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variable = |name: &str| variables.iter().find(|of| of["name"] == name).expect(name);
    assert_eq!(variable("datasource")["query"], "prometheus");
    assert_eq!(variable("instance")["type"], "query");
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = &panel["title"];
        assert!(ids.insert(panel["id"].as_u64()), "{title}: its id is another's");
        let of = |field: &str| panel["gridPos"][field].as_u64().expect("a number");
        for (x, y) in (of("x")..of("x") + of("w"))
            .flat_map(|x| (of("y")..of("y") + of("h")).map(move |y| (x, y)))
        {
            assert!(x < 24 && taken.insert((x, y)), "{title} lies upon another, or outside");
        }
        if panel["type"] != "row" {
            assert!(panel["description"].as_str().is_some_and(|says| !says.is_empty()), "{title}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{title}");
            for target in targets {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
                assert!(target["expr"].as_str().unwrap().contains("$instance"), "{title}");
            }
        }
    }
}

/// Names that no topic can have, and that would break a line of metrics.
const HOSTILE: [&str; 9] = [
    "a\"b",
    "a\\",
    "\"} 1",
    "a\u{1}b",
    "a\tb",
    "\u{e9}\u{202e}x",
    "a{b=\"c\"}",
    "..",
    "__consumer_offsets",
];

/// A host name: one in five hostile or too long, the others legal, every second as long as may be.
fn host(number: usize) -> String {
    match number % 10 {
        0 => HOSTILE[number / 10 % HOSTILE.len()].to_owned(),
        5 => "x".repeat(250 + number % 7),
        1..5 => format!("host-{number}.example"),
        _ => format!("{}-{number}", "h".repeat(249 - 1 - number.to_string().len())),
    }
}

#[test]
fn a_thousand_hostile_topics_fit_the_page_and_no_name_breaks_out_of_it() {
    timed(seconds(180), || {
        const HOSTS: usize = 1500;
        let mock = Mock::start();
        let name = "say \"hi\" \\ {x=\"1\"} 1";
        let over = format!(
            "[status]\naddress = \"127.0.0.1:0\"\n[topics]\nallow = [\"*\"]\ndistinct = 1000\n\
             [[rule]]\nname = '{name}'\nactions = [{{ forward = \"{{{{hostname}}}}\" }}]\n"
        );
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), &over));
        let server = status::address(&corndog);
        let listener = corndog.addresses().iter().find(|of| **of != server).copied().unwrap();
        let mut sender = Sender::connect(listener);
        let frame = |number| format!("<13>1 - {} app - - - {number}\n", host(number));
        sender.send((0..HOSTS).map(frame).collect::<String>());
        sender.finish();
        let ledger = wait_settled(server, HOSTS as u64);
        let page = scrape(server);
        assert!(page.len() <= 1 << 20, "{} bytes", page.len());
        let samples = parse(&page);
        println!("{} bytes, {} series, {ledger:?}", page.len(), samples.len());
        assert!(samples.len() < 4 * 1001 + 400, "{} series", samples.len());
        assert!(ledger.forwarded >= 1000 && ledger.dropped("topic_refused") >= 200, "{ledger:?}");
        assert_eq!(sum(&samples, "corndog_topic_taken_records_total"), ledger.forwarded);
        assert_eq!(sum(&samples, "corndog_topic_delivered_records_total"), ledger.delivered);
        let dropped: u64 = ledger.dropped.values().sum();
        assert_eq!(sum(&samples, "corndog_dropped_messages_total"), dropped);
        check_names(&samples, name);
        corndog.stop();
    });
}

/// Every label is one of the program's, and holds what it was given.
fn check_names(samples: &[Sample], rule: &str) {
    const LABELS: [&str; 10] = [
        "le", "listener", "stage", "rule", "topic", "shard", "broker", "reason", "state", "version",
    ];
    for sample in samples {
        assert!(sample.name.starts_with("corndog_"), "{}", sample.name);
        let unknown = sample.labels.keys().find(|label| !LABELS.contains(&label.as_str()));
        assert_eq!(unknown, None, "{}", sample.name);
    }
    let of = |label: &str| -> BTreeSet<&str> {
        samples.iter().filter_map(|of| of.labels.get(label).map(String::as_str)).collect()
    };
    assert!(of("rule").contains(rule), "{:?}", of("rule"));
    let topics = of("topic");
    assert!(topics.contains("__other__") && topics.len() > 100, "{} topics", topics.len());
    for topic in topics {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        assert!(topic.chars().all(is_legal) && topic.len() <= 249, "{topic}");
    }
}
