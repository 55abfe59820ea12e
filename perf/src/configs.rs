//! The configuration of each forwarder for each workload.
//!
//! Each is a file in `peers/` or `workloads/`. Names between at signs are filled in: here `RULES`,
//! one line for each rule of W3; the others by the one who starts the forwarder.

use crate::forwarder::Kind;
use crate::workload::Workload;
use std::fmt::Write as _;

/// Connections beside those of a load: what is just closing.
const CONNECTIONS_SPARE: u32 = 100;

/// The configuration, with the names of its place still to be filled in; `None`: there is none.
pub fn of(kind: Kind, workload: Workload) -> Option<String> {
    let file = match (workload, kind) {
        (Workload::W1 { .. }, Kind::Corndog) => include_str!("../workloads/w1.toml"),
        (Workload::W1 { .. }, Kind::Rsyslog) => include_str!("../peers/rs-w1.conf"),
        (Workload::W1 { .. }, Kind::SyslogNg) => include_str!("../peers/sng-w1.conf"),
        (Workload::W2, Kind::Corndog) => include_str!("../workloads/w2.toml"),
        (Workload::W2, Kind::Rsyslog) => include_str!("../peers/rs-w2.conf"),
        (Workload::W2, Kind::SyslogNg) => include_str!("../peers/sng-w2.conf"),
        (Workload::W3 { .. }, Kind::Corndog) => include_str!("../workloads/w3.toml"),
        (Workload::W3 { .. }, Kind::Rsyslog | Kind::RsyslogStrings) => {
            include_str!("../peers/rs-w3.conf")
        }
        (Workload::W3 { .. }, Kind::SyslogNg) => include_str!("../peers/sng-w3.conf"),
        (Workload::W4, Kind::Corndog) => include_str!("../workloads/w4.toml"),
        (Workload::W4, Kind::Rsyslog) => include_str!("../peers/rs-w4.conf"),
        (Workload::W4, Kind::SyslogNg) => include_str!("../peers/sng-w4.conf"),
        (Workload::Topics { .. }, Kind::Corndog) => include_str!("../workloads/topics.toml"),
        (Workload::Topics { .. }, _) | (_, Kind::RsyslogStrings) => return None,
    };
    let Workload::W3 { rules } = workload else {
        return Some(file.to_owned());
    };
    let mut lines = String::new();
    for number in 0..rules / 2 {
        lines.push_str(&prefix_rule(kind, number));
    }
    for number in 0..rules / 2 {
        lines.push_str(&code_rule(kind, number));
    }
    Some(file.replace("@RULES@\n", &lines))
}

/// Variables under which corndog takes so many connections from one address.
pub fn connection_limits(connections: u16) -> Vec<(&'static str, String)> {
    let limit = (u32::from(connections) + CONNECTIONS_SPARE).to_string();
    let names = ["CORNDOG_LIMITS__CONNECTIONS", "CORNDOG_LIMITS__CONNECTIONS_PER_IP"];
    names.map(|name| (name, limit.clone())).to_vec()
}

/// The rule for messages that begin with `svc-NNN: `.
fn prefix_rule(kind: Kind, number: usize) -> String {
    match kind {
        Kind::RsyslogStrings => {
            format!("  if $msg startswith \"svc-{number:03}: \" then {{ call outtest stop }}\n")
        }
        _ => pattern_rule(kind, number == 0, &format!("^svc-{number:03}: ")),
    }
}

/// The rule for messages with a user, and further on `code=NNN`.
fn code_rule(kind: Kind, number: usize) -> String {
    let user = match kind {
        Kind::Corndog => r"user=(?P<user>\w+)",
        Kind::Rsyslog | Kind::RsyslogStrings => "user=([[:alnum:]_]+)",
        // Within its quotes a backslash is two.
        Kind::SyslogNg => r"user=(?<user>\\w+)",
    };
    pattern_rule(kind, false, &format!("{user} .*code={number:03}"))
}

fn pattern_rule(kind: Kind, is_first: bool, pattern: &str) -> String {
    let mut line = String::new();
    // Writing to a String cannot fail.
    let _ = match kind {
        Kind::Corndog => writeln!(
            line,
            "[[rule]]\nfield = \"msg\"\nregex = '{pattern}'\nactions = [{{ forward = \"test\" }}]\n"
        ),
        Kind::Rsyslog | Kind::RsyslogStrings => {
            writeln!(line, "  if re_match($msg, \"{pattern}\") then {{ call outtest stop }}")
        }
        Kind::SyslogNg => writeln!(
            line,
            "  {} {{ filter {{ match(\"{pattern}\" value(\"MSG\") type(\"pcre\")); }}; \
             destination(d_test); }}",
            if is_first { "if" } else { "elif" }
        ),
    };
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_forwarder_has_as_many_rules_as_asked_for() {
        for rules in [10, 100] {
            for kind in Kind::ALL {
                let config = of(kind, Workload::W3 { rules }).unwrap();
                assert_eq!(config.matches("svc-").count(), rules / 2, "{config}");
                assert_eq!(config.matches("code=").count(), rules / 2, "{config}");
                assert!(!config.contains("@RULES@"));
            }
        }
    }
}
