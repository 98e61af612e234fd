//! One time for each key: `with N different p`, `on N different days`, over windows that are open on one side.

use std::collections::BTreeSet;

use super::keyed_times::KeyedTimes;
use super::kind::{Counted, DistinctKey, EdgeTimes, FeedContext, Kind, Names, Parts, Phrases, multiset_union};
use super::{A, DISTINCT_MAX};
use crate::event::{CustomerEvent, Instant};

/// The latest (or `earliest`) time of each of `cap` different keys: those with the latest (earliest) times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distinct {
    pub key: DistinctKey,
    pub earliest: bool,
    pub cap: usize,
}

impl Distinct {
    /// False: nothing changed. Counts a dropped key where it is an approximation: a test of a count never needs more
    /// keys than its capacity, a measure may.
    fn take(&self, found: &mut KeyedTimes, at: Instant, key: u64, approximated: &mut u64) -> bool {
        if let Some(known) = found.keys.iter().position(|k| *k == key) {
            let improves = if self.earliest { at < found.times[known] } else { at > found.times[known] };
            if !improves {
                return false;
            }
            found.remove(known);
        }
        found.insert(at, key);
        if found.times.len() > self.cap {
            found.remove(if self.earliest { found.times.len() - 1 } else { 0 });
            *approximated += u64::from(self.cap >= DISTINCT_MAX);
        }
        true
    }
}

impl Kind for Distinct {
    type Content = Box<KeyedTimes>;

    fn feed(
        &self,
        found: &mut Box<KeyedTimes>,
        event: &CustomerEvent<'_>,
        _: Parts,
        context: &mut FeedContext<'_>,
    ) -> bool {
        let Some(key) = self.key.of(event, context.calendar) else { return false };
        self.take(found, event.at, key, context.approximated)
    }

    fn merge(&self, found: &mut Box<KeyedTimes>, other: Box<KeyedTimes>, _: EdgeTimes, approximated: &mut u64) {
        for (at, key) in other.pairs() {
            self.take(found, at, key, approximated);
        }
    }

    fn union(&self, found: &mut Box<KeyedTimes>, log: Box<KeyedTimes>) {
        let mut pairs = multiset_union(std::mem::take(&mut **found).pairs(), log.pairs());
        let mut seen = BTreeSet::new();
        if self.earliest {
            pairs.retain(|(_, key)| seen.insert(*key));
        } else {
            pairs.reverse();
            pairs.retain(|(_, key)| seen.insert(*key));
            pairs.reverse();
        }
        **found = KeyedTimes::of_pairs(pairs);
    }

    fn trim(&self, found: &mut Box<KeyedTimes>) {
        let len = found.times.len();
        if self.earliest {
            found.keep(0, len.min(self.cap));
        } else {
            found.keep(len.saturating_sub(self.cap), len);
        }
    }

    fn absorb(&mut self, other: &Self) -> bool {
        let is_alike = self.key == other.key && self.earliest == other.earliest;
        if is_alike {
            self.cap = self.cap.max(other.cap);
        }
        is_alike
    }

    fn serves(&self, wanted: &Self) -> bool {
        self.cap >= wanted.cap
    }

    fn bytes(&self, events: usize, _: usize) -> usize {
        self.cap.min(events) * 14
    }

    fn counts(&self) -> Option<(usize, Counted)> {
        Some((self.cap, self.key.counted()))
    }

    fn definition(&self, names: &dyn Names) -> String {
        format!("distinct {} {}", self.key.definition(names), self.earliest)
    }

    fn describe(&self, words: &dyn Phrases) -> String {
        let (order, cap) = (if self.earliest { "first" } else { "latest" }, self.cap);
        match self.key {
            DistinctKey::Period(unit) => {
                format!("the {order} {} with {}", words.counted(cap as u64, unit), words.events(A))
            }
            DistinctKey::Property(property) => {
                format!("the {order} {cap} different {} of {}", words.property(property), words.events(A))
            }
        }
    }
}
