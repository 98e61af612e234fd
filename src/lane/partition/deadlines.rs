//! What is due, of customers in memory and stored, decided in the order of its instants.

use crate::engine::{Detail, Shard, Slot};
use crate::event::Instant;
use crate::lane::commit::plan::{Part, Plan};
use crate::lane::context::Context;
use crate::lane::partition::due::DueIndex;
use crate::lane::partition::state::Partition;
use crate::store::{Overdue, StoreError, decode_state, encode_state, next_deadline};

/// Entries of the index looked at for each deadline decided, at most: most of those that come up are not due yet.
const LOOKED_AT_EACH: usize = 4;

/// What deciding deadlines came to.
pub(in crate::lane) struct Decided {
    /// Which were decided, in the order of their instants.
    pub(in crate::lane) fired: Vec<(Instant, Slot)>,
    /// There are more, at and after this instant; all before it are decided.
    pub(in crate::lane) more_from: Option<Instant>,
}

impl Partition {
    /// Decides the deadlines before stream time, of customers in memory and stored, and turns what is said into records.
    ///
    /// Where there are more than one transaction takes, the earliest are decided and the partition is overdue: it takes
    /// nothing in until `decide_overdue` has decided the others. Deadlines of one instant are as many as there are customers.
    pub(in crate::lane) fn settle(
        &mut self,
        position: i64,
        as_of: i64,
        words: Detail,
        context: &Context,
        plan: &mut Plan,
    ) -> Result<(), StoreError> {
        let until = match (words, self.meta.overdue) {
            // Taking the input in again goes as far as it went then: the rest was not decided, or is flushed.
            (Detail::None, Some(overdue)) => self.shard.stream_time().min(overdue.decided_to),
            _ => self.shard.stream_time(),
        };
        loop {
            let decided = self.decide_some(until, as_of, words)?;
            self.tell(position, words, context, plan);
            if words == Detail::Full && (self.is_overdue() || decided.more_from.is_some()) {
                // Whoever is decided while others are left that came up with them: their states say so from now on, so
                // that a restart decides the others and nobody twice.
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
    pub(in crate::lane) fn decide_some(
        &mut self,
        until: Instant,
        as_of: i64,
        words: Detail,
    ) -> Result<Decided, StoreError> {
        let most = self.decisions_max;
        let mut fired: Vec<(Instant, Slot)> = Vec::new();
        let mut looked_at = 0;
        loop {
            // The entry at which looking stopped: whoever is due before it, and at its instant up to it, is in memory.
            let mut stopped_at = None;
            let mut near = fired.len();
            if self.due.next_known() < until {
                self.begin();
                while let Some((due, customer)) = self.due.pop_before(until, &self.database)? {
                    self.passed(due, &customer)?;
                    (near, looked_at) = (near + 1, looked_at + 1);
                    if near >= most || looked_at >= most * LOOKED_AT_EACH {
                        stopped_at = Some(due);
                        break;
                    }
                }
            }
            let bound = stopped_at.map_or(until, Instant::next);
            fired.extend(self.shard.fire_some(bound, most - fired.len(), as_of, words, &mut self.said));
            if fired.len() >= most {
                return Ok(Decided { more_from: fired.last().map(|(at, _)| *at), fired });
            }
            if stopped_at.is_none() || looked_at >= most * LOOKED_AT_EACH {
                return Ok(Decided { more_from: stopped_at, fired });
            }
        }
    }

    /// Are deadlines left that came up with others, too many for one transaction? Until they are decided nothing is taken
    /// in and nothing else begins.
    pub(in crate::lane) fn is_overdue(&self) -> bool {
        self.overdue.is_some()
    }

    /// Decides more of them.
    pub(in crate::lane) fn decide_overdue(&mut self, context: &Context, plan: &mut Plan) -> Result<(), StoreError> {
        let Some(Overdue { position, .. }) = self.overdue else { return Ok(()) };
        self.begin();
        self.settle(position, self.next_offset, Detail::Full, context, plan)
    }

    /// Stream time has passed an entry of the index. Whoever is due at that instant is decided from memory; an entry that its
    /// customer has left behind is set again at the true deadline, which may have passed as well and then comes next. A customer with changes not yet flushed keeps the old one: a
    /// restore that does not know the changes still finds it.
    pub(in crate::lane) fn passed(&mut self, due: Instant, customer: &str) -> Result<(), StoreError> {
        let part = self.part.as_mut().expect("a batch is under way");
        if let Some(slot) = self.shard.find(customer) {
            let clean = self.shard.is_clean(slot);
            if self.shard.indexed_at(slot) == due && clean && self.shard.state(slot).next_deadline > due {
                reindex(&mut self.shard, &mut self.due, part, slot);
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

/// Sets a clean customer's index entry at the true deadline.
pub(in crate::lane) fn reindex(shard: &mut Shard, due: &mut DueIndex, part: &mut Part, slot: Slot) {
    let (old, deadline) = (shard.indexed_at(slot), shard.state(slot).next_deadline);
    let customer: Box<str> = shard.customer(slot).into();
    let mut bytes = Vec::with_capacity(384);
    encode_state(shard.state(slot), &mut bytes);
    part.tally.rearmed += 1;
    part.writes.delete_timer(old, &customer);
    part.writes.put_customer(&customer, deadline, &bytes);
    if deadline < Instant::MAX {
        part.writes.put_timer(deadline, &customer);
        due.insert(deadline, customer);
    }
    shard.set_indexed_at(slot, deadline);
}
