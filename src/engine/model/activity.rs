//! What the models of churn look at in one customer.

use super::parameters::Model;
use crate::churn::{Customer, Memories, Purchases, Usage};
use crate::engine::customer::CustomerState;
use crate::fact::Fact;
use crate::rules::RuleSet;

/// The days on which a customer came, summed up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Comings {
    Bought(Purchases),
    Used(Usage),
}

impl Comings {
    /// None without `[churn]`, and of who never came.
    #[must_use]
    pub fn of(rules: &RuleSet, state: &CustomerState) -> Option<Self> {
        let churn = rules.churn.as_ref()?;
        Self::in_fact(state.facts.get(usize::from(churn.fact.0))?)
    }

    pub(in crate::engine) fn in_fact(fact: &Fact) -> Option<Self> {
        match fact {
            Fact::PurchaseDays(bought) => bought.purchases().map(Self::Bought),
            Fact::UsageDays(used) => used.usage().map(Self::Used),
            _ => None,
        }
    }

    /// Days since 1970-01-01, in the rules' time zone.
    #[must_use]
    pub fn first_day(&self) -> i32 {
        match self {
            Self::Bought(purchases) => purchases.first_day,
            Self::Used(usage) => usage.first_day,
        }
    }

    #[must_use]
    pub fn last_day(&self) -> i32 {
        match self {
            Self::Bought(purchases) => purchases.last_day,
            Self::Used(usage) => usage.last_day,
        }
    }

    /// The same with one more day, later than all others.
    #[must_use]
    pub fn and_on(mut self, day: i32) -> Self {
        match &mut self {
            Self::Bought(purchases) => purchases.count(day, 0),
            Self::Used(usage) => usage.count(day, &Memories::default()),
        }
        self
    }

    /// Are these as many days, at the same times?
    #[must_use]
    pub fn are_on_the_days_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bought(a), Self::Bought(b)) => {
                (a.first_day, a.last_day, a.repeats) == (b.first_day, b.last_day, b.repeats)
            }
            _ => self == other,
        }
    }

    /// Under a model. None where that is no model of such days.
    #[must_use]
    pub fn under(&self, model: &Model) -> Option<Customer> {
        match (self, model) {
            (Self::Bought(purchases), Model::Purchases { comings, .. }) => Some(Customer::buying(*comings, purchases)),
            (Self::Used(usage), Model::Usage(model)) => Customer::using(*model, usage, &Memories::default()),
            _ => None,
        }
    }
}
