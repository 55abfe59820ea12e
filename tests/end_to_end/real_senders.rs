//! Forwarders as people run them, by every transport that they have.

use crate::CORNDOG;
use corndog_tests::places::{Scratch, free_port, target};
use corndog_tests::process::Process;
use corndog_tests::time::seconds;
use corndog_tests::{Corndog, Mock, Pki, read_all, settings, timed, wait_for};
use rustix::process::Signal;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;

/// A listener with TLS, before others.
fn secure(tls: &str) -> String {
    format!(
        "[[listen]]\nname = \"secure\"\naddress = \"127.0.0.1:0\"\ntransport = \"tls\"\n{tls}\n"
    )
}

fn start(mock: &Mock, listen: &str) -> Corndog {
    mock.create_topic("plain", 4);
    Corndog::start(CORNDOG, &settings(&mock.bootstrap(), listen))
}

/// Waits for `copies` of each of `count` numbered lines, and that nothing else came.
fn check(mut corndog: Corndog, mock: &Mock, count: u64, copies: usize) {
    let all = count * copies as u64;
    wait_for("all of them", seconds(30), || {
        (read_all(&mock.bootstrap(), "plain").len() as u64 >= all).then_some(())
    });
    corndog.stop().assert_all_delivered(all);
    let records = read_all(&mock.bootstrap(), "plain");
    for number in 0..count {
        let end = format!("number {number}.");
        let found = records.iter().filter(|record| record.text().ends_with(&end)).count();
        assert_eq!(found, copies, "{end}");
    }
}

fn write_lines(path: &Path, count: u64) {
    let lines: String = (0..count).map(|n| format!("number {n}.\n")).collect();
    fs::write(path, lines).unwrap();
}

/// rsyslog as people run it: by either of its TLS drivers, counted and by lines, with a certificate.
#[test]
fn rsyslog_delivers_over_tls_by_both_its_drivers() {
    timed(seconds(120), || {
        let mock = Mock::start();
        let pki = Pki::new();
        let names = ", client_auth = \"required\", client_names = [\"a.logs.example\"]";
        let corndog = start(&mock, &secure(&pki.tls(&pki.client_ca(names))));
        let client = pki.sign("a", &["a.logs.example"], |_| {});
        let count = 500;
        for driver in ["ossl", "gtls"] {
            for framing in ["octet-counted", "traditional"] {
                let forward = format!(
                    "action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{}\" protocol=\"tcp\" \
                     TCP_Framing=\"{framing}\" StreamDriver=\"{driver}\" StreamDriverMode=\"1\" \
                     StreamDriverAuthMode=\"x509/name\" StreamDriverPermittedPeers=\"localhost\" \
                     template=\"RSYSLOG_SyslogProtocol23Format\")",
                    corndog.address().port()
                );
                let global = format!(
                    "global(workDirectory=\"{}\" DefaultNetstreamDriverCAFile=\"{}\" \
                     DefaultNetstreamDriverCertFile=\"{}\" DefaultNetstreamDriverKeyFile=\"{}\")",
                    pki.path("imfile-state").display(),
                    pki.path("ca.pem").display(),
                    client.cert.display(),
                    client.key.display()
                );
                rsyslog(&pki, &global, &forward, count);
            }
        }
        check(corndog, &mock, count, 4);
    });
}

/// Runs rsyslog with one input, a file of `count` numbered lines, and one action.
fn rsyslog(pki: &Pki, global: &str, action: &str, count: u64) {
    let input = pki.path("input");
    write_lines(&input, count);
    let state = pki.path("imfile-state");
    let _ = fs::remove_dir_all(&state);
    fs::create_dir_all(&state).unwrap();
    let configuration = format!(
        "{global}\nmodule(load=\"imfile\" mode=\"polling\" PollingInterval=\"1\")\n\
         input(type=\"imfile\" File=\"{}\" Tag=\"test\" reopenOnTruncate=\"on\" freshStartTail=\"off\")\n\
         {action}\n",
        input.display()
    );
    let file = pki.path("rsyslog.conf");
    fs::write(&file, configuration).unwrap();
    let pid = pki.path("rsyslog.pid");
    let mut process = Process::start("/usr/sbin/rsyslogd", |command| {
        command.arg("-n").arg("-f").arg(&file).arg("-i").arg(&pid);
    });
    sleep(seconds(4));
    process.signal(Signal::TERM);
    process.wait(seconds(20));
}

#[test]
fn loggen_delivers_over_tls() {
    timed(seconds(60), || {
        let mock = Mock::start();
        let pki = Pki::new();
        let mut corndog = start(&mock, &secure(&pki.tls("")));
        corndog_tests::senders::loggen(
            corndog.address(),
            2,
            500,
            1000,
            &["--use-ssl", "--syslog-proto", "--size", "300"],
        );
        sleep(seconds(1));
        let ledger = corndog.stop();
        assert!(ledger.received >= 500, "{ledger:?}");
        ledger.assert_all_delivered(ledger.received);
    });
}

/// syslog-ng by every transport at once, IETF's framing and its own.
#[test]
fn syslog_ng_delivers_by_every_transport() {
    timed(seconds(120), || {
        let mock = Mock::start();
        let pki = Pki::new();
        let scratch = Scratch::new("syslog-ng");
        let [stream, datagram] = ["stream", "datagram"].map(|name| scratch.path().join(name));
        let port = free_port();
        let listen = format!(
            "{}[[listen]]\nname = \"t\"\naddress = \"127.0.0.1:{port}\"\n\
             [[listen]]\nname = \"u\"\ntransport = \"udp\"\naddress = \"127.0.0.1:{port}\"\n\
             [[listen]]\nname = \"s\"\ntransport = \"unix-stream\"\naddress = {stream:?}\n\
             [[listen]]\nname = \"d\"\ntransport = \"unix-datagram\"\naddress = {datagram:?}",
            secure(&pki.tls(""))
        );
        let corndog = start(&mock, &listen);
        let secure_port = corndog.address().port();
        let input = scratch.path().join("input");
        let count = 300;
        write_lines(&input, count);
        let tls = format!("tls(ca-file({:?}) peer-verify(required-trusted))", pki.path("ca.pem"));
        let configuration = format!(
            "@version: 3.38\n\
             source s {{ file({input:?} follow-freq(1) flags(no-parse) program-override(\"test\")); }};\n\
             destination d {{\n\
             network(\"127.0.0.1\" port({port}) transport(\"tcp\") persist-name(\"d1\"));\n\
             network(\"127.0.0.1\" port({port}) transport(\"udp\") persist-name(\"d2\"));\n\
             network(\"127.0.0.1\" port({secure_port}) transport(\"tls\") {tls} persist-name(\"d3\"));\n\
             syslog(\"127.0.0.1\" port({port}) transport(\"tcp\") persist-name(\"d4\"));\n\
             syslog(\"127.0.0.1\" port({port}) transport(\"udp\") persist-name(\"d5\"));\n\
             syslog(\"127.0.0.1\" port({secure_port}) transport(\"tls\") {tls} persist-name(\"d6\"));\n\
             unix-stream({stream:?} persist-name(\"d7\"));\n\
             unix-dgram({datagram:?} persist-name(\"d8\"));\n\
             }};\n\
             log {{ source(s); destination(d); }};\n"
        );
        let file = scratch.path().join("syslog-ng.conf");
        fs::write(&file, configuration).unwrap();
        let root = target().join("syslog-ng");
        let program = root.join("usr/sbin/syslog-ng");
        assert!(program.exists(), "no {}: run tests/install", program.display());
        let mut process = Process::start(&program.display().to_string(), |command| {
            command.env("LD_LIBRARY_PATH", libraries(&root)).env("TZ", "UTC");
            command.args(["--foreground", "--no-caps", "--cfgfile"]).arg(&file);
            command.arg("--module-path").arg(root.join("usr/lib/syslog-ng/3.38"));
            for (option, name) in
                [("--persist-file", "persist"), ("--control", "control"), ("--pidfile", "pid")]
            {
                command.arg(option).arg(scratch.path().join(name));
            }
        });
        check(corndog, &mock, count, 8);
        process.signal(Signal::TERM);
        process.wait(seconds(20));
    });
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
