//! What a load sends: a workload, frames of drawn lengths, or a mix from a file.

use crate::failure::Failure;
use crate::message::{FRAME_BYTES_MAX, FRAME_BYTES_MIN, Text};
use crate::mix::Mix;
use crate::random::Random;
use crate::workload::{self, Workload};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Bytes of ready-made frames that a connection sends again and again.
const BLOCK_BYTES: usize = 128 << 10;
/// The same where the frames differ: as many of them as it takes, if not in the nearest cache.
const BLOCK_BYTES_VARIED: usize = 4 << 20;

/// Where messages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A workload's, by which forwarders are compared.
    Workload(Workload),
    /// As in W1, but for the frames' lengths: each doubling is as likely as any other.
    Sizes(RangeInclusive<usize>),
    /// A file's.
    Mix(Arc<Mix>),
}

impl From<Workload> for Source {
    fn from(workload: Workload) -> Self {
        Self::Workload(workload)
    }
}

impl Source {
    /// Frames of lengths as in `300` or `106..65536`.
    pub fn of_sizes(text: &str) -> Result<Self, String> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let wrong = |_| format!("size {text:?}: a number of bytes, or two as in 106..65536");
        Ok(Self::Sizes(min.parse().map_err(wrong)?..=max.parse().map_err(wrong)?))
    }

    /// Errors: `Failure::Setup` where it cannot be sent.
    pub fn check(&self) -> Result<(), Failure> {
        match self {
            Self::Workload(workload) => workload.check(),
            Self::Sizes(sizes) => {
                let bounds = FRAME_BYTES_MIN..=FRAME_BYTES_MAX;
                let (min, max) = (sizes.start(), sizes.end());
                match bounds.contains(min) && bounds.contains(max) && min <= max {
                    true => Ok(()),
                    false => Err(Failure::Setup(format!(
                        "frames of {min} to {max} bytes: choose from {FRAME_BYTES_MIN} to \
                         {FRAME_BYTES_MAX}"
                    ))),
                }
            }
            Self::Mix(_) => Ok(()),
        }
    }

    /// Its messages, without end.
    pub fn texts(&self, seed: u64) -> Box<dyn Iterator<Item = Text> + '_> {
        match self {
            Self::Workload(workload) => Box::new(workload.texts(seed)),
            Self::Sizes(sizes) => {
                let mut random = Random(seed);
                Box::new(std::iter::repeat_with(move || {
                    workload::w1_text(drawn(sizes, &mut random), &mut random)
                }))
            }
            Self::Mix(mix) => Box::new(mix.texts(seed)),
        }
    }

    /// How many bytes of its frames a connection has, to send them in turn.
    pub fn block_bytes(&self) -> usize {
        match self {
            Self::Workload(_) => BLOCK_BYTES,
            Self::Sizes(_) | Self::Mix(_) => BLOCK_BYTES_VARIED,
        }
    }
}

/// A length whose logarithm is drawn evenly.
fn drawn(sizes: &RangeInclusive<usize>, random: &mut Random) -> usize {
    let (min, max) = (*sizes.start() as f64, *sizes.end() as f64);
    let size = min * (max / min).powf(random.fraction());
    (size.round() as usize).clamp(*sizes.start(), *sizes.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{HEADER, STAMP_BYTES};

    #[test]
    fn drawn_lengths_are_within_and_each_doubling_is_as_likely() {
        let source = Source::of_sizes("128..8192").unwrap();
        source.check().unwrap();
        let sizes: Vec<usize> = source
            .texts(1)
            .take(6000)
            .map(|text| HEADER.len() + STAMP_BYTES + text.body.len())
            .collect();
        assert!(sizes.iter().all(|size| (128..=8192).contains(size)));
        for doubling in 0..6 {
            let range: std::ops::Range<usize> = 128 << doubling..256 << doubling;
            let count = sizes.iter().filter(|size| range.contains(*size)).count();
            assert!((850..1150).contains(&count), "{range:?}: {count}");
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        for text in ["20", "9000..200", "106..70000"] {
            assert!(Source::of_sizes(text).unwrap().check().is_err(), "{text}");
        }
        assert!(Source::of_sizes("many").is_err_and(|sentence| sentence.contains("many")));
        assert_eq!(Source::of_sizes("300"), Ok(Source::Sizes(300..=300)));
    }
}
