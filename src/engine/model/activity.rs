//! The activity of one customer, as the churn models take it.

use super::parameters::Model;
use crate::churn::{Customer, Memories, Purchases, Usage};
use crate::engine::customer::CustomerState;
use crate::fact::Fact;
use crate::rules::RuleSet;

/// The days on which a customer bought something, or used it, as sufficient statistics of the churn models.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ActivityHistory {
    Purchases(Purchases),
    Usage(Usage),
}

impl ActivityHistory {
    /// `None` without `[churn]`, and for a customer without any activity.
    #[must_use]
    pub fn of(rules: &RuleSet, state: &CustomerState) -> Option<Self> {
        let churn = rules.churn.as_ref()?;
        Self::of_fact(state.facts.get(usize::from(churn.fact.0))?)
    }

    pub(in crate::engine) fn of_fact(fact: &Fact) -> Option<Self> {
        match fact {
            Fact::PurchaseDays(bought) => bought.purchases().map(Self::Purchases),
            Fact::UsageDays(used) => used.usage().map(Self::Usage),
            _ => None,
        }
    }

    /// Days since 1970-01-01, in the rules' time zone.
    #[must_use]
    pub fn first_day(&self) -> i32 {
        match self {
            Self::Purchases(purchases) => purchases.first_day,
            Self::Usage(usage) => usage.first_day,
        }
    }

    #[must_use]
    pub fn last_day(&self) -> i32 {
        match self {
            Self::Purchases(purchases) => purchases.last_day,
            Self::Usage(usage) => usage.last_day,
        }
    }

    /// The same history with one more day, which is later than all others.
    #[must_use]
    pub fn with_day(mut self, day: i32) -> Self {
        match &mut self {
            Self::Purchases(purchases) => purchases.count(day, 0),
            Self::Usage(usage) => usage.count(day, &Memories::default()),
        }
        self
    }

    /// Do both have as many days, at the same times?
    #[must_use]
    pub fn has_same_days_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Purchases(a), Self::Purchases(b)) => {
                (a.first_day, a.last_day, a.repeats) == (b.first_day, b.last_day, b.repeats)
            }
            _ => self == other,
        }
    }

    /// The customer under a model. `None` where the model is of the other kind of activity.
    #[must_use]
    pub fn with_model(&self, model: &Model) -> Option<Customer> {
        match (self, model) {
            (Self::Purchases(purchases), Model::Purchases { transactions, .. }) => {
                Some(Customer::buying(*transactions, purchases))
            }
            (Self::Usage(usage), Model::Usage(model)) => Customer::using(*model, usage, &Memories::default()),
            _ => None,
        }
    }
}
