//! TLS as others speak it: OpenSSL's client with records of every length, and a scanner.

use crate::CORNDOG;
use corndog_tests::pki::TlsSender;
use corndog_tests::places::free_port;
use corndog_tests::process::{Process, run};
use corndog_tests::time::seconds;
use corndog_tests::{By, Corndog, Mock, Pki, Proof, settings, timed, wait_for};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

/// A record holds a part of a frame, or some frames and a part of another.
#[test]
fn s_client_delivers_by_records_of_every_length() {
    timed(seconds(120), || {
        let pki = Pki::new();
        let tls = pki.tls("");
        let ways: [(&str, &[&str]); 6] = [
            ("openssl s_client -tls1_3", &["-tls1_3"]),
            ("openssl s_client -tls1_2", &["-tls1_2"]),
            ("openssl s_client -tls1_3 -max_send_frag 512", &["-tls1_3", "-max_send_frag", "512"]),
            (
                "openssl s_client -tls1_2 -split_send_frag 100",
                &["-tls1_2", "-split_send_frag", "100"],
            ),
            ("openssl s_client -tls1_3, octet counting", &["-tls1_3", "-max_send_frag", "777"]),
            ("openssl s_client -tls1_3, 1 to 7 bytes at a time", &["-tls1_3"]),
        ];
        let senders: Vec<(&str, By<'_>)> =
            ways.iter().map(|(sender, _)| (*sender, By::Tls(&tls))).collect();
        let mut proof = Proof::start(CORNDOG, &senders);
        for (index, (sender, options)) in ways.iter().enumerate() {
            let (is_counted, is_slow) = (sender.contains("octet"), sender.contains("at a time"));
            let lengths: Vec<usize> = if is_slow {
                vec![0, 1, 10, 100, 1000]
            } else {
                (0..40).map(|n| n * n * 8).chain([60 << 10]).collect()
            };
            let mut client = TlsSender::connect(proof.address(index), &pki, options);
            let mut text = String::new();
            for length in lengths {
                let msg = "m".repeat(length);
                let frame = format!("<165>1 - web1 app 77 ID47 [a@32473 b=\"{length}\"] {msg}");
                if is_counted {
                    text.push_str(&format!("{} {frame}", frame.len()));
                } else {
                    text.push_str(&format!("{frame}\n"));
                }
                proof.expect(
                    index,
                    json!({"hostname": "web1", "appname": "app", "procid": "77", "msgid": "ID47",
                        "facility": "local4", "severity": "notice",
                        "structured_data": {"a@32473": {"b": length.to_string()}}, "msg": msg}),
                );
            }
            if is_slow {
                send_slowly(&mut client, text.as_bytes());
            } else {
                client.send(text);
            }
            let ended = client.finish(seconds(20));
            assert!(ended.success, "{sender}: {}", ended.text);
        }
        proof.check();
    });
}

/// What the client reads at once is a record of its own.
fn send_slowly(client: &mut TlsSender, mut bytes: &[u8]) {
    let mut length = 0;
    while !bytes.is_empty() {
        length = length % 7 + 1;
        let (now, later) = bytes.split_at(length.min(bytes.len()));
        client.send(now);
        sleep(Duration::from_millis(2));
        bytes = later;
    }
}

/// What a scanner found that a server takes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Scan {
    /// As `TLSv1.2`.
    versions: BTreeSet<String>,
    /// By version and OpenSSL's name: `TLSv1.2 ECDHE-RSA-AES128-SHA256`.
    ciphers: BTreeSet<String>,
}

impl Scan {
    /// Asks for each version and each suite that sslscan knows.
    ///
    /// Panics: it did not say what becomes of SSL 2 to TLS 1.3.
    fn of(address: SocketAddr) -> Scan {
        let text = run("sslscan", seconds(60), |command| {
            command.args(["--no-colour", "--no-heartbleed", "--no-check-certificate"]);
            command.args([
                "--no-fallback",
                "--no-renegotiation",
                "--no-compression",
                "--no-groups",
            ]);
            command.arg(address.to_string());
        });
        Scan::read(&text)
    }

    fn read(text: &str) -> Scan {
        let mut scan = Scan::default();
        let mut versions_asked = 0;
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [version, state @ ("enabled" | "disabled")] => {
                    versions_asked += 1;
                    if state == "enabled" {
                        scan.versions.insert(version.to_owned());
                    }
                }
                ["Preferred" | "Accepted", version, _, "bits", cipher, ..] => {
                    scan.ciphers.insert(format!("{version} {cipher}"));
                }
                _ => {}
            }
        }
        assert_eq!(versions_asked, 6, "SSL 2 and 3, TLS 1.0 to 1.3:\n{text}");
        scan
    }

    /// What there is beside TLS 1.2 and 1.3 with AEAD suites and keys of one session each.
    fn too_much(&self) -> Vec<&str> {
        let is_old = |version: &&String| !matches!(version.as_str(), "TLSv1.2" | "TLSv1.3");
        let is_weak = |cipher: &&String| {
            let (version, name) = cipher.split_once(' ').unwrap();
            // Of TLS 1.3 there are no others.
            let is_aead = name.contains("GCM") || name.contains("POLY1305");
            !is_aead || version != "TLSv1.3" && !name.starts_with("ECDHE-")
        };
        let versions = self.versions.iter().filter(is_old);
        versions.chain(self.ciphers.iter().filter(is_weak)).map(String::as_str).collect()
    }
}

#[test]
fn a_scanner_finds_new_versions_and_aead_suites_alone() {
    timed(seconds(120), || {
        let mock = Mock::start();
        mock.create_topic("plain", 1);
        let pki = Pki::new();
        let listener = |more: &str| {
            let tls = pki.tls(more);
            let over = format!(
                "[[listen]]\nname = \"secure\"\naddress = \"127.0.0.1:0\"\n\
                 transport = \"tls\"\n{tls}"
            );
            Corndog::start(CORNDOG, &settings(&mock.bootstrap(), &over))
        };
        let mut corndog = listener("");
        let scan = Scan::of(corndog.address());
        println!("{scan:?}");
        assert_eq!(scan.too_much(), Vec::<&str>::new());
        assert_eq!(scan.versions.len(), 2, "TLS 1.2 and 1.3: {scan:?}");
        assert_eq!(scan.ciphers.len(), 6, "three suites each: {scan:?}");
        corndog.stop().assert_all_delivered(0);

        let mut corndog = listener(", min_version = \"1.3\"");
        let scan = Scan::of(corndog.address());
        assert_eq!(scan.too_much(), Vec::<&str>::new());
        assert_eq!(scan.versions.iter().collect::<Vec<_>>(), ["TLSv1.3"]);
        assert_eq!(scan.ciphers.len(), 3, "{scan:?}");
        corndog.stop().assert_all_delivered(0);
    });
}

/// Else the test above would pass whatever there is to find.
#[test]
fn a_scanner_finds_what_a_server_without_limits_takes() {
    timed(seconds(60), || {
        let pki = Pki::new();
        let port = free_port();
        let _server = Process::start("openssl", |command| {
            command.args(["s_server", "-quiet", "-accept", &port.to_string()]);
            command.arg("-cert").arg(pki.path("server.pem"));
            command.arg("-key").arg(pki.path("server.key"));
            command.args(["-cipher", "ALL:@SECLEVEL=0", "-min_protocol", "TLSv1"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        });
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        wait_for("s_server", seconds(10), || TcpStream::connect(address).ok());
        let scan = Scan::of(address);
        let too_much = scan.too_much();
        for found in ["TLSv1.0", "TLSv1.1", "TLSv1.2 ECDHE-ECDSA-AES128-SHA256"] {
            assert!(too_much.contains(&found), "{found}: {scan:?}");
        }
    });
}
