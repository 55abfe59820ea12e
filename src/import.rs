//! hotdog's configuration -> ours: printed by `corndog import`, or run as it is.
//!
//! | part | what it holds |
//! | --- | --- |
//! | `yaml` | YAML as a bounded tree |
//! | `hotdog` | what hotdog's file says, and what does not come along |
//! | `table` | a mapping read key by key |
//! | `template` | variables that hotdog rendered as nothing |
//! | `whole` | merges of what is no mapping |
//! | `write` | our TOML, with comments |

mod hotdog;
mod table;
mod template;
mod whole;
mod write;
mod yaml;

use crate::args::LogFormat;
use crate::config::{self, RulePlace, Settings};
use crate::cores;
use crate::report::Report;
use corndog_pipeline::control::Level;
use corndog_pipeline::ruleset::RuleSet;
use hotdog::Findings;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// The file is none of hotdog's, or `check` would refuse what is printed.
const EXIT_REFUSED: u8 = 2;

/// A file of hotdog's in our words.
#[derive(Debug)]
pub struct Imported {
    /// Our configuration.
    pub toml: String,
    /// What does not come along, or means something else; a sentence each.
    pub notes: Vec<String>,
    /// Where each of its rules stood.
    pub places: Vec<RulePlace>,
}

/// Translates hotdog's file. `name` is the file's, for a comment.
///
/// Errors: every mistake, one sentence each, with its line.
pub fn translate(text: &str, name: &str) -> Result<Imported, Vec<String>> {
    let document = yaml::read(text).map_err(|mistake| vec![mistake])?;
    let mut findings = Findings::default();
    let hotdog = hotdog::read(&document.root, &mut findings);
    let Findings { mut mistakes, mut notes } = findings;
    if document.has_more {
        notes.push("more than one YAML document; the first is read".to_owned());
    }
    let places = hotdog.rules.iter().map(|rule| rule.place.clone()).collect();
    let imported = Imported { toml: write::toml(&hotdog, name), notes, places };
    if mistakes.is_empty() {
        return Ok(imported);
    }
    // Those in rules that could be read come in the same pass; elsewhere, what is mistaken lacks.
    let refusals = refusals(&imported).into_iter();
    mistakes.extend(refusals.filter(|refusal| refusal.starts_with("rule ")));
    Err(mistakes)
}

/// `corndog import`: prints the configuration, with notes on stderr.
///
/// What has no counterpart is printed too, to be mended by hand, and its reason is an error.
pub fn import(file: &str) -> ExitCode {
    let report = Report::new(LogFormat::Text);
    let imported = config::read_file(Path::new(file))
        .map_err(|mistake| vec![mistake.0])
        .and_then(|text| translate(&text, file).map_err(|list| in_file(file, list)));
    let imported = match imported {
        Ok(imported) => imported,
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| report.say(Level::Error, mistake));
            return ExitCode::from(EXIT_REFUSED);
        }
    };
    let refusals = refusals(&imported);
    for note in in_file(file, imported.notes) {
        report.say(Level::Warn, &note);
    }
    for refusal in &refusals {
        report.say(Level::Error, &format!("to be mended in what is printed: {refusal}"));
    }
    match std::io::stdout().lock().write_all(imported.toml.as_bytes()) {
        Ok(()) if refusals.is_empty() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(EXIT_REFUSED),
        Err(error) => {
            report.say(Level::Error, &format!("the configuration cannot be printed: {error}"));
            ExitCode::from(EXIT_REFUSED)
        }
    }
}

/// What `check` would say of our configuration, here and with this environment; files are not
/// opened, they may lie on another machine.
fn refusals(Imported { toml, places, .. }: &Imported) -> Vec<String> {
    let environment = config::environment();
    match Settings::from_toml(toml, places, &environment, &cores::allowed()) {
        Ok((settings, _)) => {
            RuleSet::compile(&settings.rules, &settings.routing).err().unwrap_or_default()
        }
        Err(mistakes) => mistakes.into_iter().map(|mistake| mistake.0).collect(),
    }
}

fn in_file(file: &str, sentences: Vec<String>) -> Vec<String> {
    sentences.into_iter().map(|sentence| format!("{file}: {sentence}")).collect()
}
