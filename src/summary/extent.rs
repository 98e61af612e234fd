//! Whether counters have changed enough since the last thresholds to compute new ones.

use std::sync::Arc;

use super::counters::Counters;
use crate::engine::Thresholds;
use crate::rules::RuleSet;

/// The number of customers in the ranking of each rank, and the number of those beyond the threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    thresholds: Thresholds,
    /// By the rule set's numbers of ranks: customers in its ranking, and those at or beyond its threshold.
    sizes: Vec<[u64; 2]>,
}

impl Extent {
    /// `thresholds`: those in force.
    #[must_use]
    pub fn of(counters: &Counters, rules: &RuleSet, thresholds: &Thresholds) -> Self {
        let sizes = rules.ranks.iter().zip(thresholds.iter()).map(|(rank, threshold)| {
            let histogram = &counters.rankings[usize::from(rank.ranking.0)].histogram;
            let beyond = threshold.map_or(0, |threshold| histogram.at_or_beyond(rank.end, threshold.value));
            [histogram.total(), beyond]
        });
        Self { sizes: sizes.collect(), thresholds: Arc::clone(thresholds) }
    }

    /// Do the counts differ by at least a tenth, and by more than chance explains? Counts vary by about their square
    /// root.
    #[must_use]
    pub fn differs_much(&self, other: &Self) -> bool {
        let much = |(a, b): (&u64, &u64)| {
            let (difference, most) = (a.abs_diff(*b), *a.max(b));
            difference > 0 && difference.saturating_mul(10) >= most && difference.saturating_mul(difference) >= most
        };
        self.sizes.iter().zip(&other.sizes).any(|(now, then)| now.iter().zip(then).any(much))
    }

    /// Was it counted under these thresholds? Only then can two extents be compared.
    #[must_use]
    pub fn is_under(&self, thresholds: &Thresholds) -> bool {
        self.thresholds == *thresholds
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Counters, Extent};
    use crate::engine::{Standing, Thresholds};
    use crate::event::Number;
    use crate::rules::load;

    #[test]
    fn a_tenth_more_is_much_and_so_are_many_more_beyond_a_threshold() {
        let rules = load("r.toml", "[cohorts.c]\nwho = 'in the top 5 % by sum(buy.amount)'").unwrap();
        let none: Thresholds = Arc::from([None]);
        let extent = |values: &[i64], thresholds: &Thresholds| {
            let mut counters = Counters::new(&rules);
            for value in values {
                counters.rankings[0].add(Standing { value: Number::from_integer(*value), hash: 0 });
            }
            Extent::of(&counters, &rules, thresholds)
        };
        let of = |count: usize| extent(&vec![7; count], &none);
        for (then, now, much) in [
            (0, 0, false),
            (0, 1, true),
            (1, 2, false),
            (1, 3, true),
            (9, 12, false),
            (9, 13, true),
            (1_000, 1_099, false),
            (1_000, 1_120, true),
        ] {
            assert_eq!(of(then).differs_much(&of(now)), much, "{then} {now}");
            assert_eq!(of(now).differs_much(&of(then)), much, "{now} {then}");
        }
        // The same customers, but half of them have more than before.
        let threshold: Thresholds = Arc::from([Some(Standing { value: Number::from_integer(100), hash: 0 })]);
        let (before, after) = (vec![50; 1_000], [vec![50; 500], vec![150; 500]].concat());
        assert!(!extent(&before, &none).differs_much(&extent(&after, &none)));
        assert!(extent(&before, &threshold).differs_much(&extent(&after, &threshold)));
        assert!(!extent(&before, &threshold).is_under(&none));
    }
}
