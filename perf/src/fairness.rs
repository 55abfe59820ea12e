//! A flood beside senders that send little, all on one receiver: what those wait until their messages
//! are in the sink.
//!
//! ```text
//!  capacity: the flood alone, flat out --> what the node takes
//!  then, each with quiet senders beside it: no flood, 80 % of that, flat out (held back)
//! ```
//!
//! Quiet senders are 100 connections with ten messages a second each, and ten newcomers a second with
//! one message each, timed from their connect.

use crate::failure::Failure;
use crate::stage::{self, Flood, Plan, QUIET_EACH, Stage, flood_on, join};
use crate::trickle::{self, Waits};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// The share of its capacity at which a node is still to serve all at once.
const SHARE: f64 = 0.8;
const TRICKLES: u16 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// What one phase showed.
#[derive(Debug)]
pub struct Phase {
    /// What the flood did.
    pub label: String,
    /// Records at the sink, a second.
    pub taken_per_second: f64,
    /// Of the quiet connections.
    pub trickles: Waits,
    /// Of the newcomers.
    pub newcomers: Waits,
    /// What this machine's own timers missed: it is not in the waits, but says how busy it was.
    pub late: Waits,
}

/// What all phases showed.
#[derive(Debug)]
pub struct Shown {
    /// Messages a second that the node takes from the flood alone.
    pub capacity: f64,
    /// Without a flood, at 80 %, and flat out.
    pub phases: Vec<Phase>,
    /// Messages that did not arrive, of all.
    pub lost: u64,
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "the node takes {:.0} messages/s of the flood alone", self.capacity)?;
        let ms = "p50      p99  longest";
        writeln!(formatter, "{:<10} {:>11} | {ms:>26} | {ms:>26} | {ms:>26}", "ms", "messages/s")?;
        let [one, two, three] = ["100 trickles", "newcomers", "the timers' own lateness"];
        writeln!(formatter, "{:<10} {:>11} | {one:>26} | {two:>26} | {three:>26}", "", "")?;
        for Phase { label, taken_per_second, trickles, newcomers, late } in &self.phases {
            writeln!(
                formatter,
                "{label:<10} {taken_per_second:>11.0} | {trickles} | {newcomers} | {late}"
            )?;
        }
        write!(formatter, "lost {}", self.lost)
    }
}

/// Measures the capacity, then the three phases; `tell` hears of each.
///
/// Errors: the first failure ends it all; `Failure::Stopped` if `stop` was set.
pub fn run(plan: &Plan, stop: &AtomicBool, tell: &dyn Fn(&str)) -> Result<Shown, Failure> {
    let mut stage = Stage::start(plan, &[("CORNDOG_SHARDS__RECEIVERS", "1".to_owned())], stop)?;
    tell("capacity: the flood alone");
    let capacity = capacity(&mut stage)?;
    let mut phases = Vec::new();
    let floods = [Flood::Not, Flood::At((capacity * SHARE) as u64), Flood::FlatOut];
    for (number, flood) in (1..).zip(floods) {
        tell(&label(flood));
        phases.push(phase(&mut stage, number, flood)?);
    }
    Ok(Shown { capacity, phases, lost: stage.finish()? })
}

fn label(flood: Flood) -> String {
    match flood {
        Flood::Not => "no flood".to_owned(),
        Flood::At(_) => format!("at {:.0} %", SHARE * 100.0),
        Flood::FlatOut => "flat out".to_owned(),
    }
}

fn capacity(stage: &mut Stage<'_>) -> Result<f64, Failure> {
    let flood = stage.flood(Flood::FlatOut, 0);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| flood_on(flood.as_ref(), &ended));
        let counted = stage.count();
        ended.store(true, Relaxed);
        stage.sent.extend(join(load)?);
        Ok(counted?.per_second())
    })
}

fn phase(stage: &mut Stage<'_>, number: u16, flood: Flood) -> Result<Phase, Failure> {
    let trickles = stage.quiet(number, 0, TRICKLES, PAUSE);
    let newcomers = stage.quiet(number, 1, QUIET_EACH, PAUSE);
    let flood_plan = stage.flood(flood, number);
    let ended = AtomicBool::new(false);
    let (counted, trickled, came) = thread::scope(|scope| {
        let load = scope.spawn(|| flood_on(flood_plan.as_ref(), &ended));
        let trickling = scope.spawn(|| trickle::trickle(&trickles, &ended));
        let coming = scope.spawn(|| trickle::newcomers(&newcomers, &ended));
        let counted = stage.count();
        ended.store(true, Relaxed);
        let (trickled, came) = (join(trickling)?, join(coming)?);
        stage.sent.extend(join(load)?);
        Ok::<_, Failure>((counted?, trickled, came))
    })?;
    stage.sent.extend(trickled.by_connection());
    stage.sent.extend(came.by_connection());
    let arrived = stage.arrived()?;
    Ok(Phase {
        label: label(flood),
        taken_per_second: counted.per_second(),
        trickles: stage::waits(&trickled, &arrived, counted.span)?,
        newcomers: stage::waits(&came, &arrived, counted.span)?,
        late: Waits::new([trickled.late, came.late].concat()),
    })
}
