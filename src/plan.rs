//! A file's name -> a [`Plan`]: what `run`, `check`, `test` and a reload all start from.

use corndog_pipeline::ruleset::RuleSet;

use crate::config::{self, Settings};
use crate::cores;

/// A configuration without mistakes, and its rules compiled.
#[derive(Debug)]
pub struct Plan {
    /// The file.
    pub path: String,
    /// What it says.
    pub settings: Settings,
    /// Its rules, not yet placed in a table of topics.
    pub rules: RuleSet,
    /// What is allowed, and probably not meant; a sentence each.
    pub warnings: Vec<String>,
}

/// Reads the configuration, and says to `found` which file it is.
///
/// Errors: every mistake, one sentence each.
pub fn plan(file: Option<&str>, found: impl FnOnce(&str)) -> Result<Plan, Vec<String>> {
    let environment = config::environment();
    let path = config::find_file(file, &environment).map_err(|mistake| vec![mistake.0])?;
    found(&path.display().to_string());
    let text = config::read_file(&path).map_err(|mistake| vec![mistake.0])?;
    let path = path.display().to_string();
    let in_file = |sentences: Vec<String>| -> Vec<String> {
        sentences.into_iter().map(|sentence| format!("{path}: {sentence}")).collect()
    };
    let (settings, warnings) = Settings::from_toml(&text, &environment, &cores::allowed())
        .map_err(|mistakes| in_file(mistakes.into_iter().map(|mistake| mistake.0).collect()))?;
    let rules = RuleSet::compile(&settings.rules, &settings.routing).map_err(in_file)?;
    Ok(Plan { path, settings, rules, warnings })
}
