//! The environment's variables, laid over the file before it is read.
//!
//!     CORNDOG_<SECTION>__<KEY>      CORNDOG_BATCHES__AGE="10 ms", CORNDOG_SHARDS__RECEIVERS=2
//!
//! A misspelt variable is a mistake like a misspelt key: what is set must either hold or be
//! refused. Kubernetes sets variables of its own for a service that is called corndog
//! (`CORNDOG_SERVICE_HOST`, `CORNDOG_PORT_1514_TCP`): those are left alone.

use super::section::{Mistakes, nearest};
use std::collections::BTreeMap;
use toml::{Table, Value};

const PREFIX: &str = "CORNDOG_";
/// Variables that are no settings.
const OTHERS: &[&str] = &["CORNDOG_CONFIG", "CORNDOG_LOG"];
/// The three of hotdog, under librdkafka's names elsewhere.
const KAFKA: &[&str] = &["KAFKA_BROKER", "SASL_SCRAM_USERNAME", "SASL_SCRAM_PASSWORD"];
/// Sections whose keys a variable can set.
const SECTIONS: &[&str] =
    &["shards", "batches", "limits", "kafka", "topics", "unmatched", "status", "statsd"];
/// Lists, which it cannot.
const LISTS: &[&str] = &["listen", "rule"];

/// Which keys the environment gave, by which variable, and the text of it.
#[derive(Debug, Default)]
pub struct Overlay(BTreeMap<String, (String, String)>);

impl Overlay {
    /// Writes every `CORNDOG_<SECTION>__<KEY>` into `table`.
    pub fn lay(
        environment: &[(String, String)],
        table: &mut Table,
        mistakes: &Mistakes,
        warnings: &mut Vec<String>,
    ) -> Overlay {
        let mut overlay = Overlay::default();
        for (variable, text) in environment {
            let Some(name) = variable.strip_prefix(PREFIX) else { continue };
            if OTHERS.contains(&variable.as_str()) {
                continue;
            }
            match name.split_once("__") {
                None => refuse_flat(variable, name, mistakes, warnings),
                Some((section, key)) => {
                    let (section, key) = (section.to_lowercase(), key.to_lowercase());
                    if *variable != variable.to_uppercase() {
                        let upper = variable.to_uppercase();
                        let sentence = format!("not in upper case; write {upper}");
                        mistakes.add(variable, &sentence);
                    } else if SECTIONS.contains(&section.as_str()) {
                        overlay.put(table, (&section, &key), variable, text);
                    } else {
                        refuse_section(variable, &section, &key, mistakes);
                    }
                }
            }
        }
        overlay
    }

    fn put(&mut self, table: &mut Table, at: (&str, &str), variable: &str, text: &str) {
        let (section, key) = at;
        let value = text.parse::<Value>().unwrap_or_else(|_| Value::String(text.to_owned()));
        let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
        // A section that is no table is a mistake of its own.
        if let Value::Table(inner) = inner {
            inner.insert(key.to_owned(), value);
            let given = (variable.to_owned(), text.to_owned());
            self.0.insert(format!("{section}.{key}"), given);
        }
    }

    /// The variable that gave this key.
    pub fn variable(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|(variable, _)| variable.as_str())
    }

    /// The text that the environment gave for this key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|(_, text)| text.as_str())
    }
}

/// A variable with no `__`: probably one underscore is missing, or it is not ours.
fn refuse_flat(variable: &str, name: &str, mistakes: &Mistakes, warnings: &mut Vec<String>) {
    let lower = name.to_lowercase();
    for section in SECTIONS {
        if let Some(key) = lower.strip_prefix(section).and_then(|rest| rest.strip_prefix('_')) {
            let meant = format!("{PREFIX}{section}__{key}").to_uppercase();
            mistakes.add(variable, &format!("unknown variable; did you mean {meant}?"));
            return;
        }
    }
    if !is_kubernetes(name) {
        warnings.push(format!(
            "{variable}: not used; a setting is given as {PREFIX}<SECTION>__<KEY>, with two \
             underscores"
        ));
    }
}

/// Whether Kubernetes sets such a variable for a service.
fn is_kubernetes(name: &str) -> bool {
    let name = format!("_{name}");
    let marks = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT_"];
    name.ends_with("_PORT") || marks.iter().any(|mark| name.contains(mark))
}

fn refuse_section(variable: &str, section: &str, key: &str, mistakes: &Mistakes) {
    if LISTS.contains(&section) {
        let sentence = format!("[[{section}]] is a list; change it in the file");
        mistakes.add(variable, &sentence);
        return;
    }
    let sentence = match nearest(section, SECTIONS) {
        Some(near) => {
            let meant = format!("{PREFIX}{near}__{key}").to_uppercase();
            format!("unknown section; did you mean {meant}?")
        }
        None => format!("unknown section; known here are {}", SECTIONS.join(", ")),
    };
    mistakes.add(variable, &sentence);
}

/// A variable's text; an empty one counts as not set, as deployment templates often leave it so.
pub fn variable<'e>(environment: &'e [(String, String)], name: &str) -> Option<&'e str> {
    let (_, text) = environment.iter().find(|(variable, _)| variable == name)?;
    (!text.is_empty()).then_some(text)
}

/// The variables of this process that mean something here.
pub fn environment() -> Vec<(String, String)> {
    let ours = |name: &str| name.starts_with(PREFIX) || KAFKA.contains(&name);
    std::env::vars_os()
        .map(|(name, text)| (name.to_string_lossy().into_owned(), text))
        .filter(|(name, _)| ours(name))
        .map(|(name, text)| (name, text.to_string_lossy().into_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_own_variables_are_known() {
        for name in ["SERVICE_HOST", "SERVICE_PORT_SYSLOG", "PORT", "PORT_1514_TCP_ADDR", "EU_PORT"]
        {
            assert!(is_kubernetes(name), "{name}");
        }
        assert!(!is_kubernetes("BATCHES_AGE"));
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let environment = [("A".to_owned(), String::new()), ("B".to_owned(), "b".to_owned())];
        assert_eq!(variable(&environment, "A"), None);
        assert_eq!(variable(&environment, "B"), Some("b"));
        assert_eq!(variable(&environment, "C"), None);
    }
}
