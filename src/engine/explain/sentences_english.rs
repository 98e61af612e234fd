//! Evidence in English.

use super::reasons::Reasons;
use super::rounded::{Rounded, TimeUnit, rounded};
use crate::engine::effects::{Finding, Quantity, RiskCause};
use crate::event::{Change, Number, Span};
use crate::fact::Counted;

pub(super) const EDITED: &str = "The rules were changed.";

pub(super) fn sentence(title: &str, change: Change, reasons: &Reasons) -> String {
    let verb = match change {
        Change::Entered => "Entered",
        Change::Exited => "Left",
    };
    let (no_longer, clauses) = match reasons {
        Reasons::Hold(clauses) => ("", clauses),
        Reasons::NoLongerHold(clauses) => (", as this no longer holds", clauses),
    };
    if clauses.is_empty() {
        return format!("{verb} {title}.");
    }
    format!("{verb} {title}{no_longer}: {}.", clauses.join("; "))
}

pub(super) fn at_most(span: Span) -> String {
    format!("stays at most {}", length(span))
}

pub(super) fn excluded(first: &str, group: &str) -> String {
    format!("gives way to {first} in the group {group}")
}

pub(super) fn found(found: &Finding) -> String {
    match found {
        Finding::Nothing => String::new(),
        Finding::None { last: None } | Finding::Times(0) => "none".into(),
        Finding::None { last: Some(last) } | Finding::Last(last) => format!("last one {}", ago(*last)),
        Finding::Some { count: 1, of, last, .. } => format!("{}, {}", one(*of), ago(*last)),
        Finding::Some { count, at_least, of, last } => {
            let at_least = if *at_least { "at least " } else { "" };
            format!("{at_least}{count} {}, last {}", more(*of), ago(*last))
        }
        Finding::Times(1) => "once".into(),
        Finding::Times(count) => format!("{count} times"),
        Finding::TooNew { counts_in: Some(span) } => {
            format!("none, but not known for long enough: another {}", length(*span))
        }
        Finding::TooNew { counts_in: None } => "none, but not known from the beginning".into(),
        Finding::NotStarted => "not started".into(),
        Finding::Waited(span) => format!("waited {}", length(*span)),
        Finding::NothingOverdue => "nothing overdue".into(),
        Finding::Complete(span) => format!("complete {}", ago(*span)),
        Finding::NotComplete => "not complete".into(),
        Finding::Passing { count, of } => format!("in {count} of {of}"),
        Finding::InARow(0) => "none".into(),
        Finding::InARow(count) => format!("{count} in a row"),
        Finding::In(Span(0)) => "just now".into(),
        Finding::In(span) => format!("for {}", length(*span)),
        Finding::Entered(span) => format!("entered {}", ago(*span)),
        Finding::Ago(span) => ago(*span),
        Finding::Outside(span) => format!("{}, not in that time", ago(*span)),
        Finding::Never => "never".into(),
        Finding::Quantity(value) => quantity(value),
        Finding::Ranked { value, threshold } => format!("{}, threshold {}", quantity(value), quantity(threshold)),
        Finding::Unranked => "not ranked".into(),
        Finding::NoThreshold => "no threshold: too few customers, or none computed yet".into(),
        Finding::Against { value, other, usual_gap } => {
            let name = if *usual_gap { "usual gap" } else { "against" };
            format!("{}, {name} {}", quantity(value), quantity(other))
        }
    }
}

fn one(of: Counted) -> &'static str {
    match of {
        Counted::Times => "once",
        Counted::Values => "one",
        Counted::Days => "one day",
        Counted::Weeks => "one week",
        Counted::Months => "one month",
    }
}

fn more(of: Counted) -> &'static str {
    match of {
        Counted::Times => "times",
        Counted::Values => "different",
        Counted::Days => "days",
        Counted::Weeks => "weeks",
        Counted::Months => "months",
    }
}

fn quantity(quantity: &Quantity) -> String {
    match *quantity {
        Quantity::Missing => "missing".into(),
        Quantity::Number(number) => number.to_string(),
        Quantity::Since(Span(0)) => "just now".into(),
        Quantity::Since(span) | Quantity::Length(span) => length(span),
        Quantity::AtOnce => "at once".into(),
        Quantity::More(number) if number > Number::ZERO => format!("+{number}"),
        Quantity::More(number) => number.to_string(),
        Quantity::Percent(part) => {
            let sign = if part > Number::ZERO { "+" } else { "" };
            format!("{sign}{} %", Number(part.0.saturating_mul(100)))
        }
        Quantity::Longer(Span(0)) => "no change".into(),
        Quantity::Longer(Span(less)) if less < 0 => format!("{} less", length(Span(-less))),
        Quantity::Longer(more) => format!("{} more", length(more)),
        Quantity::Bool(flag) => flag.to_string(),
        Quantity::Level(ref name) => name.to_string(),
        Quantity::Text => "a text".into(),
    }
}

pub(super) fn risk(level: &str, factors: &[String]) -> String {
    format!("Risk is {level}: {}.", factors.join("; "))
}

pub(super) fn cause(cause: RiskCause) -> String {
    match cause {
        RiskCause::Once => "came once".into(),
        RiskCause::Rhythm(span) => format!("comes about every {}", in_days(span)),
        RiskCause::Silence(span) => format!("silent for {}", in_days(span)),
        RiskCause::Falling => "on fewer days lately".into(),
        RiskCause::Signal(_) => String::new(),
    }
}

/// Whole days: hours would be too precise for a rhythm.
fn in_days(span: Span) -> String {
    match span.0.div_euclid(Span::DAY.0) {
        0 => "less than a day".into(),
        1 => "1 day".into(),
        days => format!("{days} days"),
    }
}

fn ago(span: Span) -> String {
    match span {
        Span(0) => "just now".into(),
        span => format!("{} ago", length(span)),
    }
}

fn length(span: Span) -> String {
    let counted = |count: i64, unit: TimeUnit| {
        let word = match unit {
            TimeUnit::Day => "day",
            TimeUnit::Hour => "hour",
            TimeUnit::Minute => "minute",
            TimeUnit::Second => "second",
        };
        format!("{count} {word}{}", if count == 1 { "" } else { "s" })
    };
    match rounded(span) {
        Rounded::Milliseconds(ms) => format!("{ms} ms"),
        Rounded::Units { count, unit, rest: Some((rest, smaller)), .. } => {
            format!("{} {}", counted(count, unit), counted(rest, smaller))
        }
        Rounded::Units { count, unit, just_over: true, .. } => format!("just over {}", counted(count, unit)),
        Rounded::Units { count, unit, .. } => counted(count, unit),
    }
}

#[cfg(test)]
mod tests {
    use super::length;
    use crate::event::Span;

    #[test]
    fn lengths_are_short_and_not_misleading() {
        let of = |days: i64, hours: i64, ms: i64| length(Span(days * Span::DAY.0 + hours * Span::HOUR.0 + ms));
        assert_eq!(of(90, 0, 0), "90 days");
        assert_eq!(of(90, 7, 0), "90 days");
        assert_eq!(of(2, 21, 5), "2 days 21 hours");
        assert_eq!(of(1, 0, 0), "1 day");
        assert_eq!(of(1, 1, 0), "25 hours");
        assert_eq!(of(0, 2, 1), "just over 2 hours");
        assert_eq!(of(0, 0, 1_500), "1500 ms");
    }
}
