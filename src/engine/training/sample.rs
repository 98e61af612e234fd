//! Some customers of one partition, as the model of churn learns from them: the same ones each week.

use super::fit::{Sighting, Watched};
use crate::calendar::{Calendar, Unit};
use crate::churn::fit::in_sample;
use crate::engine::customer::CustomerState;
use crate::engine::model::Comings;
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

/// Those of a partition who have come, in one week.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    /// That of the stream time at which it was begun.
    pub week: i64,
    /// All who have come: the rows are of some of them, if they are many.
    pub customers: u64,
    /// Ascending by hash.
    pub rows: Vec<SampleRow>,
}

/// A customer at an instant of that week.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRow {
    /// Of the customer's id.
    pub hash: u64,
    /// Stream time, when the customer was looked at.
    pub at: Instant,
    pub comings: Comings,
}

impl Sample {
    /// What became of those who are in a later sample too, which was taken as long after this one as they are watched, or
    /// longer.
    #[must_use]
    pub fn watched(&self, later: &Self, watch: Span, calendar: &Calendar) -> Vec<Watched> {
        let watched = |row: &SampleRow| {
            let none = row.nothing_came(later.find(row.hash)?, watch, calendar);
            Some(Watched { sighting: row.sighting(calendar), none })
        };
        self.rows.iter().filter_map(watched).collect()
    }

    pub(super) fn find(&self, hash: u64) -> Option<&SampleRow> {
        self.rows.binary_search_by_key(&hash, |row| row.hash).ok().map(|place| &self.rows[place])
    }
}

impl SampleRow {
    #[must_use]
    pub fn sighting(&self, calendar: &Calendar) -> Sighting {
        Sighting::new(self.comings, self.at, calendar)
    }

    /// Did the customer do nothing while watched, as it is known later?
    pub(super) fn nothing_came(&self, later: &Self, watch: Span, calendar: &Calendar) -> bool {
        let [from, until] = [self.at, self.at + watch].map(|at| calendar.period(at, Unit::Day));
        let (seen, now) = (self.comings, later.comings);
        let last = i64::from(now.last_day());
        // A late event may have been of the time before; where few come, the clock may have been moved on by this very
        // customer's event, long after the end.
        let is_later = last > i64::from(seen.last_day()) && last >= from;
        !is_later || (last > until && seen.and_on(now.last_day()).are_on_the_days_of(&now))
    }
}

/// A sample that is being taken, customer by customer in any order.
///
/// A partition knows its own customers only, and takes all others to have as many each: so it takes its part of what a fit
/// needs, or all of its customers where they are fewer. One with few beside others with many gives too many of its own, at
/// most that part; as it is a hash that tells who is where, they are like all others.
///
/// Which ones is told by their hashes and by how many have come. As these become more, some of those taken before are left
/// out, and no others come in for them: so what became of a customer can be looked up in a later sample.
#[derive(Debug)]
pub struct Sampling {
    partitions: u64,
    sample: Sample,
    /// With so many rows, those go that are too many by now.
    full: usize,
}

/// Rows that are kept without a look at whether they are too many.
const ROOM: usize = 1_024;

impl Sampling {
    #[must_use]
    pub fn new(at: Instant, partitions: u32) -> Self {
        let sample = Sample { week: week_of(at), ..Sample::default() };
        Self { partitions: u64::from(partitions), sample, full: ROOM }
    }

    /// Takes a customer, if they have come and are one of the sample.
    pub fn look(&mut self, rules: &RuleSet, hash: u64, state: &CustomerState, at: Instant) {
        if let Some(comings) = Comings::of(rules, state) {
            self.take(SampleRow { hash, at, comings });
        }
    }

    fn take(&mut self, row: SampleRow) {
        self.sample.customers += 1;
        if !self.takes(row.hash) {
            return;
        }
        self.sample.rows.push(row);
        if self.sample.rows.len() >= self.full {
            self.thin();
            self.full = ROOM.max(2 * self.sample.rows.len());
        }
    }

    /// Whom more customers leave out stays out.
    fn takes(&self, hash: u64) -> bool {
        in_sample(hash, self.sample.customers.saturating_mul(self.partitions))
    }

    fn thin(&mut self) {
        let mut rows = std::mem::take(&mut self.sample.rows);
        rows.retain(|row| self.takes(row.hash));
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
    use crate::engine::Comings;
    use crate::event::Instant;
    use crate::event::stored_hash::tie_hash;

    fn sample(partitions: u32, customers: impl Iterator<Item = u32>) -> Sample {
        let mut sampling = Sampling::new(Instant(0), partitions);
        for customer in customers {
            let comings = Comings::Bought(Purchases::first(0, 0));
            sampling.take(SampleRow { hash: tie_hash(&format!("c{customer}")), at: Instant(0), comings });
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
