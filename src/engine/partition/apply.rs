//! Inputs to the customers in memory: events, stream time and the timers that it passes, thresholds and parameters.

use std::sync::Arc;

use super::shard::{CustomerEffect, Shard};
use super::slot::Slot;
use super::timing::Timing;
use crate::engine::customer::Thresholds;
use crate::engine::decide::{Applied, Detail};
use crate::engine::model::Parameters;
use crate::event::{CustomerEvent, Instant};

impl Shard {
    /// Applies an accepted event, advances stream time, then fires the timers that are due. False: a duplicate, which
    /// changes nothing.
    pub fn apply(
        &mut self,
        slot: Slot,
        event: &CustomerEvent<'_>,
        position: i64,
        detail: Detail,
        out: &mut Vec<CustomerEffect>,
    ) -> bool {
        let applied = self.apply_event(slot, event, position, detail, out);
        if applied {
            self.fire_due(position + 1, detail, out);
        }
        applied
    }

    /// As [`apply`](Self::apply), without the timers that stream time passes by this event.
    pub fn apply_event(
        &mut self,
        slot: Slot,
        event: &CustomerEvent<'_>,
        position: i64,
        detail: Detail,
        out: &mut Vec<CustomerEffect>,
    ) -> bool {
        let place = self.begin_change(slot);
        let state = self.decoded.state_mut(place);
        let applied = self.engine.apply(state, event, position, self.stream_time, detail, &mut self.effects);
        let Applied::Applied(counts) = applied else { return false };
        self.counts += counts;
        self.record_change(slot, place, position + 1, out);
        self.fire_due(position + 1, detail, out);
        self.advance(self.timing.stream_time_at(event.at));
        true
    }

    /// Moves stream time forward; never back. The timers that are due then fire in `fire_due`.
    pub fn advance(&mut self, to: Instant) {
        self.stream_time = self.stream_time.max(to);
    }

    /// Fires every timer before stream time of the customers in memory. `as_of`: the position of the next event, which
    /// is not applied yet: that after the last one, or where the log goes on after an advance.
    pub fn fire_due(&mut self, as_of: i64, detail: Detail, out: &mut Vec<CustomerEffect>) {
        self.fire_before(self.stream_time, as_of, detail, out);
    }

    /// Fires every timer before `until` of the customers in memory, in the order of their instants.
    pub fn fire_before(&mut self, until: Instant, as_of: i64, detail: Detail, out: &mut Vec<CustomerEffect>) {
        while self.fire_next(until, as_of, detail, out).is_some() {}
    }

    /// The same, but at most `most` of them: one for each instant of each customer. Returns them in the order of their
    /// instants; none that is left is before the last.
    pub fn fire_some(
        &mut self,
        until: Instant,
        most: usize,
        as_of: i64,
        detail: Detail,
        out: &mut Vec<CustomerEffect>,
    ) -> Vec<(Instant, Slot)> {
        let mut fired = Vec::new();
        while fired.len() < most
            && let Some(next) = self.fire_next(until, as_of, detail, out)
        {
            fired.push(next);
        }
        fired
    }

    /// Fires the earliest timer before `until`: one instant of one customer. `None`: there is none.
    fn fire_next(
        &mut self,
        until: Instant,
        as_of: i64,
        detail: Detail,
        out: &mut Vec<CustomerEffect>,
    ) -> Option<(Instant, Slot)> {
        while let Some((at, slot)) = self.timers.peek() {
            if at >= until {
                break;
            }
            self.timers.pop();
            let resident = &mut self.slots[slot];
            // Stale: the customer was evicted, or has an earlier timer.
            if resident.timer_at != at {
                continue;
            }
            resident.timer_at = Instant::MAX;
            self.prefetch_timers();
            let limit = until.min(at.next());
            if self.next_deadline(slot) >= limit {
                self.set_timer(slot);
                continue;
            }
            let place = self.begin_change(slot);
            let state = self.decoded.state_mut(place);
            self.counts.deadlines += self.engine.fire(state, limit, detail, &mut self.effects);
            self.record_change(slot, place, as_of, out);
            return Some((at, slot));
        }
        None
    }

    /// The earliest timer of the customers in memory; it may be a stale one.
    #[must_use]
    pub fn next_due(&mut self) -> Instant {
        self.timers.peek().map_or(Instant::MAX, |(at, _)| at)
    }

    /// Changes how event times move stream time from now on, and how many ids are remembered.
    pub fn set_timing(&mut self, timing: Timing, ids_max: usize) {
        self.timing = timing;
        self.engine.set_limits(timing.max_lateness, ids_max);
    }

    /// Changes the thresholds of ranks. The customers affected are decided by `reevaluate_ranks`.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.engine.set_thresholds(thresholds);
    }

    /// Decides a customer again if they are between thresholds `old` and those now in force. Every timer before stream
    /// time has fired; `as_of` as for `fire_due`.
    pub fn reevaluate_ranks(
        &mut self,
        slot: Slot,
        old: &Thresholds,
        as_of: i64,
        detail: Detail,
        out: &mut Vec<CustomerEffect>,
    ) {
        let place = self.begin_change(slot);
        let state = self.decoded.state_mut(place);
        if self.engine.reevaluate_ranks(state, old, self.stream_time, detail, &mut self.effects) {
            self.record_change(slot, place, as_of, out);
        }
    }

    /// Changes the parameters of the churn model as of `since`, before which every timer has fired. Each customer is
    /// decided under them as of then, by `apply_parameters` or before anything else is decided for them.
    pub fn set_parameters(&mut self, parameters: Option<Arc<Parameters>>, since: Instant) {
        self.engine.set_parameters(parameters, since);
    }

    /// Decides a customer under the parameters in force, unless that is done already; `as_of` as for `fire_due`.
    pub fn apply_parameters(&mut self, slot: Slot, as_of: i64, detail: Detail, out: &mut Vec<CustomerEffect>) {
        let place = self.begin_change(slot);
        let state = self.decoded.state_mut(place);
        if self.engine.apply_parameters(state, detail, &mut self.effects) {
            self.record_change(slot, place, as_of, out);
            self.fire_due(as_of, detail, out);
        }
    }
}
