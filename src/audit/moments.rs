//! What is known of the times in one field: their units, how far they are from the clock and from each other.

use std::collections::BTreeMap;

use super::sketch::Hours;
use super::value::{Clock, Value};
use crate::event::{Instant, Span, named};
use crate::sources::{TextTime, time_of_text};

named! {
    /// How an instant is written.
    Form {
        Seconds = "seconds",
        Millis = "milliseconds",
        Micros = "microseconds",
        Nanos = "nanoseconds",
        /// A timestamp of Avro, which says its unit itself.
        Timestamp = "timestamp",
        LocalTimestamp = "timestamp without a time zone",
        Text = "text with a time zone",
        LocalText = "text without a time zone",
        Date = "date",
    }
}

impl Form {
    /// The word of a sources file for a bare number of this unit.
    pub(super) fn unit(self) -> Option<&'static str> {
        match self {
            Self::Seconds | Self::Millis | Self::Micros | Self::Nanos => Some(self.as_str()),
            _ => None,
        }
    }

    pub(super) fn needs_zone(self) -> bool {
        matches!(self, Self::LocalTimestamp | Self::LocalText | Self::Date)
    }
}

/// The years in which a number is taken for an instant, in seconds since 1970: 1990 to 2100.
const YEARS: std::ops::Range<i64> = 631_152_000..4_102_444_800;

/// The instant that a value is, as far as it can be one. Of a bare number the unit is the one by which it is between 1990
/// and 2100, which only one is.
#[must_use]
pub(super) fn instant(value: &Value<'_>) -> Option<(Form, Instant)> {
    Some(match value {
        Value::Moment(millis, clock) => {
            let form = if *clock == Clock::Utc { Form::Timestamp } else { Form::LocalTimestamp };
            (form, Instant((*millis)?).plausible()?)
        }
        Value::Date(days) => (Form::Date, Instant(i64::from(*days) * Span::DAY.0).plausible()?),
        Value::Text(text) if text.as_bytes().first().is_some_and(u8::is_ascii_digit) => match time_of_text(text) {
            Some(TextTime::At(at)) => (Form::Text, at),
            Some(TextTime::Local(at)) => (Form::LocalText, at),
            None => return text.parse().ok().and_then(of_number),
        },
        Value::Whole(number) => return of_number(*number),
        Value::Number(written) => {
            let seconds: f64 = std::str::from_utf8(written).ok()?.parse().ok()?;
            let is_seconds = (YEARS.start as f64..YEARS.end as f64).contains(&seconds);
            (Form::Seconds, is_seconds.then_some(Instant((seconds * 1_000.0) as i64))?)
        }
        _ => return None,
    })
}

fn of_number(number: i64) -> Option<(Form, Instant)> {
    let forms = [(Form::Seconds, 1), (Form::Millis, 1_000), (Form::Micros, 1_000_000), (Form::Nanos, 1_000_000_000)];
    let (form, per_second) = forms.into_iter().find(|(_, per)| YEARS.contains(&number.div_euclid(*per)))?;
    let millis = if per_second < 1_000 { number * (1_000 / per_second) } else { number.div_euclid(per_second / 1_000) };
    Some((form, Instant(millis)))
}

/// When now is, and what is late.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub now: Instant,
    /// `time.max_future_skew`
    pub future_skew: Span,
    /// `time.arrives_within`
    pub arrives_within: Span,
    /// `time.max_lateness`
    pub lateness: Span,
}

/// The times of one field.
#[derive(Debug, Default)]
pub(super) struct Moments {
    pub(super) forms: BTreeMap<Form, u64>,
    /// Values that are there and no time.
    pub(super) unclear: u64,
    pub(super) first: Option<Instant>,
    pub(super) last: Option<Instant>,
    /// Ahead of the clock.
    pub(super) future: u64,
    /// Behind the newest before them in their partition or file: by more than usual, and by more than is accepted.
    pub(super) late: u64,
    pub(super) too_late: u64,
    pub(super) lags: Lags,
    pub(super) hours: Hours,
    newest: BTreeMap<i32, Instant>,
}

impl Moments {
    /// `place`: the number of the partition or file.
    pub(super) fn add(&mut self, (form, at): (Form, Instant), place: i32, bytes: u64, limits: &Limits) {
        *self.forms.entry(form).or_default() += 1;
        self.hours.add(at, bytes);
        if at > limits.now + limits.future_skew {
            // As in `run`, it does not move the time of the others.
            self.future += 1;
            return;
        }
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = self.last.max(Some(at));
        let newest = self.newest.entry(place).or_insert(at);
        let behind = (*newest - limits.arrives_within).since(at);
        self.late += u64::from(behind > Span(0));
        self.too_late += u64::from(behind > limits.lateness);
        *newest = at.max(*newest);
    }

    /// How many values are times.
    pub(super) fn count(&self) -> u64 {
        self.forms.values().sum()
    }

    /// The form of most of them.
    pub(super) fn form(&self) -> Option<Form> {
        self.forms.iter().max_by_key(|(form, count)| (**count, std::cmp::Reverse(**form))).map(|(form, _)| *form)
    }
}

/// How long after a time its record was written, by powers of two of milliseconds.
#[derive(Debug)]
pub(super) struct Lags {
    /// Written before the time by more than the clocks may differ.
    pub(super) before: u64,
    by_power: [u64; 64],
}

impl Default for Lags {
    fn default() -> Self {
        Self { before: 0, by_power: [0; 64] }
    }
}

impl Lags {
    pub(super) fn add(&mut self, lag: Span, skew: Span) {
        if lag < Span(-skew.0) {
            self.before += 1;
        }
        let power = 64 - lag.0.max(0).unsigned_abs().leading_zeros();
        self.by_power[power.min(63) as usize] += 1;
    }

    /// Not exceeded by this share of them: the end of the power of two that it lies in. `None`: there are none.
    pub(super) fn quantile(&self, share: f64) -> Option<Span> {
        let all: u64 = self.by_power.iter().sum();
        let wanted = (all as f64 * share).ceil() as u64;
        let mut seen = 0;
        let power = self.by_power.iter().position(|count| {
            seen += count;
            seen >= wanted && seen > 0
        })?;
        Some(Span(if power == 0 { 0 } else { (1_i64 << power.min(62)) - 1 }))
    }
}

/// The furthest zone is 14 hours from UTC.
const ZONES: i64 = 14;

/// How often two times of one record differ by whole hours, give or take what passes between the two.
#[derive(Debug, Default)]
pub(super) struct Slips {
    pub(super) all: u64,
    /// By the hours that the first is ahead of the second.
    pub(super) hours: BTreeMap<i8, u64>,
}

impl Slips {
    /// The second comes after the first, within so long.
    const WITHIN: Span = Span(2 * Span::MINUTE.0);

    pub(super) fn add(&mut self, first: Instant, second: Instant) {
        self.all += 1;
        let since = second.since(first).0;
        let (hours, rest) = (since.div_euclid(Span::HOUR.0), since.rem_euclid(Span::HOUR.0));
        if hours != 0 && hours.abs() <= ZONES && rest <= Self::WITHIN.0 {
            *self.hours.entry(-(hours as i8)).or_default() += 1;
        }
    }

    /// The hours by which many are wrong, and the share of them. By chance a thirtieth of differences that have nothing to
    /// do with zones are near some whole hour.
    pub(super) fn found(&self) -> Option<(Vec<i8>, f64)> {
        const SHARE_MIN: f64 = 0.05;
        const COUNT_MIN: u64 = 10;
        let share = |count: u64| count as f64 / self.all.max(1) as f64;
        let found: Vec<(i8, u64)> = (self.hours.iter())
            .filter(|(_, count)| **count >= COUNT_MIN && share(**count) >= SHARE_MIN)
            .map(|(hours, count)| (*hours, *count))
            .collect();
        let sum: u64 = found.iter().map(|(_, count)| count).sum();
        (!found.is_empty()).then(|| (found.iter().map(|(hours, _)| *hours).collect(), share(sum)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, Lags, Limits, Moments, Slips, instant};
    use crate::audit::value::{Clock, Value};
    use crate::event::{Instant, Span};

    const NINE: i64 = 1_767_603_600_000;

    #[test]
    fn the_unit_of_a_number_is_the_one_by_which_it_is_an_instant_of_these_years() {
        for (number, form) in [
            (NINE / 1_000, Form::Seconds),
            (NINE, Form::Millis),
            (NINE * 1_000, Form::Micros),
            (NINE * 1_000_000, Form::Nanos),
        ] {
            assert_eq!(instant(&Value::Whole(number)), Some((form, Instant(NINE))));
            assert_eq!(instant(&Value::Text(number.to_string().into())).map(|found| found.1), Some(Instant(NINE)));
        }
        for none in [0, 59, -NINE, 20_260_105, i64::MAX, i64::MIN] {
            assert_eq!(instant(&Value::Whole(none)), None, "{none}");
        }
        assert_eq!(instant(&Value::Number(b"1767603600.5"[..].into())), Some((Form::Seconds, Instant(NINE + 500))));
        let text = |text: &'static str| instant(&Value::Text(text.into()));
        assert_eq!(text("2026-01-05T10:00:00+01:00"), Some((Form::Text, Instant(NINE))));
        assert_eq!(text("2026-01-05 09:00:00"), Some((Form::LocalText, Instant(NINE))));
        assert_eq!(text("2026-13-05 09:00:00"), None);
        assert_eq!(text("soon"), None);
        assert_eq!(instant(&Value::Moment(Some(NINE), Clock::Local)), Some((Form::LocalTimestamp, Instant(NINE))));
        assert_eq!(instant(&Value::Moment(None, Clock::Utc)), None);
    }

    #[test]
    fn late_is_behind_the_newest_of_its_own_partition_and_the_future_moves_nothing() {
        let limits =
            Limits { now: Instant(NINE), future_skew: Span::MINUTE, arrives_within: Span::MINUTE, lateness: Span::DAY };
        let mut moments = Moments::default();
        let mut add = |at, place| moments.add((Form::Millis, Instant(at)), place, 1, &limits);
        add(NINE + 2 * Span::MINUTE.0, 0);
        add(NINE - 3 * Span::DAY.0, 0);
        add(NINE, 0);
        add(NINE - Span::MINUTE.0, 0);
        add(NINE - 2 * Span::MINUTE.0, 0);
        add(NINE - 2 * Span::DAY.0, 0);
        add(NINE - 2 * Span::DAY.0, 1);
        assert_eq!((moments.future, moments.late, moments.too_late, moments.count()), (1, 2, 1, 7));
        assert_eq!((moments.first, moments.last), (Some(Instant(NINE - 3 * Span::DAY.0)), Some(Instant(NINE))));
    }

    #[test]
    fn quantiles_of_lags_are_right_to_a_factor_of_two() {
        let mut lags = Lags::default();
        assert_eq!(lags.quantile(0.5), None);
        (0..99).for_each(|_| lags.add(Span(1_500), Span::MINUTE));
        lags.add(Span(-2 * Span::MINUTE.0), Span::MINUTE);
        assert_eq!(lags.quantile(0.5), Some(Span(2_047)));
        assert_eq!((lags.quantile(0.005), lags.before), (Some(Span(0)), 1));
    }

    #[test]
    fn hours_that_come_again_and_again_are_a_slip_and_chance_is_none() {
        let mut local = Slips::default();
        for number in 0..100 {
            let first = Instant(NINE + number * 977_777);
            let hours = [0, 1, 2][number as usize % 3];
            local.add(first + Span(hours * Span::HOUR.0), first + Span(30_000));
        }
        let (hours, share) = local.found().unwrap();
        assert_eq!(hours, [1, 2]);
        assert!((share - 0.66).abs() < 0.001, "{share}");
        let mut chance = Slips::default();
        let random = |number: i64| (number.wrapping_mul(6_364_136_223_846_793_005) >> 33).rem_euclid(10 * Span::HOUR.0);
        (0..2_000).for_each(|number| chance.add(Instant(NINE), Instant(NINE + random(number))));
        assert_eq!(chance.found(), None, "{chance:?}");
    }
}
