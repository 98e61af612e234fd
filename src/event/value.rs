//! What a property of an event may hold.

use super::Number;

/// One property value. Missing and null are the same thing: the property is not there.
///
/// The order is that of `first`, `last` and ties in the rules: booleans < numbers < text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value<'a> {
    Bool(bool),
    Number(Number),
    Text(&'a str),
}

impl Value<'_> {
    /// The number, when it is one.
    #[must_use]
    pub fn number(self) -> Option<Number> {
        match self {
            Value::Number(number) => Some(number),
            Value::Bool(_) | Value::Text(_) => None,
        }
    }
}

/// A value that outlives its event; of a text its beginning. Ordered as values are.
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
