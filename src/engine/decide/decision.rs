//! One customer at one instant: the level of risk, the cohorts that may differ in the order of their references, and the places
//! in rankings.

use super::context::Context;
use super::detail::Words;
use super::scratch::Scratch;
use crate::engine::conditions::CustomerView;
use crate::engine::customer::{CustomerState, Deadlines, Membership, Wish};
use crate::engine::effects::Effect;
use crate::engine::evidence::evidence;
use crate::engine::machines::{Outcome, Step, Trigger, Weight, keep_wish, step, weigh};
use crate::event::{Change, Instant, Kept};
use crate::rules::{Cohort, CohortIx};

/// A decision under way. What `scratch` names is evaluated, and whatever is due.
pub(super) struct Decision<'d> {
    pub(super) context: &'d Context,
    pub(super) scratch: &'d mut Scratch,
    pub(super) state: &'d mut CustomerState,
    pub(super) words: Words,
    pub(super) effects: &'d mut Vec<Effect>,
}

impl Decision<'_> {
    /// Runs the machine of every cohort that may differ at `at`, in the order of their references.
    pub(super) fn run(mut self, at: Instant, trigger: Trigger<'_>) {
        let context = self.context;
        // Whom new thresholds did not concern at the instant they came, a late event may find at an earlier one that they do.
        if self.state.deadlines.thresholds_set != context.thresholds_set {
            self.state.deadlines.thresholds_set = context.thresholds_set;
            context.rules.ranks.iter().for_each(|rank| self.scratch.cohorts.add_each(&rank.readers));
        }
        // Verdicts known from a later instant say nothing about this one.
        if self.state.deadlines.decided_at.is_none_or(|decided| at < decided) {
            self.scratch.add_all();
        }
        self.state.deadlines.decided_at = Some(at);
        let said_before = self.effects.len();
        let due = self.state.deadlines.by_cohort.iter().filter(|(_, deadline)| **deadline <= at);
        due.for_each(|(cohort, _)| self.scratch.cohorts.add(cohort));
        let risen = self.assess_risk(at);
        let mut place = 0;
        // Dependants come later in this order, and are added on the way.
        while let Some(cohort) = self.scratch.cohorts.next_from(place) {
            place = cohort + 1;
            let deadline = match context.rules.cohorts[cohort].enabled {
                true => self.cohort(cohort, at, trigger),
                false => Instant::MAX,
            };
            self.state.deadlines.set(cohort, deadline);
        }
        self.conclude(at, trigger, risen, said_before);
    }

    /// Decides every cohort of a customer whose state was brought over from other rules. What the scratch names follows from
    /// the edit, and what is due all the same from time.
    pub(super) fn run_all(mut self, at: Instant) {
        let said_before = self.effects.len();
        self.state.deadlines = Deadlines { decided_at: Some(at), ..Deadlines::default() };
        let risen = self.assess_risk(at);
        let rules = &self.context.rules;
        for (cohort, _) in rules.cohorts.iter().enumerate().filter(|(_, cohort)| cohort.enabled) {
            let trigger = if self.scratch.cohorts.holds(cohort) { Trigger::Edit } else { Trigger::Time };
            let deadline = self.cohort(cohort, at, trigger);
            self.state.deadlines.set(cohort, deadline);
        }
        self.conclude(at, Trigger::Edit, risen, said_before);
    }

    fn view(&self, at: Instant) -> CustomerView<'_> {
        self.context.view(self.state, at)
    }

    /// Brings the level of risk up to an instant, before the cohorts, which may look at it. Where it changed: from what.
    fn assess_risk(&mut self, at: Instant) -> Option<u8> {
        let rules = &self.context.rules;
        let fact = rules.churn.as_ref()?.fact;
        let is_due = !self.scratch.risk;
        if is_due && self.state.deadlines.risk > at {
            return None;
        }
        let mut risk = self.state.risk;
        let weighed = weigh(&mut risk, self.view(at).outlook(), is_due, at);
        (self.state.risk, self.state.deadlines.risk) = (risk, weighed.deadline);
        if weighed.changed_from.is_some() {
            self.state.clock = self.state.clock.max(at);
            self.scratch.cohorts.add_each(rules.readers(fact));
        }
        weighed.changed_from
    }

    /// Runs one cohort's machine until it rests; returns its deadline.
    fn cohort(&mut self, index: usize, at: Instant, trigger: Trigger<'_>) -> Instant {
        let cohort = &self.context.rules.cohorts[index];
        loop {
            // Taken out while its machine looks at the others; it never looks at itself.
            let mut membership = self.state.memberships.get_mut(index).map(std::mem::take).unwrap_or_default();
            let Outcome { step, deadline } = step(cohort, &mut membership, &self.view(at));
            if let Step::Wished(force) = step {
                keep_wish(&mut membership, || trigger.wish(force));
            }
            let wish = if matches!(step, Step::Changed(..)) { membership.wish.take() } else { None };
            self.state.memberships.keep(index, membership);
            match step {
                Step::Rest | Step::Wished(_) => return deadline,
                Step::Armed => {
                    self.state.clock = self.state.clock.max(at);
                    return deadline;
                }
                Step::Changed(change, force) => self.changed(index, change, at, trigger.reason_for(wish, force)),
            }
        }
    }

    /// A customer has entered or left a cohort.
    fn changed(&mut self, index: usize, change: Change, at: Instant, because: Wish) {
        let rules = &self.context.rules;
        let cohort = &rules.cohorts[index];
        self.state.clock = self.state.clock.max(at);
        // What is emitted is numbered without a gap.
        self.state.sequence += u64::from(!cohort.shadow);
        self.scratch.cohorts.add_each(&cohort.dependants);
        for (ranking, moved) in rules.rankings.iter().zip(&mut self.scratch.rankings) {
            *moved |= ranking.among.is_some_and(|among| usize::from(among.0) == index);
        }
        let Wish { reason, cause } = because;
        let number = CohortIx(u16::try_from(index).expect("cohorts are numbered in 16 bits"));
        let (why, properties) = match self.words {
            Words::None => (Vec::new(), Vec::new()),
            Words::Full => {
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

    /// Every cohort that may differ is decided: when must the customer be looked at next, and what is to come of each change?
    ///
    /// `risen`: from what the level of risk has changed.
    fn conclude(mut self, at: Instant, trigger: Trigger<'_>, risen: Option<u8>, said_before: usize) {
        let earliest = self.state.deadlines.by_cohort.iter().map(|(_, at)| *at).min().unwrap_or(Instant::MAX);
        self.state.next_deadline = earliest.min(self.place_in_rankings(at)).min(self.state.deadlines.risk);
        let Self { context, scratch, state, words, effects } = self;
        let said = &mut effects[said_before..];
        if words != Words::Full || (risen.is_none() && said.is_empty()) {
            return;
        }
        let view = context.view(state, at);
        let weight = Weight::weighed(state, &view);
        let risk = weight.as_ref().map(|weight| weight.now);
        if let Some((weight, previous)) = weight.zip(risen) {
            scratch.risks.push(weight.effect(state, previous, trigger, &view));
        }
        for effect in said {
            let next = scratch.lookahead.next_change(view, effect.cohort);
            (effect.next_change_at, effect.risk) = (next.map(|(at, _)| at), risk);
        }
    }

    /// Puts the customer in their place in each ranking that may have moved; returns when the next one may.
    ///
    /// Rules are decided by what the customer is worth at the instant, never by this: it is what counters count. So it has
    /// deadlines of its own, also where no rule turns by it.
    fn place_in_rankings(&mut self, at: Instant) -> Instant {
        let rules = &self.context.rules;
        self.state.deadlines.by_ranking.resize(rules.rankings.len(), Instant::MIN);
        let mut earliest = Instant::MAX;
        for (i, ranking) in rules.rankings.iter().enumerate() {
            if self.scratch.rankings[i] || self.state.deadlines.by_ranking[i] <= at {
                let (place, until) = self.view(at).ranked(ranking);
                self.state.places[i] = place;
                self.state.deadlines.by_ranking[i] = until;
            }
            earliest = earliest.min(self.state.deadlines.by_ranking[i]);
        }
        earliest
    }
}

/// What a cohort includes for whoever acts on its changes.
fn included(cohort: &Cohort, view: &CustomerView<'_>) -> Vec<(String, Option<Kept>)> {
    let value = |measure| view.measure(measure).value.map(Kept::from);
    cohort.include.iter().map(|(name, measure)| (name.clone(), value(measure))).collect()
}
