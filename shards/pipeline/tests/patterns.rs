//! All patterns in one pass, against the regex crate that tries them one by one.

use corndog_pipeline::bits::Bits;
use corndog_pipeline::patterns::{
    AUTOMATON_CACHE_BYTES_MAX, PATTERN_TEXT_BYTES_MAX, Pattern, PatternSet,
};
use proptest::prelude::*;

fn set(patterns: &[&str]) -> PatternSet {
    sized(patterns, AUTOMATON_CACHE_BYTES_MAX)
}

fn sized(patterns: &[&str], cache_bytes: usize) -> PatternSet {
    // Rules have other numbers than members.
    let compiled = patterns.iter().enumerate().map(|(index, text)| {
        let pattern = Pattern::compile(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        (3 * index + 1, pattern.with_groups())
    });
    PatternSet::with_cache_bytes(compiled.collect(), cache_bytes).expect("small enough")
}

/// Runs a set over fields, and the regex crate beside it.
struct Beside {
    patterns: Vec<String>,
    references: Vec<regex::bytes::Regex>,
    set: PatternSet,
    scratch: corndog_pipeline::patterns::PatternScratch,
}

impl Beside {
    fn new(patterns: &[&str], cache_bytes: usize) -> Beside {
        let set = sized(patterns, cache_bytes);
        let references = patterns.iter().map(|text| regex::bytes::Regex::new(text).expect("legal"));
        Beside {
            patterns: patterns.iter().map(|text| (*text).to_owned()).collect(),
            references: references.collect(),
            scratch: set.scratch(),
            set,
        }
    }

    /// Members that match; all ways to ask agree.
    fn check(&mut self, field: &[u8]) -> Vec<usize> {
        let Beside { patterns, references, set, scratch } = self;
        let shown = || format!("{patterns:?} on {:?}", field.escape_ascii().to_string());
        let mut matched = Bits::new(3 * references.len() + 1);
        set.search(scratch, field, &mut matched);
        for (rule, member) in set.alone() {
            assert_eq!(rule, 3 * member + 1);
            assert!(!matched.contains(rule), "{}: alone, and in the pass", shown());
            if set.is_match(member, scratch, field) {
                matched.insert(rule);
            }
        }
        let mut expected = Bits::new(3 * references.len() + 1);
        let mut members = Vec::new();
        let mut spans = Vec::new();
        for (member, reference) in references.iter().enumerate() {
            let captures = reference.captures(field);
            assert_eq!(set.is_match(member, scratch, field), captures.is_some(), "{}", shown());
            set.captures(member, scratch, field, &mut spans);
            let reference_spans: Vec<_> = captures
                .iter()
                .flat_map(|captures| captures.iter())
                .map(|group| group.map(|group| (group.start(), group.end())))
                .collect();
            assert_eq!(spans, reference_spans, "captures of {member}: {}", shown());
            if captures.is_some() {
                expected.insert(3 * member + 1);
                members.push(member);
            }
        }
        assert_eq!(matched, expected, "{}", shown());
        members
    }
}

fn check(patterns: &[&str], fields: &[&[u8]]) -> Vec<Vec<usize>> {
    let mut beside = Beside::new(patterns, AUTOMATON_CACHE_BYTES_MAX);
    fields.iter().map(|field| beside.check(field)).collect()
}

/// Enough patterns that a pass is made of them, by a rule set's usual shapes.
fn crowd(patterns: &[&'static str]) -> Vec<&'static str> {
    let crowd = [
        "^svc-001: ",
        "^svc-002: ",
        "^svc-003: ",
        "^svc-004: ",
        "^svc-005: ",
        "^svc-006: ",
        "^svc-007: ",
        "^svc-008: ",
        "^svc-009: ",
        "^svc-010: ",
        r"user=(\w+) .*code=001",
        r"user=(\w+) .*code=002",
        r"user=(\w+) .*code=003",
        r"\d\d-\d\d",
        r"[a-f]+[0-9]x",
        r"\w+@\w+",
        r"\s\d+$",
        "upstream timed out",
        "connection refused",
        "out of memory",
    ];
    patterns.iter().copied().chain(crowd).collect()
}

#[test]
fn a_set_without_patterns_finds_nothing() {
    let set = PatternSet::new(Vec::new()).expect("nothing is small");
    assert_eq!((set.pass(), set.alone().count(), set.pattern_count()), (None, 0, 0));
    let mut matched = Bits::new(1);
    set.search(&mut set.scratch(), b"x", &mut matched);
    assert_eq!(matched.next_from(0), None);
}

#[test]
fn few_patterns_and_plain_literals_are_tried_one_by_one() {
    let few = set(&[r"user=(\w+)", "^abc", "abc$", "^abc$", "plain"]);
    assert_eq!((few.pass(), few.alone().count()), (None, 5));
    assert_eq!((few.pattern_count(), few.pass_count()), (5, 0));
}

#[test]
fn many_patterns_are_searched_in_one_pass() {
    let many = set(&crowd(&[".*"]));
    assert_eq!(many.pass(), Some(4), "the first but the one that always matches");
    assert_eq!((many.pattern_count(), many.pass_count()), (21, 20));
}

#[test]
fn patterns_that_always_match_are_not_searched() {
    for text in [".*", "", "(.*)", ".*?", "a*", "(?P<all>(?s).*)", "(a|)", "(?:a*b?)*", "x{0,3}"] {
        let pattern = Pattern::compile(text).expect("legal");
        assert!(pattern.is_always(), "{text}");
        assert_eq!(check(&crowd(&[text]), &[b"", b"b", b"\xff"]), [[0], [0], [0]], "{text}");
    }
    for text in ["^", "$", ".", "a+", r"\b", "(?m)^", r"\B", "^.*$", "a*$"] {
        assert!(!Pattern::compile(text).expect("legal").is_always(), "{text}");
    }
}

#[test]
fn empty_matches_at_an_anchor_or_boundary_are_found() {
    let patterns = crowd(&["^", "$", r"\b", r"\B", "(?m)^$", "^$", "^.*$", r"(?-u:\b)"]);
    check(&patterns, &[b"", b"a", b" ", b"a\n\nb", b"\xff", "\u{fc}".as_bytes(), b"a\n"]);
}

#[test]
fn what_may_be_nothing_at_an_end_is_left_out_without_a_difference() {
    let patterns = crowd(&[
        ".*foo.*",
        "(?:x*)foo",
        r"\w+foo\w+",
        "a{2,5}",
        "(?:ab|c)*foo(?:$)?",
        r"(?:\b)*foo",
        "(?:^a)?b",
        ".*$",
        "^.*foo",
        "(?:foo)+?",
        r"(?:\bfoo\b)*x",
    ]);
    check(&patterns, &[b"foo", b"afoob", b"aa", b"b", b"ab", b"x", b"a\nfoo", b"\xfffoo\xff"]);
}

#[test]
fn unicode_tables_are_not_paid_for_and_not_forgotten() {
    let patterns =
        crowd(&[r"^\w+$", r"\d", r"^\s", "(?i)k", "(?i)\u{df}", r"^\W", r"\pL\pN", "^.$"]);
    let found = check(
        &patterns,
        &[
            "\u{e9}t\u{e9}".as_bytes(),
            "\u{0663}".as_bytes(),
            "\u{2003}x".as_bytes(),
            "\u{212a}".as_bytes(),
            "\u{1e9e}".as_bytes(),
            b"\xe9",
            b"\xff\xfe",
            b"abc",
            b"k",
            b"K1",
            b"7",
        ],
    );
    assert_eq!(found[0], [0]);
    assert_eq!(found[2], [2, 5]);
    assert!(found[3].contains(&3), "the Kelvin sign is a k");
}

#[test]
fn more_characters_than_letters_are_told_apart() {
    let texts: Vec<String> = (0_u32..80)
        .map(|n| {
            let c = |offset| char::from_u32(0x4e00 + 3 * n + offset).expect("a character");
            format!("{}{}[{}-{}]", c(0), c(1), c(0), c(2))
        })
        .collect();
    let patterns: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut beside = Beside::new(&patterns, AUTOMATON_CACHE_BYTES_MAX);
    assert_eq!(beside.set.pass_count(), 80);
    assert_eq!(beside.check("\u{4e00}\u{4e01}\u{4e02}".as_bytes()), [0]);
    assert_eq!(beside.check("\u{4eed}\u{4eee}\u{4eee}".as_bytes()), [79]);
    assert_eq!(beside.check("\u{4eed}\u{4eee}\u{4eeb}\u{4eed}\u{4eed}".as_bytes()), [0; 0]);
}

#[test]
fn unicode_word_boundaries_hold_in_every_field() {
    let patterns = crowd(&[
        r"\bfoo\b",
        r"\Bfoo\B",
        r"\b{start}foo",
        r"foo\b{end}",
        r"\b{start-half}foo\b{end-half}",
        r"(?-u:\b)foo(?-u:\b)",
        r"\b\d+\b",
    ]);
    check(
        &patterns,
        &[
            b"foo",
            b"xfoox",
            "\u{e9}foo\u{e9}".as_bytes(),
            b"\xe9foo\xe9",
            "\u{e9} foo \u{e9}".as_bytes(),
            "foo\u{301}".as_bytes(),
            b"\xf0\x90foo",
            "\u{e9} 12".as_bytes(),
        ],
    );
}

#[test]
fn bytes_that_are_no_text_are_searched_as_bytes() {
    let patterns = crowd(&[r"(?-u:\xff)x", r"(?-u:[\x80-\xff]{2})", "a.b", "(?s-u)a.b", r"[^a]$"]);
    check(
        &patterns,
        &[b"\xffx", b"\xc3\xa9", b"a\xffb", "a\u{e9}b".as_bytes(), b"a\nb", b"a\xc3b"],
    );
}

#[test]
fn unanchored_patterns_are_found_behind_any_prefix() {
    let patterns = crowd(&["(?:^|x)abc", "abc|^def", "(?m)^abc", "(?mR)^abc$", "^(?:abc|.*def)"]);
    check(&patterns, &[b"abc", b"xabc", b"yabc", b"def", b"ydef", b"y\nabc", b"y\r\nabc\r\n"]);
}

#[test]
fn a_state_that_comes_again_reports_what_is_new_in_the_next_field() {
    let patterns = crowd(&["[a-z]b", "[a-z]c"]);
    let mut beside = Beside::new(&patterns, AUTOMATON_CACHE_BYTES_MAX);
    for _ in 0..3 {
        assert_eq!(beside.check(b"abababab"), [0]);
        assert_eq!(beside.check(b"acacabac"), [0, 1]);
        assert_eq!(beside.check(b"zzzz"), [0_usize; 0]);
    }
}

#[test]
fn a_sender_that_asks_for_ever_new_states_gets_the_same_answers() {
    // Each pattern is either begun or not: 2^24 sets of them.
    let texts: Vec<String> = (0..24).map(|n| format!("k{n:02}=.*v{n:02}[0-9]")).collect();
    let patterns: Vec<&str> = texts.iter().map(String::as_str).collect();
    for cache_bytes in [0, 64 * 1024, AUTOMATON_CACHE_BYTES_MAX] {
        let mut beside = Beside::new(&patterns, cache_bytes);
        assert_eq!(beside.set.pass_count(), 24);
        let mut random = 1_u64;
        let mut matches = 0;
        for round in 0..400 {
            let mut field = Vec::new();
            for _ in 0..100 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (number, kind) = (random >> 33 & 0xffff, random >> 49 & 0xff);
                let text = match kind {
                    0..4 => format!("v{:02}7", number % 24),
                    4..9 => "\n".into(),
                    9 if round % 3 == 0 => "\u{e9}".into(),
                    _ => format!("k{:02}=", number % 24),
                };
                field.extend_from_slice(text.as_bytes());
            }
            matches += beside.check(&field).len();
        }
        assert!(matches > 100, "{matches}");
    }
}

#[test]
fn more_live_patterns_than_caches_agree() {
    let texts: Vec<String> = (0..150).map(|n| format!(r"\bk{n:03}\b")).collect();
    let patterns: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut beside = Beside::new(&patterns, AUTOMATON_CACHE_BYTES_MAX);
    let all: Vec<String> = (0..150).map(|n| format!("\u{e9} k{n:03}")).collect();
    for _ in 0..2 {
        assert_eq!(beside.check(all.join(" ").as_bytes()).len(), 150);
        assert_eq!(beside.check(all.join("").as_bytes()).len(), 1);
    }
}

#[test]
fn mistakes_are_one_sentence_with_the_place_under_it() {
    let mistake = |text: &str| Pattern::compile(text).expect_err("wrong");
    assert_eq!(mistake("a("), "unclosed group\n    a(\n     ^");
    assert!(
        mistake(r"a\p{Zzz}").contains("Unicode property not found"),
        "{}",
        mistake(r"a\p{Zzz}")
    );
    assert!(mistake("x(?=a)").starts_with("look-around is not supported"));
    assert!(mistake(r"(a)\1").ends_with("\n    (a)\\1\n       ^"));
    let long = mistake(&"a".repeat(PATTERN_TEXT_BYTES_MAX + 1));
    assert_eq!(long, "the pattern is 4097 bytes long; at most 4096 are allowed");
    assert!(Pattern::compile(&"a".repeat(PATTERN_TEXT_BYTES_MAX)).is_ok());
    let nested = |levels: usize| format!("{}a{}", "(".repeat(levels), ")".repeat(levels));
    assert!(Pattern::compile(&nested(60)).is_ok());
    assert!(mistake(&nested(70)).starts_with("the pattern is nested deeper than 64 levels\n"));
    assert!(mistake("(?:a{1000}){1000}").starts_with("the pattern compiles to more than 1024 KiB"));
}

#[test]
fn patterns_that_are_too_large_together_are_refused() {
    let large = (0..100).map(|n| {
        let text = format!(r"[a-y]z{{20000}}x{n}");
        (n, Pattern::compile(&text).expect("each is small enough"))
    });
    let why = PatternSet::new(large.collect()).expect_err("together they are not");
    assert!(why.starts_with("the regexes on one field are too large together; "), "{why}");
    assert!(!why.contains('\n'), "{why}");
}

#[test]
fn patterns_that_a_message_could_make_search_long_are_refused() {
    let set = |count: usize| {
        let patterns = (0..count).map(|n| (n, Pattern::compile(&format!("k{n:03}=.*v{n:03}"))));
        PatternSet::new(patterns.map(|(n, pattern)| (n, pattern.expect("legal"))).collect())
    };
    assert!(set(100).is_ok());
    let why = set(600).expect_err("too many at once");
    assert!(why.starts_with("a message could make the regexes on one field search for "), "{why}");
    assert!(!why.contains('\n'), "{why}");
    // Many of those that cannot be made to are welcome.
    for shape in ["upstream NNN timed out", "^svc-NNN: ", r"user=\w+ .*code=NNN"] {
        let patterns = (0..500).map(|n| {
            (n, Pattern::compile(&shape.replace("NNN", &format!("{n:03}"))).expect("legal"))
        });
        assert!(PatternSet::new(patterns.collect()).is_ok(), "{shape}");
    }
}

#[test]
fn a_stray_byte_does_not_hide_the_character_before_it() {
    let patterns = crowd(&[r"\B", r"\bx", r"x\b", r"\Bx", r"\b{start}x", r"(\w+)\b(.?)"]);
    let fields: [&[u8]; 6] =
        [b"0\x80x", b" \x80x", b"x\x80", b"\xc3\xa9\x80x", b"\x80\x80x", b"0\x80\x80\x80\x80x"];
    check(&patterns, &fields);
}

/// Pieces of patterns; none is empty.
fn pattern() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        4 => "[abk=: ]{1,3}",
        1 => prop::sample::select(vec![
            r"\w", r"\d", r"\s", r"\W", r"\D", ".", "[a-f]", "[^a]", "[k0-9]", r"\pL", "\u{e9}",
            "\u{df}", r"\x61", r"\n", "[[:alpha:]]", "(?-u:.)", r"(?-u:\xc3)", r"(?-u:\w)",
            r"(?-u:[^a])", "(?s:.)", "(?i:k)", "(?i:ab)", "(?i:\u{e9})", "user=", "code=1",
        ]).prop_map(str::to_owned),
        1 => prop::sample::select(vec![
            "^", "$", r"\b", r"\B", "(?m:^)", "(?m:$)", "(?mR:$)", r"(?-u:\b)", r"\A", r"\z",
            r"\b{start}", r"\b{end}", r"\b{start-half}", r"\b{end-half}", r"(?-u:\B)",
        ]).prop_map(str::to_owned),
    ];
    let times =
        prop::sample::select(vec!["", "", "", "*", "+", "?", "*?", "+?", "{2}", "{1,3}", "{2,}"]);
    atom.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 1..5).prop_map(|parts| parts.concat()),
            2 => prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|parts| format!("(?:{})", parts.join("|"))),
            2 => (inner.clone(), times.clone()).prop_map(|(part, times)| format!("(?:{part}){times}")),
            1 => inner.clone().prop_map(|part| format!("({part})")),
            1 => inner.clone().prop_map(|part| format!("{part}.*x")),
            1 => inner.clone().prop_map(|part| format!("^{part}")),
        ]
    })
}

/// Fields that hold what patterns are made of: ASCII, Unicode, or anything.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let ascii = || "[abkx=: 01\n]{1,4}".prop_map(String::into_bytes);
    let word = || {
        prop::sample::select(vec!["user=", "code=1", "ab", "K", "\r\n"])
            .prop_map(|word: &str| word.as_bytes().to_vec())
    };
    let unicode = || {
        prop::sample::select(vec!["\u{e9}", "\u{c9}", "\u{212a}", "\u{df}", "\u{2003}"])
            .prop_map(|text: &str| text.as_bytes().to_vec())
    };
    let any = || prop::collection::vec(any::<u8>(), 1..3);
    prop_oneof![
        prop::collection::vec(prop_oneof![ascii(), word()], 0..8),
        prop::collection::vec(prop_oneof![ascii(), word(), unicode()], 0..8),
        prop::collection::vec(prop_oneof![ascii(), unicode(), any()], 0..8),
    ]
    .prop_map(|parts| parts.concat())
}

#[test]
fn groups_of_patterns_without_a_choice_are_those_of_the_regex_crate() {
    let patterns = [
        // Ends that are left behind, with other groups or fewer.
        "^a(b+)?c?",
        "^(?:(a)|(b))*",
        "^(?:(a)(b)|(x))*",
        "^(a)(?:b(k)(x))?",
        "^(a+?)(b)",
        "^(a*?)",
        // Looks: at the start, on the way, at the end, where they fail.
        r"^(\w+)\b",
        r"^(\w+)\b=(\d)?",
        r"^(\w+)$",
        r"^(?:(a)\b|(b))+",
        r"^(a)\B(b)?$",
        r"^(?m:(a+)$)\n?(b)?",
        // Places that a filter finds, of which some are none.
        r"user=(\d+)",
        r"user=(a+)(b)?$",
        r"user=(?:x|(\w))?x",
        // Unicode.
        r"^(\pL+)-(\s*)",
        "^(\u{e9}+)(a|\u{df})?",
    ];
    let fields = [
        "",
        "a",
        "ab",
        "abb",
        "abbc",
        "abx",
        "abbxx",
        "aab",
        "aabk",
        "abk",
        "abkx",
        "abkxa",
        "a b",
        "ba",
        "bab",
        "abab",
        "xab",
        "ab=",
        "ab=1",
        "ab=1x",
        "ab=ab=kx",
        "a\n",
        "a\nb",
        "aa\naa",
        "user=user=1",
        "user=a user=12",
        "user=x user=x user=aab",
        "user=aab\n",
        "user=aab",
        "user=ax",
        "user=xx",
        "\u{e9}a",
        "\u{e9}\u{df}",
        "k\u{e9}-\u{2003} x",
        "\u{e9}\u{e9}-",
        "a\u{e9}",
    ];
    for pattern in patterns {
        let mut beside = Beside::new(&[pattern], AUTOMATON_CACHE_BYTES_MAX);
        for field in fields {
            beside.check(field.as_bytes());
            beside.check(&[field.as_bytes(), b"\xff"].concat());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_pass_agrees_with_one_by_one(
        patterns in prop::collection::vec(pattern(), 1..24),
        fields in prop::collection::vec(field(), 1..24),
        cache_bytes in prop::sample::select(vec![0, 16 * 1024, AUTOMATON_CACHE_BYTES_MAX]),
    ) {
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let mut beside = Beside::new(&patterns, cache_bytes);
        for field in &fields {
            beside.check(field);
        }
    }
}
