//! systemd's journal, which hands what it takes to a socket (`ForwardToSyslog=yes`).

use crate::CORNDOG;
use corndog_tests::process::{Process, run};
use corndog_tests::proof::host_name;
use corndog_tests::time::seconds;
use corndog_tests::{By, Proof, timed, wait_for};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// The journal of a namespace is a process of its own, with sockets of its own: it runs beside the
/// machine's, and where there is no systemd.
const JOURNALD: &str = "/lib/systemd/systemd-journald";

/// Rounds of each of its inputs.
const ROUNDS: usize = 20;

/// The folders of a namespace's journal; removed on drop.
struct Namespace {
    name: String,
    /// With its sockets; `syslog` is the one that it sends to.
    sockets: PathBuf,
    configuration: PathBuf,
}

impl Namespace {
    /// Panics: `/run/systemd` cannot be written, as root can.
    fn new() -> Namespace {
        let name = format!("corndog{}", std::process::id());
        let sockets = PathBuf::from(format!("/run/systemd/journal.{name}"));
        let configuration = PathBuf::from(format!("/run/systemd/journald@{name}.conf.d"));
        for folder in [&sockets, &configuration] {
            let made = fs::create_dir_all(folder);
            made.unwrap_or_else(|error| panic!("{}: {error}: run as root", folder.display()));
        }
        let text = "[Journal]\nStorage=none\nForwardToSyslog=yes\nRateLimitIntervalSec=0\n\
                    ReadKMsg=no\nAudit=no\n";
        fs::write(configuration.join("tests.conf"), text).unwrap();
        Namespace { name, sockets, configuration }
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.sockets.join(name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        for folder in [&self.sockets, &self.configuration] {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// What comes in by syslog(3), by its own protocol, and from a service's output, goes out as
/// `<PRI>Mmm dd hh:mm:ss identifier[pid]: text`.
#[test]
fn the_journal_forwards_all_that_it_takes() {
    timed(seconds(90), || {
        let namespace = Namespace::new();
        let syslog = namespace.socket("syslog");
        let sender = ("systemd-journald ForwardToSyslog", By::DatagramAt(&syslog));
        let mut proof = Proof::start(CORNDOG, &[sender]);
        let _journald = Process::start(JOURNALD, |command| {
            command.arg(&namespace.name).env("TZ", "UTC");
        });
        let sockets = ["dev-log", "socket", "stdout"].map(|name| namespace.socket(name));
        wait_for("its sockets", seconds(10), || {
            sockets.iter().all(|path| path.exists()).then_some(())
        });
        let message = |facility: &str, severity: &str, app: &str, msg: String| {
            json!({"timestamp": "rfc3164", "hostname": host_name(), "appname": app,
                "procid": "*", "facility": facility, "severity": severity, "msg": msg})
        };
        for number in 0..ROUNDS {
            run("logger", seconds(10), |command| {
                command.arg("--socket").arg(&sockets[0]).args(["--socket-errors=on", "-i"]);
                command.args(["--tag", "app", "--priority", "local3.warning", "--"]);
                command.arg(format!("by syslog {number}"));
            });
            run("python3", seconds(10), |command| {
                command.args(["-c", NATIVE]).args(&sockets[1..]).arg(number.to_string());
            });
            for message in [
                message("local3", "warning", "app", format!("by syslog {number}")),
                message("user", "err", "daemon", format!("by its own {number}")),
                message("local0", "crit", "(sd-pam)", format!("two\nlines {number}")),
                message("user", "warning", "unit.sh", format!("by output {number}")),
                message("user", "info", "unit.sh", format!("by output, plain {number}")),
            ] {
                proof.expect(0, message);
            }
            // The journal drops what this socket has no room for, and the kernel's queue may be
            // as short as ten datagrams.
            proof.settle();
        }
        proof.check();
    });
}

/// Writes to the journal's sockets as `sd_journal_send` and a service's stdout do.
const NATIVE: &str = "
import socket, struct, sys
number = int(sys.argv[3])
native = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
native.connect(sys.argv[1])
native.send(b'MESSAGE=by its own %d\\nPRIORITY=3\\nSYSLOG_IDENTIFIER=daemon\\n' % number)
text = b'two\\nlines %d' % number
native.send(b'MESSAGE\\n' + struct.pack('<Q', len(text)) + text +
            b'\\nPRIORITY=2\\nSYSLOG_FACILITY=16\\nSYSLOG_IDENTIFIER=(sd-pam)\\n')
output = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
output.connect(sys.argv[2])
# Identifier, unit, priority, whether lines have a priority, and where they are forwarded.
output.sendall(b'unit.sh\\n\\n6\\n1\\n1\\n0\\n0\\n')
output.sendall(b'<4>by output %d\\nby output, plain %d\\n' % (number, number))
";

/// Byte for byte as journald 252 (`server_forward_syslog`) sends them, what the journal of a
/// namespace does not see too: the manager's messages and the kernel's.
#[test]
fn each_form_that_the_journal_forwards_is_understood() {
    timed(seconds(60), || {
        let mut proof = Proof::start(CORNDOG, &[("journald's datagrams, by hand", By::Datagram)]);
        let now = run("date", seconds(5), |command| {
            command.args(["-u", "+%h %e %T"]);
        });
        let message = |changes: serde_json::Value| {
            let mut message = json!({"timestamp": "rfc3164", "hostname": host_name()});
            message.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            message
        };
        for (pri, tag, text, fields) in [
            (
                30,
                "systemd[1]: ",
                "Started it.",
                json!({"appname": "systemd", "procid": "1",
                "facility": "daemon", "severity": "info", "msg": "Started it."}),
            ),
            (
                4,
                "kernel: ",
                "[    1.0] usb: x",
                json!({"appname": "kernel",
                "facility": "kern", "severity": "warning", "msg": "[    1.0] usb: x"}),
            ),
            (
                86,
                "sshd[812]: ",
                "",
                json!({"appname": "sshd", "procid": "812",
                "facility": "authpriv", "severity": "info", "msg": ""}),
            ),
            (
                78,
                "/usr/sbin/CRON[7]: ",
                "(root) CMD (a: b)",
                json!({
                "appname": "/usr/sbin/CRON", "procid": "7",
                "facility": "cron", "severity": "info", "msg": "(root) CMD (a: b)"}),
            ),
        ] {
            send(proof.path(0), &format!("<{pri}>{} {tag}{text}", now.trim_end()));
            proof.expect(0, message(fields));
        }
        proof.check();
    });
}

fn send(path: &Path, datagram: &str) {
    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    socket.send_to(datagram.as_bytes(), path).unwrap();
}
