//! The customers with changes not yet flushed, in the order of the batches that made the first of them.

use std::collections::VecDeque;

use super::slot::Slot;

/// Slots by the start of the batch since which they are dirty, ascending.
#[derive(Debug, Default)]
pub(super) struct DirtyQueue {
    slots: VecDeque<Slot>,
    /// Where each batch began, and how many of `slots` are of it.
    batches: VecDeque<(i64, u32)>,
}

impl DirtyQueue {
    /// `batch_start` is never before that of an earlier call.
    pub(super) fn push(&mut self, batch_start: i64, slot: Slot) {
        self.slots.push_back(slot);
        match self.batches.back_mut().filter(|(start, _)| *start == batch_start) {
            Some((_, slots)) => *slots += 1,
            None => self.batches.push_back((batch_start, 1)),
        }
    }

    pub(super) fn first(&self) -> Option<(i64, Slot)> {
        Some((self.batches.front()?.0, *self.slots.front()?))
    }

    /// The one so many places after the first.
    pub(super) fn get(&self, after: usize) -> Option<Slot> {
        self.slots.get(after).copied()
    }

    /// Removes the one that `first` returned.
    pub(super) fn pop(&mut self) {
        self.slots.pop_front();
        if let Some((_, slots)) = self.batches.front_mut() {
            *slots -= 1;
            if *slots == 0 {
                self.batches.pop_front();
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn retain(&mut self, keeps: impl Fn(i64, Slot) -> bool) {
        let mut kept = Self::default();
        while let Some((start, slot)) = self.first() {
            if keeps(start, slot) {
                kept.push(start, slot);
            }
            self.pop();
        }
        *self = kept;
    }
}
