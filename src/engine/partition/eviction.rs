//! Which customers are packed and which leave memory: clocks, which are about least recently used.

use super::packed::customer_of;
use super::shard::Shard;
use super::slot::Slot;
use super::slots::Resident;

/// What a customer takes besides their bytes: slot, entry of the index, timer, and entry among the dirty.
const RESIDENT_BYTES: usize = size_of::<Resident>() + 16 + 16 + 8;
/// The part of the memory that decoded states may take, however many customers are in it.
const DECODED_PART: usize = 8;

impl Shard {
    /// About how many bytes the customers in memory take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.slab.used_bytes() + self.decoded.bytes() + self.len() * RESIDENT_BYTES
    }

    /// Packs customers while all together take more than `budget` bytes. Returns those to evict if that is not enough.
    /// A sixteenth more than needed is freed, so that the next batch need not begin again.
    pub fn make_room(&mut self, budget: usize) -> Vec<Slot> {
        let packed = self.bytes() - self.decoded.bytes();
        self.decoded.set_limit(budget.saturating_sub(packed).max(budget / DECODED_PART));
        let wanted = |bytes: usize| (bytes > budget).then(|| bytes - budget + budget / 16);
        if let Some(bytes) = wanted(self.bytes()) {
            self.pack(bytes);
        }
        wanted(self.bytes()).map_or_else(Vec::new, |bytes| self.sweep(bytes))
    }

    /// Packs customers until about `bytes` become free: those not referenced since they were last looked at. Packed, a
    /// customer is as they are stored, and decoded again for their next event or deadline.
    pub fn pack(&mut self, bytes: usize) {
        let goal = self.bytes().saturating_sub(bytes);
        while self.bytes() > goal
            && let Some((place, slot)) = self.decoded.victim()
        {
            self.pack_one(place, slot);
        }
    }

    /// Customers to evict so that about `bytes` become free: those not referenced since the hand last passed.
    pub fn sweep(&mut self, bytes: usize) -> Vec<Slot> {
        let (mut victims, mut freed) = (Vec::new(), 0);
        // The first round clears every mark, the second takes what is there.
        for _ in 0..self.slots.len() * 2 {
            if freed >= bytes {
                break;
            }
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = Slot(u32::try_from(self.hand).expect("slots are numbered in 32 bits"));
            let resident = &mut self.slots[slot];
            if resident.block.is_empty() || std::mem::take(&mut resident.recent) {
                continue;
            }
            freed += resident.block.bytes() + RESIDENT_BYTES;
            // Marked again, so that it is not taken twice before it is removed.
            resident.recent = true;
            victims.push(slot);
        }
        victims
    }

    /// Removes a customer from memory.
    pub fn remove(&mut self, slot: Slot) {
        let resident = self.slots[slot];
        if let Some(place) = resident.place() {
            self.decoded.remove(place, self.engine.rules());
        }
        self.by_customer.remove(customer_of(self.slab.get(resident.block)), slot);
        self.slab.free(resident.block);
        self.dirty_count -= usize::from(!resident.is_clean());
        self.counted.remove(&slot);
        self.slots.remove(slot);
        if self.slab.is_sparse() {
            self.slab.compact(self.slots.blocks_mut());
        }
    }
}
