//! Whether automation may act on a change: not while the partition has not caught up; not for THRESHOLD and
//! MODEL_CHANGED; not for DEFINITION_CHANGED unless `on_create = "emit"`; not later than `automation.max_delay` after
//! the instant; not for entries in a surge (`surge`).
//!
//! Two exceptions: an edit of the rules causes no surge, and a risk level depends on no threshold, so a risk change
//! with the reason THRESHOLD only coincides with the update of one and is the customer's own.

use crate::engine::{Effect, RiskEffect};
use crate::event::{Change, ChangeReason, Instant, Span};
use crate::lane::context::Context;
use crate::lane::output::changes::Automation;
use crate::lane::partition::state::Partition;
use crate::lane::partition::surge::{Entry, Surges};
use crate::rules::{Cohort, OnCreate};

/// What the rule needs to know besides the change.
pub(in crate::lane) struct AutomationRule {
    caught_up: bool,
    now: Instant,
    max_delay: Span,
}

impl AutomationRule {
    /// For the changes of a partition.
    pub(in crate::lane) fn new(partition: &Partition, now: Instant, context: &Context) -> Self {
        Self { caught_up: partition.caught_up, now, max_delay: context.max_delay }
    }

    /// For a change of a cohort, apart from surges.
    pub(in crate::lane) fn for_change(&self, effect: &Effect, cohort: &Cohort) -> Automation {
        let is_own = match effect.reason {
            ChangeReason::DefinitionChanged => cohort.on_create == OnCreate::Emit,
            // Caused by something computed over all customers, not by the customer.
            ChangeReason::Threshold | ChangeReason::ModelChanged => false,
            _ => true,
        };
        if is_own { self.if_in_time(effect.at) } else { Automation::Withheld }
    }

    /// For a change of a risk level.
    pub(super) fn for_risk_change(&self, effect: &RiskEffect) -> Automation {
        let is_own = !matches!(effect.reason, ChangeReason::ModelChanged | ChangeReason::DefinitionChanged);
        if is_own { self.if_in_time(effect.at) } else { Automation::Withheld }
    }

    /// For a change at an instant that is the customer's own.
    fn if_in_time(&self, at: Instant) -> Automation {
        if self.caught_up && self.now.since(at) <= self.max_delay { Automation::Allowed } else { Automation::Withheld }
    }
}

/// Is a change an entry in a surge? Counts entries, and logs the first one too many of a cohort and hour. `partition`:
/// its number and its customers. `percent`: `automation.surge`.
pub(super) fn is_in_surge(
    effect: &Effect,
    cohort: &Cohort,
    surges: &mut Surges,
    (partition, customers): (i32, u64),
    percent: u64,
) -> bool {
    if effect.change != Change::Entered || percent == 0 {
        return false;
    }
    let number = usize::from(effect.cohort.0);
    let Entry::InSurge { first } = surges.entered(number, effect.at, percent, customers) else {
        return false;
    };
    if first {
        tracing::warn!(
            partition,
            cohort = cohort.name,
            customers,
            "More customers enter at once than automation.surge allows; further entries with `occurred_at` in the same \
             hour are not for automation."
        );
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{AutomationRule, is_in_surge};
    use crate::engine::{Effect, RiskEffect};
    use crate::event::{Change, ChangeReason, Instant, Span};
    use crate::lane::output::changes::Automation::{self, Allowed, Withheld};
    use crate::lane::partition::surge::{ALWAYS, Surges};
    use crate::rules::{CohortIx, RuleSet, load};

    const NOON: Instant = Instant(1_767_614_400_000);
    const MAX_DELAY: Span = Span(24 * Span::HOUR.0);

    fn rules(on_create: &str) -> RuleSet {
        let text = format!("[cohorts.c]\nwho = 'did buy ever'\non_create = '{on_create}'");
        load("r.toml", &text).unwrap()
    }

    fn change(change: Change, reason: ChangeReason) -> Effect {
        Effect {
            cohort: CohortIx(0),
            change,
            at: NOON,
            reason,
            cause: None,
            sequence: 1,
            entered_at: NOON,
            times_entered: 1,
            next_change_at: None,
            properties: Vec::new(),
            risk: None,
            why: Vec::new(),
        }
    }

    fn risk_change(reason: ChangeReason) -> RiskEffect {
        RiskEffect {
            at: NOON,
            reason,
            cause: None,
            sequence: 1,
            level: 1,
            previous: 0,
            probability: 0.5,
            expected: 1.0,
            alive: None,
            value: None,
            next_level_at: None,
            version: 1,
            provisional: false,
            factors: Vec::new(),
        }
    }

    /// The rule of a partition that has caught up, so long after the instant of the changes.
    fn after(delay: Span) -> AutomationRule {
        AutomationRule { caught_up: true, now: NOON + delay, max_delay: MAX_DELAY }
    }

    fn of_cohort(rule: &AutomationRule, reason: ChangeReason, on_create: &str) -> Automation {
        rule.for_change(&change(Change::Entered, reason), rules(on_create).cohort(CohortIx(0)))
    }

    #[test]
    fn automation_acts_on_what_the_customer_did_or_left_undone() {
        let rule = after(Span(0));
        for reason in ChangeReason::ALL {
            let expected = match reason {
                ChangeReason::Event | ChangeReason::Time | ChangeReason::LateEvent | ChangeReason::Excluded => Allowed,
                ChangeReason::Threshold | ChangeReason::ModelChanged | ChangeReason::DefinitionChanged => Withheld,
            };
            assert_eq!(of_cohort(&rule, *reason, "silent"), expected, "{reason}");
        }
    }

    #[test]
    fn on_create_emit_lets_automation_act_on_an_edit_and_on_nothing_else() {
        let rule = after(Span(0));
        assert_eq!(of_cohort(&rule, ChangeReason::DefinitionChanged, "emit"), Allowed);
        for reason in [ChangeReason::Threshold, ChangeReason::ModelChanged] {
            assert_eq!(of_cohort(&rule, reason, "emit"), Withheld, "{reason}");
        }
    }

    #[test]
    fn a_change_of_risk_is_withheld_where_the_model_or_the_rules_caused_it() {
        let rule = after(Span(0));
        for reason in ChangeReason::ALL {
            let expected = match reason {
                ChangeReason::ModelChanged | ChangeReason::DefinitionChanged => Withheld,
                _ => Allowed,
            };
            assert_eq!(rule.for_risk_change(&risk_change(*reason)), expected, "{reason}");
        }
    }

    #[test]
    fn a_change_decided_later_than_max_delay_is_withheld() {
        for (delay, expected) in [(MAX_DELAY, Allowed), (MAX_DELAY + Span(1), Withheld)] {
            let rule = after(delay);
            assert_eq!(of_cohort(&rule, ChangeReason::Event, "silent"), expected);
            assert_eq!(of_cohort(&rule, ChangeReason::DefinitionChanged, "emit"), expected);
            assert_eq!(rule.for_risk_change(&risk_change(ChangeReason::Time)), expected);
        }
    }

    #[test]
    fn nothing_is_for_automation_before_the_partition_has_caught_up() {
        let rule = AutomationRule { caught_up: false, ..after(Span(0)) };
        assert_eq!(of_cohort(&rule, ChangeReason::Event, "emit"), Withheld);
        assert_eq!(of_cohort(&rule, ChangeReason::DefinitionChanged, "emit"), Withheld);
        assert_eq!(rule.for_risk_change(&risk_change(ChangeReason::Event)), Withheld);
    }

    #[test]
    fn only_entries_are_in_a_surge_and_zero_per_cent_is_no_limit() {
        let rules = rules("silent");
        let cohort = rules.cohort(CohortIx(0));
        let mut surges = Surges::default();
        let mut is_in =
            |kind, percent| is_in_surge(&change(kind, ChangeReason::Event), cohort, &mut surges, (0, 10), percent);
        assert!((0..ALWAYS).all(|_| !is_in(Change::Entered, 20)));
        assert!(is_in(Change::Entered, 20));
        assert!(!is_in(Change::Exited, 20));
        assert!(!is_in(Change::Entered, 0));
    }
}
