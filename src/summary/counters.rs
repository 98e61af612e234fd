//! The counters of one partition for every ranking of the rules.

use super::histogram::Histogram;
use super::leaders::Leaders;
use crate::engine::{RankMove, Standing};
use crate::rules::RuleSet;
use crate::rules::ast::{RankEnd, RankSize};

/// Counters by the rule set's numbers of rankings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    pub rankings: Vec<RankingCounters>,
}

/// The counters of one ranking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankingCounters {
    pub histogram: Histogram,
    /// The lists for the largest N of rules for the N highest, and of rules for the N lowest.
    pub highest: Option<Leaders>,
    pub lowest: Option<Leaders>,
}

impl Counters {
    /// Counters without customers.
    #[must_use]
    pub fn new(rules: &RuleSet) -> Self {
        let keep = |ranking: usize, end: RankEnd| {
            let sizes = rules.ranks.iter().filter(|rank| usize::from(rank.ranking.0) == ranking && rank.end == end);
            let counts = sizes.filter_map(|rank| match rank.size {
                RankSize::Count(count) => Some(count as usize),
                RankSize::Percent(_) => None,
            });
            counts.max().map(|keep| Leaders::new(keep, end))
        };
        let rankings = (0..rules.rankings.len()).map(|ranking| RankingCounters {
            histogram: Histogram::default(),
            highest: keep(ranking, RankEnd::Highest),
            lowest: keep(ranking, RankEnd::Lowest),
        });
        Self { rankings: rankings.collect() }
    }

    /// Counts a customer's move from one position to another.
    pub fn count(&mut self, moved: &RankMove) {
        let counters = &mut self.rankings[moved.ranking];
        if let Some(from) = moved.from {
            counters.histogram.remove(from.value);
            counters.leaders().for_each(|leaders| leaders.remove(from));
        }
        if let Some(to) = moved.to {
            counters.add(to);
        }
    }

    /// Must any list be rebuilt from all customers?
    #[must_use]
    pub fn are_short(&self) -> bool {
        let lists = |counters: &RankingCounters| {
            [&counters.highest, &counters.lowest].map(|list| list.as_ref().is_some_and(Leaders::is_short))
        };
        self.rankings.iter().any(|counters| lists(counters).contains(&true))
    }
}

impl RankingCounters {
    pub fn add(&mut self, standing: Standing) {
        self.histogram.add(standing.value);
        self.leaders().for_each(|leaders| leaders.add(standing));
    }

    fn leaders(&mut self) -> impl Iterator<Item = &mut Leaders> {
        [&mut self.highest, &mut self.lowest].into_iter().flatten()
    }
}
