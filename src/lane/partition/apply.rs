//! Applying one event to a partition, and moving its stream time by the wall clock.

use crate::engine::{Detail, Slot, Timing};
use crate::event::{CustomerEvent, Instant};
use crate::kafka::Record;
use crate::lane::context::Context;
use crate::lane::output::plan::Plan;
use crate::lane::partition::placement::Seen;
use crate::lane::partition::state::Partition;
use crate::store::{Recorded, StoreError};

impl Partition {
    /// Applies the accepted event of a record and decides the deadlines that it makes due. False: a duplicate. `slot`:
    /// the customer's, if it was looked up in this batch.
    pub(in crate::lane) fn apply(
        &mut self,
        slot: Option<Slot>,
        event: &CustomerEvent<'_>,
        record: &Record<'_>,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<bool, StoreError> {
        let (position, detail) = (record.offset(), Detail::Full);
        let slot = slot.unwrap_or_else(|| self.residents.find_or_new(event.customer));
        let is_new = self.residents.shard().is_new(slot);
        if !self.residents.apply_event(slot, event, position, detail) {
            if self.timing.stream_time_at(event.at) > self.stream_time() {
                self.record(position, Recorded::Duplicate);
            }
            return Ok(false);
        }
        self.customers += u64::from(is_new);
        let seen = if is_new { Seen::First } else { Seen::Before };
        if context.is_elsewhere(self.number, event.customer, seen) {
            self.tally().misplaced += 1;
        }
        // To parse a record's headers takes as long as to decide it.
        if context.marks.is_some() && self.residents.has_outcomes_before(self.stream_time()) {
            self.intake.note_source(record);
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
        timing: Timing,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<(), StoreError> {
        let slot = self.residents.find_or_new(event.customer);
        if self.residents.shard().as_of(slot) > self.meta.log.position(position) {
            // The state holds its effect; stream time does not.
            if !self.recorded_at(position).any(|recorded| recorded == Recorded::Duplicate) {
                self.residents.advance(timing.stream_time_at(event.at));
            }
        } else {
            self.residents.apply_event(slot, event, position, Detail::None);
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
        if to <= self.stream_time() {
            return Ok(());
        }
        let position = self.next_offset;
        self.begin();
        self.residents.advance(to);
        if detail == Detail::Full {
            self.record(position, Recorded::Advance(to));
        }
        // The event at this position is still to come.
        self.decide_due(position, position, detail, context, plan)
    }

    /// Would moving stream time to `to` decide anything?
    pub(in crate::lane) fn would_decide(&mut self, to: Instant) -> bool {
        self.residents.next_due() < to
    }
}
