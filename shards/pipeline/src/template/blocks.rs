//! Templates that are more than plain variables: read, checked, and rendered by handlebars.
//!
//! Allowed is what decides: `if`, `unless`, `else`, comparisons and `and`, `or`, `not`, `len`. What
//! loops, looks up by a name from data, or takes in other templates is refused when the template is
//! compiled; so is every word that names no variable. In the checked template each variable is
//! called by its number, and the data that handlebars gets holds these numbers and nothing else.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use handlebars::template::{HelperTemplate, Parameter, Template as Parsed, TemplateElement};
use handlebars::{
    Context, Handlebars, Output, Path, PathSeg, RenderContext, Renderable, TemplateErrorReason,
    no_escape,
};
use serde_json::{Map, Value};

use super::tags::{Mistake, Tags};
use super::variable::Variable;
use super::{Body, Pieces, Scope, Variables};
use crate::caret;

/// The helpers that may be called, and with how many words.
const HELPERS: [(&str, usize, usize); 12] = [
    ("if", 1, 1),
    ("unless", 1, 1),
    ("eq", 2, 2),
    ("ne", 2, 2),
    ("gt", 2, 2),
    ("gte", 2, 2),
    ("lt", 2, 2),
    ("lte", 2, 2),
    ("and", 1, usize::MAX),
    ("or", 1, usize::MAX),
    ("not", 1, 1),
    ("len", 1, 1),
];

/// A template with blocks or helpers, checked.
pub(super) struct Blocks {
    parsed: Parsed,
    handlebars: Handlebars<'static>,
    /// What it may insert or decide by; their places are their names in `parsed`.
    pub(super) variables: Vec<Variable>,
    /// The text between its tags, in all branches.
    pub(super) literals: Vec<String>,
}

/// Reads and checks a template.
///
/// Errors: one sentence; where a place is meant, two lines follow that show it.
pub(super) fn compile(typed: &str, scope: &Scope<'_>) -> Result<Body, String> {
    // A name that is quoted may hold what would break the line.
    let explain =
        |(why, offset): Mistake| why.replace(char::is_control, " ") + &caret::under(typed, offset);
    let tags = Tags::read(typed).map_err(explain)?;
    let mut parsed = Parsed::compile(&tags.text).map_err(|error| {
        let why = match error.reason() {
            TemplateErrorReason::MismatchingClosedHelper(opened, closed) => {
                format!("the block {opened} is closed as {closed}")
            }
            _ => "what stands here is no template of handlebars".to_owned(),
        };
        let offset = error.pos().map_or(0, |(line, column)| tags.offset(line, column));
        explain((why, offset))
    })?;
    let mut check = Check { tags: &tags, scope, variables: Vec::new(), literals: Vec::new() };
    check.elements(&mut parsed.elements).map_err(explain)?;
    let Check { variables, literals, .. } = check;
    if let Some(pieces) = pieces(&parsed.elements, &variables) {
        return Ok(Body::Pieces(pieces));
    }
    let mut handlebars = Handlebars::new();
    handlebars.register_escape_fn(no_escape);
    for name in ["each", "with", "lookup", "raw", "log"] {
        handlebars.unregister_helper(name);
    }
    Ok(Body::Blocks(Arc::new(Blocks { parsed, handlebars, variables, literals })))
}

/// The pieces, if there are only text and variables.
fn pieces(elements: &[TemplateElement], variables: &[Variable]) -> Option<Pieces> {
    let mut pieces = Pieces::default();
    for element in elements {
        match element {
            TemplateElement::RawString(text) => pieces.literal(text),
            TemplateElement::Comment(_) => {}
            TemplateElement::Expression(tag) | TemplateElement::HtmlExpression(tag) => {
                let Parameter::Path(path) = &tag.name else { return None };
                pieces.variable(variables.get(number(path)?)?.clone());
            }
            _ => return None,
        }
    }
    Some(pieces)
}

/// The path under which a variable lies in the data; no helper has such a name.
fn numbered(number: usize) -> Path {
    Path::Relative((vec![PathSeg::Named(number.to_string())], format!("[{number}]")))
}

fn number(path: &Path) -> Option<usize> {
    match path {
        Path::Relative((segments, _)) => match segments.as_slice() {
            [PathSeg::Named(number)] => number.parse().ok(),
            _ => None,
        },
        Path::Local(_) => None,
    }
}

/// Walks a template as handlebars has read it.
struct Check<'c> {
    tags: &'c Tags<'c>,
    scope: &'c Scope<'c>,
    variables: Vec<Variable>,
    literals: Vec<String>,
}

/// What is still to be walked.
enum Left<'e> {
    Element(&'e mut TemplateElement),
    Parameter(&'e mut Parameter),
}

impl Check<'_> {
    /// Checks all elements, and what is in them; variables are then called by their numbers.
    fn elements(&mut self, elements: &mut [TemplateElement]) -> Result<(), Mistake> {
        let mut left: Vec<Left<'_>> = elements.iter_mut().rev().map(Left::Element).collect();
        while let Some(next) = left.pop() {
            match next {
                Left::Element(TemplateElement::RawString(text)) => self.literals.push(text.clone()),
                Left::Element(TemplateElement::Comment(_)) => {}
                Left::Element(
                    TemplateElement::Expression(tag) | TemplateElement::HtmlExpression(tag),
                ) => {
                    let is_name = tag.params.is_empty() && tag.hash.is_empty();
                    match &mut tag.name {
                        Parameter::Path(_) if is_name => left.push(Left::Parameter(&mut tag.name)),
                        _ => self.call(tag, &mut left)?,
                    }
                }
                Left::Element(TemplateElement::HelperBlock(tag)) => self.call(tag, &mut left)?,
                Left::Element(_) => {
                    let why = "partials and decorators are not allowed in templates";
                    return Err((why.to_owned(), 0));
                }
                Left::Parameter(Parameter::Path(path)) => *path = self.path(path)?,
                Left::Parameter(Parameter::Literal(literal)) => {
                    if literal.is_array() || literal.is_object() {
                        return Err(("lists are not allowed in templates".to_owned(), 0));
                    }
                }
                Left::Parameter(Parameter::Subexpression(inner)) => match &mut *inner.element {
                    TemplateElement::Expression(tag) => self.call(tag, &mut left)?,
                    _ => return Err(("parentheses hold a helper".to_owned(), 0)),
                },
                Left::Parameter(_) => return Err(("a bare name is not allowed".to_owned(), 0)),
            }
        }
        Ok(())
    }

    /// Checks how a helper is called, and leaves what it is called with to be walked.
    fn call<'e>(
        &self,
        tag: &'e mut HelperTemplate,
        left: &mut Vec<Left<'e>>,
    ) -> Result<(), Mistake> {
        let name = tag.name.as_name().unwrap_or("(");
        let offset = self.tags.find(name);
        let helper = HELPERS.iter().find(|(known, ..)| *known == name);
        let Some((_, words_min, words_max)) = helper else {
            return Err((unknown_helper(name), offset));
        };
        let words = tag.params.len();
        let why = if !tag.hash.is_empty() {
            Some("takes no options (name=value)".to_owned())
        } else if tag.block_param.is_some() {
            Some("gives no names (as |name|)".to_owned())
        } else if words < *words_min || words > *words_max {
            let more = if *words_max > 2 { " or more" } else { "" };
            Some(format!("is called with {words_min}{more}, not with {words}"))
        } else if tag.block && name == "len" {
            Some("is no block".to_owned())
        } else if !tag.block && matches!(name, "if" | "unless") {
            Some(format!("is a block; write {{{{#{name} ...}}}} ... {{{{/{name}}}}}"))
        } else {
            None
        };
        if let Some(why) = why {
            return Err((format!("the helper {name} {why}"), offset));
        }
        let branches = [&mut tag.inverse, &mut tag.template].into_iter().flatten();
        left.extend(
            branches.flat_map(|branch| branch.elements.iter_mut().rev()).map(Left::Element),
        );
        left.extend(tag.params.iter_mut().rev().map(Left::Parameter));
        Ok(())
    }

    /// What a path names, by its number.
    fn path(&mut self, path: &Path) -> Result<Path, Mistake> {
        let (Path::Relative((_, raw)) | Path::Local((_, _, raw))) = path;
        let unknown = || (Variable::unknown(raw, self.scope), self.tags.find(raw));
        let Path::Relative((segments, _)) = path else { return Err(unknown()) };
        let named = segments.iter().filter_map(|segment| match segment {
            PathSeg::Named(name) => Some(name.as_str()),
            // `this`, `@root` and `..` all mean the message here.
            _ => None,
        });
        let name = named.collect::<Vec<_>>().join(".");
        let variable = Variable::find(&name, self.scope).ok_or_else(unknown)?;
        let known = self.variables.iter().position(|other| *other == variable);
        let number = known.unwrap_or_else(|| {
            self.variables.push(variable);
            self.variables.len() - 1
        });
        Ok(numbered(number))
    }
}

fn unknown_helper(name: &str) -> String {
    let why = match name {
        "each" => "loops over data, which templates may not do",
        "(" => "must have a name",
        _ => "is unknown",
    };
    let known: Vec<&str> = HELPERS.iter().map(|(name, ..)| *name).collect();
    format!("the helper {name} {why}; known here: {}", known.join(" "))
}

impl Blocks {
    /// Renders it behind what is in `out`, up to `bytes_max` bytes in all.
    ///
    /// Cost:   some microseconds, and allocations: the variables become strings, and the tree is
    ///         walked by handlebars.
    /// Errors: `false` if it would be longer.
    pub(super) fn render(
        &self,
        variables: &Variables<'_>,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let mut data = Map::new();
        for (number, variable) in self.variables.iter().enumerate() {
            if let Some(value) = variable.value(variables) {
                let text = String::from_utf8_lossy(value).into_owned();
                data.insert(number.to_string(), Value::String(text));
            }
        }
        let context = Context::from(Value::Object(data));
        let mut bounded = Bounded { out, bytes_max };
        let mut render_context = RenderContext::new(None);
        self.parsed.render(&self.handlebars, &context, &mut render_context, &mut bounded).is_ok()
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks").field("variables", &self.variables).finish_non_exhaustive()
    }
}

/// Takes no more than fits.
struct Bounded<'o> {
    out: &'o mut Vec<u8>,
    bytes_max: usize,
}

impl Output for Bounded<'_> {
    fn write(&mut self, text: &str) -> Result<(), io::Error> {
        if text.len() > self.bytes_max.saturating_sub(self.out.len()) {
            return Err(ErrorKind::StorageFull.into());
        }
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
