//! Reads parameters out of STRUCTURED-DATA, whose form the parser has checked.
//!
//! ```text
//! [SD-ID PARAM-NAME="PARAM-VALUE" ...][SD-ID ...]...     (RFC 5424 §6.3)
//! ```
//!
//! Where an element ends is decided as the parser decides it: at the first `]` outside of quotes.
//! What is in quotes is a value; the word that ends in `=` right before them is its name. A value
//! without such a name, and words without a value, are no parameters.

//!
//! Rules and templates may name many parameters. [`SdValues`] reads those of a message in one walk,
//! when the first of them is asked for.

use memchr::{memchr, memchr2};

/// A parameter's value, as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SdValue<'a> {
    /// Between its quotes.
    pub raw: &'a [u8],
    /// A backslash takes part in it; without one, `raw` is the value itself.
    pub has_escapes: bool,
}

impl<'a> SdValue<'a> {
    /// The value, in pieces: all that is in `raw` but for the backslashes that escape.
    ///
    /// A backslash escapes `"`, `\` and `]`; before any other byte it stands for itself.
    ///
    /// Source: RFC 5424 §6.3.3.
    pub fn pieces(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let has_escapes = self.has_escapes;
        let mut rest = Some(self.raw);
        // From `searched` on: what is before it is an escaped byte.
        let mut searched = 0;
        std::iter::from_fn(move || {
            let bytes = rest?;
            let mut at = searched;
            while has_escapes && let Some(backslash) = memchr(b'\\', bytes.get(at..)?) {
                at += backslash;
                if let Some(b'"' | b'\\' | b']') = bytes.get(at + 1) {
                    searched = 1;
                    rest = Some(&bytes[at + 1..]);
                    return Some(&bytes[..at]);
                }
                at += 1;
            }
            rest = None;
            Some(bytes)
        })
    }

    /// Writes the value.
    pub fn write(&self, out: &mut Vec<u8>) {
        for piece in self.pieces() {
            out.extend_from_slice(piece);
        }
    }
}

/// One SD-PARAM, or the SD-ELEMENT that the next ones are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SdItem<'a> {
    /// SD-ID.
    pub id: &'a [u8],
    /// PARAM-NAME; empty: this is the element itself.
    pub name: &'a [u8],
    /// PARAM-VALUE; empty for an element.
    pub value: SdValue<'a>,
}

/// What STRUCTURED-DATA holds, in order: each element, and then its parameters.
///
/// Cost:   one pass, whatever was sent; no allocation.
pub fn items(structured_data: &[u8]) -> impl Iterator<Item = SdItem<'_>> {
    let mut rest = structured_data;
    let mut id: Option<&[u8]> = None;
    std::iter::from_fn(move || {
        if let Some(open) = id {
            if let Some((name, value)) = param(&mut rest) {
                return Some(SdItem { id: open, name, value });
            }
            rest = rest.strip_prefix(b"]")?;
        }
        let next = sd_id(&mut rest)?;
        id = Some(next);
        Some(SdItem { id: next, ..SdItem::default() })
    })
}

/// The parameters that somebody wants to know, each once, by SD-ID and PARAM-NAME.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SdNames {
    /// Sorted.
    names: Box<[SdName]>,
}

/// SD-ID and PARAM-NAME.
type SdName = (Box<[u8]>, Box<[u8]>);

impl SdNames {
    /// These, and no others.
    pub fn new<B: AsRef<[u8]>>(names: impl IntoIterator<Item = (B, B)>) -> SdNames {
        let owned = |(id, name): (B, B)| (id.as_ref().into(), name.as_ref().into());
        let mut names: Vec<SdName> = names.into_iter().map(owned).collect();
        names.sort_unstable();
        names.dedup();
        SdNames { names: names.into() }
    }

    /// A parameter's number; `None`: nobody wants to know it.
    pub fn find(&self, id: &[u8], name: &[u8]) -> Option<usize> {
        self.names.binary_search_by(|(i, n)| (&**i, &**n).cmp(&(id, name))).ok()
    }
}

/// The wanted parameters of one message. Scratch: each shard has one, used again for each message.
#[derive(Debug, Default)]
pub struct SdValues {
    is_read: bool,
    /// Counts what was read: values of earlier messages are told apart by it.
    reading: u64,
    /// By their numbers in the names.
    values: Vec<Found>,
    /// The numbers of those that the message has, each once.
    found: Vec<usize>,
    /// Values without their escapes, one behind the other.
    unescaped: Vec<u8>,
}

/// Where a value lies: in the structured data, or in `unescaped`.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    reading: u64,
    is_unescaped: bool,
    start: usize,
    end: usize,
}

impl SdValues {
    /// Forgets the message. To be called for each.
    pub fn clear(&mut self) {
        self.is_read = false;
    }

    /// Reads a message, unless one was read since the last `clear`. Of parameters with the same name
    /// the first counts.
    ///
    /// Cost: one walk over the structured data until all are found, a search for each parameter in
    ///       it; no allocation once warmed up.
    pub fn read(&mut self, names: &SdNames, structured_data: Option<&[u8]>) {
        if self.is_read {
            return;
        }
        self.is_read = true;
        self.reading += 1;
        self.unescaped.clear();
        self.found.clear();
        let Some(structured_data) = structured_data else { return };
        self.values.resize(names.names.len(), Found::default());
        for item in items(structured_data).filter(|item| !item.name.is_empty()) {
            if self.found.len() == names.names.len() {
                break;
            }
            let Some(number) = names.find(item.id, item.name) else { continue };
            if self.values[number].reading == self.reading {
                continue;
            }
            self.found.push(number);
            let SdValue { raw, has_escapes: is_unescaped } = item.value;
            let (start, end) = if is_unescaped {
                let start = self.unescaped.len();
                item.value.write(&mut self.unescaped);
                (start, self.unescaped.len())
            } else {
                let start = raw.as_ptr() as usize - structured_data.as_ptr() as usize;
                (start, start + raw.len())
            };
            self.values[number] = Found { reading: self.reading, is_unescaped, start, end };
        }
    }

    /// The numbers of the parameters that the message has, each once, in the order sent.
    pub fn found(&self) -> &[usize] {
        debug_assert!(self.is_read);
        &self.found
    }

    /// The value of a parameter by its number; `None`: the message does not have it. To be asked
    /// after `read`, with the same structured data.
    pub fn value<'a>(
        &'a self,
        number: usize,
        structured_data: Option<&'a [u8]>,
    ) -> Option<&'a [u8]> {
        debug_assert!(self.is_read);
        let found = self.values.get(number).filter(|found| found.reading == self.reading)?;
        let bytes = if found.is_unescaped { &self.unescaped } else { structured_data? };
        bytes.get(found.start..found.end)
    }
}

/// The SD-ID of the element that `rest` starts with; behind it `rest` is what follows.
fn sd_id<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let inside = rest.strip_prefix(b"[")?;
    let end = inside.iter().position(|byte| matches!(byte, b' ' | b'=' | b']' | b'"'))?;
    *rest = &inside[end..];
    Some(&inside[..end])
}

/// The next parameter of the element that `rest` is in; behind it `rest` is what follows. `None`:
/// there is none left; `rest` then starts with the element's `]`.
fn param<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], SdValue<'a>)> {
    loop {
        let mark = memchr2(b'"', b']', rest)?;
        let (before, marked) = rest.split_at(mark);
        if marked[0] == b']' {
            *rest = marked;
            return None;
        }
        let (value, after) = value(&marked[1..])?;
        *rest = after;
        if let Some(before) = before.strip_suffix(b"=") {
            let start = before.iter().rposition(|byte| *byte == b' ').map_or(0, |space| space + 1);
            if start < before.len() {
                return Some((&before[start..], value));
            }
        }
    }
}

/// The value that `rest` starts with, and what follows its closing quote.
fn value(rest: &[u8]) -> Option<(SdValue<'_>, &[u8])> {
    let mut has_escapes = false;
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', rest.get(at..)?)?;
        if rest[at] == b'"' {
            return Some((SdValue { raw: &rest[..at], has_escapes }, &rest[at + 1..]));
        }
        has_escapes = true;
        at += 2;
    }
}
