//! Customers without further events: the results of conditions and the memberships from then on.

use cohortd::event::{ChangeReason, Instant};
use cohortd::rules::Document;
use cohortd::rules::ast::Expr;

use super::condition::Moment;
use super::customer::Customer;
use super::log::{Case, Outcome};
use super::machine::{Occasion, decide};
use super::partition::{Partition, decide_until, document, rules};
use super::rules::Rules;

#[derive(Clone)]
pub(crate) struct Silence<'a> {
    rules: &'a Rules<'a>,
    customer: Customer<'a>,
    stream_time: Instant,
}

/// Runs a case, and gives the state of each of its customers afterwards.
pub(crate) fn leave_in_silence(
    case: &Case,
    mut look: impl FnMut(Silence<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let document = document(case)?;
    let rules = rules(&document, case)?;
    let (Partition { customers, stream_time, .. }, _) = Partition::of(&rules, case, &[]);
    customers.into_values().try_for_each(|customer| look(Silence { rules: &rules, customer, stream_time }))
}

impl<'a> Silence<'a> {
    /// The rules as they are evaluated.
    pub(crate) fn document(&self) -> &'a Document {
        self.rules.document
    }

    pub(crate) fn customer(&self) -> &str {
        self.customer.id
    }

    /// Before this, everything is decided.
    pub(crate) fn present(&self) -> Instant {
        self.customer.clock.max(self.customer.decided).max(self.stream_time)
    }

    /// Decides every instant up to this one, itself included.
    pub(crate) fn decide_through(&mut self, last: Instant) {
        decide_until(self.rules, &[], &mut self.customer, 0, last, &mut Outcome::default());
    }

    /// The first instant after another at which anything could change.
    pub(crate) fn next_candidate(&self, after: Instant) -> Option<Instant> {
        self.rules.instants.next(self.rules, &self.customer, &[], after, Instant::MAX)
    }

    pub(crate) fn decide(&mut self, now: Instant) {
        let occasion = Occasion { position: 0, now, reason: ChangeReason::Time, cause: None };
        decide(self.rules, &mut self.customer, occasion, &mut Outcome::default());
    }

    /// The result of a condition at an instant, with the memberships as last decided.
    pub(crate) fn holds(&self, condition: &Expr, at: Instant) -> bool {
        Moment::new(self.rules, &self.customer, at).holds(condition)
    }

    pub(crate) fn is_in(&self, cohort: &str) -> bool {
        self.rules.place(cohort).is_some_and(|place| self.customer.memberships[place].member)
    }
}
