//! Clients of a status server that mean it ill: they hold connections, send half requests, never read
//! what they asked for, or knock and run.
//!
//! Two threads, which sleep between their steps: they are to cost the server, not the machine that it
//! shares with them. Bounded in connections, in connects a second and in time.

use crate::cpu;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Between two steps of those that hold connections, and how many of them connect in one: 500 a second.
const STEP: Duration = Duration::from_millis(20);
const CONNECTS_PER_STEP: usize = 10;
/// The same of those that knock: 1500 a second.
const KNOCK_STEP: Duration = Duration::from_millis(10);
const KNOCKS_PER_STEP: usize = 15;
/// The server's queue is full then.
const CONNECT_TIME_MAX: Duration = Duration::from_millis(20);
/// Of all of them, whoever forgets to end them.
const TIME_MAX: Duration = Duration::from_secs(120);
/// Connections of each kind.
const KINDS: &[(Kind, usize)] =
    &[(Kind::Silent, 16), (Kind::Half, 16), (Kind::Slow, 16), (Kind::Deaf, 8)];
const DEAF_ALONE: &[(Kind, usize)] = &[(Kind::Deaf, 8)];

const HALF: &[u8] = b"GET /stats HTTP/1.1\r\nHost: abuse\r\nX-Half: ";
const SLOW: &[u8] =
    b"GET /metrics HTTP/1.1\r\nHost: abuse\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const BOTH: &[u8] =
    b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\nGET /stats HTTP/1.1\r\nHost: a\r\n\r\n";

/// Who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crew {
    /// All kinds at once, which push each other out of the server.
    All,
    /// Those that ask without end and never read: the server renders all that it ever will.
    Deaf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Says nothing.
    Silent,
    /// Ends amid a header.
    Half,
    /// A byte each step.
    Slow,
    /// Asks for both pages without end, and reads neither.
    Deaf,
}

/// What they did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Connections made.
    pub connects: u64,
    /// Connects that were not taken in time.
    pub refused: u64,
    /// Connections that the server closed.
    pub closed: u64,
    /// Bytes that the kernel took of them.
    pub bytes: u64,
    /// CPU time of their threads.
    pub cpu: Duration,
}

impl Tally {
    fn add(self, more: Tally) -> Tally {
        Tally {
            connects: self.connects + more.connects,
            refused: self.refused + more.refused,
            closed: self.closed + more.closed,
            bytes: self.bytes + more.bytes,
            cpu: self.cpu + more.cpu,
        }
    }
}

/// Abuses the server on that port of 127.0.0.1 until `ended`.
pub fn abuse(port: u16, crew: Crew, ended: &AtomicBool) -> Tally {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    thread::scope(|scope| match crew {
        Crew::Deaf => hold(address, DEAF_ALONE, ended),
        Crew::All => {
            let knocking = scope.spawn(|| knock(address, ended));
            // A thread that panics has nothing to tell.
            hold(address, KINDS, ended).add(knocking.join().unwrap_or_default())
        }
    })
}

/// Connects and closes.
fn knock(address: SocketAddr, ended: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let until = Instant::now() + TIME_MAX;
    while !ended.load(Relaxed) && Instant::now() < until {
        for _ in 0..KNOCKS_PER_STEP {
            if connect(address, &mut tally).is_none() {
                break;
            }
        }
        thread::sleep(KNOCK_STEP);
    }
    tally.cpu = cpu::of_thread();
    tally
}

/// Holds so many connections of each kind.
fn hold(address: SocketAddr, kinds: &[(Kind, usize)], ended: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let began = cpu::of_thread();
    let mut holders: Vec<Holder> = kinds
        .iter()
        .flat_map(|&(kind, count)| (0..count).map(move |_| Holder { kind, stream: None, at: 0 }))
        .collect();
    let until = Instant::now() + TIME_MAX;
    while !ended.load(Relaxed) && Instant::now() < until {
        let mut connects = CONNECTS_PER_STEP;
        for holder in &mut holders {
            if holder.stream.is_none() && connects > 0 {
                connects -= 1;
                holder.stream = connect(address, &mut tally);
                holder.at = 0;
                if holder.stream.is_none() {
                    // The queue is full: the others would wait, too.
                    connects = 0;
                }
            }
            holder.step(&mut tally);
        }
        // Not always the same ones come first.
        holders.rotate_left(1);
        thread::sleep(STEP);
    }
    tally.cpu = cpu::of_thread().saturating_sub(began);
    tally
}

fn connect(address: SocketAddr, tally: &mut Tally) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_TIME_MAX)
        .and_then(|stream| stream.set_nonblocking(true).map(|()| stream));
    match stream {
        Ok(_) => tally.connects += 1,
        Err(_) => tally.refused += 1,
    }
    stream.ok()
}

/// One connection, and how far it is in what it sends: `at` is below the text's length, or at its end.
struct Holder {
    kind: Kind,
    stream: Option<TcpStream>,
    at: usize,
}

impl Holder {
    fn step(&mut self, tally: &mut Tally) {
        let Some(stream) = &mut self.stream else { return };
        let due: &[u8] = match self.kind {
            Kind::Silent => &[],
            Kind::Half => &HALF[self.at..],
            Kind::Slow => &SLOW[self.at..SLOW.len().min(self.at + 1)],
            Kind::Deaf => &BOTH[self.at..],
        };
        let is_open = match due {
            // The Deaf never come here, whose answers lie unread: they find out by a write.
            [] => matches!(stream.peek(&mut [0]), Err(why) if why.kind() == ErrorKind::WouldBlock),
            due => match stream.write(due) {
                Ok(count) => {
                    self.at += count;
                    tally.bytes += count as u64;
                    true
                }
                Err(why) => why.kind() == ErrorKind::WouldBlock,
            },
        };
        if self.kind == Kind::Deaf && self.at == BOTH.len() {
            self.at = 0;
        }
        if !is_open {
            tally.closed += 1;
            self.stream = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    fn take(kind: Kind, steps: usize) -> Vec<u8> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut tally = Tally::default();
        let stream = connect(listener.local_addr().unwrap(), &mut tally);
        let mut taken = listener.accept().unwrap().0;
        let mut holder = Holder { kind, stream, at: 0 };
        (0..steps).for_each(|_| holder.step(&mut tally));
        assert!(holder.stream.is_some());
        drop(holder);
        let mut bytes = Vec::new();
        taken.read_to_end(&mut bytes).unwrap();
        assert_eq!((tally.connects, tally.bytes), (1, bytes.len() as u64));
        bytes
    }

    #[test]
    fn each_kind_sends_what_it_is_known_for() {
        assert_eq!(take(Kind::Silent, 3), b"");
        assert_eq!(take(Kind::Half, 3), HALF);
        assert_eq!(take(Kind::Slow, 3), b"GET");
        assert_eq!(take(Kind::Slow, 500), SLOW);
        assert_eq!(take(Kind::Deaf, 2), [BOTH, BOTH].concat());
    }

    #[test]
    fn what_the_server_closes_is_counted_and_connected_anew() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ended = AtomicBool::new(false);
        let tally = thread::scope(|scope| {
            let abusing = scope.spawn(|| abuse(port, Crew::All, &ended));
            (0..100).for_each(|_| drop(listener.accept().unwrap()));
            thread::sleep(STEP * 5);
            ended.store(true, Relaxed);
            abusing.join().unwrap()
        });
        assert!(tally.connects >= 100 && tally.closed > 0, "{tally:?}");
    }
}
