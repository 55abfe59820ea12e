//! `[shards]`: how many receivers, and which core each shard gets.

use super::limits::RECEIVERS;
use super::section::{Section, show};
use super::{count, name_cores};
use crate::cores::{self, CorePlan};
use std::collections::HashSet;
use toml::Value;

/// `"auto"` or the value itself.
fn unless_auto(value: Option<Value>) -> Option<Value> {
    value.filter(|value| value.as_str() != Some("auto"))
}

/// Reads the section; the plan is complete even where the section has mistakes.
pub fn read(mut section: Section<'_>, allowed: &[usize], warnings: &mut Vec<String>) -> CorePlan {
    let receivers_max = count(RECEIVERS.max.0);
    let receivers = match unless_auto(section.take("receivers")) {
        Some(value) if value.is_integer() => {
            section.read_number("receivers", &value, &RECEIVERS).map(count)
        }
        Some(value) => {
            let sentence = format!(
                "{} is not a whole number or \"auto\"; write for instance receivers = 2",
                show(&value)
            );
            section.mistake("receivers", &sentence);
            None
        }
        None => None,
    };
    let listed = unless_auto(section.take("cores"))
        .and_then(|value| read_core_list(&section, &value, receivers, allowed));
    if allowed.is_empty() {
        section.mistake(
            "cores",
            "the kernel does not say which cores this process may use (sched_getaffinity); \
             start it where that call is allowed",
        );
    }
    section.finish();
    let plan = listed
        .and_then(|cores| CorePlan::listed(&cores, allowed))
        .unwrap_or_else(|| CorePlan::auto(receivers, receivers_max, allowed));
    warn_of_sharing(&plan, warnings);
    plan
}

/// The list as typed, when it has a core that is allowed for each shard.
fn read_core_list(
    section: &Section<'_>,
    value: &Value,
    receivers: Option<usize>,
    allowed: &[usize],
) -> Option<Vec<usize>> {
    let Value::Array(values) = value else {
        let sentence = format!(
            "{} is not a list or \"auto\"; write for instance cores = [0, 1, 2], the producer's \
             last",
            show(value)
        );
        section.mistake("cores", &sentence);
        return None;
    };
    let mut cores = Vec::with_capacity(values.len());
    for value in values {
        match value.as_integer().and_then(|core| usize::try_from(core).ok()) {
            Some(core) if allowed.contains(&core) || allowed.is_empty() => cores.push(core),
            Some(core) => {
                let sentence = format!(
                    "core {core} is not allowed to this process; use some of {} (see taskset \
                     -p, cpuset)",
                    cores::show(allowed)
                );
                section.mistake("cores", &sentence);
            }
            None => {
                let sentence = format!(
                    "{} is not the number of a core; use some of {}",
                    show(value),
                    cores::show(allowed)
                );
                section.mistake("cores", &sentence);
            }
        }
    }
    let most = count(RECEIVERS.max.0);
    let wrong = match (values.len(), receivers) {
        (listed, Some(receivers)) if listed != receivers + 1 => format!(
            "{listed} listed for {receivers} receivers; list {}, one for each receiver and the \
             producer's last",
            receivers + 1
        ),
        (listed @ 0..2, _) => format!(
            "{listed} listed; list at least 2, one for each receiver and the producer's last \
             (the same one twice is allowed)"
        ),
        (listed, _) if listed > most + 1 => {
            format!(
                "{listed} listed; list at most {}, for {most} receivers and the producer",
                most + 1
            )
        }
        _ => return (cores.len() == values.len()).then_some(cores),
    };
    section.mistake("cores", &wrong);
    None
}

fn warn_of_sharing(plan: &CorePlan, warnings: &mut Vec<String>) {
    let own: HashSet<usize> = plan.receivers.iter().copied().collect();
    if own.len() < plan.receivers.len() {
        warnings.push(format!(
            "shards: {} receivers share {}; a core for each is faster",
            plan.receivers.len(),
            name_cores(&plan.receivers)
        ));
    }
    if plan.shared {
        warnings.push(format!(
            "shards: the producer shares core {} with a receiver; a core of its own is faster",
            plan.producer
        ));
    }
}
