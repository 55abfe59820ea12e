//! What the messages of a workload are made of, and how a delivered one is recognised.
//!
//! Kinds of message follow a fixed order, so that their shares are exact in every hundred; what is
//! in them is drawn from a seed. A workload says for each message which topic the rules choose: that
//! is its stamp's route; of W1's messages, which rules of any kind may forward, only its name says it.

use crate::failure::Failure;
use crate::message::{
    FRAME_BYTES_MAX, FRAME_BYTES_MIN, HEADER, ROUTE_ANY, STAMP_BYTES, Text, route_of,
};
use crate::random::Random;

/// Topics that JSON messages of W2 name.
const TOPICS: [&str; 4] = ["access", "audit", "cart", "metrics"];
/// Where W1 and W4 send.
const TOPIC_ALL: &str = "logs";
/// Where a rule of W3 and W2's text rule send.
pub(crate) const TOPIC_MATCHED: &str = "test";
/// Where the catch-all sends.
pub(crate) const TOPIC_UNKNOWN: &str = "logs-unknown";
/// Bytes of a frame in W1, unless said otherwise.
pub(crate) const W1_FRAME_BYTES: usize = 248;
/// Bytes of MSG in W3, stamp included: frames are as in W1.
pub(crate) const W3_MSG_BYTES: usize = W1_FRAME_BYTES - HEADER.len();
/// Numbers that no rule of W3 has: from this on, below 1000.
const W3_NUMBER_UNKNOWN: u64 = 500;
/// The most rules of W3: half of them have numbers from 0 on.
const W3_RULES_MAX: usize = 2 * W3_NUMBER_UNKNOWN as usize;
/// The most topics: as many as `workloads/topics.toml` allows.
const TOPICS_MAX: usize = 1000;

/// What is sent, and by which rules it is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// One rule that forwards all; frames of one length.
    W1 {
        /// Bytes of a frame, without its delimiter.
        frame_bytes: usize,
    },
    /// W1 over TLS 1.3.
    W4,
    /// hotdog's own three rules: JSON that names its topic, text with a name, all else.
    W2,
    /// Many regex rules, of which few match; then a catch-all.
    W3 {
        /// Half of them by a prefix, half of them by a name and a number.
        rules: usize,
    },
    /// One rule whose topic the message names; frames as in W1.
    Topics {
        /// As many of them, named in turn.
        topics: usize,
    },
}

impl Workload {
    /// The workload of that name, as it is measured by default.
    pub fn parse(name: &str) -> Result<Self, String> {
        match name {
            "w1" => Ok(Self::W1 { frame_bytes: W1_FRAME_BYTES }),
            "w2" => Ok(Self::W2),
            "w3" => Ok(Self::W3 { rules: 100 }),
            "w4" => Ok(Self::W4),
            _ => Err(format!("workload {name:?}: choose w1, w2, w3 or w4")),
        }
    }

    /// Its name in flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::W1 { .. } => "w1",
            Self::W4 => "w4",
            Self::W2 => "w2",
            Self::W3 { .. } => "w3",
            Self::Topics { .. } => "topics",
        }
    }

    /// Where its rules may send.
    pub fn topics(self) -> Vec<String> {
        let fixed = |topics: &[&str]| topics.iter().map(|topic| (*topic).to_owned()).collect();
        match self {
            Self::W1 { .. } | Self::W4 => fixed(&[TOPIC_ALL]),
            Self::W3 { .. } => fixed(&[TOPIC_MATCHED, TOPIC_UNKNOWN]),
            Self::W2 => {
                let mut topics: Vec<String> = fixed(&[TOPIC_MATCHED, TOPIC_UNKNOWN]);
                topics.extend(TOPICS.iter().map(|topic| format!("logs-{topic}")));
                topics
            }
            Self::Topics { topics } => (0..topics as u64).map(numbered).collect(),
        }
    }

    /// It is sent over TLS.
    pub fn is_tls(self) -> bool {
        self == Self::W4
    }

    /// Errors: `Failure::Setup` where it cannot be sent.
    pub fn check(self) -> Result<(), Failure> {
        match self {
            Self::W1 { frame_bytes }
                if !(FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&frame_bytes) =>
            {
                Err(Failure::Setup(format!(
                    "a frame of {frame_bytes} bytes: choose {FRAME_BYTES_MIN} to {FRAME_BYTES_MAX}"
                )))
            }
            Self::W3 { rules } if rules == 0 || rules % 2 != 0 || rules > W3_RULES_MAX => {
                Err(Failure::Setup(format!(
                    "{rules} rules: choose an even number of at most {W3_RULES_MAX}"
                )))
            }
            Self::Topics { topics } if !(1..=TOPICS_MAX).contains(&topics) => {
                Err(Failure::Setup(format!("{topics} topics: choose 1 to {TOPICS_MAX}")))
            }
            _ => Ok(()),
        }
    }

    /// The workload's messages, without end.
    pub fn texts(self, seed: u64) -> impl Iterator<Item = Text> {
        let mut random = Random(seed);
        (0..).map(move |index| self.text(index, &mut random))
    }

    /// The message of that index.
    fn text(self, index: u64, random: &mut Random) -> Text {
        // 61 and 100 have no common divisor: each hundred holds every kind below 100 once.
        let kind = index % 100 * 61 % 100;
        match self {
            Self::W1 { frame_bytes } => w1_text(frame_bytes, random),
            Self::W4 => w1_text(W1_FRAME_BYTES, random),
            Self::W2 if kind < 50 => w2_json(random),
            Self::W2 => w2_text(kind, random),
            Self::W3 { rules } => w3_text(kind, rules as u64 / 2, random),
            Self::Topics { topics } => topics_text(index % topics as u64, random),
        }
    }
}

/// Characters in frames of one length, to be delivered anywhere.
pub(crate) fn w1_text(frame_bytes: usize, random: &mut Random) -> Text {
    let body = random.characters(frame_bytes - HEADER.len() - STAMP_BYTES);
    Text { header: HEADER.into(), before: Vec::new(), body, after: Vec::new(), route: ROUTE_ANY }
}

/// A JSON object of 294 to 399 bytes that names its topic.
fn w2_json(random: &mut Random) -> Text {
    let topic = random.of(&TOPICS);
    let service = random.name();
    let (second, status, millis) = (random.below(60), 200 + random.below(300), random.below(5000));
    let before = format!(
        r#"{{"time":"2026-01-01T00:00:{second:02}.000Z","level":"info","service":"{service}","#
    ) + &format!(
        r#""meta":{{"topic":"{topic}","region":"eu-west-1"}},"request":{{"method":"GET","#
    ) + &format!(
        r#""path":"/items/{millis}","status":{status},"bytes":{}}},"text":""#,
        random.below(1 << 20)
    );
    let bytes = 56 + random.below(90) as usize;
    Text {
        header: HEADER.into(),
        before: before.into_bytes(),
        body: random.sentence(bytes),
        after: b"\"}".to_vec(),
        route: route_of(&format!("logs-{topic}")),
    }
}

/// Text of 113 to 219 bytes: nearly always with a name, which the regex takes out.
fn w2_text(kind: u64, random: &mut Random) -> Text {
    let bytes = 54 + random.below(100) as usize;
    let name = random.name();
    let (before, route) = match kind {
        50..98 => (format!("hello {name} "), route_of(TOPIC_MATCHED)),
        _ => (format!("good day {name} "), route_of(TOPIC_UNKNOWN)),
    };
    let body = random.sentence(bytes);
    Text { header: HEADER.into(), before: before.into_bytes(), body, after: Vec::new(), route }
}

/// Text of one length, of which two in a hundred match one of `2 * half` rules.
fn w3_text(kind: u64, half: u64, random: &mut Random) -> Text {
    let unknown = W3_NUMBER_UNKNOWN + random.below(1000 - W3_NUMBER_UNKNOWN);
    let known = random.below(half);
    let name = random.name();
    let (before, after, topic) = match kind {
        0 => (format!("svc-{known:03}: "), String::new(), TOPIC_MATCHED),
        1 => (format!("user={name} "), format!(" code={known:03}"), TOPIC_MATCHED),
        2..12 => (format!("svc-{unknown}: "), String::new(), TOPIC_UNKNOWN),
        12..32 => (format!("user={name} "), format!(" code={unknown}"), TOPIC_UNKNOWN),
        // The other way round: the number is a rule's, but the rule wants the name before it.
        32..37 => (format!("code={known:03} "), format!(" user={name}"), TOPIC_UNKNOWN),
        _ => (String::new(), String::new(), TOPIC_UNKNOWN),
    };
    let body = random.sentence(W3_MSG_BYTES - STAMP_BYTES - before.len() - after.len());
    Text {
        header: HEADER.into(),
        before: before.into_bytes(),
        body,
        after: after.into_bytes(),
        route: route_of(topic),
    }
}

fn numbered(topic: u64) -> String {
    format!("logs-{topic:03}")
}

/// Text as long as W1's, that names its topic.
fn topics_text(topic: u64, random: &mut Random) -> Text {
    let before = format!("to={topic:03} ");
    let body = random.characters(W3_MSG_BYTES - STAMP_BYTES - before.len());
    Text {
        header: HEADER.into(),
        before: before.into_bytes(),
        body,
        after: Vec::new(),
        route: route_of(&numbered(topic)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::message::{Block, Framing, check};

    const ALL: [Workload; 5] = [
        Workload::W1 { frame_bytes: 248 },
        Workload::W2,
        Workload::W3 { rules: 100 },
        Workload::W4,
        Workload::Topics { topics: 1000 },
    ];

    pub(crate) fn msg(text: &Text) -> Vec<u8> {
        let mut block = Block::new([text.clone()], 0, Framing::Lf);
        let end = block.stamp(0..1, 3, 7, |_| 9).end;
        block.bytes()[HEADER.len()..end - 1].to_vec()
    }

    #[test]
    fn bodies_hold_neither_delimiters_nor_markers_nor_quotes() {
        for text in ALL.iter().flat_map(|workload| workload.texts(1).take(1000)) {
            let is_plain = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
            assert!(text.body.iter().all(is_plain));
            assert!(!text.body.iter().any(|byte| b":\"\\%=".contains(byte)));
            assert!(!msg(&text).contains(&b'\n'));
            assert_eq!(check(&msg(&text)).unwrap().route, text.route);
        }
    }

    #[test]
    fn routes_lead_to_its_topics() {
        for workload in ALL {
            let mut routes: Vec<u16> =
                workload.topics().iter().map(|topic| route_of(topic)).collect();
            routes.push(ROUTE_ANY);
            assert!(workload.texts(1).take(1000).all(|text| routes.contains(&text.route)));
        }
    }

    #[test]
    fn lengths_are_as_documented() {
        let w2: Vec<Text> = Workload::W2.texts(1).take(1000).collect();
        for text in &w2 {
            let length = msg(text).len();
            let expected = if text.before[0] == b'{' { 300..401 } else { 110..221 };
            assert!(expected.contains(&length), "{length} bytes");
        }
        assert!(Workload::W3 { rules: 100 }.texts(1).take(100).all(|text| msg(&text).len() == 192));
    }

    #[test]
    fn shares_are_exact_in_every_hundred() {
        let to = |workload: Workload, topic: &str| {
            let texts = workload.texts(5).skip(100).take(100);
            texts.filter(|text| text.route == route_of(topic)).count()
        };
        assert_eq!((to(Workload::W2, "test"), to(Workload::W2, "logs-unknown")), (48, 2));
        for rules in [10, 100, 500] {
            let w3 = Workload::W3 { rules };
            assert_eq!((to(w3, "test"), to(w3, "logs-unknown")), (2, 98));
        }
    }

    #[test]
    fn topics_are_named_in_turn() {
        let topics = Workload::Topics { topics: 10 };
        let texts: Vec<Text> = topics.texts(1).take(20).collect();
        assert!(texts[3].before == b"to=003 " && texts[13].before == b"to=003 ");
        assert_eq!(texts[3].route, route_of("logs-003"));
        assert!(texts.iter().all(|text| msg(text).len() == 192));
        assert!(Workload::Topics { topics: 1001 }.check().is_err());
    }

    #[test]
    fn what_cannot_be_sent_is_one_sentence() {
        let w3 = |rules| Workload::W3 { rules };
        assert!(w3(11).check().is_err() && w3(0).check().is_err() && w3(1002).check().is_err());
        assert!(ALL.iter().all(|workload| workload.check().is_ok()));
        assert!(Workload::parse("w9").is_err_and(|sentence| sentence.contains("w9")));
    }
}
