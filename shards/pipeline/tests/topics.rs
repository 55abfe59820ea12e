//! Topics: legal names, patterns, and how many may be made from message data.

#![allow(clippy::disallowed_methods, reason = "shards are threads")]

use corndog_pipeline::topics::{
    TopicCache, TopicIndex, TopicPolicy, TopicTable, is_legal, is_match,
};
use proptest::prelude::*;

fn policy(allow: &[&str]) -> TopicPolicy {
    TopicPolicy {
        allow: allow.iter().map(|pattern| (*pattern).to_owned()).collect(),
        fallback: None,
    }
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
    let policy = policy(&["logs-*", "audit"]);
    let mut resolve = |name: &str| cache.resolve(&table, &policy, name.as_bytes());
    assert_eq!(resolve("evil"), None);
    assert_eq!(resolve("logs-a"), Some(TopicIndex::new(1)));
    // The configured topic is not opened to message data by being known.
    assert_eq!(resolve("syslog"), None);
    assert_eq!(resolve("logs-b"), Some(TopicIndex::new(2)));
    assert_eq!(resolve("logs-c"), None);
    assert_eq!(resolve("audit"), None);
    assert_eq!(resolve("logs-a"), Some(TopicIndex::new(1)));
    assert_eq!(table.count(), 3);
}

#[test]
fn shards_agree_on_the_numbers_of_topics() {
    let table = TopicTable::new(&[], 50);
    let allow = policy(&["*"]);
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
    assert_eq!(table.count(), 50);
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
