//! What is sent under one verified name never reaches a topic or a header with another.

use crate::CORNDOG;
use corndog_tests::pki::{Identity, TlsSender};
use corndog_tests::program::command;
use corndog_tests::time::seconds;
use corndog_tests::{Corndog, Mock, Pki, Record, read_all, settings, timed};

/// One listener with TLS whose clients have to show who they are, and `more` in its `tls`.
fn listen(pki: &Pki, more: &str) -> String {
    let client_ca = pki.client_ca(&format!(", client_auth = \"required\"{more}"));
    format!(
        "[[listen]]\nname = \"secure\"\naddress = \"127.0.0.1:0\"\ntransport = \"tls\"\n{}\n",
        pki.tls(&client_ca)
    )
}

fn send(corndog: &Corndog, pki: &Pki, client: &Identity, text: &str) -> bool {
    let mut sender = TlsSender::connect_as(corndog.address(), pki, client);
    sender.send(format!("{text}\n"));
    sender.finish(seconds(10)).success
}

fn header(record: &Record, name: &str) -> Option<String> {
    let mut values = record.headers.iter().filter(|(found, _)| found == name);
    let value = values.next().map(|(_, value)| String::from_utf8_lossy(value).into_owned());
    assert!(values.next().is_none(), "{record:?}");
    value
}

/// The name is the one that `client_names` covers, wherever it stands in the certificate; one that
/// is no topic goes to the dead letters, with the name in a header.
#[test]
fn each_client_has_a_topic_of_its_own() {
    timed(seconds(90), || {
        let (mock, pki) = (Mock::start(), Pki::new());
        for topic in ["logs-a.logs.example", "logs-b.logs.example", "dead"] {
            mock.create_topic(topic, 1);
        }
        let more = ", client_names = [\"*.logs.example\"], client_name_in = \"topic\"";
        let over = format!(
            "[topics]\nallow = [\"logs-*.logs.example\"]\ndead_letter = \"dead\"\n{}\
             [[rule]]\nactions = [{{ forward = \"logs-{{{{client_name}}}}\" }}]",
            listen(&pki, more)
        );
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), &over));
        let a = pki.sign("a", &["b.other.example", "A.logs.example", "b.logs.example"], |_| {});
        let b = pki.sign("b", &["b.logs.example"], |_| {});
        let any = pki.sign("any", &["*.logs.example"], |_| {});
        assert!(send(&corndog, &pki, &a, "<13>1 - b.logs.example app - - - of a"));
        assert!(send(&corndog, &pki, &b, "<13>1 - a.logs.example app - - - of b"));
        assert!(send(&corndog, &pki, &any, "<13>1 - a.logs.example app - - - of any"));
        corndog.stop().assert_all_delivered(3);
        let payloads = |topic: &str| -> Vec<String> {
            read_all(&mock.bootstrap(), topic).iter().map(Record::text).collect()
        };
        assert_eq!(payloads("logs-a.logs.example"), ["of a"]);
        assert_eq!(payloads("logs-b.logs.example"), ["of b"]);
        let dead = read_all(&mock.bootstrap(), "dead");
        assert_eq!(dead.len(), 1, "{dead:?}");
        assert_eq!(header(&dead[0], "corndog.reason").as_deref(), Some("topic_refused"));
        assert_eq!(header(&dead[0], "corndog.client_name").as_deref(), Some("*.logs.example"));
    });
}

#[test]
fn each_record_has_its_clients_name_in_a_header() {
    timed(seconds(90), || {
        let (mock, pki) = (Mock::start(), Pki::new());
        mock.create_topic("plain", 1);
        let over = format!(
            "{}[[rule]]\nactions = [{{ forward = \"plain\", headers = {{ client_name = \
             \"{{{{client_name}}}}\", host = \"{{{{hostname}}}}\" }} }}]",
            listen(&pki, ", client_name_in = \"header\"")
        );
        let mut corndog = Corndog::start(CORNDOG, &settings(&mock.bootstrap(), &over));
        for name in ["a.example", "b.example"] {
            let client = pki.sign(name, &[name], |_| {});
            assert!(send(&corndog, &pki, &client, "<13>1 - a.example app - - - hello"));
        }
        // A CA that vouches for somebody without a name does not say who it is.
        let nameless = pki.sign("nameless", &[], |_| {});
        let _ = send(&corndog, &pki, &nameless, "<13>1 - a.example app - - - hello");
        // Without the listener in the file, it goes on until a restart.
        let answer = corndog.reload(&settings(&mock.bootstrap(), ""));
        assert_eq!(answer["message"], "not reloaded: nothing has changed");
        assert!(corndog.log().iter().any(|line| line.contains("asks for it until a restart")));
        corndog.stop().assert_all_delivered(2);
        let records = read_all(&mock.bootstrap(), "plain");
        let names: Vec<_> = records.iter().map(|record| header(record, "client_name")).collect();
        assert_eq!(names, [Some("a.example".to_owned()), Some("b.example".to_owned())]);
        assert!(corndog.log().iter().any(|line| line.contains("no name that counts")));
    });
}

#[test]
fn rules_that_do_not_carry_the_name_are_refused_at_the_start() {
    timed(seconds(60), || {
        let pki = Pki::new();
        let topic = ", client_name_in = \"topic\"";
        let rule = |forward: &str| format!("[[rule]]\nname = \"r\"\nactions = [{{ {forward} }}]");
        let fallback = "[topics]\nallow = [\"*\"]\nfallback = \"rest\"\n";
        for (more, rules, key, why) in [
            (topic, rule("forward = \"plain\""), "rule 1 (\"r\"): ", "does not carry"),
            (
                topic,
                format!("[topics]\nallow = [\"*\"]\n{}", rule("forward = \"x-{{hostname}}\"")),
                "rule 1 (\"r\"): ",
                "does not carry",
            ),
            (
                topic,
                format!("{fallback}{}", rule("forward = \"x-{{client_name}}\"")),
                "topics.fallback: ",
                "without the client's name",
            ),
            (
                ", client_name_in = \"header\"",
                rule("forward = \"plain\", headers = { client_name = \"{{hostname}}\" }"),
                "rule 1 (\"r\"): ",
                "no header carries",
            ),
        ] {
            let over = format!("{}{rules}", listen(&pki, more));
            for words in [&["check"][..], &["run"]] {
                let done = command(CORNDOG, words, &settings("127.0.0.1:9", &over));
                assert_eq!(done.code, Some(2), "{rules}: {done:?}");
                let errors = done.stderr.lines().filter(|line| line.contains("ERROR"));
                let errors: Vec<&str> = errors.collect();
                assert_eq!(errors.len(), 1, "{rules}: {done:?}");
                assert!(errors[0].contains(key) && errors[0].contains(why), "{errors:?}");
                assert!(
                    errors[0].contains("listen 1 \"secure\", tls, client_name_in"),
                    "{errors:?}"
                );
            }
        }
    });
}
