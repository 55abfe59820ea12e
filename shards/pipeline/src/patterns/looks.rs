//! What holds between two bytes of a field: its edges, line ends, word boundaries.

use regex_automata::util::look::{Look, LookMatcher, LookSet};

use super::alphabet::{Alphabet, INVALID as INVALID_LETTER, STRAY_OTHER, STRAY_WORD};

/// Kinds of bytes that looks tell apart, and a text of each kind.
const KINDS: [&[u8]; 7] = [b"", b" ", b"\n", b"\r", b"a", "\u{e9}".as_bytes(), b"\xff"];

const EDGE: u8 = 0;
const OTHER: u8 = 1;
const LF: u8 = 2;
const CR: u8 = 3;
const WORD_ASCII: u8 = 4;
const WORD: u8 = 5;
const INVALID: u8 = 6;

/// Looks as bits, as `LookSet` has them.
pub(super) type LookBits = u32;

/// Tells which looks hold at a place in a field.
#[derive(Debug)]
pub(super) enum Looks {
    /// No pattern asks.
    None,
    /// By the kinds of the byte before and of the byte behind.
    Table {
        before: Box<[u8; 256]>,
        behind: Box<[u8; 256]>,
        holds: Box<[[LookBits; KINDS.len()]; KINDS.len()]>,
    },
    /// Read from the field's characters: words in a field that is not translated.
    Read(LookSet),
}

impl Looks {
    /// For fields of ASCII, or translated ones.
    pub(super) fn translated(asked: LookSet, alphabet: Option<&Alphabet>) -> Looks {
        if asked.is_empty() {
            return Looks::None;
        }
        let behind = |byte: u8| match byte {
            b'\n' => LF,
            b'\r' => CR,
            b'_' => WORD_ASCII,
            _ if byte.is_ascii_alphanumeric() => WORD_ASCII,
            _ if byte.is_ascii() => OTHER,
            INVALID_LETTER | STRAY_WORD | STRAY_OTHER => INVALID,
            _ if alphabet.is_some_and(|alphabet| alphabet.is_word(byte)) => WORD,
            _ => OTHER,
        };
        let before = |byte: u8| match byte {
            STRAY_WORD => WORD,
            STRAY_OTHER => OTHER,
            _ => behind(byte),
        };
        let matcher = LookMatcher::new();
        let mut holds = Box::new([[0; KINDS.len()]; KINDS.len()]);
        for (before, row) in KINDS.iter().zip(holds.iter_mut()) {
            for (behind, bits) in KINDS.iter().zip(row) {
                *bits = read(&matcher, LookSet::full(), &[*before, *behind].concat(), before.len());
            }
        }
        let bytes = |kind: &dyn Fn(u8) -> u8| -> Box<[u8; 256]> {
            Box::new(std::array::from_fn(|byte| kind(u8::try_from(byte).unwrap_or(0))))
        };
        Looks::Table { before: bytes(&before), behind: bytes(&behind), holds }
    }

    /// For fields as they are.
    pub(super) fn bytes(asked: LookSet) -> Looks {
        match asked.contains_word_unicode() {
            true => Looks::Read(asked),
            false => Looks::translated(asked, None),
        }
    }

    /// Looks that are read one by one.
    pub(super) fn read_count(&self) -> usize {
        match self {
            Looks::Read(asked) => asked.len(),
            Looks::None | Looks::Table { .. } => 0,
        }
    }

    /// Those that hold before the byte at `at`, among those that were asked for.
    pub(super) fn at(&self, field: &[u8], at: usize) -> LookBits {
        match self {
            Looks::None => 0,
            Looks::Table { before, behind, holds } => {
                let kind = |kinds: &[u8; 256], at: usize| {
                    field.get(at).map_or(EDGE, |byte| kinds[usize::from(*byte)])
                };
                let before = at.checked_sub(1).map_or(EDGE, |at| kind(before, at));
                holds[usize::from(before)][usize::from(kind(behind, at))]
            }
            Looks::Read(asked) => read(&LookMatcher::new(), *asked, field, at),
        }
    }
}

fn read(matcher: &LookMatcher, asked: LookSet, field: &[u8], at: usize) -> LookBits {
    let holding = asked.iter().filter(|look| matcher.matches(*look, field, at));
    holding.fold(0, |bits, look| bits | bits_of(look))
}

/// One look.
pub(super) fn bits_of(look: Look) -> LookBits {
    LookSet::singleton(look).bits
}
