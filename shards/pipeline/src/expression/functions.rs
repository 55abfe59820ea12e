//! The functions: what each costs is paid for before the `jmespath` crate is asked.
//!
//! Those that take an expression (`map`, `sort_by`, `max_by`, `min_by`) are done here, as that crate
//! does them: it would evaluate the expression without paying. `to_number` is done here because what
//! it costs is known only when it is done.

use std::cmp::Ordering;

use jmespath::ast::Ast;
use jmespath::{Context, DEFAULT_RUNTIME, Rcvar, Variable};

use super::interpreter::{Found, Interpreter, KEPT_STEPS, Outcome, Stopped, VALUE_STEPS};
use crate::json::{self, TEXT_BYTES_PER_STEP};

/// What a call costs, whatever it is given.
const CALL_STEPS: usize = 24;

/// What a value costs that is looked at somewhere in another one.
const LOOK_STEPS: usize = 4;

/// What a value costs as text, and how much text a step pays for where it may have to be escaped.
const WRITE_STEPS: usize = 12;
const WRITTEN_BYTES_PER_STEP: usize = 1;

/// How much text a step pays for that is copied twice.
const JOINED_BYTES_PER_STEP: usize = 4;

/// How much text a step pays for that is searched, for a short text and for a longer one.
const SHORT_BYTES_MAX: usize = 32;
const SEARCHED_SHORT_BYTES: usize = 4;
const SEARCHED_LONG_BYTES: usize = 2;

/// What a value costs that is compared to the best one so far.
const BEST_STEPS: usize = 8;

/// What a key costs that is copied, and a member.
const KEY_STEPS: usize = 28;
const MEMBER_STEPS: usize = 40;

/// Functions that take an expression, and as which argument.
pub(super) const TAKES_EXPRESSION: [(&str, usize); 4] =
    [("map", 0), ("sort_by", 1), ("max_by", 1), ("min_by", 1)];

impl<'i> Interpreter<'i> {
    pub(super) fn function<'a>(
        &mut self,
        data: &'a Rcvar,
        name: &str,
        args: &'a [Ast],
    ) -> Outcome<'a>
    where
        'i: 'a,
    {
        self.steps.take(CALL_STEPS)?;
        match (name, args) {
            ("map", [Ast::Expref { ast, .. }, list]) => self.map(data, list, ast),
            ("sort_by", [list, Ast::Expref { ast, .. }]) => self.sort_by(data, list, ast),
            ("max_by", [list, Ast::Expref { ast, .. }]) => {
                self.best_by(data, list, ast, Ordering::Greater)
            }
            ("min_by", [list, Ast::Expref { ast, .. }]) => {
                self.best_by(data, list, ast, Ordering::Less)
            }
            ("to_number", [arg]) => self.number(data, arg),
            _ => {
                let mut values = Vec::with_capacity(args.len());
                for arg in args {
                    self.steps.take(KEPT_STEPS)?;
                    values.push(self.evaluate(data, arg)?.into_value());
                }
                self.pay(name, &values)?;
                let function = DEFAULT_RUNTIME.get_function(name).ok_or(Stopped::Mistyped)?;
                // Without the expression's text, which errors would copy.
                let found = function.evaluate(&values, &mut Context::new("", &DEFAULT_RUNTIME));
                found.map(Found::Made).map_err(|_| Stopped::Mistyped)
            }
        }
    }

    /// Pays for a function of the crate, which is about to be called.
    fn pay(&mut self, name: &str, values: &[Rcvar]) -> Result<(), Stopped> {
        match (name, values) {
            ("abs" | "ceil" | "floor" | "type" | "not_null" | "to_array", _) => Ok(()),
            ("starts_with" | "ends_with", [_, searched]) => self.flat(searched, 0),
            ("contains", [held, searched]) => match &**held {
                Variable::Array(_) => self.deep(held),
                _ => {
                    let length = |value: &Rcvar| value.as_string().map_or(0, String::len);
                    let is_short = length(searched) <= SHORT_BYTES_MAX;
                    let per_step =
                        if is_short { SEARCHED_SHORT_BYTES } else { SEARCHED_LONG_BYTES };
                    Ok(self.steps.take((length(held) + length(searched)) / per_step)?)
                }
            },
            ("length", [value]) => match &**value {
                Variable::String(text) => self.text(text),
                _ => Ok(()),
            },
            ("join", [glue, list]) => {
                let list = list.as_array().map_or(&[][..], Vec::as_slice);
                let length = |value: &Rcvar| value.as_string().map_or(0, String::len);
                for value in list {
                    let bytes = length(value).saturating_add(length(glue));
                    self.steps.take(2 * VALUE_STEPS + bytes / JOINED_BYTES_PER_STEP)?;
                }
                Ok(())
            }
            ("reverse", [value]) => match &**value {
                Variable::String(text) => Ok(self.steps.take(text.len())?),
                _ => self.flat(value, KEPT_STEPS),
            },
            ("sort", [list]) => {
                let count = list.as_array().map_or(0, Vec::len);
                (0..=count.checked_ilog2().unwrap_or(0))
                    .try_for_each(|_| self.flat(list, LOOK_STEPS))
            }
            ("keys", [value]) => self.flat(value, KEY_STEPS),
            ("values" | "sum" | "avg", [value]) => self.flat(value, KEPT_STEPS),
            ("max" | "min", [value]) => self.flat(value, BEST_STEPS),
            ("merge", values) => values.iter().try_for_each(|value| self.flat(value, MEMBER_STEPS)),
            _ => values
                .iter()
                .try_for_each(|value| self.walk(value, WRITE_STEPS, WRITTEN_BYTES_PER_STEP)),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Stopped> {
        Ok(self.steps.take(text.len() / TEXT_BYTES_PER_STEP)?)
    }

    /// Pays for a look at a text, or at each value of a list or object, and at the texts there.
    fn flat(&mut self, value: &Variable, each: usize) -> Result<(), Stopped> {
        match value {
            Variable::String(text) => self.text(text),
            Variable::Array(values) => values.iter().try_for_each(|value| {
                self.steps.take(1 + each)?;
                value.as_string().map_or(Ok(()), |text| self.text(text))
            }),
            Variable::Object(members) => members.keys().try_for_each(|key| {
                self.steps.take(1 + each)?;
                self.text(key)
            }),
            _ => Ok(()),
        }
    }

    /// Pays for a look at every value in a value.
    pub(super) fn deep(&mut self, value: &Variable) -> Result<(), Stopped> {
        self.walk(value, LOOK_STEPS, TEXT_BYTES_PER_STEP)
    }

    fn walk(
        &mut self,
        value: &Variable,
        each: usize,
        bytes_per_step: usize,
    ) -> Result<(), Stopped> {
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            self.steps.take(each)?;
            match value {
                Variable::String(text) => self.steps.take(text.len() / bytes_per_step)?,
                Variable::Array(values) => {
                    self.steps.take(values.len())?;
                    open.extend(values.iter().map(|value| &**value));
                }
                Variable::Object(members) => {
                    for (key, value) in members {
                        self.steps.take(each + key.len() / bytes_per_step)?;
                        open.push(value);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A number itself; of a text what it says, as JSON of any kind.
    fn number<'a>(&mut self, data: &'a Rcvar, arg: &'a Ast) -> Outcome<'a>
    where
        'i: 'a,
    {
        let found = self.evaluate(data, arg)?;
        let read = match &*found {
            Variable::Number(_) => return Ok(found),
            Variable::String(text) => json::parse(text.as_bytes(), self.steps)?,
            _ => None,
        };
        Ok(read.map_or_else(|| self.null(), Found::Made))
    }

    /// What the expression gives for each element.
    fn map<'a>(&mut self, data: &'a Rcvar, list: &'a Ast, by: &'a Ast) -> Outcome<'a>
    where
        'i: 'a,
    {
        let list = self.evaluate(data, list)?;
        let mut mapped = Vec::new();
        for value in list.as_array().ok_or(Stopped::Mistyped)? {
            self.steps.take(KEPT_STEPS)?;
            mapped.push(self.evaluate(value, by)?.into_value());
        }
        self.made(Variable::Array(mapped))
    }

    /// The elements of a list, each with what it is ordered by: all numbers, or all strings.
    fn keyed(&mut self, list: &Variable, by: &Ast) -> Result<Vec<(Rcvar, Rcvar)>, Stopped> {
        let mut keyed: Vec<(Rcvar, Rcvar)> = Vec::new();
        for value in list.as_array().ok_or(Stopped::Mistyped)? {
            self.steps.take(2 * KEPT_STEPS)?;
            let key = self.evaluate(value, by)?.into_value();
            let is_same = match keyed.first().map(|(_, first)| &**first) {
                Some(first) => first.get_type() == key.get_type(),
                None => key.is_number() || key.is_string(),
            };
            if !is_same {
                return Err(Stopped::Mistyped);
            }
            if let Variable::String(text) = &*key {
                self.text(text)?;
            }
            keyed.push((value.clone(), key));
        }
        Ok(keyed)
    }

    fn sort_by<'a>(&mut self, data: &'a Rcvar, list: &'a Ast, by: &'a Ast) -> Outcome<'a>
    where
        'i: 'a,
    {
        let list = self.evaluate(data, list)?;
        let mut keyed = self.keyed(&list, by)?;
        for _ in 0..=keyed.len().checked_ilog2().unwrap_or(0) {
            for (_, key) in &keyed {
                self.steps.take(LOOK_STEPS)?;
                key.as_string().map_or(Ok(()), |text| self.text(text))?;
            }
        }
        keyed.sort_by(|(_, a), (_, b)| a.cmp(b));
        self.made(Variable::Array(keyed.into_iter().map(|(value, _)| value).collect()))
    }

    /// The first element than whose key none is further in this direction.
    fn best_by<'a>(
        &mut self,
        data: &'a Rcvar,
        list: &'a Ast,
        by: &'a Ast,
        direction: Ordering,
    ) -> Outcome<'a>
    where
        'i: 'a,
    {
        let list = self.evaluate(data, list)?;
        let mut keyed = self.keyed(&list, by)?.into_iter();
        let Some(first) = keyed.next() else { return Ok(self.null()) };
        let best = keyed.fold(
            first,
            |best, next| {
                if next.1.cmp(&best.1) == direction { next } else { best }
            },
        );
        Ok(Found::Made(best.0))
    }
}
