//! `logger` (util-linux) in all its modes.

use crate::CORNDOG;
use corndog_tests::process::run;
use corndog_tests::proof::{host_name, short_host_name};
use corndog_tests::time::seconds;
use corndog_tests::{By, Proof, timed};
use serde_json::{Value as Json, json};
use std::fs::{self, File};

/// What it does with one message, or with lines that it reads.
struct Mode {
    options: &'static [&'static str],
    by: By<'static>,
    /// Its stdin; empty: the message is an argument, and `text`.
    lines: &'static str,
    /// What has to come, as changes of [`Mode::message`].
    expected: Vec<Json>,
}

fn mode(by: By<'static>, options: &'static [&'static str], expected: Json) -> Mode {
    Mode { options, by, lines: "", expected: vec![expected] }
}

impl Mode {
    /// With its options, for the table.
    fn name(&self) -> String {
        let read = if self.lines.is_empty() { "" } else { " < lines" };
        format!("logger {}{read}", self.options.join(" ")).trim_end().to_owned()
    }

    /// What comes of `text` where nothing more is said.
    fn message(&self) -> Json {
        let is_rfc3164 = self.options.contains(&"--rfc3164");
        let is_local = matches!(self.by, By::Stream | By::Datagram);
        let mut message = json!({"timestamp": "iso", "hostname": host_name(), "appname": "app",
            "facility": "user", "severity": "notice",
            "structured_data": {"timeQuality": "*"}, "msg": "text"});
        if is_rfc3164 || is_local && !self.options.contains(&"--rfc5424") {
            let fields = message.as_object_mut().unwrap();
            fields.remove("structured_data");
            fields.insert("timestamp".to_owned(), "rfc3164".into());
            if is_rfc3164 {
                fields.insert("hostname".to_owned(), short_host_name().into());
            }
        }
        message
    }

    fn send(&self, proof: &Proof, index: usize) {
        let input = proof.folder().join(format!("lines{index}"));
        fs::write(&input, self.lines).unwrap();
        run("logger", seconds(10), |command| {
            command.env("TZ", "UTC");
            match self.by {
                By::Stream | By::Datagram => {
                    command.arg("--socket").arg(proof.path(index)).arg("--socket-errors=on");
                }
                By::Udp => add_server(command.arg("--udp"), proof, index),
                _ => add_server(command.arg("--tcp"), proof, index),
            }
            command.args(["--tag", "app"]).args(self.options);
            if self.lines.is_empty() {
                command.args(["--", "text"]);
            } else {
                command.stdin(File::open(&input).unwrap());
            }
        });
    }
}

fn add_server(command: &mut std::process::Command, proof: &Proof, index: usize) {
    let address = proof.address(index);
    command.arg("--server").arg(address.ip().to_string());
    command.arg("--port").arg(address.port().to_string());
}

/// How each transport is used, whatever the fields.
fn transports() -> Vec<Mode> {
    let plain = |by, options| mode(by, options, json!({}));
    vec![
        plain(By::Tcp, &[]),
        plain(By::Tcp, &["--rfc5424"]),
        plain(By::Tcp, &["--rfc5424", "--octet-count"]),
        plain(By::Tcp, &["--rfc3164"]),
        plain(By::Tcp, &["--rfc3164", "--octet-count"]),
        plain(By::Udp, &[]),
        plain(By::Udp, &["--rfc5424"]),
        plain(By::Udp, &["--rfc3164"]),
        plain(By::Datagram, &[]),
        plain(By::Datagram, &["--rfc5424"]),
        plain(By::Datagram, &["--rfc3164"]),
        plain(By::Stream, &[]),
        plain(By::Stream, &["--octet-count"]),
        plain(By::Stream, &["--rfc5424"]),
        plain(By::Stream, &["--rfc3164", "--octet-count"]),
    ]
}

/// What it can put into a message.
fn fields() -> Vec<Mode> {
    vec![
        mode(By::Tcp, &["--rfc5424=notq"], json!({"structured_data": null})),
        mode(
            By::Tcp,
            &["--rfc5424=notime,nohost"],
            json!({"timestamp": null, "hostname": null, "structured_data": null}),
        ),
        mode(By::Tcp, &["--rfc5424", "--msgid", "ID47"], json!({"msgid": "ID47"})),
        mode(
            By::Tcp,
            &[
                "--rfc5424",
                "--sd-id",
                "zoo@32473",
                "--sd-param",
                "tiger=\"hungry\"",
                "--sd-param",
                "said=\"\\\"r\\]\\\\\"",
                "--sd-id",
                "park@32473",
                "--sd-param",
                "open=\"no\"",
            ],
            json!({"structured_data": {"timeQuality": "*", "park@32473": {"open": "no"},
                "zoo@32473": {"tiger": "hungry", "said": "\"r]\\"}}}),
        ),
        mode(By::Tcp, &["-i"], json!({"procid": "*"})),
        mode(By::Udp, &["--rfc3164", "--id=77"], json!({"procid": "77"})),
        mode(By::Datagram, &["--id=77"], json!({"procid": "77"})),
        mode(
            By::Tcp,
            &["--priority", "mail.crit"],
            json!({"facility": "mail", "severity": "crit"}),
        ),
        mode(
            By::Udp,
            &["--rfc3164", "--priority", "local7.debug", "--tag", "a/b"],
            json!({"facility": "local7", "severity": "debug", "appname": "a/b"}),
        ),
    ]
}

/// What it makes of lines.
fn lines() -> Vec<Mode> {
    let texts = |texts: &[&str]| texts.iter().map(|text| json!({"msg": text})).collect();
    let lines = "one\n\n two \nlast";
    let all = || texts(&["one", "", " two ", "last"]);
    let read = |by, options, expected| Mode { options, by, lines, expected };
    vec![
        read(By::Tcp, &["--rfc5424"], all()),
        read(By::Tcp, &["--rfc5424", "--octet-count"], all()),
        read(By::Udp, &["--rfc3164"], all()),
        read(By::Datagram, &["--rfc5424"], all()),
        read(By::Stream, &["--rfc5424"], all()),
        read(By::Tcp, &["--skip-empty"], texts(&["one", " two ", "last"])),
        Mode {
            options: &["--prio-prefix", "--priority", "local0.info"],
            by: By::Tcp,
            lines: "<11>one\n<2>two\nthree\n<x>four\n",
            expected: vec![
                json!({"severity": "err", "msg": "one"}),
                json!({"facility": "local0", "severity": "crit", "msg": "two"}),
                // It goes on with the last prefix, until what begins like one is none.
                json!({"facility": "local0", "severity": "crit", "msg": "three"}),
                json!({"facility": "local0", "severity": "info", "msg": "<x>four"}),
            ],
        },
    ]
}

#[test]
fn logger_delivers_in_each_of_its_modes() {
    timed(seconds(60), || {
        let modes: Vec<Mode> = [transports(), fields(), lines()].into_iter().flatten().collect();
        let names: Vec<String> = modes.iter().map(Mode::name).collect();
        let senders: Vec<(&str, By<'_>)> =
            names.iter().zip(&modes).map(|(name, mode)| (name.as_str(), mode.by)).collect();
        let mut proof = Proof::start(CORNDOG, &senders);
        for (index, mode) in modes.iter().enumerate() {
            mode.send(&proof, index);
            for changes in &mode.expected {
                let mut message = mode.message();
                let fields = message.as_object_mut().unwrap();
                for (name, value) in changes.as_object().unwrap() {
                    fields.insert(name.clone(), value.clone());
                }
                fields.retain(|_, value| !value.is_null());
                proof.expect(index, message);
            }
        }
        proof.check();
    });
}

/// A message as long as it may be, and a file.
#[test]
fn logger_delivers_what_is_long() {
    timed(seconds(60), || {
        let senders = [
            ("logger --size 60KiB, 60 KiB", By::Tcp),
            ("logger --size 60KiB --octet-count, 60 KiB", By::Tcp),
            ("logger --file, 1000 lines", By::Tcp),
        ];
        let mut proof = Proof::start(CORNDOG, &senders);
        let long = "x".repeat(60 << 10);
        let texts: Vec<String> = (0..1000).map(|number| format!("number {number}.")).collect();
        let files = [&long, &long, &texts.join("\n")].map(|text| text.to_owned() + "\n");
        for (index, text) in files.iter().enumerate() {
            let file = proof.folder().join(format!("file{index}"));
            fs::write(&file, text).unwrap();
            run("logger", seconds(10), |command| {
                add_server(command.arg("--tcp"), &proof, index);
                command.env("TZ", "UTC").args(["--tag", "app", "--size", "60KiB", "--file"]);
                command.arg(file);
                if index == 1 {
                    command.arg("--octet-count");
                }
            });
        }
        let message = |text: &str| {
            json!({"timestamp": "iso", "hostname": host_name(), "appname": "app",
                "facility": "user", "severity": "notice",
                "structured_data": {"timeQuality": "*"}, "msg": text})
        };
        proof.expect(0, message(&long));
        proof.expect(1, message(&long));
        for text in &texts {
            proof.expect(2, message(text));
        }
        proof.check();
    });
}
