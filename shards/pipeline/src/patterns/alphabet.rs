//! Characters that a set's patterns tell apart, one byte each: what makes Unicode small.
//!
//! ```text
//!  field:       h  i  space  C3 A9   E2 80 9C   FF
//!  translated:  h  i  space  81      80         FF
//! ```
//!
//! ASCII stays as it is. Of all other characters, those that are in the same classes of all patterns
//! get the same byte, and what is no UTF-8 gets `INVALID`, which is in no class: a pattern says the
//! same of the field as its translation says of the translated field. There are few such bytes, and
//! `\w`, 25 KiB when compiled to UTF-8, takes a few of them.

use std::collections::{BTreeSet, HashMap};

use regex_syntax::hir::{
    Capture, Class, ClassBytes, ClassBytesRange, ClassUnicode, Hir, HirKind, Repetition,
};

use super::shape;

/// The first byte that stands for characters.
const LETTER_MIN: u8 = 0x80;

/// Stands for all characters for which no byte is left.
const LETTER_SHARED: u8 = 0xfc;

/// Stand for a byte that only a character's end may be, behind a character that is whole: the regex
/// crate sees that character when it looks back from there. It is a word's, or not.
pub(super) const STRAY_WORD: u8 = 0xfd;
pub(super) const STRAY_OTHER: u8 = 0xfe;

/// Stands for any other byte that is no UTF-8.
pub(super) const INVALID: u8 = 0xff;

/// Characters up to here are looked up at once, others searched for.
const DIRECT_CHARS: usize = 0x800;

/// Ranges of characters beyond ASCII; a class's identity.
type Ranges = Vec<(u32, u32)>;

/// Which byte stands for which characters.
#[derive(Debug)]
pub(super) struct Alphabet {
    /// Where each range of characters starts, and their byte.
    starts: Vec<u32>,
    letters: Vec<u8>,
    /// The bytes of the first characters.
    direct: Vec<u8>,
    /// The bytes of each class, and whether they stand for this class alone.
    classes: HashMap<Ranges, (Vec<u8>, bool)>,
    /// Bytes that stand for a word's characters, if a pattern asks for words.
    words: Vec<u8>,
}

impl Alphabet {
    /// The alphabet of some patterns.
    pub(super) fn new<'h>(hirs: impl Iterator<Item = &'h Hir>) -> Alphabet {
        let mut classes = BTreeSet::new();
        for hir in hirs {
            collect(hir, &mut classes);
            if shape::asks_for_words(hir) {
                classes.insert(word_class());
            }
        }
        let classes: Vec<Ranges> = classes.into_iter().collect();
        let edges = classes.iter().flatten().flat_map(|(start, end)| [*start, end + 1]);
        let edges: BTreeSet<u32> = edges.chain([u32::from(LETTER_MIN)]).collect();
        let starts: Vec<u32> = edges.into_iter().collect();
        // Which classes each range is in.
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); starts.len()];
        for (class, ranges) in classes.iter().enumerate() {
            for (start, end) in ranges {
                let from = starts.partition_point(|edge| edge < start);
                let to = starts.partition_point(|edge| edge <= end);
                members[from..to].iter_mut().for_each(|member| member.push(class));
            }
        }
        let mut known: HashMap<&[usize], u8> = HashMap::new();
        let letters: Vec<u8> = members
            .iter()
            .map(|member| {
                let count = u8::try_from(known.len()).unwrap_or(u8::MAX);
                let next = LETTER_MIN.saturating_add(count).min(LETTER_SHARED);
                *known.entry(member).or_insert(next)
            })
            .collect();
        let is_shared = known.values().filter(|letter| **letter == LETTER_SHARED).count() > 1;
        let mut class_letters = vec![BTreeSet::new(); classes.len()];
        for (member, letter) in members.iter().zip(&letters) {
            for class in member {
                class_letters[*class].insert(*letter);
            }
        }
        let classes = classes.into_iter().zip(class_letters).map(|(ranges, letters)| {
            let is_exact = !(is_shared && letters.contains(&LETTER_SHARED));
            (ranges, (letters.into_iter().collect(), is_exact))
        });
        let classes = classes.collect();
        let mut alphabet =
            Alphabet { starts, letters, direct: Vec::new(), classes, words: Vec::new() };
        if let Some((letters, _)) = alphabet.classes.get(&word_class()) {
            alphabet.words = letters.clone();
        }
        let direct = (0..DIRECT_CHARS as u32).map(|c| alphabet.searched(c.max(0x80)));
        alphabet.direct = direct.collect();
        alphabet
    }

    /// Translates a field into `buffer`.
    ///
    /// Cost:   one pass; a search among the ranges for each character beyond U+07FF.
    pub(super) fn translate(&self, field: &[u8], buffer: &mut Vec<u8>) {
        buffer.clear();
        let mut read = 0;
        for chunk in field.utf8_chunks() {
            buffer.extend(chunk.valid().chars().map(|c| self.letter_of(c)));
            read += chunk.valid().len();
            if self.words.is_empty() {
                buffer.extend(chunk.invalid().iter().map(|_| INVALID));
                read += chunk.invalid().len();
            } else {
                for _ in chunk.invalid() {
                    buffer.push(self.invalid(&field[..=read]));
                    read += 1;
                }
            }
        }
    }

    /// The byte for the last byte of a text, which is no UTF-8.
    fn invalid(&self, text: &[u8]) -> u8 {
        let is_start = |byte: &u8| *byte & 0b1100_0000 != 0b1000_0000;
        let near = &text[text.len().saturating_sub(4)..];
        let start = near.iter().rposition(is_start).unwrap_or(near.len());
        let whole =
            near[start..].utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
        match whole.map(|c| self.letter_of(c)) {
            None => INVALID,
            Some(b'_') => STRAY_WORD,
            Some(letter) if letter.is_ascii_alphanumeric() || self.is_word(letter) => STRAY_WORD,
            Some(_) => STRAY_OTHER,
        }
    }

    fn letter_of(&self, c: char) -> u8 {
        match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() => byte,
            _ => self.letter(u32::from(c)),
        }
    }

    fn letter(&self, c: u32) -> u8 {
        self.direct.get(c as usize).copied().unwrap_or_else(|| self.searched(c))
    }

    fn searched(&self, c: u32) -> u8 {
        let index = self.starts.partition_point(|start| *start <= c);
        index.checked_sub(1).map_or(INVALID, |index| self.letters[index])
    }

    /// True for a byte that stands for characters of words.
    pub(super) fn is_word(&self, byte: u8) -> bool {
        self.words.contains(&byte)
    }

    /// Translates a pattern; `None` if it reads bytes where others read characters, or characters
    /// for which no byte was left.
    pub(super) fn pattern(&self, hir: &Hir) -> Option<Hir> {
        let is_empty_possible = hir.properties().minimum_len() == Some(0);
        if is_empty_possible && hir.properties().look_set().contains_word_ascii() {
            // It may match between a character's bytes, which are one byte here.
            return None;
        }
        let mut is_exact = !(shape::asks_for_words(hir) && self.is_word(LETTER_SHARED));
        let hir = self.translated(hir, &mut is_exact)?;
        is_exact.then_some(hir)
    }

    /// Appends where each byte of a translated field stands in the field, and the field's length.
    pub(super) fn offsets(field: &[u8], offsets: &mut Vec<usize>) {
        offsets.clear();
        let mut start = 0;
        for chunk in field.utf8_chunks() {
            offsets.extend(chunk.valid().char_indices().map(|(offset, _)| start + offset));
            start += chunk.valid().len();
            offsets.extend(start..start + chunk.invalid().len());
            start += chunk.invalid().len();
        }
        offsets.push(start);
    }

    fn translated(&self, hir: &Hir, is_exact: &mut bool) -> Option<Hir> {
        Some(match hir.kind() {
            HirKind::Empty => Hir::empty(),
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).ok()?;
                let letters = text.chars().map(|c| match u8::try_from(c) {
                    Ok(byte) if byte.is_ascii() => byte,
                    _ => {
                        let letter = self.letter(u32::from(c));
                        *is_exact &= letter != LETTER_SHARED;
                        letter
                    }
                });
                Hir::literal(letters.collect::<Vec<u8>>())
            }
            HirKind::Class(Class::Bytes(class)) if !class.is_ascii() => return None,
            HirKind::Class(class) => Hir::class(Class::Bytes(self.class(class, is_exact))),
            HirKind::Look(look) => Hir::look(*look),
            HirKind::Repetition(repetition) => {
                let sub = Box::new(self.translated(&repetition.sub, is_exact)?);
                Hir::repetition(Repetition { sub, ..repetition.clone() })
            }
            HirKind::Capture(capture) => {
                let sub = Box::new(self.translated(&capture.sub, is_exact)?);
                Hir::capture(Capture { sub, ..capture.clone() })
            }
            HirKind::Concat(parts) => Hir::concat(self.all(parts, is_exact)?),
            HirKind::Alternation(parts) => Hir::alternation(self.all(parts, is_exact)?),
        })
    }

    fn all(&self, parts: &[Hir], is_exact: &mut bool) -> Option<Vec<Hir>> {
        parts.iter().map(|part| self.translated(part, is_exact)).collect()
    }

    fn class(&self, class: &Class, is_exact: &mut bool) -> ClassBytes {
        let mut bytes = shape::ascii_class(class);
        if let Class::Unicode(class) = class
            && let Some((letters, is_alone)) = self.classes.get(&beyond_ascii(class))
        {
            *is_exact &= is_alone;
            letters.iter().for_each(|letter| bytes.push(ClassBytesRange::new(*letter, *letter)));
        }
        bytes
    }
}

/// Collects the classes that tell characters apart; a literal's characters are one each.
fn collect(hir: &Hir, classes: &mut BTreeSet<Ranges>) {
    match hir.kind() {
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).unwrap_or_default();
            let chars = text.chars().filter(|c| !c.is_ascii()).map(u32::from);
            classes.extend(chars.map(|c| vec![(c, c)]));
        }
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = beyond_ascii(class);
            if !ranges.is_empty() {
                classes.insert(ranges);
            }
        }
        _ => hir.kind().subs().iter().for_each(|sub| collect(sub, classes)),
    }
}

/// The characters of words, as `\w` has them.
fn word_class() -> Ranges {
    let word = regex_syntax::parse(r"\w").map(Hir::into_kind);
    match word {
        Ok(HirKind::Class(Class::Unicode(class))) => beyond_ascii(&class),
        _ => unreachable!("it is a class"),
    }
}

/// A class's characters that are not ASCII.
fn beyond_ascii(class: &ClassUnicode) -> Ranges {
    let ranges = class.iter().filter(|range| !range.end().is_ascii());
    ranges.map(|range| (u32::from(range.start()).max(0x80), u32::from(range.end()))).collect()
}
