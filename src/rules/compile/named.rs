//! Bare names: profile attributes and named measures, and what they stand for.

use std::collections::{BTreeMap, BTreeSet};

use super::order::cycle;
use super::{Compiled, later};
use crate::rules::ast::{CompareTest, Expr, ExprKind, Measure, MeasureKind, Name, Operand};
use crate::rules::document::Document;
use crate::rules::error::{ExprError, nearest};

/// The scores of the churn model: names of the language, so that no attribute or measure may take them.
pub(in crate::rules) const SCORES: [&str; 4] = ["alive", "churn_level", "churn_risk", "clv"];

/// Fails for a name that is neither an attribute nor a named measure.
pub(super) fn known(document: &Document, name: &Name) -> Compiled<()> {
    let text = name.text.as_str();
    if document.profile.contains_key(text) || document.measures.contains_key(text) {
        return Ok(());
    }
    if SCORES.contains(&text) {
        return Err(later(name.range, &format!("the score `{text}`")));
    }
    let error = ExprError::new(name.range, format!("there is no attribute or measure `{text}`"));
    let names = document.profile.keys().chain(document.measures.keys()).map(String::as_str).chain(SCORES);
    Err(match nearest(text, names) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("define it: [profile] {text} = \"signup.{text}\", say, or under [measures]")),
    })
}

/// Every name in `[measures]` that leads nowhere or in a circle: the measure in which it stands, and what is wrong.
pub(super) fn mistakes(document: &Document) -> Vec<(String, ExprError)> {
    let mut errors = Vec::new();
    let mut references: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, defined) in &document.measures {
        let found = references.entry(name).or_default();
        for used in names(&defined.measure) {
            match known(document, used) {
                Ok(()) => found.extend(document.measures.get_key_value(&used.text).map(|(known, _)| known.as_str())),
                Err(error) => errors.push((name.clone(), error)),
            }
        }
    }
    let mut ordered: Vec<&str> = Vec::new();
    while ordered.len() < references.len() {
        let ready = references
            .iter()
            .find(|(name, needs)| !ordered.contains(name) && needs.iter().all(|need| ordered.contains(need)));
        if let Some((name, _)) = ready {
            ordered.push(name);
            continue;
        }
        let circle = cycle(&references, &ordered);
        let used = names(&document.measures[circle[0]].measure);
        let range = used.iter().find(|name| name.text == circle[1]).map(|name| name.range).unwrap_or_default();
        let error = ExprError::new(range, format!("measures refer to each other in a circle: {}", circle.join(" -> ")))
            .hint("take one of these names out");
        errors.push((circle[0].to_owned(), error));
        break;
    }
    errors
}

/// The bare names in a measure.
fn names(measure: &Measure) -> Vec<&Name> {
    match &measure.kind {
        MeasureKind::Named(name) => vec![name],
        MeasureKind::Change(inner, _) => names(inner),
        MeasureKind::Ratio(above, below) => [names(above), names(below)].concat(),
        _ => vec![],
    }
}

fn names_in_expr<'e>(expr: &'e Expr, found: &mut Vec<&'e Name>) {
    match &expr.kind {
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().for_each(|part| names_in_expr(part, found)),
        ExprKind::Not(inner) => names_in_expr(inner, found),
        ExprKind::Rank(rank) => found.extend(names(&rank.by)),
        ExprKind::Compare(compare) => {
            found.extend(names(&compare.measure));
            let operands = match &compare.test {
                CompareTest::Compare(_, operand) => vec![operand],
                CompareTest::Between(low, high) => vec![low, high],
                CompareTest::Known | CompareTest::Missing => vec![],
            };
            for operand in operands {
                if let Operand::Measure(_, measure) = operand {
                    found.extend(names(measure));
                }
            }
        }
        _ => {}
    }
}

/// What the names used by expressions stand for, one line each, those behind named measures too.
pub(super) fn definitions_used<'e>(document: &Document, exprs: impl Iterator<Item = &'e Expr>) -> BTreeSet<String> {
    let mut open = Vec::new();
    exprs.for_each(|expr| names_in_expr(expr, &mut open));
    let mut open: Vec<&str> = open.into_iter().map(|name| name.text.as_str()).collect();
    let (mut seen, mut lines) = (BTreeSet::new(), BTreeSet::new());
    while let Some(name) = open.pop() {
        if !seen.insert(name) {
            continue;
        }
        if let Some(attribute) = document.profile.get(name) {
            lines.insert(format!("profile {name} = {:?}.{:?}", attribute.event.text, attribute.property.text));
        } else if let Some(defined) = document.measures.get(name) {
            let words = defined.text.split_whitespace().collect::<Vec<_>>().join(" ");
            lines.insert(format!("measure {name} = {words}"));
            open.extend(names(&defined.measure).into_iter().map(|name| name.text.as_str()));
        }
    }
    lines
}
