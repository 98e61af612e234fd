//! Dependencies: the facts and cohorts that conditions read, and the events that feed facts.

use std::collections::BTreeSet;

use crate::event::NameId;
use crate::fact::{A, B, BARRED, FactIx, Parts, VIA};
use crate::rules::condition::{Condition, Node};
use crate::rules::fact_spec::{FactSpec, Selector};
use crate::rules::index::{CohortIx, ConditionIx};
use crate::rules::measure::{Comparand, Measure, Score, Window};
use crate::rules::ruleset::{Cohort, Feed, Role};

/// The facts that an event of this name (none: of a name that no rule uses) may feed.
pub(super) fn feeds_of(facts: &[FactSpec], name: Option<NameId>) -> Vec<Feed> {
    let fits = |selector: &Selector| match (&selector.names, name) {
        (None, _) => true,
        (Some(names), Some(name)) => names.contains(&name),
        (Some(_), None) => false,
    };
    let filters = |selector: &Selector| fits(selector).then(|| selector.filters.clone());
    let selectors = |fact: &FactSpec| -> Vec<(Parts, Selector)> {
        if let Some(chain) = &fact.chain {
            let steps = chain.steps.iter().enumerate().map(|(i, step)| (1 << i, step.clone()));
            return steps.chain(chain.without.clone().map(|without| (BARRED, without))).collect();
        }
        let others = [(B, &fact.other), (VIA, &fact.via)].into_iter();
        let others = others.filter_map(|(part, selector)| Some((part, selector.clone()?)));
        std::iter::once((A, fact.selector.clone())).chain(others).collect()
    };
    let role = |fact: &FactSpec| {
        let parts = selectors(fact).into_iter().filter_map(|(part, selector)| Some((part, filters(&selector)?)));
        let parts: Vec<_> = parts.collect();
        (!parts.is_empty()).then_some(Role(parts))
    };
    let feed = |(i, fact): (usize, &FactSpec)| {
        role(fact).map(|role| Feed { fact: FactIx(u16::try_from(i).unwrap_or(u16::MAX)), role })
    };
    facts.iter().enumerate().filter_map(feed).collect()
}

/// Computes the cohorts that each one depends on. References go back in the order of decision, except those to cohorts
/// that are not enabled.
pub(super) fn rest(cohorts: &mut [Cohort]) {
    let mut found: Vec<BTreeSet<usize>> = (0..cohorts.len()).map(|i| BTreeSet::from([i])).collect();
    for (i, cohort) in cohorts.iter().enumerate() {
        for dependant in &cohort.dependants {
            let below = if cohort.enabled { found[i].clone() } else { BTreeSet::from([i]) };
            found[usize::from(dependant.0)].extend(below);
        }
    }
    for (cohort, found) in cohorts.iter_mut().zip(found) {
        cohort.rests_on = found.into_iter().map(|i| CohortIx(u16::try_from(i).unwrap_or(u16::MAX))).collect();
    }
}

impl Node {
    /// The conditions in it, in the order written.
    pub(in crate::rules) fn leaves(&self, found: &mut Vec<ConditionIx>) {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.leaves(found)),
            Self::Not(inner) => inner.leaves(found),
            Self::Leaf(condition, _) => found.push(*condition),
        }
    }
}

impl Condition {
    pub(in crate::rules) fn facts(&self) -> Vec<FactIx> {
        let of_window = |window: &Window| match window {
            Window::Since { fact, .. } | Window::WithinFirst { fact, .. } => Some(*fact),
            _ => None,
        };
        match self {
            Self::Count { fact, window, .. }
            | Self::First { fact, window, .. }
            | Self::Sequence { fact, window }
            | Self::Unanswered { fact, window, .. } => [Some(*fact), of_window(window)].into_iter().flatten().collect(),
            Self::Total { fact, .. } | Self::Rhythm { fact, .. } | Self::Streak { fact, .. } => vec![*fact],
            Self::In { .. } => Vec::new(),
            Self::Moves { window, .. } | Self::FirstEntered { window, .. } => of_window(window).into_iter().collect(),
            Self::Compare { measure, with, .. } => {
                let mut facts = measure.facts();
                if let Comparand::Measure { measure, .. } = with {
                    facts.extend(measure.facts());
                }
                facts
            }
            Self::Known { measure } | Self::Missing { measure } => measure.facts(),
            // Those of its ranking.
            Self::Rank { .. } => Vec::new(),
        }
    }

    /// Does it use a score?
    pub(super) fn looks_at(&self, wanted: Score) -> bool {
        let asks = |measure: &Measure| matches!(measure, Measure::Score { score, .. } if *score == wanted);
        match self {
            Self::Compare { measure, .. } | Self::Known { measure } | Self::Missing { measure } => asks(measure),
            _ => false,
        }
    }

    /// The cohort that it reads, and whether it reads its history.
    pub(super) fn cohort(&self) -> Option<(CohortIx, bool)> {
        match self {
            Self::In { cohort, .. } | Self::FirstEntered { cohort, .. } => Some((*cohort, false)),
            Self::Moves { cohort, .. } => Some((*cohort, true)),
            Self::Rank { among, .. } => among.map(|cohort| (cohort, false)),
            _ => None,
        }
    }
}

impl Measure {
    pub(in crate::rules) fn facts(&self) -> Vec<FactIx> {
        match self {
            Self::Series { fact, window, .. } | Self::Distinct { fact, window } | Self::Pick { fact, window, .. } => {
                match window {
                    Window::Since { fact: anchor, .. } | Window::WithinFirst { fact: anchor, .. } => {
                        vec![*fact, *anchor]
                    }
                    _ => vec![*fact],
                }
            }
            Self::Total { fact, .. }
            | Self::Extreme { fact }
            | Self::TimeSince { fact, .. }
            | Self::TimeFrom { fact }
            | Self::UsualGap { fact, .. }
            | Self::Score { fact, .. }
            | Self::Steps { fact } => vec![*fact],
            Self::Change { of, .. } | Self::Growth { of, .. } => of.facts(),
            Self::Ratio { of, to } => [of.facts(), to.facts()].concat(),
        }
    }
}
