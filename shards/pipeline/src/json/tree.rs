//! A field as a value of the `jmespath` crate, and what may be spent on it.
//!
//! All that is done with that value is paid for in steps, of which a message has so many for each of
//! its bytes: so no content, however it is made, holds a shard for longer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jmespath::Variable;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::NotJson;
use crate::expression::Constants;

/// What a step takes, about.
pub(crate) const STEP_NS: usize = 5;

/// A shorter message counts as so many bytes.
pub(crate) const BYTES_MIN: usize = 1024;

/// What each expression has for itself, however much the others have spent.
pub(crate) const STEPS_PER_EXPRESSION: usize = 64;

/// What is built and dropped again: a value, a text's share, a list or an object, a member.
const VALUE_STEPS: usize = 9;
const LIST_STEPS: usize = 8;
const MEMBER_STEPS: usize = 12;
pub(crate) const TEXT_BYTES_PER_STEP: usize = 16;

/// A field as a value, and what evaluating expressions on it needs.
#[derive(Debug)]
pub struct Tree<'d> {
    /// The field.
    pub value: &'d Arc<Variable>,
    pub(crate) constants: &'d Constants,
}

/// What general expressions may still cost on one message, on all its fields.
#[derive(Debug, Default)]
pub struct Steps {
    left: usize,
}

impl From<TooCostly> for NotJson {
    fn from(_: TooCostly) -> NotJson {
        NotJson::TooCostly
    }
}

/// There are no steps left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooCostly;

impl Steps {
    /// The most steps that a message has for each of its bytes.
    pub const PER_BYTE_MAX: usize = 6;

    /// What a message of so many bytes has.
    pub fn new(message_bytes: usize, per_byte: usize) -> Steps {
        Steps { left: message_bytes.max(BYTES_MIN).saturating_mul(per_byte) }
    }

    /// One more expression is about to be evaluated.
    pub(crate) fn begin(&mut self) {
        self.left = self.left.saturating_add(STEPS_PER_EXPRESSION);
    }

    /// Pays for what is about to be done.
    #[inline]
    pub(crate) fn take(&mut self, steps: usize) -> Result<(), TooCostly> {
        let left = self.left.checked_sub(steps);
        self.left = left.unwrap_or(0);
        left.map(|_| ()).ok_or(TooCostly)
    }
}

/// Builds the value of a field that is known to be JSON, and not too deep.
///
/// Errors: a number is beyond an f64; it has more values than its bytes pay for.
pub(super) fn build(field: &[u8], steps: &mut Steps) -> Result<Arc<Variable>, NotJson> {
    parse(field, steps)?.ok_or(NotJson::NumberRange)
}

/// The value of any text; `None` if it is not JSON, or nests deeper than `serde_json` takes: 127.
pub(crate) fn parse(text: &[u8], steps: &mut Steps) -> Result<Option<Arc<Variable>>, TooCostly> {
    let mut is_too_costly = false;
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let builder = Builder { steps, is_too_costly: &mut is_too_costly };
    let built = builder.deserialize(&mut deserializer);
    if is_too_costly {
        return Err(TooCostly);
    }
    Ok(built.and_then(|value| deserializer.end().map(|()| value)).ok())
}

/// Makes one value. Recurses as deep as the text, which is bounded.
struct Builder<'b> {
    steps: &'b mut Steps,
    is_too_costly: &'b mut bool,
}

impl Builder<'_> {
    fn again(&mut self) -> Builder<'_> {
        Builder { steps: self.steps, is_too_costly: self.is_too_costly }
    }

    fn pay<E: Error>(&mut self, steps: usize) -> Result<(), E> {
        self.steps.take(steps).map_err(|TooCostly| {
            *self.is_too_costly = true;
            E::custom("too costly")
        })
    }
}

impl<'de> DeserializeSeed<'de> for Builder<'_> {
    type Value = Arc<Variable>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Builder<'_> {
    type Value = Arc<Variable>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(mut self) -> Result<Self::Value, E> {
        self.pay(VALUE_STEPS)?;
        Ok(Arc::new(Variable::Null))
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<Self::Value, E> {
        self.pay(VALUE_STEPS)?;
        Ok(Arc::new(Variable::Bool(value)))
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<Self::Value, E> {
        self.pay(VALUE_STEPS)?;
        Ok(Arc::new(Variable::Number(value.into())))
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<Self::Value, E> {
        self.pay(VALUE_STEPS)?;
        Ok(Arc::new(Variable::Number(value.into())))
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<Self::Value, E> {
        self.pay(VALUE_STEPS)?;
        Ok(Arc::new(Number::from_f64(value).map_or(Variable::Null, Variable::Number)))
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<Self::Value, E> {
        self.pay(2 * VALUE_STEPS + value.len() / TEXT_BYTES_PER_STEP)?;
        Ok(Arc::new(Variable::String(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Self::Value, A::Error> {
        self.pay(VALUE_STEPS + LIST_STEPS)?;
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(self.again())? {
            values.push(value);
        }
        Ok(Arc::new(Variable::Array(values)))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Self::Value, A::Error> {
        self.pay(VALUE_STEPS + LIST_STEPS)?;
        let mut values = BTreeMap::new();
        while let Some(key) = members.next_key::<String>()? {
            self.pay(MEMBER_STEPS + key.len() / TEXT_BYTES_PER_STEP)?;
            values.insert(key, members.next_value_seed(self.again())?);
        }
        Ok(Arc::new(Variable::Object(values)))
    }
}
