//! Finds the customers in memory by id.

use std::hash::{BuildHasher as _, BuildHasherDefault};

use hashbrown::HashTable;
use rustc_hash::FxHasher;

use super::slot::Slot;

/// Tables among which the slots are spread by hash: a table that grows moves its own entries alone, so that no event
/// waits until a million of them are moved.
const TABLES: usize = 64;

/// The slots by their customers' ids. The ids themselves are with the slots alone: a million of them take 20 MB or more.
#[derive(Debug)]
pub(super) struct CustomerIndex {
    tables: Vec<HashTable<Entry>>,
    len: usize,
}

/// The hash saves reading the ids of others.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    slot: Slot,
}

pub(super) fn hash_of(customer: &[u8]) -> u32 {
    (BuildHasherDefault::<FxHasher>::default().hash_one(customer) >> 32) as u32
}

/// The hash within a table: in all its bits, of which tables take the highest and the lowest.
fn spread(hash: u32) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    u64::from(hash).wrapping_mul(ODD).rotate_left(32)
}

impl CustomerIndex {
    pub(super) fn new() -> Self {
        Self { tables: vec![HashTable::new(); TABLES], len: 0 }
    }

    /// The first slot that `is` accepts of those whose customer's id has the hash of this one; hardly ever are there two.
    pub(super) fn find(&self, id: &[u8], is: impl Fn(Slot) -> bool) -> Option<Slot> {
        let hash = hash_of(id);
        let found =
            self.tables[hash as usize % TABLES].find(spread(hash), |entry| entry.hash == hash && is(entry.slot));
        found.map(|entry| entry.slot)
    }

    /// Adds a slot whose customer is in none yet.
    pub(super) fn insert(&mut self, id: &[u8], slot: Slot) {
        let hash = hash_of(id);
        self.tables[hash as usize % TABLES]
            .insert_unique(spread(hash), Entry { hash, slot }, |entry| spread(entry.hash));
        self.len += 1;
    }

    pub(super) fn remove(&mut self, id: &[u8], slot: Slot) {
        let hash = hash_of(id);
        let table = &mut self.tables[hash as usize % TABLES];
        if let Ok(entry) = table.find_entry(spread(hash), |entry| entry.slot == slot) {
            entry.remove();
            self.len -= 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}
