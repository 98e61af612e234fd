//! Since when a log was read, where that was not from its beginning.

use crate::event::Instant;
use crate::rules::FactSpec;

/// Before these instants nothing found means nothing: a condition that is satisfied by it waits as for a new customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// For every fact.
    pub from: Instant,
    /// Facts that began later, by their ids, ascending.
    pub later: Vec<(u64, Instant)>,
}

impl Observed {
    /// All that ever happened was read.
    pub const ALWAYS: Self = Self { from: Instant::MIN, later: Vec::new() };

    /// Since when what a fact looks for was read.
    #[must_use]
    pub fn of(&self, fact: &FactSpec) -> Instant {
        let place = self.later.binary_search_by_key(&fact.id, |(id, _)| *id);
        place.map_or(self.from, |place| self.later[place].1.max(self.from))
    }

    /// Notes that a fact began no earlier than this.
    pub fn begins(&mut self, fact: u64, at: Instant) {
        if at <= self.from {
            return;
        }
        match self.later.binary_search_by_key(&fact, |(id, _)| *id) {
            Ok(place) => self.later[place].1 = self.later[place].1.max(at),
            Err(place) => self.later.insert(place, (fact, at)),
        }
    }
}
