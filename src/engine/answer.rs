//! The first (or last) A and the first other B from then on: what `time from A to B` looks at.
//!
//! Kept are the A, its answer, and the B's that would answer an A which may still arrive late.

use super::state::Encounter;
use crate::event::{Instant, Span};

/// From A to B; `None` while there is no A, or no B for it. Events after `at` are not looked at.
pub(super) fn time_to_answer(found: &[Encounter], last: bool, at: Instant) -> Option<Span> {
    let found = &found[..found.partition_point(|encounter| encounter.at <= at)];
    let a = place_of_a(found, last)?;
    let answer = if found[a].answers_itself() { a } else { first_b(found, a)? };
    Some(found[answer].at.since(found[a].at))
}

/// When `time_to_answer` next changes as `at` moves on over events that are there already.
pub(super) fn next_encounter(found: &[Encounter], at: Instant) -> Instant {
    found.iter().map(|encounter| encounter.at).find(|time| *time > at).unwrap_or(Instant::MAX)
}

/// Takes in an event that is an A, a B or both. False: the time from A to B is as before.
pub(super) fn feed(
    found: &mut Vec<Encounter>,
    at: Instant,
    (as_a, as_b): (bool, bool),
    last: bool,
    cap: usize,
    approximated: &mut u64,
) -> bool {
    let before = summary(found, last);
    let place = found.partition_point(|encounter| encounter.at < at);
    if found.get(place).is_none_or(|encounter| encounter.at != at) {
        found.insert(place, Encounter { at, a: false, b: false, both: 0 });
    }
    let encounter = &mut found[place];
    match (as_a, as_b) {
        (true, true) => encounter.both = (encounter.both + 1).min(2),
        (true, false) => encounter.a = true,
        _ => encounter.b = true,
    }
    drop_settled(found, last);
    while let Some(oldest) = over_capacity(found, last, cap) {
        found.remove(oldest);
        *approximated += 1;
    }
    summary(found, last) != before
}

/// Drops the B's that no A can need any more, since none that early can still arrive.
pub(super) fn forget(found: &mut Vec<Encounter>, last: bool, oldest_arrival: Instant) {
    let a = place_of_a(found, last);
    let keep = match (a, last) {
        // Up to the last A nothing else is held; its answer stays.
        (Some(a), true) => first_b(found, a).unwrap_or(a) + 1,
        (Some(_) | None, _) => 0,
    };
    let end = if last { found.len() } else { a.unwrap_or(found.len()) };
    let mut place = 0;
    found.retain(|encounter| {
        let spare = (keep..end).contains(&place) && encounter.at < oldest_arrival;
        place += 1;
        !spare
    });
}

fn summary(found: &[Encounter], last: bool) -> (Option<Instant>, Option<Span>) {
    let a = place_of_a(found, last).map(|place| found[place].at);
    (a, time_to_answer(found, last, Instant::MAX))
}

fn place_of_a(found: &[Encounter], last: bool) -> Option<usize> {
    if last { found.iter().rposition(Encounter::has_a) } else { found.iter().position(Encounter::has_a) }
}

fn first_b(found: &[Encounter], after: usize) -> Option<usize> {
    (after + 1..found.len()).find(|place| found[*place].has_b())
}

/// Of the first A later ones never matter, nor what comes after its answer; of the last A nothing before it does.
fn drop_settled(found: &mut Vec<Encounter>, last: bool) {
    let Some(a) = place_of_a(found, last) else { return };
    if last {
        found.drain(..a);
        return;
    }
    let answer = if found[a].answers_itself() { None } else { first_b(found, a) };
    match answer {
        Some(answer) => {
            found.truncate(answer + 1);
            found.drain(a + 1..answer);
        }
        None => found.truncate(a + 1),
    }
}

/// The oldest B that is held for late A's only, where there are too many of them.
fn over_capacity(found: &[Encounter], last: bool, cap: usize) -> Option<usize> {
    if found.len() <= cap + 2 {
        return None;
    }
    match place_of_a(found, last) {
        Some(a) if last => Some(first_b(found, a)? + 1),
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, Span, feed, forget, time_to_answer};

    #[test]
    fn the_answer_of_a_late_a_is_still_known() {
        for last in [false, true] {
            let (mut found, mut approximated) = (Vec::new(), 0);
            for (at, role) in [(5, (false, true)), (20, (true, false)), (30, (false, true)), (40, (false, true))] {
                feed(&mut found, Instant(at), role, last, 10, &mut approximated);
            }
            assert_eq!(time_to_answer(&found, last, Instant::MAX), Some(Span(10)));
            forget(&mut found, last, Instant(4));
            feed(&mut found, Instant(if last { 35 } else { 4 }), (true, false), last, 10, &mut approximated);
            assert_eq!(time_to_answer(&found, last, Instant::MAX), Some(Span(if last { 5 } else { 1 })));
        }
    }

    #[test]
    fn what_is_held_stays_bounded() {
        for last in [false, true] {
            let (mut found, mut approximated) = (Vec::new(), 0);
            for at in 0..1_000 {
                feed(&mut found, Instant(at), (at == 500, at != 500), last, 10, &mut approximated);
            }
            assert!(found.len() <= 12 && approximated > 0);
            assert_eq!(time_to_answer(&found, last, Instant::MAX), Some(Span(1)));
        }
    }
}
