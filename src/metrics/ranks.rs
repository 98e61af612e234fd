//! Ranks over all partitions, shown by the process that computes them.

use prometheus::{GaugeVec, IntGaugeVec};

use super::adder::Adder;

/// The series of all ranks.
#[derive(Debug)]
pub(super) struct RankSeries {
    /// `rank_threshold{cohort,rank}`: the value at which a rank begins, in units of the ranked measure; absent while
    /// nobody is in. Worry when it jumps.
    threshold: GaugeVec,
    /// `rank_population{cohort,rank}`: customers with a value for a rank's measure. Worry when it falls below 200:
    /// nobody enters a rank in per cent then.
    population: IntGaugeVec,
}

impl RankSeries {
    pub(super) fn new(add: &Adder<'_>) -> Self {
        let labels = ["cohort", "rank"];
        Self {
            threshold: add.float_gauges("rank_threshold", "The value at which a rank begins.", &labels),
            population: add.gauges("rank_population", "Customers with a value for a rank's measure.", &labels),
        }
    }

    pub(super) fn forget(&self) {
        self.threshold.reset();
        self.population.reset();
    }

    pub(super) fn of(&self, cohort: &str, rank: &str) -> RankMetrics {
        let labels = [cohort.to_owned(), rank.to_owned()];
        RankMetrics { threshold: self.threshold.clone(), population: self.population.clone(), labels }
    }
}

/// One rank, named by the first cohort that uses it and by its text.
#[derive(Debug)]
pub struct RankMetrics {
    threshold: GaugeVec,
    population: IntGaugeVec,
    labels: [String; 2],
}

impl RankMetrics {
    /// Without a threshold nobody is in the rank, and none is shown.
    pub fn show(&self, threshold: Option<f64>, population: u64) {
        let labels = [self.labels[0].as_str(), self.labels[1].as_str()];
        self.population.with_label_values(&labels).set(i64::try_from(population).unwrap_or(i64::MAX));
        match threshold {
            Some(threshold) => self.threshold.with_label_values(&labels).set(threshold),
            // It may not exist.
            None => drop(self.threshold.remove_label_values(&labels)),
        }
    }
}
