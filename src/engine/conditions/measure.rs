//! Measures on one customer at one instant, now or some time ago.
//!
//! `change in M over D` evaluates the same facts twice, the second time as they were D ago: later events are left out
//! then, and enter as time goes on.

use super::view::{CustomerView, up_to};
use super::window::{next_change, one_within, within};
use crate::event::{Instant, Number, Span, Value};
use crate::fact::{Answer, Fact, FactIx, FactKind, TimesAndDays};
use crate::rules::{Aggregate, Measure, Pick, Window};

/// A measure at an instant: its value, how fast time alone changes it, and when it may jump.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Measured<'a> {
    /// `None`: missing. Lengths of time are numbers of milliseconds.
    pub(in crate::engine) value: Option<Value<'a>>,
    /// Change in millionths per millisecond; zero for values that are not numbers.
    pub(in crate::engine) slope: i128,
    pub(in crate::engine) until: Instant,
}

impl<'a> Measured<'a> {
    /// A value that time alone never changes.
    pub(in crate::engine) fn constant(value: Value<'a>) -> Self {
        Self::still(Some(value), Instant::MAX)
    }

    pub(in crate::engine) fn missing() -> Self {
        Self::still(None, Instant::MAX)
    }

    pub(in crate::engine) fn still(value: Option<Value<'a>>, until: Instant) -> Self {
        Self { value, slope: 0, until }
    }

    fn number(value: Option<i128>, until: Instant) -> Self {
        Self::still(value.map(|number| Value::Number(Number(number))), until)
    }

    fn length(value: Option<Span>, until: Instant) -> Self {
        Self::number(value.map(|span| Number::from_integer(span.0).0), until)
    }

    fn as_number(&self) -> Option<i128> {
        self.value.and_then(Value::number).map(|number| number.0)
    }
}

impl<'a> CustomerView<'a> {
    /// The value of a measure.
    pub(in crate::engine) fn measure(&self, measure: &Measure) -> Measured<'a> {
        match measure {
            Measure::Total { fact, of } => {
                let (count, sum) = match self.fact(*fact) {
                    Some(Fact::Total(total)) => (total.count, total.sum.0),
                    _ => (0, 0),
                };
                Measured::number(of_total(*of, count, sum), Instant::MAX)
            }
            Measure::Series { fact, window, of } => match self.fact(*fact) {
                Some(Fact::Series(series)) => self.series(series, *window, *of),
                _ => self.series(&TimesAndDays::default(), *window, *of),
            },
            Measure::Extreme { fact } => match self.fact(*fact) {
                Some(Fact::Extreme(number)) => Measured::number(number.as_deref().map(|n| n.0), Instant::MAX),
                _ => Measured::missing(),
            },
            Measure::Distinct { fact, window } => self.distinct(*fact, *window),
            Measure::Pick { fact, window, pick } => self.pick(*fact, *window, *pick),
            Measure::TimeSince { fact, edge } => {
                let since = self.edge(*fact, *edge).map(|time| self.at.since(time));
                Measured { slope: Number::ONE, ..Measured::length(since, self.edge_changes_at(*fact)) }
            }
            Measure::TimeFrom { fact } => {
                let (Some(Fact::Answer(found)), FactKind::Answer(kind)) = (self.fact(*fact), self.kind(*fact)) else {
                    return Measured::missing();
                };
                Measured::length(kind.time(found, self.at), Answer::next_point(found, self.at))
            }
            Measure::UsualGap { fact, default } => {
                let gap = usual_gap(up_to(self.times(*fact), self.at)).map(Span).or(*default);
                Measured::length(gap, self.edge_changes_at(*fact))
            }
            Measure::Steps { fact } => match self.fact(*fact) {
                Some(Fact::Steps(steps)) => Measured::number(steps.count().map(count_number), Instant::MAX),
                _ => Measured::missing(),
            },
            Measure::Score { score, .. } => self.score(*score),
            Measure::Change { of, over } => {
                let now = self.measure(of);
                let before = self.ago(*over).measure(of);
                let change = now.as_number().zip(before.as_number()).map(|(now, before)| now.saturating_sub(before));
                let until = now.until.min(before.until + *over);
                Measured { slope: now.slope - before.slope, ..Measured::number(change, until) }
            }
            Measure::Growth { of, over } => {
                let (now, before) = (self.measure(of), self.ago(*over).measure(of));
                let grown = match (now.as_number(), before.as_number()) {
                    (Some(now), Some(before)) if before > 0 => {
                        Some(divided(now.saturating_mul(Number::ONE), before).saturating_sub(Number::ONE))
                    }
                    _ => None,
                };
                Measured::number(grown, now.until.min(before.until + *over))
            }
            Measure::Ratio { of, to } => {
                let (of, to) = (self.measure(of), self.measure(to));
                let ratio = match (of.as_number(), to.as_number()) {
                    (Some(above), Some(below)) if below != 0 => Some(divided(above.saturating_mul(Number::ONE), below)),
                    _ => None,
                };
                Measured::number(ratio, of.until.min(to.until))
            }
        }
    }

    /// The same customer as of some time ago, with the events up to then.
    fn ago(&self, span: Span) -> Self {
        Self { at: self.at - span, ..*self }
    }

    fn series(&self, series: &TimesAndDays, window: Window, of: Aggregate) -> Measured<'a> {
        // Counts and sums over no events are zero, also where the window does not exist.
        let part = within(&series.times, window, self).unwrap_or(0..0);
        let mut until = next_change(&series.times, &part, window, self);
        let (mut count, mut sum) = (part.len() as u64, 0_i128);
        let numbers = series.numbers.get(part).unwrap_or_default();
        if matches!(of, Aggregate::Sum | Aggregate::Average) {
            sum = numbers.iter().fold(0, |sum: i128, number| sum.saturating_add(number.0));
        }
        let mut days = Vec::new();
        for day in &series.days {
            let lies_in = one_within(day.last, window, self);
            until = until.min(lies_in.until);
            if lies_in.holds {
                count += day.count;
                sum = sum.saturating_add(day.sum.0);
                // Only the average of a day's numbers is known.
                days.push((divided(day.sum.0, i128::from(day.count)), day.count));
            }
        }
        let all = || numbers.iter().map(|number| (number.0, 1)).chain(days.iter().copied());
        let value = match of {
            Aggregate::Min => all().map(|(number, _)| number).min(),
            Aggregate::Max => all().map(|(number, _)| number).max(),
            Aggregate::Median => median(all().collect(), count),
            Aggregate::Count | Aggregate::Sum | Aggregate::Average => of_total(of, count, sum),
        };
        Measured::number(value, until)
    }

    fn distinct(&self, fact: FactIx, window: Window) -> Measured<'a> {
        let found = self.fact(fact).and_then(Fact::keyed_times);
        let (times, keys) = found.map_or((&[][..], &[][..]), |found| (&found.times, &found.keys));
        let part = within(times, window, self).unwrap_or(0..0);
        let until = next_change(times, &part, window, self);
        let count = self.different(fact, &keys[part]);
        Measured::number(Some(count_number(count as u64)), until)
    }

    fn pick(&self, fact: FactIx, window: Window, pick: Pick) -> Measured<'a> {
        let (times, kept) = match self.fact(fact) {
            Some(Fact::Values(values)) => (&values.times[..], &values.values[..]),
            _ => (&[][..], &[][..]),
        };
        let part = within(times, window, self).unwrap_or(0..0);
        let until = next_change(times, &part, window, self);
        let (times, kept) = (&times[part.clone()], &kept[part]);
        let found = match pick {
            Pick::Last => kept.last(),
            Pick::First => times.first().and_then(|first| kept.get(times.partition_point(|t| t <= first) - 1)),
            Pick::MostCommon => {
                let mut sorted: Vec<_> = kept.iter().zip(times).collect();
                sorted.sort_unstable();
                let runs = sorted.chunk_by(|(one, _), (other, _)| one == other);
                // Times ascend within a run, so its last one is the most recent.
                runs.max_by_key(|run| (run.len(), run[run.len() - 1].1, run[0].0)).map(|run| run[0].0)
            }
        };
        Measured::still(found.map(crate::event::Kept::value), until)
    }
}

/// A count, sum or average from a count and a sum.
fn of_total(of: Aggregate, count: u64, sum: i128) -> Option<i128> {
    match of {
        Aggregate::Sum => Some(sum),
        Aggregate::Average => (count > 0).then(|| divided(sum, i128::from(count))),
        _ => Some(count_number(count)),
    }
}

/// The median of weighted numbers whose weights add up to `count`; the average of the middle two.
fn median(mut numbers: Vec<(i128, u64)>, count: u64) -> Option<i128> {
    numbers.sort_unstable();
    let at = |mut rank: u64| {
        let found = numbers.iter().find(|(_, weight)| {
            let here = rank < *weight;
            rank = rank.saturating_sub(*weight);
            here
        });
        found.map(|(number, _)| *number)
    };
    let (low, high) = (at(count.checked_sub(1)? / 2)?, at(count / 2)?);
    Some(divided(low.saturating_add(high), 2))
}

/// Rounded half to even.
fn divided(dividend: i128, divisor: i128) -> i128 {
    let flipped = |number: i128| if divisor < 0 { number.saturating_neg() } else { number };
    let (dividend, divisor) = (flipped(dividend), flipped(divisor));
    let (down, rest) = (dividend.div_euclid(divisor), dividend.rem_euclid(divisor));
    let up = match rest.cmp(&(divisor - rest)) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => down & 1,
        std::cmp::Ordering::Greater => 1,
    };
    down + up
}

fn count_number(count: u64) -> i128 {
    i128::from(count) * Number::ONE
}

/// The median of the last eight gaps in milliseconds, the mean of the middle two rounded down; none under three gaps.
fn usual_gap(times: &[Instant]) -> Option<i64> {
    let times = &times[times.len().saturating_sub(9)..];
    let mut gaps = [0_i64; 8];
    let mut count = 0;
    for pair in times.windows(2) {
        gaps[count] = pair[1].since(pair[0]).0;
        count += 1;
    }
    if count < 3 {
        return None;
    }
    let gaps = &mut gaps[..count];
    gaps.sort_unstable();
    let middle = count / 2;
    Some(if count % 2 == 1 { gaps[middle] } else { (gaps[middle - 1] + gaps[middle]).div_euclid(2) })
}

#[cfg(test)]
mod tests {
    use super::{divided, median};

    #[test]
    fn quotients_are_rounded_half_to_even() {
        let halves = [(1, 2), (3, 2), (5, 2), (-1, 2), (-3, 2), (-5, 2), (5, -2), (7, 3), (-7, 3)];
        assert_eq!(halves.map(|(a, b)| divided(a, b)), [0, 2, 2, 0, -2, -2, -2, 2, -2]);
    }

    #[test]
    fn a_day_stands_in_the_median_for_as_many_as_it_had() {
        assert_eq!(median(vec![(5, 1), (1, 1), (9, 1)], 3), Some(5));
        assert_eq!(median(vec![(5, 1), (1, 3)], 4), Some(1));
        assert_eq!(median(vec![(4, 1), (1, 1)], 2), Some(2));
        assert_eq!(median(vec![], 0), None);
    }
}
