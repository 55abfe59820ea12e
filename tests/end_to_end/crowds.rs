//! Crowds of connections that say little, slowly or nothing: closed in time or cheap to keep, and the
//! honest sender beside them is served.

use crate::stage::{SERVED_TIME_MAX, Stage, Way};
use corndog_tests::descriptors;
use corndog_tests::time::{full, seconds};
use corndog_tests::{SecureSender, Sender, timed_alone};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How late the last of a crowd may be closed: the sweep's pause, and a busy machine.
const LATE_MAX: Duration = Duration::from_millis(1000);
/// Between two looks at a crowd.
const TICK: Duration = Duration::from_millis(20);
/// Between two honest senders.
const HONEST_PAUSE: Duration = Duration::from_millis(100);

/// Connections that send half of `script`, and then nothing; every second one goes on with a byte
/// every `pace`.
struct Slow {
    address: SocketAddr,
    script: Vec<u8>,
    pace: Duration,
    members: Vec<Member>,
}

struct Member {
    stream: TcpStream,
    connected: Instant,
    /// What of the script is out.
    sent: usize,
    /// How long it was open.
    open: Option<Duration>,
}

impl Slow {
    fn new(address: SocketAddr, script: Vec<u8>, pace: Duration) -> Slow {
        Slow { address, script, pace, members: Vec::new() }
    }

    fn connect(&mut self, count: usize) {
        for _ in 0..count {
            let mut stream = TcpStream::connect(self.address).unwrap();
            let sent = self.script.len() / 2;
            stream.write_all(&self.script[..sent]).unwrap();
            stream.set_nonblocking(true).unwrap();
            self.members.push(Member { stream, connected: Instant::now(), sent, open: None });
        }
    }

    /// Sends the bytes that are due, and notes who was closed.
    fn look(&mut self) {
        let half = self.script.len() / 2;
        for (index, member) in self.members.iter_mut().enumerate() {
            if member.open.is_some() {
                continue;
            }
            let open = member.connected.elapsed();
            let due = (open.as_nanos() / self.pace.as_nanos()) as usize;
            if index % 2 == 0 && member.sent < half + due && member.sent < self.script.len() - 1 {
                // One that is closed meanwhile is found below.
                let _ = member.stream.write(&self.script[member.sent..=member.sent]);
                member.sent += 1;
            }
            match member.stream.read(&mut [0; 64]) {
                Ok(count) if count > 0 => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => member.open = Some(open),
            }
        }
    }

    fn open_count(&self) -> usize {
        self.members.iter().filter(|member| member.open.is_none()).count()
    }

    /// How long they were open: the shortest, the longest.
    fn open(&self) -> (Duration, Duration) {
        let open = || self.members.iter().filter_map(|member| member.open);
        (open().min().unwrap_or_default(), open().max().unwrap_or_default())
    }
}

/// Lets `count` slow ones come, and honest ones beside them, until all slow ones are closed.
fn stand(stage: &mut Stage, way: Way, slow: &mut Slow, count: usize, limit: Duration) {
    let began = Instant::now();
    let mut served_at = began;
    while slow.members.len() < count || slow.open_count() > 0 {
        slow.connect((count - slow.members.len()).min(100));
        slow.look();
        if served_at.elapsed() >= HONEST_PAUSE {
            served_at = Instant::now();
            stage.serve(way);
        }
        assert!(began.elapsed() < limit + seconds(30), "{} are still open", slow.open_count());
        sleep(TICK);
    }
    let (shortest, longest) = slow.open();
    println!(
        "{count} slow ones ({way:?}): open for {shortest:.2?} to {longest:.2?} of {limit:?}; {}",
        stage.served()
    );
    assert!(longest <= limit + LATE_MAX, "closed after {longest:?}");
    let served = stage.served();
    assert!(served.count > 5 && served.longest <= SERVED_TIME_MAX, "{served}");
}

/// How many at once; the limits' time; the pace of their bytes.
fn slow_crowds(short: u64, long: u64) -> (&'static [usize], Duration, Duration) {
    match full() {
        true => (&[250, 2000], seconds(long), seconds(5)),
        false => (&[250], seconds(short), Duration::from_millis(300)),
    }
}

#[test]
fn slow_frames_are_closed_in_time_beside_an_honest_sender() {
    timed_alone(seconds(180), || {
        let (counts, limit, pace) = slow_crowds(2, 30);
        for count in counts {
            let mut stage = Stage::start(&format!(
                "[limits]\nframe_time = \"{} s\"\nconnections_per_ip = 3000",
                limit.as_secs()
            ));
            let script = b"<13>1 - - - - - - it comes, but not to its end".to_vec();
            let mut slow = Slow::new(stage.address(Way::Plain), script, pace);
            stand(&mut stage, Way::Plain, &mut slow, *count, limit);
            assert!(slow.open().0 >= limit - LATE_MAX / 10, "closed too early");
            let ledger = stage.stop();
            assert_eq!(ledger.dropped("framing"), *count as u64, "{ledger:?}");
            assert_eq!(ledger.delivered, stage.probes());
        }
    });
}

/// Of more than 1024 at their handshake on one shard, the oldest go first.
#[test]
fn slow_handshakes_are_closed_in_time_beside_an_honest_sender() {
    timed_alone(seconds(180), || {
        let (counts, limit, pace) = slow_crowds(2, 12);
        for count in counts {
            let mut stage = Stage::start(&format!(
                "[limits]\nhandshake_time = \"{} s\"\nconnections_per_ip = 3000",
                limit.as_secs()
            ));
            let hello = stage.trust.hello();
            let mut slow = Slow::new(stage.address(Way::Secure), hello, pace);
            stand(&mut stage, Way::Secure, &mut slow, *count, limit);
            stage.stop().assert_all_delivered(stage.probes());
            let (late, many) = (stage.refused("handshake_time"), stage.refused("handshakes"));
            println!("{late} for limits.handshake_time, {many} made room for younger ones");
            assert_eq!(late + many, *count as u64);
        }
    });
}

/// A connection of a test that is idle most of the time.
enum Idle {
    Plain(Sender),
    Secure(Box<SecureSender>),
}

impl Idle {
    fn connect(stage: &Stage, way: Way) -> Idle {
        let address = stage.address(way);
        match way {
            Way::Plain => Idle::Plain(Sender::connect(address)),
            Way::Secure => {
                let sender = SecureSender::connect(address, &stage.trust, "127.0.0.1");
                Idle::Secure(Box::new(sender.unwrap()))
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        match self {
            Idle::Plain(sender) => sender.send(bytes),
            Idle::Secure(sender) => sender.send(bytes).unwrap(),
        }
    }
}

/// So many idle connections: each has sent a message and the start of one; then each sends what fills
/// its buffers, and is idle again; then all go, and as many come once more.
struct IdleCrowd {
    stage: Stage,
    way: Way,
    count: usize,
    /// Bytes in memory before the first.
    before: u64,
    /// Records in the topic `plain`.
    records: usize,
}

impl IdleCrowd {
    fn new(way: Way, count: usize) -> IdleCrowd {
        descriptors::allow(count as u64 + 1000);
        let mut stage = Stage::start(
            "[limits]\nconnections = 11000\nconnections_per_ip = 11000\nframe_time = \"10 min\"\n\
             [batches]\nper_receiver = 2",
        );
        // What the first connection of a kind, and the first burst, cost once.
        let mut first = Idle::connect(&stage, way);
        first.send(burst().as_bytes());
        stage.wait_plain(1);
        let before = stage.corndog.process().memory("VmRSS");
        IdleCrowd { stage, way, count, before, records: 1 }
    }

    /// They come and say little; KiB for each then.
    fn come(&mut self) -> (Vec<Idle>, f64) {
        let began = Instant::now();
        let connect = |_| Idle::connect(&self.stage, self.way);
        let mut idle: Vec<Idle> = (0..self.count).map(connect).collect();
        println!("{} {:?} connections in {:.1?}", self.count, self.way, began.elapsed());
        let each = self.send(&mut idle, "<13>1 - - - - - - hello\n<13>1 - - -");
        (idle, each)
    }

    /// All send this, which holds the end of a message; KiB for each when it is in Kafka.
    fn send(&mut self, idle: &mut [Idle], text: &str) -> f64 {
        idle.iter_mut().for_each(|sender| sender.send(text.as_bytes()));
        let messages = text.matches("hello").count();
        self.records += messages * self.count;
        self.stage.wait_plain(self.records);
        self.each()
    }

    fn go(&mut self, idle: Vec<Idle>) -> f64 {
        drop(idle);
        corndog_tests::wait_for("all of them are closed", seconds(20), || {
            (descriptors::open(self.stage.id()).len() < self.count / 2).then_some(())
        });
        self.each()
    }

    fn each(&mut self) -> f64 {
        let now = self.stage.corndog.process().memory("VmRSS");
        (now as f64 - self.before as f64) / 1024.0 / self.count as f64
    }
}

fn idle_connections_cost(way: Way, count: usize, kib_max: f64) {
    let mut crowd = IdleCrowd::new(way, count);
    let (mut idle, fresh) = crowd.come();
    let warm = crowd.send(&mut idle, &format!(" - - - hello\n{}", burst()));
    let honest = crowd.stage.serve(way);
    let gone = crowd.go(idle);
    let (idle, again) = crowd.come();
    println!(
        "KiB each: {fresh:.1} fresh, {warm:.1} idle again after a burst, {gone:.1} when they are gone, \
         {again:.1} when as many have come again; an honest sender beside them: {honest:.1?}"
    );
    for kib in [fresh, warm, again] {
        assert!(kib <= kib_max, "{kib:.1} KiB for an idle connection");
    }
    assert!(honest <= SERVED_TIME_MAX, "{honest:?}");
    drop(idle);
    crowd.stage.stop();
}

/// Whole messages that go nowhere, more than a buffer of them; one that is forwarded; a third of one.
fn burst() -> String {
    let line = format!("<13>1 - - - - - - burst {}\n", "x".repeat(1000));
    format!("{}<13>1 - - - - - - hello\n<13>1 - - -", line.repeat(80))
}

#[test]
fn idle_connections_cost_8_kib_each_at_most() {
    // What the shard keeps for all of them, such as free buffers, is not each one's.
    let count = if full() { 10_000 } else { 3000 };
    timed_alone(seconds(180), move || idle_connections_cost(Way::Plain, count, 8.0));
}

#[test]
fn idle_tls_connections_cost_40_kib_each_at_most() {
    let count = if full() { 10_000 } else { 600 };
    timed_alone(seconds(300), move || idle_connections_cost(Way::Secure, count, 40.0));
}
