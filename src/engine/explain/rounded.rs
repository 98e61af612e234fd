//! Lengths of time rounded for people.

use crate::event::Span;

/// A length in its largest unit of which there are at least two (or exactly one); below ten of them with the rest in
/// the next smaller unit, so that the text is short and not misleading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounded {
    Milliseconds(i64),
    Units { count: i64, unit: TimeUnit, rest: Option<(i64, TimeUnit)>, just_over: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeUnit {
    Day,
    Hour,
    Minute,
    Second,
}

pub(super) fn rounded(span: Span) -> Rounded {
    let units = [
        (Span::DAY.0, TimeUnit::Day),
        (Span::HOUR.0, TimeUnit::Hour),
        (Span::MINUTE.0, TimeUnit::Minute),
        (Span::SECOND.0, TimeUnit::Second),
    ];
    let Some(index) = units.iter().position(|(unit, _)| span.0 >= 2 * unit || span.0 == *unit) else {
        return Rounded::Milliseconds(span.0);
    };
    let (length, unit) = units[index];
    let (count, rest) = (span.0 / length, span.0 % length);
    let smaller = units.get(index + 1).filter(|(unit, _)| count < 10 && rest >= *unit);
    let smaller = smaller.map(|(length, unit)| (rest / length, *unit));
    // Conditions change at round lengths, and often a millisecond later.
    let just_over = smaller.is_none() && (1..Span::SECOND.0).contains(&rest);
    Rounded::Units { count, unit, rest: smaller, just_over }
}
