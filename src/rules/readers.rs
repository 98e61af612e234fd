//! What is decided for each customer, and what each of these reads.

use super::index::{CohortIx, RankIx, RankingIx};
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
    pub(super) facts: Vec<Vec<Machine>>,
    pub(super) risk: Vec<Machine>,
    pub(super) cohorts: Vec<Vec<Machine>>,
    pub(super) thresholds: Vec<Vec<Machine>>,
}

impl Readers {
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
