//! One customer: deadlines and events in their order, each decided at its instant.

use std::sync::Arc;

use super::context::Context;
use super::decision::Decision;
use super::detail::Words;
use super::feed::feed;
use super::scratch::Scratch;
use crate::engine::conditions::{CustomerView, Observed};
use crate::engine::customer::{CustomerState, RecentId, Thresholds, is_duplicate, remember};
use crate::engine::effects::{Counts, Effect, RiskEffect};
use crate::engine::machines::{Trigger, Weight};
use crate::engine::model::{Parameters, Solved};
use crate::event::stored_hash::of_event;
use crate::event::{CustomerEvent, Instant, Span};
use crate::rules::{Node, RuleSet};

/// Applies events and deadlines to customers by one rule set. Pure: everything it depends on is passed in.
#[derive(Debug)]
pub struct Engine {
    context: Context,
    scratch: Scratch,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Remembered already: nothing moved.
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
            thresholds_set: 0,
            parameters: None,
            in_force_since: Instant::MIN,
        };
        Self { context, scratch }
    }

    /// For a log that was not read from its beginning, or not for every fact.
    #[must_use]
    pub fn observing(mut self, observed: Observed) -> Self {
        self.observe(observed);
        self
    }

    /// The same, of an engine at work.
    pub fn observe(&mut self, observed: Observed) {
        self.context.observed = observed;
    }

    /// Since when the log was read.
    #[must_use]
    pub fn observed(&self) -> &Observed {
        &self.context.observed
    }

    /// Facts keep what a merge with another customer's may still need, of events up to so long before stream time.
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

    /// Of the churn model; none before the first fit.
    #[must_use]
    pub fn parameters(&self) -> Option<&Parameters> {
        self.context.parameters()
    }

    /// Changes the parameters of the churn model, when every deadline before `since`, stream time, is decided. Each
    /// customer is decided under them as of then, before anything else is decided of them.
    pub fn set_parameters(&mut self, parameters: Option<Arc<Parameters>>, since: Instant) {
        self.context.parameters = parameters.map(|parameters| (parameters, Solved::new()));
        self.context.in_force_since = since;
    }

    /// Changes where ranks begin. Whom that concerns is decided by `reconsider`.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.context.thresholds = thresholds;
        self.context.thresholds_set = self.context.thresholds_set.wrapping_add(1);
    }

    #[must_use]
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.context.rules
    }

    /// Takes an event in: first the customer's deadlines before it, then the event, then the decision at its instant.
    ///
    /// `stream_time` is that before this event's log position; the caller has refused events that are too late for it.
    pub fn apply(
        &mut self,
        state: &mut CustomerState,
        event: &CustomerEvent<'_>,
        position: i64,
        stream_time: Instant,
        words: Words,
        effects: &mut Vec<Effect>,
    ) -> Applied {
        let oldest_arrival = self.context.oldest_arrival(stream_time);
        let identity = of_event(event);
        if is_duplicate(&state.recent, identity, oldest_arrival) {
            return Applied::Duplicate;
        }
        self.catch_up(state, words, effects);
        let deadlines = self.fire(state, event.at.max(stream_time), words, effects);
        let mut counts = Counts { deadlines, ..Counts::default() };
        state.set_customer(event.customer);
        self.remember(state, event, identity, oldest_arrival, &mut counts);
        let Self { context, scratch } = self;
        scratch.clear();
        let settled_before = context.settled_before(stream_time);
        feed(context, scratch, state, event, settled_before, |_| true, &mut counts);
        if event.at < state.known_since {
            state.known_since = event.at;
            scratch.add_all();
        }
        let at = event.at.max(state.clock);
        let late = at > event.at;
        state.clock = at;
        // Thresholds that came since then were asked about where stream time stood, not about that instant.
        if at < stream_time && !context.rules.ranks.is_empty() {
            scratch.add_all();
        }
        self.decision(state, words, effects).run(at, Trigger::Event { event, position, late });
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
        counts.ids_pushed_out += u64::from(remember(&mut state.recent, id, oldest_arrival, self.context.ids_max));
    }

    /// Takes an event in that has not happened, at an instant at which every deadline is decided: into a copy of a customer.
    pub(in crate::engine) fn suppose(
        &mut self,
        state: &mut CustomerState,
        event: &CustomerEvent<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let Self { context, scratch } = self;
        scratch.clear();
        let settled_before = context.settled_before(event.at);
        feed(context, scratch, state, event, settled_before, |_| true, &mut Counts::default());
        state.clock = event.at;
        let trigger = Trigger::Event { event, position: state.as_of, late: false };
        self.decision(state, Words::None, effects).run(event.at, trigger);
    }

    /// Decides every deadline before `until`, each at its own instant. Returns how many.
    pub fn fire(&mut self, state: &mut CustomerState, until: Instant, words: Words, effects: &mut Vec<Effect>) -> u64 {
        let mut fired = 0;
        // New parameters are applied only where a deadline is due: to look at a customer must not change them.
        if state.next_deadline < until {
            fired += u64::from(self.catch_up(state, words, effects));
        }
        while state.next_deadline < until {
            self.scratch.clear();
            let at = state.next_deadline;
            self.decision(state, words, effects).run(at, Trigger::Time);
            fired += 1;
        }
        fired
    }

    /// After thresholds other than `old` were set: decides the customer, if they stand between the two. Every deadline
    /// before stream time is decided already. False: it does not concern them.
    pub fn reconsider(
        &mut self,
        state: &mut CustomerState,
        old: &Thresholds,
        stream_time: Instant,
        words: Words,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let caught_up = self.catch_up(state, words, effects);
        let at = stream_time.max(state.clock);
        // Until a deadline comes, the customer stands where the last decision left them.
        let places = (state.next_deadline > at).then_some(&*state.places);
        let concerned = self.view(state, at).concerned(old, places);
        if concerned.is_empty() {
            return caught_up;
        }
        self.scratch.clear();
        self.scratch.cohorts.add_each(&concerned);
        self.decision(state, words, effects).run(at, Trigger::Threshold);
        true
    }

    /// Takes an event into the `wanted` facts and decides nothing: for facts that an edit of the rules needs and that were
    /// not kept. Deadlines and memberships of such a state mean nothing. False: a duplicate.
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
        let Self { context, scratch } = self;
        let settled_before = context.settled_before(stream_time);
        feed(context, scratch, state, event, settled_before, |fact| wanted[usize::from(fact.0)], &mut counts);
        true
    }

    /// Decides a customer whose state was brought over from other rules. `changed`: the cohorts that those rules did not
    /// have, or defined otherwise.
    pub fn adopt(
        &mut self,
        state: &mut CustomerState,
        at: Instant,
        changed: &[bool],
        words: Words,
        effects: &mut Vec<Effect>,
    ) {
        let scratch = &mut self.scratch;
        scratch.clear();
        scratch.rankings.fill(true);
        scratch.risk = true;
        (0..changed.len()).filter(|cohort| changed[*cohort]).for_each(|cohort| scratch.cohorts.add(cohort));
        self.decision(state, words, effects).run_all(at);
    }

    /// Runs the machine at one more instant, which changes nothing: for tests of that promise.
    pub fn decide_again(&mut self, state: &mut CustomerState, at: Instant, effects: &mut Vec<Effect>) {
        self.scratch.add_all();
        self.decision(state, Words::None, effects).run(at, Trigger::Time);
    }

    fn decision<'d>(
        &'d mut self,
        state: &'d mut CustomerState,
        words: Words,
        effects: &'d mut Vec<Effect>,
    ) -> Decision<'d> {
        Decision { context: &self.context, scratch: &mut self.scratch, state, words, effects }
    }

    /// Was the customer last decided under other parameters than those in force?
    #[must_use]
    pub fn lags(&self, state: &CustomerState) -> bool {
        self.context.lags(state)
    }

    /// Decides a customer under the parameters in force, as of the instant at which these came, if that is still to be done.
    /// False: nothing changed.
    pub fn catch_up(&mut self, state: &mut CustomerState, words: Words, effects: &mut Vec<Effect>) -> bool {
        let Self { context, scratch } = self;
        let Some(churn) = context.rules.churn.as_ref().filter(|_| context.lags(state)) else { return false };
        let at = context.in_force_since.max(state.clock);
        scratch.clear();
        scratch.add_readers(&context.rules, churn.fact);
        self.decision(state, words, effects).run(at, Trigger::Model);
        // Also where the model says nothing of such a customer.
        state.risk.under = self.parameters().map_or(0, |parameters| parameters.version);
        true
    }

    /// What there is to say of the customer's risk at an instant, as if the level were reached there by silence. None without
    /// `[churn]`, without parameters, or of a customer who never came.
    #[must_use]
    pub fn risk(&self, state: &CustomerState, at: Instant) -> Option<RiskEffect> {
        let view = self.view(state, at);
        Weight::at(&view).map(|weight| weight.effect(state, state.risk.level, Trigger::Time, &view))
    }

    /// What was said of risks since the last call, in order.
    pub fn take_risks(&mut self) -> Vec<RiskEffect> {
        std::mem::take(&mut self.scratch.risks)
    }

    /// Does an expression hold of a customer at an instant, no earlier than anything applied or decided?
    #[must_use]
    pub fn holds(&self, state: &CustomerState, node: &Node, at: Instant) -> bool {
        self.view(state, at).node(node).holds
    }

    /// The customer as conditions see them at an instant.
    pub(in crate::engine) fn view<'a>(&'a self, state: &'a CustomerState, at: Instant) -> CustomerView<'a> {
        self.context.view(state, at)
    }
}
