//! Partitions that are ours and do not run yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant as Moment;

use crate::kafka::Committed;

/// Partitions that are ours and do not run yet.
#[derive(Debug, Default)]
pub(super) struct Starting {
    pub(super) numbers: BTreeSet<i32>,
    /// Their committed offsets, and the end of the topic of the marks after these were known.
    pub(super) known: Option<(BTreeMap<i32, Committed>, i64)>,
    pub(super) looked: Option<Moment>,
}

impl Starting {
    pub(super) fn extend(&mut self, numbers: impl IntoIterator<Item = i32>) {
        self.numbers.extend(numbers);
        // Those of the new ones are not known.
        (self.known, self.looked) = (None, None);
    }

    pub(super) fn remove(&mut self, number: i32) {
        self.numbers.remove(&number);
    }

    pub(super) fn numbers(&self) -> Vec<i32> {
        self.numbers.iter().copied().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }
}
