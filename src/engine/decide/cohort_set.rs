//! A set of cohorts that can be iterated in the order of decision while it grows.

use crate::rules::CohortIx;

/// One bit for each cohort: clearing it and finding the next one handle 64 at once.
#[derive(Debug)]
pub(super) struct CohortSet {
    words: Vec<u64>,
    cohorts: usize,
}

impl CohortSet {
    /// The empty set of so many cohorts.
    pub(super) fn empty(cohorts: usize) -> Self {
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

    pub(super) fn contains(&self, cohort: usize) -> bool {
        self.words[cohort / 64] & (1 << (cohort % 64)) != 0
    }

    /// The first one at or after an index.
    pub(super) fn next_from(&self, index: usize) -> Option<usize> {
        let mut word = index / 64;
        let mut bits = self.words.get(word)? & (u64::MAX << (index % 64));
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
    fn it_is_iterated_in_order_also_while_it_grows() {
        let mut set = CohortSet::empty(130);
        [0, 63, 64, 129].into_iter().for_each(|cohort| set.add(cohort));
        let mut seen = Vec::new();
        let mut index = 0;
        while let Some(cohort) = set.next_from(index) {
            seen.push(cohort);
            if cohort == 64 {
                set.add(65);
            }
            index = cohort + 1;
        }
        assert_eq!(seen, [0, 63, 64, 65, 129]);
        assert!(set.contains(64) && !set.contains(66));
        set.clear();
        assert_eq!(set.next_from(0), None);
        set.add_all();
        assert!((0..130).all(|index| set.next_from(index) == Some(index)));
    }
}
