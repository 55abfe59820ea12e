//! Expressions that are more than a path, each on many documents that are dear.

use serde_json::json;

use super::{Field, KIB, best};

/// Where a document was that dear, it is tried again, up to so many times: the machine is busy.
const DEAR: f64 = 40_000.0;
const RULES: usize = 40;
const TRIES_MAX: u32 = 60;

/// What an expression costs on the document that is the worst for it: alone, and in as many rules.
pub(super) fn report() {
    let documents = documents();
    println!(
        "general expressions, on {} documents of 64 KiB: the worst for one rule, and for {RULES}\n\
         rules with it; on how many documents these give up (at most 50000 ns/KiB):",
        documents.len()
    );
    let mut all = 0.0_f64;
    for text in expressions() {
        let one = worst(&[&text], &documents);
        let many = worst(&[&*text; RULES], &documents);
        let shown: String = text.chars().take(36).collect();
        println!(
            "  {shown:<36} {:>6.0} ns/KiB {:<20} {:>6.0} ns/KiB {:<20} {:>2}",
            one.cost, one.document, many.cost, many.document, many.stopped
        );
        all = all.max(one.cost).max(many.cost);
    }
    println!("  the worst of all: {all:.0} ns/KiB");
}

struct Worst<'d> {
    cost: f64,
    document: &'d str,
    stopped: u32,
}

fn worst<'d>(rules: &[&str], documents: &'d [(&'d str, String)]) -> Worst<'d> {
    let mut field = Field::new(rules, &json!({}));
    let mut worst = Worst { cost: 0.0, document: "", stopped: 0 };
    for (name, document) in documents {
        let cost = patient(&mut field, document.as_bytes());
        worst.stopped += u32::from(field.is_too_costly);
        if cost > worst.cost {
            (worst.cost, worst.document) = (cost, name);
        }
    }
    worst
}

/// Nanoseconds per KiB: the best of many rounds, where the first is dear.
fn patient(field: &mut Field, document: &[u8]) -> f64 {
    let mut found = f64::INFINITY;
    for _ in 0..TRIES_MAX {
        let cost = best(document, 1, |msg| field.path(msg));
        found = found.min(cost * KIB / document.len() as f64);
        if found < DEAR {
            break;
        }
    }
    found
}

/// Expressions that are more than a path: each function, each operator, and what multiplies.
fn expressions() -> Vec<String> {
    let doubled = vec!["join('', [@, @])"; 26].join(" | ");
    let listed = format!("to_string({})", vec!["[@, @]"; 26].join(" | "));
    let equal = format!("{0} == {0}", format!("({})", vec!["[@, @]"; 26].join(" | ")));
    let mapped = format!("{}@{}", "map(&".repeat(8), ", @)".repeat(8));
    [
        "a || b",
        "[?@ == `2`]",
        "[?@ != `2`]",
        "[?a == 'b'].a",
        "[?a > `1` && a < `3`]",
        "[*].a",
        "[].a",
        "[][][]",
        "*",
        "*.*",
        "[*].[*].[*]",
        "[*][*][*]",
        "[?[?@]]",
        "[?contains(@, 'x')]",
        "[?!@]",
        "[::-1]",
        "[*][::-1]",
        "[*].[@, @]",
        "[*].{a: @, b: @}",
        "[*].{a: @}.a",
        "@ == [@, @]",
        "[@][0] == [@][0]",
        "[@] == [[@][0]]",
        "a == b",
        "[?@ == `[1]`]",
        "[?@ == `{\"a\": 1}`]",
        "[?@ == '']",
        "abs(@)",
        "map(&abs(@), @)",
        "avg(@)",
        "map(&ceil(@), @)",
        "contains(@, 'aab')",
        "contains(@, `2`)",
        "contains(a, b)",
        "contains(a, 'aab')",
        "contains(a, 'aaaaaaaaaaaaaaab')",
        "contains(@, @)",
        "[?contains(@, @)]",
        "map(&floor(@), @)",
        "join('', @)",
        "join('xxxxxxxxxxxxxxxx', @)",
        "join([1], [0])",
        "keys(@)",
        "map(&keys(@), @)",
        "length(@)",
        "map(&length(@), @)",
        "map(&@, @)",
        "max(@)",
        "min(@)",
        "max_by(@, &@)",
        "max_by(@, &a)",
        "min_by(@, &to_string(@))",
        "merge(@, @)",
        "map(&merge(@, @), @)",
        "not_null(a, b, @)",
        "map(&not_null(@), @)",
        "reverse(@)",
        "map(&reverse(@), @)",
        "sort(@)",
        "sort(reverse(@))",
        "sort_by(@, &@)",
        "sort_by(@, &a)",
        "sort_by(@, &to_string(@))",
        "starts_with(@, 'xx')",
        "starts_with(@, @)",
        "ends_with(@, @)",
        "map(&starts_with(@, ''), @)",
        "sum(@)",
        "map(&to_array(@), @)",
        "to_number(@)",
        "map(&to_number(@), @)",
        "to_string(@)",
        "to_string([@])",
        "to_string([to_string([@])])",
        "map(&to_string(@), @)",
        "map(&type(@), @)",
        "values(@)",
        "map(&values(@), @)",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([doubled, listed, equal, mapped])
    .collect()
}

/// Documents of 64 KiB that are dear to hold as values, or to look at.
fn documents() -> Vec<(&'static str, String)> {
    let fill = |unit: &str| unit.repeat((64 << 10) / unit.len());
    let array = |unit: &str| format!("[{}0]", fill(unit));
    let numbered = |unit: fn(usize) -> String| {
        let mut units = String::new();
        (0..)
            .take_while(|n| {
                units.push_str(&unit(*n));
                units.len() < 64 << 10
            })
            .count();
        units
    };
    vec![
        ("numbers", array("1,")),
        ("numbers, falling", format!("[{}0]", numbered(|n| format!("{},", 99_999 - n)))),
        ("numbers, long", array("1.2345678901234567e-300,")),
        ("strings, empty", array("\"\",").replace(",0]", "]")),
        ("strings, short", array("\"a\",").replace(",0]", "]")),
        ("strings, long", array(&format!("\"{}\",", "a".repeat(100))).replace(",0]", "]")),
        ("strings, falling", format!("[{}\"\"]", numbered(|n| format!("\"{:06}\",", 99_999 - n)))),
        ("lists, empty", array("[],")),
        ("lists of one", array("[1],")),
        ("lists in lists", array("[[[[[[[[]]]]]]]],")),
        ("objects, empty", array("{},")),
        ("objects of one", array("{\"a\":1},")),
        ("objects with a string", array("{\"a\":\"b\"},").replace(",0]", "]")),
        ("an object of many", format!("{{{}\"z\":0}}", numbered(|n| format!("\"{n:x}\":1,")))),
        ("the same key", format!("{{{}\"z\":0}}", fill("\"\":0,"))),
        ("one long string", format!("\"{}\"", fill("x"))),
        ("control characters", format!("\"{}\"", fill("\\u0001"))),
        ("quotes", format!("\"{}\"", fill("\\\""))),
        ("a list as a string", format!("\"[{}1]\"", fill("1,"))),
        ("two long strings", format!("{{\"a\":\"{0}b\",\"b\":\"{0}\"}}", "a".repeat(32 << 10))),
        (
            "a string in lists",
            format!("[[{}\"\"],\"{}\"]", "\"\",".repeat(8 << 10), "x".repeat(32 << 10)),
        ),
    ]
}
