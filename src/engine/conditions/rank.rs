//! Ranks: whether a customer's position in a ranking of all customers is at or beyond a threshold.
//!
//! The threshold is one value for all customers, computed elsewhere from counters and given to the engine as an input.
//! So a rank costs a customer one comparison, and a new threshold affects only the customers between the old one and
//! it.

use super::verdict::Verdict;
use super::view::CustomerView;
use crate::engine::customer::Standing;
use crate::event::{Instant, Number, Value};
use crate::rules::{CohortIx, RankIx, Ranking};

impl CustomerView<'_> {
    /// The value by which the customer is ranked, if at all, and when time alone may change it.
    pub(in crate::engine) fn ranked(&self, ranking: &Ranking) -> (Option<Number>, Instant) {
        if ranking.among.is_some_and(|cohort| !self.membership(cohort).member) {
            return (None, Instant::MAX);
        }
        let measured = self.measure(&ranking.measure);
        // Only numbers are ranked.
        let number = measured.value.and_then(Value::number);
        let value = number.filter(|value| !ranking.positive || *value > Number::ZERO);
        (value, measured.until)
    }

    /// Holds at or beyond the threshold. `until` covers changes of the measure by time; for a new threshold the
    /// affected customers are evaluated again.
    pub(in crate::engine) fn rank(&self, rank: RankIx) -> Verdict {
        let (value, until) = self.ranked(&self.rules.rankings[usize::from(self.rules.rank(rank).ranking.0)]);
        Verdict { holds: self.is_in_rank(rank, value, self.thresholds), until }
    }

    /// Would a customer ranked by this value be in the rank under these thresholds?
    fn is_in_rank(&self, rank: RankIx, value: Option<Number>, thresholds: &[Option<Standing>]) -> bool {
        let standing = value.map(|value| Standing { value, hash: self.tie_hash });
        let threshold = thresholds.get(usize::from(rank.0)).copied().flatten();
        standing.is_some_and(|standing| self.rules.rank(rank).includes(standing, threshold))
    }

    /// The cohorts that refer to a rank in which this customer is under the present thresholds and was not under `old`,
    /// or the other way round. `ranked_values`: the customer's values at this instant, if known.
    pub(in crate::engine) fn affected_cohorts(
        &self,
        old: &[Option<Standing>],
        ranked_values: Option<&[Option<Number>]>,
    ) -> Vec<CohortIx> {
        let mut affected_cohorts = Vec::new();
        for (rank, index) in self.rules.ranks.iter().zip(0..) {
            let position = usize::from(index);
            if old.get(position) == self.thresholds.get(position) {
                continue;
            }
            let index = RankIx(index);
            let ranking = usize::from(rank.ranking.0);
            let value = match ranked_values {
                Some(ranked_values) => ranked_values[ranking],
                None => self.ranked(&self.rules.rankings[ranking]).0,
            };
            if self.is_in_rank(index, value, old) != self.is_in_rank(index, value, self.thresholds) {
                affected_cohorts.extend(&rank.readers);
            }
        }
        affected_cohorts
    }
}
