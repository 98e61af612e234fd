//! Whoever is in a cohort without memory is in it by what happened, in whatever order it arrived.

use std::collections::BTreeMap;

use cohortd::engine::CustomerState;
use cohortd::event::Span;

use super::{IDS, each_once, lines};
use crate::engine_under_test::run_to_states;
use crate::generate::{Cohort, Expr, Generated, Property, Random};
use crate::naive::{Case, Handling};

pub(super) const PROPERTY: Property = Property {
    test: "metamorphic::the_order_of_arrival_does_not_change_who_is_in_a_cohort_without_memory_in_the_end",
    cases: 4_000,
    make,
    check,
};

/// Cohorts of nothing but `who`, which asks for no history of another cohort.
fn make(seed: u64) -> Option<Generated> {
    let mut generated = Generated::new(seed);
    for cohort in &mut generated.draft.cohorts {
        let mut who = cohort.who.clone();
        forget(&mut who);
        *cohort = Cohort { name: cohort.name, who, disabled: cohort.disabled, ..Cohort::default() };
    }
    generated.case.rules = generated.draft.text();
    Some(generated)
}

fn forget(expr: &mut Expr) {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter_mut().for_each(forget),
        Expr::Not(inner) => forget(inner),
        Expr::Leaf(text) => {
            let words: Vec<&str> = text.split(' ').collect();
            if let ["in", cohort, "for", ..] | ["entered" | "left", cohort, ..] = words[..] {
                *text = format!("in {cohort}");
            }
        }
    }
}

fn check(case: &Case, seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed);
    let mut ordered =
        Case { events: each_once(case), advances: vec![], thresholds: vec![], parameters: vec![], ..case.clone() };
    ordered.config.dedupe_ids = IDS;
    ordered.events.retain(|event| event.at >= case.config.earliest);
    ordered.events.sort_by_key(|event| event.at);
    let (Some(first), Some(last)) = (ordered.events.first(), ordered.events.last()) else { return Ok(()) };
    // Past the last event, and past the millisecond that a change may have to wait.
    let until = last.at + Span(2 + random.between(0, last.at.since(first.at).0 * 2));
    ordered.until = Some(until);
    let expected = members(&ordered)?;

    // Each event is overtaken by those that are later by no more than this, and so is not too late.
    let most = case.config.arrives_within.0 + case.config.max_lateness.0;
    for _ in 0..3 {
        let mut shuffled = ordered.clone();
        shuffled.events.sort_by_cached_key(|event| (event.at + Span(random.between(0, most)), random.below(1_000)));
        let found = members(&shuffled)?;
        if expected != found {
            return Err(format!("in order {expected:?}\n this log {found:?}\n{}", lines(&shuffled)));
        }
    }
    Ok(())
}

/// Of each customer, which cohorts they are in at the end.
fn members(case: &Case) -> Result<BTreeMap<String, Vec<usize>>, String> {
    let (outcome, states) = run_to_states(case)?;
    if let Some(position) = outcome.handled.iter().position(|handling| *handling != Handling::Applied) {
        return Err(format!("event {position} of this log: {:?}\n{}", outcome.handled[position], lines(case)));
    }
    let of =
        |state: CustomerState| state.memberships.iter().filter(|(_, m)| m.member).map(|(cohort, _)| cohort).collect();
    Ok(states.into_iter().map(|(customer, state)| (customer, of(state))).collect())
}
