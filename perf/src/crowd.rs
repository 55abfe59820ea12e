//! Connections that are there and send nothing.

use crate::failure::Failure;
use crate::forwarder::Running;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Until the forwarder has taken the last of them.
const ACCEPT_TIME_MAX: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(20);
/// Descriptors of the measuring process, beside those of the crowd.
const DESCRIPTORS_BASE: u64 = 512;

/// Open connections.
pub struct Crowd(Vec<TcpStream>);

impl Crowd {
    /// Connects `count` of them, and waits until the forwarder, which has settled, has taken them all.
    ///
    /// Errors: `Failure::Setup` where this process may not have as many, `Failure::Run` where the
    /// forwarder does not take them.
    pub fn open(port: u16, count: usize, running: &mut Running) -> Result<Crowd, Failure> {
        allow_descriptors(count as u64 + DESCRIPTORS_BASE)?;
        let before = running.descriptor_count()?;
        let mut streams = Vec::with_capacity(count);
        for number in 1..=count {
            match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                Ok(stream) => streams.push(stream),
                Err(error) => {
                    thread::sleep(TICK);
                    // Why it has ended says more.
                    running.check()?;
                    return Err(Failure::Run(format!("idle connection {number}: {error}")));
                }
            }
        }
        let deadline = Instant::now() + ACCEPT_TIME_MAX;
        while running.descriptor_count()? < before + count {
            running.check()?;
            if Instant::now() > deadline {
                return Err(Failure::Run(format!(
                    "the forwarder did not take {count} connections"
                )));
            }
            thread::sleep(TICK);
        }
        Ok(Crowd(streams))
    }

    /// Closes all.
    ///
    /// Errors: the forwarder had closed some.
    pub fn leave(self) -> Result<(), Failure> {
        let is_open = |stream: &TcpStream| {
            let _ = stream.set_nonblocking(true);
            matches!(stream.peek(&mut [0]), Err(why) if why.kind() == ErrorKind::WouldBlock)
        };
        let open = self.0.iter().filter(|stream| is_open(stream)).count();
        match self.0.len() - open {
            0 => Ok(()),
            gone => Err(Failure::Run(format!("the forwarder closed {gone} idle connections"))),
        }
    }
}

fn allow_descriptors(wanted: u64) -> Result<(), Failure> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).map_err(|_| {
        Failure::Setup(format!("{wanted} file descriptors are needed: allow them (ulimit -Hn)"))
    })
}
