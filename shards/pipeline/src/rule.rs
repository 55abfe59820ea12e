//! A compiled rule, and what all rules want of one field.

use crate::actions::Action;
use crate::bits::Bits;
use crate::expression::Expression;
use crate::json::{Document, PathIndex, PathSet};
use crate::message::Message;
use crate::patterns::PatternSet;
use crate::rules::Field;
use crate::structured_data::SdValues;
use crate::template::{Context, Sd};
use crate::waiting::Waiting;

/// One rule, compiled.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Its name, or its number.
    pub(crate) name: String,
    /// Its number in `RuleSet::fields`.
    pub(crate) field: usize,
    pub(crate) matcher: Matcher,
    pub(crate) actions: Vec<Action>,
    /// The pattern whose groups its templates name.
    pub(crate) groups: Option<usize>,
    /// A template names the time.
    pub(crate) needs_time: bool,
    /// A template names a parameter of the structured data.
    pub(crate) needs_sd: bool,
}

#[derive(Debug)]
pub(crate) enum Matcher {
    /// Matches every message that has the field.
    Always,
    /// A member of the field's patterns.
    Pattern {
        member: usize,
        is_in_pass: bool,
    },
    Expression(Expression),
}

/// All that rules want of one field.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    pub(crate) field: Field,
    /// Its number among the names, of a parameter of the structured data.
    pub(crate) sd_param: Option<usize>,
    pub(crate) patterns: PatternSet,
    pub(crate) paths: PathSet,
    /// By the path's number.
    pub(crate) path_rules: Waiting,
}

/// A rule that matches, and what it matched.
pub(crate) struct At<'a, 's> {
    pub(crate) index: usize,
    pub(crate) rule: &'a Rule,
    pub(crate) field: &'a [u8],
    pub(crate) message: &'a Message<'s>,
    pub(crate) context: &'a Context<'s>,
    pub(crate) sd: Sd<'a>,
}

impl Rule {
    pub(crate) fn is_always(&self) -> bool {
        matches!(self.matcher, Matcher::Always)
    }

    pub(crate) fn is_in_pass(&self) -> bool {
        matches!(self.matcher, Matcher::Pattern { is_in_pass: true, .. })
    }

    pub(crate) fn has_pattern(&self) -> bool {
        matches!(self.matcher, Matcher::Pattern { .. })
    }

    pub(crate) fn has_expression(&self) -> bool {
        matches!(self.matcher, Matcher::Expression(_))
    }

    /// Its expression's path, if it is nothing else.
    pub(crate) fn path(&self) -> Option<PathIndex> {
        match &self.matcher {
            Matcher::Expression(expression) => expression.path(),
            _ => None,
        }
    }

    /// True if its expression is more than a path.
    pub(crate) fn is_general(&self) -> bool {
        self.has_expression() && self.path().is_none()
    }
}

impl FieldPlan {
    /// The field's bytes; `None` if the message has none. What is a parameter of the structured data
    /// must have been read.
    pub(crate) fn read<'a>(&self, message: &Message<'a>, sd: &'a SdValues) -> Option<&'a [u8]> {
        match self.sd_param {
            Some(number) => sd.value(number, message.structured_data),
            None => message.field(&self.field),
        }
    }

    /// Inserts the rules' numbers of all paths that are in the field.
    ///
    /// Cost: the field is read as JSON, unless it was.
    pub(crate) fn find_paths(&self, document: &mut Document, field: &[u8], candidates: &mut Bits) {
        // What is no JSON has no paths, and each rule that is tried will be told so.
        _ = document.read(&self.paths, field);
        for path in document.found() {
            self.path_rules.release(path.number(), candidates);
        }
    }
}
