//! An address -> what the status server there says: one `GET /stats`, bounded in time and length.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::figures::Figures;

/// To connect, and to answer, each.
const TIME_MAX: Duration = Duration::from_secs(2);
/// Of an answer.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Asks the status server at one address.
#[derive(Debug)]
pub struct Client {
    address: String,
    runtime: Option<Runtime>,
}

impl Client {
    /// For a `host:port`. Nothing is connected yet.
    pub fn new(address: &str) -> io::Result<Client> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Client { address: address.to_owned(), runtime: Some(runtime) })
    }

    /// What it says now.
    ///
    /// Errors: why there is no answer, as the end of a sentence.
    pub fn ask(&self) -> Result<Figures, String> {
        let runtime = self.runtime.as_ref().ok_or("the program ends")?;
        let body = runtime.block_on(answer(&self.address))?;
        let figures: Figures = serde_json::from_slice(&body)
            .map_err(|error| format!("the answer is not a corndog's of this version ({error})"))?;
        match figures.state.is_empty() {
            false => Ok(figures),
            true => Err("the answer is not a corndog's (it names no state)".to_owned()),
        }
    }
}

impl Drop for Client {
    /// A name that is being resolved is not waited for.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(address: &str) -> Result<Bytes, String> {
    let stream = match timeout(TIME_MAX, TcpStream::connect(address)).await {
        Ok(stream) => stream.map_err(|error| reason(&error))?,
        Err(_) => return Err(format!("no connection in {} s", TIME_MAX.as_secs())),
    };
    match timeout(TIME_MAX, get(stream, address)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer in {} s", TIME_MAX.as_secs())),
    }
}

async fn get(stream: TcpStream, address: &str) -> Result<Bytes, String> {
    let request = Request::get("/stats")
        .header(HOST, address)
        .header(ACCEPT, "application/json")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| "the address is not of the form host:port".to_owned())?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| no_http(&error))?;
    // Its errors come out of the request as well.
    let connection = tokio::spawn(connection);
    let answer = match sender.send_request(request).await {
        Ok(response) => body(response).await,
        Err(error) => Err(no_http(&error)),
    };
    connection.abort();
    answer
}

async fn body(response: Response<Incoming>) -> Result<Bytes, String> {
    if response.status() != StatusCode::OK {
        return Err(format!("the answer is HTTP status {}", response.status().as_u16()));
    }
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let body = body.collect().await.map_err(|_| {
        format!("the answer breaks off, or is longer than {} MiB", ANSWER_BYTES_MAX >> 20)
    })?;
    Ok(body.to_bytes())
}

fn no_http(error: &hyper::Error) -> String {
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(error) => reason(error),
        None => "what answers there does not speak HTTP".to_owned(),
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::ConnectionReset => "connection reset".to_owned(),
        ErrorKind::InvalidInput => "the address is not of the form host:port".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        (listener, address)
    }

    fn ask(address: &str) -> Result<Figures, String> {
        Client::new(address).expect("a runtime").ask()
    }

    /// What the client says of a server that writes `answer` to one connection and closes it.
    fn asked(answer: Vec<u8>) -> Result<Figures, String> {
        let (listener, address) = listen();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = [0; 1024];
            let length = stream.read(&mut request).expect("a request");
            // A client that has read enough closes first.
            let _ = stream.write_all(&answer);
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let figures = ask(&address);
        let request = server.join().expect("the server ends");
        assert!(request.starts_with("GET /stats HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("host: {address}\r\n")), "{request}");
        figures
    }

    fn response(status: &str, body: &str) -> Vec<u8> {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
    }

    #[test]
    fn figures_are_read_and_what_is_missing_is_empty() {
        let figures = asked(response("200 OK", r#"{"state":"ready","more":[1]}"#));
        assert_eq!(figures, Ok(Figures { state: "ready".to_owned(), ..Figures::default() }));
    }

    #[test]
    fn a_wrong_answer_is_named() {
        let wrong = |answer| asked(answer).expect_err("no figures");
        assert!(wrong(response("404 Not Found", "")).ends_with("HTTP status 404"));
        assert!(wrong(response("200 OK", "<html>")).contains("not a corndog's"));
        assert!(wrong(response("200 OK", "{}")).contains("not a corndog's"));
        assert!(wrong(b"220 smtp.example ESMTP\r\n".to_vec()).contains("HTTP"));
        let long = " ".repeat(ANSWER_BYTES_MAX + 1);
        assert!(wrong(response("200 OK", &long)).contains("longer than 8 MiB"));
    }

    #[test]
    fn nobody_there_is_a_sentence() {
        let (listener, address) = listen();
        drop(listener);
        assert_eq!(ask(&address), Err("connection refused".to_owned()));
        assert_eq!(ask("no port"), Err("the address is not of the form host:port".to_owned()));
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up() {
        let (_listener, address) = listen();
        assert_eq!(ask(&address), Err("no answer in 2 s".to_owned()));
    }
}
