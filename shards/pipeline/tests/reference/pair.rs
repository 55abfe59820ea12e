//! The rule set under test and the plain reference, side by side on the same messages.

use corndog_pipeline::message::Message;
use corndog_pipeline::record::{self, Origin, Record};
use corndog_pipeline::ruleset::{RuleSet, Scratch, Verdict, Why};
use corndog_pipeline::template::Context;
use corndog_pipeline::topics::{TOPIC_NAME_BYTES_MAX, TopicTable};

use super::generate::Generated;
use super::{Outcome, Payload, PlainRecord, Reference, json};

/// Messages of such lengths are explained too.
const EXPLAINED_EVERY: usize = 8;

/// Both, with all that they remember between messages.
pub struct Pair {
    rules: RuleSet,
    table: TopicTable,
    scratch: Scratch,
    reference: Reference,
    has_dead_letters: bool,
}

/// What both said of one message.
pub struct Said {
    /// The rule set under test.
    pub found: Outcome,
    /// The reference.
    pub expected: Outcome,
    /// What is wrong with the origin of the record under test, if anything is.
    pub origin: Option<String>,
}

impl Pair {
    /// Compiles both.
    ///
    /// Errors: what the rule set under test has against the rules.
    pub fn new(generated: &Generated) -> Result<Pair, Vec<String>> {
        let Generated { rules, routing } = generated;
        let mut compiled = RuleSet::compile(rules, routing)?;
        let table = TopicTable::new(compiled.configured_topics(), routing.distinct);
        compiled.place(&table).map_err(|why| vec![why])?;
        Ok(Pair {
            scratch: compiled.scratch(),
            rules: compiled,
            table,
            reference: Reference::new(rules, routing),
            has_dead_letters: routing.dead_letter.is_some(),
        })
    }

    /// Forgets all that is remembered between messages.
    ///
    /// Errors: as [`Pair::new`].
    pub fn forget(&mut self) -> Result<(), String> {
        self.scratch = self.rules.scratch();
        self.table = TopicTable::new(self.rules.configured_topics(), self.reference.distinct());
        self.reference.forget();
        self.rules.place(&self.table)
    }

    /// Asks both about one frame.
    pub fn evaluate(&mut self, frame: &[u8], context: &Context<'_>) -> Said {
        let message = Message::parse(frame, context.peer);
        let verdict = self.rules.evaluate(&message, context, &self.table, &mut self.scratch);
        let mut origin = None;
        let found = match verdict {
            Verdict::Drop { rule, reason } => Outcome::Drop { rule, reason: reason.name() },
            Verdict::Forward { rule, record, dead_letter } => {
                let wants_origin = self.has_dead_letters && dead_letter.is_none();
                origin = origin_mistake(&record, wants_origin, &message, context);
                Outcome::Forward(PlainRecord {
                    rule,
                    dead_letter: dead_letter.map(|reason| reason.name()),
                    ..owned(&record, self.table.name(record.topic).unwrap_or("(no such topic)"))
                })
            }
        };
        Said { found, expected: self.reference.evaluate(&message, context), origin }
    }

    /// Asks both, and says what came of the message.
    ///
    /// Errors: how they differ.
    pub fn check(&mut self, frame: &[u8], context: &Context<'_>) -> Result<&'static str, String> {
        let said = self.evaluate(frame, context);
        if let Some(difference) = said.difference() {
            return Err(difference);
        }
        // Looking at all rules takes long: some messages, always the same ones, are enough.
        if frame.len().is_multiple_of(EXPLAINED_EVERY) {
            self.check_explained(frame, context)?;
        }
        Ok(said.expected.kind())
    }

    /// Errors: the two give other reasons why a rule did not match.
    fn check_explained(&mut self, frame: &[u8], context: &Context<'_>) -> Result<(), String> {
        let message = Message::parse(frame, context.peer);
        let tried = self.rules.explain(&message, &mut self.scratch);
        // Where JSON is broken and too deep, either may be said.
        let plain = |why| if why == Why::TooDeep { Why::NotJson } else { why };
        let found: Vec<Why> = tried.iter().map(|tried| plain(tried.why)).collect();
        let expected = self.reference.explain(&message, context);
        match found == expected {
            true => Ok(()),
            false => Err(format!("found:    {found:?}\nexpected: {expected:?}")),
        }
    }
}

impl Said {
    /// How the two differ, if they do.
    pub fn difference(&self) -> Option<String> {
        let is_equal = match (&self.found, &self.expected) {
            (Outcome::Forward(found), Outcome::Forward(expected)) => same_record(found, expected),
            (found, expected) => found == expected,
        };
        match is_equal {
            true => self.origin.clone(),
            false => Some(format!(
                "found:    {}\nexpected: {}",
                shown(&self.found),
                shown(&self.expected)
            )),
        }
    }
}

impl Outcome {
    /// What came of the message, in a few words.
    pub fn kind(&self) -> &'static str {
        match self {
            Outcome::Drop { reason, .. } => reason,
            Outcome::Forward(PlainRecord { dead_letter: Some(reason), .. }) => match *reason {
                "topic_refused" => "dead letter: topic_refused",
                "merge_not_json" => "dead letter: merge_not_json",
                _ => "dead letter: oversize",
            },
            Outcome::Forward(record) if record.rule.is_none() => "forwarded unmatched",
            Outcome::Forward(record) if record.topic == "fallback" => "forwarded to the fallback",
            Outcome::Forward(PlainRecord { payload: Payload::Json(_), .. }) => "forwarded JSON",
            Outcome::Forward(_) => "forwarded bytes",
        }
    }
}

fn owned(record: &Record<'_>, topic: &str) -> PlainRecord {
    let header =
        |(name, value): (&[u8], &[u8])| (String::from_utf8_lossy(name).into(), value.to_vec());
    PlainRecord {
        rule: None,
        topic: topic.to_owned(),
        key: record.key.map(<[u8]>::to_vec),
        headers: record::headers(record.headers).map(header).collect(),
        payload: Payload::Bytes(record.payload.to_vec()),
        time: record.time,
        dead_letter: None,
    }
}

/// A record keeps what it was made of exactly where it may still become a dead letter.
fn origin_mistake(
    record: &Record<'_>,
    is_wanted: bool,
    message: &Message<'_>,
    context: &Context<'_>,
) -> Option<String> {
    let Some(Origin { frame, listener, peer, received, .. }) = record.origin else {
        return is_wanted.then(|| "the record has no origin".to_owned());
    };
    let is_right = is_wanted
        && frame == message.frame
        && (listener, peer, received) == (context.listener, context.peer, context.now);
    (!is_right).then(|| format!("wrong origin: {:?}", record.origin))
}

fn same_record(found: &PlainRecord, expected: &PlainRecord) -> bool {
    let same_payload = match (&found.payload, &expected.payload) {
        (Payload::Bytes(found), Payload::Json(expected)) => {
            json::parse(found).as_ref() == Some(expected)
        }
        (found, expected) => found == expected,
    };
    // Of a topic longer than any may be, a dead letter names a part, and says that it is one.
    let same_header = |((name, value), (wanted, expected)): (&(_, Vec<u8>), &(_, Vec<u8>))| {
        let is_cut = wanted == record::dead_letter::TOPIC && expected.len() > TOPIC_NAME_BYTES_MAX;
        let part = value.strip_suffix(record::dead_letter::CUT.as_bytes());
        let is_part = value.len() <= TOPIC_NAME_BYTES_MAX
            && part.is_some_and(|part| expected.starts_with(part));
        name == wanted && if is_cut { is_part } else { value == expected }
    };
    same_payload
        && found.headers.len() == expected.headers.len()
        && found.headers.iter().zip(&expected.headers).all(same_header)
        && (found.rule, &found.topic, &found.key, found.time, found.dead_letter)
            == (expected.rule, &expected.topic, &expected.key, expected.time, expected.dead_letter)
}

/// An outcome, for people.
fn shown(outcome: &Outcome) -> String {
    let Outcome::Forward(record) = outcome else { return format!("{outcome:?}") };
    let bytes = |bytes: &[u8]| match bytes.len() {
        0..=2000 => bytes.escape_ascii().to_string(),
        count => format!("{}... ({count} bytes)", bytes[..2000].escape_ascii()),
    };
    let payload = match &record.payload {
        Payload::Bytes(payload) => bytes(payload),
        Payload::Json(value) => format!("JSON {}", bytes(value.to_string().as_bytes())),
    };
    let headers: Vec<String> =
        record.headers.iter().map(|(name, value)| format!("{name}={}", bytes(value))).collect();
    format!(
        "rule {:?} topic {} key {} time {:?} dead letter {:?} headers [{}]\n    payload {payload}",
        record.rule,
        record.topic,
        record.key.as_deref().map_or("none".to_owned(), bytes),
        record.time,
        record.dead_letter,
        headers.join(", "),
    )
}
