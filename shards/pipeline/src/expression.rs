//! JMESPath expressions: does a field, read as JSON, match, and what is its `value`?
//!
//! A plain path (`a.b[0]."c d"`) only asks the field's [`Document`] where its value lies. Every
//! other expression is evaluated by the `jmespath` crate over a value that is built at most once
//! per message. That crate recurses on what it parses: what it gets is bounded before.

use jmespath::ast::Ast;
use jmespath::{Context, ErrorReason, RuntimeError, Variable};

use crate::caret;
use crate::json::{self, Document, NotJson, PathIndex, PathSet, PathSetBuilder, Step};

/// Bytes of an expression.
pub const EXPRESSION_BYTES_MAX: usize = 4096;

/// Brackets, functions, projections and prefixes in each other.
pub const NESTING_MAX: usize = 64;

/// Characters that are operators: what chains (`a.b.c`) are as deep as, once parsed.
const OPERATORS_MAX: usize = 256;

/// The longest step of a slice: an index that it is added to does not overflow.
const SLICE_STEP_MAX: u32 = 1 << 30;

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Expression(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Path(PathIndex),
    General { text: String, ast: Box<Ast> },
}

/// What an expression finds in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The field is not JSON: no match.
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
            None => Kind::General { text: text.to_owned(), ast: Box::new(ast) },
        }))
    }

    /// True if it is read without building a value.
    pub fn is_path(&self) -> bool {
        matches!(self.0, Kind::Path(_))
    }

    /// Evaluates it on a field. `document` is this field's, `value` is emptied first.
    ///
    /// Cost: of a path, one look per step once the field is read; else that of the `jmespath` crate.
    pub fn evaluate(
        &self,
        paths: &PathSet,
        document: &mut Document,
        field: &[u8],
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
            Kind::General { text, ast } => {
                let tree = match document.tree(field) {
                    Ok(tree) => tree,
                    Err(why) => return Answer::NotJson(why),
                };
                let mut context = Context::new(text, &jmespath::DEFAULT_RUNTIME);
                match jmespath::interpret(tree, ast, &mut context).as_deref() {
                    Ok(Variable::Null) | Err(_) => Answer::Null,
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

fn complaint(what: &str, text: &str, offset: usize) -> String {
    format!("{what}{}", caret::under(text, offset))
}

/// Bounds what the parser may recurse on: a loop over bytes that knows quotes.
fn check_bounds(text: &str) -> Result<(), String> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(format!(
            "the expression has {} bytes, more than {EXPRESSION_BYTES_MAX}; make it shorter",
            text.len()
        ));
    }
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut operators) = (0, 0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' | b'`' => at = quoted_end(bytes, at),
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        operators += usize::from(b".|&!*<>=([{".contains(&byte));
        if depth > NESTING_MAX {
            return Err(too_deep(text, at));
        }
        if operators > OPERATORS_MAX {
            let what = format!("more than {OPERATORS_MAX} operators; make it simpler");
            return Err(complaint(&what, text, at));
        }
        at += 1;
    }
    Ok(())
}

/// The closing quote of what is opened at `at`.
fn quoted_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while bytes.get(at).is_some_and(|byte| *byte != bytes[start]) {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at
}

fn too_deep(text: &str, offset: usize) -> String {
    complaint(&format!("nested deeper than {NESTING_MAX}"), text, offset)
}

/// Checks what the parser does not: nesting without brackets, functions, steps of slices.
fn check_tree(text: &str, ast: &Ast) -> Result<(), String> {
    let mut open = vec![(ast, 0)];
    while let Some((ast, depth)) = open.pop() {
        match ast {
            Ast::Function { name, args, offset } => {
                check_function(text, name, args.len(), *offset)?;
            }
            Ast::Slice { step: 0, offset, .. } => {
                return Err(complaint("a slice's step is not 0", text, *offset));
            }
            Ast::Slice { step, offset, .. } if step.unsigned_abs() > SLICE_STEP_MAX => {
                let what = format!("a slice's step is at most {SLICE_STEP_MAX}");
                return Err(complaint(&what, text, *offset));
            }
            Ast::Not { offset, .. }
            | Ast::Expref { offset, .. }
            | Ast::Projection { offset, .. }
                if depth > NESTING_MAX =>
            {
                return Err(too_deep(text, *offset));
            }
            _ => {}
        }
        push_children(ast, depth, &mut open);
    }
    Ok(())
}

/// What an expression is made of; what chains it is as deep as the whole, what nests one deeper.
fn push_children<'a>(ast: &'a Ast, depth: usize, open: &mut Vec<(&'a Ast, usize)>) {
    match ast {
        Ast::Field { .. }
        | Ast::Identity { .. }
        | Ast::Index { .. }
        | Ast::Literal { .. }
        | Ast::Slice { .. } => {}
        Ast::Comparison { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. }
        | Ast::Or { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. }
        | Ast::Condition { predicate: lhs, then: rhs, .. } => {
            open.extend([(&**lhs, depth), (&**rhs, depth)]);
        }
        Ast::Projection { lhs, rhs, .. } => open.extend([(&**lhs, depth), (&**rhs, depth + 1)]),
        Ast::Flatten { node, .. } | Ast::ObjectValues { node, .. } => open.push((node, depth)),
        Ast::Expref { ast: node, .. } | Ast::Not { node, .. } => open.push((node, depth + 1)),
        Ast::Function { args: nodes, .. } | Ast::MultiList { elements: nodes, .. } => {
            open.extend(nodes.iter().map(|node| (node, depth + 1)));
        }
        Ast::MultiHash { elements, .. } => {
            open.extend(elements.iter().map(|pair| (&pair.value, depth + 1)));
        }
    }
}

/// The function is known, and takes so many arguments: else it could never give a result.
fn check_function(text: &str, name: &str, count: usize, offset: usize) -> Result<(), String> {
    let start = offset.saturating_sub(name.len());
    let runtime = &jmespath::DEFAULT_RUNTIME;
    let Some(function) = runtime.get_function(name) else {
        return Err(complaint(&format!("there is no function {name}()"), text, start));
    };
    // Its signature is its own secret, but it looks at the count first.
    let nulls = vec![jmespath::Rcvar::new(Variable::Null); count];
    let complained = function.evaluate(&nulls, &mut Context::new(text, runtime)).err();
    match complained.map(|error| error.reason) {
        Some(ErrorReason::Runtime(
            RuntimeError::TooManyArguments { expected, .. }
            | RuntimeError::NotEnoughArguments { expected, .. },
        )) => {
            let what = format!("{name}() takes {expected} arguments, not {count}");
            Err(complaint(&what, text, start))
        }
        _ => Ok(()),
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
