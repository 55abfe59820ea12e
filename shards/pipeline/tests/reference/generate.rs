//! Rule sets by chance: every field, matcher, action and kind of template, all of them legal.

use corndog_pipeline::rules::{
    ActionConfig, Field, ForwardConfig, MatcherConfig, PayloadFormat, RecordTime, RoutingConfig,
    RuleConfig, SampleConfig,
};
use serde_json::{Map, Number, Value};

use super::patterns::{expression, pattern};
use super::random::Random;

/// Names of members, in messages, in paths and in merged trees.
pub const KEYS: [&str; 12] =
    ["a", "b", "c", "meta", "topic", "name", "tags", "id", "x y", "\u{e9}", "hotdog", ""];

/// One of them; the first ones often, so that messages have what rules ask for.
pub fn key(random: &mut Random) -> &'static str {
    let end = if random.percent(50) { 4 } else { KEYS.len() };
    KEYS[random.below(end)]
}

/// Words of topics, messages and patterns.
pub const WORDS: [&str; 20] = [
    "error",
    "login",
    "GET",
    "/api/v1",
    "timeout",
    "web1",
    "db",
    "topic=",
    "a b",
    "../etc",
    "logs",
    "10.0.0.1",
    "42",
    "\u{e9}t\u{e9}",
    "stra\u{df}e",
    "\u{212a}",
    "user=root",
    "\"q\"",
    "\\",
    "0",
];

const FIELDS: [&str; 16] = [
    "msg",
    "msg",
    "msg",
    "msg",
    "msg",
    "msg",
    "hostname",
    "appname",
    "procid",
    "msgid",
    "facility",
    "severity",
    "sd.origin.ip",
    "sd.meta@32473.1.json",
    "sd.origin.absent",
    "sd.meta@32473.1.sequenceId",
];

const VARIABLES: [&str; 15] = [
    "msg",
    "version",
    "iso8601",
    "hostname",
    "appname",
    "procid",
    "msgid",
    "facility",
    "severity",
    "timestamp",
    "raw",
    "peer",
    "listener",
    "sd.origin.ip",
    "sd.meta@32473.1.json",
];

/// Variables whose values are short and often legal in a topic.
const SHORT: [&str; 6] = ["hostname", "appname", "procid", "msgid", "facility", "severity"];

const TOPICS: [&str; 5] = ["syslog", "logs-web", "audit", "t.1", "_x"];

/// What a rule set is made of.
pub struct Generated {
    /// The rules.
    pub rules: Vec<RuleConfig>,
    /// What holds for all of them.
    pub routing: RoutingConfig,
}

/// A rule set for the seed's stream.
pub fn rule_set(random: &mut Random) -> Generated {
    let rule_count = match random.below(10) {
        0..4 => 1 + random.below(4),
        4..8 => 1 + random.below(20),
        _ => 1 + random.below(60),
    };
    let taste = Taste { regex: random.below(101), ends: 20 + random.below(81) };
    let mut rules: Vec<RuleConfig> = (0..rule_count).map(|_| rule(random, &taste)).collect();
    if let Some(last) = rules.last_mut().filter(|_| random.percent(40)) {
        // A catch-all, as most have one.
        *last = RuleConfig {
            field: Field::Msg,
            matcher: MatcherConfig::Always,
            actions: vec![ActionConfig::Forward(forward(random, &[]))],
            ..last.clone()
        };
    }
    Generated { rules, routing: routing(random) }
}

/// What a rule set prefers, in percent.
struct Taste {
    regex: usize,
    /// Rules that end the message.
    ends: usize,
}

fn routing(random: &mut Random) -> RoutingConfig {
    let allow: &[&str] = match random.below(5) {
        0 => &["logs-*"],
        1 => &["logs-*", "audit", "*1"],
        2 => &["*e*", "t-*"],
        _ => &["*"],
    };
    let maybe =
        |random: &mut Random, chance, topic: &str| random.percent(chance).then(|| topic.to_owned());
    RoutingConfig {
        allow: allow.iter().map(|pattern| (*pattern).to_owned()).collect(),
        fallback: maybe(random, 40, "fallback"),
        dead_letter: maybe(random, 50, "dead"),
        distinct: [1, 3, 10, 100][random.below(4)],
        unmatched: maybe(random, 30, "unmatched"),
        record_time: match random.percent(30) {
            true => RecordTime::Message,
            false => RecordTime::Received,
        },
    }
}

fn rule(random: &mut Random, taste: &Taste) -> RuleConfig {
    let field = random.pick(&FIELDS);
    let mut names: Vec<String> = Vec::new();
    let matcher = if random.percent(8) {
        MatcherConfig::Always
    } else if random.percent(taste.regex) {
        MatcherConfig::Regex(pattern(random, &mut names))
    } else {
        names.push("value".into());
        MatcherConfig::Jmespath(expression(random))
    };
    let name = if random.percent(50) { String::new() } else { format!("r{}", random.below(100)) };
    RuleConfig {
        name,
        field: Field::parse(field).expect("a field"),
        matcher,
        actions: actions(random, &names, taste),
    }
}

fn actions(random: &mut Random, names: &[String], taste: &Taste) -> Vec<ActionConfig> {
    let mut actions = Vec::new();
    if random.percent(8) {
        actions.push(ActionConfig::Sample(match random.percent(50) {
            true => SampleConfig::OneIn(1 + random.below(5) as u64),
            false => SampleConfig::PerSecond(1 + random.below(50) as u64),
        }));
    }
    for _ in 0..random.below(3) {
        actions.push(match random.percent(60) {
            true => ActionConfig::Merge(tree(random, names)),
            false => ActionConfig::Replace(template(random, names, &VARIABLES)),
        });
    }
    let ends = random.percent(taste.ends);
    if ends && random.percent(85) {
        actions.push(ActionConfig::Forward(forward(random, names)));
    } else if ends || actions.is_empty() {
        actions.push(ActionConfig::Stop);
    }
    actions
}

fn forward(random: &mut Random, names: &[String]) -> ForwardConfig {
    let topic = match random.below(3) {
        0 => random.pick(&TOPICS).to_owned(),
        1 => format!("logs-{}", variable(random, names, &SHORT)),
        _ => variable(random, names, &SHORT),
    };
    let headers = 0..random.below(3) * random.below(2);
    ForwardConfig {
        topic,
        key: random.percent(40).then(|| template(random, names, &VARIABLES)),
        headers: headers
            .map(|number| (format!("h{number}"), template(random, names, &VARIABLES)))
            .collect(),
        format: match random.below(5) {
            0 => PayloadFormat::Raw,
            1 => PayloadFormat::Json,
            _ => PayloadFormat::Msg,
        },
    }
}

/// A tag that names one of the rule's own variables, or one of `built_in`.
fn variable(random: &mut Random, names: &[String], built_in: &[&str]) -> String {
    let name = name(random, names, built_in);
    match random.below(20) {
        0 => format!("{{{{{{{name}}}}}}}"),
        1 => format!("{{{{& {name}}}}}"),
        2 | 3 => format!("{{{{ {name} }}}}"),
        _ => format!("{{{{{name}}}}}"),
    }
}

fn name<'n>(random: &mut Random, names: &'n [String], built_in: &[&'n str]) -> &'n str {
    match !names.is_empty() && random.percent(60) {
        true => &names[random.below(names.len())],
        false => random.pick(built_in),
    }
}

/// Literals and variables; now and then a block.
fn template(random: &mut Random, names: &[String], built_in: &[&str]) -> String {
    const LITERALS: [&str; 10] =
        ["", "-", "x", " ", "\"", "\\ ", "{", "}", "\u{e9}\n", "{\"k\": \""];
    let mut text = String::new();
    for _ in 0..random.below(4) {
        let literal = random.pick(&LITERALS);
        // A brace right before the braces of a tag would be theirs.
        text.push_str(if literal == "{" { "{ " } else { literal });
        match random.percent(6) {
            false => text.push_str(&variable(random, names, built_in)),
            true => text.push_str(&block(random, names, built_in)),
        }
    }
    text.push_str(random.pick(&["", "", "z", " }"]));
    text
}

/// What is more than a variable: blocks and comparisons, whose meaning is handlebars'.
fn block(random: &mut Random, names: &[String], built_in: &[&str]) -> String {
    let helper = random.pick(&["if", "unless"]);
    let asked = name(random, names, built_in);
    let asked = match random.percent(30) {
        true => format!("(eq {asked} \"{}\")", random.pick(&["web1", "err", "app", "1"])),
        false => asked.to_owned(),
    };
    let then = variable(random, names, built_in);
    let otherwise = match random.percent(50) {
        true => format!("{{{{else}}}}no {}", variable(random, names, built_in)),
        false => String::new(),
    };
    format!("{{{{#{helper} {asked}}}}}{then}{otherwise}{{{{/{helper}}}}}")
}

/// An object to merge.
fn tree(random: &mut Random, names: &[String]) -> Value {
    let mut members = Map::new();
    for _ in 0..1 + random.below(3) {
        let key = match random.percent(3) {
            true => template(random, names, &SHORT),
            false => key(random).to_owned(),
        };
        members.insert(key, node(random, names, 3));
    }
    Value::Object(members)
}

fn node(random: &mut Random, names: &[String], depth: usize) -> Value {
    match random.below(if depth == 0 { 6 } else { 10 }) {
        0..3 => Value::String(template(random, names, &VARIABLES)),
        3 => Value::Number(Number::from(random.below(3))),
        4 => Value::Bool(random.percent(50)),
        5 => Value::Null,
        6..8 => {
            let mut items: Vec<Value> = Vec::new();
            for _ in 0..random.below(4) {
                // Often the same twice.
                let last = items.last().filter(|_| random.percent(40)).cloned();
                items.push(last.unwrap_or_else(|| node(random, names, depth - 1)));
            }
            Value::Array(items)
        }
        _ => {
            let keys: Vec<&str> = (0..random.below(3)).map(|_| key(random)).collect();
            let member = |key: &str| (key.to_owned(), node(random, names, depth - 1));
            Value::Object(keys.into_iter().map(member).collect())
        }
    }
}
