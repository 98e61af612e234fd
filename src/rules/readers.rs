//! What is decided for each customer, and what each of these reads.

use super::index::{CohortIx, RankIx, RankingIx};
use super::ruleset::{Churn, Cohort, Rank, Ranking};
use crate::fact::FactIx;

/// Something that a decision runs for a customer and that has a deadline. Ordered as decisions run them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Machine {
    /// The level of the churn risk.
    Risk,
    /// The membership in a cohort.
    Cohort(CohortIx),
    /// The value in a ranking.
    Ranking(RankingIx),
}

/// Something that machines read and that may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    Fact(FactIx),
    /// The level of the churn risk.
    Risk,
    /// The membership in a cohort.
    Cohort(CohortIx),
    /// Where a rank begins.
    Threshold(RankIx),
}

/// For each input the machines that read it.
#[derive(Debug, Default)]
pub struct Readers {
    facts: Vec<Vec<Machine>>,
    risk: Vec<Machine>,
    cohorts: Vec<Vec<Machine>>,
    thresholds: Vec<Vec<Machine>>,
}

impl Readers {
    /// `of_facts`: for each fact the cohorts whose conditions read it.
    pub(super) fn new(
        of_facts: &[Vec<CohortIx>],
        cohorts: &[Cohort],
        rankings: &[Ranking],
        ranks: &[Rank],
        churn: Option<&Churn>,
    ) -> Self {
        let memberships = |cohorts: &[CohortIx]| cohorts.iter().copied().map(Machine::Cohort).collect::<Vec<_>>();
        let numbered = || rankings.iter().zip((0..).map(RankingIx));
        let ranked = |reads: &dyn Fn(&Ranking) -> bool| -> Vec<Machine> {
            numbered().filter(|(ranking, _)| reads(ranking)).map(|(_, index)| Machine::Ranking(index)).collect()
        };
        let of_fact = |(readers, fact): (&Vec<CohortIx>, FactIx)| {
            let risk = churn.filter(|churn| churn.fact == fact).map(|_| Machine::Risk);
            let rankings = ranked(&|ranking| ranking.measure.facts().contains(&fact));
            risk.into_iter().chain(memberships(readers)).chain(rankings).collect()
        };
        let of_cohort = |(cohort, index): (&Cohort, CohortIx)| {
            let rankings = ranked(&|ranking| ranking.among == Some(index));
            memberships(&cohort.dependants).into_iter().chain(rankings).collect()
        };
        Self {
            facts: of_facts.iter().zip((0..).map(FactIx)).map(of_fact).collect(),
            // Whatever reads the level also reads the fact that it is computed from.
            risk: churn.map(|churn| memberships(&of_facts[usize::from(churn.fact.0)])).unwrap_or_default(),
            cohorts: cohorts.iter().zip((0..).map(CohortIx)).map(of_cohort).collect(),
            thresholds: ranks.iter().map(|rank| memberships(&rank.readers)).collect(),
        }
    }

    #[must_use]
    pub fn of(&self, input: Input) -> &[Machine] {
        match input {
            Input::Fact(fact) => &self.facts[usize::from(fact.0)],
            Input::Risk => &self.risk,
            Input::Cohort(cohort) => &self.cohorts[usize::from(cohort.0)],
            Input::Threshold(rank) => &self.thresholds[usize::from(rank.0)],
        }
    }
}
