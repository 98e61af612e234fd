//! What decisions say, as records of the outputs.

use std::sync::Arc;

use crate::clock::wall_clock;
use crate::engine::{CustomerEffect, Detail, Effect, RiskEffect, Slot, level_name};
use crate::event::{Change, ChangeReason, Instant, Span};
use crate::lane::commit::output::Place;
use crate::lane::commit::plan::Plan;
use crate::lane::context::Context;
use crate::lane::partition::progress::LIVE_EVENT_AGE_MAX;
use crate::lane::partition::state::Partition;
use crate::lane::partition::surge::Entry;
use crate::rules::{Cohort, OnCreate, RuleSet};

impl Partition {
    /// Turns what is said into records.
    pub(in crate::lane) fn tell(&mut self, position: i64, words: Detail, context: &Context, plan: &mut Plan) {
        let risks = self.shard.take_risks();
        if self.said.is_empty() && risks.is_empty() {
            return;
        }
        let mut said = std::mem::take(&mut self.said);
        if words == Detail::Full {
            self.speak(&mut said, risks, position, context, plan);
        }
        said.clear();
        self.said = said;
    }

    pub(in crate::lane) fn speak(
        &mut self,
        said: &mut Vec<CustomerEffect>,
        risks: Vec<(Slot, RiskEffect)>,
        position: i64,
        context: &Context,
        plan: &mut Plan,
    ) {
        let now = wall_clock();
        let place = Place {
            input: &context.topics.input,
            partition: self.number,
            position,
            stream_time: self.shard.stream_time(),
        };
        self.begin();
        let part = self.part.as_mut().expect("begun just now");
        for CustomerEffect { slot, effect } in said.drain(..) {
            let customer = self.shard.customer(slot);
            let members = &mut self.members[usize::from(effect.cohort.0)];
            *members = match effect.change {
                Change::Entered => *members + 1,
                Change::Exited => members.saturating_sub(1),
            };
            part.tally.changes.push((Arc::clone(&self.rules), effect.cohort, effect.change));
            part.tally.lateness_ms.extend(lateness(&effect, self.live, &place, now, self.timing.arrives_within));
            let cohort = self.rules.rules.cohort(effect.cohort);
            if cohort.shadow {
                continue;
            }
            let mut automation = may_automate(&effect, cohort, self.caught_up, now, context);
            if effect.change == Change::Entered && context.surge > 0 {
                let place = usize::from(effect.cohort.0);
                if let Entry::OneOfTooMany { first } =
                    self.surges.entered(place, effect.at, context.surge, self.customers)
                {
                    if first {
                        tracing::warn!(
                            partition = self.number,
                            cohort = cohort.name,
                            customers = self.customers,
                            "More enter at once than automation.surge allows; for this hour the rest is not for automation."
                        );
                    }
                    context.metrics.surge_withheld.inc_by(u64::from(automation));
                    automation = false;
                }
            }
            plan.outs.extend(context.speaker.say(&self.rules.rules, customer, effect, automation, &place));
        }
        let rules = Arc::clone(&self.rules.rules);
        for (slot, effect) in risks {
            let customer: Box<str> = self.shard.customer(slot).into();
            self.tell_risk(&rules, &customer, effect, position, context, plan);
        }
    }

    /// Says that a customer's risk reached another level.
    pub(in crate::lane) fn tell_risk(
        &mut self,
        rules: &RuleSet,
        customer: &str,
        effect: RiskEffect,
        position: i64,
        context: &Context,
        plan: &mut Plan,
    ) {
        let place = Place {
            input: &context.topics.input,
            partition: self.number,
            position,
            stream_time: self.shard.stream_time(),
        };
        let prompt = self.caught_up && wall_clock().since(effect.at) <= context.max_delay;
        // Nobody did anything: the model has other parameters, or the rules were edited.
        let automation =
            prompt && !matches!(effect.reason, ChangeReason::ModelChanged | ChangeReason::DefinitionChanged);
        self.tally().risks.push(level_name(rules, effect.level).into());
        plan.outs.extend(context.speaker.say_risk(rules, customer, effect, automation, &place));
    }
}

/// May a change be acted on without anybody looking? What an edit of the rules brings about is no news of the customer,
/// unless its cohort says so.
pub(in crate::lane) fn may_automate(
    effect: &Effect,
    cohort: &Cohort,
    caught_up: bool,
    now: Instant,
    context: &Context,
) -> bool {
    let news = match effect.reason {
        ChangeReason::DefinitionChanged => cohort.on_create == OnCreate::Emit,
        // Nobody did anything: a limit over all customers moved.
        ChangeReason::Threshold | ChangeReason::ModelChanged => false,
        _ => true,
    };
    caught_up && news && now.since(effect.at) <= context.max_delay
}

/// By how many milliseconds a deadline was decided later than `time.arrives_within` after its instant, if it was decided live:
/// while a backlog or a history is read, an instant long past says nothing about how promptly it is decided.
pub(in crate::lane) fn lateness(
    effect: &Effect,
    live: bool,
    place: &Place<'_>,
    now: Instant,
    arrives_within: Span,
) -> Option<i64> {
    let is_deadline = effect.cause.is_none()
        && !matches!(
            effect.reason,
            ChangeReason::DefinitionChanged | ChangeReason::Threshold | ChangeReason::ModelChanged
        );
    let behind = now.since(place.stream_time).0 - arrives_within.0;
    let is_live = live && behind <= LIVE_EVENT_AGE_MAX.0;
    (is_deadline && is_live).then(|| (now.since(effect.at).0 - arrives_within.0).max(0))
}

#[cfg(test)]
mod tests {
    use super::{Place, lateness};
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

    fn observed(effect: &Effect, live: bool, stream_time: Instant, now: Instant) -> Option<i64> {
        let place = Place { input: "events", partition: 0, position: 7, stream_time };
        lateness(effect, live, &place, now, ARRIVES_WITHIN)
    }

    #[test]
    fn lateness_leaves_out_the_wait_for_events_that_are_on_their_way() {
        let due = deadline(NOON);
        for late in [0, 1, 250, 120_000] {
            let now = NOON + ARRIVES_WITHIN + Span(late);
            assert_eq!(observed(&due, true, now - ARRIVES_WITHIN, now), Some(late));
        }
        // An event moved stream time further than the wall clock does.
        assert_eq!(observed(&due, true, NOON + Span(1), NOON + Span::SECOND), Some(0));
    }

    #[test]
    fn lateness_is_of_live_deadlines_only() {
        let due = deadline(NOON);
        let now = NOON + Span::DAY;
        assert_eq!(observed(&due, true, NOON + Span(1), now), None, "a backlog is read");
        assert_eq!(observed(&due, true, now - ARRIVES_WITHIN, now), Some(Span::DAY.0 - ARRIVES_WITHIN.0));
        assert_eq!(observed(&due, false, now - ARRIVES_WITHIN, now), None, "its time does not follow the wall clock");
        let event = EventCause { event: "visit".into(), event_id: None, position: 7 };
        let caused = Effect { cause: Some(event), reason: ChangeReason::Event, ..deadline(NOON) };
        assert_eq!(observed(&caused, true, now - ARRIVES_WITHIN, now), None, "an event has no deadline");
        for reason in [ChangeReason::DefinitionChanged, ChangeReason::Threshold, ChangeReason::ModelChanged] {
            let edited = Effect { reason, ..deadline(NOON) };
            assert_eq!(observed(&edited, true, now - ARRIVES_WITHIN, now), None, "{reason:?}");
        }
    }
}
