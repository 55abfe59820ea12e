//! A receiver shard's thread, from its core to its end.

use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use corndog_pipeline::control::{Notice, Phase};
use corndog_pipeline::rules::Oversize;
use futures_lite::future::or;
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::Timer;
use glommio::{GlommioError, LocalExecutor, LocalExecutorBuilder, Placement};
use io_uring::IoUring;

use crate::connection::Connection;
use crate::settings::{Listen, Live, ReceiverSettings};
use crate::shard::{Origin, Shard};

/// Memory that io_uring pins per shard and ring. Sockets are read into our own buffers, so the
/// smallest that glommio takes is enough (its default pins 30 MiB).
const IO_MEMORY_BYTES: usize = 64 * 1024;
/// Entries of the ring that is asked for to see whether one can be had.
const PROBE_ENTRIES: u32 = 8;
/// A busy shard looks for new events this often at least. A shorter time costs nothing, but makes
/// more of what `kick.rs` tells.
const PREEMPT: Duration = Duration::from_millis(4);
/// How often a shard looks at the phase.
const TICK: Duration = Duration::from_millis(20);
/// How often connections are looked at for their time.
const SWEEP: Duration = Duration::from_millis(200);
/// The pauses between looks for batches that come home while connections wait for them.
const HOME_MIN: Duration = Duration::from_millis(1);
const HOME_MAX: Duration = Duration::from_millis(16);
/// The pause after accept failed: descriptors or memory are short, and trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// At a drain: how long the backlog may be empty before it is taken to be.
const BACKLOG_QUIET: Duration = Duration::from_millis(2);
/// Connections taken from the backlog at a drain: what glommio's `listen` asks for.
const BACKLOG_MAX: usize = 1024;

/// Starts the shard's thread. Whether it is up, it says by a notice.
///
/// Errors: the thread cannot be made.
pub fn spawn(settings: ReceiverSettings, live: Box<Live>) -> std::io::Result<JoinHandle<()>> {
    let name = format!("receiver {}", settings.index);
    std::thread::Builder::new().name(name).spawn(move || {
        let notices = settings.notices.clone();
        if let Err(why) = run(settings, live) {
            let _ = notices.send(Notice::Refused(why));
        }
    })
}

fn run(settings: ReceiverSettings, live: Box<Live>) -> Result<(), String> {
    if !core_affinity::set_for_current(core_affinity::CoreId { id: settings.core }) {
        return Err(format!(
            "shards.cores: receiver {} cannot run on core {}; give it one that this process may use",
            settings.index, settings.core
        ));
    }
    let executor = executor()?;
    executor.run(async move {
        let shard = Rc::new(Shard::new(settings, live));
        let listeners = bind(&shard)?;
        let _ = shard.settings().notices.send(Notice::Started);
        serve(shard, listeners).await;
        Ok(())
    })
}

fn executor() -> Result<LocalExecutor, String> {
    // glommio panics where the kernel refuses a ring: ask first.
    IoUring::new(PROBE_ENTRIES).map_err(|why| refusal(why.raw_os_error(), &why.to_string()))?;
    let made = LocalExecutorBuilder::new(Placement::Unbound)
        .io_memory(IO_MEMORY_BYTES)
        .preempt_timer(PREEMPT)
        .make();
    made.map_err(|why| {
        // glommio hides its own limit (512 KiB of locked memory) in the text of an I/O error.
        let text = why.to_string();
        let code = match &why {
            _ if text.contains("MemLockLimit") => Some(ENOMEM),
            GlommioError::IoError(error) => error.raw_os_error(),
            _ => None,
        };
        refusal(code, &text)
    })
}

/// Why there is no executor, and what to do.
fn refusal(code: Option<i32>, why: &str) -> String {
    let hint = match code {
        Some(ENOMEM) => {
            "the limit on locked memory is too low; allow at least 1 MiB per receiver (ulimit -l, \
             LimitMEMLOCK=)"
        }
        Some(EMFILE | ENFILE) => {
            "no file descriptor is free; allow more of them (ulimit -n, LimitNOFILE=)"
        }
        Some(ENOSYS) => {
            "this kernel has no io_uring, or hides it; Linux 5.8 or newer is needed, and a seccomp \
             profile that allows it"
        }
        Some(EPERM | EACCES) => {
            "io_uring is refused; allow it (sysctl kernel.io_uring_disabled=0, and the container's \
             seccomp profile)"
        }
        _ => "the kernel gives it no io_uring",
    };
    format!("a receiver cannot start: {hint} ({why})")
}

// errno(3), as the kernel's ABI has them on Linux.
const EPERM: i32 = 1;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOSYS: i32 = 38;

fn bind(shard: &Shard) -> Result<Vec<Rc<TcpListener>>, String> {
    let bind = |listen: &Listen| {
        TcpListener::bind(listen.address).map(Rc::new).map_err(|why| {
            format!(
                "listen {:?}: cannot listen on {}: {why}; choose a free address of this machine",
                listen.name, listen.address
            )
        })
    };
    shard.settings().listen.iter().map(bind).collect()
}

/// Runs the shard from its first connection to its last batch.
async fn serve(shard: Rc<Shard>, listeners: Vec<Rc<TcpListener>>) {
    let kick = shard.settings().kick.clone();
    let kicks = glommio::spawn_local(async move { kick.take().await });
    while shard.phase() == Phase::Starting {
        Timer::new(HOME_MIN).await;
    }
    glommio::spawn_local(watch_age(shard.clone())).detach();
    glommio::spawn_local(watch_returns(shard.clone())).detach();
    let doors: Vec<Rc<Door>> = listeners
        .into_iter()
        .zip(&shard.settings().listen)
        .map(|(listener, listen)| Rc::new(Door::new(shard.clone(), listener, listen)))
        .collect();
    let accepts: Vec<_> =
        doors.iter().map(|door| glommio::spawn_local(door.clone().accept_on())).collect();
    let mut swept_at = Instant::now();
    while shard.phase() < Phase::Draining {
        Timer::new(TICK).await;
        shard.take_live();
        if swept_at.elapsed() >= SWEEP {
            swept_at = Instant::now();
            shard.sweep(swept_at);
        }
    }
    for accept in accepts {
        accept.cancel().await;
    }
    for door in &doors {
        door.take_backlog().await;
    }
    drop(doors);
    shard.drain();
    while shard.connection_count() > 0 {
        Timer::new(HOME_MIN).await;
        if shard.phase() == Phase::Aborting {
            shard.wake_held();
        }
    }
    shard.send_aged(None);
    // In this order: a waker must not outlive its executor.
    kicks.cancel().await;
    shard.settings().kick.end();
}

/// Sends each open batch when it is old enough.
async fn watch_age(shard: Rc<Shard>) {
    loop {
        let now = Instant::now();
        match shard.send_aged(Some(now)) {
            Some(due) => {
                Timer::new(due.saturating_duration_since(now)).await;
            }
            None => shard.opened.wait().await,
        }
    }
}

/// While connections wait for a batch: looks for those that come home.
async fn watch_returns(shard: Rc<Shard>) {
    let mut pause = HOME_MIN;
    loop {
        if shard.has_held() {
            Timer::new(pause).await;
            pause = if shard.wake_held() { HOME_MIN } else { (pause * 2).min(HOME_MAX) };
        } else {
            pause = HOME_MIN;
            shard.starved.wait().await;
        }
    }
}

/// One listener of one shard.
struct Door {
    shard: Rc<Shard>,
    listener: Rc<TcpListener>,
    name: Rc<str>,
    oversize: Oversize,
}

impl Door {
    fn new(shard: Rc<Shard>, listener: Rc<TcpListener>, listen: &Listen) -> Self {
        Door { shard, listener, name: listen.name.as_str().into(), oversize: listen.oversize }
    }

    async fn accept_on(self: Rc<Self>) {
        loop {
            match self.listener.accept().await {
                Ok(stream) => self.admit(stream),
                Err(why) => {
                    self.shard.counters().accept_failed.add(1);
                    self.shard.warn("accept", || {
                        format!("listen {:?}: no connection can be accepted: {why}", &*self.name)
                    });
                    Timer::new(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// At a drain: takes the connections that the kernel has already made.
    async fn take_backlog(&self) {
        for _ in 0..BACKLOG_MAX {
            let quiet = async {
                Timer::new(BACKLOG_QUIET).await;
                None
            };
            match or(async { self.listener.accept().await.ok() }, quiet).await {
                Some(stream) => self.admit(stream),
                None => return,
            }
        }
    }

    fn admit(&self, stream: TcpStream) {
        let counters = self.shard.counters();
        // A peer that has gone already has no address any more: nothing is lost with it that it
        // could not have lost on the way.
        let Ok(address) = stream.peer_addr() else { return };
        let ticket = match self.shard.settings().gate.enter(address.ip()) {
            Ok(ticket) => ticket,
            Err(reason) => {
                counters.closed[reason as usize].add(1);
                self.shard.warn(reason.name(), || {
                    format!("{address} on {:?}: refused: limits.{}", &*self.name, reason.name())
                });
                return;
            }
        };
        counters.accepted.add(1);
        let number = counters.accepted.value();
        let origin = Origin::new(address, self.name.clone(), self.oversize);
        let shard = self.shard.clone();
        let connection = Connection::new(shard.clone(), stream, origin, ticket);
        shard.enter(number, connection.watch());
        glommio::spawn_local(async move {
            connection.serve().await;
            shard.leave(number);
        })
        .detach();
    }
}
