//! The timers of the customers in memory, in order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::slot::Slot;
use crate::event::{Instant, Span};

/// A priority queue of timers, by instant, then slot.
///
/// Most timers are set days before they fire. So only those of the earliest hour are in a heap, which stays small; the
/// others are in unsorted buckets of one hour.
#[derive(Debug)]
pub(super) struct TimerQueue {
    /// All timers of hours before `sorted_to`.
    near: BinaryHeap<Reverse<(Instant, Slot)>>,
    sorted_to: i64,
    /// By hour, none empty.
    far: BTreeMap<i64, Vec<Timer>>,
    len: usize,
}

/// Milliseconds from the beginning of the hour, and the slot: half of what an instant and a slot take.
#[derive(Debug, Clone, Copy)]
struct Timer {
    after: u32,
    slot: Slot,
}

impl TimerQueue {
    pub(super) fn new() -> Self {
        Self { near: BinaryHeap::new(), sorted_to: i64::MIN, far: BTreeMap::new(), len: 0 }
    }

    pub(super) fn push(&mut self, at: Instant, slot: Slot) {
        let hour = at.0.div_euclid(Span::HOUR.0);
        self.len += 1;
        if hour < self.sorted_to {
            self.near.push(Reverse((at, slot)));
        } else {
            let after = u32::try_from(at.0.rem_euclid(Span::HOUR.0)).expect("an hour has fewer than 2^32 milliseconds");
            self.far.entry(hour).or_default().push(Timer { after, slot });
        }
    }

    /// The earliest timer.
    pub(super) fn peek(&mut self) -> Option<(Instant, Slot)> {
        if self.near.is_empty() {
            let (hour, entries) = self.far.pop_first()?;
            // The hour of the earliest instant of all begins before it.
            let begins = hour.wrapping_mul(Span::HOUR.0);
            let of_hour = |timer: Timer| Reverse((Instant(begins.wrapping_add(i64::from(timer.after))), timer.slot));
            self.near.extend(entries.into_iter().map(of_hour));
            self.sorted_to = hour + 1;
        }
        self.near.peek().map(|Reverse(entry)| *entry)
    }

    /// Removes the timer that `peek` returned.
    pub(super) fn pop(&mut self) {
        self.len -= usize::from(self.near.pop().is_some());
    }

    /// Those of the earliest hour, about in their order.
    pub(super) fn next_few(&self) -> impl Iterator<Item = (Instant, Slot)> {
        self.near.iter().map(|Reverse(entry)| *entry)
    }

    /// Number of timers, stale ones included.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, Slot, Span, TimerQueue};

    #[test]
    fn entries_come_in_order_whenever_they_are_added() {
        let mut timers = TimerQueue::new();
        let mut waiting = Vec::new();
        let mut random = 1_u64;
        for round in 0..10_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let ahead = (random >> 33).cast_signed() % (5 * Span::HOUR.0);
            let entry = (Instant(round * Span::MINUTE.0 + ahead - Span::DAY.0), Slot(random as u32 % 7));
            timers.push(entry.0, entry.1);
            waiting.push(entry);
            if random >> 62 == 0 {
                waiting.sort_unstable();
                for expected in waiting.drain(..waiting.len() / 2) {
                    assert_eq!(timers.peek(), Some(expected));
                    timers.pop();
                }
            }
        }
    }
}
