//! nginx and HAProxy, with all that they log to syslog.

use crate::CORNDOG;
use corndog_tests::places::free_port;
use corndog_tests::process::{Process, run};
use corndog_tests::proof::host_name;
use corndog_tests::time::seconds;
use corndog_tests::{By, Proof, timed, wait_for};
use serde_json::{Value as Json, json};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};

/// Requests to each server.
const REQUESTS: usize = 50;

/// Waits until somebody listens there.
fn wait_port(port: u16) -> SocketAddr {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    wait_for("the server", seconds(10), || TcpStream::connect(address).ok());
    address
}

/// Asks for `/NUMBER?q="` over a connection of its own; the answer's status.
fn request(address: SocketAddr, number: usize) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(seconds(5))).unwrap();
    let text = format!("GET /{number}?q=\" HTTP/1.0\r\nUser-Agent: tests\r\n\r\n");
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn nginx_logs_accesses_and_errors() {
    timed(seconds(90), || {
        let mut proof = Proof::start(
            CORNDOG,
            &[
                ("nginx access_log", By::Udp),
                ("nginx access_log, nohostname, tag", By::Datagram),
                ("nginx access_log, JSON", By::Udp),
                ("nginx error_log", By::Udp),
            ],
        );
        let port = free_port();
        let configuration = nginx(&proof, port);
        let file = proof.folder().join("nginx.conf");
        fs::write(&file, configuration).unwrap();
        let _nginx = Process::start("/usr/sbin/nginx", |command| {
            command.arg("-c").arg(&file).arg("-p").arg(proof.folder()).env("TZ", "UTC");
        });
        let address = wait_port(port);
        let host = host_name();
        let error = |host: &str, severity: &str, msg: String| {
            json!({"timestamp": "rfc3164", "hostname": host, "appname": "nginx_error",
                   "facility": "local6", "severity": severity, "msg": msg})
        };
        // It does not know its name yet when it says these.
        for notice in ["using the *", "nginx/*", "OS: Linux *", "getrlimit(RLIMIT_NOFILE)*"] {
            proof.expect(3, error("127.0.0.1", "notice", format!("* [notice] *: {notice}")));
        }
        for number in 0..REQUESTS {
            assert_eq!(request(address, number), "404");
            let access = |app: &str, facility: &str, severity: &str, msg: String| {
                json!({"timestamp": "rfc3164", "hostname": host, "appname": app,
                       "facility": facility, "severity": severity, "msg": msg})
            };
            let combined = format!(
                "127.0.0.1 - - [*] \"GET /{number}?q=\\x22 HTTP/1.0\" 404 * \"-\" \"tests\""
            );
            proof.expect(0, access("nginx", "local7", "info", combined.clone()));
            proof.expect(1, access("web", "local1", "warning", combined));
            let object = format!("{{\"uri\":\"/{number}?q=\\\"\",\"status\":404}}");
            proof.expect(2, access("nginx", "local7", "info", object));
            let open = format!(
                "*[error] *: * open() \"*/{number}\" failed (2: No such file or directory), \
                 client: 127.0.0.1, server: , request: \"GET /{number}?q=\" HTTP/1.0\""
            );
            proof.expect(3, error(&host, "err", open));
            proof.settle();
        }
        proof.check();
    });
}

/// One process that answers 404 and logs to the four listeners.
fn nginx(proof: &Proof, port: u16) -> String {
    let folder = proof.folder().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {folder}/{name};\n"))
        .collect();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\n\
         error_log syslog:server={error},facility=local6,tag=nginx_error notice;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n{temporary}\
         log_format object escape=json '{{\"uri\":\"$request_uri\",\"status\":$status}}';\n\
         access_log syslog:server={combined};\n\
         access_log syslog:server=unix:{path},facility=local1,severity=warn,tag=web,nohostname \
         combined;\n\
         access_log syslog:server={object} object;\n\
         server {{ listen 127.0.0.1:{port}; root {folder}; }}\n}}\n",
        error = proof.address(3),
        combined = proof.address(0),
        path = proof.path(1).display(),
        object = proof.address(2),
    )
}

/// What HAProxy is told to log to, one listener each, and by which transport.
const HAPROXY: [(&str, By<'_>, &str); 9] = [
    ("HAProxy log", By::Udp, "log ADDRESS local0"),
    ("HAProxy log", By::Datagram, "log ADDRESS local0"),
    ("HAProxy log, rfc3164", By::Udp, "log ADDRESS format rfc3164 local0"),
    ("HAProxy log, rfc5424", By::Udp, "log ADDRESS format rfc5424 local0"),
    ("HAProxy log, priority", By::Udp, "log ADDRESS format priority local0"),
    ("HAProxy log, raw", By::Udp, "log ADDRESS format raw local0"),
    ("HAProxy ring, rfc5424", By::Tcp, "log ring@r6 format rfc5424 local0"),
    ("HAProxy ring, rfc5424, octet-count", By::Tcp, "log ring@r7 format rfc5424 local0"),
    ("HAProxy ring, rfc3164, octet-count", By::Tcp, "log ring@r8 format rfc3164 local0"),
];

#[test]
fn haproxy_logs_requests() {
    timed(seconds(120), || {
        for send_host_name in [true, false] {
            haproxy_logs(send_host_name);
        }
    });
}

fn haproxy_logs(send_host_name: bool) {
    let more = if send_host_name { ", log-send-hostname" } else { "" };
    let senders = HAPROXY.map(|(sender, by, _)| (format!("{sender}{more}"), by));
    let senders: Vec<(&str, By<'_>)> =
        senders.iter().map(|(sender, by)| (sender.as_str(), *by)).collect();
    let mut proof = Proof::start(CORNDOG, &senders);
    let port = free_port();
    let send = if send_host_name { "log-send-hostname" } else { "" };
    let configuration = format!(
        "global\n{logs}{send}\n{rings}\
         defaults\nmode http\nlog global\noption httplog\noption dontlognull\n\
         timeout client 5s\ntimeout server 5s\ntimeout connect 5s\n\
         frontend web\nbind 127.0.0.1:{port}\nlog-format-sd [request@32473\\ status=\\\"%ST\\\"]\n\
         http-request return status 200 content-type text/plain string ok\n",
        logs = logs(&proof),
        rings = rings(&proof),
    );
    let _haproxy = haproxy(&proof, &configuration);
    let address = wait_port(port);
    for number in 0..REQUESTS {
        assert_eq!(request(address, number), "200");
        let msg =
            format!("127.0.0.1:* [*] web web/<NOSRV> * 200 * \"GET /{number}?q=#22 HTTP/1.0\"");
        for (index, (_, by, log)) in HAPROXY.iter().enumerate() {
            proof.expect(index, logged(*by, log, send_host_name, &msg));
        }
        proof.settle();
    }
    proof.check();
}

/// What one of the lines in [`HAPROXY`] makes of a request.
fn logged(by: By<'_>, log: &str, send_host_name: bool, msg: &str) -> Json {
    let format =
        log.split("format ").nth(1).map_or("local", |rest| rest.split(' ').next().unwrap());
    // Where it writes none, it is the peer's, which is this machine's on a unix socket.
    let peer = if matches!(by, By::Datagram) { host_name() } else { "127.0.0.1".to_owned() };
    let mut message = match format {
        "raw" => json!({"facility": "user", "severity": "notice"}),
        "priority" => json!({"facility": "local0", "severity": "info"}),
        "rfc5424" => json!({"timestamp": "iso", "appname": "haproxy", "procid": "*",
            "facility": "local0", "severity": "info",
            "structured_data": {"request@32473": {"status": "200"}}}),
        _ => json!({"timestamp": "rfc3164", "appname": "haproxy", "procid": "*",
            "facility": "local0", "severity": "info"}),
    };
    let host = match (format, send_host_name) {
        ("raw" | "priority", _) | ("local", false) => Some(peer),
        (_, true) => Some(host_name()),
        ("rfc3164", false) => Some("localhost".to_owned()),
        (_, false) => None,
    };
    message["msg"] = msg.into();
    if let Some(host) = host {
        message["hostname"] = host.into();
    }
    message
}

/// The lines of [`HAPROXY`], each to its listener.
fn logs(proof: &Proof) -> String {
    let line = |(index, (_, by, log)): (usize, &(&str, By<'_>, &str))| {
        let address = match by {
            By::Datagram => proof.path(index).display().to_string(),
            _ => proof.address(index).to_string(),
        };
        format!("{}\n", log.replace("ADDRESS", &address))
    };
    HAPROXY.iter().enumerate().map(line).collect()
}

/// The rings that [`HAPROXY`] names.
fn rings(proof: &Proof) -> String {
    [(6, "rfc5424", ""), (7, "rfc5424", "octet-count"), (8, "rfc3164", "octet-count")]
        .map(|(index, format, protocol)| ring(proof, index, format, protocol))
        .concat()
}

/// A buffer that is sent to the listener with this index over TCP.
fn ring(proof: &Proof, index: usize, format: &str, protocol: &str) -> String {
    let protocol =
        if protocol.is_empty() { String::new() } else { format!(" log-proto {protocol}") };
    format!(
        "ring r{index}\nformat {format}\nmaxlen 1200\nsize 65536\ntimeout connect 5s\n\
         timeout server 10s\nserver s {}{protocol}\n",
        proof.address(index)
    )
}

fn haproxy(proof: &Proof, configuration: &str) -> Process {
    let file = proof.folder().join("haproxy.cfg");
    fs::write(&file, configuration).unwrap();
    Process::start("/usr/sbin/haproxy", |command| {
        command.arg("-db").arg("-f").arg(&file).env("TZ", "UTC");
    })
}

/// As a relay between others and us.
#[test]
fn haproxy_forwards_what_others_log() {
    timed(seconds(60), || {
        let senders =
            [("HAProxy log-forward", By::Udp), ("HAProxy log-forward, octet-count", By::Tcp)];
        let mut proof = Proof::start(CORNDOG, &senders);
        let (tcp, udp) = (free_port(), free_port());
        let configuration = format!(
            "{ring}log-forward relay\nbind 127.0.0.1:{tcp}\ndgram-bind 127.0.0.1:{udp}\n\
             timeout client 5s\nlog {} format rfc5424 local0\nlog ring@r1 format rfc5424 local0\n",
            proof.address(0),
            ring = ring(&proof, 1, "rfc5424", "octet-count"),
        );
        let _haproxy = haproxy(&proof, &configuration);
        wait_port(tcp);
        // On one connection: HAProxy is slow to see that one has ended, and has ten at most.
        let lines = proof.folder().join("lines");
        let text: String = (0..REQUESTS).map(|number| format!("line {number}\n")).collect();
        fs::write(&lines, text).unwrap();
        run("logger", seconds(10), |command| {
            command.args(["--server", "127.0.0.1", "--tcp", "--port", &tcp.to_string()]);
            command.args(["--rfc5424", "--tag", "app", "--id=77", "--priority", "local3.err"]);
            command.stdin(File::open(&lines).unwrap());
        });
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 0..REQUESTS {
            let frame = format!("<165>1 - web1 app 77 ID - datagram {number}");
            datagrams.send_to(frame.as_bytes(), ("127.0.0.1", udp)).unwrap();
            for index in 0..senders.len() {
                proof.expect(
                    index,
                    json!({"timestamp": "iso", "hostname": host_name(), "appname": "app",
                        "procid": "77", "facility": "local3", "severity": "err",
                        "structured_data": {"timeQuality": "*"},
                        "msg": format!("line {number}")}),
                );
                proof.expect(
                    index,
                    json!({"hostname": "web1", "appname": "app", "procid": "77", "msgid": "ID",
                        "facility": "local4", "severity": "notice",
                        "msg": format!("datagram {number}")}),
                );
            }
        }
        proof.check();
    });
}
