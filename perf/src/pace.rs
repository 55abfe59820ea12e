//! When messages are to be sent: an open loop, in which no answer and no delay moves the next time.

use crate::random::Random;
use std::time::Duration;

/// Between two wake-ups of a load that has messages in between, unless said otherwise: a connection
/// has this for each of them, so that they wake up 20,000 times a second together. A wake-up with its
/// write costs 10 to 20 us on a small machine, where the forwarder shares the cores.
const STEP: Duration = Duration::from_micros(50);
/// However many connections there are: what is due then waits no longer for its wake-up.
const STEP_MAX: Duration = Duration::from_millis(4);

/// How the messages of a rate are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// At equal distances, over all connections together.
    Constant,
    /// At random, each independent of the others: as from many senders that know nothing of each
    /// other.
    Poisson,
}

/// A rate, and how it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Messages a second over all connections, at least 1.
    pub rate: u64,
    /// How they are spread.
    pub spread: Spread,
    /// A connection wakes up no more often than this: what came due meanwhile goes in one write.
    pub step: Duration,
}

/// The intended times of one connection's messages, in nanoseconds; they never go back.
pub struct Schedule {
    start: u64,
    /// Between two messages of the connection, on average.
    gap: f64,
    /// With `Constant`: the first message's distance from the start.
    offset: f64,
    /// With `Poisson`.
    random: Option<Random>,
    index: u64,
    /// From the start to the next message.
    elapsed: f64,
}

impl Spread {
    /// `constant` or `poisson`.
    pub fn parse(word: &str) -> Result<Self, String> {
        match word {
            "constant" => Ok(Self::Constant),
            "poisson" => Ok(Self::Poisson),
            _ => Err(format!("arrivals {word:?}: choose constant or poisson")),
        }
    }
}

impl Pace {
    /// That rate, spread so, in the steps of so many connections.
    pub fn new(rate: u64, spread: Spread, connections: u16) -> Self {
        Self { rate, spread, step: (STEP * u32::from(connections)).min(STEP_MAX) }
    }
}

impl Schedule {
    /// Of the connection `index` of so many; what Poisson draws is of the seed.
    pub fn new(pace: &Pace, start: u64, index: u16, connections: u16, seed: u64) -> Self {
        let between = 1e9 / pace.rate as f64;
        let gap = between * f64::from(connections);
        let mut schedule = Self {
            start,
            gap,
            offset: between * f64::from(index),
            random: (pace.spread == Spread::Poisson).then_some(Random(seed)),
            index: 0,
            elapsed: 0.0,
        };
        schedule.elapsed =
            schedule.random.as_mut().map_or(schedule.offset, |it| exponential(gap, it));
        schedule
    }

    /// When the next message is to be sent.
    #[inline]
    pub fn next(&self) -> u64 {
        self.start + self.elapsed as u64
    }

    /// Goes on to the one after it.
    #[inline]
    pub fn advance(&mut self) {
        self.index += 1;
        match &mut self.random {
            Some(random) => self.elapsed += exponential(self.gap, random),
            // Not a sum: its error would grow.
            None => self.elapsed = self.offset + self.index as f64 * self.gap,
        }
    }
}

/// A distance between two messages that come independently of each other.
#[inline]
fn exponential(mean: f64, random: &mut Random) -> f64 {
    -random.fraction().ln() * mean
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 5_000_000_000;

    fn times(spread: Spread, rate: u64, index: u16, connections: u16, count: usize) -> Vec<u64> {
        let pace = Pace::new(rate, spread, connections);
        let mut schedule = Schedule::new(&pace, START, index, connections, 7 + u64::from(index));
        let mut next = || {
            let next = schedule.next();
            schedule.advance();
            next
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn constant_times_of_all_connections_interleave_at_one_distance() {
        let mut all: Vec<u64> = (0..4)
            .flat_map(|index| times(Spread::Constant, 300_000, index, 4, 75_000))
            .map(|time| time - START)
            .collect();
        all.sort_unstable();
        for (index, time) in all.iter().enumerate() {
            let expected = index as f64 * 1e9 / 300_000.0;
            assert!((*time as f64 - expected).abs() < 2.0, "message {index} at {time}");
        }
    }

    #[test]
    fn poisson_times_never_go_back_and_have_the_mean_and_spread_of_their_kind() {
        let times = times(Spread::Poisson, 20_000, 1, 4, 200_000);
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean / 200_000.0 - 1.0).abs() < 0.02, "mean {mean}");
        // Of an exponential distribution both are the same.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "deviation {}", variance.sqrt());
    }

    #[test]
    fn a_step_is_bounded_for_any_number_of_connections() {
        let step = |connections| Pace::new(1000, Spread::Poisson, connections).step;
        assert_eq!(step(4), Duration::from_micros(200));
        assert_eq!(step(u16::MAX), STEP_MAX);
    }

    #[test]
    fn connections_draw_different_times() {
        let of = |index| times(Spread::Poisson, 1000, index, 2, 100);
        assert_ne!(of(0), of(1));
        assert_eq!(of(1), of(1));
    }
}
