//! The filters of `where`, evaluated on one event.

use super::ast::Op;
use crate::event::{CustomerEvent, Number, PropertyId, Value};

/// One test of a `where`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter {
    pub property: PropertyId,
    pub test: FilterTest,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FilterTest {
    Eq(Literal),
    Ne(Literal),
    Lt(Literal),
    Le(Literal),
    Gt(Literal),
    Ge(Literal),
    Known,
    Missing,
    In(Vec<Literal>),
    Contains(Literal),
}

/// A value written in a rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Literal {
    Bool(bool),
    Number(Number),
    Text(Box<str>),
}

impl Literal {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(*number),
            Self::Text(text) => Value::Text(text),
        }
    }
}

impl FilterTest {
    pub(super) fn compare(op: Op, literal: Literal) -> Self {
        match op {
            Op::Eq => Self::Eq(literal),
            Op::Ne => Self::Ne(literal),
            Op::Lt => Self::Lt(literal),
            Op::Le => Self::Le(literal),
            Op::Gt => Self::Gt(literal),
            Op::Ge => Self::Ge(literal),
        }
    }
}

impl Filter {
    /// Does the event pass? Every comparison with a missing value fails; values of different types are unequal and
    /// have no order, nor have booleans.
    #[must_use]
    pub fn passes(&self, event: &CustomerEvent<'_>) -> bool {
        let Some(value) = event.property(self.property) else { return self.passes_list(event) };
        let ordered = |literal: &Literal, holds: fn(std::cmp::Ordering) -> bool| match (value, literal.value()) {
            (Value::Number(left), Value::Number(right)) => holds(left.cmp(&right)),
            (Value::Text(left), Value::Text(right)) => holds(left.cmp(right)),
            _ => false,
        };
        match &self.test {
            FilterTest::Eq(literal) => value == literal.value(),
            FilterTest::Ne(literal) => value != literal.value(),
            FilterTest::Lt(literal) => ordered(literal, std::cmp::Ordering::is_lt),
            FilterTest::Le(literal) => ordered(literal, std::cmp::Ordering::is_le),
            FilterTest::Gt(literal) => ordered(literal, std::cmp::Ordering::is_gt),
            FilterTest::Ge(literal) => ordered(literal, std::cmp::Ordering::is_ge),
            FilterTest::Known => true,
            FilterTest::Missing => false,
            FilterTest::In(literals) => literals.iter().any(|literal| value == literal.value()),
            FilterTest::Contains(literal) => match (value, literal.value()) {
                (Value::Text(text), Value::Text(part)) => text.contains(part),
                _ => false,
            },
        }
    }

    /// As `passes`, where the property is a list of values, or missing. A list is equal to each of its values, and
    /// contains them; it has no order.
    fn passes_list(&self, event: &CustomerEvent<'_>) -> bool {
        let has = |literal: &Literal| event.listed(self.property).any(|value| value == literal.value());
        let is_there = || event.listed(self.property).next().is_some();
        match &self.test {
            FilterTest::Eq(literal) | FilterTest::Contains(literal) => has(literal),
            FilterTest::Ne(literal) => is_there() && !has(literal),
            FilterTest::In(literals) => literals.iter().any(has),
            FilterTest::Known => is_there(),
            FilterTest::Missing => !is_there(),
            FilterTest::Lt(_) | FilterTest::Le(_) | FilterTest::Gt(_) | FilterTest::Ge(_) => false,
        }
    }
}
