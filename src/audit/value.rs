//! A value as it stands in a record, and what kind of value it is.

use std::borrow::Cow;

use crate::event::named;

/// One value of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Whole(i64),
    /// As written, or as its bytes.
    Number(Cow<'a, [u8]>),
    /// Milliseconds since 1970; `None`: out of range.
    Moment(Option<i64>, Clock),
    Date(i32),
    TimeOfDay(i64),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
    List,
    Record,
}

/// What a timestamp counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    Utc,
    /// What a clock on the wall shows, in no zone that is known.
    Local,
}

named! {
    /// The type of a value, as people call it.
    Kind {
        Null = "null",
        Bool = "boolean",
        Whole = "integer",
        Number = "number",
        Moment = "timestamp",
        Date = "date",
        TimeOfDay = "time of day",
        Text = "text",
        Email = "e-mail",
        Uuid = "uuid",
        TimeText = "time as text",
        NumberText = "number as text",
        Bytes = "bytes",
        List = "list",
        Record = "record",
    }
}

impl Kind {
    /// Is it a single value that a rule can compare?
    pub(super) fn is_single(self) -> bool {
        !matches!(self, Self::Null | Self::Bytes | Self::List | Self::Record)
    }

    /// What a rule sees of it: values of different classes are never equal, and have no order.
    pub(super) fn class(self) -> Option<Class> {
        Some(match self {
            Self::Bool => Class::Flag,
            Self::Whole | Self::Number | Self::Moment => Class::Number,
            Self::Date
            | Self::TimeOfDay
            | Self::Text
            | Self::Email
            | Self::Uuid
            | Self::TimeText
            | Self::NumberText => Class::Text,
            Self::Null | Self::Bytes | Self::List | Self::Record => return None,
        })
    }
}

named! {
    /// The types of the rules.
    Class {
        Flag = "boolean",
        Number = "number",
        Text = "text",
    }
}

impl Value<'_> {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Whole(_) => Kind::Whole,
            Self::Number(_) => Kind::Number,
            Self::Moment(..) => Kind::Moment,
            Self::Date(_) => Kind::Date,
            Self::TimeOfDay(_) => Kind::TimeOfDay,
            Self::Text(text) => of_text(text),
            Self::Bytes(_) => Kind::Bytes,
            Self::List => Kind::List,
            Self::Record => Kind::Record,
        }
    }
}

/// By its shape alone; a text that only looks like a date is found out when it is read as one.
fn of_text(text: &str) -> Kind {
    let bytes = text.as_bytes();
    // As for sources, where an empty text is missing.
    if bytes.is_empty() {
        return Kind::Null;
    }
    let digits =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    let is_at = |place: usize, byte: u8| bytes.get(place) == Some(&byte);
    if is_uuid(text) {
        return Kind::Uuid;
    }
    if digits(0..4) && is_at(4, b'-') && digits(5..7) && is_at(7, b'-') && digits(8..10) {
        return Kind::TimeText;
    }
    let is_numeric = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+');
    let numeric = bytes.len() <= 30 && bytes.iter().all(is_numeric) && bytes.iter().any(u8::is_ascii_digit);
    // A number with a leading zero is a postal code or a telephone number.
    let is_code = bytes.len() > 1 && bytes[0] == b'0' && bytes[1] != b'.' || bytes.first() == Some(&b'+');
    if numeric && !is_code && text.parse::<f64>().is_ok() {
        return Kind::NumberText;
    }
    if is_email(text) { Kind::Email } else { Kind::Text }
}

pub(super) fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// One `@` with something on both sides, a point after it, and no blanks.
pub(super) fn is_email(text: &str) -> bool {
    let Some((name, domain)) = text.split_once('@') else { return false };
    let has_point = domain.split_once('.').is_some_and(|(one, other)| !one.is_empty() && !other.is_empty());
    text.len() <= 254 && !name.is_empty() && has_point && !text.contains(char::is_whitespace) && !domain.contains('@')
}

#[cfg(test)]
mod tests {
    use super::{Kind, Value};

    #[test]
    fn texts_are_told_apart_by_their_shape() {
        for (text, kind) in [
            ("jean@example.com", Kind::Email),
            ("jean@example", Kind::Text),
            ("a@b.c d", Kind::Text),
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", Kind::Uuid),
            ("2026-01-31", Kind::TimeText),
            ("2026-01-31T08:00:00Z", Kind::TimeText),
            ("59.99", Kind::NumberText),
            ("-1", Kind::NumberText),
            ("0", Kind::NumberText),
            ("0612345678", Kind::Text),
            ("+33612345678", Kind::Text),
            ("1.2.3", Kind::Text),
            ("-", Kind::Text),
            ("", Kind::Null),
        ] {
            assert_eq!(Value::Text(text.into()).kind(), kind, "{text}");
        }
    }
}
