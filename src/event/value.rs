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
