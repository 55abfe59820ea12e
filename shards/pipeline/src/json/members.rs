//! The members of an object and the elements of an array, in bytes that are known to be JSON.

use super::scan::space_end;
use super::{Span, text};

/// The members of the object that starts at `at`: key, with its quotes, and value.
#[derive(Debug, Clone)]
pub struct Members<'b> {
    bytes: &'b [u8],
    at: usize,
}

/// The elements of the array that starts at `at`.
#[derive(Debug, Clone)]
pub struct Elements<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Members<'b> {
    /// Of an object in `bytes`, which must be JSON: else what comes is of no use, but comes to an
    /// end.
    pub fn new(bytes: &'b [u8], start: usize) -> Members<'b> {
        Members { bytes, at: start + 1 }
    }
}

impl Iterator for Members<'_> {
    type Item = (Span, Span);

    fn next(&mut self) -> Option<(Span, Span)> {
        let start = space_end(self.bytes, self.at);
        if self.bytes.get(start) != Some(&b'"') {
            return None;
        }
        let key = Span { start, end: string_end(self.bytes, start) };
        let colon = space_end(self.bytes, key.end);
        let value = value(self.bytes, space_end(self.bytes, colon + 1));
        self.at = separator_end(self.bytes, value.end);
        Some((key, value))
    }
}

impl<'b> Elements<'b> {
    /// Of an array in `bytes`, as for [`Members::new`].
    pub fn new(bytes: &'b [u8], start: usize) -> Elements<'b> {
        Elements { bytes, at: start + 1 }
    }
}

impl Iterator for Elements<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        let start = space_end(self.bytes, self.at);
        if let None | Some(b']') = self.bytes.get(start) {
            return None;
        }
        let value = value(self.bytes, start);
        self.at = separator_end(self.bytes, value.end);
        Some(value)
    }
}

/// Behind the comma after a value; where there is none, at what closes.
fn separator_end(bytes: &[u8], end: usize) -> usize {
    let at = space_end(bytes, end);
    if bytes.get(at) == Some(&b',') { at + 1 } else { at }
}

/// The value that starts at `start`. Ends behind `start`, unless the bytes end there.
fn value(bytes: &[u8], start: usize) -> Span {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        at = match byte {
            b'"' => string_end(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                at + 1
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => at + 1,
            _ => scalar_end(bytes, at),
        };
        if depth == 0 {
            break;
        }
    }
    Span { start, end: at }
}

fn scalar_end(bytes: &[u8], at: usize) -> usize {
    let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let rest = &bytes[at + 1..];
    at + 1 + rest.iter().take_while(|byte| is_inside(byte)).count()
}

/// Behind the closing quote of the string that starts at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        at = text::plain_end(bytes, at);
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') => return at + 1,
            Some(_) => at += 1,
            None => return bytes.len(),
        }
    }
}
