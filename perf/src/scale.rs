//! What corndog's cost grows with: more rules, connections, shards, bytes, topics, each by itself.
//!
//! A dimension is a group of a comparison, its points are the entrants. The first point is what the
//! others are held against, in the same round.

use crate::compare::{Entrant, Run};
use crate::configs;
use crate::failure::Failure;
use crate::forwarder::Installed;
use crate::summary::{self, Spread};
use crate::workload::Workload;

/// Connections that shards have between them.
const SHARDS_CONNECTIONS: u16 = 32;
/// Connections that topics come over: as in W1.
const TOPICS_CONNECTIONS: u16 = 4;
/// Large frames are fewer: so many bytes for each message of the other dimensions.
const SIZE_BYTES_EACH: u64 = 2048;
/// Messages are fewer with more topics than that, in proportion: else they take minutes.
const TOPICS_FULL: u64 = 200;
const CONNECTIONS: [u16; 4] = [4, 100, 1000, 10_000];

/// One thing that grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// W3's rules.
    Rules,
    /// Connections that the load is spread over.
    Connections,
    /// Receivers.
    Shards,
    /// Bytes of a frame.
    Size,
    /// Topics that the messages name.
    Topics,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Rules, Self::Connections, Self::Shards, Self::Size, Self::Topics];

    /// Its name in tables and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Connections => "connections",
            Self::Shards => "shards",
            Self::Size => "size",
            Self::Topics => "topics",
        }
    }

    /// The dimension of that name.
    pub fn parse(name: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        let known = Self::ALL.into_iter().find(|one| one.name() == name);
        known.ok_or_else(|| format!("dimension {name:?}: choose one of {names}"))
    }

    /// What its points say, with the unit.
    pub fn axis(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Connections => "connections",
            Self::Shards => "receiving shards",
            Self::Size => "bytes of a frame",
            Self::Topics => "topics",
        }
    }

    /// What grows, and what stays.
    pub fn about(self) -> &'static str {
        match self {
            Self::Rules => {
                "W3 with more regex rules. The share of messages that match one stays as it is."
            }
            Self::Connections => {
                "W1, spread over more connections, each of which sends: all of them in turn, \
                 100 messages a write."
            }
            Self::Shards => {
                "W1 over 32 connections, with more receivers, however many cores there are for them."
            }
            Self::Size => {
                "W1 with longer frames. Of those above 2 KiB fewer are sent. Bytes cost, so it is the \
                 cost per MiB that says how well."
            }
            Self::Topics => {
                "One rule that takes the topic from the message, which more topics share evenly: the \
                 more of them, the fewer records are in a batch. Of more than 200 topics fewer \
                 messages are sent."
            }
        }
    }

    /// How many.
    pub fn values(self) -> Vec<usize> {
        match self {
            Self::Rules => vec![10, 50, 100, 200, 500],
            Self::Connections => CONNECTIONS.map(usize::from).to_vec(),
            Self::Shards => vec![1, 2, 4, 8],
            Self::Size => vec![106, 248, 1024, 8192, 65_536],
            Self::Topics => vec![1, 10, 100, 1000],
        }
    }

    /// What the last point may cost by the first, at most; nothing is said of sizes.
    pub fn most(self) -> Option<f64> {
        match self {
            Self::Rules | Self::Shards => Some(1.1),
            Self::Connections | Self::Topics => Some(1.3),
            Self::Size => None,
        }
    }

    /// A point's name.
    pub fn label(self, value: usize) -> String {
        match self {
            Self::Rules => format!("{value} rules"),
            Self::Connections => format!("{value} connections"),
            Self::Shards if value == 1 => "1 shard".to_owned(),
            Self::Shards => format!("{value} shards"),
            Self::Size => format!("{value} bytes"),
            Self::Topics if value == 1 => "1 topic".to_owned(),
            Self::Topics => format!("{value} topics"),
        }
    }

    /// Its points, as what a comparison runs.
    pub fn entrants(self, installed: &Installed, messages: u64) -> Result<Vec<Entrant>, Failure> {
        let w1 = Workload::parse("w1").map_err(Failure::Setup)?;
        let plain = |value: usize| Entrant {
            group: self.name().to_owned(),
            label: self.label(value),
            installed: installed.clone(),
            workload: w1,
            messages,
            connections: None,
            environment: Vec::new(),
            rate: None,
            kafka: None,
        };
        let entrant = |value: usize| match self {
            Self::Rules => Entrant { workload: Workload::W3 { rules: value }, ..plain(value) },
            Self::Connections => Entrant {
                connections: u16::try_from(value).ok(),
                // The same for few and for many, so that nothing but their number differs.
                environment: configs::connection_limits(CONNECTIONS[CONNECTIONS.len() - 1]),
                ..plain(value)
            },
            Self::Shards => Entrant {
                connections: Some(SHARDS_CONNECTIONS),
                environment: vec![("CORNDOG_SHARDS__RECEIVERS", value.to_string())],
                ..plain(value)
            },
            Self::Size => Entrant {
                workload: Workload::W1 { frame_bytes: value },
                messages: messages.min(messages * SIZE_BYTES_EACH / value as u64).max(1),
                ..plain(value)
            },
            Self::Topics => Entrant {
                workload: Workload::Topics { topics: value },
                messages: messages.min(messages * TOPICS_FULL / value as u64).max(1),
                connections: Some(TOPICS_CONNECTIONS),
                ..plain(value)
            },
        };
        Ok(self.values().into_iter().map(entrant).collect())
    }

    /// CPU of each point by that of the first, round by round.
    pub fn growth(self, runs: &[Run]) -> Vec<(usize, Option<Spread>)> {
        let values = self.values();
        let first = self.label(values[0]);
        let by_first = |value: usize| summary::ratio(runs, &self.label(value), &first);
        values.into_iter().map(|value| (value, by_first(value))).collect()
    }

    /// What was lost or costs too much, if anything does.
    fn complaint(self, runs: &[Run]) -> Option<String> {
        let bad = |run: &Run| {
            run.lost + run.duplicated + run.reordered + run.corrupt + run.misrouted + run.misshapen
        };
        let bad = runs.iter().map(bad).sum::<u64>();
        if bad > 0 {
            return Some(format!("{}: {bad} messages lost, twice or wrong", self.name()));
        }
        let (value, ratio) = self.growth(runs).pop()?;
        let (ratio, most) = (ratio?.median, self.most()?);
        let first = self.label(self.values()[0]);
        let last = self.label(value);
        (ratio > most).then(|| format!("{last} cost {ratio:.3} of {first}, above {most}"))
    }
}

/// Whether everything arrived, and nothing grew by more than it may.
///
/// Errors: `Failure::Run`, one sentence about all that is wrong.
pub fn judge(runs: &[Run]) -> Result<(), Failure> {
    let complaint =
        |(group, runs): &(&str, Vec<Run>)| Dimension::parse(group).ok()?.complaint(runs);
    let complaints: Vec<String> = summary::groups(runs).iter().filter_map(complaint).collect();
    if complaints.is_empty() { Ok(()) } else { Err(Failure::Run(complaints.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forwarder::Kind;
    use crate::summary::sample;
    use std::path::PathBuf;

    fn run(dimension: Dimension, value: usize, cpu_per_million: f64) -> Run {
        Run {
            group: dimension.name().to_owned(),
            lost: 0,
            misrouted: 0,
            misshapen: 0,
            ..sample(&dimension.label(value), cpu_per_million)
        }
    }

    #[test]
    fn every_point_can_be_run() {
        let installed = Installed { kind: Kind::Corndog, program: PathBuf::from("corndog") };
        for dimension in Dimension::ALL {
            let entrants = dimension.entrants(&installed, 1000).unwrap();
            assert!(entrants.len() >= 4);
            for entrant in entrants {
                entrant.workload.check().unwrap();
                installed.check(entrant.workload).unwrap();
                assert!(entrant.messages > 0 && entrant.messages <= 1000);
            }
            assert_eq!(Dimension::parse(dimension.name()), Ok(dimension));
        }
        assert!(Dimension::parse("width").is_err_and(|sentence| sentence.contains("topics")));
    }

    #[test]
    fn growth_above_the_most_is_one_sentence() {
        let shards = |last: f64| [run(Dimension::Shards, 1, 1.0), run(Dimension::Shards, 8, last)];
        assert_eq!(judge(&shards(1.05)), Ok(()));
        let failure = judge(&shards(1.2)).unwrap_err();
        assert_eq!(failure.to_string(), "8 shards cost 1.200 of 1 shard, above 1.1");
        let sizes = [run(Dimension::Size, 106, 1.0), run(Dimension::Size, 65_536, 50.0)];
        assert_eq!(judge(&sizes), Ok(()));
    }

    #[test]
    fn what_is_lost_is_said() {
        let mut runs = [run(Dimension::Topics, 1, 1.0), run(Dimension::Topics, 1000, 1.0)];
        runs[1].lost = 7;
        assert!(judge(&runs).unwrap_err().to_string().starts_with("topics: 7 messages"));
    }
}
