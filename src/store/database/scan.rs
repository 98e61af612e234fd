//! Customers in the order of their ids.

use std::ops::ControlFlow;

use rocksdb::{Direction, IteratorMode, ReadOptions};

use super::{CUSTOMERS, Corrupt, Database, Instant, StoreError, Stored, from_ordered};
use crate::event::text;

impl Database {
    /// The customers whose ids come after `after`, in the order of bytes: as many as fit in these limits, one at least if
    /// there is one.
    ///
    /// # Errors
    /// RocksDB cannot read, or a value is damaged.
    pub fn customers_after(&self, after: &str, most: usize, bytes_max: usize) -> Result<Vec<Stored>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound([after.as_bytes(), &[0]].concat());
        let (mut found, mut bytes) = (Vec::new(), 0);
        for entry in self.db.iterator_cf_opt(self.family(CUSTOMERS), options, IteratorMode::Start) {
            if found.len() >= most || bytes >= bytes_max {
                break;
            }
            let (key, value) = entry?;
            let customer = text(&key).ok_or(Corrupt("customer id"))?;
            let (head, state) = value.split_first_chunk::<8>().ok_or(Corrupt("customer"))?;
            bytes += state.len();
            found.push(Stored {
                customer: customer.into(),
                indexed_at: Instant(from_ordered(*head)),
                state: state.into(),
            });
        }
        Ok(found)
    }

    /// Calls `visit` with the id and state bytes of every customer after `after`, in order of id, until it breaks.
    ///
    /// # Errors
    /// RocksDB cannot read, a value is damaged, or what `visit` says.
    pub fn for_each_customer(
        &self,
        after: &str,
        mut visit: impl FnMut(&str, &[u8]) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let from = IteratorMode::From(after.as_bytes(), Direction::Forward);
        for entry in self.db.iterator_cf(self.family(CUSTOMERS), from) {
            let (key, value) = entry?;
            let customer = text(&key).ok_or(Corrupt("customer id"))?;
            if customer > after && visit(customer, value.get(8..).ok_or(Corrupt("customer"))?)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Calls `visit` with the next customers after `through`, `most` at most, and moves `through` to the last of them. Returns
    /// how many, and whether there are no more.
    ///
    /// # Errors
    /// As `for_each_customer`.
    pub fn scan_customers(
        &self,
        through: &mut String,
        most: usize,
        mut visit: impl FnMut(&str, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(usize, bool), StoreError> {
        let (mut visited, mut done) = (0, true);
        let after = through.clone();
        self.for_each_customer(&after, |customer, state| {
            if visited == most {
                done = false;
                return Ok(ControlFlow::Break(()));
            }
            visited += 1;
            customer.clone_into(through);
            visit(customer, state)?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((visited, done))
    }
}
