//! What is merged, as it was typed: a tree with compiled strings.

use std::convert::Infallible;

use serde_json::Value;

use super::{MergeRefused, NESTING_MAX};

/// A string of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf<T> {
    /// It is the same for each message.
    Constant(String),
    /// It has variables.
    Made(T),
}

/// Shape: at most `NESTING_MAX` objects and arrays in each other; the keys of an object differ, as
/// long as they are constant.
#[derive(Debug, Clone)]
pub(super) enum Tree<T> {
    /// No object, no array.
    Constant(Value),
    Text(T),
    Array(Vec<Tree<T>>),
    Object(Vec<(Leaf<T>, Tree<T>)>),
}

impl<T> Tree<T> {
    pub(super) fn compile(
        value: &Value,
        depth: usize,
        leaf: &mut impl FnMut(&str) -> Result<Leaf<T>, String>,
    ) -> Result<Tree<T>, String> {
        if depth > NESTING_MAX {
            return Err(format!("nested deeper than {NESTING_MAX}"));
        }
        Ok(match value {
            Value::String(text) => match leaf(text)? {
                Leaf::Constant(text) => Tree::Constant(Value::String(text)),
                Leaf::Made(made) => Tree::Text(made),
            },
            Value::Array(values) => {
                let mut elements = Vec::with_capacity(values.len());
                for value in values {
                    elements.push(Tree::compile(value, depth + 1, leaf)?);
                }
                Tree::Array(elements)
            }
            Value::Object(values) => {
                let mut members = Vec::with_capacity(values.len());
                for (key, value) in values {
                    put(&mut members, leaf(key)?, Tree::compile(value, depth + 1, leaf)?);
                }
                Tree::Object(members)
            }
            scalar => Tree::Constant(scalar.clone()),
        })
    }

    /// True if a key has variables.
    pub(super) fn has_made_keys(&self) -> bool {
        match self {
            Tree::Constant(_) | Tree::Text(_) => false,
            Tree::Array(elements) => elements.iter().any(Tree::has_made_keys),
            Tree::Object(members) => members
                .iter()
                .any(|(key, value)| matches!(key, Leaf::Made(_)) || value.has_made_keys()),
        }
    }

    /// Keys in it, at all levels.
    pub(super) fn key_count(&self) -> usize {
        match self {
            Tree::Constant(_) | Tree::Text(_) => 0,
            Tree::Array(elements) => elements.iter().map(Tree::key_count).sum(),
            Tree::Object(members) => members.iter().map(|(_, value)| 1 + value.key_count()).sum(),
        }
    }

    /// The tree for one message, of at most `bytes_left` bytes of text. What is not UTF-8 becomes
    /// U+FFFD.
    pub(super) fn instantiate(
        &self,
        render: &mut impl FnMut(&T, &mut Vec<u8>) -> bool,
        bytes_left: &mut usize,
    ) -> Result<Tree<Infallible>, MergeRefused> {
        Ok(match self {
            Tree::Constant(value) => Tree::Constant(value.clone()),
            Tree::Text(made) => Tree::Constant(Value::String(text_of(render, made, bytes_left)?)),
            Tree::Array(elements) => Tree::Array(
                elements
                    .iter()
                    .map(|element| element.instantiate(render, bytes_left))
                    .collect::<Result<_, _>>()?,
            ),
            Tree::Object(members) => {
                let mut instances = Vec::with_capacity(members.len());
                for (key, value) in members {
                    let key = match key {
                        Leaf::Constant(key) => key.clone(),
                        Leaf::Made(made) => text_of(render, made, bytes_left)?,
                    };
                    put(
                        &mut instances,
                        Leaf::Constant(key),
                        value.instantiate(render, bytes_left)?,
                    );
                }
                Tree::Object(instances)
            }
        })
    }
}

/// One more member; of members with the same constant key the last one wins.
fn put<T>(members: &mut Vec<(Leaf<T>, Tree<T>)>, key: Leaf<T>, value: Tree<T>) {
    if let Leaf::Constant(new) = &key {
        let is_same = |known: &Leaf<T>| matches!(known, Leaf::Constant(known) if known == new);
        if let Some((_, known)) = members.iter_mut().find(|(known, _)| is_same(known)) {
            *known = value;
            return;
        }
    }
    members.push((key, value));
}

/// What a string renders to. Errors: it is longer than `bytes_left`.
fn text_of<T>(
    render: &mut impl FnMut(&T, &mut Vec<u8>) -> bool,
    made: &T,
    bytes_left: &mut usize,
) -> Result<String, MergeRefused> {
    let mut text = Vec::new();
    let is_whole = render(made, &mut text);
    let left = bytes_left.checked_sub(text.len()).filter(|_| is_whole);
    *bytes_left = left.ok_or(MergeRefused::TooLong)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
