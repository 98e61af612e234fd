//! The engine: applies the events and deadlines of one customer in order, each decided at its own instant.

use std::sync::Arc;

use super::context::Context;
use super::decision::Decision;
use super::detail::Detail;
use super::feed::feed;
use super::scratch::Scratch;
use super::trial::Trial;
use crate::engine::conditions::{CustomerView, Observed};
use crate::engine::customer::{CustomerState, RecentId, Thresholds, is_duplicate, remember};
use crate::engine::effects::{Counts, Effect, RiskEffect};
use crate::engine::machines::{RiskReport, Trigger};
use crate::engine::model::{Parameters, SolverCache};
use crate::event::stored_hash::of_event;
use crate::event::{CustomerEvent, Instant, Span};
use crate::rules::{Input, Node, RuleSet};

/// Applies events and deadlines to customers by one rule set. Pure: everything it depends on is passed in.
#[derive(Debug)]
pub struct Engine {
    pub(super) context: Context,
    scratch: Scratch,
    pub(in crate::engine) trial: Trial,
}

/// The result of applying an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Its id is remembered: nothing changed.
    Duplicate,
    Applied(Counts),
}

impl Engine {
    /// `max_lateness`: how far behind stream time an event may be; `ids_max`: ids remembered per customer.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, max_lateness: Span, ids_max: usize) -> Self {
        let scratch = Scratch::new(&rules);
        let context = Context {
            calendar: rules.calendar(),
            thresholds: vec![None; rules.ranks.len()].into(),
            rules,
            max_lateness,
            merge_window: Span(0),
            ids_max,
            observed: Observed::ALWAYS,
            thresholds_version: 0,
            parameters: None,
            in_force_since: Instant::MIN,
            #[cfg(test)]
            derives: Vec::new(),
        };
        Self { context, scratch, trial: Trial::default() }
    }

    /// Sets since when the log has been read, where that was not from its beginning, or not for every fact.
    #[must_use]
    pub fn observing(mut self, observed: Observed) -> Self {
        self.observe(observed);
        self
    }

    /// The same, for an engine in use.
    pub fn observe(&mut self, observed: Observed) {
        self.context.observed = observed;
    }

    /// Since when the log has been read.
    #[must_use]
    pub fn observed(&self) -> &Observed {
        &self.context.observed
    }

    /// Makes facts keep what a merge with another customer's facts may need, of events up to `merge_window` before
    /// stream time.
    #[must_use]
    pub fn merging_within(mut self, merge_window: Span) -> Self {
        self.context.merge_window = merge_window;
        self
    }

    /// Changes the limits given to `new`.
    pub fn set_limits(&mut self, max_lateness: Span, ids_max: usize) {
        self.context.max_lateness = max_lateness;
        self.context.ids_max = ids_max;
    }

    #[must_use]
    pub fn thresholds(&self) -> &Thresholds {
        &self.context.thresholds
    }

    /// The parameters of the churn model; `None` before the first fit.
    #[must_use]
    pub fn parameters(&self) -> Option<&Parameters> {
        self.context.parameters()
    }

    /// Changes the parameters of the churn model as of `since`, which is stream time, when every deadline before it is
    /// decided. Each customer is decided under them as of then, before anything else is decided for them.
    pub fn set_parameters(&mut self, parameters: Option<Arc<Parameters>>, since: Instant) {
        self.context.parameters = parameters.map(|parameters| (parameters, SolverCache::new()));
        self.context.in_force_since = since;
    }

    /// Changes the thresholds of ranks. The customers affected are decided by `reevaluate_ranks`.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.context.thresholds = thresholds;
        self.context.thresholds_version = self.context.thresholds_version.wrapping_add(1);
    }

    #[must_use]
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.context.rules
    }

    /// Applies an event: first the customer's deadlines before it, then the event, then the decision at its instant.
    ///
    /// `stream_time` is the stream time before this event; the caller has refused events that are too late for it.
    pub fn apply(
        &mut self,
        state: &mut CustomerState,
        event: &CustomerEvent<'_>,
        position: i64,
        stream_time: Instant,
        detail: Detail,
        effects: &mut Vec<Effect>,
    ) -> Applied {
        let oldest_arrival = self.context.oldest_arrival(stream_time);
        let identity = of_event(event);
        if is_duplicate(&state.recent, identity, oldest_arrival) {
            return Applied::Duplicate;
        }
        self.apply_parameters(state, detail, effects);
        let deadlines = self.fire(state, event.at.max(stream_time), detail, effects);
        let mut counts = Counts { deadlines, ..Counts::default() };
        if state.tie_hash == 0 {
            state.set_customer(event.customer);
        }
        self.remember(state, event, identity, oldest_arrival, &mut counts);
        let Self { context, scratch, .. } = self;
        scratch.clear();
        let settled_before = context.settled_before(stream_time);
        feed(context, scratch, state, event, settled_before, |_| true, &mut counts);
        if event.at < state.known_since {
            state.known_since = event.at;
            scratch.machines.add_all();
        }
        let at = event.at.max(state.clock);
        let late = at > event.at;
        state.clock = at;
        // Thresholds that came since then were evaluated as of stream time, not as of the event's instant.
        if at < stream_time && !context.rules.ranks.is_empty() {
            scratch.machines.add_all();
        }
        self.decision(state, detail, effects).run(at, Trigger::Event { event, position, late });
        Applied::Applied(counts)
    }

    fn remember(
        &self,
        state: &mut CustomerState,
        event: &CustomerEvent<'_>,
        hash: u64,
        oldest_arrival: Instant,
        counts: &mut Counts,
    ) {
        let id = RecentId { at: event.at, hash };
        counts.ids_evicted += u64::from(remember(&mut state.recent, id, oldest_arrival, self.context.ids_max));
    }

    /// Applies an event that has not happened to a copy of a customer, at an instant at which every deadline is
    /// decided.
    pub(in crate::engine) fn apply_hypothetical(
        &mut self,
        state: &mut CustomerState,
        event: &CustomerEvent<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let Self { context, scratch, .. } = self;
        scratch.clear();
        let settled_before = context.settled_before(event.at);
        feed(context, scratch, state, event, settled_before, |_| true, &mut Counts::default());
        state.clock = event.at;
        let trigger = Trigger::Event { event, position: state.as_of, late: false };
        self.decision(state, Detail::None, effects).run(event.at, trigger);
    }

    /// Decides every deadline before `until`, each at its own instant. Returns how many.
    pub fn fire(
        &mut self,
        state: &mut CustomerState,
        until: Instant,
        detail: Detail,
        effects: &mut Vec<Effect>,
    ) -> u64 {
        let mut fired = 0;
        // New parameters are applied only where a deadline is due, since reading a customer must not change them.
        if state.next_deadline < until {
            fired += u64::from(self.apply_parameters(state, detail, effects));
        }
        while state.next_deadline < until {
            self.scratch.clear();
            let at = state.next_deadline;
            self.decision(state, detail, effects).run(at, Trigger::Time);
            fired += 1;
        }
        fired
    }

    /// After the thresholds were changed from `old`: decides the customer if they are between the two. Every deadline
    /// before stream time is decided already. False: the customer is not affected.
    pub fn reevaluate_ranks(
        &mut self,
        state: &mut CustomerState,
        old: &Thresholds,
        stream_time: Instant,
        detail: Detail,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let parameters_applied = self.apply_parameters(state, detail, effects);
        let at = stream_time.max(state.clock);
        // Until the next deadline the values of the last decision are those of this instant.
        let values = (state.next_deadline > at).then_some(&*state.ranked_values);
        let concerned = self.view(state, at).affected_cohorts(old, values);
        if concerned.is_empty() {
            return parameters_applied;
        }
        self.scratch.clear();
        self.scratch.machines.add_cohorts(&concerned);
        self.decision(state, detail, effects).run(at, Trigger::Threshold);
        true
    }

    /// Feeds an event to the `wanted` facts without a decision: for facts that an edit of the rules needs and that were
    /// not kept. The state's deadlines and memberships are meaningless. False: a duplicate.
    pub fn gather(
        &mut self,
        state: &mut CustomerState,
        event: &CustomerEvent<'_>,
        stream_time: Instant,
        wanted: &[bool],
    ) -> bool {
        let oldest_arrival = self.context.oldest_arrival(stream_time);
        let identity = of_event(event);
        if is_duplicate(&state.recent, identity, oldest_arrival) {
            return false;
        }
        let mut counts = Counts::default();
        self.remember(state, event, identity, oldest_arrival, &mut counts);
        state.known_since = state.known_since.min(event.at);
        let Self { context, scratch, .. } = self;
        let settled_before = context.settled_before(stream_time);
        feed(context, scratch, state, event, settled_before, |fact| wanted[usize::from(fact.0)], &mut counts);
        true
    }

    /// Decides a customer whose state was migrated from other rules. `changed`: the cohorts that are new, or defined
    /// otherwise.
    pub fn decide_migrated(
        &mut self,
        state: &mut CustomerState,
        at: Instant,
        changed: &[bool],
        detail: Detail,
        effects: &mut Vec<Effect>,
    ) {
        self.decision(state, detail, effects).run_all(at, changed);
    }

    /// Decides at one more instant, which changes nothing: for tests of that promise.
    pub fn decide_again(&mut self, state: &mut CustomerState, at: Instant, effects: &mut Vec<Effect>) {
        self.scratch.machines.add_all();
        self.decision(state, Detail::None, effects).run(at, Trigger::Time);
    }

    fn decision<'d>(
        &'d mut self,
        state: &'d mut CustomerState,
        detail: Detail,
        effects: &'d mut Vec<Effect>,
    ) -> Decision<'d> {
        Decision { context: &self.context, scratch: &mut self.scratch, state, detail, effects }
    }

    /// Was the customer last decided under other parameters than those in force?
    #[must_use]
    pub fn has_stale_parameters(&self, state: &CustomerState) -> bool {
        self.context.has_stale_parameters(state)
    }

    /// Decides a customer under the parameters in force as of the instant at which these came into force, unless that
    /// is done already. False: nothing changed.
    pub fn apply_parameters(&mut self, state: &mut CustomerState, detail: Detail, effects: &mut Vec<Effect>) -> bool {
        let Self { context, scratch, .. } = self;
        let Some(churn) = context.rules.churn.as_ref().filter(|_| context.has_stale_parameters(state)) else {
            return false;
        };
        let at = context.in_force_since.max(state.clock);
        scratch.clear();
        scratch.add_readers(&context.rules, Input::Fact(churn.fact));
        self.decision(state, detail, effects).run(at, Trigger::Model);
        // Also where the model has no prediction for this customer.
        state.risk.parameters_version = self.parameters().map_or(0, |parameters| parameters.version);
        true
    }

    /// The customer's risk at an instant, in the form of a change of level. `None` without `[churn]`, without
    /// parameters, or for a customer without any activity.
    #[must_use]
    pub fn risk(&self, state: &CustomerState, at: Instant) -> Option<RiskEffect> {
        let view = self.view(state, at);
        RiskReport::at(&view).map(|report| report.effect(state, state.risk.level, Trigger::Time, &view))
    }

    /// Calls `each` with the changes of risk levels since the last call, in order.
    pub(in crate::engine) fn drain_risks(&mut self, each: impl FnMut(RiskEffect)) {
        self.scratch.risks.drain(..).for_each(each);
    }

    /// Changes of risk levels since the last call, in order.
    pub fn take_risks(&mut self) -> Vec<RiskEffect> {
        std::mem::take(&mut self.scratch.risks)
    }

    /// Does an expression hold for a customer at an instant? The instant is no earlier than anything applied or
    /// decided.
    #[must_use]
    pub fn holds(&self, state: &CustomerState, node: &Node, at: Instant) -> bool {
        self.view(state, at).node(node).holds
    }

    /// The customer as conditions see them at an instant.
    pub(in crate::engine) fn view<'a>(&'a self, state: &'a CustomerState, at: Instant) -> CustomerView<'a> {
        self.context.view(state, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NameId;
    use crate::fact::Fact;

    const RULES: &str = "[churn]\non = 'purchase'\n[cohorts.c]\nwho = 'did purchase in the last 7 days'\n";

    /// The days with purchases after purchases at these hours, each of which stream time has reached.
    fn purchase_days(engine: &mut Engine, hours: &[i64]) -> Fact {
        let mut state = CustomerState::new(engine.rules());
        for (hour, position) in hours.iter().zip(0..) {
            let at = Instant(hour * Span::HOUR.0);
            let event = CustomerEvent {
                customer: "c",
                name: "purchase",
                name_id: NameId(0),
                at,
                id: None,
                source: None,
                record_hash: hour.unsigned_abs(),
                unusable_values: 0,
                properties: &[],
            };
            engine.apply(&mut state, &event, position, at, Detail::None, &mut Vec::new());
        }
        let fact = engine.rules().churn.as_ref().unwrap().fact;
        state.facts.get(usize::from(fact.0)).unwrap().clone()
    }

    /// Two customers who both bought on the first three days and a week later, against one who bought all of it.
    #[test]
    fn facts_keep_what_a_merge_within_its_window_needs() {
        let rules = Arc::new(crate::rules::load("r.toml", RULES).unwrap());
        let fact = rules.churn.as_ref().unwrap().fact;
        let engine = || Engine::new(Arc::clone(&rules), Span::DAY, 64);
        let merged_and_united = |mut engine: Engine| {
            let mut merged = purchase_days(&mut engine, &[1, 25, 49, 241]);
            let other = purchase_days(&mut engine, &[2, 26, 50, 242]);
            merged.merge(&rules.facts[usize::from(fact.0)].kind, other, None, &mut 0);
            (merged, purchase_days(&mut engine, &[1, 2, 25, 26, 49, 50, 241, 242]))
        };
        let (merged, united) = merged_and_united(engine().merging_within(Span(30 * Span::DAY.0)));
        assert_eq!(merged, united);
        let (merged, united) = merged_and_united(engine());
        assert_ne!(merged, united, "the second day is settled, and both counted it");
    }
}
