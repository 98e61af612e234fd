//! Room that every decision uses anew, so that none allocates its own.

use super::cohort_set::CohortSet;
use crate::engine::effects::RiskEffect;
use crate::engine::machines::Foresight;
use crate::fact::FactIx;
use crate::rules::RuleSet;

/// What is to be evaluated in the decision under way, whatever its deadline.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) cohorts: CohortSet,
    /// By the rule set's numbers: the customer's place in it is computed anew.
    pub(super) rankings: Vec<bool>,
    /// The level of risk is computed anew.
    pub(super) risk: bool,
    pub(super) lookahead: Foresight,
    /// What was said of risks since it was last taken.
    pub(super) risks: Vec<RiskEffect>,
}

impl Scratch {
    pub(super) fn new(rules: &RuleSet) -> Self {
        Self {
            cohorts: CohortSet::none_of(rules.cohorts.len()),
            rankings: vec![false; rules.rankings.len()],
            risk: false,
            lookahead: Foresight::new(rules),
            risks: Vec::new(),
        }
    }

    /// Nothing but what is due.
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

    /// Whatever reads a fact.
    pub(super) fn add_readers(&mut self, rules: &RuleSet, fact: FactIx) {
        self.cohorts.add_each(rules.readers(fact));
        self.risk |= rules.churn.as_ref().is_some_and(|churn| churn.fact == fact);
        for ranking in rules.ranked_by(fact) {
            self.rankings[usize::from(ranking.0)] = true;
        }
    }
}
