//! Which patterns are tried one by one, and which are searched together: whatever is cheaper.

use regex_syntax::hir::Hir;

use super::shape::{self, Plain};

/// Nanoseconds for a field of 250 bytes, as `examples/patterns.rs` measures them: what one pattern
/// costs alone.
const LITERAL_AT_EDGE_NS: u64 = 3;
const LITERAL_NS: u64 = 20;
const FILTERED_NS: u64 = 40;
const SEARCHED_NS: u64 = 250;

/// And what a pass costs, however many patterns are in it.
const ANCHORED_PASS_NS: u64 = 25;
const FILTERED_PASS_NS: u64 = 60;
const SEARCHED_PASS_NS: u64 = 400;

/// Members tried one by one, and members searched together; each in order.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) alone: Vec<usize>,
    pub(super) pass: Vec<usize>,
}

/// Chooses for those that start with `^`, for those that start with a literal, and for the rest.
/// `plain`: what each is, if it is no more than a literal.
pub(super) fn choose(hirs: &[Hir], plain: &[Option<Plain>]) -> Chosen {
    let mut chosen = Chosen::default();
    let mut kinds = [(0, ANCHORED_PASS_NS), (0, FILTERED_PASS_NS), (0, SEARCHED_PASS_NS)];
    let kind_of: Vec<Option<(usize, u64)>> =
        hirs.iter().zip(plain).map(|(hir, plain)| kind_and_cost(hir, plain.as_ref())).collect();
    for (kind, cost) in kind_of.iter().flatten() {
        kinds[*kind].0 += cost;
    }
    for (member, kind) in kind_of.iter().enumerate() {
        let is_alone = kind.is_none_or(|(kind, _)| kinds[kind].0 <= kinds[kind].1);
        if is_alone { chosen.alone.push(member) } else { chosen.pass.push(member) }
    }
    chosen
}

fn kind_and_cost(hir: &Hir, plain: Option<&Plain>) -> Option<(usize, u64)> {
    if shape::is_always(hir) {
        return None;
    }
    Some(match plain {
        Some(Plain::Starts(_) | Plain::Equals(_)) => (0, LITERAL_AT_EDGE_NS),
        Some(Plain::Ends(_)) => (2, LITERAL_AT_EDGE_NS),
        Some(Plain::Contains(_)) => (1, LITERAL_NS),
        None => {
            let hir = shape::trimmed(shape::ascii(hir));
            match (shape::is_anchored(&hir), shape::prefixes(&hir)) {
                (true, _) => (0, FILTERED_NS),
                (false, Some(_)) => (1, FILTERED_NS),
                (false, None) => (2, SEARCHED_NS),
            }
        }
    })
}
