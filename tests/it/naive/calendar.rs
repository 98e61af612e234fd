//! Days, weeks and months in the rules' time zone.

use cohortd::event::Instant;
use cohortd::rules::ast::Unit;
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

pub(crate) struct Calendar {
    zone: TimeZone,
}

impl Calendar {
    pub(crate) fn new(zone: &str) -> Self {
        Self { zone: TimeZone::get(zone).expect("the document was read, so its time zone exists") }
    }

    /// The local day that holds `instant`.
    pub(crate) fn day(&self, instant: Instant) -> Date {
        self.zone.to_datetime(stamp(instant)).date()
    }

    /// The first day of the day, week (from Monday) or month that holds `instant`, `back` of them earlier.
    pub(crate) fn period(&self, unit: Unit, instant: Instant, back: u32) -> Date {
        let day = self.day(instant);
        let back = i64::from(back);
        let first = match unit {
            Unit::Day => day.checked_sub(back.days()),
            Unit::Week => day.checked_sub((i64::from(day.weekday().to_monday_zero_offset()) + 7 * back).days()),
            Unit::Month => day.first_of_month().checked_sub(back.months()),
            Unit::Second | Unit::Minute | Unit::Hour | Unit::Year => {
                unreachable!("the parser takes days, weeks and months only")
            }
        };
        first.expect("instants are far from the ends of the calendar")
    }

    /// The first instant that exists on a day: where midnight is skipped, the end of the gap.
    pub(crate) fn start(&self, day: Date) -> Instant {
        let midnight = day.at(0, 0, 0, 0);
        let ambiguous = self.zone.to_ambiguous_timestamp(midnight);
        let skipped = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
        let resolved = ambiguous.compatible().expect("instants are far from the ends of the calendar");
        // A gap that begins before midnight ends before the instant that midnight is resolved to; none ends after it.
        let first = match self.zone.preceding(resolved + 1.nanosecond()).next() {
            Some(change) if skipped => change.timestamp(),
            _ => resolved,
        };
        Instant(first.as_millisecond())
    }

    /// The first start of a day after `instant`.
    pub(crate) fn next_start(&self, instant: Instant) -> Instant {
        let mut day = self.day(instant);
        loop {
            day = day.tomorrow().expect("instants are far from the ends of the calendar");
            let start = self.start(day);
            // A day that a zone skips as a whole begins with the one after it.
            if start > instant {
                return start;
            }
        }
    }
}

fn stamp(instant: Instant) -> Timestamp {
    Timestamp::from_millisecond(instant.0).expect("instants are within the calendar")
}
