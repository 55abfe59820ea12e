//! Topics: legal names, patterns, and how many may be made from message data.

#![allow(clippy::disallowed_methods, reason = "shards are threads")]

use corndog_pipeline::topics::{
    TopicCache, TopicIndex, TopicPolicy, TopicTable, is_legal, is_match,
};
use proptest::prelude::*;

fn policy(allow: &[&str], distinct: usize) -> TopicPolicy {
    TopicPolicy { allow: allow.iter().map(|pattern| (*pattern).to_owned()).collect(), distinct }
}

#[test]
fn kafkas_rules_for_names_hold_and_its_own_topics_are_out_of_reach() {
    for name in ["a", "A.b_c-9", "_a", &"x".repeat(249), "..."] {
        assert!(is_legal(name.as_bytes()), "{name}");
    }
    for name in ["", ".", "..", "a b", "../../etc", "__consumer_offsets", "é", &"x".repeat(250)] {
        assert!(!is_legal(name.as_bytes()), "{name}");
    }
    assert!(!is_legal(b"a\0") && !is_legal(b"\xff"));
}

#[test]
fn only_allowed_names_become_topics_and_only_so_many() {
    let table = TopicTable::new(&["syslog".to_owned()], 2);
    let mut cache = TopicCache::default();
    let policy = policy(&["logs-*", "audit"], 2);
    let mut resolve = |name: &str| cache.resolve(&table, &policy, name.as_bytes());
    assert_eq!(resolve("evil"), None);
    let first = resolve("logs-a");
    assert_eq!(first.and_then(|topic| table.name(topic)), Some("logs-a"));
    // The configured topic is not opened to message data by being known.
    assert_eq!(resolve("syslog"), None);
    let second = resolve("logs-b");
    assert_eq!(second.and_then(|topic| table.name(topic)), Some("logs-b"));
    assert_eq!(resolve("logs-c"), None);
    assert_eq!(resolve("audit"), None);
    assert_eq!(resolve("logs-a"), first);
    assert_eq!(table.topics().count(), 3);
}

#[test]
fn a_reload_adds_configured_topics_and_moves_none() {
    let table = TopicTable::new(&["a".to_owned()], 2);
    let mut cache = TopicCache::default();
    let made = cache.resolve(&table, &policy(&["*"], 1), b"made");
    assert_eq!(cache.resolve(&table, &policy(&["*"], 1), b"one-too-many"), None);
    let names = ["b", "made", "a"].map(str::to_owned);
    let placed = table.configure(&names).expect("there is room");
    assert_eq!(placed, [TopicIndex::new(1), made.expect("allowed"), TopicIndex::new(0)]);
    let many: Vec<String> = (0..1001).map(|number| format!("t{number}")).collect();
    assert_eq!(table.configure(&many), None);
}

#[test]
fn shards_agree_on_the_numbers_of_topics() {
    let table = TopicTable::new(&[], 50);
    let allow = policy(&["*"], 50);
    let threads: Vec<Vec<Option<TopicIndex>>> = std::thread::scope(|scope| {
        let shards: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut cache = TopicCache::default();
                    let names = (0..100).map(|number| format!("topic-{number}"));
                    names.map(|name| cache.resolve(&table, &allow, name.as_bytes())).collect()
                })
            })
            .collect();
        shards.into_iter().map(|shard| shard.join().expect("no panic")).collect()
    });
    assert!(threads.iter().all(|found| found.iter().flatten().count() <= 100));
    for (number, topic) in threads.iter().flat_map(|found| found.iter().enumerate()) {
        if let Some(topic) = topic {
            assert_eq!(table.name(*topic), Some(format!("topic-{number}").as_str()));
        }
    }
    assert_eq!(table.topics().count(), 50);
}

/// The plain reference: the regex crate's engine, with `*` as `.*`.
fn reference(pattern: &str, name: &str) -> bool {
    let pattern = regex_syntax::escape(pattern).replace(r"\*", ".*");
    let regex = regex_automata::meta::Regex::new(&format!("^(?s:{pattern})$")).expect("legal");
    regex.is_match(name)
}

proptest! {
    #[test]
    fn patterns_agree_with_a_regex(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
        prop_assert_eq!(is_match(pattern.as_bytes(), name.as_bytes()), reference(&pattern, &name));
    }
}
