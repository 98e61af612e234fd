//! Ranks: where a customer stands in an order of all customers, told by a threshold.
//!
//! Nobody's standing says who else is in: that is one number for all, computed elsewhere from counters and given to the
//! engine as an input. So a rank costs a customer one comparison, and a new threshold concerns those alone who stand
//! between the old one and it.

use std::sync::Arc;

use super::evaluate::Scene;
use super::verdict::Verdict;
use crate::event::{Instant, Number, Value};
use crate::rules::{CohortIx, Rank, RankIx, Ranking};

/// A place in an order: by value, ties by a hash of the customer's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Standing {
    pub value: Number,
    pub hash: u64,
}

impl Standing {
    /// Before every other.
    pub const FIRST: Self = Self { value: Number(i128::MIN), hash: 0 };
    /// After every other.
    pub const LAST: Self = Self { value: Number(i128::MAX), hash: u64::MAX };
}

/// Where each rank begins, by the rule set's numbers. `None`: nobody is in.
pub type Thresholds = Arc<[Option<Standing>]>;

/// The value by which a customer is counted in each ranking, by the rule set's numbers. `None`: they are not ranked.
pub type Places = Box<[Option<Number>]>;

impl Rank {
    /// Is a customer who stands there in?
    #[must_use]
    pub fn takes(&self, standing: Standing, threshold: Option<Standing>) -> bool {
        threshold.is_some_and(|threshold| if self.highest { standing >= threshold } else { standing <= threshold })
    }
}

impl Scene<'_> {
    /// By what the customer is ranked, if at all, and when time alone may change that.
    pub(super) fn ranked(&self, ranking: &Ranking) -> (Option<Number>, Instant) {
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
    pub(super) fn rank(&self, rank: RankIx) -> Verdict {
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
    pub(super) fn concerned(&self, old: &[Option<Standing>], places: Option<&[Option<Number>]>) -> Vec<CohortIx> {
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
