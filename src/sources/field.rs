//! A value as a record holds it, and what is made of it.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::decimal::Decimal;
use super::event::PropertyValue;
use super::filter::Test;
use super::time::{self, Moment, NoInstant, Unit};
use crate::event::{Instant, Kept, Number, Value, text};
use crate::rules::ast::Op;

/// What a path finds in one record.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Field<'a> {
    /// Nothing, or null.
    #[default]
    Missing,
    Bool(bool),
    Number(Decimal),
    Double(f64),
    Moment(Moment),
    /// Days since 1970-01-01.
    Date(i32),
    /// Since midnight.
    TimeOfDay {
        micros: i64,
    },
    Text(Cow<'a, str>),
    /// Text in which characters are cut or not Unicode, with U+FFFD for each.
    Damaged(Cow<'a, str>),
    /// A list for `contains`.
    List(Vec<Self>),
    /// There, and of no use as it is.
    Other(Kind),
}

/// What is no single value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Record,
    List,
    Bytes,
    /// Not a number, infinite, or too large.
    Number,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Record => "a record",
            Self::List => "a list",
            Self::Bytes => "bytes",
            Self::Number => "a number that is infinite or too large",
        }
    }
}

/// How a property is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum As {
    /// By its own type.
    #[default]
    Itself,
    Text,
    Number,
    /// A number of the opposite sign: what is paid back, beside what is paid.
    Negative,
}

/// A property's value, or why there is none.
#[derive(Debug, PartialEq)]
pub(super) enum Property<'a> {
    Missing,
    Unusable,
    Value(PropertyValue<'a>),
}

impl<'a> Field<'a> {
    /// The text that these bytes are, or bytes that are none.
    pub(super) fn of_text(bytes: &'a [u8]) -> Self {
        text(bytes).map_or(Self::Other(Kind::Bytes), |text| Self::Text(text.into()))
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    /// As the text of an id or a name: texts and whole numbers. An empty text is missing.
    pub(super) fn id(&self) -> Result<Option<Cow<'a, str>>, &'static str> {
        Ok(Some(match self {
            Self::Missing => return Ok(None),
            Self::Text(text) if text.is_empty() => return Ok(None),
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.whole().ok_or("a number with a fraction")?.to_string().into(),
            Self::Double(value) if value.fract() == 0.0 && value.abs() < 9e15 => format!("{value:.0}").into(),
            Self::Double(_) => return Err("a number with a fraction"),
            Self::Moment(moment) => moment.value.to_string().into(),
            Self::Bool(_) => return Err("true or false"),
            Self::Date(_) | Self::TimeOfDay { .. } => return Err("a date or a time of day"),
            Self::Damaged(_) => return Err("text with a truncated character or bytes that are not UTF-8"),
            Self::List(_) => return Err("a list"),
            Self::Other(kind) => return Err(kind.words()),
        }))
    }

    pub(super) fn instant(&self, unit: Option<Unit>, zone: Option<&TimeZone>) -> Result<Instant, NoInstant> {
        match self {
            Self::Number(number) => time::of_number(*number, unit),
            Self::Double(value) => {
                let number = Decimal::parse(value.to_string().as_bytes()).ok_or(NoInstant::Beyond)?;
                time::of_number(number, unit)
            }
            Self::Moment(moment) => moment.instant(zone),
            Self::Date(days) => time::of_days(*days, zone),
            Self::Text(text) => time::of_text(text, unit, zone),
            _ => Err(NoInstant::Unclear),
        }
    }

    pub(super) fn property(self, as_: As, zone: Option<&TimeZone>) -> Property<'a> {
        let value = match (self, as_) {
            (Self::Missing, _) => return Property::Missing,
            (field, As::Itself) => field.value(zone),
            (field, As::Negative) => match field.property(As::Number, zone) {
                Property::Value(PropertyValue::Number(Number(value))) => Some(PropertyValue::Number(Number(-value))),
                other => return other,
            },
            (Self::Text(text), As::Number) => {
                Decimal::parse(text.trim().as_bytes()).and_then(Decimal::number).map(PropertyValue::Number)
            }
            (field, As::Number) => field.value(zone).filter(|value| matches!(value, PropertyValue::Number(_))),
            // As many digits as there are.
            (Self::Number(number), As::Text) => match number.whole() {
                Some(whole) => Some(PropertyValue::Text(whole.to_string().into())),
                None => number.number().map(|number| PropertyValue::Text(number.to_string().into())),
            },
            (field, As::Text) => field.value(zone).map(|value| PropertyValue::Text(value.into_text())),
        };
        value.map_or(Property::Unusable, Property::Value)
    }

    /// The single value that it is.
    fn value(self, zone: Option<&TimeZone>) -> Option<PropertyValue<'a>> {
        Some(match self {
            Self::Bool(value) => PropertyValue::Bool(value),
            Self::Number(number) => PropertyValue::Number(number.number()?),
            Self::Double(value) => PropertyValue::Number(Number::from_double(value)?),
            Self::Moment(moment) => PropertyValue::Number(Number::from_integer(moment.instant(zone).ok()?.0)),
            Self::Date(days) => PropertyValue::Text(time::date(days)?.to_string().into()),
            Self::TimeOfDay { micros } => PropertyValue::Text(time_of_day(micros)?.into()),
            Self::Text(text) | Self::Damaged(text) => PropertyValue::Text(text),
            Self::Missing | Self::List(_) | Self::Other(_) => return None,
        })
    }

    /// Does a test hold of it?
    pub(super) fn passes(&self, test: &Test, zone: Option<&TimeZone>) -> bool {
        match test {
            Test::Missing => self.is_missing(),
            Test::Known => !self.is_missing(),
            Test::Compare(op, with) => self.with(zone, |own| compares(own, *op, with.value())),
            Test::In(values) => self.with(zone, |own| values.iter().any(|value| own == value.value())),
            Test::Contains(part) => match self {
                Self::List(items) => items.iter().any(|item| item.with(zone, |own| own == part.value())),
                Self::Text(text) | Self::Damaged(text) => matches!(part, Kept::Text(part) if text.contains(&**part)),
                _ => false,
            },
        }
    }

    /// Asks of the single value that it is; false if it is none.
    fn with(&self, zone: Option<&TimeZone>, holds: impl FnOnce(Value<'_>) -> bool) -> bool {
        match self {
            Self::Text(text) | Self::Damaged(text) => holds(Value::Text(text)),
            Self::Missing | Self::List(_) | Self::Other(_) => false,
            other => other.clone().value(zone).is_some_and(|value| holds(value.value())),
        }
    }
}

/// Values of one type have an order; between types only `!=` is true.
fn compares(own: Value<'_>, op: Op, with: Value<'_>) -> bool {
    let is_alike = std::mem::discriminant(&own) == std::mem::discriminant(&with);
    match op {
        Op::Eq => own == with,
        Op::Ne => own != with,
        Op::Lt => is_alike && own < with,
        Op::Le => is_alike && own <= with,
        Op::Gt => is_alike && own > with,
        Op::Ge => is_alike && own >= with,
    }
}

fn time_of_day(micros: i64) -> Option<String> {
    let of_day = (0..86_400_000_000).contains(&micros);
    let time = jiff::civil::Time::midnight();
    let time = of_day.then(|| time.checked_add(jiff::SignedDuration::from_micros(micros)).ok())?;
    time.map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::{As, Decimal, Field, Kind, Property, Test};
    use crate::event::{Kept, Number};
    use crate::rules::ast::Op;
    use crate::sources::event::PropertyValue;

    fn text(text: &str) -> Field<'_> {
        Field::Text(text.into())
    }

    #[test]
    fn ids_are_texts_and_whole_numbers() {
        let number = |text: &str| Field::Number(Decimal::parse(text.as_bytes()).unwrap());
        assert_eq!(number("12345678901234567890").id().unwrap().as_deref(), Some("12345678901234567890"));
        assert_eq!(number("-7.00").id().unwrap().as_deref(), Some("-7"));
        assert_eq!(Field::Double(7.0).id().unwrap().as_deref(), Some("7"));
        assert_eq!((text("").id(), Field::Missing.id()), (Ok(None), Ok(None)));
        for wrong in [number("1.5"), Field::Double(f64::NAN), Field::Bool(true), Field::Other(Kind::Record)] {
            assert!(wrong.id().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn properties_are_converted_where_that_is_asked_for() {
        let value = |field: Field<'static>, as_| field.property(as_, None);
        assert_eq!(
            value(text(" 59.99 "), As::Number),
            Property::Value(PropertyValue::Number(Number::parse("59.99").unwrap()))
        );
        assert_eq!(
            value(text("59.99"), As::Negative),
            Property::Value(PropertyValue::Number(Number::parse("-59.99").unwrap()))
        );
        assert_eq!(value(text("much"), As::Negative), Property::Unusable);
        assert_eq!(value(text("59.99"), As::Itself), Property::Value(PropertyValue::Text("59.99".into())));
        assert_eq!(value(text("much"), As::Number), Property::Unusable);
        assert_eq!(value(Field::Date(20_484), As::Itself), Property::Value(PropertyValue::Text("2026-01-31".into())));
        let noon = Field::TimeOfDay { micros: 43_200_000_000 };
        assert_eq!(value(noon, As::Itself), Property::Value(PropertyValue::Text("12:00:00".into())));
        assert_eq!(value(Field::TimeOfDay { micros: -1 }, As::Itself), Property::Unusable);
        let large = Field::Number(Decimal::parse(b"12345678901234567890123").unwrap());
        assert_eq!(value(large, As::Text), Property::Value(PropertyValue::Text("12345678901234567890123".into())));
        assert_eq!(value(Field::Bool(true), As::Text), Property::Value(PropertyValue::Text("true".into())));
        assert_eq!(value(Field::Missing, As::Text), Property::Missing);
    }

    #[test]
    fn a_missing_value_fails_every_test_but_one() {
        let one = Kept::Number(Number::from_integer(1));
        for test in [
            Test::Compare(Op::Eq, one.clone()),
            Test::Compare(Op::Ne, one.clone()),
            Test::In(vec![one.clone()]),
            Test::Contains(one.clone()),
            Test::Known,
        ] {
            assert!(!Field::Missing.passes(&test, None), "{test:?}");
        }
        assert!(Field::Missing.passes(&Test::Missing, None));
        assert!(text("1").passes(&Test::Compare(Op::Ne, one.clone()), None));
        assert!(!text("1").passes(&Test::Compare(Op::Ge, one.clone()), None));
        assert!(Field::Double(1.0).passes(&Test::Compare(Op::Ge, one.clone()), None));
        assert!(Field::List(vec![text("a"), Field::Double(1.0)]).passes(&Test::Contains(one), None));
        assert!(text("abc").passes(&Test::Contains(Kept::Text("bc".into())), None));
    }
}
