//! Deciding due deadlines, of customers in memory and stored, in the order of their instants.

use super::residents::Residents;
use crate::engine::{Detail, Slot};
use crate::event::Instant;
use crate::store::{StoreError, next_deadline};

/// Entries of the timer index read for each decided deadline, at most: most of them are obsolete when they come up.
const LOOKED_AT_EACH: usize = 4;

/// The outcome of deciding deadlines.
#[derive(Debug)]
pub struct Decided {
    /// The decided deadlines, in the order of their instants.
    pub fired: Vec<(Instant, Slot)>,
    /// Deadlines at and after this instant are left; all before it are decided.
    pub more_from: Option<Instant>,
}

impl Residents {
    /// A lower bound of the next deadline of all customers, without reading the database.
    #[must_use]
    pub fn next_due(&mut self) -> Instant {
        self.due.next_known().min(self.shard.next_due())
    }

    /// Will `decide_some` look at the timer index? What it moves there belongs to a batch.
    #[must_use]
    pub fn reads_index_before(&self, until: Instant) -> bool {
        self.due.next_known() < until
    }

    /// Decides the earliest deadlines before `until`, `most` at most. `as_of`: the position of the next event, which is
    /// not applied yet.
    ///
    /// # Errors
    /// The database cannot be read, or a state is damaged.
    pub fn decide_some(
        &mut self,
        until: Instant,
        most: usize,
        as_of: i64,
        detail: Detail,
    ) -> Result<Decided, StoreError> {
        let mut fired: Vec<(Instant, Slot)> = Vec::new();
        let mut looked_at = 0;
        loop {
            // The entry at which the scan stopped: all customers due before it are in memory.
            let mut stopped_at = None;
            let mut near = fired.len();
            if self.reads_index_before(until) {
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

    /// Handles an index entry that stream time has passed. A customer who is due is loaded into memory. An obsolete
    /// entry is moved to the customer's deadline, which may be due as well. A customer with unflushed changes keeps the
    /// entry, so that a restore still finds it.
    fn resolve_index_entry(&mut self, due: Instant, customer: &str) -> Result<(), StoreError> {
        if let Some(slot) = self.shard.find(customer) {
            let clean = self.shard.is_clean(slot);
            if self.shard.indexed_at(slot) == due && clean && self.shard.next_deadline(slot) > due {
                self.move_index_entry(slot);
            }
            return Ok(());
        }
        let Some(stored) = self.database.customer(customer)? else {
            self.writes.delete_timer(due, customer);
            return Ok(());
        };
        let indexed_at = match self.rearmed.get(customer) {
            Some(at) => *at,
            None => stored.indexed_at()?,
        };
        if indexed_at != due {
            self.writes.delete_timer(due, customer);
            return Ok(());
        }
        let deadline = next_deadline(stored.state())?;
        if deadline <= due {
            self.shard.insert_stored(customer, stored.state(), due)?;
            return Ok(());
        }
        self.rearmed_count += 1;
        self.writes.delete_timer(due, customer);
        self.writes.put_customer(customer, deadline, stored.state());
        self.rearmed.insert(customer.into(), deadline);
        if deadline < Instant::MAX {
            self.writes.put_timer(deadline, customer);
            self.due.insert(deadline, customer.into());
        }
        Ok(())
    }

    /// Moves the index entry of a clean customer to their deadline.
    fn move_index_entry(&mut self, slot: Slot) {
        let (old, deadline) = (self.shard.indexed_at(slot), self.shard.next_deadline(slot));
        let customer: Box<str> = self.shard.customer(slot).into();
        let mut bytes = Vec::with_capacity(384);
        self.shard.encode(slot, &mut bytes);
        self.rearmed_count += 1;
        self.writes.delete_timer(old, &customer);
        self.writes.put_customer(&customer, deadline, &bytes);
        if deadline < Instant::MAX {
            self.writes.put_timer(deadline, &customer);
            self.due.insert(deadline, customer);
        }
        self.shard.set_indexed_at(slot, deadline);
    }
}
