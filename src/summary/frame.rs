//! The days and weeks that a survey covers.

use crate::calendar::Calendar;
use crate::event::Instant;
use crate::rules::ast::Unit;

/// Days that are forecast, the survey's own the first.
pub const DAYS: usize = 7;

/// Weeks of entry that are counted separately.
pub const WEEKS: usize = 26;

/// A survey's instant and what is counted from there, in calendar days of the rules' time zone.
///
/// ```text
///   … week 1 │ week 0: the week before │ the survey's day … seven days
///            ┴─────────────────────────┴─┬──┴──┴──┴──┴──┴──┴
///                                        at
/// ```
///
/// The forecast begins at the instant, so that a survey made soon after midnight forecasts the same days that the
/// survey seven days later looks back on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The survey's day, counted from 1970-01-01.
    pub day: i64,
    /// The instant, and the ends of the days to come.
    pub days: [Instant; DAYS + 1],
    /// The beginning of the survey's day, and of each week before it, the latest first.
    weeks: [Instant; WEEKS + 1],
}

impl Frame {
    #[must_use]
    pub fn new(calendar: &Calendar, at: Instant) -> Self {
        let day = calendar.period(at, Unit::Day);
        let (mut days, mut weeks) = ([at; DAYS + 1], [at; WEEKS + 1]);
        days.iter_mut().zip(day..).skip(1).for_each(|(edge, day)| *edge = calendar.start(day, Unit::Day));
        weeks.iter_mut().zip(0..).for_each(|(edge, week)| *edge = calendar.start(day - 7 * week, Unit::Day));
        Self { day, days, weeks }
    }

    #[must_use]
    pub fn at(&self) -> Instant {
        self.days[0]
    }

    /// The forecast day that an instant is in, from 0.
    #[must_use]
    pub fn day_of(&self, at: Instant) -> Option<usize> {
        self.days.windows(2).position(|day| day[0] <= at && at < day[1])
    }

    /// The week before the survey's day in which an instant lies: 0 is the latest.
    #[must_use]
    pub fn week_of(&self, at: Instant) -> Option<usize> {
        if at < self.weeks[WEEKS] {
            return None;
        }
        self.weeks.iter().position(|begins| *begins <= at)?.checked_sub(1)
    }

    #[must_use]
    pub fn was_last_week(&self, at: Instant) -> bool {
        self.week_of(at) == Some(0)
    }

    /// Sets the instant to that of a later part of the same day.
    pub(super) fn moves_to(&mut self, at: Instant) {
        self.days[0] = self.days[0].max(at);
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, WEEKS};
    use crate::calendar::Calendar;
    use crate::event::{Instant, Span};

    fn at(text: &str) -> Instant {
        Instant(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn the_days_to_come_are_those_that_the_next_week_looks_back_on() {
        let calendar = Calendar::new(jiff::tz::TimeZone::get("Europe/Paris").unwrap());
        // The clocks go forward on the 29th.
        let frame = Frame::new(&calendar, at("2026-03-26T08:00:00Z"));
        let next = Frame::new(&calendar, at("2026-04-01T22:00:00Z"));
        assert_eq!(next.day, frame.day + 7);
        assert_eq!(frame.days[7], next.at());
        for (day, instant) in [
            (0, "2026-03-26T08:00:00Z"),
            (0, "2026-03-26T22:59:59.999Z"),
            (3, "2026-03-29T00:00:00Z"),
            (6, "2026-04-01T21:59:59.999Z"),
        ] {
            assert_eq!(frame.day_of(at(instant)), Some(day), "{instant}");
            assert_eq!(next.week_of(at(instant)), Some(0), "{instant}");
        }
        for instant in ["2026-03-26T07:59:59.999Z", "2026-04-01T22:00:00Z"] {
            assert_eq!(frame.day_of(at(instant)), None, "{instant}");
        }
        assert_eq!(frame.week_of(at("2026-03-25T23:00:00Z")), None, "the day itself is no week before it");
        assert_eq!(frame.week_of(at("2026-03-25T22:59:59.999Z")), Some(0));
        assert_eq!(frame.week_of(at("2026-03-18T23:00:00Z")), Some(0));
        assert_eq!(frame.week_of(at("2026-03-18T22:59:59.999Z")), Some(1));
        assert_eq!(frame.week_of(frame.at() - Span((WEEKS as i64 + 1) * 7 * Span::DAY.0)), None);
        assert_eq!(frame.week_of(Instant::MIN), None);
    }
}
