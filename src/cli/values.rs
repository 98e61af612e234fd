//! Values of arguments, as they are typed.

use super::history::Place;
use crate::app::reset::From;
use crate::event::{Instant, NotAnInstant, Span};
use crate::rules::parse_duration;

pub(super) fn key_and_value(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.trim().is_empty() => Ok(text.to_owned()),
        _ => Err("write it as KEY=VALUE, such as kafka.group_id=shop".to_owned()),
    }
}

/// Whole days, up to ten years.
pub(super) fn days(text: &str) -> Result<u32, String> {
    const MOST: i64 = 3_650;
    let span = |text| parse_duration(text).ok().map(|duration| duration.span.0).filter(|ms| ms % Span::DAY.0 == 0);
    let days = text.parse::<i64>().ok().or_else(|| span(text).map(|ms| ms / Span::DAY.0));
    days.filter(|days| (1..=MOST).contains(days))
        .and_then(|days| u32::try_from(days).ok())
        .ok_or_else(|| format!("write whole days, from 1 to {MOST}: 45, or '6 weeks'"))
}

/// A whole number is an offset, so times are dates here.
pub(super) fn place(text: &str) -> Result<Place, String> {
    match text.parse() {
        Ok(offset) if offset >= 0 => Ok(Place::Offset(offset)),
        _ if text == "now" => Ok(Place::Now),
        _ => match instant(text) {
            Ok(at) if text.contains('-') && at.0 >= 0 => Ok(Place::Time(at)),
            _ => Err("write an offset, 2026-12-31, 2026-12-31T08:00:00Z or now".to_owned()),
        },
    }
}

/// Above zero, up to one: `0.1`, `10 %`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share = match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse().map(|percent: f64| percent / 100.0),
        None => text.trim().parse(),
    };
    let share = share.ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "write a share above 0 and up to 1, such as 0.1 or '10 %'".to_owned())
}

/// Events per second: above zero, and no more than any cluster handles.
pub(super) fn pace(text: &str) -> Result<f64, String> {
    let pace = text.parse().ok().filter(|pace| (0.000_1..=1e9).contains(pace));
    pace.ok_or_else(|| "write a number of events from 0.0001 to 1000000000".to_owned())
}

pub(super) fn from(text: &str) -> Result<From, String> {
    match text {
        "stored" => Ok(From::Stored),
        "earliest" => Ok(From::Earliest),
        "latest" => Ok(From::Latest),
        time => instant(time).map(From::At).map_err(|problem| format!("{problem}; or stored, earliest or latest")),
    }
}

pub(super) fn instant(text: &str) -> Result<Instant, String> {
    Instant::written(text).map_err(|problem| match problem {
        NotAnInstant::ProbablySeconds | NotAnInstant::Beyond => format!("{problem}; write milliseconds, or a date"),
        NotAnInstant::Unclear => "write 2026-12-31, 2026-12-31T08:00:00Z or milliseconds since 1970".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::{From, Place, days, from, instant, place, share};
    use crate::event::Instant;

    #[test]
    fn a_place_is_an_offset_a_time_or_now() {
        assert_eq!(place("0"), Ok(Place::Offset(0)));
        assert_eq!(place("now"), Ok(Place::Now));
        assert_eq!(place("1970-01-02"), Ok(Place::Time(Instant(86_400_000))));
        assert!(place("-1").is_err());
        assert!(place("earliest").is_err());
    }

    #[test]
    fn a_reset_goes_on_from_a_word_or_a_time() {
        assert_eq!(from("stored"), Ok(From::Stored));
        assert_eq!(from("1970-01-02"), Ok(From::At(Instant(86_400_000))));
        assert!(from("yesterday").is_err());
    }

    #[test]
    fn a_horizon_is_whole_days() {
        assert_eq!(days("45"), Ok(45));
        assert_eq!(days("6 weeks"), Ok(42));
        assert!(days("36 hours").is_err());
        assert!(days("0").is_err());
        assert!(days("3651").is_err());
    }

    #[test]
    fn a_share_is_a_fraction_or_a_percentage() {
        assert_eq!((share("0.1"), share("10 %"), share("100%")), (Ok(0.1), Ok(0.1), Ok(1.0)));
        assert!(["0", "1.1", "-1", "NaN", "ten", "%"].into_iter().all(|wrong| share(wrong).is_err()));
    }

    #[test]
    fn an_instant_is_milliseconds_a_stamp_or_a_date_in_utc() {
        assert_eq!(instant("1700000000000"), Ok(Instant(1_700_000_000_000)));
        assert_eq!(instant("1970-01-02"), Ok(Instant(86_400_000)));
        assert_eq!(instant("1970-01-01T02:00:00.5+01:00"), Ok(Instant(3_600_500)));
        assert!(instant("1700000000").is_err());
        assert!(instant("1700000000000000").is_err());
        assert!(instant("1970-01-02T00:00:00").is_err());
        assert!(instant("yesterday").is_err());
    }
}
