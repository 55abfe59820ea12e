//! Topics named by message data, which is to say by whoever can make an honest sender log a string.

use crate::CORNDOG;
use corndog_tests::reader::topics;
use corndog_tests::time::seconds;
use corndog_tests::{Corndog, Kafka, Record, Sender, read_all, settings, timed_alone};
use std::collections::{BTreeMap, BTreeSet};

const MESSAGES: usize = 100_000;
const DISTINCT: usize = 20;
const ILLEGAL: [&str; 8] =
    ["../../etc", "a b", ".", "..", "__consumer_offsets", "", "\u{e9}", "a/b\\c\"d"];

/// The topic that message `number` asks for: half of them legal, of a growing number of names.
fn wanted(number: usize) -> String {
    let scattered = number.wrapping_mul(2_654_435_761) >> 7;
    match number % 16 {
        0..8 => ILLEGAL[number % 8].to_owned(),
        8 => "x".repeat(250),
        9 => "x".repeat(5000),
        _ => format!("evil-{}", scattered % (number / 10 + 1)),
    }
}

/// Which messages get the topic that they ask for, and which are refused.
fn expected() -> (BTreeMap<String, Vec<usize>>, Vec<usize>) {
    let (mut made, mut refused) = (BTreeMap::<String, Vec<usize>>::new(), Vec::new());
    for number in 0..MESSAGES {
        let name = wanted(number);
        let is_legal = name.starts_with("evil-");
        if is_legal && (made.contains_key(&name) || made.len() < DISTINCT) {
            made.entry(name).or_default().push(number);
        } else {
            refused.push(number);
        }
    }
    (made, refused)
}

/// Sends all to a Kafka of its own, where any client may make a topic.
fn attack(over: &str) -> (Kafka, BTreeMap<String, Vec<usize>>, Vec<usize>) {
    let kafka = Kafka::start_with(&[("auto.create.topics.enable", "true")]);
    let over = format!(
        "{over}\n[[rule]]\nname = \"evil\"\nregex = '^t=(?P<t>.*) n='\n\
         actions = [{{ forward = \"{{{{t}}}}\" }}]\n"
    );
    let mut corndog = Corndog::start(CORNDOG, &settings(&kafka.bootstrap(), &over));
    let mut sender = Sender::connect(corndog.address());
    let lines: Vec<String> = (0..MESSAGES)
        .map(|number| format!("<13>1 - host app - - - t={} n={number}\n", wanted(number)))
        .collect();
    lines.chunks(1000).for_each(|chunk| sender.send(chunk.concat()));
    sender.finish();
    corndog.stop().assert_all_delivered(MESSAGES as u64);
    let (made, refused) = expected();
    (kafka, made, refused)
}

/// The numbers of the messages in a topic, sorted.
fn numbers(records: &[Record]) -> Vec<usize> {
    let number = |record: &Record| {
        let text = record.text();
        let (_, number) = text.rsplit_once(" n=").expect("numbered");
        number.parse().expect("a number")
    };
    let mut numbers: Vec<usize> = records.iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}

fn check(kafka: &Kafka, made: &BTreeMap<String, Vec<usize>>, refuge: &str, refused: &[usize]) {
    let there: BTreeSet<String> = topics(&kafka.bootstrap()).into_iter().collect();
    let meant = made.keys().cloned().chain([refuge.to_owned()]).collect();
    assert_eq!(there, meant, "no topic beside these");
    for (topic, wanted) in made {
        assert_eq!(&numbers(&read_all(&kafka.bootstrap(), topic)), wanted, "{topic}");
    }
    assert_eq!(numbers(&read_all(&kafka.bootstrap(), refuge)), refused);
    println!("{} topics made, {} records refused", made.len(), refused.len());
}

#[test]
fn a_topic_attack_makes_no_more_than_distinct_topics_and_the_rest_is_in_the_fallback() {
    timed_alone(seconds(240), || {
        let over =
            format!("[topics]\nallow = [\"*\"]\nfallback = \"refuge\"\ndistinct = {DISTINCT}");
        let (kafka, made, refused) = attack(&over);
        check(&kafka, &made, "refuge", &refused);
    });
}

#[test]
fn a_topic_attack_fills_the_dead_letters_with_the_frames_and_the_reason() {
    timed_alone(seconds(240), || {
        let over =
            format!("[topics]\nallow = [\"*\"]\ndead_letter = \"dead\"\ndistinct = {DISTINCT}");
        let (kafka, made, refused) = attack(&over);
        check(&kafka, &made, "dead", &refused);
        for record in read_all(&kafka.bootstrap(), "dead") {
            assert!(record.payload.starts_with(b"<13>1 - host app - - - t="), "the raw frame");
            let header = |name: &str| {
                let found = record.headers.iter().find(|(key, _)| key == name);
                String::from_utf8_lossy(&found.expect("the header is there").1).into_owned()
            };
            assert_eq!(header("corndog.reason"), "topic_refused");
            assert_eq!(header("corndog.rule"), "evil");
            assert_eq!(header("corndog.peer"), "127.0.0.1");
            assert_eq!(header("corndog.listener"), "plain");
            assert!(header("corndog.topic").len() <= 249);
            assert!(header("corndog.time").ends_with('Z'));
        }
    });
}
