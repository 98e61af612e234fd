//! Some customers of one partition, as the model of churn learns from them: the same ones each week.

use super::comings::Comings;
use super::fitting::Sighting;
use super::state::CustomerState;
use crate::churn::fit::in_sample;
use crate::event::{Instant, Span};
use crate::rules::{Calendar, RuleSet};

const WEEK: Span = Span(7 * Span::DAY.0);
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
    Instant(MONDAY.0 + week * WEEK.0)
}

/// Those of a partition who have come, in one week.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    /// That of the stream time at which it was begun.
    pub week: i64,
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

impl SampleRow {
    #[must_use]
    pub fn sighting(&self, calendar: &Calendar) -> Sighting {
        Sighting::new(self.comings, self.at, calendar)
    }
}

/// A sample that is being taken.
#[derive(Debug)]
pub struct Sampling {
    /// About how many there are in all partitions.
    population: u64,
    sample: Sample,
}

impl Sampling {
    /// `customers`: all that the partition knows. Of many partitions each takes its part of what a fit needs; as customers
    /// become more, some of those taken before are left out, and no others come in for them.
    #[must_use]
    pub fn new(at: Instant, customers: u64, partitions: u32) -> Self {
        let population = customers.saturating_mul(u64::from(partitions));
        Self { population, sample: Sample { week: week_of(at), rows: Vec::new() } }
    }

    /// Takes a customer, if they have come and are one of the sample.
    pub fn look(&mut self, rules: &RuleSet, hash: u64, state: &CustomerState, at: Instant) {
        if in_sample(hash, self.population)
            && let Some(comings) = Comings::of(rules, state)
        {
            self.sample.rows.push(SampleRow { hash, at, comings });
        }
    }

    #[must_use]
    pub fn finish(mut self) -> Sample {
        self.sample.rows.sort_unstable_by_key(|row| row.hash);
        self.sample
    }
}
