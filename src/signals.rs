//! SIGTERM, SIGINT and SIGHUP, on the main thread.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// To end; the signal's name.
    Stop(&'static str),
    /// To read the configuration again.
    Reload,
}

/// The signals, taken from when this is made.
pub struct Signals([(Signal, Request); 3]);

impl Signals {
    /// Takes them; within a runtime.
    pub fn take() -> io::Result<Signals> {
        Ok(Signals([
            (signal(SignalKind::terminate())?, Request::Stop("SIGTERM")),
            (signal(SignalKind::interrupt())?, Request::Stop("SIGINT")),
            (signal(SignalKind::hangup())?, Request::Reload),
        ]))
    }

    /// The next one.
    pub async fn next(&mut self) -> Request {
        poll_fn(|context| {
            for (signal, request) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*request);
                }
            }
            Poll::Pending
        })
        .await
    }
}
