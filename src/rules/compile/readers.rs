//! For each input the machines that read it.

use super::Compiler;
use crate::fact::FactIx;
use crate::rules::index::{CohortIx, RankingIx};
use crate::rules::readers::{Machine, Readers};
use crate::rules::ruleset::{Churn, Cohort, Ranking};

impl Compiler<'_> {
    /// `of_facts`: for each fact the cohorts whose conditions read it.
    pub(super) fn readers(&self, of_facts: &[Vec<CohortIx>], cohorts: &[Cohort], churn: Option<&Churn>) -> Readers {
        let memberships = |cohorts: &[CohortIx]| cohorts.iter().copied().map(Machine::Cohort).collect::<Vec<_>>();
        let ranked = |reads: &dyn Fn(&Ranking) -> bool| -> Vec<Machine> {
            let numbered = self.rankings.iter().zip((0..).map(RankingIx));
            numbered.filter(|(ranking, _)| reads(ranking)).map(|(_, index)| Machine::Ranking(index)).collect()
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
        Readers {
            facts: of_facts.iter().zip((0..).map(FactIx)).map(of_fact).collect(),
            // Whatever reads the level also reads the fact that it is computed from.
            risk: churn.map(|churn| memberships(&of_facts[usize::from(churn.fact.0)])).unwrap_or_default(),
            cohorts: cohorts.iter().zip((0..).map(CohortIx)).map(of_cohort).collect(),
            thresholds: self.ranks.iter().map(|rank| memberships(&rank.readers)).collect(),
        }
    }
}
