//! A set of cohorts, walked in the order of decision while it grows.

use crate::rules::CohortIx;

/// One bit for each cohort: emptying it and finding the next one look at 64 at once.
#[derive(Debug)]
pub(super) struct CohortSet {
    words: Vec<u64>,
    cohorts: usize,
}

impl CohortSet {
    /// None of so many.
    pub(super) fn none_of(cohorts: usize) -> Self {
        Self { words: vec![0; cohorts.div_ceil(64)], cohorts }
    }

    pub(super) fn clear(&mut self) {
        self.words.fill(0);
    }

    pub(super) fn add_all(&mut self) {
        for cohort in 0..self.cohorts {
            self.add(cohort);
        }
    }

    pub(super) fn add(&mut self, cohort: usize) {
        self.words[cohort / 64] |= 1 << (cohort % 64);
    }

    pub(super) fn add_each(&mut self, cohorts: &[CohortIx]) {
        cohorts.iter().for_each(|cohort| self.add(usize::from(cohort.0)));
    }

    pub(super) fn holds(&self, cohort: usize) -> bool {
        self.words[cohort / 64] & (1 << (cohort % 64)) != 0
    }

    /// The first one at or after a place.
    pub(super) fn next_from(&self, place: usize) -> Option<usize> {
        let mut word = place / 64;
        let mut bits = self.words.get(word)? & (u64::MAX << (place % 64));
        while bits == 0 {
            word += 1;
            bits = *self.words.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::CohortSet;

    #[test]
    fn it_is_walked_in_order_also_while_it_grows() {
        let mut set = CohortSet::none_of(130);
        [0, 63, 64, 129].into_iter().for_each(|cohort| set.add(cohort));
        let mut seen = Vec::new();
        let mut place = 0;
        while let Some(cohort) = set.next_from(place) {
            seen.push(cohort);
            if cohort == 64 {
                set.add(65);
            }
            place = cohort + 1;
        }
        assert_eq!(seen, [0, 63, 64, 65, 129]);
        assert!(set.holds(64) && !set.holds(66));
        set.clear();
        assert_eq!(set.next_from(0), None);
        set.add_all();
        assert!((0..130).all(|place| set.next_from(place) == Some(place)));
    }
}
