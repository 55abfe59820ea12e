//! What corndog's status server says, held against what is measured from outside, and what those who
//! abuse it cost the messages.
//!
//! ```text
//!  agreement: 100 connections, 20,000 messages/s --> each from its write to the sink | /stats
//!  abuse: a flood, flat out; spans without and with abusers, in turn --> the ones by the others
//! ```
//!
//! In both kinds of spans quiet connections send beside the flood, and somebody honest asks for both
//! pages each second.

use crate::abusers::{self, Crew, Tally};
use crate::cpu;
use crate::failure::Failure;
use crate::forwarder;
use crate::stage::{self, Counted, Flood, Stage, flood_on, join};
use crate::status::{self, Stats};
use crate::summary::Spread;
use crate::trickle::{self, Waits};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Senders whose latency is measured twice, and what each sends: 20,000 messages a second.
const SENDERS: u16 = 100;
const SEND_PAUSE: Duration = Duration::from_millis(5);
/// Quiet connections beside a flood.
const TRICKLES: u16 = 100;
const PAUSE: Duration = Duration::from_millis(100);
/// From corndog's start to the first message: it connects to the brokers.
const SETTLE_TIME: Duration = Duration::from_millis(500);
/// Until `/stats` tells of all that has arrived, and until it answers after an abuse.
const STATS_TIME_MAX: Duration = Duration::from_secs(10);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
const ASK_PAUSE: Duration = Duration::from_millis(200);
/// Between two scrapes, and two looks at whether it is over.
const SCRAPE_PAUSE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(20);
/// What [`Agreement`] compares, in the order of [`Stats::latency`].
const NAMES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "longest"];

/// What is measured.
#[derive(Debug)]
pub struct Plan {
    /// With how long each span counts.
    pub stage: stage::Plan,
    /// Where corndog's status server is to listen.
    pub status_port: u16,
    /// Who abuses it.
    pub crew: Crew,
    /// Spans of each kind.
    pub rounds: u16,
}

/// The same messages' latencies, measured twice.
#[derive(Debug)]
pub struct Agreement {
    /// Messages sent, a second.
    pub per_second: f64,
    /// Messages sent.
    pub sent: u64,
    /// From just before the write to the sink.
    pub own: Waits,
    /// By how much each was sent late.
    pub late: Waits,
    /// What corndog says.
    pub stats: Stats,
}

/// A span with or without abusers.
#[derive(Debug)]
pub struct Span {
    /// What went by.
    pub counted: Counted,
    /// Of the quiet connections.
    pub quiet: Waits,
    /// The honest one's pages.
    pub scrapes: Scrapes,
    /// From the start to the end, before and after what counts, too.
    pub length: Duration,
    /// Of the abusers; none without them.
    pub abuse: Option<Tally>,
    /// How long the server took to answer again, once all had gone.
    pub recovery: Duration,
}

/// What an honest client got.
#[derive(Debug, Default)]
pub struct Scrapes {
    /// Pages that came whole.
    pub answered: u64,
    /// Pages that did not.
    pub failed: u64,
    /// The longest wait for one that came.
    pub longest: Duration,
    /// CPU time of its thread.
    pub cpu: Duration,
}

/// All spans: of each round one without and one with abusers.
#[derive(Debug)]
pub struct Abuse {
    /// Without, and with.
    pub rounds: Vec<[Span; 2]>,
    /// Messages that did not arrive, of all.
    pub lost: u64,
}

/// Measures latencies from outside, and asks for corndog's own.
pub fn agreement(plan: &Plan, stop: &AtomicBool) -> Result<Agreement, Failure> {
    let mut stage = start(plan, stop)?;
    stage.pass(SETTLE_TIME)?;
    let senders = stage.quiet(0, 0, SENDERS, SEND_PAUSE);
    let ended = AtomicBool::new(false);
    let from = Instant::now();
    let mut sent = thread::scope(|scope| {
        let sending = scope.spawn(|| trickle::trickle(&senders, &ended));
        let passed = stage.pass(plan.stage.length);
        ended.store(true, Relaxed);
        let sent = join(sending)?;
        passed.map(|()| sent)
    })?;
    let span = (from, Instant::now());
    stage.sent.extend(sent.by_connection());
    let arrived = stage.arrived()?;
    let count = sent.at.len() as u64;
    let stats = settled_stats(plan.status_port, count, &mut stage)?;
    stage.finish()?;
    Ok(Agreement {
        per_second: count as f64 / (span.1 - span.0).as_secs_f64(),
        sent: count,
        own: stage::waits(&sent, &arrived, span)?,
        late: Waits::new(std::mem::take(&mut sent.late)),
        stats,
    })
}

/// Measures the spans; `tell` hears of each.
pub fn abuse(plan: &Plan, stop: &AtomicBool, tell: &dyn Fn(&str)) -> Result<Abuse, Failure> {
    let mut stage = start(plan, stop)?;
    stage.pass(SETTLE_TIME)?;
    let mut rounds = Vec::new();
    for round in 0..plan.rounds {
        let mut measure = |with: bool| {
            let span = span(plan, &mut stage, 2 * round + u16::from(with), with)?;
            tell(&format!("round {} {} {span}", round + 1, label(with)));
            Ok::<_, Failure>(span)
        };
        // The order alternates: what grows with time is then in both.
        rounds.push(match round % 2 {
            0 => [measure(false)?, measure(true)?],
            _ => {
                let with = measure(true)?;
                [measure(false)?, with]
            }
        });
    }
    Ok(Abuse { rounds, lost: stage.finish()? })
}

impl Agreement {
    /// Both are over the same messages.
    pub fn is_of_the_same(&self) -> bool {
        let Stats { received, delivered, count, .. } = self.stats;
        [received, delivered, count, self.own.count() as u64].iter().all(|one| *one == self.sent)
    }

    fn own(&self) -> [Duration; 5] {
        let at = |per_mille| self.own.per_mille(per_mille);
        [at(500), at(900), at(990), at(999), self.own.longest()]
    }
}

impl Abuse {
    /// Records a second with abusers by those without, round by round; `None` without rounds.
    pub fn ratio(&self) -> Option<Spread> {
        self.ratio_of(Counted::per_second)
    }

    fn ratio_of(&self, of: impl Fn(&Counted) -> f64) -> Option<Spread> {
        let ratio = |[without, with]: &[Span; 2]| of(&with.counted) / of(&without.counted);
        Spread::of(self.rounds.iter().map(ratio))
    }

    /// Of one kind of span.
    fn spread(&self, with: bool, of: impl Fn(&Span) -> f64) -> Option<Spread> {
        Spread::of(self.rounds.iter().map(|spans| of(&spans[usize::from(with)])))
    }
}

fn start<'a>(plan: &'a Plan, stop: &'a AtomicBool) -> Result<Stage<'a>, Failure> {
    forwarder::check_port(plan.status_port, "--status-port")?;
    let address = format!("127.0.0.1:{}", plan.status_port);
    Stage::start(&plan.stage, &[("CORNDOG_STATUS__ADDRESS", address)], stop)
}

/// What `/stats` says once it tells of that many messages, or when it does not come to it.
fn settled_stats(port: u16, count: u64, stage: &mut Stage<'_>) -> Result<Stats, Failure> {
    let deadline = Instant::now() + STATS_TIME_MAX;
    loop {
        let stats = status::stats(port)?;
        if stats.count >= count && stats.delivered >= count || Instant::now() > deadline {
            return Ok(stats);
        }
        stage.pass(ASK_PAUSE)?;
    }
}

fn span(plan: &Plan, stage: &mut Stage<'_>, number: u16, with: bool) -> Result<Span, Failure> {
    let trickles = stage.quiet(number, 0, TRICKLES, PAUSE);
    let flood = stage.flood(Flood::FlatOut, number);
    let ended = AtomicBool::new(false);
    let began = Instant::now();
    let port = plan.status_port;
    let (counted, sent, scrapes, abuse) = thread::scope(|scope| {
        let load = scope.spawn(|| flood_on(flood.as_ref(), &ended));
        let trickling = scope.spawn(|| trickle::trickle(&trickles, &ended));
        let scraping = scope.spawn(|| Ok(scrape(port, &ended)));
        let abusing = with.then(|| scope.spawn(|| Ok(abusers::abuse(port, plan.crew, &ended))));
        let counted = stage.count();
        ended.store(true, Relaxed);
        stage.sent.extend(join(load)?);
        let (sent, scrapes) = (join(trickling)?, join(scraping)?);
        let abuse = abusing.map(join).transpose()?;
        Ok::<_, Failure>((counted?, sent, scrapes, abuse))
    })?;
    let length = began.elapsed();
    stage.sent.extend(sent.by_connection());
    let arrived = stage.arrived()?;
    let quiet = stage::waits(&sent, &arrived, counted.span)?;
    let recovery = recover(port, stage)?;
    Ok(Span { counted, quiet, scrapes, length, abuse, recovery })
}

/// Asks for both pages each second, until `ended`.
fn scrape(port: u16, ended: &AtomicBool) -> Scrapes {
    let mut scrapes = Scrapes::default();
    let mut due = Instant::now();
    while !ended.load(Relaxed) {
        if Instant::now() < due {
            thread::sleep(TICK);
            continue;
        }
        due = Instant::now() + SCRAPE_PAUSE;
        for path in ["/metrics", "/stats"] {
            let asked = Instant::now();
            match status::get(port, path) {
                Ok(_) => {
                    scrapes.answered += 1;
                    scrapes.longest = scrapes.longest.max(asked.elapsed());
                }
                Err(_) => scrapes.failed += 1,
            }
        }
    }
    scrapes.cpu = cpu::of_thread();
    scrapes
}

/// Waits until the server answers somebody who comes alone.
fn recover(port: u16, stage: &mut Stage<'_>) -> Result<Duration, Failure> {
    let began = Instant::now();
    while let Err(why) = status::get(port, "/health") {
        if began.elapsed() > ANSWER_TIME_MAX {
            let seconds = ANSWER_TIME_MAX.as_secs();
            return Err(Failure::Run(format!("{why}, {seconds} s after the abuse")));
        }
        stage.pass(ASK_PAUSE)?;
    }
    Ok(began.elapsed())
}

fn label(with: bool) -> &'static str {
    if with { "with abusers" } else { "without" }
}

fn millis(wait: Duration) -> f64 {
    wait.as_secs_f64() * 1e3
}

impl fmt::Display for Agreement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stats { received, delivered, count, latency } = self.stats;
        let late = [self.late.percentile(50), self.late.percentile(99), self.late.longest()];
        let [half, most, longest] = late.map(millis);
        writeln!(
            out,
            "sent {} ({:.0}/s; late by p50 {half:.2}, p99 {most:.2}, at most {longest:.2} ms)",
            self.sent, self.per_second
        )?;
        let same = if self.is_of_the_same() { "the same" } else { "NOT the same" };
        writeln!(
            out,
            "measured {}; /stats: received {received}, delivered {delivered}, in latency.total \
             {count}: {same}",
            self.own.count()
        )?;
        write!(out, "{:<8} {:>14} {:>14} {:>7}", "ms", "write to sink", "/stats", "ratio")?;
        for ((name, own), said) in NAMES.into_iter().zip(self.own()).zip(latency) {
            let (own, said) = (millis(own), millis(said));
            let ratio = said / own.max(1e-6);
            write!(out, "\n{name:<8} {own:>14.3} {said:>14.3} {ratio:>7.3}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scrapes { answered, failed, longest, cpu } = self.scrapes;
        let seconds = self.length.as_secs_f64();
        let cores = |cpu: Duration| cpu.as_secs_f64() / seconds;
        write!(
            out,
            "{:.0} records/s, quiet p99 {:.2} ms, {:.3} CPU s/million; scrapes: {answered} whole, \
             {failed} failed, at most {:.1} ms, {:.4} cores; {:.1} ms to answer again",
            self.counted.per_second(),
            millis(self.quiet.percentile(99)),
            self.counted.cpu_per_million(),
            millis(longest),
            cores(cpu),
            millis(self.recovery),
        )?;
        let Some(Tally { connects, refused, closed, bytes, cpu }) = self.abuse else {
            return Ok(());
        };
        let each_second = |count: u64| count as f64 / seconds;
        write!(
            out,
            "; abusers: a second {:.0} connects, {:.0} not taken, {:.0} closed, {:.0} bytes; \
             {:.4} cores",
            each_second(connects),
            each_second(refused),
            each_second(closed),
            each_second(bytes),
            cores(cpu)
        )
    }
}

impl fmt::Display for Abuse {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{:<12} {:>29} {:>22} {:>20} {:>23}",
            "", "records/s", "quiet p99 ms", "CPU s/million", "first thread, cores"
        )?;
        for with in [false, true] {
            let per_second = self.spread(with, |span| span.counted.per_second());
            let quiet = self.spread(with, |span| millis(span.quiet.percentile(99)));
            let cpu = self.spread(with, |span| span.counted.cpu_per_million());
            let first = self.spread(with, |span| span.counted.first_thread_cores());
            if let (Some(taken), Some(quiet), Some(cpu), Some(first)) =
                (per_second, quiet, cpu, first)
            {
                let who = label(with);
                writeln!(out, "{who:<12} {taken:>29.0} {quiet:>22.2} {cpu:>20.3} {first:>23.4}")?;
            }
        }
        if let (Some(taken), Some(cpu)) = (self.ratio(), self.ratio_of(Counted::cpu_per_million)) {
            writeln!(
                out,
                "with abusers by without, per round: records/s {taken:.3}, CPU {cpu:.3}"
            )?;
        }
        write!(out, "lost {}", self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agreement_is_of_the_same_messages_or_none() {
        let ms = Duration::from_millis;
        let stats = Stats { received: 3, delivered: 3, count: 3, latency: [ms(2); 5] };
        let own = || Waits::new(vec![ms(1), ms(2), ms(4)]);
        let agreement = |count| Agreement {
            per_second: 1.0,
            sent: 3,
            own: own(),
            late: own(),
            stats: Stats { count, ..stats },
        };
        assert!(agreement(3).is_of_the_same() && !agreement(2).is_of_the_same());
        let shown = agreement(3).to_string();
        assert!(shown.contains("longest           4.000          2.000   0.500"), "{shown}");
    }
}
