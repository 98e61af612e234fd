//! Membership: who enters and who leaves at an instant.

use cohortd::event::{Change, ChangeReason, Instant};
use cohortd::rules::CohortRule;

use super::condition::Moment;
use super::customer::{Customer, Membership, PendingChange};
use super::log::{Decided, Outcome, Rated};
use super::rules::{Rules, comes_before};

/// Far more than a small case has before nothing changes any more, but for the beginnings of days.
const CANDIDATES_MAX: usize = 1_000;

/// Why a customer is decided at an instant.
#[derive(Clone, Copy)]
pub(crate) struct Occasion {
    /// Where in the log we are.
    pub(crate) position: usize,
    pub(crate) now: Instant,
    pub(crate) reason: ChangeReason,
    /// Position of the event applied now, if one was.
    pub(crate) cause: Option<usize>,
}

/// Runs the machine once for one customer, cohort by cohort, so that each sees the changes of those it refers to.
pub(crate) fn decide(rules: &Rules<'_>, customer: &mut Customer<'_>, occasion: Occasion, out: &mut Outcome) {
    let said_before = out.changes.len();
    decide_each(rules, customer, occasion, out);
    if rules.looks_ahead {
        for decided in &mut out.changes[said_before..] {
            decided.next_change_at = next_change(rules, customer.clone(), &decided.cohort);
        }
    }
}

fn decide_each(rules: &Rules<'_>, customer: &mut Customer<'_>, occasion: Occasion, out: &mut Outcome) {
    out.risks.extend(rate(rules, customer, occasion));
    for (place, (name, rule)) in rules.cohorts.iter().enumerate() {
        let changed = look(rules, rule, customer, place, occasion);
        let Some((change, reason, cause)) = changed else { continue };
        // Decided in the shadow, a change is not emitted, and the emitted ones are numbered without a gap.
        if !rule.shadow {
            customer.sequence += 1;
        }
        let membership = &customer.memberships[place];
        out.changes.push(Decided {
            customer: customer.id.into(),
            cohort: (*name).into(),
            change,
            occurred_at: occasion.now,
            reason,
            cause,
            entered_at: membership.entered_at.expect("who changed has entered"),
            times_entered: membership.times_entered,
            sequence: customer.sequence,
            position: occasion.position,
            shadow: rule.shadow,
            next_change_at: None,
        });
        // Once more at the same instant: a wish that arises at once is noted for the next millisecond.
        let again = look(rules, rule, customer, place, occasion);
        assert!(again.is_none(), "no cohort is entered and left at one instant");
    }
    customer.decided = occasion.now;
}

/// Updates the level of risk, and emits a change. It depends on no cohort.
fn rate(rules: &Rules<'_>, customer: &mut Customer<'_>, occasion: Occasion) -> Option<Rated> {
    let Occasion { position, now, reason, cause } = occasion;
    let prediction = Moment::new(rules, customer, now).prediction()?;
    let (level, previous) = (prediction.level(), customer.level);
    if level == previous {
        return None;
    }
    let rated = Rated {
        customer: customer.id.into(),
        level: prediction.name(level).into(),
        previous: prediction.name(previous).into(),
        occurred_at: now,
        reason,
        cause,
        sequence: customer.levels + 1,
        position,
        next_level_at: prediction.reached(level + 1),
        probability: prediction.probability(),
        expected: prediction.expected(),
        alive: prediction.alive(),
        value: prediction.value(),
    };
    customer.level = level;
    customer.levels += 1;
    customer.clock = now;
    customer.changed_at.push(now);
    Some(rated)
}

/// Decides a silent customer at every instant at which anything could change, until this cohort does.
fn next_change(rules: &Rules<'_>, mut customer: Customer<'_>, cohort: &str) -> Option<Instant> {
    let place = rules.place(cohort).expect("it has just changed");
    let member = customer.memberships[place].member;
    for _ in 0..CANDIDATES_MAX {
        let now = rules.instants.next(rules, &customer, &[], customer.decided, Instant::MAX)?;
        let occasion = Occasion { position: 0, now, reason: ChangeReason::Time, cause: None };
        decide_each(rules, &mut customer, occasion, &mut Outcome::default());
        if customer.memberships[place].member != member {
            return Some(now);
        }
    }
    None
}

type Changed = (Change, ChangeReason, Option<usize>);

/// Looks at one cohort, and changes it if it must be changed.
fn look(
    rules: &Rules<'_>,
    rule: &CohortRule,
    customer: &mut Customer<'_>,
    place: usize,
    occasion: Occasion,
) -> Option<Changed> {
    let now = occasion.now;
    let membership = &customer.memberships[place];
    // Who can never enter again is decided no more.
    if rule.once && !membership.member && membership.times_entered > 0 {
        return None;
    }
    let moment = Moment::new(rules, customer, now);
    let who = moment.holds(&rule.who.expr);
    let until = rule.until.as_ref().is_some_and(|until| moment.holds(&until.expr));
    let stays = rule.stay.as_ref().map_or(who, |stay| moment.holds(&stay.expr));

    let excluded = is_excluded(rules, customer, rule);
    let by_itself = membership.member && must_leave(rule, membership, now, until, stays);
    let wanted = if membership.member {
        by_itself || excluded
    } else {
        may_enter(rule, membership, now, until, who) && !excluded
    };
    let arms = !membership.member && !who && !membership.armed;
    // The opposite change was made at this very instant.
    let forbidden = if membership.member { membership.entered_at } else { membership.left_at } == Some(now);
    // Exclusion comes before all else that forces an exit.
    let plain = if membership.member && excluded { ChangeReason::Excluded } else { occasion.reason };
    let (reason, cause) = match membership.pending {
        Some(pending) if pending.due == now && occasion.cause.is_none() => (pending.reason, pending.cause),
        _ => (plain, occasion.cause),
    };

    let membership = &mut customer.memberships[place];
    if arms {
        membership.armed = true;
        customer.clock = now;
        customer.changed_at.push(now);
    }
    if wanted && forbidden {
        // The decision that first wanted it gives the reason.
        let pending = || PendingChange { due: now.next(), reason: plain, cause: occasion.cause };
        membership.pending.get_or_insert_with(pending);
        return None;
    }
    membership.pending = None;
    if !wanted {
        return None;
    }
    let change = if membership.member { Change::Exited } else { Change::Entered };
    match change {
        Change::Entered => membership.enter(now),
        Change::Exited => {
            membership.leave(now);
            // Leaving while `who` holds disarms, unless nothing but exclusion forced it.
            if who && by_itself {
                membership.armed = false;
            }
        }
    }
    customer.clock = now;
    customer.changed_at.push(now);
    Some((change, reason, cause))
}

/// Is a cohort of its group held that has a lower priority?
fn is_excluded(rules: &Rules<'_>, customer: &Customer<'_>, rule: &CohortRule) -> bool {
    let mut standings = rules.cohorts.iter().zip(&customer.memberships);
    standings.any(|((_, other), membership)| membership.member && comes_before(other, rule))
}

fn must_leave(rule: &CohortRule, membership: &Membership, now: Instant, until: bool, stays: bool) -> bool {
    let entered = membership.entered_at.expect("a member has entered");
    let at_most = rule.at_most.is_some_and(|span| now >= entered + span);
    let at_least = rule.at_least.is_none_or(|span| now >= entered + span);
    until || at_most || (!stays && at_least)
}

fn may_enter(rule: &CohortRule, membership: &Membership, now: Instant, until: bool, who: bool) -> bool {
    let cooled = match (membership.left_at, rule.cooldown) {
        (Some(left), Some(cooldown)) => now >= left + cooldown,
        _ => true,
    };
    who && membership.armed && !until && cooled
}
