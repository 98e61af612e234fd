//! Ranks: their ranking and their size.

use super::{Compiled, Compiler};
use crate::event::Number;
use crate::rules::ast::{Range, Rank as WrittenRank, RankSize};
use crate::rules::condition::{Condition, Node};
use crate::rules::error::ExprError;
use crate::rules::index::{CohortIx, RankIx, RankingIx};
use crate::rules::measure::{Aggregate, Measure, Score};
use crate::rules::ruleset::{Churn, Cohort, Rank, Ranking};

/// Maximum of `among the N highest`, which needs a list of twice as many customers for each partition.
const COUNT_MAX: u32 = 1_000;

impl Compiler<'_> {
    pub(super) fn rank(&mut self, written: &WrittenRank, range: Range) -> Compiled<Condition> {
        match written.size {
            RankSize::Percent(percent) if percent <= Number::ZERO || percent > Number::from_integer(100) => {
                return Err(ExprError::new(range, "a percentage must be above 0 % and at most 100 %"));
            }
            RankSize::Count(0) => return Err(ExprError::new(range, "the count must be at least 1")),
            RankSize::Count(count) if count > COUNT_MAX => {
                let error = ExprError::new(range, "the maximum count is 1,000");
                return Err(error.hint("use a percentage, such as `in the top 1 %`"));
            }
            RankSize::Percent(_) | RankSize::Count(_) => {}
        }
        let (measure, _) = self.measure(&written.by)?;
        if measure.grows() {
            let error = ExprError::new(
                written.by.range,
                "this changes with time alone, so all ranks would change continuously",
            );
            return Err(error.hint("rank by a count or an amount; for recency, use `silent for ...`"));
        }
        let positive = match measure {
            Measure::Total { of, .. } | Measure::Series { of, .. } => matches!(of, Aggregate::Count | Aggregate::Sum),
            Measure::Distinct { .. } => true,
            _ => false,
        };
        let among = written.among.as_ref().map(|name| self.order[name.text.as_str()]);
        let ranking = Ranking { measure, among, positive };
        let number = self.rankings.iter().position(|known| *known == ranking).unwrap_or_else(|| {
            self.rankings.push(ranking);
            self.rankings.len() - 1
        });
        let ranking = RankingIx(u16::try_from(number).expect("a rules file has fewer than 65,536 rankings"));
        let (end, size) = (written.end, written.size);
        let alike = |known: &Rank| (known.ranking, known.end, known.size) == (ranking, end, size);
        let number = self.ranks.iter().position(alike).unwrap_or_else(|| {
            self.ranks.push(Rank { ranking, end, size, words: String::new(), readers: Vec::new() });
            self.ranks.len() - 1
        });
        let rank = RankIx(u16::try_from(number).expect("a rules file has fewer than 65,536 ranks"));
        Ok(Condition::Rank { rank, among })
    }

    /// Does any of its expressions use `churn_risk`?
    pub(super) fn asks_for_risk(&self, cohort: &Cohort) -> bool {
        let mut leaves = Vec::new();
        cohort.nodes().for_each(|node| node.leaves(&mut leaves));
        leaves.iter().any(|leaf| self.conditions[usize::from(leaf.0)].looks_at(Score::Risk))
    }

    pub(super) fn ranking(&self, rank: RankIx) -> &Ranking {
        &self.rankings[usize::from(self.ranks[usize::from(rank.0)].ranking.0)]
    }

    /// Sets the text of each rank and the cohorts that refer to it. Cohorts that use the risk also refer to the ranks
    /// of signals.
    pub(super) fn name_ranks(&mut self, cohorts: &[Cohort], churn: Option<&Churn>) {
        let signals = || churn.into_iter().flat_map(|churn| &churn.signals).map(|signal| &signal.when);
        for (cohort, reader) in cohorts.iter().zip(0..) {
            let asks_for_risk = self.asks_for_risk(cohort);
            for node in cohort.nodes().chain(signals().filter(|_| asks_for_risk)) {
                self.name_ranks_in(node, Some(CohortIx(reader)));
            }
        }
        signals().for_each(|node| self.name_ranks_in(node, None));
    }

    fn name_ranks_in(&mut self, node: &Node, reader: Option<CohortIx>) {
        match node {
            Node::And(parts) | Node::Or(parts) => parts.iter().for_each(|part| self.name_ranks_in(part, reader)),
            Node::Not(inner) => self.name_ranks_in(inner, reader),
            Node::Leaf(condition, words) => {
                let Condition::Rank { rank, .. } = self.conditions[usize::from(condition.0)] else { return };
                let rank = &mut self.ranks[usize::from(rank.0)];
                if rank.words.is_empty() {
                    rank.words = words.to_string();
                }
                if let Some(reader) = reader.filter(|reader| !rank.readers.contains(reader)) {
                    rank.readers.push(reader);
                }
            }
        }
    }
}
