//! Memory that decisions reuse, so that none allocates its own.

use super::cohort_set::CohortSet;
use crate::engine::effects::RiskEffect;
use crate::engine::machines::Lookahead;
use crate::fact::FactIx;
use crate::rules::RuleSet;

/// What the current decision must evaluate, whatever the deadlines.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) cohorts: CohortSet,
    /// By the rule set's numbers: is the customer's value to be computed again?
    pub(super) rankings: Vec<bool>,
    /// Is the risk to be assessed again?
    pub(super) risk: bool,
    pub(super) lookahead: Lookahead,
    /// Changes of risk levels since they were last taken.
    pub(super) risks: Vec<RiskEffect>,
}

impl Scratch {
    pub(super) fn new(rules: &RuleSet) -> Self {
        Self {
            cohorts: CohortSet::empty(rules.cohorts.len()),
            rankings: vec![false; rules.rankings.len()],
            risk: false,
            lookahead: Lookahead::new(rules),
            risks: Vec::new(),
        }
    }

    /// Evaluates only what is due.
    pub(super) fn clear(&mut self) {
        self.cohorts.clear();
        self.rankings.fill(false);
        self.risk = false;
    }

    pub(super) fn add_all(&mut self) {
        self.cohorts.add_all();
        self.rankings.fill(true);
        self.risk = true;
    }

    /// Marks everything that reads a fact.
    pub(super) fn add_readers(&mut self, rules: &RuleSet, fact: FactIx) {
        self.cohorts.add_each(rules.readers(fact));
        self.risk |= rules.churn.as_ref().is_some_and(|churn| churn.fact == fact);
        for ranking in rules.ranked_by(fact) {
            self.rankings[usize::from(ranking.0)] = true;
        }
    }
}
