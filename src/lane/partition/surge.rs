//! Surges: many customers enter a cohort at once, more likely because of a mistake in a rule or in the data than for
//! reasons of their own.

use std::collections::BTreeMap;

use crate::event::{Instant, Span};

/// Entries into one cohort within one hour that are never a surge, however few customers there are.
pub(in crate::lane) const ALWAYS: u64 = 100;
/// Hours counted at once for each cohort; older ones belong to a history that is being loaded.
const HOURS_MAX: usize = 3;

/// Entries into each cohort in the latest hours of `occurred_at`. Kept in META, so that they survive a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::lane) struct Surges {
    /// By cohort, then by hour since 1970.
    entered: BTreeMap<usize, BTreeMap<i64, u64>>,
}

/// Whether an entry is part of a surge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lane) enum Entry {
    Normal,
    /// Too many have entered in this hour. `first`: this entry is the first one too many.
    InSurge {
        first: bool,
    },
}

impl Surges {
    /// Counts an entry. `percent` of the partition's `customers` may enter a cohort in one hour.
    pub(super) fn entered(&mut self, cohort: usize, at: Instant, percent: u64, customers: u64) -> Entry {
        let hours = self.entered.entry(cohort).or_default();
        let count = hours.entry(at.0.div_euclid(Span::HOUR.0)).or_default();
        *count += 1;
        let (count, most) = (*count, ALWAYS.max(customers * percent / 100));
        if hours.len() > HOURS_MAX {
            hours.pop_first();
        }
        if count <= most { Entry::Normal } else { Entry::InSurge { first: count == most + 1 } }
    }

    /// The rules have changed, and with them the numbers of the cohorts.
    pub(in crate::lane) fn forget(&mut self) {
        self.entered.clear();
    }

    /// The form in META: cohort, hour, count.
    pub(super) fn rows(&self) -> Vec<(u32, i64, u64)> {
        let rows = |(cohort, hours): (&usize, &BTreeMap<i64, u64>)| {
            let cohort = u32::try_from(*cohort).unwrap_or(u32::MAX);
            hours.iter().map(|(hour, count)| (cohort, *hour, *count)).collect::<Vec<_>>()
        };
        self.entered.iter().flat_map(rows).collect()
    }

    pub(super) fn of_rows(rows: &[(u32, i64, u64)]) -> Self {
        let mut surges = Self::default();
        for (cohort, hour, count) in rows {
            surges.entered.entry(*cohort as usize).or_default().insert(*hour, *count);
        }
        surges
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Surges};
    use crate::event::{Instant, Span};

    #[test]
    fn a_hundred_are_news_and_a_fifth_of_many_and_no_more() {
        let news = |customers| {
            let mut surges = Surges::default();
            let at = Instant(5 * Span::HOUR.0);
            let all: Vec<Entry> = (0..1_000).map(|_| surges.entered(0, at, 20, customers)).collect();
            let firsts = all.iter().filter(|entry| **entry == Entry::InSurge { first: true }).count();
            assert!(firsts <= 1 && all.is_sorted_by_key(|entry| *entry != Entry::Normal));
            all.iter().filter(|entry| **entry == Entry::Normal).count()
        };
        assert_eq!((news(10), news(600), news(4_000), news(10_000)), (100, 120, 800, 1_000));
    }

    #[test]
    fn each_cohort_and_hour_counts_by_itself_and_survives_a_restart() {
        let mut surges = Surges::default();
        let at = |hour: i64| Instant(hour * Span::HOUR.0 + 1);
        (0..100).for_each(|_| assert_eq!(surges.entered(1, at(7), 20, 0), Entry::Normal));
        assert_eq!(surges.entered(2, at(7), 20, 0), Entry::Normal);
        assert_eq!(surges.entered(1, at(8), 20, 0), Entry::Normal);
        let mut again = Surges::of_rows(&surges.rows());
        assert_eq!(again, surges);
        assert_eq!(again.entered(1, at(7), 20, 0), Entry::InSurge { first: true });
        (9..20).for_each(|hour| assert_eq!(again.entered(1, at(hour), 20, 0), Entry::Normal));
        assert!(again.rows().len() <= 4);
    }
}
