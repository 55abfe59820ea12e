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
    Key,
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

/// All of it is one loop, so that the scanner's numbers stay in registers: what is always inlined has
/// one caller, and what is not takes no scanner.
impl Scanner<'_> {
    #[inline(always)]
    fn run(&mut self) -> Result<(), NotJson> {
        let mut next = Next::Value;
        loop {
            next = match next {
                Next::Key => {
                    self.key()?;
                    Next::Value
                }
                Next::Value => self.value()?,
                Next::EndOfValue => {
                    if self.node != UNWANTED {
                        self.document.end(self.node, self.at);
                    }
                    if self.depth == 0 {
                        let end = space_end(self.bytes, self.at);
                        return (end == self.bytes.len()).then_some(()).ok_or(NotJson::Syntax);
                    }
                    self.sibling()?
                }
            };
        }
    }

    /// A value starts at `at`: skips it, or opens it.
    #[inline(always)]
    fn value(&mut self) -> Result<Next, NotJson> {
        let start = self.at;
        if self.node != UNWANTED {
            self.document.start(self.paths, self.node, start);
        }
        let end = match self.bytes.get(start) {
            Some(b'"') => {
                self.string()?;
                return Ok(Next::EndOfValue);
            }
            Some(first @ (b'{' | b'[')) => return self.open(*first == b'{'),
            Some(b'-' | b'0'..=b'9') => number_end(self.bytes, start),
            Some(b't') => literal_end(self.bytes, start, b"true"),
            Some(b'f') => literal_end(self.bytes, start, b"false"),
            Some(b'n') => literal_end(self.bytes, start, b"null"),
            _ => None,
        };
        self.at = end.ok_or(NotJson::Syntax)?;
        Ok(Next::EndOfValue)
    }

    #[inline(always)]
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
            return Ok(Next::Key);
        }
        self.element(0);
        Ok(Next::Value)
    }

    /// A value has ended at `at`, in an object or array.
    #[inline(always)]
    fn sibling(&mut self) -> Result<Next, NotJson> {
        let inner_end = self.at;
        self.at = space_end(self.bytes, inner_end);
        let is_object = self.kinds & 1 == 1;
        match (self.bytes.get(self.at), is_object) {
            (Some(b','), _) => {
                self.at = space_end(self.bytes, self.at + 1);
                if is_object {
                    return Ok(Next::Key);
                }
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
    #[inline(always)]
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
    #[inline(always)]
    fn key(&mut self) -> Result<(), NotJson> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(NotJson::Syntax);
        }
        let start = self.at + 1;
        let is_escaped = self.string()?;
        let end = self.at;
        let object = self.container();
        self.node = UNWANTED;
        if object != UNWANTED && self.paths.wants_keys(object) {
            let key = &self.bytes[start..end - 1];
            let path = match is_escaped {
                false => self.paths.key(object, key),
                true => self.document.escaped_key(self.paths, object, key),
            };
            self.node = path.unwrap_or(UNWANTED);
        }
        let colon = space_end(self.bytes, end);
        if self.bytes.get(colon) != Some(&b':') {
            return Err(NotJson::Syntax);
        }
        self.at = space_end(self.bytes, colon + 1);
        Ok(())
    }

    /// A string at `at`; has it escapes?
    #[inline(always)]
    fn string(&mut self) -> Result<bool, NotJson> {
        let end = text::plain_end(self.bytes, self.at + 1, &mut self.seen);
        if self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(false);
        }
        let (end, seen) = escaped_string_end(self.bytes, end)?;
        self.seen |= seen;
        self.at = end;
        Ok(true)
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

/// Behind the closing quote of the string that has an escape, or something illegal, at `at`; and the
/// bits of its bytes from there on.
#[cold]
#[inline(never)]
fn escaped_string_end(bytes: &[u8], mut at: usize) -> Result<(usize, u64), NotJson> {
    let mut seen = 0;
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok((at + 1, seen)),
            Some(b'\\') => {
                let end = text::escape_end(bytes, at).ok_or(NotJson::Syntax)?;
                at = text::plain_end(bytes, end, &mut seen);
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
