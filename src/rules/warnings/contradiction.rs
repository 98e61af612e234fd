//! A cohort that nobody can enter.

use super::likeness::{implies, same_step, within, words_at};
use super::{Page, Warning, Words, conjuncts};
use crate::event::Number;
use crate::rules::ast::{
    Bound, Compare, CompareTest, Count, Did, Events, Expr, ExprKind, Literal, Op, Operand, Silent,
};
use crate::rules::document::Written;

pub(super) fn nobody_enters(page: &Page<'_>, found: &mut Vec<Warning>) {
    for (name, rule) in &page.document.cohorts {
        if !rule.enabled {
            continue;
        }
        let who = &rule.who;
        let parts = conjuncts(&who.expr);
        // One warning per cohort is enough.
        let warning = parts.iter().enumerate().find_map(|(index, part)| {
            let (message, hint) = alone(page, part).or_else(|| {
                let other = parts[..index].iter().find(|other| excluded(who, other, part))?;
                let words = words_at(who, other.range).join(" ");
                let message = format!("nobody can enter: this and `{}` never hold together", shortened(&words));
                Some((message, "remove one of the two, or use `or`"))
            })?;
            Some(page.warning((name, "who", who), part.range, message, hint))
        });
        if let Some(warning) = warning {
            found.push(warning);
            continue;
        }
        let Some(until) = &rule.until else { continue };
        let ways: Vec<&Expr> = match &until.expr.kind {
            ExprKind::Or(parts) => parts.iter().collect(),
            _ => vec![&until.expr],
        };
        for way in ways {
            if parts.iter().any(|part| implies((who, *part), (until, way))) {
                let message = "nobody can enter: this holds whenever `who` does".to_owned();
                let hint = "`until` names what ends a stay; while it holds, nobody enters";
                found.push(page.warning((name, "until", until), way.range, message, hint));
                break;
            }
        }
    }
}

/// Shortens a condition to one line of a message.
fn shortened(words: &str) -> String {
    const SHOWN: usize = 60;
    if words.chars().count() <= SHOWN {
        return words.to_owned();
    }
    format!("{}…", words.chars().take(SHOWN).collect::<String>())
}

/// The warning for a part that never holds by itself.
fn alone(page: &Page<'_>, part: &Expr) -> Option<(String, &'static str)> {
    match &part.kind {
        ExprKind::InCohort { cohort, .. } => {
            let off = page.document.cohorts.get(&cohort.text).is_some_and(|rule| !rule.enabled);
            off.then(|| {
                let message = format!("nobody can enter: `{}` is not enabled, so nobody is ever in it", cohort.text);
                (message, "enable that cohort, or remove the condition")
            })
        }
        ExprKind::Compare(Compare { test: CompareTest::Between(low, high), .. }) => {
            let empty = number(low).zip(number(high)).is_some_and(|(low, high)| low > high);
            empty.then(|| ("nobody can enter: no value is between these".to_owned(), "the smaller one must come first"))
        }
        _ => None,
    }
}

/// Can two conditions never hold at the same instant?
fn excluded(written: &Written, one: &Expr, two: &Expr) -> bool {
    let (Some(first), Some(second)) = (Words::of(written, one), Words::of(written, two)) else { return false };
    if first.is_opposite_of(&second) {
        return true;
    }
    match (&stripped(one).kind, &stripped(two).kind) {
        (ExprKind::Did(a), ExprKind::Did(b)) if same_step(&a.step, &b.step) => {
            opposite_counts(a, b) || done_and_not_done(a, b) || done_and_not_done(b, a)
        }
        (ExprKind::Silent(a), ExprKind::Silent(b)) if on(written, a) == on(written, b) => match () {
            () if !first.denied && second.denied => a.span.span >= b.span.span,
            () if first.denied && !second.denied => b.span.span >= a.span.span,
            () => false,
        },
        (ExprKind::Compare(a), ExprKind::Compare(b)) if !first.denied && !second.denied => {
            words_at(written, a.measure.range) == words_at(written, b.measure.range)
                && !Bounds::of(&a.test).meet(&Bounds::of(&b.test))
        }
        _ => false,
    }
}

/// The expression inside `not`.
fn stripped(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Not(inner) => stripped(inner),
        _ => expr,
    }
}

fn on(written: &Written, silent: &Silent) -> Vec<String> {
    match &silent.on {
        None => Vec::new(),
        Some(Events::Anything) => vec!["anything".to_owned()],
        Some(Events::Named(names)) => names.iter().flat_map(|name| words_at(written, name.range)).collect(),
    }
}

/// Is it `did E` in a window, and `did not E` in a window around it?
fn done_and_not_done(done: &Did, not_done: &Did) -> bool {
    !done.negated
        && not_done.negated
        && not_done.count.is_none()
        && is_at_least_once(done)
        && within(&done.window, &not_done.window)
}

fn is_at_least_once(did: &Did) -> bool {
    match &did.count {
        None => true,
        Some(Count::Times(Bound::AtLeast | Bound::Exactly, n)) => *n > 0,
        Some(Count::Times(Bound::MoreThan, _)) => true,
        _ => false,
    }
}

/// Do the two counts in the same window exclude each other?
fn opposite_counts(one: &Did, two: &Did) -> bool {
    if one.negated || two.negated || one.window != two.window {
        return false;
    }
    let range = |did: &Did| match did.count {
        None => Some((1, u32::MAX)),
        Some(Count::Times(bound, n)) => Some(match bound {
            Bound::AtLeast => (n, u32::MAX),
            Bound::AtMost => (0, n),
            Bound::Exactly => (n, n),
            Bound::MoreThan => (n.saturating_add(1), u32::MAX),
            Bound::FewerThan => (0, n.saturating_sub(1)),
        }),
        _ => None,
    };
    range(one).zip(range(two)).is_some_and(|(one, two)| one.1 < two.0 || two.1 < one.0)
}

fn number(operand: &Operand) -> Option<Number> {
    match operand {
        Operand::Literal(Literal::Number(number)) => Some(*number),
        Operand::Duration(duration) => Some(Number::from_integer(duration.span.0)),
        _ => None,
    }
}

/// The range of values that pass a test, in millionths, with both ends.
struct Bounds {
    low: i128,
    high: i128,
}

impl Bounds {
    fn of(test: &CompareTest) -> Self {
        let all = Self { low: i128::MIN, high: i128::MAX };
        match test {
            CompareTest::Compare(op, operand) => match (op, number(operand)) {
                (_, None) | (Op::Ne, _) => all,
                (Op::Eq, Some(n)) => Self { low: n.0, high: n.0 },
                (Op::Lt, Some(n)) => Self { high: n.0 - 1, ..all },
                (Op::Le, Some(n)) => Self { high: n.0, ..all },
                (Op::Gt, Some(n)) => Self { low: n.0 + 1, ..all },
                (Op::Ge, Some(n)) => Self { low: n.0, ..all },
            },
            CompareTest::Between(low, high) => {
                Self { low: number(low).map_or(i128::MIN, |n| n.0), high: number(high).map_or(i128::MAX, |n| n.0) }
            }
            CompareTest::Known | CompareTest::Missing => all,
        }
    }

    fn meet(&self, other: &Self) -> bool {
        self.low.max(other.low) <= self.high.min(other.high)
    }
}
