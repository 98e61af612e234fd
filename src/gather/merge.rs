//! Records of several partitions in one order: always the one of the earliest time next.
//!
//! A partition of which nothing is at hand, and which may have more, holds up all others: its next record may be earlier.
//! One that was read to its end holds up nobody.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use crate::event::Instant;

/// A record that was read, and waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    pub(super) offset: i64,
    /// The time of its first event; of a record without one, that of the record before it.
    pub(super) at: Instant,
    /// What it takes in memory.
    pub(super) bytes: usize,
    pub(super) content: T,
}

/// The records at hand, by partition.
#[derive(Debug)]
pub(super) struct Merge<T> {
    partitions: BTreeMap<i32, Queue<T>>,
    /// The first record of each partition that has one. May name partitions that are gone.
    heads: BinaryHeap<Reverse<(Instant, i32)>>,
    /// Partitions that hold up all others.
    unknown: usize,
}

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<Waiting<T>>,
    bytes: usize,
    /// It was read to its end, at this offset, and nothing was read since.
    end: Option<i64>,
    /// It never holds up others.
    is_ignored: bool,
}

impl<T> Queue<T> {
    fn is_unknown(&self) -> bool {
        self.waiting.is_empty() && self.end.is_none() && !self.is_ignored
    }
}

impl<T> Default for Merge<T> {
    fn default() -> Self {
        Self { partitions: BTreeMap::new(), heads: BinaryHeap::new(), unknown: 0 }
    }
}

impl<T> Merge<T> {
    /// A partition of which nothing was read yet; what was at hand of it is dropped.
    pub(super) fn add(&mut self, number: i32) {
        self.remove(number);
        self.partitions.insert(number, Queue { waiting: VecDeque::new(), bytes: 0, end: None, is_ignored: false });
        self.unknown += 1;
    }

    /// A partition that does not take part any more.
    pub(super) fn remove(&mut self, number: i32) {
        if let Some(queue) = self.partitions.remove(&number) {
            self.unknown -= usize::from(queue.is_unknown());
            self.heads.retain(|Reverse((_, of))| *of != number);
        }
    }

    /// Whether a partition holds up others while nothing of it is at hand.
    pub(super) fn set_ignored(&mut self, number: i32, is_ignored: bool) {
        if let Some(queue) = self.partitions.get_mut(&number) {
            self.unknown -= usize::from(queue.is_unknown());
            queue.is_ignored = is_ignored;
            self.unknown += usize::from(queue.is_unknown());
        }
    }

    /// A record was read, the next one of its partition. False: the partition does not take part.
    pub(super) fn push(&mut self, number: i32, record: Waiting<T>) -> bool {
        let Some(queue) = self.partitions.get_mut(&number) else { return false };
        self.unknown -= usize::from(queue.is_unknown());
        if queue.waiting.is_empty() {
            self.heads.push(Reverse((record.at, number)));
        }
        queue.end = None;
        queue.bytes += record.bytes;
        queue.waiting.push_back(record);
        true
    }

    /// A partition was read to its end, at this offset.
    pub(super) fn end(&mut self, number: i32, offset: i64) {
        if let Some(queue) = self.partitions.get_mut(&number) {
            self.unknown -= usize::from(queue.is_unknown());
            queue.end = Some(offset);
        }
    }

    /// The next record of all partitions, unless a partition holds it up, or it is later than `bound`.
    pub(super) fn pop(&mut self, bound: Instant) -> Option<(i32, Waiting<T>)> {
        if self.unknown > 0 {
            return None;
        }
        let Reverse((at, number)) = *self.heads.peek()?;
        if at > bound {
            return None;
        }
        self.heads.pop();
        let queue = self.partitions.get_mut(&number)?;
        let record = queue.waiting.pop_front()?;
        queue.bytes -= record.bytes;
        match queue.waiting.front() {
            Some(next) => self.heads.push(Reverse((next.at, number))),
            None => self.unknown += usize::from(queue.is_unknown()),
        }
        Some((number, record))
    }

    /// The end of a partition that was read to it, and of which nothing waits.
    pub(super) fn read_to_end(&self, number: i32) -> Option<i64> {
        self.partitions.get(&number).filter(|queue| queue.waiting.is_empty())?.end
    }

    /// The bytes of a partition's records at hand.
    pub(super) fn bytes(&self, number: i32) -> usize {
        self.partitions.get(&number).map_or(0, |queue| queue.bytes)
    }

    /// Partitions that hold up all others.
    pub(super) fn unknown(&self) -> impl Iterator<Item = i32> + '_ {
        self.partitions.iter().filter(|(_, queue)| queue.is_unknown()).map(|(number, _)| *number)
    }

    /// Does a partition hold up all others?
    pub(super) fn is_held_up(&self) -> bool {
        self.unknown > 0
    }

    /// Is nothing at hand?
    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, Merge, Waiting};

    fn record(offset: i64, at: i64) -> Waiting<()> {
        Waiting { offset, at: Instant(at), bytes: 1, content: () }
    }

    fn popped(merge: &mut Merge<()>) -> Vec<(i32, i64)> {
        std::iter::from_fn(|| merge.pop(Instant::MAX)).map(|(number, record)| (number, record.at.0)).collect()
    }

    #[test]
    fn a_partition_of_which_nothing_is_known_holds_up_all_others() {
        let mut merge = Merge::default();
        merge.add(1);
        merge.add(2);
        merge.push(1, record(0, 50));
        assert_eq!(popped(&mut merge), []);
        assert_eq!(merge.unknown().collect::<Vec<_>>(), [2]);
        merge.push(2, record(0, 40));
        assert_eq!(popped(&mut merge), [(2, 40)], "then 2 may have an earlier one than 50");
        merge.end(2, 1);
        assert_eq!(popped(&mut merge), [(1, 50)]);
        assert_eq!((merge.read_to_end(2), merge.read_to_end(1)), (Some(1), None));
        merge.push(2, record(1, 60));
        assert_eq!(popped(&mut merge), [], "1 was not read to its end");
        merge.remove(1);
        assert_eq!(popped(&mut merge), [(2, 60)]);
        assert!(!merge.push(1, record(1, 1)));
    }

    #[test]
    fn a_partition_that_is_ignored_holds_up_nobody() {
        let mut merge = Merge::default();
        merge.add(1);
        merge.add(2);
        merge.push(1, record(0, 50));
        merge.set_ignored(2, true);
        assert_eq!((popped(&mut merge), merge.is_held_up()), (vec![(1, 50)], true), "by 1 itself");
        merge.push(2, record(0, 60));
        merge.push(1, record(1, 70));
        assert_eq!(popped(&mut merge), [(2, 60), (1, 70)], "what it has takes its turn");
        merge.set_ignored(2, false);
        merge.push(1, record(2, 80));
        assert_eq!(popped(&mut merge), []);
        assert_eq!(merge.unknown().collect::<Vec<_>>(), [2]);
        merge.remove(2);
        assert_eq!(popped(&mut merge), [(1, 80)]);
    }

    #[test]
    fn nothing_later_than_the_bound_is_taken() {
        let mut merge = Merge::default();
        merge.add(1);
        merge.push(1, record(0, 50));
        assert!(merge.pop(Instant(49)).is_none());
        assert!(merge.pop(Instant(50)).is_some());
    }

    /// Whatever order and pieces partitions are read in, the order is that of a sort by time, as far as each partition's own
    /// order allows, and nothing is lost.
    #[test]
    fn the_order_does_not_depend_on_how_partitions_are_read() {
        let mut state = 7_u64;
        // Numbers that look random, below a bound.
        let mut random = move |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % bound
        };
        for case in 0..2_000 {
            let partitions: Vec<Vec<i64>> = (0..1 + random(4))
                .map(|_| {
                    let mut times: Vec<i64> = (0..random(20)).map(|_| i64::try_from(random(30)).unwrap()).collect();
                    times.sort_unstable();
                    times
                })
                .collect();
            let number = |index: usize| i32::try_from(index).unwrap();
            let mut merge = Merge::default();
            (0..partitions.len()).for_each(|index| merge.add(number(index)));
            let mut read = vec![0; partitions.len()];
            let mut order = Vec::new();
            while order.len() < partitions.iter().map(Vec::len).sum() {
                let index = random(partitions.len());
                for _ in 0..random(6) {
                    match partitions[index].get(read[index]) {
                        Some(at) => {
                            assert!(merge.push(number(index), record(read[index] as i64, *at)));
                            read[index] += 1;
                        }
                        None => merge.end(number(index), read[index] as i64),
                    }
                }
                order.extend(popped(&mut merge));
            }
            let mut sorted: Vec<(i64, i32)> = partitions
                .iter()
                .enumerate()
                .flat_map(|(index, times)| times.iter().map(move |at| (*at, number(index))))
                .collect();
            sorted.sort_unstable();
            let order: Vec<(i64, i32)> = order.into_iter().map(|(number, at)| (at, number)).collect();
            assert_eq!(order, sorted, "case {case}");
            assert!(merge.is_empty() && (0..partitions.len()).all(|index| merge.bytes(number(index)) == 0));
        }
    }
}
