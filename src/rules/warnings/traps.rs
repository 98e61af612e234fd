//! Conditions that hold for others than it seems.

use super::likeness::words_at;
use super::{Page, Warning, Words, conjuncts};
use crate::event::Span;
use crate::rules::ast::{
    Bound, Compare, CompareTest, Count, Did, Events, Expr, ExprKind, Function, Literal, MeasureKind, Op, Operand, Step,
    Window,
};
use crate::rules::document::Written;

pub(super) fn all(page: &Page<'_>, found: &mut Vec<Warning>) {
    for place in page.document.expressions() {
        let written = place.2;
        let mut say = |part: &Expr, message: String, hint: &str| {
            found.push(page.warning(place, part.range, message, hint));
        };
        each_with_others(&written.expr, &[], &mut |part, others| match &part.kind {
            ExprKind::And(parts) => {
                repeated(written, parts, &mut say);
                shadowed(written, parts, &mut say);
            }
            ExprKind::Or(parts) => repeated(written, parts, &mut say),
            ExprKind::Did(did) => {
                if did.negated && did.window == Window::Ever && !says_ever(written, part) {
                    let message = "`did not` says no window here, so one event at any time ends it for good".to_owned();
                    say(part, message, "add `in the last 30 days`, say; write `ever` if that is meant");
                }
                if is_at_least_zero(did) {
                    let hint = "write how often, or leave the condition out";
                    say(part, "zero times is never too few: this holds for everybody".to_owned(), hint);
                }
            }
            ExprKind::Not(inner) => {
                if let ExprKind::Compare(compare) = &inner.kind
                    && let Some(what) = may_be_missing(page, written, compare, others)
                {
                    let message = format!("`not` holds too where `{what}` is missing");
                    say(
                        part,
                        message,
                        &format!("add `{what} is known and` before it, or write the opposite comparison"),
                    );
                }
            }
            ExprKind::Compare(compare) => {
                if let Some(text) = number_against_text(compare) {
                    let message = format!("this is a number and `{text}` is a text: the comparison never holds");
                    say(part, message, "compare it with a number");
                }
                if let Some(span) = at_one_instant(compare) {
                    let message = "this holds for one millisecond, and not before or after it".to_owned();
                    let length = length_after(&words_at(written, part.range), &["="]);
                    let days = span.0.div_euclid(Span::DAY.0);
                    let hint = match span.0.rem_euclid(Span::DAY.0) {
                        0 => format!("write `between {days} days and {} days`, or `>= {length}`", days + 1),
                        _ => format!("write `>= {length}`, `<= {length}`, or between two lengths"),
                    };
                    say(part, message, &hint);
                }
            }
            _ => {}
        });
    }
}

/// Looks at every expression within, itself included, together with what is joined to it by `and`, further out too.
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

fn repeated(written: &Written, parts: &[Expr], say: &mut impl FnMut(&Expr, String, &str)) {
    let words: Vec<Option<Words>> = parts.iter().map(|part| Words::of(written, part)).collect();
    for (at, part) in parts.iter().enumerate() {
        if words[at].is_some() && words[..at].contains(&words[at]) {
            say(part, "this repeats a condition before it".to_owned(), "take it out, or mend what should differ");
        }
    }
}

/// Events with which a customer becomes known: they have done nothing before.
const BEGINNINGS: [&str; 7] =
    ["signup", "sign_up", "signed_up", "registered", "registration", "account_created", "inscription"];

/// What a customer began with, lately, and has not done since: that is asked of those only who have been known for longer
/// than the beginning may lie back.
fn shadowed(written: &Written, parts: &[Expr], say: &mut impl FnMut(&Expr, String, &str)) {
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
                "this waits until a customer has been known for its window, and who came with `{first}` has been known for \
                 only as long: nobody new is in"
            );
            let hint = format!(
                "write `{first} then no {} within {}` in place of both, or `even if new` after this",
                what_is_done(written, part),
                length_after(&words_at(written, part.range), &["in", "the", "last"])
            );
            say(part, message, &hint);
        }
    }
}

/// The events of a `did` over a window, with their tests, as they are written.
fn what_is_done(written: &Written, part: &Expr) -> String {
    let words = words_at(written, part.range);
    let begin = words.iter().position(|word| word == "did").map_or(0, |did| did + 1);
    let begin = begin + usize::from(words.get(begin).is_some_and(|word| word == "not"));
    let ends = |pair: &[String]| matches!(pair[0].as_str(), "in" | "for") && pair[1] == "the";
    let end = words.windows(2).position(ends).unwrap_or(words.len());
    joined(&words[begin.min(end)..end])
}

/// The length of time that stands behind some words.
fn length_after(words: &[String], before: &[&str]) -> String {
    let place = words.windows(before.len()).position(|window| window == before);
    let rest = place.map_or(&[][..], |place| &words[place + before.len()..]);
    joined(&rest[..rest.len().min(2)])
}

/// Words as one writes them.
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

/// A length of time that grows by itself, compared by `=` with a fixed one.
fn at_one_instant(compare: &Compare) -> Option<Span> {
    match (&compare.measure.kind, &compare.test) {
        (MeasureKind::TimeSince(..), CompareTest::Compare(Op::Eq, Operand::Duration(duration))) => Some(duration.span),
        _ => None,
    }
}

/// Is the window written, and not only the default?
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

/// What a denied comparison looks at, if it can be missing and nothing joined with it makes sure that it is there.
fn may_be_missing(page: &Page<'_>, written: &Written, compare: &Compare, others: &[&Expr]) -> Option<String> {
    if matches!(compare.test, CompareTest::Known | CompareTest::Missing) {
        return None;
    }
    let events = match &compare.measure.kind {
        // What a named measure stands for, the reader of the rule does not see here: silence is better.
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

/// The text that a measure which is always a number is compared with by order or equality.
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
