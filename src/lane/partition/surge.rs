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
pub(super) struct Surges {
    /// By cohort, then by hour since 1970.
    entered: BTreeMap<usize, BTreeMap<i64, u64>>,
}

/// How many entries into a cohort within an hour are too many.
#[derive(Debug, Clone, Copy)]
pub(in crate::lane) struct Limit {
    /// `automation.surge`, of the customers; not 0.
    pub(super) percent: u64,
    /// Customers of the partition.
    pub(super) customers: u64,
}

/// Whether entries at one instant are in a surge, as counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lane) enum Entries {
    Normal,
    /// Too many have entered in this hour, these included. `first`: with these it became too many.
    InSurge {
        first: bool,
    },
}

impl Surges {
    /// Counts so many entries at one instant: all of them are in a surge, or none. `limit`: what may
    /// enter in one hour.
    pub(super) fn entered(&mut self, cohort: usize, at: Instant, entries: u64, limit: Limit) -> Entries {
        let hours = self.entered.entry(cohort).or_default();
        let count = hours.entry(hour(at)).or_default();
        let before = *count;
        *count += entries;
        let (count, most) = (*count, ALWAYS.max(limit.customers * limit.percent / 100));
        if hours.len() > HOURS_MAX {
            hours.pop_first();
        }
        if count <= most { Entries::Normal } else { Entries::InSurge { first: before <= most } }
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

/// The hour since 1970 in which surges count an instant.
pub(super) fn hour(at: Instant) -> i64 {
    at.0.div_euclid(Span::HOUR.0)
}

#[cfg(test)]
mod tests {
    use super::{Entries, Limit, Surges};
    use crate::event::{Instant, Span};

    fn of_each(customers: u64) -> Limit {
        Limit { percent: 20, customers }
    }

    #[test]
    fn a_hundred_are_news_and_a_fifth_of_many_and_no_more() {
        let news = |customers| {
            let mut surges = Surges::default();
            let at = Instant(5 * Span::HOUR.0);
            let all: Vec<Entries> = (0..1_000).map(|_| surges.entered(0, at, 1, of_each(customers))).collect();
            let firsts = all.iter().filter(|entry| **entry == Entries::InSurge { first: true }).count();
            assert!(firsts <= 1 && all.is_sorted_by_key(|entry| *entry != Entries::Normal));
            all.iter().filter(|entry| **entry == Entries::Normal).count()
        };
        assert_eq!((news(10), news(600), news(4_000), news(10_000)), (100, 120, 800, 1_000));
    }

    #[test]
    fn those_who_enter_at_one_instant_are_judged_together() {
        let (mut surges, at) = (Surges::default(), Instant(5 * Span::HOUR.0));
        assert_eq!(surges.entered(0, at, 60, of_each(10)), Entries::Normal);
        assert_eq!(surges.entered(0, at + Span(1), 60, of_each(10)), Entries::InSurge { first: true });
        assert_eq!(surges.entered(0, at + Span(2), 60, of_each(10)), Entries::InSurge { first: false });
        assert_eq!(
            surges.entered(0, at + Span(3), 20, of_each(1_000)),
            Entries::Normal,
            "there are more customers now"
        );
    }

    #[test]
    fn each_cohort_and_hour_counts_by_itself_and_survives_a_restart() {
        let mut surges = Surges::default();
        let at = |hour: i64| Instant(hour * Span::HOUR.0 + 1);
        (0..100).for_each(|_| assert_eq!(surges.entered(1, at(7), 1, of_each(0)), Entries::Normal));
        assert_eq!(surges.entered(2, at(7), 1, of_each(0)), Entries::Normal);
        assert_eq!(surges.entered(1, at(8), 1, of_each(0)), Entries::Normal);
        let mut again = Surges::of_rows(&surges.rows());
        assert_eq!(again, surges);
        assert_eq!(again.entered(1, at(7), 1, of_each(0)), Entries::InSurge { first: true });
        (9..20).for_each(|hour| assert_eq!(again.entered(1, at(hour), 1, of_each(0)), Entries::Normal));
        assert!(again.rows().len() <= 4);
    }
}
