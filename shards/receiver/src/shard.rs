//! What the tasks of one receiver shard share, and the turn of one frame through the pipeline.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use corndog_pipeline::batch::{Batch, Receipt};
use corndog_pipeline::control::{Arrival, Level, Notice, Phase};
use corndog_pipeline::counters::{Closed, Dropped, ReceiverCounters, Refused, State};
use corndog_pipeline::framing::Frame;
use corndog_pipeline::message::Message;
use corndog_pipeline::pool::{Append, Pool};
use corndog_pipeline::record::Record;
use corndog_pipeline::rules::Oversize;
use corndog_pipeline::ruleset::Verdict;
use corndog_pipeline::sample::Share;
use corndog_pipeline::template::Context;
use jiff::Timestamp;

use crate::beat::Beat;
use crate::buffers::Buffers;
use crate::drops::{self, Drops};
use crate::foreign::Foreign;
use crate::origin::Origin;
use crate::pace::Pace;
use crate::settings::{Live, ReceiverLimits, ReceiverSettings};
use crate::signal::Signal;
use crate::watch::{Order, Watch};

/// Connections of one shard that have not said yet who they are. One more, and the one that has
/// been longest at it is refused: an honest one takes milliseconds.
const OPENINGS_MAX: usize = 1024;

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is counted, and in a batch if it became a record.
    Done,
    /// Nothing is done: offer it again when a batch has come home.
    NeedsBatch,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placed {
    /// It is in a batch, or counted as abandoned.
    Written,
    /// It is larger than a batch.
    TooLarge,
    /// No batch is empty.
    NeedsBatch,
}

/// What one frame needs of the shard, for the length of one call.
struct Work {
    pool: Pool,
    live: Box<Live>,
}

/// One receiver shard. All its tasks run on one thread.
pub(crate) struct Shard {
    settings: ReceiverSettings,
    work: RefCell<Work>,
    limits: Cell<ReceiverLimits>,
    /// The rules ask which process sent a message.
    names_credentials: Cell<bool>,
    /// Connections, by their number.
    watches: RefCell<HashMap<u64, Rc<Watch>>>,
    /// Those of them that have not said yet who they are (TLS, PROXY); the first began first.
    openings: RefCell<BTreeMap<u64, Rc<Watch>>>,
    /// Read buffers that nobody has.
    pub(crate) buffers: Buffers,
    /// When connections read that read all the time.
    pub(crate) beat: Beat,
    /// Whose handshake comes next.
    pub(crate) pace: Pace,
    /// Connections that wait for an empty batch, in the order of their coming.
    held: RefCell<Vec<Waker>>,
    /// Listeners that wait for a connection to end, since no descriptor is free; each once.
    short: RefCell<Vec<Waker>>,
    /// Somebody waits for an empty batch.
    pub(crate) starved: Signal,
    /// A batch was opened, so there is an age to watch.
    pub(crate) opened: Signal,
    /// Since when somebody waits for an empty batch, as far as it is not counted yet.
    starved_since: Cell<Option<Instant>>,
    /// What was said of dropped messages.
    drops: Drops,
}

impl Shard {
    pub(crate) fn new(settings: ReceiverSettings, live: Box<Live>) -> Self {
        let pool = Pool::new(
            Share { shard: settings.index as u64, shard_count: settings.receivers as u64 },
            settings.batches_per_receiver,
            settings.batch_bytes,
            settings.batch_age_max,
            settings.topics.capacity(),
        );
        settings.counters.batches_empty.set(pool.empty_count() as u64);
        settings.counters.generation.set(live.generation);
        Shard {
            beat: Beat::new(settings.batch_age_max),
            settings,
            limits: Cell::new(live.limits),
            names_credentials: Cell::new(live.rules.names_credentials()),
            work: RefCell::new(Work { pool, live }),
            watches: RefCell::default(),
            openings: RefCell::default(),
            buffers: Buffers::default(),
            pace: Pace::default(),
            held: RefCell::default(),
            short: RefCell::default(),
            starved: Signal::default(),
            opened: Signal::default(),
            starved_since: Cell::default(),
            drops: Drops::default(),
        }
    }

    pub(crate) fn settings(&self) -> &ReceiverSettings {
        &self.settings
    }

    pub(crate) fn limits(&self) -> ReceiverLimits {
        self.limits.get()
    }

    pub(crate) fn names_credentials(&self) -> bool {
        self.names_credentials.get()
    }

    pub(crate) fn counters(&self) -> &ReceiverCounters {
        &self.settings.counters
    }

    pub(crate) fn phase(&self) -> Phase {
        self.settings.phase.now()
    }

    /// Takes one frame: parses it, asks the rules, writes its record into the open batch.
    ///
    /// Cost:   one copy, no allocation.
    #[inline]
    pub(crate) fn take(
        &self,
        frame: &Frame<'_>,
        origin: &Origin,
        now: Instant,
        time: Timestamp,
    ) -> Taken {
        let Work { pool, live } = &mut *self.work.borrow_mut();
        let Live { rules, scratch, .. } = &mut **live;
        let listener = &*origin.listener;
        let message = Message::parse_as(listener.dialect, frame.bytes, origin.peer.as_bytes());
        let context = Context {
            peer: origin.peer.as_bytes(),
            listener: listener.name.as_bytes(),
            now: time,
            zone: &listener.zone,
            client_name: origin.client_name.as_deref().map(str::as_bytes),
            credentials: origin.credentials.as_ref(),
        };
        let topics = &*self.settings.topics;
        let receipt = Receipt { read_at: now, time, listener: listener.index as u8 };
        let drop = |reason, rule: Option<usize>| {
            let rule = rule.map(|rule| rules.rule_name(rule));
            self.drop_message(reason, rule, frame.bytes, origin, now);
            Taken::Done
        };
        let verdict = match listener.oversize {
            Oversize::Drop if frame.truncated => return drop(Dropped::Oversize, None),
            Oversize::DeadLetter if frame.truncated => {
                rules.refuse(None, Dropped::Oversize, "", &message, &context, scratch)
            }
            _ => rules.evaluate(&message, &context, topics, scratch),
        };
        let (rule, record, dead_letter) = match verdict {
            Verdict::Forward { rule, record, dead_letter } => (rule, record, dead_letter),
            Verdict::Drop { rule, reason } => {
                scratch.count();
                return drop(reason, rule);
            }
        };
        let (mut placed, mut dead_letter) = (self.place(pool, &receipt, &record), dead_letter);
        if placed == Placed::TooLarge && dead_letter.is_none() {
            let topic = topics.name(record.topic).unwrap_or_default();
            let reason = Dropped::Oversize;
            if let Verdict::Forward { record, .. } =
                rules.refuse(rule, reason, topic, &message, &context, scratch)
            {
                dead_letter = Some(reason);
                placed = self.place(pool, &receipt, &record);
            }
        }
        match placed {
            Placed::Written => {}
            Placed::TooLarge => {
                scratch.count();
                return drop(Dropped::Oversize, rule);
            }
            Placed::NeedsBatch => {
                scratch.take_back();
                return Taken::NeedsBatch;
            }
        }
        scratch.count();
        let counters = self.counters();
        counters.received.add(1);
        counters.listeners[listener.index].received.add(1);
        if frame.truncated {
            counters.truncated.add(1);
        }
        counters.forwarded.add(1);
        if let Some(reason) = dead_letter {
            counters.dead_lettered[reason as usize].add(1);
        }
        Taken::Done
    }

    /// Writes one record into the open batch.
    #[inline]
    fn place(&self, pool: &mut Pool, receipt: &Receipt, record: &Record<'_>) -> Placed {
        let lane = self.settings.topics.lane(record.topic);
        loop {
            match pool.append(receipt, lane, record) {
                Append::Written => break,
                Append::Sealed(batch) => self.send(batch),
                Append::TooLarge => return Placed::TooLarge,
                Append::NoEmptyBatch if self.take_home(pool) => {}
                Append::NoEmptyBatch if self.phase() == Phase::Aborting => {
                    self.counters().abandoned.add(1);
                    return Placed::Written;
                }
                Append::NoEmptyBatch => return Placed::NeedsBatch,
            }
        }
        if pool.open_record_count() == 1 {
            self.opened.set();
        }
        Placed::Written
    }

    /// Takes what the last reload made, if one did. Between two frames: nothing else runs then.
    pub(crate) fn take_live(&self) {
        while let Ok(live) = self.settings.lives.try_recv() {
            self.limits.set(live.limits);
            self.names_credentials.set(live.rules.names_credentials());
            self.counters().generation.set(live.generation);
            let old = std::mem::replace(&mut self.work.borrow_mut().live, live);
            // The main thread takes it before it sends another: there is room.
            let _ = self.settings.retired.try_send(old);
        }
    }

    /// Counts a message that becomes no record, and says which the first was.
    pub(crate) fn drop_message(
        &self,
        reason: Dropped,
        rule: Option<&str>,
        frame: &[u8],
        origin: &Origin,
        now: Instant,
    ) {
        let counters = self.counters();
        let listener = &counters.listeners[origin.listener.index];
        counters.received.add(1);
        listener.received.add(1);
        counters.dropped[reason as usize].add(1);
        listener.dropped.add(1);
        if self.drops.is_told(reason, now) {
            let (level, kind) = (drops::level(reason), drops::kind(reason));
            let text = || drops::describe(reason, rule, frame, origin);
            self.note(|| Notice::Dropped { level, kind, reason, text: text() });
        }
    }

    /// Counts what was read from a socket.
    pub(crate) fn count_bytes(&self, listener: usize, bytes: usize) {
        self.counters().bytes_in.add(bytes as u64);
        self.counters().listeners[listener].bytes_in.add(bytes as u64);
    }

    fn send(&self, mut batch: Batch) {
        batch.seal(Instant::now());
        let sent = self.settings.outbox.try_send(Arrival::Batch(batch));
        // Full cannot be: the inbox has room for every batch. Closed: the producer has died, and
        // the main thread ends us.
        debug_assert!(sent.is_ok() || self.phase() == Phase::Aborting);
    }

    /// Takes in what has come home. True if a batch is empty now that was not.
    fn take_home(&self, pool: &mut Pool) -> bool {
        let mut has_come = false;
        while let Ok(batch) = self.settings.returns.try_recv() {
            pool.come_home(batch);
            has_come = true;
        }
        self.counters().batches_empty.set(pool.empty_count() as u64);
        self.count_starved(pool.empty_count() == 0 && self.has_held());
        if has_come {
            // Whoever takes a batch home tells those that wait: the next look may find none.
            self.held.borrow_mut().drain(..).for_each(Waker::wake);
        }
        has_come
    }

    /// Waits until a batch has come home, or the drain is over.
    pub(crate) async fn batch_home(&self) {
        let mut is_registered = false;
        poll_fn(|context| {
            if std::mem::replace(&mut is_registered, true) {
                return Poll::Ready(());
            }
            self.held.borrow_mut().push(context.waker().clone());
            if self.starved_since.get().is_none() {
                self.starved_since.set(Some(Instant::now()));
            }
            self.starved.set();
            Poll::Pending
        })
        .await;
    }

    /// Counts the time in which somebody waited for a batch and none was empty, up to now.
    fn count_starved(&self, is_starved: bool) {
        let Some(since) = self.starved_since.take() else { return };
        let now = Instant::now();
        let starved_us = now.saturating_duration_since(since).as_micros() as u64;
        self.counters().starved_us.add(starved_us);
        self.starved_since.set(is_starved.then_some(now));
    }

    /// Waits until a connection has ended: its descriptor is free.
    pub(crate) async fn connection_end(&self) {
        let ended = self.counters().ended.value();
        poll_fn(|context| {
            if self.counters().ended.value() != ended {
                return Poll::Ready(());
            }
            // One that gave up waiting, and waits again, is there already.
            let mut short = self.short.borrow_mut();
            if !short.iter().any(|waker| waker.will_wake(context.waker())) {
                short.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// True while connections wait for a batch.
    pub(crate) fn has_held(&self) -> bool {
        !self.held.borrow().is_empty()
    }

    /// Wakes the connections that wait, if a batch is empty or none will be. True if one has come.
    pub(crate) fn wake_held(&self) -> bool {
        let pool = &mut self.work.borrow_mut().pool;
        let has_come = self.take_home(pool);
        // By state, not by what this look found: another may have taken the last batch home.
        if pool.empty_count() > 0 || self.phase() == Phase::Aborting {
            self.held.borrow_mut().drain(..).for_each(Waker::wake);
        }
        has_come
    }

    /// Sends the open batches that are due; all of them where `is_drained`. Says when the next will
    /// be.
    pub(crate) fn send_due(&self, now: Instant, is_drained: bool) -> Option<Instant> {
        let pool = &mut self.work.borrow_mut().pool;
        while let Some(batch) = pool.seal_due(now, is_drained) {
            self.send(batch);
        }
        self.take_home(pool);
        pool.next_seal_at()
    }

    pub(crate) fn has_open_batch(&self) -> bool {
        self.work.borrow().pool.open_count() > 0
    }

    pub(crate) fn enter(&self, number: u64, watch: Rc<Watch>) {
        self.watches.borrow_mut().insert(number, watch);
    }

    /// A connection has ended.
    pub(crate) fn leave(&self, number: u64, listener: usize) {
        self.counters().ended.add(1);
        self.counters().listeners[listener].ended.add(1);
        self.forget(number);
    }

    /// What was entered is no more.
    pub(crate) fn forget(&self, number: u64) {
        self.watches.borrow_mut().remove(&number);
        self.openings.borrow_mut().remove(&number);
        self.short.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// A connection has to say who it is first, from `now` on.
    pub(crate) fn begin_opening(&self, number: u64, watch: &Rc<Watch>, now: Instant) {
        watch.opening_since.set(Some(now));
        let mut openings = self.openings.borrow_mut();
        if openings.len() >= OPENINGS_MAX
            && let Some((_, oldest)) = openings.pop_first()
        {
            oldest.tell(Order::Refuse(Refused::Handshakes));
        }
        openings.insert(number, watch.clone());
    }

    /// It has said so.
    pub(crate) fn end_opening(&self, number: u64) {
        self.openings.borrow_mut().remove(&number);
    }

    /// Counts a connection that is not let in, and says why.
    pub(crate) fn refuse(&self, why: Refused, origin: &Origin, text: impl FnOnce() -> String) {
        self.counters().refused[why as usize].add(1);
        self.counters().listeners[origin.listener.index].refused.add(1);
        self.warn(why.name(), || format!("{origin}: {}", text()));
    }

    /// Counts a connection that speaks something else, and says what, of each peer.
    pub(crate) fn refuse_foreign(&self, what: Foreign, origin: &Origin) {
        self.counters().refused[Refused::Protocol as usize].add(1);
        self.counters().listeners[origin.listener.index].refused.add(1);
        let kind = what.describe();
        let text = || format!("{origin}: refused: {kind}");
        self.note(|| Notice::OfPeer { kind, peer: origin.ip(), text: text() });
    }

    pub(crate) fn connection_count(&self) -> usize {
        self.watches.borrow().len()
    }

    /// Tells every connection to read what the kernel holds and end.
    pub(crate) fn drain(&self) {
        self.watches.borrow().values().for_each(|watch| watch.tell(Order::Drain));
    }

    /// Closes the connections whose time is over.
    pub(crate) fn sweep(&self, now: Instant) {
        let limits = self.limits();
        let watches = self.watches.borrow();
        let mut states = [0; State::ALL.len()];
        let accepted = self.counters().accepted.value();
        // Numbers above that are datagram listeners'.
        for (_, watch) in watches.iter().filter(|(number, _)| **number <= accepted) {
            states[watch.state() as usize] += 1;
        }
        for (gauge, count) in self.counters().states.iter().zip(states) {
            gauge.set(count);
        }
        for watch in watches.values().filter(|watch| !watch.is_held.get()) {
            if let Some(since) = watch.opening_since.get() {
                if now.saturating_duration_since(since) >= limits.handshake_time {
                    watch.tell(Order::Refuse(Refused::HandshakeTime));
                }
                continue;
            }
            let frame_time =
                watch.frame_since.get().map(|since| now.saturating_duration_since(since));
            let idle_time = now.saturating_duration_since(watch.read_at.get());
            if frame_time.is_some_and(|time| time >= limits.frame_time) {
                watch.tell(Order::Close(Closed::FrameTime));
            } else if idle_time >= limits.idle_time {
                watch.tell(Order::Close(Closed::IdleTime));
            }
        }
    }

    /// A line for the log. Where the main thread does not keep up, it is left out.
    pub(crate) fn warn(&self, kind: &'static str, text: impl FnOnce() -> String) {
        self.note(|| Notice::Said { level: Level::Warn, kind, text: text() });
    }

    fn note(&self, notice: impl FnOnce() -> Notice) {
        if !self.settings.notices.is_full() {
            let _ = self.settings.notices.try_send(notice());
        }
    }
}
