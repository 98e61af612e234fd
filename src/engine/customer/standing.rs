//! Where a customer stands in an order of all customers.

use std::sync::Arc;

use crate::event::Number;
use crate::rules::Rank;

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
