//! Deciding due deadlines, and emitting the effects: as many as one transaction can take.

use crate::engine::Detail;
use crate::event::Instant;
use crate::lane::context::Context;
use crate::lane::output::plan::Plan;
use crate::lane::partition::automation::Round;
use crate::lane::partition::state::Partition;
use crate::residents::Decided;
use crate::store::{Overdue, StoreError};

impl Partition {
    /// Decides the deadlines before stream time, of customers in memory and stored, and emits the effects.
    ///
    /// If they are too many for one transaction, the earliest are decided and the partition is overdue: it ingests
    /// nothing until `decide_overdue` has decided the rest. At one instant there can be as many deadlines as customers.
    pub(super) fn decide_due(
        &mut self,
        position: i64,
        as_of: i64,
        detail: Detail,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<(), StoreError> {
        let until = match (detail, self.meta.overdue) {
            // A replay goes as far as the batch went then: the rest was not decided, or is flushed.
            (Detail::None, Some(overdue)) => self.stream_time().min(overdue.decided_to),
            _ => self.stream_time(),
        };
        loop {
            if self.part.is_none() && self.residents.reads_index_before(until) {
                self.begin();
            }
            let Decided { fired, more_from } = self.residents.decide_some(until, self.decisions_max, as_of, detail)?;
            self.emit(Round::new(position, as_of), detail, context, plan);
            if detail == Detail::Full && (self.is_overdue() || more_from.is_some()) {
                // The decided states are flushed, so that a restart decides the rest and nobody twice.
                self.begin();
                for (_, slot) in fired {
                    self.flush_one(slot, plan);
                }
                let before = self.overdue.map_or(Instant::MIN, |overdue| overdue.decided_to);
                self.overdue = more_from.map(|at| Overdue { decided_to: at.max(before), position });
                return Ok(());
            }
            if more_from.is_none() {
                return Ok(());
            }
        }
    }

    /// Are deadlines left that were too many for one transaction? Until they are decided nothing is ingested and
    /// nothing else starts.
    pub(in crate::lane) fn is_overdue(&self) -> bool {
        self.overdue.is_some()
    }

    /// Decides more of the deadlines that are left.
    pub(in crate::lane) fn decide_overdue(&mut self, context: &Context, plan: &mut Plan) -> Result<(), StoreError> {
        let Some(Overdue { position, .. }) = self.overdue else { return Ok(()) };
        self.begin();
        self.decide_due(position, self.next_offset, Detail::Full, context, plan)
    }
}
