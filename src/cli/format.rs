//! Numbers, durations and reasons as text.

use crate::event::{DeadLetterReason, Span};

/// Digits in groups of three: `1,204`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 event`, `1,204 events`.
pub(super) fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { more })
}

/// In the largest unit that divides it: `72 hours` is `3 days`.
pub(super) fn length(span: Span) -> String {
    let units = [(Span::DAY, "day"), (Span::HOUR, "hour"), (Span::MINUTE, "minute"), (Span::SECOND, "second")];
    let fits = |unit: &(Span, &str)| span.0 >= unit.0.0 && span.0 % unit.0.0 == 0;
    match units.into_iter().find(fits) {
        Some((unit, name)) => {
            let count = span.0 / unit.0;
            format!("{count} {name}{}", if count == 1 { "" } else { "s" })
        }
        None => format!("{} ms", span.0),
    }
}

/// Bytes in a decimal unit, with two digits: `640 MB`, `2.1 GB`.
pub(super) fn size(bytes: u64) -> String {
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let Some((scale, unit)) = units.into_iter().find(|(scale, _)| bytes >= *scale) else {
        return format!("{bytes} bytes");
    };
    let tenths = bytes / (scale / 10);
    if tenths >= 100 { format!("{} {unit}", tenths / 10) } else { format!("{}.{} {unit}", tenths / 10, tenths % 10) }
}

/// What is wrong with the time of a rejected event.
pub(super) fn untimely(reason: DeadLetterReason) -> &'static str {
    match reason {
        DeadLetterReason::BadTime => "before time.earliest, or in seconds where milliseconds are expected",
        DeadLetterReason::Future => "ahead of the clock by more than time.max_future_skew",
        DeadLetterReason::TooLate => "older than stream time by more than time.max_lateness",
        // These reasons concern records that are not events.
        DeadLetterReason::WrongKey
        | DeadLetterReason::NoKey
        | DeadLetterReason::Undecodable
        | DeadLetterReason::UnknownSchema
        | DeadLetterReason::Oversized
        | DeadLetterReason::NoCustomer => "see the manual",
    }
}

#[cfg(test)]
mod tests {
    use super::{counted, grouped, length, size};
    use crate::event::Span;

    #[test]
    fn numbers_are_grouped_and_agree_with_their_noun() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(123_456_789), "123,456,789");
        assert_eq!(counted(1, "event", "events"), "1 event");
        assert_eq!(counted(0, "event", "events"), "0 events");
    }

    #[test]
    fn lengths_and_sizes_take_the_unit_that_suits_them() {
        assert_eq!(length(Span(72 * Span::HOUR.0)), "3 days");
        assert_eq!(length(Span(90 * Span::MINUTE.0)), "90 minutes");
        assert_eq!(length(Span(1)), "1 ms");
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(2_149_000_000), "2.1 GB");
        assert_eq!(size(64_900_000), "64 MB");
    }
}
