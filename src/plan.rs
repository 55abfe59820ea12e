//! A file's name -> a [`Plan`]: what `run`, `check`, `test` and a reload all start from.

use std::path::Path;

use corndog_pipeline::ruleset::RuleSet;
use corndog_receiver::Loaded;
use toml::Table;

use crate::certificates;
use crate::config::{self, Settings};
use crate::cores;
use crate::import::{self, Imported};

/// Stands for the broker where nobody connects.
const NO_BROKER: &str = "nowhere:9092";

/// What a configuration is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To be run here.
    Run,
    /// To try its rules.
    Test,
}

/// A configuration without mistakes, and its rules compiled.
#[derive(Debug)]
pub struct Plan {
    /// The file.
    pub path: String,
    /// What it says.
    pub settings: Settings,
    /// Its rules, not yet placed in a table of topics.
    pub rules: RuleSet,
    /// Its listeners' certificates, as `settings.listen`; none where they are not asked for.
    pub tls: Vec<Option<Loaded>>,
    /// What is allowed, and probably not meant; a sentence each.
    pub warnings: Vec<String>,
}

/// Reads the configuration, and says to `found` which file it is. hotdog's YAML is translated.
///
/// Errors: every mistake, one sentence each.
pub fn plan(file: Option<&str>, found: impl FnOnce(&str)) -> Result<Plan, Vec<String>> {
    plan_for(Purpose::Run, file, found)
}

/// To try its rules, a configuration need not fit this machine: which cores it takes and where
/// Kafka is are not looked at.
pub fn plan_to_test(file: Option<&str>) -> Result<Plan, Vec<String>> {
    plan_for(Purpose::Test, file, |_| {})
}

fn plan_for(
    purpose: Purpose,
    file: Option<&str>,
    found: impl FnOnce(&str),
) -> Result<Plan, Vec<String>> {
    let mut environment = config::environment();
    let path = config::find_file(file, &environment).map_err(|mistake| vec![mistake.0])?;
    found(&path.display().to_string());
    let mut text = config::read_file(&path).map_err(|mistake| vec![mistake.0])?;
    let name = path.display().to_string();
    let in_file = |sentences: Vec<String>| -> Vec<String> {
        sentences.into_iter().map(|sentence| format!("{name}: {sentence}")).collect()
    };
    let mut warnings = Vec::new();
    let mut places = Vec::new();
    if config::is_hotdog(&path) {
        Imported { toml: text, places, .. } =
            from_hotdog(&text, &path, &mut warnings).map_err(in_file)?;
    }
    if purpose == Purpose::Test {
        text = without_machine(text, &mut environment);
    }
    let (settings, more) = Settings::from_toml(&text, &places, &environment, &cores::allowed())
        .map_err(|mistakes| in_file(mistakes.into_iter().map(|mistake| mistake.0).collect()))?;
    warnings.extend(more);
    let rules = RuleSet::compile(&settings.rules, &settings.routing).and_then(|rules| {
        check_client_names(&settings, &rules)?;
        Ok(rules)
    });
    let tls = match purpose {
        Purpose::Run => certificates::load_all(&settings.listen, &mut warnings),
        Purpose::Test => Ok(Vec::new()),
    };
    let (rules, tls) = match (rules, tls) {
        (Ok(rules), Ok(tls)) => (rules, tls),
        (rules, tls) => {
            let refusals = [rules.err(), tls.err()].into_iter().flatten().flatten();
            return Err(in_file(refusals.collect()));
        }
    };
    Ok(Plan { path: name, settings, rules, tls, warnings })
}

/// What each listener's `client_name_in` asks of the rules.
fn check_client_names(settings: &Settings, rules: &RuleSet) -> Result<(), Vec<String>> {
    let mut mistakes = Vec::new();
    for (index, listener) in settings.listen.iter().enumerate() {
        let Some(place) = listener.tls.as_ref().and_then(|tls| tls.client_name_in) else {
            continue;
        };
        let asks = format!("listen {} {:?}, tls, client_name_in", index + 1, listener.name);
        let refusals = rules.check_client_name(place);
        mistakes.extend(refusals.into_iter().map(|why| format!("{why} ({asks} asks for it)")));
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

/// hotdog's file as our TOML.
fn from_hotdog(
    text: &str,
    path: &Path,
    warnings: &mut Vec<String>,
) -> Result<Imported, Vec<String>> {
    let name = path.display().to_string();
    let mut imported = import::translate(text, &name)?;
    warnings.push(format!(
        "{name}: hotdog's own file: it confined no topic, so topics.allow = [\"*\"] holds; corndog \
         import {name} prints it as TOML, where the list can be narrowed"
    ));
    warnings.extend(imported.notes.drain(..).map(|note| format!("{name}: {note}")));
    warnings.extend(overlays());
    Ok(imported)
}

/// hotdog read variables of its own over its file.
fn overlays() -> Option<String> {
    let names: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("HOTDOG_"))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "{}: not used; corndog reads CORNDOG_<SECTION>__<KEY>, with two underscores",
            names.join(", ")
        )
    })
}

/// The configuration without what only this machine or its network could answer. A text that is
/// no TOML is left as it is, for whoever reads it next to say so.
fn without_machine(text: String, environment: &mut Vec<(String, String)>) -> String {
    environment.retain(|(name, _)| !name.starts_with("CORNDOG_SHARDS__"));
    let gives_broker = ["KAFKA_BROKER", "CORNDOG_KAFKA__EMBEDDED"];
    if !environment.iter().any(|(name, _)| gives_broker.contains(&name.as_str())) {
        environment.push(("KAFKA_BROKER".to_owned(), NO_BROKER.to_owned()));
    }
    match text.parse::<Table>() {
        Ok(mut table) => {
            table.remove("shards");
            table.to_string()
        }
        Err(_) => text,
    }
}
