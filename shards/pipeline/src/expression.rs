//! JMESPath expressions: does a field, read as JSON, match, and what is its `value`?
//!
//! A plain path (`a.b[0]."c d"`) only asks the field's [`Document`] where its value lies. Every
//! other expression is parsed by the `jmespath` crate, and evaluated as that crate would over a
//! value that is built at most once per message. The crate recurses on what it parses: what it gets
//! is bounded before. What all of them may cost on one message is bounded too, by its length: an
//! expression that would go on for longer does not match.

mod check;
mod functions;
mod interpreter;

use jmespath::Variable;
use jmespath::ast::Ast;

use crate::json::{self, Document, NotJson, PathIndex, PathSet, PathSetBuilder, Step, Steps, Tree};
use check::{check_bounds, check_tree, complaint};
pub(crate) use interpreter::Constants;
use interpreter::{Interpreter, Stopped};

/// Bytes of an expression.
pub const EXPRESSION_BYTES_MAX: usize = 4096;

/// Brackets, functions, projections and prefixes in each other.
pub const NESTING_MAX: usize = 64;

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Expression(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Path(PathIndex),
    General(Box<Ast>),
}

/// What an expression finds in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The field is not JSON, or none that can be asked this: no match.
    NotJson(NotJson),
    /// Nothing, null, or a function that got what it does not take: no match.
    Null,
    /// Something that is no string: a match without a `value`.
    Other,
    /// A string, now in `value`: a match.
    Text,
}

impl Expression {
    /// Compiles `text`; what it wants of the field is added to `paths`.
    ///
    /// Errors: one sentence, and the place.
    pub fn compile(text: &str, paths: &mut PathSetBuilder) -> Result<Expression, String> {
        check_bounds(text)?;
        let ast = jmespath::parse(text).map_err(|error| {
            let reason = error.reason.to_string().replace(['\n', '\r'], " ");
            let reason = reason.strip_prefix("Parse error: ").unwrap_or(&reason);
            complaint(&format!("this is not JMESPath: {reason}"), text, error.offset)
        })?;
        check_tree(text, &ast)?;
        Ok(Expression(match plain_steps(&ast) {
            Some(steps) => Kind::Path(paths.add(&steps)),
            None => Kind::General(Box::new(ast)),
        }))
    }

    /// The path, if it is nothing else: it is read without building a value.
    pub fn path(&self) -> Option<PathIndex> {
        match &self.0 {
            Kind::Path(path) => Some(*path),
            Kind::General(_) => None,
        }
    }

    /// Evaluates it on a field. `document` is this field's, `steps` the message's; `value` is emptied
    /// first.
    ///
    /// Cost: of a path, one look per step once the field is read. Of all others together: `steps`,
    ///       and a third of a microsecond for each of them.
    pub fn evaluate(
        &self,
        paths: &PathSet,
        document: &mut Document,
        field: &[u8],
        steps: &mut Steps,
        value: &mut Vec<u8>,
    ) -> Answer {
        value.clear();
        if let Err(why) = document.read(paths, field) {
            return Answer::NotJson(why);
        }
        match &self.0 {
            Kind::Path(path) => {
                let Some(span) = document.value(paths, *path) else { return Answer::Null };
                let raw = span.of(field);
                match raw.first() {
                    Some(b'n') | None => Answer::Null,
                    Some(b'"') if json::string(raw, value) => Answer::Text,
                    Some(_) => Answer::Other,
                }
            }
            Kind::General(ast) => {
                let Tree { value: tree, constants } = match document.tree(field, steps) {
                    Ok(built) => built,
                    Err(why) => return Answer::NotJson(why),
                };
                steps.begin();
                match (Interpreter { steps, constants }).evaluate(tree, ast).as_deref() {
                    Ok(Variable::Null) | Err(Stopped::Mistyped) => Answer::Null,
                    Err(Stopped::TooCostly) => Answer::NotJson(NotJson::TooCostly),
                    Ok(Variable::String(found)) => {
                        value.extend_from_slice(found.as_bytes());
                        Answer::Text
                    }
                    Ok(_) => Answer::Other,
                }
            }
        }
    }
}

/// The steps of an expression that is nothing but a path.
fn plain_steps(ast: &Ast) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut open = vec![ast];
    while let Some(ast) = open.pop() {
        match ast {
            Ast::Identity { .. } => {}
            Ast::Field { name, .. } => steps.push(Step::Key(name.clone())),
            Ast::Index { idx, .. } => steps.push(Step::Index(usize::try_from(*idx).ok()?)),
            Ast::Subexpr { lhs, rhs, .. } => open.extend([&**rhs, &**lhs]),
            _ => return None,
        }
    }
    Some(steps)
}
