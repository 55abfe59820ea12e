//! JSON in a field: bytes -> where each wanted value lies, without building anything.
//!
//! All paths that the rules want from one field are one [`PathSet`]. A [`Document`] reads the field
//! once per message for all of them: one pass that checks every byte (what it takes for JSON is
//! what `serde_json` takes, but for depth and the range of numbers) and notes where the wanted
//! values lie. Its depth is bounded, it does not recurse, and no other parser sees the bytes before.
//!
//! Defined here, since JSON leaves it open:
//!     duplicate keys        the last one wins
//!     depth                 64 objects and arrays in each other, no more
//!     numbers               the syntax decides; the range only where a value is built
//!     lone surrogates       not JSON: they are no text (as `serde_json` has it)
//!     a byte order mark     not JSON

mod members;
mod paths;
mod scan;
mod text;
mod tree;

use std::sync::Arc;

pub use members::{Elements, Members};
pub use paths::{PathIndex, PathSet, PathSetBuilder, Step};
pub use text::{escape, string};
pub(crate) use tree::{
    BYTES_MIN, STEP_NS, STEPS_PER_EXPRESSION, TEXT_BYTES_PER_STEP, TooCostly, parse,
};
pub use tree::{Steps, Tree};

use crate::expression::Constants;

/// Objects and arrays in each other.
pub const DEPTH_MAX: usize = 64;

/// Why a field is not read as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotJson {
    /// It is none.
    Syntax,
    /// It nests deeper than [`DEPTH_MAX`].
    TooDeep,
    /// It holds a number beyond an f64, and an expression that is more than a path asked for it.
    NumberRange,
    /// It is, but what expressions that are more than a path ask of it costs too much.
    TooCostly,
}

/// Bytes of a field, from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Its first byte.
    pub start: usize,
    /// Behind its last byte.
    pub end: usize,
}

impl Span {
    /// These bytes of the field that was read.
    pub fn of(self, field: &[u8]) -> &[u8] {
        field.get(self.start..self.end).unwrap_or_default()
    }
}

/// Where a wanted value lies, and what a merge has to know of it.
///
/// Shape: of an object or array, `start < inner_end < end`; `start + 1 == inner_end`: it is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The value.
    pub span: Span,
    /// Behind the last member of an object or array: where one more is put.
    pub inner_end: usize,
    /// Its key stands more than once in its object.
    pub is_twice: bool,
    /// Of the wanted keys right in it, one stands more than once.
    pub holds_twice: bool,
    /// Counts values; this one's number.
    occurrence: u64,
    /// The number of the object or array that it lies in.
    container: u64,
}

impl Place {
    /// True of an object or array with nothing in it.
    pub fn is_empty(&self) -> bool {
        self.inner_end == self.span.start + 1
    }
}

/// One field as JSON, read at most once per message. Scratch: each shard has one per field.
#[derive(Debug)]
pub struct Document {
    outcome: Option<Result<(), NotJson>>,
    /// By [`PathIndex`].
    places: Vec<Place>,
    /// Values noted so far, in all messages: places of earlier messages are told apart by it.
    occurrences: u64,
    /// What it was when the field began.
    occurrences_before: u64,
    /// Paths that have a value in the field, each once.
    found: Vec<usize>,
    /// While it reads: the open objects and arrays in which values are wanted.
    levels: [scan::Level; DEPTH_MAX],
    /// A key without its escapes.
    key: Vec<u8>,
    tree: Option<Result<Arc<jmespath::Variable>, NotJson>>,
    constants: Constants,
    /// For whoever merges into this field.
    pub(crate) splice: crate::merge::Scratch,
}

impl Default for Document {
    fn default() -> Self {
        Document {
            outcome: None,
            places: Vec::new(),
            occurrences: 0,
            occurrences_before: 0,
            found: Vec::new(),
            levels: [scan::Level::default(); DEPTH_MAX],
            key: Vec::new(),
            tree: None,
            constants: Constants::default(),
            splice: crate::merge::Scratch::default(),
        }
    }
}

impl Document {
    /// A document that has not read anything.
    pub fn new() -> Document {
        Document::default()
    }

    /// Forgets the field. To be called for each message.
    pub fn clear(&mut self) {
        self.outcome = None;
        self.tree = None;
    }

    /// True if the field was read since the last `clear`.
    pub fn is_read(&self) -> bool {
        self.outcome.is_some()
    }

    /// Reads the field, unless it was read since the last `clear`.
    ///
    /// Cost:   one pass; no allocation once warmed up.
    /// Errors: the field is not JSON as a whole, or nests too deep.
    pub fn read(&mut self, paths: &PathSet, field: &[u8]) -> Result<(), NotJson> {
        if let Some(outcome) = self.outcome {
            return outcome;
        }
        if self.places.len() < paths.count() {
            self.places.resize(paths.count(), Place::default());
        }
        self.occurrences_before = self.occurrences;
        self.found.clear();
        let outcome = scan::scan(field, paths, self);
        self.outcome = Some(outcome);
        outcome
    }

    /// The paths of which some value lies in the field, each once, in any order; some of them may
    /// have none by `value`, for a key that stands more than once. None if the field is not JSON.
    pub fn found(&self) -> impl Iterator<Item = PathIndex> {
        let is_json = self.outcome == Some(Ok(()));
        self.found.iter().filter(move |_| is_json).map(|node| PathIndex::of(*node))
    }

    /// Where the value of a path lies. `None`: there is none, or the field was not read as JSON.
    pub fn value(&self, paths: &PathSet, path: PathIndex) -> Option<Span> {
        self.place(paths, path).map(|place| place.span)
    }

    /// The same, with what a merge has to know.
    ///
    /// Cost: one look per step of the path.
    pub fn place(&self, paths: &PathSet, path: PathIndex) -> Option<Place> {
        if self.outcome != Some(Ok(())) {
            return None;
        }
        let place = self.places.get(path.number())?;
        let (mut inner, mut node) = (place, path.number());
        // A value that lies in another value than the one that counts does not count either.
        while let Some(container) = paths.container(node) {
            let outer = &self.places[container];
            if inner.occurrence == 0 || inner.container != outer.occurrence {
                return None;
            }
            (inner, node) = (outer, container);
        }
        Some(*place)
    }

    /// Where the value of a path lies that is one step longer than that of `outer`.
    pub(crate) fn member_place(&self, outer: &Place, path: PathIndex) -> Option<Place> {
        let place = self.places.get(path.number())?;
        let is_inside = place.occurrence != 0 && place.container == outer.occurrence;
        is_inside.then_some(*place)
    }

    /// The field as a value, built at most once per message and paid for by `steps`. The field must
    /// have been read.
    ///
    /// Cost:   allocates; some 40 ns per number in it.
    /// Errors: what `read` said; [`NotJson::NumberRange`]; [`NotJson::TooCostly`].
    pub fn tree(&mut self, field: &[u8], steps: &mut Steps) -> Result<Tree<'_>, NotJson> {
        let outcome = self.outcome.unwrap_or(Err(NotJson::Syntax));
        let built = self.tree.get_or_insert_with(|| {
            outcome?;
            tree::build(field, steps)
        });
        let value = built.as_ref().map_err(|why| *why)?;
        Ok(Tree { value, constants: &self.constants })
    }

    /// Notes that the value of `node` starts at `start`.
    fn start(&mut self, paths: &PathSet, node: usize, start: usize) {
        self.occurrences += 1;
        let container = paths.container(node).map_or(0, |outer| self.places[outer].occurrence);
        let place = &mut self.places[node];
        if place.occurrence <= self.occurrences_before {
            self.found.push(node);
        }
        let is_twice = container != 0 && place.container == container;
        *place = Place {
            span: Span { start, end: start },
            is_twice,
            occurrence: self.occurrences,
            container,
            ..Place::default()
        };
        if is_twice && let Some(outer) = paths.container(node) {
            self.places[outer].holds_twice = true;
        }
    }

    /// Notes that it ends before `end`.
    fn end(&mut self, node: usize, end: usize) {
        self.places[node].span.end = end;
    }

    /// Notes where the last of its members ends.
    fn inner_end(&mut self, node: usize, end: usize) {
        self.places[node].inner_end = end;
    }
}
