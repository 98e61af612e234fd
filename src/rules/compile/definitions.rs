//! The canonical definitions of `[churn]` and of the names that expressions use, for fingerprints.

use std::collections::BTreeSet;

use super::canonical::{expression, quoted};
use super::names::{names, names_in_expr};
use crate::rules::ast::{Expr, Name};
use crate::rules::document::{ChurnRule, Document};
use crate::rules::reserved::SCORES;

/// The definitions of the names that expressions use, directly or by named measures, one line each.
pub(super) fn definitions_used<'e>(
    document: &'e Document,
    exprs: impl Iterator<Item = &'e Expr>,
    included: &'e [Name],
) -> BTreeSet<String> {
    let names = names_used(document, exprs, included);
    let mut lines: BTreeSet<String> = names.iter().filter_map(|name| definition_line(document, name)).collect();
    if let Some(rule) = document.churn.as_ref().filter(|_| names.iter().any(|name| SCORES.contains(name))) {
        lines.insert(churn_canonical(document, rule));
    }
    lines
}

/// The same for signals, which use no scores.
pub(super) fn definitions_in_signals<'e>(
    document: &'e Document,
    exprs: impl Iterator<Item = &'e Expr>,
) -> BTreeSet<String> {
    names_used(document, exprs, &[]).iter().filter_map(|name| definition_line(document, name)).collect()
}

fn names_used<'e>(
    document: &'e Document,
    exprs: impl Iterator<Item = &'e Expr>,
    included: &'e [Name],
) -> BTreeSet<&'e str> {
    let mut open: Vec<&Name> = included.iter().collect();
    exprs.for_each(|expr| names_in_expr(expr, &mut open));
    let mut open: Vec<&str> = open.into_iter().map(|name| name.text.as_str()).collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if seen.insert(name) {
            let defined = document.measures.get(name).into_iter();
            open.extend(defined.flat_map(|defined| names(&defined.measure)).map(|name| name.text.as_str()));
        }
    }
    seen
}

fn definition_line(document: &Document, name: &str) -> Option<String> {
    if let Some(attribute) = document.profile.get(name) {
        let (event, property) = (quoted(&attribute.event.text), quoted(&attribute.property.text));
        return Some(format!("profile {name} = {event}.{property}"));
    }
    document.measures.get(name).map(|defined| format!("measure {name} = {}", expression(&defined.text)))
}

/// Everything that decides the risk and its levels, with the definitions that signals refer to, but not their texts.
pub(super) fn churn_canonical(document: &Document, rule: &ChurnRule) -> String {
    let levels: Vec<String> =
        rule.levels.iter().map(|(name, from)| format!("{}={:016x}", quoted(name), from.to_bits())).collect();
    let signals = rule.signals.iter().map(|signal| format!("{} {}", signal.points, expression(&signal.when.text)));
    let named = definitions_in_signals(document, rule.signals.iter().map(|signal| &signal.when.expr));
    let amount =
        rule.amount.as_ref().map(|amount| format!("{}.{}", quoted(&amount.event.text), quoted(&amount.property.text)));
    let first = format!(
        "churn {} on {} {} {} {} [{}]",
        rule.model.name(),
        expression(&rule.on_text),
        amount.unwrap_or_default(),
        rule.horizon.0,
        rule.min_silence.0,
        levels.join(" "),
    );
    std::iter::once(first).chain(signals).chain(named).collect::<Vec<_>>().join("\n")
}
