//! The values of event properties.

use super::Number;

/// One property value. A missing property and null are the same.
///
/// The order is the one that `first`, `last` and ties use in the rules: booleans < numbers < texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value<'a> {
    Bool(bool),
    Number(Number),
    Text(&'a str),
}

impl Value<'_> {
    /// The number, if it is one.
    #[must_use]
    pub fn number(self) -> Option<Number> {
        match self {
            Value::Number(number) => Some(number),
            Value::Bool(_) | Value::Text(_) => None,
        }
    }
}

/// An owned value that outlives its event; texts are cut. Ordered as values are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    Bool(bool),
    Number(Number),
    Text(Box<str>),
}

impl From<Value<'_>> for Kept {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(number) => Self::Number(number),
            Value::Text(text) => Self::Text(text.into()),
        }
    }
}

impl Kept {
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(*number),
            Self::Text(text) => Value::Text(text),
        }
    }
}
