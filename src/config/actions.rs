//! A rule's `actions`: what each entry says, and which of them could never run.

use super::kafka::KafkaSettings;
use super::limits::{
    ACTIONS_MAX, HEADER_NAME_BYTES_MAX, HEADERS_MAX, SAMPLE_ONE_IN, SAMPLE_PER_SECOND,
    TEMPLATE_BYTES_MAX,
};
use super::merge;
use super::section::{Section, show, show_key};
use corndog_pipeline::rules::{ActionConfig, ForwardConfig, PayloadFormat, SampleConfig};
use serde_json::Map;
use toml::Value;

const NO_ACTION: &str = "there is none, so the rule would do nothing; write for instance actions = \
                         [{ forward = \"\" }] or actions = [{ stop = true }]";
const FORMATS: [(&str, PayloadFormat); 3] =
    [("msg", PayloadFormat::Msg), ("raw", PayloadFormat::Raw), ("json", PayloadFormat::Json)];
/// The keys of a `forward`; the first may be left out where another is given.
const FORWARD_KEYS: [&str; 4] = ["forward", "key", "headers", "format"];

/// A rule's actions.
#[derive(Debug, Default)]
pub struct Actions {
    /// Those that run; what has a mistake is not among them.
    pub run: Vec<ActionConfig>,
    /// All that could be read: their templates may have more mistakes.
    pub typed: Vec<ActionConfig>,
}

/// Reads the list. `numbers`: of each action, where its place here is not its number.
pub fn read(
    entry: &mut Section<'_>,
    kafka: &KafkaSettings,
    numbers: &[usize],
    warnings: &mut Vec<String>,
) -> Actions {
    let values = match entry.take("actions") {
        None => Vec::new(),
        Some(Value::Array(values)) => values,
        Some(value) => {
            let sentence = format!(
                "{} is not a list; write for instance actions = [{{ forward = \"\" }}]",
                show(&value)
            );
            entry.mistake("actions", &sentence);
            return Actions::default();
        }
    };
    if values.is_empty() {
        entry.mistake("actions", NO_ACTION);
    }
    if values.len() > ACTIONS_MAX {
        let sentence = format!(
            "{} of them; give at most {ACTIONS_MAX}, because they run for each message",
            values.len()
        );
        entry.mistake("actions", &sentence);
        return Actions::default();
    }
    let mistakes_before = entry.mistakes.count();
    let Actions { run: mut actions, mut typed } = Actions::default();
    for (index, value) in values.into_iter().enumerate() {
        let path = name(index, numbers);
        let Value::Table(table) = value else {
            let sentence =
                format!("{} is not a table; write for instance {{ forward = \"\" }}", show(&value));
            entry.mistake(&path, &sentence);
            continue;
        };
        let mut read = read_action(entry.inner(&path, table), kafka);
        typed.extend(read.iter().cloned());
        if let (Some(action), true) = (read.pop(), read.is_empty())
            && can_run(entry, &path, &action, &actions)
        {
            actions.push(action);
        }
    }
    if entry.mistakes.count() == mistakes_before {
        warn_of_unused(entry, &actions, numbers, warnings);
    }
    if let [.., ActionConfig::Forward(_), ActionConfig::Stop] = actions.as_slice() {
        // What a hotdog user writes out of habit: forward ends the message already.
        actions.pop();
    }
    Actions { run: actions, typed }
}

fn name(index: usize, numbers: &[usize]) -> String {
    format!("action {}", numbers.get(index).copied().unwrap_or(index + 1))
}

/// False for what could never run behind the actions `before` it. That, and what would change
/// nothing, is refused.
fn can_run(
    entry: &Section<'_>,
    path: &str,
    action: &ActionConfig,
    before: &[ActionConfig],
) -> bool {
    match (before, action) {
        (&[.., ActionConfig::Forward(_)], ActionConfig::Stop) => {}
        (&[.., ActionConfig::Forward(_) | ActionConfig::Stop], _) => {
            entry.mistake(
                path,
                "never runs, because forward or stop before it ends the message; remove it, or \
                 give it a rule of its own",
            );
            return false;
        }
        (_, ActionConfig::Forward(forward))
            if forward.format != PayloadFormat::Msg && before.iter().any(makes_output) =>
        {
            entry.mistake(
                &format!("{path}, format"),
                "never used, because merge or replace before it makes the payload; remove one of \
                 them",
            );
        }
        _ => {}
    }
    true
}

fn makes_output(action: &ActionConfig) -> bool {
    matches!(action, ActionConfig::Merge(_) | ActionConfig::Replace(_))
}

/// An empty merge only asks that `msg` be a JSON object.
fn is_question(action: &ActionConfig) -> bool {
    matches!(action, ActionConfig::Merge(json) if json.as_object().is_some_and(Map::is_empty))
}

/// Warns of what `merge` or `replace` makes and no `forward` sends.
fn warn_of_unused(
    entry: &Section<'_>,
    actions: &[ActionConfig],
    numbers: &[usize],
    warnings: &mut Vec<String>,
) {
    let is_output = |action: &ActionConfig| makes_output(action) && !is_question(action);
    for (index, _) in actions.iter().enumerate().filter(|(_, action)| is_output(action)) {
        let after = &actions[index + 1..];
        let why = match after.iter().position(makes_output) {
            Some(next) => format!(
                "{} makes its own from msg; write what both do as one",
                name(index + 1 + next, numbers)
            ),
            None if after.iter().any(|action| matches!(action, ActionConfig::Forward(_))) => {
                continue;
            }
            None => "no forward follows, and the next rule starts from msg again; add \
                     { forward = \"\" } behind it"
                .to_owned(),
        };
        let key = entry.key(&name(index, numbers));
        warnings.push(format!("{key}: what it makes is never sent, because {why}"));
    }
}

/// One action; more of them where it mixes kinds, which is a mistake, as is none.
fn read_action(mut action: Section<'_>, kafka: &KafkaSettings) -> Vec<ActionConfig> {
    let given: Vec<String> = action.rest().keys().cloned().collect();
    let is_given = |key: &str| given.iter().any(|given| given == key);
    let forward = read_forward(&mut action, kafka);
    let merge = action.take("merge").map(|value| read_merge(&action, value));
    let replace = action.text("replace", "{{hostname}} {{msg}}");
    if let Some(template) = &replace {
        check_template(&action, "replace", template);
    }
    let sample = action.take("sample").map(|value| read_sample(&action, value));
    let stop = action.flag("stop");
    if stop == Some(false) {
        let sentence = "false does nothing; write stop = true, or leave the action out";
        action.mistake("stop", sentence);
    }

    // Each kind once, by the first of its keys.
    let first_of_forward = FORWARD_KEYS.into_iter().find(|key| is_given(key));
    let others = ["merge", "replace", "sample", "stop"].into_iter().filter(|key| is_given(key));
    let kinds: Vec<&str> = first_of_forward.into_iter().chain(others).collect();
    match kinds.as_slice() {
        [] if given.is_empty() => action.mistake(
            "forward",
            "nothing is given; write forward, merge, replace, sample or stop, for instance \
             { forward = \"\" }",
        ),
        // An unknown key is said below; that the action is empty then says nothing more.
        [] | [_] => {}
        [first, second, ..] => {
            let sentence =
                format!("stands beside {first} in one action; write each in {{ }} of its own");
            action.mistake(second, &sentence);
        }
    }
    action.finish();
    let forward = first_of_forward.map(|_| ActionConfig::Forward(forward));
    let replace = replace.map(ActionConfig::Replace);
    let stop = stop.map(|_| ActionConfig::Stop);
    [forward, merge.flatten(), replace, sample.flatten(), stop].into_iter().flatten().collect()
}

/// The keys of a `forward`, whether given or not. Without a topic it goes to `kafka.topic`.
fn read_forward(action: &mut Section<'_>, kafka: &KafkaSettings) -> ForwardConfig {
    let topic = action.text("forward", "logs-{{appname}}").unwrap_or_default();
    let key = action.text("key", "{{hostname}}");
    let headers = match action.take("headers") {
        Some(value) => read_headers(action, value),
        None => Vec::new(),
    };
    let format = action.choice("format", &FORMATS).unwrap_or_default();
    check_template(action, "forward", &topic);
    if let Some(key) = &key {
        check_template(action, "key", key);
    }
    if key.as_deref() == Some("") {
        action.mistake(
            "key",
            "empty; leave it out for records without a key, or write for instance key = \
             \"{{hostname}}\"",
        );
    }
    let topic = if topic.is_empty() { kafka.topic.clone() } else { topic };
    ForwardConfig { topic, key, headers, format }
}

/// Names, which are never templates, and templates for the values.
fn read_headers(action: &Section<'_>, value: Value) -> Vec<(String, String)> {
    let example = "headers = { app = \"{{appname}}\" }";
    let Value::Table(table) = value else {
        let sentence = format!("{} is not a table; write for instance {example}", show(&value));
        action.mistake("headers", &sentence);
        return Vec::new();
    };
    if table.len() > HEADERS_MAX {
        let sentence = format!(
            "{} of them; give at most {HEADERS_MAX}, because they are rendered for each message",
            table.len()
        );
        action.mistake("headers", &sentence);
        return Vec::new();
    }
    let mut headers = Vec::with_capacity(table.len());
    for (name, value) in table {
        if let Some(why) = refuse_header_name(&name) {
            action.mistake("headers", &why);
            continue;
        }
        let path = format!("headers, {}", show_key(&name));
        let Value::String(template) = value else {
            let sentence =
                format!("{} is not a string; write for instance {example}", show(&value));
            action.mistake(&path, &sentence);
            continue;
        };
        check_template(action, &path, &template);
        headers.push((name, template));
    }
    headers
}

fn refuse_header_name(name: &str) -> Option<String> {
    let shown = show(&Value::String(name.to_owned()));
    if name.is_empty() || name.len() > HEADER_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Some(format!(
            "{shown} is not the name of a header; use 1 to {HEADER_NAME_BYTES_MAX} bytes on one \
             line"
        ));
    }
    name.contains("{{").then(|| {
        format!(
            "the name {shown} holds {{{{, but message content never names a header; write the \
             name out, and a template as its value"
        )
    })
}

fn check_template(action: &Section<'_>, key: &str, template: &str) {
    let bytes = template.len();
    if bytes > TEMPLATE_BYTES_MAX {
        let sentence = format!(
            "{bytes} bytes; give at most {TEMPLATE_BYTES_MAX}, because it is rendered for each \
             message"
        );
        action.mistake(key, &sentence);
    }
}

fn read_merge(action: &Section<'_>, value: Value) -> Option<ActionConfig> {
    match merge::read(value) {
        Ok(object) => Some(ActionConfig::Merge(object)),
        Err(why) => {
            action.mistake("merge", &why);
            None
        }
    }
}

/// `{ one_in = N }` or `{ per_second = N }`.
fn read_sample(action: &Section<'_>, value: Value) -> Option<ActionConfig> {
    let how = "write sample = { one_in = 100 } or sample = { per_second = 50 }";
    let Value::Table(table) = value else {
        action.mistake("sample", &format!("{} is not a table; {how}", show(&value)));
        return None;
    };
    let given = (table.contains_key("one_in"), table.contains_key("per_second"));
    let is_empty = table.is_empty();
    let mut sample = action.inner("sample", table);
    let one_in = sample.number("one_in", &SAMPLE_ONE_IN).unsigned_abs();
    let per_second = sample.number("per_second", &SAMPLE_PER_SECOND).unsigned_abs();
    sample.finish();
    match given {
        (true, false) => Some(ActionConfig::Sample(SampleConfig::OneIn(one_in))),
        (false, true) => Some(ActionConfig::Sample(SampleConfig::PerSecond(per_second))),
        (true, true) => {
            action.mistake("sample", &format!("one_in stands beside per_second; {how}"));
            None
        }
        (false, false) => {
            if is_empty {
                action.mistake("sample", &format!("says not how many go on; {how}"));
            }
            None
        }
    }
}
