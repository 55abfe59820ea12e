//! Patterns that are tried one by one, and which are cheaper so.

use memchr::memmem::Finder;

use super::shape::Plain;

/// Nanoseconds for each byte that looking for a literal may take.
pub(super) const SEARCH_NS: usize = 2;

/// A literal, ready to be looked for.
#[derive(Debug)]
pub(super) enum Literal {
    Starts(Box<[u8]>),
    Ends(Box<[u8]>),
    Equals(Box<[u8]>),
    Contains(Box<Finder<'static>>),
}

impl Literal {
    pub(super) fn new(plain: Plain) -> Literal {
        match plain {
            Plain::Starts(text) => Literal::Starts(text),
            Plain::Ends(text) => Literal::Ends(text),
            Plain::Equals(text) => Literal::Equals(text),
            Plain::Contains(text) => Literal::Contains(Box::new(Finder::new(&text).into_owned())),
        }
    }

    pub(super) fn is_match(&self, field: &[u8]) -> bool {
        match self {
            Literal::Starts(text) => field.starts_with(text),
            Literal::Ends(text) => field.ends_with(text),
            Literal::Equals(text) => field == &text[..],
            Literal::Contains(finder) => finder.find(field).is_some(),
        }
    }
}
