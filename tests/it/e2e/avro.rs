//! Customer events as bytes and back, by `apache_avro`, which knows nothing of the daemon's own codec.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use cohortd::event::{Instant, Number};

use crate::naive::{LogEvent, OwnedValue};

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::parse_str(include_str!("../../../schemas/customer-event.avsc")).unwrap());

/// Not `apache_avro`'s: it computes another one for schemas with logical types than the specification does.
static FINGERPRINT: LazyLock<u64> = LazyLock::new(|| cohortd::codec::Reader::built_in().fingerprint());

/// An event without anything that is not asked for.
pub(super) fn event(customer: &str, name: &str, at: i64, id: Option<String>) -> LogEvent {
    LogEvent {
        customer: customer.to_owned(),
        name: name.to_owned(),
        at: Instant(at),
        id,
        source: None,
        record_hash: 0,
        properties: Vec::new(),
    }
}

/// The datum alone.
pub(super) fn datum(event: &LogEvent) -> Vec<u8> {
    let optional = |text: &Option<String>| match text {
        Some(text) => Avro::Union(1, Box::new(Avro::String(text.clone()))),
        None => Avro::Union(0, Box::new(Avro::Null)),
    };
    let value = |value: &OwnedValue| {
        let (branch, value) = match value {
            OwnedValue::Null => (0, Avro::Null),
            OwnedValue::Bool(flag) => (1, Avro::Boolean(*flag)),
            OwnedValue::Number(number) => (2, Avro::Long(i64::try_from(number.0 / Number::ONE).unwrap())),
            OwnedValue::Text(text) => (4, Avro::String(text.clone())),
            OwnedValue::List(_) => panic!("the built-in schema has no lists"),
        };
        Avro::Union(branch, Box::new(value))
    };
    let properties = event.properties.iter().map(|(name, found)| (name.clone(), value(found))).collect();
    let record = Avro::Record(vec![
        ("event_id".into(), optional(&event.id)),
        ("customer_id".into(), Avro::String(event.customer.clone())),
        ("event".into(), Avro::String(event.name.clone())),
        ("occurred_at".into(), Avro::TimestampMillis(event.at.0)),
        ("source".into(), optional(&event.source)),
        ("properties".into(), Avro::Map(properties)),
    ]);
    GenericDatumWriter::builder(&SCHEMA).build().unwrap().write_value_to_vec(record).unwrap()
}

/// Single-object encoding: found by the daemon without a registry.
pub(super) fn encode(event: &LogEvent) -> Vec<u8> {
    let mut bytes = vec![0xc3, 0x01];
    bytes.extend_from_slice(&FINGERPRINT.to_le_bytes());
    bytes.extend(datum(event));
    bytes
}

/// Confluent's wire format.
pub(super) fn framed(id: u32, event: &LogEvent) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend(datum(event));
    bytes
}

/// What `encode` or `framed` wrote; `None` for anything else.
pub(super) fn decode(record: &[u8]) -> Option<LogEvent> {
    let mut bytes = match record {
        [0xc3, 0x01, rest @ ..] => rest.get(8..)?,
        [0, rest @ ..] => rest.get(4..)?,
        _ => return None,
    };
    let Avro::Record(fields) = GenericDatumReader::builder(&SCHEMA).build().unwrap().read_value(&mut bytes).ok()?
    else {
        return None;
    };
    let mut hasher = DefaultHasher::new();
    record.hash(&mut hasher);
    let mut event = event("", "", 0, None);
    event.record_hash = hasher.finish();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("event_id", Avro::Union(_, text)) => event.id = optional(*text),
            ("source", Avro::Union(_, text)) => event.source = optional(*text),
            ("customer_id", Avro::String(text)) => event.customer = text,
            ("event", Avro::String(text)) => event.name = text,
            ("occurred_at", Avro::TimestampMillis(ms)) => event.at = Instant(ms),
            ("properties", Avro::Map(properties)) => {
                event.properties = properties.into_iter().map(|(name, value)| (name, property(value))).collect();
                event.properties.sort_by(|a, b| a.0.cmp(&b.0));
            }
            (name, value) => panic!("field {name} is {value:?}"),
        }
    }
    Some(event)
}

fn optional(value: Avro) -> Option<String> {
    match value {
        Avro::String(text) => Some(text),
        _ => None,
    }
}

fn property(value: Avro) -> OwnedValue {
    let Avro::Union(_, value) = value else { panic!("a property is a union") };
    match *value {
        Avro::Null => OwnedValue::Null,
        Avro::Boolean(flag) => OwnedValue::Bool(flag),
        Avro::Long(number) => OwnedValue::Number(Number::from_integer(number)),
        Avro::Double(number) => Number::from_double(number).map_or(OwnedValue::Null, OwnedValue::Number),
        Avro::String(text) => OwnedValue::Text(text),
        other => panic!("a property is {other:?}"),
    }
}
