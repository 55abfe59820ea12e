//! A parser's steps -> a tree of [`Node`]s: bounded in depth, in nodes and in bytes.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, ScalarStyle, Tag};

use super::{Kind, Node};

/// Levels of lists and mappings; a merge as deep as JSON may be, and the levels above it.
pub(super) const DEPTH_MAX: usize = 72;
/// Lists, mappings and scalars, copies made by aliases included; 4096 rules take a tenth.
const NODES_MAX: usize = 1 << 20;
/// Bytes of all scalars, copies made by aliases included.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// A sentence with its place.
pub(super) fn mistake(at: Marker, sentence: &str) -> String {
    format!("line {}, column {}: {sentence}", at.line(), at.col() + 1)
}

/// A tree being built.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Lists and mappings that are not closed yet, the innermost last; at most [`DEPTH_MAX`].
    open: Vec<Open>,
    /// The whole, once it is complete.
    pub(super) root: Option<Node>,
    anchors: HashMap<usize, Anchored>,
    size: Size,
}

/// What an alias stands for.
#[derive(Debug)]
struct Anchored {
    node: Node,
    size: Size,
}

/// What a node takes. `height`: its levels, 0 for a scalar.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: usize,
    text_bytes: usize,
    height: usize,
}

#[derive(Debug)]
struct Open {
    line: usize,
    anchor: usize,
    content: Content,
    size: Size,
}

#[derive(Debug)]
enum Content {
    List(Vec<Node>),
    Map { entries: Vec<(String, Node)>, keys: HashSet<String>, key: Option<String> },
}

impl Tree {
    /// Takes the parser's next step.
    ///
    /// Errors: a bound, a key or a tag, with its place.
    pub(super) fn take(&mut self, event: Event<'_>, at: Marker) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && !is_text(tag.as_deref(), at)?;
                let size = Size { nodes: 1, text_bytes: text.len(), height: 0 };
                let kind = Kind::Scalar { text: text.into_owned(), is_plain };
                self.put(Node { line: at.line(), kind }, anchor, size, at)
            }
            Event::Alias(anchor) => {
                let Some(anchored) = self.anchors.get(&anchor) else {
                    return Err(mistake(at, "an alias inside of what it stands for"));
                };
                let size = anchored.size;
                self.check(size, at)?;
                let node = Node { line: at.line(), ..self.anchors[&anchor].node.clone() };
                self.put(node, 0, size, at)
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), "seq", at)?;
                self.begin(Content::List(Vec::new()), anchor, at)
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), "map", at)?;
                let (entries, keys) = (Vec::new(), HashSet::new());
                self.begin(Content::Map { entries, keys, key: None }, anchor, at)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(at),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    /// Refuses what would not fit any more.
    fn check(&self, size: Size, at: Marker) -> Result<(), String> {
        if self.open.len() + size.height > DEPTH_MAX {
            return Err(mistake(at, &format!("nested deeper than {DEPTH_MAX} levels")));
        }
        if self.size.nodes + size.nodes > NODES_MAX {
            let sentence = format!("more than {NODES_MAX} values, copies by aliases included");
            return Err(mistake(at, &sentence));
        }
        if self.size.text_bytes + size.text_bytes > TEXT_BYTES_MAX {
            let most = TEXT_BYTES_MAX >> 20;
            let sentence = format!("more than {most} MiB of text, copies by aliases included");
            return Err(mistake(at, &sentence));
        }
        Ok(())
    }

    fn begin(&mut self, content: Content, anchor: usize, at: Marker) -> Result<(), String> {
        self.check(Size { nodes: 1, text_bytes: 0, height: 1 }, at)?;
        self.size.nodes += 1;
        let size = Size { nodes: 1, text_bytes: 0, height: 1 };
        self.open.push(Open { line: at.line(), anchor, content, size });
        Ok(())
    }

    fn end(&mut self, at: Marker) -> Result<(), String> {
        // The parser closes what it opened, and nothing else.
        let Some(Open { line, anchor, content, size }) = self.open.pop() else { return Ok(()) };
        let kind = match content {
            Content::List(nodes) => Kind::List(nodes),
            Content::Map { entries, .. } => Kind::Map(entries),
        };
        self.place(Node { line, kind }, anchor, size, at)
    }

    /// A node that is complete when it begins.
    fn put(&mut self, node: Node, anchor: usize, size: Size, at: Marker) -> Result<(), String> {
        self.check(size, at)?;
        self.size.nodes += size.nodes;
        self.size.text_bytes += size.text_bytes;
        self.place(node, anchor, size, at)
    }

    /// Puts a complete node where it belongs; its size is counted already.
    fn place(&mut self, node: Node, anchor: usize, size: Size, at: Marker) -> Result<(), String> {
        if anchor > 0 {
            // A copy for the aliases; it takes memory like any other.
            self.check(size, at)?;
            self.size.nodes += size.nodes;
            self.size.text_bytes += size.text_bytes;
            self.anchors.insert(anchor, Anchored { node: node.clone(), size });
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.size.nodes += size.nodes;
        open.size.text_bytes += size.text_bytes;
        open.size.height = open.size.height.max(size.height + 1);
        match &mut open.content {
            Content::List(nodes) => nodes.push(node),
            Content::Map { entries, keys, key } => match key.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let Kind::Scalar { text, .. } = node.kind else {
                        return Err(mistake(at, "a key that is a list or a mapping; write a word"));
                    };
                    if !keys.insert(text.clone()) {
                        return Err(mistake(at, &format!("the key {text:?} stands here twice")));
                    }
                    *key = Some(text);
                }
            },
        }
        Ok(())
    }
}

/// Whether the tag makes a scalar text, whatever it looks like.
fn is_text(tag: Option<&Tag>, at: Marker) -> Result<bool, String> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
            "str" => Ok(true),
            "int" | "float" | "bool" | "null" => Ok(false),
            _ => Err(unknown_tag(tag, at)),
        },
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(true),
        Some(tag) => Err(unknown_tag(tag, at)),
    }
}

fn check_tag(tag: Option<&Tag>, expected: &str, at: Marker) -> Result<(), String> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == expected) => {
            Err(unknown_tag(tag, at))
        }
        _ => Ok(()),
    }
}

fn unknown_tag(tag: &Tag, at: Marker) -> String {
    let name = format!("{}{}", tag.handle, tag.suffix);
    let shown: String = name.chars().take(60).collect();
    mistake(at, &format!("the tag {shown:?} has no meaning in a configuration; remove it"))
}
