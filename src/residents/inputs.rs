//! Inputs of decisions: events, stream time, limits, thresholds and parameters. Each decides customers in memory only;
//! the effects are collected.

use std::sync::Arc;

use super::residents::Residents;
use crate::engine::{Detail, Parameters, Slot, Thresholds, Timing};
use crate::event::{CustomerEvent, Instant};

impl Residents {
    /// Applies an accepted event and moves stream time. False: a duplicate, which changes nothing. `decide_some` decides
    /// the deadlines that it makes due.
    pub fn apply_event(&mut self, slot: Slot, event: &CustomerEvent<'_>, position: i64, detail: Detail) -> bool {
        self.shard.apply_event(slot, event, position, detail, &mut self.effects)
    }

    /// Moves stream time forward; never back. `decide_some` decides the deadlines that are due then.
    pub fn advance(&mut self, to: Instant) {
        self.shard.advance(to);
    }

    /// Changes how event times move stream time from now on, and how many ids are remembered.
    pub fn set_timing(&mut self, timing: Timing, ids_max: usize) {
        self.shard.set_timing(timing, ids_max);
    }

    /// Changes the thresholds of ranks. The customers affected are decided by `reevaluate_ranks`.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.shard.set_thresholds(thresholds);
    }

    /// Decides a customer again if they are between thresholds `old` and those in force. Every deadline before stream
    /// time is decided; `as_of`: the position of the next event.
    pub fn reevaluate_ranks(&mut self, slot: Slot, old: &Thresholds, as_of: i64, detail: Detail) {
        self.shard.reevaluate_ranks(slot, old, as_of, detail, &mut self.effects);
    }

    /// Changes the parameters of the churn model as of `since`, before which every deadline is decided. Each customer is
    /// decided under them by `apply_parameters`, or before anything else is decided for them.
    pub fn set_parameters(&mut self, parameters: Option<Arc<Parameters>>, since: Instant) {
        self.shard.set_parameters(parameters, since);
    }

    /// Decides a customer under the parameters in force, unless that is done already; `as_of`: the position of the next
    /// event.
    pub fn apply_parameters(&mut self, slot: Slot, as_of: i64, detail: Detail) {
        self.shard.apply_parameters(slot, as_of, detail, &mut self.effects);
    }
}
