//! What is kept of each customer in memory beside their bytes, by slot.

use std::ops::{Index, IndexMut};

use super::slab::Block;
use super::slot::Slot;
use crate::event::Instant;

/// A customer in memory. The slot is free where `block` is empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resident {
    /// The customer's id and packed state; see `packed`.
    pub(super) block: Block,
    /// The earliest timer of this slot; `MAX`: none.
    pub(super) timer_at: Instant,
    /// Under which deadline the stored index has this customer; `MAX`: under none. Kept for `residents`, unused
    /// here.
    pub(super) indexed_at: Instant,
    /// Where the batch began that made the first change not yet flushed; `CLEAN`: there is none.
    pub(super) dirty_since: i64,
    /// The place of the decoded state among the decoded ones; `PACKED`: it is in `block` alone.
    pub(super) decoded: u32,
    /// Flushed at least once.
    pub(super) is_stored: bool,
    /// Referenced since the clock hand last passed.
    pub(super) recent: bool,
}

pub(super) const CLEAN: i64 = i64::MAX;
pub(super) const PACKED: u32 = u32::MAX;

impl Resident {
    /// What a free slot has.
    pub(super) const NONE: Self = Self {
        block: Block::NOWHERE,
        timer_at: Instant::MAX,
        indexed_at: Instant::MAX,
        dirty_since: CLEAN,
        decoded: PACKED,
        is_stored: true,
        recent: false,
    };

    pub(super) fn is_clean(&self) -> bool {
        self.dirty_since == CLEAN
    }

    /// The place of the decoded state, if it is decoded.
    pub(super) fn place(&self) -> Option<usize> {
        (self.decoded != PACKED).then_some(self.decoded as usize)
    }
}

/// Slots of one piece of memory: growing copies none of them.
const CHUNK: usize = 4_096;

/// All slots. Those of customers who were removed are used again.
#[derive(Debug, Default)]
pub(super) struct Slots {
    chunks: Vec<Vec<Resident>>,
    free: Vec<Slot>,
}

impl Slots {
    /// Number of slots, free ones included.
    pub(super) fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    /// A slot for a customer.
    pub(super) fn add(&mut self, resident: Resident) -> Slot {
        if let Some(slot) = self.free.pop() {
            self[slot] = resident;
            return slot;
        }
        let slot = Slot(u32::try_from(self.len()).expect("fewer than 2^32 customers are in memory"));
        match self.chunks.last_mut().filter(|last| last.len() < CHUNK) {
            Some(last) => last.push(resident),
            None => {
                // The first chunk grows: most partitions of a test have few customers.
                let mut chunk = Vec::with_capacity(if self.chunks.is_empty() { 16 } else { CHUNK });
                chunk.push(resident);
                self.chunks.push(chunk);
            }
        }
        slot
    }

    /// Frees a slot.
    pub(super) fn remove(&mut self, slot: Slot) {
        self[slot] = Resident::NONE;
        self.free.push(slot);
    }

    /// Those with a customer.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Resident)> {
        let all = self.chunks.iter().flatten().zip(0..).map(|(resident, number)| (Slot(number), resident));
        all.filter(|(_, resident)| !resident.block.is_empty())
    }

    /// The blocks of all slots, free ones included.
    pub(super) fn blocks_mut(&mut self) -> impl Iterator<Item = &mut Block> {
        self.chunks.iter_mut().flatten().map(|resident| &mut resident.block)
    }
}

impl Index<Slot> for Slots {
    type Output = Resident;

    #[inline]
    fn index(&self, slot: Slot) -> &Resident {
        &self.chunks[slot.0 as usize / CHUNK][slot.0 as usize % CHUNK]
    }
}

impl IndexMut<Slot> for Slots {
    #[inline]
    fn index_mut(&mut self, slot: Slot) -> &mut Resident {
        &mut self.chunks[slot.0 as usize / CHUNK][slot.0 as usize % CHUNK]
    }
}
