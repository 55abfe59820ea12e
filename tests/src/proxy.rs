//! A way between client and broker that a test can cut: requests that were sent may have arrived,
//! and nobody hears the answers.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A TCP proxy on loopback. It and its connections end with the test binary.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    /// The broker's port; 0: not known yet. The test writes, the accepting thread reads.
    port: Arc<AtomicU16>,
    /// Both ends of each connection. The accepting thread adds, the test takes.
    connections: Arc<Mutex<Vec<[TcpStream; 2]>>>,
}

impl Proxy {
    /// Starts to listen; connections are closed until it is known where it leads.
    pub fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound");
        let proxy = Proxy { address, port: Arc::default(), connections: Arc::default() };
        let (port, connections) = (Arc::clone(&proxy.port), Arc::clone(&proxy.connections));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let port = port.load(Ordering::Relaxed);
                let Ok(broker) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                if let Ok(ends) = join(&client, &broker) {
                    connections.lock().unwrap_or_else(PoisonError::into_inner).push(ends);
                }
            }
        });
        proxy
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The broker's port.
    pub fn lead_to(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }

    /// Closes all connections, on both sides; how many there were.
    pub fn cut(&self) -> usize {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let cut = connections.drain(..).filter(|[client, broker]| {
            // The client's end first: what the broker answers to what it has is not heard.
            let was_open = client.shutdown(Shutdown::Both).is_ok();
            let _ = broker.shutdown(Shutdown::Both);
            was_open
        });
        cut.count()
    }
}

/// Copies both ways until either end closes.
fn join(client: &TcpStream, broker: &TcpStream) -> io::Result<[TcpStream; 2]> {
    let ways =
        [(client.try_clone()?, broker.try_clone()?), (broker.try_clone()?, client.try_clone()?)];
    for (from, to) in ways {
        to.set_nodelay(true)?;
        thread::spawn(move || copy(from, to));
    }
    Ok([client.try_clone()?, broker.try_clone()?])
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
