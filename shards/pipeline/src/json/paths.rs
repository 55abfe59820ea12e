//! The paths that are wanted from one field, as a tree: what they share is looked for once.

/// Lists of children up to this length are searched one by one.
const LINEAR_MAX: usize = 8;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into an object, to the value of this key.
    Key(String),
    /// Into an array, to the value at this index.
    Index(usize),
}

/// A path of a [`PathSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathIndex(usize);

impl PathIndex {
    /// The empty path: the whole field.
    pub const ROOT: PathIndex = PathIndex(0);

    pub(super) fn of(number: usize) -> PathIndex {
        PathIndex(number)
    }

    /// Its number, from 0 without gaps.
    pub(crate) fn number(self) -> usize {
        self.0
    }
}

/// Collects paths.
#[derive(Debug, Clone)]
pub struct PathSetBuilder {
    nodes: Vec<Node>,
}

/// The paths wanted from one field.
#[derive(Debug, Clone)]
pub struct PathSet {
    nodes: Box<[Node]>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// `None`: the root.
    container: Option<usize>,
    /// Sorted by length, then by bytes.
    keys: Vec<(Box<[u8]>, usize)>,
    /// Sorted.
    indexes: Vec<(usize, usize)>,
}

impl Default for PathSetBuilder {
    fn default() -> Self {
        PathSetBuilder { nodes: vec![Node::default()] }
    }
}

impl PathSetBuilder {
    /// No paths yet.
    pub fn new() -> PathSetBuilder {
        PathSetBuilder::default()
    }

    /// One more path; the same path has the same index.
    pub fn add(&mut self, steps: &[Step]) -> PathIndex {
        steps.iter().fold(PathIndex::ROOT, |path, step| self.add_step(path, step))
    }

    /// The path that is one step longer.
    pub fn add_step(&mut self, path: PathIndex, step: &Step) -> PathIndex {
        let node = &self.nodes[path.0];
        let known = match step {
            Step::Key(key) => find_key(&node.keys, key.as_bytes()),
            Step::Index(index) => find_index(&node.indexes, *index),
        };
        if let Some(known) = known {
            return PathIndex(known);
        }
        let number = self.nodes.len();
        self.nodes.push(Node { container: Some(path.0), ..Node::default() });
        let node = &mut self.nodes[path.0];
        match step {
            Step::Key(key) => {
                let key = key.as_bytes();
                let order =
                    |(known, _): &(Box<[u8]>, usize)| (known.len(), &**known) < (key.len(), key);
                node.keys.insert(node.keys.partition_point(order), (key.into(), number));
            }
            Step::Index(index) => {
                let at = node.indexes.partition_point(|(known, _)| known < index);
                node.indexes.insert(at, (*index, number));
            }
        }
        PathIndex(number)
    }

    /// The set of them.
    pub fn build(self) -> PathSet {
        PathSet { nodes: self.nodes.into() }
    }
}

impl PathSet {
    pub(super) fn count(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn container(&self, node: usize) -> Option<usize> {
        self.nodes[node].container
    }

    /// The child of `node` for a key, given without escapes.
    #[inline]
    pub(super) fn key(&self, node: usize, key: &[u8]) -> Option<usize> {
        find_key(&self.nodes[node].keys, key)
    }

    /// The path of a member, by its key's token. `scratch` is overwritten.
    pub fn member(
        &self,
        object: PathIndex,
        key: &[u8],
        scratch: &mut Vec<u8>,
    ) -> Option<PathIndex> {
        scratch.clear();
        if !super::string(key, scratch) {
            return None;
        }
        self.key(object.0, scratch).map(PathIndex)
    }

    /// The child of `node` for an index.
    #[inline]
    pub(super) fn index(&self, node: usize, index: usize) -> Option<usize> {
        find_index(&self.nodes[node].indexes, index)
    }
}

#[inline]
fn find_key(keys: &[(Box<[u8]>, usize)], wanted: &[u8]) -> Option<usize> {
    if keys.len() <= LINEAR_MAX {
        return keys.iter().find(|(key, _)| **key == *wanted).map(|(_, node)| *node);
    }
    let order = |(key, _): &(Box<[u8]>, usize)| (key.len(), &**key).cmp(&(wanted.len(), wanted));
    keys.binary_search_by(order).ok().map(|at| keys[at].1)
}

#[inline]
fn find_index(indexes: &[(usize, usize)], wanted: usize) -> Option<usize> {
    let at = indexes.binary_search_by_key(&wanted, |(index, _)| *index).ok()?;
    Some(indexes[at].1)
}
