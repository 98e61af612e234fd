//! An event that no rule names, of a customer already known, at an instant at which nothing of them changes and no other
//! event of theirs is still to come: a deadline there would be decided with that one.
//!
//! It makes no customer known earlier, and an additional decision changes nothing. What it does move is the customer's
//! clock, and stream time: so what is due is decided at an earlier place in the log, though at the same instant, and more
//! may be forgotten. Where stream time stands at the event's time already, the rest of the state is the same to the byte.

use cohortd::engine::CustomerState;
use cohortd::event::Instant;

use super::{decisions, in_time_order, lines, same};
use crate::engine_under_test::run_to_states;
use crate::generate::{Expr, Generated, Property, Random, record_hash};
use crate::naive::{Case, Handling, LogEvent};

pub(super) const PROPERTY: Property =
    Property { test: "metamorphic::an_event_that_no_rule_names_changes_no_cohort", cases: 4_000, make, check };

const NAME: &str = "nobody_names_this";

/// `anything` names every event, and so does silence where the rules do not say what breaks it.
fn make(seed: u64) -> Option<Generated> {
    let mut generated = Generated::new(seed);
    if generated.draft.activity.is_empty() {
        generated.draft.activity = vec!["visit", "login"];
    }
    for cohort in &mut generated.draft.cohorts {
        for expr in [Some(&mut cohort.who), cohort.stay.as_mut(), cohort.until.as_mut()].into_iter().flatten() {
            name_events(expr);
        }
    }
    generated.case.rules = generated.draft.text();
    Some(generated)
}

fn name_events(expr: &mut Expr) {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter_mut().for_each(name_events),
        Expr::Not(inner) => name_events(inner),
        Expr::Leaf(text) => *text = text.replace("anything", "visit"),
    }
}

fn check(case: &Case, seed: u64) -> Result<(), String> {
    let case = in_time_order(case);
    // A smaller case may have lost what makes silence speak of named events.
    if case.events.is_empty() || case.rules.contains("anything") || !case.rules.contains("activity") {
        return Ok(());
    }
    let (expected, states) = run_to_states(&case)?;
    let changed = |customer: &str, at: Instant| {
        expected.changes.iter().any(|change| change.customer == customer && change.occurred_at == at)
    };
    let mut random = Random::new(seed);
    for attempt in 0..4 {
        let place = 1 + random.below(case.events.len());
        let known: Vec<&LogEvent> = (0..place)
            .filter(|position| expected.handled[*position] == Handling::Applied)
            .map(|position| &case.events[position])
            .collect();
        let Some(latest) = known.last().map(|event| event.at) else { continue };
        let next = case.events.get(place).map_or(latest, |event| event.at);
        let at = if attempt % 2 == 0 { latest } else { Instant(random.between(latest.0, next.0.max(latest.0))) };
        let oldest = latest - case.config.arrives_within - case.config.max_lateness;
        let customer = random.pick(&known).customer.clone();
        let to_come = case.events[place..].iter().any(|event| event.customer == customer && event.at == at);
        if to_come || changed(&customer, at) {
            continue;
        }
        let mut event = LogEvent {
            customer: customer.clone(),
            name: NAME.into(),
            at,
            id: None,
            source: None,
            record_hash: 0,
            properties: vec![],
        };
        event.record_hash = record_hash(&event);
        let mut longer = case.clone();
        longer.events.insert(place, event);

        let (found, found_states) = run_to_states(&longer)?;
        let old = |position| if position > place { position - 1 } else { position };
        same(&decisions(expected.clone(), |position| position), &decisions(found, old), &longer)?;
        for (name, state) in &states {
            let (mut before, mut after) = (masked(state), masked(&found_states[name]));
            if *name == customer {
                // Ids that stream time has passed are let go of with the next event, which this one is.
                before.recent.retain(|id| id.at >= oldest);
                after.recent.retain(|id| id.at >= oldest && (id.at != at || before.recent.contains(id)));
            }
            let alike = if at == latest { before == after } else { before.memberships == after.memberships };
            if !alike {
                let log = lines(&longer);
                return Err(format!("the state of {name} differs\n- {before:?}\n+ {after:?}\n{log}"));
            }
        }
    }
    Ok(())
}

/// Without positions in the log and the customer's clock.
fn masked(state: &CustomerState) -> CustomerState {
    let mut state = state.clone();
    (state.as_of, state.clock, state.next_deadline) = (0, Instant::MIN, Instant::MAX);
    let wishes = state.memberships.values_mut().filter_map(|membership| membership.pending.as_mut());
    wishes.filter_map(|pending| pending.cause.as_mut()).for_each(|cause| cause.position = 0);
    state
}
