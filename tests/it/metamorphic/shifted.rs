//! A whole number of weeks later, everything happens a whole number of weeks later.

use cohortd::event::Span;

use super::same;
use crate::engine_under_test::run_with_states;
use crate::generate::{Generated, Property, Random};
use crate::naive::Case;

pub(super) const PROPERTY: Property = Property {
    test: "metamorphic::shifting_all_times_by_whole_weeks_shifts_all_results_by_as_much",
    cases: 4_000,
    make,
    check,
};

/// In UTC, where no clock changes. Months differ in length, and a date is a date.
fn make(seed: u64) -> Option<Generated> {
    let mut generated = Generated::new(seed);
    generated.draft.time_zone = "UTC";
    let text = generated.draft.text();
    let fits = !text.contains("month") && !text.contains(" since 20");
    generated.case.rules = text;
    fits.then_some(generated)
}

fn check(case: &Case, seed: u64) -> Result<(), String> {
    let weeks = *Random::new(seed).pick(&[-400, -53, -1, 1, 2, 52, 1_000]);
    let shift = Span(weeks * 7 * Span::DAY.0);
    let mut shifted = case.clone();
    shifted.config.earliest = shifted.config.earliest + shift;
    shifted.config.observed_from = shifted.config.observed_from + shift;
    shifted.until = shifted.until.map(|until| until + shift);
    // A record's hash stays what it was: it stands for an identity, and which records are alike has not changed.
    shifted.events.iter_mut().for_each(|event| event.at = event.at + shift);
    shifted.advances.iter_mut().for_each(|advance| advance.stream_time = advance.stream_time + shift);

    let (mut expected, _) = run_with_states(case)?;
    let (found, _) = run_with_states(&shifted)?;
    for change in &mut expected.changes {
        change.occurred_at = change.occurred_at + shift;
        change.entered_at = change.entered_at + shift;
    }
    same(&expected.changes, &found.changes, &shifted)?;
    if expected.handled == found.handled { Ok(()) } else { Err(format!("{:?}\n{:?}", expected.handled, found.handled)) }
}
