//! Notes on valid rules that may surprise.

use crate::event::Number;
use crate::rules::ast::{
    Compare, CompareTest, Expr, ExprKind, Function, Literal, Measure, MeasureKind, Op, Operand, Window,
};
use crate::rules::{Document, Page, Warning};

/// A warning for each rule with a measure that does not wait for its window, in the order of the cohorts' names.
pub(super) fn of(page: &Page<'_>) -> Vec<Warning> {
    let mut notes = Vec::new();
    for place in page.document.expressions() {
        let mut found = Vec::new();
        satisfied_by_nothing(page.document, &place.2.expr, Sign::Plain, &mut found);
        // One for all of an expression: they may be many.
        if let Some(expr) = found.first() {
            let more = match found.len() - 1 {
                0 => String::new(),
                1 => " (so can another comparison of this rule)".to_owned(),
                more => format!(" (so can {more} more comparisons of this rule)"),
            };
            let message =
                format!("this can hold from a customer's first event on, for a measure of nothing is 0{more}");
            let hint = "`did not ...` and `did ... at most N times` wait until they have been known for the window";
            notes.push(page.warning(place, expr.range, message, hint));
        }
    }
    notes
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plain,
    Denied,
}

/// Comparisons of a measure over a window with a length that hold without any event.
fn satisfied_by_nothing<'e>(document: &Document, expr: &'e Expr, sign: Sign, found: &mut Vec<&'e Expr>) {
    match &expr.kind {
        ExprKind::And(parts) | ExprKind::Or(parts) => {
            parts.iter().for_each(|part| satisfied_by_nothing(document, part, sign, found));
        }
        ExprKind::Not(inner) => {
            let sign = if sign == Sign::Plain { Sign::Denied } else { Sign::Plain };
            satisfied_by_nothing(document, inner, sign, found);
        }
        ExprKind::Compare(Compare { measure, test }) if is_zero_of_nothing(document, measure) => {
            let holds = holds_at_zero(test);
            if holds.is_some_and(|holds| holds == (sign == Sign::Plain)) {
                found.push(expr);
            }
        }
        _ => {}
    }
}

fn is_zero_of_nothing(document: &Document, measure: &Measure) -> bool {
    match &measure.kind {
        MeasureKind::Named(name) => {
            let defined = document.measures.get(&name.text);
            defined.is_some_and(|defined| is_zero_of_nothing(document, &defined.measure))
        }
        MeasureKind::Count(_, window)
        | MeasureKind::ActiveDays(_, window)
        | MeasureKind::Of { function: Function::Sum | Function::Distinct, window, .. } => {
            matches!(window, Window::Last(_) | Window::LastByCalendar { .. } | Window::Between(..))
        }
        _ => false,
    }
}

/// Does the test pass for 0? `None` where that depends on another measure.
fn holds_at_zero(test: &CompareTest) -> Option<bool> {
    let number = |operand: &Operand| match operand {
        Operand::Literal(Literal::Number(number)) => Some(*number),
        _ => None,
    };
    Some(match test {
        CompareTest::Compare(op, operand) => {
            let limit = number(operand)?;
            match op {
                Op::Eq => Number::ZERO == limit,
                Op::Ne => Number::ZERO != limit,
                Op::Lt => Number::ZERO < limit,
                Op::Le => Number::ZERO <= limit,
                Op::Gt => Number::ZERO > limit,
                Op::Ge => Number::ZERO >= limit,
            }
        }
        CompareTest::Between(low, high) => number(low)? <= Number::ZERO && Number::ZERO <= number(high)?,
        CompareTest::Known | CompareTest::Missing => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::rules::{Page, read};

    fn notes(who: &str) -> usize {
        let text = format!("[cohorts.c]\nwho = '{who}'");
        of(&Page { file: "r.toml", text: &text, document: &read("r.toml", &text).unwrap() }).len()
    }

    #[test]
    fn a_measure_that_nothing_satisfies_is_pointed_out() {
        assert_eq!(notes("count(purchase in the last 30 days) = 0"), 1);
        assert_eq!(notes("sum(purchase.amount in the last 30 days) < 50 and did visit ever"), 1);
        assert_eq!(notes("not (count(purchase in the last 30 days) > 0)"), 1);
        assert_eq!(notes("count(purchase in the last 30 days) between 0 and 2"), 1);
    }

    #[test]
    fn what_needs_something_found_or_has_no_length_is_not() {
        assert_eq!(notes("count(purchase in the last 30 days) >= 2"), 0);
        assert_eq!(notes("count(purchase) = 0"), 0);
        assert_eq!(notes("not (count(purchase in the last 30 days) = 0)"), 0);
        assert_eq!(notes("did not purchase in the last 30 days"), 0);
    }
}
