//! Decodes one line of JSON to one event.

use std::borrow::Cow;

use super::envelope::Envelope;
use super::json::{Json, NotJson, Text, members};
use super::owned::{All, OwnedEvent, OwnedValue};
use super::unread::Unread;
use crate::event::Instant;

/// The length limit of a line, in bytes: a record of a topic is far shorter.
pub(super) const MAX_LINE: usize = 16 << 20;

/// What is wrong with a line. Never contains its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    #[error("not a JSON object (column {0})")]
    NotJson(usize),
    #[error("`{0}` appears twice")]
    Twice(&'static str),
    #[error("`{0}` is missing, null or empty")]
    Missing(&'static str),
    #[error("`{0}` is not text")]
    NotText(&'static str),
    /// Two customers whose ids were cut in the middle of a character would be merged.
    #[error("`{0}` contains a truncated character or bytes that are not UTF-8")]
    NotUnicode(&'static str),
    #[error("`properties` is not an object")]
    NotProperties,
    #[error("`time` is neither milliseconds nor ISO-8601 with an offset")]
    Time,
    #[error("`time` is beyond the years 1 to 9999")]
    ImplausibleTime,
    #[error("`{0}` is longer than 1,024 bytes")]
    FieldTooLong(&'static str),
    #[error("longer than {} MiB", MAX_LINE >> 20)]
    TooLong,
    /// Of CSV, as those below.
    #[error("it has {found} cells, and the header {columns}")]
    Cells { found: usize, columns: usize },
    #[error("a quote is not closed")]
    Quote,
    #[error("it is not UTF-8; save the file as UTF-8")]
    NotUtf8,
}

impl From<NotJson> for BadLine {
    fn from(NotJson(column): NotJson) -> Self {
        Self::NotJson(column)
    }
}

/// The fields that are used.
const FIELDS: [&str; 6] = ["event_id", "customer_id", "event", "time", "source", "properties"];

/// Reads one line, without its line break. Names of unused fields are added to `unread`.
pub(super) fn read_line(line: &[u8], unread: &mut Unread) -> Result<OwnedEvent, BadLine> {
    let mut fields = [None; FIELDS.len()];
    let mut twice = None;
    for member in members(line)? {
        let (name, value) = member?;
        match FIELDS.iter().position(|field| name.is(field)) {
            Some(field) if fields[field].replace(value).is_some() => twice = twice.or(Some(FIELDS[field])),
            Some(_) => {}
            None => unread.note(name),
        }
    }
    if let Some(field) = twice {
        return Err(BadLine::Twice(field));
    }
    let [id, customer, name, at, source, properties] = fields.map(|field| field.unwrap_or(Json::Null));
    let id = text(id, "event_id")?.filter(|id| !id.is_empty());
    let customer = text(customer, "customer_id")?.filter(|customer| !customer.is_empty());
    let name = text(name, "event")?;
    let source = match source {
        Json::Text(source) => Some(source.lossy()),
        source => text(source, "source")?,
    };
    let envelope = Envelope {
        customer: customer.as_deref().ok_or(BadLine::Missing("customer_id"))?,
        name: name.as_deref().ok_or(BadLine::Missing("event"))?,
        at: time(at)?,
        id: id.as_deref(),
        source: source.as_deref(),
    };
    if let Some(field) = envelope.too_long() {
        return Err(BadLine::FieldTooLong(field));
    }
    let mut kept = All::default();
    match properties {
        Json::Null => {}
        Json::Object(entries) => entries.members().for_each(|(name, value)| kept.put(&name.lossy(), property(value))),
        _ => return Err(BadLine::NotProperties),
    }
    Ok(OwnedEvent::new(&envelope, line, kept))
}

fn text<'a>(value: Json<'a>, name: &'static str) -> Result<Option<Cow<'a, str>>, BadLine> {
    match value {
        Json::Null => Ok(None),
        Json::Text(text) => text.exact().map(Some).ok_or(BadLine::NotUnicode(name)),
        _ => Err(BadLine::NotText(name)),
    }
}

fn time(value: Json<'_>) -> Result<Instant, BadLine> {
    let at = match value {
        Json::Null => return Err(BadLine::Missing("time")),
        Json::Number(digits) => Instant(digits.whole().ok_or(BadLine::ImplausibleTime)?),
        Json::Text(text) => spelled(text).ok_or(BadLine::Time)?,
        _ => return Err(BadLine::Time),
    };
    at.plausible().ok_or(BadLine::ImplausibleTime)
}

/// ISO-8601, or milliseconds as a text.
fn spelled(text: Text<'_>) -> Option<Instant> {
    let text = text.lossy();
    // Eight digits may be a date, ten are seconds, and fourteen a date and a time of day.
    if matches!(text.len(), 12 | 13 | 15) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Instant);
    }
    Instant::parse(&text)
}

fn property(value: Json<'_>) -> Option<OwnedValue> {
    match value {
        Json::Null => None,
        Json::Bool(value) => Some(OwnedValue::Bool(value)),
        Json::Number(digits) => Some(digits.number().map_or(OwnedValue::Unusable, OwnedValue::Number)),
        Json::Text(text) => Some(OwnedValue::Text(text.lossy().into_owned())),
        Json::Array(items) => Some(OwnedValue::list(items.items().filter_map(single))),
        Json::Object(_) => Some(OwnedValue::Unusable),
    }
}

/// A value of a list, which is not a list itself.
fn single(value: Json<'_>) -> Option<OwnedValue> {
    match value {
        Json::Array(_) => Some(OwnedValue::Unusable),
        value => property(value),
    }
}

#[cfg(test)]
mod tests {
    use super::{BadLine, Unread, read_line};
    use crate::codec::{OwnedEvent, OwnedValue};
    use crate::event::{Instant, Number};

    fn read(line: &str) -> Result<OwnedEvent, BadLine> {
        read_line(line.as_bytes(), &mut Unread::default())
    }

    fn properties(line: &str) -> Vec<String> {
        let shown = |(name, value): (String, OwnedValue)| match value {
            OwnedValue::Number(number) => format!("{name}={number}"),
            other => format!("{name}={other:?}"),
        };
        read(line).unwrap().properties.into_iter().map(shown).collect()
    }

    #[test]
    fn numbers_come_out_as_written() {
        let line = r#"{"customer_id":"c","event":"e","time":1,"properties":{"a":9007199254740993,"b":12.50,"c":-0.1,
            "d":18446744073709551615,"e":1e300,"f":true,"g":"t\u00e9","h":null,"b2":0.0078125}}"#;
        let expected = [
            "a=9007199254740993",
            "b=12.5",
            "c=-0.1",
            "d=Unusable",
            "e=Unusable",
            "f=Bool(true)",
            "g=Text(\"té\")",
            "b2=0.007812",
        ];
        assert_eq!(properties(&line.replace('\n', "")), expected);
    }

    #[test]
    fn a_bad_value_costs_no_more_than_itself() {
        let line = r#"{"customer_id":"c","event":"e","time":1,"note":"cut \ud83c","far":[1e999,{"x":NaN}],"properties":{
            "over":1e400,"nan":NaN,"list":["a"],"object":{"a":1},"cut":"cut \ud83c","\ud83c":1,"sound":2}}"#;
        let expected = [
            "over=Unusable",
            "nan=Unusable",
            "list=List { values: [Text(\"a\")], unusable: 0 }",
            "object=Unusable",
            "cut=Text(\"cut \u{fffd}\")",
            "\u{fffd}=1",
            "sound=2",
        ];
        assert_eq!(properties(&line.replace('\n', "")), expected);
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
            OwnedValue::List { values: vec![text("x"), OwnedValue::Bool(true)], unusable: 3 }
        );
        assert_eq!(of("[]"), OwnedValue::List { values: vec![], unusable: 0 });
        let many = (0..100).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
        let OwnedValue::List { values, unusable } = of(&format!("[[],{many}]")) else { panic!("a list") };
        assert_eq!((values.len(), unusable), (64, 37));
    }

    #[test]
    fn an_id_that_is_not_quite_known_is_nobodys() {
        let line = |id: &str, event: &str| format!(r#"{{"customer_id":"{id}","event":"{event}","time":1}}"#);
        assert_eq!(read(&line(r"c\ud83c", "e")), Err(BadLine::NotUnicode("customer_id")));
        assert_eq!(read(&line("c", r"\udf81")), Err(BadLine::NotUnicode("event")));
        assert!(read(&line(r"\ud83c\udf81", "e")).is_ok());
    }

    #[test]
    fn time_is_milliseconds_or_iso_with_an_offset() {
        let at =
            |time: &str| read(&format!(r#"{{"customer_id":"c","event":"e","time":{time}}}"#)).map(|event| event.at);
        for same in ["1700000000000", "1.7e12", "1700000000000.9", r#""1700000000000""#, r#""2023-11-14T22:13:20Z""#] {
            assert_eq!(at(same), Ok(Instant(1_700_000_000_000)), "{same}");
        }
        assert_eq!(at("-1"), Ok(Instant(-1)));
        assert_eq!(at(r#""2023-11-14T23:13:20.0009+01:00""#), Ok(Instant(1_700_000_000_000)));
        assert_eq!(at(r#""1969-12-31T23:59:59.9999Z""#), Ok(Instant(-1)));
        assert_eq!(at(r#""2023-11-14T22:13:20""#), Err(BadLine::Time));
        assert_eq!(at(r#""20231114""#), Err(BadLine::Time));
        assert_eq!(at("true"), Err(BadLine::Time));
        assert_eq!(at("null"), Err(BadLine::Missing("time")));
        for beyond in ["1700000000000000", "1e400", "253402300800000", r#""253402300800000""#] {
            assert_eq!(at(beyond), Err(BadLine::ImplausibleTime), "{beyond}");
        }
    }

    #[test]
    fn the_last_instant_of_the_year_9999_is_one_instant_however_it_is_written() {
        let at =
            |time: &str| read(&format!(r#"{{"customer_id":"c","event":"e","time":{time}}}"#)).map(|event| event.at);
        for same in ["253402300799999", r#""9999-12-31T23:59:59.999Z""#, r#""9999-12-31T22:59:59.999-01:00""#] {
            assert_eq!(at(same), Ok(Instant::LATEST), "{same}");
        }
        assert_eq!(at(r#""9999-12-31T23:59:59.999-00:01""#), Err(BadLine::ImplausibleTime));
        assert_eq!(at(r#""0001-01-01T00:00:00Z""#), Ok(Instant::EARLIEST));
        assert_eq!(at(r#""0000-12-31T23:59:59Z""#), Err(BadLine::ImplausibleTime));
    }

    #[test]
    fn mistakes_are_reported_without_quoting_them() {
        let wrong = |line: &str| read(line).unwrap_err();
        assert_eq!(wrong("[1]"), BadLine::NotJson(1));
        assert_eq!(wrong(r#"{"customer_id":"c","event":"e","time":1"#), BadLine::NotJson(39));
        assert_eq!(wrong(r#"{"event":"e","event":"f"}"#), BadLine::Twice("event"));
        assert_eq!(wrong(r#"{"event":"e","time":1}"#), BadLine::Missing("customer_id"));
        assert_eq!(wrong(r#"{"customer_id":"","event":"e","time":1}"#), BadLine::Missing("customer_id"));
        assert_eq!(wrong(r#"{"customer_id":7,"event":"e","time":1}"#), BadLine::NotText("customer_id"));
        assert_eq!(wrong(r#"{"customer_id":"c","event":"e","time":1,"properties":[1]}"#), BadLine::NotProperties);
        assert!(matches!(wrong(&format!(r#"{{"x":{}"#, "[".repeat(100_000))), BadLine::NotJson(_)));
    }

    #[test]
    fn what_nobody_reads_may_stand_twice() {
        assert!(read(r#"{"customer_id":"c","event":"e","time":1,"x":1,"x":2}"#).is_ok());
    }

    #[test]
    fn fields_beside_those_that_are_read_are_named_once() {
        let mut unread = Unread::default();
        for _ in 0..2 {
            let line = r#"{"customer_id":"c","event":"e","time":1,"amount":1,"chann\u0065l":2}"#;
            read_line(line.as_bytes(), &mut unread).unwrap();
        }
        assert_eq!(unread.names(), ["amount", "channel"]);
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
