//! A sample of the customers of one partition, which the churn model is trained on: the same customers each week.

use super::fit::{LabeledSnapshot, Snapshot};
use crate::calendar::{Calendar, Unit};
use crate::churn::fit::in_sample;
use crate::engine::customer::CustomerState;
use crate::engine::model::ActivityHistory;
use crate::event::{Instant, Span};
use crate::rules::RuleSet;

pub(super) const WEEK: Span = Span(7 * Span::DAY.0);
/// 1970-01-05, the first Monday.
const MONDAY: Instant = Instant(4 * Span::DAY.0);

/// Whole weeks since the first Monday of 1970, UTC.
#[must_use]
pub fn week_of(at: Instant) -> i64 {
    at.since(MONDAY).0.div_euclid(WEEK.0)
}

/// When a week begins.
#[must_use]
pub fn week_begins(week: i64) -> Instant {
    Instant(MONDAY.0.saturating_add(week.saturating_mul(WEEK.0)))
}

/// The customers of a partition who have been active, in one week.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    /// The week of the stream time at which it was begun.
    pub week: i64,
    /// All customers who have been active; the rows are a sample of them, if they are many.
    pub customers: u64,
    /// Ascending by hash.
    pub rows: Vec<SampleRow>,
}

/// A customer at an instant of that week.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRow {
    /// Hash of the customer's id.
    pub hash: u64,
    /// Stream time when the row was taken.
    pub at: Instant,
    pub activity: ActivityHistory,
}

impl Sample {
    /// Labels the rows that a later sample has too; it was taken at least `watch` after this one.
    #[must_use]
    pub fn labeled(&self, later: &Self, watch: Span, calendar: &Calendar) -> Vec<LabeledSnapshot> {
        let labeled = |row: &SampleRow| {
            let none = row.was_inactive(later.find(row.hash)?, watch, calendar);
            Some(LabeledSnapshot { snapshot: row.snapshot(calendar), none })
        };
        self.rows.iter().filter_map(labeled).collect()
    }

    pub(super) fn find(&self, hash: u64) -> Option<&SampleRow> {
        self.rows.binary_search_by_key(&hash, |row| row.hash).ok().map(|index| &self.rows[index])
    }
}

impl SampleRow {
    #[must_use]
    pub fn snapshot(&self, calendar: &Calendar) -> Snapshot {
        Snapshot::new(self.activity, self.at, calendar)
    }

    /// Was the customer inactive for `watch` after this row, by what a later row says?
    pub(super) fn was_inactive(&self, later: &Self, watch: Span, calendar: &Calendar) -> bool {
        let [from, until] = [self.at, self.at + watch].map(|at| calendar.period(at, Unit::Day));
        let (seen, now) = (self.activity, later.activity);
        let last = i64::from(now.last_day());
        // A late event may lie before this row. With few customers the later row may have been taken because of this
        // very customer's next event, long after the horizon.
        let is_later = last > i64::from(seen.last_day()) && last >= from;
        !is_later || (last > until && seen.with_day(now.last_day()).has_same_days_as(&now))
    }
}

/// A sample being taken, customer by customer in any order.
///
/// A partition knows only its own customers and assumes that all partitions have as many: it takes its share of what a
/// fit needs, or all of its customers where they are fewer. A small partition beside large ones is over-represented, by
/// at most that share; as customers are partitioned by hash, its customers are like all others.
///
/// Membership in the sample depends on the customer's hash and on how many have been active. As these become more, some
/// customers drop out and no others enter, so that a customer's label can be looked up in a later sample.
#[derive(Debug)]
pub struct Sampling {
    partitions: u64,
    sample: Sample,
    /// With so many rows, those that no longer belong in the sample are removed.
    full: usize,
}

/// Rows that may be held before the sample is thinned for the first time.
const ROOM: usize = 1_024;

impl Sampling {
    #[must_use]
    pub fn new(at: Instant, partitions: u32) -> Self {
        let sample = Sample { week: week_of(at), ..Sample::default() };
        Self { partitions: u64::from(partitions), sample, full: ROOM }
    }

    /// Adds a customer, if they have been active and belong in the sample.
    pub fn add(&mut self, rules: &RuleSet, hash: u64, state: &CustomerState, at: Instant) {
        if let Some(activity) = ActivityHistory::of(rules, state) {
            self.take(SampleRow { hash, at, activity });
        }
    }

    fn take(&mut self, row: SampleRow) {
        self.sample.customers += 1;
        if !self.includes(row.hash) {
            return;
        }
        self.sample.rows.push(row);
        if self.sample.rows.len() >= self.full {
            self.thin();
            self.full = ROOM.max(2 * self.sample.rows.len());
        }
    }

    /// Whether a customer belongs in the sample; once out, always out.
    fn includes(&self, hash: u64) -> bool {
        in_sample(hash, self.sample.customers.saturating_mul(self.partitions))
    }

    fn thin(&mut self) {
        let mut rows = std::mem::take(&mut self.sample.rows);
        rows.retain(|row| self.includes(row.hash));
        self.sample.rows = rows;
    }

    #[must_use]
    pub fn finish(mut self) -> Sample {
        self.thin();
        self.sample.rows.sort_unstable_by_key(|row| row.hash);
        self.sample
    }
}

#[cfg(test)]
mod tests {
    use super::{Sample, SampleRow, Sampling};
    use crate::churn::Purchases;
    use crate::engine::ActivityHistory;
    use crate::event::Instant;
    use crate::event::stored_hash::tie_hash;

    fn sample(partitions: u32, customers: impl Iterator<Item = u32>) -> Sample {
        let mut sampling = Sampling::new(Instant(0), partitions);
        for customer in customers {
            let activity = ActivityHistory::Purchases(Purchases::first(0, 0));
            sampling.take(SampleRow { hash: tie_hash(&format!("c{customer}")), at: Instant(0), activity });
        }
        sampling.finish()
    }

    #[test]
    fn a_partition_takes_its_part_whatever_the_order_and_the_same_customers_when_there_are_more() {
        let few = sample(10, 0..20_000);
        assert!((450..550).contains(&few.rows.len()), "{}", few.rows.len());
        assert_eq!(few.customers, 20_000);
        assert!(few.rows.is_sorted_by(|a, b| a.hash < b.hash));
        assert_eq!(sample(10, (0..20_000).rev()), few);
        let many = sample(10, 0..60_000);
        assert!((450..550).contains(&many.rows.len()));
        let was_taken = |row: &&SampleRow| row.hash <= few.rows[few.rows.len() - 1].hash;
        let old: Vec<u64> = (0..20_000).map(|customer| tie_hash(&format!("c{customer}"))).collect();
        let kept: Vec<&SampleRow> = many.rows.iter().filter(|row| old.contains(&row.hash)).collect();
        assert!(kept.len() > 100 && kept.iter().all(was_taken));
        assert_eq!(sample(10, 0..300).rows.len(), 300);
    }
}
