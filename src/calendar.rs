//! Calendar periods in a time zone: days, weeks from Monday, months; and the units of time in rules.

use std::cell::Cell;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::event::{Instant, Span};

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Unit {
    /// The unit as a rolling duration: a month is 30 days, a year 365.
    #[must_use]
    pub fn span(self) -> Span {
        let days = |n| Span(Span::DAY.0 * n);
        match self {
            Self::Second => Span::SECOND,
            Self::Minute => Span::MINUTE,
            Self::Hour => Span::HOUR,
            Self::Day => Span::DAY,
            Self::Week => days(7),
            Self::Month => days(30),
            Self::Year => days(365),
        }
    }

    /// The word for people. Part of fingerprints, so it must not change.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// Numbers calendar periods and finds their starts. One per lane, since it caches the starts of days.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
    /// A direct-mapped cache of days and their starts.
    starts: Box<[Cell<(i64, Instant)>]>,
}

/// Entries of the cache: more than a year of days; a power of two.
const STARTS: usize = 512;

impl Calendar {
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        // A day beyond the calendar, which never starts, stands for an empty entry.
        let beyond = Cell::new((i64::MAX, Instant::MAX));
        Self { zone, starts: vec![beyond; STARTS].into() }
    }

    /// The number of the period that holds `at`: days since 1970-01-01, weeks since the one of 1969-12-29, months since
    /// 1970-01.
    #[must_use]
    pub fn period(&self, at: Instant, unit: Unit) -> i64 {
        let day = self.day(at);
        match unit {
            Unit::Week => week_of(day),
            Unit::Month => date_of(day).map_or(0, month_of),
            _ => day,
        }
    }

    /// The first existing instant of a period; `MAX` for one beyond the calendar.
    #[must_use]
    pub fn start(&self, period: i64, unit: Unit) -> Instant {
        match unit {
            Unit::Week => self.start_of_day(period * 7 - 3),
            Unit::Month => first_of_month(period).and_then(|date| self.midnight(date)).unwrap_or(Instant::MAX),
            _ => self.start_of_day(period),
        }
    }

    fn start_of_day(&self, day: i64) -> Instant {
        let entry = &self.starts[day.rem_euclid(STARTS as i64) as usize];
        let (known, start) = entry.get();
        if known == day {
            return start;
        }
        let start = date_of(day).and_then(|date| self.midnight(date)).unwrap_or(Instant::MAX);
        entry.set((day, start));
        start
    }

    /// The day of an instant: from its start to that of the next, whatever clock changes are between. Beyond the
    /// calendar, the day in UTC.
    fn day(&self, at: Instant) -> i64 {
        let in_utc = at.0.div_euclid(Span::DAY.0);
        let holds = |day: &i64| (self.start_of_day(*day)..self.start_of_day(*day + 1)).contains(&at);
        [in_utc, in_utc + 1, in_utc - 1].into_iter().find(holds).unwrap_or(in_utc)
    }

    /// `to_zoned_datetime` moves a midnight that a clock change skips to the first instant after the gap.
    fn midnight(&self, date: Date) -> Option<Instant> {
        date.to_zoned_datetime(self.zone.clone()).ok().map(|zoned| Instant(zoned.timestamp().as_millisecond()))
    }
}

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

fn date_of(day: i64) -> Option<Date> {
    EPOCH.checked_add(jiff::Span::new().try_days(day).ok()?).ok()
}

/// 1970-01-01 was a Thursday, the fourth day of its week.
fn week_of(day: i64) -> i64 {
    (day + 3).div_euclid(7)
}

fn month_of(date: Date) -> i64 {
    (i64::from(date.year()) - 1970) * 12 + i64::from(date.month()) - 1
}

fn first_of_month(month: i64) -> Option<Date> {
    let year = i16::try_from(1970 + month.div_euclid(12)).ok()?;
    let month = i8::try_from(month.rem_euclid(12) + 1).ok()?;
    Date::new(year, month, 1).ok()
}

#[cfg(test)]
mod tests {
    use super::{Calendar, Unit};
    use crate::event::{Instant, Span};

    fn at(text: &str) -> Instant {
        Instant(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn calendar(zone: &str) -> Calendar {
        Calendar::new(jiff::tz::TimeZone::get(zone).unwrap())
    }

    #[test]
    fn a_day_is_23_or_25_hours_long_where_the_clocks_change() {
        let paris = calendar("Europe/Paris");
        let spring = paris.period(at("2026-03-29T12:00:00Z"), Unit::Day);
        assert_eq!(paris.start(spring, Unit::Day), at("2026-03-28T23:00:00Z"));
        assert_eq!(paris.start(spring + 1, Unit::Day), at("2026-03-29T22:00:00Z"));
        assert_eq!(paris.period(at("2026-03-29T21:59:59.999Z"), Unit::Day), spring);
    }

    #[test]
    fn a_day_whose_midnight_is_skipped_starts_at_its_first_existing_instant() {
        let beirut = calendar("Asia/Beirut");
        let day = beirut.period(at("2022-03-27T12:00:00Z"), Unit::Day);
        assert_eq!(beirut.start(day, Unit::Day), at("2022-03-26T22:00:00Z"));
    }

    #[test]
    fn every_instant_belongs_to_the_day_that_starts_last_before_it() {
        // A day that Samoa skipped, and a midnight that Newfoundland had twice.
        for (zone, from) in [("Pacific/Apia", "2011-12-28T00:00:00Z"), ("America/St_Johns", "2006-10-27T00:00:00Z")] {
            let calendar = calendar(zone);
            let mut days = Vec::new();
            for minute in 0..5 * 24 * 60 {
                let at = at(from) + Span(minute * Span::MINUTE.0);
                let day = calendar.period(at, Unit::Day);
                assert!(calendar.start(day, Unit::Day) <= at && at < calendar.start(day + 1, Unit::Day), "{zone} {at}");
                days.push(day);
            }
            assert!(days.is_sorted(), "{zone}");
        }
    }

    #[test]
    fn beyond_the_calendar_there_are_days_and_no_starts() {
        let paris = calendar("Europe/Paris");
        for at in [Instant::MIN, Instant::MAX] {
            assert_eq!(paris.period(at, Unit::Day), at.0.div_euclid(Span::DAY.0));
            assert_eq!(paris.start(paris.period(at, Unit::Day), Unit::Day), Instant::MAX);
        }
    }

    #[test]
    fn weeks_start_on_monday_and_months_on_the_first() {
        let utc = calendar("UTC");
        let week = utc.period(at("2026-11-29T23:59:59Z"), Unit::Week);
        assert_eq!(utc.start(week, Unit::Week), at("2026-11-23T00:00:00Z"));
        let month = utc.period(at("1969-12-31T00:00:00Z"), Unit::Month);
        assert_eq!((month, utc.start(month, Unit::Month)), (-1, at("1969-12-01T00:00:00Z")));
    }
}
