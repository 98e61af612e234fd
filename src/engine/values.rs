//! Times with values of any type: what `first`, `last` and `most_common` look at.

use super::state::Values;
use crate::event::{Instant, Kept, Value};
use crate::rules::TEXT_MAX;

/// As much of a text as is kept, whole characters.
pub(super) fn kept_part(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX)]
}

/// As much of a value as is kept.
fn cut(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Text(text) => Value::Text(kept_part(text)),
        _ => value,
    }
}

impl Values {
    /// Takes a value in. Over capacity the oldest goes, counted; of one value held, the one at the edge stays. False:
    /// nothing changed.
    pub(super) fn insert(
        &mut self,
        at: Instant,
        value: Value<'_>,
        earliest: bool,
        cap: usize,
        approximated: &mut u64,
    ) -> bool {
        let value = cut(value);
        if cap == 1 {
            return self.replace(at, value, earliest);
        }
        let mut place = self.times.partition_point(|time| *time < at);
        while place < self.times.len() && self.times[place] == at && self.values[place].value() < value {
            place += 1;
        }
        self.times.insert(place, at);
        self.values.insert(place, Kept::from(value));
        if self.times.len() > cap {
            self.times.remove(0);
            self.values.remove(0);
            *approximated += 1;
        }
        true
    }

    fn replace(&mut self, at: Instant, value: Value<'_>, earliest: bool) -> bool {
        let (Some(time), Some(held)) = (self.times.first_mut(), self.values.first_mut()) else {
            self.times.push(at);
            self.values.push(Kept::from(value));
            return true;
        };
        let further = if earliest { at < *time } else { at > *time };
        let greater = at == *time && value > held.value();
        if !further && !greater {
            return false;
        }
        *time = at;
        // The same value again needs no new text.
        if held.value() != value {
            *held = Kept::from(value);
        }
        true
    }

    /// Drops what lies outside.
    pub(super) fn keep(&mut self, from: Instant, through: Instant) {
        let end = self.times.partition_point(|time| *time <= through);
        let start = self.times.partition_point(|time| *time < from).min(end);
        self.times.truncate(end);
        self.values.truncate(end);
        self.times.drain(..start);
        self.values.drain(..start);
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let texts = self.values.iter().map(|kept| if let Kept::Text(text) = kept { text.len() } else { 0 });
        size_of::<Self>()
            + self.times.capacity() * size_of::<Instant>()
            + self.values.capacity() * size_of::<Kept>()
            + texts.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, Value, Values, kept_part};

    #[test]
    fn a_long_text_is_cut_at_a_whole_character() {
        let text = "é".repeat(200);
        assert_eq!(kept_part(&text).len(), 256);
        assert_eq!(kept_part(&format!("a{text}")).len(), 255);
    }

    #[test]
    fn over_capacity_the_oldest_goes_whatever_the_order_of_arrival() {
        let mut approximated = 0;
        let mut values = [Values::default(), Values::default()];
        for i in 0..5 {
            for (list, at) in values.iter_mut().zip([i, 4 - i]) {
                list.insert(Instant(at), Value::Bool(at % 2 == 0), false, 3, &mut approximated);
            }
        }
        assert_eq!(values[0], values[1]);
        assert_eq!((values[0].times[0], approximated), (Instant(2), 4));
    }
}
