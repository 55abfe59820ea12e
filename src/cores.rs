//! Which core each shard gets, read from the allowed set before anything is pinned.
//!
//! Once a thread is pinned it no longer sees the set that the process was given, so this is read
//! once, first, on the main thread.

/// A core for each shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorePlan {
    /// A core per receiver shard; one core may stand there twice.
    pub receivers: Vec<usize>,
    /// The producer shard's core.
    pub producer: usize,
    /// Whether the producer shares its core with a receiver.
    pub shared: bool,
    /// All that this process may use (taskset, cpuset), ascending.
    pub allowed: Vec<usize>,
}

/// The cores that this process may use, ascending; empty when the kernel does not say.
pub fn allowed() -> Vec<usize> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let mut cores: Vec<usize> = cores.into_iter().map(|core| core.id).collect();
    cores.sort_unstable();
    cores
}

impl CorePlan {
    /// Receivers on the first allowed cores, the producer on the last. `None` receivers: as many
    /// as there are cores without the producer's, at least 1, at most `receivers_max`. More
    /// receivers than cores go around again, and never onto the producer's core while another is
    /// allowed.
    ///
    /// Panics: never; without allowed cores everything lands on core 0.
    pub fn auto(receivers: Option<usize>, receivers_max: usize, allowed: &[usize]) -> CorePlan {
        let (producer, others) = match allowed.split_last() {
            Some((last, [])) => (*last, std::slice::from_ref(last)),
            Some((last, others)) => (*last, others),
            None => (0, [0].as_slice()),
        };
        let count = receivers.unwrap_or(others.len().min(receivers_max));
        let receivers = others.iter().copied().cycle().take(count).collect();
        CorePlan::new(receivers, producer, allowed)
    }

    /// As the operator listed them: the receivers' cores, the producer's last. `None` for fewer
    /// than two.
    pub fn listed(cores: &[usize], allowed: &[usize]) -> Option<CorePlan> {
        match cores.split_last() {
            None | Some((_, [])) => None,
            Some((producer, receivers)) => {
                Some(CorePlan::new(receivers.to_vec(), *producer, allowed))
            }
        }
    }

    fn new(receivers: Vec<usize>, producer: usize, allowed: &[usize]) -> CorePlan {
        let shared = receivers.contains(&producer);
        CorePlan { receivers, producer, shared, allowed: allowed.to_vec() }
    }
}

/// A set of cores as taskset writes it: `0-3,8`.
pub fn show(cores: &[usize]) -> String {
    let mut cores = cores.to_vec();
    cores.sort_unstable();
    cores.dedup();
    let runs = cores.chunk_by(|core, next| core + 1 == *next).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        run => run.iter().map(usize::to_string).collect(),
    });
    runs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_leaves_the_last_core_to_the_producer() {
        let plan = CorePlan::auto(None, 256, &[0, 1, 4, 5]);
        assert_eq!((plan.receivers, plan.producer, plan.shared), (vec![0, 1, 4], 5, false));
    }

    #[test]
    fn one_core_is_shared() {
        let plan = CorePlan::auto(None, 256, &[3]);
        assert_eq!((plan.receivers, plan.producer, plan.shared), (vec![3], 3, true));
        let plan = CorePlan::auto(Some(3), 256, &[3]);
        assert_eq!((plan.receivers, plan.producer, plan.shared), (vec![3, 3, 3], 3, true));
    }

    #[test]
    fn more_receivers_than_cores_go_around_beside_the_producer() {
        let plan = CorePlan::auto(Some(5), 256, &[0, 1, 2]);
        assert_eq!((plan.receivers, plan.producer, plan.shared), (vec![0, 1, 0, 1, 0], 2, false));
    }

    #[test]
    fn auto_is_bounded_on_a_large_machine() {
        let allowed: Vec<usize> = (0..512).collect();
        assert_eq!(CorePlan::auto(None, 256, &allowed).receivers.len(), 256);
    }

    #[test]
    fn listed_cores_end_with_the_producers() {
        let plan = CorePlan::listed(&[2, 3, 0], &[0, 1, 2, 3]).expect("three cores");
        assert_eq!((plan.receivers, plan.producer, plan.shared), (vec![2, 3], 0, false));
        assert!(CorePlan::listed(&[0, 1, 0], &[0, 1]).expect("three cores").shared);
        assert_eq!(CorePlan::listed(&[0], &[0]), None);
        assert_eq!(CorePlan::listed(&[], &[0]), None);
    }

    #[test]
    fn a_set_is_shown_as_taskset_writes_it() {
        assert_eq!(show(&[0, 1, 2, 3, 8]), "0-3,8");
        assert_eq!(show(&[5]), "5");
        assert_eq!(show(&[2, 0, 2, 4]), "0,2,4");
        assert_eq!(show(&[]), "");
    }

    #[test]
    fn this_process_may_use_a_core() {
        assert!(!allowed().is_empty());
    }
}
