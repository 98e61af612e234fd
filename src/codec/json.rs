//! One line of JSON to one event.
//!
//! Numbers are read as JSON's readers do: integers of 64 bits exactly, everything else by way of a double and then to six
//! places, so that a decimal of up to fifteen digits comes out as written.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::owned::{All, OwnedEvent, OwnedValue};
use super::reader::{Envelope, plausible};
use crate::event::{Instant, Number};

/// What is wrong with a line. Never what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    #[error("not a JSON object (column {0})")]
    NotJson(usize),
    #[error("a field stands twice (column {0})")]
    Twice(usize),
    #[error("`{0}` is missing, null or empty")]
    Missing(&'static str),
    #[error("`{0}` is not text")]
    NotText(&'static str),
    #[error("`properties` is not an object")]
    NotProperties,
    #[error("`time` is neither milliseconds nor ISO-8601 with an offset")]
    Time,
    #[error("`time` is beyond the years 1 to 9999")]
    ImplausibleTime,
    #[error("`{0}` is longer than 1,024 bytes")]
    FieldTooLong(&'static str),
    #[error("longer than {} MiB", super::files::MAX_LINE >> 20)]
    TooLong,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    event_id: Field<'a>,
    #[serde(borrow, default)]
    customer_id: Field<'a>,
    #[serde(borrow, default)]
    event: Field<'a>,
    #[serde(borrow, default)]
    time: Field<'a>,
    #[serde(borrow, default)]
    source: Field<'a>,
    #[serde(borrow, default)]
    properties: Entries<'a>,
}

/// Any value, so that what is wrong with it is said here, and not by a parser that would quote it.
#[derive(Default)]
enum Field<'a> {
    #[default]
    Null,
    Bool(bool),
    Integer(i64),
    Large(u64),
    Double(f64),
    Text(Cow<'a, str>),
    List(Vec<Element<'a>>),
    Nested,
}

/// A value in a list. What is a list in turn is passed over.
struct Element<'a>(Field<'a>);

#[derive(Default)]
enum Entries<'a> {
    #[default]
    Absent,
    Map(Vec<(Cow<'a, str>, Field<'a>)>),
    Other,
}

/// Reads one line, without its end.
pub(super) fn read_line(line: &[u8]) -> Result<OwnedEvent, BadLine> {
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(BadLine::NotJson(1));
    }
    let parsed: Line<'_> = serde_json::from_slice(line).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => BadLine::Twice(error.column()),
        _ => BadLine::NotJson(error.column()),
    })?;
    let id = text(&parsed.event_id, "event_id")?.filter(|id| !id.is_empty());
    let source = text(&parsed.source, "source")?;
    let customer = text(&parsed.customer_id, "customer_id")?.filter(|customer| !customer.is_empty());
    let envelope = Envelope {
        customer: customer.ok_or(BadLine::Missing("customer_id"))?,
        name: text(&parsed.event, "event")?.ok_or(BadLine::Missing("event"))?,
        at: time(&parsed.time)?,
        id,
        source,
    };
    if let Some(field) = envelope.too_long() {
        return Err(BadLine::FieldTooLong(field));
    }
    let mut properties = All::default();
    match &parsed.properties {
        Entries::Absent => {}
        Entries::Map(entries) => entries.iter().for_each(|(name, value)| properties.put(name, property(value))),
        Entries::Other => return Err(BadLine::NotProperties),
    }
    Ok(OwnedEvent::new(&envelope, line, properties))
}

fn text<'f>(field: &'f Field<'_>, name: &'static str) -> Result<Option<&'f str>, BadLine> {
    match field {
        Field::Null => Ok(None),
        Field::Text(text) => Ok(Some(text)),
        _ => Err(BadLine::NotText(name)),
    }
}

fn time(field: &Field<'_>) -> Result<Instant, BadLine> {
    let milliseconds = match field {
        Field::Null => return Err(BadLine::Missing("time")),
        Field::Integer(milliseconds) => *milliseconds,
        Field::Text(text) => {
            let stamp: jiff::Timestamp = text.parse().map_err(|_| BadLine::Time)?;
            // Rounded down, so that the order of instants is kept before 1970 too.
            i64::try_from(stamp.as_nanosecond().div_euclid(1_000_000)).map_err(|_| BadLine::ImplausibleTime)?
        }
        Field::Large(_) => return Err(BadLine::ImplausibleTime),
        _ => return Err(BadLine::Time),
    };
    plausible(milliseconds).ok_or(BadLine::ImplausibleTime)
}

fn property(field: &Field<'_>) -> Option<OwnedValue> {
    let number = |number: Option<Number>| number.map_or(OwnedValue::Unusable, OwnedValue::Number);
    match field {
        Field::Null | Field::Nested => None,
        Field::Bool(value) => Some(OwnedValue::Bool(*value)),
        Field::Integer(value) => Some(number(Some(Number::from_integer(*value)))),
        Field::Large(value) => {
            let millionths = i128::from(*value) * Number::ONE;
            Some(number((millionths < Number::LIMIT).then_some(Number(millionths))))
        }
        Field::Double(value) => Some(number(Number::from_double(*value))),
        Field::Text(text) => Some(OwnedValue::Text(text.as_ref().into())),
        Field::List(elements) => {
            Some(OwnedValue::list(elements.iter().filter_map(|Element(element)| property(element))))
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyField { in_a_list: false })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Element<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyField { in_a_list: true }).map(Element)
    }
}

struct AnyField {
    in_a_list: bool,
}

impl<'de> Visitor<'de> for AnyField {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E: Error>(self) -> Result<Field<'de>, E> {
        Ok(Field::Null)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Field<'de>, E> {
        Ok(Field::Bool(value))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Field<'de>, E> {
        Ok(Field::Integer(value))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Field<'de>, E> {
        Ok(i64::try_from(value).map_or(Field::Large(value), Field::Integer))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Field<'de>, E> {
        Ok(Field::Double(value))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Owned(text.into())))
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Borrowed(text)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field<'de>, A::Error> {
        if self.in_a_list {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Field::Nested);
        }
        let mut elements = Vec::new();
        while let Some(element) = items.next_element()? {
            elements.push(element);
        }
        Ok(Field::List(elements))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Field<'de>, A::Error> {
        while items.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Nested)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_unit<E: Error>(self) -> Result<Entries<'de>, E> {
                Ok(Entries::Absent)
            }
            fn visit_bool<E: Error>(self, _: bool) -> Result<Entries<'de>, E> {
                Ok(Entries::Other)
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<Entries<'de>, E> {
                Ok(Entries::Other)
            }
            fn visit_u64<E: Error>(self, _: u64) -> Result<Entries<'de>, E> {
                Ok(Entries::Other)
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<Entries<'de>, E> {
                Ok(Entries::Other)
            }
            fn visit_str<E: Error>(self, _: &str) -> Result<Entries<'de>, E> {
                Ok(Entries::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Entries<'de>, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Entries::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = items.next_key::<Field<'de>>()? {
                    let value = items.next_value()?;
                    if let Field::Text(name) = name {
                        entries.push((name, value));
                    }
                }
                Ok(Entries::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::{BadLine, read_line};
    use crate::codec::OwnedValue;
    use crate::event::{Instant, Number};

    fn read(line: &str) -> Result<crate::codec::OwnedEvent, BadLine> {
        read_line(line.as_bytes())
    }

    #[test]
    fn numbers_come_out_as_written() {
        let line = r#"{"customer_id":"c","event":"e","time":1,"properties":{"a":9007199254740993,"b":12.50,"c":-0.1,
            "d":18446744073709551615,"e":1e300,"f":true,"g":"t\u00e9","h":null,"i":{"x":[1]},"j":[1],"b2":0.0078125}}"#;
        let event = read(&line.replace('\n', "")).unwrap();
        let shown: Vec<_> = event
            .properties
            .iter()
            .map(|(name, value)| match value {
                OwnedValue::Number(number) => format!("{name}={number}"),
                other => format!("{name}={other:?}"),
            })
            .collect();
        let expected = [
            "a=9007199254740993",
            "b=12.5",
            "c=-0.1",
            "d=Unusable",
            "e=Unusable",
            "f=Bool(true)",
            "g=Text(\"té\")",
            "j=List([Number(Number(1000000))])",
            "b2=0.007812",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_list_of_values_is_read_and_what_is_nested_in_it_is_not() {
        let of = |list: &str| {
            let event = read(&format!(r#"{{"customer_id":"c","event":"e","time":1,"properties":{{"a":{list}}}}}"#));
            event.unwrap().properties[0].1.clone()
        };
        let text = |text: &str| OwnedValue::Text(text.to_owned());
        assert_eq!(
            of(r#"["x",true,null,[1],{"y":2},1e300]"#),
            OwnedValue::List(vec![text("x"), OwnedValue::Bool(true), OwnedValue::Unusable])
        );
        assert_eq!(of("[]"), OwnedValue::List(vec![]));
        let many = (0..100).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
        let OwnedValue::List(kept) = of(&format!("[{many}]")) else { panic!("a list") };
        assert_eq!((kept.len(), &kept[64]), (65, &OwnedValue::Unusable));
    }

    #[test]
    fn time_is_milliseconds_or_iso_with_an_offset() {
        let at =
            |time: &str| read(&format!(r#"{{"customer_id":"c","event":"e","time":{time}}}"#)).map(|event| event.at);
        assert_eq!(at("1700000000000"), Ok(Instant(1_700_000_000_000)));
        assert_eq!(at("-1"), Ok(Instant(-1)));
        assert_eq!(at(r#""2023-11-14T22:13:20Z""#), Ok(Instant(1_700_000_000_000)));
        assert_eq!(at(r#""2023-11-14T23:13:20.0009+01:00""#), Ok(Instant(1_700_000_000_000)));
        assert_eq!(at(r#""1969-12-31T23:59:59.9999Z""#), Ok(Instant(-1)));
        assert_eq!(at(r#""2023-11-14T22:13:20""#), Err(BadLine::Time));
        assert_eq!(at("1.5"), Err(BadLine::Time));
        assert_eq!(at("null"), Err(BadLine::Missing("time")));
        assert_eq!(at("1700000000000000"), Err(BadLine::ImplausibleTime));
    }

    #[test]
    fn what_is_wrong_is_said_without_quoting_it() {
        let wrong = |line: &str| read(line).unwrap_err();
        assert_eq!(wrong("[1]"), BadLine::NotJson(1));
        assert_eq!(wrong(r#"{"customer_id":"c","event":"e","time":1"#), BadLine::NotJson(39));
        assert!(matches!(wrong(r#"{"event":"e","event":"f"}"#), BadLine::Twice(_)));
        assert_eq!(wrong(r#"{"event":"e","time":1}"#), BadLine::Missing("customer_id"));
        assert_eq!(wrong(r#"{"customer_id":"","event":"e","time":1}"#), BadLine::Missing("customer_id"));
        assert_eq!(wrong(r#"{"customer_id":7,"event":"e","time":1}"#), BadLine::NotText("customer_id"));
        assert_eq!(wrong(r#"{"customer_id":"c","event":"e","time":1,"properties":[1]}"#), BadLine::NotProperties);
        assert!(matches!(wrong(&format!(r#"{{"x":{}"#, "[".repeat(100_000))), BadLine::NotJson(_)));
    }

    #[test]
    fn the_hash_of_the_line_stands_in_for_a_missing_id() {
        let with = |id: &str| read(&format!(r#"{{"customer_id":"c","event":"e","time":1{id}}}"#)).unwrap();
        assert_eq!(with(r#","event_id":"x""#).record_hash, 0);
        assert_eq!(with("").record_hash, with("").record_hash);
        assert_ne!(with("").record_hash, 0);
        assert_ne!(with("").record_hash, with(" ").record_hash);
        assert_eq!(with(r#","event_id":"""#).id, None);
        let repeated = with(r#","properties":{"a":1,"b":2,"a":null,"b":3}"#);
        assert_eq!(repeated.properties, [("b".to_owned(), OwnedValue::Number(Number::from_integer(3)))]);
    }
}
