//! Makes a failing case smaller, greedily: whatever can go without the failure going, goes.

use super::Generated;
use super::draft::{Cohort, Expr};
use super::report::record_hash;
use crate::naive::Case;

/// The smallest case found that still `fails`.
pub(crate) fn shrink(failing: Generated, fails: impl Fn(&Case) -> bool) -> Generated {
    let mut smallest = failing;
    loop {
        let before = smallest.clone();
        smallest = fewer_events(smallest, &fails);
        for candidates in [fewer_cohorts, smaller_rules, plainer_log] {
            smallest = first_that_fails(smallest, candidates, &fails);
        }
        if smallest.case == before.case {
            return smallest;
        }
    }
}

/// Takes events out in blocks, then in ever smaller ones, down to single events.
fn fewer_events(mut smallest: Generated, fails: &impl Fn(&Case) -> bool) -> Generated {
    let mut block = smallest.case.events.len().max(1);
    loop {
        let mut start = 0;
        while start < smallest.case.events.len() {
            let mut fewer = smallest.clone();
            let end = (start + block).min(fewer.case.events.len());
            fewer.case.events.drain(start..end);
            for advance in &mut fewer.case.advances {
                advance.position -= advance.position.clamp(start, end) - start;
            }
            for thresholds_applied in &mut fewer.case.thresholds {
                thresholds_applied.position -= thresholds_applied.position.clamp(start, end) - start;
            }
            for parameters_applied in &mut fewer.case.parameters {
                parameters_applied.position -= parameters_applied.position.clamp(start, end) - start;
            }
            if fails(&fewer.case) {
                smallest = fewer;
            } else {
                start += block;
            }
        }
        if block == 1 {
            return smallest;
        }
        block /= 2;
    }
}

/// Replaces the case by the first smaller one that fails, again and again.
fn first_that_fails(
    mut smallest: Generated,
    candidates: fn(&Generated) -> Vec<Generated>,
    fails: &impl Fn(&Case) -> bool,
) -> Generated {
    while let Some(smaller) = candidates(&smallest).into_iter().find(|candidate| fails(&candidate.case)) {
        smallest = smaller;
    }
    smallest
}

fn with_draft(from: &Generated, change: impl FnOnce(&mut super::Draft)) -> Generated {
    let mut changed = from.clone();
    change(&mut changed.draft);
    changed.case.rules = changed.draft.text();
    changed
}

fn fewer_cohorts(from: &Generated) -> Vec<Generated> {
    let count = from.draft.cohorts.len();
    // A cohort that others refer to cannot go: the rules are then refused, which is another failure.
    let referred = |name: &str| {
        let others = from.draft.cohorts.iter().filter(|cohort| cohort.name != name);
        let mut alone = super::Draft { cohorts: others.cloned().collect(), ..from.draft.clone() };
        alone.usual_gaps.clear();
        alone.text().contains(name)
    };
    (0..count)
        .filter(|i| count > 1 && !referred(from.draft.cohorts[*i].name))
        .map(|i| with_draft(from, |draft| drop(draft.cohorts.remove(i))))
        .collect()
}

fn smaller_rules(from: &Generated) -> Vec<Generated> {
    let mut candidates = Vec::new();
    for (i, cohort) in from.draft.cohorts.iter().enumerate() {
        for smaller in smaller_cohorts(cohort) {
            candidates.push(with_draft(from, |draft| draft.cohorts[i] = smaller));
        }
    }
    for i in 0..from.draft.usual_gaps.len() {
        candidates.push(with_draft(from, |draft| drop(draft.usual_gaps.remove(i))));
    }
    for (i, named) in from.draft.named.iter().enumerate() {
        // A name in use cannot go, as with cohorts.
        let mut without = from.draft.clone();
        without.named.remove(i);
        if !without.text().contains(named.name) {
            candidates.push(with_draft(from, |draft| drop(draft.named.remove(i))));
        }
    }
    if let Some(churn) = &from.draft.churn {
        for i in 0..churn.signals.len() {
            candidates.push(with_churn(from, |churn| drop(churn.signals.remove(i))));
        }
        for (i, signal) in churn.signals.iter().enumerate() {
            for when in signal.when.smaller() {
                candidates.push(with_churn(from, |churn| churn.signals[i].when = when));
            }
        }
        if churn.min_silence.is_some() {
            candidates.push(with_churn(from, |churn| churn.min_silence = None));
        }
    }
    if !from.draft.activity.is_empty() {
        candidates.push(with_draft(from, |draft| draft.activity.clear()));
    }
    if from.draft.time_zone != "UTC" {
        candidates.push(with_draft(from, |draft| draft.time_zone = "UTC"));
    }
    candidates
}

fn with_churn(from: &Generated, change: impl FnOnce(&mut super::Churn)) -> Generated {
    with_draft(from, |draft| change(draft.churn.as_mut().expect("it has one")))
}

fn smaller_cohorts(cohort: &Cohort) -> Vec<Cohort> {
    let mut smaller = Vec::new();
    let mut offer = |change: &dyn Fn(&mut Cohort)| {
        let mut changed = cohort.clone();
        change(&mut changed);
        if changed != *cohort {
            smaller.push(changed);
        }
    };
    offer(&|c| c.stay = None);
    offer(&|c| c.until = None);
    offer(&|c| c.at_least = None);
    offer(&|c| c.at_most = None);
    offer(&|c| c.cooldown = None);
    offer(&|c| c.once = false);
    offer(&|c| c.shadow = false);
    offer(&|c| c.group = None);
    let exprs = |expr: &Option<Expr>| expr.iter().flat_map(Expr::smaller).collect::<Vec<_>>();
    for who in cohort.who.smaller() {
        offer(&|c| c.who = who.clone());
    }
    for stay in exprs(&cohort.stay) {
        offer(&|c| c.stay = Some(stay.clone()));
    }
    for until in exprs(&cohort.until) {
        offer(&|c| c.until = Some(until.clone()));
    }
    smaller
}

fn plainer_log(from: &Generated) -> Vec<Generated> {
    let mut candidates = Vec::new();
    let mut offer = |change: &dyn Fn(&mut Case)| {
        let mut changed = from.clone();
        change(&mut changed.case);
        for event in &mut changed.case.events {
            event.record_hash = record_hash(event);
        }
        candidates.push(changed);
    };
    for i in 0..from.case.advances.len() {
        offer(&|case| {
            case.advances.remove(i);
        });
    }
    for i in 0..from.case.parameters.len() {
        offer(&|case| {
            case.parameters.remove(i);
        });
        if from.case.parameters[i].parameters.recalibration.is_some() {
            offer(&|case| case.parameters[i].parameters.recalibration = None);
        }
    }
    for (i, event) in from.case.events.iter().enumerate() {
        for property in 0..event.properties.len() {
            offer(&|case| {
                case.events[i].properties.remove(property);
            });
        }
        if event.source.is_some() {
            offer(&|case| case.events[i].source = None);
        }
    }
    candidates
}
