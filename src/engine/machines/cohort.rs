//! The membership machine: one customer, one cohort, one decided instant.

use crate::engine::conditions::{CustomerView, Verdict};
use crate::engine::customer::{Membership, Wish};
use crate::event::{Change, Instant};
use crate::rules::{Cohort, CohortIx};

/// What the machine made of an instant.
pub(in crate::engine) struct Outcome {
    pub(in crate::engine) step: Step,
    /// When it must be looked at again if the customer stays silent; only with `Step::Rest`.
    pub(in crate::engine) deadline: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Step {
    /// Nothing (more) to do at this instant.
    Rest,
    /// Armed just now: state changed, nothing is said.
    Armed,
    /// Entered or left. Look again: the new standing may have a wish of its own.
    Changed(Change, Force),
    /// A change is wanted that must wait for the next millisecond.
    Wished(Force),
}

/// What brings a change about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Force {
    /// What the cohort says of itself.
    Rule,
    /// A cohort of its group that comes first is held.
    Exclusion,
}

/// Looks at one cohort once. The caller repeats until it rests; nothing is entered and left at one instant, so that is
/// after at most one change.
pub(in crate::engine) fn step(cohort: &Cohort, membership: &mut Membership, scene: &CustomerView<'_>) -> Outcome {
    if membership.member { as_member(cohort, membership, scene) } else { as_stranger(cohort, membership, scene) }
}

fn rest(membership: &mut Membership, deadline: Instant) -> Outcome {
    membership.wish = None;
    Outcome { step: Step::Rest, deadline }
}

fn wished(force: Force, scene: &CustomerView<'_>) -> Outcome {
    Outcome { step: Step::Wished(force), deadline: scene.at.next() }
}

/// The first of its group that keeps this cohort from being held. When that ends, the end makes us look again.
pub(in crate::engine) fn excluder(cohort: &Cohort, scene: &CustomerView<'_>) -> Option<CohortIx> {
    cohort.excluded_by.iter().copied().find(|other| scene.membership(*other).member)
}

fn as_member(cohort: &Cohort, membership: &mut Membership, scene: &CustomerView<'_>) -> Outcome {
    let at = scene.at;
    let until = cohort.until.as_ref().map_or(Verdict::always(false), |node| scene.node(node));
    let stays = scene.node(cohort.stay.as_ref().unwrap_or(&cohort.who));
    let end = cohort.at_most.map_or(Instant::MAX, |span| membership.entered_at + span);
    let free = cohort.at_least.map_or(Instant::MIN, |span| membership.entered_at + span);
    let excluded = excluder(cohort, scene).is_some();
    let by_itself = until.holds || at >= end || (!stays.holds && at >= free);
    if !by_itself && !excluded {
        let free = if at < free { free } else { Instant::MAX };
        return rest(membership, until.until.min(stays.until).min(end).min(free));
    }
    let force = if excluded { Force::Exclusion } else { Force::Rule };
    if membership.entered_at == at {
        return wished(force, scene);
    }
    membership.member = false;
    membership.exited_at = at;
    // Leaving while `who` holds disarms: it must become false before the next entry. Who is only pushed out may come back.
    membership.armed = !by_itself || !scene.node(&cohort.who).holds;
    remember(cohort, membership, at, false);
    Outcome { step: Step::Changed(Change::Exited, force), deadline: at.next() }
}

fn as_stranger(cohort: &Cohort, membership: &mut Membership, scene: &CustomerView<'_>) -> Outcome {
    let at = scene.at;
    if cohort.once && membership.times_entered > 0 {
        return rest(membership, Instant::MAX);
    }
    let who = scene.node(&cohort.who);
    if !who.holds && !membership.armed {
        membership.armed = true;
        membership.wish = None;
        return Outcome { step: Step::Armed, deadline: who.until };
    }
    if !who.holds || !membership.armed {
        return rest(membership, who.until);
    }
    let until = cohort.until.as_ref().map_or(Verdict::always(false), |node| scene.node(node));
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
    if excluder(cohort, scene).is_some() {
        return rest(membership, who.until);
    }
    if membership.exited_at == at {
        return wished(Force::Rule, scene);
    }
    membership.member = true;
    membership.entered_at = at;
    membership.times_entered += 1;
    if membership.times_entered == 1 {
        membership.first_entered_at = at;
    }
    remember(cohort, membership, at, true);
    Outcome { step: Step::Changed(Change::Entered, Force::Rule), deadline: at.next() }
}

fn remember(cohort: &Cohort, membership: &mut Membership, at: Instant, entered: bool) {
    if cohort.keeps_history {
        membership.remember(at, entered);
    }
}

/// Keeps the first wish: deciding again at the same instant changes nothing.
pub(in crate::engine) fn keep_wish(membership: &mut Membership, wish: impl FnOnce() -> Wish) {
    if membership.wish.is_none() {
        membership.wish = Some(Box::new(wish()));
    }
}
