//! Making a customer's state smaller, for the few whose state would not fit in one record of the changelog.
//!
//! Each list of each fact has a capacity of its own, and rules may name any number of facts: with some hundreds of
//! cohorts the lists of one very busy customer come to megabytes. As over any capacity, the oldest entries are dropped.

use super::recent_ids::RecentId;
use super::state::CustomerState;
use crate::fact::Fact;

impl CustomerState {
    /// Drops the older half of the longest list. From the next event or deadline on cohorts are evaluated on what is
    /// left, as in a state that was just read. False: there is nothing left to drop.
    pub fn shrink(&mut self) -> bool {
        let largest =
            self.facts.iter().filter(|(_, fact)| fact.longest() > 1).max_by_key(|(_, fact)| fact.heap_bytes());
        let largest = largest.map(|(number, fact)| (number, fact.heap_bytes()));
        let ids = self.recent.len() * size_of::<RecentId>();
        let dropped = match largest {
            Some((number, bytes)) if bytes >= ids => self.facts.get_mut(number).is_some_and(Fact::drop_older_half),
            _ if self.recent.len() > 1 => {
                self.recent.drain(..self.recent.len() / 2);
                self.recent.shrink_to_fit();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Deadlines, Risk, Sparse};
    use crate::event::{Instant, Kept};
    use crate::fact::{KeyedTimes, TimedValues};

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
            ranked_values: Box::default(),
            tie_hash: 0,
            risk: Risk::default(),
            deadlines: Deadlines::default(),
        };
        let times: Vec<Instant> = (0..1_024).map(Instant).collect();
        state.facts.put(0, Fact::Distinct(Box::new(KeyedTimes { times: times.clone(), keys: vec![7; 1_024] })));
        let values = vec![Kept::Text("x".repeat(256).into()); 256];
        state.facts.put(1, Fact::Values(Box::new(TimedValues { times: times[..256].to_vec(), values })));
        state.facts.put(2, Fact::Latest(times));
        let mut bytes = state.heap_bytes();
        while state.shrink() {
            assert!(state.heap_bytes() < bytes, "it makes no progress");
            bytes = state.heap_bytes();
        }
        assert!(bytes < 2_048, "{bytes}");
        assert_eq!(state.facts.get(2), Some(&Fact::Latest(vec![Instant(1_023)])));
        assert_eq!(state.recent, [RecentId { at: Instant(255), hash: 1 }]);
    }
}
