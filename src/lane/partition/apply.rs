//! Applying one event to a partition, and moving its stream time by the wall clock.

use crate::engine::{Detail, Slot};
use crate::event::{CustomerEvent, Instant, Span};
use crate::lane::context::Context;
use crate::lane::output::plan::Plan;
use crate::lane::partition::placement::Seen;
use crate::lane::partition::state::Partition;
use crate::store::{Recorded, StoreError, decode_state};

impl Partition {
    /// The customer's slot, if the customer is in memory.
    pub(in crate::lane) fn find(&mut self, customer: &str) -> Option<Slot> {
        self.shard.find(customer)
    }

    /// Prefetches a customer's state into the processor's cache.
    pub(in crate::lane) fn prefetch(&self, slot: Slot) {
        self.shard.prefetch(slot);
    }

    /// Loads the states of customers who are not in memory, in one read.
    pub(in crate::lane) fn load_states(&mut self, mut missing: Vec<&str>) -> Result<(), StoreError> {
        missing.sort_unstable();
        missing.dedup();
        let found = self.database.customers(&missing)?;
        for (customer, stored) in missing.into_iter().zip(found) {
            if let Some(stored) = stored {
                let state = decode_state(stored.state(), &self.rules.rules)?;
                let indexed_at = match self.rearmed.get(customer) {
                    Some(at) => *at,
                    None => stored.indexed_at()?,
                };
                self.shard.insert(customer, state, indexed_at);
            }
        }
        Ok(())
    }

    /// The slot of a customer whose state was loaded, or who is new.
    pub(in crate::lane) fn slot(&mut self, customer: &str) -> Slot {
        self.shard.find_or_new(customer)
    }

    /// Applies an accepted event and decides the deadlines that it makes due. False: a duplicate. `slot`: the
    /// customer's, if it was looked up in this batch.
    pub(in crate::lane) fn apply(
        &mut self,
        slot: Option<Slot>,
        event: &CustomerEvent<'_>,
        position: i64,
        detail: Detail,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<bool, StoreError> {
        let slot = slot.unwrap_or_else(|| self.slot(event.customer));
        let is_new = self.shard.is_new(slot);
        if !self.shard.apply_event(slot, event, position, detail, &mut self.effects) {
            if event.at - self.timing.arrives_within > self.shard.stream_time() {
                self.record(position, Recorded::Duplicate);
            }
            return Ok(false);
        }
        self.customers += u64::from(is_new);
        let seen = if is_new { Seen::First } else { Seen::Before };
        if context.is_elsewhere(self.number, event.customer, seen) {
            self.tally().misplaced += 1;
        }
        self.decide_due(position, position + 1, detail, context, plan)?;
        if self.is_overdue() {
            // What is decided later at this position must not change what was said of this customer.
            self.flush_one(slot, plan);
        }
        Ok(true)
    }

    /// As `apply`, during a replay: each customer from the position of their own state on.
    pub(in crate::lane) fn reapply(
        &mut self,
        event: &CustomerEvent<'_>,
        position: i64,
        arrives_within: Span,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<(), StoreError> {
        let slot = self.slot(event.customer);
        if self.shard.as_of(slot) > self.meta.log.position(position) {
            // The state holds its effect; stream time does not.
            if !self.recorded_at(position).any(|recorded| recorded == Recorded::Duplicate) {
                self.shard.advance(event.at - arrives_within);
            }
        } else {
            self.shard.apply_event(slot, event, position, Detail::None, &mut self.effects);
        }
        self.decide_due(position, position + 1, Detail::None, context, plan)
    }

    /// Records an input of decisions that is not in the log.
    pub(in crate::lane) fn record(&mut self, position: i64, recorded: Recorded) {
        self.new_recorded.push((position, recorded));
    }

    /// Moves stream time by the wall clock, at the present position, and decides the deadlines that become due.
    pub(in crate::lane) fn advance(
        &mut self,
        to: Instant,
        detail: Detail,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<(), StoreError> {
        if to <= self.shard.stream_time() {
            return Ok(());
        }
        let position = self.next_offset;
        self.begin();
        self.shard.advance(to);
        if detail == Detail::Full {
            self.record(position, Recorded::Advance(to));
        }
        // The event at this position is still to come.
        self.decide_due(position, position, detail, context, plan)
    }

    /// Would moving stream time to `to` decide anything?
    pub(in crate::lane) fn would_decide(&mut self, to: Instant) -> bool {
        self.due.next_known().min(self.shard.next_due()) < to
    }
}
