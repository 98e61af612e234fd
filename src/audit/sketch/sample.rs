//! All that is known of some of the values: those whose hash ends in enough zero bits.
//!
//! A value is in the sample with all of its occurrences or with none, whichever topic it is in. So the sample tells how
//! many values come again, and how many are in two topics, which no sample of records would. When it is full, one more
//! bit must be zero, which halves it. Gibbons, *Distinct sampling for highly-accurate answers to distinct values queries*
//! (2001); shares in common as by Beyer et al., *On synopses for distinct-value estimation under multiset operations*
//! (2007).

use rustc_hash::FxHashMap;

/// A sample of the values of a field, or of whole records, by their hashes.
#[derive(Debug)]
pub(in crate::audit) struct HashSample {
    most: usize,
    /// How many of the lowest bits of a hash are zero.
    level: u32,
    values: FxHashMap<u64, Times>,
}

/// How often one value comes.
#[derive(Debug, Clone, Copy)]
struct Times {
    count: u32,
    /// How often it came with something else than the first time.
    otherwise: u32,
    first_with: u64,
}

impl HashSample {
    /// Of at most so many values.
    #[must_use]
    pub(in crate::audit) fn new(most: usize) -> Self {
        Self { most, level: 0, values: FxHashMap::default() }
    }

    /// Counts a value.
    pub(in crate::audit) fn add(&mut self, hash: u64) {
        self.add_with(hash, 0);
    }

    /// Counts a value, and whether what comes with it is the same each time.
    pub(in crate::audit) fn add_with(&mut self, hash: u64, with: u64) {
        if hash.trailing_zeros() < self.level {
            return;
        }
        let times = self.values.entry(hash).or_insert(Times { count: 0, otherwise: 0, first_with: with });
        times.count = times.count.saturating_add(1);
        times.otherwise = times.otherwise.saturating_add(u32::from(times.first_with != with));
        while self.values.len() > self.most {
            self.level += 1;
            let level = self.level;
            self.values.retain(|hash, _| hash.trailing_zeros() >= level);
        }
    }

    /// How many different values there are, or about how many.
    #[must_use]
    pub(in crate::audit) fn distinct(&self) -> u64 {
        (self.values.len() as u64) << self.level
    }

    #[must_use]
    pub(in crate::audit) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The share of occurrences that are not the first of their value.
    #[must_use]
    pub(in crate::audit) fn repeated(&self) -> f64 {
        let all: u64 = self.values.values().map(|times| u64::from(times.count)).sum();
        share(all - self.values.len() as u64, all)
    }

    /// The share of occurrences that came with something else than the first of their value.
    #[must_use]
    pub(in crate::audit) fn otherwise(&self) -> f64 {
        let all: u64 = self.values.values().map(|times| u64::from(times.count)).sum();
        share(self.values.values().map(|times| u64::from(times.otherwise)).sum(), all)
    }

    /// The values that two samples can be compared by: those of each, and those in both.
    #[must_use]
    pub(in crate::audit) fn common(&self, other: &Self) -> Common {
        let level = self.level.max(other.level);
        let is_in = |hash: &&u64| hash.trailing_zeros() >= level;
        let both = self.values.keys().filter(is_in).filter(|hash| other.values.contains_key(*hash)).count() as u64;
        let of = |sample: &Self| sample.values.keys().filter(is_in).count() as u64;
        Common { first: of(self), second: of(other), both }
    }
}

/// Values of two samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audit) struct Common {
    pub(in crate::audit) first: u64,
    pub(in crate::audit) second: u64,
    pub(in crate::audit) both: u64,
}

impl Common {
    /// The share of the first's values that the second has.
    #[must_use]
    pub(in crate::audit) fn of_first(self) -> f64 {
        share(self.both, self.first)
    }

    /// The share of the second's values that the first has.
    #[must_use]
    pub(in crate::audit) fn of_second(self) -> f64 {
        share(self.both, self.second)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::{Common, HashSample};
    use crate::audit::sketch::hash;

    const MOST: usize = 4_096;

    fn of(values: std::ops::Range<u64>) -> HashSample {
        let mut sample = HashSample::new(MOST);
        values.for_each(|value| sample.add(hash(&value.to_le_bytes())));
        sample
    }

    #[test]
    fn a_small_set_is_its_own_sample() {
        let (mut one, two) = (of(0..3_000), of(2_000..4_000));
        assert_eq!((one.distinct(), one.repeated()), (3_000, 0.0));
        assert_eq!(one.common(&two), Common { first: 3_000, second: 2_000, both: 1_000 });
        (0..1_000).for_each(|value: u64| one.add(hash(&value.to_le_bytes())));
        assert_eq!((one.distinct(), one.repeated()), (3_000, 0.25));
    }

    #[test]
    fn what_comes_again_with_something_else_is_told_from_what_comes_again() {
        let mut sample = HashSample::new(MOST);
        for (value, with) in [(1, 1), (1, 1), (2, 1), (2, 2)] {
            sample.add_with(value, with);
        }
        assert_eq!((sample.repeated(), sample.otherwise()), (0.5, 0.25));
    }

    /// The sample holds at least 2,048 values: a share of p has a standard error of at most √(p (1 - p) / 2048), which is
    /// 1.1 % for a half. Four of them are allowed; the values are fixed.
    #[test]
    fn shares_and_counts_of_large_sets_are_within_four_standard_errors() {
        for (size, offset) in [(40_000_u64, 10_000), (300_000, 150_000), (1_000_000, 990_000)] {
            let (one, two) = (of(0..size), of(offset..offset + size));
            assert!((MOST / 4..=MOST).contains(&one.values.len()), "{}", one.values.len());
            let expected = (size - offset) as f64 / size as f64;
            for found in [one.common(&two).of_first(), one.common(&two).of_second()] {
                assert!((found - expected).abs() < 4.0 * 0.011, "{size}: {found}, not {expected}");
            }
            let error = one.distinct() as f64 / size as f64 - 1.0;
            assert!(error.abs() < 4.0 * 0.022, "{size}: {error}");
        }
        // One record in fifty comes twice.
        let mut sample = of(0..500_000);
        (0..10_000_u64).for_each(|value| sample.add(hash(&value.to_le_bytes())));
        let (found, expected) = (sample.repeated(), 10_000.0 / 510_000.0);
        assert!((found - expected).abs() < 4.0 * 0.003_1, "{found}, not {expected}");
        assert_eq!(of(0..9_000).common(&of(20_000..90_000)).both, 0);
    }
}
