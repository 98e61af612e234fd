//! The membership machine: one customer, one cohort, one decided instant.

use crate::engine::conditions::{CustomerView, Verdict};
use crate::engine::customer::{Membership, PendingChange};
use crate::event::{Change, Instant};
use crate::rules::{Cohort, CohortIx};

/// The result of running the machine at an instant.
pub(in crate::engine) struct Outcome {
    pub(in crate::engine) step: Step,
    /// When it must run again without further events; only with `Step::Rest`.
    pub(in crate::engine) deadline: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Step {
    /// Nothing (more) to do at this instant.
    Rest,
    /// Armed just now: the state changed, without an effect.
    Armed,
    /// Entered or left. The machine must run again: the new state may have a pending change of its own.
    Changed(Change, ChangeOrigin),
    /// A change is due that must wait for the next millisecond.
    Deferred(ChangeOrigin),
}

/// What a change originates from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum ChangeOrigin {
    /// The cohort's own rule.
    Rule,
    /// Membership in a cohort of its group with a higher priority.
    Exclusion,
}

/// Runs one cohort's machine once. The caller repeats until it rests, which is after at most one change, as no cohort
/// is both entered and left at one instant.
pub(in crate::engine) fn step(cohort: &Cohort, membership: &mut Membership, view: &CustomerView<'_>) -> Outcome {
    if membership.member { as_member(cohort, membership, view) } else { as_non_member(cohort, membership, view) }
}

fn rest(membership: &mut Membership, deadline: Instant) -> Outcome {
    membership.pending = None;
    Outcome { step: Step::Rest, deadline }
}

fn deferred(origin: ChangeOrigin, view: &CustomerView<'_>) -> Outcome {
    Outcome { step: Step::Deferred(origin), deadline: view.at.next() }
}

/// The first cohort of its group that excludes this one. Leaving it causes this cohort to be evaluated again.
pub(in crate::engine) fn excluder(cohort: &Cohort, view: &CustomerView<'_>) -> Option<CohortIx> {
    cohort.excluded_by.iter().copied().find(|other| view.membership(*other).member)
}

/// What forces customers out and keeps them out, whatever the cohort's rule says. Of several the first gives the reason,
/// also where the rule would end the stay as well. Whatever it depends on must mark the cohort when it changes.
fn forced_exit(cohort: &Cohort, view: &CustomerView<'_>) -> Option<ChangeOrigin> {
    excluder(cohort, view).map(|_| ChangeOrigin::Exclusion)
}

fn as_member(cohort: &Cohort, membership: &mut Membership, view: &CustomerView<'_>) -> Outcome {
    let at = view.at;
    let until = cohort.until.as_ref().map_or(Verdict::always(false), |node| view.node(node));
    let stays = view.node(cohort.stay.as_ref().unwrap_or(&cohort.who));
    let end = cohort.at_most.map_or(Instant::MAX, |span| membership.entered_at + span);
    let free = cohort.at_least.map_or(Instant::MIN, |span| membership.entered_at + span);
    let forced = forced_exit(cohort, view);
    let by_itself = until.holds || at >= end || (!stays.holds && at >= free);
    if !by_itself && forced.is_none() {
        let free = if at < free { free } else { Instant::MAX };
        return rest(membership, until.until.min(stays.until).min(end).min(free));
    }
    let origin = forced.unwrap_or(ChangeOrigin::Rule);
    if membership.entered_at == at {
        return deferred(origin, view);
    }
    membership.member = false;
    membership.exited_at = at;
    // Leaving while `who` holds disarms: it must become false before the next entry. Whoever was only forced out may
    // reenter.
    membership.armed = !by_itself || !view.node(&cohort.who).holds;
    remember(cohort, membership, at, Change::Exited);
    Outcome { step: Step::Changed(Change::Exited, origin), deadline: at.next() }
}

fn as_non_member(cohort: &Cohort, membership: &mut Membership, view: &CustomerView<'_>) -> Outcome {
    let at = view.at;
    if cohort.once && membership.times_entered > 0 {
        return rest(membership, Instant::MAX);
    }
    let who = view.node(&cohort.who);
    if !who.holds && !membership.armed {
        membership.armed = true;
        membership.pending = None;
        return Outcome { step: Step::Armed, deadline: who.until };
    }
    if !who.holds || !membership.armed {
        return rest(membership, who.until);
    }
    let until = cohort.until.as_ref().map_or(Verdict::always(false), |node| view.node(node));
    if until.holds {
        return rest(membership, who.until.min(until.until));
    }
    let cooled = match cohort.cooldown {
        Some(span) if membership.exited_at > Instant::MIN => membership.exited_at + span,
        _ => Instant::MIN,
    };
    if at < cooled {
        return rest(membership, who.until.min(until.until).min(cooled));
    }
    if forced_exit(cohort, view).is_some() {
        return rest(membership, who.until);
    }
    if membership.exited_at == at {
        return deferred(ChangeOrigin::Rule, view);
    }
    membership.member = true;
    membership.entered_at = at;
    membership.times_entered += 1;
    if membership.times_entered == 1 {
        membership.first_entered_at = at;
    }
    remember(cohort, membership, at, Change::Entered);
    Outcome { step: Step::Changed(Change::Entered, ChangeOrigin::Rule), deadline: at.next() }
}

fn remember(cohort: &Cohort, membership: &mut Membership, at: Instant, change: Change) {
    if cohort.keeps_history {
        membership.remember(at, change);
    }
}

/// Keeps the first pending change: deciding again at the same instant changes nothing.
pub(in crate::engine) fn keep_pending(membership: &mut Membership, pending: impl FnOnce() -> PendingChange) {
    if membership.pending.is_none() {
        membership.pending = Some(Box::new(pending()));
    }
}
