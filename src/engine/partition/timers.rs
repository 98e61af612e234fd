//! Who is due when, in order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::slot::Slot;
use crate::event::{Instant, Span};

/// Entries in the order of their instants, then slots.
///
/// Most deadlines lie days ahead, and most are added long before they come up. So only those of the earliest hour stand
/// in a heap, which stays small; the others lie unsorted, by the hour.
#[derive(Debug)]
pub(super) struct Agenda {
    /// All entries of hours before `sorted_to`.
    near: BinaryHeap<Reverse<(Instant, Slot)>>,
    sorted_to: i64,
    /// By hour, none empty.
    far: BTreeMap<i64, Vec<Reverse<(Instant, Slot)>>>,
    len: usize,
}

impl Agenda {
    pub(super) fn new() -> Self {
        Self { near: BinaryHeap::new(), sorted_to: i64::MIN, far: BTreeMap::new(), len: 0 }
    }

    pub(super) fn push(&mut self, at: Instant, slot: Slot) {
        let hour = at.0.div_euclid(Span::HOUR.0);
        self.len += 1;
        if hour < self.sorted_to {
            self.near.push(Reverse((at, slot)));
        } else {
            self.far.entry(hour).or_default().push(Reverse((at, slot)));
        }
    }

    /// The earliest entry.
    pub(super) fn peek(&mut self) -> Option<(Instant, Slot)> {
        if self.near.is_empty() {
            let (hour, entries) = self.far.pop_first()?;
            self.near = entries.into();
            self.sorted_to = hour + 1;
        }
        self.near.peek().map(|Reverse(entry)| *entry)
    }

    /// Takes out the entry that `peek` showed.
    pub(super) fn pop(&mut self) {
        self.len -= usize::from(self.near.pop().is_some());
    }

    /// Entries, those that no longer fit included.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::{Agenda, Instant, Slot, Span};

    #[test]
    fn entries_come_in_order_whenever_they_are_added() {
        let mut agenda = Agenda::new();
        let mut waiting = Vec::new();
        let mut random = 1_u64;
        for round in 0..10_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let ahead = (random >> 33).cast_signed() % (5 * Span::HOUR.0);
            let entry = (Instant(round * Span::MINUTE.0 + ahead - Span::DAY.0), Slot(random as u32 % 7));
            agenda.push(entry.0, entry.1);
            waiting.push(entry);
            if random >> 62 == 0 {
                waiting.sort_unstable();
                for expected in waiting.drain(..waiting.len() / 2) {
                    assert_eq!(agenda.peek(), Some(expected));
                    agenda.pop();
                }
            }
        }
    }
}
