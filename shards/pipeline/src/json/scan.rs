//! One pass over a field: is it JSON, and where do the wanted values lie?

use super::{DEPTH_MAX, Document, NotJson, PathSet, text};

/// No value in it is wanted.
const UNWANTED: usize = usize::MAX;

/// An object or array that is open, and in which values are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Level {
    /// Its path.
    node: usize,
    /// Elements of the array that have ended.
    index: usize,
    is_object: bool,
}

/// Reads the whole field.
///
/// Errors: it is not JSON, or nests too deep. Values noted until then mean nothing.
pub(super) fn scan(bytes: &[u8], paths: &PathSet, document: &mut Document) -> Result<(), NotJson> {
    let end = Walk { bytes, paths, document, depth: 0 }.value_end(space_end(bytes, 0))?;
    let is_whole = space_end(bytes, end) == bytes.len();
    let is_json = is_whole && (bytes.is_ascii() || std::str::from_utf8(bytes).is_ok());
    is_json.then_some(()).ok_or(NotJson::Syntax)
}

/// The way through the values that are wanted, and the objects and arrays that they lie in. What lies
/// in an unwanted value is unwanted: [`skipped_end`] takes it as a whole.
///
/// Shape: the outer `depth` of `document.levels` are open; `depth <= DEPTH_MAX`.
struct Walk<'s> {
    bytes: &'s [u8],
    paths: &'s PathSet,
    document: &'s mut Document,
    depth: usize,
}

impl Walk<'_> {
    /// Behind the wanted value at `start`, which no other is around.
    fn value_end(&mut self, start: usize) -> Result<usize, NotJson> {
        let (mut at, mut node) = (start, 0);
        loop {
            if node == UNWANTED {
                at = skipped_end(self.bytes, at, DEPTH_MAX - self.depth)?;
            } else {
                self.document.start(self.paths, node, at);
                if let Some(first @ (b'{' | b'[')) = self.bytes.get(at) {
                    let is_object = *first == b'{';
                    self.open(node, is_object)?;
                    let inner = space_end(self.bytes, at + 1);
                    if self.bytes.get(inner) != Some(&close_of(is_object)) {
                        (at, node) = self.member(inner, 0)?;
                        continue;
                    }
                    at += 1;
                } else {
                    at = scalar_end(self.bytes, at)?;
                    self.document.end(node, at);
                }
            }
            // What ended may end what it lies in, and so on.
            loop {
                let Some(level) = self.innermost() else { return Ok(at) };
                let inner_end = at;
                at = space_end(self.bytes, at);
                match self.bytes.get(at) {
                    Some(b',') => {
                        (at, node) = self.member(space_end(self.bytes, at + 1), 1)?;
                        break;
                    }
                    Some(byte) if *byte == close_of(level.is_object) => {
                        at += 1;
                        self.document.inner_end(level.node, inner_end);
                        self.document.end(level.node, at);
                        self.depth -= 1;
                    }
                    _ => return Err(NotJson::Syntax),
                }
            }
        }
    }

    fn open(&mut self, node: usize, is_object: bool) -> Result<(), NotJson> {
        let level = self.document.levels.get_mut(self.depth).ok_or(NotJson::TooDeep)?;
        *level = Level { node, index: 0, is_object };
        self.depth += 1;
        Ok(())
    }

    #[inline(always)]
    fn innermost(&self) -> Option<Level> {
        let last = self.depth.checked_sub(1)?;
        self.document.levels.get(last).copied()
    }

    /// Where the value of the member or element at `at` starts, and its path. It is so many elements
    /// further in its array than the one before it.
    #[inline(always)]
    fn member(&mut self, at: usize, further: usize) -> Result<(usize, usize), NotJson> {
        let Some(level) = self.document.levels.get_mut(self.depth - 1) else {
            return Err(NotJson::TooDeep);
        };
        let object = level.node;
        if !level.is_object {
            level.index += further;
            return Ok((at, self.paths.index(object, level.index).unwrap_or(UNWANTED)));
        }
        let key = key_end(self.bytes, at)?;
        let raw = self.bytes.get(at + 1..key.end - 1).unwrap_or_default();
        let node = match key.is_escaped {
            false => self.paths.key(object, raw),
            true => self.document.escaped_key(self.paths, object, raw),
        };
        Ok((value_start(self.bytes, key.end)?, node.unwrap_or(UNWANTED)))
    }
}

impl Document {
    /// Which path has the value of a key with escapes.
    #[cold]
    #[inline(never)]
    fn escaped_key(&mut self, paths: &PathSet, object: usize, raw: &[u8]) -> Option<usize> {
        self.key.clear();
        text::unescape(raw, &mut self.key);
        paths.key(object, &self.key)
    }
}

/// Behind the value at `at`, in which nothing is wanted, and which may nest so deep.
#[inline(always)]
fn skipped_end(bytes: &[u8], at: usize, depth_max: usize) -> Result<usize, NotJson> {
    match bytes.get(at) {
        Some(b'{' | b'[') => container_end(bytes, at, depth_max),
        _ => scalar_end(bytes, at),
    }
}

/// Behind the object or array at `at`.
#[inline(never)]
fn container_end(bytes: &[u8], mut at: usize, depth_max: usize) -> Result<usize, NotJson> {
    // One bit per open object (1) or array (0), the innermost lowest.
    let (mut kinds, mut depth) = (0_u64, 0);
    loop {
        match bytes.get(at) {
            Some(first @ (b'{' | b'[')) => {
                if depth == depth_max {
                    return Err(NotJson::TooDeep);
                }
                let is_object = *first == b'{';
                depth += 1;
                kinds = kinds << 1 | u64::from(is_object);
                at = space_end(bytes, at + 1);
                if bytes.get(at) != Some(&close_of(is_object)) {
                    if is_object {
                        at = value_start(bytes, key_end(bytes, at)?.end)?;
                    }
                    continue;
                }
            }
            _ => at = scalar_end(bytes, at)?,
        }
        // What ended may end what it lies in, and so on.
        loop {
            let is_object = kinds & 1 == 1;
            at = space_end(bytes, at);
            match bytes.get(at) {
                Some(b',') => {
                    at = space_end(bytes, at + 1);
                    if is_object {
                        at = value_start(bytes, key_end(bytes, at)?.end)?;
                    }
                    break;
                }
                Some(byte) if *byte == close_of(is_object) => {
                    at += 1;
                    depth -= 1;
                    kinds >>= 1;
                    if depth == 0 {
                        return Ok(at);
                    }
                }
                _ => return Err(NotJson::Syntax),
            }
        }
    }
}

#[inline(always)]
fn close_of(is_object: bool) -> u8 {
    if is_object { b'}' } else { b']' }
}

struct StringEnd {
    /// Behind the closing quote.
    end: usize,
    is_escaped: bool,
}

/// The end of the key at `at`.
#[inline(always)]
fn key_end(bytes: &[u8], at: usize) -> Result<StringEnd, NotJson> {
    match bytes.get(at) {
        Some(b'"') => string_end(bytes, at),
        _ => Err(NotJson::Syntax),
    }
}

/// Where the value starts, by where its key ends.
#[inline(always)]
fn value_start(bytes: &[u8], key_end: usize) -> Result<usize, NotJson> {
    let colon = space_end(bytes, key_end);
    match bytes.get(colon) {
        Some(b':') => Ok(space_end(bytes, colon + 1)),
        _ => Err(NotJson::Syntax),
    }
}

/// Behind the string, number or literal at `at`.
#[inline(always)]
fn scalar_end(bytes: &[u8], at: usize) -> Result<usize, NotJson> {
    let end = match bytes.get(at) {
        Some(b'"') => return Ok(string_end(bytes, at)?.end),
        Some(b'-' | b'0'..=b'9') => number_end(bytes, at),
        Some(b't') => literal_end(bytes, at, b"true"),
        Some(b'f') => literal_end(bytes, at, b"false"),
        Some(b'n') => literal_end(bytes, at, b"null"),
        _ => None,
    };
    end.ok_or(NotJson::Syntax)
}

/// The end of the string at `at`, where a quote is.
#[inline(always)]
fn string_end(bytes: &[u8], at: usize) -> Result<StringEnd, NotJson> {
    let end = text::plain_end(bytes, at + 1);
    if bytes.get(end) == Some(&b'"') {
        return Ok(StringEnd { end: end + 1, is_escaped: false });
    }
    Ok(StringEnd { end: escaped_string_end(bytes, end)?, is_escaped: true })
}

/// Behind the closing quote of the string that has an escape, or something illegal, at `at`.
#[cold]
#[inline(never)]
fn escaped_string_end(bytes: &[u8], mut at: usize) -> Result<usize, NotJson> {
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => {
                let end = text::escape_end(bytes, at).ok_or(NotJson::Syntax)?;
                at = text::plain_end(bytes, end);
            }
            _ => return Err(NotJson::Syntax),
        }
    }
}

/// Behind the whitespace at `at`. Nearly always there is none.
#[inline(always)]
pub(super) fn space_end(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(byte) if *byte <= b' ' => some_space_end(bytes, at),
        _ => at,
    }
}

#[inline(never)]
fn some_space_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

#[inline]
fn literal_end(bytes: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    let end = at + literal.len();
    (bytes.get(at..end)? == literal).then_some(end)
}

/// Behind the number at `at`. Source: RFC 8259 section 6.
#[inline]
fn number_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match bytes.get(at)? {
        b'0' => at + 1,
        _ => digits_end(bytes, at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits_end(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = digits_end(bytes, at)?;
    }
    Some(at)
}

/// Behind the digits at `at`, at least one.
#[inline]
fn digits_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at += 1;
    }
    (at > start).then_some(at)
}
