//! The terminal: draws, takes keys, asks once a second, and gives the terminal back at the end.
//!
//! A thread asks, because an answer may take seconds and keys may not; it holds one answer at most.
//! Another one waits for signals. It ends the process where the main thread cannot: crossterm 0.29
//! never returns once its terminal has hung up (crossterm-rs/crossterm#793), so that it is also
//! given no time to wait in, and a terminal that has hung up is looked for before.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::mem::ManuallyDrop;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use jiff::Timestamp;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::client::Client;
use super::shown::{Shown, Wish};
use super::view;
use crate::figures::Figures;

/// Between two questions.
const INTERVAL: Duration = Duration::from_secs(1);
/// For keys, before answers and signals are looked for.
const TICK: Duration = Duration::from_millis(50);
/// For the main thread to end by itself after a signal.
const END_TIME: Duration = Duration::from_millis(500);
/// Keys taken before the screen is drawn: a paste does not hold it up.
const KEYS_MAX: usize = 64;

type Answer = Result<Figures, String>;

/// Shows the figures until a key or a signal ends it.
///
/// Errors: a sentence; the terminal is as it was before.
pub fn run(client: Client, address: &str) -> Result<(), String> {
    let is_ended = Arc::new(AtomicBool::new(false));
    let tty = tty().map_err(|error| format!("no terminal to read keys from: {error}"))?;
    take_signals(&is_ended).map_err(|error| format!("cannot take signals: {error}"))?;
    let (sender, answers) = bounded(1);
    thread::Builder::new()
        .name("ask".to_owned())
        .spawn(move || ask(&client, &sender))
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    // It also gives the terminal back if we panic.
    let shown = ratatui::try_init().and_then(|terminal| {
        // Dropped, it would complain on stderr, and panic where that has hung up.
        let mut terminal = ManuallyDrop::new(terminal);
        let shown = show(&mut terminal, &tty, Shown::new(address), &answers, &is_ended);
        shown.and(terminal.show_cursor())
    });
    let restored = ratatui::try_restore();
    shown.and(restored).map_err(|error| format!("cannot go on here: {error}; try --once"))
}

/// Where crossterm reads keys from.
fn tty() -> io::Result<File> {
    if io::stdin().is_terminal() {
        return Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    }
    File::open("/dev/tty")
}

/// Has signals end the view, or after a while the process.
fn take_signals(is_ended: &Arc<AtomicBool>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let is_ended = Arc::clone(is_ended);
    let wait = move || {
        if signals.forever().next().is_some() {
            is_ended.store(true, Ordering::Relaxed);
            thread::sleep(END_TIME);
            // The terminal may be gone; then there is nothing to give back.
            let _ = ratatui::try_restore();
            std::process::exit(0);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(|_| ())
}

/// Waits for keys, or a while; false if the terminal has hung up.
fn wait(tty: &File) -> io::Result<bool> {
    let tick = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
    let mut fds = [PollFd::new(tty, PollFlags::IN)];
    match poll(&mut fds, Some(&tick)) {
        // A signal, of a new size for one.
        Err(Errno::INTR) => Ok(true),
        polled => {
            polled?;
            Ok(!fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR))
        }
    }
}

/// Asks until nobody takes the answers.
fn ask(client: &Client, answers: &Sender<Answer>) {
    loop {
        let asked = Instant::now();
        if answers.send(client.ask()).is_err() {
            return;
        }
        thread::sleep(INTERVAL.saturating_sub(asked.elapsed()));
    }
}

fn show(
    terminal: &mut DefaultTerminal,
    tty: &File,
    mut shown: Shown,
    answers: &Receiver<Answer>,
    is_ended: &AtomicBool,
) -> io::Result<()> {
    let (mut page, mut drawn): (usize, Option<Instant>) = (0, None);
    let mut is_changed = true;
    while !is_ended.load(Ordering::Relaxed) {
        // Once a second anyway: since when there is no answer counts on.
        if is_changed || drawn.is_none_or(|drawn| drawn.elapsed() >= INTERVAL) {
            terminal.draw(|frame| {
                page = view::draw(&shown, frame.area(), frame.buffer_mut(), Timestamp::now());
            })?;
            drawn = Some(Instant::now());
        }
        is_changed = false;
        if !wait(tty)? {
            return Err(io::Error::other("the terminal has hung up"));
        }
        if event::poll(Duration::ZERO)? {
            is_changed = true;
            if take_keys(&mut shown, page)? == Wish::Quit {
                return Ok(());
            }
        }
        match answers.try_recv() {
            Ok(answer) => {
                shown.take(answer, Timestamp::now());
                is_changed = true;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                return Err(io::Error::other("nobody asks any more"));
            }
        }
    }
    Ok(())
}

fn take_keys(shown: &mut Shown, page: usize) -> io::Result<Wish> {
    for _ in 0..KEYS_MAX {
        if !event::poll(Duration::ZERO)? {
            break;
        }
        // Anything else is a new size, which ratatui asks for itself.
        if let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
            && shown.press(key, page, Timestamp::now()) == Wish::Quit
        {
            return Ok(Wish::Quit);
        }
    }
    Ok(Wish::Stay)
}
