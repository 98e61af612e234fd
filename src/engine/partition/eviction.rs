//! Which customers are packed and which leave memory: a clock, which is about least recently used.

use super::resident::Body;
use super::shard::Shard;
use super::slot::Slot;
use crate::event::Instant;

impl Shard {
    /// About how many bytes the customers in memory take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Packs customers while all together take more than `budget` bytes. Returns those to evict if that is not enough.
    /// A sixteenth more than needed is freed, so that the next batch need not begin again.
    pub fn make_room(&mut self, budget: usize) -> Vec<Slot> {
        if self.bytes > budget {
            self.pack(self.bytes - budget + budget / 16);
        }
        if self.bytes > budget { self.sweep(self.bytes - budget + budget / 16) } else { Vec::new() }
    }

    /// Packs customers until about `bytes` become free: those not referenced since they were last looked at, the longest
    /// decoded first. Packed, a customer is as they are stored, and decoded again for their next event or deadline.
    pub fn pack(&mut self, bytes: usize) {
        let goal = self.bytes.saturating_sub(bytes);
        for _ in 0..self.decoded.len() {
            if self.bytes <= goal {
                break;
            }
            let Some(slot) = self.decoded.pop_front() else { break };
            let resident = &mut self.slots[slot.0 as usize];
            resident.is_queued = false;
            if std::mem::take(&mut resident.recent) {
                self.queue(slot);
            } else if resident.body.pack(&mut self.scratch) {
                self.measure(slot);
            }
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
            let resident = &mut self.slots[self.hand];
            if resident.customer.is_empty() || std::mem::take(&mut resident.recent) {
                continue;
            }
            freed += resident.bytes as usize;
            // Marked again, so that it is not taken twice before it is removed.
            resident.recent = true;
            victims.push(Slot(u32::try_from(self.hand).expect("slots are numbered in 32 bits")));
        }
        victims
    }

    /// Removes a customer from memory.
    pub fn remove(&mut self, slot: Slot) {
        self.by_customer.remove(&self.slots[slot.0 as usize].customer, &self.slots);
        let resident = &mut self.slots[slot.0 as usize];
        self.bytes -= resident.bytes as usize;
        resident.bytes = 0;
        resident.customer = Box::default();
        resident.body = Body::none();
        resident.reported = Box::default();
        resident.timer_at = Instant::MAX;
        self.dirty_count -= usize::from(resident.dirty_since.take().is_some());
        self.free.push(slot);
    }
}
