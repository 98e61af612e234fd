//! What is known of one field.

use super::sketch::{Distinct, Frequent, hash};
use super::value::{Kind, Value};
use crate::event::Digits;

/// The places for the most frequent values, where values may be shown.
const VALUES_MAX: usize = 16;

/// One field of the records of a topic.
#[derive(Debug, Default)]
pub(super) struct FieldStats {
    /// Values by kind, in the order of [`Kind::ALL`].
    kinds: [u64; Kind::ALL.len()],
    /// Records that have it, not as null.
    pub(super) records: u64,
    /// The last record that had it, counted from 1.
    last_record: u64,
    pub(super) distinct: Distinct,
    /// Only where values may be shown.
    pub(super) values: Option<Frequent>,
}

impl FieldStats {
    pub(super) fn new(shows_values: bool) -> Self {
        Self { values: shows_values.then(|| Frequent::new(VALUES_MAX)), ..Self::default() }
    }

    /// Counts a value of a record. Returns the hash of what it is as text: an id that is a number here and a text there has
    /// one hash.
    pub(super) fn add(&mut self, value: &Value<'_>, kind: Kind, record: u64, bytes: u64) -> Option<u64> {
        self.kinds[kind as usize] += 1;
        if kind == Kind::Null {
            return None;
        }
        if self.last_record != record {
            self.last_record = record;
            self.records += 1;
        }
        let hash = hashed(value)?;
        self.distinct.add(hash);
        if let Some(values) = &mut self.values {
            as_text(value, |text| values.add(text, bytes));
        }
        Some(hash)
    }

    /// How many values it had, nulls too.
    pub(super) fn count(&self) -> u64 {
        self.kinds.iter().sum()
    }

    /// The kinds of its values with their counts, the most frequent first; null only where there is nothing else.
    pub(super) fn kinds(&self) -> Vec<(Kind, u64)> {
        let mut kinds: Vec<(Kind, u64)> = (Kind::ALL.iter().zip(&self.kinds))
            .filter(|(kind, count)| **count > 0 && (**kind != Kind::Null || self.records == 0))
            .map(|(kind, count)| (*kind, *count))
            .collect();
        kinds.sort_by_key(|(kind, count)| (std::cmp::Reverse(*count), *kind));
        kinds
    }

    /// The kind of most of its values; `None`: it has none but nulls.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.kinds().first().map(|(kind, _)| *kind).filter(|kind| *kind != Kind::Null)
    }
}

/// The hash of a single value as text. `None`: it is none.
fn hashed(value: &Value<'_>) -> Option<u64> {
    Some(match value {
        Value::Bool(flag) => hash(if *flag { b"true" } else { b"false" }),
        Value::Whole(number) => hash(Digits::of(*number).as_bytes()),
        Value::Number(written) => hash(written),
        Value::Moment(millis, _) => hash(Digits::of(millis.unwrap_or(i64::MAX)).as_bytes()),
        Value::Date(days) => hash(Digits::of((*days).into()).as_bytes()),
        Value::TimeOfDay(micros) => hash(Digits::of(*micros).as_bytes()),
        Value::Text(text) => hash(text.as_bytes()),
        Value::Bytes(bytes) => hash(bytes),
        Value::Null | Value::List | Value::Record => return None,
    })
}

/// Calls `of` with a value as text, if it is one that can be shown.
fn as_text(value: &Value<'_>, of: impl FnOnce(&str)) {
    match value {
        Value::Bool(flag) => of(if *flag { "true" } else { "false" }),
        Value::Whole(number) => of(Digits::of(*number).as_str()),
        Value::Number(written) => of(std::str::from_utf8(written).unwrap_or("decimal")),
        Value::Moment(Some(millis), _) => of(&crate::event::Instant(*millis).to_string()),
        Value::Text(text) => of(text),
        _ => {}
    }
}

/// The hash of what identifies a person, whatever the spelling: an address is the same in capitals.
pub(super) fn customer_hash(value: &Value<'_>, plain: u64) -> u64 {
    match value {
        Value::Text(text) if text.contains('@') => hash(text.trim().to_lowercase().as_bytes()),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::{FieldStats, Kind, Value, customer_hash};

    #[test]
    fn a_record_with_several_values_has_the_field_once_and_nulls_are_not_there() {
        let mut field = FieldStats::new(true);
        assert_eq!(field.kind(), None);
        let add = |field: &mut FieldStats, value: Value<'_>, record| field.add(&value, value.kind(), record, 10);
        add(&mut field, Value::Null, 1);
        assert_eq!(field.kinds(), [(Kind::Null, 1)]);
        let one = add(&mut field, Value::Whole(7), 2);
        assert_eq!(add(&mut field, Value::Text("7".into()), 2), one, "a number and its text are one id");
        add(&mut field, Value::Text("x".into()), 3);
        assert_eq!((field.records, field.distinct.count()), (2, 2));
        assert_eq!(field.kinds(), [(Kind::Whole, 1), (Kind::Text, 1), (Kind::NumberText, 1)]);
        assert_eq!(field.values.unwrap().sorted()[0].0, "7");
    }

    #[test]
    fn an_address_is_the_same_in_capitals() {
        let hash = |text: &'static str| customer_hash(&Value::Text(text.into()), text.len() as u64);
        assert_eq!(hash("Jean@Example.com "), hash("jean@example.com"));
        assert_ne!(hash("AB"), hash("ab@"));
    }
}
