//! Connections of the status server: few, short, and answered one after the other at a bounded rate,
//! so that whoever looks, or pretends to, takes nothing from the shards.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::answers::{Answer, Asked, CONTENT_SECURITY_POLICY, text};
use crate::figures::Status;

/// Connections at once. One more, and the oldest that asks for nothing at present is closed; where
/// all wait for their answers, the new one is.
const CONNECTIONS_MAX: usize = 16;
/// Bytes of a page: 1,000 topics with names of the longest kind.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// What all connections may hold.
pub const MEMORY_BYTES_MAX: usize = CONNECTIONS_MAX * PAGE_BYTES_MAX;
/// From the start of a request to the end of its header.
const HEADER_TIME_MAX: Duration = Duration::from_secs(2);
/// Of a connection: a client that reads slowly, or never, is closed then.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(15);
/// Bytes of a request's header, and fields in it.
const HEADER_BYTES_MAX: usize = 16 * 1024;
const HEADER_FIELDS_MAX: usize = 64;
/// Answers in a second, and how many at once before that: rendering one takes up to milliseconds.
const ANSWERS_PER_SECOND: u32 = 20;
const ANSWERS_AT_ONCE: u32 = 20;
/// Between an answer and the next on the same connection, whatever has been asked meanwhile.
const AGAIN_PAUSE: Duration = Duration::from_millis(250);
/// Connections accepted in a second, and at once.
const ACCEPTS_PER_SECOND: u32 = 200;
const ACCEPTS_AT_ONCE: u32 = 50;
/// After accept failed: descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Binds the server's socket.
///
/// Errors: one sentence.
pub fn bind(address: SocketAddr) -> Result<std::net::TcpListener, String> {
    let bound = std::net::TcpListener::bind(address);
    let listener = bound.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|why| {
        format!(
            "status.address: {address} cannot be had: {why}; give a free one, or \"\" for no status server"
        )
    })
}

/// Takes a kind and a sentence.
type Warn = dyn Fn(&'static str, &str);

/// What all connections share.
pub struct Server {
    answer: Box<dyn Fn(Asked<'_>) -> Answer>,
    warn: Box<Warn>,
    answers: Pace,
    accepts: Pace,
    /// The oldest first.
    open: RefCell<VecDeque<Open>>,
    requests: Cell<u64>,
    refused: Cell<u64>,
    closed: Cell<u64>,
}

/// A connection.
struct Open {
    number: u64,
    task: AbortHandle,
    /// It has asked, and waits for its answer.
    has_asked: Rc<Cell<bool>>,
}

impl Server {
    /// One that answers so, and that warns so of clients that it does not serve: with a kind, of
    /// which the log has one line for each interval.
    pub fn new(
        answer: impl Fn(Asked<'_>) -> Answer + 'static,
        warn: impl Fn(&'static str, &str) + 'static,
    ) -> Server {
        Server {
            answer: Box::new(answer),
            warn: Box::new(warn),
            answers: Pace::new(ANSWERS_PER_SECOND, ANSWERS_AT_ONCE),
            accepts: Pace::new(ACCEPTS_PER_SECOND, ACCEPTS_AT_ONCE),
            open: RefCell::default(),
            requests: Cell::default(),
            refused: Cell::default(),
            closed: Cell::default(),
        }
    }

    /// What it counted.
    pub fn status(&self) -> Status {
        Status {
            requests: self.requests.get(),
            refused: self.refused.get(),
            closed: self.closed.get(),
        }
    }

    /// Serves whoever connects, without end.
    pub async fn serve(self: Rc<Self>, listener: TcpListener) {
        for number in 0.. {
            self.accepts.turn().await;
            match listener.accept().await {
                Ok((stream, peer)) => self.admit(number, stream, peer),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn admit(self: &Rc<Self>, number: u64, stream: TcpStream, peer: SocketAddr) {
        let mut open = self.open.borrow_mut();
        if open.len() >= CONNECTIONS_MAX {
            add(&self.refused);
            let text = format!(
                "status server: {CONNECTIONS_MAX} connections are open when {peer} comes; \
                 one of them ends"
            );
            (self.warn)("status_connections", &text);
            let Some(idle) = open.iter().position(|open| !open.has_asked.get()) else { return };
            if let Some(idle) = open.remove(idle) {
                idle.task.abort();
            }
        }
        let (server, has_asked) = (self.clone(), Rc::new(Cell::new(false)));
        let asked = has_asked.clone();
        let task = tokio::task::spawn_local(async move {
            let talk = server.clone().talk(stream, asked);
            // Too slow, too long, not HTTP, or gone.
            if timeout(CONNECTION_TIME_MAX, talk).await != Ok(true) {
                add(&server.closed);
                let text = format!("status server: {peer} is too slow, or does not speak HTTP");
                (server.warn)("status_client", &text);
            }
            server.open.borrow_mut().retain(|open| open.number != number);
        });
        open.push_back(Open { number, task: task.abort_handle(), has_asked });
    }

    /// Answers one connection's requests; whether it ended as it should.
    async fn talk(self: Rc<Self>, stream: TcpStream, has_asked: Rc<Cell<bool>>) -> bool {
        let server = self.clone();
        let is_first = Cell::new(true);
        let service = service_fn(move |request| {
            let (server, has_asked) = (server.clone(), has_asked.clone());
            let is_first = is_first.replace(false);
            async move {
                if !is_first {
                    sleep(AGAIN_PAUSE).await;
                }
                has_asked.set(true);
                let response = server.respond(&request).await;
                has_asked.set(false);
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME_MAX)
            .max_buf_size(HEADER_BYTES_MAX)
            .max_headers(HEADER_FIELDS_MAX)
            .serve_connection(TokioIo::new(stream), service);
        connection.await.is_ok()
    }

    async fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        self.answers.turn().await;
        add(&self.requests);
        let answer = match *request.method() {
            Method::GET | Method::HEAD => {
                let accept = request.headers().get(header::ACCEPT);
                let accept = accept.and_then(|accept| accept.to_str().ok()).unwrap_or_default();
                let wants_html = accept.contains("text/html");
                (self.answer)(Asked { path: request.uri().path(), wants_html })
            }
            _ => text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD alone\n".to_owned()),
        };
        response(answer)
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    let mut set = |name, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_TYPE, answer.media_type);
    set(header::CACHE_CONTROL, "no-store");
    set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        set(header::ALLOW, "GET, HEAD");
        set(header::CONNECTION, "close");
    }
    response
}

fn add(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

/// So many turns in a second; whoever comes too early waits, in the order of coming. Who gives up
/// waiting takes no turn.
struct Pace {
    each: Duration,
    ahead: Duration,
    /// When the next turn would be, if no turn was ever saved up.
    next: Mutex<Instant>,
}

impl Pace {
    fn new(per_second: u32, at_once: u32) -> Pace {
        let each = Duration::from_secs(1) / per_second;
        Pace { each, ahead: each * at_once, next: Mutex::new(Instant::now()) }
    }

    async fn turn(&self) {
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        let now = Instant::now();
        let oldest = now.checked_sub(self.ahead).unwrap_or(now);
        *next = (*next).max(oldest) + self.each;
    }
}
