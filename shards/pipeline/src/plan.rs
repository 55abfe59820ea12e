//! In which order compiled rules are searched, and what searching may cost.

use crate::bits::Bits;
use crate::json::{BYTES_MIN, STEP_NS, STEPS_PER_EXPRESSION, Steps};
use crate::patterns::COST_NS_MAX;
use crate::rule::{FieldPlan, Matcher, Rule};
use crate::waiting::Waiting;

/// A message whose steps are fewer for each byte could not even be held as a value.
const STEPS_PER_BYTE_MIN: usize = 2;

/// What expressions that are more than a path may cost for each byte of a message: what the patterns
/// leave of the same bound. Fields share no bytes, so the dearest patterns are those that count.
///
/// Errors: one sentence; too little is left.
pub(crate) fn steps_per_byte(fields: &[FieldPlan], rules: &[Rule]) -> Result<usize, String> {
    let count = rules.iter().filter(|rule| rule.is_general()).count();
    if count == 0 {
        return Ok(0);
    }
    let patterns = fields.iter().map(|plan| plan.patterns.cost()).max().unwrap_or(0);
    let expressions = count * STEPS_PER_EXPRESSION * STEP_NS / BYTES_MIN;
    let steps = COST_NS_MAX.saturating_sub(patterns + expressions) / STEP_NS;
    if steps >= STEPS_PER_BYTE_MIN {
        return Ok(steps.min(Steps::PER_BYTE_MAX));
    }
    let least = STEPS_PER_BYTE_MIN * STEP_NS;
    Err(format!(
        "a message could make the regexes on one field search for {patterns} ns per byte, and the \
         {count} expressions that are more than a path need {} ns per byte; at most {COST_NS_MAX} \
         are allowed together; write plain paths (a.b[0]), or use fewer expressions or patterns",
        expressions + least
    ))
}

/// Which rules are looked at before any pass, and which are in one.
pub(crate) fn plan_search(fields: &mut [FieldPlan], rules: &mut [Rule]) -> Bits {
    let mut is_alone: Vec<bool> = rules.iter().map(|rule| !rule.has_pattern()).collect();
    for plan in &*fields {
        for (rule, _) in plan.patterns.alone() {
            is_alone[rule] = true;
        }
    }
    for (index, rule) in rules.iter().enumerate() {
        let Some(path) = rule.path() else { continue };
        let plan = &mut fields[rule.field];
        is_alone[index] = plan.path_rules.first.is_none();
        plan.path_rules.push(path.number(), index);
    }
    let mut first = Bits::new(rules.len());
    for (index, rule) in rules.iter_mut().enumerate() {
        if let Matcher::Pattern { is_in_pass, .. } = &mut rule.matcher {
            *is_in_pass = !is_alone[index];
        }
        if is_alone[index] {
            first.insert(index);
        }
    }
    for trigger in fields.iter().filter_map(|plan| plan.patterns.pass()) {
        first.insert(trigger);
    }
    first
}

/// Takes out the rules on parameters of structured data, but for the first.
pub(crate) fn sd_rules(
    fields: &[FieldPlan],
    rules: &[Rule],
    first_candidates: &mut Bits,
) -> Waiting {
    let mut waiting = Waiting::default();
    for (index, rule) in rules.iter().enumerate() {
        if let Some(number) = fields[rule.field].sd_param
            && first_candidates.contains(index)
        {
            first_candidates.remove(index);
            waiting.push(number, index);
        }
    }
    if let Some(first) = waiting.first {
        first_candidates.insert(first);
    }
    waiting
}
