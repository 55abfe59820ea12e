//! Evaluates what `jmespath` has parsed, as that crate does, but pays for each step.
//!
//! Recurses on the expression, whose depth is bounded when it is compiled, never on the data. What
//! already lies somewhere is handed on by reference: a filter over numbers allocates nothing.

use std::collections::BTreeMap;
use std::ops::Deref;

use jmespath::ast::{Ast, Comparator, KeyValuePair};
use jmespath::{Rcvar, Variable};

use crate::json::{Steps, TEXT_BYTES_PER_STEP, TooCostly};

/// What a node, a field that is looked up, something kept in a list, and a new value cost.
const NODE_STEPS: usize = 2;
const FIELD_STEPS: usize = 4;
pub(super) const KEPT_STEPS: usize = 3;
pub(super) const VALUE_STEPS: usize = 8;
const MEMBER_STEPS: usize = 32;

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// A function got what it does not take.
    Mistyped,
    /// The steps are used up.
    TooCostly,
}

impl From<TooCostly> for Stopped {
    fn from(_: TooCostly) -> Stopped {
        Stopped::TooCostly
    }
}

/// A result: in the data, in the expression, or made.
#[derive(Debug)]
pub(super) enum Found<'a> {
    Shared(&'a Rcvar),
    Made(Rcvar),
}

impl Found<'_> {
    pub(super) fn into_value(self) -> Rcvar {
        match self {
            Found::Shared(value) => value.clone(),
            Found::Made(value) => value,
        }
    }

    fn into_made<'b>(self) -> Found<'b> {
        Found::Made(self.into_value())
    }
}

impl Deref for Found<'_> {
    type Target = Variable;

    fn deref(&self) -> &Variable {
        match self {
            Found::Shared(value) => value,
            Found::Made(value) => value,
        }
    }
}

/// Values that expressions give again and again. Each shard has its own: shared ones would be
/// counted by all of them.
#[derive(Debug)]
pub(crate) struct Constants {
    null: Rcvar,
    no: Rcvar,
    yes: Rcvar,
}

impl Default for Constants {
    fn default() -> Self {
        let [null, no, yes] =
            [Variable::Null, Variable::Bool(false), Variable::Bool(true)].map(Rcvar::new);
        Constants { null, no, yes }
    }
}

pub(super) type Outcome<'a> = Result<Found<'a>, Stopped>;

/// One evaluation, under way.
pub(super) struct Interpreter<'i> {
    pub(super) steps: &'i mut Steps,
    pub(super) constants: &'i Constants,
}

impl<'i> Interpreter<'i> {
    /// Evaluates `ast` on `data`.
    pub(super) fn evaluate<'a>(&mut self, data: &'a Rcvar, ast: &'a Ast) -> Outcome<'a>
    where
        'i: 'a,
    {
        self.steps.take(NODE_STEPS)?;
        match ast {
            Ast::Identity { .. } => Ok(Found::Shared(data)),
            Ast::Literal { value, .. } => Ok(Found::Shared(value)),
            Ast::Field { name, .. } => self.field(data, name),
            Ast::Index { idx, .. } => Ok(self.index(data, *idx)),
            Ast::Subexpr { lhs, rhs, .. } => match self.evaluate(data, lhs)? {
                Found::Shared(left) => self.evaluate(left, rhs),
                Found::Made(left) => self.evaluate(&left, rhs).map(Found::into_made),
            },
            Ast::Or { lhs, rhs, .. } => {
                let left = self.evaluate(data, lhs)?;
                if left.is_truthy() { Ok(left) } else { self.evaluate(data, rhs) }
            }
            Ast::And { lhs, rhs, .. } => {
                let left = self.evaluate(data, lhs)?;
                if left.is_truthy() { self.evaluate(data, rhs) } else { Ok(left) }
            }
            Ast::Not { node, .. } => {
                let found = self.evaluate(data, node)?;
                Ok(self.truth(!found.is_truthy()))
            }
            Ast::Condition { predicate, then, .. } => {
                let is_met = self.evaluate(data, predicate)?.is_truthy();
                if is_met { self.evaluate(data, then) } else { Ok(self.null()) }
            }
            Ast::Comparison { comparator, lhs, rhs, .. } => {
                let (left, right) = (self.evaluate(data, lhs)?, self.evaluate(data, rhs)?);
                self.compare(comparator, &left, &right)
            }
            Ast::Projection { lhs, rhs, .. } => self.projection(data, lhs, rhs),
            Ast::ObjectValues { node, .. } => self.object_values(data, node),
            Ast::Flatten { node, .. } => self.flatten(data, node),
            Ast::Slice { start, stop, step, .. } => self.slice(data, *start, *stop, *step),
            Ast::MultiList { elements, .. } => self.multi_list(data, elements),
            Ast::MultiHash { elements, .. } => self.multi_hash(data, elements),
            Ast::Function { name, args, .. } => self.function(data, name, args),
            // Stands as an argument of a function alone, which looks at it itself.
            Ast::Expref { .. } => Err(Stopped::Mistyped),
        }
    }

    pub(super) fn null<'a>(&self) -> Found<'a>
    where
        'i: 'a,
    {
        Found::Shared(&self.constants.null)
    }

    fn truth<'a>(&self, is_true: bool) -> Found<'a>
    where
        'i: 'a,
    {
        Found::Shared(if is_true { &self.constants.yes } else { &self.constants.no })
    }

    fn array<'a>(&mut self, values: Vec<Rcvar>) -> Outcome<'a> {
        self.made(Variable::Array(values))
    }

    pub(super) fn made<'a>(&mut self, value: Variable) -> Outcome<'a> {
        self.steps.take(VALUE_STEPS)?;
        Ok(Found::Made(Rcvar::new(value)))
    }

    fn field<'a>(&mut self, data: &'a Rcvar, name: &str) -> Outcome<'a>
    where
        'i: 'a,
    {
        let Variable::Object(members) = &**data else { return Ok(self.null()) };
        self.steps.take(FIELD_STEPS)?;
        Ok(members.get(name).map_or_else(|| self.null(), Found::Shared))
    }

    fn index<'a>(&self, data: &'a Rcvar, index: i32) -> Found<'a>
    where
        'i: 'a,
    {
        let Variable::Array(values) = &**data else { return self.null() };
        let distance = index.unsigned_abs() as usize;
        let at = if index < 0 { values.len().checked_sub(distance) } else { Some(distance) };
        at.and_then(|at| values.get(at)).map_or_else(|| self.null(), Found::Shared)
    }

    fn compare<'a>(
        &mut self,
        comparator: &Comparator,
        left: &Variable,
        right: &Variable,
    ) -> Outcome<'a>
    where
        'i: 'a,
    {
        // Those of different lengths are found to differ at once.
        match (left, right) {
            (Variable::String(left), Variable::String(right)) if left.len() == right.len() => {
                self.steps.take(left.len() / TEXT_BYTES_PER_STEP)?;
            }
            (Variable::Array(a), Variable::Array(b)) if a.len() == b.len() => self.deep(left)?,
            (Variable::Object(a), Variable::Object(b)) if a.len() == b.len() => self.deep(left)?,
            _ => {}
        }
        let compared = left.compare(comparator, right);
        Ok(compared.map_or_else(|| self.null(), |is_true| self.truth(is_true)))
    }

    fn projection<'a>(&mut self, data: &'a Rcvar, lhs: &'a Ast, rhs: &'a Ast) -> Outcome<'a>
    where
        'i: 'a,
    {
        let left = self.evaluate(data, lhs)?;
        let Variable::Array(elements) = &*left else { return Ok(self.null()) };
        let mut collected = Vec::new();
        for element in elements {
            let found = self.evaluate(element, rhs)?;
            if !found.is_null() {
                self.steps.take(KEPT_STEPS)?;
                collected.push(found.into_value());
            }
        }
        self.array(collected)
    }

    fn object_values<'a>(&mut self, data: &'a Rcvar, node: &'a Ast) -> Outcome<'a>
    where
        'i: 'a,
    {
        let found = self.evaluate(data, node)?;
        let Variable::Object(members) = &*found else { return Ok(self.null()) };
        self.steps.take(members.len().saturating_mul(2 * KEPT_STEPS))?;
        self.array(members.values().cloned().collect())
    }

    fn flatten<'a>(&mut self, data: &'a Rcvar, node: &'a Ast) -> Outcome<'a>
    where
        'i: 'a,
    {
        let found = self.evaluate(data, node)?;
        let Variable::Array(elements) = &*found else { return Ok(self.null()) };
        let mut collected = Vec::new();
        for element in elements {
            self.steps.take(KEPT_STEPS)?;
            match &**element {
                Variable::Array(inner) => {
                    self.steps.take(inner.len().saturating_mul(KEPT_STEPS))?;
                    collected.extend(inner.iter().cloned());
                }
                _ => collected.push(element.clone()),
            }
        }
        self.array(collected)
    }

    fn slice<'a>(
        &mut self,
        data: &'a Rcvar,
        start: Option<i32>,
        stop: Option<i32>,
        step: i32,
    ) -> Outcome<'a>
    where
        'i: 'a,
    {
        let Variable::Array(values) = &**data else { return Ok(self.null()) };
        let count = values.len() / (step.unsigned_abs() as usize).max(1);
        self.steps.take(count.saturating_mul(KEPT_STEPS))?;
        match data.slice(start, stop, step) {
            Some(values) => self.array(values),
            None => Ok(self.null()),
        }
    }

    fn multi_list<'a>(&mut self, data: &'a Rcvar, elements: &'a [Ast]) -> Outcome<'a>
    where
        'i: 'a,
    {
        if data.is_null() {
            return Ok(self.null());
        }
        let mut collected = Vec::with_capacity(elements.len());
        for element in elements {
            self.steps.take(KEPT_STEPS)?;
            collected.push(self.evaluate(data, element)?.into_value());
        }
        self.array(collected)
    }

    fn multi_hash<'a>(&mut self, data: &'a Rcvar, elements: &'a [KeyValuePair]) -> Outcome<'a>
    where
        'i: 'a,
    {
        if data.is_null() {
            return Ok(self.null());
        }
        let mut collected = BTreeMap::new();
        for KeyValuePair { key, value } in elements {
            self.steps.take(MEMBER_STEPS + key.len() / TEXT_BYTES_PER_STEP)?;
            collected.insert(key.clone(), self.evaluate(data, value)?.into_value());
        }
        self.made(Variable::Object(collected))
    }
}
