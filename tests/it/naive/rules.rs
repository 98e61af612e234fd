//! A document prepared for evaluation, with the order in which its cohorts are decided.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use cohortd::engine::Parameters;
use cohortd::event::Instant;
use cohortd::fact::Capacities;
use cohortd::rules::ast::{Compare, CompareTest, Count, Expr, ExprKind, Measure, MeasureKind, Operand, Rank, Window};
use cohortd::rules::{CohortRule, Document};

use super::calendar::Calendar;
use super::churn::{Score, score_of};
use super::kept::Shared;
use super::log::Threshold;

pub(crate) struct Rules<'a> {
    pub(crate) document: &'a Document,
    pub(crate) calendar: Calendar,
    /// The enabled cohorts, in the order in which they are decided.
    pub(crate) cohorts: Vec<(&'a str, &'a CohortRule)>,
    pub(crate) instants: super::candidates::Sources<'a>,
    /// Every rank, and its words in the rules file.
    pub(super) ranks: Vec<(&'a Rank, String)>,
    /// Those in force, by the ranks' words.
    pub(super) thresholds: RefCell<BTreeMap<String, Threshold>>,
    /// Before that nothing of the log was read.
    pub(crate) observed_from: Instant,
    /// Of the model of churn, in force.
    pub(super) parameters: RefCell<Option<Parameters>>,
    /// How much is kept of each customer.
    pub(super) capacities: Capacities,
    pub(super) shared: Shared,
    /// Does each change carry when the next one is?
    pub(crate) looks_ahead: bool,
}

impl<'a> Rules<'a> {
    /// Fails on what this release does not support, and on unknown and cyclic references.
    pub(crate) fn new(document: &'a Document) -> Result<Self, String> {
        for (name, cohort) in &document.cohorts {
            for expr in expressions(cohort) {
                supported(document, expr).map_err(|what| format!("{name}: {what} is not run"))?;
            }
            for reference in references(document, cohort) {
                if !document.cohorts.contains_key(reference) {
                    return Err(format!("{name}: there is no cohort {reference}"));
                }
            }
        }
        for signal in signals(document) {
            supported(document, signal).map_err(|what| format!("a signal: {what} is not run"))?;
        }
        let cohorts = order_of_decision(document)?;
        let instants = super::candidates::Sources::new(document, &cohorts);
        Ok(Self {
            document,
            calendar: Calendar::new(&document.time_zone),
            cohorts,
            instants,
            ranks: ranks(document),
            thresholds: RefCell::default(),
            observed_from: Instant::MIN,
            parameters: RefCell::default(),
            capacities: Capacities::DEFAULT,
            shared: Shared::new(document),
            looks_ahead: false,
        })
    }

    /// Where a cohort stands in the order of decisions; `None` for a disabled one, which is never decided.
    pub(crate) fn place(&self, cohort: &str) -> Option<usize> {
        self.cohorts.iter().position(|(name, _)| *name == cohort)
    }
}

/// Every rank, those of disabled cohorts and of signals too, with its words in the rules file.
fn ranks(document: &Document) -> Vec<(&Rank, String)> {
    let mut found = Vec::new();
    let of_cohorts = document
        .cohorts
        .values()
        .flat_map(|cohort| [Some(&cohort.who), cohort.stay.as_ref(), cohort.until.as_ref()].into_iter().flatten());
    // The ranks of signals belong to the cohorts that use the risk.
    let mut asked = document.cohorts.values().flat_map(expressions).flat_map(conditions);
    let is_asked = asked.any(|condition| asks_for_risk(document, condition));
    let of_signals = document.churn.iter().flat_map(|churn| &churn.signals).map(|signal| &signal.when);
    let of_signals = of_signals.filter(|_| is_asked);
    for written in of_cohorts.chain(of_signals) {
        for condition in conditions(&written.expr) {
            if let ExprKind::Rank(rank) = &condition.kind {
                let words = &written.text[condition.range.start..condition.range.end];
                found.push((rank, words.split_whitespace().collect::<Vec<_>>().join(" ")));
            }
        }
    }
    found
}

/// Always the smallest name among those whose references are all decided. A disabled cohort is never decided, and
/// nothing waits for it.
fn order_of_decision(document: &Document) -> Result<Vec<(&str, &CohortRule)>, String> {
    let mut waiting: Vec<(&str, &CohortRule)> =
        document.cohorts.iter().filter(|(_, rule)| rule.enabled).map(|(name, rule)| (name.as_str(), rule)).collect();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let names: BTreeSet<&str> = waiting.iter().map(|(name, _)| *name).collect();
        // The document's cohorts are sorted by name, so the first that is ready has the smallest one.
        let ready =
            waiting.iter().position(|(_, rule)| references(document, rule).iter().all(|name| !names.contains(name)));
        match ready {
            Some(index) => order.push(waiting.remove(index)),
            None => return Err("cohorts refer to each other in a circle".into()),
        }
    }
    Ok(order)
}

/// A cohort's expressions: `who`, `stay`, `until`.
pub(crate) fn expressions(cohort: &CohortRule) -> impl Iterator<Item = &Expr> {
    let written = [Some(&cohort.who), cohort.stay.as_ref(), cohort.until.as_ref()];
    written.into_iter().flatten().map(|written| &written.expr)
}

/// The expressions of signals.
pub(crate) fn signals(document: &Document) -> impl Iterator<Item = &Expr> {
    document.churn.iter().flat_map(|churn| &churn.signals).map(|signal| &signal.when.expr)
}

/// Is the one of the other's group, with a lower priority?
pub(crate) fn comes_before(one: &CohortRule, other: &CohortRule) -> bool {
    match (&one.group, &other.group) {
        (Some(one), Some(other)) => one.name == other.name && one.priority < other.priority,
        _ => false,
    }
}

fn references<'a>(document: &'a Document, cohort: &'a CohortRule) -> Vec<&'a str> {
    let of_group = document.cohorts.iter().filter(|(_, other)| comes_before(other, cohort));
    let mut names: Vec<&str> = of_group.map(|(name, _)| name.as_str()).collect();
    let own: Vec<&Expr> = expressions(cohort).collect();
    // Signals are part of the risk, so a cohort that uses it waits for the cohorts that signals refer to.
    let asks = own.iter().flat_map(|expr| conditions(expr)).any(|condition| asks_for_risk(document, condition));
    let of_signals = signals(document).filter(|_| asks);
    for condition in own.iter().copied().chain(of_signals).flat_map(conditions) {
        match &condition.kind {
            ExprKind::InCohort { cohort, .. } | ExprKind::Entered { cohort, .. } | ExprKind::Left { cohort, .. } => {
                names.push(cohort.text.as_str());
            }
            ExprKind::Rank(Rank { among: Some(cohort), .. }) => names.push(cohort.text.as_str()),
            _ => {}
        }
    }
    names
}

fn asks_for_risk(document: &Document, condition: &Expr) -> bool {
    let ExprKind::Compare(compare) = &condition.kind else { return false };
    measures(compare).into_iter().any(|measure| score_of(document, measure) == Some(Score::Risk))
}

/// What `and`, `or` and `not` join.
pub(crate) fn conditions(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().flat_map(conditions).collect(),
        ExprKind::Not(inner) => conditions(inner),
        _ => vec![expr],
    }
}

/// The measures of a comparison, the compared one first.
pub(crate) fn measures(compare: &Compare) -> Vec<&Measure> {
    let others = operands(compare).into_iter().filter_map(|operand| match operand {
        Operand::Measure(_, measure) => Some(measure.as_ref()),
        Operand::Literal(_) | Operand::Duration(_) | Operand::Percent(_) | Operand::Word(_) => None,
    });
    std::iter::once(&compare.measure).chain(others).collect()
}

/// The named measures that a comparison is with, by bare words.
pub(crate) fn named_operands<'a>(document: &'a Document, compare: &'a Compare) -> impl Iterator<Item = &'a Measure> {
    operands(compare).into_iter().filter_map(|operand| match operand {
        Operand::Word(name) => document.measures.get(&name.text).map(|defined| &defined.measure),
        _ => None,
    })
}

/// What a measure is compared with.
pub(crate) fn operands(compare: &Compare) -> Vec<&Operand> {
    match &compare.test {
        CompareTest::Compare(_, operand) => vec![operand],
        CompareTest::Between(low, high) => vec![low, high],
        CompareTest::Known | CompareTest::Missing => vec![],
    }
}

/// Is every name in it defined, and not by itself?
fn leads_somewhere(document: &Document, measure: &Measure, depth: usize) -> bool {
    match &measure.kind {
        MeasureKind::Named(name) if Score::named(&name.text).is_some() => document.churn.is_some(),
        MeasureKind::Named(name) => match document.measures.get(&name.text) {
            Some(defined) => depth <= document.measures.len() && leads_somewhere(document, &defined.measure, depth + 1),
            None => document.profile.contains_key(&name.text),
        },
        MeasureKind::Change(inner, _) => leads_somewhere(document, inner, depth),
        MeasureKind::Ratio(above, below) => {
            leads_somewhere(document, above, depth) && leads_somewhere(document, below, depth)
        }
        _ => true,
    }
}

fn supported(document: &Document, expr: &Expr) -> Result<(), &'static str> {
    for condition in conditions(expr) {
        match &condition.kind {
            ExprKind::Did(_)
            | ExprKind::Sequence(_)
            | ExprKind::Streak(_)
            | ExprKind::Silent(_)
            | ExprKind::InCohort { .. }
            | ExprKind::Left { .. }
            | ExprKind::Entered { count: None | Some(Count::Times(..) | Count::FirstTime), .. } => {}
            ExprKind::Entered { .. } => return Err("`entered` with such a count"),
            ExprKind::Compare(compare) => {
                if !measures(compare).iter().all(|measure| leads_somewhere(document, measure, 0)) {
                    return Err("such a measure");
                }
            }
            ExprKind::Rank(rank) => {
                if !leads_somewhere(document, &rank.by, 0) {
                    return Err("such a measure");
                }
            }
            ExprKind::Consent { .. } => return Err("a consent"),
            ExprKind::And(_) | ExprKind::Or(_) | ExprKind::Not(_) => unreachable!("taken apart by `conditions`"),
        }
    }
    Ok(())
}

/// Every window of a condition that is no comparison.
pub(crate) fn windows(condition: &Expr) -> Vec<&Window> {
    match &condition.kind {
        ExprKind::Did(did) => vec![&did.window],
        ExprKind::Sequence(sequence) => vec![&sequence.window],
        ExprKind::Entered { window, .. } | ExprKind::Left { window, .. } => vec![window],
        _ => vec![],
    }
}
