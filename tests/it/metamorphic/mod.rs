//! What must follow when a log changes in a way whose effect is known, without anybody judging either log.
//!
//! The cases are those of `generate`, and fail as those do: small, and with the command that runs them again. The slices
//! come to a few seconds; `COHORTD_CASES` says how many are tried instead.

mod batches;
mod duplicates;
mod others;
mod shifted;
mod shuffled;
mod unnamed;

use std::collections::BTreeSet;

use cohortd::event::Instant;

use crate::generate::{Generated, Property, json_line};
use crate::naive::{Case, Decided, LogEvent, Outcome};

pub(crate) const PROPERTIES: [Property; 6] = [
    shifted::PROPERTY,
    duplicates::PROPERTY,
    unnamed::PROPERTY,
    others::PROPERTY,
    shuffled::PROPERTY,
    batches::PROPERTY,
];

#[test]
fn shifting_all_times_by_whole_weeks_shifts_all_results_by_as_much() {
    shifted::PROPERTY.try_many();
}

#[test]
fn duplicates_change_nothing() {
    duplicates::PROPERTY.try_many();
}

#[test]
fn an_event_that_no_rule_names_changes_no_cohort() {
    unnamed::PROPERTY.try_many();
}

#[test]
fn other_customers_change_nothing_of_a_customer_while_the_log_is_in_time_order() {
    others::PROPERTY.try_many();
}

#[test]
fn the_order_of_arrival_does_not_change_who_is_in_a_cohort_without_memory_in_the_end() {
    shuffled::PROPERTY.try_many();
}

#[test]
fn where_batches_end_changes_no_output() {
    batches::PROPERTY.try_many();
}

/// Enough for every change of every case.
const IDS: usize = 64;

fn any_case(seed: u64) -> Option<Generated> {
    Some(Generated::new(seed))
}

/// The log without events that repeat an earlier one's identity.
///
/// Which copy counts depends on stream time, so with copies of other times a log's meaning is not that of its events.
fn each_once(case: &Case) -> Vec<LogEvent> {
    let mut seen = BTreeSet::new();
    let once = |event: &&LogEvent| {
        let own = event.id.as_ref().map(|id| (event.name.clone(), id.clone())).ok_or(event.record_hash);
        seen.insert((event.customer.clone(), event.source.clone(), own))
    };
    case.events.iter().filter(once).cloned().collect()
}

/// The same events in the order of their times, none twice; what is due at the end is decided, and time is moved by
/// events alone.
fn in_time_order(case: &Case) -> Case {
    let mut events = each_once(case);
    events.sort_by_key(|event| event.at);
    let last = events.last().map_or(Instant(0), |event| event.at);
    let mut ordered = Case {
        events,
        advances: vec![],
        thresholds: vec![],
        parameters: vec![],
        until: Some(case.until.unwrap_or(last)),
        ..case.clone()
    };
    ordered.config.dedupe_ids = IDS;
    ordered
}

/// Each customer's changes in order; log positions are left out, and causes are
/// renumbered, since the two logs compared number their events differently.
fn decisions(outcome: Outcome, number: impl Fn(usize) -> usize) -> Vec<Decided> {
    let mut changes = outcome.changes;
    for change in &mut changes {
        change.position = 0;
        change.cause = change.cause.map(&number);
    }
    changes.sort_by(|a, b| (&a.customer, a.sequence).cmp(&(&b.customer, b.sequence)));
    changes
}

/// Fails with the first changes in which two logs differ, and with the log that `found` comes from.
fn same(expected: &[Decided], found: &[Decided], log: &Case) -> Result<(), String> {
    let alike = expected.iter().zip(found).take_while(|(one, other)| one == other).count();
    if alike == expected.len() && alike == found.len() {
        return Ok(());
    }
    let shown = |mark: &str, changes: &[Decided]| {
        let lines = changes[alike..].iter().take(4).map(|change| format!("{mark} {change}\n"));
        lines.collect::<String>()
    };
    let [expected, found] = [shown("- expected", expected), shown("+ found   ", found)];
    Err(format!("{expected}{found}--- the other log\n{}", lines(log)))
}

fn lines(log: &Case) -> String {
    let lines = log.events.iter().enumerate().map(|(position, event)| format!("{position} {}\n", json_line(event)));
    lines.collect()
}
