//! A customer's position in a ranking of all customers.

use std::sync::Arc;

use crate::event::Number;
use crate::rules::Rank;
use crate::rules::ast::RankEnd;

/// A position in a ranking: by value, ties by a hash of the customer's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Standing {
    pub value: Number,
    pub hash: u64,
}

impl Standing {
    /// Below every customer.
    pub const MIN: Self = Self { value: Number(i128::MIN), hash: 0 };
    /// Above every customer.
    pub const MAX: Self = Self { value: Number(i128::MAX), hash: u64::MAX };
}

/// The threshold of each rank, by the rule set's numbers. `None`: nobody is in.
pub type Thresholds = Arc<[Option<Standing>]>;

/// A customer's value in each ranking, by the rule set's numbers. `None`: the customer is not ranked.
pub type RankedValues = Box<[Option<Number>]>;

impl Rank {
    /// Is a customer at this position in the rank?
    #[must_use]
    pub fn includes(&self, standing: Standing, threshold: Option<Standing>) -> bool {
        threshold.is_some_and(|threshold| match self.end {
            RankEnd::Highest => standing >= threshold,
            RankEnd::Lowest => standing <= threshold,
        })
    }
}
