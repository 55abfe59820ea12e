//! Senders with no syslog of their own, `nc`, and with Python's: bytes as they are written.

use crate::CORNDOG;
use corndog_tests::process::run;
use corndog_tests::proof::host_name;
use corndog_tests::time::seconds;
use corndog_tests::{By, Proof, timed};
use serde_json::{Value as Json, json};
use std::fs::{self, File};

/// Frames as people write them, and what they are; `HOST` is the peer's name.
fn frames() -> Vec<(String, Json)> {
    let now = |format: &str| {
        let text = run("date", seconds(5), |command| {
            command.args(["-u", format]);
        });
        text.trim().to_owned()
    };
    let (rfc3164, iso) = (now("+%b %e %H:%M:%S"), now("+%Y-%m-%dT%H:%M:%S.%6NZ"));
    vec![
        (
            format!("<165>1 {iso} web1 app 77 ID47 [a@32473 b=\"c\"] text"),
            json!({"timestamp": "iso", "hostname": "web1", "appname": "app", "procid": "77",
                "msgid": "ID47", "facility": "local4", "severity": "notice",
                "structured_data": {"a@32473": {"b": "c"}}, "msg": "text"}),
        ),
        (
            format!("<34>{rfc3164} web1 su[231]: 'su root' failed"),
            json!({"timestamp": "rfc3164", "hostname": "web1", "appname": "su", "procid": "231",
                "facility": "auth", "severity": "crit", "msg": "'su root' failed"}),
        ),
        (
            // A line of /var/log/syslog.
            format!("{rfc3164} web1 sshd[812]: text"),
            json!({"timestamp": "rfc3164", "hostname": "web1", "appname": "sshd", "procid": "812",
                "facility": "user", "severity": "notice", "msg": "text"}),
        ),
        (
            "<13>app: text".to_owned(),
            json!({"hostname": "HOST", "appname": "app", "facility": "user",
                "severity": "notice", "msg": "text"}),
        ),
        (
            "what is no syslog, \u{e9} too".to_owned(),
            json!({"hostname": "HOST", "facility": "user", "severity": "notice",
                "msg": "what is no syslog, \u{e9} too"}),
        ),
    ]
}

/// How often each of [`frames`] is sent to a listener.
const COPIES: usize = 20;

#[test]
fn nc_delivers_by_every_transport() {
    timed(seconds(90), || {
        let senders = [
            ("nc", By::Tcp),
            ("nc, octet counting", By::Tcp),
            ("nc -u", By::Udp),
            ("nc -U", By::Stream),
            ("nc -uU", By::Datagram),
        ];
        let mut proof = Proof::start(CORNDOG, &senders);
        let frames = frames();
        let text = |write: &dyn Fn(&str) -> String| {
            let once: String = frames.iter().map(|(frame, _)| write(frame)).collect();
            once.repeat(COPIES)
        };
        // The last line has no end.
        let lines = text(&|frame| format!("{frame}\n")).trim_end().to_owned();
        let counted = text(&|frame| format!("{} {frame}", frame.len()));
        nc(&proof, 0, &lines);
        nc(&proof, 1, &counted);
        nc(&proof, 3, &lines);
        for (frame, _) in &frames {
            // What it reads at once is one datagram.
            for _ in 0..COPIES {
                nc(&proof, 2, frame);
                nc(&proof, 4, &format!("{frame}\n"));
            }
        }
        for (index, (_, by)) in senders.iter().enumerate() {
            let host =
                if matches!(by, By::Tcp | By::Udp) { "127.0.0.1".to_owned() } else { host_name() };
            for (_, message) in &frames {
                let mut message = message.clone();
                if message["hostname"] == "HOST" {
                    message["hostname"] = host.clone().into();
                }
                for _ in 0..COPIES {
                    proof.expect(index, message.clone());
                }
            }
        }
        proof.check();
    });
}

/// Sends this text to the listener with this index: one connection, or one datagram.
fn nc(proof: &Proof, index: usize, text: &str) {
    let input = proof.folder().join("input");
    fs::write(&input, text).unwrap();
    run("nc.openbsd", seconds(10), |command| {
        command.stdin(File::open(&input).unwrap());
        if matches!(index, 2 | 4) {
            // Ends with its input, whatever comes back.
            command.args(["-u", "-q", "0"]);
        } else {
            command.arg("-N");
        }
        if matches!(index, 3 | 4) {
            command.arg("-U").arg(proof.path(index));
        } else {
            let address = proof.address(index);
            command.arg(address.ip().to_string()).arg(address.port().to_string());
        }
    });
}

/// Messages by each of Python's handlers.
const LOGGED: usize = 100;

#[test]
fn pythons_sys_log_handler_delivers_by_every_transport() {
    timed(seconds(60), || {
        let senders = [
            ("Python SysLogHandler", By::Udp),
            ("Python SysLogHandler, SOCK_STREAM", By::Tcp),
            ("Python SysLogHandler", By::Datagram),
            ("Python SysLogHandler, SOCK_STREAM", By::Stream),
        ];
        let mut proof = Proof::start(CORNDOG, &senders);
        for (index, (_, by)) in senders.iter().enumerate() {
            let address = match by {
                By::Udp | By::Tcp => format!("('127.0.0.1', {})", proof.address(index).port()),
                _ => format!("{:?}", proof.path(index)),
            };

            let is_stream = matches!(by, By::Tcp | By::Stream);
            let kind = if is_stream { "SOCK_STREAM" } else { "SOCK_DGRAM" };
            // On a stream, a LF ends a frame as its NUL does, unless the listener says "nul".
            let last = if is_stream { "" } else { "log.error('two\\nlines')\n" };
            // The format that its documentation has for syslog daemons.
            let script = format!(
                "import logging, logging.handlers, socket\n\
                 handler = logging.handlers.SysLogHandler(\n\
                 \x20   {address}, logging.handlers.SysLogHandler.LOG_LOCAL3, socket.{kind})\n\
                 handler.setFormatter(logging.Formatter('app[%(process)d]: %(message)s'))\n\
                 log = logging.getLogger()\n\
                 log.addHandler(handler)\n\
                 for number in range({LOGGED}):\n\
                 \x20   log.warning('number %d', number)\n\
                 {last}"
            );
            run("python3", seconds(20), |command| {
                command.args(["-c", &script]);
            });
            let host =
                if matches!(by, By::Tcp | By::Udp) { "127.0.0.1".to_owned() } else { host_name() };
            let message = |severity: &str, msg: &str| {
                json!({"hostname": host, "appname": "app", "procid": "*", "facility": "local3",
                    "severity": severity, "msg": msg})
            };
            for number in 0..LOGGED {
                proof.expect(index, message("warning", &format!("number {number}")));
            }
            if !is_stream {
                proof.expect(index, message("err", "two\nlines"));
            }
        }
        proof.check();
    });
}
