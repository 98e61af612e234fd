//! Facts of customers who are no longer decoded: the next one to be decoded takes their memory.

use crate::fact::Fact;

/// Facts kept of each number.
const EACH_MAX: usize = 256;
/// Entries of a fact's longest list above which it is not kept.
const LONGEST_MAX: usize = 128;

/// Facts with some content or other, by the rule set's numbers.
#[derive(Debug, Default)]
pub struct Spares(Vec<Vec<Fact>>);

impl Spares {
    pub(super) fn put(&mut self, number: usize, fact: Fact) {
        if fact.longest() > LONGEST_MAX {
            return;
        }
        if self.0.len() <= number {
            self.0.resize_with(number + 1, Vec::new);
        }
        let kept = &mut self.0[number];
        if kept.len() < EACH_MAX {
            kept.push(fact);
        }
    }

    pub(super) fn take(&mut self, number: usize) -> Option<Fact> {
        self.0.get_mut(number)?.pop()
    }
}
