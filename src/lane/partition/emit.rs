//! Turning the effects of decisions into output records.

use std::sync::Arc;

use crate::clock::{LIVE_EVENT_AGE_MAX, wall_clock};
use crate::engine::{CustomerEffect, Detail, Effect, RiskEffect, Slot, level_name};
use crate::event::{Change, ChangeReason, Instant, Span};
use crate::lane::context::Context;
use crate::lane::output::changes::Automation;
use crate::lane::output::origin::Origin;
use crate::lane::output::plan::Plan;
use crate::lane::partition::automation::Round;
use crate::lane::partition::state::Partition;
use crate::lane::partition::surge::{Entries, Limit};
use crate::rules::RuleSet;

impl Partition {
    /// What a record says of where it was decided.
    pub(in crate::lane) fn origin<'c>(&self, position: i64, context: &'c Context) -> Origin<'c> {
        Origin {
            input: &context.topics.input,
            partition: self.number,
            position,
            stream_time: self.stream_time(),
            source: self.intake.source.clone(),
        }
    }

    /// Turns the collected effects of one round into records. During a replay no records are emitted: they were then.
    pub(in crate::lane) fn emit(&mut self, round: Round, detail: Detail, context: &Context, plan: &mut Plan) {
        let risks = self.residents.take_risks();
        if !self.residents.has_effects() && risks.is_empty() {
            return;
        }
        let mut effects = self.residents.take_effects();
        if detail == Detail::Full {
            self.emit_records(&mut effects, risks, round, context, plan);
        } else {
            self.count_replayed(&effects, &risks, round);
        }
        self.residents.reuse_effects(effects);
    }

    fn emit_records(
        &mut self,
        effects: &mut Vec<CustomerEffect>,
        risks: Vec<(Slot, RiskEffect)>,
        round: Round,
        context: &Context,
        plan: &mut Plan,
    ) {
        let now = wall_clock();
        let place = self.origin(round.position, context);
        let instants = effects.iter().map(|it| it.effect.at).chain(risks.iter().map(|(_, effect)| effect.at));
        self.automation.note_clock(round, instants, now - context.max_delay);
        self.note_entries(effects, round, context);
        self.begin();
        let part = self.part.as_mut().expect("begun just now");
        for CustomerEffect { slot, effect } in effects.drain(..) {
            let customer = self.residents.shard().customer(slot);
            let members = &mut self.members[usize::from(effect.cohort.0)];
            *members = match effect.change {
                Change::Entered => *members + 1,
                Change::Exited => members.saturating_sub(1),
            };
            part.tally.changes.push((Arc::clone(&self.rules), effect.cohort, effect.change));
            if self.live {
                part.tally.lateness_ms.extend(lateness(&effect, &place, now, context.arrives_within));
            }
            let cohort = self.rules.rules.cohort(effect.cohort);
            if cohort.shadow {
                continue;
            }
            let mut automation = self.automation.for_change(&effect, cohort, round);
            if self.automation.is_in_surge(&effect, round) {
                context.metrics.surge_withheld.inc_by(u64::from(automation == Automation::Allowed));
                automation = Automation::Withheld;
            }
            context.record_encoder.push_change(&self.rules.rules, customer, &effect, automation, &place, plan);
        }
        let rules = Arc::clone(&self.rules.rules);
        for (slot, effect) in risks {
            let customer: Box<str> = self.residents.shard().customer(slot).into();
            self.emit_risk(&rules, &customer, effect, round, context, plan);
        }
    }

    /// Notes what the wall clock says of changes at these instants that are decided now.
    pub(in crate::lane) fn note_clock(
        &mut self,
        instants: impl Iterator<Item = Instant> + Clone,
        now: Instant,
        context: &Context,
    ) {
        self.automation.note_clock(self.round(), instants, now - context.max_delay);
    }

    /// Counts the entries of one round, those of a cohort at one instant together, and notes where a surge begins or ends.
    fn note_entries(&mut self, effects: &[CustomerEffect], round: Round, context: &Context) {
        let limit = Limit { percent: context.surge, customers: self.customers };
        let limit = (limit.percent > 0).then_some(limit);
        let mut entries = std::mem::take(&mut self.entries);
        let is_said = |effect: &Effect| !self.rules.rules.cohort(effect.cohort).shadow;
        let entered = effects.iter().map(|it| &it.effect).filter(|effect| effect.change == Change::Entered);
        entries.extend(entered.filter(|effect| is_said(effect)).map(|effect| (effect.at, effect.cohort)));
        entries.sort_unstable();
        for together in entries.chunk_by(|a, b| a == b) {
            let (at, cohort) = together[0];
            let counted = self.automation.count_entries(cohort, round.at(at), together.len() as u64, limit);
            if counted == (Entries::InSurge { first: true }) {
                tracing::warn!(
                    partition = self.number,
                    cohort = self.rules.rules.cohort(cohort).name,
                    customers = self.customers,
                    "More customers enter at once than automation.surge allows; further entries with `occurred_at` in the \
                     same hour are not for automation."
                );
            }
        }
        entries.clear();
        self.entries = entries;
    }

    /// Counts changes that were said before the restart.
    fn count_replayed(&mut self, effects: &[CustomerEffect], risks: &[(Slot, RiskEffect)], round: Round) {
        let rules = Arc::clone(&self.rules);
        for CustomerEffect { effect, .. } in effects {
            let cohort = rules.rules.cohort(effect.cohort);
            if !cohort.shadow {
                let is_in_surge = self.automation.is_in_surge(effect, round);
                let automation = self.automation.for_change(effect, cohort, round);
                self.replayed.count(if is_in_surge { Automation::Withheld } else { automation });
            }
        }
        for (_, effect) in risks {
            self.replayed.count(self.automation.for_risk_change(effect, round));
        }
    }

    /// Emits a change of a customer's risk level.
    pub(in crate::lane) fn emit_risk(
        &mut self,
        rules: &RuleSet,
        customer: &str,
        effect: RiskEffect,
        round: Round,
        context: &Context,
        plan: &mut Plan,
    ) {
        let place = self.origin(round.position, context);
        let automation = self.automation.for_risk_change(&effect, round);
        self.tally().risks.push(level_name(rules, effect.level).into());
        context.record_encoder.push_risk(rules, customer, &effect, automation, &place, plan);
    }
}

/// By how many milliseconds a deadline was decided later than `time.arrives_within` after its instant. `None` for
/// decisions that are not live: while a backlog or a history is read, lateness says nothing about promptness.
fn lateness(effect: &Effect, place: &Origin<'_>, now: Instant, arrives_within: Span) -> Option<i64> {
    let is_deadline = effect.cause.is_none()
        && !matches!(
            effect.reason,
            ChangeReason::DefinitionChanged | ChangeReason::Threshold | ChangeReason::ModelChanged
        );
    let behind = now.since(place.stream_time).0 - arrives_within.0;
    let is_live = behind <= LIVE_EVENT_AGE_MAX.0;
    (is_deadline && is_live).then(|| (now.since(effect.at).0 - arrives_within.0).max(0))
}

#[cfg(test)]
mod tests {
    use super::{Origin, lateness};
    use crate::engine::{Effect, EventCause};
    use crate::event::{Change, ChangeReason, Instant, Span};
    use crate::rules::CohortIx;

    const NOON: Instant = Instant(1_767_614_400_000);
    const ARRIVES_WITHIN: Span = Span(90_000);

    fn deadline(at: Instant) -> Effect {
        Effect {
            cohort: CohortIx(0),
            change: Change::Exited,
            at,
            reason: ChangeReason::Time,
            cause: None,
            sequence: 1,
            entered_at: at - Span::DAY,
            times_entered: 1,
            next_change_at: None,
            properties: Vec::new(),
            risk: None,
            why: Vec::new(),
        }
    }

    fn observed(effect: &Effect, stream_time: Instant, now: Instant) -> Option<i64> {
        let place = Origin { input: "events", partition: 0, position: 7, stream_time, source: None };
        lateness(effect, &place, now, ARRIVES_WITHIN)
    }

    #[test]
    fn lateness_leaves_out_the_wait_for_events_that_are_on_their_way() {
        let due = deadline(NOON);
        for late in [0, 1, 250, 120_000] {
            let now = NOON + ARRIVES_WITHIN + Span(late);
            assert_eq!(observed(&due, now - ARRIVES_WITHIN, now), Some(late));
        }
        // An event moved stream time further than the wall clock does.
        assert_eq!(observed(&due, NOON + Span(1), NOON + Span::SECOND), Some(0));
    }

    #[test]
    fn lateness_is_of_live_deadlines_only() {
        let due = deadline(NOON);
        let now = NOON + Span::DAY;
        assert_eq!(observed(&due, NOON + Span(1), now), None, "a backlog is read");
        assert_eq!(observed(&due, now - ARRIVES_WITHIN, now), Some(Span::DAY.0 - ARRIVES_WITHIN.0));
        let event = EventCause { event: "visit".into(), event_id: None, position: 7 };
        let caused = Effect { cause: Some(event), reason: ChangeReason::Event, ..deadline(NOON) };
        assert_eq!(observed(&caused, now - ARRIVES_WITHIN, now), None, "an event has no deadline");
        for reason in [ChangeReason::DefinitionChanged, ChangeReason::Threshold, ChangeReason::ModelChanged] {
            let edited = Effect { reason, ..deadline(NOON) };
            assert_eq!(observed(&edited, now - ARRIVES_WITHIN, now), None, "{reason:?}");
        }
    }
}
