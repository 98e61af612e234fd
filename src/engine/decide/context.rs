//! What decisions rest on beside the customer and the input. Nothing in it changes while a customer is decided.

use std::sync::Arc;

use crate::calendar::Calendar;
use crate::engine::conditions::{CustomerView, Observed};
use crate::engine::customer::{CustomerState, Thresholds};
use crate::engine::model::{Comings, Parameters, Solved};
use crate::event::{Instant, Span};
use crate::rules::RuleSet;

#[derive(Debug)]
pub(super) struct Context {
    pub(super) rules: Arc<RuleSet>,
    pub(super) calendar: Calendar,
    /// How far behind stream time an event may be.
    pub(super) max_lateness: Span,
    /// How old events may be that another customer's state brings in, when the two turn out to be one.
    pub(super) merge_window: Span,
    /// Ids remembered per customer.
    pub(super) ids_max: usize,
    pub(super) observed: Observed,
    pub(super) thresholds: Thresholds,
    /// How often; a customer decided before the last time was decided under others.
    pub(super) thresholds_set: u32,
    /// Of the churn model, and what was solved for under them.
    pub(super) parameters: Option<(Arc<Parameters>, Solved)>,
    /// Where stream time stood when they came into force.
    pub(super) in_force_since: Instant,
}

impl Context {
    /// The customer as conditions see them at an instant.
    pub(super) fn view<'a>(&'a self, state: &'a CustomerState, at: Instant) -> CustomerView<'a> {
        CustomerView {
            rules: &self.rules,
            calendar: &self.calendar,
            facts: &state.facts,
            memberships: &state.memberships,
            known_since: state.known_since,
            thresholds: &self.thresholds,
            tie_hash: state.tie_hash,
            observed: &self.observed,
            parameters: self.parameters.as_ref().map(|(parameters, solved)| (&**parameters, solved)),
            at,
        }
    }

    /// Nothing older than this can still arrive.
    pub(super) fn oldest_arrival(&self, stream_time: Instant) -> Instant {
        stream_time - self.max_lateness
    }

    /// Nothing older than this can still arrive, nor be merged in.
    pub(super) fn settled_before(&self, stream_time: Instant) -> Instant {
        stream_time - self.max_lateness.max(self.merge_window)
    }

    /// Of the churn model; none before the first fit.
    pub(super) fn parameters(&self) -> Option<&Parameters> {
        self.parameters.as_ref().map(|(parameters, _)| &**parameters)
    }

    /// Was the customer last decided under other parameters than those in force?
    pub(super) fn lags(&self, state: &CustomerState) -> bool {
        let other = self.parameters().is_some_and(|parameters| parameters.version != state.risk.under);
        other && Comings::of(&self.rules, state).is_some()
    }
}
