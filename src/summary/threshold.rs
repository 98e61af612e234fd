//! The thresholds of ranks, from the counters of all partitions.

use super::counters::{Counters, RankingCounters};
use super::histogram::Histogram;
use crate::engine::Standing;
use crate::event::Number;
use crate::rules::ast::{RankEnd, RankSize};
use crate::rules::{Rank, RuleSet};

/// With fewer customers a percentage has no threshold, and nobody enters by it.
pub const POPULATION_MIN: u64 = 200;

/// The population and threshold of one rank over all partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankThreshold {
    /// Customers in the ranking.
    pub population: u64,
    /// `None`: nobody is in.
    pub threshold: Option<Standing>,
}

/// The thresholds of all ranks, by the rule set's numbers.
///
/// `top p %` of n customers: the threshold is the lower edge of the bucket with the k-th highest value, k =
/// ceil(n*p/100): at most 1/128 too low. Customers at or above it are in. (`bottom`: mirrored.) `among the N highest`:
/// the threshold is the N-th customer exactly; where there are fewer, all are in.
#[must_use]
pub fn thresholds(rules: &RuleSet, parts: &[&Counters]) -> Vec<RankThreshold> {
    let of_rank = |rank: &Rank| {
        let counters: Vec<&RankingCounters> =
            parts.iter().map(|part| &part.rankings[usize::from(rank.ranking.0)]).collect();
        threshold_of(rank, &counters)
    };
    rules.ranks.iter().map(of_rank).collect()
}

/// The threshold of one rank, from the counters of its ranking of all partitions.
#[must_use]
pub fn threshold_of(rank: &Rank, parts: &[&RankingCounters]) -> RankThreshold {
    let mut all = Histogram::default();
    parts.iter().for_each(|counters| all.merge(&counters.histogram));
    let population = all.total();
    let threshold = match rank.size {
        RankSize::Percent(_) if population < POPULATION_MIN => None,
        RankSize::Percent(percent) => {
            all.nth(rank.end, percent_rounded_up(population, percent)).map(|bucket| match rank.end {
                RankEnd::Highest => Standing { value: bucket.least(), hash: 0 },
                RankEnd::Lowest => Standing { value: bucket.most(), hash: u64::MAX },
            })
        }
        RankSize::Count(count) => {
            let lists = parts.iter().filter_map(|counters| match rank.end {
                RankEnd::Highest => counters.highest.as_ref(),
                RankEnd::Lowest => counters.lowest.as_ref(),
            });
            let mut best: Vec<Standing> = lists.flat_map(super::Leaders::best).collect();
            best.sort_unstable();
            let everyone = match rank.end {
                RankEnd::Highest => {
                    best.reverse();
                    Standing::MIN
                }
                RankEnd::Lowest => Standing::MAX,
            };
            Some(best.get(count as usize - 1).copied().unwrap_or(everyone))
        }
    };
    RankThreshold { population, threshold }
}

/// A percentage of a population, rounded up, and at least one.
fn percent_rounded_up(population: u64, percent: Number) -> u64 {
    let hundred = 100 * Number::ONE.cast_unsigned();
    let part = (u128::from(population) * percent.0.unsigned_abs()).div_ceil(hundred);
    u64::try_from(part).unwrap_or(population).max(1)
}

#[cfg(test)]
mod tests {
    use super::{Counters, POPULATION_MIN, thresholds};
    use crate::engine::Standing;
    use crate::event::Number;
    use crate::rules::{RuleSet, load};

    fn rules(who: &str) -> RuleSet {
        load("r.toml", &format!("[cohorts.c]\nwho = '{who}'")).unwrap()
    }

    /// Values of any measure, in millionths, dealt to three partitions.
    fn counted(rules: &RuleSet, values: &[i128]) -> Vec<Counters> {
        let mut parts = vec![Counters::new(rules); 3];
        for (i, value) in values.iter().enumerate() {
            parts[i % 3].rankings[0].add(Standing { value: Number(*value), hash: i as u64 });
        }
        parts
    }

    fn threshold(who: &str, values: &[i128]) -> Option<Standing> {
        let rules = rules(who);
        let parts = counted(&rules, values);
        let found = thresholds(&rules, &parts.iter().collect::<Vec<_>>());
        assert_eq!(found[0].population, values.len() as u64);
        found[0].threshold
    }

    /// Checks that the threshold includes the n-th customer and is at most one per cent off that one's value.
    fn check(values: &[i128], percent: i128) {
        let found = threshold(&format!("in the top {percent} % by count(buy)"), values).unwrap().value.0;
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let n = (values.len() * percent as usize).div_ceil(100);
        let exact = sorted[n - 1];
        assert!(found <= exact && (exact - found) * 100 <= exact.abs(), "top {percent} %: {found}, exactly {exact}");
        let found = threshold(&format!("in the bottom {percent} % by count(buy)"), values).unwrap().value.0;
        let exact = sorted[values.len() - n];
        assert!(found >= exact && (found - exact) * 100 <= exact.abs(), "bottom {percent} %: {found}, exactly {exact}");
    }

    #[test]
    fn a_threshold_is_within_one_per_cent_of_the_exact_one() {
        let mut random = 1_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i128::from(random >> 33)
        };
        let plain: Vec<i128> = (0..5_000).map(|_| next() * 31).collect();
        let mut skewed = Vec::new();
        for _ in 0..5_000 {
            let scale: i128 = 1 << (next() % 60);
            skewed.push(scale + next() % scale);
        }
        let constant = vec![49_990_000; 1_000];
        let mostly_zero: Vec<i128> = (0..5_000).map(|i| if i % 10 == 0 { next() } else { 0 }).collect();
        let of_both_signs: Vec<i128> = (0..5_000).map(|_| (next() - (1 << 30)) * 77).collect();
        for values in [plain, skewed, constant, mostly_zero, of_both_signs] {
            [1, 5, 10, 15, 50, 99, 100].into_iter().for_each(|percent| check(&values, percent));
        }
    }

    #[test]
    fn a_part_of_too_few_lets_nobody_in() {
        let few = vec![1_000_000; POPULATION_MIN as usize - 1];
        assert_eq!(threshold("in the top 10 % by count(buy)", &few), None);
        assert!(threshold("in the top 10 % by count(buy)", &[few, vec![2_000_000]].concat()).is_some());
    }

    #[test]
    fn the_n_highest_are_found_exactly_and_ties_go_by_the_hash() {
        let values: Vec<i128> = (0..999).map(|i| i128::from(i % 10)).collect();
        let found = threshold("among the 150 highest by count(buy)", &values).unwrap();
        let mut all: Vec<Standing> =
            values.iter().zip(0..).map(|(value, hash)| Standing { value: Number(*value), hash }).collect();
        all.sort_unstable();
        assert_eq!(found, all[all.len() - 150]);
        assert_eq!(threshold("among the 150 lowest by count(buy)", &values).unwrap(), all[149]);
    }

    #[test]
    fn all_are_among_the_n_highest_where_there_are_fewer() {
        assert_eq!(threshold("among the 5 highest by count(buy)", &[3, 2, 1]), Some(Standing::MIN));
        assert_eq!(threshold("among the 5 lowest by count(buy)", &[]), Some(Standing::MAX));
    }
}
