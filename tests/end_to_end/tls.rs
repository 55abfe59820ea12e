//! TLS: who is let in, who is not and why, and what changes while it runs.

use crate::CORNDOG;
use corndog_tests::messages::message;
use corndog_tests::pki::{Identity, TlsSender, write_key};
use corndog_tests::process::run;
use corndog_tests::program::command;
use corndog_tests::time::seconds;
use corndog_tests::{Corndog, Mock, Pki, Sender, read_all, settings, timed, wait_for};
use serde_json::Value as Json;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// A listener with TLS, and a plain one behind it.
fn listeners(tls: &str) -> String {
    format!(
        r#"
        [[listen]]
        name = "secure"
        address = "127.0.0.1:0"
        transport = "tls"
        {tls}
        [[listen]]
        name = "plain"
        address = "127.0.0.1:0"
        "#
    )
}

fn start(mock: &Mock, tls: &str, more: &str) -> Corndog {
    mock.create_topic("plain", 4);
    let over = format!("{more}\n{}", listeners(tls));
    Corndog::start(CORNDOG, &settings(&mock.bootstrap(), &over))
}

/// The last line of statistics.
fn statistics(corndog: &Corndog) -> Json {
    let lines = corndog.log();
    let line = lines.iter().rev().find(|line| line.contains("\"message\":\"statistics\""));
    serde_json::from_str(line.expect("statistics")).unwrap()
}

fn refused(corndog: &Corndog, reason: &str) -> u64 {
    statistics(corndog)["connections_refused"][reason].as_u64().unwrap_or(0)
}

const LINE: &str = "<13>1 - - - - - - hello\n";

#[test]
fn both_versions_and_every_kind_of_key_deliver() {
    timed(seconds(120), || {
        let mock = Mock::start();
        let pki = Pki::new();
        let mut corndog = start(&mock, &pki.tls(""), "");
        let mut sent = 0;
        let mut send = |corndog: &Corndog, options: &[&str]| {
            let mut sender = TlsSender::connect(corndog.address(), &pki, options);
            sender.send(LINE.repeat(3));
            let ended = sender.finish(seconds(10));
            assert!(ended.success, "{options:?}: {}", ended.text);
            sent += 3;
        };
        for options in [
            &["-tls1_3"][..],
            &["-tls1_2"],
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
            &["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"],
            &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
            // Fragments of a record, and of a handshake message.
            &["-tls1_3", "-max_send_frag", "512", "-split_send_frag", "512"],
            &["-tls1_3", "-alpn", "h2,http/1.1"],
            &["-servername", "anybody.example"],
        ] {
            send(&corndog, options);
        }
        // Other keys, by what OpenSSL makes of them, and a chain.
        let (cert, key) = (pki.path("server.pem"), pki.path("server.key"));
        let old = Identity { cert: cert.clone(), key: key.clone() };
        pki.make_traditional(&old.key);
        let configuration = settings(&mock.bootstrap(), &listeners(&pki.tls("")));
        assert_eq!(corndog.reload(&configuration)["message"], "reloaded", "SEC 1");
        send(&corndog, &["-tls1_3"]);
        for (kind, bits) in [("RSA", "rsa_keygen_bits:2048"), ("EC", "ec_paramgen_curve:P-384")] {
            sign_with_openssl(&pki, kind, bits, &old);
            assert_eq!(corndog.reload(&configuration)["message"], "reloaded", "{kind}");
            send(&corndog, &["-tls1_3"]);
            send(&corndog, &["-tls1_2"]);
            pki.make_traditional(&old.key);
            assert_eq!(corndog.reload(&configuration)["message"], "reloaded", "{kind}");
            send(&corndog, &["-tls1_2"]);
        }
        let chain = pki.sign_by_one_between("chained", &["127.0.0.1"]);
        fs::copy(&chain.cert, &cert).unwrap();
        fs::copy(&chain.key, &key).unwrap();
        assert_eq!(corndog.reload(&configuration)["message"], "reloaded", "a chain");
        send(&corndog, &["-tls1_3"]);
        corndog.stop().assert_all_delivered(sent);
    });
}

/// A listener's certificate on a key of this kind, self-signed and its own CA.
fn sign_with_openssl(pki: &Pki, kind: &str, bits: &str, to: &Identity) {
    run("openssl", seconds(30), |command| {
        command.args(["req", "-x509", "-newkey", kind, "-pkeyopt", bits, "-nodes", "-days", "30"]);
        command.args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]);
        command.arg("-keyout").arg(&to.key).arg("-out").arg(&to.cert);
    });
    write_key(&to.key, &fs::read_to_string(&to.key).unwrap());
    // s_client shall trust it.
    let ca = pki.path("ca.pem");
    let both = fs::read_to_string(&ca).unwrap() + &fs::read_to_string(&to.cert).unwrap();
    fs::write(&ca, both).unwrap();
}

#[test]
fn old_versions_and_ciphers_without_aead_are_refused() {
    timed(seconds(60), || {
        let mock = Mock::start();
        let pki = Pki::new();
        let mut corndog = start(&mock, &pki.tls(", min_version = \"1.2\""), "");
        for options in [
            &["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..],
            &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"],
            &["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
        ] {
            let mut sender = TlsSender::connect(corndog.address(), &pki, options);
            sender.send(LINE);
            let ended = sender.finish(seconds(10));
            assert!(!ended.success, "{options:?}: {}", ended.text);
        }
        corndog.stop().assert_all_delivered(0);
        assert_eq!(refused(&corndog, "tls"), 4);

        let mock = Mock::start();
        let mut corndog = start(&mock, &pki.tls(", min_version = \"1.3\""), "");
        let mut sender = TlsSender::connect(corndog.address(), &pki, &["-tls1_2"]);
        sender.send(LINE);
        assert!(!sender.finish(seconds(10)).success);
        corndog.stop().assert_all_delivered(0);
    });
}

/// What becomes of each client, and what the log says of those that are refused.
struct Client {
    what: &'static str,
    identity: Option<Identity>,
    refused: Option<&'static str>,
}

fn clients(pki: &Pki) -> Vec<Client> {
    let ok = "a.logs.example";
    let client = |what, identity, refused| Client { what, identity: Some(identity), refused };
    let expired = pki.sign("expired", &[ok], |params| {
        params.not_after = rcgen::date_time_ymd(2024, 1, 1);
    });
    let early = pki.sign("early", &[ok], |params| {
        params.not_before = rcgen::date_time_ymd(2090, 1, 1);
    });
    let revoked = pki.sign("revoked", &[ok], |params| {
        params.serial_number = Some(rcgen::SerialNumber::from(4711_u64));
    });
    pki.revoke(&[4711]);
    let usage = pki.sign("usage", &[ok], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    let signs_not = pki.sign("signs_not", &[ok], |params| {
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyEncipherment];
    });
    let between = pki.sign_by_one_between("between", &[ok]);
    let nul = pki.sign("nul", &[], |params| {
        let name = rcgen::string::Ia5String::try_from("a.logs.example\0.evil.example").unwrap();
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name)];
    });
    vec![
        client("good", pki.sign("good", &[ok], |_| {}), None),
        client("by a CA whose CRL is missing", between, Some("holds no CRL of a CA")),
        client("good by its second name", pki.sign("several", &["x.y", ok], |_| {}), None),
        client("expired", expired, Some("expired")),
        client("not yet valid", early, Some("not valid yet")),
        client("another CA", pki.sign_by_another("other", &[ok]), Some("UnknownIssuer")),
        client("self-signed", pki.sign_by_itself("self", &[ok]), Some("")),
        client("revoked", revoked, Some("Revoked")),
        client("wrong name", pki.sign("wrong", &["a.other.example"], |_| {}), Some("client_names")),
        client("wildcard", pki.sign("wildcard", &["*.logs.example"], |_| {}), None),
        client("NUL in a name", nul, Some("no name that counts")),
        client("IP address", pki.sign("ip", &["192.0.2.7"], |_| {}), None),
        client("wrong address", pki.sign("wrong_ip", &["192.0.2.8"], |_| {}), Some("192.0.2.8")),
        client("wrong extended key usage", usage, Some("")),
        client("wrong key usage", signs_not, Some("keyUsage")),
        Client { what: "none", identity: None, refused: Some("shows no certificate") },
    ]
}

#[test]
fn each_client_of_the_pki_is_let_in_or_refused() {
    timed(seconds(180), || {
        let pki = Pki::new();
        let clients = clients(&pki);
        for version in ["-tls1_3", "-tls1_2"] {
            for client in &clients {
                check_client(&pki, client, version);
            }
        }
    });
}

fn check_client(pki: &Pki, client: &Client, version: &str) {
    let mock = Mock::start();
    let names = pki.client_ca(&format!(
        ", crl = {:?}, client_auth = \"required\", client_names = [\"*.logs.example\", \"192.0.2.7\"]",
        pki.path("ca.crl")
    ));
    let mut corndog = start(&mock, &pki.tls(&names), "");
    let mut options = vec![version.to_owned()];
    if let Some(Identity { cert, key }) = &client.identity {
        for (option, file) in [("-cert", cert), ("-cert_chain", cert), ("-key", key)] {
            options.extend([option.to_owned(), file.display().to_string()]);
        }
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut sender = TlsSender::connect(corndog.address(), pki, &options);
    sender.send(LINE.repeat(10));
    let ended = sender.finish(seconds(10));
    let ledger = corndog.stop();
    let log = corndog.log().join("\n");
    match client.refused {
        None => {
            assert!(ended.success, "{}: {}", client.what, ended.text);
            ledger.assert_all_delivered(10);
        }
        Some(why) => {
            assert_eq!(ledger.received, 0, "{}: a message was counted:\n{log}", client.what);
            assert_eq!(refused(&corndog, "certificate"), 1, "{}:\n{log}", client.what);
            let said = log.lines().find(|line| line.contains("refused: "));
            let said = said.unwrap_or_else(|| panic!("{}: not said:\n{log}", client.what));
            assert!(said.contains(why), "{}: {said}", client.what);
        }
    }
}

#[test]
fn an_optional_certificate_may_be_missing_but_not_wrong() {
    timed(seconds(60), || {
        let mock = Mock::start();
        let pki = Pki::new();
        let tls = pki.tls(&pki.client_ca(", client_auth = \"optional\""));
        let mut corndog = start(&mock, &tls, "");
        for (client, is_welcome) in [
            (None, true),
            (Some(pki.sign("any", &["anybody.example"], |_| {})), true),
            (Some(pki.sign_by_one_between("chained", &["anybody.example"])), true),
            (Some(pki.sign_by_another("other", &["anybody.example"])), false),
        ] {
            let mut sender = match &client {
                Some(client) => TlsSender::connect_as(corndog.address(), &pki, client),
                None => TlsSender::connect(corndog.address(), &pki, &[]),
            };
            sender.send(LINE);
            let ended = sender.finish(seconds(10));
            // A client of TLS 1.3 may have closed before it hears that it was refused.
            assert!(ended.success || !is_welcome, "{client:?}: {}", ended.text);
        }
        corndog.stop().assert_all_delivered(3);
        assert_eq!(refused(&corndog, "certificate"), 1);
    });
}

#[test]
fn who_takes_the_wrong_port_is_named() {
    timed(seconds(60), || {
        let mock = Mock::start();
        let pki = Pki::new();
        let mut corndog = start(&mock, &pki.tls(""), "");
        let [secure, plain] = [corndog.addresses()[0], corndog.addresses()[1]];
        for _ in 0..3 {
            let mut sender = TlsSender::connect(plain, &pki, &[]);
            sender.send(LINE);
            assert!(!sender.finish(seconds(10)).success, "TLS on a plain port");
        }
        for (address, bytes) in [
            (secure, "<13>1 - - - - - - plain text\n"),
            (secure, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            (plain, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ] {
            let mut sender = Sender::connect(address);
            sender.send(bytes);
            sender.wait_closed(seconds(5));
        }
        corndog.stop().assert_all_delivered(0);
        assert_eq!(refused(&corndog, "protocol"), 6);
        let log = corndog.log();
        let named: Vec<&String> = log
            .iter()
            .filter(|line| line.contains("refused: it ") && line.contains("127.0.0.1"))
            .collect();
        // Each once of a peer in an interval; none hides another.
        assert_eq!(named.len(), 3, "{named:?}");
        for (line, what) in
            named.iter().zip(["it speaks TLS", "it does not speak TLS", "it speaks HTTP"])
        {
            assert!(line.contains(what), "{named:?}");
        }
        let left_out = log.iter().filter(|line| line.contains("left out before the end"));
        assert_eq!(left_out.count(), 2, "of TLS and of HTTP: {log:?}");
    });
}

/// Who has been at it longest makes room: an honest client takes milliseconds.
#[test]
fn too_many_handshakes_at_once_end_the_oldest() {
    timed(seconds(60), || {
        let mock = Mock::start();
        let pki = Pki::new();
        let more = "[shards]\nreceivers = 1\n[limits]\nconnections_per_ip = 3000\n\
                    handshake_time = \"30 s\"";
        let mut corndog = start(&mock, &pki.tls(""), more);
        let mut silent: Vec<Sender> =
            (0..1034).map(|_| Sender::connect(corndog.address())).collect();
        for oldest in &mut silent[..10] {
            oldest.wait_closed(seconds(5));
        }
        let mut sender = TlsSender::connect(corndog.address(), &pki, &[]);
        sender.send(LINE);
        assert!(sender.finish(seconds(10)).success);
        assert!(!silent[1033].is_closed());
        drop(silent);
        corndog.stop().assert_all_delivered(1);
        assert_eq!(refused(&corndog, "handshakes"), 11);
    });
}

/// With tickets, the kernel resets the connection of a sender that never reads, and takes its last
/// records with it.
#[test]
fn a_sender_that_never_reads_loses_nothing() {
    timed(seconds(120), || {
        let mock = Mock::start();
        let pki = Pki::new();
        let mut corndog = start(&mock, &pki.tls(""), "");
        let script = "
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
for number in range(50):
    plain = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
    secure = context.wrap_socket(plain, server_hostname='127.0.0.1')
    secure.sendall(b'<13>1 - - - - - - hello\\n' * 200)
    secure.close()
";
        run("python3", seconds(60), |command| {
            command.arg("-c").arg(script).arg(corndog.address().port().to_string());
            command.arg(pki.path("ca.pem"));
        });
        corndog.stop().assert_all_delivered(50 * 200);
    });
}

#[test]
fn certificates_are_loaded_anew_and_bad_ones_are_not() {
    timed(seconds(120), || {
        let mock = Mock::start();
        let pki = Pki::new();
        let mut corndog = start(&mock, &pki.tls(""), "");
        let address = corndog.address();
        let mut stays = TlsSender::connect(address, &pki, &[]);
        stays.send(LINE);
        let original = fs::read_to_string(pki.path("server.key")).unwrap();
        let serves = |name: &str| {
            let verify = ["-verify_hostname", name];
            let mut sender = TlsSender::connect(address, &pki, &verify);
            sender.send(LINE);
            sender.finish(seconds(10)).success
        };
        assert!(serves("localhost") && !serves("new.example"));

        // By a change of the files.
        pki.sign("server", &["127.0.0.1", "new.example"], |_| {});
        let loaded = |text: &str| {
            corndog.wait_line(text, seconds(10), |line| line.contains(text));
        };
        loaded("certificates loaded anew");
        assert!(serves("new.example"));

        // A key that is not the certificate's.
        write_key(&pki.path("server.key"), &original);
        loaded("not the key of tls.cert");
        assert!(serves("new.example"), "the old pair stays");

        // One that is not valid yet: it is tried again, though nobody touches it.
        let soon = SystemTime::UNIX_EPOCH.elapsed().unwrap() + seconds(5);
        pki.sign("server", &["127.0.0.1", "soon.example"], |params| {
            params.not_before = rcgen::date_time_ymd(1970, 1, 1) + soon;
        });
        loaded("is not valid before");
        assert!(serves("new.example"), "the old one stays");
        wait_for("the new one", seconds(20), || serves("soon.example").then_some(()));

        // One that has expired.
        pki.sign("server", &["127.0.0.1"], |params| {
            params.not_after = rcgen::date_time_ymd(2024, 1, 1);
        });
        loaded("expired on 2024-01-01");
        assert!(serves("soon.example"), "the old one stays");

        // By SIGHUP, which refuses what is wrong as a whole.
        let configuration = settings(&mock.bootstrap(), &listeners(&pki.tls("")));
        let answer = corndog.reload(&configuration);
        assert!(answer["message"].as_str().unwrap().starts_with("not reloaded"), "{answer}");
        pki.sign("server", &["127.0.0.1", "newest.example"], |_| {});
        assert_eq!(corndog.reload(&configuration)["message"], "reloaded");
        assert!(serves("newest.example"));

        stays.send(LINE);
        assert!(stays.is_connected());
        assert!(stays.finish(seconds(10)).success, "it stayed through all of it");
        corndog.stop();
    });
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    timed(seconds(60), || {
        let pki = Pki::new();
        let expired = pki.sign("expired", &["127.0.0.1"], |params| {
            params.not_after = rcgen::date_time_ymd(2024, 1, 1);
        });
        let junk = pki.path("junk");
        fs::write(&junk, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let (cert, key) = (pki.path("server.pem"), pki.path("server.key"));
        let missing = pki.path("missing");
        let cases = [
            (format!("cert = {missing:?}, key = {key:?}"), "tls.cert", "cannot be read"),
            (format!("cert = {cert:?}, key = {missing:?}"), "tls.key", "cannot be read"),
            (format!("cert = {key:?}, key = {key:?}"), "tls.cert", "holds no certificate"),
            (format!("cert = {junk:?}, key = {key:?}"), "tls.cert", "cannot be read"),
            (format!("cert = {cert:?}, key = {cert:?}"), "tls.key", "holds no private key"),
            (format!("cert = {cert:?}, key = {:?}", expired.key), "tls.key", "not the key of"),
            (
                format!("cert = {:?}, key = {:?}", expired.cert, expired.key),
                "tls.cert",
                "expired on 2024-01-01",
            ),
            (
                format!("cert = {cert:?}, key = {key:?}, client_ca = {key:?}"),
                "tls.client_ca",
                "holds no certificate",
            ),
            (
                format!(
                    "cert = {cert:?}, key = {key:?}, client_ca = {:?}, crl = {cert:?}",
                    pki.path("ca.pem")
                ),
                "tls.crl",
                "holds no CRL",
            ),
        ];
        for (tls, key, why) in cases {
            let over = listeners(&format!("tls = {{ {tls} }}"));
            let configuration = settings("127.0.0.1:9", &over);
            for words in [&["check"][..], &["run"]] {
                let done = command(CORNDOG, words, &configuration);
                assert_eq!(done.code, Some(2), "{tls}: {done:?}");
                let said = done.stderr.lines().find(|line| line.contains("ERROR"));
                let said = said.unwrap_or_else(|| panic!("{tls}: {done:?}"));
                assert!(said.contains(key) && said.contains(why), "{tls}: {said}");
                assert!(said.contains("secure"), "{said}");
            }
        }
    });
}

#[test]
fn a_key_that_everybody_can_read_is_warned_of() {
    timed(seconds(30), || {
        use std::os::unix::fs::PermissionsExt;
        let pki = Pki::new();
        fs::set_permissions(pki.path("server.key"), fs::Permissions::from_mode(0o644)).unwrap();
        let configuration = settings("127.0.0.1:9", &listeners(&pki.tls("")));
        let done = command(CORNDOG, &["check"], &configuration);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.stderr.contains("every user of this machine can read"), "{done:?}");
        assert!(done.stdout.contains("secure on 127.0.0.1"), "{done:?}");
    });
}

#[test]
fn a_clients_verified_name_is_a_variable() {
    timed(seconds(60), || {
        let mock = Mock::start();
        let pki = Pki::new();
        let tls = pki.tls(&pki.client_ca(", client_auth = \"optional\""));
        let rules = "[topics]\nallow = [\"logs-*\"]\nfallback = \"nobody\"\n[[rule]]\n\
                     actions = [{ forward = \"logs-{{client_name}}\" }]";
        for topic in ["logs-a.logs.example", "logs-", "nobody"] {
            mock.create_topic(topic, 1);
        }
        let mut corndog = start(&mock, &tls, rules);
        let client = pki.sign("a", &["a.logs.example"], |_| {});
        let mut sender = TlsSender::connect_as(corndog.address(), &pki, &client);
        sender.send(LINE);
        assert!(sender.finish(seconds(10)).success);
        let mut sender = TlsSender::connect(corndog.address(), &pki, &[]);
        sender.send(LINE);
        assert!(sender.finish(seconds(10)).success);
        corndog.stop().assert_all_delivered(2);
        assert_eq!(read_all(&mock.bootstrap(), "logs-a.logs.example").len(), 1);
    });
}

/// A flood of whole handshakes costs a core all that it has; data has to go on beside it.
#[test]
fn a_flood_of_handshakes_leaves_the_shard_to_its_data() {
    timed(seconds(120), || {
        let mock = Mock::start();
        let pki = Pki::new();
        let more = "[shards]\nreceivers = 1\n[limits]\nconnections_per_ip = 4000\n\
                    [[rule]]\nfield = \"msg\"\nregex = '^c=00'\nactions = [{ forward = \"plain\" }]";
        let mut corndog = start(&mock, &pki.tls(""), more);
        let [secure, plain] = [corndog.addresses()[0], corndog.addresses()[1]];
        let script = "
import socket, ssl, sys, time
context = ssl.create_default_context(cafile=sys.argv[2])
end, count = time.time() + 4, 0
while time.time() < end:
    with socket.create_connection(('127.0.0.1', int(sys.argv[1]))) as tcp:
        context.wrap_socket(tcp, server_hostname='127.0.0.1').close()
    count += 1
print(count)
";
        let ca = pki.path("ca.pem");
        let floods: Vec<_> = (0..3)
            .map(|_| {
                let (port, ca) = (secure.port().to_string(), ca.clone());
                std::thread::spawn(move || {
                    run("python3", seconds(60), |command| {
                        command.arg("-c").arg(script).arg(port).arg(ca);
                    })
                })
            })
            .collect();
        sleep(Duration::from_millis(500));
        let mut quiet = Sender::connect(plain);
        let mut watch = corndog_tests::Watch::new(&mock.bootstrap(), "plain", seconds(10));
        let mut took = Vec::new();
        for number in 1..=50 {
            let began = Instant::now();
            quiet.send_line(&message(0, number, 248));
            watch.until(usize::try_from(number).unwrap(), seconds(10));
            took.push(began.elapsed());
            sleep(Duration::from_millis(20));
        }
        took.sort();
        let handshakes: u64 = floods
            .into_iter()
            .map(|flood| flood.join().unwrap().trim().parse::<u64>().unwrap())
            .sum();
        println!("{handshakes} handshakes; median {:?}, slowest {:?}", took[25], took[49]);
        assert!(took[45] < Duration::from_millis(250), "{took:?}");
        quiet.finish();
        corndog.stop().assert_all_delivered(50);
    });
}
