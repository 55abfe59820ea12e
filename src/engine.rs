//! The engine: makes the queues, starts the shards and ends them. The only file that knows both
//! kinds of shard.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use corndog_pipeline::batch::{Batch, batch_records_max};
use corndog_pipeline::control::{Arrival, Notice, Phase, PhaseCell};
use corndog_pipeline::ruleset::RuleSet;
use corndog_pipeline::topics::TopicTable;
use corndog_producer::{Embedded, ProducerSettings};
use corndog_receiver::{Gate, Kick, Listen, ReceiverLimits, ReceiverSettings};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::config::Settings;
use crate::ledger::Books;

/// How long all shards together may take to say that they are up.
const START_TIME_MAX: Duration = Duration::from_secs(2);
/// How long shards that were told to end at once may take.
pub const ABORT_TIME_MAX: Duration = Duration::from_secs(5);
/// How often every receiver is woken from outside; see `Kick`. It bounds how long one may sleep
/// that should not, and costs about 20 us.
const KICK: Duration = Duration::from_millis(50);
/// Notices on their way to the main thread; a shard that finds this full leaves its line out.
const NOTICES_MAX: usize = 1024;

/// What all receivers are given.
struct Shared<'s> {
    settings: &'s Settings,
    rules: Arc<RuleSet>,
    topics: Arc<TopicTable>,
    gate: Arc<Gate>,
    outbox: Sender<Arrival>,
    notices: Sender<Notice>,
}

/// The running shards.
pub struct Engine {
    phase: Arc<PhaseCell>,
    books: Arc<Books>,
    kicks: Vec<Arc<Kick>>,
    kicked_at: Instant,
    notices: Receiver<Notice>,
    receivers: Vec<JoinHandle<()>>,
    producer: Option<JoinHandle<()>>,
    inbox: Sender<Arrival>,
    is_inbox_closed: bool,
    embedded: Option<Embedded>,
    has_died: bool,
}

impl Engine {
    /// Starts all shards and waits until each is up. Nothing is accepted before [`Engine::go`].
    ///
    /// Errors: what refused to start, a sentence each; everything is ended again then.
    pub fn start(settings: &Settings, mut rules: RuleSet) -> Result<Engine, Vec<String>> {
        let topics =
            Arc::new(TopicTable::new(rules.configured_topics(), settings.routing.distinct));
        rules.place(&topics).map_err(|why| vec![why])?;
        let receiver_count = settings.cores.receivers.len();
        let batches_max = receiver_count * settings.batches.per_receiver;
        let (notices_out, notices) = bounded(NOTICES_MAX);
        // Room for every batch, one wake-up from librdkafka, one from the producer to itself, and
        // the word that no more come: sending never waits.
        let (inbox_out, inbox) = bounded(batches_max + 3);
        let homes: Vec<_> =
            (0..receiver_count).map(|_| bounded(settings.batches.per_receiver)).collect();
        let mut conf = settings.kafka.conf.clone();
        let embedded =
            settings.kafka.embedded.then(|| start_embedded(&topics, &notices_out)).transpose();
        let embedded = embedded.map_err(|why| vec![why])?;
        if let Some(embedded) = &embedded {
            conf.retain(|(key, _)| key != "bootstrap.servers");
            conf.push(("bootstrap.servers".to_owned(), embedded.servers().to_owned()));
        }
        let mut engine = Engine {
            phase: Arc::default(),
            books: Arc::new(Books::new(receiver_count)),
            kicks: (0..receiver_count).map(|_| Arc::default()).collect(),
            kicked_at: Instant::now(),
            notices,
            receivers: Vec::new(),
            producer: None,
            inbox: inbox_out.clone(),
            is_inbox_closed: false,
            embedded,
            has_died: false,
        };
        let producer = ProducerSettings {
            core: settings.cores.producer,
            cores_allowed: settings.cores.allowed.clone(),
            conf,
            batches_max,
            records_max: batch_records_max(settings.batches.bytes),
            topics: topics.clone(),
            inbox,
            inbox_sender: inbox_out.clone(),
            homes: homes.iter().map(|(home, _)| home.clone()).collect(),
            counters: engine.books.producer.clone(),
            phase: engine.phase.clone(),
            notices: notices_out.clone(),
        };
        let started = corndog_producer::spawn(producer);
        engine.producer = Some(started.map_err(|why| vec![no_thread(&why)])?);
        engine.wait_until_up(1)?;
        let shared = Shared {
            settings,
            rules: Arc::new(rules),
            topics,
            gate: Arc::new(Gate::new(
                settings.limits.connections,
                settings.limits.connections_per_ip,
            )),
            outbox: inbox_out,
            notices: notices_out,
        };
        for (index, (_, returns)) in homes.into_iter().enumerate() {
            match corndog_receiver::spawn(engine.receiver(&shared, index, returns)) {
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

    /// What receiver `index` is made of.
    fn receiver(
        &self,
        shared: &Shared<'_>,
        index: usize,
        returns: Receiver<Batch>,
    ) -> ReceiverSettings {
        let settings = shared.settings;
        ReceiverSettings {
            index,
            core: settings.cores.receivers[index],
            listen: listen(settings),
            limits: ReceiverLimits {
                frame_bytes_max: settings.limits.frame_bytes_max,
                frame_time: settings.limits.frame_time,
                idle_time: settings.limits.idle_time,
            },
            batches_per_receiver: settings.batches.per_receiver,
            batch_bytes: settings.batches.bytes,
            batch_age_max: settings.batches.age,
            rules: shared.rules.clone(),
            topics: shared.topics.clone(),
            gate: shared.gate.clone(),
            outbox: shared.outbox.clone(),
            returns,
            counters: self.books.receivers[index].clone(),
            phase: self.phase.clone(),
            kick: self.kicks[index].clone(),
            notices: shared.notices.clone(),
        }
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
                Ok(Notice::Said { .. }) => {}
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

    /// Stops accepting; what the kernel holds is read, and all is delivered.
    pub fn drain(&self) {
        self.phase.advance(Phase::Draining);
    }

    /// The drain is over: what is not delivered is counted as failed.
    pub fn abort(&self) {
        self.phase.advance(Phase::Aborting);
    }

    /// What the shards have to say.
    pub fn notices(&self) -> &Receiver<Notice> {
        &self.notices
    }

    /// All counters.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Looks after the threads; true when all have ended. The producer hears when the last
    /// receiver has.
    pub fn has_ended(&mut self) -> bool {
        if self.kicked_at.elapsed() >= KICK {
            self.kicked_at = Instant::now();
            self.kicks.iter().for_each(|kick| kick.kick());
        }
        let is_running = self.phase.now() == Phase::Running;
        let (ended, running) =
            std::mem::take(&mut self.receivers).into_iter().partition(JoinHandle::is_finished);
        self.receivers = running;
        for thread in ended {
            self.has_died |= thread.join().is_err() || is_running;
        }
        if self.receivers.is_empty() && !self.is_inbox_closed {
            self.is_inbox_closed = self.inbox.try_send(Arrival::Closed).is_ok();
        }
        if let Some(thread) = self.producer.take_if(|thread| thread.is_finished()) {
            self.has_died |= thread.join().is_err() || is_running;
        }
        self.receivers.is_empty() && self.producer.is_none()
    }

    /// True if a shard has ended that nobody told to.
    pub fn has_died(&self) -> bool {
        self.has_died
    }

    /// Waits a bounded time for shards that were told to end at once.
    pub fn end_at_once(&mut self) {
        self.abort();
        let deadline = Instant::now() + ABORT_TIME_MAX;
        while !self.has_ended() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends the embedded Kafka, after what it has is printed.
    pub fn end_embedded(&mut self) {
        self.embedded = None;
    }
}

fn start_embedded(topics: &Arc<TopicTable>, notices: &Sender<Notice>) -> Result<Embedded, String> {
    let out = std::io::BufWriter::new(std::io::stdout());
    Embedded::start(topics.clone(), Box::new(out), notices.clone())
}

fn listen(settings: &Settings) -> Vec<Listen> {
    let listeners = settings.listen.iter();
    listeners
        .map(|listener| Listen { name: listener.name.clone(), address: listener.address })
        .collect()
}

fn no_thread(why: &std::io::Error) -> String {
    format!("a shard's thread cannot be made: {why}; allow more threads (ulimit -u, TasksMax=)")
}
