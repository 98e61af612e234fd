//! Histograms of customers by value.

use std::collections::BTreeMap;

use super::bucket::Bucket;
use crate::event::Number;
use crate::rules::ast::RankEnd;

/// Counts by bucket, without zeros.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    counts: BTreeMap<Bucket, u64>,
    total: u64,
}

impl Histogram {
    pub fn add(&mut self, value: Number) {
        self.add_many(Bucket::of(value), 1);
    }

    pub fn add_many(&mut self, bucket: Bucket, count: u64) {
        if count > 0 {
            *self.counts.entry(bucket).or_default() += count;
            self.total += count;
        }
    }

    /// Removes a value that was added.
    pub fn remove(&mut self, value: Number) {
        let bucket = Bucket::of(value);
        if let Some(count) = self.counts.get_mut(&bucket) {
            *count -= 1;
            self.total -= 1;
            if *count == 0 {
                self.counts.remove(&bucket);
            }
        }
    }

    /// Adds another histogram's counts, as if its values had been added here.
    pub fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(bucket, count)| self.add_many(bucket, count));
    }

    /// The number of values.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Buckets that are not empty, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Bucket, u64)> + ExactSizeIterator {
        self.counts.iter().map(|(bucket, count)| (*bucket, *count))
    }

    /// The number of values in this value's bucket or beyond it, towards the end.
    #[must_use]
    pub fn at_or_beyond(&self, end: RankEnd, value: Number) -> u64 {
        let bucket = Bucket::of(value);
        match end {
            RankEnd::Highest => self.counts.range(bucket..).map(|(_, count)| count).sum(),
            RankEnd::Lowest => self.counts.range(..=bucket).map(|(_, count)| count).sum(),
        }
    }

    /// The bucket of the n-th value from one end, from 1; `None`: there are fewer.
    #[must_use]
    pub fn nth(&self, end: RankEnd, n: u64) -> Option<Bucket> {
        let mut left = n;
        let mut reached = |(bucket, count): (Bucket, u64)| {
            if left <= count {
                return Some(bucket);
            }
            left -= count;
            None
        };
        match end {
            RankEnd::Highest => self.iter().rev().find_map(&mut reached),
            RankEnd::Lowest => self.iter().find_map(&mut reached),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Histogram;
    use crate::event::Number;

    fn of(values: &[i64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.add(Number(i128::from(*value) * 1_000)));
        histogram
    }

    proptest! {
        #[test]
        fn counters_of_parts_add_up_to_those_of_the_whole(a: Vec<i64>, b: Vec<i64>) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(merged, of(&[a, b].concat()));
        }

        #[test]
        fn what_is_added_and_removed_leaves_nothing(a: Vec<i64>, b: Vec<i64>) {
            let mut histogram = of(&[a.clone(), b.clone()].concat());
            b.iter().for_each(|value| histogram.remove(Number(i128::from(*value) * 1_000)));
            prop_assert_eq!(histogram, of(&a));
        }
    }
}
