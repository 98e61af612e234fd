//! Conditions that hold for others than it seems.

use super::likeness::words_at;
use super::{Page, Warning, Words, conjuncts, each_part};
use crate::rules::ast::{
    Bound, Compare, CompareTest, Count, Did, Events, Expr, ExprKind, Function, Literal, MeasureKind, Op, Operand, Step,
    Window,
};
use crate::rules::document::Written;

pub(super) fn all(page: &Page<'_>, found: &mut Vec<Warning>) {
    for place in page.document.expressions() {
        let written = place.2;
        let whole = conjuncts(&written.expr);
        let mut say = |part: &Expr, message: String, hint: &str| {
            found.push(page.warning(place, part.range, message, hint));
        };
        each_part(&written.expr, &mut |part| match &part.kind {
            ExprKind::And(parts) | ExprKind::Or(parts) => repeated(written, parts, &mut say),
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
                    && let Some(what) = may_be_missing(page, written, compare, &whole)
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
            }
            _ => {}
        });
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

/// What a denied comparison looks at, if it can be missing and nothing beside it makes sure that it is there.
fn may_be_missing(page: &Page<'_>, written: &Written, compare: &Compare, beside: &[&Expr]) -> Option<String> {
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
    let assured = beside.iter().any(|other| match &other.kind {
        ExprKind::Compare(other) => {
            other.test != CompareTest::Missing && words_at(written, other.measure.range) == measure
        }
        ExprKind::Did(did) => !did.negated && events.is_some_and(|events| same_names(events, &did.step.events)),
        _ => false,
    });
    (!assured).then(|| measure.join(" "))
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
