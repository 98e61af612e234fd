//! Series that are not always shown: they appear with their first value and are removed when it no longer holds.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::adder::timestamp;
use super::{Metrics, NO_LABELS};
use crate::event::Instant;

impl Metrics {
    /// Removes the series of forecasts: before those of another day or other rules, and when another process shows
    /// them.
    pub fn forget_forecasts(&self) {
        self.forecasts.forget();
    }

    /// Removes the series of ranks: before those of other rules, and when another process shows them.
    pub fn forget_ranks(&self) {
        self.ranks.forget();
    }

    /// `rank_refresh_timestamp_seconds`: the beginning of the period of `ranks.refresh` in which the rank thresholds
    /// were computed; absent before the first are read. Worry when it is older than three times that setting: a
    /// partition does not publish its counters, and ranks are not updated.
    pub fn set_rank_refresh(&self, at: Instant) {
        self.rank_refresh.with_label_values(&NO_LABELS).set(timestamp(at));
    }

    /// `None`: not known, or shown by another process.
    pub fn set_partitions_unowned(&self, unowned: Option<usize>) {
        match unowned {
            Some(unowned) => {
                self.partitions_unowned.with_label_values(&NO_LABELS).set(i64::try_from(unowned).unwrap_or(i64::MAX));
            }
            // It may not exist.
            None => drop(self.partitions_unowned.remove_label_values(&NO_LABELS)),
        }
    }

    /// The lag of partitions without an owner; those shown before and missing now are removed. One process of the group
    /// does this, and never for a partition that it owns.
    pub fn set_unowned_lag(&self, topic: &str, lags: &BTreeMap<i32, i64>) {
        let mut shown = self.unowned_lag.lock().unwrap_or_else(PoisonError::into_inner);
        for partition in shown.iter().filter(|partition| !lags.contains_key(partition)) {
            self.partitions.set_lag(topic, &partition.to_string(), None);
        }
        for (partition, lag) in lags {
            self.partitions.set_lag(topic, &partition.to_string(), Some(*lag));
        }
        *shown = lags.keys().copied().collect();
    }

    /// Sets the newest rules; the previous ones are no longer shown.
    pub fn set_rules(&self, version: u64, fingerprint: &str) {
        self.rules_info.reset();
        self.rules_info.with_label_values(&[version.to_string().as_str(), fingerprint]).set(1);
    }
}
