//! Templates of plain variables: `logs-{{appname}}` compiled to pieces, rendered into bytes.
//!
//! What is inserted is inserted as it is: no escaping. A variable that the message does not have
//! renders as nothing. Named groups win over the built-in names.

use jiff::Timestamp;

use crate::message::Message;

/// A compiled template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<[u8]>),
    Variable(Variable),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    Msg,
    Version,
    Iso8601,
    Hostname,
    Appname,
    Procid,
    Msgid,
    Facility,
    Severity,
    Timestamp,
    Raw,
    Peer,
    Listener,
    /// A named group, by its number in the pattern.
    Group(usize),
}

const BUILT_IN: [(&str, Variable); 13] = [
    ("msg", Variable::Msg),
    ("version", Variable::Version),
    ("iso8601", Variable::Iso8601),
    ("hostname", Variable::Hostname),
    ("appname", Variable::Appname),
    ("procid", Variable::Procid),
    ("msgid", Variable::Msgid),
    ("facility", Variable::Facility),
    ("severity", Variable::Severity),
    ("timestamp", Variable::Timestamp),
    ("raw", Variable::Raw),
    ("peer", Variable::Peer),
    ("listener", Variable::Listener),
];

/// What surrounds a message: all that a template may name beside its fields.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The address that it came from.
    pub peer: &'a [u8],
    /// The name of the listener that took it.
    pub listener: &'a [u8],
    /// When it was read.
    pub now: Timestamp,
}

/// The winner's captures: where each group matched, in `field`.
#[derive(Debug, Clone, Copy)]
pub struct Groups<'a> {
    /// The field that was searched.
    pub field: &'a [u8],
    /// Start and end of each group, by its number.
    pub spans: &'a [Option<(usize, usize)>],
}

impl Template {
    /// Compiles `text`. `groups` are the names of the pattern's groups, by number.
    ///
    /// Errors: one sentence: an unknown variable, braces that do not close.
    pub fn compile(text: &str, groups: &[Option<String>]) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find("{{") {
            if open > 0 {
                pieces.push(Piece::Literal(rest.as_bytes()[..open].into()));
            }
            let after = &rest[open + 2..];
            let close = after.find("}}").ok_or_else(|| {
                format!("the braces opened in {text:?} are not closed; write {{{{name}}}}")
            })?;
            pieces.push(Piece::Variable(Self::variable(after[..close].trim(), groups)?));
            rest = &after[close + 2..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.as_bytes().into()));
        }
        Ok(Template(pieces))
    }

    fn variable(name: &str, groups: &[Option<String>]) -> Result<Variable, String> {
        if let Some(number) = groups.iter().position(|group| group.as_deref() == Some(name)) {
            return Ok(Variable::Group(number));
        }
        if let Some((_, variable)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            return Ok(*variable);
        }
        let known: Vec<&str> = groups
            .iter()
            .flatten()
            .map(String::as_str)
            .chain(BUILT_IN.iter().map(|(name, _)| *name))
            .collect();
        Err(format!("the variable {{{{{name}}}}} is unknown; known here: {}", known.join(" ")))
    }

    /// The text, where it names no variable.
    pub fn as_literal(&self) -> Option<&[u8]> {
        match self.0.as_slice() {
            [] => Some(b""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Its literal parts.
    pub fn literals(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(&**text),
            Piece::Variable(_) => None,
        })
    }

    /// True if it names a group: the winner's captures are needed.
    pub fn has_groups(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Variable(Variable::Group(_))))
    }

    /// True if what it renders to depends on more than the program's version.
    pub fn has_message_data(&self) -> bool {
        self.0.iter().any(
            |piece| matches!(piece, Piece::Variable(variable) if *variable != Variable::Version),
        )
    }

    /// Renders it behind what is in `out`, up to `bytes_max` bytes in all.
    ///
    /// Errors: `false` if it would be longer; `out` then holds a part.
    pub fn render(
        &self,
        message: &Message<'_>,
        context: &Context<'_>,
        groups: Option<Groups<'_>>,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        for piece in &self.0 {
            let bytes = match piece {
                Piece::Literal(text) => text,
                Piece::Variable(Variable::Iso8601) => {
                    if out.len() + 32 > bytes_max {
                        return false;
                    }
                    render_time(context.now, out);
                    continue;
                }
                Piece::Variable(variable) => variable.value(message, context, groups),
            };
            if out.len() + bytes.len() > bytes_max {
                return false;
            }
            out.extend_from_slice(bytes);
        }
        true
    }
}

impl Variable {
    fn value<'a>(
        self,
        message: &Message<'a>,
        context: &Context<'a>,
        groups: Option<Groups<'a>>,
    ) -> &'a [u8] {
        match self {
            Variable::Msg => message.msg,
            Variable::Version => env!("CARGO_PKG_VERSION").as_bytes(),
            Variable::Iso8601 => b"",
            Variable::Hostname => message.hostname.unwrap_or_default(),
            Variable::Appname => message.app_name.unwrap_or_default(),
            Variable::Procid => message.procid.unwrap_or_default(),
            Variable::Msgid => message.msgid.unwrap_or_default(),
            Variable::Facility => message.facility().as_bytes(),
            Variable::Severity => message.severity().as_bytes(),
            Variable::Timestamp => message.timestamp.unwrap_or_default(),
            Variable::Raw => message.frame,
            Variable::Peer => context.peer,
            Variable::Listener => context.listener,
            Variable::Group(number) => groups
                .and_then(|groups| {
                    let (start, end) = (*groups.spans.get(number)?)?;
                    groups.field.get(start..end)
                })
                .unwrap_or_default(),
        }
    }
}

/// RFC 3339, in microseconds, as hotdog's `iso8601`.
fn render_time(now: Timestamp, out: &mut Vec<u8>) {
    use std::io::Write as _;
    // Writing to a vector cannot fail.
    let _ = write!(out, "{now:.6}");
}
