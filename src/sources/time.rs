//! Instants from what records hold: numbers of some unit, timestamps of Avro, and ISO-8601.

use jiff::civil::{Date, DateTime};
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;

use super::decimal::Decimal;
use crate::event::{Instant, Span};

/// The unit of a number that is an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    pub(super) const NAMES: [(&'static str, Self); 4] = [
        ("seconds", Self::Seconds),
        ("milliseconds", Self::Millis),
        ("microseconds", Self::Micros),
        ("nanoseconds", Self::Nanos),
    ];

    /// What makes milliseconds of it: a factor, and a divisor.
    fn in_millis(self) -> (i64, i64) {
        match self {
            Self::Seconds => (1_000, 1),
            Self::Millis => (1, 1),
            Self::Micros => (1, 1_000),
            Self::Nanos => (1, 1_000_000),
        }
    }
}

/// How a timestamp of Avro is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// Since 1970 in UTC.
    Utc,
    /// What a clock on the wall shows, which is an instant only in a time zone.
    Local,
    /// Debezium's: a database's time without a zone, which stands for UTC unless one is set.
    LocalOrUtc,
}

/// A timestamp of Avro.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) value: i64,
    pub(super) unit: Unit,
    pub(super) clock: Clock,
}

/// Why a value is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoInstant {
    #[error("has no time zone; set `time_zone`, or send an offset")]
    NoZone,
    #[error("is within three years of 1970 as milliseconds; if it is in seconds, write unit = \"seconds\"")]
    ProbablySeconds,
    #[error("is beyond the years 1 to 9999; write `unit` if it is not in milliseconds")]
    Beyond,
    #[error("is neither a number, a timestamp nor ISO-8601")]
    Unclear,
}

impl Moment {
    pub(super) fn instant(self, zone: Option<&TimeZone>) -> Result<Instant, NoInstant> {
        let (by, per) = self.unit.in_millis();
        let millis = self.value.checked_mul(by).ok_or(NoInstant::Beyond)?.div_euclid(per);
        match (self.clock, zone) {
            (Clock::Utc, _) | (Clock::LocalOrUtc, None) => Ok(Instant(millis)),
            (Clock::Local, None) => Err(NoInstant::NoZone),
            (Clock::Local | Clock::LocalOrUtc, Some(zone)) => {
                let since = jiff::SignedDuration::from_millis(millis);
                let local = EPOCH.checked_add(since).map_err(|_| NoInstant::Beyond)?;
                in_zone(local, zone)
            }
        }?
        .plausible()
        .ok_or(NoInstant::Beyond)
    }
}

/// A number in its unit; without one it is milliseconds, unless it is plainly something else.
pub(super) fn of_number(number: Decimal, unit: Option<Unit>) -> Result<Instant, NoInstant> {
    /// Every count of seconds until the year 5138 is below this, which as milliseconds is 1973.
    const PROBABLY_SECONDS: u64 = 100_000_000_000;
    let (by, per) = unit.unwrap_or(Unit::Millis).in_millis();
    let millis = number.times(by, per).ok_or(NoInstant::Beyond)?;
    if unit.is_none() && millis != 0 && millis.unsigned_abs() < PROBABLY_SECONDS {
        return Err(NoInstant::ProbablySeconds);
    }
    Instant(millis).plausible().ok_or(NoInstant::Beyond)
}

/// ISO-8601, also with a space, a comma or `UTC`; or a number as text.
pub(super) fn of_text(text: &str, unit: Option<Unit>, zone: Option<&TimeZone>) -> Result<Instant, NoInstant> {
    let text = text.trim();
    // Eight digits may be a date, ten are seconds, and fourteen a date and a time of day.
    let is_millis = matches!(text.len(), 12 | 13 | 15) && text.bytes().all(|byte| byte.is_ascii_digit());
    if unit.is_some() || is_millis {
        let number = Decimal::parse(text.as_bytes()).filter(|_| !text.contains(['e', 'E']));
        if let Some(number) = number {
            return of_number(number, unit);
        }
    }
    let (text, in_utc) = match text.strip_suffix("UTC") {
        Some(local) => (local.trim_end(), true),
        None => (text, false),
    };
    let pieces = Pieces::parse(text).map_err(|_| NoInstant::Unclear)?;
    let local = pieces.date().to_datetime(pieces.time().unwrap_or_default());
    let at = match (pieces.to_numeric_offset(), zone) {
        (Some(offset), _) => of_utc(local).map(|at| at - Span(i64::from(offset.seconds()) * 1_000)),
        (None, _) if in_utc => of_utc(local),
        (None, Some(zone)) => Some(in_zone(local, zone)?),
        (None, None) => return Err(NoInstant::NoZone),
    };
    at.and_then(Instant::plausible).ok_or(NoInstant::Beyond)
}

/// A text that is a time without being told its unit or zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextTime {
    /// It says its zone, or is a count of milliseconds.
    At(Instant),
    /// It needs a zone; the instant is that in UTC.
    Local(Instant),
}

/// The time that a text is; `None`: it is none.
pub(crate) fn time_of_text(text: &str) -> Option<TextTime> {
    match of_text(text, None, None) {
        Ok(at) => Some(TextTime::At(at)),
        Err(NoInstant::NoZone) => of_text(text, None, Some(&TimeZone::UTC)).ok().map(TextTime::Local),
        Err(_) => None,
    }
}

/// Midnight, or the first instant after it that exists.
pub(super) fn of_days(days: i32, zone: Option<&TimeZone>) -> Result<Instant, NoInstant> {
    let zone = zone.ok_or(NoInstant::NoZone)?;
    in_zone(date(days).ok_or(NoInstant::Beyond)?.at(0, 0, 0, 0), zone)
}

/// The date so many days after 1970-01-01.
pub(super) fn date(days: i32) -> Option<Date> {
    EPOCH.date().checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

const EPOCH: DateTime = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);

/// Of a time that the clocks show twice, the first; of one that they skip, as long after it as it is into the gap.
fn in_zone(local: DateTime, zone: &TimeZone) -> Result<Instant, NoInstant> {
    let zoned = local.to_zoned_datetime(zone.clone()).map_err(|_| NoInstant::Beyond)?;
    // Rounded down, before 1970 too.
    let nanos = zoned.timestamp().as_nanosecond();
    i64::try_from(nanos.div_euclid(1_000_000)).map(Instant).map_err(|_| NoInstant::Beyond)
}

fn of_utc(utc: DateTime) -> Option<Instant> {
    let since = utc.duration_since(EPOCH).as_nanos().div_euclid(1_000_000);
    i64::try_from(since).ok().map(Instant)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::{Clock, Moment, NoInstant, Unit, of_days, of_number, of_text};
    use crate::event::Instant;
    use crate::sources::decimal::Decimal;

    const NINE: Instant = Instant(1_767_603_600_000);

    fn paris() -> TimeZone {
        TimeZone::get("Europe/Paris").unwrap()
    }

    #[test]
    fn text_is_iso_in_its_many_spellings() {
        for same in [
            "2026-01-05T09:00:00Z",
            "2026-01-05 10:00:00+0100",
            "2026-01-05 09:00:00 UTC",
            "2026-01-05T10:00:00,0+01",
            "1767603600000",
            " 2026-01-05T09:00:00.000999Z ",
        ] {
            assert_eq!(of_text(same, None, None), Ok(NINE), "{same}");
        }
        assert_eq!(of_text("2026-01-05 10:00:00", None, Some(&paris())), Ok(NINE));
        assert_eq!(of_text("2026-01-05", None, Some(&paris())), Ok(Instant(NINE.0 - 10 * 3_600_000)));
        assert_eq!(of_text("2026-01-05 10:00:00", None, None), Err(NoInstant::NoZone));
        assert_eq!(of_text("1767603600", Some(Unit::Seconds), None), Ok(NINE));
        assert_eq!(of_text("2026-01-05T09:00:00Z", Some(Unit::Seconds), None), Ok(NINE));
        for none in ["1767603600", "yesterday", "", "2026-02-30T00:00:00Z", "1e12"] {
            assert!(of_text(none, None, Some(&paris())).is_err(), "{none}");
        }
    }

    #[test]
    fn a_clock_on_the_wall_needs_a_zone_and_its_gaps_are_jumped() {
        let moment = |clock| Moment { value: NINE.0 * 1_000 + 999, unit: Unit::Micros, clock };
        assert_eq!(moment(Clock::Utc).instant(Some(&paris())), Ok(NINE));
        assert_eq!(moment(Clock::Local).instant(None), Err(NoInstant::NoZone));
        assert_eq!(moment(Clock::LocalOrUtc).instant(None), Ok(NINE));
        assert_eq!(moment(Clock::Local).instant(Some(&paris())), Ok(Instant(NINE.0 - 3_600_000)));
        let skipped = of_text("2026-03-29 02:30:00", None, Some(&paris()));
        assert_eq!(skipped, of_text("2026-03-29T03:30:00+02:00", None, None));
        let twice = of_text("2026-10-25 02:30:00", None, Some(&paris()));
        assert_eq!(twice, of_text("2026-10-25T02:30:00+02:00", None, None));
        assert_eq!(of_days(20_458, Some(&paris())), of_text("2026-01-05", None, Some(&paris())));
        assert_eq!(of_days(0, None), Err(NoInstant::NoZone));
        for value in [i64::MIN, i64::MAX] {
            for unit in [Unit::Seconds, Unit::Millis] {
                for clock in [Clock::Utc, Clock::Local] {
                    assert_eq!(Moment { value, unit, clock }.instant(Some(&paris())), Err(NoInstant::Beyond));
                }
            }
        }
    }

    #[test]
    fn a_bare_number_is_milliseconds_unless_it_is_plainly_not() {
        let of = |number, unit| of_number(Decimal::integer(number), unit);
        assert_eq!(of(NINE.0, None), Ok(NINE));
        assert_eq!(of(NINE.0 / 1_000, None), Err(NoInstant::ProbablySeconds));
        assert_eq!(of(NINE.0 * 1_000, None), Err(NoInstant::Beyond));
        assert_eq!(of(NINE.0 / 1_000, Some(Unit::Seconds)), Ok(NINE));
        assert_eq!(of(NINE.0 * 1_000_000 + 999_999, Some(Unit::Nanos)), Ok(NINE));
        assert_eq!(of(i64::MAX, Some(Unit::Seconds)), Err(NoInstant::Beyond));
    }
}
