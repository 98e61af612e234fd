//! Owned events, for files, whose events are sorted before they are decided.

use super::envelope::{Envelope, record_hash};
use super::keep::{Keep, Kept};
use crate::event::{CustomerEvent, Instant, LISTED_MAX, Number, Properties, Value, Vocabulary};

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

/// A property with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnedValue {
    Bool(bool),
    Number(Number),
    Text(String),
    /// The first values of a list that are usable, up to the limit, none of which is a list; and the number of others.
    List {
        values: Vec<OwnedValue>,
        unusable: u32,
    },
    /// Not a number, or out of range; bytes, an object, a list in a list: missing, and counted.
    Unusable,
}

impl OwnedValue {
    /// `None`: it counts as missing.
    fn borrowed(&self) -> Option<Value<'_>> {
        match self {
            Self::Bool(value) => Some(Value::Bool(*value)),
            Self::Number(value) => Some(Value::Number(*value)),
            Self::Text(value) => Some(Value::Text(value)),
            Self::List { .. } | Self::Unusable => None,
        }
    }

    fn of(value: Kept<'_>) -> Option<Self> {
        match value {
            Kept::Absent => None,
            Kept::Unusable => Some(Self::Unusable),
            Kept::Value(Value::Bool(value)) => Some(Self::Bool(value)),
            Kept::Value(Value::Number(value)) => Some(Self::Number(value)),
            Kept::Value(Value::Text(value)) => Some(Self::Text(value.into())),
        }
    }

    pub(super) fn list(values: impl IntoIterator<Item = Self>) -> Self {
        let mut list = Self::empty_list();
        values.into_iter().for_each(|value| list.add(value));
        list
    }

    fn empty_list() -> Self {
        Self::List { values: Vec::new(), unusable: 0 }
    }

    /// The next value of a list, counted as on a topic.
    fn add(&mut self, value: Self) {
        let Self::List { values, unusable } = self else { return };
        match value {
            Self::Bool(_) | Self::Number(_) | Self::Text(_) if values.len() < LISTED_MAX => values.push(value),
            _ => *unusable = unusable.saturating_add(1),
        }
    }
}

impl OwnedEvent {
    /// The same event as from [`Reader::decode`](super::Reader::decode). `properties` is cleared first.
    pub fn borrowed<'a, 'b>(
        &'a self,
        vocabulary: &Vocabulary,
        properties: &'b mut Properties<'a>,
    ) -> CustomerEvent<'b> {
        properties.clear();
        let mut unusable_values = 0;
        for (name, value) in &self.properties {
            let Some(id) = vocabulary.property(name) else { continue };
            let (id, values, unusable) = match value {
                OwnedValue::List { values, unusable } => (id.in_a_list(), values.as_slice(), *unusable),
                single => (id, std::slice::from_ref(single), u32::from(single.borrowed().is_none())),
            };
            properties.extend(values.iter().filter_map(|value| Some((id, value.borrowed()?))));
            unusable_values = unusable.saturating_add(unusable_values);
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

    fn slot_of(&mut self, name: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(name).ok()
    }

    fn keep(&mut self, slot: &'a str, value: Kept<'a>) {
        self.put(slot, OwnedValue::of(value));
    }

    fn begin_list(&mut self, slot: &'a str) {
        self.put(slot, Some(OwnedValue::empty_list()));
    }

    fn listed(&mut self, slot: &'a str, value: Kept<'a>) {
        let list = self.0.iter_mut().find(|(name, _)| name == slot);
        if let (Some((_, list)), Some(value)) = (list, OwnedValue::of(value)) {
            list.add(value);
        }
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
