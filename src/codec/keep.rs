//! Which properties of an event are kept, and how.

use crate::event::{LISTED_MAX, Properties, PropertyId, Value, Vocabulary};

/// Stores properties: only those that the rules use, or all.
pub(super) trait Keep<'a> {
    type Slot: Copy;
    /// The slot of a property with this name, if it is wanted. A name that is not UTF-8 is not.
    fn slot_of(&mut self, name: &'a [u8]) -> Option<Self::Slot>;
    /// Replaces the value in the slot.
    fn keep(&mut self, slot: Self::Slot, value: Kept<'a>);
    /// Replaces the value in the slot by an empty list.
    fn begin_list(&mut self, slot: Self::Slot);
    /// The next value of the list.
    fn listed(&mut self, slot: Self::Slot, value: Kept<'a>);
}

/// The value of a property.
pub(super) enum Kept<'a> {
    /// Null: like a missing property.
    Absent,
    /// Not a number, or out of range; text that is not UTF-8; bytes, a list, a record.
    Unusable,
    Value(Value<'a>),
}

/// Keeps the properties in the vocabulary.
pub(super) struct Known<'v, 'b, 'a> {
    pub(super) vocabulary: &'v Vocabulary,
    pub(super) properties: &'b mut Properties<'a>,
    pub(super) unusable: u32,
    /// Is any property of this event a list?
    pub(super) lists: bool,
    /// The number of values kept of the current list.
    pub(super) listed: usize,
}

impl<'a> Keep<'a> for Known<'_, '_, 'a> {
    type Slot = PropertyId;

    #[inline]
    fn slot_of(&mut self, name: &'a [u8]) -> Option<PropertyId> {
        self.vocabulary.property_of(name)
    }

    #[inline]
    fn keep(&mut self, slot: PropertyId, value: Kept<'a>) {
        // A map should not repeat a key. If it does, the last value wins, so that each property occurs at most once.
        if self.lists {
            self.properties.retain(|(id, _)| *id != slot.in_a_list());
        }
        let earlier = self.properties.iter().position(|(id, _)| *id == slot);
        match (value, earlier) {
            (Kept::Value(value), Some(position)) => self.properties[position].1 = value,
            (Kept::Value(value), None) => self.properties.push((slot, value)),
            (other, earlier) => {
                if let Some(position) = earlier {
                    self.properties.remove(position);
                }
                self.unusable += u32::from(matches!(other, Kept::Unusable));
            }
        }
    }

    fn begin_list(&mut self, slot: PropertyId) {
        self.properties.retain(|(id, _)| id.alone() != slot);
        (self.lists, self.listed) = (true, 0);
    }

    fn listed(&mut self, slot: PropertyId, value: Kept<'a>) {
        match value {
            Kept::Value(value) if self.listed < LISTED_MAX => {
                self.properties.push((slot.in_a_list(), value));
                self.listed += 1;
            }
            Kept::Value(_) | Kept::Unusable => self.unusable = self.unusable.saturating_add(1),
            Kept::Absent => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::envelope::Envelope;
    use super::super::owned::{All, OwnedEvent};
    use super::*;
    use crate::event::{Instant, Number};

    #[test]
    fn a_long_list_counts_alike_on_a_topic_and_in_a_file() {
        let value = |number: i64| match number % 10 {
            0 => Kept::Unusable,
            1 => Kept::Absent,
            _ => Kept::Value(Value::Number(Number::from_integer(number))),
        };
        let mut vocabulary = Vocabulary::default();
        let id = vocabulary.add_property("tags");
        for length in [0, 5, 63, 64, 65, 80, 81, 200] {
            let mut on_topic = Properties::new();
            let mut known =
                Known { vocabulary: &vocabulary, properties: &mut on_topic, unusable: 0, lists: false, listed: 0 };
            known.begin_list(id);
            (0..length).for_each(|number| known.listed(id, value(number)));
            let unusable_on_topic = known.unusable;

            let mut in_file = All::default();
            in_file.begin_list("tags");
            (0..length).for_each(|number| in_file.listed("tags", value(number)));
            let envelope = Envelope { customer: "c", name: "e", at: Instant(0), id: Some("i"), source: None };
            let event = OwnedEvent::new(&envelope, b"", in_file);
            let mut properties = Properties::new();
            let unusable_in_file = event.borrowed(&vocabulary, &mut properties).unusable_values;
            assert_eq!((on_topic, unusable_on_topic), (properties, unusable_in_file), "of {length} values");
        }
    }
}
