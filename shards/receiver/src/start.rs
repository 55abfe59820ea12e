//! A receiver shard's thread, from its core to its end.

use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use corndog_pipeline::control::{Notice, Phase};
use glommio::timer::Timer;
use glommio::{GlommioError, LocalExecutor, LocalExecutorBuilder, Placement};
use io_uring::IoUring;

use crate::datagrams;
use crate::door::Door;
use crate::settings::{Listen, Live, ReceiverSettings};
use crate::shard::Shard;

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

fn run(mut settings: ReceiverSettings, live: Box<Live>) -> Result<(), String> {
    if !core_affinity::set_for_current(core_affinity::CoreId { id: settings.core }) {
        return Err(format!(
            "shards.cores: receiver {} cannot run on core {}; give it one that this process may use",
            settings.index, settings.core
        ));
    }
    let executor = executor()?;
    executor.run(async move {
        let listen = std::mem::take(&mut settings.listen);
        let shard = Rc::new(Shard::new(settings, live));
        let _ = shard.settings().notices.send(Notice::Started);
        serve(shard, listen).await;
    });
    Ok(())
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

/// Runs the shard from its first connection to its last batch.
async fn serve(shard: Rc<Shard>, listen: Vec<Listen>) {
    let kick = shard.settings().kick.clone();
    let kicks = glommio::spawn_local(async move { kick.take().await });
    while shard.phase() == Phase::Starting {
        Timer::new(HOME_MIN).await;
    }
    glommio::spawn_local(watch_age(shard.clone())).detach();
    glommio::spawn_local(watch_returns(shard.clone())).detach();
    let beating = shard.clone();
    glommio::spawn_local(async move { beating.beat.give().await }).detach();
    let giving = shard.clone();
    let turns = async move { giving.pace.give_turns(|| giving.counters().bytes_in.value()).await };
    glommio::spawn_local(turns).detach();
    let mut doors: Vec<Rc<Door>> = Vec::new();
    for mut listen in listen {
        let Some(socket) = listen.socket.take() else { continue };
        if listen.transport.is_datagram() {
            datagrams::receive(&shard, socket, listen);
        } else {
            doors.push(Rc::new(Door::new(shard.clone(), socket, listen)));
        }
    }
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
    shard.send_due(Instant::now(), true);
    // In this order: a waker must not outlive its executor.
    kicks.cancel().await;
    shard.settings().kick.end();
}

/// Sends each open batch when it is due.
async fn watch_age(shard: Rc<Shard>) {
    loop {
        let now = Instant::now();
        match shard.send_due(now, false) {
            Some(due) => {
                Timer::new(due.saturating_duration_since(now)).await;
            }
            // It leaves when another has come home: the look is for that, too.
            None if shard.has_open_batch() => {
                Timer::new(HOME_MIN).await;
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
