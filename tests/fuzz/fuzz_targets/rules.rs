//! Any bytes are a message for any rules: no panic, and what the plain reference says.
//!
//! Input: `[rule set | time | frame]`. What is remembered between messages (samples, topics made
//! from message data) begins anew with each input.

#![no_main]

#[allow(dead_code)]
#[path = "../../../shards/pipeline/tests/reference/mod.rs"]
mod reference;

use corndog_pipeline::template::Context;
use libfuzzer_sys::fuzz_target;
use reference::cases::Case;
use reference::pair::Pair;
use std::cell::RefCell;

/// Every matcher on every field, every action, every kind of template.
const RULE_SETS: [&str; 4] = [
    r#"
    allow = ["logs-*"]
    dead_letter = "dead"
    message = []
    [[rule]]
    jmespath = "meta.topic"
    actions = [
        { merge = { meta = { by = { at = "{{iso8601}}", of = "{{value}}" } }, tags = ["{{hostname}}", 1] } },
        { forward = "logs-{{value}}", key = "{{value}}", headers = { all = "{{raw}}" } },
    ]
    [[rule]]
    regex = '(?P<user>\w+)@(?P<host>[\w.]+)'
    actions = [{ replace = "{{user}} at {{host}}" }, { forward = "logs-{{host}}" }]
    [[rule]]
    actions = [{ forward = "rest", format = "json" }]
    "#,
    r#"
    allow = ["*"]
    distinct = 2
    fallback = "fallback"
    unmatched = "unmatched"
    record_time = "message"
    message = []
    [[rule]]
    jmespath = "a[?b > `1`].c | [0]"
    actions = [{ merge = { a = { b = "{{value}}" }, "{{value}}" = [{ x = "{{msg}}" }] } }, { forward = "t" }]
    [[rule]]
    jmespath = 'a."b c"[1]'
    actions = [{ merge = { a = [1, 1, { b = 2 }], e = 1 } }, { merge = { a = { b = [] } } }, { forward = "{{value}}" }]
    [[rule]]
    field = "hostname"
    regex = '^(?P<name>[^.]*)\.?(?P<domain>.*)$'
    actions = [{ sample = { one_in = 2 } }, { replace = "{{name}}{{#if domain}} in {{domain}}{{else}} alone{{/if}}" }]
    [[rule]]
    field = "sd.origin.ip"
    actions = [{ forward = "{{sd.origin.ip}}", key = "{{sd.origin.ip}}", format = "raw" }]
    [[rule]]
    field = "sd.meta.json"
    jmespath = "@"
    actions = [{ forward = "{{value}}" }]
    "#,
    r#"
    message = []
    rule = [
        { regex = "error", actions = [{ forward = "t0" }] },
        { regex = "(?i)warn(ing)?", actions = [{ forward = "t1" }] },
        { regex = '^\S+ \S+ (?P<three>\S+)', actions = [{ forward = "t2", key = "{{three}}" }] },
        { regex = '\b\d{1,3}(\.\d{1,3}){3}\b', actions = [{ forward = "t3" }] },
        { regex = '(?-u:\xff)', actions = [{ forward = "t4" }] },
        { regex = '\u{e9}|\u{212a}', actions = [{ forward = "t5" }] },
        { regex = 'a.*b.*c', actions = [{ replace = "lost" }] },
        { regex = '(?m)^x$', actions = [{ forward = "t6" }] },
        { regex = '(?i)stra\u{df}e', actions = [{ forward = "t7" }] },
        { regex = '\pL\pN', actions = [{ stop = true }] },
        { regex = '[^ ]+@[^ ]+\.com', actions = [{ forward = "t8" }] },
        { regex = 'k=(?P<v>"[^"]*"|\S*)', actions = [{ forward = "t9", key = "{{v}}" }] },
        { field = "appname", regex = "^(sshd|nginx)$", actions = [{ forward = "app" }] },
        { field = "severity", regex = "err|crit", actions = [{ forward = "severe" }] },
        { field = "facility", regex = "^local", actions = [{ forward = "local" }] },
        { regex = ".*", actions = [{ forward = "rest" }] },
    ]
    "#,
    r#"
    message = []
    [[rule]]
    field = "procid"
    actions = [{ merge = { procid = "{{procid}}", raw = "{{raw}}", deep = { deep = { deep = ["{{msg}}"] } } } }, { forward = "t" }]
    [[rule]]
    field = "msgid"
    jmespath = "[0]"
    actions = [{ sample = { per_second = 1 } }, { stop = true }]
    [[rule]]
    jmespath = "length(@)"
    actions = [{ replace = "{{msg}}{{msg}}{{msg}}{{msg}}{{msg}}{{msg}}" }, { forward = "t" }]
    "#,
];

/// The set that remembers nothing: its caches stay.
const PATTERNS: usize = 2;

thread_local! {
    static CASES: Vec<Case> = RULE_SETS.iter().map(|toml| Case::read(toml)).collect();
    /// Compiled once; those that remember nothing are used again.
    static PAIRS: RefCell<Vec<Pair>> = CASES.with(|cases| {
        let compile = |case: &Case| Pair::new(&case.generated()).expect("legal rules");
        RefCell::new(cases.iter().map(compile).collect())
    });
}

fuzz_target!(|input: &[u8]| {
    let [set, time, frame @ ..] = input else { return };
    let set = usize::from(*set) % RULE_SETS.len();
    let now = jiff::Timestamp::from_second(1_795_425_010 + i64::from(*time)).expect("this century");
    let context = Context {
        peer: b"192.0.2.7",
        listener: b"plain",
        now,
        zone: &jiff::tz::TimeZone::UTC,
        client_name: None,
        credentials: None,
    };
    PAIRS.with_borrow_mut(|pairs| {
        if set != PATTERNS {
            pairs[set].forget().expect("there is room");
        }
        if let Err(difference) = pairs[set].check(frame, &context) {
            panic!("rule set {set}\n{difference}");
        }
    });
});
