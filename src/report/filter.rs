//! Which lines the log has: `CORNDOG_LOG`, else `RUST_LOG`, in the words that Rust programs share.
//!
//!     LEVEL | TARGET=LEVEL | TARGET, with commas between, and /TEXT at the end for lines with it
//!     info,librdkafka=debug

use corndog_pipeline::control::Level;
use corndog_pipeline::counters::Failed;
use log::LevelFilter;

/// In this order; an empty one counts as not set.
const VARIABLES: [&str; 2] = ["CORNDOG_LOG", "RUST_LOG"];
const CORNDOG: &str = "corndog";
const KAFKA: &str = "kafka";
const LIBRDKAFKA: &str = "librdkafka";
/// Conditions that are about Kafka, beside the reasons for which records fail.
const KAFKA_KINDS: [&str; 6] = ["kafka", "retry", "too_large", "fatal", "dead_letter", "embedded"];

/// Says which lines the log has.
#[derive(Debug)]
pub struct Filter(env_filter::Filter);

impl Default for Filter {
    fn default() -> Filter {
        Filter(env_filter::Builder::new().filter_level(LevelFilter::Info).build())
    }
}

impl Filter {
    /// What the environment asks for, else `info`.
    ///
    /// Errors: one sentence with the variable; it does not parse.
    pub fn from_environment() -> Result<Filter, String> {
        let texts = VARIABLES.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
        match texts
            .map(|(name, text)| (name, text.to_string_lossy().into_owned()))
            .find(|(_, text)| !text.is_empty())
        {
            Some((name, text)) => Filter::parse(name, &text),
            None => Ok(Filter::default()),
        }
    }

    fn parse(variable: &str, text: &str) -> Result<Filter, String> {
        let refuse = |what: &str| {
            format!(
                "{variable}: {what:?} is no level (off, error, warn, info, debug) and no part of \
                 the log ({CORNDOG}, {KAFKA}, {LIBRDKAFKA}) with its level; write for instance \
                 {variable}=info,{LIBRDKAFKA}=debug"
            )
        };
        // RUST_LOG may be meant for others too, and name parts of theirs.
        if variable == VARIABLES[0]
            && let Some(unknown) = unknown(text)
        {
            return Err(refuse(unknown));
        }
        let mut builder = env_filter::Builder::new();
        builder.filter_level(LevelFilter::Info);
        match builder.try_parse(text) {
            Ok(builder) => Ok(Filter(builder.build())),
            Err(_) => Err(refuse(text)),
        }
    }

    /// Whether the log has a line of this condition.
    pub fn takes(&self, level: Level, kind: &str, message: &str) -> bool {
        let level = match level {
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        };
        let target = target(kind);
        let record = |arguments| {
            let mut record = log::Record::builder();
            self.0.matches(&record.level(level).target(target).args(arguments).build())
        };
        record(format_args!("{message}"))
    }
}

/// The first word that names nothing.
fn unknown(text: &str) -> Option<&str> {
    let words = text.split('/').next().unwrap_or_default().split(',').map(str::trim);
    words.filter(|word| !word.is_empty()).find(|word| {
        let (name, level) = word.split_once('=').unwrap_or((word, ""));
        let is_target = [CORNDOG, KAFKA, LIBRDKAFKA].contains(&name);
        let is_level = |text: &str| text.trim().parse::<LevelFilter>().is_ok();
        let is_known = match word.contains('=') {
            true => is_target && (level.trim().is_empty() || is_level(level)),
            false => is_target || is_level(word),
        };
        !is_known
    })
}

/// The part of the log that a condition belongs to.
fn target(kind: &str) -> &'static str {
    let is_failure = || Failed::ALL.iter().any(|reason| reason.name() == kind);
    match kind {
        LIBRDKAFKA => LIBRDKAFKA,
        kind if KAFKA_KINDS.contains(&kind) || is_failure() => KAFKA,
        _ => CORNDOG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(filter: &str) -> Vec<(&'static str, usize)> {
        let filter = Filter::parse("CORNDOG_LOG", filter).expect(filter);
        let levels = [Level::Error, Level::Warn, Level::Info, Level::Debug];
        ["any", "retry", "librdkafka"]
            .map(|kind| (kind, levels.iter().filter(|l| filter.takes(**l, kind, "a b")).count()))
            .to_vec()
    }

    #[test]
    fn levels_are_given_for_all_and_for_parts() {
        for (filter, [any, retry, librdkafka]) in [
            ("", [3, 3, 3]),
            ("debug", [4, 4, 4]),
            ("WARN", [2, 2, 2]),
            ("off", [0, 0, 0]),
            ("librdkafka=debug", [3, 3, 4]),
            ("warn, kafka=debug ,librdkafka=off", [2, 4, 0]),
            ("error,librdkafka", [1, 1, 4]),
            ("debug/ b", [4, 4, 4]),
            ("debug/c", [0, 0, 0]),
        ] {
            let expected = vec![("any", any), ("retry", retry), ("librdkafka", librdkafka)];
            assert_eq!(taken(filter), expected, "{filter}");
        }
    }

    #[test]
    fn what_does_not_parse_is_named() {
        for (filter, word) in [
            ("debgu", "debgu"),
            ("info,rdkafka=debug", "rdkafka=debug"),
            ("librdkafka=loud", "librdkafka=loud"),
            ("a=b=c", "a=b=c"),
            ("kafka = debug", "kafka = debug"),
            ("info/a/b", "info/a/b"),
        ] {
            let sentence = Filter::parse("CORNDOG_LOG", filter).expect_err(filter);
            assert!(sentence.starts_with(&format!("CORNDOG_LOG: {word:?} is no ")), "{sentence}");
        }
    }

    #[test]
    fn rust_log_may_name_what_is_none_of_ours() {
        let filter = Filter::parse("RUST_LOG", "hyper=debug,warn").expect("parses");
        assert!(filter.takes(Level::Warn, "any", "") && !filter.takes(Level::Info, "any", ""));
        assert!(Filter::parse("RUST_LOG", "hyper=loud").is_err());
    }
}
