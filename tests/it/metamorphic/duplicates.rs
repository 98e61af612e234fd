//! An event sent again while it is remembered is as if it had not been sent again.

use std::collections::BTreeMap;

use cohortd::engine::CustomerState;
use cohortd::event::Instant;

use super::{IDS, any_case, lines, same};
use crate::engine_under_test::run_to_states;
use crate::generate::{Property, Random};
use crate::naive::{Case, Decided, Handling, ThresholdsApplied};

pub(super) const PROPERTY: Property =
    Property { test: "metamorphic::duplicates_change_nothing", cases: 4_000, make: any_case, check };

fn check(case: &Case, seed: u64) -> Result<(), String> {
    let mut case = case.clone();
    case.config.dedupe_ids = IDS;
    let (mut expected, states) = run_to_states(&case)?;

    let mut random = Random::new(seed);
    let mut doubled = Case { events: vec![], advances: vec![], thresholds: vec![], parameters: vec![], ..case.clone() };
    // For each position of the new log that of the old one; none for a copy.
    let mut numbers: Vec<Option<usize>> = Vec::new();
    let mut accepted = Vec::new();
    for position in 0..=case.events.len() {
        for advance in case.advances.iter().filter(|advance| advance.position == position) {
            let mut moved = *advance;
            moved.position = doubled.events.len();
            doubled.advances.push(moved);
        }
        for thresholds_applied in
            case.thresholds.iter().filter(|thresholds_applied| thresholds_applied.position == position)
        {
            doubled.thresholds.push(ThresholdsApplied { position: doubled.events.len(), ..thresholds_applied.clone() });
        }
        let Some(event) = case.events.get(position) else { break };
        doubled.events.push(event.clone());
        numbers.push(Some(position));
        if expected.handled[position] == Handling::Applied {
            accepted.push(event);
        }
        while !accepted.is_empty() && random.percent(30) {
            doubled.events.push((*random.pick(&accepted)).clone());
            numbers.push(None);
        }
    }
    numbers.push(Some(case.events.len()));

    let (mut found, found_states) = run_to_states(&doubled)?;
    for (position, handling) in found.handled.iter().enumerate() {
        // One that is no longer remembered is too late.
        let fits = match numbers[position] {
            Some(old) => *handling == expected.handled[old],
            None => matches!(handling, Handling::Duplicate | Handling::TooLate),
        };
        if !fits {
            return Err(format!("event {position} of this log: {handling:?}\n{}", lines(&doubled)));
        }
    }
    let old = |position: usize| numbers[position].unwrap_or(usize::MAX);
    for change in &mut found.changes {
        change.position = old(change.position);
        change.cause = change.cause.map(old);
    }
    let order = |change: &Decided| (change.customer.clone(), change.sequence);
    expected.changes.sort_by_key(order);
    found.changes.sort_by_key(order);
    same(&expected.changes, &found.changes, &doubled)?;
    if without_positions(states) == without_positions(found_states) {
        return Ok(());
    }
    Err(format!("the states differ with this log\n{}", lines(&doubled)))
}

/// The two logs number their events differently; and the next deadline may be too early.
fn without_positions(mut states: BTreeMap<String, CustomerState>) -> BTreeMap<String, CustomerState> {
    for state in states.values_mut() {
        state.as_of = 0;
        state.next_deadline = Instant::MAX;
        let wishes = state.memberships.values_mut().filter_map(|membership| membership.pending.as_mut());
        wishes.filter_map(|pending| pending.cause.as_mut()).for_each(|cause| cause.position = 0);
    }
    states
}
