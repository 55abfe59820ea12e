//! What is refused before an expression is ever evaluated: what is too long, too deep, or can never
//! give a result.

use jmespath::ast::Ast;
use jmespath::{Context, ErrorReason, RuntimeError, Variable};

use super::functions::TAKES_EXPRESSION;
use super::{EXPRESSION_BYTES_MAX, NESTING_MAX};
use crate::caret;

/// Characters that are operators: what chains (`a.b.c`) are as deep as, once parsed.
const OPERATORS_MAX: usize = 256;

/// The longest step of a slice: an index that it is added to does not overflow.
const SLICE_STEP_MAX: u32 = 1 << 30;

/// A sentence, and the place that it is about.
pub(super) fn complaint(what: &str, text: &str, offset: usize) -> String {
    format!("{what}{}", caret::under(text, offset))
}

/// Bounds what the parser may recurse on: a loop over bytes that knows quotes.
pub(super) fn check_bounds(text: &str) -> Result<(), String> {
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
pub(super) fn check_tree(text: &str, ast: &Ast) -> Result<(), String> {
    let mut open = vec![(ast, 0)];
    while let Some((ast, depth)) = open.pop() {
        match ast {
            Ast::Function { name, args, offset } => {
                check_function(text, name, args, *offset)?;
            }
            Ast::Slice { step: 0, offset, .. } => {
                return Err(complaint("a slice's step is not 0", text, *offset));
            }
            Ast::Slice { step, offset, .. } if step.unsigned_abs() > SLICE_STEP_MAX => {
                let what = format!("a slice's step is at most {SLICE_STEP_MAX}");
                return Err(complaint(&what, text, *offset));
            }
            Ast::Expref { offset, .. } => {
                let takers = TAKES_EXPRESSION.map(|(name, _)| format!("{name}()")).join(", ");
                let what = format!("an expression (&) is for {takers} only");
                return Err(complaint(&what, text, *offset));
            }
            Ast::Not { offset, .. } | Ast::Projection { offset, .. } if depth > NESTING_MAX => {
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
        Ast::MultiList { elements: nodes, .. } => {
            open.extend(nodes.iter().map(|node| (node, depth + 1)));
        }
        Ast::Function { name, args, .. } => {
            for (number, arg) in args.iter().enumerate() {
                match arg {
                    Ast::Expref { ast, .. } if takes_expression(name, number) => {
                        open.push((ast, depth + 2));
                    }
                    _ => open.push((arg, depth + 1)),
                }
            }
        }
        Ast::MultiHash { elements, .. } => {
            open.extend(elements.iter().map(|pair| (&pair.value, depth + 1)));
        }
    }
}

fn takes_expression(name: &str, number: usize) -> bool {
    TAKES_EXPRESSION.contains(&(name, number))
}

/// The function is known, and gets so many arguments, and expressions where it needs them: else it
/// could never give a result.
fn check_function(text: &str, name: &str, args: &[Ast], offset: usize) -> Result<(), String> {
    let start = offset.saturating_sub(name.len());
    let runtime = &jmespath::DEFAULT_RUNTIME;
    let Some(function) = runtime.get_function(name) else {
        return Err(complaint(&format!("there is no function {name}()"), text, start));
    };
    // Its signature is its own secret, but it looks at the count first.
    let nulls = vec![jmespath::Rcvar::new(Variable::Null); args.len()];
    let complained = function.evaluate(&nulls, &mut Context::new(text, runtime)).err();
    if let Some(ErrorReason::Runtime(
        RuntimeError::TooManyArguments { expected, .. }
        | RuntimeError::NotEnoughArguments { expected, .. },
    )) = complained.map(|error| error.reason)
    {
        let what = format!("{name}() takes {expected} arguments, not {}", args.len());
        return Err(complaint(&what, text, start));
    }
    let is_wrong = |(number, arg): (usize, &Ast)| {
        takes_expression(name, number) && !matches!(arg, Ast::Expref { .. })
    };
    if let Some(number) = args.iter().enumerate().position(is_wrong) {
        let what = format!("{name}() takes an expression (&) as argument {}", number + 1);
        return Err(complaint(&what, text, start));
    }
    Ok(())
}
