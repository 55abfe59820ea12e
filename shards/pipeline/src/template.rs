//! Templates: `logs-{{appname}}` compiled once, rendered into bytes for each message.
//!
//! The language is handlebars. Plain variables (`{{name}}`, `{{{name}}}`, `{{&name}}`) are compiled to
//! pieces of our own, and cost a copy. What decides (`{{#if procid}}[{{procid}}]{{/if}}`) is left to
//! the handlebars crate; what loops or takes in other templates is refused.
//!
//! What is inserted is inserted as it is: never escaped, and never read as a template. A variable
//! that the message does not have renders as nothing. Named groups win over the built-in names.

mod blocks;
mod tags;
mod variable;

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::credentials::Credentials;
use crate::message::Message;
use crate::rules::Field;
use crate::structured_data::{SdNames, SdValues};
use blocks::Blocks;
use variable::Variable;

/// The variable `version`.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Bytes of a template as it is typed.
pub const TEMPLATE_BYTES_MAX: usize = 4096;

/// What handlebars skips between the braces and the name.
const WHITESPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// What a template may name, beside what every message has.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The names of the groups in the rule's pattern, by number.
    pub groups: &'a [Option<String>],
    /// The rule has a jmespath: there is a `value`.
    pub has_value: bool,
}

/// What surrounds a message: all that a template may name beside its fields.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The address that it came from.
    pub peer: &'a [u8],
    /// The name of the listener that took it.
    pub listener: &'a [u8],
    /// When it was read.
    pub now: Timestamp,
    /// Where its listener's senders have their clocks, if they do not say it (`timezone`).
    pub zone: &'a TimeZone,
    /// The name in its sender's certificate that was verified; `None`: there is none.
    pub client_name: Option<&'a [u8]>,
    /// The process on this machine that sent it; `None`: it came from the network, or no rule asks.
    pub credentials: Option<&'a Credentials>,
}

/// The winner's captures: where each group matched, in `field`.
#[derive(Debug, Clone, Copy)]
pub struct Groups<'a> {
    /// The field that was searched.
    pub field: &'a [u8],
    /// Start and end of each group, by its number.
    pub spans: &'a [Option<(usize, usize)>],
}

impl<'a> Groups<'a> {
    /// What a group matched; `None` if it took no part in the match.
    fn group(&self, number: usize) -> Option<&'a [u8]> {
        let (start, end) = (*self.spans.get(number)?)?;
        self.field.get(start..end)
    }
}

/// The wanted parameters of the message's structured data, once they have been read.
#[derive(Debug, Clone, Copy)]
pub struct Sd<'a> {
    /// All that any template names.
    pub names: &'a SdNames,
    /// Those that the message has.
    pub values: &'a SdValues,
}

/// All that a template may insert for one message.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'a> {
    /// Its fields.
    pub message: &'a Message<'a>,
    /// What surrounds it.
    pub context: &'a Context<'a>,
    /// Its structured data, where a template names a parameter of it.
    pub sd: Sd<'a>,
    /// The context's `now` as text: see [`TimeText`](crate::time::TimeText).
    pub iso8601: &'a [u8],
    /// The winner's captures, where a template has groups.
    pub groups: Option<Groups<'a>>,
    /// What the rule's jmespath found, if it is a string.
    pub value: Option<&'a [u8]>,
}

/// A compiled template.
#[derive(Debug, Clone)]
pub struct Template(Body);

#[derive(Debug, Clone)]
enum Body {
    Pieces(Pieces),
    Blocks(Arc<Blocks>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<[u8]>),
    Variable(Variable),
}

impl Template {
    /// Compiles `text`.
    ///
    /// Errors: one sentence; where a place is meant, two lines follow that show it.
    pub fn compile(text: &str, scope: &Scope<'_>) -> Result<Template, String> {
        if text.len() > TEMPLATE_BYTES_MAX {
            let bytes = text.len();
            return Err(format!("the template has {bytes} bytes; at most {TEMPLATE_BYTES_MAX}"));
        }
        let plain = Pieces::plain(text, scope).map(Body::Pieces);
        plain.map_or_else(|| blocks::compile(text, scope), Ok).map(Template)
    }

    /// The text, where it is plainly the same for every message.
    pub fn as_literal(&self) -> Option<&[u8]> {
        match &self.0 {
            Body::Pieces(Pieces(pieces)) => match pieces.as_slice() {
                [] => Some(b""),
                [Piece::Literal(text)] => Some(text),
                _ => None,
            },
            Body::Blocks(_) => None,
        }
    }

    /// The text before and behind `client_name`, where that is all it is made of.
    pub fn around_client_name(&self) -> Option<(&[u8], &[u8])> {
        use Piece::{Literal, Variable as Inserted};
        let Body::Pieces(Pieces(pieces)) = &self.0 else { return None };
        match pieces.as_slice() {
            [Inserted(Variable::ClientName)] => Some((b"", b"")),
            [Literal(before), Inserted(Variable::ClientName)] => Some((before, b"")),
            [Inserted(Variable::ClientName), Literal(behind)] => Some((b"", behind)),
            [Literal(before), Inserted(Variable::ClientName), Literal(behind)] => {
                Some((before, behind))
            }
            _ => None,
        }
    }

    /// Its literal parts, in all branches.
    pub fn literals(&self) -> impl Iterator<Item = &[u8]> {
        let (pieces, literals) = match &self.0 {
            Body::Pieces(Pieces(pieces)) => (pieces.as_slice(), &[][..]),
            Body::Blocks(blocks) => (&[][..], blocks.literals.as_slice()),
        };
        let pieces = pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(&**text),
            Piece::Variable(_) => None,
        });
        pieces.chain(literals.iter().map(String::as_bytes))
    }

    /// True if it names a group: the winner's captures are needed.
    pub fn has_groups(&self) -> bool {
        self.variables().any(|variable| matches!(variable, Variable::Group(_)))
    }

    /// True if what it renders to depends on the message, or on when and whence it came.
    pub fn has_message_data(&self) -> bool {
        self.variables().any(|variable| *variable != Variable::Version)
    }

    /// True if it names `iso8601`: the time's text is needed.
    pub fn needs_time(&self) -> bool {
        self.variables().any(|variable| *variable == Variable::Iso8601)
    }

    /// The parameters of structured data that it names, by SD-ID and PARAM-NAME.
    pub fn sd_params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables().filter_map(|variable| match variable {
            Variable::Field(Field::SdParam { id, param }) => Some((&**id, &**param)),
            _ => None,
        })
    }

    /// True if it names the sender's process: its credentials are needed.
    pub fn names_credentials(&self) -> bool {
        self.variables().any(Variable::is_credential)
    }

    fn variables(&self) -> impl Iterator<Item = &Variable> {
        let (pieces, variables) = match &self.0 {
            Body::Pieces(Pieces(pieces)) => (pieces.as_slice(), &[][..]),
            Body::Blocks(blocks) => (&[][..], blocks.variables.as_slice()),
        };
        let pieces = pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Variable(variable) => Some(variable),
        });
        pieces.chain(variables)
    }

    /// Renders it behind what is in `out`, up to `bytes_max` bytes in all.
    ///
    /// Where it is more than plain variables, what it inserts is text: bytes that are not UTF-8
    /// become U+FFFD, and a variable that the message does not have is false.
    ///
    /// Cost:   plain variables: a copy of each piece, and no allocation but for `out`. Else some
    ///         microseconds, and allocations: that is the handlebars crate's way.
    /// Errors: `false` if it would be longer; `out` then holds a part.
    pub fn render(&self, variables: &Variables<'_>, bytes_max: usize, out: &mut Vec<u8>) -> bool {
        match &self.0 {
            Body::Pieces(pieces) => pieces.render(variables, bytes_max, out),
            Body::Blocks(blocks) => blocks.render(variables, bytes_max, out),
        }
    }
}

/// Text and variables, in order; neighbouring texts are one.
#[derive(Debug, Clone, Default)]
struct Pieces(Vec<Piece>);

impl Pieces {
    /// Compiles `text`; `None`: there is more in it than text and plain known variables.
    fn plain(text: &str, scope: &Scope<'_>) -> Option<Pieces> {
        let mut pieces = Pieces::default();
        let mut rest = text;
        while let Some(open) = rest.find("{{") {
            let (before, opened) = rest.split_at(open);
            if before.ends_with('\\') {
                return None;
            }
            let tag = tag(opened)?;
            pieces.literal(before);
            pieces.variable(Variable::find(tag.name, scope)?);
            rest = &opened[tag.bytes..];
        }
        pieces.literal(rest);
        Some(pieces)
    }

    fn render(&self, variables: &Variables<'_>, bytes_max: usize, out: &mut Vec<u8>) -> bool {
        self.0.iter().all(|piece| {
            let value = match piece {
                Piece::Literal(text) => text,
                Piece::Variable(variable) => variable.value(variables).unwrap_or_default(),
            };
            let fits = value.len() <= bytes_max.saturating_sub(out.len());
            if fits {
                out.extend_from_slice(value);
            }
            fits
        })
    }

    fn literal(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(Piece::Literal(before)) => *before = [before, text.as_bytes()].concat().into(),
            _ => self.0.push(Piece::Literal(text.as_bytes().into())),
        }
    }

    fn variable(&mut self, variable: Variable) {
        match variable {
            Variable::Version => self.literal(VERSION),
            _ => self.0.push(Piece::Variable(variable)),
        }
    }
}

/// `{{name}}`, `{{{name}}}` or `{{&name}}`.
struct Tag<'a> {
    name: &'a str,
    /// With its braces.
    bytes: usize,
}

/// The tag that `opened` starts with; `None`: it is none of these.
fn tag(opened: &str) -> Option<Tag<'_>> {
    let inside = opened.strip_prefix("{{")?;
    let (inside, closing) = match inside.strip_prefix('{') {
        Some(inside) => (inside, "}}}"),
        None => (inside.strip_prefix('&').unwrap_or(inside), "}}"),
    };
    let end = inside.find(closing)?;
    let bytes = opened.len() - inside.len() + end + closing.len();
    let name = inside[..end].trim_matches(WHITESPACE);
    // `sd.ID.PARAM` could hold braces, and so what is rather another tag.
    (!name.contains(['{', '}'])).then_some(Tag { name, bytes })
}
