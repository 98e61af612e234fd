//! A cohort that nobody ever leaves.

use std::collections::BTreeSet;

use super::{Page, Warning, each_part};
use crate::rules::ast::{
    Bound, Compare, CompareTest, Count, Did, Edge, Expr, ExprKind, Literal, MeasureKind, Op, Operand, Sequence, Window,
};

/// Warns about cohorts without an end that no other cohort refers to.
pub(super) fn nobody_leaves(page: &Page<'_>, found: &mut Vec<Warning>) {
    let mut used = BTreeSet::new();
    for (_, _, written) in page.document.expressions() {
        each_part(&written.expr, &mut |part| match &part.kind {
            ExprKind::InCohort { cohort, .. } | ExprKind::Entered { cohort, .. } | ExprKind::Left { cohort, .. } => {
                used.insert(cohort.text.as_str());
            }
            _ => {}
        });
    }
    for (name, rule) in &page.document.cohorts {
        if rule.until.is_some() || rule.at_most.is_some() || rule.once || !rule.enabled || used.contains(name.as_str())
        {
            continue;
        }
        let (key, written) = rule.stay.as_ref().map_or(("who", &rule.who), |stay| ("stay", stay));
        if lasts(&written.expr) {
            let message = "nobody ever leaves: once this holds, it holds for good".to_owned();
            let hint = "add `until`, `at_most` or a window; if this is intended, add reenter = \"never\"";
            found.push(page.warning((name, key, written), written.expr.range, message, hint));
        }
    }
}

/// Once true, does it stay true whatever happens?
fn lasts(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().all(lasts),
        ExprKind::Did(Did { negated, count, window, .. }) => {
            let grows = match count {
                None | Some(Count::FirstTime) => !negated,
                Some(Count::Times(bound, _) | Count::Different(bound, ..) | Count::OnDifferent(bound, ..)) => {
                    match bound {
                        Bound::AtLeast | Bound::MoreThan => !negated,
                        Bound::AtMost | Bound::FewerThan => *negated,
                        Bound::Exactly => false,
                    }
                }
                Some(Count::Rhythm { .. }) => false,
            };
            grows && matches!(window, Window::Ever | Window::SinceDate(_) | Window::MoreThan(_))
        }
        ExprKind::Sequence(Sequence { next, without, window, .. }) => {
            *window == Window::Ever && without.is_none() && next.iter().all(|step| !step.absent)
        }
        ExprKind::Entered { count: None, window: Window::Ever, .. } | ExprKind::Left { window: Window::Ever, .. } => {
            true
        }
        ExprKind::Compare(Compare { measure, test: CompareTest::Compare(Op::Gt | Op::Ge, limit) }) => {
            matches!(
                (&measure.kind, limit),
                (MeasureKind::Count(_, Window::Ever | Window::SinceDate(_)), Operand::Literal(Literal::Number(_)))
                    | (MeasureKind::TimeSince(Edge::First, _), Operand::Duration(_))
            )
        }
        _ => false,
    }
}
