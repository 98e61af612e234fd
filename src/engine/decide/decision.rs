//! One customer at one instant: the risk level, then the cohorts that may change in the order of their references, then
//! the values in rankings.

use super::context::Context;
use super::derived;
use super::detail::Detail;
use super::feed::feed;
use super::scratch::Scratch;
use crate::engine::conditions::CustomerView;
use crate::engine::customer::{CustomerState, Deadlines, Membership, PendingChange};
use crate::engine::effects::{Counts, Effect};
use crate::engine::evidence::evidence;
use crate::engine::machines::{Outcome, RiskInput, RiskReport, Step, Trigger, assess_risk, keep_pending, step};
use crate::event::{Change, Instant, Kept, NameId};
use crate::rules::{Cohort, CohortIx, Input, Machine, RankIx, RankingIx};

/// A decision in progress. It evaluates what `scratch` marks, and what is due.
pub(super) struct Decision<'d> {
    pub(super) context: &'d Context,
    pub(super) scratch: &'d mut Scratch,
    pub(super) state: &'d mut CustomerState,
    pub(super) detail: Detail,
    pub(super) effects: &'d mut Vec<Effect>,
}

/// One instant of one customer.
struct Pass<'e> {
    at: Instant,
    trigger: Trigger<'e>,
    /// Why the risk is assessed, if it is.
    input: RiskInput,
    /// The level of risk before it changed; `None`: it has not.
    previous_level: Option<u8>,
}

impl Decision<'_> {
    /// Runs every machine that may change at `at`, in the order of their references.
    pub(super) fn run(mut self, at: Instant, trigger: Trigger<'_>) {
        let (rules, machines) = (&self.context.rules, &mut self.scratch.machines);
        let deadlines = &mut self.state.deadlines;
        // New thresholds that did not affect the customer when they came may affect them at the earlier instant of a
        // late event. In a state just read the deadlines of rankings are unknown.
        if deadlines.thresholds_version != self.context.thresholds_version {
            deadlines.thresholds_version = self.context.thresholds_version;
            let ranks = (0..rules.ranks.len()).map(|rank| RankIx(u16::try_from(rank).expect("numbered in 16 bits")));
            ranks.for_each(|rank| machines.add_each(rules.readers.of(Input::Threshold(rank))));
            machines.add_rankings();
        }
        // Deadlines computed at a later instant say nothing about this one.
        if deadlines.decided_at.is_none_or(|decided| at < decided) {
            machines.add_all();
        }
        deadlines.decided_at = Some(at);
        let first_effect = self.effects.len();
        let mut pass = Pass {
            at,
            trigger,
            input: if machines.contains(Machine::Risk) { RiskInput::Changed } else { RiskInput::Deadline },
            previous_level: None,
        };
        deadlines.due(at).for_each(|machine| machines.add(machine));
        self.run_marked(&mut pass);
        while let Some(name) = self.scratch.derived.pop() {
            self.apply_derived(name, &mut pass);
        }
        self.finish(&pass, first_effect);
    }

    /// Runs what the scratch marks. Readers come later in the order than what they read, and are marked meanwhile.
    fn run_marked(&mut self, pass: &mut Pass<'_>) {
        let mut position = 0;
        while let Some(machine) = self.scratch.machines.next_from(&mut position) {
            let deadline = self.machine(machine, pass);
            self.state.deadlines.set(machine, deadline);
        }
    }

    /// Applies an event that the decision has brought about, at the same instant. Its changes have the cause of the
    /// decision.
    fn apply_derived(&mut self, name: NameId, pass: &mut Pass<'_>) {
        let (context, scratch) = (self.context, &mut *self.scratch);
        let event = derived::event(name, pass.at, &context.rules);
        let settled_before = context.settled_before(pass.at);
        scratch.clear();
        feed(context, scratch, self.state, &event, settled_before, |_| true, &mut Counts::default());
        pass.input = RiskInput::Changed;
        self.run_marked(pass);
    }

    /// Decides everything of a customer whose state was migrated from other rules. Changes of the cohorts that the edit
    /// `changed` are caused by it, others by time.
    pub(super) fn run_all(mut self, at: Instant, changed: &[bool]) {
        let first_effect = self.effects.len();
        self.state.deadlines = Deadlines::default();
        self.state.deadlines.decided_at = Some(at);
        self.scratch.machines.add_all();
        let mut pass = Pass { at, trigger: Trigger::Time, input: RiskInput::Changed, previous_level: None };
        let mut position = 0;
        while let Some(machine) = self.scratch.machines.next_from(&mut position) {
            let is_changed = matches!(machine, Machine::Cohort(cohort) if changed[usize::from(cohort.0)]);
            pass.trigger = if is_changed { Trigger::Edit } else { Trigger::Time };
            let deadline = self.machine(machine, &mut pass);
            self.state.deadlines.set(machine, deadline);
        }
        pass.trigger = Trigger::Edit;
        self.finish(&pass, first_effect);
    }

    fn view(&self, at: Instant) -> CustomerView<'_> {
        self.context.view(self.state, at)
    }

    /// Runs one machine; returns its deadline.
    fn machine(&mut self, machine: Machine, pass: &mut Pass<'_>) -> Instant {
        match machine {
            Machine::Risk => self.assess_risk(pass),
            Machine::Cohort(cohort) if self.context.rules.cohort(cohort).enabled => self.cohort(cohort, pass),
            Machine::Cohort(_) => Instant::MAX,
            Machine::Ranking(ranking) => self.rank(ranking, pass.at),
        }
    }

    /// Assesses the risk, which comes before the cohorts, since they may depend on it.
    fn assess_risk(&mut self, pass: &mut Pass<'_>) -> Instant {
        let (rules, at) = (&self.context.rules, pass.at);
        if rules.churn.is_none() {
            return Instant::MAX;
        }
        let mut risk = self.state.risk;
        let assessment = assess_risk(&mut risk, self.view(at).prediction(), pass.input, at);
        self.state.risk = risk;
        if assessment.changed_from.is_some() {
            pass.previous_level = pass.previous_level.or(assessment.changed_from);
            self.state.clock = self.state.clock.max(at);
            self.scratch.add_readers(rules, Input::Risk);
        }
        assessment.deadline
    }

    /// Runs one cohort's machine until nothing more changes at this instant; returns its deadline.
    fn cohort(&mut self, number: CohortIx, pass: &Pass<'_>) -> Instant {
        let (index, at, trigger) = (usize::from(number.0), pass.at, pass.trigger);
        let cohort = self.context.rules.cohort(number);
        loop {
            // Taken out while its machine reads the other memberships; it never reads its own.
            let held = self.state.memberships.get_mut(index).map(std::mem::take);
            let was_held = held.is_some();
            let mut membership = held.unwrap_or_default();
            let Outcome { step, deadline } = step(cohort, &mut membership, &self.view(at));
            if let Step::Deferred(origin) = step {
                keep_pending(&mut membership, || trigger.pending_change(origin));
            }
            let pending = if matches!(step, Step::Changed(..)) { membership.pending.take() } else { None };
            // Most customers have nothing to do with most cohorts.
            if was_held || !membership.is_new() {
                self.state.memberships.set(index, membership);
            }
            match step {
                Step::Rest | Step::Deferred(_) => return deadline,
                Step::Armed => {
                    self.state.clock = self.state.clock.max(at);
                    return deadline;
                }
                Step::Changed(change, origin) => self.changed(number, change, at, trigger.reason_for(pending, origin)),
            }
        }
    }

    /// A customer has entered or left a cohort.
    fn changed(&mut self, number: CohortIx, change: Change, at: Instant, because: PendingChange) {
        let rules = &self.context.rules;
        let cohort = rules.cohort(number);
        self.state.clock = self.state.clock.max(at);
        // Emitted changes are numbered without gaps.
        self.state.sequence += u64::from(!cohort.shadow);
        self.scratch.add_readers(rules, Input::Cohort(number));
        #[cfg(test)]
        for (_, _, name) in self.context.derives.iter().filter(|derives| (derives.0, derives.1) == (number, change)) {
            self.scratch.derived.push(*name);
        }
        let PendingChange { reason, cause } = because;
        let (why, properties) = match self.detail {
            Detail::None => (Vec::new(), Vec::new()),
            Detail::Full => {
                let view = self.view(at);
                (evidence(number, change, reason, &view), included(cohort, &view))
            }
        };
        let Membership { entered_at, times_entered, .. } = self.state.memberships[usize::from(number.0)];
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

    /// After everything is decided: sets the next deadline, and completes the effects with what comes next.
    fn finish(self, pass: &Pass<'_>, first_effect: usize) {
        let &Pass { at, trigger, previous_level, .. } = pass;
        self.state.next_deadline = self.state.deadlines.earliest();
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

    /// Updates the customer's value in a ranking; returns when it may change by time alone.
    ///
    /// Only the counters use these values: rules evaluate the measure itself. So they have deadlines of their own, also
    /// where no rule depends on them.
    fn rank(&mut self, number: RankingIx, at: Instant) -> Instant {
        let index = usize::from(number.0);
        let (value, until) = self.view(at).ranked(&self.context.rules.rankings[index]);
        self.state.ranked_values[index] = value;
        until
    }
}

/// The values that a cohort includes in its changes.
fn included(cohort: &Cohort, view: &CustomerView<'_>) -> Vec<(String, Option<Kept>)> {
    let value = |measure| view.measure(measure).value.map(Kept::from);
    cohort.include.iter().map(|(name, measure)| (name.clone(), value(measure))).collect()
}
