//! Going back to an earlier state after trying what would come.

use super::deadlines::Deadlines;
use super::membership::Membership;
use super::risk::Risk;
use super::sparse::Sparse;
use super::standing::RankedValues;
use super::state::CustomerState;
use crate::event::Instant;

/// What decisions change in a state: everything but the facts and the recent ids, which only events change.
#[derive(Debug, Default)]
pub(in crate::engine) struct Checkpoint {
    known_since: Instant,
    clock: Instant,
    next_deadline: Instant,
    sequence: u64,
    memberships: Sparse<Membership>,
    ranked_values: RankedValues,
    risk: Risk,
    deadlines: Deadlines,
}

impl Checkpoint {
    pub(in crate::engine) fn save(&mut self, state: &CustomerState) {
        (self.known_since, self.clock, self.next_deadline) = (state.known_since, state.clock, state.next_deadline);
        (self.sequence, self.risk) = (state.sequence, state.risk);
        self.memberships.clone_from(&state.memberships);
        self.ranked_values.clone_from(&state.ranked_values);
        self.deadlines.clone_from(&state.deadlines);
    }

    /// Brings back what was saved.
    pub(in crate::engine) fn restore(&self, state: &mut CustomerState) {
        (state.known_since, state.clock, state.next_deadline) = (self.known_since, self.clock, self.next_deadline);
        (state.sequence, state.risk) = (self.sequence, self.risk);
        state.memberships.clone_from(&self.memberships);
        state.ranked_values.clone_from(&self.ranked_values);
        state.deadlines.clone_from(&self.deadlines);
    }
}
