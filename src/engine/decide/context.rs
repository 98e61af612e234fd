//! The inputs of decisions beside the customer and the event. Nothing in it changes during a decision.

use std::sync::Arc;

use crate::calendar::Calendar;
use crate::engine::conditions::{CustomerView, Observed};
use crate::engine::customer::{CustomerState, Thresholds};
use crate::engine::model::{ActivityHistory, Parameters, SolverCache};
#[cfg(test)]
use crate::event::{Change, NameId};
use crate::event::{Instant, Span};
#[cfg(test)]
use crate::rules::CohortIx;
use crate::rules::RuleSet;

#[derive(Debug)]
pub(super) struct Context {
    pub(super) rules: Arc<RuleSet>,
    pub(super) calendar: Calendar,
    /// How far behind stream time an event may be.
    pub(super) max_lateness: Span,
    /// How old events may be that a merge with another customer's state adds.
    pub(super) merge_window: Span,
    /// Ids remembered per customer.
    pub(super) ids_max: usize,
    pub(super) observed: Observed,
    pub(super) thresholds: Thresholds,
    /// Incremented with each change of the thresholds.
    pub(super) thresholds_version: u32,
    /// The parameters of the churn model, and what was computed under them.
    pub(super) parameters: Option<(Arc<Parameters>, SolverCache)>,
    /// Stream time when they came into force.
    pub(super) in_force_since: Instant,
    /// The events that changes bring about.
    #[cfg(test)]
    pub(super) derives: Vec<(CohortIx, Change, NameId)>,
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
            parameters: self.parameters.as_ref().map(|(parameters, solver)| (&**parameters, solver)),
            at,
        }
    }

    /// No event older than this can still arrive.
    pub(super) fn oldest_arrival(&self, stream_time: Instant) -> Instant {
        stream_time - self.max_lateness
    }

    /// No event older than this can still arrive, nor be merged in.
    pub(super) fn settled_before(&self, stream_time: Instant) -> Instant {
        stream_time - self.max_lateness.max(self.merge_window)
    }

    /// The parameters of the churn model; `None` before the first fit.
    pub(super) fn parameters(&self) -> Option<&Parameters> {
        self.parameters.as_ref().map(|(parameters, _)| &**parameters)
    }

    /// Was the customer last decided under other parameters than those in force?
    pub(super) fn has_stale_parameters(&self, state: &CustomerState) -> bool {
        let other = self.parameters().is_some_and(|parameters| parameters.version != state.risk.parameters_version);
        other && ActivityHistory::of(&self.rules, state).is_some()
    }
}
