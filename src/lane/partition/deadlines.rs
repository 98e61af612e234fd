//! Deciding due deadlines, of customers in memory and stored, in the order of their instants.

use crate::engine::{Detail, Shard, Slot};
use crate::event::Instant;
use crate::lane::context::Context;
use crate::lane::output::plan::{Part, Plan};
use crate::lane::partition::automation::Round;
use crate::lane::partition::due::DueIndex;
use crate::lane::partition::state::Partition;
use crate::store::{Overdue, StoreError, decode_state, next_deadline};

/// Entries of the timer index read for each decided deadline, at most: most of them are obsolete when they come up.
const LOOKED_AT_EACH: usize = 4;

/// The outcome of deciding deadlines.
pub(super) struct Decided {
    /// The decided deadlines, in the order of their instants.
    fired: Vec<(Instant, Slot)>,
    /// Deadlines at and after this instant are left; all before it are decided.
    more_from: Option<Instant>,
}

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
            (Detail::None, Some(overdue)) => self.shard.stream_time().min(overdue.decided_to),
            _ => self.shard.stream_time(),
        };
        loop {
            let decided = self.decide_some(until, as_of, detail)?;
            self.emit(Round::new(position, as_of), detail, context, plan);
            if detail == Detail::Full && (self.is_overdue() || decided.more_from.is_some()) {
                // The decided states are flushed, so that a restart decides the rest and nobody twice.
                self.begin();
                for (_, slot) in decided.fired {
                    self.flush_one(slot, plan);
                }
                let before = self.overdue.map_or(Instant::MIN, |overdue| overdue.decided_to);
                self.overdue = decided.more_from.map(|at| Overdue { decided_to: at.max(before), position });
                return Ok(());
            }
            if decided.more_from.is_none() {
                return Ok(());
            }
        }
    }

    /// Decides the earliest deadlines before `until`, `decisions_max` at most.
    fn decide_some(&mut self, until: Instant, as_of: i64, detail: Detail) -> Result<Decided, StoreError> {
        let most = self.decisions_max;
        let mut fired: Vec<(Instant, Slot)> = Vec::new();
        let mut looked_at = 0;
        loop {
            // The entry at which the scan stopped: all customers due before it are in memory.
            let mut stopped_at = None;
            let mut near = fired.len();
            if self.due.next_known() < until {
                self.begin();
                while let Some((due, customer)) = self.due.pop_before(until, &self.database)? {
                    self.resolve_index_entry(due, &customer)?;
                    (near, looked_at) = (near + 1, looked_at + 1);
                    if near >= most || looked_at >= most * LOOKED_AT_EACH {
                        stopped_at = Some(due);
                        break;
                    }
                }
            }
            let bound = stopped_at.map_or(until, Instant::next);
            fired.extend(self.shard.fire_some(bound, most - fired.len(), as_of, detail, &mut self.effects));
            if fired.len() >= most {
                return Ok(Decided { more_from: fired.last().map(|(at, _)| *at), fired });
            }
            if stopped_at.is_none() || looked_at >= most * LOOKED_AT_EACH {
                return Ok(Decided { more_from: stopped_at, fired });
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

    /// Handles an index entry that stream time has passed. A customer who is due is loaded into memory. An obsolete
    /// entry is moved to the customer's deadline, which may be due as well. A customer with unflushed changes keeps the
    /// entry, so that a restore still finds it.
    fn resolve_index_entry(&mut self, due: Instant, customer: &str) -> Result<(), StoreError> {
        let part = self.part.as_mut().expect("a batch is under way");
        if let Some(slot) = self.shard.find(customer) {
            let clean = self.shard.is_clean(slot);
            if self.shard.indexed_at(slot) == due && clean && self.shard.next_deadline(slot) > due {
                move_index_entry(&mut self.shard, &mut self.due, part, slot);
            }
            return Ok(());
        }
        let Some(stored) = self.database.customer(customer)? else {
            part.writes.delete_timer(due, customer);
            return Ok(());
        };
        let indexed_at = match self.rearmed.get(customer) {
            Some(at) => *at,
            None => stored.indexed_at()?,
        };
        if indexed_at != due {
            part.writes.delete_timer(due, customer);
            return Ok(());
        }
        let deadline = next_deadline(stored.state())?;
        if deadline <= due {
            let state = decode_state(stored.state(), &self.rules.rules)?;
            self.shard.insert(customer, state, due);
            return Ok(());
        }
        part.tally.rearmed += 1;
        part.writes.delete_timer(due, customer);
        part.writes.put_customer(customer, deadline, stored.state());
        self.rearmed.insert(customer.into(), deadline);
        if deadline < Instant::MAX {
            part.writes.put_timer(deadline, customer);
            self.due.insert(deadline, customer.into());
        }
        Ok(())
    }
}

/// Moves the index entry of a clean customer to their deadline.
fn move_index_entry(shard: &mut Shard, due: &mut DueIndex, part: &mut Part, slot: Slot) {
    let (old, deadline) = (shard.indexed_at(slot), shard.next_deadline(slot));
    let customer: Box<str> = shard.customer(slot).into();
    let mut bytes = Vec::with_capacity(384);
    shard.encode(slot, &mut bytes);
    part.tally.rearmed += 1;
    part.writes.delete_timer(old, &customer);
    part.writes.put_customer(&customer, deadline, &bytes);
    if deadline < Instant::MAX {
        part.writes.put_timer(deadline, &customer);
        due.insert(deadline, customer);
    }
    shard.set_indexed_at(slot, deadline);
}
