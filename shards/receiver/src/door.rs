//! A listener of one shard: accepts, lets in or refuses, and finds out who a connection is (PROXY
//! header, TLS) before its first frame is read.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corndog_pipeline::client_name::ClientName;
use corndog_pipeline::counters::Refused;
use corndog_pipeline::listen::Transport;
use corndog_pipeline::network;
use corndog_pipeline::proxy;
use futures_lite::future::or;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use futures_rustls::TlsAcceptor;
use futures_rustls::server::TlsStream;
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::Timer;
use rustls::{CertificateError, Error as TlsError, ServerConfig};

use crate::adopt;
use crate::connection::{Connection, Visitor};
use crate::foreign::{self, Foreign};
use crate::origin::{Origin, Reading};
use crate::process;
use crate::settings::Listen;
use crate::shard::Shard;
use crate::tls;
use crate::tls::wire::Wire;
use crate::watch::{Order, Watch};

/// The pause after accept failed: descriptors or memory are short, and trying at once would spin. It
/// is over when a connection of the shard ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// At a drain: how long the backlog may be empty before it is taken to be.
const BACKLOG_QUIET: Duration = Duration::from_millis(2);
/// Connections taken from the backlog at a drain.
const BACKLOG_MAX: usize = 4096;
/// At a drain: how long one that has not said who it is yet may still take.
const OPENING_DRAIN: Duration = Duration::from_millis(200);
/// How long a TLS sender may take to take our goodbye.
const GOODBYE_TIME_MAX: Duration = Duration::from_millis(100);

/// One listener of one shard. It closes with this, whatever came in by it.
pub(crate) struct Door {
    listener: TcpListener,
    porter: Rc<Porter>,
}

/// Who lets in.
struct Porter {
    shard: Rc<Shard>,
    listen: Listen,
    reading: Rc<Reading>,
}

/// Why a connection is not let in.
enum Refusal {
    /// It speaks something else.
    Foreign(Foreign),
    /// The reason, and a sentence.
    For(Refused, String),
}

impl Door {
    pub(crate) fn new(shard: Rc<Shard>, socket: OwnedFd, listen: Listen) -> Self {
        let reading = Reading::of(&listen);
        let porter = Rc::new(Porter { shard, listen, reading });
        Door { listener: adopt::listener(socket), porter }
    }

    pub(crate) async fn accept_on(self: Rc<Self>) {
        loop {
            match self.listener.accept().await {
                Ok(stream) => self.porter.admit(stream),
                Err(why) => {
                    let Porter { shard, listen, .. } = &*self.porter;
                    shard.counters().accept_failed.add(1);
                    shard.warn("accept", || {
                        format!("listen {:?}: no connection can be accepted: {why}", listen.name)
                    });
                    let pause = async {
                        Timer::new(ACCEPT_PAUSE).await;
                    };
                    or(shard.connection_end(), pause).await;
                }
            }
        }
    }

    /// At a drain: takes the connections that the kernel has already made.
    pub(crate) async fn take_backlog(&self) {
        for _ in 0..BACKLOG_MAX {
            let quiet = async {
                Timer::new(BACKLOG_QUIET).await;
                None
            };
            match or(async { self.listener.accept().await.ok() }, quiet).await {
                Some(stream) => self.porter.admit(stream),
                None => return,
            }
        }
    }
}

impl Porter {
    fn admit(self: &Rc<Self>, stream: TcpStream) {
        let counters = self.shard.counters();
        let address = match self.listen.transport {
            Transport::UnixStream => None,
            _ => match stream.peer_addr() {
                Ok(address) => Some(address),
                // A peer that has gone already has no address any more: nothing is lost with it
                // that it could not have lost on the way.
                Err(_) => return,
            },
        };
        let mut origin = self.origin(address);
        if self.listen.transport == Transport::UnixStream {
            origin.set_process(process::connected(adopt::borrow(&stream)));
        }
        if address.is_some_and(|address| !network::allows(&self.listen.allow, address.ip())) {
            let text = "its address is in none of the networks in allow".to_owned();
            return self.say(Some(Refusal::For(Refused::NotAllowed, text)), &origin);
        }
        // Behind a proxy all have one address: whose a connection is, its header says.
        let whose = address.filter(|_| !self.listen.proxy_protocol).map(|address| address.ip());
        let ticket = match self.shard.settings().gate.enter(whose) {
            Ok(ticket) => ticket,
            Err(why) => return self.say(Some(Refusal::For(why, too_many(why))), &origin),
        };
        counters.accepted.add(1);
        let listener = self.listen.index;
        counters.listeners[listener].accepted.add(1);
        let number = counters.accepted.value();
        let now = Instant::now();
        let watch = Rc::new(Watch::new(now));
        self.shard.enter(number, watch.clone());
        let visitor = Visitor { origin, ticket, watch };
        let shard = self.shard.clone();
        if self.listen.tls.is_none() && !self.listen.proxy_protocol {
            let connection = Connection::of_socket(shard.clone(), stream, visitor, &[]);
            glommio::spawn_local(async move {
                connection.serve().await;
                shard.leave(number, listener);
            })
            .detach();
        } else {
            shard.begin_opening(number, &visitor.watch, now);
            let porter = self.clone();
            glommio::spawn_local(async move {
                porter.open(stream, visitor, number).await;
                shard.leave(number, listener);
            })
            .detach();
        }
    }

    fn origin(&self, address: Option<SocketAddr>) -> Origin {
        match address {
            Some(address) => Origin::new(address, self.reading.clone()),
            None => Origin::of_machine(&self.shard.settings().machine, self.reading.clone()),
        }
    }

    /// Finds out who it is, and serves it.
    async fn open(self: Rc<Self>, mut stream: TcpStream, mut visitor: Visitor, number: u64) {
        let mut unread = Vec::new();
        if self.listen.proxy_protocol {
            let watch = visitor.watch.clone();
            let header = self.read_header(&mut stream, &mut visitor, &mut unread);
            match or(told(&watch), header).await {
                Ok(()) => {}
                Err(refusal) => return self.say(refusal, &visitor.origin),
            }
        }
        let Some(cell) = &self.listen.tls else {
            self.shard.end_opening(number);
            Connection::of_socket(self.shard.clone(), stream, visitor, &unread).serve().await;
            return;
        };
        let config = cell.config();
        let wire = Wire::new(self.shard.clone(), stream, &unread);
        drop(unread);
        let server = config.server.clone();
        let shaken = or(told(&visitor.watch), shake_hands(&self.shard, server, wire)).await;
        self.shard.end_opening(number);
        match shaken {
            Ok(stream) => {
                visitor.origin.set_client_name(client_name(&stream, &config.client_names));
                drop(config);
                let connection = Connection::new(self.shard.clone(), *stream, visitor, &[]);
                let mut stream = connection.serve().await;
                let close = async { stream.close().await.is_ok() };
                let late = async {
                    Timer::new(GOODBYE_TIME_MAX).await;
                    false
                };
                or(close, late).await;
            }
            Err(refusal) => self.say(refusal, &visitor.origin),
        }
    }

    fn say(&self, refusal: Option<Refusal>, origin: &Origin) {
        match refusal {
            Some(Refusal::Foreign(what)) => self.shard.refuse_foreign(what, origin),
            Some(Refusal::For(why, text)) => {
                self.shard.refuse(why, origin, || format!("refused: {text}"));
            }
            None => {}
        }
    }

    /// Reads the PROXY header; what came behind it is left in `unread`.
    async fn read_header(
        &self,
        stream: &mut TcpStream,
        visitor: &mut Visitor,
        unread: &mut Vec<u8>,
    ) -> Result<(), Option<Refusal>> {
        let refuse = |text: &str| Some(Refusal::For(Refused::ProxyHeader, text.to_owned()));
        unread.resize(proxy::HEADER_BYTES_MAX, 0);
        let mut filled = 0;
        let header = loop {
            let read = stream.read(&mut unread[filled..]).await;
            filled += match read {
                // It came and went, as health checks do.
                Ok(0) | Err(_) if filled == 0 => return Err(None),
                Ok(0) | Err(_) => {
                    return Err(refuse("it closed before its PROXY header was whole"));
                }
                Ok(read) => read,
            };
            match proxy::parse(&unread[..filled]) {
                Ok(Some(header)) => break header,
                Ok(None) => {}
                Err(why) => {
                    let text = format!("{} came first, and proxy_protocol = true", why.describe());
                    return Err(refuse(&text));
                }
            }
        };
        unread.truncate(filled);
        unread.drain(..header.bytes);
        if let Some(source) = header.source {
            visitor.origin.set_address(source);
            let assigned = visitor.ticket.assign(source.ip());
            assigned.map_err(|why| Some(Refusal::For(why, too_many(why))))?;
        }
        Ok(())
    }
}

/// Which limit it was.
fn too_many(why: Refused) -> String {
    format!("limits.{} was reached", why.name())
}

/// What a connection is told while it is being opened; `None`: it ends without a word.
async fn told<T>(watch: &Watch) -> Result<T, Option<Refusal>> {
    Err(match watch.told().await {
        Order::Refuse(why @ Refused::Handshakes) => Some(Refusal::For(
            why,
            "too many connections are at their handshake, and it had been longest".to_owned(),
        )),
        Order::Refuse(why) => Some(Refusal::For(
            why,
            format!("limits.{} was over before it said who it is", why.name()),
        )),
        Order::Drain | Order::Close(_) => {
            // What it has sent already is with the kernel, and it will be read.
            Timer::new(OPENING_DRAIN).await;
            None
        }
    })
}

/// TLS, up to where the client is known. Boxed: what a connection is while this runs is small then.
async fn shake_hands(
    shard: &Rc<Shard>,
    config: Arc<ServerConfig>,
    wire: Wire,
) -> Result<Box<TlsStream<Wire>>, Option<Refusal>> {
    let mut first = Vec::new();
    let accept = TlsAcceptor::from(config).accept(wire).into_fallible();
    let why = match shard.pace.run(Box::pin(accept)).await {
        Ok(mut stream) => {
            stream.get_mut().0.end_handshake();
            return Ok(Box::new(stream));
        }
        Err((why, wire)) => {
            first.extend_from_slice(wire.first());
            why
        }
    };
    if first.is_empty() {
        // It came and went, as health checks do.
        return Err(None);
    }
    if let Some(what) = foreign::in_tls(&first) {
        return Err(Some(Refusal::Foreign(what)));
    }
    Err(Some(refusal_of(&why)))
}

/// The name by which a verified client is known; `None`: it showed no certificate.
fn client_name(stream: &TlsStream<Wire>, wanted: &[ClientName]) -> Option<String> {
    tls::names::verified_name(stream.get_ref().1.peer_certificates()?.first()?, wanted)
}

/// Why TLS could not be agreed on.
fn refusal_of(why: &io::Error) -> Refusal {
    let inner = why.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    match inner {
        Some(TlsError::NoCertificatesPresented) => Refusal::For(
            Refused::Certificate,
            "it shows no certificate, and tls.client_auth = \"required\"".to_owned(),
        ),
        Some(TlsError::InvalidCertificate(CertificateError::Other(ours))) => {
            Refusal::For(Refused::Certificate, ours.0.to_string())
        }
        Some(TlsError::InvalidCertificate(CertificateError::UnknownRevocationStatus)) => {
            Refusal::For(
                Refused::Certificate,
                "tls.crl holds no CRL of a CA that has signed its certificate, or the chain"
                    .to_owned(),
            )
        }
        Some(
            inner @ (TlsError::InvalidCertificate(_) | TlsError::InvalidCertRevocationList(_)),
        ) => Refusal::For(Refused::Certificate, inner.to_string()),
        Some(inner) => Refusal::For(Refused::Tls, format!("TLS: {inner}")),
        None => Refusal::For(Refused::Tls, format!("TLS: {why}")),
    }
}
