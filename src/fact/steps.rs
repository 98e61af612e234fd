//! How many events are between the latest A and the first B after it, for `steps from A to B`.
//!
//! Events that no late A or B can affect any more are only counted.

use super::kind::{Content, EdgeTimes, FeedContext, Kind, Names, Parts, Phrases, halve};
use super::times::{put_times, read_times};
use super::{A, B, VIA};
use crate::bytes::{Read, Reader, put_instant, put_u64};
use crate::event::{CustomerEvent, Instant};
use crate::prefetch::prefetch_ends;

/// The latest A, the first B after it, and the number of events between; at most `cap` of either are held individually.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    pub cap: usize,
}

/// The events after the latest A.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepsAfter {
    pub a: Option<Instant>,
    /// B's after the A: the first, and those that would be the first after a late A.
    pub b: Vec<Instant>,
    /// The number of steps that no later arrival can affect, and which are therefore not in `via`.
    pub settled: u64,
    /// The other steps, ascending; also those after the first B, which a late A may need.
    pub via: Vec<Instant>,
}

impl StepsAfter {
    /// `None` while there is no A.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        self.a?;
        Some(self.settled + self.via.partition_point(|time| *time <= self.end()) as u64)
    }

    /// The first B after the latest A.
    fn end(&self) -> Instant {
        self.b.first().copied().unwrap_or(Instant::MAX)
    }

    fn is_after_a(&self, at: Instant) -> bool {
        self.a.is_none_or(|a| at > a)
    }

    fn take_a(&mut self, at: Instant) {
        if self.is_after_a(at) {
            self.a = Some(at);
            // All settled steps are before this A.
            self.settled = 0;
            self.b.retain(|time| *time > at);
            self.via.retain(|time| *time > at);
        }
    }

    fn take_b(&mut self, at: Instant) {
        if self.is_after_a(at)
            && let Err(index) = self.b.binary_search(&at)
        {
            self.b.insert(index, at);
        }
    }

    fn take_via(&mut self, at: Instant) {
        if self.is_after_a(at) {
            self.via.insert(self.via.partition_point(|time| *time <= at), at);
        }
    }

    fn cap(&mut self, cap: usize, approximated: &mut u64) {
        while self.b.len() > cap {
            // The first B after A ends the count; the others are held for late A's.
            self.b.remove(usize::from(self.a.is_some()));
            *approximated += 1;
        }
        while self.via.len() > cap {
            self.settle_first();
            *approximated += 1;
        }
    }

    fn settle_first(&mut self) {
        let time = self.via.remove(0);
        if self.a.is_some() && time <= self.end() {
            self.settled += 1;
        }
    }
}

impl Kind for Steps {
    type Content = Box<StepsAfter>;

    /// False: the count is unchanged.
    fn feed(
        &self,
        steps: &mut Box<StepsAfter>,
        event: &CustomerEvent<'_>,
        parts: Parts,
        context: &mut FeedContext<'_>,
    ) -> bool {
        let before = steps.count();
        if parts & A != 0 {
            steps.take_a(event.at);
        }
        if parts & B != 0 {
            steps.take_b(event.at);
        }
        if parts & VIA != 0 {
            steps.take_via(event.at);
        }
        steps.cap(self.cap, context.approximated);
        steps.count() != before
    }

    fn forget(&self, steps: &mut Box<StepsAfter>, _: EdgeTimes, settled_before: Instant) {
        while steps.via.first().is_some_and(|time| *time < settled_before) {
            steps.settle_first();
        }
        let mut index = 0;
        let first = usize::from(steps.a.is_some());
        steps.b.retain(|time| {
            index += 1;
            index <= first || *time >= settled_before
        });
    }

    fn merge(&self, steps: &mut Box<StepsAfter>, other: Box<StepsAfter>, _: EdgeTimes, approximated: &mut u64) {
        let settled = if other.a == steps.a { steps.settled + other.settled } else { other.settled };
        if other.a.is_some_and(|a| steps.is_after_a(a)) || other.a == steps.a {
            other.a.into_iter().for_each(|a| steps.take_a(a));
            steps.settled = settled;
        }
        other.b.into_iter().for_each(|at| steps.take_b(at));
        other.via.into_iter().for_each(|at| steps.take_via(at));
        steps.cap(self.cap, approximated);
    }

    fn serves(&self, wanted: &Self) -> bool {
        self.cap == wanted.cap
    }

    fn bytes(&self, events: usize, _: usize) -> usize {
        16 + self.cap.min(events) * 2 * 6
    }

    fn definition(&self, _: &dyn Names) -> String {
        "steps".to_owned()
    }

    fn describe(&self, words: &dyn Phrases) -> String {
        let (a, b, via) = (words.events(A), words.events(B), words.events(VIA));
        format!("when last {a}, how many {via} after it, up to the first {b}")
    }
}

impl Content for StepsAfter {
    fn is_empty(&self) -> bool {
        self.a.is_none() && self.b.is_empty() && self.via.is_empty()
    }

    fn heap_bytes(&self) -> usize {
        (self.b.capacity() + self.via.capacity()) * size_of::<Instant>()
    }

    fn prefetch(&self) {
        prefetch_ends(&self.b);
        prefetch_ends(&self.via);
    }

    fn longest(&self) -> usize {
        self.b.len().max(self.via.len())
    }

    fn drop_older_half(&mut self) {
        // The first B ends the count; the others are held for late A's.
        self.b.truncate((self.b.len() / 2).max(1));
        halve(&mut self.via);
    }

    fn encode(&self, out: &mut Vec<u8>, base: Instant) {
        out.push(u8::from(self.a.is_some()));
        put_instant(out, self.a.unwrap_or(base), base);
        put_u64(out, self.settled);
        put_times(out, &self.b, base);
        put_times(out, &self.via, base);
    }

    fn read(&mut self, reader: &mut Reader<'_>, base: Instant) -> Read<()> {
        let has_a = reader.u8("steps")? != 0;
        let a = reader.instant(base, "steps")?;
        (self.a, self.settled) = (has_a.then_some(a), reader.u64("steps")?);
        read_times(&mut self.b, reader, base)?;
        read_times(&mut self.via, reader, base)
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, Kind, Steps, StepsAfter};

    #[test]
    fn what_is_settled_is_counted_on() {
        let (kind, mut steps, mut approximated) = (Steps { cap: 10 }, Box::<StepsAfter>::default(), 0);
        steps.take_a(Instant(0));
        for at in 1..100 {
            steps.take_via(Instant(at));
            steps.cap(10, &mut approximated);
            kind.forget(&mut steps, None, Instant(at - 3));
        }
        assert_eq!((steps.count(), steps.via.len(), approximated), (Some(99), 4, 0));
        // A late B removes the steps after it from the count.
        steps.take_b(Instant(97));
        assert_eq!(steps.count(), Some(97));
        steps.take_a(Instant(98));
        assert_eq!(steps.count(), Some(1));
    }
}
