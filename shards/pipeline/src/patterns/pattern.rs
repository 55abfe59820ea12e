//! One pattern as it was typed, compiled; every mistake in it is found here.

use std::fmt;

use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::primitives::PatternID;
use regex_syntax::ast::{self, ErrorKind};
use regex_syntax::hir::Hir;
use regex_syntax::{Error, ParserBuilder};

use super::shape;
use crate::caret;

/// Bytes of a pattern as it is typed.
pub const PATTERN_TEXT_BYTES_MAX: usize = 4096;

/// Nesting of a pattern: what its parser, and all that reads its structure, recurse on.
pub const PATTERN_NEST_MAX: u32 = 64;

/// Bytes of one compiled pattern.
pub const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// One pattern, compiled: found anywhere in a field's bytes, in the syntax of the regex crate.
pub struct Pattern {
    pub(super) hir: Hir,
    groups: Vec<Option<String>>,
    /// Where its groups match will be asked for.
    pub(super) wants_groups: bool,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// Errors: one sentence; behind it two lines that show the place, if there is one.
    pub fn compile(text: &str) -> Result<Pattern, String> {
        if text.len() > PATTERN_TEXT_BYTES_MAX {
            return Err(format!(
                "the pattern is {} bytes long; at most {PATTERN_TEXT_BYTES_MAX} are allowed",
                text.len()
            ));
        }
        let mut parser = ParserBuilder::new();
        let parser = parser.utf8(false).nest_limit(PATTERN_NEST_MAX);
        let hir = parser.build().parse(text).map_err(|error| explain(text, &error))?;
        let config = thompson::Config::new()
            .utf8(false)
            .which_captures(WhichCaptures::All)
            .nfa_size_limit(Some(PATTERN_BYTES_MAX));
        let nfa = thompson::Compiler::new().configure(config).build_from_hir(&hir);
        let nfa = nfa.map_err(|_| {
            format!(
                "the pattern compiles to more than {} KiB; make it simpler, or bound its \
                 repetitions lower",
                PATTERN_BYTES_MAX / 1024
            )
        })?;
        let names = nfa.group_info().pattern_names(PatternID::ZERO);
        let groups = names.map(|name| name.map(str::to_owned)).collect();
        Ok(Pattern { hir, groups, wants_groups: false })
    }

    /// The pattern, of which it will be asked where its groups match.
    pub fn with_groups(self) -> Pattern {
        Pattern { wants_groups: true, ..self }
    }

    /// True if it matches whatever the field holds: `.*`, say.
    pub fn is_always(&self) -> bool {
        shape::is_always(&self.hir)
    }

    /// The names of its groups, by number; group 0 is the whole match.
    pub fn groups(&self) -> &[Option<String>] {
        &self.groups
    }
}

/// Without what was compiled, which is long.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pattern").field("groups", &self.groups).finish_non_exhaustive()
    }
}

/// The parser's complaint in one line, and the place under it.
fn explain(text: &str, error: &Error) -> String {
    let (what, offset) = match error {
        Error::Parse(error) => (complaint(error), error.span().start.offset),
        Error::Translate(error) => (error.kind().to_string(), error.span().start.offset),
        _ => return error.to_string().replace('\n', " "),
    };
    format!("{what}{}", caret::under(text, offset))
}

fn complaint(error: &ast::Error) -> String {
    match error.kind() {
        ErrorKind::NestLimitExceeded(_) => {
            format!("the pattern is nested deeper than {PATTERN_NEST_MAX} levels")
        }
        ErrorKind::UnsupportedLookAround => {
            "look-around is not supported: it cannot be searched in linear time".into()
        }
        ErrorKind::UnsupportedBackreference => {
            "backreferences are not supported: they cannot be searched in linear time".into()
        }
        kind => kind.to_string(),
    }
}
