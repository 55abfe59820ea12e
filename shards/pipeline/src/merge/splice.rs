//! A merge whose keys are known: where in the target something changes, and what is put there.

use serde_json::Value;

use super::MergeRefused;
use super::tree::{Leaf, Tree};
use crate::json::{
    self, Document, Elements, PathIndex, PathSet, PathSetBuilder, Place, Span, Step,
};

/// What is merged.
#[derive(Debug, Clone)]
pub(super) struct Splice<T> {
    members: Members<T>,
}

/// The members of an object, in their order.
#[derive(Debug, Clone)]
struct Members<T> {
    list: Vec<Member<T>>,
    /// Where the target may have them, sorted.
    paths: Box<[PathIndex]>,
}

#[derive(Debug, Clone)]
struct Member<T> {
    /// `"key":`
    name: Box<[u8]>,
    /// Where the target may have it. `None`: inside an array, where nothing is merged into.
    path: Option<PathIndex>,
    patch: Patch<T>,
}

#[derive(Debug, Clone)]
struct Patch<T> {
    shape: Shape<T>,
    /// Its JSON, where it is the same for each message.
    constant: Option<Box<[u8]>>,
}

#[derive(Debug, Clone)]
enum Shape<T> {
    Scalar,
    Text(T),
    Array(Vec<Patch<T>>),
    Object(Members<T>),
}

/// One place of the target that changes: its bytes from `old` are replaced by those in `new`.
#[derive(Debug, Clone, Copy)]
struct Edit {
    old: Span,
    /// In `Scratch::new`.
    new: Span,
}

/// Kept from message to message.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    edits: Vec<Edit>,
    /// What is put into the target, one piece behind the other.
    new: Vec<u8>,
    /// What a template renders to, before it is escaped.
    text: Vec<u8>,
}

impl<T> Splice<T> {
    pub(super) fn new(tree: Tree<T>, paths: &mut PathSetBuilder) -> Splice<T> {
        match Patch::new(tree, Some((PathIndex::ROOT, paths))).shape {
            Shape::Object(members) => Splice { members },
            Shape::Scalar | Shape::Text(_) | Shape::Array(_) => {
                Splice { members: Members::new(Vec::new()) }
            }
        }
    }

    pub(super) fn apply(
        &self,
        paths: &PathSet,
        document: &mut Document,
        msg: &[u8],
        render: &mut impl FnMut(&T, &mut Vec<u8>) -> bool,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), MergeRefused> {
        let root = document.place(paths, PathIndex::ROOT).ok_or(MergeRefused::NotObject)?;
        if msg.get(root.span.start) != Some(&b'{') {
            return Err(MergeRefused::NotObject);
        }
        let mut scratch = std::mem::take(&mut document.splice);
        scratch.edits.clear();
        scratch.new.clear();
        let mut splicer =
            Splicer { paths, document, msg, scratch: &mut scratch, render, bytes_max };
        let spliced = splicer
            .object(PathIndex::ROOT, &root, &self.members)
            .and_then(|()| splicer.scratch.write(msg, bytes_max, out));
        document.splice = scratch;
        spliced
    }
}

impl<T> Patch<T> {
    fn new(tree: Tree<T>, mut target: Option<(PathIndex, &mut PathSetBuilder)>) -> Patch<T> {
        let shape = match tree {
            Tree::Constant(value) => {
                return Patch {
                    shape: Shape::Scalar,
                    constant: Some(value.to_string().into_bytes().into()),
                };
            }
            Tree::Text(text) => Shape::Text(text),
            Tree::Array(elements) => {
                Shape::Array(elements.into_iter().map(|tree| Patch::new(tree, None)).collect())
            }
            Tree::Object(members) => {
                let mut patches = Vec::with_capacity(members.len());
                for (key, tree) in members {
                    // Made keys are no part of what is spliced.
                    let Leaf::Constant(key) = key else { continue };
                    let name = format!("{}:", Value::from(key.as_str())).into_bytes().into();
                    let (path, patch) = match &mut target {
                        Some((object, paths)) => {
                            let path = paths.add_step(*object, &Step::Key(key));
                            (Some(path), Patch::new(tree, Some((path, paths))))
                        }
                        None => (None, Patch::new(tree, None)),
                    };
                    patches.push(Member { name, path, patch });
                }
                Shape::Object(Members::new(patches))
            }
        };
        let constant = shape.constant();
        Patch { shape, constant }
    }
}

impl<T> Members<T> {
    fn new(list: Vec<Member<T>>) -> Members<T> {
        let mut paths: Vec<_> = list.iter().filter_map(|member| member.path).collect();
        paths.sort_unstable();
        Members { list, paths: paths.into() }
    }
}

impl<T> Shape<T> {
    /// Its JSON, where all that it is made of is constant.
    fn constant(&self) -> Option<Box<[u8]>> {
        let mut json = Vec::new();
        match self {
            Shape::Scalar | Shape::Text(_) => return None,
            Shape::Array(elements) => {
                json.push(b'[');
                for (number, element) in elements.iter().enumerate() {
                    json.extend_from_slice(comma(number == 0));
                    json.extend_from_slice(element.constant.as_deref()?);
                }
                json.push(b']');
            }
            Shape::Object(members) => {
                json.push(b'{');
                for (number, member) in members.list.iter().enumerate() {
                    json.extend_from_slice(comma(number == 0));
                    json.extend_from_slice(&member.name);
                    json.extend_from_slice(member.patch.constant.as_deref()?);
                }
                json.push(b'}');
            }
        }
        Some(json.into())
    }
}

fn comma(is_first: bool) -> &'static [u8] {
    if is_first { b"" } else { b"," }
}

/// One merge, under way.
struct Splicer<'s, R> {
    paths: &'s PathSet,
    document: &'s Document,
    msg: &'s [u8],
    scratch: &'s mut Scratch,
    render: &'s mut R,
    bytes_max: usize,
}

type Outcome = Result<(), MergeRefused>;

impl<R> Splicer<'_, R> {
    /// Merges members into the object at `place`.
    fn object<T>(&mut self, path: PathIndex, place: &Place, members: &Members<T>) -> Outcome
    where
        R: FnMut(&T, &mut Vec<u8>) -> bool,
    {
        let mut is_empty = place.is_empty();
        for member in &members.list {
            let Some(path) = member.path else { continue };
            if let Some(place) = self.document.member_place(place, path) {
                self.value(path, &place, &member.patch)?;
                continue;
            }
            let start = self.scratch.new.len();
            self.scratch.new.extend_from_slice(comma(is_empty));
            self.scratch.new.extend_from_slice(&member.name);
            self.whole(&member.patch)?;
            self.insert(place.inner_end, start);
            is_empty = false;
        }
        if place.holds_twice {
            self.remove_earlier(path, place, &members.paths);
        }
        Ok(())
    }

    /// Merges a patch into the value at `place`.
    fn value<T>(&mut self, path: PathIndex, place: &Place, patch: &Patch<T>) -> Outcome
    where
        R: FnMut(&T, &mut Vec<u8>) -> bool,
    {
        match (self.msg.get(place.span.start), &patch.shape) {
            (Some(b'{'), Shape::Object(members)) => self.object(path, place, members),
            (Some(b'['), Shape::Array(elements)) => self.array(place, elements),
            (Some(b'['), Shape::Object(_)) => {
                let start = self.scratch.new.len();
                self.scratch.new.extend_from_slice(comma(place.is_empty()));
                self.whole(patch)?;
                self.insert(place.inner_end, start);
                Ok(())
            }
            _ => {
                let start = self.scratch.new.len();
                self.whole(patch)?;
                let new = Span { start, end: self.scratch.new.len() };
                self.scratch.edits.push(Edit { old: place.span, new });
                Ok(())
            }
        }
    }

    /// Appends elements to the array at `place`, and removes those that equal the one before.
    fn array<T>(&mut self, place: &Place, elements: &[Patch<T>]) -> Outcome
    where
        R: FnMut(&T, &mut Vec<u8>) -> bool,
    {
        let mut kept = Kept::default();
        let mut end = place.span.start + 1;
        for span in Elements::new(self.msg, place.span.start) {
            if kept.is_same(span.of(self.msg)) {
                let at = self.scratch.new.len();
                let old = Span { start: end, end: span.end };
                self.scratch.edits.push(Edit { old, new: Span { start: at, end: at } });
            }
            end = span.end;
        }
        for element in elements {
            let start = self.scratch.new.len();
            self.scratch.new.push(b',');
            self.whole(element)?;
            let is_first = kept.is_none();
            if !kept.is_same(&self.scratch.new[start + 1..]) {
                self.insert(place.inner_end, start + usize::from(is_first));
            }
        }
        Ok(())
    }

    /// Of touched keys that stand more than once in the object at `place`, removes all but the last.
    fn remove_earlier(&mut self, path: PathIndex, place: &Place, touched: &[PathIndex]) {
        let mut removed_from = None;
        for (key, value) in json::Members::new(self.msg, place.span.start) {
            // There is always one more member behind: the last one of this key.
            if let Some(start) = removed_from.take() {
                let at = self.scratch.new.len();
                let old = Span { start, end: key.start };
                self.scratch.edits.push(Edit { old, new: Span { start: at, end: at } });
            }
            let text = &mut self.scratch.text;
            let Some(path) = self.paths.member(path, key.of(self.msg), text) else { continue };
            let Some(last) = self.document.member_place(place, path) else { continue };
            if last.is_twice && last.span != value && touched.binary_search(&path).is_ok() {
                removed_from = Some(key.start);
            }
        }
    }

    /// Puts what was written from `start` on into the target, at `at`.
    fn insert(&mut self, at: usize, start: usize) {
        let new = Span { start, end: self.scratch.new.len() };
        self.scratch.edits.push(Edit { old: Span { start: at, end: at }, new });
    }

    /// Writes the whole of a patch.
    fn whole<T>(&mut self, patch: &Patch<T>) -> Outcome
    where
        R: FnMut(&T, &mut Vec<u8>) -> bool,
    {
        match (&patch.constant, &patch.shape) {
            (Some(json), _) => self.scratch.new.extend_from_slice(json),
            (None, Shape::Scalar) => {}
            (None, Shape::Text(text)) => {
                self.scratch.text.clear();
                if !(self.render)(text, &mut self.scratch.text) {
                    return Err(MergeRefused::TooLong);
                }
                self.scratch.new.push(b'"');
                json::escape(&self.scratch.text, &mut self.scratch.new);
                self.scratch.new.push(b'"');
            }
            (None, Shape::Array(elements)) => {
                self.scratch.new.push(b'[');
                for (number, element) in elements.iter().enumerate() {
                    self.scratch.new.extend_from_slice(comma(number == 0));
                    self.whole(element)?;
                }
                self.scratch.new.push(b']');
            }
            (None, Shape::Object(members)) => {
                self.scratch.new.push(b'{');
                for (number, member) in members.list.iter().enumerate() {
                    self.scratch.new.extend_from_slice(comma(number == 0));
                    self.scratch.new.extend_from_slice(&member.name);
                    self.whole(&member.patch)?;
                }
                self.scratch.new.push(b'}');
            }
        }
        let is_bounded = self.scratch.new.len() <= self.bytes_max;
        is_bounded.then_some(()).ok_or(MergeRefused::TooLong)
    }
}

impl Scratch {
    /// Writes the target with its edits.
    fn write(&mut self, msg: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Outcome {
        // No two edits overlap; those at one place keep their order.
        self.edits.sort_unstable_by_key(|edit| (edit.old.start, edit.new.start));
        let lengths = |edit: &Edit| (edit.old.end - edit.old.start, edit.new.end - edit.new.start);
        let (removed, added) = self
            .edits
            .iter()
            .map(lengths)
            .fold((0, 0), |(removed, added), (old, new)| (removed + old, added + new));
        if msg.len() - removed + added > bytes_max {
            return Err(MergeRefused::TooLong);
        }
        let mut at = 0;
        for edit in &self.edits {
            out.extend_from_slice(&msg[at..edit.old.start]);
            out.extend_from_slice(edit.new.of(&self.new));
            at = edit.old.end;
        }
        out.extend_from_slice(&msg[at..]);
        Ok(())
    }
}

/// The last element of an array that stays.
#[derive(Default)]
struct Kept {
    raw: Option<Vec<u8>>,
    /// Its value, once it was asked for; `None` in it: it has none, a number is beyond an f64.
    value: Option<Option<Value>>,
}

impl Kept {
    fn is_none(&self) -> bool {
        self.raw.is_none()
    }

    /// True if the next element equals it; if not, the next one stays, and takes its place.
    fn is_same(&mut self, next: &[u8]) -> bool {
        let mut next_value = None;
        if let Some(raw) = &self.raw {
            if raw == next {
                return true;
            }
            if may_be_same(raw, next) {
                let value = |raw: &[u8]| serde_json::from_slice::<Value>(raw).ok();
                let kept = self.value.get_or_insert_with(|| value(raw));
                next_value = Some(value(next));
                if kept.is_some() && Some(&*kept) == next_value.as_ref() {
                    return true;
                }
            }
        }
        self.raw.get_or_insert_default().clear();
        self.raw.get_or_insert_default().extend_from_slice(next);
        self.value = next_value;
        false
    }
}

/// False if two values that are spelled differently cannot be equal.
fn may_be_same(a: &[u8], b: &[u8]) -> bool {
    match (a.first(), b.first()) {
        (Some(b'{'), Some(b'{')) | (Some(b'['), Some(b'[')) => true,
        (Some(b'"'), Some(b'"')) => a.contains(&b'\\') || b.contains(&b'\\'),
        (Some(b'-' | b'0'..=b'9'), Some(b'-' | b'0'..=b'9')) => true,
        _ => false,
    }
}
