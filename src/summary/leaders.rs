//! The exact list of the first customers of a ranking.

use std::collections::BTreeSet;

use crate::engine::Standing;

/// The best customers of a ranking: at least `keep` of them, exactly, as long as the list is not short.
///
/// It holds twice as many, so that it must be rebuilt from all customers only after `keep` of them have dropped out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaders {
    keep: usize,
    highest: bool,
    list: BTreeSet<Standing>,
    /// Every customer at or beyond this position is in the list; `None`: every customer is.
    edge: Option<Standing>,
}

impl Leaders {
    #[must_use]
    pub fn new(keep: usize, highest: bool) -> Self {
        Self { keep, highest, list: BTreeSet::new(), edge: None }
    }

    /// Restores a stored list.
    #[must_use]
    pub fn stored(mut self, list: impl IntoIterator<Item = Standing>, edge: Option<Standing>) -> Self {
        self.list = list.into_iter().collect();
        self.edge = edge;
        self
    }

    pub fn add(&mut self, standing: Standing) {
        let beyond = self.edge.is_some_and(|edge| if self.highest { standing < edge } else { standing > edge });
        if beyond {
            return;
        }
        self.list.insert(standing);
        if self.list.len() > 2 * self.keep {
            if self.highest {
                self.list.pop_first();
                self.edge = self.list.first().copied();
            } else {
                self.list.pop_last();
                self.edge = self.list.last().copied();
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
        if self.highest {
            self.list.iter().rev().take(self.keep).copied().collect()
        } else {
            self.list.iter().take(self.keep).copied().collect()
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

    use super::Leaders;
    use crate::engine::Standing;
    use crate::event::Number;

    proptest! {
        /// Few different values, so that there are many ties.
        #[test]
        fn the_list_is_that_of_everybody_sorted(steps: Vec<(i8, u8, bool)>, highest: bool) {
            let mut leaders = Leaders::new(3, highest);
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
                    leaders = Leaders::new(3, highest);
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
