//! Making a customer's state smaller: for the few whose state would not fit in one record of the changelog.
//!
//! Each list of each fact has a capacity of its own, and rules may name any number of facts: with some hundreds of cohorts
//! the lists of one very busy customer come to megabytes. What goes is what goes over any capacity: the oldest.

use super::state::{CustomerState, Fact};

impl CustomerState {
    /// Drops the older half of the longest list. Cohorts are decided by what is left from the next event or deadline on, as
    /// if the state had just been read. False: there is nothing left to drop.
    pub fn shrink(&mut self) -> bool {
        let largest =
            self.facts.iter().filter(|(_, fact)| fact.entries() > 1).max_by_key(|(_, fact)| fact.heap_bytes());
        let largest = largest.map(|(number, fact)| (number, fact.heap_bytes()));
        let ids = self.recent.len() * size_of::<super::RecentId>();
        let dropped = match largest {
            Some((number, bytes)) if bytes >= ids => self.facts.get_mut(number).is_some_and(Fact::drop_older_half),
            _ if self.recent.len() > 1 => {
                halve(&mut self.recent);
                true
            }
            _ => false,
        };
        if dropped {
            self.forget_deadlines();
        }
        dropped
    }
}

impl Fact {
    /// Entries of its longest list that can be dropped one by one.
    fn entries(&self) -> usize {
        match self {
            Self::Times(times) => times.len(),
            Self::Series(series) => series.times.len().max(series.days.len()),
            Self::Distinct(found) => found.times.len(),
            Self::Followed(pairs) => pairs.len().max(pairs.iter().map(|pair| pair.a.len()).max().unwrap_or(0)),
            Self::Chain(chain) => chain.links.len().max(chain.reached.len()).max(chain.done.len()),
            Self::Periods(periods) => periods.len(),
            Self::Values(values) => values.times.len(),
            Self::Answer(found) => found.len(),
            Self::Steps(steps) => steps.b.len().max(steps.via.len()),
            Self::Total(_) | Self::Extreme(_) | Self::Bought(_) | Self::Used(_) => 0,
        }
    }

    fn drop_older_half(&mut self) -> bool {
        let before = self.entries();
        match self {
            Self::Times(times) => halve(times),
            Self::Series(series) if series.days.len() > series.times.len() => halve(&mut series.days),
            Self::Series(series) => {
                // As over capacity: what is no longer held one by one still counts in its day.
                for _ in 0..series.times.len() / 2 {
                    series.fold_oldest();
                }
            }
            Self::Distinct(found) => {
                halve(&mut found.times);
                halve(&mut found.keys);
            }
            Self::Followed(pairs) => {
                let last = |pair: &super::Pair| pair.a.last().map_or(pair.b_at, |opening| opening.at.max(pair.b_at));
                let mut times: Vec<_> = pairs.iter().map(|pair| (last(pair), pair.key)).collect();
                times.sort_unstable();
                let from = times.get(times.len() / 2).copied();
                pairs.retain(|pair| from.is_none_or(|from| (last(pair), pair.key) >= from));
                pairs.iter_mut().for_each(|pair| halve(&mut pair.a));
            }
            Self::Chain(chain) => {
                let mut times: Vec<_> = chain.links.iter().map(|link| link.at).collect();
                times.sort_unstable();
                if let Some(from) = times.get(times.len() / 2).copied() {
                    chain.links.retain(|link| link.at > from);
                }
                halve(&mut chain.reached);
                halve(&mut chain.done);
            }
            Self::Periods(periods) => halve(periods),
            Self::Values(values) => {
                halve(&mut values.times);
                halve(&mut values.values);
            }
            Self::Answer(found) => halve(found),
            Self::Steps(steps) => {
                // The first B ends the count; the others are held for late A's.
                steps.b.truncate((steps.b.len() / 2).max(1));
                halve(&mut steps.via);
            }
            Self::Total(_) | Self::Extreme(_) | Self::Bought(_) | Self::Used(_) => {}
        }
        self.entries() < before
    }
}

/// Keeps the later half of an ascending list, and gives the memory back.
fn halve<T>(list: &mut Vec<T>) {
    list.drain(..list.len() / 2);
    list.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Distinct, RecentId, Sparse, Values};
    use crate::event::{Instant, Kept};

    #[test]
    fn a_state_can_be_made_as_small_as_one_entry_a_list_and_keeps_the_latest() {
        let mut state = CustomerState {
            known_since: Instant(0),
            clock: Instant(0),
            next_deadline: Instant::MAX,
            sequence: 0,
            as_of: 0,
            recent: (0..256).map(|n| RecentId { at: Instant(n), hash: 1 }).collect(),
            facts: Sparse::new(),
            memberships: Sparse::new(),
            places: Box::default(),
            tie_hash: 0,
            risk: super::super::Risk::default(),
            deadlines: super::super::Deadlines::default(),
        };
        let times: Vec<Instant> = (0..1_024).map(Instant).collect();
        state.facts.put(0, Fact::Distinct(Box::new(Distinct { times: times.clone(), keys: vec![7; 1_024] })));
        let values = vec![Kept::Text("x".repeat(256).into()); 256];
        state.facts.put(1, Fact::Values(Box::new(Values { times: times[..256].to_vec(), values })));
        state.facts.put(2, Fact::Times(times));
        let mut bytes = state.heap_bytes();
        while state.shrink() {
            assert!(state.heap_bytes() < bytes, "it makes no progress");
            bytes = state.heap_bytes();
        }
        assert!(bytes < 2_048, "{bytes}");
        assert_eq!(state.facts.get(2), Some(&Fact::Times(vec![Instant(1_023)])));
        assert_eq!(state.recent, [RecentId { at: Instant(255), hash: 1 }]);
    }
}
