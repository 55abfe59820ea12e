//! The producer shard's thread: inbox to librdkafka, delivery reports to batches home.
//!
//! Order per topic and partition is kept whatever fails: a topic with a failed record *stalls*.
//! Nothing more of it is handed over until every record that was is reported; then all that were
//! not acknowledged are sent again, oldest batch first. What librdkafka still queues behind a
//! failed record cannot overtake: its partition is stopped (`brake.rs`), and it is taken back
//! (purged). A fatal error does the same to all topics and makes a new client.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use corndog_pipeline::batch::{Batch, Delivery};
use corndog_pipeline::control::{Arrival, Level, Notice, Phase, PhaseCell};
use corndog_pipeline::counters::{Failed, ProducerCounters, Reach, TopicCounters};
use corndog_pipeline::latency::Latencies;
use corndog_pipeline::topics::{TopicIndex, TopicTable};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};

use crate::conf::ClientConf;
use crate::desk::{Desk, Failure, Stall};
use crate::holding::Holding;
use crate::letters::Letters;
use crate::native::{Event, Flight};
use crate::outcome::is_offered_again;
use crate::partitions::Load;
use crate::place::Place;
use crate::recovery::Rebuild;

/// Batches taken from the inbox before reports are looked at.
const TURN_BATCHES_MAX: usize = 16;
/// Events taken from librdkafka before the inbox is looked at.
const TURN_EVENTS_MAX: usize = 64;
/// The longest sleep: the phase is looked at that often.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// The sleep while a topic stalls or the client is rebuilt.
const SLEEP_STALLED: Duration = Duration::from_millis(5);
/// How long the end of a drain waits for the receivers' last batches.
const LAST_BATCHES_WAIT: Duration = Duration::from_secs(2);

/// What the producer shard is made of. The engine fills it in.
pub struct ProducerSettings {
    /// Its own core.
    pub core: usize,
    /// The cores that librdkafka's threads may run on.
    pub cores_allowed: Vec<usize>,
    /// The user's `[kafka.conf]`.
    pub conf: Vec<(String, String)>,
    /// Batches of all receivers together.
    pub batches_max: usize,
    /// Records in one batch.
    pub records_max: usize,
    /// How old a batch that is not full becomes before it leaves its receiver.
    pub batch_age_max: Duration,
    /// All topics, shared with the receivers.
    pub topics: Arc<TopicTable>,
    /// Sealed batches come in here.
    pub inbox: Receiver<Arrival>,
    /// The same queue's sending end, for librdkafka's wake-ups.
    pub inbox_sender: Sender<Arrival>,
    /// The way home for each receiver's batches.
    pub homes: Vec<Sender<Batch>>,
    /// Written by this shard alone.
    pub counters: Arc<ProducerCounters>,
    /// Written by the main thread.
    pub phase: Arc<PhaseCell>,
    /// To the main thread.
    pub notices: Sender<Notice>,
    /// Listeners, for latencies by their numbers.
    pub listener_count: usize,
    /// Latencies that the main thread asked for.
    pub latencies: Sender<Box<Latencies>>,
}

/// Starts the shard's thread. Whether it is up, it says by a notice.
///
/// Errors: the thread cannot be made.
pub fn spawn(settings: ProducerSettings) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("producer".into()).spawn(move || {
        let notices = settings.notices.clone();
        match Shard::new(settings) {
            Ok(shard) => {
                let _ = notices.send(Notice::Started);
                shard.run();
            }
            Err(why) => {
                let _ = notices.send(Notice::Refused(why));
            }
        }
    })
}

pub(crate) struct Shard {
    pub(crate) settings: ProducerSettings,
    pub(crate) conf: ClientConf,
    pub(crate) flight: Flight,
    pub(crate) desk: Desk,
    pub(crate) holding: Holding,
    /// Scratch: the seats of batches whose records of a topic have waited.
    pub(crate) released: Vec<usize>,
    /// The seats of batches out, oldest first.
    pub(crate) order: VecDeque<usize>,
    pub(crate) rebuild: Option<Rebuild>,
    pub(crate) purged_at: Option<Instant>,
    /// True while a wake-up for reports is in the inbox. Set by librdkafka's threads, cleared here.
    pub(crate) is_woken: Arc<AtomicBool>,
    /// Where records go that Kafka refuses for good.
    pub(crate) dead_letter: Option<TopicIndex>,
    is_closed: bool,
    is_troubled: bool,
}

impl Shard {
    fn new(settings: ProducerSettings) -> Result<Shard, String> {
        let conf = ClientConf::new(&settings.conf);
        let is_woken = Arc::new(AtomicBool::new(false));
        let topics_max = settings.topics.capacity();
        // librdkafka's threads inherit this thread's cores, so the client is made before it is
        // pinned: they float over all allowed cores, where the scheduler keeps them off busy ones.
        // Locked onto this core they would share it with us while others idle.
        let flight = Flight::new(
            &conf.pairs,
            waker(&settings.inbox_sender, &is_woken),
            settings.batches_max,
            settings.records_max,
            topics_max,
        )
        .map_err(|why| format!("kafka.conf: librdkafka refuses the configuration: {why}"))?;
        if !core_affinity::set_for_current(core_affinity::CoreId { id: settings.core }) {
            return Err(format!(
                "shards.cores: the producer cannot run on core {}; give it one of the allowed cores {:?}",
                settings.core, settings.cores_allowed
            ));
        }
        let desk = Desk::new(settings.batches_max, topics_max, settings.listener_count);
        let holding = Holding::new(
            settings.batch_age_max,
            topics_max,
            settings.homes.len(),
            settings.batches_max,
        );
        Ok(Shard {
            conf,
            flight,
            desk,
            holding,
            released: Vec::new(),
            order: VecDeque::with_capacity(settings.batches_max),
            rebuild: None,
            purged_at: None,
            is_woken,
            dead_letter: None,
            is_closed: false,
            is_troubled: false,
            settings,
        })
    }

    fn run(mut self) {
        loop {
            self.receive();
            self.poll();
            let now = Instant::now();
            self.release_due(now);
            self.take_failures(now);
            self.go_on(now);
            self.send_home();
            if self.settings.phase.now() == Phase::Aborting {
                return self.abandon();
            }
            if self.is_closed && self.order.is_empty() {
                return;
            }
        }
    }

    /// Waits for the inbox and takes what is in it.
    fn receive(&mut self) {
        let is_stalled = self.rebuild.is_some() || self.desk.is_stalled();
        let sleep = if is_stalled { SLEEP_STALLED } else { SLEEP_MAX };
        let rest = self.holding.rest(Instant::now());
        let sleep = rest.map_or(sleep, |rest| rest.min(sleep));
        let mut arrival = match self.settings.inbox.recv_timeout(sleep) {
            Ok(arrival) => Some(arrival),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                self.is_closed = true;
                None
            }
        };
        let now = Instant::now();
        let mut batches = 0;
        while let Some(taken) = arrival {
            match taken {
                Arrival::Batch(batch) => {
                    self.board(batch, now);
                    batches += 1;
                }
                Arrival::Reports => self.is_woken.store(false, Ordering::Release),
                Arrival::DeadLetter(topic) => self.dead_letter = topic,
                Arrival::Latencies(empty) => {
                    let filled = self.desk.recorder.swap(empty);
                    // Full: the main thread has not taken the last ones, and never asks before.
                    let _ = self.settings.latencies.try_send(filled);
                }
                Arrival::Closed => self.is_closed = true,
            }
            if batches >= TURN_BATCHES_MAX {
                break;
            }
            arrival = self.settings.inbox.try_recv().ok();
        }
    }

    fn board(&mut self, batch: Batch, now: Instant) {
        let record_count = batch.record_count();
        self.settings.counters.taken.add(record_count as u64);
        let slot = self.flight.board(batch).expect("there is a seat for every batch");
        self.desk.board(slot, record_count);
        if let Some(batch) = self.flight.batch(slot) {
            self.holding.board(batch.home());
            self.desk.recorder.board(slot, batch, now);
            for chain in 0..batch.chain_count() {
                let records = batch.chain_record_count(chain) as u64;
                self.settings
                    .count_topic(batch.chain_topic(chain), |topic| topic.taken.add(records));
            }
        }
        self.order.push_back(slot);
        self.hand_over(slot, now);
    }

    /// Hands the waiting records of `topic` in one batch to librdkafka, if it has any.
    pub(crate) fn produce_topic_of(&mut self, slot: usize, topic: TopicIndex, now: Instant) {
        if let Some(chain) = self.flight.batch(slot).and_then(|batch| batch.find_chain(topic)) {
            self.produce(slot, chain, now);
        }
    }

    /// The same of one chain, which is one topic's.
    pub(crate) fn produce(&mut self, slot: usize, chain: usize, now: Instant) {
        let Some(batch) = self.flight.batch(slot) else { return };
        let may_wait = self.conf.lingers || batch.has_many_topics() || batch.is_half_full();
        let (topic, records) = (batch.chain_topic(chain), batch.chain_record_count(chain));
        if self.desk.topics[topic.index()].stall.is_some() || self.rebuild.is_some() {
            return;
        }
        self.give_up_too_large(slot, chain, now);
        let desk = &mut self.desk.topics[topic.index()];
        let partition_count = self.flight.partition_count(topic);
        let load = Load { slot, records, may_wait };
        let mut choice = desk.partitions.choose(now, partition_count, desk.sent_count, load);
        let name = self.settings.topics.name(topic).unwrap_or_default();
        let failures = &mut self.desk.failures;
        let choose = |key: Option<&[u8]>, bound: Option<i32>| choice.next(key, bound);
        let mut waits = false;
        let sent = self.flight.produce(slot, chain, name, wall_ms(), choose, |index, code| {
            let place = Place::record(slot, index);
            waits |= is_offered_again(code);
            failures.push(Failure { place, topic, code, was_sent: false });
        });
        // At once: the batches that are next might be taken.
        if choice.holds || waits {
            desk.stall = Some(Stall { until: now, takes_back: false });
        }
        desk.sent_count += sent;
    }

    /// Takes what librdkafka has to tell.
    fn poll(&mut self) {
        let (desk, settings) = (&mut self.desk, &self.settings);
        let mut fatal = None;
        let mut trouble = false;
        let has_more = self.flight.poll(TURN_EVENTS_MAX, |event| match desk.take(event) {
            None | Some(Event::Report { .. }) => {}
            Some(Event::Fatal(why)) => fatal = Some(why),
            Some(Event::Trouble { text, all_down }) => {
                trouble = true;
                if all_down {
                    settings.counters.reach.set(Reach::Down as u64);
                }
                settings.say(Level::Warn, "kafka", format!("Kafka: {text}"));
            }
            Some(Event::Log { level, text }) => {
                let level = match level {
                    ..=4 => Level::Warn,
                    7.. => Level::Debug,
                    _ => Level::Info,
                };
                settings.say(level, "librdkafka", format!("librdkafka: {text}"));
            }
            Some(Event::Statistics(json)) => settings.tell(Notice::Statistics(json)),
        });
        if has_more && !self.is_woken.swap(true, Ordering::AcqRel) {
            // The queue is not empty, so librdkafka will not call again: wake ourselves.
            let _ = self.settings.inbox_sender.try_send(Arrival::Reports);
        }
        self.is_troubled |= trouble;
        let delivered = self.desk.publish(&self.settings.counters);
        self.note_reach(delivered > 0);
        if delivered > 0 && self.is_troubled && !trouble {
            self.is_troubled = false;
            self.settings.say(Level::Info, "kafka", "Kafka takes records again".into());
        }
        if let Some(why) = fatal {
            self.settings.say(
                Level::Error,
                "fatal",
                format!("librdkafka gave up ({why}); making a new client and sending again what is not acknowledged"),
            );
            self.start_rebuild(Instant::now(), true, self.conf.batch_size);
        }
    }

    /// Whether Kafka answers: it has just delivered, or told of its cluster for the first time.
    fn note_reach(&self, has_delivered: bool) {
        let reach = &self.settings.counters.reach;
        let is_up = match Reach::of(reach) {
            Reach::Up => false,
            Reach::Unknown => has_delivered || self.flight.has_met_cluster(),
            Reach::Down => has_delivered,
        };
        if is_up {
            reach.set(Reach::Up as u64);
        }
    }

    pub(crate) fn topic_name(&self, topic: TopicIndex) -> &str {
        self.settings.topics.name(topic).unwrap_or_default()
    }

    /// Sends home each batch whose last outcome is known.
    fn send_home(&mut self) {
        while let Some(slot) = self.desk.settled.pop() {
            self.order.retain(|&held| held != slot);
            let batch = self.flight.release(slot).expect("no record of a settled batch is sent");
            self.holding.leave(batch.home());
            // A receiver that has ended needs its batches no more.
            if let Err(TrySendError::Full(_)) = self.settings.homes[batch.home()].try_send(batch) {
                unreachable!("the way home has room for all of a receiver's batches");
            }
        }
        self.desk.publish(&self.settings.counters);
    }

    /// The drain is over: counts what is not delivered, and leaves librdkafka to the process's end.
    fn abandon(mut self) {
        let failed = &self.settings.counters.failed[Failed::Shutdown as usize];
        let unsettled: usize = self.order.iter().map(|&slot| open_count(&self.flight, slot)).sum();
        failed.add(unsettled as u64);
        self.desk.publish(&self.settings.counters);
        while !self.is_closed
            && let Ok(arrival) = self.settings.inbox.recv_timeout(LAST_BATCHES_WAIT)
        {
            match arrival {
                Arrival::Batch(batch) => {
                    self.settings.counters.taken.add(batch.record_count() as u64);
                    failed.add(batch.record_count() as u64);
                }
                Arrival::Reports | Arrival::DeadLetter(_) | Arrival::Latencies(_) => {}
                Arrival::Closed => self.is_closed = true,
            }
        }
        self.settings.counters.in_flight.set(0);
        // librdkafka's threads may still read the batches, and joining them can take long: both
        // stay as they are until the process ends, which is now.
        std::mem::forget(self.flight);
    }
}

/// Records of a batch that are neither delivered nor given up, dead letters included.
fn open_count(flight: &Flight, slot: usize) -> usize {
    let records = flight.batch(slot).map_or(0, |batch| {
        let is_open =
            |index: &usize| matches!(batch.delivery(*index), Delivery::Waiting | Delivery::Sent);
        (0..batch.record_count()).filter(is_open).count()
    });
    records + flight.letters(slot).map_or(0, Letters::open)
}

/// Milliseconds since 1970.
fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

/// The callback by which librdkafka's threads wake this shard: at most one wake-up is on its way.
pub(crate) fn waker(
    inbox: &Sender<Arrival>,
    is_woken: &Arc<AtomicBool>,
) -> Box<dyn Fn() + Send + Sync> {
    let (inbox, is_woken) = (inbox.clone(), is_woken.clone());
    Box::new(move || {
        if !is_woken.swap(true, Ordering::AcqRel) {
            // The inbox has room for it beside all batches.
            let _ = inbox.try_send(Arrival::Reports);
        }
    })
}

impl ProducerSettings {
    pub(crate) fn say(&self, level: Level, kind: &'static str, text: String) {
        self.tell(Notice::Said { level, kind, text });
    }

    pub(crate) fn tell(&self, notice: Notice) {
        // Where the main thread does not keep up, a line of log is lost and nothing else.
        let _ = self.notices.try_send(notice);
    }

    pub(crate) fn count_topic(&self, topic: TopicIndex, count: impl FnOnce(&TopicCounters)) {
        if let Some(counters) = self.counters.topics.get(topic.index()) {
            count(counters);
        }
    }

    /// Lets this thread run on all allowed cores, for threads that inherit that.
    pub(crate) fn unpin(&self) {
        let mut cores = rustix::thread::CpuSet::new();
        self.cores_allowed.iter().for_each(|&core| cores.set(core));
        // A failure leaves the new threads on this core: slower, not wrong.
        let _ = rustix::thread::sched_setaffinity(None, &cores);
    }
}
