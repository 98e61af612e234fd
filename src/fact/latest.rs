//! The latest times: `did e at least N times in the last D`, `time since last e`, `usual gap of e`.

use super::kind::{Counted, EdgeTimes, FeedContext, Kind, Names, Parts, Phrases, multiset_union};
use crate::event::{CustomerEvent, Instant, Span};

/// The latest `cap` times, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    pub cap: usize,
    /// How far back conditions ask for the last time as of then, if at all.
    pub back: Option<Span>,
}

impl Kind for Latest {
    type Content = Vec<Instant>;

    fn feed(
        &self,
        times: &mut Vec<Instant>,
        event: &CustomerEvent<'_>,
        _: Parts,
        context: &mut FeedContext<'_>,
    ) -> bool {
        let full = times.len() >= self.cap;
        let changed = insert(times, event.at, self.cap);
        // The time dropped may have been the last one as of `back` ago.
        if let (true, Some(back), [first, .., last]) = (full, self.back, times.as_slice())
            && *first > *last - back
        {
            *context.approximated += 1;
        }
        changed
    }

    fn merge(&self, times: &mut Vec<Instant>, other: Vec<Instant>, _: EdgeTimes, _: &mut u64) {
        for at in other {
            insert(times, at, self.cap);
        }
    }

    fn union(&self, times: &mut Vec<Instant>, log: Vec<Instant>) {
        *times = multiset_union(std::mem::take(times), log);
    }

    fn trim(&self, times: &mut Vec<Instant>) {
        times.drain(..times.len().saturating_sub(self.cap));
    }

    fn absorb(&mut self, other: &Self) -> bool {
        self.cap = self.cap.max(other.cap);
        self.back = self.back.max(other.back);
        true
    }

    fn serves(&self, wanted: &Self) -> bool {
        self.cap >= wanted.cap
    }

    fn bytes(&self, events: usize, _: usize) -> usize {
        4 + self.cap.min(events) * 6
    }

    fn counts(&self) -> Option<(usize, Counted)> {
        Some((self.cap, Counted::Times))
    }

    fn definition(&self, _: &dyn Names) -> String {
        "latest".to_owned()
    }

    fn describe(&self, words: &dyn Phrases) -> String {
        match self.cap {
            1 => format!("when last {}", words.events(super::A)),
            cap => format!("the latest {cap} times of {}", words.events(super::A)),
        }
    }
}

fn insert(times: &mut Vec<Instant>, at: Instant, cap: usize) -> bool {
    if times.len() >= cap {
        if at <= times[0] {
            return false;
        }
        times.remove(0);
    }
    let index = times.partition_point(|time| *time <= at);
    times.insert(index, at);
    true
}
