//! The earliest times: `did e for the first time`, `within D of first e`, `did e at most N times more than D ago`.

use super::kind::{Counted, EdgeTimes, FeedContext, Kind, Names, Parts, Phrases, multiset_union};
use crate::event::{CustomerEvent, Instant};

/// The earliest `cap` times, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earliest {
    pub cap: usize,
}

impl Kind for Earliest {
    type Content = Vec<Instant>;

    fn feed(&self, times: &mut Vec<Instant>, event: &CustomerEvent<'_>, _: Parts, _: &mut FeedContext<'_>) -> bool {
        insert(times, event.at, self.cap)
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
        times.truncate(self.cap);
    }

    fn absorb(&mut self, other: &Self) -> bool {
        self.cap = self.cap.max(other.cap);
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
        "earliest".to_owned()
    }

    fn describe(&self, words: &dyn Phrases) -> String {
        match self.cap {
            1 => format!("when first {}", words.events(super::A)),
            cap => format!("the first {cap} times of {}", words.events(super::A)),
        }
    }
}

fn insert(times: &mut Vec<Instant>, at: Instant, cap: usize) -> bool {
    if times.len() >= cap {
        if times.last().is_some_and(|last| at >= *last) {
            return false;
        }
        times.pop();
    }
    let index = times.partition_point(|time| *time <= at);
    times.insert(index, at);
    true
}
