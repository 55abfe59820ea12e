//! `corndog test`: what each message would become, and why; nothing listens, nothing is sent.
//!
//! | part | what it holds |
//! | --- | --- |
//! | `input` | files and standard input -> frames |
//! | `listeners` | for which listener a message is tried |
//! | `show` | what became of a message, for people and for programs |
//! | `cases` | a file of inputs with what is expected of them |
//! | `diff` | how what was expected differs from what was found |

mod cases;
mod diff;
mod input;
mod listeners;
mod show;

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::process::ExitCode;

use corndog_pipeline::control::Level;
use corndog_pipeline::counters::Dropped;
use corndog_pipeline::framing::Frame;
use corndog_pipeline::message::{Format, Message};
use corndog_pipeline::record;
use corndog_pipeline::rules::Oversize;
use corndog_pipeline::ruleset::{RuleSet, Scratch, Verdict, Why};
use corndog_pipeline::template::Context;
use corndog_pipeline::topics::TopicTable;
use jiff::Timestamp;

use crate::args::{LogFormat, TestArgs};
use crate::plan::plan_to_test;
use crate::report::Report;
use listeners::Listeners;
use show::Style;

/// The command line, the configuration or an input is wrong.
const EXIT_REFUSED: u8 = 2;
/// A case failed.
const EXIT_FAILED: u8 = 1;

/// Where messages come from that name no other peer.
const PEER: &str = "127.0.0.1";

/// The rules of a configuration, ready to be tried.
struct Trial {
    rules: RuleSet,
    table: TopicTable,
    scratch: Scratch,
    distinct: usize,
    frame_bytes_max: usize,
    /// What each rule's matcher reads.
    fields: Vec<String>,
    listeners: Listeners,
}

/// What surrounds a frame.
struct Surroundings<'a> {
    peer: &'a str,
    /// Its place; `None`: the one that is chosen, else the first.
    listener: Option<usize>,
    now: Timestamp,
}

/// What became of a message.
struct Outcome {
    /// The message's fields by name; a field that it does not have is `None`.
    fields: Vec<(&'static str, Option<Vec<u8>>)>,
    /// Each rule tried.
    tried: Vec<Step>,
    /// The rule that decided.
    rule: Option<String>,
    /// The record, if it becomes one.
    sent: Option<Sent>,
    /// Why it becomes none.
    dropped: Option<&'static str>,
    /// Why the record is a dead letter, if it is one.
    dead_letter: Option<&'static str>,
}

/// A rule that was tried.
struct Step {
    /// Its name, or its number.
    rule: String,
    /// What its matcher reads.
    field: String,
    why: Why,
}

/// A record as it would be sent.
struct Sent {
    topic: String,
    key: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
    payload: Vec<u8>,
    /// `None`: when it was received.
    time: Option<Timestamp>,
}

/// Tries the rules on the inputs and the cases.
pub fn test(args: &TestArgs) -> ExitCode {
    let report = Report::new(LogFormat::Text);
    match try_all(args, &report) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(EXIT_FAILED),
        Err(sentences) => {
            sentences.iter().for_each(|sentence| report.say(Level::Error, sentence));
            ExitCode::from(EXIT_REFUSED)
        }
    }
}

/// Returns how many cases failed.
fn try_all(args: &TestArgs, report: &Report) -> Result<usize, Vec<String>> {
    let plan = plan_to_test(args.config.as_deref())?;
    plan.warnings.iter().for_each(|warning| report.say(Level::Warn, warning));
    let listeners = Listeners::new(plan.settings.listen, args.listen.as_deref());
    let listeners = listeners.map_err(|why| vec![why])?;
    let cases = match &args.cases {
        Some(file) => cases::read(file, &listeners)?,
        None => Vec::new(),
    };
    let distinct = plan.settings.routing.distinct;
    let mut trial = Trial {
        table: TopicTable::new(plan.rules.configured_topics(), distinct),
        scratch: plan.rules.scratch(),
        rules: plan.rules,
        distinct,
        frame_bytes_max: plan.settings.limits.frame_bytes_max,
        fields: plan.settings.rules.iter().map(|rule| rule.field.to_string()).collect(),
        listeners,
    };
    trial.rules.place(&trial.table).map_err(|why| vec![why])?;

    let stdout = io::stdout().lock();
    let has_colour =
        stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let style = if args.json { Style::Json } else { Style::Text { has_colour } };
    let mut out = BufWriter::new(stdout);
    for file in &args.inputs {
        match try_input(&mut trial, file, style, &mut out) {
            Ok(()) => {}
            Err(input::Failure::Read(sentence)) => {
                let _ = out.flush();
                return Err(vec![sentence]);
            }
            Err(input::Failure::Write) => return Ok(0),
        }
    }
    // Where nobody reads on, the exit code still tells.
    let failed = cases::run(&mut trial, &cases, style, &mut out);
    let _ = out.flush();
    Ok(failed)
}

fn try_input(
    trial: &mut Trial,
    file: &str,
    style: Style,
    out: &mut impl Write,
) -> Result<(), input::Failure> {
    let mut number = 0_u64;
    input::frames(file, trial.frame_bytes_max, |frame| {
        number += 1;
        let surroundings = Surroundings { peer: PEER, listener: None, now: Timestamp::now() };
        let outcome = trial.evaluate(frame, &surroundings);
        show::message(&outcome, file, number, style, out)
    })
}

impl Trial {
    /// As after a start: no topic made yet, nothing sampled.
    fn begin_anew(&mut self) {
        self.table = TopicTable::new(self.rules.configured_topics(), self.distinct);
        self.scratch = self.rules.scratch();
    }

    /// What becomes of one frame.
    fn evaluate(&mut self, frame: Frame<'_>, surroundings: &Surroundings<'_>) -> Outcome {
        let listener = self.listeners.at(surroundings.listener);
        let oversize = listener.oversize;
        let peer = surroundings.peer.as_bytes();
        let message = Message::parse_as(listener.dialect, frame.bytes, peer);
        let context = Context {
            peer,
            listener: listener.name.as_bytes(),
            now: surroundings.now,
            zone: &listener.zone,
            client_name: None,
            credentials: None,
        };
        if frame.truncated && oversize != Oversize::Truncate {
            return self.oversize(oversize, &message, &context);
        }
        let mut tried: Vec<Step> = self
            .rules
            .explain(&message, &mut self.scratch)
            .into_iter()
            .map(|tried| Step {
                rule: self.rules.rule_name(tried.rule).to_owned(),
                field: self.fields.get(tried.rule).cloned().unwrap_or_default(),
                why: tried.why,
            })
            .collect();
        let verdict = self.rules.evaluate(&message, &context, &self.table, &mut self.scratch);
        if let Verdict::Forward { rule: Some(rule), .. } | Verdict::Drop { rule: Some(rule), .. } =
            &verdict
        {
            // Those behind the one that decides are never tried.
            tried.truncate(rule + 1);
        }
        outcome(&self.rules, &self.table, &verdict, tried, &message)
    }

    /// What becomes of a frame that was longer than `limits.frame`, where it is not just cut.
    fn oversize(
        &mut self,
        oversize: Oversize,
        message: &Message<'_>,
        context: &Context<'_>,
    ) -> Outcome {
        let (rule, reason) = (None, Dropped::Oversize);
        let verdict = match oversize {
            Oversize::DeadLetter => {
                self.rules.refuse(rule, reason, "", message, context, &mut self.scratch)
            }
            Oversize::Truncate | Oversize::Drop => Verdict::Drop { rule, reason },
        };
        outcome(&self.rules, &self.table, &verdict, Vec::new(), message)
    }
}

/// A verdict, to keep.
fn outcome(
    rules: &RuleSet,
    table: &TopicTable,
    verdict: &Verdict<'_>,
    tried: Vec<Step>,
    message: &Message<'_>,
) -> Outcome {
    let fields = fields(message);
    match verdict {
        Verdict::Forward { rule, record, dead_letter } => {
            let headers = record::headers(record.headers)
                .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()));
            let sent = Sent {
                topic: table.name(record.topic).unwrap_or_default().to_owned(),
                key: record.key.map(<[u8]>::to_vec),
                headers: headers.collect(),
                payload: record.payload.to_vec(),
                time: record.time,
            };
            let rule = rule.map(|rule| rules.rule_name(rule).to_owned());
            let dead_letter = dead_letter.map(Dropped::name);
            Outcome { fields, tried, rule, sent: Some(sent), dropped: None, dead_letter }
        }
        Verdict::Drop { rule, reason } => {
            let rule = rule.map(|rule| rules.rule_name(rule).to_owned());
            let dropped = Some(reason.name());
            Outcome { fields, tried, rule, sent: None, dropped, dead_letter: None }
        }
    }
}

/// The fields by the rules' names for them.
fn fields(message: &Message<'_>) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let format = match message.format {
        Format::Rfc5424 => "rfc5424",
        Format::Rfc3164 => "rfc3164",
        Format::Raw => "raw",
    };
    let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    vec![
        ("format", own(Some(format.as_bytes()))),
        ("facility", own(Some(message.facility().as_bytes()))),
        ("severity", own(Some(message.severity().as_bytes()))),
        ("timestamp", own(message.timestamp)),
        ("hostname", own(message.hostname)),
        ("appname", own(message.app_name)),
        ("procid", own(message.procid)),
        ("msgid", own(message.msgid)),
        ("structured_data", own(message.structured_data)),
        ("msg", own(Some(message.msg))),
    ]
}
