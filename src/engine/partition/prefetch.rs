//! Loads from memory ahead of their use.
//!
//! What an event needs is at the end of chains of pointers, and a load from memory takes longer than a decision. So the
//! chains of several customers are followed together, link by link: no load waits for that of another customer. See Chen,
//! Ailamaki, Gibbons and Mowry, "Improving Hash Join Performance through Prefetching" (2004), group prefetching.

use std::hint::black_box;

use super::packed::customer_of;
use super::shard::Shard;
use super::slot::Slot;

/// Customers whose loads are under way together: about as many as a core can have, and their states stay in its caches.
pub(super) const TOGETHER: usize = 32;

impl Shard {
    /// Appends the slot of each customer who is in memory. `None`: a record without a customer.
    pub fn find_all(&mut self, customers: &[Option<&str>], found: &mut Vec<Option<Slot>>) {
        for customers in customers.chunks(TOGETHER) {
            let begin = found.len();
            let by_hash = |customer: &Option<&str>| self.by_customer.candidate(customer.as_ref()?.as_bytes());
            found.extend(customers.iter().map(by_hash));
            let candidates = found[begin..].iter().flatten();
            black_box(candidates.map(|slot| self.slab.get(self.slots[*slot].block).len()).sum::<usize>());
            for (customer, found) in customers.iter().zip(&mut found[begin..]) {
                let (Some(customer), Some(candidate)) = (customer, *found) else { continue };
                if customer_of(self.slab.get(self.slots[candidate].block)) != customer.as_bytes() {
                    *found = self.slot_of(customer);
                }
                if let Some(slot) = *found {
                    self.slots[slot].recent = true;
                }
            }
        }
    }

    /// Touches what an event of each of these customers will need, so that it is in the cache by then. For the next few
    /// customers: what is touched too early is gone again.
    pub fn prefetch(&self, slots: &[Option<Slot>]) {
        for slots in slots.chunks(TOGETHER) {
            let mut states = [None; TOGETHER];
            let mut touched: i64 = 0;
            for (slot, state) in slots.iter().zip(&mut states) {
                let Some(slot) = *slot else { continue };
                *state = self.decoded(slot);
                if state.is_none() {
                    touched = touched.wrapping_add(touch(self.slab.get(self.slots[slot].block)));
                }
            }
            for state in states.iter().flatten() {
                touched = touched.wrapping_add(state.touch_fields());
            }
            for state in states.iter().flatten() {
                touched = touched.wrapping_add(state.touch_lists());
            }
            for state in states.iter().flatten() {
                touched = touched.wrapping_add(state.touch_facts());
            }
            black_box(touched);
        }
    }
}

/// Touches one byte of each cache line.
fn touch(bytes: &[u8]) -> i64 {
    bytes.iter().step_by(64).map(|byte| i64::from(*byte)).sum()
}
