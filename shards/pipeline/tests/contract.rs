//! hotdog's rules as a contract: each sentence a test, and each defect that concerns rules.
//!
//! A test's TOML is as in tests/cases/rules.toml. Every case runs through the rule set and through
//! the plain reference: they have to agree, and to say what the sentence says.

#[allow(dead_code, reason = "the other tests and the example use the rest")]
mod reference;

use std::fmt::Write as _;

use reference::cases::Case;

/// Runs one case.
fn holds(toml: &str) {
    Case::read(toml).hold();
}

#[test]
fn rules_are_a_list_tried_in_order_for_each_message() {
    holds(
        r#"
        rule = [
            { regex = "^a", actions = [{ forward = "first" }] },
            { regex = "b", actions = [{ forward = "second" }] },
            { regex = "b", actions = [{ forward = "never" }] },
        ]
        message = [
            { input = "ab", topic = "first" },
            { input = "cab", topic = "second" },
            { input = "ab", topic = "first" },
        ]"#,
    );
}

#[test]
fn a_rule_has_a_field_msg_hostname_appname_facility_or_severity() {
    for (field, pattern) in [
        ("msg", "^text$"),
        ("hostname", "^host$"),
        ("appname", "^app$"),
        ("facility", "^user$"),
        ("severity", "^notice$"),
    ] {
        holds(&format!(
            r#"
            rule = [{{ field = "{field}", regex = "{pattern}", actions = [{{ forward = "t" }}] }}]
            message = [
                {{ input = "<13>1 - host app - - - text", topic = "t" }},
                {{ input = "<6>1 - other other - - - other", dropped = "unmatched" }},
            ]"#
        ));
    }
}

#[test]
fn a_matcher_is_regex_or_jmespath_on_any_field() {
    for field in ["hostname", "appname"] {
        holds(&format!(
            r#"
            rule = [{{ field = "{field}", jmespath = "a", actions = [{{ forward = "t" }}] }}]
            message = [
                {{ input = '<13>1 - {{"a":1}} {{"a":1}} - - - text', topic = "t" }},
                {{ input = '<13>1 - {{"b":1}} {{"b":1}} - - - {{"a":1}}', dropped = "unmatched" }},
            ]"#
        ));
    }
}

#[test]
fn regex_is_an_unanchored_search() {
    holds(
        r#"
        rule = [{ regex = "needle", actions = [{ forward = "t" }] }]
        message = [
            { input = "hay needle hay", topic = "t" },
            { input = "needle", topic = "t" },
            { input = "hay\nneedle\nhay", topic = "t" },
            { input = "needl", dropped = "unmatched" },
        ]"#,
    );
}

#[test]
fn regex_has_the_syntax_of_the_rust_regex_crate() {
    holds(
        r#"
        rule = [
            { regex = '(?i)^stra\u{df}e$', actions = [{ forward = "case" }] },
            { regex = '^\pL+$', actions = [{ forward = "letters" }] },
            { regex = '(?x) ^ \d{4} - \d{2} $ # a month', actions = [{ forward = "verbose" }] },
            { regex = '(?s)^<.*>$', actions = [{ forward = "lines" }] },
            { regex = '\bword\b', actions = [{ forward = "word" }] },
            { regex = '(?-u:\xff)', actions = [{ forward = "bytes" }] },
        ]
        message = [
            { input = "STRA\u00dfE", topic = "case" },
            { input = "\u00e9t\u00e9", topic = "letters" },
            { input = "2026-11", topic = "verbose" },
            { input = "<a\nb>", topic = "lines" },
            { input = "a word.", topic = "word" },
            { input = "a wordy.", dropped = "unmatched" },
            { input = "1", bytes = "ff", topic = "bytes" },
        ]"#,
    );
}

#[test]
fn named_groups_become_variables() {
    holds(
        r#"
        allow = ["logs-*"]
        [[rule]]
        regex = '^(?P<app>\w+)\[(?P<pid>\d+)\](?P<rest>: .*)?$'
        actions = [
            { replace = "{{pid}} of {{ app }}{{rest}}" },
            { forward = "logs-{{app}}", key = "{{pid}}" },
        ]
        [[message]]
        input = "web[77]: up"
        topic = "logs-web"
        key = "77"
        payload = "77 of web: up"
        [[message]]
        input = "web[77]"
        topic = "logs-web"
        key = "77"
        payload = "77 of web"
        "#,
    );
}

#[test]
fn jmespath_parses_the_field_as_json_and_matches_if_the_result_is_not_null() {
    holds(
        r#"
        rule = [
            { jmespath = "meta.topic", actions = [{ forward = "path" }] },
            { jmespath = '"x y"[1]', actions = [{ forward = "quoted" }] },
            { jmespath = "items[?id > `1`] | [0]", actions = [{ forward = "filter" }] },
            { jmespath = "length(name)", actions = [{ forward = "function" }] },
        ]
        message = [
            { input = '{"meta":{"topic":"a"}}', topic = "path" },
            { input = ' { "meta" : { "b" : 1, "topic" : "a" } } ', topic = "path" },
            { input = '{"meta":{"topic":null}}', dropped = "unmatched" },
            { input = '{"meta":"topic"}', dropped = "unmatched" },
            { input = '{}', dropped = "unmatched" },
            { input = '{"x y":[0,false]}', topic = "quoted" },
            { input = '{"x y":[0]}', dropped = "unmatched" },
            { input = '{"items":[{"id":1},{"id":2}]}', topic = "filter" },
            { input = '{"items":[{"id":1}]}', dropped = "unmatched" },
            { input = '{"name":"n"}', topic = "function" },
            { input = '{"name":1}', dropped = "unmatched" },
        ]"#,
    );
}

#[test]
fn a_string_result_becomes_the_variable_value() {
    holds(
        r#"
        allow = ["*"]
        [[rule]]
        jmespath = "meta.topic"
        actions = [{ forward = "logs-{{value}}", key = "{{value}}" }]
        [[message]]
        input = '{"meta":{"topic":"web"}}'
        topic = "logs-web"
        key = "web"
        [[message]]
        input = '{"meta":{"topic":"\u0077eb"}}'
        topic = "logs-web"
        key = "web"
        [[message]]
        input = '{"meta":{"topic":""}}'
        topic = "logs-"
        key = ""
        "#,
    );
}

#[test]
fn what_is_not_json_does_not_match_a_jmespath() {
    let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
    holds(&format!(
        r#"
        rule = [
            {{ jmespath = "a", actions = [{{ forward = "a" }}] }},
            {{ jmespath = "@", actions = [{{ forward = "any" }}] }},
        ]
        message = [
            {{ input = '{{"a":1}}', topic = "a" }},
            {{ input = '{{"a":1}}x', dropped = "unmatched" }},
            {{ input = '{{"a":1', dropped = "unmatched" }},
            {{ input = '{{"a":1,}}', dropped = "unmatched" }},
            {{ input = '{{"a":1}}{{"a":1}}', dropped = "unmatched" }},
            {{ input = '{{"b":1}}', bytes = "ff", dropped = "unmatched" }},
            {{ input = "plain text", dropped = "unmatched" }},
            {{ input = "", dropped = "unmatched" }},
            {{ input = "1", topic = "any" }},
            {{ input = '{deep}', dropped = "unmatched" }},
            {{ input = '{}', topic = "any" }},
        ]"#,
        &deep[1..deep.len() - 1],
    ));
}

#[test]
fn a_result_that_is_no_string_matches_but_leaves_value_unset() {
    for result in ["1", "true", "false", "[]", r#"{"b":"c"}"#, r#"["web"]"#, "0"] {
        holds(&format!(
            r#"
            allow = ["*"]
            [[rule]]
            jmespath = "a"
            actions = [{{ replace = "<{{{{value}}}}>" }}, {{ forward = "logs-{{{{value}}}}" }}]
            [[message]]
            input = '{{"a":{result}}}'
            topic = "logs-"
            payload = "<>"
            [[message]]
            input = '{{"a":"text"}}'
            topic = "logs-text"
            payload = "<text>"
            [[message]]
            input = '{{"a":{result}}}'
            topic = "logs-"
            payload = "<>"
            "#
        ));
    }
}

#[test]
fn a_field_that_the_message_does_not_have_is_no_match() {
    holds(
        r#"
        rule = [
            { field = "appname", actions = [{ forward = "app" }] },
            { field = "hostname", regex = ".*", actions = [{ forward = "host" }] },
            { field = "procid", jmespath = "@", actions = [{ forward = "procid" }] },
            { field = "sd.origin.ip", regex = "", actions = [{ forward = "ip" }] },
        ]
        message = [
            { input = "<13>1 - host app - - - x", topic = "app" },
            { input = "<13>1 - host - - - - x", topic = "host" },
            { input = "<13>1 - - - 1 - - x", topic = "procid" },
            { input = '<13>1 - - - - - [origin ip=""] x', topic = "ip" },
            { input = '<13>1 - - - - - [origin port="1"] x', dropped = "unmatched" },
            { input = "<13>1 - - - - - - x", dropped = "unmatched" },
        ]"#,
    );
}

#[test]
fn templates_know_msg_version_and_iso8601() {
    let version = env!("CARGO_PKG_VERSION");
    holds(&format!(
        r#"
        [[rule]]
        actions = [
            {{ replace = "{{{{msg}}}}|{{{{version}}}}|{{{{iso8601}}}}" }},
            {{ forward = "t", key = "{{{{iso8601}}}}" }},
        ]
        [[message]]
        input = "<13>1 - host app - - - text"
        topic = "t"
        key = "2026-11-23T09:10:10.000000Z"
        payload = "text|{version}|2026-11-23T09:10:10.000000Z"
        [[message]]
        input = "<13>1 2003-10-11T22:14:15.003Z host app - - - text"
        after_ms = 1500
        topic = "t"
        key = "2026-11-23T09:10:11.500000Z"
        payload = "text|{version}|2026-11-23T09:10:11.500000Z"
        "#
    ));
}

#[test]
fn named_groups_win_over_the_built_in_names() {
    holds(
        r#"
        [[rule]]
        regex = '^(?P<msg>\w+) (?P<version>\w+) (?P<iso8601>\w+) (?P<hostname>\w+)'
        actions = [
            { replace = "{{msg}} {{version}} {{iso8601}} {{hostname}} {{appname}}" },
            { forward = "t" },
        ]
        [[rule]]
        actions = [{ replace = "{{msg}}" }, { forward = "rest" }]
        [[message]]
        input = "<13>1 - host app - - - a b c d e"
        topic = "t"
        payload = "a b c d app"
        [[message]]
        input = "<13>1 - host app - - - a b"
        topic = "rest"
        payload = "a b"
        "#,
    );
}

#[test]
fn facility_and_severity_are_compared_by_name() {
    let facilities = "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit \
                      alert clockd local0 local1 local2 local3 local4 local5 local6 local7";
    let severities = "emerg alert crit err warning notice info debug";
    for (field, names, factor) in [("facility", facilities, 8), ("severity", severities, 1)] {
        let mut case = String::new();
        for name in names.split_whitespace() {
            write!(
                case,
                r#"
                [[rule]]
                field = "{field}"
                regex = "^{name}$"
                actions = [{{ forward = "{name}" }}]
                "#
            )
            .expect("a string");
        }
        for (number, name) in names.split_whitespace().enumerate() {
            let pri = number * factor;
            write!(case, "\n[[message]]\ninput = '<{pri}>1 - h a - - - x'\ntopic = '{name}'\n")
                .expect("a string");
        }
        holds(&case);
    }
}

#[test]
fn actions_of_the_first_rule_that_matches_run_in_order() {
    holds(
        r#"
        [[rule]]
        regex = "^two"
        actions = [{ replace = "first" }, { replace = "second" }, { forward = "t" }]
        [[rule]]
        actions = [{ replace = "not this one's" }, { forward = "t" }]
        [[message]]
        input = "two"
        topic = "t"
        payload = "second"
        "#,
    );
}

#[test]
fn the_output_starts_empty() {
    holds(
        r#"
        rule = [
            { regex = "^a", actions = [{ replace = "made" }, { forward = "t" }] },
            { actions = [{ forward = "t" }] },
        ]
        message = [
            { input = "a", topic = "t", payload = "made" },
            { input = "b", topic = "t", payload = "b" },
            { input = "a", topic = "t", payload = "made" },
            { input = "c", topic = "t", payload = "c" },
        ]"#,
    );
}

#[test]
fn forward_sends_the_output_or_msg_where_it_is_empty() {
    holds(
        r#"
        rule = [
            { regex = "^(?P<none>x?)replace$", actions = [{ replace = "out" }, { forward = "t" }] },
            { regex = "^(?P<none>x?)empty$", actions = [{ replace = "{{none}}" }, { forward = "t" }] },
            { actions = [{ forward = "t" }] },
        ]
        message = [
            { input = "<13>1 - h a - - - replace", topic = "t", payload = "out" },
            { input = "<13>1 - h a - - - empty", topic = "t", payload = "empty" },
            { input = "<13>1 - h a - - - plain", topic = "t", payload = "plain" },
            { input = "<13>1 - h a - - -", topic = "t", payload = "" },
        ]"#,
    );
}

#[test]
fn the_topic_of_a_forward_is_a_template() {
    holds(
        r#"
        allow = ["*"]
        rule = [{ actions = [{ forward = "{{hostname}}.{{ appname }}-{{severity}}" }] }]
        message = [
            { input = "<13>1 - host app - - - x", topic = "host.app-notice" },
            { input = "<11>1 - h2 - - - - x", topic = "h2.-err" },
        ]"#,
    );
}

#[test]
fn forward_ends_the_message() {
    holds(
        r#"
        rule = [
            { regex = "a", actions = [{ forward = "first" }, { stop = true }] },
            { actions = [{ forward = "second" }] },
        ]
        message = [{ input = "a", topic = "first", payload = "a" }]"#,
    );
}

#[test]
fn merge_makes_the_output_of_msg_merged_with_the_rendered_tree() {
    let case = r#"
        allow = ["logs-*"]
        [[rule]]
        jmespath = "meta.topic"
        actions = [
            { merge = { meta = { by = { version = "{{version}}", at = "{{iso8601}}" } }, n = 1 } },
            { forward = "logs-{{value}}" },
        ]
        [[message]]
        input = '{"meta":{"topic":"web","x":[1]},"message":"m"}'
        topic = "logs-web"
        [message.json]
        message = "m"
        n = 1
        meta = { topic = "web", x = [1], by = { version = "VERSION", at = "2026-11-23T09:10:10.000000Z" } }
        "#;
    holds(&case.replace("VERSION", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_merge_into_what_is_no_json_object_drops_the_message() {
    holds(
        r#"
        rule = [
            { actions = [{ merge = { a = 1 } }, { forward = "t" }] },
            { actions = [{ forward = "never" }] },
        ]
        message = [
            { input = '{}', topic = "t", json = { a = 1 } },
            { input = "text", dropped = "merge_not_json" },
            { input = "", dropped = "merge_not_json" },
            { input = "[]", dropped = "merge_not_json" },
            { input = '"a"', dropped = "merge_not_json" },
            { input = "null", dropped = "merge_not_json" },
            { input = '{"b":1}x', dropped = "merge_not_json" },
            { input = '{"b":1', dropped = "merge_not_json" },
            { input = '{"b":[1}]', dropped = "merge_not_json" },
            { input = '{"b":', bytes = "22ff227d", dropped = "merge_not_json" },
        ]"#,
    );
}

#[test]
fn replace_makes_the_output_of_the_rendered_template() {
    holds(
        r#"
        rule = [{ actions = [{ replace = "{{hostname}}: {{msg}}" }, { forward = "t" }] }]
        message = [
            { input = "<13>1 - host - - - - text", topic = "t", payload = "host: text" },
            { input = "<13>1 - - - - - - {{msg}}", topic = "t", payload = ": {{msg}}" },
        ]"#,
    );
}

#[test]
fn stop_ends_the_message_and_drops_it() {
    holds(
        r#"
        rule = [
            { regex = "debug", actions = [{ stop = true }] },
            { regex = "trace", actions = [{ replace = "x" }, { stop = true }] },
            { actions = [{ forward = "rest" }] },
        ]
        message = [
            { input = "debug: x", dropped = "stopped" },
            { input = "trace: x", dropped = "stopped" },
            { input = "info: x", topic = "rest" },
        ]"#,
    );
}

#[test]
fn a_matched_rule_that_neither_forwards_nor_stops_lets_the_next_rules_try() {
    holds(
        r#"
        rule = [
            { regex = "a", actions = [{ replace = "lost" }] },
            { regex = "(?P<x>b)", actions = [{ replace = "lost {{x}}" }] },
            { regex = "a", actions = [{ forward = "a" }] },
        ]
        message = [
            { input = "ab", topic = "a", payload = "ab" },
            { input = "b", dropped = "unmatched" },
        ]"#,
    );
}

#[test]
fn the_output_does_not_carry_over_to_the_next_rule() {
    holds(
        r#"
        rule = [
            { actions = [{ replace = "lost" }] },
            { jmespath = "a", actions = [{ merge = { b = 1 } }] },
            { actions = [{ forward = "t" }] },
        ]
        message = [
            { input = "text", topic = "t", payload = "text" },
            { input = '{"a":1}', topic = "t", payload = '{"a":1}' },
        ]"#,
    );
}

#[test]
fn a_message_that_no_rule_forwards_is_dropped_and_counted() {
    holds(
        r#"
        rule = [{ regex = "a", actions = [{ forward = "t" }] }]
        message = [{ input = "b", dropped = "unmatched" }]"#,
    );
    holds(
        r#"
        unmatched = "rest"
        rule = [{ regex = "a", actions = [{ forward = "t" }] }]
        message = [{ input = "<13>1 - h a - - - b", topic = "rest", payload = "b" }]"#,
    );
}

#[test]
fn deep_merge_objects_merge_key_by_key() {
    holds(
        r#"
        [[rule]]
        actions = [{ merge = { a = { b = { c = "new", d = 1 } }, e = {} } }, { forward = "t" }]
        [[message]]
        input = '{"a":{"b":{"c":"old","x":null},"y":1},"z":2}'
        topic = "t"
        payload = '{"a":{"b":{"c":"new","x":null,"d":1},"y":1},"z":2,"e":{}}'
        [[message]]
        input = '{"e":{"f":1}}'
        topic = "t"
        json = { e = { f = 1 }, a = { b = { c = "new", d = 1 } } }
        "#,
    );
}

#[test]
fn deep_merge_an_array_into_an_array_appends_then_removes_consecutive_equal_elements() {
    holds(
        r#"
        [[rule]]
        actions = [{ merge = { a = [1, "x", "x", { b = 1 }] } }, { forward = "t" }]
        [[message]]
        input = '{"a":[]}'
        topic = "t"
        json = { a = [1, "x", { b = 1 }] }
        [[message]]
        input = '{"a":[2,2,1]}'
        topic = "t"
        json = { a = [2, 1, "x", { b = 1 }] }
        [[message]]
        input = '{"a":[1,2,1,[1],[1]]}'
        topic = "t"
        json = { a = [1, 2, 1, [1], 1, "x", { b = 1 }] }
        "#,
    );
}

#[test]
fn deep_merge_an_object_into_an_array_is_appended() {
    holds(
        r#"
        [[rule]]
        actions = [{ merge = { a = { b = 1 } } }, { forward = "t" }]
        [[message]]
        input = '{"a":[{"b":1}]}'
        topic = "t"
        json = { a = [{ b = 1 }, { b = 1 }] }
        [[message]]
        input = '{"a":[]}'
        topic = "t"
        json = { a = [{ b = 1 }] }
        "#,
    );
}

#[test]
fn deep_merge_anything_else_replaces() {
    for (old, new) in [
        ("1", r#""text""#),
        ("null", "2"),
        (r#"{"x":1}"#, "3"),
        (r#"{"x":1}"#, "[4]"),
        ("[1,2]", "5"),
        (r#""old""#, "{ x = 1 }"),
        (r#""old""#, "[6]"),
        ("true", "false"),
    ] {
        holds(&format!(
            r#"
            [[rule]]
            actions = [{{ merge = {{ a = {new} }} }}, {{ forward = "t" }}]
            [[message]]
            input = '{{"a":{old}}}'
            topic = "t"
            json = {{ a = {new} }}
            [[message]]
            input = '{{"b":"kept","a":{old}}}'
            topic = "t"
            json = {{ b = "kept", a = {new} }}
            "#
        ));
    }
}

#[test]
fn merge_works_on_the_original_msg_not_on_an_earlier_replace() {
    holds(
        r#"
        rule = [
            { regex = "first", actions = [{ replace = "text" }, { merge = { b = 1 } }, { forward = "t" }] },
            { regex = "last", actions = [{ merge = { b = 1 } }, { replace = "text" }, { forward = "t" }] },
            { actions = [{ merge = { b = 1 } }, { merge = { c = 2 } }, { forward = "t" }] },
        ]
        message = [
            { input = '{"a":"first"}', topic = "t", json = { a = "first", b = 1 } },
            { input = '{"a":"last"}', topic = "t", payload = "text" },
            { input = '{"a":"twice"}', topic = "t", json = { a = "twice", c = 2 } },
        ]"#,
    );
}

#[test]
fn defect_4_nothing_that_templates_insert_is_escaped() {
    holds(
        r#"
        [[rule]]
        regex = '(?P<all>.*)'
        actions = [
            { replace = "{{all}} {{{all}}}" },
            { forward = "t", key = "{{msg}}", headers = { h = "{{all}}" } },
        ]
        [[message]]
        input = '''<13>1 - h a - - - "a" & <b> 'c' `d` =/'''
        topic = "t"
        key = '''"a" & <b> 'c' `d` =/'''
        payload = '''"a" & <b> 'c' `d` =/ "a" & <b> 'c' `d` =/'''
        headers = [["h", '''"a" & <b> 'c' `d` =/''']]
        "#,
    );
}

#[test]
fn defect_5_no_captured_value_can_break_the_json_of_a_merge() {
    for text in [
        r#"quote " quote"#,
        r"back\slash",
        r#"\"#,
        r#"", "injected": "yes"#,
        "tab\tand\u{1}control",
        r"{{msg}} \u0000",
        "\u{2028}\u{1f600}",
    ] {
        let value = serde_json::Value::from(text);
        let message = serde_json::json!({ "a": text });
        let toml_text = |text: &str| toml::Value::from(text).to_string();
        holds(&format!(
            r#"
            [[rule]]
            jmespath = "a"
            actions = [{{ merge = {{ b = "<{{{{value}}}}>", "c" = ["{{{{value}}}}"] }} }}, {{ forward = "t" }}]
            [[message]]
            input = {}
            topic = "t"
            json = {{ a = {}, b = {}, c = [{}] }}
            "#,
            toml_text(&message.to_string()),
            toml_text(value.as_str().unwrap_or_default()),
            toml_text(&format!("<{text}>")),
            toml_text(text),
        ));
    }
    // What is no text becomes U+FFFD: JSON is text.
    holds(
        r#"
        [[rule]]
        actions = [{ forward = "t", format = "json" }]
        [[message]]
        input = "a"
        bytes = "ff22"
        topic = "t"
        [message.json]
        received = "2026-11-23T09:10:10.000000Z"
        hostname = "127.0.0.1"
        facility = "user"
        severity = "notice"
        msg = "a\ufffd\""
        peer = "127.0.0.1"
        listener = "plain"
        "#,
    );
}

#[test]
fn defect_7_merges_into_what_is_no_object_are_counted_and_may_be_kept() {
    holds(
        r#"
        dead_letter = "dead"
        [[rule]]
        name = "merges"
        actions = [{ merge = { a = 1 } }, { forward = "t" }]
        [[message]]
        input = "<13>1 - h a - - - text"
        topic = "dead"
        dead_letter = "merge_not_json"
        payload = "<13>1 - h a - - - text"
        headers = [
            ["corndog.reason", "merge_not_json"],
            ["corndog.rule", "merges"],
            ["corndog.listener", "plain"],
            ["corndog.peer", "127.0.0.1"],
            ["corndog.topic", ""],
            ["corndog.time", "2026-11-23T09:10:10.000000Z"],
        ]
        "#,
    );
}

#[test]
fn defect_8_message_data_names_only_topics_that_are_legal_allowed_and_few() {
    holds(
        r#"
        allow = ["logs-*", "audit"]
        distinct = 2
        rule = [{ regex = '^topic=(?P<topic>(?s).*)', actions = [{ forward = "{{topic}}" }] }]
        message = [
            { input = "topic=logs-a", topic = "logs-a" },
            { input = "topic=secret", dropped = "topic_refused" },
            { input = "topic=logs-/../../etc", dropped = "topic_refused" },
            { input = "topic=logs-a b", dropped = "topic_refused" },
            { input = "topic=__consumer_offsets", dropped = "topic_refused" },
            { input = "topic=.", dropped = "topic_refused" },
            { input = "topic=", dropped = "topic_refused" },
            { input = "topic={{msg}}", dropped = "topic_refused" },
            { input = "topic=audit", topic = "audit" },
            { input = "topic=logs-c", dropped = "topic_refused" },
            { input = "topic=logs-a", topic = "logs-a" },
        ]"#,
    );
    holds(
        r#"
        allow = ["logs-*"]
        dead_letter = "dead"
        rule = [{ regex = '^(?P<topic>\S+)', actions = [{ forward = "{{topic}}", key = "k" }] }]
        [[message]]
        input = "secret x"
        topic = "dead"
        dead_letter = "topic_refused"
        payload = "secret x"
        headers = [
            ["corndog.reason", "topic_refused"],
            ["corndog.rule", "1"],
            ["corndog.listener", "plain"],
            ["corndog.peer", "127.0.0.1"],
            ["corndog.topic", "secret"],
            ["corndog.time", "2026-11-23T09:10:10.000000Z"],
        ]
        "#,
    );
}

#[test]
fn defect_10_key_and_headers_can_be_set() {
    holds(
        r#"
        [[rule]]
        regex = '(?P<user>\w+)$'
        actions = [
            { forward = "t", key = "{{hostname}}", headers = { app = "{{appname}}", user = "{{user}}" } },
        ]
        [[message]]
        input = "<13>1 - host app - - - login of root"
        topic = "t"
        key = "host"
        headers = [["app", "app"], ["user", "root"]]
        [[message]]
        input = "<13>1 - - - - - - login of root"
        topic = "t"
        key = ""
        headers = [["app", ""], ["user", "root"]]
        "#,
    );
}
