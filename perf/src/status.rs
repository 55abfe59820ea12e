//! A client of corndog's status server: one request a connection.

use crate::failure::Failure;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Of a connect, a write, and each read.
const STEP_TIME_MAX: Duration = Duration::from_secs(5);
/// A longer answer is none.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// What `/stats` says of the messages since corndog's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// `ledger.received`.
    pub received: u64,
    /// `ledger.delivered`.
    pub delivered: u64,
    /// `latency.total.count`.
    pub count: u64,
    /// `latency.total`: p50, p90, p99, p99.9, longest.
    pub latency: [Duration; 5],
}

/// A page's body.
///
/// Errors: one sentence.
pub fn get(port: u16, path: &str) -> Result<String, String> {
    let why = |error: std::io::Error| format!("{path}: {error}");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, STEP_TIME_MAX).map_err(why)?;
    stream.set_read_timeout(Some(STEP_TIME_MAX)).map_err(why)?;
    stream.set_write_timeout(Some(STEP_TIME_MAX)).map_err(why)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(why)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).map_err(why)?;
    let answer = String::from_utf8(answer).map_err(|_| format!("{path}: not UTF-8"))?;
    body(&answer).ok_or_else(|| format!("{path}: {:?}", answer.lines().next().unwrap_or_default()))
}

/// Reads `/stats`.
///
/// Errors: `Failure::Run`; it is not answered, or not as it is known here.
pub fn stats(port: u16) -> Result<Stats, Failure> {
    let body = get(port, "/stats").map_err(Failure::Run)?;
    let json = serde_json::from_str(&body);
    let json: Value = json.map_err(|error| Failure::Run(format!("/stats: {error}")))?;
    read(&json).map_err(|name| Failure::Run(format!("/stats has no {name}")))
}

/// Errors: what is not there.
fn read(json: &Value) -> Result<Stats, &'static str> {
    let number = |pointer| json.pointer(pointer).and_then(Value::as_u64).ok_or(pointer);
    let micros = |pointer| number(pointer).map(Duration::from_micros);
    Ok(Stats {
        received: number("/ledger/received")?,
        delivered: number("/ledger/delivered")?,
        count: number("/latency/total/count")?,
        latency: [
            micros("/latency/total/p50_us")?,
            micros("/latency/total/p90_us")?,
            micros("/latency/total/p99_us")?,
            micros("/latency/total/p999_us")?,
            micros("/latency/total/max_us")?,
        ],
    })
}

/// Of an answer that is 200 and whole as far as its length says.
fn body(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let is_ok = lines.next()?.split(' ').nth(1) == Some("200");
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    (is_ok && length.is_none_or(|length: usize| length == body.len())).then(|| body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_counts_only_if_it_is_200_and_whole() {
        let answer = |status, length| {
            format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nA: b\r\n\r\nbody")
        };
        assert_eq!(body(&answer(200, 4)), Some("body".to_owned()));
        assert_eq!((body(&answer(503, 4)), body(&answer(200, 5)), body("")), (None, None, None));
    }

    #[test]
    fn stats_are_found_or_missed_by_name() {
        let total = json!({
            "count": 7, "p50_us": 1, "p90_us": 2, "p99_us": 3, "p999_us": 4, "max_us": 5000
        });
        let mut json = json!({
            "ledger": { "received": 9, "delivered": 8 }, "latency": { "total": total }
        });
        let stats = read(&json).unwrap();
        assert_eq!((stats.received, stats.delivered, stats.count), (9, 8, 7));
        assert_eq!(stats.latency[4], Duration::from_millis(5));
        json["latency"] = json!({});
        assert_eq!(read(&json), Err("/latency/total/count"));
    }
}
