//! Finds the customers in memory by id.

use std::hash::{BuildHasher as _, BuildHasherDefault};

use hashbrown::HashTable;
use rustc_hash::FxHasher;

use super::resident::Resident;
use super::slot::Slot;

/// The slots by their customers' ids. The ids themselves are in the slots alone: a million of them take 20 MB or more.
#[derive(Debug, Default)]
pub(super) struct CustomerIndex(HashTable<Slot>);

fn hash(customer: &str) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(customer)
}

fn customer(slots: &[Resident], slot: Slot) -> &str {
    &slots[slot.0 as usize].customer
}

impl CustomerIndex {
    pub(super) fn find(&self, id: &str, slots: &[Resident]) -> Option<Slot> {
        self.0.find(hash(id), |slot| customer(slots, *slot) == id).copied()
    }

    /// Adds a slot whose customer is in none yet.
    pub(super) fn insert(&mut self, slot: Slot, slots: &[Resident]) {
        self.0.insert_unique(hash(customer(slots, slot)), slot, |slot| hash(customer(slots, *slot)));
    }

    pub(super) fn remove(&mut self, id: &str, slots: &[Resident]) {
        if let Ok(entry) = self.0.find_entry(hash(id), |slot| customer(slots, *slot) == id) {
            entry.remove();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
