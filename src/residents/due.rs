//! Which stored customers are due next: a window in memory over the timer index in the database.

use std::collections::BTreeSet;

use crate::event::Instant;
use crate::store::layout::{ordered, timer_key};
use crate::store::{Database, StoreError};

/// Entries read from the index at once.
const SCAN_MAX: usize = 4_096;
/// Entries held in memory, about a megabyte; later ones are left to a later scan.
const WINDOW_MAX: usize = 2 * SCAN_MAX;

/// One entry: deadline and customer.
type Due = (Instant, Box<str>);

/// The earliest entries of the index, and where the next scan begins.
///
/// Everything before `scanned_to` is in `window`, entries that batches add included. A scan never returns to
/// fired entries, so it never reads over their tombstones.
pub(super) struct DueIndex {
    window: BTreeSet<Due>,
    /// Key of the first entry that is not read yet; `None`: all are read.
    scanned_to: Option<Vec<u8>>,
    /// Entries beyond `scanned_to` that may not be in the database yet.
    unwritten: BTreeSet<Due>,
}

impl DueIndex {
    /// Entries before `from` are obsolete.
    pub(super) fn starting_at(from: Instant) -> Self {
        Self { window: BTreeSet::new(), scanned_to: Some(ordered(from.0).to_vec()), unwritten: BTreeSet::new() }
    }

    /// Takes the next entry before `until`.
    pub(super) fn pop_before(&mut self, until: Instant, database: &Database) -> Result<Option<Due>, StoreError> {
        while self.window.is_empty() {
            let Some(from) = self.scanned_to.take() else { return Ok(None) };
            let found = database.due(&from, Instant::MAX, SCAN_MAX)?;
            if found.len() == SCAN_MAX {
                self.scanned_to = found.last().map(|(due, customer)| {
                    let mut key = timer_key(*due, customer);
                    key.push(0);
                    key
                });
            }
            self.window.extend(found);
            for entry in std::mem::take(&mut self.unwritten) {
                self.insert(entry.0, entry.1);
            }
        }
        if self.window.first().is_some_and(|(due, _)| *due < until) {
            return Ok(self.window.pop_first());
        }
        Ok(None)
    }

    /// An entry is added to the database by the current batch.
    pub(super) fn insert(&mut self, due: Instant, customer: Box<str>) {
        let beyond = self.scanned_to.as_ref().is_some_and(|to| timer_key(due, &customer) >= *to);
        if beyond {
            self.unwritten.insert((due, customer));
            return;
        }
        self.window.insert((due, customer));
        if self.window.len() > WINDOW_MAX
            && let Some((due, customer)) = self.window.iter().nth(WINDOW_MAX / 2).cloned()
        {
            self.unwritten.extend(self.window.split_off(&(due, customer.clone())));
            self.scanned_to = Some(timer_key(due, &customer));
        }
    }

    /// An entry is removed from the database by the current batch.
    pub(super) fn remove(&mut self, due: Instant, customer: &str) {
        let entry = (due, customer.into());
        self.window.remove(&entry);
        self.unwritten.remove(&entry);
    }

    /// Everything that was added is in the database now.
    pub(super) fn mark_written(&mut self) {
        self.unwritten.clear();
    }

    /// A lower bound of the next due entry, without reading the database.
    pub(super) fn next_known(&self) -> Instant {
        match self.window.first() {
            Some((due, _)) => *due,
            None if self.scanned_to.is_some() => Instant::MIN,
            None => Instant::MAX,
        }
    }
}
