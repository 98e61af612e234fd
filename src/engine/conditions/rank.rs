//! Ranks: where a customer stands in an order of all customers, told by a threshold.
//!
//! Nobody's standing says who else is in: that is one number for all, computed elsewhere from counters and given to the
//! engine as an input. So a rank costs a customer one comparison, and a new threshold concerns those alone who stand
//! between the old one and it.

use super::verdict::Verdict;
use super::view::CustomerView;
use crate::engine::customer::Standing;
use crate::event::{Instant, Number, Value};
use crate::rules::{CohortIx, RankIx, Ranking};

impl CustomerView<'_> {
    /// By what the customer is ranked, if at all, and when time alone may change that.
    pub(in crate::engine) fn ranked(&self, ranking: &Ranking) -> (Option<Number>, Instant) {
        if ranking.among.is_some_and(|cohort| !self.membership(cohort).member) {
            return (None, Instant::MAX);
        }
        let measured = self.measure(&ranking.measure);
        // Texts and truths have no place among numbers.
        let number = measured.value.and_then(Value::number);
        let value = number.filter(|value| !ranking.positive || *value > Number::ZERO);
        (value, measured.until)
    }

    /// Holds for whoever stands at or beyond the threshold. By time alone this changes with the measure: what else moves
    /// is the threshold, and then the customer is looked at again.
    pub(in crate::engine) fn rank(&self, rank: RankIx) -> Verdict {
        let (value, until) = self.ranked(&self.rules.rankings[usize::from(self.rules.rank(rank).ranking.0)]);
        Verdict { holds: self.is_taken(rank, value, self.thresholds), until }
    }

    /// Would a customer ranked by this value be in under these thresholds?
    fn is_taken(&self, rank: RankIx, value: Option<Number>, thresholds: &[Option<Standing>]) -> bool {
        let standing = value.map(|value| Standing { value, hash: self.tie_hash });
        let threshold = thresholds.get(usize::from(rank.0)).copied().flatten();
        standing.is_some_and(|standing| self.rules.rank(rank).takes(standing, threshold))
    }

    /// The cohorts that speak of a rank in which this customer is under the present thresholds and was not under `old`,
    /// or the other way round. `places`: by what the customer is ranked at this instant, if that is known.
    pub(in crate::engine) fn concerned(
        &self,
        old: &[Option<Standing>],
        places: Option<&[Option<Number>]>,
    ) -> Vec<CohortIx> {
        let mut concerned = Vec::new();
        for (rank, index) in self.rules.ranks.iter().zip(0..) {
            let place = usize::from(index);
            if old.get(place) == self.thresholds.get(place) {
                continue;
            }
            let index = RankIx(index);
            let ranking = usize::from(rank.ranking.0);
            let value = match places {
                Some(places) => places[ranking],
                None => self.ranked(&self.rules.rankings[ranking]).0,
            };
            if self.is_taken(index, value, old) != self.is_taken(index, value, self.thresholds) {
                concerned.extend(&rank.readers);
            }
        }
        concerned
    }
}
