//! The exact list of the first customers of a ranking.

use std::collections::BTreeSet;

use crate::engine::Standing;
use crate::rules::ast::RankEnd;

/// The best customers of a ranking: at least `keep` of them, exactly, as long as the list is not short.
///
/// It holds twice as many, so that it must be rebuilt from all customers only after `keep` of them have dropped out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaders {
    keep: usize,
    end: RankEnd,
    list: BTreeSet<Standing>,
    /// Every customer at or beyond this position is in the list; `None`: every customer is.
    edge: Option<Standing>,
}

impl Leaders {
    #[must_use]
    pub fn new(keep: usize, end: RankEnd) -> Self {
        Self { keep, end, list: BTreeSet::new(), edge: None }
    }

    /// Restores a stored list.
    #[must_use]
    pub fn stored(mut self, list: impl IntoIterator<Item = Standing>, edge: Option<Standing>) -> Self {
        self.list = list.into_iter().collect();
        self.edge = edge;
        self
    }

    pub fn add(&mut self, standing: Standing) {
        let is_outside = self.edge.is_some_and(|edge| match self.end {
            RankEnd::Highest => standing < edge,
            RankEnd::Lowest => standing > edge,
        });
        if is_outside {
            return;
        }
        self.list.insert(standing);
        if self.list.len() > 2 * self.keep {
            match self.end {
                RankEnd::Highest => {
                    self.list.pop_first();
                    self.edge = self.list.first().copied();
                }
                RankEnd::Lowest => {
                    self.list.pop_last();
                    self.edge = self.list.last().copied();
                }
            }
        }
    }

    /// Removes a customer who was added; no effect for those outside the edge, who are not held.
    pub fn remove(&mut self, standing: Standing) {
        self.list.remove(&standing);
    }

    /// Must it be rebuilt, since customers outside the edge may belong in it?
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.edge.is_some() && self.list.len() < self.keep
    }

    /// The best customers, the best first.
    #[must_use]
    pub fn best(&self) -> Vec<Standing> {
        match self.end {
            RankEnd::Highest => self.list.iter().rev().take(self.keep).copied().collect(),
            RankEnd::Lowest => self.list.iter().take(self.keep).copied().collect(),
        }
    }

    /// All positions held, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Standing> {
        self.list.iter().copied()
    }

    #[must_use]
    pub fn edge(&self) -> Option<Standing> {
        self.edge
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Leaders, RankEnd};
    use crate::engine::Standing;
    use crate::event::Number;

    proptest! {
        /// Few different values, so that there are many ties.
        #[test]
        fn the_list_is_that_of_everybody_sorted(steps: Vec<(i8, u8, bool)>, highest: bool) {
            let end = if highest { RankEnd::Highest } else { RankEnd::Lowest };
            let mut leaders = Leaders::new(3, end);
            let mut all = std::collections::BTreeSet::new();
            for (value, hash, enters) in steps {
                let standing = Standing { value: Number(i128::from(value % 4)), hash: u64::from(hash) };
                if enters {
                    if all.insert(standing) {
                        leaders.add(standing);
                    }
                } else if all.remove(&standing) {
                    leaders.remove(standing);
                }
                if leaders.is_short() {
                    leaders = Leaders::new(3, end);
                    all.iter().for_each(|standing| leaders.add(*standing));
                }
                let mut sorted: Vec<Standing> = all.iter().copied().collect();
                if highest {
                    sorted.reverse();
                }
                sorted.truncate(3);
                prop_assert_eq!(leaders.best(), sorted);
            }
        }
    }
}
