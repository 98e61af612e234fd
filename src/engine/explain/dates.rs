//! Dates and lists as people write them.

/// The time of day to the minute, or as exactly as it must be.
pub(super) fn time_of_day(at: jiff::civil::DateTime) -> String {
    let (minutes, seconds, ms) = (format!("{:02}:{:02}", at.hour(), at.minute()), at.second(), at.millisecond());
    match (seconds, ms) {
        (0, 0) => minutes,
        (_, 0) => format!("{minutes}:{seconds:02}"),
        _ => format!("{minutes}:{seconds:02}.{ms:03}"),
    }
}

/// In a time zone; `None` for instants beyond the calendar.
pub(super) fn local(at: crate::event::Instant, zone: &jiff::tz::TimeZone) -> Option<jiff::civil::DateTime> {
    jiff::Timestamp::from_millisecond(at.0).ok().map(|stamp| zone.to_datetime(stamp))
}

/// `a, b or c`
pub(super) fn listed(names: &[&str], or: &str) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} {or} {last}", first.join(", ")),
        _ => names.concat(),
    }
}
