//! The most frequent values of a field: Metwally, Agrawal and El Abbadi, *Efficient computation of frequent and top-k
//! elements in data streams* (2005), known as Space-Saving.
//!
//! As long as there are no more values than places, all counts are exact. Otherwise a new value takes the place of the
//! rarest one, and its count, so that no count is too low, and none is too high by more than its `over`.

use rustc_hash::FxHashMap;

/// The longest text that is kept, in bytes; longer ones are cut.
const TEXT_MAX: usize = 200;
/// How often each place may be taken over. Of a field with so many values none is frequent, and searching for the rarest
/// one each time would be slow.
const TAKEN_OVER_MAX: usize = 64;

/// Values with their counts.
#[derive(Debug)]
pub(in crate::audit) struct Frequent {
    most: usize,
    values: FxHashMap<Box<str>, Kept>,
    taken_over: usize,
}

/// The counts of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::audit) struct Kept {
    pub(in crate::audit) count: u64,
    /// The bytes of the records that it is in.
    pub(in crate::audit) bytes: u64,
    /// By how much `count` may be too high.
    pub(in crate::audit) over: u64,
}

impl Frequent {
    /// With so many places.
    #[must_use]
    pub(in crate::audit) fn new(most: usize) -> Self {
        Self { most, values: FxHashMap::default(), taken_over: 0 }
    }

    /// Counts a value that is in a record of so many bytes.
    pub(in crate::audit) fn add(&mut self, text: &str, bytes: u64) {
        let text = &text[..text.floor_char_boundary(TEXT_MAX)];
        if let Some(kept) = self.values.get_mut(text) {
            kept.count += 1;
            kept.bytes += bytes;
            return;
        }
        let mut kept = Kept::default();
        if self.values.len() >= self.most {
            if self.taken_over >= self.most * TAKEN_OVER_MAX {
                return;
            }
            self.taken_over += 1;
            kept = self.remove_rarest();
            kept.over = kept.count;
        }
        kept.count += 1;
        kept.bytes += bytes;
        self.values.insert(text.into(), kept);
    }

    /// Has every value a place, so that all counts are exact?
    #[must_use]
    pub(in crate::audit) fn is_exact(&self) -> bool {
        self.taken_over == 0
    }

    /// All that have a place, the most frequent first.
    #[must_use]
    pub(in crate::audit) fn sorted(&self) -> Vec<(&str, Kept)> {
        let mut values: Vec<(&str, Kept)> = self.values.iter().map(|(text, kept)| (&**text, *kept)).collect();
        values.sort_unstable_by(|one, other| other.1.count.cmp(&one.1.count).then(one.0.cmp(other.0)));
        values
    }

    fn remove_rarest(&mut self) -> Kept {
        let rarest = self.values.iter().min_by(|one, other| one.1.count.cmp(&other.1.count).then(one.0.cmp(other.0)));
        let Some(text) = rarest.map(|(text, _)| text.clone()) else { return Kept::default() };
        self.values.remove(&text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::Frequent;

    #[test]
    fn while_there_are_places_counts_and_bytes_are_exact() {
        let mut frequent = Frequent::new(3);
        for (text, bytes) in [("a", 10), ("b", 1), ("a", 20), ("c", 5)] {
            frequent.add(text, bytes);
        }
        let found: Vec<_> = frequent.sorted().iter().map(|(text, kept)| (*text, kept.count, kept.bytes)).collect();
        assert_eq!(found, [("a", 2, 30), ("b", 1, 1), ("c", 1, 5)]);
        assert!(frequent.is_exact());
    }

    #[test]
    fn a_field_with_a_new_value_in_every_record_costs_little_and_has_few_places() {
        let mut frequent = Frequent::new(16);
        (0..200_000).for_each(|value| frequent.add(&format!("{value}"), 1));
        assert_eq!((frequent.sorted().len(), frequent.is_exact()), (16, false));
        assert!(frequent.sorted().iter().map(|(_, kept)| kept.count).sum::<u64>() < 3_000, "most are not counted");
    }

    proptest! {
        /// The guarantee of the paper: no count is too low, none too high by more than `over`, and nothing that is more
        /// frequent than all divided by the places is lost.
        #[test]
        fn counts_are_bounded_and_what_is_frequent_is_there(values in prop::collection::vec(0_u8..40, 0..400)) {
            const PLACES: usize = 12;
            let (mut frequent, mut exact) = (Frequent::new(PLACES), BTreeMap::<String, u64>::new());
            for value in &values {
                let text = format!("{}", value % 30);
                frequent.add(&text, 1);
                *exact.entry(text).or_default() += 1;
            }
            let found: BTreeMap<&str, _> = frequent.sorted().into_iter().collect();
            prop_assert!(found.len() <= PLACES);
            for (text, kept) in &found {
                let real = exact[*text];
                prop_assert!(kept.count >= real && kept.count - kept.over <= real, "{text}: {kept:?}, not {real}");
            }
            for (text, real) in &exact {
                let is_frequent = *real > values.len() as u64 / PLACES as u64;
                prop_assert!(!is_frequent || found.contains_key(text.as_str()), "{text}: {real}");
            }
        }
    }
}
