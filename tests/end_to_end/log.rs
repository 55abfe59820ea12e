//! The log: which lines it has, for whom, what never stands in it, and that nobody waits for it.

use crate::CORNDOG;
use corndog_tests::places::{Scratch, free_port};
use corndog_tests::process::Process;
use corndog_tests::program::{Finished, plain};
use corndog_tests::time::{seconds, wait_for};
use corndog_tests::{Mock, Sender, Watch, settings, timed};
use rustix::pipe::{PIPE_BUF, PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::process::Signal;
use std::fs::{self, File};
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const PASSWORD: &str = "hunter2-canary";

/// A configuration in `scratch`, on a port of its own and without a status server.
fn written(scratch: &Scratch, configuration: &str, port: u16) -> SocketAddr {
    let text = configuration.replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    let text = format!("{text}\n[status]\naddress = \"\"\n");
    fs::write(scratch.path().join("config.toml"), text).unwrap();
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Starts `corndog run` on the configuration in `scratch`, with its log in the file `log` there.
fn start(scratch: &Scratch, words: &[&str], prepare: impl FnOnce(&mut Command)) -> Process {
    let log = File::create(scratch.path().join("log")).unwrap();
    Process::start(CORNDOG, |command| {
        command.arg("run").args(words).arg("-c").arg(scratch.path().join("config.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        prepare(command);
    })
}

fn log(scratch: &Scratch) -> String {
    fs::read_to_string(scratch.path().join("log")).unwrap()
}

fn wait_log(scratch: &Scratch, text: &str) {
    wait_for(text, seconds(20), || log(scratch).contains(text).then_some(()));
}

fn stop(mut process: Process, scratch: &Scratch) -> String {
    process.signal(Signal::TERM);
    assert_eq!(process.wait(seconds(40)).code(), Some(0), "{}", log(scratch));
    log(scratch)
}

#[test]
fn a_filter_says_which_lines_there_are_and_landmarks_stay() {
    timed(seconds(60), || {
        let mock = Mock::start();
        let scratch = Scratch::new("log");
        let over = "[kafka.conf]\n\"debug\" = \"broker\"";
        written(&scratch, &settings(&mock.bootstrap(), over), free_port());
        for (variables, has, has_not) in [
            (&[][..], &["INFO  configuration: ", "INFO  ready"][..], &["DEBUG"][..]),
            (
                &[("CORNDOG_LOG", "error"), ("RUST_LOG", "debug")],
                &["INFO  ready"],
                &["configuration: "],
            ),
            (&[("CORNDOG_LOG", ""), ("RUST_LOG", "off")], &["INFO  draining"], &["statistics"]),
            (
                &[("CORNDOG_LOG", "warn,librdkafka=debug")],
                &["DEBUG librdkafka: ", "INFO  ledger"],
                &["configuration: "],
            ),
        ] {
            let process = start(&scratch, &[], |command| {
                command.envs(variables.iter().copied());
            });
            wait_log(&scratch, "ready");
            if has.iter().any(|text| text.contains("librdkafka")) {
                wait_log(&scratch, "DEBUG librdkafka: ");
            }
            let text = stop(process, &scratch);
            for line in has {
                assert!(text.contains(line), "{variables:?}: `{line}` is not in\n{text}");
            }
            for line in has_not {
                assert!(!text.contains(line), "{variables:?}: `{line}` is in\n{text}");
            }
            for landmark in ["INFO  ready", "INFO  draining", "INFO  ledger"] {
                assert_eq!(text.matches(landmark).count(), 1, "{variables:?}:\n{text}");
            }
            assert!(text.lines().last().unwrap().contains("INFO  ledger"), "{text}");
        }
    });
}

#[test]
fn a_filter_that_does_not_parse_is_refused() {
    timed(seconds(30), || {
        let scratch = Scratch::new("log");
        written(&scratch, &settings("127.0.0.1:9", ""), free_port());
        for word in ["run", "check"] {
            let done = plain(CORNDOG, &[word, "-c"], |command| {
                command.arg(scratch.path().join("config.toml")).env("CORNDOG_LOG", "debgu");
            });
            assert_eq!(done.code, Some(2), "{done:?}");
            assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
            assert!(done.stderr.contains("ERROR CORNDOG_LOG: \"debgu\" is no level"), "{done:?}");
        }
    });
}

#[test]
fn journald_gets_levels_in_its_own_way() {
    timed(seconds(60), || {
        let scratch = Scratch::new("log");
        let over = "[limits]\nconnections = 1\nconnections_per_ip = 2";
        written(&scratch, &settings("127.0.0.1:9", over), free_port());
        let file = scratch.path().join("log");
        let stream = || {
            let metadata = fs::metadata(&file).unwrap();
            format!("{}:{}", metadata.dev(), metadata.ino())
        };
        File::create(&file).unwrap();
        let process = start(&scratch, &[], |command| {
            command.env("JOURNAL_STREAM", stream());
        });
        wait_log(&scratch, "ready");
        let text = stop(process, &scratch);
        assert!(text.lines().any(|line| line.starts_with("<6>ready ")), "{text}");
        assert!(
            text.lines().any(|line| line.starts_with("<4>limits.connections_per_ip: ")),
            "{text}"
        );
        assert!(text.lines().all(|line| line.starts_with('<')), "{text}");
        assert!(!text.contains("INFO"), "{text}");

        // Of another file; and JSON has its levels itself.
        for (words, other) in [(&[][..], "1:2".to_owned()), (&["--log", "json"], stream())] {
            let process = start(&scratch, words, |command| {
                command.env("JOURNAL_STREAM", other);
            });
            wait_log(&scratch, "ready");
            let text = stop(process, &scratch);
            assert!(!text.contains("<6>") && text.contains("INFO"), "{text}");
        }
    });
}

/// Each line waited for a reader, and the whole main thread with it: no statistics, no drain.
#[test]
fn a_log_that_nobody_reads_holds_nothing_up() {
    timed(seconds(60), || {
        let mock = Mock::start();
        mock.create_topic("plain", 1);
        let scratch = Scratch::new("log");
        let over = "[kafka.conf]\n\"debug\" = \"all\"";
        let address = written(&scratch, &settings(&mock.bootstrap(), over), free_port());
        // The reader's end stays open, and nobody reads. It holds one page.
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        assert_eq!(fcntl_setpipe_size(&writer, 1), Ok(PIPE_BUF));
        let mut process = start(&scratch, &[], |command| {
            command.env("CORNDOG_LOG", "debug").stderr(writer);
        });
        wait_for("a listener", seconds(20), || TcpStream::connect(address).ok());
        let mut sender = Sender::connect(address);
        let mut watch = Watch::new(&mock.bootstrap(), "plain", seconds(10));
        for number in 0..2000 {
            sender.send_line(&format!("<13>1 - h app - - - {number}"));
        }
        sender.finish();
        assert_eq!(watch.until(2000, seconds(30)).len(), 2000);
        let start = Instant::now();
        process.signal(Signal::TERM);
        assert_eq!(process.wait(seconds(30)).code(), Some(0));
        assert!(start.elapsed() < seconds(10), "the drain took {:?}", start.elapsed());
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).unwrap();
        assert!(
            text.contains("configuration: ") && !text.contains("ledger"),
            "it was full:\n{text}"
        );
    });
}

fn assert_no_password(what: &str, text: &str) {
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(PASSWORD)).collect();
    assert!(lines.is_empty(), "{what} shows the password:\n{}", lines.join("\n"));
}

fn has_no_password(done: &Finished) {
    assert_no_password("stdout", &done.stdout);
    assert_no_password("stderr", &done.stderr);
}

#[test]
fn no_password_stands_in_any_output() {
    timed(seconds(120), || {
        let mock = Mock::start();
        let scratch = Scratch::new("log");
        let over = format!(
            "[kafka.conf]\n\"debug\" = \"all\"\n\"security.protocol\" = \"sasl_plaintext\"\n\
             \"sasl.mechanism\" = \"SCRAM-SHA-256\"\n\"sasl.username\" = \"u\"\n\
             \"sasl.password\" = \"{PASSWORD}\"\n\"ssl.key.password\" = \"{PASSWORD}\"\n\
             \"sasl.oauthbearer.token.endpoint.url\" = \"https://u:{PASSWORD}@nowhere.invalid/t\"\n"
        );
        let port = free_port();
        let file = scratch.path().join("config.toml");
        let scram = format!("{PASSWORD}-of-the-environment");
        for (words, level) in
            [(&[][..], "debug"), (&["--log", "json"], "debug"), (&["--log", "json"], "info")]
        {
            // The one does not answer who wants to log in, the other is not there.
            let broker = if level == "debug" { mock.bootstrap() } else { "127.0.0.1:9".to_owned() };
            let address = written(&scratch, &settings(&broker, &over), port);
            let mut process = start(&scratch, words, |command| {
                command.env("CORNDOG_LOG", level).env("SASL_SCRAM_PASSWORD", &scram);
            });
            wait_log(&scratch, "ready");
            let mut sender = Sender::connect(address);
            sender.send_line("<13>1 - h app - - - held");
            sender.finish();
            // Until it has tried to log in.
            wait_log(&scratch, if level == "debug" { "CONNECT: " } else { "afka: " });
            process.signal(Signal::HUP);
            wait_log(&scratch, "reloaded");
            process.kill();
            assert_no_password("the log", &log(&scratch));
        }
        let check = |file: &Path| {
            plain(CORNDOG, &["check", "-c"], |command| {
                command.arg(file).env("SASL_SCRAM_PASSWORD", &scram);
            })
        };
        let done = check(&file);
        assert_eq!(done.code, Some(0), "{done:?}");
        has_no_password(&done);
        let url = format!("\"https://u:{PASSWORD}@h:1\"");
        for mistake in [
            format!("[[listen]]\naddress = {url}"),
            format!("[statsd]\naddress = {url}"),
            format!("[kafka.conf]\n\"ssl.key.password\" = [\"{PASSWORD}\"]"),
            format!(
                "[kafka.conf]\n\"security.protocol\" = \"sasl_plaintext\"\n\
                 \"sasl.mechanism\" = \"none\"\n\"sasl.password\" = \"{PASSWORD}\""
            ),
        ] {
            let text = settings("127.0.0.1:9", &mistake);
            fs::write(&file, text).unwrap();
            let done = check(&file);
            assert_eq!(done.code, Some(2), "{mistake}: {done:?}");
            has_no_password(&done);
        }
        // What is printed holds what stood in the file, to be used; what is said of it does not.
        let yml = scratch.path().join("hotdog.yml");
        let text = format!(
            "global: {{kafka: {{conf: {{bootstrap.servers: 'a:1', sasl.password: '{PASSWORD}', \
             nonsense: '{PASSWORD}', ssl.key.password: }}}}}}\nrules: []\n"
        );
        fs::write(&yml, text).unwrap();
        let done = plain(CORNDOG, &["import"], |command| {
            command.arg(&yml);
        });
        assert!(done.stdout.contains(&format!("\"sasl.password\" = \"{PASSWORD}\"")), "{done:?}");
        assert!(!done.stderr.is_empty(), "{done:?}");
        assert_no_password("what import says", &done.stderr);
    });
}

#[test]
fn each_dropped_message_is_told_of_or_counted_whichever_receiver_had_it() {
    timed(seconds(60), || {
        let mock = Mock::start();
        let scratch = Scratch::new("log");
        let over = "[shards]\nreceivers = 2\n[[rule]]\nregex = \"no\"\nactions = [{ stop = true }]";
        let address = written(&scratch, &settings(&mock.bootstrap(), over), free_port());
        let process = start(&scratch, &[], |_| {});
        wait_log(&scratch, "ready");
        for _ in 0..8 {
            let mut sender = Sender::connect(address);
            for _ in 0..5 {
                sender.send_line("<13>1 - h a - - - unmatched");
            }
            sender.finish();
        }
        let log = stop(process, &scratch);
        let ledger = log.lines().find(|line| line.contains("INFO  ledger")).unwrap();
        assert!(ledger.contains("dropped.unmatched=40"), "{ledger}");
        let told = log.lines().filter(|line| line.contains("dropped (unmatched)")).count();
        let number = |line: &str, name: &str| -> Option<usize> {
            let (_, rest) = line.split_once(name)?;
            rest.split(' ').next()?.parse().ok()
        };
        let others = log.lines().filter_map(|line| number(line, "unmatched\"; "));
        let left_out = log.lines().filter_map(|line| number(line, "dropped_unmatched left_out="));
        assert_eq!(told + others.sum::<usize>() + left_out.sum::<usize>(), 40, "{log}");
    });
}
