//! Evidence in English.

use super::pieces::{plus, push_all};
use super::reasons::Reasons;
use super::rounded::{Rounded, TimeUnit, rounded};
use crate::engine::effects::{Finding, Quantity, RiskCause};
use crate::event::{Change, Digits, Number, Span};
use crate::fact::Counted;

pub(super) const EDITED: &str = "The rules were changed.";

/// Between two clauses.
pub(super) const BETWEEN: &str = "; ";

/// A sentence up to its clauses.
pub(super) fn opening(title: &str, change: Change, out: &mut String) {
    out.push_str(match change {
        Change::Entered => "Entered ",
        Change::Exited => "Left ",
    });
    out.push_str(title);
}

/// Before the first clause.
pub(super) fn before_clauses(reasons: Reasons) -> &'static str {
    match reasons {
        Reasons::Hold => ": ",
        Reasons::NoLongerHold => ", as this no longer holds: ",
    }
}

pub(super) fn at_most(span: Span, out: &mut String) {
    out.push_str("stays at most ");
    length(span, out);
}

pub(super) fn excluded(first: &str, group: &str, out: &mut String) {
    push_all(out, &["gives way to ", first, " in the group ", group]);
}

pub(super) fn found(found: &Finding, out: &mut String) {
    match found {
        Finding::Nothing => {}
        Finding::None { last: None } | Finding::Times(0) | Finding::InARow(0) => out.push_str("none"),
        Finding::None { last: Some(last) } | Finding::Last(last) => {
            out.push_str("last one ");
            ago(*last, out);
        }
        Finding::Some { count: 1, of, last, .. } => {
            push_all(out, &[one(*of), ", "]);
            ago(*last, out);
        }
        Finding::Some { count, at_least, of, last } => {
            out.push_str(if *at_least { "at least " } else { "" });
            push_all(out, &[Digits::of_unsigned(*count as u64).as_str(), " ", more(*of), ", last "]);
            ago(*last, out);
        }
        Finding::Times(1) => out.push_str("once"),
        Finding::Times(count) => push_all(out, &[Digits::of_unsigned(*count).as_str(), " times"]),
        Finding::TooNew { counts_in: Some(span) } => {
            out.push_str("none, but not known for long enough: another ");
            length(*span, out);
        }
        Finding::TooNew { counts_in: None } => out.push_str("none, but not known from the beginning"),
        Finding::NotStarted => out.push_str("not started"),
        Finding::Waited(span) => {
            out.push_str("waited ");
            length(*span, out);
        }
        Finding::NothingOverdue => out.push_str("nothing overdue"),
        Finding::Complete(span) => {
            out.push_str("complete ");
            ago(*span, out);
        }
        Finding::NotComplete => out.push_str("not complete"),
        Finding::Passing { count, of } => {
            push_all(out, &["in ", Digits::of(*count).as_str(), " of ", Digits::of((*of).into()).as_str()]);
        }
        Finding::InARow(count) => push_all(out, &[Digits::of((*count).into()).as_str(), " in a row"]),
        Finding::In(Span(0)) => out.push_str("just now"),
        Finding::In(span) => {
            out.push_str("for ");
            length(*span, out);
        }
        Finding::Entered(span) => {
            out.push_str("entered ");
            ago(*span, out);
        }
        Finding::Ago(span) => ago(*span, out),
        Finding::Outside(span) => {
            ago(*span, out);
            out.push_str(", not in that time");
        }
        Finding::Never => out.push_str("never"),
        Finding::Quantity(value) => quantity(value, out),
        Finding::Ranked { value, threshold } => pair(value, ", threshold ", threshold, out),
        Finding::Unranked => out.push_str("not ranked"),
        Finding::NoThreshold => out.push_str("no threshold: too few customers, or none computed yet"),
        Finding::Against { value, other, usual_gap: true } => pair(value, ", usual gap ", other, out),
        Finding::Against { value, other, usual_gap: false } => pair(value, ", against ", other, out),
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

fn pair(value: &Quantity, between: &str, other: &Quantity, out: &mut String) {
    quantity(value, out);
    out.push_str(between);
    quantity(other, out);
}

fn quantity(quantity: &Quantity, out: &mut String) {
    match *quantity {
        Quantity::Missing => out.push_str("missing"),
        Quantity::Number(value) => number(value, out),
        Quantity::Since(Span(0)) => out.push_str("just now"),
        Quantity::Since(span) | Quantity::Length(span) => length(span, out),
        Quantity::AtOnce => out.push_str("at once"),
        Quantity::More(value) => {
            out.push_str(plus(value));
            number(value, out);
        }
        Quantity::Percent(part) => {
            out.push_str(plus(part));
            number(Number(part.0.saturating_mul(100)), out);
            out.push_str(" %");
        }
        Quantity::Longer(Span(0)) => out.push_str("no change"),
        Quantity::Longer(Span(less)) if less < 0 => {
            length(Span(-less), out);
            out.push_str(" less");
        }
        Quantity::Longer(more) => {
            length(more, out);
            out.push_str(" more");
        }
        Quantity::Bool(true) => out.push_str("true"),
        Quantity::Bool(false) => out.push_str("false"),
        Quantity::Level(ref name) => out.push_str(name),
        Quantity::Text => out.push_str("a text"),
    }
}

fn number(number: Number, out: &mut String) {
    number.write_to(out).expect("a string takes everything");
}

/// Of the risk, up to its factors.
pub(super) fn risk_opening(level: &str, out: &mut String) {
    push_all(out, &["Risk is ", level, ": "]);
}

pub(super) fn cause(cause: RiskCause, out: &mut String) {
    match cause {
        RiskCause::Once => out.push_str("came once"),
        RiskCause::Rhythm(span) => {
            out.push_str("comes about every ");
            in_days(span, out);
        }
        RiskCause::Silence(span) => {
            out.push_str("silent for ");
            in_days(span, out);
        }
        RiskCause::Falling => out.push_str("on fewer days lately"),
        RiskCause::Signal(_) => {}
    }
}

/// Whole days: hours would be too precise for a rhythm.
fn in_days(span: Span, out: &mut String) {
    match span.0.div_euclid(Span::DAY.0) {
        0 => out.push_str("less than a day"),
        1 => out.push_str("1 day"),
        days => push_all(out, &[Digits::of(days).as_str(), " days"]),
    }
}

fn ago(span: Span, out: &mut String) {
    if span == Span(0) {
        return out.push_str("just now");
    }
    length(span, out);
    out.push_str(" ago");
}

fn length(span: Span, out: &mut String) {
    match rounded(span) {
        Rounded::Milliseconds(ms) => push_all(out, &[Digits::of(ms).as_str(), " ms"]),
        Rounded::Units { count, unit, rest, just_over } => {
            out.push_str(if just_over { "just over " } else { "" });
            counted(count, unit, out);
            if let Some((rest, smaller)) = rest {
                out.push(' ');
                counted(rest, smaller, out);
            }
        }
    }
}

fn counted(count: i64, unit: TimeUnit, out: &mut String) {
    let (one, more) = match unit {
        TimeUnit::Day => (" day", " days"),
        TimeUnit::Hour => (" hour", " hours"),
        TimeUnit::Minute => (" minute", " minutes"),
        TimeUnit::Second => (" second", " seconds"),
    };
    push_all(out, &[Digits::of(count).as_str(), if count == 1 { one } else { more }]);
}

#[cfg(test)]
mod tests {
    use super::length;
    use crate::event::Span;

    #[test]
    fn lengths_are_short_and_not_misleading() {
        let of = |days: i64, hours: i64, ms: i64| {
            let mut text = String::new();
            length(Span(days * Span::DAY.0 + hours * Span::HOUR.0 + ms), &mut text);
            text
        };
        assert_eq!(of(90, 0, 0), "90 days");
        assert_eq!(of(90, 7, 0), "90 days");
        assert_eq!(of(2, 21, 5), "2 days 21 hours");
        assert_eq!(of(1, 0, 0), "1 day");
        assert_eq!(of(1, 1, 0), "25 hours");
        assert_eq!(of(0, 2, 1), "just over 2 hours");
        assert_eq!(of(0, 0, 1_500), "1500 ms");
    }
}
