//! The status page in a real browser, with the real program behind it in each of its states.
//!
//! `CORNDOG_TEST_PICTURES=FOLDER` writes a picture of each there: light, dark, and a phone's.

use crate::CORNDOG;
use crate::monitoring::wait_settled;
use corndog_tests::browser::{Seen, look, picture};
use corndog_tests::places::{Scratch, free_port};
use corndog_tests::process::run;
use corndog_tests::senders::Flood;
use corndog_tests::time::seconds;
use corndog_tests::{Corndog, Mock, Sender, settings, status, timed, wait_for};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

const STATUS: &str = "[status]\naddress = \"127.0.0.1:0\"\n";

/// The program with its status server, and the addresses of its listener and of that.
fn start(bootstrap: &str, more: &str) -> (Corndog, SocketAddr, SocketAddr) {
    let corndog = Corndog::start(CORNDOG, &settings(bootstrap, &format!("{STATUS}{more}")));
    let server = status::address(&corndog);
    let listener = corndog.addresses().iter().find(|of| **of != server).copied().unwrap();
    (corndog, listener, server)
}

/// Looks at the page, which must be live and without a complaint.
fn check(server: SocketAddr, state: &str) -> Seen {
    let url = format!("http://{server}/");
    let seen = look(&url, &[]);
    let head: String = seen.document.chars().take(400).collect();
    assert!(seen.document.contains("data-state=\"live\""), "{state}: {head}\n{:?}", seen.console);
    assert!(seen.document.contains("data-errors=\"0\""), "{state}: {head}\n{:?}", seen.console);
    assert_eq!(seen.console, Vec::<String>::new(), "{state}");
    if let Some(folder) = std::env::var_os("CORNDOG_TEST_PICTURES") {
        take_pictures(&url, Path::new(&folder), state);
    }
    seen
}

fn take_pictures(url: &str, folder: &Path, state: &str) {
    fs::create_dir_all(folder).expect("CORNDOG_TEST_PICTURES is a folder that can be written");
    let (light, dark) = ("preferredColorScheme=1", "preferredColorScheme=0");
    for (name, scheme, size) in
        [("light", light, "1440,2300"), ("dark", dark, "1440,2300"), ("phone", light, "360,5900")]
    {
        let (scheme, size) =
            (format!("--blink-settings={scheme}"), format!("--window-size={size}"));
        picture(url, &folder.join(format!("{state}-{name}.png")), &[&scheme, &size]);
    }
}

#[test]
fn an_idle_program_is_shown_ready() {
    timed(seconds(600), || {
        let mock = Mock::start();
        let (mut corndog, _, server) = start(&mock.bootstrap(), "");
        wait_for("ready", seconds(30), || {
            sleep(Duration::from_millis(100));
            (status::stats(server)["state"] == "ready").then_some(())
        });
        let seen = check(server, "empty");
        assert!(seen.document.contains("id=\"state\" role=\"status\" data-state=\"ready\""));
        corndog.stop();
    });
}

#[test]
fn a_busy_program_is_shown_with_its_figures() {
    timed(seconds(600), || {
        let mock = Mock::start();
        mock.create_topic("plain", 4);
        let (mut corndog, listener, server) = start(&mock.bootstrap(), "");
        // The mock keeps 5 MiB of a partition, and this much is enough to look at.
        let flood = Flood::start(listener, 4, u64::MAX >> 20, 248, 2_000);
        wait_received(server, 20_000);
        let seen = check(server, "busy");
        assert!(seen.document.contains("plain"), "the listener, the topic");
        assert!(seen.document.contains("receiver 0"), "the shards");
        flood.end();
        let _ = flood.finish();
        corndog.stop();
    });
}

/// Waits until so many messages were received, however many are on their way.
fn wait_received(server: SocketAddr, received: u64) {
    wait_for("the flood to be under way", seconds(60), || {
        sleep(Duration::from_millis(100));
        let count = status::stats(server)["ledger"]["received"].as_u64().unwrap_or(0);
        (count >= received).then_some(())
    });
}

#[test]
fn a_program_whose_kafka_is_away_says_so_and_is_not_ready() {
    timed(seconds(600), || {
        let nowhere = format!("127.0.0.1:{}", free_port());
        let (mut corndog, listener, server) = start(&nowhere, "[limits]\ndrain_time = \"1 s\"\n");
        let mut sender = Sender::connect(listener);
        sender.send("<13>1 - host app - - - held\n".repeat(1000));
        // librdkafka tells of its brokers each few seconds.
        wait_for("a broker in the statistics", seconds(30), || {
            sleep(Duration::from_millis(200));
            status::stats(server)["brokers"].get(0).map(|_| ())
        });
        let ready = status::get(server, "/ready");
        assert_eq!(ready.status, 503, "{ready:?}");
        assert!(ready.body.starts_with("Kafka: "), "{ready:?}");
        assert_eq!(status::get(server, "/health").status, 200);
        let seen = check(server, "away");
        assert!(seen.document.contains("data-state=\"not_ready\""), "its sign");
        // A second reason may have come while the browser started.
        let first = ready.body.lines().next().expect("a reason");
        assert!(seen.document.contains(first), "no `{first}` in the page");
        assert!(seen.document.contains(&nowhere), "the broker");
        corndog.terminate();
        assert_eq!(corndog.wait(seconds(30)).code, Some(1), "nothing could be delivered");
    });
}

#[test]
fn a_thousand_topics_are_shown_in_a_page_that_stays_live() {
    timed(seconds(600), || {
        let mock = Mock::start();
        let over = "[topics]\nallow = [\"*\"]\ndistinct = 1000\n\
                    [[rule]]\nname = \"by host\"\nactions = [{ forward = \"{{hostname}}\" }]\n";
        let (mut corndog, listener, server) = start(&mock.bootstrap(), over);
        let mut sender = Sender::connect(listener);
        let frame = |number: usize| format!("<13>1 - host-{number} app - - - x\n");
        for _ in 0..3 {
            sender.send((0..1000).map(frame).collect::<String>());
        }
        sender.finish();
        let ledger = wait_settled(server, 3000);
        assert_eq!(ledger.delivered, 3000, "{ledger:?}");
        let seen = check(server, "topics");
        assert!(seen.document.contains("host-999") || seen.document.contains("host-1"));
        corndog.stop();
    });
}

#[test]
fn the_browser_tells_of_a_page_that_is_wrong() {
    timed(seconds(180), || {
        let seen =
            look("data:text/html,<p>here</p><script>throw new Error('sausage')</script>", &[]);
        assert!(seen.document.contains("<p>here</p>"), "{}", seen.document);
        assert!(seen.console.iter().any(|line| line.contains("sausage")), "{:?}", seen.console);
    });
}

/// The SHA-256 of what stands between these tags of the page, as a policy writes it.
fn hash(page: &str, tag: &str) -> String {
    let start = format!("<{tag}>");
    let [_, inside] = page.split(start.as_str()).collect::<Vec<_>>()[..] else {
        panic!("not one {start} in the page")
    };
    let inside = inside.split(&format!("</{tag}>")).next().unwrap();
    let scratch = Scratch::new("policy");
    let file = scratch.path().join(tag);
    fs::write(&file, inside).expect("scratch is writable");
    let sum = run("sh", seconds(10), |command| {
        command.args(["-c", "openssl dgst -sha256 -binary \"$0\" | openssl base64"]).arg(&file);
    });
    format!("'sha256-{}'", sum.trim())
}

#[test]
fn the_policy_lets_the_page_s_own_script_and_style_in_and_nothing_else() {
    timed(seconds(60), || {
        let mock = Mock::start();
        let (mut corndog, _, server) = start(&mock.bootstrap(), "");
        let page = status::request(server, "GET", "/", "Accept: text/html\r\n");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{}", page.head);
        let policy = page.header("content-security-policy").expect("a policy");
        let has = |part: &str| policy.split("; ").any(|held| held == part);
        assert!(has("default-src 'none'"), "{policy}");
        for tag in ["script", "style"] {
            let wanted = format!("{tag}-src {}", hash(&page.body, tag));
            assert!(has(&wanted), "not {wanted}: {policy}");
        }
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        corndog.stop();
    });
}
