//! Records of the changelog, buffered until they are written to the database in one batch.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::event::Instant;
use crate::kafka::Committed;
use crate::lane::partition::rank_state::moves;
use crate::rules::RuleSet;
use crate::store::layout::changelog;
use crate::store::{Batch, Corrupt, Database, KeyValue, Meta, StoreError, decode_meta, encode_counters, next_deadline};
use crate::summary::Counters;

/// Bytes of customers buffered before they are written to the database; only the last record of each is kept. Small
/// compared with the smallest budget for write buffers, since a batch is written at once.
pub(super) const BUFFER_BYTES: usize = 4 << 20;

pub(super) struct Changelog {
    pub(super) committed: Committed,
    pub(super) database: Database,
    /// States that are not written yet; `None`: deleted.
    pub(super) customers: FxHashMap<Box<str>, Option<Vec<u8>>>,
    pub(super) recorded: Batch,
    pub(super) bytes: usize,
    pub(super) end: i64,
    pub(super) next: i64,
    /// A transaction is open at this offset.
    pub(super) blocked_at: Option<i64>,
    pub(super) meta: Option<Meta>,
    /// The last META record, while it is not written.
    pub(super) meta_bytes: Option<Vec<u8>>,
    /// Parts of META whose record is still to come: they are written together.
    pub(super) meta_parts: Vec<KeyValue>,
    /// Counters of the customers in the database, with their rules; none: customers are counted at the end.
    pub(super) counters: Option<(Counters, Arc<RuleSet>)>,
    /// A rebuild has emptied the partition: META is to be deleted.
    pub(super) emptied: bool,
    /// The stored counters are invalid: the states follow other rules now.
    pub(super) uncounted: bool,
}

impl Changelog {
    /// Buffers one record.
    pub(super) fn add(&mut self, key: &[u8], payload: Option<&[u8]>) -> Result<(), Corrupt> {
        match (key.first().copied(), payload) {
            (Some(changelog::CUSTOMER), payload) => {
                let customer = std::str::from_utf8(&key[1..]).map_err(|_| Corrupt("customer id"))?;
                payload.map_or(Ok(Instant::MAX), next_deadline)?;
                self.bytes += key.len() + payload.map_or(0, <[u8]>::len);
                match self.customers.get_mut(customer) {
                    Some(known) => {
                        self.bytes -= key.len() + known.as_ref().map_or(0, Vec::len);
                        *known = payload.map(<[u8]>::to_vec);
                    }
                    None => {
                        self.customers.insert(customer.into(), payload.map(<[u8]>::to_vec));
                    }
                }
            }
            (Some(changelog::INPUT), value) => self.recorded.put_recorded(key.to_vec(), value.map(<[u8]>::to_vec)),
            (Some(changelog::PART), Some(value)) => self.meta_parts.push((key.to_vec(), value.to_vec())),
            (Some(changelog::PART), None) => self.recorded.put_recorded(key.to_vec(), None),
            (Some(changelog::META), Some(value)) => {
                let meta = decode_meta(value)?;
                self.meta_bytes = Some(value.to_vec());
                for (key, value) in self.meta_parts.drain(..) {
                    self.recorded.put_meta_part(key, value);
                }
                let alike =
                    |(_, rules): &(Counters, Arc<RuleSet>)| meta.migration.is_none() && meta.rules == rules.fingerprint;
                let counted = self.counters.is_some();
                self.counters = self.counters.take().filter(alike);
                self.uncounted |= counted && self.counters.is_none();
                self.meta = Some(meta);
            }
            (Some(changelog::META), None) => {
                (self.meta, self.counters, self.emptied) = (None, None, true);
                (self.meta_bytes, self.meta_parts) = (None, Vec::new());
            }
            _ => {}
        }
        Ok(())
    }

    /// Writes the buffered records to the database.
    pub(super) fn write(&mut self) -> Result<(), StoreError> {
        let mut batch = std::mem::take(&mut self.recorded);
        self.bytes = 0;
        self.count()?;
        for (customer, state) in self.customers.drain() {
            let Some(state) = state else {
                batch.delete_customer(&customer);
                continue;
            };
            // An older index entry is left; it is recognized as obsolete when it comes up.
            let deadline = next_deadline(&state)?;
            batch.put_customer(&customer, deadline, &state);
            if deadline < Instant::MAX {
                batch.put_timer(deadline, &customer);
            }
        }
        batch.put_changelog_next(self.next);
        if std::mem::take(&mut self.emptied) {
            batch.delete_meta();
        }
        if let Some(bytes) = self.meta_bytes.take() {
            batch.put_meta_bytes(bytes);
        }
        let mut bytes = Vec::new();
        match &self.counters {
            Some((counters, rules)) if !counters.rankings.is_empty() => {
                encode_counters(counters, rules, &mut bytes);
                batch.put_counters(bytes);
            }
            None if self.uncounted => batch.put_counters(bytes),
            _ => {}
        }
        self.database.write(&batch)
    }

    /// Updates the counters from the states in the database to those about to be written.
    fn count(&mut self) -> Result<(), StoreError> {
        let Some((counters, rules)) = self.counters.as_mut().filter(|(counters, _)| !counters.rankings.is_empty())
        else {
            return Ok(());
        };
        let mut customers: Vec<&str> = self.customers.keys().map(|customer| &**customer).collect();
        customers.sort_unstable();
        for (customer, before) in customers.iter().zip(self.database.customers(&customers)?) {
            let after = self.customers[*customer].as_deref();
            let before = before.as_ref().map(crate::store::StoredCustomer::state);
            moves(customer, before, after, rules)?.iter().for_each(|moved| counters.count(moved));
        }
        Ok(())
    }
}
