//! The first customers of a ranking, one by one.

use std::collections::BTreeSet;

use crate::engine::Standing;

/// The best of a ranking: at least `keep` of them, exact, as long as the list is not short.
///
/// It holds twice as many, so that it must be made anew, from everybody, only after as many have fallen out as it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaders {
    keep: usize,
    highest: bool,
    list: BTreeSet<Standing>,
    /// Everyone from here on is in the list; `None`: everyone is.
    edge: Option<Standing>,
}

impl Leaders {
    #[must_use]
    pub fn new(keep: usize, highest: bool) -> Self {
        Self { keep, highest, list: BTreeSet::new(), edge: None }
    }

    /// As it was stored.
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

    /// Takes out one who was added; of those beyond the edge nothing is known.
    pub fn remove(&mut self, standing: Standing) {
        self.list.remove(&standing);
    }

    /// Must it be made anew, as there may be others who belong in it?
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.edge.is_some() && self.list.len() < self.keep
    }

    /// The best ones, the best first.
    #[must_use]
    pub fn best(&self) -> Vec<Standing> {
        if self.highest {
            self.list.iter().rev().take(self.keep).copied().collect()
        } else {
            self.list.iter().take(self.keep).copied().collect()
        }
    }

    /// All that is held, ascending.
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
        /// Values so few that many tie.
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
