//! Since when the log has been read, where that was not from its beginning.

use crate::event::Instant;
use crate::rules::FactSpec;

/// Before these instants a count of zero says nothing: a condition that it satisfies waits as for a new customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// For every fact.
    pub from: Instant,
    /// Facts that began later, by their ids, ascending.
    pub later: Vec<(u64, Instant)>,
}

impl Observed {
    /// The log was read from its beginning.
    pub const ALWAYS: Self = Self { from: Instant::MIN, later: Vec::new() };

    /// Since when the events of a fact have been read.
    #[must_use]
    pub fn of(&self, fact: &FactSpec) -> Instant {
        let index = self.later.binary_search_by_key(&fact.id, |(id, _)| *id);
        index.map_or(self.from, |index| self.later[index].1.max(self.from))
    }

    /// Records that a fact has been observed since this instant, no earlier.
    pub fn begins(&mut self, fact: u64, at: Instant) {
        if at <= self.from {
            return;
        }
        match self.later.binary_search_by_key(&fact, |(id, _)| *id) {
            Ok(index) => self.later[index].1 = self.later[index].1.max(at),
            Err(index) => self.later.insert(index, (fact, at)),
        }
    }
}
