//! The command line -> a [`Command`], or a text to print and an exit code.
//!
//! Exit codes: 0 for help and version, which go to stdout; 2 for a command line that means
//! nothing, with the reason on stderr.

use argh::FromArgs;
use std::io::Write;

/// What the operator asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Forward until SIGTERM or SIGINT.
    Run {
        /// From `-c`.
        config: Option<String>,
        /// How the log is written.
        log: LogFormat,
    },
    /// Say what the configuration means, or every mistake in it.
    Check {
        /// From `-c`.
        config: Option<String>,
    },
    /// Show what messages would become.
    Test(TestArgs),
    /// Print hotdog's configuration as ours.
    Import {
        /// hotdog's file.
        file: String,
    },
    /// Show how a running corndog is.
    Top {
        /// Its status server's.
        address: String,
        /// As text, and end.
        is_once: bool,
    },
}

/// What `corndog test` was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestArgs {
    /// From `-c`.
    pub config: Option<String>,
    /// One object a message.
    pub json: bool,
    /// A file of cases.
    pub cases: Option<String>,
    /// A listener by its name, instead of the first.
    pub listen: Option<String>,
    /// Files of messages; `-` is standard input.
    pub inputs: Vec<String>,
}

/// How lines of the log are written to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<LogFormat, String> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("write text or json".to_owned()),
        }
    }
}

/// Forwards syslog to Kafka: one pinned core per shard, nothing lost by accident.
#[derive(FromArgs)]
#[argh(
    example = "Try it, with a Kafka inside the process:\n\
               \x20 corndog run\n\
               \x20 logger --server 127.0.0.1 --tcp --port 1514 --rfc5424 hello",
    note = "corndog --version prints the version. Every key of the configuration stands in\n\
            config.toml with its unit, range and reason.",
    error_code(0, "done"),
    error_code(
        1,
        "died, or could not deliver everything before it stopped; a case of test failed; nothing \
         answers top"
    ),
    error_code(2, "refused to start: the command line or the configuration is wrong")
)]
struct Words {
    #[argh(subcommand)]
    command: Verb,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Verb {
    Run(Run),
    Check(Check),
    Test(Test),
    Import(Import),
    Top(Top),
}

/// Forward until SIGTERM or SIGINT; then deliver what was received, and print the ledger.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "run",
    example = "corndog run -c /etc/corndog/config.toml --log json\n\
               KAFKA_BROKER=broker1:9092 CORNDOG_BATCHES__AGE=\"10 ms\" corndog run",
    note = "Records of the embedded Kafka go to stdout, the log to stderr. A second signal ends\n\
            at once. The environment wins over the file: KAFKA_BROKER, SASL_SCRAM_USERNAME,\n\
            SASL_SCRAM_PASSWORD, and CORNDOG_<SECTION>__<KEY> for every key. CORNDOG_LOG, else\n\
            RUST_LOG, says which lines the log has: CORNDOG_LOG=info,librdkafka=debug."
)]
struct Run {
    /// file to read; else $CORNDOG_CONFIG, ./config.toml, /etc/corndog/config.toml
    #[argh(option, short = 'c', arg_name = "file")]
    config: Option<String>,

    /// how to write the log: text (default) or json
    #[argh(option, default = "LogFormat::default()", arg_name = "format")]
    log: LogFormat,
}

/// Say what the configuration means, with the memory it takes; or every mistake, a sentence each.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "check",
    example = "corndog check -c new.toml && systemctl restart corndog",
    note = "Nothing is started and nothing is connected to. Exit code 2 when there is a mistake."
)]
struct Check {
    /// file to read; else $CORNDOG_CONFIG, ./config.toml, /etc/corndog/config.toml
    #[argh(option, short = 'c', arg_name = "file")]
    config: Option<String>,
}

/// Show what each message would become: its fields, every rule tried and why it did not match, and
/// topic, key, headers and payload as they would be sent. Nothing listens, and nothing is sent.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "test",
    example = "logger --stderr --no-act --rfc5424 hello 2>&1 | corndog test -c config.toml -\n\
               corndog test -c config.toml --json example.log | jq -r .topic | sort | uniq -c\n\
               corndog test -c config.toml --cases cases.toml --listen tls",
    note = "An input holds syslog frames or bare lines, one a line. A file of cases is TOML, with a\n\
            [[case]] for each message: name, input (or input_hex), optionally peer, listener and\n\
            time, and what is expected of it: rule, topic, key, headers, payload (or payload_json,\n\
            compared as JSON), dead_letter or dropped. What is not given is not compared. A case\n\
            without a listener's name has the one of --listen. Its time is 2000-01-01T00:00:00Z\n\
            where it gives none; {{{{version}}}} in what is expected stands for the version of corndog.\n\
            Exit code 1 when a case failed, 2 when a file is wrong."
)]
struct Test {
    /// file to read; else $CORNDOG_CONFIG, ./config.toml, /etc/corndog/config.toml
    #[argh(option, short = 'c', arg_name = "file")]
    config: Option<String>,

    /// write one JSON object a message: rule, topic, key, headers, payload, dropped, and the fields
    #[argh(switch)]
    json: bool,

    /// a TOML file of inputs with what is expected of them
    #[argh(option, arg_name = "file")]
    cases: Option<String>,

    /// name of the listener whose format, timezone and oversize hold; else the first one's do
    #[argh(option, arg_name = "name")]
    listen: Option<String>,

    /// files of messages; - is standard input
    #[argh(positional, arg_name = "input")]
    inputs: Vec<String>,
}

/// Print a configuration of hotdog's as corndog's, with comments that say what each part was.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "import",
    example = "corndog import hotdog.yml > config.toml && corndog check -c config.toml",
    note = "What does not come along is noted on stderr, with the reason. The file also runs as it\n\
            is: corndog run -c hotdog.yml. Exit code 2 when it is no file of hotdog's, or holds\n\
            what has no counterpart (a helper that loops, patterns that cost too much): then what\n\
            is printed needs a hand before corndog check takes it."
)]
struct Import {
    /// hotdog's file, such as hotdog.yml
    #[argh(positional, arg_name = "hotdog_yml")]
    file: String,
}

/// Show how a running corndog is, live in the terminal: rates, latency, ledger, shards, and what
/// each listener, rule, topic and broker does. It asks the status server, once a second.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "top",
    example = "corndog top\n\
               corndog top --status 10.0.0.7:8585\n\
               corndog top --once | grep lost",
    note = "q quits, ? shows all keys. Where stdout is no terminal it is as with --once. Programs\n\
            read the same as JSON: curl http://127.0.0.1:8585/stats. Exit code 1 when --once gets\n\
            no answer."
)]
struct Top {
    /// host:port of the status server: status.address of its configuration (default
    /// 127.0.0.1:8585)
    #[argh(option, default = "STATUS_ADDRESS.to_owned()", arg_name = "address")]
    status: String,

    /// print it as plain text, and end
    #[argh(switch)]
    once: bool,
}

/// Where `[status] address` is unless it is configured.
const STATUS_ADDRESS: &str = "127.0.0.1:8585";

/// What `-` is called while argh reads the words, which takes a dash for an option. No file has
/// such a name.
const STANDARD_INPUT: &str = "\0";

/// Why no command runs.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    /// The operator asked for a text.
    Asked(String),
    /// The command line means nothing.
    Usage(String),
}

/// This process's command; ends the process where there is none to run.
pub fn parse() -> Command {
    let stop = match collect(std::env::args_os().skip(1)).and_then(|words| read(&words)) {
        Ok(command) => return command,
        Err(stop) => stop,
    };
    // Where nobody reads the text, the exit code still tells.
    let code = match stop {
        Stop::Asked(text) => std::io::stdout().write_all(text.as_bytes()).map_or(1, |()| 0),
        Stop::Usage(text) => std::io::stderr().write_all(text.as_bytes()).map_or(2, |()| 2),
    };
    std::process::exit(code)
}

fn collect(words: impl Iterator<Item = std::ffi::OsString>) -> Result<Vec<String>, Stop> {
    words
        .map(|word| {
            word.into_string().map_err(|word| {
                let shown = word.to_string_lossy().into_owned();
                Stop::Usage(format!("{shown:?} is not UTF-8; write the word in UTF-8\n"))
            })
        })
        .collect()
}

fn read(words: &[String]) -> Result<Command, Stop> {
    let words: Vec<&str> =
        words.iter().map(|word| if word == "-" { STANDARD_INPUT } else { word.as_str() }).collect();
    match words.first() {
        None => {
            return Err(match read_words(&["--help"]) {
                Err(Stop::Asked(text)) => Stop::Usage(text),
                _ => Stop::Usage("write corndog --help\n".to_owned()),
            });
        }
        Some(&("--version" | "-V")) => {
            return Err(Stop::Asked(format!("corndog {}\n", env!("CARGO_PKG_VERSION"))));
        }
        Some(_) => {}
    }
    Ok(match read_words(&words)?.command {
        Verb::Run(run) => Command::Run { config: run.config, log: run.log },
        Verb::Check(check) => Command::Check { config: check.config },
        Verb::Test(test) if test.inputs.is_empty() && test.cases.is_none() => {
            let sentence = "test: nothing to try; name a file of messages, - for standard input, or \
                            --cases FILE; see corndog test --help\n";
            return Err(Stop::Usage(sentence.to_owned()));
        }
        Verb::Test(test) => Command::Test(TestArgs {
            config: test.config,
            json: test.json,
            cases: test.cases,
            listen: test.listen,
            inputs: test
                .inputs
                .into_iter()
                .map(|input| input.replace(STANDARD_INPUT, "-"))
                .collect(),
        }),
        Verb::Import(import) => Command::Import { file: import.file },
        Verb::Top(top) => Command::Top { address: top.status, is_once: top.once },
    })
}

fn read_words(words: &[&str]) -> Result<Words, Stop> {
    Words::from_args(&["corndog"], words).map_err(|exit| {
        let text = exit.output.trim_end();
        match exit.status {
            Ok(()) => Stop::Asked(format!("{text}\n")),
            Err(()) => {
                let text = text.trim_end_matches('.');
                Stop::Usage(format!("{text}; see corndog --help\n"))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Command, Stop> {
        read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn usage(line: &str) -> String {
        match words(line) {
            Err(Stop::Usage(text)) => text,
            other => panic!("{line:?}: {other:?}"),
        }
    }

    fn asked(line: &str) -> String {
        match words(line) {
            Err(Stop::Asked(text)) => text,
            other => panic!("{line:?}: {other:?}"),
        }
    }

    #[test]
    fn commands_are_read() {
        let run =
            |config: Option<&str>, log| Ok(Command::Run { config: config.map(str::to_owned), log });
        assert_eq!(words("run"), run(None, LogFormat::Text));
        assert_eq!(words("run -c a.toml --log json"), run(Some("a.toml"), LogFormat::Json));
        assert_eq!(words("run --config a.toml --log text"), run(Some("a.toml"), LogFormat::Text));
        assert_eq!(words("check"), Ok(Command::Check { config: None }));
        let config = Some("b.toml".to_owned());
        assert_eq!(words("check -c b.toml"), Ok(Command::Check { config: config.clone() }));
        let inputs = vec!["a.log".to_owned(), "-".to_owned()];
        let cases = Some("c.toml".to_owned());
        let listen = Some("strict".to_owned());
        let test = TestArgs { config, json: true, cases, listen, inputs };
        assert_eq!(
            words("test -c b.toml --json --cases c.toml --listen strict a.log -"),
            Ok(Command::Test(test))
        );
        let file = "hotdog.yml".to_owned();
        assert_eq!(words("import hotdog.yml"), Ok(Command::Import { file }));
        let top =
            |address: &str, is_once| Ok(Command::Top { address: address.to_owned(), is_once });
        assert_eq!(words("top"), top("127.0.0.1:8585", false));
        assert_eq!(words("top --once --status [::1]:9000"), top("[::1]:9000", true));
    }

    #[test]
    fn help_teaches_with_an_example() {
        assert!(asked("--help").contains("logger --server 127.0.0.1"));
        assert!(asked("run --help").contains("corndog run -c /etc/corndog/config.toml --log json"));
        assert!(asked("check --help").contains("corndog check -c new.toml"));
        assert!(
            asked("test --help")
                .contains("corndog test -c config.toml --cases cases.toml --listen tls")
        );
        assert!(asked("import --help").contains("corndog import hotdog.yml > config.toml"));
        assert!(asked("top --help").contains("corndog top --once | grep lost"));
        assert!(asked("help").contains("Commands:"));
    }

    #[test]
    fn no_command_prints_the_help_as_a_usage_error() {
        assert_eq!(usage(""), asked("--help"));
    }

    #[test]
    fn version_is_the_packages() {
        assert_eq!(asked("--version"), format!("corndog {}\n", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn a_wrong_line_is_a_usage_error_that_names_the_word() {
        assert!(usage("walk").contains("walk"));
        assert!(usage("run --fast").contains("--fast"));
        assert!(usage("run --log xml").contains("write text or json"));
        assert!(usage("run -c").contains("-c"));
        assert!(usage("check extra").contains("extra"));
        assert!(usage("test").contains("nothing to try"));
        assert!(usage("import").contains("hotdog_yml"));
        assert!(usage("import a.yml b.yml").contains("b.yml"));
    }

    #[cfg(unix)]
    #[test]
    fn a_word_that_is_not_utf8_is_a_usage_error() {
        use std::os::unix::ffi::OsStringExt;
        let word = std::ffi::OsString::from_vec(vec![b'-', 0xff]);
        assert!(matches!(collect([word].into_iter()), Err(Stop::Usage(_))));
    }
}
