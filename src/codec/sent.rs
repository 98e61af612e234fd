//! Encodes events as records of an input topic, for the demo's shop.
//!
//! Written by hand for `schemas/customer-event.avsc`, as [`Encoder`](super::Encoder) for the output schemas.

use super::Reader;
use super::write::{block, end_after, instant, long, optional, text};
use crate::event::{Instant, Number, Value};

/// One event to send.
#[derive(Debug, Clone, Copy)]
pub struct SentEvent<'a> {
    pub id: Option<&'a str>,
    pub customer: &'a str,
    pub name: &'a str,
    pub at: Instant,
    pub source: Option<&'a str>,
    pub properties: &'a [(&'a str, Value<'a>)],
}

/// Encodes `CustomerEvent` records in single-object encoding, which needs no registry.
#[derive(Debug, Clone)]
pub struct EventEncoder {
    tag: Box<[u8]>,
}

impl EventEncoder {
    #[must_use]
    pub fn new() -> Self {
        let fingerprint = Reader::built_in().fingerprint();
        Self { tag: [0xc3, 0x01].into_iter().chain(fingerprint.to_le_bytes()).collect() }
    }

    /// Appends one record to `record`.
    pub fn event(&self, event: &SentEvent<'_>, record: &mut Vec<u8>) {
        record.extend_from_slice(&self.tag);
        optional(record, event.id, text);
        text(record, event.customer);
        text(record, event.name);
        instant(record, event.at);
        optional(record, event.source, text);
        block(record, event.properties.len());
        for (name, value) in event.properties {
            text(record, name);
            property(record, *value);
        }
        end_after(record, event.properties.len());
    }
}

impl Default for EventEncoder {
    fn default() -> Self {
        Self::new()
    }
}

/// One branch of `["null", "boolean", "long", "double", "string"]`.
fn property(record: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Bool(value) => {
            long(record, 1);
            record.push(u8::from(value));
        }
        Value::Number(Number(millionths)) => match i64::try_from(millionths / Number::ONE) {
            Ok(whole) if millionths % Number::ONE == 0 => {
                long(record, 2);
                long(record, whole);
            }
            _ => {
                long(record, 3);
                record.extend_from_slice(&(millionths as f64 / Number::ONE as f64).to_le_bytes());
            }
        },
        Value::Text(value) => {
            long(record, 4);
            text(record, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EventEncoder, SentEvent};
    use crate::codec::{Framing, Lookup, Schemas};
    use crate::event::{Instant, Number, Properties, Value, Vocabulary};

    #[test]
    fn what_is_sent_is_read_back() {
        let properties =
            [("step", Value::Number(Number::from_integer(2))), ("amount", Value::Number(Number(12_500_000)))];
        let sent = SentEvent {
            id: Some("e1"),
            customer: "c1",
            name: "purchase",
            at: Instant(1_700_000_000_000),
            source: None,
            properties: &properties,
        };
        let mut record = Vec::new();
        EventEncoder::new().event(&sent, &mut record);
        let (key, datum) = Framing::Tagged.split(&record).unwrap();
        let mut schemas = Schemas::built_in();
        let Lookup::Ready(reader) = schemas.lookup(key) else { panic!("the built-in schema is known") };
        let mut vocabulary = Vocabulary::default();
        let (step, amount) = (vocabulary.add_property("step"), vocabulary.add_property("amount"));
        let mut read = Properties::new();
        let event = reader.decode(datum, &vocabulary, &mut read).unwrap();
        assert_eq!((event.id, event.customer, event.name, event.at), (Some("e1"), "c1", "purchase", sent.at));
        assert_eq!(event.property(step), Some(properties[0].1));
        assert_eq!(event.property(amount), Some(properties[1].1));
    }
}
