//! Forwarders as people run them, by every transport that they have.

use crate::CORNDOG;
use corndog_tests::places::target;
use corndog_tests::process::{Process, run};
use corndog_tests::proof::short_host_name;
use corndog_tests::time::seconds;
use corndog_tests::{By, Pki, Proof, timed};
use serde_json::{Value as Json, json};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines in the file that each of them follows.
const LINES: usize = 200;

fn write_lines(path: &Path) {
    let lines: String = (0..LINES).map(|number| format!("number {number}.\n")).collect();
    fs::write(path, lines).unwrap();
}

/// What becomes of the line with this number; `timestamp` is `iso` or `rfc3164`.
fn line(number: usize, timestamp: &str, facility: &str) -> Json {
    json!({"timestamp": timestamp, "hostname": short_host_name(), "appname": "test",
        "facility": facility, "severity": "notice", "msg": format!("number {number}.")})
}

/// rsyslog by either of its TLS drivers, with a certificate, and by all else that it has.
#[test]
fn rsyslog_delivers_by_every_transport() {
    timed(seconds(120), || {
        let pki = Pki::new();
        let names = ", client_auth = \"required\", client_names = [\"a.logs.example\"]";
        let tls = pki.tls(&pki.client_ca(names));
        let client = pki.sign("a", &["a.logs.example"], |_| {});
        let senders = [
            ("rsyslog ossl, octet-counted", By::Tls(&tls)),
            ("rsyslog ossl, traditional", By::Tls(&tls)),
            ("rsyslog gtls, octet-counted", By::Tls(&tls)),
            ("rsyslog gtls, traditional", By::Tls(&tls)),
            ("rsyslog omfwd, octet-counted", By::Tcp),
            ("rsyslog omfwd, ForwardFormat", By::Tcp),
            ("rsyslog omfwd, TraditionalForwardFormat", By::Udp),
            ("rsyslog omuxsock", By::Datagram),
        ];
        let mut proof = Proof::start(CORNDOG, &senders);
        let input = proof.folder().join("input");
        write_lines(&input);
        let folder = proof.folder().display();
        let configuration = format!(
            "global(workDirectory=\"{folder}\" DefaultNetstreamDriverCAFile=\"{}\" \
             DefaultNetstreamDriverCertFile=\"{}\" DefaultNetstreamDriverKeyFile=\"{}\")\n\
             module(load=\"imfile\" mode=\"polling\" PollingInterval=\"1\")\n\
             input(type=\"imfile\" File=\"{}\" Tag=\"test:\" freshStartTail=\"off\")\n{}",
            pki.path("ca.pem").display(),
            client.cert.display(),
            client.key.display(),
            input.display(),
            actions(&proof),
        );
        let file = proof.folder().join("rsyslog.conf");
        fs::write(&file, configuration).unwrap();
        let pid = proof.folder().join("rsyslog.pid");
        let _rsyslog = Process::start("/usr/sbin/rsyslogd", |command| {
            command.env("TZ", "UTC").arg("-n").arg("-f").arg(&file).arg("-i").arg(&pid);
        });
        for index in 0..senders.len() {
            let timestamp = if index < 6 { "iso" } else { "rfc3164" };
            for number in 0..LINES {
                proof.expect(index, line(number, timestamp, "local0"));
            }
        }
        proof.check();
    });
}

/// An action for each listener.
fn actions(proof: &Proof) -> String {
    let forward = |index: usize, protocol: &str, more: &str, template: &str| {
        format!(
            "action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{}\" protocol=\"{protocol}\" \
             {more} template=\"RSYSLOG_{template}\")\n",
            proof.address(index).port()
        )
    };
    let mut text = String::new();
    for (index, (driver, framing)) in [
        ("ossl", "octet-counted"),
        ("ossl", "traditional"),
        ("gtls", "octet-counted"),
        ("gtls", "traditional"),
    ]
    .into_iter()
    .enumerate()
    {
        let more = format!(
            "TCP_Framing=\"{framing}\" StreamDriver=\"{driver}\" StreamDriverMode=\"1\" \
             StreamDriverAuthMode=\"x509/name\" StreamDriverPermittedPeers=\"localhost\""
        );
        text += &forward(index, "tcp", &more, "SyslogProtocol23Format");
    }
    text += &forward(4, "tcp", "TCP_Framing=\"octet-counted\"", "SyslogProtocol23Format");
    text += &forward(5, "tcp", "", "ForwardFormat");
    text += &forward(6, "udp", "", "TraditionalForwardFormat");
    let path = proof.path(7).display();
    text + &format!("$ModLoad omuxsock\n$OMUxSockSocket {path}\n*.* :omuxsock:\n")
}

/// loggen by every transport, on one connection each.
#[test]
fn loggen_delivers_by_every_transport() {
    timed(seconds(120), || {
        let pki = Pki::new();
        let tls = pki.tls("");
        let senders = [
            ("loggen --syslog-proto", By::Tcp),
            ("loggen --syslog-proto --no-framing", By::Tcp),
            ("loggen", By::Tcp),
            ("loggen --syslog-proto", By::Tls(&tls)),
            ("loggen", By::Udp),
            ("loggen --syslog-proto --no-framing", By::Udp),
            ("loggen", By::Stream),
            ("loggen", By::Datagram),
        ];
        let mut proof = Proof::start(CORNDOG, &senders);
        for (index, (sender, by)) in senders.iter().enumerate() {
            let options: Vec<&str> = sender.split(' ').skip(1).collect();
            let sent = loggen(&proof, index, *by, &options);
            assert!(sent >= LINES, "{sender} sent {sent}");
            for number in 0..sent {
                proof.expect(
                    index,
                    json!({"timestamp": "iso", "hostname": "localhost", "appname": "prg00000",
                        "procid": "1234", "facility": "auth", "severity": "info",
                        "msg": format!("seq: {number:010}, thread: *, runid: *")}),
                );
            }
        }
        proof.check();
    });
}

/// Sends to the listener with this index; how many messages, as loggen says.
fn loggen(proof: &Proof, index: usize, by: By<'_>, options: &[&str]) -> usize {
    let prefix = target().join("syslog-ng/usr");
    let program = prefix.join("bin/loggen");
    assert!(program.exists(), "no {}: run tests/install", program.display());
    // It says so on stderr.
    let text = run("sh", seconds(60), |command| {
        command.env("LD_LIBRARY_PATH", prefix.join("lib/syslog-ng"));
        command.env("SYSLOGNG_PREFIX", &prefix).env("TZ", "UTC");
        command.args(["-c", "exec \"$0\" \"$@\" 2>&1"]).arg(&program).args(options);
        command.arg(format!("--number={LINES}")).arg("--rate=1000");
        match by {
            By::Tcp => command.args(["--inet", "--stream"]),
            By::Udp => command.args(["--inet", "--dgram"]),
            // With TLS it is another part of loggen that sends.
            By::Tls(_) => command.arg("--use-ssl"),
            By::Stream => command.args(["--unix", "--stream"]),
            By::Datagram | By::DatagramAt(_) => command.args(["--unix", "--dgram"]),
        };
        match by {
            By::Tcp | By::Udp | By::Tls(_) => {
                let address = proof.address(index);
                command.arg(address.ip().to_string()).arg(address.port().to_string())
            }
            _ => command.arg(proof.path(index)),
        };
    });
    let count = text.rsplit_once("count=").and_then(|(_, rest)| rest.split(',').next());
    count.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("no count: {text}"))
}

/// syslog-ng by every transport at once, IETF's framing and its own.
#[test]
fn syslog_ng_delivers_by_every_transport() {
    timed(seconds(120), || {
        let pki = Pki::new();
        let tls = pki.tls("");
        let senders = [
            ("syslog-ng network()", By::Tcp),
            ("syslog-ng network()", By::Udp),
            ("syslog-ng network()", By::Tls(&tls)),
            ("syslog-ng syslog()", By::Tcp),
            ("syslog-ng syslog()", By::Udp),
            ("syslog-ng syslog()", By::Tls(&tls)),
            ("syslog-ng unix-stream()", By::Stream),
            ("syslog-ng unix-dgram()", By::Datagram),
        ];
        let mut proof = Proof::start(CORNDOG, &senders);
        let scratch = proof.folder().to_owned();
        let input = scratch.join("input");
        write_lines(&input);
        let trust = format!("tls(ca-file({:?}) peer-verify(required-trusted))", pki.path("ca.pem"));
        let destination = |(index, (sender, by)): (usize, &(&str, By<'_>))| {
            let driver = sender.split(' ').nth(1).unwrap().trim_end_matches("()");
            let more = format!("persist-name(\"d{index}\")");
            match by {
                By::Stream | By::Datagram | By::DatagramAt(_) => {
                    format!("{driver}({:?} {more});\n", proof.path(index))
                }
                By::Tcp | By::Udp | By::Tls(_) => {
                    let trust = if matches!(by, By::Tls(_)) { &trust } else { "" };
                    let port = proof.address(index).port();
                    let transport = by.name();
                    format!(
                        "{driver}(\"127.0.0.1\" port({port}) transport(\"{transport}\") \
                         {trust} {more});\n"
                    )
                }
            }
        };
        let destinations: String = senders.iter().enumerate().map(destination).collect();
        let configuration = format!(
            "@version: 3.38\n\
             source s {{ file({input:?} follow-freq(1) flags(no-parse) \
             program-override(\"test\")); }};\n\
             destination d {{\n{destinations}}};\nlog {{ source(s); destination(d); }};\n"
        );
        let _syslog_ng = syslog_ng(&scratch, &configuration);
        for (index, (sender, _)) in senders.iter().enumerate() {
            for number in 0..LINES {
                let mut message = line(number, "rfc3164", "user");
                if sender.contains(" syslog()") {
                    message["timestamp"] = "iso".into();
                    let sequence_id = (number + 1).to_string();
                    message["structured_data"] = json!({"meta": {"sequenceId": sequence_id}});
                }
                proof.expect(index, message);
            }
        }
        proof.check();
    });
}

fn syslog_ng(scratch: &Path, configuration: &str) -> Process {
    let file = scratch.join("syslog-ng.conf");
    fs::write(&file, configuration).unwrap();
    let root = target().join("syslog-ng");
    let program = root.join("usr/sbin/syslog-ng");
    assert!(program.exists(), "no {}: run tests/install", program.display());
    Process::start(&program.display().to_string(), |command| {
        command.env("LD_LIBRARY_PATH", libraries(&root)).env("TZ", "UTC");
        command.args(["--foreground", "--no-caps", "--cfgfile"]).arg(&file);
        command.arg("--module-path").arg(root.join("usr/lib/syslog-ng/3.38"));
        for (option, name) in
            [("--persist-file", "persist"), ("--control", "control"), ("--pidfile", "pid")]
        {
            command.arg(option).arg(scratch.join(name));
        }
    })
}

/// Its own libraries, and those of others that were unpacked with it.
fn libraries(root: &Path) -> OsString {
    let mut folders: Vec<PathBuf> = vec![root.join("usr/lib/syslog-ng")];
    for parent in ["lib", "usr/lib"] {
        let entries = fs::read_dir(root.join(parent)).into_iter().flatten().flatten();
        let is_triplet = |path: &PathBuf| path.to_string_lossy().ends_with("-linux-gnu");
        folders.extend(entries.map(|entry| entry.path()).filter(is_triplet));
    }
    std::env::join_paths(folders).unwrap()
}
