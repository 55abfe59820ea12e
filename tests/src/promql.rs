//! Which metrics an expression of PromQL names: enough of its grammar for our dashboard and alerts.

use std::collections::BTreeSet;

/// What stands in an expression of PromQL and is no metric: operators, and aggregations that are
/// followed by their labels instead of a parenthesis.
const WORDS: [&str; 9] = ["and", "or", "unless", "offset", "bool", "sum", "avg", "min", "max"];
/// What is followed by labels in parentheses.
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// The metrics that an expression of PromQL names.
pub fn metrics(expression: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '"' => after(&rest[1..], '"'),
            '{' => after_labels(&rest[1..]),
            '[' => after(rest, ']'),
            _ if first.is_ascii_alphanumeric() || "_$:".contains(first) => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || "_$:".contains(c);
                let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                let (word, behind) = rest.split_at(end);
                let is_called = behind.trim_start().starts_with('(');
                let is_name = !first.is_ascii_digit() && first != '$';
                if BEFORE_LABELS.contains(&word) {
                    after(behind, ')')
                } else {
                    if is_name && !is_called && !WORDS.contains(&word) {
                        found.insert(word.to_owned());
                    }
                    behind
                }
            }
            _ => &rest[first.len_utf8()..],
        };
    }
    found
}

/// What is behind the next `end`.
fn after(text: &str, end: char) -> &str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

/// What is behind a selector's labels, whose values may hold any sign but a quote.
fn after_labels(text: &str) -> &str {
    let mut is_quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            '}' if !is_quoted => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_found_in_an_expression() {
        let named = |expression: &str| metrics(expression).into_iter().collect::<Vec<_>>();
        assert_eq!(named("absent(a_b)"), ["a_b"]);
        assert_eq!(named("sum by (le, x) (rate(a{b=~\"$c}\", d!=\"e\"}[5m])) > 0.5"), ["a"]);
        assert_eq!(named("a / on (job) group_left (x) b unless c offset 5m"), ["a", "b", "c"]);
        assert_eq!(named("topk(20, sum(rate(a:b_total[$__rate_interval])))"), ["a:b_total"]);
        assert_eq!(named("a < 14 * 86400 and a >= 1e3"), ["a"]);
    }
}
