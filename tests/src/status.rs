//! A client of the program's status server: plain HTTP/1.1 over a socket, each request its own
//! connection.

use crate::ledger::Ledger;
use crate::program::Corndog;
use crate::time::seconds;
use serde_json::Value as Json;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// What came back.
#[derive(Debug)]
pub struct Response {
    /// Of the status line.
    pub status: u16,
    /// Everything before the body.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Response {
    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Where the program's status server is, by its line `ready`.
///
/// Panics: it has none.
pub fn address(corndog: &Corndog) -> SocketAddr {
    let ready = corndog.wait_message("ready", seconds(10));
    let address = ready["status"].as_str().unwrap_or_else(|| panic!("no status server: {ready}"));
    address.parse().expect("an address")
}

/// Sends these bytes, and gives all that comes back until the server closes.
pub fn raw(address: SocketAddr, request: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(seconds(20)))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// One request.
///
/// Panics: no answer that is HTTP.
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &str) -> Response {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n"
    );
    let answer = raw(address, request.as_bytes()).unwrap_or_else(|why| panic!("{path}: {why}"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {answer}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("{path}: {head}"));
    Response { status, head: head.to_owned(), body: body.to_owned() }
}

/// `GET`.
pub fn get(address: SocketAddr, path: &str) -> Response {
    request(address, "GET", path, "")
}

/// `/stats`, which must be 200 and JSON.
pub fn stats(address: SocketAddr) -> Json {
    let response = get(address, "/stats");
    assert_eq!(response.status, 200, "{}", response.head);
    serde_json::from_str(&response.body).unwrap_or_else(|why| panic!("{why}: {}", response.body))
}

/// The ledger of `/stats`, which must balance.
pub fn ledger(address: SocketAddr) -> Ledger {
    let ledger = Ledger::from_line(&stats(address)["ledger"]);
    ledger.assert_balanced();
    ledger
}
