//! hotdog's deep merge: a JSON object and a tree of templates -> the merged object's bytes.
//!
//! Objects merge key by key; array into array appends, then removes consecutive equal elements; an
//! object into an array is appended; anything else replaces. Done by splicing: what is not touched
//! keeps its spelling and its place.
//! ```text
//! {"a": 1, "m": {"x": 2}}  +  {"m": {"y": 3}, "b": 4}
//! [untouched........][,"y":3][}][,"b":4][}]
//! ```
//! Where a touched key stands more than once in its object, its last value is merged into, and the
//! others are removed. What templates render to is escaped here, so that no input breaks the JSON.

mod splice;
mod tree;

use std::convert::Infallible;

use serde_json::Value;

use crate::json::{Document, NotJson, PathSet, PathSetBuilder};
pub(crate) use splice::Scratch;
use splice::Splice;
pub use tree::Leaf;
use tree::Tree;

/// Objects and arrays in each other, in what is merged.
pub const NESTING_MAX: usize = 64;

/// Keys of a merge of which one is made of message data: all are looked up anew for each message.
pub const MADE_KEYS_MAX: usize = 256;

/// A compiled merge. `T` is what a string with variables is compiled to.
#[derive(Debug, Clone)]
pub struct Merge<T>(Plan<T>);

#[derive(Debug, Clone)]
enum Plan<T> {
    /// All keys are known.
    Fixed(Splice<T>),
    /// Keys are made of message data: what is merged is known per message only.
    PerMessage(Tree<T>),
}

/// Why there is nothing merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeRefused {
    /// What is merged into is not JSON.
    NotJson(NotJson),
    /// It is JSON, but no object.
    NotObject,
    /// The result would be longer than allowed.
    TooLong,
}

impl<T> Merge<T> {
    /// Compiles `tree`, an object. `leaf` compiles each of its strings, keys too. What the merge has
    /// to know of its target is added to `paths`.
    ///
    /// Errors: one sentence; what `leaf` says.
    pub fn compile(
        tree: &Value,
        paths: &mut PathSetBuilder,
        mut leaf: impl FnMut(&str) -> Result<Leaf<T>, String>,
    ) -> Result<Merge<T>, String> {
        if !tree.is_object() {
            return Err("a table of keys and values is needed".into());
        }
        let tree = Tree::compile(tree, 0, &mut leaf)?;
        if tree.has_made_keys() && tree.key_count() > MADE_KEYS_MAX {
            return Err(format!(
                "a merge with a template as a key has at most {MADE_KEYS_MAX} keys; name them, or leave \
                 some out"
            ));
        }
        Ok(Merge(if tree.has_made_keys() {
            Plan::PerMessage(tree)
        } else {
            Plan::Fixed(Splice::new(tree, paths))
        }))
    }

    /// Merges into `msg`, which is what `document` has read or will read. `render` appends what a
    /// string is for this message, and says whether it could; `out` is emptied first.
    ///
    /// Units:  `out` gets at most `bytes_max` bytes.
    /// Cost:   one copy; no allocation once warmed up, but for arrays into arrays, and
    ///         for made keys: with these, the merge is compiled anew for each message.
    /// Errors: `out` is then empty.
    pub fn apply(
        &self,
        paths: &PathSet,
        document: &mut Document,
        msg: &[u8],
        mut render: impl FnMut(&T, &mut Vec<u8>) -> bool,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), MergeRefused> {
        out.clear();
        document.read(paths, msg).map_err(MergeRefused::NotJson)?;
        match &self.0 {
            Plan::Fixed(splice) => splice.apply(paths, document, msg, &mut render, bytes_max, out),
            Plan::PerMessage(tree) => {
                let mut paths = PathSetBuilder::new();
                let tree = tree.instantiate(&mut render, &mut { bytes_max })?;
                let splice = Splice::<Infallible>::new(tree, &mut paths);
                let (paths, mut document) = (paths.build(), Document::new());
                document.read(&paths, msg).map_err(MergeRefused::NotJson)?;
                let render = &mut |leaf: &Infallible, _: &mut Vec<u8>| match *leaf {};
                splice.apply(&paths, &mut document, msg, render, bytes_max, out)
            }
        }
    }
}
