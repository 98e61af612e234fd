//! What is known of one rank over all partitions, shown by the process that works it out.

use prometheus::{GaugeVec, IntGaugeVec};

use super::Adder;

/// The series of all ranks.
#[derive(Debug)]
pub(super) struct RankSeries {
    /// `rank_threshold{cohort,rank}`: the value at which a rank begins, in units of what is ranked by; absent while nobody is in.
    /// Worry when it leaps.
    threshold: GaugeVec,
    /// `rank_population{cohort,rank}`: customers with a place in a rank's order. Worry when it falls under 200: nobody enters by a
    /// part of all then.
    population: IntGaugeVec,
}

impl RankSeries {
    pub(super) fn new(add: &Adder<'_>) -> Self {
        let labels = ["cohort", "rank"];
        Self {
            threshold: add.float_gauges("rank_threshold", "The value at which a rank begins.", &labels),
            population: add.gauges("rank_population", "Customers with a place in a rank's order.", &labels),
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

/// One rank, named by the first cohort that speaks of it and by its words.
#[derive(Debug)]
pub struct RankMetrics {
    threshold: GaugeVec,
    population: IntGaugeVec,
    labels: [String; 2],
}

impl RankMetrics {
    /// Without a threshold nobody is in, and none is shown.
    pub fn show(&self, threshold: Option<f64>, population: u64) {
        let labels = [self.labels[0].as_str(), self.labels[1].as_str()];
        self.population.with_label_values(&labels).set(i64::try_from(population).unwrap_or(i64::MAX));
        match threshold {
            Some(threshold) => self.threshold.with_label_values(&labels).set(threshold),
            // It may never have been shown.
            None => drop(self.threshold.remove_label_values(&labels)),
        }
    }
}
