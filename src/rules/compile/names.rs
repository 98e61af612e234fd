//! The names that expressions refer to: attributes, measures and scores, and cohorts.

use crate::rules::ast::{Expr, ExprKind, Measure, MeasureKind, Name, Operand, Range};
use crate::rules::document::Document;

/// The bare names in a measure.
pub(super) fn names(measure: &Measure) -> Vec<&Name> {
    match &measure.kind {
        MeasureKind::Named(name) => vec![name],
        MeasureKind::Change(inner, _) => names(inner),
        MeasureKind::Ratio(above, below) => [names(above), names(below)].concat(),
        _ => vec![],
    }
}

pub(super) fn names_in_expr<'e>(expr: &'e Expr, found: &mut Vec<&'e Name>) {
    match &expr.kind {
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().for_each(|part| names_in_expr(part, found)),
        ExprKind::Not(inner) => names_in_expr(inner, found),
        ExprKind::Rank(rank) => found.extend(names(&rank.by)),
        ExprKind::Compare(compare) => {
            found.extend(names(&compare.measure));
            for operand in compare.test.operands() {
                match operand {
                    Operand::Measure(_, measure) => found.extend(names(measure)),
                    // A text, if no definition has that name.
                    Operand::Word(name) => found.push(name),
                    Operand::Literal(_) | Operand::Duration(_) | Operand::Percent(_) => {}
                }
            }
        }
        _ => {}
    }
}

/// The bare names in an expression and in the named measures that it uses, each with the location in the expression.
pub(super) fn bare_names<'d>(document: &'d Document, expr: &'d Expr) -> Vec<(&'d str, Range)> {
    let mut written = Vec::new();
    names_in_expr(expr, &mut written);
    let mut open: Vec<(&Name, Range)> = written.into_iter().map(|name| (name, name.range)).collect();
    let mut found: Vec<(&str, Range)> = Vec::new();
    while let Some((name, range)) = open.pop() {
        if found.iter().any(|(known, _)| *known == name.text) {
            continue;
        }
        found.push((&name.text, range));
        let defined = document.measures.get(&name.text);
        open.extend(defined.iter().flat_map(|defined| names(&defined.measure)).map(|name| (name, range)));
    }
    found
}

pub(super) fn cohorts_named<'e>(expr: &'e Expr, found: &mut Vec<&'e Name>) {
    match &expr.kind {
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().for_each(|part| cohorts_named(part, found)),
        ExprKind::Not(inner) => cohorts_named(inner, found),
        ExprKind::InCohort { cohort, .. } | ExprKind::Entered { cohort, .. } | ExprKind::Left { cohort, .. } => {
            found.push(cohort);
        }
        ExprKind::Rank(rank) => found.extend(rank.among.as_ref()),
        ExprKind::Did(_)
        | ExprKind::Sequence(_)
        | ExprKind::Streak(_)
        | ExprKind::Silent(_)
        | ExprKind::Compare(_)
        | ExprKind::Consent { .. } => {}
    }
}

/// The location of `churn_risk` in an expression, which then depends on the cohorts of signals too.
pub(super) fn risk_in(document: &Document, expr: &Expr) -> Option<Range> {
    bare_names(document, expr).into_iter().find(|(name, _)| *name == "churn_risk").map(|(_, range)| range)
}

/// The cohorts that signals refer to.
pub(super) fn cohorts_of_signals(document: &Document) -> Vec<&Name> {
    let mut names = Vec::new();
    let signals = document.churn.iter().flat_map(|churn| &churn.signals);
    signals.for_each(|signal| cohorts_named(&signal.when.expr, &mut names));
    names
}
