//! Which customers in memory have changes that are not flushed yet, and since which batch.

use super::shard::Shard;
use super::slot::Slot;
use super::slots::CLEAN;

impl Shard {
    /// Begins a batch at a log position: what changes from now on is dirty since then.
    pub fn begin(&mut self, batch_start: i64) {
        self.batch_start = batch_start;
    }

    /// Where the oldest batch began that has changes not yet flushed.
    pub fn oldest_dirty(&mut self) -> Option<i64> {
        while let Some((start, slot)) = self.dirty.first() {
            if self.slots[slot].dirty_since == start {
                return Some(start);
            }
            self.dirty.pop();
        }
        None
    }

    /// Customers with changes not yet flushed.
    #[must_use]
    pub fn dirty_count(&self) -> usize {
        self.dirty_count
    }

    /// Takes one customer dirty since a batch that began at or before `batch_start`, the longest dirty first. The
    /// caller flushes it; it counts as clean from now on.
    pub fn take_dirty(&mut self, batch_start: i64) -> Option<Slot> {
        if self.oldest_dirty()? > batch_start {
            return None;
        }
        self.prefetch_ahead(|ahead| self.dirty.get(ahead));
        let (_, slot) = self.dirty.first()?;
        self.dirty.pop();
        self.take_if_dirty(slot);
        Some(slot)
    }

    /// Has nothing changed since the customer was last flushed?
    #[must_use]
    pub fn is_clean(&self, slot: Slot) -> bool {
        self.slots[slot].is_clean()
    }

    /// Marks one customer clean, because the caller flushes it. False: it was clean.
    pub fn take_if_dirty(&mut self, slot: Slot) -> bool {
        let resident = &mut self.slots[slot];
        let was_dirty = !resident.is_clean();
        resident.dirty_since = CLEAN;
        self.dirty_count -= usize::from(was_dirty);
        was_dirty
    }

    /// Records that the caller stores the customer. True: for the first time.
    pub fn mark_stored(&mut self, slot: Slot) -> bool {
        !std::mem::replace(&mut self.slots[slot].is_stored, true)
    }

    /// Drops the older half of the customer's longest list; see
    /// [`CustomerState::shrink`](crate::engine::CustomerState::shrink).
    pub fn shrink(&mut self, slot: Slot) -> bool {
        let place = self.begin_change(slot);
        let shrunk = self.decoded.state_mut(place).shrink();
        self.counts.approximated += u64::from(shrunk);
        shrunk
    }
}
