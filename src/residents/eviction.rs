//! Which customers leave memory, and when.

use super::residents::Residents;
use crate::engine::{Counts, Shard, Slot};

/// Counts of a batch, known once it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchCounts {
    /// Of its decisions.
    pub decisions: Counts,
    /// Index entries that came up before their customer's deadline and were moved there.
    pub rearmed: u64,
}

impl Residents {
    /// Chooses customers to evict so that the others take at most `budget` bytes, about. The caller flushes those that
    /// are dirty with the current batch, or leaves them, and evicts the others once it is committed.
    #[must_use]
    pub fn make_room(&mut self, budget: usize) -> Vec<Slot> {
        let mut victims = self.shard.make_room(budget);
        let stream_time = self.shard.stream_time();
        // A due deadline that is not decided yet is only found in memory.
        victims.retain(|slot| self.shard.next_deadline(*slot) >= stream_time);
        victims
    }

    /// Evicts clean customers from memory once all together take more than `budget` bytes: while nothing can be flushed.
    pub fn evict_clean(&mut self, budget: usize) {
        let bytes = self.shard.bytes();
        if bytes <= budget.max(self.evict_above) {
            return;
        }
        for slot in self.shard.make_room(budget) {
            if self.shard.is_clean(slot) {
                self.shard.remove(slot);
            }
        }
        // The others are dirty and stay; an immediate second try would find nothing.
        self.evict_above = self.shard.bytes() + budget / 8;
    }

    /// Evicts everybody: from now on `shard`, which is empty, decides. Nobody may be dirty.
    pub fn evict_all(&mut self, shard: Shard) {
        debug_assert!(self.shard.oldest_dirty().is_none(), "what changed is flushed first");
        self.shard = shard;
    }

    /// The current batch is written: evicts `victims` from memory, and returns what the batch counted.
    pub fn committed(&mut self, victims: &[Slot]) -> BatchCounts {
        self.due.mark_written();
        self.rearmed.clear();
        for slot in victims {
            self.shard.remove(*slot);
        }
        BatchCounts { decisions: self.shard.take_counts(), rearmed: std::mem::take(&mut self.rearmed_count) }
    }
}
