//! Instants and durations, in whole milliseconds.

use std::ops::{Add, Sub};

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use jiff::fmt::temporal::Pieces;

/// Milliseconds since 1970-01-01T00:00:00Z. `MAX` means never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(pub i64);

/// A duration in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub i64);

impl Instant {
    /// Never: later than every event and every deadline.
    pub const MAX: Self = Self(i64::MAX);
    /// Earlier than every event: stream time of a partition that has read nothing.
    pub const MIN: Self = Self(i64::MIN);

    /// The beginning of the year 1. Earlier instants are mistakes of unit.
    pub const EARLIEST: Self = Self(-62_135_596_800_000);
    /// The last millisecond of the year 9999. Later instants are mistakes of unit, and cannot be written in ISO-8601.
    pub const LATEST: Self = Self(253_402_300_799_999);

    /// Parses ISO-8601 with an offset: `2026-01-31T08:00:00Z`, `2026-01-31 09:00:00.5+01:00`. Rounds down to
    /// milliseconds, also before 1970, so that the order of instants is kept. A leap second counts as the second before
    /// it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // Without jiff's timestamps, whose range ends before the last day of the year 9999.
        let pieces = Pieces::parse(text).ok()?;
        let local = pieces.date().to_datetime(pieces.time()?);
        let seconds = i64::from(pieces.to_numeric_offset()?.seconds());
        Self::of_utc(local).map(|at| at - Span(seconds * Span::SECOND.0))
    }

    /// Parses an instant from settings or the command line: as `parse`, or a date, for its midnight in UTC, or
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// Anything else; milliseconds that are probably seconds; beyond the years 1 to 9999.
    pub fn written(text: &str) -> Result<Self, NotAnInstant> {
        /// Every count of seconds until the year 5138 is below this, which as milliseconds is 1973.
        const PROBABLY_SECONDS: u64 = 100_000_000_000;
        let text = text.trim();
        let at = if let Ok(ms) = text.replace('_', "").parse::<i64>() {
            if ms != 0 && ms.unsigned_abs() < PROBABLY_SECONDS {
                return Err(NotAnInstant::ProbablySeconds);
            }
            Self(ms)
        } else {
            Self::parse(text).or_else(|| Self::of_date(text)).ok_or(NotAnInstant::Unclear)?
        };
        at.plausible().ok_or(NotAnInstant::Beyond)
    }

    /// The instant, if it is within the years 1 to 9999. Microseconds taken for milliseconds are far outside.
    #[must_use]
    pub fn plausible(self) -> Option<Self> {
        (Self::EARLIEST..=Self::LATEST).contains(&self).then_some(self)
    }

    /// A date alone. With a time of day but without an offset it would be ambiguous.
    fn of_date(text: &str) -> Option<Self> {
        let date: Option<Date> = (text.len() == "2026-12-31".len()).then(|| text.parse().ok()).flatten();
        Self::of_utc(date?.at(0, 0, 0, 0))
    }

    fn of_utc(utc: DateTime) -> Option<Self> {
        let since = utc.duration_since(EPOCH).as_nanos().div_euclid(1_000_000);
        i64::try_from(since).ok().map(Self)
    }

    /// The text as it is displayed, if the instant is [`plausible`](Self::plausible): otherwise years have more than
    /// four digits, or a sign.
    #[must_use]
    pub fn iso(self) -> Option<IsoText> {
        let Self(ms) = self.plausible()?;
        let (days, in_day) = (ms.div_euclid(Span::DAY.0), ms.rem_euclid(Span::DAY.0).unsigned_abs());
        let (year, month, day) = civil(days);
        let mut text = IsoText(*b"0000-00-00T00:00:00.000Z");
        text.put(0, 4, year);
        text.put(5, 7, month);
        text.put(8, 10, day);
        text.put(11, 13, in_day / 3_600_000);
        text.put(14, 16, in_day / 60_000 % 60);
        text.put(17, 19, in_day / 1_000 % 60);
        text.put(20, 23, in_day % 1_000);
        Some(text)
    }

    /// The next millisecond.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The duration since `earlier`; negative if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// An instant as it is displayed, on the stack.
#[derive(Debug, Clone, Copy)]
pub struct IsoText([u8; IsoText::LENGTH]);

impl IsoText {
    pub const LENGTH: usize = "2026-01-31T08:00:00.000Z".len();

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("digits and punctuation are ASCII")
    }

    /// Writes a number with leading zeros from one place up to another.
    fn put(&mut self, from: usize, to: usize, mut value: u64) {
        for place in self.0[from..to].iter_mut().rev() {
            *place = b'0' + (value % 10) as u8;
            value /= 10;
        }
    }
}

/// Year, month and day of a count of days since 1970, in the Gregorian calendar, for years from 0. Years are counted
/// from March, so that the leap day is the last, in eras of 400 years.
fn civil(days: i64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    /// From the first of March of the year 0 to 1970.
    const TO_1970: i64 = 719_468;
    let days = days.saturating_add(TO_1970).unsigned_abs();
    let (era, day_of_era) = (days / ERA, days % ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

const EPOCH: DateTime = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);

/// Why [`Instant::written`] failed. Callers add what to write instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnInstant {
    #[error("this would be within three years of 1970")]
    ProbablySeconds,
    #[error("this is beyond the years 1 to 9999")]
    Beyond,
    #[error("this is not a valid time")]
    Unclear,
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Add<Span> for Instant {
    type Output = Self;
    /// Saturates, so that never stays never.
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Instant {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Span {
    pub const SECOND: Self = Self(1_000);
    pub const MINUTE: Self = Self(60_000);
    pub const HOUR: Self = Self(3_600_000);
    pub const DAY: Self = Self(86_400_000);
}

impl std::fmt::Display for Instant {
    /// ISO-8601 in UTC with milliseconds, for people; the wire carries the number.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(text) = self.iso() {
            return f.write_str(text.as_str());
        }
        match EPOCH.checked_add(SignedDuration::from_millis(self.0)) {
            Ok(utc) => write!(f, "{utc:.3}Z"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{EPOCH, Instant, NotAnInstant, SignedDuration};

    proptest! {
        #[test]
        fn an_instant_is_displayed_as_jiff_displays_it(ms in Instant::EARLIEST.0..=Instant::LATEST.0) {
            let utc = EPOCH.checked_add(SignedDuration::from_millis(ms)).unwrap();
            prop_assert_eq!(Instant(ms).to_string(), format!("{utc:.3}Z"));
        }
    }

    #[test]
    fn every_day_of_an_era_has_its_date() {
        let first = Instant::parse("1999-12-31T00:00:00Z").unwrap();
        for day in 0..146_099 {
            let at = first + super::Span(day * super::Span::DAY.0);
            let utc = EPOCH.checked_add(SignedDuration::from_millis(at.0)).unwrap();
            assert_eq!(at.iso().unwrap().as_str(), format!("{utc:.3}Z"));
        }
        assert!(Instant(Instant::LATEST.0 + 1).iso().is_none() && Instant(Instant::EARLIEST.0 - 1).iso().is_none());
    }

    #[test]
    fn an_instant_has_one_meaning_in_all_its_spellings() {
        let nine = Instant(1_767_603_600_000);
        for same in [
            "2026-01-05T09:00:00Z",
            "2026-01-05t09:00:00z",
            "2026-01-05 09:00:00+00:00",
            "2026-01-05T10:00:00+01:00",
            "2026-01-05T10:00:00.000999+0100",
            "2026-01-05T10:00:00,0+01",
            "20260105T090000Z",
            "2026-01-05T03:30-05:30",
            "2026-01-05T10:00:00+01:00[Europe/Paris]",
        ] {
            assert_eq!(Instant::parse(same), Some(nine), "{same}");
            assert_eq!(Instant::written(same), Ok(nine), "{same}");
        }
        assert_eq!(Instant::written(" 1_767_603_600_000 "), Ok(nine));
        assert_eq!(Instant::parse("2016-12-31T23:59:60Z"), Instant::parse("2016-12-31T23:59:59Z"));
        for none in ["2026-01-05", "2026-01-05T09:00:00", "2026-02-30T00:00:00Z", "09:00:00Z", "yesterday", ""] {
            assert_eq!(Instant::parse(none), None, "{none}");
        }
    }

    #[test]
    fn the_first_and_the_last_instant_are_read_and_shown() {
        for (at, text) in [
            (Instant::EARLIEST, "0001-01-01T00:00:00.000Z"),
            (Instant(-1), "1969-12-31T23:59:59.999Z"),
            (Instant(1_767_603_600_120), "2026-01-05T09:00:00.120Z"),
            (Instant(253_402_214_400_000), "9999-12-31T00:00:00.000Z"),
            (Instant::LATEST, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!((at.to_string().as_str(), Instant::parse(text)), (text, Some(at)));
            assert_eq!(Instant::written(text), Ok(at));
        }
        assert_eq!(Instant::parse("9999-12-31T23:00:00-02:00"), Some(Instant(Instant::LATEST.0 + 3_600_001)));
        assert_eq!(Instant::MAX.to_string(), format!("{} ms", i64::MAX));
    }

    #[test]
    fn people_write_dates_and_milliseconds_but_never_seconds() {
        assert_eq!(Instant::written("9999-12-31"), Ok(Instant(253_402_214_400_000)));
        assert_eq!(Instant::written("1970-01-02"), Ok(Instant(86_400_000)));
        assert_eq!(Instant::written("1700000000"), Err(NotAnInstant::ProbablySeconds));
        assert_eq!(Instant::written("1700000000000000"), Err(NotAnInstant::Beyond));
        assert_eq!(Instant::written("0000-12-31"), Err(NotAnInstant::Beyond));
        assert_eq!(Instant::written("1970-01-02T00:00:00"), Err(NotAnInstant::Unclear));
        assert_eq!(Instant::written("10000-01-01"), Err(NotAnInstant::Unclear));
    }
}
