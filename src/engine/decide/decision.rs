//! One customer at one instant: the risk level, then the cohorts that may change in the order of their references, then
//! the values in rankings.

use super::context::Context;
use super::detail::Detail;
use super::scratch::Scratch;
use crate::engine::conditions::CustomerView;
use crate::engine::customer::{CustomerState, Deadlines, Membership, PendingChange};
use crate::engine::effects::Effect;
use crate::engine::evidence::evidence;
use crate::engine::machines::{Outcome, RiskInput, RiskReport, Step, Trigger, assess_risk, keep_pending, step};
use crate::event::{Change, Instant, Kept};
use crate::rules::{Cohort, CohortIx};

/// A decision in progress. It evaluates what `scratch` marks, and what is due.
pub(super) struct Decision<'d> {
    pub(super) context: &'d Context,
    pub(super) scratch: &'d mut Scratch,
    pub(super) state: &'d mut CustomerState,
    pub(super) detail: Detail,
    pub(super) effects: &'d mut Vec<Effect>,
}

impl Decision<'_> {
    /// Runs the machine of every cohort that may change at `at`, in the order of their references.
    pub(super) fn run(mut self, at: Instant, trigger: Trigger<'_>) {
        let context = self.context;
        // New thresholds that did not affect the customer when they came may affect them at the earlier instant of a
        // late event.
        if self.state.deadlines.thresholds_version != context.thresholds_version {
            self.state.deadlines.thresholds_version = context.thresholds_version;
            context.rules.ranks.iter().for_each(|rank| self.scratch.cohorts.add_each(&rank.readers));
        }
        // Deadlines computed at a later instant say nothing about this one.
        if self.state.deadlines.decided_at.is_none_or(|decided| at < decided) {
            self.scratch.add_all();
        }
        self.state.deadlines.decided_at = Some(at);
        let first_effect = self.effects.len();
        let due = self.state.deadlines.by_cohort.iter().filter(|(_, deadline)| **deadline <= at);
        due.for_each(|(cohort, _)| self.scratch.cohorts.add(cohort));
        let previous_level = self.assess_risk(at);
        let mut position = 0;
        // Dependants come later in this order, and are added during the loop.
        while let Some(cohort) = self.scratch.cohorts.next_from(position) {
            position = cohort + 1;
            let deadline = match context.rules.cohorts[cohort].enabled {
                true => self.cohort(cohort, at, trigger),
                false => Instant::MAX,
            };
            self.state.deadlines.set(cohort, deadline);
        }
        self.finish(at, trigger, previous_level, first_effect);
    }

    /// Decides every cohort of a customer whose state was migrated from other rules. Changes of the cohorts that the
    /// scratch marks are caused by the edit, others by time.
    pub(super) fn run_all(mut self, at: Instant) {
        let first_effect = self.effects.len();
        self.state.deadlines = Deadlines { decided_at: Some(at), ..Deadlines::default() };
        let previous_level = self.assess_risk(at);
        let rules = &self.context.rules;
        for (cohort, _) in rules.cohorts.iter().enumerate().filter(|(_, cohort)| cohort.enabled) {
            let trigger = if self.scratch.cohorts.contains(cohort) { Trigger::Edit } else { Trigger::Time };
            let deadline = self.cohort(cohort, at, trigger);
            self.state.deadlines.set(cohort, deadline);
        }
        self.finish(at, Trigger::Edit, previous_level, first_effect);
    }

    fn view(&self, at: Instant) -> CustomerView<'_> {
        self.context.view(self.state, at)
    }

    /// Assesses the risk at an instant, before the cohorts, which may depend on it. Returns the previous level if it
    /// changed.
    fn assess_risk(&mut self, at: Instant) -> Option<u8> {
        let rules = &self.context.rules;
        let fact = rules.churn.as_ref()?.fact;
        let input = if self.scratch.risk { RiskInput::Changed } else { RiskInput::Deadline };
        if input == RiskInput::Deadline && self.state.deadlines.risk > at {
            return None;
        }
        let mut risk = self.state.risk;
        let assessment = assess_risk(&mut risk, self.view(at).prediction(), input, at);
        (self.state.risk, self.state.deadlines.risk) = (risk, assessment.deadline);
        if assessment.changed_from.is_some() {
            self.state.clock = self.state.clock.max(at);
            self.scratch.cohorts.add_each(rules.readers(fact));
        }
        assessment.changed_from
    }

    /// Runs one cohort's machine until nothing more changes at this instant; returns its deadline.
    fn cohort(&mut self, index: usize, at: Instant, trigger: Trigger<'_>) -> Instant {
        let cohort = &self.context.rules.cohorts[index];
        loop {
            // Taken out while its machine reads the other memberships; it never reads its own.
            let mut membership = self.state.memberships.get_mut(index).map(std::mem::take).unwrap_or_default();
            let Outcome { step, deadline } = step(cohort, &mut membership, &self.view(at));
            if let Step::Deferred(origin) = step {
                keep_pending(&mut membership, || trigger.pending_change(origin));
            }
            let pending = if matches!(step, Step::Changed(..)) { membership.pending.take() } else { None };
            self.state.memberships.set(index, membership);
            match step {
                Step::Rest | Step::Deferred(_) => return deadline,
                Step::Armed => {
                    self.state.clock = self.state.clock.max(at);
                    return deadline;
                }
                Step::Changed(change, origin) => self.changed(index, change, at, trigger.reason_for(pending, origin)),
            }
        }
    }

    /// A customer has entered or left a cohort.
    fn changed(&mut self, index: usize, change: Change, at: Instant, because: PendingChange) {
        let rules = &self.context.rules;
        let cohort = &rules.cohorts[index];
        self.state.clock = self.state.clock.max(at);
        // Emitted changes are numbered without gaps.
        self.state.sequence += u64::from(!cohort.shadow);
        self.scratch.cohorts.add_each(&cohort.dependants);
        for (ranking, is_stale) in rules.rankings.iter().zip(&mut self.scratch.rankings) {
            *is_stale |= ranking.among.is_some_and(|among| usize::from(among.0) == index);
        }
        let PendingChange { reason, cause } = because;
        let number = CohortIx(u16::try_from(index).expect("cohorts are numbered in 16 bits"));
        let (why, properties) = match self.detail {
            Detail::None => (Vec::new(), Vec::new()),
            Detail::Full => {
                let view = self.view(at);
                (evidence(number, change, reason, &view), included(cohort, &view))
            }
        };
        let Membership { entered_at, times_entered, .. } = self.state.memberships[index];
        self.effects.push(Effect {
            cohort: number,
            change,
            at,
            reason,
            cause,
            sequence: self.state.sequence,
            entered_at,
            times_entered,
            next_change_at: None,
            risk: None,
            properties,
            why,
        });
    }

    /// After all cohorts are decided: sets the next deadline, and completes the effects with what comes next.
    ///
    /// `previous_level`: the previous risk level, if it changed.
    fn finish(mut self, at: Instant, trigger: Trigger<'_>, previous_level: Option<u8>, first_effect: usize) {
        let earliest = self.state.deadlines.by_cohort.iter().map(|(_, at)| *at).min().unwrap_or(Instant::MAX);
        self.state.next_deadline = earliest.min(self.update_rankings(at)).min(self.state.deadlines.risk);
        let Self { context, scratch, state, detail, effects } = self;
        let new_effects = &mut effects[first_effect..];
        if detail != Detail::Full || (previous_level.is_none() && new_effects.is_empty()) {
            return;
        }
        let view = context.view(state, at);
        let report = RiskReport::of_state(state, &view);
        let risk = report.as_ref().map(|report| report.now);
        if let Some((report, previous)) = report.zip(previous_level) {
            scratch.risks.push(report.effect(state, previous, trigger, &view));
        }
        for effect in new_effects {
            let next = scratch.lookahead.next_change(view, effect.cohort);
            (effect.next_change_at, effect.risk) = (next.map(|(at, _)| at), risk);
        }
    }

    /// Updates the customer's value in each ranking where it may have changed; returns when the next one may.
    ///
    /// Only the counters use these values: rules evaluate the measure itself. So they have deadlines of their own, also
    /// where no rule depends on them.
    fn update_rankings(&mut self, at: Instant) -> Instant {
        let rules = &self.context.rules;
        self.state.deadlines.by_ranking.resize(rules.rankings.len(), Instant::MIN);
        let mut earliest = Instant::MAX;
        for (i, ranking) in rules.rankings.iter().enumerate() {
            if self.scratch.rankings[i] || self.state.deadlines.by_ranking[i] <= at {
                let (value, until) = self.view(at).ranked(ranking);
                self.state.ranked_values[i] = value;
                self.state.deadlines.by_ranking[i] = until;
            }
            earliest = earliest.min(self.state.deadlines.by_ranking[i]);
        }
        earliest
    }
}

/// The values that a cohort includes in its changes.
fn included(cohort: &Cohort, view: &CustomerView<'_>) -> Vec<(String, Option<Kept>)> {
    let value = |measure| view.measure(measure).value.map(Kept::from);
    cohort.include.iter().map(|(name, measure)| (name.clone(), value(measure))).collect()
}
