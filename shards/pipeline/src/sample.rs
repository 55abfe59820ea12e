//! Which messages a `sample` lets go on: the first of every N, or so many in each second.

use jiff::Timestamp;

use crate::rules::SampleConfig;

/// Which of the shards this is: a budget per second is shared among them without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// From 0.
    pub shard: u64,
    /// All of them, at least 1.
    pub shard_count: u64,
}

impl Share {
    /// The only shard.
    pub const ALL: Share = Share { shard: 0, shard_count: 1 };

    /// This shard's part of `count` in second `second`. The parts of all shards sum up to `count`;
    /// what does not divide goes to another shard each second.
    fn of(self, count: u64, second: i64) -> u64 {
        let turn = (self.shard + second.unsigned_abs()) % self.shard_count;
        count / self.shard_count + u64::from(turn < count % self.shard_count)
    }
}

/// What one `sample` has seen, on one shard.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sampled {
    /// Of every N: messages seen since the last that went on. Of a second: those that went on.
    count: u64,
    second: i64,
}

impl Sampled {
    /// True if this message goes on.
    pub(crate) fn take(&mut self, sample: SampleConfig, share: Share, now: Timestamp) -> bool {
        match sample {
            SampleConfig::OneIn(every) => {
                let goes_on = self.count == 0;
                self.count = (self.count + 1) % every.max(1);
                goes_on
            }
            SampleConfig::PerSecond(count) => {
                let second = now.as_second();
                if self.second != second {
                    *self = Sampled { count: 0, second };
                }
                let goes_on = self.count < share.of(count, second);
                self.count += u64::from(goes_on);
                goes_on
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn one_in_n_takes_the_first_of_every_n() {
        let mut sampled = Sampled::default();
        let taken: Vec<bool> =
            (0..7).map(|_| sampled.take(SampleConfig::OneIn(3), Share::ALL, at(1))).collect();
        assert_eq!(taken, [true, false, false, true, false, false, true]);
    }

    #[test]
    fn a_rate_per_second_is_kept_over_all_shards() {
        for (rate, shard_count) in [(0, 1), (1, 4), (10, 3), (7, 7), (100, 1)] {
            let mut shards = vec![Sampled::default(); shard_count];
            for second in [1, 2, 3, 50] {
                let mut taken = 0;
                for (shard, sampled) in shards.iter_mut().enumerate() {
                    let share = Share { shard: shard as u64, shard_count: shard_count as u64 };
                    let sample = SampleConfig::PerSecond(rate);
                    taken += (0..200).filter(|_| sampled.take(sample, share, at(second))).count();
                }
                assert_eq!(taken as u64, rate, "{rate} over {shard_count}");
            }
        }
    }

    #[test]
    fn a_rate_below_the_number_of_shards_reaches_each_in_turn() {
        let share = |shard| Share { shard, shard_count: 3 };
        let parts = |second| [0, 1, 2].map(|shard| share(shard).of(1, second));
        assert_eq!([parts(0), parts(1), parts(2)], [[1, 0, 0], [0, 0, 1], [0, 1, 0]]);
    }
}
