//! `corndog run` and `corndog check`: from a file to an exit code.

use std::process::ExitCode;

use corndog_pipeline::control::Level;
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use crate::args::LogFormat;
use crate::engine::Engine;
use crate::listeners::Listeners;
use crate::memory::MemorySum;
use crate::plan::{Plan, plan};
use crate::probe;
use crate::reload::Reloader;
use crate::report::Report;
use crate::running::{Running, Started};
use crate::signals::Signals;
use crate::status;

const EXIT_REFUSED: u8 = 2;

/// `corndog check`: what the configuration means, or every mistake in it.
pub fn check(file: Option<&str>) -> ExitCode {
    let report = Report::new(LogFormat::Text);
    if let Err(why) = Report::from_environment(LogFormat::Text) {
        report.say(Level::Error, &why);
        return ExitCode::from(EXIT_REFUSED);
    }
    match plan(file, |_| {}) {
        Ok(plan) => {
            report.hide(&plan.settings.kafka);
            plan.warnings.iter().for_each(|warning| report.say(Level::Warn, warning));
            let memory = MemorySum::new(&plan.settings, &plan.rules).describe(&plan.settings);
            print_line(&format!("{}: {}; {memory}", plan.path, plan.settings.summary()));
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| report.say(Level::Error, mistake));
            ExitCode::from(EXIT_REFUSED)
        }
    }
}

fn print_line(line: &str) {
    use std::io::Write as _;
    // A closed stdout leaves nobody to tell.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// `corndog run`: until SIGTERM or SIGINT.
pub fn run(file: Option<&str>, format: LogFormat) -> ExitCode {
    let report = match Report::from_environment(format) {
        Ok(report) => report,
        Err(why) => {
            Report::new(format).say(Level::Error, &why);
            return ExitCode::from(EXIT_REFUSED);
        }
    };
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.to_string().replace('\n', " ");
        Report::new(format).say(Level::Error, &format!("a bug in corndog: {text}"));
    }));
    match start(file, &report) {
        Ok((runtime, started, signals)) => {
            let code = Running::new(started, report).serve(&runtime, signals);
            // A name that is still being resolved holds nobody up.
            runtime.shutdown_background();
            code
        }
        Err(sentences) => {
            sentences.iter().for_each(|sentence| report.say(Level::Error, sentence));
            ExitCode::from(EXIT_REFUSED)
        }
    }
}

fn start(file: Option<&str>, report: &Report) -> Result<(Runtime, Started, Signals), Vec<String>> {
    let found = |path: &str| report.say(Level::Info, &format!("configuration: {path}"));
    let Plan { path, mut settings, rules, tls, warnings } = plan(file, found)?;
    report.hide(&settings.kafka);
    warnings.iter().for_each(|warning| report.say(Level::Warn, warning));
    if let Some(warning) = probe::take_descriptors(&settings).map_err(|why| vec![why])? {
        report.say(Level::Warn, &warning);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| vec![format!("the main loop cannot be made: {why}")])?;
    let entered = runtime.enter();
    let signals = Signals::take().map_err(|why| vec![format!("signals cannot be taken: {why}")])?;
    let status = settings.status.map(status::bind).transpose().map_err(|why| vec![why])?;
    let shard_count = settings.cores.receivers.len();
    let (listeners, warnings) = Listeners::open(&mut settings.listen, tls, shard_count)?;
    warnings.iter().for_each(|warning| report.say(Level::Warn, warning));
    let memory = MemorySum::new(&settings, &rules);
    report.say_with(
        Level::Info,
        &memory.describe(&settings),
        Map::from_iter([
            ("memory_bytes_max".to_owned(), memory.total().into()),
            ("record_bytes_max".to_owned(), memory.records.into()),
        ]),
    );
    if settings.kafka.embedded {
        report.say(
            Level::Warn,
            "kafka.embedded = true: records go to a Kafka inside this process, which is for trying \
             things: it keeps little and ends with the process; set kafka.embedded = false and \
             kafka.conf.\"bootstrap.servers\" for a real one",
        );
    }
    // Without it the process runs as well, and waits longer where it shares cores.
    let _ = corndog_receiver::ask_for_short_turns();
    let engine = Engine::start(&settings, rules, listeners)?;
    engine.go();
    let addresses: Vec<Value> =
        settings.listen.iter().map(|listener| listener.address.to_string().into()).collect();
    report.say_with(
        Level::Info,
        "ready",
        Map::from_iter([
            ("listen".to_owned(), Value::Array(addresses)),
            ("receivers".to_owned(), Value::from(settings.cores.receivers.clone())),
            ("producer".to_owned(), settings.cores.producer.into()),
            ("generation".to_owned(), engine.generation().into()),
            ("status".to_owned(), status_address(status.as_ref())),
        ]),
    );
    let reloader = Reloader::new(path.clone(), settings.cores.receivers.len());
    let started =
        Started { engine, reloader, file: path, memory_bytes_max: memory.total(), status };
    drop(entered);
    Ok((runtime, started, signals))
}

/// Where the status server is; null: nowhere.
fn status_address(listener: Option<&std::net::TcpListener>) -> Value {
    let address = listener.and_then(|listener| listener.local_addr().ok());
    address.map_or(Value::Null, |address| address.to_string().into())
}
