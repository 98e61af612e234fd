//! Every time with its key: `with N different p` over a window that ends in the past, for which the latest time of each
//! key is not enough.

use super::floor::{Floor, furthest, reaches};
use super::keyed_times::KeyedTimes;
use super::kind::{Counted, DistinctKey, EdgeTimes, FeedContext, Kind, Names, Parts, Phrases, multiset_union, within};
use super::{A, FactIx};
use crate::event::{CustomerEvent, Instant, Span};

/// Every (time, key), the latest `cap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistinctAll {
    pub key: DistinctKey,
    pub cap: usize,
    pub horizon: Option<Span>,
    pub floor: Floor,
}

impl DistinctAll {
    fn take(&self, found: &mut KeyedTimes, at: Instant, key: u64, approximated: &mut u64) {
        found.insert(at, key);
        if found.times.len() > self.cap {
            found.remove(0);
            *approximated += 1;
        }
    }
}

impl Kind for DistinctAll {
    type Content = Box<KeyedTimes>;

    fn feed(
        &self,
        found: &mut Box<KeyedTimes>,
        event: &CustomerEvent<'_>,
        _: Parts,
        context: &mut FeedContext<'_>,
    ) -> bool {
        let Some(key) = self.key.of(event, context.calendar) else { return false };
        self.take(found, event.at, key, context.approximated);
        true
    }

    fn forget(&self, found: &mut Box<KeyedTimes>, edge: EdgeTimes, settled_before: Instant) {
        let (from, through) = self.floor.bounds(self.horizon, edge, settled_before);
        let keep_from = found.times.partition_point(|time| *time < from);
        let keep_to = found.times.partition_point(|time| *time <= through);
        found.keep(keep_from, keep_to);
    }

    fn merge(&self, found: &mut Box<KeyedTimes>, other: Box<KeyedTimes>, _: EdgeTimes, approximated: &mut u64) {
        for (at, key) in other.pairs() {
            self.take(found, at, key, approximated);
        }
    }

    fn union(&self, found: &mut Box<KeyedTimes>, log: Box<KeyedTimes>) {
        **found = KeyedTimes::of_pairs(multiset_union(std::mem::take(&mut **found).pairs(), log.pairs()));
    }

    fn trim(&self, found: &mut Box<KeyedTimes>) {
        let len = found.times.len();
        found.keep(len.saturating_sub(self.cap), len);
    }

    fn absorb(&mut self, other: &Self) -> bool {
        if (self.key, self.floor, other.floor) != (other.key, Floor::None, Floor::None) {
            return self == other;
        }
        self.cap = self.cap.max(other.cap);
        self.horizon = furthest(self.horizon, other.horizon);
        true
    }

    fn serves(&self, wanted: &Self) -> bool {
        self.cap >= wanted.cap && reaches(self.horizon, wanted.horizon)
    }

    fn horizon(&self) -> Option<Span> {
        self.horizon
    }

    fn floor_fact(&self) -> Option<FactIx> {
        self.floor.fact()
    }

    fn bytes(&self, events: usize, _: usize) -> usize {
        self.cap.min(events) * 14
    }

    fn counts(&self) -> Option<(usize, Counted)> {
        Some((self.cap, self.key.counted()))
    }

    fn definition(&self, names: &dyn Names) -> String {
        format!("distinct all {} {}", self.key.definition(names), self.floor.definition(names))
    }

    fn describe(&self, words: &dyn Phrases) -> String {
        let key = match self.key {
            DistinctKey::Property(property) => words.property(property),
            DistinctKey::Period(unit) => unit.word(),
        };
        let (within, cap) = (within(self.horizon, words), self.cap);
        format!("each {} with its {key}{within}, the latest {cap}", words.events(A))
    }
}
