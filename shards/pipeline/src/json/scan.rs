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
}

/// Shape: `0 <= at <= bytes.len()`, `wanted <= depth <= DEPTH_MAX`; `node` is the path of the value
/// at `at`. What lies in an unwanted value is unwanted: the outer `wanted` levels are those in which
/// values are wanted, and they alone are in `document.levels`.
struct Scanner<'s> {
    bytes: &'s [u8],
    paths: &'s PathSet,
    document: &'s mut Document,
    /// One bit per open level, the innermost lowest: 1 is an object, 0 an array.
    kinds: u64,
    depth: usize,
    wanted: usize,
    at: usize,
    node: usize,
    /// The bits of all bytes in strings.
    seen: u64,
}

/// What follows.
enum Next {
    Value,
    EndOfValue,
}

/// Reads the whole field.
///
/// Errors: it is not JSON, or nests too deep. Values noted until then mean nothing.
pub(super) fn scan(bytes: &[u8], paths: &PathSet, document: &mut Document) -> Result<(), NotJson> {
    let at = space_end(bytes, 0);
    let mut scanner =
        Scanner { bytes, paths, document, kinds: 0, depth: 0, wanted: 0, at, node: 0, seen: 0 };
    scanner.run()?;
    let is_text = !text::has_high(scanner.seen) || std::str::from_utf8(bytes).is_ok();
    is_text.then_some(()).ok_or(NotJson::Syntax)
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), NotJson> {
        loop {
            let mut next = self.value()?;
            while let Next::EndOfValue = next {
                if self.node != UNWANTED {
                    self.document.end(self.node, self.at);
                }
                if self.depth == 0 {
                    let end = space_end(self.bytes, self.at);
                    return (end == self.bytes.len()).then_some(()).ok_or(NotJson::Syntax);
                }
                next = self.sibling()?;
            }
        }
    }

    /// A value starts at `at`: skips it, or opens it.
    #[inline]
    fn value(&mut self) -> Result<Next, NotJson> {
        let start = self.at;
        if self.node != UNWANTED {
            self.document.start(self.paths, self.node, start);
        }
        let end = match self.bytes.get(start) {
            Some(b'"') => Some(self.string_end(start + 1)?.0),
            Some(b'{') => return self.open(true),
            Some(b'[') => return self.open(false),
            Some(b'-' | b'0'..=b'9') => number_end(self.bytes, start),
            Some(b't') => literal_end(self.bytes, start, b"true"),
            Some(b'f') => literal_end(self.bytes, start, b"false"),
            Some(b'n') => literal_end(self.bytes, start, b"null"),
            _ => None,
        };
        self.at = end.ok_or(NotJson::Syntax)?;
        Ok(Next::EndOfValue)
    }

    #[inline]
    fn open(&mut self, is_object: bool) -> Result<Next, NotJson> {
        if self.depth == DEPTH_MAX {
            return Err(NotJson::TooDeep);
        }
        let inner = self.at + 1;
        self.at = space_end(self.bytes, inner);
        let close = if is_object { b'}' } else { b']' };
        if self.bytes.get(self.at) == Some(&close) {
            self.at += 1;
            if self.node != UNWANTED {
                self.document.inner_end(self.node, inner);
            }
            return Ok(Next::EndOfValue);
        }
        self.depth += 1;
        self.kinds = self.kinds << 1 | u64::from(is_object);
        if self.node != UNWANTED {
            self.document.levels[self.wanted] = Level { node: self.node, index: 0 };
            self.wanted += 1;
        }
        if is_object {
            self.key()?
        } else {
            self.element(0)
        }
        Ok(Next::Value)
    }

    /// A value has ended at `at`, in an object or array.
    #[inline]
    fn sibling(&mut self) -> Result<Next, NotJson> {
        let inner_end = self.at;
        self.at = space_end(self.bytes, inner_end);
        let is_object = self.kinds & 1 == 1;
        match (self.bytes.get(self.at), is_object) {
            (Some(b','), true) => {
                self.at = space_end(self.bytes, self.at + 1);
                self.key()?;
                Ok(Next::Value)
            }
            (Some(b','), false) => {
                self.at = space_end(self.bytes, self.at + 1);
                self.element(1);
                Ok(Next::Value)
            }
            (Some(b'}'), true) | (Some(b']'), false) => {
                self.at += 1;
                self.node = self.container();
                if self.node != UNWANTED {
                    self.document.inner_end(self.node, inner_end);
                    self.wanted -= 1;
                }
                self.depth -= 1;
                self.kinds >>= 1;
                Ok(Next::EndOfValue)
            }
            _ => Err(NotJson::Syntax),
        }
    }

    /// The path of the innermost open object or array.
    #[inline]
    fn container(&self) -> usize {
        if self.wanted == self.depth {
            self.document.levels[self.wanted - 1].node
        } else {
            UNWANTED
        }
    }

    /// The array's next element is so much further: which path has it?
    #[inline]
    fn element(&mut self, further: usize) {
        self.node = UNWANTED;
        if self.wanted == self.depth {
            let level = &mut self.document.levels[self.wanted - 1];
            level.index += further;
            self.node = self.paths.index(level.node, level.index).unwrap_or(UNWANTED);
        }
    }

    /// A key at `at`, its colon, and which path its value has.
    #[inline]
    fn key(&mut self) -> Result<(), NotJson> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(NotJson::Syntax);
        }
        let start = self.at + 1;
        let (end, is_escaped) = self.string_end(start)?;
        let object = self.container();
        self.node = UNWANTED;
        if object != UNWANTED && self.paths.wants_keys(object) {
            self.node = self.wanted(object, start, end - 1, is_escaped).unwrap_or(UNWANTED);
        }
        let colon = space_end(self.bytes, end);
        if self.bytes.get(colon) != Some(&b':') {
            return Err(NotJson::Syntax);
        }
        self.at = space_end(self.bytes, colon + 1);
        Ok(())
    }

    #[inline]
    fn wanted(&mut self, object: usize, start: usize, end: usize, escaped: bool) -> Option<usize> {
        let raw = &self.bytes[start..end];
        if !escaped {
            return self.paths.key(object, raw);
        }
        let key = &mut self.document.key;
        key.clear();
        text::unescape(raw, key);
        self.paths.key(object, key)
    }

    /// Behind the closing quote of the string whose inside starts at `at`; has it escapes?
    #[inline(always)]
    fn string_end(&mut self, at: usize) -> Result<(usize, bool), NotJson> {
        let end = text::plain_end(self.bytes, at, &mut self.seen);
        if self.bytes.get(end) == Some(&b'"') {
            return Ok((end + 1, false));
        }
        self.escaped_string_end(end)
    }

    #[cold]
    #[inline(never)]
    fn escaped_string_end(&mut self, mut at: usize) -> Result<(usize, bool), NotJson> {
        loop {
            match self.bytes.get(at) {
                Some(b'"') => return Ok((at + 1, true)),
                Some(b'\\') => {
                    let end = text::escape_end(self.bytes, at).ok_or(NotJson::Syntax)?;
                    at = text::plain_end(self.bytes, end, &mut self.seen);
                }
                _ => return Err(NotJson::Syntax),
            }
        }
    }
}

/// Behind the whitespace at `at`.
#[inline]
pub(super) fn space_end(bytes: &[u8], mut at: usize) -> usize {
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
