//! Rhythms and streaks: conditions on counts per calendar period.

use super::verdict::Verdict;
use crate::calendar::{Calendar, Unit};
use crate::event::Instant;
use crate::fact::Period;
use crate::rules::CountTest;

/// Periods in which the count passes `times`, among the `of_last` ones before the current one.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Rhythm<'a> {
    pub(in crate::engine) periods: &'a [Period],
    pub(in crate::engine) times: CountTest,
    pub(in crate::engine) of_last: u32,
}

impl Rhythm<'_> {
    /// How many periods pass, as of the period `current`.
    pub(in crate::engine) fn passing(self, current: i64) -> i64 {
        let (left, entered) = self.held(current);
        let of_nothing = if self.times.holds(0) { i64::from(self.of_last) } else { 0 };
        of_nothing + self.periods[left..entered].iter().map(|period| self.gain(*period)).sum::<i64>()
    }

    /// The first period after `current` with another result, if nothing more happens.
    pub(in crate::engine) fn next_change(self, current: i64, wanted: CountTest) -> Option<i64> {
        let holds = |passing: i64| wanted.holds(u64::try_from(passing).unwrap_or_default());
        let mut passing = self.passing(current);
        let now = holds(passing);
        let (mut left, mut entered) = self.held(current);
        loop {
            // A period counts from the one after it on, for `of_last` periods.
            let enters = self.periods.get(entered).map(|period| period.number + 1);
            let leaves = self.periods.get(left).map(|period| period.number + 1 + i64::from(self.of_last));
            let next = enters.into_iter().chain(leaves).min()?;
            if enters == Some(next) {
                passing += self.gain(self.periods[entered]);
                entered += 1;
            }
            if leaves == Some(next) {
                passing -= self.gain(self.periods[left]);
                left += 1;
            }
            if holds(passing) != now {
                return Some(next);
            }
        }
    }

    /// The range of periods that count, by index.
    fn held(self, current: i64) -> (usize, usize) {
        let before = |number: i64| self.periods.partition_point(|period| period.number < number);
        (before(current - i64::from(self.of_last)), before(current))
    }

    /// How much a period adds to the count compared with an empty one.
    fn gain(self, period: Period) -> i64 {
        i64::from(self.times.holds(u64::from(period.count))) - i64::from(self.times.holds(0))
    }
}

/// How many periods in a row have an event, up to the current one or the one before; and the last of them.
pub(in crate::engine) fn run(periods: &[Period], current: i64) -> Option<(u32, i64)> {
    let so_far = &periods[..periods.partition_point(|period| period.number <= current)];
    let last = so_far.last().filter(|period| period.number >= current - 1)?.number;
    let in_a_row = (0..).zip(so_far.iter().rev()).take_while(|(back, period)| period.number == last - back).count();
    Some((u32::try_from(in_a_row).unwrap_or(u32::MAX), last))
}

/// Are there `length` periods in a row? If so, until the end of the period after the last one.
pub(in crate::engine) fn streak(
    periods: &[Period],
    at: Instant,
    unit: Unit,
    length: u32,
    calendar: &Calendar,
) -> Verdict {
    match run(periods, calendar.period(at, unit)) {
        Some((in_a_row, last)) if in_a_row >= length => Verdict { holds: true, until: calendar.start(last + 2, unit) },
        _ => Verdict::always(false),
    }
}
