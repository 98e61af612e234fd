//! Events that own what they say: of files, which are sorted before they are decided.

use super::reader::{Envelope, Keep, Kept, record_hash};
use crate::event::{CustomerEvent, Instant, Number, Properties, Value, Vocabulary};

/// One event of a file, with all its properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedEvent {
    pub customer: String,
    pub name: String,
    pub at: Instant,
    pub id: Option<String>,
    pub source: Option<String>,
    /// As [`CustomerEvent::record_hash`]; of a line of JSON, the hash of its bytes without the line's end.
    pub record_hash: u64,
    /// In the order read, each name once.
    pub properties: Vec<(String, OwnedValue)>,
}

/// A property that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnedValue {
    Bool(bool),
    Number(Number),
    Text(String),
    /// A number that is not one, or too large; bytes, a list, an object: missing, and counted.
    Unusable,
}

impl OwnedEvent {
    /// The same facts as [`Reader::decode`](super::Reader::decode) gives. `properties` is cleared first.
    pub fn borrowed<'a, 'b>(
        &'a self,
        vocabulary: &Vocabulary,
        properties: &'b mut Properties<'a>,
    ) -> CustomerEvent<'b> {
        properties.clear();
        let mut unusable_values = 0;
        for (name, value) in &self.properties {
            let Some(id) = vocabulary.property(name) else { continue };
            let value = match value {
                OwnedValue::Bool(value) => Value::Bool(*value),
                OwnedValue::Number(value) => Value::Number(*value),
                OwnedValue::Text(value) => Value::Text(value),
                OwnedValue::Unusable => {
                    unusable_values += 1;
                    continue;
                }
            };
            properties.push((id, value));
        }
        CustomerEvent {
            customer: &self.customer,
            name: &self.name,
            name_id: vocabulary.name(&self.name),
            at: self.at,
            id: self.id.as_deref(),
            source: self.source.as_deref(),
            record_hash: self.record_hash,
            unusable_values,
            properties,
        }
    }

    pub(super) fn new(envelope: &Envelope<'_>, record: &[u8], properties: All) -> Self {
        Self {
            customer: envelope.customer.into(),
            name: envelope.name.into(),
            at: envelope.at,
            id: envelope.id.map(Into::into),
            source: envelope.source.map(Into::into),
            record_hash: if envelope.id.is_some() { 0 } else { record_hash(record) },
            properties: properties.0,
        }
    }
}

/// Keeps every property. A repeated name: the last wins.
#[derive(Default)]
pub(super) struct All(Vec<(String, OwnedValue)>);

impl<'a> Keep<'a> for All {
    type Slot = &'a str;

    fn wants(&mut self, name: &'a str) -> Option<&'a str> {
        Some(name)
    }

    fn keep(&mut self, slot: &'a str, value: Kept<'a>) {
        self.put(
            slot,
            match value {
                Kept::Absent => None,
                Kept::Unusable => Some(OwnedValue::Unusable),
                Kept::Value(Value::Bool(value)) => Some(OwnedValue::Bool(value)),
                Kept::Value(Value::Number(value)) => Some(OwnedValue::Number(value)),
                Kept::Value(Value::Text(value)) => Some(OwnedValue::Text(value.into())),
            },
        );
    }
}

impl All {
    pub(super) fn put(&mut self, name: &str, value: Option<OwnedValue>) {
        match (value, self.0.iter().position(|(earlier, _)| earlier == name)) {
            (Some(value), Some(position)) => self.0[position].1 = value,
            (Some(value), None) => self.0.push((name.into(), value)),
            (None, Some(position)) => drop(self.0.remove(position)),
            (None, None) => {}
        }
    }
}
