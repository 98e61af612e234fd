//! The customers of one partition: those in memory, the database that holds all of them, and what connects the two.

use std::collections::BTreeMap;

use super::due::DueIndex;
use crate::engine::{CustomerEffect, RiskEffect, Shard, Slot};
use crate::event::Instant;
use crate::store::{Batch, Database, StoreError};

/// The customers of one partition between memory and its database.
///
/// What the current batch changes is in memory, and in `writes` once it is flushed. The caller writes these to the
/// database when the batch counts; until then the database is as of the batch before.
pub struct Residents {
    pub(super) shard: Shard,
    pub(super) database: Database,
    pub(super) due: DueIndex,
    /// Index entries that the current batch has moved: the database still holds their old instants.
    pub(super) rearmed: BTreeMap<Box<str>, Instant>,
    /// How many entries the current batch has moved because they came up before their customer's deadline.
    pub(super) rearmed_count: u64,
    /// What the current batch writes so far of customers and their index entries.
    pub(super) writes: Batch,
    /// Of the decisions since they were last taken.
    pub(super) effects: Vec<CustomerEffect>,
    /// Below this many bytes of customers `evict_clean` finds nothing to evict.
    pub(super) evict_above: usize,
    /// Bytes of a state above which a flush shrinks it.
    pub(super) state_bytes_max: usize,
}

impl Residents {
    /// The customers of a database, of whom `shard` holds none yet.
    ///
    /// # Errors
    /// The database is damaged.
    pub fn new(shard: Shard, database: Database) -> Result<Self, StoreError> {
        // Not META's stream time: another process, or a write that a crash cut off, may have moved entries that this
        // copy still holds at their old instants.
        let timers_from = database.timers_from()?;
        Ok(Self {
            shard,
            database,
            due: DueIndex::starting_at(timers_from),
            rearmed: BTreeMap::new(),
            rearmed_count: 0,
            writes: Batch::default(),
            effects: Vec::new(),
            evict_above: 0,
            state_bytes_max: usize::MAX,
        })
    }

    /// The customers in memory.
    #[must_use]
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// The database, as of the last batch that was written to it.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The database alone: what is in memory is lost.
    #[must_use]
    pub fn into_database(self) -> Database {
        self.database
    }

    /// From now on a flush shrinks states of more than `most` bytes.
    pub fn set_state_bytes_max(&mut self, most: usize) {
        self.state_bytes_max = most;
    }

    /// Begins a batch at a log position: what changes from now on is dirty since then.
    pub fn begin(&mut self, position: i64) {
        self.shard.begin(position);
    }

    /// The customer's slot, if the customer is in memory.
    pub fn find(&mut self, customer: &str) -> Option<Slot> {
        self.shard.find(customer)
    }

    /// Appends the slot of each customer who is in memory. `None`: a record without a customer. Returns those who are not in
    /// memory.
    pub fn find_all<'c>(&mut self, customers: &[Option<&'c str>], found: &mut Vec<Option<Slot>>) -> Vec<&'c str> {
        let begin = found.len();
        self.shard.find_all(customers, found);
        let missing = customers.iter().zip(&found[begin..]).filter(|(_, slot)| slot.is_none());
        missing.filter_map(|(customer, _)| *customer).collect()
    }

    /// The slot of a customer whose state was loaded, or who is new.
    pub fn find_or_new(&mut self, customer: &str) -> Slot {
        self.shard.find_or_new(customer)
    }

    /// Loads the states of customers who are not in memory, in one read. Returns how many of them are stored; the others
    /// are new.
    ///
    /// # Errors
    /// The database cannot be read, or a state is damaged.
    pub fn load(&mut self, mut missing: Vec<&str>) -> Result<usize, StoreError> {
        missing.sort_unstable();
        missing.dedup();
        let found = self.database.customers(&missing)?;
        let mut loaded = 0;
        for (customer, stored) in missing.into_iter().zip(found) {
            if let Some(stored) = stored {
                let indexed_at = match self.rearmed.get(customer) {
                    Some(at) => *at,
                    None => stored.indexed_at()?,
                };
                self.shard.insert_stored(customer, stored.state(), indexed_at)?;
                loaded += 1;
            }
        }
        Ok(loaded)
    }

    /// As `load`, for those of these customers who are not in memory.
    ///
    /// # Errors
    /// As `load`.
    pub fn load_missing<'c>(&mut self, customers: impl Iterator<Item = &'c str>) -> Result<usize, StoreError> {
        let missing = customers.filter(|customer| self.find(customer).is_none()).collect();
        self.load(missing)
    }

    /// Have decisions had effects on cohorts since they were last taken?
    #[must_use]
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Is there, or may there be, anything to say once the deadlines before `until` are decided?
    #[must_use]
    pub fn has_outcomes_before(&mut self, until: Instant) -> bool {
        self.has_effects() || self.shard.has_risks() || self.next_due() < until
    }

    /// The effects of decisions on cohorts since the last call, in order. `reuse_effects` takes the emptied list back.
    #[must_use]
    pub fn take_effects(&mut self) -> Vec<CustomerEffect> {
        std::mem::take(&mut self.effects)
    }

    /// Takes back a list of effects for its memory; what is left in it is dropped.
    pub fn reuse_effects(&mut self, mut effects: Vec<CustomerEffect>) {
        effects.clear();
        self.effects = effects;
    }

    /// Changes of risk levels since the last call, of each customer in order.
    pub fn take_risks(&mut self) -> Vec<(Slot, RiskEffect)> {
        self.shard.take_risks()
    }
}
