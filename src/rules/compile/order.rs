//! The order in which cohorts are decided, from their references to each other.

use std::collections::{BTreeMap, BTreeSet};

use super::Part;
use crate::rules::ast::{Expr, ExprKind, Name, Range};
use crate::rules::document::Document;
use crate::rules::error::{ExprError, nearest};

/// The cohorts in the order of their references: always the smallest name among those whose references are decided.
/// Where mistakes stand in the way, the order is good enough to go on looking for others.
pub(super) fn decision_order(document: &Document) -> (Vec<&str>, Vec<(String, Part, ExprError)>) {
    let mut references: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut places: BTreeMap<(&str, &str), (Part, Range)> = BTreeMap::new();
    let mut errors = Vec::new();
    for (name, rule) in &document.cohorts {
        let parts =
            [(Part::Who, Some(&rule.who)), (Part::Stay, rule.stay.as_ref()), (Part::Until, rule.until.as_ref())];
        let found = references.entry(name).or_default();
        for (part, written) in parts {
            let mut names = Vec::new();
            if let Some(written) = written {
                cohorts_named(&written.expr, &mut names);
            }
            for reference in names {
                if let Some((known, _)) = document.cohorts.get_key_value(&reference.text) {
                    found.insert(known);
                    places.entry((name, known)).or_insert((part, reference.range));
                    continue;
                }
                // Its definition has a mistake of its own, which is reported.
                if document.unread.contains(&reference.text) {
                    continue;
                }
                let mut error = ExprError::new(reference.range, format!("there is no cohort `{}`", reference.text));
                error = match nearest(&reference.text, document.cohorts.keys().map(String::as_str)) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint("define it, or take the reference out"),
                };
                errors.push((name.clone(), part, error));
            }
        }
    }
    // Whoever is not decided keeps nobody waiting.
    references.values_mut().for_each(|needs| needs.retain(|need| document.cohorts[*need].enabled));
    let mut order: Vec<&str> = Vec::new();
    let mut open: BTreeMap<&str, usize> = references.iter().map(|(name, needs)| (*name, needs.len())).collect();
    let mut dependants: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, needs) in &references {
        needs.iter().for_each(|need| dependants.entry(need).or_default().push(name));
    }
    let mut ready: BTreeSet<&str> = open.iter().filter(|(_, needs)| **needs == 0).map(|(name, _)| *name).collect();
    while !open.is_empty() {
        let next = match ready.pop_first() {
            Some(name) => name,
            None => {
                let cycle = cycle(&references, &open);
                let (part, range) = places[&(cycle[0], cycle[1])];
                let message = format!("cohorts refer to each other in a circle: {}", cycle.join(" -> "));
                let error = ExprError::new(range, message).hint("take one of these references out");
                errors.push((cycle[0].to_owned(), part, error));
                cycle[0]
            }
        };
        open.remove(next);
        order.push(next);
        for dependant in dependants.get(next).into_iter().flatten() {
            if let Some(needs) = open.get_mut(dependant) {
                *needs -= 1;
                if *needs == 0 {
                    ready.insert(dependant);
                }
            }
        }
    }
    (order, errors)
}

/// One circle among the cohorts that are still open, its first name repeated at the end.
fn cycle<'a>(references: &BTreeMap<&'a str, BTreeSet<&'a str>>, open: &BTreeMap<&'a str, usize>) -> Vec<&'a str> {
    let is_open = |name: &&&'a str| open.contains_key(*name);
    let mut path: Vec<&'a str> = references.keys().filter(is_open).take(1).copied().collect();
    let mut places: BTreeMap<&'a str, usize> = BTreeMap::from([(path[0], 0)]);
    loop {
        let here = path[path.len() - 1];
        let next = references[here].iter().find(is_open).copied().unwrap_or(here);
        if let Some(start) = places.insert(next, path.len()) {
            path.drain(..start);
            path.push(next);
            return path;
        }
        path.push(next);
    }
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
