//! Backfilled states: in memory, and in a database beside the partition's own once they are too many.

use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use crate::engine::CustomerState;
use crate::event::Instant;
use crate::kafka::Record;
use crate::rules::RuleSet;
use crate::store::{Batch, Database, SharedMemory, StoreError, decode_state, encode_state};

/// Roughly what a backfilled customer takes in memory.
const CUSTOMER_BYTES: usize = 512;

/// The states of a backfill.
pub(super) struct BackfillStore {
    pub(super) path: PathBuf,
    pub(super) database: Option<Database>,
    pub(super) states: FxHashMap<Box<str>, CustomerState>,
    pub(super) bytes: usize,
}

/// Where a partition's backfilled states are; they are never needed after a restart.
pub(super) fn backfill_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".adopting");
    path.into()
}

impl BackfillStore {
    /// Loads the backfilled states of these records' customers that are not in memory.
    pub(super) fn load(&mut self, records: &[Record<'_>], rules: &RuleSet) -> Result<(), StoreError> {
        let Some(database) = &self.database else { return Ok(()) };
        let customers = records.iter().filter_map(|record| std::str::from_utf8(record.key()?).ok());
        let mut missing: Vec<&str> = customers.filter(|customer| !self.states.contains_key(*customer)).collect();
        missing.sort_unstable();
        missing.dedup();
        for (customer, stored) in missing.iter().zip(database.customers(&missing)?) {
            if let Some(stored) = stored {
                self.states.insert((*customer).into(), decode_state(stored.state(), rules)?);
                self.bytes += CUSTOMER_BYTES + stored.state().len();
            }
        }
        Ok(())
    }

    pub(super) fn state(&mut self, customer: &str, rules: &RuleSet) -> &mut CustomerState {
        if !self.states.contains_key(customer) {
            self.bytes += CUSTOMER_BYTES + customer.len();
            self.states.insert(customer.into(), CustomerState::new(rules));
        }
        self.states.get_mut(customer).expect("inserted just now")
    }

    /// Writes all states to disk once they take more than `budget` bytes.
    pub(super) fn spill(&mut self, budget: usize, memory: &SharedMemory) -> Result<(), StoreError> {
        if self.bytes <= budget {
            return Ok(());
        }
        if self.database.is_none() {
            self.database = Some(Database::open_scratch(&self.path, memory)?);
        }
        let mut batch = Batch::default();
        for (customer, state) in self.states.drain() {
            let mut bytes = Vec::with_capacity(256);
            encode_state(&state, &mut bytes);
            batch.put_customer(&customer, Instant::MAX, &bytes);
        }
        self.bytes = 0;
        self.database.as_ref().map_or(Ok(()), |database| database.write(&batch))
    }

    /// The backfilled states of these customers. `sorted`: ascending.
    pub(super) fn take(&self, sorted: &[&str], rules: &RuleSet) -> Result<Vec<Option<CustomerState>>, StoreError> {
        let mut stored = match &self.database {
            Some(database) => database.customers(sorted)?,
            None => Vec::new(),
        }
        .into_iter();
        let mut found = Vec::with_capacity(sorted.len());
        for customer in sorted {
            let stored = stored.next().flatten();
            found.push(match (self.states.get(*customer), stored) {
                // The one in memory is newer.
                (Some(state), _) => Some(state.clone()),
                (None, Some(stored)) => Some(decode_state(stored.state(), rules)?),
                (None, None) => None,
            });
        }
        Ok(found)
    }

    pub(super) fn clear(&mut self) -> Result<(), StoreError> {
        self.states.clear();
        self.bytes = 0;
        self.database = None;
        Database::remove(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::{Path, backfill_path};

    #[test]
    fn what_is_gathered_lies_beside_the_database_whatever_its_topic_is_called() {
        assert_eq!(backfill_path(Path::new("/s/g/shop.events-3")), Path::new("/s/g/shop.events-3.adopting"));
    }
}
