//! Which customers in memory have changes that are not flushed yet, and since which batch.

use super::shard::Shard;
use super::slot::Slot;

impl Shard {
    /// Begins a batch at a log position: what changes from now on is dirty since then.
    pub fn begin(&mut self, batch_start: i64) {
        self.batch_start = batch_start;
    }

    /// Where the oldest batch began that has changes not yet flushed.
    pub fn oldest_dirty(&mut self) -> Option<i64> {
        while let Some((start, slot)) = self.dirty.front().copied() {
            if self.slots[slot.0 as usize].dirty_since == Some(start) {
                return Some(start);
            }
            self.dirty.pop_front();
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
        let (_, slot) = self.dirty.pop_front()?;
        let resident = self.resident_mut(slot);
        (resident.dirty_since, resident.is_stored) = (None, true);
        self.dirty_count -= 1;
        Some(slot)
    }

    /// Has nothing changed since the customer was last flushed?
    #[must_use]
    pub fn is_clean(&self, slot: Slot) -> bool {
        self.slots[slot.0 as usize].dirty_since.is_none()
    }

    /// Marks one customer clean, because the caller flushes it. False: it was clean.
    pub fn take_if_dirty(&mut self, slot: Slot) -> bool {
        let resident = self.resident_mut(slot);
        let was_dirty = resident.dirty_since.take().is_some();
        resident.is_stored |= was_dirty;
        self.dirty_count -= usize::from(was_dirty);
        was_dirty
    }

    /// Drops the older half of the customer's longest list; see
    /// [`CustomerState::shrink`](crate::engine::CustomerState::shrink).
    pub fn shrink(&mut self, slot: Slot) -> bool {
        self.unpack(slot);
        let shrunk = self.resident_mut(slot).body.decoded().shrink();
        self.counts.approximated += u64::from(shrunk);
        shrunk
    }
}
