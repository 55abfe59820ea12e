//! Patterns and expressions by chance.

use corndog_pipeline::patterns::{COST_NS_MAX, Pattern, PatternSet};

use super::generate::{WORDS, key};
use super::random::Random;

/// Group names; some are those of built-in variables, which they hide.
const GROUPS: [&str; 7] = ["app", "pid", "topic", "value", "msg", "hostname", "x1"];

/// Bytes of a compiled pattern; larger ones are not generated, for they are refused.
const PATTERN_BYTES_MAX: usize = 100 << 10;

/// Nanoseconds per byte of one pattern, so that a rule set may have several.
const PATTERN_COST_NS_MAX: usize = COST_NS_MAX / 3;

/// A legal pattern. Its groups' names are added to `names`.
pub fn pattern(random: &mut Random, names: &mut Vec<String>) -> String {
    loop {
        let mut groups = names.clone();
        let pattern = any_pattern(random, &mut groups);
        let built = regex::bytes::RegexBuilder::new(&pattern).size_limit(PATTERN_BYTES_MAX).build();
        if built.is_err() {
            // Some are larger even than what we take.
            continue;
        }
        let compiled = Pattern::compile(&pattern).expect("the regex crate takes it");
        let alone = PatternSet::new(vec![(0, compiled.with_groups())]);
        let cost = alone.map_or(usize::MAX, |set| set.cost());
        // What could be made to search for long is refused: patterns on bytes and characters.
        if cost <= PATTERN_COST_NS_MAX {
            *names = groups;
            return pattern;
        }
    }
}

fn any_pattern(random: &mut Random, names: &mut Vec<String>) -> String {
    match random.below(12) {
        // What always matches, and what almost does.
        0 => random.pick(&[".*", "", "(?s:.*)", "^", "$", "a*", "(?:)", ".", r"\b|x*"]).to_owned(),
        // Plain literals.
        1..4 => escaped(random),
        4 => format!("^{}", escaped(random)),
        5 => format!("(?i){}", escaped(random)),
        6 => format!("{}.*{}", escaped(random), escaped(random)),
        // What users write.
        7 => {
            let name = group_name(random, names);
            format!(r"{name}=(?P<{name}>[\w.-]+)")
        }
        8 => {
            let (first, second) = (group_name(random, names), group_name(random, names));
            format!(r"^(?P<{first}>\S+)\s+(?P<{second}>.*)$")
        }
        _ => sequence(random, names, 2),
    }
}

fn escaped(random: &mut Random) -> String {
    let word = random.pick(&WORDS);
    regex_syntax::escape(match random.percent(30) {
        true => &word[..word.ceil_char_boundary(word.len() / 2)],
        false => word,
    })
}

/// A name that the pattern does not have yet.
fn group_name(random: &mut Random, names: &mut Vec<String>) -> String {
    let start = random.below(GROUPS.len());
    let mut tried = (0..GROUPS.len()).map(|step| GROUPS[(start + step) % GROUPS.len()]);
    let free = tried.find(|name| names.iter().all(|taken| taken != name));
    let name = free.map_or_else(|| format!("g{}", names.len()), str::to_owned);
    names.push(name.clone());
    name
}

fn sequence(random: &mut Random, names: &mut Vec<String>, depth: usize) -> String {
    (0..1 + random.below(4)).map(|_| repeated(random, names, depth)).collect()
}

fn repeated(random: &mut Random, names: &mut Vec<String>, depth: usize) -> String {
    let atom = atom(random, names, depth);
    let times = ["", "", "", "", "*", "+", "?", "*?", "+?", "{1,3}", "{2}"];
    format!("(?:{atom}){}", random.pick(&times))
}

fn atom(random: &mut Random, names: &mut Vec<String>, depth: usize) -> String {
    const PARTS: [&str; 22] = [
        ".",
        r"\d",
        r"\w",
        r"\s",
        "[a-f]",
        "[^ ]",
        r"\b",
        "^",
        "$",
        "(?m:^)",
        "(?m:$)",
        "e",
        "\u{e9}",
        r"\pL",
        r"(?-u:\xff)",
        r"(?-u:[\x80-\xff])",
        "(?i:k)",
        r"\S",
        r#"""#,
        r"\{",
        ":",
        r"\z",
    ];
    match random.below(if depth == 0 { 6 } else { 10 }) {
        0..3 => escaped(random),
        3..6 => random.pick(&PARTS).to_owned(),
        6 => format!("({})", sequence(random, names, depth - 1)),
        7 => {
            let name = group_name(random, names);
            format!("(?P<{name}>{})", sequence(random, names, depth - 1))
        }
        _ => {
            let left = sequence(random, names, depth - 1);
            format!("{left}|{}", sequence(random, names, depth - 1))
        }
    }
}

/// A legal expression: mostly paths, which are read in another way than the rest.
pub fn expression(random: &mut Random) -> String {
    match random.below(10) {
        0..6 => path(random),
        6 => {
            let operator = random.pick(&["||", "&&", "|", "==", "!=", "<", ">="]);
            format!("{} {operator} {}", path(random), operand(random))
        }
        7 => call(random),
        8 => format!("!{}", path(random)),
        _ => {
            let parts = [
                "@",
                "[*]",
                "*",
                "[]",
                "[0:2]",
                "[::-1]",
                "[?a=='web1']",
                "{x: a, y: b}",
                "[a, b]",
                "*.name",
                "tags[*].id",
                "[*].a | [0]",
                "a[]",
                "`\"web1\"`",
                "'web1'",
                "`null`",
            ];
            random.pick(&parts).to_owned()
        }
    }
}

fn path(random: &mut Random) -> String {
    let mut text = name(random);
    for _ in 0..random.below(3) {
        match random.below(4) {
            0 => text.push_str(random.pick(&["[0]", "[1]", "[-1]", "[99]"])),
            _ => {
                text.push('.');
                text.push_str(&name(random));
            }
        }
    }
    text
}

fn name(random: &mut Random) -> String {
    let key = key(random);
    let is_plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match is_plain && random.percent(85) {
        true => key.to_owned(),
        false if key == "a" => r#""\u0061""#.to_owned(),
        false => format!("{key:?}"),
    }
}

fn operand(random: &mut Random) -> String {
    match random.percent(60) {
        true => random.pick(&["'web1'", "`1`", "`null`", "`\"a\"`", "`[1]`", "`true`"]).to_owned(),
        false => path(random),
    }
}

fn call(random: &mut Random) -> String {
    let path = path(random);
    match random.below(6) {
        0 => format!("to_string({path})"),
        1 => format!("length({path})"),
        2 => format!("contains({path}, 'e')"),
        3 => format!("starts_with({path}, 'w')"),
        4 => format!("join('-', {path})"),
        _ => format!("type({path})"),
    }
}
