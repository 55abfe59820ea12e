//! The engine: makes the queues, and starts the shards. With its parts the only file that knows both
//! kinds of shard.

mod end;
mod swap;

pub use end::ABORT_TIME_MAX;

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use corndog_pipeline::batch::{Batch, batch_records_max};
use corndog_pipeline::control::{Arrival, Level, Notice, Phase, PhaseCell};
use corndog_pipeline::latency::Latencies;
use corndog_pipeline::ruleset::RuleSet;
use corndog_pipeline::topics::TopicTable;
use corndog_producer::{Embedded, ProducerSettings};
use corndog_receiver::{Gate, GateLimits, Kick, Live, ReceiverLimits, ReceiverSettings};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::certificates::Certificates;
use crate::config::Settings;
use crate::kernel::KernelDrops;
use crate::ledger::Books;
use crate::listeners::Listeners;
use crate::probe;
use crate::reload::share;
use crate::rule_books::RuleBooks;

/// How long all shards together may take to say that they are up.
const START_TIME_MAX: Duration = Duration::from_secs(2);
/// Words in the producer's inbox beside all batches, so that sending never waits: a wake-up from
/// librdkafka, one from the producer to itself, where dead letters go, and that no more will come.
const WORDS_MAX: usize = 64;
/// Topics made from message data that there is room for, where the configuration asks for less: a
/// reload may ask for more.
pub const MADE_TOPICS_MIN: usize = 1000;
/// Notices on their way to the main thread; a shard that finds this full leaves its line out.
const NOTICES_MAX: usize = 1024;

/// The ends of the queues that the shards get.
struct Ends {
    inbox: Receiver<Arrival>,
    homes: Vec<Sender<Batch>>,
    receivers: Vec<ReceiverEnds>,
    notices: Sender<Notice>,
    retired: Sender<Box<Live>>,
    latencies: Sender<Box<Latencies>>,
}

/// Those of one receiver.
struct ReceiverEnds {
    returns: Receiver<Batch>,
    lives: Receiver<Box<Live>>,
}

/// The running shards.
pub struct Engine {
    /// What is in force.
    settings: Settings,
    generation: u64,
    topics: Arc<TopicTable>,
    gate: Arc<Gate>,
    phase: Arc<PhaseCell>,
    books: Arc<Books>,
    rule_books: RuleBooks,
    /// Topics that the rules name.
    configured_topics: HashSet<String>,
    listeners: Listeners,
    certificates: Certificates,
    kernel_drops: KernelDrops,
    kicks: Vec<Arc<Kick>>,
    kicked_at: Instant,
    notices: Receiver<Notice>,
    /// What was said before all shards were up.
    early: Vec<Notice>,
    receivers: Vec<JoinHandle<()>>,
    producer: Option<JoinHandle<()>>,
    inbox: Sender<Arrival>,
    is_inbox_closed: bool,
    /// To each receiver, what it shall go on with; room for one.
    lives: Vec<Sender<Box<Live>>>,
    /// From all receivers, what they go on without.
    retired: Receiver<Box<Live>>,
    /// From the producer, once for each time that it was asked.
    latencies: Receiver<Box<Latencies>>,
    /// Receivers that have not taken the last reload yet.
    swapping_count: usize,
    embedded: Option<Embedded>,
    has_died: bool,
}

impl Engine {
    /// Starts all shards and waits until each is up. Nothing is accepted before [`Engine::go`].
    ///
    /// Errors: what refused to start, a sentence each; everything is ended again then.
    pub fn start(
        settings: &Settings,
        mut rules: RuleSet,
        listeners: Listeners,
    ) -> Result<Engine, Vec<String>> {
        let topics = Arc::new(TopicTable::new(
            rules.configured_topics(),
            settings.routing.distinct.max(MADE_TOPICS_MIN),
        ));
        rules.place(&topics).map_err(|why| vec![why])?;
        let (mut engine, ends) = Engine::new(settings, topics, listeners);
        if settings.kafka.embedded {
            let embedded = start_embedded(&engine.topics, &ends.notices);
            engine.embedded = Some(embedded.map_err(|why| vec![why])?);
        }
        let started = corndog_producer::spawn(engine.producer(&ends));
        engine.producer = Some(started.map_err(|why| vec![no_thread(&why)])?);
        engine.wait_until_up(1)?;
        engine.tell_dead_letter(&rules);
        engine.rule_books = RuleBooks::new(&rules);
        engine.configured_topics = rules.configured_topics().iter().cloned().collect();
        let rules = Arc::new(rules);
        let receiver_count = ends.receivers.len();
        for (index, of_one) in ends.receivers.into_iter().enumerate() {
            let live = Box::new(Live {
                generation: engine.generation,
                rules: rules.clone(),
                scratch: rules.scratch_of(share(index, receiver_count)),
                limits: receiver_limits(settings),
            });
            engine.rule_books.add(&live.scratch);
            let (notices, retired) = (ends.notices.clone(), ends.retired.clone());
            let receiver = engine.receiver(index, of_one, notices, retired);
            match corndog_receiver::spawn(receiver, live) {
                Ok(thread) => engine.receivers.push(thread),
                Err(why) => {
                    engine.end_at_once();
                    return Err(vec![no_thread(&why)]);
                }
            }
        }
        engine.wait_until_up(receiver_count)?;
        Ok(engine)
    }

    /// The queues, and nothing started.
    fn new(settings: &Settings, topics: Arc<TopicTable>, listeners: Listeners) -> (Engine, Ends) {
        let receiver_count = settings.cores.receivers.len();
        let batches_max = receiver_count * settings.batches.per_receiver;
        let (notices_out, notices) = bounded(NOTICES_MAX);
        let (inbox_out, inbox) = bounded(batches_max + WORDS_MAX);
        let (retired_out, retired) = bounded(receiver_count);
        let (latencies_out, latencies) = bounded(1);
        let (homes, returns): (Vec<_>, Vec<_>) =
            (0..receiver_count).map(|_| bounded(settings.batches.per_receiver)).unzip();
        let (lives_out, lives): (Vec<_>, Vec<_>) = (0..receiver_count).map(|_| bounded(1)).unzip();
        let receivers = returns.into_iter().zip(lives);
        let ends = Ends {
            inbox,
            homes,
            receivers: receivers.map(|(returns, lives)| ReceiverEnds { returns, lives }).collect(),
            notices: notices_out,
            retired: retired_out,
            latencies: latencies_out,
        };
        let engine = Engine {
            settings: settings.clone(),
            generation: 1,
            gate: Arc::new(Gate::new(gate_limits(settings))),
            phase: Arc::default(),
            books: Arc::new(Books::new(receiver_count, settings.listen.len(), topics.capacity())),
            topics,
            rule_books: RuleBooks::default(),
            configured_topics: HashSet::new(),
            certificates: Certificates::new(&listeners),
            kernel_drops: KernelDrops::new(listeners.udp_inodes()),
            listeners,
            kicks: (0..receiver_count).map(|_| Arc::default()).collect(),
            kicked_at: Instant::now(),
            notices,
            early: Vec::new(),
            receivers: Vec::new(),
            producer: None,
            inbox: inbox_out,
            is_inbox_closed: false,
            lives: lives_out,
            retired,
            latencies,
            swapping_count: 0,
            embedded: None,
            has_died: false,
        };
        (engine, ends)
    }

    /// What the producer is made of.
    fn producer(&self, ends: &Ends) -> ProducerSettings {
        let settings = &self.settings;
        let mut conf = settings.kafka.conf.clone();
        if let Some(embedded) = &self.embedded {
            conf.retain(|(key, _)| key != "bootstrap.servers");
            conf.push(("bootstrap.servers".to_owned(), embedded.servers().to_owned()));
        }
        ProducerSettings {
            core: settings.cores.producer,
            cores_allowed: settings.cores.allowed.clone(),
            conf,
            batches_max: settings.cores.receivers.len() * settings.batches.per_receiver,
            records_max: batch_records_max(settings.batches.bytes),
            batch_age_max: settings.batches.age,
            topics: self.topics.clone(),
            inbox: ends.inbox.clone(),
            inbox_sender: self.inbox.clone(),
            homes: ends.homes.clone(),
            counters: self.books.producer.clone(),
            phase: self.phase.clone(),
            notices: ends.notices.clone(),
            listener_count: settings.listen.len(),
            latencies: ends.latencies.clone(),
        }
    }

    /// What receiver `index` is made of.
    fn receiver(
        &mut self,
        index: usize,
        ends: ReceiverEnds,
        notices: Sender<Notice>,
        retired: Sender<Box<Live>>,
    ) -> ReceiverSettings {
        let listen = self.listeners.of_shard(index);
        let settings = &self.settings;
        ReceiverSettings {
            index,
            receivers: settings.cores.receivers.len(),
            core: settings.cores.receivers[index],
            listen,
            machine: probe::machine_name(),
            lives: ends.lives,
            retired,
            batches_per_receiver: settings.batches.per_receiver,
            batch_bytes: settings.batches.bytes,
            batch_age_max: settings.batches.age,
            topics: self.topics.clone(),
            gate: self.gate.clone(),
            outbox: self.inbox.clone(),
            returns: ends.returns,
            counters: self.books.receivers[index].clone(),
            phase: self.phase.clone(),
            kick: self.kicks[index].clone(),
            notices,
        }
    }

    /// Tells the producer where dead letters go from now on.
    fn tell_dead_letter(&self, rules: &RuleSet) {
        // The inbox has room for more words than can be under way. Closed: the producer has died,
        // and the process ends.
        let told = self.inbox.try_send(Arrival::DeadLetter(rules.dead_letter()));
        debug_assert!(!told.is_err_and(|why| why.is_full()), "the inbox has room for words");
    }

    /// Which configuration is in force, counted from 1.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How long a drain may take.
    pub fn drain_time(&self) -> Duration {
        self.settings.limits.drain_time
    }

    /// Waits until so many shards are up. Errors: why not; everything is ended then.
    fn wait_until_up(&mut self, count: usize) -> Result<(), Vec<String>> {
        let deadline = Instant::now() + START_TIME_MAX;
        let mut refusals = Vec::new();
        let mut answered = 0;
        while answered < count {
            match self.notices.recv_deadline(deadline) {
                Ok(Notice::Started) => answered += 1,
                Ok(Notice::Refused(why)) => {
                    answered += 1;
                    if !refusals.contains(&why) {
                        refusals.push(why);
                    }
                }
                // Brokers that are away, say: nothing that keeps a shard from being up.
                Ok(notice) => self.early.push(notice),
                Err(_) => {
                    refusals.push(format!(
                        "{} of {count} shards did not say within {} s that they are up; is the machine overloaded?",
                        count - answered,
                        START_TIME_MAX.as_secs()
                    ));
                    break;
                }
            }
        }
        if refusals.is_empty() {
            return Ok(());
        }
        self.end_at_once();
        Err(refusals)
    }

    /// Lets the shards accept.
    pub fn go(&self) {
        self.phase.advance(Phase::Running);
    }

    /// Looks after what changes outside: certificates, and what the kernel drops. What is to be
    /// said of it.
    pub fn look_around(&mut self, now: Instant) -> Vec<(Level, String)> {
        self.kernel_drops.look(now);
        self.certificates.look(now)
    }

    /// Datagrams that the kernel dropped until now.
    pub fn dropped_by_kernel(&self) -> u64 {
        self.kernel_drops.total()
    }

    /// What was said before all shards were up, once.
    pub fn early_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.early)
    }

    /// What the shards have to say.
    pub fn notices(&self) -> &Receiver<Notice> {
        &self.notices
    }

    /// All counters.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// The rules' counters.
    pub fn rule_books(&self) -> &RuleBooks {
        &self.rule_books
    }

    /// What is in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All topics.
    pub fn topics(&self) -> &TopicTable {
        &self.topics
    }

    /// Topics that the rules name.
    pub fn configured_topics(&self) -> &HashSet<String> {
        &self.configured_topics
    }

    /// How far the process is.
    pub fn phase(&self) -> Phase {
        self.phase.now()
    }

    /// Batches on their way to the producer, and words.
    pub fn queued(&self) -> usize {
        self.inbox.len()
    }

    /// When each listener's certificate expires, in seconds since 1970.
    pub fn certificate_expiries(&self) -> impl Iterator<Item = (&str, i64)> {
        self.certificates.expiries()
    }

    /// Asks the producer for its latencies; it goes on with `empty`. Once, until they have come.
    ///
    /// Returns `empty` where it cannot be asked.
    pub fn ask_latencies(&self, empty: Box<Latencies>) -> Option<Box<Latencies>> {
        match self.inbox.try_send(Arrival::Latencies(empty)) {
            Ok(()) => None,
            Err(why) => match why.into_inner() {
                Arrival::Latencies(empty) => Some(empty),
                _ => None,
            },
        }
    }

    /// The latencies that were asked for.
    pub fn latencies(&self) -> Option<Box<Latencies>> {
        self.latencies.try_recv().ok()
    }
}

fn start_embedded(topics: &Arc<TopicTable>, notices: &Sender<Notice>) -> Result<Embedded, String> {
    let out = std::io::BufWriter::new(std::io::stdout());
    Embedded::start(topics.clone(), Box::new(out), notices.clone())
}

fn gate_limits(settings: &Settings) -> GateLimits {
    GateLimits {
        connections_max: settings.limits.connections,
        per_address_max: settings.limits.connections_per_ip,
        per_64_max: settings.limits.connections_per_64,
    }
}

fn receiver_limits(settings: &Settings) -> ReceiverLimits {
    ReceiverLimits {
        frame_bytes_max: settings.limits.frame_bytes_max,
        frame_time: settings.limits.frame_time,
        idle_time: settings.limits.idle_time,
        handshake_time: settings.limits.handshake_time,
    }
}

fn no_thread(why: &std::io::Error) -> String {
    format!("a shard's thread cannot be made: {why}; allow more threads (ulimit -u, TasksMax=)")
}
