//! Conditions that hold for other customers than one would expect.

use super::likeness::words_at;
use super::{Page, Warning, Words, conjuncts};
use crate::event::Span;
use crate::rules::ast::{
    Bound, Compare, CompareTest, Count, Did, Events, Expr, ExprKind, Function, Literal, MeasureKind, Op, Operand, Step,
    Window,
};
use crate::rules::document::Written;

pub(super) fn all(page: &Page<'_>, found: &mut Vec<Warning>) {
    for location in page.document.expressions() {
        let written = location.2;
        let mut warn = |part: &Expr, message: String, hint: &str| {
            found.push(page.warning(location, part.range, message, hint));
        };
        each_with_others(&written.expr, &[], &mut |part, others| match &part.kind {
            ExprKind::And(parts) => {
                repeated(written, parts, &mut warn);
                shadowed(written, parts, &mut warn);
            }
            ExprKind::Or(parts) => repeated(written, parts, &mut warn),
            ExprKind::Did(did) => {
                if did.negated && did.window == Window::Ever && !says_ever(written, part) {
                    let message = "`did not` has no window here, so one event at any time ends it for good".to_owned();
                    warn(part, message, "add a window, such as `in the last 30 days`, or `ever` if this is intended");
                }
                if is_at_least_zero(did) {
                    let hint = "use a higher count, or remove the condition";
                    warn(part, "`at least 0` holds for everybody".to_owned(), hint);
                }
            }
            ExprKind::Not(inner) => {
                if let ExprKind::Compare(compare) = &inner.kind
                    && let Some(what) = may_be_missing(page, written, compare, others)
                {
                    let message = format!("`not` also holds where `{what}` is missing");
                    warn(
                        part,
                        message,
                        &format!("add `{what} is known and` before it, or use the opposite comparison"),
                    );
                }
            }
            ExprKind::Compare(compare) => {
                if let Some(text) = number_against_text(compare) {
                    let message = format!("this is a number and `{text}` is a text: the comparison never holds");
                    warn(part, message, "compare it with a number");
                }
                if let Some(span) = at_one_instant(compare) {
                    let message = "this holds for one millisecond only".to_owned();
                    let length = length_after(&words_at(written, part.range), &["="]);
                    let days = span.0.div_euclid(Span::DAY.0);
                    let hint = match span.0.rem_euclid(Span::DAY.0) {
                        0 => format!("write `between {days} days and {} days`, or `>= {length}`", days + 1),
                        _ => format!("write `>= {length}`, `<= {length}`, or between two lengths"),
                    };
                    warn(part, message, &hint);
                }
            }
            _ => {}
        });
    }
}

/// Calls `look` for the expression and every expression inside it, with all that is joined to it by `and`, at outer
/// levels too.
fn each_with_others<'e>(expr: &'e Expr, others: &[&'e Expr], look: &mut impl FnMut(&'e Expr, &[&'e Expr])) {
    look(expr, others);
    match &expr.kind {
        ExprKind::And(parts) => {
            let joined: Vec<&Expr> = others.iter().copied().chain(conjuncts(expr)).collect();
            parts.iter().for_each(|part| each_with_others(part, &joined, look));
        }
        ExprKind::Or(parts) => parts.iter().for_each(|part| each_with_others(part, others, look)),
        ExprKind::Not(inner) => each_with_others(inner, others, look),
        _ => {}
    }
}

fn repeated(written: &Written, parts: &[Expr], warn: &mut impl FnMut(&Expr, String, &str)) {
    let words: Vec<Option<Words>> = parts.iter().map(|part| Words::of(written, part)).collect();
    for (at, part) in parts.iter().enumerate() {
        if words[at].is_some() && words[..at].contains(&words[at]) {
            warn(part, "this repeats a condition before it".to_owned(), "remove it, or correct what should differ");
        }
    }
}

/// Names of events with which a customer becomes known.
const BEGINNINGS: [&str; 7] =
    ["signup", "sign_up", "signed_up", "registered", "registration", "account_created", "inscription"];

/// Warns about a recent first event combined with `did not`: the latter waits until a customer has been known for its
/// window, by when the first event is no longer recent.
fn shadowed(written: &Written, parts: &[Expr], warn: &mut impl FnMut(&Expr, String, &str)) {
    let lately = |did: &Did| match (&did.step.events, &did.count, &did.window) {
        (Events::Named(names), None | Some(Count::FirstTime), Window::Last(within)) if !did.negated => {
            let begins = names.iter().all(|name| BEGINNINGS.contains(&name.text.as_str()));
            (begins || did.count == Some(Count::FirstTime)).then_some(within.span)
        }
        _ => None,
    };
    let begun = parts.iter().find_map(|part| match &part.kind {
        ExprKind::Did(did) => Some((what_is_done(written, part), lately(did)?)),
        _ => None,
    });
    let Some((first, within)) = begun else { return };
    for part in parts {
        let ExprKind::Did(did) = &part.kind else { continue };
        let (Events::Named(_), Window::Last(waits)) = (&did.step.events, &did.window) else { continue };
        if did.negated && did.count.is_none() && !did.even_if_new && waits.span >= within {
            let message = format!(
                "this waits until a customer has been known for its window, and a customer who began with \
                 `{first}` has been known for only as long: no new customer is in"
            );
            let hint = format!(
                "write `{first} then no {} within {}` in place of both, or `even if new` after this",
                what_is_done(written, part),
                length_after(&words_at(written, part.range), &["in", "the", "last"])
            );
            warn(part, message, &hint);
        }
    }
}

/// The events of a `did`, with their filters, as written.
fn what_is_done(written: &Written, part: &Expr) -> String {
    let words = words_at(written, part.range);
    let begin = words.iter().position(|word| word == "did").map_or(0, |did| did + 1);
    let begin = begin + usize::from(words.get(begin).is_some_and(|word| word == "not"));
    let ends = |pair: &[String]| matches!(pair[0].as_str(), "in" | "for") && pair[1] == "the";
    let end = words.windows(2).position(ends).unwrap_or(words.len());
    joined(&words[begin.min(end)..end])
}

/// The duration after some words.
fn length_after(words: &[String], before: &[&str]) -> String {
    let start = words.windows(before.len()).position(|window| window == before);
    let rest = start.map_or(&[][..], |start| &words[start + before.len()..]);
    joined(&rest[..rest.len().min(2)])
}

/// Joins tokens with spaces, as written.
fn joined(words: &[String]) -> String {
    let mut text = String::new();
    for word in words {
        if !text.is_empty() && !text.ends_with('(') && !matches!(word.as_str(), ")" | ",") {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// The duration in a comparison of `time since` by `=`.
fn at_one_instant(compare: &Compare) -> Option<Span> {
    match (&compare.measure.kind, &compare.test) {
        (MeasureKind::TimeSince(..), CompareTest::Compare(Op::Eq, Operand::Duration(duration))) => Some(duration.span),
        _ => None,
    }
}

/// Is `ever` written explicitly?
fn says_ever(written: &Written, part: &Expr) -> bool {
    let words = words_at(written, part.range);
    words.iter().rev().find(|word| *word != ")").is_some_and(|word| word == "ever")
}

fn is_at_least_zero(did: &Did) -> bool {
    let zero = |count: &Count| {
        matches!(
            count,
            Count::Times(Bound::AtLeast, 0)
                | Count::Different(Bound::AtLeast, 0, _)
                | Count::OnDifferent(Bound::AtLeast, 0, _)
        )
    };
    !did.negated && did.count.as_ref().is_some_and(zero)
}

/// The measure of a negated comparison, if it can be missing and no condition joined with it implies that it is known.
fn may_be_missing(page: &Page<'_>, written: &Written, compare: &Compare, others: &[&Expr]) -> Option<String> {
    if matches!(compare.test, CompareTest::Known | CompareTest::Missing) {
        return None;
    }
    let events = match &compare.measure.kind {
        // Whether a named measure can be missing is not visible in the rule, so there is no warning.
        MeasureKind::Named(name) if page.document.measures.contains_key(&name.text) => return None,
        MeasureKind::Named(_) => None,
        MeasureKind::TimeSince(_, Step { events, filters }) if filters.is_empty() => Some(events),
        _ => return None,
    };
    let measure = words_at(written, compare.measure.range);
    let assured = others.iter().any(|other| match &other.kind {
        ExprKind::Compare(other) => {
            other.test != CompareTest::Missing && words_at(written, other.measure.range) == measure
        }
        ExprKind::Did(did) => !did.negated && events.is_some_and(|events| same_names(events, &did.step.events)),
        _ => false,
    });
    (!assured).then(|| joined(&measure))
}

fn same_names(one: &Events, other: &Events) -> bool {
    match (one, other) {
        (Events::Named(one), Events::Named(other)) => {
            one.iter().map(|name| &name.text).eq(other.iter().map(|name| &name.text))
        }
        (Events::Anything, Events::Anything) => true,
        _ => false,
    }
}

/// The text that a numeric measure is compared with.
fn number_against_text(compare: &Compare) -> Option<&str> {
    let is_number = match &compare.measure.kind {
        MeasureKind::Count(..)
        | MeasureKind::ActiveDays(..)
        | MeasureKind::Ratio(..)
        | MeasureKind::Change(..)
        | MeasureKind::Steps { .. } => true,
        MeasureKind::Of { function, .. } => matches!(
            function,
            Function::Sum | Function::Average | Function::Median | Function::Min | Function::Max | Function::Distinct
        ),
        MeasureKind::TimeSince(..) | MeasureKind::TimeFrom { .. } | MeasureKind::UsualGap(_) => true,
        MeasureKind::Named(_) => false,
    };
    match &compare.test {
        CompareTest::Compare(op, Operand::Literal(Literal::Text(text))) if is_number && *op != Op::Ne => {
            Some(text.as_str())
        }
        CompareTest::Between(Operand::Literal(Literal::Text(found)), _)
        | CompareTest::Between(_, Operand::Literal(Literal::Text(found)))
            if is_number =>
        {
            Some(found.as_str())
        }
        _ => None,
    }
}
